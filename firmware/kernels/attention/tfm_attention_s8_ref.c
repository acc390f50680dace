#include "tfm_softmax.h"

static int dims_ok(const tfm_attention *a) {
    return a->tokens >= 1 && a->tokens <= TFM_MAX_TOKENS && tfm_dim_ok(a->dim) && a->heads >= 1
        && a->heads <= a->dim && a->dim % a->heads == 0 && tfm_shift_ok(a->shift_qk) && tfm_shift_ok(a->shift_av);
}

int32_t tfm_attention_s8_ref_scratch_bytes(const tfm_attention *attention) {
    return attention && dims_ok(attention) ? tfm_round4(attention->tokens) : -1;
}

/* probabilities 0..255 of one query row against all keys of one head */
static void row_probs(uint8_t *prob, const int8_t *q_i, const int8_t *k, const tfm_attention *a, int32_t width) {
    int8_t *score = (int8_t *)prob; /* the row is rewritten in place */
    for (int32_t j = 0; j < a->tokens; j++, k += a->dim) {
        int32_t acc = 0;
        for (int32_t c = 0; c < width; c++) acc += q_i[c] * k[c];
        score[j] = tfm_requant(acc, a->mult_qk, a->shift_qk, 0);
    }
    tfm_softmax_row(prob, score, a->tokens, a->table);
}

int tfm_attention_s8_ref(int8_t *out, const int8_t *q, const int8_t *k, const int8_t *v,
                         const tfm_attention *attention, void *scratch, int32_t scratch_bytes) {
    const tfm_attention *a = attention;
    if (!out || !q || !k || !v || !a || !a->table) return TFM_ERR_NULL;
    if (!dims_ok(a) || !tfm_table_ok(a->table)) return TFM_ERR_DIMS;
    const int status = tfm_scratch_status(scratch, scratch_bytes, tfm_attention_s8_ref_scratch_bytes(a));
    if (status) return status;
    const int32_t width = a->dim / a->heads;
    uint8_t *prob = (uint8_t *)scratch; /* [tokens] */
    for (int32_t i = 0; i < a->tokens; i++) {
        for (int32_t h = 0; h < a->dim; h += width) {
            row_probs(prob, q + i * a->dim + h, k + h, a, width);
            for (int32_t c = h; c < h + width; c++) {
                int32_t acc = 0;
                for (int32_t j = 0; j < a->tokens; j++) acc += prob[j] * v[j * a->dim + c];
                out[i * a->dim + c] = tfm_requant(acc, a->mult_av, a->shift_av, a->zp_out);
            }
        }
    }
    return TFM_OK;
}
