/* Rows of weights against a single pixel: a fully connected layer. Not part of the public contract.
 * No weight is used twice, so nothing is gained by expanding weights in memory; the inputs are
 * expanded once, to int16 pairs in the order of tfm_dense.h, 2 bytes for each. */
#ifndef TFM_FC_H
#define TFM_FC_H

#include "tfm_dsp.h"

static inline int32_t tfm_fc_bytes(int32_t k) { return 2 * tfm_round4(k); }

static inline int tfm_aligned4(const void *p) { return (uintptr_t)p % 4 == 0; }

#if TFM_HAS_DSP

/* n times 16 inputs, both sides aligned. An STM takes its registers in ascending order. */
TFM_NAKED static void tfm_fc_expand16(TFM_UNUSED uint32_t *x, TFM_UNUSED const int8_t *in, TFM_UNUSED int32_t n) {
    __asm volatile(
        "push {r4-r11, lr}\n"
        "1: ldm r1!, {r4, r6, r9, r11}\n"
        "subs r2, r2, #1\n"
        "sxtb16 r5, r4, ror #8\n"
        "sxtb16 r4, r4\n"
        "sxtb16 r8, r6, ror #8\n"
        "sxtb16 r6, r6\n"
        "sxtb16 r10, r9, ror #8\n"
        "sxtb16 r9, r9\n"
        "sxtb16 r12, r11, ror #8\n"
        "sxtb16 r11, r11\n"
        "stm r0!, {r4, r5, r6, r8, r9, r10, r11, r12}\n"
        "bne 1b\n"
        "pop {r4-r11, pc}\n");
}

/* r0: acc, r1: x, r2 and r3: both rows; r7 and r9: their sums, r10: n. */
#define TFM_FC_ROW(ACC) /* eight weights in p and q */\
    "sxtb16 lr, r11\n"                               \
    "sxtb16 r11, r11, ror #8\n"                      \
    "smlad " ACC ", lr, r4, " ACC "\n"               \
    "sxtb16 lr, r12\n"                               \
    "smlad " ACC ", r11, r5, " ACC "\n"              \
    "sxtb16 r12, r12, ror #8\n"                      \
    "smlad " ACC ", lr, r6, " ACC "\n"               \
    "smlad " ACC ", r12, r8, " ACC "\n"
#define TFM_FC_8 /* eight inputs of two rows */      \
    "ldrd r11, r12, [r2], #8\n"                      \
    "ldm r1!, {r4, r5, r6, r8}\n" TFM_FC_ROW("r7")   \
    "ldrd r11, r12, [r3], #8\n" TFM_FC_ROW("r9")

/* [fc] */
/* n times 32 inputs of two aligned rows: 78 instructions for 64 products. */
TFM_NAKED static void tfm_fc_rows32(TFM_UNUSED int32_t *acc, TFM_UNUSED const uint32_t *x, TFM_UNUSED const int8_t *wa,
                                    TFM_UNUSED const int8_t *wb, TFM_UNUSED int32_t n) {
    __asm volatile(
        "push {r4-r11, lr}\n"
        "ldrd r7, r9, [r0]\n"
        "ldr r10, [sp, #36]\n"
        "1: " TFM_FC_8 TFM_FC_8 TFM_FC_8
        "subs r10, r10, #1\n"
        TFM_FC_8
        "bne 1b\n"
        "strd r7, r9, [r0]\n"
        "pop {r4-r11, pc}\n");
}
/* [/fc] */

#endif

/* Four inputs, or the last ones padded with zeros, to two words. */
static inline void tfm_fc_expand4(uint32_t *x, uint32_t in) {
    x[0] = tfm_sxtb16(in);
    x[1] = tfm_sxtb16_ror8(in);
}

/* The k inputs of a pixel to pairs at x. */
static TFM_OUTLINE void tfm_fc_expand(uint32_t *x, const int8_t *in, int32_t k) {
    int32_t i = 0;
#if TFM_HAS_DSP
    if (k >= 16 && tfm_aligned4(in)) tfm_fc_expand16(x, in, k / 16), i = k & ~15;
#endif
    for (; i + 4 <= k; i += 4) tfm_fc_expand4(x + i / 2, tfm_load4(in + i));
    if (k & 3) tfm_fc_expand4(x + i / 2, tfm_load_tail(in + i, k & 3));
}

static inline int32_t tfm_fc_mac4(int32_t acc, const uint32_t *x, uint32_t w) {
    return tfm_smlad(x[1], tfm_sxtb16_ror8(w), tfm_smlad(x[0], tfm_sxtb16(w), acc));
}

/* Two rows of k weights added to acc, at any address. */
static TFM_OUTLINE void tfm_fc_rows4(int32_t acc[2], const uint32_t *x, const int8_t *wa, const int8_t *wb, int32_t k) {
    int32_t a = acc[0], b = acc[1];
    for (const int8_t *end = wa + (k & ~3); wa != end; wa += 4, wb += 4, x += 2) {
        a = tfm_fc_mac4(a, x, tfm_load4(wa));
        b = tfm_fc_mac4(b, x, tfm_load4(wb));
    }
    if (k & 3) {
        a = tfm_fc_mac4(a, x, tfm_load_tail(wa, k & 3));
        b = tfm_fc_mac4(b, x, tfm_load_tail(wb, k & 3));
    }
    acc[0] = a, acc[1] = b;
}

static inline void tfm_fc_rows(int32_t acc[2], const uint32_t *x, const int8_t *wa, const int8_t *wb, int32_t k) {
    int32_t body = 0;
#if TFM_HAS_DSP
    if (k >= 32 && tfm_aligned4(wa) && tfm_aligned4(wb)) {
        body = k & ~31;
        tfm_fc_rows32(acc, x, wa, wb, k / 32);
    }
#endif
    if (body < k) tfm_fc_rows4(acc, x + body / 2, wa + body, wb + body, k - body);
}

#endif
