#include "tfm_tile.h"

static void put1(int16_t *t, const int8_t *in, int32_t c) {
    for (int32_t i = 0; i < c; i++, t += 8) *t = in[i];
}

/* one word of four channels to two pair words */
static inline void put2(uint32_t *t, uint32_t x) {
    const uint32_t even = tfm_sxtb16(x), odd = tfm_sxtb16_ror8(x);
    t[0] = tfm_pkhbt(even, odd);
    t[8] = tfm_pkhtb(even, odd);
}

static inline void put4(uint32_t *t, uint32_t x) {
    t[0] = tfm_sxtb16(x);
    t[8] = tfm_sxtb16_ror8(x);
}

void tfm_tile_expand(uint32_t *tile, int32_t p, int32_t k0, const int8_t *in, int32_t c, int32_t block) {
    if (block == 1) {
        put1((int16_t *)(void *)tile + k0 * 8 + p, in, c);
        return;
    }
    uint32_t *t = tile + k0 * 4 + p; /* 4 words of 8 pixels for every 8 channels: 4 per channel */
    const int32_t tail = c & 3;
    if (block == 2) {
        for (const int8_t *end = in + (c - tail); in < end; in += 4, t += 16) put2(t, tfm_load4(in));
        if (tail == 3) put2(t, tfm_load_tail(in, 3));
        else if (tail) t[0] = tfm_pkhbt((uint32_t)in[0], tail == 2 ? (uint32_t)in[1] : 0);
    } else {
        for (const int8_t *end = in + (c - tail); in < end; in += 4, t += 16) put4(t, tfm_load4(in));
        if (tail) put4(t, tfm_load_tail(in, tail));
    }
}

void tfm_tile_fill(uint32_t *tile, int32_t p, int32_t k0, int32_t value, int32_t c, int32_t block) {
    if (block == 1) {
        int16_t *t = (int16_t *)(void *)tile + k0 * 8 + p;
        for (int32_t i = 0; i < c; i++, t += 8) *t = (int16_t)value;
        return;
    }
    uint32_t *t = tile + k0 * 4 + p;
    const uint32_t pair = tfm_pkhbt((uint32_t)value, (uint32_t)value);
    for (int32_t i = 0; i < tfm_padded(c, block); i += 2, t += 8) *t = pair; /* padded weights are 0 */
}

#if TFM_HAS_DSP
/* 18 instructions for four channels of four pixels; the channels are in to end - 1, a multiple of 4. */
TFM_NAKED static void four(
    TFM_UNUSED uint32_t *t, TFM_UNUSED const int8_t *in, TFM_UNUSED int32_t step, TFM_UNUSED const int8_t *end) {
    __asm volatile(
        "push {r4-r10, lr}\n"
        "add lr, r2, r2, lsl #1\n"
        "1: ldr r4, [r1, r2]\n"
        "ldr r5, [r1, r2, lsl #1]\n"
        "ldr r6, [r1, lr]\n"
        "ldr r7, [r1], #4\n"
        "sxtb16 r9, r4\n"
        "sxtb16 r10, r5\n"
        "sxtb16 r12, r6\n"
        "sxtb16 r8, r7\n"
        "sxtb16 r4, r4, ror #8\n"
        "sxtb16 r7, r7, ror #8\n"
        "stm r0, {r8, r9, r10, r12}\n"
        "sxtb16 r5, r5, ror #8\n"
        "strd r7, r4, [r0, #32]\n"
        "sxtb16 r6, r6, ror #8\n"
        "cmp r1, r3\n"
        "strd r5, r6, [r0, #40]\n"
        "add r0, r0, #64\n"
        "bne 1b\n"
        "pop {r4-r10, pc}\n");
}
#endif

void tfm_tile_expand4(uint32_t *tile, int32_t p, int32_t k0, const int8_t *in, int32_t step, int32_t c,
                      int32_t block) {
    int32_t body = 0; /* channels done four pixels at a time */
#if TFM_HAS_DSP
    if (block == 4 && c >= 4) body = c & ~3, four(tile + k0 * 4 + p, in, step, in + body);
#endif
    if (body == c) return;
    for (int32_t i = 0; i < 4; i++, in += step) tfm_tile_expand(tile, p + i, k0 + body, in + body, c - body, block);
}
