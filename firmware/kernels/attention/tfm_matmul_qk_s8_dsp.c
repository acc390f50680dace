#include "tfm_attention.h"
#include "tfm_attention_rows.h"

/* one head of k as words, then two rows of q and their end */
int32_t tfm_matmul_qk_s8_dsp_scratch_bytes(const tfm_matmul *matmul) {
    if (!matmul || !tfm_matmul_ok(matmul)) return -1;
    return 2 * (tfm_round4(matmul->keys) + 2) * tfm_round4(matmul->dim / matmul->heads) + 4;
}

int tfm_matmul_qk_s8_dsp(int8_t *out, const int8_t *q, const int8_t *k, const tfm_matmul *matmul,
                         void *scratch, int32_t scratch_bytes) {
    const tfm_matmul *m = matmul;
    if (!out || !q || !k || !m) return TFM_ERR_NULL;
    if (!tfm_matmul_ok(m)) return TFM_ERR_DIMS;
    const int status = tfm_scratch_status(scratch, scratch_bytes, tfm_matmul_qk_s8_dsp_scratch_bytes(m));
    if (status) return status;
    const int32_t tokens = m->tokens, n = m->keys, dim = m->dim, width = dim / m->heads;
    uint32_t *const keys = (uint32_t *)scratch;
    for (int32_t h = 0; h < dim; h += width, out += tokens * n) {
        uint32_t *const rows = tfm_k_words(keys, k + h, dim, width, n);
        for (int32_t i = 0; i < tokens; i += 2) {
            const int32_t next = i + 1 < tokens ? i + 1 : i;
            tfm_q_words(rows, q + i * dim + h, q + next * dim + h, width);
            const tfm_rows_out to = {m->mult, m->zp_out, {out + i * n, out + next * n}, m->shift};
            tfm_rows_product(to, rows, keys, n, tfm_round4(width) / 2);
        }
    }
    return TFM_OK;
}
