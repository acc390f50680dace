#include "tfm_dsp.h"

int tfm_add_s8_dsp(int8_t *out, const int8_t *a, const int8_t *b, const tfm_add *add) {
    if (!out || !a || !b || !add) return TFM_ERR_NULL;
    if (add->n < 1 || add->n > (1 << 30) || add->shift < 0 || add->shift > 20) return TFM_ERR_DIMS;
    const int32_t bias = add->bias, shift = add->shift, n4 = add->n & ~3;
    const uint32_t mults = tfm_pkhbt((uint32_t)add->mult_a, (uint32_t)add->mult_b);
    for (int32_t i = 0; i < n4; i += 4) {
        const uint32_t x = tfm_load4(a + i), y = tfm_load4(b + i);
        const uint32_t x02 = tfm_sxtb16(x), x13 = tfm_sxtb16_ror8(x);
        const uint32_t y02 = tfm_sxtb16(y), y13 = tfm_sxtb16_ror8(y);
        /* a pair holds one element of each input: one SMLAD does both products and the bias */
        out[i] = (int8_t)tfm_ssat8(tfm_smlad(tfm_pkhbt(x02, y02), mults, bias) >> shift);
        out[i + 1] = (int8_t)tfm_ssat8(tfm_smlad(tfm_pkhbt(x13, y13), mults, bias) >> shift);
        out[i + 2] = (int8_t)tfm_ssat8(tfm_smlad(tfm_pkhtb(x02, y02), mults, bias) >> shift);
        out[i + 3] = (int8_t)tfm_ssat8(tfm_smlad(tfm_pkhtb(x13, y13), mults, bias) >> shift);
    }
    for (int32_t i = n4; i < add->n; i++)
        out[i] = tfm_sat8((a[i] * add->mult_a + b[i] * add->mult_b + bias) >> shift);
    return TFM_OK;
}
