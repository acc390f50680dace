#include "tfm_dsp.h"

#if TFM_HAS_DSP && defined(__OPTIMIZE__)
/* Elements 0 to end - a, a multiple of eight: a word of each input makes two pairs of halves, each
 * half is multiplied where it stands, and the shift is part of the saturation. 49 instructions and
 * 27 cycles for eight elements, in the order that issues best. A word is read before its bytes are
 * written, so out may be an input. */
#define EIGHTS(NAME, SHIFT) \
static TFM_OUTLINE void NAME(int8_t *o, const int8_t *a, const int8_t *b, const int8_t *end, uint32_t m, int32_t bias) { \
    uint32_t x, x2, y, y2, v, z, e; \
    __asm volatile( \
        "1:\n" \
        "ldr %[y], [%[b]]\n" \
        "ldr %[x], [%[a]]\n" \
        "sxtb16 %[x2], %[x], ror #8\n" \
        "ldr %[v], [%[a], #4]\n" \
        "sxtb16 %[x], %[x]\n" \
        "sxtb16 %[y2], %[y], ror #8\n" \
        "smlabb %[e], %[x], %[m], %[bias]\n" \
        "sxtb16 %[y], %[y]\n" \
        "smlatb %[x], %[x], %[m], %[bias]\n" \
        "ldr %[z], [%[b], #4]\n" \
        "smlabt %[e], %[y], %[m], %[e]\n" \
        "smlatt %[x], %[y], %[m], %[x]\n" \
        "smlabb %[y], %[x2], %[m], %[bias]\n" \
        "ssat %[e], #8, %[e], asr #" SHIFT "\n" \
        "smlabt %[y], %[y2], %[m], %[y]\n" \
        "ssat %[x], #8, %[x], asr #" SHIFT "\n" \
        "smlatb %[x2], %[x2], %[m], %[bias]\n" \
        "ssat %[y], #8, %[y], asr #" SHIFT "\n" \
        "smlatt %[x2], %[y2], %[m], %[x2]\n" \
        "sxtb16 %[y2], %[v], ror #8\n" \
        "add %[a], %[a], #8\n" \
        "ssat %[x2], #8, %[x2], asr #" SHIFT "\n" \
        "strb %[e], [%[o]]\n" \
        "sxtb16 %[v], %[v]\n" \
        "strb %[x], [%[o], #2]\n" \
        "add %[b], %[b], #8\n" \
        "smlabb %[e], %[v], %[m], %[bias]\n" \
        "sxtb16 %[x], %[z], ror #8\n" \
        "smlatb %[v], %[v], %[m], %[bias]\n" \
        "sxtb16 %[z], %[z]\n" \
        "strb %[y], [%[o], #1]\n" \
        "smlabt %[e], %[z], %[m], %[e]\n" \
        "strb %[x2], [%[o], #3]\n" \
        "cmp %[a], %[end]\n" \
        "smlatt %[v], %[z], %[m], %[v]\n" \
        "smlabb %[z], %[y2], %[m], %[bias]\n" \
        "ssat %[e], #8, %[e], asr #" SHIFT "\n" \
        "smlatb %[y2], %[y2], %[m], %[bias]\n" \
        "ssat %[v], #8, %[v], asr #" SHIFT "\n" \
        "smlabt %[z], %[x], %[m], %[z]\n" \
        "strb %[e], [%[o], #4]\n" \
        "smlatt %[y2], %[x], %[m], %[y2]\n" \
        "ssat %[z], #8, %[z], asr #" SHIFT "\n" \
        "strb %[v], [%[o], #6]\n" \
        "ssat %[y2], #8, %[y2], asr #" SHIFT "\n" \
        "strb %[z], [%[o], #5]\n" \
        "strb %[y2], [%[o], #7]\n" \
        "add %[o], %[o], #8\n" \
        "bne 1b\n" \
        : [o] "+r"(o), [a] "+r"(a), [b] "+r"(b), [x] "=&r"(x), [x2] "=&r"(x2), [y] "=&r"(y), [y2] "=&r"(y2), \
          [v] "=&r"(v), [z] "=&r"(z), [e] "=&r"(e) : [m] "r"(m), [bias] "r"(bias), [end] "r"(end) : "cc", "memory"); \
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
