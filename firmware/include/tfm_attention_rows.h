/* The products of attention for two rows at a time, shared by the attention and matmul kernels. Not
 * part of the public contract.
 *
 * Two rows (of q, or of probabilities) are words of two halves, row by row in turn: word 2s belongs to
 * the first row and step s, word 2s + 1 to the second; TFM_ROWS_END follows. Four columns (keys, or
 * channels of v) are words [step][column]. A step is one SMLAD for each row and column. Bytes 4j to
 * 4j+3 make two steps: 4j with 4j+2, then 4j+1 with 4j+3. What is missing is zero. */
#ifndef TFM_ATTENTION_ROWS_H
#define TFM_ATTENTION_ROWS_H

#include "tfm_dsp.h"

/* No two halves of q or of probabilities: they are -128 to 255. */
#define TFM_ROWS_END 0x80808080u

/* acc[4 * row + column] of two rows and four columns, at least two steps, an even number of them.
 * Gives the word after the columns, which is read. */
static inline const uint32_t *tfm_dot2x4(const uint32_t *rows, const uint32_t *columns, int32_t acc[8]) {
#if TFM_HAS_DSP
    uint32_t q, r, k, l;
    /* [dot] */
    __asm volatile(
        "ldr %[q], [%[a]]\n"        /* q and r: this step's words of both rows */
        "ldr %[k], [%[b]]\n"        /* k and l: columns in turn, each loaded one column early */
        "ldr %[r], [%[a], #4]\n"    /* the first two steps start the sums */
        "smuad %[s0], %[q], %[k]\n"
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
        "ldr %[k], [%[b]]\n"
        "smlad %[s7], %[r], %[l], %[s7]\n"
        "cmp %[q], %[stop]\n"
        "bne 1b"
        : [a] "+r"(rows), [b] "+r"(columns), [q] "=&r"(q), [r] "=&r"(r), [k] "=&r"(k), [l] "=&r"(l),
          [s0] "=&r"(acc[0]), [s1] "=&r"(acc[1]), [s2] "=&r"(acc[2]), [s3] "=&r"(acc[3]), [s4] "=&r"(acc[4]),
          [s5] "=&r"(acc[5]), [s6] "=&r"(acc[6]), [s7] "=&r"(acc[7])
        : [stop] "i"(TFM_ROWS_END) : "cc", "memory");
    /* [/dot] */
#else
    for (int i = 0; i < 8; i++) acc[i] = 0;
    for (; *rows != TFM_ROWS_END; rows += 2, columns += 4)
        for (int i = 0; i < 8; i++) acc[i] = tfm_smlad(rows[i >> 2], columns[i & 3], acc[i]);
#endif
    return columns;
}

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

/* How sums become bytes: requant(acc << shift). */
typedef struct { int32_t shift, mult, zp; } tfm_rows_quant;

/* to[0..n-1] from four sums, n >= 1; what is beyond four is not looked at */
static inline void tfm_rows_store(int8_t *to, const int32_t acc[4], int32_t n, int32_t mult, int32_t zp) {
    const int32_t a = tfm_requant0(acc[0], mult, zp), b = tfm_requant0(acc[1], mult, zp);
    const int32_t c = tfm_requant0(acc[2], mult, zp), d = tfm_requant0(acc[3], mult, zp);
    to[0] = (int8_t)a;
    if (n >= 4) {
        to[1] = (int8_t)b, to[2] = (int8_t)c, to[3] = (int8_t)d;
        return;
    }
    if (n > 1) to[1] = (int8_t)b;
    if (n > 2) to[2] = (int8_t)c;
}

/* n columns of two rows of results; the second row may be the first again. */
TFM_OUTLINE static void tfm_rows_product(int8_t *row0, int8_t *row1, const uint32_t *rows, const uint32_t *columns,
                                         int32_t n, const tfm_rows_quant *quant) {
    for (; n > 0; n -= 4, row0 += 4, row1 += 4) {
        int32_t acc[8];
        columns = tfm_dot2x4(rows, columns, acc);
        const int32_t shift = quant->shift, mult = quant->mult, zp = quant->zp;
        if (shift) {
            acc[0] = tfm_shl(acc[0], shift), acc[1] = tfm_shl(acc[1], shift), acc[2] = tfm_shl(acc[2], shift);
            acc[3] = tfm_shl(acc[3], shift), acc[4] = tfm_shl(acc[4], shift), acc[5] = tfm_shl(acc[5], shift);
            acc[6] = tfm_shl(acc[6], shift), acc[7] = tfm_shl(acc[7], shift);
        }
        tfm_rows_store(row0, acc, n, mult, zp);
        tfm_rows_store(row1, acc + 4, n, mult, zp);
    }
}

#endif
