#include "tfm_dsp.h"

int32_t tfm_depthwise_s8_dsp_scratch_bytes(const tfm_conv_dims *dims) {
    return dims && tfm_conv_dims_ok(dims) && dims->cin == dims->cout ? 0 : -1;
}

/* Padding equals zp, so with x - zp in place of x it drops out of the sum: only the taps inside the
 * input are visited, and zp * (sum of all weights) is added once, here. */
static int32_t start(const int8_t *w, const tfm_conv_dims *d, int32_t zp, int32_t bias) {
    int32_t sum = 0;
    for (int32_t t = 0; t < d->kh * d->kw; t++) sum += w[t * d->cin];
    return bias + zp * sum;
}

/* First and one past last tap of a window at position `at` that lie inside 0..size-1. */
static inline int32_t first_tap(int32_t at) { return at < 0 ? -at : 0; }

static inline int32_t end_tap(int32_t at, int32_t size, int32_t taps) { return size - at < taps ? size - at : taps; }

#define MAX_TAPS 9 /* of the fast form; a larger kernel takes the channels one by one */

/* One tap of four channels: a[0..3] are channels 0, 2, 1, 3; w[0], w[1] their weights as pairs. */
static inline void tap(const int8_t *in, const uint32_t *w, uint32_t minus_zp, int32_t a[4]) {
    const uint32_t i = tfm_load4(in), w02 = w[0], w13 = w[1];
    const uint32_t i02 = tfm_sxtab16(minus_zp, i), i13 = tfm_sxtab16_ror8(minus_zp, i);
    a[0] = tfm_smlabb(i02, w02, a[0]), a[1] = tfm_smlatt(i02, w02, a[1]);
    a[2] = tfm_smlabb(i13, w13, a[2]), a[3] = tfm_smlatt(i13, w13, a[3]);
}

static inline int8_t finish(int32_t acc, int32_t mult, int32_t shift, int32_t zp) {
    return (int8_t)tfm_requant0(tfm_shl(acc, shift), mult, zp);
}

/* Weights of four channels as pairs, once for all pixels. */
static void widen4(uint32_t wide[2 * MAX_TAPS], const int8_t *weight, const tfm_conv_dims *d) {
    for (int32_t t = 0; t < d->kh * d->kw; t++) {
        const uint32_t w = tfm_load4(weight + t * d->cin);
        wide[2 * t] = tfm_sxtb16(w);
        wide[2 * t + 1] = tfm_sxtb16_ror8(w);
    }
}

/* Channels c..c+3 of every output pixel; in, weight, out point at channel c. */
static void channels4(int8_t *out, const int8_t *in, const int8_t *weight, const tfm_conv_dims *d,
                      const tfm_quant *quant, int32_t c) {
    const int32_t oh = tfm_conv_oh(d), ow = tfm_conv_ow(d), zp_in = quant->zp_in, zp = quant->zp_out, shift = quant->shift;
    const int32_t n = d->cin, width = d->w, kw = d->kw, stride = d->stride, pad = d->pad;
    const int32_t *mult = quant->mult + c;
    const uint32_t minus_zp = tfm_pkhbt((uint32_t)-zp_in, (uint32_t)-zp_in);
    int32_t first[4];
    for (int32_t i = 0; i < 4; i++) first[i] = start(weight + i, d, zp_in, tfm_bias(quant, c + i));
    uint32_t wide[2 * MAX_TAPS];
    widen4(wide, weight, d);
    for (int32_t y = -pad; y < oh * stride - pad; y += stride) {
        const int32_t y0 = first_tap(y), y1 = end_tap(y, d->h, d->kh);
        for (int32_t x = -pad; x < ow * stride - pad; x += stride, out += n) {
            const int32_t x0 = first_tap(x), taps = end_tap(x, width, kw) - x0;
            int32_t a[4] = {first[0], first[2], first[1], first[3]};
            for (int32_t ky = y0; ky < y1 && taps > 0; ky++) {
                const int8_t *in_x = in + ((y + ky) * width + x + x0) * n;
                const uint32_t *w = wide + 2 * (ky * kw + x0);
                if (taps == 3) { /* inside the map */
                    tap(in_x, w, minus_zp, a);
                    tap(in_x + n, w + 2, minus_zp, a);
                    tap(in_x + 2 * n, w + 4, minus_zp, a);
                } else {
                    for (int32_t i = 0; i < taps; i++) tap(in_x + i * n, w + 2 * i, minus_zp, a);
                }
            }
            out[0] = finish(a[0], mult[0], shift, zp);
            out[1] = finish(a[2], mult[1], shift, zp);
            out[2] = finish(a[1], mult[2], shift, zp);
            out[3] = finish(a[3], mult[3], shift, zp);
        }
    }
}

/* One channel, for the up to three that do not fill a word. */
static void channel(int8_t *out, const int8_t *in, const int8_t *weight, const tfm_conv_dims *d,
                    const tfm_quant *quant, int32_t c) {
    const int32_t oh = tfm_conv_oh(d), ow = tfm_conv_ow(d), n = d->cin;
    const int32_t s = start(weight, d, quant->zp_in, tfm_bias(quant, c));
    for (int32_t y = -d->pad; y < oh * d->stride - d->pad; y += d->stride) {
        for (int32_t x = -d->pad; x < ow * d->stride - d->pad; x += d->stride, out += n) {
            int32_t acc = s;
            for (int32_t ky = first_tap(y); ky < end_tap(y, d->h, d->kh); ky++)
                for (int32_t kx = first_tap(x); kx < end_tap(x, d->w, d->kw); kx++)
                    acc += (in[((y + ky) * d->w + x + kx) * n] - quant->zp_in) * weight[(ky * d->kw + kx) * n];
            *out = finish(acc, quant->mult[c], quant->shift, quant->zp_out);
        }
    }
}

int tfm_depthwise_s8_dsp(int8_t *out, const int8_t *in, const int8_t *weight, const tfm_conv_dims *dims,
                         const tfm_quant *quant, void *scratch, int32_t scratch_bytes) {
    const int status = tfm_args_status(out, in, weight, dims, quant);
    if (status) return status;
    if (!tfm_conv_dims_ok(dims) || dims->cin != dims->cout) return TFM_ERR_DIMS;
    (void)scratch, (void)scratch_bytes;
    int32_t c = 0;
    const int32_t fours = dims->kh * dims->kw <= MAX_TAPS ? dims->cin & ~3 : 0;
    for (; c < fours; c += 4) channels4(out + c, in + c, weight + c, dims, quant, c);
    for (; c < dims->cin; c++) channel(out + c, in + c, weight + c, dims, quant, c);
    return TFM_OK;
}
