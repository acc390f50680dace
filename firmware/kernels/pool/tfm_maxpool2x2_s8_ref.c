#include "tfm_math.h"

static int8_t max8(int8_t a, int8_t b) { return a > b ? a : b; }

int tfm_maxpool2x2_s8_ref(int8_t *out, const int8_t *in, int32_t h, int32_t w, int32_t c) {
    if (!out || !in) return TFM_ERR_NULL;
    if (!tfm_dim_ok(h) || !tfm_dim_ok(w) || !tfm_dim_ok(c) || h % 2 || w % 2) return TFM_ERR_DIMS;
    for (int32_t y = 0; y < h; y += 2) {
        for (int32_t x = 0; x < w; x += 2) {
            const int8_t *top = in + (y * w + x) * c, *low = top + w * c; /* [2][c] each */
            for (int32_t i = 0; i < c; i++)
                *out++ = max8(max8(top[i], top[i + c]), max8(low[i], low[i + c]));
        }
    }
    return TFM_OK;
}
