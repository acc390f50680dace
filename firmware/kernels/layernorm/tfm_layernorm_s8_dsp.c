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

#define SMALL 1024 /* channels up to which 32 bits hold what follows */

/* (d * m + half) >> sh for sh below 32: the result fits 32 bits, so two 32-bit shifts give it. */
static inline int32_t scale(int32_t d, int32_t m, int64_t half, int32_t sh) {
    const int64_t wide = (int64_t)d * m + half;
    return (int32_t)((uint32_t)wide >> sh | (uint32_t)(wide >> 32) << (32 - sh));
}

#if TFM_HAS_DSP
/* What the loop keeps in r4 to r10. */
typedef struct { const int16_t *gamma; const int32_t *beta; uint32_t c, start; int32_t m, mult, zp; } four_values;

/* Elements 0 to end - in, a multiple of four. With d scaled up so that the shift by sh is one by 32,
 * SMMULR multiplies, rounds and shifts at once. It fits: |norm| <= sqrt(C) * 2^10 and m is about
 * sqrt(C) * 2^23 or more, so the scaled d is about 2^19 at most.
 * 42 instructions and 28 cycles for four elements, in the order that issues best. */
TFM_NAKED static void fours(
    TFM_UNUSED int8_t *out, TFM_UNUSED const int8_t *in, TFM_UNUSED const int8_t *end, TFM_UNUSED const four_values *v) {
    __asm volatile(
        "push {r4-r11, lr}\n"
        "ldm r3, {r4-r10}\n"
        "1:\n"
        "ldrsb r11, [r1]\n"
        "mla r11, r11, r6, r7\n"
        "ldrsh r3, [r4]\n"
        "ldrsb r12, [r1, #1]\n"
        "smmulr r11, r11, r8\n"
        "mla r12, r12, r6, r7\n"
        "ldr lr, [r5]\n"
        "mla r11, r11, r3, lr\n"
        "ldrsh r3, [r4, #2]\n"
        "ldr lr, [r5, #4]\n"
        "smmlar r11, r11, r9, r10\n"
        "ssat r11, #8, r11\n"
        "smmulr r12, r12, r8\n"
        "strb r11, [r0]\n"
        "ldrsb r11, [r1, #2]\n"
        "mla r12, r12, r3, lr\n"
        "ldrsh r3, [r4, #4]\n"
        "mla r11, r11, r6, r7\n"
        "ldr lr, [r5, #8]\n"
        "smmlar r12, r12, r9, r10\n"
        "ssat r12, #8, r12\n"
        "smmulr r11, r11, r8\n"
        "strb r12, [r0, #1]\n"
        "ldrsb r12, [r1, #3]\n"
        "mla r11, r11, r3, lr\n"
        "mla r12, r12, r6, r7\n"
        "add r1, r1, #4\n"
        "smmulr r12, r12, r8\n"
        "ldrsh r3, [r4, #6]\n"
        "smmlar r11, r11, r9, r10\n"
        "ldr lr, [r5, #12]\n"
        "mla r12, r12, r3, lr\n"
        "ssat r11, #8, r11\n"
        "strb r11, [r0, #2]\n"
        "smmlar r12, r12, r9, r10\n"
        "add r4, r4, #8\n"
        "add r5, r5, #16\n"
        "ssat r12, #8, r12\n"
        "cmp r1, r2\n"
        "strb r12, [r0, #3]\n"
        "add r0, r0, #4\n"
        "bne 1b\n"
        "pop {r4-r11, pc}\n");
}
#endif

static void row(int8_t *out, const int8_t *in, const tfm_layernorm *norm, uint32_t rc) {
    const int32_t c = norm->c, mult = norm->mult, shift = norm->shift, zp = norm->zp_out;
    const int16_t *gamma = norm->gamma;
    const int32_t *beta = norm->beta;
    const tfm_norm_row r = statistics(in, norm, rc);
    const int64_t half = (int64_t)1 << (r.sh - 1);
    const int small = c <= SMALL;
    int32_t i = 0;
#if TFM_HAS_DSP
    if (small && r.sh <= 32 && shift == 0 && c >= 4) {
        const int32_t up = 32 - r.sh;
        const four_values v = {gamma, beta, (uint32_t)c << up, (uint32_t)-r.sum << up, (int32_t)r.m, mult, zp};
        i = c & ~3;
        fours(out, in, in + i, &v);
    }
#endif
    if (small && r.sh < 32) {
        for (; i < c; i++) {
            const int32_t n = scale(c * in[i] - r.sum, (int32_t)r.m, half, r.sh);
            out[i] = (int8_t)tfm_requant0(tfm_shl(n * gamma[i] + beta[i], shift), mult, zp);
        }
    } else { /* rows of many channels, or a wide spread */
        for (; i < c; i++) {
            const int32_t n = tfm_norm_value(c * in[i] - r.sum, &r);
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
