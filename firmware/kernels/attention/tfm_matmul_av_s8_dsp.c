#include "tfm_attention.h"
#include "tfm_attention_rows.h"

/* one head of v as words, then two rows of probabilities and their end */
int32_t tfm_matmul_av_s8_dsp_scratch_bytes(const tfm_matmul *matmul) {
    if (!matmul || !tfm_matmul_ok(matmul)) return -1;
    return 2 * (tfm_round4(matmul->dim / matmul->heads) + 2) * tfm_round4(matmul->keys) + 4;
}

static void four_words(uint32_t *word, uint32_t x, uint32_t y) {
    word[0] = x & 0x00FF00FFu, word[1] = y & 0x00FF00FFu;
    word[2] = x >> 8 & 0x00FF00FFu, word[3] = y >> 8 & 0x00FF00FFu;
}

/* Two rows of n probabilities as words: code -128 is 0. */
static void prob_words(uint32_t *word, const int8_t *p0, const int8_t *p1, int32_t n) {
    const uint32_t zeros = 0x80808080u, some = 0xFFFFFFu >> (24 - 8 * (n & 3));
    for (const int8_t *end = p0 + (n & ~3); p0 < end; p0 += 4, p1 += 4, word += 4)
        four_words(word, tfm_load4(p0) ^ zeros, tfm_load4(p1) ^ zeros);
    if (n & 3) {
        four_words(word, (tfm_load_tail(p0, n & 3) ^ zeros) & some, (tfm_load_tail(p1, n & 3) ^ zeros) & some);
        word += 4;
    }
    *word = TFM_ROWS_END;
}

int tfm_matmul_av_s8_dsp(int8_t *out, const int8_t *prob, const int8_t *v, const tfm_matmul *matmul,
                         void *scratch, int32_t scratch_bytes) {
    const tfm_matmul *m = matmul;
    if (!out || !prob || !v || !m) return TFM_ERR_NULL;
    if (!tfm_matmul_ok(m)) return TFM_ERR_DIMS;
    const int status = tfm_scratch_status(scratch, scratch_bytes, tfm_matmul_av_s8_dsp_scratch_bytes(m));
    if (status) return status;
    const int32_t tokens = m->tokens, n = m->keys, dim = m->dim, width = dim / m->heads;
    uint32_t *const values = (uint32_t *)scratch;
    for (int32_t h = 0; h < dim; h += width, prob += tokens * n) {
        uint32_t *const rows = tfm_v_words(values, v + h, dim, width, n);
        for (int32_t i = 0; i < tokens; i += 2) {
            const int32_t next = i + 1 < tokens ? i + 1 : i;
            prob_words(rows, prob + i * n, prob + next * n, n);
            const tfm_rows_out to = {m->mult, m->zp_out, {out + i * dim + h, out + next * dim + h}, m->shift};
            tfm_rows_product(to, rows, values, width, tfm_round4(n) / 2);
        }
    }
    return TFM_OK;
}
