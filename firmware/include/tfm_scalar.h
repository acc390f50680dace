/* Loops for cores without SIMD instructions, in plain C: four pixels share every weight that is read. A tile has the
 * inputs of four pixels, one word each: word 4 * k + p is input k of pixel p. Eight registers are enough: two pointers,
 * a weight, an input, four sums. Not part of the public contract. */
#ifndef TFM_SCALAR_H
#define TFM_SCALAR_H

#include <string.h>
#include "tfm_dsp.h"

#define TFM_SCALAR_TILE 4

/* One weight and its four inputs. */
#define TFM_SCALAR_FOUR(x, w, a, b, c, d) ((a) += (x)[0] * (w), (b) += (x)[1] * (w), (c) += (x)[2] * (w), (d) += (x)[3] * (w))

/* n values of one pixel into its column of a tile. */
static inline void tfm_scalar_column(int32_t *x, const int8_t *in, int32_t n) {
    for (int32_t k = 0; k < n; k++) x[4 * k] = in[k];
}

static inline void tfm_scalar_fill(int32_t *x, int32_t value, int32_t n) {
    for (int32_t k = 0; k < n; k++) x[4 * k] = value;
}

/* Four pixels, `stride` bytes apart, of n values each; zeros up to `padded`. */
static inline void tfm_scalar_expand(int32_t *x, const int8_t *in, int32_t stride, int32_t n, int32_t padded) {
    const int8_t *const p1 = in + stride, *const p2 = p1 + stride, *const p3 = p2 + stride;
    for (int32_t k = 0; k < n; k++, x += 4) x[0] = in[k], x[1] = p1[k], x[2] = p2[k], x[3] = p3[k];
    for (; n < padded; n++, x += 4) x[0] = x[1] = x[2] = x[3] = 0;
}

/* n sums of a row (1 to 4) to bytes that are `stride` apart. */
void tfm_scalar_put(int8_t *out, int32_t stride, int32_t n, const int32_t *acc, int32_t mult, int32_t shift, int32_t zp);

/* [walk] */
/* The blocks of a row that is not empty: from its first header, with its tile, to the header behind it. */
#define TFM_SCALAR_WALK(NAME, BLOCK, PRODUCTS)                                                         \
    static inline const uint8_t *NAME(const uint8_t *at, const int32_t *x, int32_t acc[4]) {           \
        int32_t a = acc[0], b = acc[1], c = acc[2], d = acc[3], skip = *at - TFM_RLE_FIRST;            \
        do {                                                                                           \
            x += 4 * (BLOCK) * skip;                                                                   \
            PRODUCTS                                                                                   \
            x += 4 * (BLOCK), at += (BLOCK) + 1;                                                       \
            skip = *at;                                                                                \
        } while (skip < TFM_RLE_FIRST);                                                                \
        acc[0] = a, acc[1] = b, acc[2] = c, acc[3] = d;                                                \
        return at;                                                                                     \
    }
/* [/walk] */

#define TFM_SCALAR_ONE(i) TFM_SCALAR_FOUR(x + 4 * (i), (int8_t)at[1 + (i)], a, b, c, d);
TFM_SCALAR_WALK(tfm_scalar_walk4, 4, TFM_SCALAR_ONE(0) TFM_SCALAR_ONE(1) TFM_SCALAR_ONE(2) TFM_SCALAR_ONE(3))
TFM_SCALAR_WALK(tfm_scalar_walk2, 2, TFM_SCALAR_ONE(0) TFM_SCALAR_ONE(1))
TFM_SCALAR_WALK(tfm_scalar_walk1, 1, TFM_SCALAR_ONE(0))

/* acc + the products of n weights, `step` apart, with a tile. */
static inline void tfm_scalar_dot(int32_t acc[4], const int32_t *x, const int8_t *w, int32_t step, int32_t n) {
    int32_t a = acc[0], b = acc[1], c = acc[2], d = acc[3];
    const int32_t *const end = x + 4 * n;
    for (; x < end; x += 4, w += step) TFM_SCALAR_FOUR(x, *w, a, b, c, d);
    acc[0] = a, acc[1] = b, acc[2] = c, acc[3] = d;
}

/* Rows of a layer over a tile: n of its pixels go to `out`. */
void tfm_scalar_rows_rle(int8_t *out, const int32_t *tile, const tfm_rle *weight, int32_t cout, const tfm_quant *quant,
                         int32_t n);
void tfm_scalar_rows_dense(int8_t *out, const int32_t *tile, const int8_t *weight, int32_t k, int32_t cout,
                           const tfm_quant *quant, int32_t n);

#endif
