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
#define TFM_ROWS_END_TEXT "0x80808080" /* for the assembler */

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
/* What the loop needs besides the fourteen registers that it takes: on the stack, where damaged scratch does not reach
 * it, as the last argument. The order of the fields matters. */
typedef struct { int32_t mult, zp; int8_t *row[2]; const uint32_t *rows, *end; } tfm_rows_frame;

/* All columns, without shift. There are at least two steps, and an even number of them.
 * r0: rows, r1: columns; r2, r3: this step's words of both rows; r4, r5: columns in turn;
 * r6 to r9: sums of the first row, r10 to lr: of the second. */
TFM_NAKED static void tfm_rows_fours(TFM_UNUSED const uint32_t *rows, TFM_UNUSED const uint32_t *columns,
                                     TFM_UNUSED int32_t r2, TFM_UNUSED int32_t r3, TFM_UNUSED tfm_rows_frame frame) {
    __asm volatile(
        "push {r4-r11, lr}\n"
        "0: ldr r4, [r1]\n"        /* each column is loaded one column early */
        "ldr r2, [r0]\n"
        "ldr r3, [r0, #4]\n"
        "smuad r6, r2, r4\n" /* the first step starts the sums */
        "ldr r5, [r1, #4]\n"
        "smuad r10, r3, r4\n"
        "ldr r4, [r1, #8]\n"
        "smuad r7, r2, r5\n"
        "smuad r11, r3, r5\n"
        "ldr r5, [r1, #12]\n"
        "smuad r8, r2, r4\n"
        "smuad r12, r3, r4\n"
        "ldr r4, [r1, #16]\n"
        "smuad r9, r2, r5\n"
        "ldr r2, [r0, #8]\n"
        "smuad lr, r3, r5\n"
        "b 2f\n"
/* [step] */
        "1: ldr r3, [r0, #4]\n"
        "smlad r6, r2, r4, r6\n"
        "ldr r5, [r1, #4]\n"
        "smlad r10, r3, r4, r10\n"
        "ldr r4, [r1, #8]\n"
        "smlad r7, r2, r5, r7\n"
        "smlad r11, r3, r5, r11\n"
        "ldr r5, [r1, #12]\n"
        "smlad r8, r2, r4, r8\n"
        "smlad r12, r3, r4, r12\n"
        "ldr r4, [r1, #16]\n"
        "smlad r9, r2, r5, r9\n"
        "ldr r2, [r0, #8]\n"
        "smlad lr, r3, r5, lr\n"
/* [/step] */
        "2: ldr r3, [r0, #12]\n"
        "smlad r6, r2, r4, r6\n"
        "ldr r5, [r1, #20]\n"
        "smlad r10, r3, r4, r10\n"
        "ldr r4, [r1, #24]\n"
        "smlad r7, r2, r5, r7\n"
        "add r0, #16\n"
        "smlad r11, r3, r5, r11\n"
        "ldr r5, [r1, #28]\n"
        "smlad r8, r2, r4, r8\n"
        "add r1, #32\n"
        "smlad r9, r2, r5, r9\n"
        "ldr r2, [r0]\n"
        "smlad r12, r3, r4, r12\n"
        "cmp r2, #" TFM_ROWS_END_TEXT "\n"
        "smlad lr, r3, r5, lr\n"
        "ldr r4, [r1]\n"
        "bne 1b\n"
        "ldrd r2, r3, [sp, #36]\n" /* the frame lies behind nine registers */
        "ldrd r4, r5, [sp, #44]\n"
        "smmlar r6, r6, r2, r3\n"
        "smmlar r7, r7, r2, r3\n"
        "ssat r6, #8, r6\n"
        "smmlar r8, r8, r2, r3\n"
        "ssat r7, #8, r7\n"
        "smmlar r9, r9, r2, r3\n"
        "ssat r8, #8, r8\n"
        "strb r6, [r4]\n"
        "ssat r9, #8, r9\n"
        "strb r7, [r4, #1]\n"
        "smmlar r10, r10, r2, r3\n"
        "strb r8, [r4, #2]\n"
        "smmlar r11, r11, r2, r3\n"
        "strb r9, [r4, #3]\n"
        "ssat r10, #8, r10\n"
        "smmlar r12, r12, r2, r3\n"
        "strb r10, [r5]\n"
        "ssat r11, #8, r11\n"
        "add r4, #4\n"
        "smmlar lr, lr, r2, r3\n"
        "strb r11, [r5, #1]\n"
        "ssat r12, #8, r12\n"
        "ldr r3, [sp, #56]\n"
        "strb r12, [r5, #2]\n"
        "ssat lr, #8, lr\n"
        "add r6, r5, #4\n"
        "strd r4, r6, [sp, #44]\n"
        "ldr r0, [sp, #52]\n"
        "cmp r1, r3\n"
        "strb lr, [r5, #3]\n"
        "blo 0b\n" /* past the end, too, where a damaged row had no end */
        "pop {r4-r11, pc}\n");
}
#endif

/* n columns of two rows of results, n a multiple of four. */
static inline void tfm_rows_some(tfm_rows_out to, const uint32_t *rows, const uint32_t *columns, int32_t n, int32_t steps) {
#if TFM_HAS_DSP
    if (to.shift == 0) {
        const tfm_rows_frame frame = {to.mult, to.zp, {to.row[0], to.row[1]}, rows, columns + n * steps};
        tfm_rows_fours(rows, columns, 0, 0, frame);
        return;
    }
#endif
    for (int32_t i = 0; i < n; i += 4, to.row[0] += 4, to.row[1] += 4) tfm_rows_four(&to, rows, columns + i * steps);
}

/* n columns of two rows of results; the second row may be the first again. */
static inline void tfm_rows_product(tfm_rows_out to, const uint32_t *rows, const uint32_t *columns, int32_t n, int32_t steps) {
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
