/* The rows of a stream over one tile: eight accumulators in registers, one weight block at a time.
 * Included by tfm_tile_rows_rle.c only. */
#ifndef TFM_TILE_ROWS_H
#define TFM_TILE_ROWS_H

#include "tfm_tile.h"

/* Out of line, an array parameter would force the accumulators into memory. */
#if defined(__GNUC__)
#define TFM_INLINE static inline __attribute__((always_inline))
#else
#define TFM_INLINE static inline
#endif

/* A walk through any stream. Of blocks of four, `weights` is where the next ones lie: headers come four to a word,
 * then the weights of those among them that are blocks. (Else they lie behind their header.) */
typedef struct { tfm_rle_walk head; const uint8_t *weights; } tfm_tile_walk;

/* [words] */
/* tfm_rle_row() for such words: a header of empty rows is the last one in its word. */
TFM_INLINE int tfm_words_row(tfm_tile_walk *walk) {
    const uint8_t *at = walk->head.at;
    const int some = tfm_rle_row(&walk->head);
    if (walk->head.at != at) walk->head.at = walk->weights, walk->weights += 4;
    return some;
}

/* tfm_rle_next() for them. Gives the block's four weights, too. */
TFM_INLINE int32_t tfm_words_next(tfm_tile_walk *walk, uint32_t *w) {
    const int32_t block = tfm_rle_next(&walk->head);
    *w = tfm_load4(walk->weights);
    walk->weights += 4;
    if ((uintptr_t)walk->head.at % 4 == 0) walk->head.at = walk->weights, walk->weights += 4;
    return block;
}
/* [/words] */

/* The sum of one pixel over a row; t: its column of the tile. */
TFM_INLINE int32_t tfm_sum4(tfm_tile_walk *walk, const uint32_t *t, int32_t acc) {
#if TFM_HAS_DSP && !defined(TFM_NO_ASM)
    const uint32_t *line = t + 16 * (*walk->head.at - TFM_RLE_FIRST);
    uint32_t w, x, y;
    int32_t header; /* negative where a row begins: the sum wraps around and sets the carry, as below */
    __asm volatile(
        "1: add %[at], %[at], #1\n"
        "ldr %[w], [%[weights]]\n"
        "tst %[at], #3\n"
        "add %[weights], %[weights], #4\n"
        "ldr %[x], [%[line]]\n"
        "itt eq\n"
        "moveq %[at], %[weights]\n"
        "addeq %[weights], %[weights], #4\n"
        "ldr %[y], [%[line], #32]\n"
        "sxtb16 %[t], %[w]\n"
        "ldrsb %[header], [%[at]]\n"
        "sxtb16 %[w], %[w], ror #8\n"
        "smlad %[acc], %[x], %[t], %[acc]\n"
        "add %[line], %[line], #64\n"
        "smlad %[acc], %[y], %[w], %[acc]\n"
        "adds %[line], %[line], %[header], lsl #6\n"
        "bcc 1b\n"
        : [at] "+r"(walk->head.at), [weights] "+r"(walk->weights), [line] "+r"(line), [acc] "+r"(acc),
          [header] "=&r"(header), [w] "=&r"(w), [x] "=&r"(x), [y] "=&r"(y), [t] "=&r"(t) : : "cc", "memory");
#else
    do {
        uint32_t w;
        const uint32_t *line = t + 16 * tfm_words_next(walk, &w);
        acc = tfm_smlad(line[0], tfm_sxtb16(w), acc);
        acc = tfm_smlad(line[8], tfm_sxtb16_ror8(w), acc);
    } while (tfm_rle_more(&walk->head));
#endif
    return acc;
}

TFM_INLINE int32_t tfm_sum2(tfm_rle_walk *walk, const uint32_t *t, int32_t acc) {
    do {
        const uint32_t x = t[8 * tfm_rle_next(walk)];
        acc = tfm_smlad(x, tfm_pkhbt((uint32_t)(int8_t)walk->at[0], (uint32_t)(int8_t)walk->at[1]), acc);
        walk->at += 2;
    } while (tfm_rle_more(walk));
    return acc;
}

TFM_INLINE int32_t tfm_sum1(tfm_rle_walk *walk, const int16_t *t, int32_t acc) {
    do {
        const int32_t x = t[8 * tfm_rle_next(walk)];
        acc += x * (int8_t)*walk->at++;
    } while (tfm_rle_more(walk));
    return acc;
}

/* Any layer and n pixels of a tile, pixel by pixel: for a single one, or for what the rows below do not know. */
static TFM_OUTLINE void tfm_few(const tfm_tile_layer *l, const uint32_t *tile, int8_t *out, int32_t n) {
    const int32_t block = l->weight->block, cout = l->cout;
    const tfm_quant *q = l->quant;
    tfm_tile_walk walk = {{l->weight->stream, 0, 0}, l->weight->stream + 4};
    for (int32_t row = 0; row < cout; row++, out++) {
        const int some = block == 4 ? tfm_words_row(&walk) : tfm_rle_row(&walk.head);
        const tfm_tile_walk begin = walk;
        for (int32_t p = 0; p < n; p++) {
            int32_t acc = tfm_bias(q, row);
            if (some) {
                walk = begin;
                if (block == 4) acc = tfm_sum4(&walk, tile + p, acc);
                else if (block == 2) acc = tfm_sum2(&walk.head, tile + p, acc);
                else acc = tfm_sum1(&walk.head, (const int16_t *)(const void *)tile + p, acc);
            }
            out[p * cout] = tfm_requant(acc, q->mult[row], q->shift, q->zp_out);
        }
    }
}

#if TFM_HAS_DSP && !defined(TFM_NO_ASM)

/* What the rows need besides the fourteen registers that a block takes: they keep a copy from sp on. The order of the
 * fields matters. */
typedef struct {
    uint32_t end;         /* minus the address of the last row's byte of pixel 0: with `out` below 0 while there are
                             rows, in whatever state the stream is */
    uint32_t out;         /* address of the byte of pixel 0 in the row before; it counts the rows as well */
    int32_t zp;
    uint32_t mult;        /* the row's multiplier is at mult + 4 * out */
    int32_t stride;       /* bytes between pixels */
    const uint32_t *tile; /* what header 0 points to: 128 blocks before the tile */
    uint32_t bias;        /* the row's bias is at bias + 4 * out */
    uint32_t empty;       /* up to how many empty rows a header may stand for: 7, or 0 where their outputs are not
                             there yet */
} tfm_row_frame;

/* How the walk moves: r9 is at the block's words of the tile. The header of the next block, added to it, gives that
 * block's. A header that begins a row is negative: the sum wraps around and sets the carry. (The tile lies above the
 * first 8 KB of the address space.) r8 is the stream, at the weights of a block of one or two. Blocks of four come by
 * words, r8 is at the word of four headers, and there is code for each place in it: W, H: where the block's weights
 * and the next header lie; NEXT: on to the next word, behind the last of the four.
 * A Cortex-M7 starts up to two instructions in a cycle, in order: an LDR beside a product, but an LDRD, an LDM or
 * a load that moves its pointer alone. So the words come by LDR, and the order is one that waits least. */

/* The first block of a row: header in lr, r10 to r12 as the row before left them (its output, the tile, the bias). */
#ifdef TFM_ONE_ISSUE
#define TFM_FIRST4(W, H, NEXT) \
    "ldr r12, [r12, r10, lsl #2]\n" \
    "ldr r10, [r8, #" W "]\n" \
    "add r9, r11, lr, lsl #6\n" \
    "sxtb16 r11, r10\n" \
    "ldm r9, {r0, r1, r2, r3, r4, r5, r6, r7}\n" \
    "sxtb16 lr, r10, ror #8\n" \
    "smlad r1, r1, r11, r12\n" \
    "add r9, r9, #64\n" \
    "smlad r7, r7, r11, r12\n" \
    "smlad r6, r6, r11, r12\n" \
    "smlad r0, r0, r11, r12\n" \
    "smlad r2, r2, r11, r12\n" \
    "smlad r3, r3, r11, r12\n" \
    "smlad r4, r4, r11, r12\n" \
    "smlad r5, r5, r11, r12\n" \
    "ldrd r11, r12, [r9, #-32]\n" \
    "smlad r0, r11, lr, r0\n" \
    "smlad r1, r12, lr, r1\n" \
    "ldrd r11, r12, [r9, #-24]\n" \
    "smlad r2, r11, lr, r2\n" \
    "smlad r3, r12, lr, r3\n" \
    "ldrd r11, r12, [r9, #-16]\n" \
    "smlad r4, r11, lr, r4\n" \
    "smlad r5, r12, lr, r5\n" \
    "ldrd r11, r12, [r9, #-8]\n" \
    "ldrsb r10, [r8, #" H "]\n" \
    "smlad r6, r11, lr, r6\n" \
    "smlad r7, r12, lr, r7\n" \
    NEXT "adds r9, r9, r10, lsl #6\n"
#define TFM_BLOCK4(W, H, NEXT) \
    "ldrd r11, r12, [r9]\n" \
    "ldr r10, [r8, #" W "]\n" \
    "sxtb16 lr, r10\n" \
    "smlad r1, r12, lr, r1\n" \
    "smlad r0, r11, lr, r0\n" \
    "ldrd r11, r12, [r9, #8]\n" \
    "smlad r3, r12, lr, r3\n" \
    "smlad r2, r11, lr, r2\n" \
    "ldrd r11, r12, [r9, #16]\n" \
    "smlad r4, r11, lr, r4\n" \
    "sxtb16 r10, r10, ror #8\n" \
    "smlad r5, r12, lr, r5\n" \
    "ldrd r11, r12, [r9, #24]\n" \
    "smlad r6, r11, lr, r6\n" \
    "smlad r7, r12, lr, r7\n" \
    "ldrd r11, r12, [r9, #56]!\n" \
    "smlad r7, r12, r10, r7\n" \
    "smlad r6, r11, r10, r6\n" \
    "ldmdb r9, {r11, r12, lr}\n" \
    "smlad r3, r11, r10, r3\n" \
    "ldr r11, [r9, #-16]\n" \
    "smlad r4, r12, r10, r4\n" \
    "smlad r5, lr, r10, r5\n" \
    "ldrsb lr, [r8, #" H "]\n" \
    "smlad r2, r11, r10, r2\n" \
    "ldrd r11, r12, [r9, #-24]\n" \
    "add r9, r9, #8\n" \
    NEXT "adds r9, r9, lr, lsl #6\n" \
    "smlad r1, r12, r10, r1\n" \
    "smlad r0, r11, r10, r0\n"

#else
#define TFM_FIRST4(W, H, NEXT) \
    "ldr r12, [r12, r10, lsl #2]\n" \
    "add r9, r11, lr, lsl #6\n" \
    "ldr r10, [r8, #" W "]\n" \
    "sxtb16 r11, r10\n" \
    "ldr r2, [r9, #8]\n" \
    "sxtb16 lr, r10, ror #8\n" \
    "ldr r1, [r9, #4]\n" \
    "ldr r0, [r9]\n" \
    "smlad r1, r1, r11, r12\n" \
    "ldr r3, [r9, #12]\n" \
    "smlad r2, r2, r11, r12\n" \
    "ldr r4, [r9, #16]\n" \
    "smlad r0, r0, r11, r12\n" \
    "ldr r6, [r9, #24]\n" \
    "smlad r3, r3, r11, r12\n" \
    "ldr r5, [r9, #20]\n" \
    "smlad r4, r4, r11, r12\n" \
    "smlad r5, r5, r11, r12\n" \
    "ldr r7, [r9, #28]\n" \
    "smlad r6, r6, r11, r12\n" \
    "ldr r10, [r9, #32]\n" \
    "smlad r7, r7, r11, r12\n" \
    "ldr r11, [r9, #36]\n" \
    "smlad r0, r10, lr, r0\n" \
    "ldr r12, [r9, #40]\n" \
    "smlad r1, r11, lr, r1\n" \
    "ldr r11, [r9, #48]\n" \
    "smlad r2, r12, lr, r2\n" \
    "ldr r12, [r9, #52]\n" \
    "smlad r5, r12, lr, r5\n" \
    "ldrsb r12, [r8, #" H "]\n" \
    "ldr r10, [r9, #44]\n" \
    "smlad r4, r11, lr, r4\n" \
    "ldr r11, [r9, #60]\n" \
    "smlad r3, r10, lr, r3\n" \
    "ldr r10, [r9, #56]\n" \
    NEXT "add r9, r9, #64\n" \
    "adds r9, r9, r12, lsl #6\n" \
    "smlad r7, r11, lr, r7\n" \
    "smlad r6, r10, lr, r6\n"

/* [asm4] */
/* A block in 39 instructions with its branch and 20 cycles: no two products start together, and before the first
 * one lie three cycles of loading and widening. */
#define TFM_BLOCK4(W, H, NEXT) \
    "ldr r10, [r9, #4]\n" \
    "ldr r11, [r8, #" W "]\n" \
    "sxtb16 r12, r11\n" \
    "ldr lr, [r9]\n" \
    "sxtb16 r11, r11, ror #8\n" \
    "smlad r0, lr, r12, r0\n" \
    "ldr lr, [r9, #16]\n" \
    "smlad r1, r10, r12, r1\n" \
    "ldr r10, [r9, #8]\n" \
    "smlad r4, lr, r12, r4\n" \
    "ldr lr, [r9, #12]\n" \
    "smlad r2, r10, r12, r2\n" \
    "ldr r10, [r9, #20]\n" \
    "smlad r3, lr, r12, r3\n" \
    "ldr lr, [r9, #28]\n" \
    "smlad r5, r10, r12, r5\n" \
    "ldr r10, [r9, #24]\n" \
    "smlad r7, lr, r12, r7\n" \
    "ldr lr, [r9, #32]\n" \
    "smlad r6, r10, r12, r6\n" \
    "ldr r10, [r9, #36]\n" \
    "smlad r0, lr, r11, r0\n" \
    "ldr r12, [r9, #40]\n" \
    "smlad r1, r10, r11, r1\n" \
    "ldr lr, [r9, #44]\n" \
    "smlad r2, r12, r11, r2\n" \
    "ldr r10, [r9, #56]\n" \
    "smlad r3, lr, r11, r3\n" \
    "ldr r12, [r9, #52]\n" \
    "add r9, r9, #64\n" \
    "smlad r5, r12, r11, r5\n" \
    "ldrsb lr, [r8, #" H "]\n" \
    "ldr r12, [r9, #-16]\n" \
    "smlad r6, r10, r11, r6\n" \
    "ldr r10, [r9, #-4]\n" \
    NEXT "adds r9, r9, lr, lsl #6\n" \
    "smlad r7, r10, r11, r7\n" \
    "smlad r4, r12, r11, r4\n"
/* [/asm4] */
#endif

#define TFM_FIRST2 \
    "ldr r12, [r12, r10, lsl #2]\n" \
    "ldrsb r10, [r8, #1]\n" \
    "add r9, r11, lr, lsl #5\n" \
    "ldrsb r11, [r8]\n" \
    "ldm r9, {r0, r1, r2, r3, r4, r5, r6, r7}\n" \
    "pkhbt r10, r11, r10, lsl #16\n" \
    "ldrsb r11, [r8, #2]\n" \
    "add r9, r9, #32\n" \
    "smlad r4, r4, r10, r12\n" \
    "smlad r0, r0, r10, r12\n" \
    "smlad r3, r3, r10, r12\n" \
    "adds r9, r9, r11, lsl #5\n" \
    "smlad r2, r2, r10, r12\n" \
    "smlad r7, r7, r10, r12\n" \
    "add r8, r8, #3\n" \
    "smlad r5, r5, r10, r12\n" \
    "smlad r1, r1, r10, r12\n" \
    "smlad r6, r6, r10, r12\n"
#define TFM_BLOCK2 \
    "ldrsb r10, [r8, #1]\n" \
    "ldrsb r11, [r8]\n" \
    "ldrd r12, lr, [r9], #32\n" \
    "pkhbt r10, r11, r10, lsl #16\n" \
    "add r8, r8, #3\n" \
    "ldr r11, [r9, #-24]\n" \
    "smlad r1, lr, r10, r1\n" \
    "ldr lr, [r9, #-16]\n" \
    "smlad r0, r12, r10, r0\n" \
    "ldrsb r12, [r8, #-1]\n" \
    "smlad r2, r11, r10, r2\n" \
    "ldr r11, [r9, #-12]\n" \
    "smlad r4, lr, r10, r4\n" \
    "ldr lr, [r9, #-20]\n" \
    "smlad r5, r11, r10, r5\n" \
    "ldr r11, [r9, #-8]\n" \
    "smlad r3, lr, r10, r3\n" \
    "ldr lr, [r9, #-4]\n" \
    "smlad r6, r11, r10, r6\n" \
    "adds r9, r9, r12, lsl #5\n" \
    "smlad r7, lr, r10, r7\n"

/* A word holds two pixels of one channel, the weight is a low half. */
#define TFM_FIRST1 \
    "ldr r12, [r12, r10, lsl #2]\n" \
    "add r9, r11, lr, lsl #4\n" \
    "ldrsb lr, [r8]\n" \
    "ldrsb r10, [r8, #1]\n" \
    "ldm r9, {r1, r3, r5, r7}\n" \
    "add r9, r9, #16\n" \
    "smlabb r0, r1, lr, r12\n" \
    "add r8, r8, #2\n" \
    "smlatb r1, r1, lr, r12\n" \
    "smlabb r2, r3, lr, r12\n" \
    "adds r9, r9, r10, lsl #4\n" \
    "smlatb r3, r3, lr, r12\n" \
    "smlabb r4, r5, lr, r12\n" \
    "smlatb r5, r5, lr, r12\n" \
    "smlabb r6, r7, lr, r12\n" \
    "smlatb r7, r7, lr, r12\n"
#define TFM_BLOCK1 \
    "ldrsb r10, [r8]\n" \
    "ldrd r11, r12, [r9], #16\n" \
    "smlabb r0, r11, r10, r0\n" \
    "ldr lr, [r9, #-4]\n" \
    "smlatb r1, r11, r10, r1\n" \
    "smlabb r2, r12, r10, r2\n" \
    "smlatb r3, r12, r10, r3\n" \
    "ldrsb r11, [r8, #1]\n" \
    "ldr r12, [r9, #-8]\n" \
    "smlatb r7, lr, r10, r7\n" \
    "add r8, r8, #2\n" \
    "smlatb r5, r12, r10, r5\n" \
    "adds r9, r9, r11, lsl #4\n" \
    "smlabb r4, r12, r10, r4\n" \
    "smlabb r6, lr, r10, r6\n"

/* [epilogue] */
/* Eight accumulators to eight bytes, a stride apart: multiply, saturate, store. Then what the next row begins with;
 * H: where its header lies. */
#define TFM_REQUANT(H) \
    "ldm sp, {r9, r10, r11, r12, lr}\n" \
    "ldr r12, [r12, r10, lsl #2]\n" \
    "add r10, r10, #1\n" \
    "add r9, r9, r10\n" \
    "smmlar r1, r1, r12, r11\n" \
    "str r10, [sp, #4]\n" \
    "smmlar r2, r2, r12, r11\n" \
    "ssat r1, #8, r1\n" \
    "smmlar r4, r4, r12, r11\n" \
    "ssat r2, #8, r2\n" \
    "smmlar r5, r5, r12, r11\n" \
    "ssat r4, #8, r4\n" \
    "smmlar r6, r6, r12, r11\n" \
    "smmlar r7, r7, r12, r11\n" \
    "strb r4, [r10, lr, lsl #2]\n" \
    "ssat r6, #8, r6\n" \
    "smmlar r0, r0, r12, r11\n" \
    "add r4, lr, lr, lsl #1\n" \
    "smmlar r12, r3, r12, r11\n" \
    "ssat r0, #8, r0\n" \
    "strb r1, [r10, lr]\n" \
    "ssat r1, #8, r12\n" \
    "strb r2, [r10, lr, lsl #1]\n" \
    "add r3, r10, lr\n" \
    "strb r6, [r10, r4, lsl #1]\n" \
    "ssat r11, #8, r5\n" \
    "strb r1, [r10, r4]\n" \
    "strb r11, [r3, lr, lsl #2]\n" \
    "ldrsb lr, [r8, #" H "]\n" \
    "ssat r7, #8, r7\n" \
    "strb r0, [r10]\n" \
    "ldrd r11, r12, [sp, #20]\n" \
    "add r0, lr, #8\n" \
    "strb r7, [r3, r4, lsl #1]\n" \
    "tst r0, r9\n"
/* [/epilogue] */

/* [rows] */
/* 1: a row begins. 2: its next block. 3: no more. */
#define TFM_PLAIN(FIRST, BLOCK)                                                 \
    "1: " FIRST "bcs 3f\n"                                                      \
    "2: " BLOCK "bcc 2b\n"                                                      \
    "3: " TFM_REQUANT("-1") "bmi 1b\n"

/* The same for each place in a word of four headers; the last digit is that place. */
#define TFM_WORDS(FIRST, BLOCK)                                                 \
    "10: " FIRST("4", "1", "") "bcs 31f\n"                                      \
    "21: " BLOCK("8", "2", "") "bcs 32f\n"                                      \
    "22: " BLOCK("12", "3", "") "bcs 33f\n"                                     \
    "23: " BLOCK("16", "20", "add r8, r8, #20\n") "bcs 30f\n"                   \
    "20: " BLOCK("4", "1", "") "bcc 21b\n"                                      \
    "31: " TFM_REQUANT("1") "bpl 41f\n"                                         \
    "11: " FIRST("8", "2", "") "bcc 22b\n"                                      \
    "32: " TFM_REQUANT("2") "bpl 42f\n"                                         \
    "12: " FIRST("12", "3", "") "bcc 23b\n"                                     \
    "33: " TFM_REQUANT("3") "bpl 43f\n"                                         \
    "13: " FIRST("16", "20", "add r8, r8, #20\n") "bcc 20b\n"                   \
    "30: " TFM_REQUANT("0") "bmi 10b\n"                                         \
    "b 40f\n" /* not a row: it ends the word, the next one is behind the weights */ \
    "43: add r8, r8, #16\n" "b 4f\n"                                            \
    "42: add r8, r8, #12\n" "b 4f\n"                                            \
    "41: add r8, r8, #8\n" "b 4f\n"                                             \
    "40: add r8, r8, #4\n"

/* 4: what comes next? A header of -2 to -8 is 1 to 7 empty rows, anything else the end: 6. r9 is below 0 while there
 * are rows, r0 is the header plus 8. 5: begin. Returns the header that ended the walk. */
#define TFM_FAST(NAME, ROWS, BEHIND, AGAIN)                                     \
    TFM_NAKED static int32_t NAME(                                              \
        TFM_UNUSED const uint8_t *stream, TFM_UNUSED const tfm_row_frame *frame) { \
        __asm volatile(                                                         \
            "push {r4-r11, lr}\n"                                               \
            "ldm r1, {r4-r11}\n"                                                \
            "push {r4-r11}\n"                                                   \
            "mov r8, r0\n"                                                      \
            "ldrd r9, r10, [sp]\n"                                              \
            "ldrd r11, r12, [sp, #20]\n"                                        \
            "add r9, r9, r10\n"                                                 \
            "b 5f\n"                                                            \
            ROWS                                                                \
            "4: ldr r1, [sp, #28]\n"                                            \
            "mvn r2, lr\n" /* how many empty rows */                            \
            "cmp r0, r1\n"                                                      \
            "bhs 6f\n"                                                          \
            "add r10, r10, r2\n"                                                \
            "add r9, r9, r2\n"                                                  \
            "str r10, [sp, #4]\n"                                               \
            "5: ldrsb lr, [r8]" BEHIND "\n"                                     \
            "add r0, lr, #8\n"                                                  \
            "tst r0, r9\n"                                                      \
            AGAIN                                                               \
            "b 4b\n"                                                            \
            "6: mov r0, lr\n"                                                   \
            "add sp, sp, #32\n"                                                 \
            "pop {r4-r11, pc}\n");                                              \
    }
/* [/rows] */

#else /* in C: for other cores, and with -DTFM_NO_ASM to measure what the assembly gives */

/* Eight SMLADs of one weight pair with the eight words at t. */
TFM_INLINE void tfm_line(const uint32_t *t, uint32_t w, int32_t acc[8]) {
    for (int p = 0; p < 8; p++) acc[p] = tfm_smlad(t[p], w, acc[p]);
}

/* [walk4] */
TFM_INLINE void tfm_walk4(tfm_tile_walk *walk, const uint32_t *t, int32_t acc[8]) {
    do {
        uint32_t w;
        const uint32_t *line = t + 16 * tfm_words_next(walk, &w);
        tfm_line(line, tfm_sxtb16(w), acc);
        tfm_line(line + 8, tfm_sxtb16_ror8(w), acc);
    } while (tfm_rle_more(&walk->head));
}
/* [/walk4] */

TFM_INLINE int tfm_plain_row(tfm_tile_walk *walk) { return tfm_rle_row(&walk->head); }

TFM_INLINE void tfm_walk2(tfm_tile_walk *walk, const uint32_t *t, int32_t acc[8]) {
    do {
        const uint32_t *line = t + 8 * tfm_rle_next(&walk->head);
        tfm_line(line, tfm_pkhbt((uint32_t)(int8_t)walk->head.at[0], (uint32_t)(int8_t)walk->head.at[1]), acc);
        walk->head.at += 2;
    } while (tfm_rle_more(&walk->head));
}

TFM_INLINE void tfm_walk1(tfm_tile_walk *walk, const uint32_t *t, int32_t acc[8]) {
    do {
        const uint32_t *line = t + 4 * tfm_rle_next(&walk->head), w = (uint32_t)(int8_t)*walk->head.at++;
        for (int p = 0; p < 8; p += 2) {
            acc[p] = tfm_smlabb(line[p / 2], w, acc[p]);
            acc[p + 1] = tfm_smlatb(line[p / 2], w, acc[p + 1]);
        }
    } while (tfm_rle_more(&walk->head));
}

/* A layer's rows over eight pixels. */
#define TFM_ROWS(NAME, ROW, WALK)                                                                     \
    static void NAME(const tfm_tile_layer *l, const uint32_t *tile, int8_t *out) {                    \
        tfm_tile_walk walk = {{l->weight->stream, 0, 0}, l->weight->stream + 4};                       \
        for (int32_t row = 0; row < l->cout; row++) {                                                 \
            const int32_t b = tfm_bias(l->quant, row);                                                \
            int32_t acc[8] = {b, b, b, b, b, b, b, b};                                                \
            if (ROW(&walk)) WALK(&walk, tile, acc);                                                   \
            for (int32_t p = 0; p < 8; p++)                                                           \
                out[p * l->cout + row] = tfm_requant(acc[p], l->quant->mult[row], l->quant->shift, l->quant->zp_out); \
        }                                                                                             \
    }

#endif
#endif
