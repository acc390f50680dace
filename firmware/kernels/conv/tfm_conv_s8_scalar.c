#include "tfm_scalar_patch.h"

int32_t tfm_conv_s8_scalar_scratch_bytes(const tfm_conv_dims *dims) {
    return dims && tfm_conv_dims_ok(dims) ? 16 * dims->kh * dims->kw * dims->cin : -1;
}

int tfm_conv_s8_scalar(int8_t *out, const int8_t *in, const int8_t *weight, const tfm_conv_dims *dims,
                       const tfm_quant *quant, void *scratch, int32_t scratch_bytes) {
    int status = tfm_args_status(out, in, weight, dims, quant);
    if (status) return status;
    if (!tfm_conv_dims_ok(dims)) return TFM_ERR_DIMS;
    status = tfm_scratch_status(scratch, scratch_bytes, tfm_conv_s8_scalar_scratch_bytes(dims));
    if (status) return status;
    const tfm_scalar_patches g = {in, dims, dims->cin, quant->zp_in};
    const int32_t ow = tfm_conv_ow(dims), pixels = tfm_conv_oh(dims) * ow, cout = dims->cout;
    const int32_t n = pixels < TFM_SCALAR_TILE ? pixels : TFM_SCALAR_TILE;
    tfm_scalar_pixel from = {0, 0};
    /* the last tile reaches back so that it is full, too */
    for (int32_t left = pixels - n, step;; left -= step) {
        tfm_scalar_gather((int32_t *)scratch, &g, n, ow, from);
        tfm_scalar_rows_dense(out, (const int32_t *)scratch, weight, dims->kh * dims->kw * dims->cin, cout, quant, n);
        step = left < n ? left : n;
        if (step == 0) return TFM_OK;
        from = tfm_scalar_after(from, step, ow);
        out += step * cout;
    }
}
