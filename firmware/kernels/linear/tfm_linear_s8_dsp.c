#include "tfm_dense.h"
#include "tfm_fc.h"

int32_t tfm_linear_s8_dsp_scratch_bytes(const tfm_linear_dims *dims) {
    if (!dims || !tfm_linear_dims_ok(dims)) return -1;
    return dims->pixels == 1 ? tfm_fc_bytes(dims->cin) : tfm_dense_tile_bytes(1, dims->cin);
}

/* A single pixel: two rows at a time, the last one twice when their number is odd. */
static void one_pixel(int8_t *out, const int8_t *in, const int8_t *weight, int32_t k, int32_t cout,
                      const tfm_quant *quant, uint32_t *x) {
    tfm_fc_expand(x, in, k);
    for (int32_t c = 0; c < cout; c += 2, weight += 2 * k) {
        const int32_t d = c + 1 < cout ? c + 1 : c;
        int32_t acc[2] = {tfm_bias(quant, c), tfm_bias(quant, d)};
        tfm_fc_rows(acc, x, weight, weight + (d - c) * k, k);
        out[c] = (int8_t)tfm_requant0(tfm_shl(acc[0], quant->shift), quant->mult[c], quant->zp_out);
        out[d] = (int8_t)tfm_requant0(tfm_shl(acc[1], quant->shift), quant->mult[d], quant->zp_out);
    }
}

int tfm_linear_s8_dsp(int8_t *out, const int8_t *in, const int8_t *weight, const tfm_linear_dims *dims,
                      const tfm_quant *quant, void *scratch, int32_t scratch_bytes) {
    int status = tfm_args_status(out, in, weight, dims, quant);
    if (status) return status;
    if (!tfm_linear_dims_ok(dims)) return TFM_ERR_DIMS;
    status = tfm_scratch_status(scratch, scratch_bytes, tfm_linear_s8_dsp_scratch_bytes(dims));
    if (status) return status;
    const int32_t cin = dims->cin, cout = dims->cout;
    if (dims->pixels == 1) {
        one_pixel(out, in, weight, cin, cout, quant, (uint32_t *)scratch);
        return TFM_OK;
    }
    tfm_dense_clear((uint32_t *)scratch, cin);
    for (int32_t left = dims->pixels; left > 0; left -= TFM_DENSE_TILE, out += TFM_DENSE_TILE * cout) {
        const int32_t n = left < TFM_DENSE_TILE ? left : TFM_DENSE_TILE;
        for (int32_t p = 0; p < n; p += 4) { /* a pixel past the end repeats the last one */
            const int32_t rest = n - p - 1;
            const int8_t *const four[4] = {in, in + (rest < 1 ? rest : 1) * cin, in + (rest < 2 ? rest : 2) * cin,
                                           in + (rest < 3 ? rest : 3) * cin};
            tfm_dense_expand(tfm_dense_x((uint32_t *)scratch, cin, p / 4, 0), four, cin);
            in += 4 * cin;
        }
        tfm_dense_rows(out, (uint32_t *)scratch, n, weight, cin, cout, quant);
    }
    return TFM_OK;
}
