/* Patches of a convolution as a tile of four pixels. Not part of the public contract. */
#ifndef TFM_SCALAR_PATCH_H
#define TFM_SCALAR_PATCH_H

#include "tfm_scalar.h"

/* c: channels of a tap in the tile, those beyond cin are zero */
typedef struct { const int8_t *in; const tfm_conv_dims *d; int32_t c, zp; } tfm_scalar_patches;

/* The patch of output pixel (y, x) into its column. */
static inline void tfm_scalar_patch(int32_t *column, const tfm_scalar_patches *g, int32_t y, int32_t x) {
    const tfm_conv_dims *const d = g->d;
    const int32_t cin = d->cin, x0 = x * d->sw - d->left;
    int32_t iy = y * d->sh - d->top;
    for (int32_t ky = 0; ky < d->kh; ky++, iy += d->dh) {
        int32_t ix = x0;
        for (int32_t kx = 0; kx < d->kw; kx++, ix += d->dw, column += 4 * g->c) {
            if (iy >= 0 && iy < d->h && ix >= 0 && ix < d->w)
                tfm_scalar_column(column, g->in + (iy * d->w + ix) * cin, cin);
            else tfm_scalar_fill(column, g->zp, cin);
            tfm_scalar_fill(column + 4 * cin, 0, g->c - cin);
        }
    }
}

/* An output pixel; where the n-th one after it is. */
typedef struct { int32_t y, x; } tfm_scalar_pixel;

static inline tfm_scalar_pixel tfm_scalar_after(tfm_scalar_pixel at, int32_t n, int32_t ow) {
    for (; n > 0; n--) if (++at.x == ow) at.x = 0, at.y++;
    return at;
}

/* The patches of n pixels from `at` on; of fewer than four, the last one stands for the rest. */
static inline void tfm_scalar_gather(int32_t *tile, const tfm_scalar_patches *g, int32_t n, int32_t ow, tfm_scalar_pixel at) {
    for (int32_t p = 0; p < TFM_SCALAR_TILE; p++) {
        tfm_scalar_patch(tile + p, g, at.y, at.x);
        if (p + 1 < n) at = tfm_scalar_after(at, 1, ow);
    }
}

#endif
