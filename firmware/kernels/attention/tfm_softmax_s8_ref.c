#include "tfm_softmax.h"

static int dims_ok(const tfm_softmax *s) {
    return tfm_dim_ok(s->rows) && s->n >= 1 && s->n <= TFM_MAX_TOKENS;
}

int32_t tfm_softmax_s8_ref_scratch_bytes(const tfm_softmax *softmax) {
    return softmax && dims_ok(softmax) ? 0 : -1;
}

int tfm_softmax_s8_ref(int8_t *out, const int8_t *in, const tfm_softmax *softmax, void *scratch, int32_t scratch_bytes) {
    const tfm_softmax *s = softmax;
    (void)scratch, (void)scratch_bytes;
    if (!out || !in || !s || !s->table) return TFM_ERR_NULL;
    if (!dims_ok(s) || !tfm_table_ok(s->table)) return TFM_ERR_DIMS;
    const int32_t n = s->n;
    for (int32_t r = 0; r < s->rows; r++, out += n, in += n) {
        tfm_softmax_row((uint8_t *)out, in, n, s->table);
        for (int32_t i = 0; i < n; i++) out[i] = (int8_t)((uint8_t)out[i] - 128); /* 0..255 to int8 */
    }
    return TFM_OK;
}
