#include "tfm_patch.h"
#include "tfm_tile.h"

TFM_OUTLINE int32_t tfm_conv_s8_rle_dsp_scratch_bytes(const tfm_conv_dims *dims) {
    return dims && tfm_conv_dims_ok(dims) ? 16 * dims->kh * dims->kw * tfm_round4(dims->cin) : -1;
}

/* Gather the patch of output pixel number `pixel` into column p. */
static void gather(uint32_t *tile, int32_t p, const int8_t *in, const tfm_conv_dims *d, int32_t pixel,
                   int32_t zp, int32_t block) {
    const int32_t ow = tfm_conv_ow(d), oy = pixel / ow, ox = pixel - oy * ow;
    const int32_t c = tfm_padded(d->cin, block), y0 = oy * d->sh - d->top, x0 = ox * d->sw - d->left;
    const int32_t y_end = y0 + d->kh * d->dh, x_end = x0 + d->kw * d->dw;
    int32_t k0 = 0;
    for (int32_t y = y0; y < y_end; y += d->dh) {
        for (int32_t x = x0; x < x_end; x += d->dw, k0 += c) {
            const int8_t *in_k = tfm_patch_tap(in, d, y, x);
            if (in_k) tfm_tile_expand(tile, p, k0, in_k, d->cin, block);
            else tfm_tile_fill(tile, p, k0, zp, d->cin, block);
        }
    }
}

/* Four pixels of one output row into the columns p to p + 3. Each tap is one run through the input, read
 * without looking at left and right borders as long as it stays inside the tensor: what it read there
 * is overwritten. Channels are rounded up to whole blocks; weights of the padding are 0. */
static void gather4(uint32_t *tile, int32_t p, const int8_t *in, const tfm_conv_dims *d, int32_t oy, int32_t ox,
                    int32_t zp, int32_t block) {
    const int32_t c = tfm_padded(d->cin, block), step = d->sw * d->cin, size = d->h * d->w * d->cin;
    const int32_t y0 = oy * d->sh - d->top, x0 = ox * d->sw - d->left, run = 3 * step + c;
    const int32_t y_end = y0 + d->kh * d->dh, x_end = x0 + d->kw * d->dw;
    int32_t k0 = 0;
    for (int32_t y = y0; y < y_end; y += d->dh) {
        for (int32_t x = x0; x < x_end; x += d->dw, k0 += c) {
            const int32_t at = (y * d->w + x) * d->cin, far = x + 3 * d->sw;
            const int safe = y >= 0 && y < d->h && at >= 0 && at + run <= size;
            if (safe) tfm_tile_expand4(tile, p, k0, in + at, step, c, block);
            if (safe && x >= 0 && far < d->w) continue;
            for (int32_t i = 0; i < 4; i++) {
                const int8_t *in_k = tfm_patch_tap(in, d, y, x + i * d->sw);
                if (!in_k) tfm_tile_fill(tile, p + i, k0, zp, d->cin, block);
                else if (!safe) tfm_tile_expand(tile, p + i, k0, in_k, d->cin, block);
            }
        }
    }
}

int tfm_conv_s8_rle_dsp(int8_t *out, const int8_t *in, const tfm_rle *weight, const tfm_conv_dims *dims,
                        const tfm_quant *quant, void *scratch, int32_t scratch_bytes) {
    const int32_t need = tfm_conv_s8_rle_dsp_scratch_bytes(dims);
    int status = tfm_all_status(out, in, weight, dims, quant, scratch, scratch_bytes, need);
    if (!status) status = tfm_rle_status(weight, dims->cout);
    if (status) return status;
    const int32_t ow = tfm_conv_ow(dims), pixels = tfm_conv_oh(dims) * ow, last = pixels - TFM_TILE;
    tfm_tile_layer layer = {weight, quant, out, pixels, dims->cout, 0};
    /* the last tile reaches back so that it is full, too */
    for (int32_t at = 0; at < pixels; at += TFM_TILE) {
        if (at > last && last > 0) at = last;
        for (int32_t p = 0; p < TFM_TILE; p += 4) {
            const int32_t oy = (at + p) / ow, ox = at + p - oy * ow;
            if (ox + 3 < ow && at + p < pixels) gather4((uint32_t *)scratch, p, in, dims, oy, ox, quant->zp_in, weight->block);
            else for (int32_t i = p; i < p + 4; i++) /* a pixel past the end repeats the last one */
                gather((uint32_t *)scratch, i, in, dims, at + i < pixels ? at + i : pixels - 1, quant->zp_in, weight->block);
        }
        tfm_tile_rows_rle(&layer, (const uint32_t *)scratch, at);
    }
    return TFM_OK;
}
