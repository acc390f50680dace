/* Row statistics of LayerNorm and RMSNorm, shared by their kernels. Not part of the public contract. */
#ifndef TFM_NORM_H
#define TFM_NORM_H

#include "tfm_math.h"

/* floor of the square root, one bit of the root per step */
static inline uint32_t tfm_isqrt32(uint32_t x) {
    uint32_t root = 0;
    for (uint32_t bit = (uint32_t)1 << 30; bit; bit >>= 2) {
        if (x >= root + bit) {
            x -= root + bit;
            root = (root >> 1) + bit;
        } else {
            root >>= 1;
        }
    }
    return root;
}

/* round(sqrt(c) * 2^8): a half cannot occur */
static inline uint32_t tfm_sqrt_q8(int32_t c) {
    const uint32_t square = (uint32_t)c << 16, root = tfm_isqrt32(square);
    return root + (square - root * root > root);
}

/* A row's sum (0 where nothing is centred), and the factor m * 2^-sh that brings a value to unit
 * variance in units of 2^-10. m is below 2^31 for rows of less than 16384 values. */
typedef struct { int32_t sum; uint32_t m; int32_t sh; } tfm_norm_row;

/* The factor sqrt(C) / sqrt(var): values d whose squares sum to var get the mean square 1. */
static inline tfm_norm_row tfm_norm_factor(int32_t sum, uint64_t var, uint32_t rc) {
    if (var == 0) var = 1;
    /* scaled by an even power of two, the top 32 bits give the 16 root bits that are used */
    const int32_t k = __builtin_clzll(var) & ~1;
    const uint32_t root = tfm_isqrt32((uint32_t)((var << k) >> 32));
    const tfm_norm_row r = {sum, tfm_udiv((uint32_t)1 << 31, root) * rc, 45 - k / 2};
    return r;
}

/* Of d = C*x - sum, the exact centred values. sum(d^2) is C * (C * sum(x^2) - sum(x)^2): one pass over
 * the row is enough. */
static inline tfm_norm_row tfm_norm_scale(int32_t sum, int32_t squares, int32_t c, int64_t eps_q, uint32_t rc) {
    const int64_t spread = tfm_wide(c, squares) - tfm_wide(sum, sum); /* >= 0 */
    return tfm_norm_factor(sum, tfm_wider((uint64_t)spread, c) + (uint64_t)eps_q, rc);
}

/* (d * m + half) >> sh in 64 bits: for any row */
static inline int32_t tfm_norm_value(int32_t d, const tfm_norm_row *r) {
    return (int32_t)((tfm_wide_su(d, r->m) + ((int64_t)1 << (r->sh - 1))) >> r->sh);
}

static inline int tfm_norm_status(const void *out, const void *in, const tfm_layernorm *norm) {
    if (!out || !in || !norm || !norm->gamma || !norm->beta) return TFM_ERR_NULL;
    return tfm_dim_ok(norm->tokens) && tfm_dim_ok(norm->c) && tfm_shift_ok(norm->shift)
        && norm->eps_q >= 0 && norm->eps_q >> 62 == 0 ? TFM_OK : TFM_ERR_DIMS;
}

#endif
