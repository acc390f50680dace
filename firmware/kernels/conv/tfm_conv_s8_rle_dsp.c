#include "tfm_patch.h"
#include "tfm_tile.h"

/* Where tiles fill the rows of the output, the patches of two rows, one below the other, stand in the same tile:
 * what the second has in common with the first is gathered once. `below` rows of taps more make room for it. */
static inline int32_t below(const tfm_conv_dims *d) {
    return tfm_conv_ow(d) % TFM_TILE == 0 && tfm_conv_oh(d) > 1 && d->dh == 1 && d->sh < d->kh ? d->sh : 0;
}

TFM_OUTLINE int32_t tfm_conv_s8_rle_dsp_scratch_bytes(const tfm_conv_dims *dims) {
    return dims && tfm_conv_dims_ok(dims) ? 16 * (dims->kh + below(dims)) * dims->kw * tfm_round4(dims->cin) : -1;
}

/* What all patches of a call share; c: channels of a tap, whole blocks of them. */
typedef struct {
    uint32_t *tile;
    const int8_t *in;
    const tfm_conv_dims *d;
    int32_t ring, c, zp, block;
} patches;

/* Some taps of a row of one patch, from input column x on, into column p of the tile. row: NULL outside the image. */
static void gather(const patches *g, int32_t p, int32_t k0, const int8_t *row, int32_t x, int32_t taps) {
    const tfm_conv_dims *d = g->d;
    if (!row) {
        tfm_tile_fill(g->tile, p, k0, g->zp, taps * g->c, g->block);
        return;
    }
    for (; taps > 0; taps--, x += d->dw, k0 += g->c) {
        if (x >= 0 && x < d->w) tfm_tile_expand(g->tile, p, k0, row + x * d->cin, d->cin, g->block);
        else tfm_tile_fill(g->tile, p, k0, g->zp, d->cin, g->block);
    }
}

/* A row of the patches of four neighbours, into the columns p to p + 3. All taps where they lie side by side, else
 * each tap, are one run through the input, read without a look at left and right borders as long as it stays inside
 * the rows that are there: what it read there is overwritten. Weights of the padding to whole blocks are 0. */
static void gather4(const patches *g, int32_t p, int32_t k0, const int8_t *row, int32_t x) {
    const tfm_conv_dims *d = g->d;
    const int32_t step = d->sw * d->cin, taps = g->c == d->cin && d->dw == 1 ? d->kw : 1, n = taps * g->c;
    const int32_t size = g->ring * d->w * d->cin - 3 * step - n; /* the last place where a run may begin */
    for (int32_t left = d->kw; left > 0; left -= taps, x += taps * d->dw, k0 += n) {
        const int32_t at = row ? (int32_t)(row - g->in) + x * d->cin : -1, end = x + 3 * d->sw + taps;
        if (at < 0 || at > size) {
            for (int32_t i = 0; i < 4; i++) gather(g, p + i, k0, row, x + i * d->sw, taps);
            continue;
        }
        tfm_tile_expand4(g->tile, p, k0, g->in + at, step, n, g->block);
        if (x >= 0 && end <= d->w) continue;
        for (int32_t i = 0; i < 4; i++) {
            for (int32_t t = 0, column = x + i * d->sw; t < taps; t++, column++)
                if (column < 0 || column >= d->w) tfm_tile_fill(g->tile, p + i, k0 + t * g->c, g->zp, d->cin, g->block);
        }
    }
}

/* Rows `from` to end - 1 of the tile, of 4 neighbours or one patch whose first tap is (y, x), from column p on. */
static void gather_rows(const patches *g, int32_t p, int32_t count, int32_t y, int32_t x, int32_t from, int32_t end) {
    const tfm_conv_dims *d = g->d;
    for (int32_t r = from; r < end; r++) {
        const int8_t *row = tfm_patch_row(g->in, g->ring, d, y + r * d->dh);
        if (count == 4) gather4(g, p, r * d->kw * g->c, row, x);
        else gather(g, p, r * d->kw * g->c, row, x, d->kw);
    }
}

/* Tiles of eight neighbours, down through the rows of the output from `first` on. */
static void columns_of(const patches *g, tfm_tile_layer *layer, int32_t first, int32_t rows) {
    const tfm_conv_dims *d = g->d;
    const int32_t ow = tfm_conv_ow(d), four = 4 * d->sw;
    for (int32_t ox = 0; ox < ow; ox += TFM_TILE) {
        const int32_t x = ox * d->sw - d->left;
        for (int32_t y = 0; y < rows; y++) {
            const int32_t second = y & 1, top = (first + y - second) * d->sh - d->top;
            const int32_t from = second ? d->kh : 0, end = d->kh + (second ? d->sh : 0);
            gather_rows(g, 0, 4, top, x, from, end);
            gather_rows(g, 4, 4, top, x + four, from, end);
            tfm_tile_rows_rle(layer, g->tile + (second ? 4 * d->sh * d->kw * g->c : 0), y * ow + ox);
        }
    }
}

static int status_of(const int8_t *out, const int8_t *in, const tfm_rle *weight, const tfm_conv_dims *dims,
                     const tfm_quant *quant, const void *scratch, int32_t scratch_bytes) {
    const int32_t need = tfm_conv_s8_rle_dsp_scratch_bytes(dims);
    const int status = tfm_all_status(out, in, weight, dims, quant, scratch, scratch_bytes, need);
    return status ? status : tfm_tile_status(weight, dims->cout);
}

int tfm_conv_s8_rle_dsp(int8_t *out, const int8_t *in, const tfm_rle *weight, const tfm_conv_dims *dims,
                        const tfm_quant *quant, void *scratch, int32_t scratch_bytes) {
    const int status = status_of(out, in, weight, dims, quant, scratch, scratch_bytes);
    if (status) return status;
    const tfm_band all = {0, tfm_conv_oh(dims), dims->h};
    return tfm_conv_s8_rle_dsp_rows(out, in, weight, dims, quant, &all, scratch, scratch_bytes);
}

int tfm_conv_s8_rle_dsp_rows(int8_t *out, const int8_t *in, const tfm_rle *weight, const tfm_conv_dims *dims,
                             const tfm_quant *quant, const tfm_band *band, void *scratch, int32_t scratch_bytes) {
    if (!band) return TFM_ERR_NULL;
    const int status = status_of(out, in, weight, dims, quant, scratch, scratch_bytes);
    if (status) return status;
    if (!tfm_band_ok(band, dims)) return TFM_ERR_DIMS;
    const int32_t ow = tfm_conv_ow(dims), pixels = (band->end - band->first) * ow, last = pixels - TFM_TILE;
    const int32_t c = tfm_padded(dims->cin, weight->block);
    const patches all = {(uint32_t *)scratch, in, dims, band->ring, c, quant->zp_in, weight->block};
    tfm_tile_layer layer = {weight, quant, out, pixels, dims->cout, 0};
    if (below(dims)) {
        columns_of(&all, &layer, band->first, band->end - band->first);
        return TFM_OK;
    }
    /* the last tile reaches back so that it is full, too */
    for (int32_t at = 0; at < pixels; at += TFM_TILE) {
        if (at > last && last > 0) at = last;
        for (int32_t p = 0, count; p < TFM_TILE && at + p < pixels; p += count) {
            const int32_t y = (at + p) / ow, x = at + p - y * ow;
            count = p % 4 == 0 && x + 3 < ow ? 4 : 1;
            gather_rows(&all, p, count, (band->first + y) * dims->sh - dims->top, x * dims->sw - dims->left, 0, dims->kh);
        }
        tfm_tile_rows_rle(&layer, (const uint32_t *)scratch, at);
    }
    return TFM_OK;
}
