#include "tfm_dsp.h"

/* n values of a, and one number for all of them */
static void row(int8_t *out, const int8_t *a, int32_t n, uint32_t mult, int32_t bias, int32_t shift) {
    int32_t i = 0;
    for (; n - i >= 4; i += 4) {
        const uint32_t x = tfm_load4(a + i), x02 = tfm_sxtb16(x), x13 = tfm_sxtb16_ror8(x);
        out[i] = (int8_t)tfm_ssat8(tfm_smlabb(x02, mult, bias) >> shift);
        out[i + 1] = (int8_t)tfm_ssat8(tfm_smlabb(x13, mult, bias) >> shift);
        out[i + 2] = (int8_t)tfm_ssat8(tfm_smlatb(x02, mult, bias) >> shift);
        out[i + 3] = (int8_t)tfm_ssat8(tfm_smlatb(x13, mult, bias) >> shift);
    }
    for (; i < n; i++) out[i] = (int8_t)tfm_ssat8(tfm_smlabb((uint32_t)a[i], mult, bias) >> shift);
}

int tfm_add_broadcast_s8_dsp(int8_t *out, const int8_t *a, const int8_t *b, const tfm_add_broadcast *add) {
    if (!out || !a || !b || !add) return TFM_ERR_NULL;
    const int32_t outer = add->outer, inner = add->inner;
    if (!tfm_rows_ok(outer, inner) || add->b < 1 || add->b > 2 || add->shift < 0 || add->shift > 20) return TFM_ERR_DIMS;
    const tfm_add whole = {inner, add->mult_a, add->mult_b, add->bias, add->shift};
    for (int32_t o = 0; o < outer; o++, a += inner, out += inner) {
        if (add->b == 1) tfm_add_s8_dsp(out, a, b, &whole);
        else row(out, a, inner, (uint32_t)add->mult_a, add->bias + b[o] * add->mult_b, add->shift);
    }
    return TFM_OK;
}
