#include "tfm_dense.h"

int32_t tfm_linear_s8_dsp_scratch_bytes(const tfm_linear_dims *dims) {
    return dims && tfm_linear_dims_ok(dims) ? tfm_dense_tile_bytes(1, dims->cin) : -1;
}

int tfm_linear_s8_dsp(int8_t *out, const int8_t *in, const int8_t *weight, const tfm_linear_dims *dims,
                      const tfm_quant *quant, void *scratch, int32_t scratch_bytes) {
    int status = tfm_args_status(out, in, weight, dims, quant);
    if (status) return status;
    if (!tfm_linear_dims_ok(dims)) return TFM_ERR_DIMS;
    status = tfm_scratch_status(scratch, scratch_bytes, tfm_linear_s8_dsp_scratch_bytes(dims));
    if (status) return status;
    const int32_t cin = dims->cin, cout = dims->cout;
    for (int32_t left = dims->pixels; left > 0; left -= TFM_DENSE_TILE, out += TFM_DENSE_TILE * cout) {
        const int32_t n = left < TFM_DENSE_TILE ? left : TFM_DENSE_TILE;
        for (int32_t p = 0; p < n; p += 4) { /* a pixel past the end repeats the last one */
            const int32_t rest = n - p - 1;
            const int8_t *const four[4] = {in, in + (rest < 1 ? rest : 1) * cin, in + (rest < 2 ? rest : 2) * cin,
                                           in + (rest < 3 ? rest : 3) * cin};
            tfm_dense_expand(tfm_dense_x(scratch, cin, p / 4, 0), four, cin);
            in += 4 * cin;
        }
        tfm_dense_rows(out, scratch, n, weight, cin, cout, quant);
    }
    return TFM_OK;
}
