#include "tfm_attention.h"
#include "tfm_softmax.h"

int32_t tfm_attention_s8_ref_scratch_bytes(const tfm_attention *attention) {
    return attention && tfm_attention_ok(attention) ? tfm_round4(attention->keys) : -1;
}

/* probabilities 0..255 of one query row against the first n keys of one head */
static void row_probs(uint8_t *prob, const int8_t *q_i, const int8_t *k, const tfm_attention *a, int32_t width, int32_t n) {
    int8_t *score = (int8_t *)prob; /* the row is rewritten in place */
    for (int32_t j = 0; j < n; j++, k += a->dim) {
        int32_t acc = 0;
        for (int32_t c = 0; c < width; c++) acc += q_i[c] * k[c];
        score[j] = tfm_requant(acc, a->mult_qk, a->shift_qk, 0);
    }
    tfm_softmax_row(prob, score, n, a->table);
}

int tfm_attention_s8_ref(int8_t *out, const int8_t *q, const int8_t *k, const int8_t *v,
                         const tfm_attention *attention, void *scratch, int32_t scratch_bytes) {
    const tfm_attention *a = attention;
    if (!out || !q || !k || !v || !a || !a->table) return TFM_ERR_NULL;
    if (!tfm_attention_ok(a) || !tfm_table_ok(a->table)) return TFM_ERR_DIMS;
    const int status = tfm_scratch_status(scratch, scratch_bytes, tfm_attention_s8_ref_scratch_bytes(a));
    if (status) return status;
    const int32_t width = tfm_div(a->dim, a->heads), v_width = tfm_div(a->vdim, a->heads);
    uint8_t *prob = (uint8_t *)scratch; /* [keys] */
    for (int32_t i = 0; i < a->tokens; i++) {
        const int32_t n = tfm_keys_seen(a, i);
        for (int32_t h = 0; h < a->heads; h++) {
            row_probs(prob, q + i * a->dim + h * width, k + h * width, a, width, n);
            for (int32_t c = h * v_width; c < (h + 1) * v_width; c++) {
                int32_t acc = 0;
                for (int32_t j = 0; j < n; j++) acc += prob[j] * v[j * a->vdim + c];
                out[i * a->vdim + c] = tfm_requant(acc, a->mult_av, a->shift_av, a->zp_out);
            }
        }
    }
    return TFM_OK;
}
