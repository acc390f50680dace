/* The softmax of one row for the dsp kernels. Not part of the public contract.
 *
 * A row becomes words of two halves: scores 4j and 4j+2, then 4j+1 and 4j+3. Two rows share a buffer,
 * word by word, so a row's words stand eight bytes apart. */
#ifndef TFM_SOFTMAX_WORDS_H
#define TFM_SOFTMAX_WORDS_H

#include "tfm_dsp.h"
#include "tfm_softmax.h"

/* x and y are bytes: the larger of each */
static inline uint32_t tfm_max4(uint32_t x, uint32_t y) {
    uint32_t r = 0;
    for (int i = 0; i < 32; i += 8) {
        const int8_t a = (int8_t)(x >> i & 0xFFu), b = (int8_t)(y >> i & 0xFFu);
        r |= (uint32_t)((a > b ? a : b) & 0xFF) << i;
    }
    return r;
}

/* The largest of n scores. */
static inline int32_t tfm_softmax_max(const int8_t *x, int32_t n) {
    uint32_t m = 0x80808080u, l = m;
    const int8_t *last = x + n, *end = x + (n & ~7);
#if TFM_HAS_DSP
    if (x < end) {
        uint32_t w, v, t;
        __asm volatile(
            "1: ldr %[w], [%[x]]\n"
            "ldr %[v], [%[x], #4]\n"
            "ssub8 %[t], %[w], %[m]\n"  /* notes for each byte whether the score is at least the maximum */
            "add %[x], #8\n"
            "sel %[m], %[w], %[m]\n"    /* and takes the score or the maximum */
            "ssub8 %[t], %[v], %[l]\n"
            "cmp %[x], %[end]\n"
            "sel %[l], %[v], %[l]\n"
            "bne 1b\n"
            "ssub8 %[t], %[l], %[m]\n"
            "sel %[m], %[l], %[m]"
            : [x] "+r"(x), [m] "+r"(m), [l] "+r"(l), [w] "=&r"(w), [v] "=&r"(v), [t] "=&r"(t)
            : [end] "r"(end) : "cc", "memory");
    }
#else
    for (; x < end; x += 8) m = tfm_max4(m, tfm_load4(x)), l = tfm_max4(l, tfm_load4(x + 4));
    m = tfm_max4(m, l);
#endif
    int32_t max = (int8_t)(m & 0xFFu);
    for (int i = 8; i < 32; i += 8) max = (int8_t)(m >> i & 0xFFu) > max ? (int8_t)(m >> i & 0xFFu) : max;
    for (; x < last; x++) max = *x > max ? *x : max;
    return max;
}

#if TFM_HAS_DSP
/* Eight scores at a time, up to `end`, with the table where score 0 is; gives the sum of e - 32768.
 * r4 to r11: eight scores, then their e; r12: the sum; lr: two ones. */
TFM_NAKED static uint32_t tfm_softmax_eights(
    TFM_UNUSED uint32_t *word, TFM_UNUSED const int8_t *x, TFM_UNUSED const int8_t *end, TFM_UNUSED uintptr_t table) {
    __asm volatile(
        "push {r4-r11, lr}\n"
        "mov lr, #0x00010001\n"
        "mov r12, #0\n"
        "1: ldrsb r4, [r1]\n"
        "ldrsb r5, [r1, #2]\n"
        "ldrsb r6, [r1, #1]\n"
        "ldrsb r7, [r1, #3]\n"
        "ldrsb r8, [r1, #4]\n"
        "ldrsb r9, [r1, #6]\n"
        "ldrsh r4, [r3, r4, lsl #1]\n"
        "ldrsb r10, [r1, #5]\n"
        "ldrsh r5, [r3, r5, lsl #1]\n"
        "ldrsb r11, [r1, #7]\n"
        "ldrsh r6, [r3, r6, lsl #1]\n"
        "ldrsh r7, [r3, r7, lsl #1]\n"
        "pkhbt r4, r4, r5, lsl #16\n"
        "ldrsh r8, [r3, r8, lsl #1]\n"
        "ldrsh r9, [r3, r9, lsl #1]\n"
        "pkhbt r6, r6, r7, lsl #16\n"
        "ldrsh r10, [r3, r10, lsl #1]\n"
        "smlad r12, r4, lr, r12\n"    /* adds both halves */
        "ldrsh r11, [r3, r11, lsl #1]\n"
        "str r4, [r0]\n"
        "pkhbt r8, r8, r9, lsl #16\n"
        "add r1, #8\n"
        "smlad r12, r6, lr, r12\n"
        "str r6, [r0, #8]\n"
        "pkhbt r10, r10, r11, lsl #16\n"
        "str r8, [r0, #16]\n"
        "smlad r12, r8, lr, r12\n"
        "add r0, #32\n"
        "str r10, [r0, #-8]\n"
        "cmp r1, r2\n"
        "smlad r12, r10, lr, r12\n"
        "bne 1b\n"
        "mov r0, r12\n"
        "pop {r4-r11, pc}\n");
}
#endif

/* e - 32768 of every score as words; gives the sum of e. table[at + x] belongs to score x. What is
 * missing from the last four has e = 0. */
static inline uint32_t tfm_softmax_exps(uint32_t *word, const int8_t *x, int32_t n, const int16_t *table, int32_t at) {
    uint32_t sum = 0;
#if TFM_HAS_DSP
    const int32_t body = n & ~7;
    if (body) {
        sum = tfm_softmax_eights(word, x, x + body, (uintptr_t)table + 2u * (uint32_t)at) + ((uint32_t)body << 15);
        word += body, x += body, n -= body;
    }
#endif
    for (; n > 0; n -= 4, x += 4, word += 4) {
        int32_t f[4] = {-32768, -32768, -32768, -32768};
        for (int32_t i = 0; i < 4 && i < n; i++) {
            f[i] = table[at + x[i]];
            sum += (uint32_t)(f[i] + 32768);
        }
        word[0] = tfm_pkhbt((uint32_t)f[0], (uint32_t)f[2]);
        word[2] = tfm_pkhbt((uint32_t)f[1], (uint32_t)f[3]);
    }
    return sum;
}

/* Probabilities 0..255 in place of e - 32768, pairs of words. With f = e - 32768,
 * (e * inverse + 2^23) >> 24 is the upper half of ((inverse << 8) * f >> 16) + (inverse << 7) + 2^15. */
static inline void tfm_softmax_scale(uint32_t *word, int32_t pairs, uint32_t sum) {
    const uint32_t inverse = UINT32_MAX / sum, mult = inverse << 8, half = (inverse << 7) + 0x8000u;
    uint32_t *p = word, *end = word + 4 * pairs;
#if TFM_HAS_DSP
    uint32_t a, b, c, d;
/* [scale] */
    __asm volatile(
        "ldr %[a], [%[p]]\n"
        "1: smlawb %[c], %[m], %[a], %[k]\n"
        "ldr %[b], [%[p], #8]\n"
        "smlawt %[a], %[m], %[a], %[k]\n"
        "smlawb %[d], %[m], %[b], %[k]\n"
        "pkhtb %[a], %[a], %[c], asr #16\n"
        "add %[p], #16\n"
        "smlawt %[b], %[m], %[b], %[k]\n"
        "str %[a], [%[p], #-16]\n"
        "pkhtb %[b], %[b], %[d], asr #16\n"
        "ldr %[a], [%[p]]\n"            /* the last one is not used */
        "cmp %[p], %[end]\n"
        "str %[b], [%[p], #-8]\n"
        "bne 1b"
        : [p] "+r"(p), [a] "=&r"(a), [b] "=&r"(b), [c] "=&r"(c), [d] "=&r"(d)
        : [m] "r"(mult), [k] "r"(half), [end] "r"(end) : "cc", "memory");
/* [/scale] */
#else
    for (; p < end; p += 2) {
        const int64_t low = (int64_t)mult * tfm_low16(*p) >> 16, high = (int64_t)mult * tfm_high16(*p) >> 16;
        *p = ((uint32_t)low + half) >> 16 | (((uint32_t)high + half) & 0xFFFF0000u);
    }
#endif
    /* One score with all the weight may have got 256. */
    if (inverse > (UINT32_MAX - 0x800000u) / 65535)
        for (p = word; p < end; p += 2) *p -= *p >> 8 & 0x00010001u;
}

/* One row of n scores to 2 * ceil(n / 4) words; reads one word past them. */
TFM_OUTLINE static void tfm_softmax_words(uint32_t *word, const int8_t *x, int32_t n, const int16_t *table) {
    const uint32_t sum = tfm_softmax_exps(word, x, n, table, 255 - tfm_softmax_max(x, n));
    tfm_softmax_scale(word, (n + 3) >> 2, sum);
}

#endif
