#include "tfm_depthwise.h"

int32_t tfm_depthwise_s8_dsp_scratch_bytes(const tfm_conv_dims *dims) {
    if (!dims || !tfm_conv_dims_ok(dims) || dims->cin != dims->cout) return -1;
    return tfm_depthwise3x3_ok(dims) ? tfm_depthwise3x3_scratch_bytes(dims) : 0;
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

/* Any kernel size, stride and padding: one channel after the other. */
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
            *out = tfm_requant(acc, quant->mult[c], quant->shift, quant->zp_out);
        }
    }
}

/* Status of the arguments that both forms share. */
static int args_status(const int8_t *out, const int8_t *in, const int8_t *weight, const tfm_conv_dims *dims,
                       const tfm_quant *quant, const void *scratch, int32_t scratch_bytes) {
    const int status = tfm_args_status(out, in, weight, dims, quant);
    if (status) return status;
    const int32_t need = tfm_depthwise_s8_dsp_scratch_bytes(dims);
    return need < 0 ? TFM_ERR_DIMS : tfm_scratch_status(scratch, scratch_bytes, need);
}

int tfm_depthwise_s8_dsp(int8_t *out, const int8_t *in, const int8_t *weight, const tfm_conv_dims *dims,
                         const tfm_quant *quant, void *scratch, int32_t scratch_bytes) {
    const int status = args_status(out, in, weight, dims, quant, scratch, scratch_bytes);
    if (status) return status;
    if (tfm_depthwise3x3_ok(dims))
        tfm_depthwise3x3_rows(out, in, dims->h, weight, dims, quant, 0, tfm_conv_oh(dims), scratch);
    else
        for (int32_t c = 0; c < dims->cin; c++) channel(out + c, in + c, weight + c, dims, quant, c);
    return TFM_OK;
}

int tfm_depthwise_s8_dsp_rows(int8_t *out, const int8_t *in, const int8_t *weight, const tfm_conv_dims *dims,
                              const tfm_quant *quant, const tfm_band *band, void *scratch, int32_t scratch_bytes) {
    if (!band) return TFM_ERR_NULL;
    const int status = args_status(out, in, weight, dims, quant, scratch, scratch_bytes);
    if (status) return status;
    if (!tfm_depthwise3x3_ok(dims) || !tfm_band_ok(band, dims)) return TFM_ERR_DIMS;
    tfm_depthwise3x3_rows(out, in, band->ring, weight, dims, quant, band->first, band->end, scratch);
    return TFM_OK;
}
