#include "tfm_dsp.h"

static inline int8_t scaled(int32_t product, const tfm_mul *mul) {
    return (int8_t)tfm_requant0(tfm_shl(product, mul->shift), mul->mult, mul->zp_out);
}

static inline uint32_t both(int32_t x) { return tfm_pkhbt((uint32_t)x, (uint32_t)x); }

/* n values of a, each with its own of b: four at a time, as pairs of differences */
static void values(int8_t *out, const int8_t *a, const int8_t *b, int32_t n, const tfm_mul *mul) {
    const uint32_t za = both(-mul->zp_a), zb = both(-mul->zp_b);
    int32_t i = 0;
    for (; n - i >= 4; i += 4) {
        const uint32_t x = tfm_load4(a + i), y = tfm_load4(b + i);
        const uint32_t x02 = tfm_sxtab16(za, x), x13 = tfm_sxtab16_ror8(za, x);
        const uint32_t y02 = tfm_sxtab16(zb, y), y13 = tfm_sxtab16_ror8(zb, y);
        out[i] = scaled(tfm_smlabb(x02, y02, 0), mul);
        out[i + 1] = scaled(tfm_smlabb(x13, y13, 0), mul);
        out[i + 2] = scaled(tfm_smlatt(x02, y02, 0), mul);
        out[i + 3] = scaled(tfm_smlatt(x13, y13, 0), mul);
    }
    for (; i < n; i++) out[i] = scaled((a[i] - mul->zp_a) * (b[i] - mul->zp_b), mul);
}

/* n values of a, all with one factor */
static void row(int8_t *out, const int8_t *a, int32_t factor, int32_t n, const tfm_mul *mul) {
    const uint32_t za = both(-mul->zp_a), y = (uint32_t)factor;
    int32_t i = 0;
    for (; n - i >= 4; i += 4) {
        const uint32_t x = tfm_load4(a + i), x02 = tfm_sxtab16(za, x), x13 = tfm_sxtab16_ror8(za, x);
        out[i] = scaled(tfm_smlabb(x02, y, 0), mul);
        out[i + 1] = scaled(tfm_smlabb(x13, y, 0), mul);
        out[i + 2] = scaled(tfm_smlatb(x02, y, 0), mul);
        out[i + 3] = scaled(tfm_smlatb(x13, y, 0), mul);
    }
    for (; i < n; i++) out[i] = scaled((a[i] - mul->zp_a) * factor, mul);
}

int tfm_mul_s8_dsp(int8_t *out, const int8_t *a, const int8_t *b, const tfm_mul *mul) {
    if (!out || !a || !b || !mul) return TFM_ERR_NULL;
    const int32_t outer = mul->outer, inner = mul->inner;
    if (!tfm_rows_ok(outer, inner) || mul->b < 0 || mul->b > 2 || !tfm_shift_ok(mul->shift)) return TFM_ERR_DIMS;
    if (mul->b == 0) values(out, a, b, outer * inner, mul);
    for (int32_t o = 0; mul->b && o < outer; o++, a += inner, out += inner) {
        if (mul->b == 1) values(out, a, b, inner, mul);
        else row(out, a, b[o] - mul->zp_b, inner, mul);
    }
    return TFM_OK;
}
