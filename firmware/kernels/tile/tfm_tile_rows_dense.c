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

/* The last n weights of two rows, and zeros up to eight. */
static TFM_OUTLINE void expand_last(uint32_t *w, const int8_t *a, const int8_t *b, int32_t n) {
    int8_t last[16] = {0};
    for (int32_t i = 0; i < n; i++) last[i] = a[i], last[i + 8] = b[i];
    tfm_dense_expand2(w, last, last + 8, 1);
}

/* Rows a and b of k weights as pairs. Whole eights are read, into the rows that follow, as far as `end` allows. */
static inline void expand_rows(uint32_t *w, const int8_t *a, const int8_t *b, int32_t k, const int8_t *end) {
    const int32_t tail = end - b < tfm_round8(k) ? k & 7 : 0, body = tail ? k - tail : tfm_round8(k);
    if (body) tfm_dense_expand2(w, a, b, body / 8);
    if (tail) expand_last(w + body, a + body, b + body, tail);
}

/* Groups from x to the one whose output would start at out_end. */
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

/* The pixels p to n - 1, the first at f->out, where groups are not whole or one of the channels is not there: they go
 * through 4 x 2 bytes. */
static TFM_OUTLINE void parts(tfm_dense_frame *f, const uint32_t *tile, int32_t p, int32_t n, int32_t channels,
                              const uint32_t *w_end, int32_t shift) {
    int8_t own[8], *out = f->out;
    const int32_t stride = f->stride, words = 2 * (int32_t)(w_end - f->w);
    f->stride = 2;
    for (const uint32_t *x = tile + p / 4 * words; p < n; x += words) {
        f->out = own;
        groups(f, x, own + 8, w_end, shift);
        for (int32_t i = 0; i < 4 && p < n; i++, p++, out += stride) {
            out[0] = own[2 * i];
            if (channels == 2) out[1] = own[2 * i + 1];
        }
    }
    f->stride = stride;
}

void tfm_dense_rows(int8_t *out, uint32_t *tile, int32_t n, const int8_t *weight, int32_t k, int32_t cout,
                    const tfm_quant *quant) {
    static const int32_t zero = 0;
    const int32_t k8 = tfm_round8(k), shift = quant->shift, step = quant->bias ? 1 : 0;
    const int8_t *const end = weight + k * cout;
    const int32_t *bias = quant->bias ? quant->bias : &zero, *mult = quant->mult, *const last = mult + cout - 1;
    uint32_t *const w = tfm_dense_w(tile, k), *const w_end = w + k8;
    tfm_dense_frame f;
    f.w = w, f.zp = quant->zp_out, f.stride = cout;
    for (; mult <= last; mult += 2, bias += 2 * step, out += 2) {
        const int32_t one = mult == last; /* a last channel without a partner stands in for it, too */
        const int8_t *const b = one ? weight : weight + k;
        expand_rows(w, weight, b, k, end);
        weight += 2 * k;
        f.bias[0] = f.bias[1] = f.bias[2] = f.bias[3] = bias[0];
        f.bias[4] = f.bias[5] = f.bias[6] = f.bias[7] = one ? bias[0] : bias[step];
        f.mult[0] = mult[0], f.mult[1] = mult[one ? 0 : 1];
        f.out = out;
        const int32_t whole = one ? 0 : n & ~3;
        if (whole) groups(&f, tile, out + whole * cout, w_end, shift);
        if (whole < n) parts(&f, tile, whole, n, one ? 1 : 2, w_end, shift);
    }
}
