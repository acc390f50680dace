/* Position of an output pixel's patch in the input of a convolution. Not part of the public contract. */
#ifndef TFM_PATCH_H
#define TFM_PATCH_H

#include "tfm_math.h"

/* Row y of the input where `ring` rows of it are kept, row y at y % ring; NULL outside the image. */
static inline const int8_t *tfm_patch_row(const int8_t *in, int32_t ring, const tfm_conv_dims *d, int32_t y) {
    if (y < 0 || y >= d->h) return NULL;
    return in + (y < ring ? y : y % ring) * d->w * d->cin;
}

#endif
