#include "tfm_dense_rows.h"

void tfm_dense_expand(uint32_t *x, const int8_t *const in[4], int32_t c) {
    const int32_t tail = c & 3, body = c - tail;
    if (body) tfm_dense_expand4(x, in[0], in[1], in[2], in[3], body / 4);
    if (tail == 0) return;
    uint32_t last[4];
    for (int i = 0; i < 4; i++) last[i] = tfm_load_tail(in[i] + body, tail);
    const int8_t *b = (const int8_t *)last;
    tfm_dense_expand4(x + 2 * body, b, b + 4, b + 8, b + 12, 1);
}

/* Rows a and b of weights as pairs, zeros up to a multiple of eight. */
static inline void expand2(uint32_t *w, const int8_t *a, const int8_t *b, int32_t k) {
    const int32_t tail = k & 7, body = k - tail;
    if (body) tfm_dense_expand2(w, a, b, body / 8);
    if (tail == 0) return;
    int8_t last[16] = {0};
    memcpy(last, a + body, (size_t)tail);
    memcpy(last + 8, b + body, (size_t)tail);
    tfm_dense_expand2(w + body, last, last + 8, 1);
}

/* Groups from x to the one that would start at out_end. */
static inline void groups(tfm_dense_frame *f, const uint32_t *x, const int8_t *out_end, const uint32_t *w_end,
                          int32_t shift) {
#if TFM_HAS_DSP
    if (shift == 0) {
        tfm_dense_groups(f, x, (w_end - f->w) & 8, f->w, f->mult, out_end, w_end);
        return;
    }
#endif
    tfm_dense_groups_c(f, x, out_end, w_end, shift);
}

/* A group that is not whole goes through 4 x 2 bytes of its own. */
static TFM_OUTLINE void part(tfm_dense_frame f, int8_t *out, const uint32_t *x, const uint32_t *w_end,
                             int32_t shift, int32_t pixels, int32_t channels) {
    int8_t own[8];
    const int32_t stride = f.stride;
    f.out = own;
    f.stride = 2;
    groups(&f, x, own + 8, w_end, shift);
    for (int32_t p = 0; p < pixels; p++, out += stride) memcpy(out, own + 2 * p, (size_t)channels);
}

void tfm_dense_rows(int8_t *out, uint32_t *tile, int32_t n, const int8_t *weight, int32_t k, int32_t cout,
                    const tfm_quant *quant) {
    const int32_t k8 = tfm_round8(k), whole = n & ~3;
    uint32_t *const w = tfm_dense_w(tile, k), *const w_end = w + k8;
    tfm_dense_frame f;
    f.w = w, f.zp = quant->zp_out, f.stride = cout;
    for (int32_t c = 0; c < cout; c += 2, out += 2, weight += 2 * k) {
        const int32_t two = c + 1 < cout, d = c + two;
        expand2(w, weight, two ? weight + k : weight, k);
        const int32_t bias_c = tfm_bias(quant, c), bias_d = tfm_bias(quant, d);
        f.bias[0] = f.bias[1] = f.bias[2] = f.bias[3] = bias_c;
        f.bias[4] = f.bias[5] = f.bias[6] = f.bias[7] = bias_d;
        f.mult[0] = quant->mult[c], f.mult[1] = quant->mult[d];
        f.out = out;
        if (two && whole) groups(&f, tile, out + whole * cout, w_end, quant->shift);
        for (int32_t p = two ? whole : 0; p < n; p += 4)
            part(f, out + p * cout, tile + 2 * p * (k8 / 4), w_end, quant->shift, n - p < 4 ? n - p : 4, 1 + two);
    }
}
