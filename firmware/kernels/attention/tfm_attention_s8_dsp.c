#include "tfm_attention.h"
#include "tfm_attention_rows.h"
#include "tfm_softmax_words.h"

/* one head of k and of v as words; two rows of q with their end, of probabilities with theirs, of scores */
TFM_OUTLINE int32_t tfm_attention_s8_dsp_scratch_bytes(const tfm_attention *attention) {
    if (!attention || !tfm_attention_ok(attention)) return -1;
    const int32_t n = tfm_round4(attention->keys), width = tfm_round4(attention->dim / attention->heads);
    const int32_t v_width = tfm_round4(attention->vdim / attention->heads);
    return 2 * n * (width + v_width) + 4 * width + 6 * n + 8;
}

/* The next two rows see two keys more, the last row of all no more than there are. The words of what they may not
 * see become 0: the softmax writes only the words up to a row's last key. */
static TFM_OUTLINE void next_causal(int32_t seen[2], uint32_t *prob, int32_t keys) {
    seen[0] += 2, seen[1] = seen[0] < keys ? seen[0] + 1 : keys;
    for (int32_t j = tfm_round4(seen[1]) - 4; j < keys; j += 4) prob[j] = prob[j + 1] = prob[j + 2] = prob[j + 3] = 0;
}

int tfm_attention_s8_dsp(int8_t *out, const int8_t *q, const int8_t *k, const int8_t *v,
                         const tfm_attention *attention, void *scratch, int32_t scratch_bytes) {
    const tfm_attention *a = attention;
    if (!out || !q || !k || !v || !a || !a->table) return TFM_ERR_NULL;
    const int32_t need = tfm_attention_s8_dsp_scratch_bytes(a);
    if (need < 0 || !tfm_table_ok(a->table)) return TFM_ERR_DIMS;
    const int status = tfm_scratch_status(scratch, scratch_bytes, need);
    if (status) return status;
    const int32_t n = a->keys, dim = a->dim, width = dim / a->heads, vdim = a->vdim, v_width = vdim / a->heads;
    const int32_t padded = tfm_round4(n);
    uint32_t *const keys = (uint32_t *)scratch, *const values = keys + (padded >> 1) * tfm_round4(width);
    uint32_t *const prob = values + (padded >> 1) * tfm_round4(v_width), *const rows = prob + padded + 1;
    int8_t *const score0 = (int8_t *)(rows + tfm_round4(width) + 1), *const score1 = score0 + padded;
    const tfm_rows_out scores = {a->mult_qk, 0, {score0, score1}, a->shift_qk};
    for (int32_t h = 0, e = 0; h < dim; h += width, e += v_width) {
        tfm_k_words(keys, k + h, dim, width, n);
        tfm_v_words(values, v + e, vdim, v_width, n);
        int8_t *out_i = out + e;
        int32_t seen[2] = {a->causal ? n - a->tokens - 1 : n, n}; /* keys that both rows see */
        for (int32_t i = h; i < a->tokens * dim; i += 2 * dim, out_i += 2 * vdim) {
            const int32_t two = i + dim < a->tokens * dim;
            if (a->causal) next_causal(seen, prob, n);
            const tfm_rows_out to = {a->mult_av, a->zp_out, {out_i, two ? out_i + vdim : out_i}, a->shift_av};
            tfm_q_words(rows, q + i, two ? q + i + dim : q + i, width);
            tfm_rows_product(scores, rows, keys, seen[1], tfm_round4(width) / 2);
            tfm_softmax_words(prob, score0, seen[0], a->table);
            tfm_softmax_words(prob + 1, score1, seen[1], a->table);
            prob[padded] = TFM_ROWS_END;
            tfm_rows_product(to, prob, values, v_width, padded / 2);
        }
    }
    return TFM_OK;
}
