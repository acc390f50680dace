#include "tfm_math.h"

int32_t tfm_conv_s8_rle_ref_scratch_bytes(const tfm_conv_dims *dims) {
    return dims && tfm_conv_dims_ok(dims) ? 0 : -1;
}

/* acc + the kept blocks of one row at input position (y0, x0); *walk moves to the next row */
static int32_t row_dot(tfm_rle_walk *walk, int32_t block, const int8_t *in, const tfm_conv_dims *d,
                       int32_t y0, int32_t x0, int32_t zp, int32_t acc) {
    const int32_t tap_blocks = tfm_div(tfm_padded(d->cin, block), block);
    if (!tfm_rle_row(walk)) return acc;
    do {
        const int32_t at = tfm_rle_next(walk), tap = tfm_div(at, tap_blocks), k0 = (at - tap * tap_blocks) * block;
        const int32_t y = y0 + tfm_div(tap, d->kw) * d->dh, x = x0 + tfm_mod(tap, d->kw) * d->dw;
        const int inside = y >= 0 && y < d->h && x >= 0 && x < d->w;
        const int8_t *in_yx = inside ? in + (y * d->w + x) * d->cin : in;
        const int32_t n = d->cin - k0 < block ? d->cin - k0 : block; /* the rest is padding */
        for (int32_t i = 0; i < n; i++) acc += (inside ? in_yx[k0 + i] : zp) * (int8_t)walk->at[i];
        walk->at += block;
    } while (tfm_rle_more(walk));
    return acc;
}

int tfm_conv_s8_rle_ref(int8_t *out, const int8_t *in, const tfm_rle *weight, const tfm_conv_dims *dims,
                        const tfm_quant *quant, void *scratch, int32_t scratch_bytes) {
    int status = tfm_args_status(out, in, weight, dims, quant);
    if (!status) status = tfm_rle_status(weight, dims->cout);
    if (status) return status;
    if (!tfm_conv_dims_ok(dims)) return TFM_ERR_DIMS;
    (void)scratch, (void)scratch_bytes;
    const int32_t block = weight->block, taps = dims->kh * dims->kw;
    status = tfm_rle_check(weight, dims->cout, taps * tfm_div(tfm_padded(dims->cin, block), block));
    if (status) return status;
    const int32_t oh = tfm_conv_oh(dims), ow = tfm_conv_ow(dims);
    for (int32_t y = 0; y < oh; y++) {
        for (int32_t x = 0; x < ow; x++) {
            const int32_t y0 = y * dims->sh - dims->top, x0 = x * dims->sw - dims->left;
            tfm_rle_walk walk = {weight->stream, 0, 0};
            for (int32_t n = 0; n < dims->cout; n++) {
                const int32_t acc = row_dot(&walk, block, in, dims, y0, x0, quant->zp_in, tfm_bias(quant, n));
                *out++ = tfm_requant(acc, quant->mult[n], quant->shift, quant->zp_out);
            }
        }
    }
    return TFM_OK;
}
