#include "tfm_attention_rows.h"
#include "tfm_softmax_words.h"

static int dims_ok(const tfm_attention *a) {
    return a->tokens >= 1 && a->tokens <= TFM_MAX_TOKENS && tfm_dim_ok(a->dim) && a->heads >= 1
        && a->heads <= a->dim && a->dim % a->heads == 0 && tfm_shift_ok(a->shift_qk) && tfm_shift_ok(a->shift_av);
}

/* one head of k and of v as words; two rows of q with their end, of probabilities with theirs, of scores */
int32_t tfm_attention_s8_dsp_scratch_bytes(const tfm_attention *attention) {
    if (!attention || !dims_ok(attention)) return -1;
    const int32_t tokens = tfm_round4(attention->tokens), width = tfm_round4(attention->dim / attention->heads);
    return 4 * tokens * width + 4 * width + 6 * tokens + 8 * (1 + TFM_ROWS_MORE);
}

int tfm_attention_s8_dsp(int8_t *out, const int8_t *q, const int8_t *k, const int8_t *v,
                         const tfm_attention *attention, void *scratch, int32_t scratch_bytes) {
    const tfm_attention *a = attention;
    if (!out || !q || !k || !v || !a || !a->table) return TFM_ERR_NULL;
    if (!dims_ok(a) || !tfm_table_ok(a->table)) return TFM_ERR_DIMS;
    const int status = tfm_scratch_status(scratch, scratch_bytes, tfm_attention_s8_dsp_scratch_bytes(a));
    if (status) return status;
    const int32_t tokens = a->tokens, dim = a->dim, width = dim / a->heads, padded = tfm_round4(tokens);
    uint32_t *const keys = (uint32_t *)scratch, *const values = keys + (padded >> 1) * tfm_round4(width);
    uint32_t *const prob = values + (padded >> 1) * tfm_round4(width), *const rows = prob + padded + 1 + TFM_ROWS_MORE;
    int8_t *const score0 = (int8_t *)(rows + tfm_round4(width) + 1 + TFM_ROWS_MORE), *const score1 = score0 + padded;
    const tfm_rows_out scores = {a->mult_qk, 0, {score0, score1}, a->shift_qk};
    for (int32_t h = 0; h < dim; h += width) {
        tfm_k_words(keys, k + h, dim, width, tokens);
        tfm_v_words(values, v + h, dim, width, tokens);
        for (int32_t i = h; i < tokens * dim; i += 2 * dim) {
            const int32_t next = i + dim < tokens * dim ? i + dim : i;
            tfm_q_words(rows, q + i, q + next, width);
            tfm_rows_product(scores, rows, keys, tokens, tfm_round4(width) / 2);
            tfm_softmax_words(prob, score0, tokens, a->table);
            tfm_softmax_words(prob + 1, score1, tokens, a->table);
            prob[padded] = TFM_ROWS_END;
            const tfm_rows_out to = {a->mult_av, a->zp_out, {out + i, out + next}, a->shift_av};
            tfm_rows_product(to, prob, values, width, padded / 2);
        }
    }
    return TFM_OK;
}
