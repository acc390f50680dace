/* The softmax of one row, shared by the softmax and attention kernels. Not part of the public contract. */
#ifndef TFM_SOFTMAX_H
#define TFM_SOFTMAX_H

#include "tfm_math.h"

/* prob[i] = min(255, round(256 * e[i] / sum e)), e[i] = table[max - x[i]], inverse = (2^32 - 1) / sum e.
 * prob may be x. e[i] is in the sum, so e[i] * inverse < 2^32. */
static inline void tfm_softmax_probs(uint8_t *prob, const int8_t *x, int32_t n, int32_t max,
                                     const uint16_t *table, uint32_t inverse) {
    for (int32_t i = 0; i < n; i++) {
        const uint32_t p = ((table[max - x[i]] * inverse >> 23) + 1) >> 1;
        prob[i] = (uint8_t)(p > 255 ? 255 : p);
    }
}

/* The sum fits: n <= 1024 and e <= 65535. It is not 0: the maximum itself gives table[0]. */
static inline void tfm_softmax_row(uint8_t *prob, const int8_t *x, int32_t n, int32_t max, const uint16_t *table) {
    uint32_t sum = 0;
    for (int32_t i = 0; i < n; i++) sum += table[max - x[i]];
    tfm_softmax_probs(prob, x, n, max, table, UINT32_MAX / sum);
}

#endif
