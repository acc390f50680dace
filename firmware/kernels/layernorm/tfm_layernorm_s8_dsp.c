#include "tfm_dsp.h"
#include "tfm_norm.h"

/* Sum and sum of squares, four values at a time. */
static tfm_norm_row statistics(const int8_t *in, const tfm_layernorm *norm, uint32_t rc) {
    const int32_t c = norm->c, c4 = c & ~3;
    const uint32_t ones = 0x00010001u;
    int32_t sum = 0, squares = 0;
    for (int32_t i = 0; i < c4; i += 4) {
        const uint32_t x = tfm_load4(in + i), even = tfm_sxtb16(x), odd = tfm_sxtb16_ror8(x);
        sum = tfm_smlad(odd, ones, tfm_smlad(even, ones, sum));
        squares = tfm_smlad(odd, odd, tfm_smlad(even, even, squares));
    }
    for (int32_t i = c4; i < c; i++) sum += in[i], squares += in[i] * in[i];
    return tfm_norm_scale(sum, squares, c, norm->eps_q, rc);
}

/* (d * m + half) >> sh for sh below 32: the result fits 32 bits, so two 32-bit shifts give it. */
static inline int32_t scale(int32_t d, int32_t m, int64_t half, int32_t sh) {
    const int64_t wide = (int64_t)d * m + half;
    return (int32_t)((uint32_t)wide >> sh | (uint32_t)(wide >> 32) << (32 - sh));
}

static void row(int8_t *out, const int8_t *in, const tfm_layernorm *norm, uint32_t rc) {
    const int32_t c = norm->c, mult = norm->mult, shift = norm->shift, zp = norm->zp_out;
    const int16_t *gamma = norm->gamma;
    const int32_t *beta = norm->beta;
    const tfm_norm_row r = statistics(in, norm, rc);
    const int64_t half = (int64_t)1 << (r.sh - 1);
    if (r.sh < 32) {
        for (int32_t i = 0; i < c; i++) {
            const int32_t n = scale(c * in[i] - r.sum, r.m, half, r.sh);
            out[i] = (int8_t)tfm_requant0(tfm_shl(n * gamma[i] + beta[i], shift), mult, zp);
        }
    } else { /* rows of many channels and a wide spread */
        for (int32_t i = 0; i < c; i++) {
            const int32_t n = (int32_t)(((int64_t)(c * in[i] - r.sum) * r.m + half) >> r.sh);
            out[i] = (int8_t)tfm_requant0(tfm_shl(n * gamma[i] + beta[i], shift), mult, zp);
        }
    }
}

int tfm_layernorm_s8_dsp(int8_t *out, const int8_t *in, const tfm_layernorm *norm) {
    const int status = tfm_norm_status(out, in, norm);
    if (status) return status;
    const uint32_t rc = tfm_sqrt_q8(norm->c);
    for (int32_t t = 0; t < norm->tokens; t++, out += norm->c, in += norm->c) row(out, in, norm, rc);
    return TFM_OK;
}
