#include "tfm_dense.h"
#include "tfm_patch.h"

int32_t tfm_conv_s8_dsp_scratch_bytes(const tfm_conv_dims *dims) {
    return dims && tfm_conv_dims_ok(dims) ? tfm_dense_tile_bytes(dims->kh * dims->kw, dims->cin) : -1;
}

/* Where the patches of a group of four output pixels begin in the input. */
typedef struct { int32_t y[4], x[4]; } corners;

/* Taps of whole words go straight from the input to the tile; `pad` stands in for taps outside. */
static void gather_taps(uint32_t *x, const int8_t *in, const tfm_conv_dims *d, const corners *at, int8_t *pad,
                        int32_t zp) {
    memset(pad, zp, (size_t)d->cin);
    for (int32_t ky = 0; ky < d->kh; ky++) {
        for (int32_t kx = 0; kx < d->kw; kx++, x += 2 * d->cin) {
            const int8_t *four[4];
            for (int32_t p = 0; p < 4; p++) {
                four[p] = tfm_patch_tap(in, d, at->y[p], at->x[p], ky, kx);
                if (!four[p]) four[p] = pad;
            }
            tfm_dense_expand(x, four, d->cin);
        }
    }
}

/* Inline: a call of memcpy costs more than the few channels of a first layer. */
static inline void copy(int8_t *to, const int8_t *from, int32_t n) {
    for (; n >= 4; n -= 4, to += 4, from += 4) memcpy(to, from, 4);
    for (; n > 0; n--) *to++ = *from++;
}

static inline int32_t clip(int32_t x, int32_t low, int32_t high) {
    return x < low ? low : x > high ? high : x;
}

/* One row of a patch: w pixels of which those from x on lie in the input's row, or do not. */
static inline void patch_row(int8_t *to, const int8_t *row, const tfm_conv_dims *d, int32_t x, int32_t zp) {
    const int32_t from = row ? clip(-x, 0, d->kw) : d->kw, end = clip(d->w - x, from, d->kw);
    const int32_t c = d->cin;
    if (from > 0) memset(to, zp, (size_t)(from * c));
    if (end > from) copy(to + from * c, row + (x + from) * c, (end - from) * c);
    if (end < d->kw) memset(to + end * c, zp, (size_t)((d->kw - end) * c));
}

/* Channels that do not fill words: the patches are put together as bytes first. */
static void gather_bytes(uint32_t *x, const int8_t *in, const tfm_conv_dims *d, const corners *at, int8_t *patch,
                         int32_t zp) {
    const int32_t k = d->kh * d->kw * d->cin, k4 = tfm_round4(k);
    for (int32_t p = 0; p < 4; p++) {
        int8_t *to = patch + p * k4;
        for (int32_t ky = 0; ky < d->kh; ky++, to += d->kw * d->cin) {
            const int32_t y = at->y[p] + ky;
            patch_row(to, y >= 0 && y < d->h ? in + y * d->w * d->cin : NULL, d, at->x[p], zp);
        }
    }
    const int8_t *const four[4] = {patch, patch + k4, patch + 2 * k4, patch + 3 * k4};
    tfm_dense_expand(x, four, k4);
}

int tfm_conv_s8_dsp(int8_t *out, const int8_t *in, const int8_t *weight, const tfm_conv_dims *dims,
                    const tfm_quant *quant, void *scratch, int32_t scratch_bytes) {
    int status = tfm_args_status(out, in, weight, dims, quant);
    if (status) return status;
    if (!tfm_conv_dims_ok(dims)) return TFM_ERR_DIMS;
    status = tfm_scratch_status(scratch, scratch_bytes, tfm_conv_s8_dsp_scratch_bytes(dims));
    if (status) return status;
    const int32_t ow = tfm_conv_ow(dims), oh = tfm_conv_oh(dims), k = dims->kh * dims->kw * dims->cin;
    int8_t *const free_bytes = (int8_t *)tfm_dense_w(scratch, k); /* until the weights need it */
    int32_t y = 0, x = 0;
    for (int32_t left = oh * ow; left > 0; left -= TFM_DENSE_TILE, out += TFM_DENSE_TILE * dims->cout) {
        const int32_t n = left < TFM_DENSE_TILE ? left : TFM_DENSE_TILE;
        for (int32_t at = 0; at < n; at += 4) {
            corners four;
            for (int32_t p = 0; p < 4; p++) { /* a pixel past the end repeats the last one */
                four.y[p] = y * dims->stride - dims->pad;
                four.x[p] = x * dims->stride - dims->pad;
                if (x + 1 < ow) x++;
                else if (y + 1 < oh) x = 0, y++;
            }
            uint32_t *to = tfm_dense_x(scratch, k, at / 4, 0);
            if (dims->cin & 3) gather_bytes(to, in, dims, &four, free_bytes, quant->zp_in);
            else gather_taps(to, in, dims, &four, free_bytes, quant->zp_in);
        }
        tfm_dense_rows(out, scratch, n, weight, k, dims->cout, quant);
    }
    return TFM_OK;
}
