#include "tfm_math.h"

int tfm_lut_s8_ref(int8_t *out, const int8_t *in, const int8_t *table, int32_t n) {
    if (!out || !in || !table) return TFM_ERR_NULL;
    if (n < 1 || n > TFM_MAX_VALUES) return TFM_ERR_DIMS;
    for (int32_t i = 0; i < n; i++) out[i] = table[(uint8_t)in[i]];
    return TFM_OK;
}
