#include "tfm_scalar.h"

void tfm_scalar_put(int8_t *out, int32_t stride, int32_t n, const int32_t *acc, int32_t mult, int32_t shift, int32_t zp) {
#if defined(TFM_SHORT_PRODUCTS) && TFM_SHORT_PRODUCTS
    /* Most sums are short: then two products are enough, and the zero point is added with the half. */
    const int32_t mh = mult >> 16, ml = mult & 0xFFFF, half = tfm_shl(zp, 16) + 0x8000;
#endif
    do {
        const int32_t a = tfm_shl(*acc++, shift);
        int32_t v;
#if defined(TFM_SHORT_PRODUCTS) && TFM_SHORT_PRODUCTS
        if ((int16_t)(a & 0xFFFF) == a) v = (a * mh + (a * ml >> 16) + half) >> 16;
        else
#endif
            v = tfm_round_high(a, mult) + zp;
        if ((uint32_t)(v + 128) > 255u) v = v < 0 ? -128 : 127;
        *out = (int8_t)v;
        out += stride;
    } while (--n > 0);
}
