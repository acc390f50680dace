#include "tfm_patch.h"
#include "tfm_tile.h"

/* the tile of 8 patches, then one patch as bytes */
int32_t tfm_conv_s8_dsp_scratch_bytes(const tfm_conv_dims *dims) {
    return dims && tfm_conv_dims_ok(dims) ? 17 * dims->kh * dims->kw * tfm_round4(dims->cin) : -1;
}

/* Inline: a call of memcpy costs more than the few channels of a first layer. */
static inline void copy(int8_t *to, const int8_t *from, int32_t n) {
    for (; n >= 4; n -= 4, to += 4, from += 4) memcpy(to, from, 4);
    for (; n > 0; n--) *to++ = *from++;
}

/* The patch of output pixel number `pixel` as bytes [kh][kw][cin], the order of a row of weights. */
static void gather(int8_t *patch, const int8_t *in, const tfm_conv_dims *d, int32_t pixel, int32_t zp) {
    const int32_t ow = tfm_conv_ow(d), oy = pixel / ow, ox = pixel - oy * ow;
    const int32_t y0 = oy * d->stride - d->pad, x0 = ox * d->stride - d->pad;
    for (int32_t ky = 0; ky < d->kh; ky++) {
        for (int32_t kx = 0; kx < d->kw; kx++, patch += d->cin) {
            const int8_t *in_k = tfm_patch_tap(in, d, y0, x0, ky, kx);
            if (in_k) copy(patch, in_k, d->cin);
            else for (int32_t i = 0; i < d->cin; i++) patch[i] = (int8_t)zp;
        }
    }
}

int tfm_conv_s8_dsp(int8_t *out, const int8_t *in, const int8_t *weight, const tfm_conv_dims *dims,
                    const tfm_quant *quant, void *scratch, int32_t scratch_bytes) {
    int status = tfm_args_status(out, in, weight, dims, quant);
    if (status) return status;
    if (!tfm_conv_dims_ok(dims)) return TFM_ERR_DIMS;
    status = tfm_scratch_status(scratch, scratch_bytes, tfm_conv_s8_dsp_scratch_bytes(dims));
    if (status) return status;
    const int32_t pixels = tfm_conv_oh(dims) * tfm_conv_ow(dims), k = dims->kh * dims->kw * dims->cin;
    int8_t *patch = (int8_t *)scratch + 16 * tfm_round4(k);
    for (int32_t at = 0; at < pixels; at += TFM_TILE, out += TFM_TILE * dims->cout) {
        const tfm_tile_out to = {out, pixels - at < TFM_TILE ? pixels - at : TFM_TILE, dims->cout};
        for (int32_t p = 0; p < TFM_TILE; p++) { /* a pixel past the end repeats the last one */
            gather(patch, in, dims, p < to.n ? at + p : pixels - 1, quant->zp_in);
            tfm_tile_expand(scratch, p, 0, patch, k, 4);
        }
        tfm_tile_rows_dense(&to, scratch, weight, k, dims->cout, quant);
    }
    return TFM_OK;
}
