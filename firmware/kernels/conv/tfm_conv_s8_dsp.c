#include "tfm_dense.h"
#include "tfm_patch.h"

TFM_OUTLINE int32_t tfm_conv_s8_dsp_scratch_bytes(const tfm_conv_dims *dims) {
    return dims && tfm_conv_dims_ok(dims) ? tfm_dense_tile_bytes(dims->kh * dims->kw, dims->cin) : -1;
}

/* Where the patches of a group of four output pixels begin in the input. */
typedef struct { int32_t y[4], x[4]; } corners;

static inline int32_t clip(int32_t x, int32_t low, int32_t high) {
    return x < low ? low : x > high ? high : x;
}

/* A value in place of the inputs of some taps of one pixel; x: its column. */
static inline void fill_taps(uint32_t *x, int32_t from, int32_t end, int32_t c, uint32_t pair) {
    for (uint32_t *to = x + 2 * c * from, *const last = x + 2 * c * end; to != last; to += 4) *to = pair;
}

/* A row of taps of four neighbours, as one run through the input. It is read without a look at left and right borders as
 * long as it stays inside the rows that are there; what it read there is overwritten. 0 where it would not stay inside. */
static int gather_run(uint32_t *x, const int8_t *in, int32_t ring, const tfm_conv_dims *d, const int8_t *row, int32_t column,
                      int32_t zp) {
    const int32_t c = d->cin, step = d->sw * c, run = d->kw * c, at = (int32_t)(row - in) + column * c;
    if (at < 0 || at + 3 * step + run > ring * d->w * c) return 0;
    const int8_t *const from = in + at, *const four[4] = {from, from + step, from + 2 * step, from + 3 * step};
    tfm_dense_expand(x, four, run);
    if (column >= 0 && column + 3 * d->sw + d->kw <= d->w) return 1;
    const uint32_t pair = tfm_pkhbt((uint32_t)zp, (uint32_t)zp);
    for (int32_t p = 0; p < 4; p++, column += d->sw) {
        const int32_t first = clip(-column, 0, d->kw), end = clip(d->w - column, first, d->kw); /* of those inside */
        fill_taps(x + p, 0, first, c, pair);
        fill_taps(x + p, end, d->kw, c, pair);
    }
    return 1;
}

/* Taps of whole words go straight from the input to the tile; `pad` stands in for taps outside. */
static void gather_taps(uint32_t *x, const int8_t *in, int32_t ring, const tfm_conv_dims *d, const corners *at,
                        int8_t *pad, int32_t zp) {
    const int neighbours = d->dw == 1 && at->y[0] == at->y[3] && at->x[3] == at->x[0] + 3 * d->sw;
    int32_t padded = 0;
    for (int32_t ky = 0; ky < d->kh; ky++) {
        const int8_t *row[4] = {tfm_patch_row(in, ring, d, at->y[0] + ky * d->dh)};
        if (neighbours && row[0] && gather_run(x, in, ring, d, row[0], at->x[0], zp)) {
            x += 2 * d->kw * d->cin;
            continue;
        }
        if (!padded) memset(pad, zp, (size_t)d->cin), padded = 1;
        for (int32_t p = 1; p < 4; p++) row[p] = tfm_patch_row(in, ring, d, at->y[p] + ky * d->dh);
        for (int32_t kx = 0, right = 0; kx < d->kw; kx++, right += d->dw, x += 2 * d->cin) {
            const int8_t *four[4];
            for (int32_t p = 0; p < 4; p++) {
                const int32_t column = at->x[p] + right;
                four[p] = row[p] && column >= 0 && column < d->w ? row[p] + column * d->cin : pad;
            }
            tfm_dense_expand(x, four, d->cin);
        }
    }
}

/* Inline: a call of memcpy costs more than the few channels of a first layer. The last word may
 * overlap the one before. */
static inline void copy(int8_t *to, const int8_t *from, int32_t n) {
    if (n < 4) {
        for (int32_t i = 0; i < n; i++) to[i] = from[i];
        return;
    }
    for (int32_t i = 0; i < n - 4; i += 4) memcpy(to + i, from + i, 4);
    memcpy(to + n - 4, from + n - 4, 4);
}

/* One patch as bytes [kh][kw][cin], which are a run of bytes for each ky where it lies inside. */
static void patch_bytes(int8_t *to, const int8_t *in, int32_t ring, const tfm_conv_dims *d, int32_t y, int32_t x,
                        int32_t zp) {
    const int32_t c = d->cin, run = d->kw * c;
    const int32_t from = clip(-x, 0, d->kw), end = clip(d->w - x, from, d->kw);
    if (end - from < d->kw || y < 0 || y + d->kh > d->h) memset(to, zp, (size_t)(d->kh * run));
    const int32_t ky_end = clip(d->h - y, 0, d->kh), n = (end - from) * c;
    int32_t ky = clip(-y, 0, d->kh);
    if (n == 0 || ky >= ky_end) return;
    to += ky * run + from * c;
    for (; ky < ky_end; ky++, to += run) copy(to, tfm_patch_row(in, ring, d, y + ky) + (x + from) * c, n);
}

/* The same where the taps are dilated and no run, byte by byte: few networks need it, so it is small. */
static TFM_OUTLINE void dilated_bytes(int8_t *to, const int8_t *in, int32_t ring, const tfm_conv_dims *d, int32_t y,
                                      int32_t x, int32_t zp) {
    for (int32_t ky = 0; ky < d->kh; ky++, y += d->dh) {
        const int8_t *row = tfm_patch_row(in, ring, d, y);
        for (int32_t kx = 0, column = x; kx < d->kw; kx++, column += d->dw) {
            const int inside = row && column >= 0 && column < d->w;
            for (int32_t k = 0; k < d->cin; k++) *to++ = inside ? row[column * d->cin + k] : (int8_t)zp;
        }
    }
}

/* Four neighbours whose patches lie inside the image: runs without a look at borders. 0 when they do not. */
static int inner_bytes(int8_t *to, int32_t k4, const int8_t *in, int32_t ring, const tfm_conv_dims *d, const corners *at) {
    const int32_t y = at->y[0], x = at->x[0], run = d->kw * d->cin, step = d->sw * d->cin;
    if (y != at->y[3] || y < 0 || y + d->kh > d->h || x < 0 || at->x[3] + d->kw > d->w || at->x[3] != x + 3 * d->sw) return 0;
    for (int32_t ky = 0; ky < d->kh; ky++, to += run) {
        const int8_t *from = tfm_patch_row(in, ring, d, y + ky) + x * d->cin;
        for (int32_t p = 0; p < 4; p++, from += step) copy(to + p * k4, from, run);
    }
    return 1;
}

/* Channels that do not fill words: the patches are put together as bytes first. */
static void gather_bytes(uint32_t *x, const int8_t *in, int32_t ring, const tfm_conv_dims *d, const corners *at,
                         int8_t *patch, int32_t zp) {
    const int32_t k4 = tfm_round4(d->kh * d->kw * d->cin);
    for (int32_t p = 1; p <= 4; p++) memset(patch + p * k4 - 4, 0, 4); /* the bytes past the end */
    if (d->dh > 1 || d->dw > 1)
        for (int32_t p = 0; p < 4; p++) dilated_bytes(patch + p * k4, in, ring, d, at->y[p], at->x[p], zp);
    else if (!inner_bytes(patch, k4, in, ring, d, at))
        for (int32_t p = 0; p < 4; p++) patch_bytes(patch + p * k4, in, ring, d, at->y[p], at->x[p], zp);
    const int8_t *const four[4] = {patch, patch + k4, patch + 2 * k4, patch + 3 * k4};
    tfm_dense_expand(x, four, k4);
}

static int status_of(const int8_t *out, const int8_t *in, const int8_t *weight, const tfm_conv_dims *dims,
                     const tfm_quant *quant, const void *scratch, int32_t scratch_bytes) {
    return tfm_all_status(out, in, weight, dims, quant, scratch, scratch_bytes, tfm_conv_s8_dsp_scratch_bytes(dims));
}

int tfm_conv_s8_dsp(int8_t *out, const int8_t *in, const int8_t *weight, const tfm_conv_dims *dims,
                    const tfm_quant *quant, void *scratch, int32_t scratch_bytes) {
    const int status = status_of(out, in, weight, dims, quant, scratch, scratch_bytes);
    if (status) return status;
    const tfm_band all = {0, tfm_conv_oh(dims), dims->h};
    return tfm_conv_s8_dsp_rows(out, in, weight, dims, quant, &all, scratch, scratch_bytes);
}

int tfm_conv_s8_dsp_rows(int8_t *out, const int8_t *in, const int8_t *weight, const tfm_conv_dims *dims,
                         const tfm_quant *quant, const tfm_band *band, void *scratch, int32_t scratch_bytes) {
    if (!band) return TFM_ERR_NULL;
    const int status = status_of(out, in, weight, dims, quant, scratch, scratch_bytes);
    if (status) return status;
    if (!tfm_band_ok(band, dims)) return TFM_ERR_DIMS;
    const int32_t ow = tfm_conv_ow(dims), k = dims->kh * dims->kw * dims->cin;
    int8_t *const free_bytes = (int8_t *)tfm_dense_w((uint32_t *)scratch, k); /* until the weights need it */
    const int32_t sh = dims->sh, sw = dims->sw, x_first = -dims->left, x_last = x_first + (ow - 1) * sw;
    const int32_t y_last = (band->end - 1) * sh - dims->top;
    int32_t y = band->first * sh - dims->top, x = x_first;
    tfm_dense_clear((uint32_t *)scratch, k);
    for (int32_t left = (band->end - band->first) * ow; left > 0; left -= TFM_DENSE_TILE, out += TFM_DENSE_TILE * dims->cout) {
        const int32_t n = left < TFM_DENSE_TILE ? left : TFM_DENSE_TILE;
        for (int32_t at = 0; at < n; at += 4) {
            corners four;
            for (int32_t p = 0; p < 4; p++) { /* a pixel past the end repeats the last one */
                four.y[p] = y, four.x[p] = x;
                if (x < x_last) x += sw;
                else if (y < y_last) x = x_first, y += sh;
            }
            uint32_t *to = tfm_dense_x((uint32_t *)scratch, k, at / 4, 0);
            if (dims->cin & 3) gather_bytes(to, in, band->ring, dims, &four, free_bytes, quant->zp_in);
            else gather_taps(to, in, band->ring, dims, &four, free_bytes, quant->zp_in);
        }
        tfm_dense_rows(out, (uint32_t *)scratch, n, weight, k, dims->cout, quant);
    }
    return TFM_OK;
}
