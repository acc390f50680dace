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

/* e - 32768 of every score as words; gives the sum of e. table[at + x] belongs to score x. What is
 * missing from the last four has e = 0. */
static inline uint32_t tfm_softmax_exps(uint32_t *word, const int8_t *x, int32_t n, const int16_t *table, int32_t at) {
    uint32_t sum = 0;
#if TFM_HAS_DSP
    const int32_t body = n & ~7;
    if (body) {
        const int8_t *end = x + body;
        const uint32_t ones = 0x00010001u;
        uint32_t a, b, c, d, e, f, g, h;
        __asm volatile(
            "1: ldrsb %[a], [%[x]]\n"
            "ldrsb %[b], [%[x], #2]\n"
            "ldrsb %[c], [%[x], #1]\n"
            "ldrsb %[d], [%[x], #3]\n"
            "ldrsb %[e], [%[x], #4]\n"
            "ldrsb %[f], [%[x], #6]\n"
            "ldrsh %[a], [%[t], %[a], lsl #1]\n"
            "ldrsb %[g], [%[x], #5]\n"
            "ldrsh %[b], [%[t], %[b], lsl #1]\n"
            "ldrsb %[h], [%[x], #7]\n"
            "ldrsh %[c], [%[t], %[c], lsl #1]\n"
            "ldrsh %[d], [%[t], %[d], lsl #1]\n"
            "pkhbt %[a], %[a], %[b], lsl #16\n"
            "ldrsh %[e], [%[t], %[e], lsl #1]\n"
            "ldrsh %[f], [%[t], %[f], lsl #1]\n"
            "pkhbt %[c], %[c], %[d], lsl #16\n"
            "ldrsh %[g], [%[t], %[g], lsl #1]\n"
            "smlad %[s], %[a], %[i], %[s]\n"    /* adds both halves */
            "ldrsh %[h], [%[t], %[h], lsl #1]\n"
            "str %[a], [%[w]]\n"
            "pkhbt %[e], %[e], %[f], lsl #16\n"
            "add %[x], #8\n"
            "smlad %[s], %[c], %[i], %[s]\n"
            "str %[c], [%[w], #8]\n"
            "pkhbt %[g], %[g], %[h], lsl #16\n"
            "str %[e], [%[w], #16]\n"
            "smlad %[s], %[e], %[i], %[s]\n"
            "add %[w], #32\n"
            "str %[g], [%[w], #-8]\n"
            "cmp %[x], %[end]\n"
            "smlad %[s], %[g], %[i], %[s]\n"
            "bne 1b"
            : [x] "+r"(x), [w] "+r"(word), [s] "+r"(sum), [a] "=&r"(a), [b] "=&r"(b), [c] "=&r"(c), [d] "=&r"(d),
              [e] "=&r"(e), [f] "=&r"(f), [g] "=&r"(g), [h] "=&r"(h)
            : [t] "r"((uintptr_t)table + 2u * (uint32_t)at), [i] "r"(ones), [end] "r"(end) : "cc", "memory");
        sum += (uint32_t)body << 15;
        n -= body;
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
