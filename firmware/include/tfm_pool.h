/* Windows of pools. Not part of the public contract. */
#ifndef TFM_POOL_H
#define TFM_POOL_H

#include "tfm_dsp.h"

/* Rows or columns of the input: from..end-1. */
typedef struct { int32_t from, end; } tfm_range;

static inline int tfm_pool_side_ok(int32_t size, int32_t out, int32_t k, int32_t stride, int32_t pad, int32_t adaptive) {
    return tfm_dim_ok(size) && tfm_dim_ok(out) && tfm_dim_ok(k) && tfm_dim_ok(stride) && pad >= 0 && pad < k
        && (adaptive || (out - 1) * stride - pad < size);
}

static inline int tfm_pool_dims_ok(const tfm_pool_dims *d) {
    return tfm_dim_ok(d->c) && tfm_pool_side_ok(d->h, d->oh, d->kh, d->sh, d->top, d->adaptive)
        && tfm_pool_side_ok(d->w, d->ow, d->kw, d->sw, d->left, d->adaptive);
}

static inline int tfm_pool_band_ok(const tfm_band *b, const tfm_pool_dims *d) {
    return b->first >= 0 && b->first < b->end && b->end <= d->oh && b->ring >= 1 && b->ring <= d->h;
}

/* What output row or column i is made from. */
static inline tfm_range tfm_pool_range(int32_t i, int32_t size, int32_t out, int32_t k, int32_t stride, int32_t pad,
                                       int32_t adaptive) {
    tfm_range r = {i * stride - pad, i * stride - pad + k};
    if (adaptive) r.from = tfm_div(i * size, out), r.end = tfm_div((i + 1) * size + out - 1, out);
    if (r.from < 0) r.from = 0;
    if (r.end > size) r.end = size;
    return r;
}

static inline tfm_range tfm_pool_rows(const tfm_pool_dims *d, int32_t y) {
    return tfm_pool_range(y, d->h, d->oh, d->kh, d->sh, d->top, d->adaptive);
}

static inline tfm_range tfm_pool_columns(const tfm_pool_dims *d, int32_t x) {
    return tfm_pool_range(x, d->w, d->ow, d->kw, d->sw, d->left, d->adaptive);
}

static inline int8_t tfm_max8(int8_t a, int8_t b) { return a > b ? a : b; }

/* The larger byte of each of the four pairs: SSUB8 sets a flag per byte, SEL chooses by it. */
static inline uint32_t tfm_max8x4(uint32_t x, uint32_t y) {
#if TFM_HAS_DSP
    uint32_t r;
    __asm("ssub8 %0, %1, %2\n sel %0, %1, %2" : "=&r"(r) : "r"(x), "r"(y) : "cc");
    return r;
#else
    uint32_t r = 0;
    for (int i = 0; i < 32; i += 8)
        r |= (uint32_t)(uint8_t)tfm_max8((int8_t)(x >> i & 255u), (int8_t)(y >> i & 255u)) << i;
    return r;
#endif
}

#endif
