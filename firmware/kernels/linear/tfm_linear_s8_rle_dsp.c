#include "tfm_tile.h"

int32_t tfm_linear_s8_rle_dsp_scratch_bytes(const tfm_linear_dims *dims) {
    return dims && tfm_linear_dims_ok(dims) ? 16 * tfm_round4(dims->cin) : -1;
}

int tfm_linear_s8_rle_dsp(int8_t *out, const int8_t *in, const tfm_rle *weight, const tfm_linear_dims *dims,
                          const tfm_quant *quant, void *scratch, int32_t scratch_bytes) {
    int status = tfm_args_status(out, in, weight, dims, quant);
    if (!status) status = tfm_tile_status(weight, dims->cout);
    if (status) return status;
    if (!tfm_linear_dims_ok(dims)) return TFM_ERR_DIMS;
    status = tfm_scratch_status(scratch, scratch_bytes, tfm_linear_s8_rle_dsp_scratch_bytes(dims));
    if (status) return status;
    const int32_t cin = dims->cin, pixels = dims->pixels, last = pixels - TFM_TILE;
    tfm_tile_layer layer = {weight, quant, out, pixels, dims->cout, 0};
    /* the last tile reaches back so that it is full, too */
    for (int32_t at = 0; at < pixels; at += TFM_TILE) {
        if (at > last && last > 0) at = last;
        for (int32_t p = 0; p < TFM_TILE; p += 4) {
            if (at + p + 3 < pixels) tfm_tile_expand4((uint32_t *)scratch, p, 0, in + (at + p) * cin, cin, cin, weight->block);
            else for (int32_t i = p; i < p + 4 && at + i < pixels; i++)
                tfm_tile_expand((uint32_t *)scratch, i, 0, in + (at + i) * cin, cin, weight->block);
        }
        tfm_tile_rows_rle(&layer, (const uint32_t *)scratch, at);
    }
    return TFM_OK;
}
