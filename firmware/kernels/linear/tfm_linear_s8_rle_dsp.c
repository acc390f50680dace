#include "tfm_tile.h"

int32_t tfm_linear_s8_rle_dsp_scratch_bytes(const tfm_linear_dims *dims) {
    return dims && tfm_linear_dims_ok(dims) ? 16 * tfm_round4(dims->cin) : -1;
}

int tfm_linear_s8_rle_dsp(int8_t *out, const int8_t *in, const tfm_rle *weight, const tfm_linear_dims *dims,
                          const tfm_quant *quant, void *scratch, int32_t scratch_bytes) {
    int status = tfm_args_status(out, in, weight, dims, quant);
    if (!status) status = tfm_rle_status(weight, dims->cout);
    if (status) return status;
    if (!tfm_linear_dims_ok(dims)) return TFM_ERR_DIMS;
    status = tfm_scratch_status(scratch, scratch_bytes, tfm_linear_s8_rle_dsp_scratch_bytes(dims));
    if (status) return status;
    const int32_t cin = dims->cin, cout = dims->cout, block = weight->block;
    uint32_t *tile = scratch;
    for (int32_t left = dims->pixels; left > 0; left -= TFM_TILE, out += TFM_TILE * cout) {
        const tfm_tile_out to = {out, left < TFM_TILE ? left : TFM_TILE, cout};
        for (int32_t p = 0; p < to.n; p++, in += cin) tfm_tile_expand(tile, p, 0, in, cin, block);
        for (int32_t p = to.n; p < TFM_TILE; p++) tfm_tile_fill(tile, p, 0, 0, cin, block);
        tfm_tile_rows_rle(&to, tile, weight, cout, quant);
    }
    return TFM_OK;
}
