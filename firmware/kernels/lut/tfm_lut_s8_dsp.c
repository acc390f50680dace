#include "tfm_dsp.h"

/* Four codes at once: one load and one store for the four, and no loop around each. */
static inline void four(int8_t *out, const int8_t *in, const uint8_t *table) {
    const uint32_t x = tfm_load4(in);
    const uint32_t low = table[x & 255u] | (uint32_t)table[x >> 8 & 255u] << 8;
    tfm_store4(out, low | (uint32_t)table[x >> 16 & 255u] << 16 | (uint32_t)table[x >> 24] << 24);
}

int tfm_lut_s8_dsp(int8_t *out, const int8_t *in, const int8_t *table, int32_t n) {
    if (!out || !in || !table) return TFM_ERR_NULL;
    if (n < 1 || n > TFM_MAX_VALUES) return TFM_ERR_DIMS;
    const uint8_t *entries = (const uint8_t *)table;
    int32_t left = n;
    for (; left >= 8; left -= 8, in += 8, out += 8) {
        four(out, in, entries);
        four(out + 4, in + 4, entries);
    }
    for (; left > 0; left--) *out++ = table[(uint8_t)*in++];
    return TFM_OK;
}
