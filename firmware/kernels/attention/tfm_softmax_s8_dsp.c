#include "tfm_softmax_words.h"

static int dims_ok(const tfm_softmax *s) {
    return tfm_dim_ok(s->rows) && s->n >= 1 && s->n <= TFM_MAX_TOKENS;
}

/* one row of words, eight bytes apart, and the word that is read past them */
int32_t tfm_softmax_s8_dsp_scratch_bytes(const tfm_softmax *softmax) {
    return softmax && dims_ok(softmax) ? 4 * tfm_round4(softmax->n) + 4 : -1;
}

/* n probabilities of a row of words, as bytes */
static void store(int8_t *out, const uint32_t *word, int32_t n) {
    for (; n >= 8; n -= 8, out += 8, word += 8) {
        const uint32_t a = word[0], b = word[2], c = word[4], d = word[6];
        tfm_store4(out, (a | b << 8) ^ 0x80808080u), tfm_store4(out + 4, (c | d << 8) ^ 0x80808080u);
    }
    for (; n >= 4; n -= 4, out += 4, word += 4) tfm_store4(out, (word[0] | word[2] << 8) ^ 0x80808080u);
    const uint32_t last = (n > 0 ? word[0] | word[2] << 8 : 0) ^ 0x80808080u;
    for (int32_t i = 0; i < n; i++) out[i] = (int8_t)(last >> 8 * i & 0xFFu);
}

int tfm_softmax_s8_dsp(int8_t *out, const int8_t *in, const tfm_softmax *softmax, void *scratch, int32_t scratch_bytes) {
    const tfm_softmax *s = softmax;
    if (!out || !in || !s || !s->table) return TFM_ERR_NULL;
    if (!dims_ok(s) || !tfm_table_ok(s->table)) return TFM_ERR_DIMS;
    const int status = tfm_scratch_status(scratch, scratch_bytes, tfm_softmax_s8_dsp_scratch_bytes(s));
    if (status) return status;
    for (int32_t r = 0; r < s->rows; r++, out += s->n, in += s->n) {
        tfm_softmax_words((uint32_t *)scratch, in, s->n, s->table);
        store(out, (const uint32_t *)scratch, s->n);
    }
    return TFM_OK;
}
