#include "tfm_dsp.h"

/* Sums of bytes are kept two in a word; 256 times -128 is the most that 16 bits hold. */
#define MOST 256

/* Add n pixels of 16 channels, `stride` bytes apart, to sum. Of a word of channels (0, 1, 2, 3) the
 * even ones go to one pair of sums and the odd ones to another. */
static TFM_OUTLINE void add16(int32_t sum[16], const int8_t *in, int32_t stride, int32_t n) {
    uint32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0, s4 = 0, s5 = 0, s6 = 0, s7 = 0;
    for (; n > 0; n--, in += stride) {
        const uint32_t x = tfm_load4(in), y = tfm_load4(in + 4);
        s0 = tfm_sxtab16(s0, x), s1 = tfm_sxtab16_ror8(s1, x);
        const uint32_t z = tfm_load4(in + 8);
        s2 = tfm_sxtab16(s2, y), s3 = tfm_sxtab16_ror8(s3, y);
        const uint32_t w = tfm_load4(in + 12);
        s4 = tfm_sxtab16(s4, z), s5 = tfm_sxtab16_ror8(s5, z);
        s6 = tfm_sxtab16(s6, w), s7 = tfm_sxtab16_ror8(s7, w);
    }
    const uint32_t s[8] = {s0, s1, s2, s3, s4, s5, s6, s7};
    for (int i = 0; i < 16; i++) {
        const uint32_t pair = s[i / 4 * 2 + (i & 1)];
        sum[i] += i & 2 ? (int16_t)(pair >> 16) : (int16_t)(pair & 0xFFFFu);
    }
}

/* One channel, where there are no 16. */
static void add1(int32_t *sum, const int8_t *in, int32_t stride, int32_t n) {
    for (; n > 0; n--, in += stride) *sum += *in;
}

int tfm_avgpool_s8_dsp(int8_t *out, const int8_t *in, const tfm_pool *pool) {
    if (!out || !in || !pool) return TFM_ERR_NULL;
    if (!tfm_dim_ok(pool->h) || !tfm_dim_ok(pool->w) || !tfm_dim_ok(pool->c) || !tfm_shift_ok(pool->shift))
        return TFM_ERR_DIMS;
    const int32_t pixels = pool->h * pool->w, c = pool->c;
    for (int32_t at = 0, n; at < c; at += n) {
        int32_t sum[16];
        if (c >= 16 && c - at < 16) at = c - 16; /* some channels twice rather than one at a time */
        n = c < 16 ? 1 : 16;
        for (int32_t i = 0; i < n; i++) sum[i] = pool->bias;
        const int8_t *from = in + at;
        for (int32_t left = pixels; left > 0; left -= MOST, from += MOST * c) {
            if (n == 16) add16(sum, from, c, left < MOST ? left : MOST);
            else add1(sum, from, c, left < MOST ? left : MOST);
        }
        for (int32_t i = 0; i < n; i++)
            out[at + i] = (int8_t)tfm_requant0(tfm_shl(sum[i], pool->shift), pool->mult, pool->zp_out);
    }
    return TFM_OK;
}
