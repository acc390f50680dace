#include "tfm_scalar.h"

/* A tap: where its first channel lies from the patch's corner on, and in the weights. */
typedef struct { int32_t in, weight; } tap;

int32_t tfm_depthwise_s8_scalar_scratch_bytes(const tfm_conv_dims *dims) {
    if (!dims || !tfm_conv_dims_ok(dims) || dims->cin != dims->cout) return -1;
    return (int32_t)sizeof(tap) * dims->kh * dims->kw;
}

/* The taps of the patch at (y0, x0): those inside from the front, those outside from the back. Gives how many are inside. */
static int32_t sort_taps(tap *taps, const tfm_conv_dims *d, int32_t y0, int32_t x0) {
    int32_t inside = 0, outside = d->kh * d->kw, at = 0;
    for (int32_t ky = 0, y = y0; ky < d->kh; ky++, y += d->dh) {
        for (int32_t kx = 0, x = x0; kx < d->kw; kx++, x += d->dw, at += d->cin) {
            const int in = y >= 0 && y < d->h && x >= 0 && x < d->w;
            tap *const t = in ? taps + inside++ : taps + --outside;
            t->in = ((y - y0) * d->w + x - x0) * d->cin, t->weight = at;
        }
    }
    return inside;
}

/* Channels of one output pixel; in: its patch's corner, which may lie outside the input. */
static void pixel(int8_t *out, const int8_t *in, int32_t corner, const int8_t *weight, const tfm_conv_dims *d,
                  const tfm_quant *q, const tap *taps, int32_t inside) {
    const int32_t all = d->kh * d->kw;
    const tap *const mid = taps + inside, *const end = taps + all;
    for (int32_t c = 0; c < d->cin; c++, weight++) {
        int32_t acc = 0;
        const tap *t = mid;
        for (; t < end; t++) acc += weight[t->weight];
        acc = acc * q->zp_in + tfm_bias(q, c);
        for (t = taps; t < mid; t++) acc += in[corner + t->in] * weight[t->weight];
        corner++;
        *out++ = tfm_requant(acc, q->mult[c], q->shift, q->zp_out);
    }
}

int tfm_depthwise_s8_scalar(int8_t *out, const int8_t *in, const int8_t *weight, const tfm_conv_dims *dims,
                            const tfm_quant *quant, void *scratch, int32_t scratch_bytes) {
    const tfm_conv_dims *const d = dims;
    const int status = tfm_all_status(out, in, weight, dims, quant, scratch, scratch_bytes,
                                      tfm_depthwise_s8_scalar_scratch_bytes(dims));
    if (status) return status;
    const int32_t oh = tfm_conv_oh(d), ow = tfm_conv_ow(d), rows = tfm_span(d->kh, d->dh), columns = tfm_span(d->kw, d->dw);
    tap *const taps = (tap *)scratch;
    int32_t inside = -1;
    for (int32_t y = 0, y0 = -d->top; y < oh; y++, y0 += d->sh) {
        for (int32_t x = 0, x0 = -d->left; x < ow; x++, x0 += d->sw, out += d->cin) {
            /* patches that lie inside are all alike */
            const int whole = y0 >= 0 && y0 + rows <= d->h && x0 >= 0 && x0 + columns <= d->w;
            if (!whole || inside != d->kh * d->kw) inside = sort_taps(taps, d, y0, x0);
            pixel(out, in, (y0 * d->w + x0) * d->cin, weight, d, quant, taps, inside);
        }
    }
    return TFM_OK;
}
