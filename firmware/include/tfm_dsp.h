/* The DSP extension's instructions as functions; portable C where the core lacks them, so that the
 * same kernel source runs (and is tested) on any host. Not part of the public contract. */
#ifndef TFM_DSP_H
#define TFM_DSP_H

#include <string.h>
#include "tfm_math.h"

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the dsp kernels read four weights as one little-endian word"
#endif

/* -DTFM_NO_DSP builds the portable form for a core that has the extension: to measure what it gives. */
#if defined(__ARM_FEATURE_DSP) && __ARM_FEATURE_DSP && defined(__thumb2__) && !defined(TFM_NO_DSP)
#define TFM_HAS_DSP 1
#else
#define TFM_HAS_DSP 0
#endif

/* -DTFM_ONE_ISSUE: the order of the inner loops for a core that starts one instruction in a cycle, such as a Cortex-M4.
 * The same bytes either way; without it such a core takes some per cent longer. */

/* A function of its own has all registers for its loop. */
#if defined(__GNUC__)
#define TFM_OUTLINE __attribute__((noinline))
#else
#define TFM_OUTLINE
#endif

/* A function that is assembly from its first instruction to its last, so that no flag of a project can take
 * a register from it: frame pointers, a reserved r9 and -O0 are all the same to it. It takes its arguments
 * from r0 to r3 and the stack, pushes what it must keep first, and returns by popping it. Loops with more
 * than ten operands are written so. tinyformer.stack counts the push. */
#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 8
#define TFM_NAKED __attribute__((naked, noipa))
#else
#define TFM_NAKED __attribute__((naked, noinline))
#endif
#if defined(__GNUC__)
#define TFM_UNUSED __attribute__((unused))
#else
#define TFM_UNUSED
#endif

/* Four bytes at any address as one word. */
static inline uint32_t tfm_load4(const void *p) {
    uint32_t x;
    memcpy(&x, p, 4);
    return x;
}

static inline void tfm_store4(void *p, uint32_t x) { memcpy(p, &x, 4); }

/* Bytes 0..n-1 at p as the low bytes of a word, the rest 0 (n < 4). */
static inline uint32_t tfm_load_tail(const void *p, int32_t n) {
    const uint8_t *b = (const uint8_t *)p;
    uint32_t x = n > 0 ? b[0] : 0;
    if (n > 1) x |= (uint32_t)b[1] << 8;
    if (n > 2) x |= (uint32_t)b[2] << 16;
    return x;
}

#if TFM_HAS_DSP

static inline uint32_t tfm_sxtb16(uint32_t x) {
    uint32_t r;
    __asm("sxtb16 %0, %1" : "=r"(r) : "r"(x));
    return r;
}

static inline uint32_t tfm_sxtb16_ror8(uint32_t x) {
    uint32_t r;
    __asm("sxtb16 %0, %1, ror #8" : "=r"(r) : "r"(x));
    return r;
}

/* sxtb16 and an addition per half */
static inline uint32_t tfm_sxtab16(uint32_t a, uint32_t x) {
    uint32_t r;
    __asm("sxtab16 %0, %1, %2" : "=r"(r) : "r"(a), "r"(x));
    return r;
}

static inline uint32_t tfm_sxtab16_ror8(uint32_t a, uint32_t x) {
    uint32_t r;
    __asm("sxtab16 %0, %1, %2, ror #8" : "=r"(r) : "r"(a), "r"(x));
    return r;
}

static inline int32_t tfm_smlad(uint32_t x, uint32_t y, int32_t acc) {
    int32_t r;
    __asm("smlad %0, %1, %2, %3" : "=r"(r) : "r"(x), "r"(y), "r"(acc));
    return r;
}

/* acc + low half of x times low half of y */
static inline int32_t tfm_smlabb(uint32_t x, uint32_t y, int32_t acc) {
    int32_t r;
    __asm("smlabb %0, %1, %2, %3" : "=r"(r) : "r"(x), "r"(y), "r"(acc));
    return r;
}

/* acc + high half of x times low half of y */
static inline int32_t tfm_smlatb(uint32_t x, uint32_t y, int32_t acc) {
    int32_t r;
    __asm("smlatb %0, %1, %2, %3" : "=r"(r) : "r"(x), "r"(y), "r"(acc));
    return r;
}

/* acc + high half of x times high half of y */
static inline int32_t tfm_smlatt(uint32_t x, uint32_t y, int32_t acc) {
    int32_t r;
    __asm("smlatt %0, %1, %2, %3" : "=r"(r) : "r"(x), "r"(y), "r"(acc));
    return r;
}

/* x - y per byte, modulo 256 */
static inline uint32_t tfm_usub8(uint32_t x, uint32_t y) {
    uint32_t r;
    __asm("usub8 %0, %1, %2" : "=r"(r) : "r"(x), "r"(y) : "cc");
    return r;
}

/* low half of x, low half of y above it */
static inline uint32_t tfm_pkhbt(uint32_t x, uint32_t y) {
    uint32_t r;
    __asm("pkhbt %0, %1, %2, lsl #16" : "=r"(r) : "r"(x), "r"(y));
    return r;
}

/* high half of x below, high half of y above */
static inline uint32_t tfm_pkhtb(uint32_t x, uint32_t y) {
    uint32_t r;
    __asm("pkhtb %0, %1, %2, asr #16" : "=r"(r) : "r"(y), "r"(x));
    return r;
}

/* requant without the left shift: one SMMLAR and one SSAT */
static inline int32_t tfm_requant0(int32_t acc, int32_t mult, int32_t zp) {
    int32_t r;
    __asm("smmlar %0, %1, %2, %3" : "=r"(r) : "r"(acc), "r"(mult), "r"(zp));
    __asm("ssat %0, #8, %1" : "=r"(r) : "r"(r));
    return r;
}

static inline int32_t tfm_ssat8(int32_t x) {
    int32_t r;
    __asm("ssat %0, #8, %1" : "=r"(r) : "r"(x));
    return r;
}

#else

static inline uint32_t tfm_pack16(int32_t low, int32_t high) {
    return ((uint32_t)low & 0xFFFFu) | (uint32_t)high << 16;
}

static inline int32_t tfm_low16(uint32_t x) { return (int16_t)(x & 0xFFFFu); }

static inline int32_t tfm_high16(uint32_t x) { return (int16_t)(x >> 16); }

static inline uint32_t tfm_sxtb16(uint32_t x) {
    return tfm_pack16((int8_t)(x & 0xFFu), (int8_t)(x >> 16 & 0xFFu));
}

static inline uint32_t tfm_sxtb16_ror8(uint32_t x) { return tfm_sxtb16(x >> 8); }

static inline uint32_t tfm_sxtab16(uint32_t a, uint32_t x) {
    const uint32_t b = tfm_sxtb16(x);
    return tfm_pack16(tfm_low16(a) + tfm_low16(b), tfm_high16(a) + tfm_high16(b));
}

static inline uint32_t tfm_sxtab16_ror8(uint32_t a, uint32_t x) { return tfm_sxtab16(a, x >> 8); }

static inline int32_t tfm_smlad(uint32_t x, uint32_t y, int32_t acc) {
    return acc + tfm_low16(x) * tfm_low16(y) + tfm_high16(x) * tfm_high16(y);
}

static inline int32_t tfm_smlabb(uint32_t x, uint32_t y, int32_t acc) {
    return acc + tfm_low16(x) * tfm_low16(y);
}

static inline int32_t tfm_smlatb(uint32_t x, uint32_t y, int32_t acc) {
    return acc + tfm_high16(x) * tfm_low16(y);
}

static inline int32_t tfm_smlatt(uint32_t x, uint32_t y, int32_t acc) {
    return acc + tfm_high16(x) * tfm_high16(y);
}

static inline uint32_t tfm_usub8(uint32_t x, uint32_t y) {
    uint32_t r = 0;
    for (int i = 0; i < 32; i += 8) r |= (((x >> i) - (y >> i)) & 0xFFu) << i;
    return r;
}

static inline uint32_t tfm_pkhbt(uint32_t x, uint32_t y) { return (x & 0xFFFFu) | y << 16; }

static inline uint32_t tfm_pkhtb(uint32_t x, uint32_t y) { return x >> 16 | (y & 0xFFFF0000u); }

static inline int32_t tfm_requant0(int32_t acc, int32_t mult, int32_t zp) {
    return tfm_requant(acc, mult, 0, zp);
}

static inline int32_t tfm_ssat8(int32_t x) { return tfm_sat8(x); }

#endif
#endif
