#include "tfm_math.h"

int32_t tfm_conv_s8_ref_scratch_bytes(const tfm_conv_dims *dims) {
    return dims && tfm_conv_dims_ok(dims) ? 0 : -1;
}

/* acc + one row of taps at input position (y0, x0); w_n is [kh][kw][cin] */
static int32_t patch_dot(const int8_t *in, const int8_t *w_n, const tfm_conv_dims *d, int32_t y0, int32_t x0,
                         int32_t zp, int32_t acc) {
    for (int32_t ky = 0; ky < d->kh; ky++) {
        for (int32_t kx = 0; kx < d->kw; kx++, w_n += d->cin) {
            const int32_t y = y0 + ky * d->dh, x = x0 + kx * d->dw;
            const int inside = y >= 0 && y < d->h && x >= 0 && x < d->w;
            const int8_t *in_yx = inside ? in + (y * d->w + x) * d->cin : in;
            for (int32_t k = 0; k < d->cin; k++) acc += (inside ? in_yx[k] : zp) * w_n[k];
        }
    }
    return acc;
}

int tfm_conv_s8_ref(int8_t *out, const int8_t *in, const int8_t *weight, const tfm_conv_dims *dims,
                    const tfm_quant *quant, void *scratch, int32_t scratch_bytes) {
    const int status = tfm_args_status(out, in, weight, dims, quant);
    if (status) return status;
    if (!tfm_conv_dims_ok(dims)) return TFM_ERR_DIMS;
    (void)scratch, (void)scratch_bytes;
    const int32_t oh = tfm_conv_oh(dims), ow = tfm_conv_ow(dims), k = dims->kh * dims->kw * dims->cin;
    for (int32_t y = 0; y < oh; y++) {
        for (int32_t x = 0; x < ow; x++) {
            const int32_t y0 = y * dims->sh - dims->top, x0 = x * dims->sw - dims->left;
            for (int32_t n = 0; n < dims->cout; n++) {
                const int32_t acc = patch_dot(in, weight + n * k, dims, y0, x0, quant->zp_in, tfm_bias(quant, n));
                *out++ = tfm_requant(acc, quant->mult[n], quant->shift, quant->zp_out);
            }
        }
    }
    return TFM_OK;
}
