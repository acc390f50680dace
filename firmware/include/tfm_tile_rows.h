/* The inner loops over a tile: eight accumulators in registers, one weight block at a time.
 * Included by the two row kernels only. */
#ifndef TFM_TILE_ROWS_H
#define TFM_TILE_ROWS_H

#include "tfm_tile.h"

/* Out of line, an array parameter would force the accumulators into memory. */
#if defined(__GNUC__)
#define TFM_INLINE static inline __attribute__((always_inline))
#else
#define TFM_INLINE static inline
#endif

/* What a row needs besides its weights. Kept in locals by the row loops: the stores of int8 results
 * could alias anything, so the compiler would read the structures again for every row. */
typedef struct {
    int8_t *out;          /* pixel p of the current channel at out[p * stride] */
    const int32_t *bias, *mult, *end;
    int32_t stride, n, shift, zp, bias_step;
} tfm_rows;

TFM_INLINE tfm_rows tfm_rows_begin(const tfm_tile_out *to, int32_t cout, const tfm_quant *quant) {
    static const int32_t zero = 0;
    const tfm_rows r = {to->out, quant->bias ? quant->bias : &zero, quant->mult, quant->mult + cout,
                        to->stride, to->n, quant->shift, quant->zp_out, quant->bias ? 1 : 0};
    return r;
}

#define TFM_FILL8(x) {x, x, x, x, x, x, x, x}

/* Requantise the eight accumulators of one channel, store those of pixels that exist, go to the next.
 * Constant subscripts only: with a variable one the accumulators would have to live in memory. */
TFM_INLINE void tfm_rows_store(tfm_rows *r, int32_t acc[8]) {
    const int32_t m = *r->mult++, z = r->zp, s = r->stride;
    if (r->shift) {
        acc[0] = tfm_shl(acc[0], r->shift), acc[1] = tfm_shl(acc[1], r->shift);
        acc[2] = tfm_shl(acc[2], r->shift), acc[3] = tfm_shl(acc[3], r->shift);
        acc[4] = tfm_shl(acc[4], r->shift), acc[5] = tfm_shl(acc[5], r->shift);
        acc[6] = tfm_shl(acc[6], r->shift), acc[7] = tfm_shl(acc[7], r->shift);
    }
    int8_t *o = r->out++, *o3 = o + 3 * s; /* all offsets are one register shifted by 0, 1 or 2 */
    if (r->n == TFM_TILE) {
        o[0] = (int8_t)tfm_requant0(acc[0], m, z);
        o[s] = (int8_t)tfm_requant0(acc[1], m, z);
        o[2 * s] = (int8_t)tfm_requant0(acc[2], m, z);
        o3[0] = (int8_t)tfm_requant0(acc[3], m, z);
        o[4 * s] = (int8_t)tfm_requant0(acc[4], m, z);
        o3[2 * s] = (int8_t)tfm_requant0(acc[5], m, z);
        o3[3 * s] = (int8_t)tfm_requant0(acc[6], m, z);
        o3[4 * s] = (int8_t)tfm_requant0(acc[7], m, z);
    } else {
        const int32_t part[8] = {acc[0], acc[1], acc[2], acc[3], acc[4], acc[5], acc[6], acc[7]};
        for (int32_t p = 0; p < r->n; p++, o += s) *o = (int8_t)tfm_requant0(part[p], m, z);
    }
}

#if TFM_HAS_DSP

#define TFM_ACC8(a) "+r"((a)[0]), "+r"((a)[1]), "+r"((a)[2]), "+r"((a)[3]), \
                    "+r"((a)[4]), "+r"((a)[5]), "+r"((a)[6]), "+r"((a)[7])

/* Eight loads and SMLADs with weight pair W. FIRST is the load of pixel 0; it moves the cursor past
 * the block when it is the block's first, so the others look back from there: OFF is below zero. */
#define TFM_LINE(FIRST, OFF, W)                                        \
    "ldr %[x], " FIRST "\n                smlad %0, %[x], " W ", %0\n" \
    "ldr %[x], [%[t], #" OFF "+4*1]\n     smlad %1, %[x], " W ", %1\n" \
    "ldr %[x], [%[t], #" OFF "+4*2]\n     smlad %2, %[x], " W ", %2\n" \
    "ldr %[x], [%[t], #" OFF "+4*3]\n     smlad %3, %[x], " W ", %3\n" \
    "ldr %[x], [%[t], #" OFF "+4*4]\n     smlad %4, %[x], " W ", %4\n" \
    "ldr %[x], [%[t], #" OFF "+4*5]\n     smlad %5, %[x], " W ", %5\n" \
    "ldr %[x], [%[t], #" OFF "+4*6]\n     smlad %6, %[x], " W ", %6\n" \
    "ldr %[x], [%[t], #" OFF "+4*7]\n     smlad %7, %[x], " W ", %7\n"

/* One word holds two pixels of one channel; the weight is the low half of W. */
#define TFM_HALVES(FIRST, A, B, W)                                     \
    "ldr %[x], " FIRST "\n"                                            \
    "smlabb %" A ", %[x], " W ", %" A "\n"                             \
    "smlatb %" B ", %[x], " W ", %" B "\n"

/* A block is followed by the header of the next item. A header that begins a row is negative: the
 * sum then wraps around and sets the carry (the tile lies above the first 8 KB of the memory). */
#define TFM_WALK(BODY, SHIFT)                                          \
    "ldrsb %[w], [%[s]], #1\n"                                         \
    "add %[t], %[t], %[w], lsl #" SHIFT "\n"                           \
    "1:\n" BODY                                                        \
    "ldrsb %[w], [%[s]], #1\n"                                         \
    "adds %[t], %[t], %[w], lsl #" SHIFT "\n"                          \
    "bcc 1b\n"

#define TFM_WALK_OPERANDS                                              \
    : TFM_ACC8(acc), [s] "+r"(s), [t] "+r"(t), [w] "=&r"(w), [v] "=&r"(v), [x] "=&r"(x) : : "cc", "memory"

/* [asm4] */
/* One row of 1x4 blocks. */
TFM_INLINE void tfm_walk4(tfm_rle_walk *walk, const uint32_t *t, int32_t acc[8]) {
    const uint8_t *s = walk->at;
    uint32_t w, v, x;
    t += TFM_RLE_FIRST * 16;
    __asm volatile(
        TFM_WALK(
            "ldr %[w], [%[s]], #4\n"
            "sxtb16 %[v], %[w]\n"
            TFM_LINE("[%[t]], #64", "-64", "%[v]")
            "sxtb16 %[w], %[w], ror #8\n"
            TFM_LINE("[%[t], #-32]", "-32", "%[w]"), "6")
        TFM_WALK_OPERANDS);
    walk->at = s - 1;
}
/* [/asm4] */

TFM_INLINE void tfm_walk2(tfm_rle_walk *walk, const uint32_t *t, int32_t acc[8]) {
    const uint8_t *s = walk->at;
    uint32_t w, v, x;
    t += TFM_RLE_FIRST * 8;
    __asm volatile(
        TFM_WALK(
            "ldrsb %[w], [%[s]], #1\n"
            "ldrsb %[v], [%[s]], #1\n"
            "pkhbt %[w], %[w], %[v], lsl #16\n"
            TFM_LINE("[%[t]], #32", "-32", "%[w]"), "5")
        TFM_WALK_OPERANDS);
    walk->at = s - 1;
}

TFM_INLINE void tfm_walk1(tfm_rle_walk *walk, const uint32_t *t, int32_t acc[8]) {
    const uint8_t *s = walk->at;
    uint32_t w, v, x;
    t += TFM_RLE_FIRST * 4;
    __asm volatile(
        TFM_WALK(
            "ldrsb %[v], [%[s]], #1\n"
            TFM_HALVES("[%[t]], #16", "0", "1", "%[v]")
            TFM_HALVES("[%[t], #-12]", "2", "3", "%[v]")
            TFM_HALVES("[%[t], #-8]", "4", "5", "%[v]")
            TFM_HALVES("[%[t], #-4]", "6", "7", "%[v]"), "4")
        TFM_WALK_OPERANDS);
    walk->at = s - 1;
}

/* Dense weights w..end-1, a multiple of four: 38 instructions for 32 products. */
TFM_INLINE void tfm_dense4(const int8_t *w_n, const int8_t *end, const uint32_t *t, int32_t acc[8]) {
    uint32_t w, v, x;
    __asm volatile(
        "1: ldr %[w], [%[s]], #4\n"
        "sxtb16 %[v], %[w]\n"
        TFM_LINE("[%[t]], #64", "-64", "%[v]")
        "sxtb16 %[w], %[w], ror #8\n"
        TFM_LINE("[%[t], #-32]", "-32", "%[w]")
        "ldr %[x], %[end]\n"
        "cmp %[s], %[x]\n"
        "bne 1b\n"
        : TFM_ACC8(acc), [s] "+r"(w_n), [t] "+r"(t), [w] "=&r"(w), [v] "=&r"(v), [x] "=&r"(x)
        : [end] "m"(end) : "cc", "memory");
}

#else

/* Eight SMLADs of one weight pair with the eight words at t. */
TFM_INLINE void tfm_line(const uint32_t *t, uint32_t w, int32_t acc[8]) {
    for (int p = 0; p < 8; p++) acc[p] = tfm_smlad(t[p], w, acc[p]);
}

/* [walk4] */
TFM_INLINE void tfm_walk4(tfm_rle_walk *walk, const uint32_t *t, int32_t acc[8]) {
    do {
        const uint32_t *line = t + 16 * tfm_rle_next(walk), w = tfm_load4(walk->at);
        tfm_line(line, tfm_sxtb16(w), acc);
        tfm_line(line + 8, tfm_sxtb16_ror8(w), acc);
        walk->at += 4;
    } while (tfm_rle_more(walk));
}
/* [/walk4] */

TFM_INLINE void tfm_walk2(tfm_rle_walk *walk, const uint32_t *t, int32_t acc[8]) {
    do {
        const uint32_t *line = t + 8 * tfm_rle_next(walk);
        tfm_line(line, tfm_pkhbt((uint32_t)(int8_t)walk->at[0], (uint32_t)(int8_t)walk->at[1]), acc);
        walk->at += 2;
    } while (tfm_rle_more(walk));
}

TFM_INLINE void tfm_walk1(tfm_rle_walk *walk, const uint32_t *t, int32_t acc[8]) {
    do {
        const uint32_t *line = t + 4 * tfm_rle_next(walk), w = (uint32_t)(int8_t)*walk->at++;
        for (int p = 0; p < 8; p += 2) {
            acc[p] = tfm_smlabb(line[p / 2], w, acc[p]);
            acc[p + 1] = tfm_smlatb(line[p / 2], w, acc[p + 1]);
        }
    } while (tfm_rle_more(walk));
}

TFM_INLINE void tfm_dense4(const int8_t *w_n, const int8_t *end, const uint32_t *t, int32_t acc[8]) {
    for (; w_n < end; w_n += 4, t += 16) {
        const uint32_t w = tfm_load4(w_n);
        tfm_line(t, tfm_sxtb16(w), acc);
        tfm_line(t + 8, tfm_sxtb16_ror8(w), acc);
    }
}

#endif
#endif
