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

#if TFM_HAS_DSP && defined(__OPTIMIZE__)
/* Elements 0 to end - in, a multiple of four. With d scaled up so that the shift by sh is one by 32,
 * SMMULR multiplies, rounds and shifts at once. It fits: |norm| <= sqrt(C) * 2^10 and m is about
 * sqrt(C) * 2^23 or more, so the scaled d is about 2^19 at most.
 * 42 instructions and 28 cycles for four elements, in the order that issues best. */
static TFM_OUTLINE void fours(int8_t *out, const int8_t *in, const int8_t *end, const tfm_layernorm *norm, const tfm_norm_row *r) {
    const uint32_t c = (uint32_t)norm->c << (32 - r->sh), start = (uint32_t)-r->sum << (32 - r->sh);
    const int16_t *gamma = norm->gamma;
    const int32_t *beta = norm->beta;
    uint32_t x, y, g, b;
    __asm volatile(
        "1:\n"
        "ldrsb %[x], [%[in]]\n"
        "mla %[x], %[x], %[c], %[start]\n"
        "ldrsh %[g], [%[gamma]]\n"
        "ldrsb %[y], [%[in], #1]\n"
        "smmulr %[x], %[x], %[m]\n"
        "mla %[y], %[y], %[c], %[start]\n"
        "ldr %[b], [%[beta]]\n"
        "mla %[x], %[x], %[g], %[b]\n"
        "ldrsh %[g], [%[gamma], #2]\n"
        "ldr %[b], [%[beta], #4]\n"
        "smmlar %[x], %[x], %[mult], %[zp]\n"
        "ssat %[x], #8, %[x]\n"
        "smmulr %[y], %[y], %[m]\n"
        "strb %[x], [%[out]]\n"
        "ldrsb %[x], [%[in], #2]\n"
        "mla %[y], %[y], %[g], %[b]\n"
        "ldrsh %[g], [%[gamma], #4]\n"
        "mla %[x], %[x], %[c], %[start]\n"
        "ldr %[b], [%[beta], #8]\n"
        "smmlar %[y], %[y], %[mult], %[zp]\n"
        "ssat %[y], #8, %[y]\n"
        "smmulr %[x], %[x], %[m]\n"
        "strb %[y], [%[out], #1]\n"
        "ldrsb %[y], [%[in], #3]\n"
        "mla %[x], %[x], %[g], %[b]\n"
        "mla %[y], %[y], %[c], %[start]\n"
        "add %[in], %[in], #4\n"
        "smmulr %[y], %[y], %[m]\n"
        "ldrsh %[g], [%[gamma], #6]\n"
        "smmlar %[x], %[x], %[mult], %[zp]\n"
        "ldr %[b], [%[beta], #12]\n"
        "mla %[y], %[y], %[g], %[b]\n"
        "ssat %[x], #8, %[x]\n"
        "strb %[x], [%[out], #2]\n"
        "smmlar %[y], %[y], %[mult], %[zp]\n"
        "add %[gamma], %[gamma], #8\n"
        "add %[beta], %[beta], #16\n"
        "ssat %[y], #8, %[y]\n"
        "cmp %[in], %[end]\n"
        "strb %[y], [%[out], #3]\n"
        "add %[out], %[out], #4\n"
        "bne 1b\n"
        : [in] "+r"(in), [out] "+r"(out), [gamma] "+r"(gamma), [beta] "+r"(beta), [x] "=&r"(x), [y] "=&r"(y),
          [g] "=&r"(g), [b] "=&r"(b)
        : [end] "r"(end), [c] "r"(c), [start] "r"(start), [m] "r"(r->m), [mult] "r"(norm->mult), [zp] "r"(norm->zp_out)
        : "cc", "memory");
}
#define FAST 1
#else
static inline void fours(int8_t *out, const int8_t *in, const int8_t *end, const tfm_layernorm *norm, const tfm_norm_row *r) {
    (void)out, (void)in, (void)end, (void)norm, (void)r;
}
#define FAST 0
#endif

static void row(int8_t *out, const int8_t *in, const tfm_layernorm *norm, uint32_t rc) {
    const int32_t c = norm->c, mult = norm->mult, shift = norm->shift, zp = norm->zp_out;
    const int16_t *gamma = norm->gamma;
    const int32_t *beta = norm->beta;
    const tfm_norm_row r = statistics(in, norm, rc);
    const int64_t half = (int64_t)1 << (r.sh - 1);
    int32_t i = 0;
    if (FAST && r.sh <= 32 && shift == 0 && c >= 4) {
        i = c & ~3;
        fours(out, in, in + i, norm, &r);
    }
    if (r.sh < 32) {
        for (; i < c; i++) {
            const int32_t n = scale(c * in[i] - r.sum, r.m, half, r.sh);
            out[i] = (int8_t)tfm_requant0(tfm_shl(n * gamma[i] + beta[i], shift), mult, zp);
        }
    } else { /* rows of many channels and a wide spread */
        for (; i < c; i++) {
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
