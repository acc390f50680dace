#include "tfm_scalar.h"

int32_t tfm_linear_s8_scalar_scratch_bytes(const tfm_linear_dims *dims) {
    if (!dims || !tfm_linear_dims_ok(dims)) return -1;
    return dims->pixels < TFM_SCALAR_TILE ? 0 : 16 * dims->cin;
}

static void one_pixel(int8_t *out, const int8_t *in, const int8_t *weight, int32_t k, int32_t cout, const tfm_quant *quant) {
    for (int32_t row = 0; row < cout; row++) {
        int32_t acc = tfm_bias(quant, row);
        for (int32_t i = 0; i < k; i++) acc += in[i] * *weight++;
        out[row] = tfm_requant(acc, quant->mult[row], quant->shift, quant->zp_out);
    }
}

int tfm_linear_s8_scalar(int8_t *out, const int8_t *in, const int8_t *weight, const tfm_linear_dims *dims,
                         const tfm_quant *quant, void *scratch, int32_t scratch_bytes) {
    int status = tfm_args_status(out, in, weight, dims, quant);
    if (status) return status;
    if (!tfm_linear_dims_ok(dims)) return TFM_ERR_DIMS;
    status = tfm_scratch_status(scratch, scratch_bytes, tfm_linear_s8_scalar_scratch_bytes(dims));
    if (status) return status;
    const int32_t cin = dims->cin, cout = dims->cout, last = dims->pixels - TFM_SCALAR_TILE;
    if (last < 0)
        for (int32_t p = 0; p < dims->pixels; p++) one_pixel(out + p * cout, in + p * cin, weight, cin, cout, quant);
    /* the last tile reaches back so that it is full, too */
    for (int32_t at = 0; at <= last; at += at < last && at + TFM_SCALAR_TILE > last ? last - at : TFM_SCALAR_TILE) {
        tfm_scalar_expand((int32_t *)scratch, in + at * cin, cin, cin, cin);
        tfm_scalar_rows_dense(out + at * cout, (const int32_t *)scratch, weight, cin, cout, quant, TFM_SCALAR_TILE);
    }
    return TFM_OK;
}
