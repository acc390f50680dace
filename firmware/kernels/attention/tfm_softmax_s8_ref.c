#include "tfm_softmax.h"

int tfm_softmax_s8_ref(int8_t *out, const int8_t *in, int32_t rows, int32_t n, const uint16_t *table) {
    if (!out || !in || !table) return TFM_ERR_NULL;
    if (!tfm_dim_ok(rows) || n < 1 || n > TFM_MAX_TOKENS || table[0] == 0) return TFM_ERR_DIMS;
    for (int32_t r = 0; r < rows; r++, out += n, in += n) {
        int32_t max = -128;
        for (int32_t i = 0; i < n; i++) max = in[i] > max ? in[i] : max;
        tfm_softmax_row((uint8_t *)out, in, n, max, table);
        for (int32_t i = 0; i < n; i++) out[i] = (int8_t)((uint8_t)out[i] - 128); /* 0..255 to int8 */
    }
    return TFM_OK;
}
