#include "tfm_dsp.h"

#if TFM_HAS_DSP
/* Elements 0 to end - a, a multiple of eight: a word of each input makes two pairs of halves, each
 * half is multiplied where it stands, and the shift is part of the saturation. 49 instructions and
 * 27 cycles for eight elements, in the order that issues best. A word is read before its bytes are
 * written, so out may be an input.
 * r4, r5, r8: words and pairs of a; r6, r7, r9: of b; r10: a sum; r11: both factors; r12: bias. */
#define EIGHTS(NAME, SHIFT) \
TFM_NAKED static void NAME( \
    TFM_UNUSED int8_t *o, TFM_UNUSED const int8_t *a, TFM_UNUSED const int8_t *b, TFM_UNUSED const int8_t *end, \
    TFM_UNUSED uint32_t m, TFM_UNUSED int32_t bias) { \
    __asm volatile( \
        "push {r4-r11, lr}\n" \
        "ldrd r11, r12, [sp, #36]\n" \
        "1:\n" \
        "ldr r6, [r2]\n" \
        "ldr r4, [r1]\n" \
        "sxtb16 r5, r4, ror #8\n" \
        "ldr r8, [r1, #4]\n" \
        "sxtb16 r4, r4\n" \
        "sxtb16 r7, r6, ror #8\n" \
        "smlabb r10, r4, r11, r12\n" \
        "sxtb16 r6, r6\n" \
        "smlatb r4, r4, r11, r12\n" \
        "ldr r9, [r2, #4]\n" \
        "smlabt r10, r6, r11, r10\n" \
        "smlatt r4, r6, r11, r4\n" \
        "smlabb r6, r5, r11, r12\n" \
        "ssat r10, #8, r10, asr #" SHIFT "\n" \
        "smlabt r6, r7, r11, r6\n" \
        "ssat r4, #8, r4, asr #" SHIFT "\n" \
        "smlatb r5, r5, r11, r12\n" \
        "ssat r6, #8, r6, asr #" SHIFT "\n" \
        "smlatt r5, r7, r11, r5\n" \
        "sxtb16 r7, r8, ror #8\n" \
        "add r1, r1, #8\n" \
        "ssat r5, #8, r5, asr #" SHIFT "\n" \
        "strb r10, [r0]\n" \
        "sxtb16 r8, r8\n" \
        "strb r4, [r0, #2]\n" \
        "add r2, r2, #8\n" \
        "smlabb r10, r8, r11, r12\n" \
        "sxtb16 r4, r9, ror #8\n" \
        "smlatb r8, r8, r11, r12\n" \
        "sxtb16 r9, r9\n" \
        "strb r6, [r0, #1]\n" \
        "smlabt r10, r9, r11, r10\n" \
        "strb r5, [r0, #3]\n" \
        "cmp r1, r3\n" \
        "smlatt r8, r9, r11, r8\n" \
        "smlabb r9, r7, r11, r12\n" \
        "ssat r10, #8, r10, asr #" SHIFT "\n" \
        "smlatb r7, r7, r11, r12\n" \
        "ssat r8, #8, r8, asr #" SHIFT "\n" \
        "smlabt r9, r4, r11, r9\n" \
        "strb r10, [r0, #4]\n" \
        "smlatt r7, r4, r11, r7\n" \
        "ssat r9, #8, r9, asr #" SHIFT "\n" \
        "strb r8, [r0, #6]\n" \
        "ssat r7, #8, r7, asr #" SHIFT "\n" \
        "strb r9, [r0, #5]\n" \
        "strb r7, [r0, #7]\n" \
        "add r0, r0, #8\n" \
        "bne 1b\n" \
        "pop {r4-r11, pc}\n"); \
}
EIGHTS(eights14, "14")
EIGHTS(eights15, "15")
EIGHTS(eights16, "16")
EIGHTS(eights17, "17")

/* The shifts that add_params gives where the larger input scale is between an eighth and twice the
 * output's have a loop of their own. Gives the number of elements done. */
static int32_t eights(int8_t *out, const int8_t *a, const int8_t *b, const tfm_add *add, uint32_t mults) {
    const int32_t n = add->n & ~7;
    if (n == 0) return 0;
    if (add->shift == 14) eights14(out, a, b, a + n, mults, add->bias);
    else if (add->shift == 15) eights15(out, a, b, a + n, mults, add->bias);
    else if (add->shift == 16) eights16(out, a, b, a + n, mults, add->bias);
    else if (add->shift == 17) eights17(out, a, b, a + n, mults, add->bias);
    else return 0;
    return n;
}
#else
static int32_t eights(int8_t *out, const int8_t *a, const int8_t *b, const tfm_add *add, uint32_t mults) {
    (void)out, (void)a, (void)b, (void)add, (void)mults;
    return 0;
}
#endif

int tfm_add_s8_dsp(int8_t *out, const int8_t *a, const int8_t *b, const tfm_add *add) {
    if (!out || !a || !b || !add) return TFM_ERR_NULL;
    if (add->n < 1 || add->n > TFM_MAX_VALUES || add->shift < 0 || add->shift > 20) return TFM_ERR_DIMS;
    const int32_t bias = add->bias, shift = add->shift, n = add->n;
    const uint32_t mults = tfm_pkhbt((uint32_t)add->mult_a, (uint32_t)add->mult_b);
    int32_t i = eights(out, a, b, add, mults);
    for (; n - i >= 4; i += 4) {
        const uint32_t x = tfm_load4(a + i), y = tfm_load4(b + i);
        const uint32_t x02 = tfm_sxtb16(x), x13 = tfm_sxtb16_ror8(x);
        const uint32_t y02 = tfm_sxtb16(y), y13 = tfm_sxtb16_ror8(y);
        /* a pair holds one element of each input: one SMLAD does both products and the bias */
        out[i] = (int8_t)tfm_ssat8(tfm_smlad(tfm_pkhbt(x02, y02), mults, bias) >> shift);
        out[i + 1] = (int8_t)tfm_ssat8(tfm_smlad(tfm_pkhbt(x13, y13), mults, bias) >> shift);
        out[i + 2] = (int8_t)tfm_ssat8(tfm_smlad(tfm_pkhtb(x02, y02), mults, bias) >> shift);
        out[i + 3] = (int8_t)tfm_ssat8(tfm_smlad(tfm_pkhtb(x13, y13), mults, bias) >> shift);
    }
    for (; i < n; i++) out[i] = tfm_sat8((a[i] * add->mult_a + b[i] * add->mult_b + bias) >> shift);
    return TFM_OK;
}
