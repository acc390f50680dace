#include "tfm_pool.h"

/* out may be in: output pixel (Y, X) lies at (Y * w / 2 + X) * c, at or before the first input that is
 * still to be read, (2Y * w + 2X) * c and on, and within a pixel the bytes are read before they are
 * written. */
int tfm_maxpool2x2_s8_dsp(int8_t *out, const int8_t *in, int32_t h, int32_t w, int32_t c) {
    if (!out || !in) return TFM_ERR_NULL;
    if (!tfm_dim_ok(h) || !tfm_dim_ok(w) || !tfm_dim_ok(c) || h % 2 || w % 2) return TFM_ERR_DIMS;
    for (int32_t y = 0; y < h; y += 2, in += w * c) {
        for (int32_t x = 0; x < w; x += 2, in += c) {
            const int8_t *low = in + w * c;
            int32_t left = c;
            for (; left >= 4; left -= 4, in += 4, low += 4, out += 4) {
                const uint32_t top = tfm_max8x4(tfm_load4(in), tfm_load4(in + c));
                const uint32_t r = tfm_max8x4(top, tfm_max8x4(tfm_load4(low), tfm_load4(low + c)));
                memcpy(out, &r, 4);
            }
            for (; left > 0; left--, in++, low++) *out++ = tfm_max8(tfm_max8(in[0], in[c]), tfm_max8(low[0], low[c]));
        }
    }
    return TFM_OK;
}
