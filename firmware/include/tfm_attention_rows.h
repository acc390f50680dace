/* The products of attention for two rows at a time, shared by the attention and matmul kernels. Not
 * part of the public contract.
 *
 * Two rows (of q, or of probabilities) are words of two halves, row by row in turn: word 2s belongs to
 * the first row and step s, word 2s + 1 to the second; TFM_ROWS_END follows, and TFM_ROWS_MORE words
 * that the loop uses. Four columns (keys, or
 * channels of v) are words [step][column]. A step is one SMLAD for each row and column. Bytes 4j to
 * 4j+3 make two steps: 4j with 4j+2, then 4j+1 with 4j+3. What is missing is zero. */
#ifndef TFM_ATTENTION_ROWS_H
#define TFM_ATTENTION_ROWS_H

#include "tfm_dsp.h"

/* No two halves of q or of probabilities: they are -128 to 255. */
#define TFM_ROWS_END 0x80808080u
#define TFM_ROWS_MORE 6

/* Four bytes at p, or the n < 4 that are left and zeros. */
static inline uint32_t tfm_load_most4(const void *p, int32_t n) {
    return n >= 4 ? tfm_load4(p) : tfm_load_tail(p, n);
}

/* Two rows of q as words; the second may be the first again. */
static inline void tfm_q_words(uint32_t *word, const int8_t *q0, const int8_t *q1, int32_t width) {
    for (; width > 0; width -= 4, q0 += 4, q1 += 4, word += 4) {
        const uint32_t x = tfm_load_most4(q0, width), y = tfm_load_most4(q1, width);
        word[0] = tfm_sxtb16(x), word[1] = tfm_sxtb16(y);
        word[2] = tfm_sxtb16_ror8(x), word[3] = tfm_sxtb16_ror8(y);
    }
    *word = TFM_ROWS_END;
}

/* One head of k as columns: [four keys][step][key]. Keys past the last are the last again. */
static inline uint32_t *tfm_k_words(uint32_t *word, const int8_t *k, int32_t dim, int32_t width, int32_t tokens) {
    for (int32_t j = 0; j < tokens; j += 4) {
        for (int32_t i = 0; i < 4; i++, word++) {
            const int8_t *x = k + (j + i < tokens ? j + i : tokens - 1) * dim;
            uint32_t *to = word;
            for (int32_t n = width; n > 0; n -= 4, x += 4, to += 8) {
                const uint32_t w = tfm_load_most4(x, n);
                to[0] = tfm_sxtb16(w), to[4] = tfm_sxtb16_ror8(w);
            }
        }
        word += 2 * tfm_round4(width) - 4;
    }
    return word;
}

/* One head of v as columns: [four channels][step][channel], steps over the tokens. */
static inline uint32_t *tfm_v_words(uint32_t *word, const int8_t *v, int32_t dim, int32_t width, int32_t tokens) {
    for (; width > 0; width -= 4, v += 4) {
        const int8_t *x = v;
        for (int32_t left = tokens; left > 0; left -= 4, x += 4 * dim, word += 8) {
            const uint32_t a = tfm_load_most4(x, width), b = left > 1 ? tfm_load_most4(x + dim, width) : 0;
            const uint32_t c = left > 2 ? tfm_load_most4(x + 2 * dim, width) : 0, d = left > 3 ? tfm_load_most4(x + 3 * dim, width) : 0;
            const uint32_t a0 = tfm_sxtb16(a), a1 = tfm_sxtb16_ror8(a), b0 = tfm_sxtb16(b), b1 = tfm_sxtb16_ror8(b);
            const uint32_t c0 = tfm_sxtb16(c), c1 = tfm_sxtb16_ror8(c), d0 = tfm_sxtb16(d), d1 = tfm_sxtb16_ror8(d);
            word[0] = tfm_pkhbt(a0, c0), word[1] = tfm_pkhbt(a1, c1), word[2] = tfm_pkhtb(a0, c0), word[3] = tfm_pkhtb(a1, c1);
            word[4] = tfm_pkhbt(b0, d0), word[5] = tfm_pkhbt(b1, d1), word[6] = tfm_pkhtb(b0, d0), word[7] = tfm_pkhtb(b1, d1);
        }
    }
    return word;
}

/* Two rows of results and how sums become bytes: requant(acc << shift). */
typedef struct { int32_t mult, zp; int8_t *row[2]; int32_t shift; } tfm_rows_out;

/* Four columns for two rows, in C: the definition, and the way for a left shift, which no scale of
 * attention should need. */
TFM_OUTLINE static void tfm_rows_four(const tfm_rows_out *to, const uint32_t *rows, const uint32_t *columns) {
    for (int32_t r = 0; r < 2; r++) {
        int32_t acc[4] = {0, 0, 0, 0};
        for (const uint32_t *x = rows, *y = columns; *x != TFM_ROWS_END; x += 2, y += 4)
            for (int32_t i = 0; i < 4; i++) acc[i] = tfm_smlad(x[r], y[i], acc[i]);
        for (int32_t i = 0; i < 4; i++) to->row[r][i] = (int8_t)tfm_requant0(tfm_shl(acc[i], to->shift), to->mult, to->zp);
    }
}

#if TFM_HAS_DSP
/* All columns, without shift. Fourteen registers are just enough for the loop, so what else it needs
 * stands in the words after the rows' end: mult, zp, both rows of results, the rows, the columns' end.
 * There are at least two steps, and an even number of them. */
TFM_OUTLINE static void tfm_rows_fours(const uint32_t *rows, const uint32_t *columns) {
    uint32_t q, r, k, l, s0, s1, s2, s3, s4, s5, s6, s7;
    __asm volatile(
        "0: ldr %[k], [%[b]]\n"        /* k and l: columns in turn, each loaded one column early */
        "ldr %[q], [%[a]]\n"        /* q and r: this step's words of both rows */
        "ldr %[r], [%[a], #4]\n"
        "smuad %[s0], %[q], %[k]\n" /* the first step starts the sums */
        "ldr %[l], [%[b], #4]\n"
        "smuad %[s4], %[r], %[k]\n"
        "ldr %[k], [%[b], #8]\n"
        "smuad %[s1], %[q], %[l]\n"
        "smuad %[s5], %[r], %[l]\n"
        "ldr %[l], [%[b], #12]\n"
        "smuad %[s2], %[q], %[k]\n"
        "smuad %[s6], %[r], %[k]\n"
        "ldr %[k], [%[b], #16]\n"
        "smuad %[s3], %[q], %[l]\n"
        "ldr %[q], [%[a], #8]\n"
        "smuad %[s7], %[r], %[l]\n"
        "b 2f\n"
/* [step] */
        "1: ldr %[r], [%[a], #4]\n"
        "smlad %[s0], %[q], %[k], %[s0]\n"
        "ldr %[l], [%[b], #4]\n"
        "smlad %[s4], %[r], %[k], %[s4]\n"
        "ldr %[k], [%[b], #8]\n"
        "smlad %[s1], %[q], %[l], %[s1]\n"
        "smlad %[s5], %[r], %[l], %[s5]\n"
        "ldr %[l], [%[b], #12]\n"
        "smlad %[s2], %[q], %[k], %[s2]\n"
        "smlad %[s6], %[r], %[k], %[s6]\n"
        "ldr %[k], [%[b], #16]\n"
        "smlad %[s3], %[q], %[l], %[s3]\n"
        "ldr %[q], [%[a], #8]\n"
        "smlad %[s7], %[r], %[l], %[s7]\n"
/* [/step] */
        "2: ldr %[r], [%[a], #12]\n"
        "smlad %[s0], %[q], %[k], %[s0]\n"
        "ldr %[l], [%[b], #20]\n"
        "smlad %[s4], %[r], %[k], %[s4]\n"
        "ldr %[k], [%[b], #24]\n"
        "smlad %[s1], %[q], %[l], %[s1]\n"
        "add %[a], #16\n"
        "smlad %[s5], %[r], %[l], %[s5]\n"
        "ldr %[l], [%[b], #28]\n"
        "smlad %[s2], %[q], %[k], %[s2]\n"
        "add %[b], #32\n"
        "smlad %[s3], %[q], %[l], %[s3]\n"
        "ldr %[q], [%[a]]\n"
        "smlad %[s6], %[r], %[k], %[s6]\n"
        "cmp %[q], %[last]\n"
        "smlad %[s7], %[r], %[l], %[s7]\n"
        "ldr %[k], [%[b]]\n"
        "bne 1b\n"
        "ldrd %[q], %[r], [%[a], #4]\n"
        "ldrd %[k], %[l], [%[a], #12]\n"
        "smmlar %[s0], %[s0], %[q], %[r]\n"
        "smmlar %[s1], %[s1], %[q], %[r]\n"
        "ssat %[s0], #8, %[s0]\n"
        "smmlar %[s2], %[s2], %[q], %[r]\n"
        "ssat %[s1], #8, %[s1]\n"
        "smmlar %[s3], %[s3], %[q], %[r]\n"
        "ssat %[s2], #8, %[s2]\n"
        "strb %[s0], [%[k]]\n"
        "ssat %[s3], #8, %[s3]\n"
        "strb %[s1], [%[k], #1]\n"
        "smmlar %[s4], %[s4], %[q], %[r]\n"
        "strb %[s2], [%[k], #2]\n"
        "smmlar %[s5], %[s5], %[q], %[r]\n"
        "strb %[s3], [%[k], #3]\n"
        "ssat %[s4], #8, %[s4]\n"
        "smmlar %[s6], %[s6], %[q], %[r]\n"
        "strb %[s4], [%[l]]\n"
        "ssat %[s5], #8, %[s5]\n"
        "add %[k], #4\n"
        "smmlar %[s7], %[s7], %[q], %[r]\n"
        "strb %[s5], [%[l], #1]\n"
        "ssat %[s6], #8, %[s6]\n"
        "ldr %[r], [%[a], #24]\n"
        "strb %[s6], [%[l], #2]\n"
        "ssat %[s7], #8, %[s7]\n"
        "add %[s0], %[l], #4\n"
        "strd %[k], %[s0], [%[a], #12]\n"
        "ldr %[a], [%[a], #20]\n"
        "cmp %[b], %[r]\n"
        "strb %[s7], [%[l], #3]\n"
        "bne 0b"
        : [a] "+r"(rows), [b] "+r"(columns), [q] "=&r"(q), [r] "=&r"(r), [k] "=&r"(k), [l] "=&r"(l), [s0] "=&r"(s0),
          [s1] "=&r"(s1), [s2] "=&r"(s2), [s3] "=&r"(s3), [s4] "=&r"(s4), [s5] "=&r"(s5), [s6] "=&r"(s6), [s7] "=&r"(s7)
        : [last] "i"(TFM_ROWS_END) : "cc", "memory");
}
#endif

/* n columns of two rows of results, n a multiple of four. */
static inline void tfm_rows_some(tfm_rows_out to, uint32_t *rows, const uint32_t *columns, int32_t n, int32_t steps) {
#if TFM_HAS_DSP
    if (to.shift == 0) {
        uint32_t *const more = rows + 2 * steps + 1;
        more[0] = (uint32_t)to.mult, more[1] = (uint32_t)to.zp;
        more[2] = (uint32_t)to.row[0], more[3] = (uint32_t)to.row[1];
        more[4] = (uint32_t)rows, more[5] = (uint32_t)(columns + n * steps);
        tfm_rows_fours(rows, columns);
        return;
    }
#endif
    for (int32_t i = 0; i < n; i += 4, to.row[0] += 4, to.row[1] += 4) tfm_rows_four(&to, rows, columns + i * steps);
}

/* n columns of two rows of results; the second row may be the first again. */
static inline void tfm_rows_product(tfm_rows_out to, uint32_t *rows, const uint32_t *columns, int32_t n, int32_t steps) {
    const int32_t body = n & ~3;
    if (body) tfm_rows_some(to, rows, columns, body, steps);
    if (n & 3) {
        int8_t last[2][4];
        const tfm_rows_out there = {to.mult, to.zp, {last[0], last[1]}, to.shift};
        tfm_rows_some(there, rows, columns + body * steps, 4, steps);
        for (int32_t i = 0; i < (n & 3); i++) to.row[0][body + i] = last[0][i], to.row[1][body + i] = last[1][i];
    }
}

#endif
