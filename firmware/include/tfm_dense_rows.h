/* The inner loops of dense weights: 2 output channels by 4 pixels in 8 accumulators.
 * Included by tfm_tile_rows_dense.c only. */
#ifndef TFM_DENSE_ROWS_H
#define TFM_DENSE_ROWS_H

#include "tfm_dense.h"

/* What a group of pixels starts from and ends with. The assembly reads it in two LDMs, one on each
 * side of `mult`, so the order of the fields matters. */
typedef struct {
    int32_t bias[8];      /* four times that of the first channel, four times that of the second */
    int32_t odd;          /* not 0 when K / 8 is odd */
    const uint32_t *w;
    int32_t mult[2];
    int8_t *out;          /* pixel 0 of the group, first channel */
    int32_t zp, stride;
    uint32_t saved[9];    /* the assembly keeps the caller's registers here: no stack of its own */
} tfm_dense_frame;

#if TFM_HAS_DSP

/* n words of eight bytes of two rows to pair words, side by side: an odd one first, then two at a time. The STM wants
 * its registers in ascending order. */
TFM_NAKED static void tfm_dense_expand2(
    TFM_UNUSED uint32_t *d, TFM_UNUSED const int8_t *a, TFM_UNUSED const int8_t *b, TFM_UNUSED int32_t n) {
    __asm volatile(
        "push {r4-r11, lr}\n"
        "lsrs r3, r3, #1\n"
        "bcc 1f\n"
        "ldr r4, [r1]\n"
        "ldr r5, [r2]\n"
        "sxtb16 r6, r4, ror #8\n"
        "ldr r9, [r1, #4]\n"
        "sxtb16 r8, r5, ror #8\n"
        "ldr r10, [r2, #4]\n"
        "sxtb16 r4, r4\n"
        "add r1, r1, #8\n"
        "sxtb16 r5, r5\n"
        "add r2, r2, #8\n"
        "sxtb16 r11, r9, ror #8\n"
        "sxtb16 r12, r10, ror #8\n"
        "sxtb16 r9, r9\n"
        "sxtb16 r10, r10\n"
        "stm r0!, {r4, r5, r6, r8, r9, r10, r11, r12}\n"
        "beq 2f\n"
        "1: ldr r4, [r1]\n"
        "ldr r5, [r2]\n"
        "subs r3, r3, #1\n"
        "ldr r10, [r2, #4]\n"
        "sxtb16 r6, r4, ror #8\n"
        "sxtb16 r8, r5, ror #8\n"
        "ldr r9, [r1, #4]\n"
        "sxtb16 r12, r10, ror #8\n"
        "sxtb16 r11, r9, ror #8\n"
        "ldr lr, [r1, #8]\n"
        "sxtb16 r5, r5\n"
        "sxtb16 r9, r9\n"
        "sxtb16 r10, r10\n"
        "sxtb16 r4, r4\n"
        "stm r0!, {r4, r5, r6, r8, r9, r10, r11, r12}\n"
        "sxtb16 r6, lr, ror #8\n"
        "ldr r5, [r2, #8]\n"
        "sxtb16 r4, lr\n"
        "ldr r9, [r1, #12]\n"
        "sxtb16 r8, r5, ror #8\n"
        "ldr r10, [r2, #12]\n"
        "sxtb16 r12, r10, ror #8\n"
        "sxtb16 r11, r9, ror #8\n"
        "add r1, r1, #16\n"
        "sxtb16 r5, r5\n"
        "sxtb16 r10, r10\n"
        "sxtb16 r9, r9\n"
        "add r2, r2, #16\n"
        "stm r0!, {r4, r5, r6, r8, r9, r10, r11, r12}\n"
        "bne 1b\n"
        "2: pop {r4-r11, pc}\n");
}

/* n words of four bytes of four rows; d and n lie at sp + 0 and 4. r1 to r4: the rows' ends, lr: from there to the word. */
TFM_NAKED static void tfm_dense_expand4(
    TFM_UNUSED uint32_t *x, TFM_UNUSED const int8_t *a, TFM_UNUSED const int8_t *b, TFM_UNUSED const int8_t *c,
    TFM_UNUSED const int8_t *d, TFM_UNUSED int32_t n) {
    __asm volatile(
        "push {r4-r11, lr}\n"
        "ldr lr, [sp, #40]\n"
        "ldr r4, [sp, #36]\n"
        "lsl lr, lr, #2\n"
        "add r1, r1, lr\n"
        "add r2, r2, lr\n"
        "add r3, r3, lr\n"
        "add r4, r4, lr\n"
        "rsb lr, lr, #0\n"
        "1: ldr r9, [r1, lr]\n"
        "ldr r10, [r2, lr]\n"
        "sxtb16 r5, r9\n"
        "ldr r11, [r3, lr]\n"
        "sxtb16 r7, r11\n"
        "sxtb16 r6, r10\n"
        "ldr r12, [r4, lr]\n"
        "sxtb16 r9, r9, ror #8\n"
        "adds lr, lr, #4\n"
        "sxtb16 r8, r12\n"
        "sxtb16 r11, r11, ror #8\n"
        "sxtb16 r10, r10, ror #8\n"
        "sxtb16 r12, r12, ror #8\n"
        "stm r0!, {r5, r6, r7, r8, r9, r10, r11, r12}\n"
        "bne 1b\n"
        "pop {r4-r11, pc}\n");
}

/* r0-r3: four pixels of the first channel, r4-r7 of the second; r8, r9: their weights;
 * r10, r11: pixels; r12, lr: cursors of x and w. No register is left, so everything else waits on
 * the stack or in the frame. On a Cortex-M7 each load starts beside a product, two cycles before it is used. */
#define TFM_FIRST_LOADS(W, X)                       \
    "ldrd r8, r9, [lr, #" W "]\n"                   \
    "ldr r10, [r12, #" X "]\n"
#ifdef TFM_ONE_ISSUE
#define TFM_PIXEL(P, Q, X) "smlad " P ", " X ", r8, " P "\n smlad " Q ", " X ", r9, " Q "\n"
#define TFM_STEP(X, W)                              \
    TFM_PIXEL("r0", "r4", "r10") "ldr r11, [r12, #" X "+4]\n ldr r10, [r12, #" X "+8]\n" \
    TFM_PIXEL("r1", "r5", "r11") TFM_PIXEL("r2", "r6", "r10") "ldr r11, [r12, #" X "+12]\n ldr r10, [r12, #" X "+16]\n" \
    TFM_PIXEL("r3", "r7", "r11") "ldrd r8, r9, [lr, #" W "+8]\n"
#define TFM_LAST_STEP                               \
    TFM_PIXEL("r0", "r4", "r10") "ldr r11, [r12, #116]\n ldr r10, [r12, #120]\n" \
    TFM_PIXEL("r1", "r5", "r11") TFM_PIXEL("r2", "r6", "r10") "ldr r11, [r12, #124]\n ldr r10, [sp, #8]\n" \
    "add lr, lr, #64\n add r12, r12, #128\n"         \
    TFM_PIXEL("r3", "r7", "r11")                    \
    "cmp lr, r10\n ldrd r8, r9, [lr]\n ldr r10, [r12]\n"
#define TFM_STORE2(A, B) /* both channels of one pixel, and on to the next */ \
    "smmlar " A ", " A ", r8, r11\n"                \
    "smmlar " B ", " B ", r9, r11\n"                \
    "ssat " A ", #8, " A "\n"                       \
    "ssat " B ", #8, " B "\n"                       \
    "strb " A ", [r10]\n"                           \
    "strb " B ", [r10, #1]\n"                       \
    "add r10, r10, lr\n"
#define TFM_STORE8                                  \
    "ldr r10, [sp]\n"                               \
    "ldm r10, {r8-r11, lr}\n"                       \
    TFM_STORE2("r0", "r4") TFM_STORE2("r1", "r5") TFM_STORE2("r2", "r6") TFM_STORE2("r3", "r7") \
    "ldrd lr, r9, [sp]\n"                           \
    "cmp r10, r9\n"                                 \
    "str r10, [lr, #8]\n"

#else
#define TFM_STEP(X, W) /* one pair of inputs; three of the loads are for the pair that follows */ \
    "smlad r4, r10, r9, r4\n ldr r11, [r12, #" X "+4]\n" \
    "smlad r0, r10, r8, r0\n ldr r10, [r12, #" X "+8]\n" \
    "smlad r5, r11, r9, r5\n"                       \
    "smlad r1, r11, r8, r1\n ldr r11, [r12, #" X "+12]\n" \
    "smlad r6, r10, r9, r6\n"                       \
    "smlad r2, r10, r8, r2\n ldr r10, [r12, #" X "+16]\n" \
    "smlad r7, r11, r9, r7\n ldr r9, [lr, #" W "+12]\n" \
    "smlad r3, r11, r8, r3\n ldr r8, [lr, #" W "+8]\n"
#define TFM_LAST_STEP /* and on to the next 16 inputs; behind the last of them the loads read on, for nothing */ \
    "smlad r4, r10, r9, r4\n ldr r11, [r12, #116]\n" \
    "smlad r0, r10, r8, r0\n ldr r10, [r12, #120]\n" \
    "smlad r5, r11, r9, r5\n add lr, lr, #64\n"    \
    "smlad r1, r11, r8, r1\n ldr r11, [r12, #124]\n" \
    "smlad r6, r10, r9, r6\n add r12, r12, #128\n" \
    "smlad r2, r10, r8, r2\n ldr r10, [sp, #8]\n"  \
    "smlad r7, r11, r9, r7\n ldr r9, [lr, #4]\n"   \
    "smlad r3, r11, r8, r3\n cmp lr, r10\n"        \
    "ldr r10, [r12]\n ldr r8, [lr]\n"

/* Multiply, saturate and store; then the next group, unless its output would be at out_end. */
#define TFM_STORE8                                  \
    "ldr r10, [sp]\n" \
    "ldm r10, {r8, r9, r10, r11, lr}\n" \
    "smmlar r0, r0, r8, r11\n" \
    "smmlar r1, r1, r8, r11\n" \
    "ssat r0, #8, r0\n" \
    "smmlar r4, r4, r9, r11\n" \
    "strb r0, [r10]\n" \
    "smmlar r5, r5, r9, r11\n" \
    "ssat r4, #8, r4\n" \
    "smmlar r2, r2, r8, r11\n" \
    "smmlar r6, r6, r9, r11\n" \
    "strb r4, [r10, #1]\n" \
    "ssat r5, #8, r5\n" \
    "smmlar r3, r3, r8, r11\n" \
    "add r4, lr, lr, lsl #1\n" \
    "add r0, r10, #1\n" \
    "ssat r1, #8, r1\n" \
    "smmlar r7, r7, r9, r11\n" \
    "ssat r2, #8, r2\n" \
    "strb r1, [r10, lr]\n" \
    "ssat r6, #8, r6\n" \
    "strb r2, [r10, lr, lsl #1]\n" \
    "ssat r3, #8, r3\n" \
    "strb r6, [r0, lr, lsl #1]\n" \
    "ssat r7, #8, r7\n" \
    "strb r3, [r10, r4]\n" \
    "add r10, r10, lr, lsl #2\n" \
    "strb r5, [r0, lr]\n" \
    "ldrd lr, r9, [sp]\n" \
    "cmp r10, r9\n" \
    "strb r7, [r0, r4]\n" \
    "str r10, [lr, #8]\n"
#endif

/* [dense8] */
/* Two channels of every group up to the one whose output would be at out_end. The cursor x runs on
 * from group to group. The loop takes 16 inputs: 117 instructions in 66 cycles for 128 products. */
TFM_NAKED static void tfm_dense_groups(
    TFM_UNUSED tfm_dense_frame *frame, TFM_UNUSED const uint32_t *x, TFM_UNUSED int32_t odd,
    TFM_UNUSED const uint32_t *w, TFM_UNUSED int32_t *mult, TFM_UNUSED const int8_t *out_end,
    TFM_UNUSED const uint32_t *w_end) { /* the last three: sp + 0, 4 and 8 */
    __asm volatile(
        "add r12, r0, #60\n"
        "stm r12, {r4-r11, lr}\n"
        "strd r2, r3, [r0, #32]\n"
        "mov r12, r1\n"
        "ldr lr, [sp]\n"
        "1: ldmdb lr, {r0-r8, lr}\n"
        "cmp r8, #0\n"
        "bne 4f\n"
        TFM_FIRST_LOADS("0", "0")
        "2: " TFM_STEP("0", "0")
        TFM_STEP("16", "8")
        TFM_STEP("32", "16")
        TFM_STEP("48", "24")
        "3: " TFM_STEP("64", "32")
        TFM_STEP("80", "40")
        TFM_STEP("96", "48")
        TFM_LAST_STEP
        "bne 2b\n"
        TFM_STORE8
        "bne 1b\n"
        "add r12, lr, #20\n"
        "ldm r12, {r4-r11, pc}\n"
        "4: sub r12, r12, #64\n"
        "sub lr, lr, #32\n" TFM_FIRST_LOADS("32", "64")
        "b 3b\n");
}
/* [/dense8] */

#else

static void tfm_dense_expand2(uint32_t *d, const int8_t *a, const int8_t *b, int32_t n) {
    for (n *= 2; n > 0; n--, a += 4, b += 4, d += 4) {
        const uint32_t p = tfm_load4(a), q = tfm_load4(b);
        d[0] = tfm_sxtb16(p), d[1] = tfm_sxtb16(q);
        d[2] = tfm_sxtb16_ror8(p), d[3] = tfm_sxtb16_ror8(q);
    }
}

static void tfm_dense_expand4(uint32_t *x, const int8_t *a, const int8_t *b, const int8_t *c, const int8_t *d,
                              int32_t n) {
    for (; n > 0; n--, a += 4, b += 4, c += 4, d += 4, x += 8) {
        const uint32_t p = tfm_load4(a), q = tfm_load4(b), r = tfm_load4(c), s = tfm_load4(d);
        x[0] = tfm_sxtb16(p), x[1] = tfm_sxtb16(q), x[2] = tfm_sxtb16(r), x[3] = tfm_sxtb16(s);
        x[4] = tfm_sxtb16_ror8(p), x[5] = tfm_sxtb16_ror8(q);
        x[6] = tfm_sxtb16_ror8(r), x[7] = tfm_sxtb16_ror8(s);
    }
}

#endif

/* tfm_dense_groups in C, and the one that knows the left shift, which hardly any layer has. */
static TFM_OUTLINE void tfm_dense_groups_c(tfm_dense_frame *f, const uint32_t *x, const int8_t *out_end,
                                           const uint32_t *w_end, int32_t shift) {
    for (; f->out != out_end; f->out += 4 * f->stride) {
        int32_t a[8];
        memcpy(a, f->bias, sizeof a);
        for (const uint32_t *w = f->w; w != w_end; w += 2, x += 4) {
            a[0] = tfm_smlad(x[0], w[0], a[0]), a[4] = tfm_smlad(x[0], w[1], a[4]);
            a[1] = tfm_smlad(x[1], w[0], a[1]), a[5] = tfm_smlad(x[1], w[1], a[5]);
            a[2] = tfm_smlad(x[2], w[0], a[2]), a[6] = tfm_smlad(x[2], w[1], a[6]);
            a[3] = tfm_smlad(x[3], w[0], a[3]), a[7] = tfm_smlad(x[3], w[1], a[7]);
        }
        int8_t *out = f->out;
        for (int p = 0; p < 4; p++, out += f->stride) {
            out[0] = tfm_requant(a[p], f->mult[0], shift, f->zp);
            out[1] = tfm_requant(a[p + 4], f->mult[1], shift, f->zp);
        }
    }
}

#endif
