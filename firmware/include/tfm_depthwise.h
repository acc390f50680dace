/* 3x3 depthwise convolution on int16 planes, whole or a band of rows at a time. Not part of the public contract. */
#ifndef TFM_DEPTHWISE_H
#define TFM_DEPTHWISE_H

#include "tfm_math.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Four channels at a time are copied to scratch, zero point around them: a word of a plane holds two
 * neighbouring pixels of one channel. Ten rows of a pair of columns stand together,
 *     planes  uint32[columns][4 channels][10 rows]
 *     stage   int8[columns][8 rows][2][4 channels]   results, slot k + 1 for pair k of columns
 * so every distance in the inner loop is a constant. */
#define TFM_DW_BAND 8                      /* input rows from one band to the next */
#define TFM_DW_ROWS (TFM_DW_BAND + 2)      /* rows of a plane */
#define TFM_DW_COLUMN (4 * TFM_DW_ROWS)    /* words of a pair of columns */
#define TFM_DW_SLOT (8 * TFM_DW_BAND)      /* bytes of its results */

/* Windows that this form serves. */
static inline int tfm_depthwise3x3_ok(const tfm_conv_dims *d) {
    return d->kh == 3 && d->kw == 3 && d->sh == d->sw && d->sh <= 2 && d->dh == 1 && d->dw == 1 && d->left <= 1;
}

static inline int32_t tfm_depthwise3x3_scratch_bytes(const tfm_conv_dims *d) {
    return (4 * TFM_DW_COLUMN + TFM_DW_SLOT) * ((d->w + d->left + d->right + 1) / 2);
}

/* Output rows y0..y1-1, written from `out` on. Input row y is at in + (y % ring) * w * C, so a caller
 * that makes its input band by band needs only a ring of rows; ring = h is a whole tensor. Rows read
 * are y0 * sh - top to (y1 - 1) * sh - top + 2, those outside the input taken as padding.
 * Arguments are not checked. out may be the input itself (ring = h, y0 = 0, y1 = h) when stride and
 * paddings are 1: the rows and channels that are written have been copied by then. */
void tfm_depthwise3x3_rows(int8_t *out, const int8_t *in, int32_t ring, const int8_t *weight,
                           const tfm_conv_dims *dims, const tfm_quant *quant, int32_t y0, int32_t y1,
                           void *scratch);

#ifdef __cplusplus
}
#endif
#endif
