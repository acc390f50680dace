/* The softmax of one row, shared by the softmax and attention kernels. Not part of the public contract. */
#ifndef TFM_SOFTMAX_H
#define TFM_SOFTMAX_H

#include "tfm_math.h"

/* e[d] = table[255 - d] + 32768 falls from 65535 */
static inline int tfm_table_ok(const int16_t *table) {
    return table[255] == 32767;
}

/* prob[i] = min(255, round(256 * e[i] / sum e)), inverse = (2^32 - 1) / sum e. prob may be x.
 * The sum fits: n <= 1024 and e <= 65535. It is not 0: the maximum itself gives 65535. e[i] is in
 * the sum, so e[i] * inverse < 2^32. */
static inline void tfm_softmax_row(uint8_t *prob, const int8_t *x, int32_t n, const int16_t *table) {
    int32_t max = -128;
    for (int32_t i = 0; i < n; i++) max = x[i] > max ? x[i] : max;
    const int32_t at = 255 - max; /* e of score x is table[at + x] + 32768 */
    uint32_t sum = 0;
    for (int32_t i = 0; i < n; i++) sum += (uint32_t)(table[at + x[i]] + 32768);
    const uint32_t inverse = tfm_udiv(UINT32_MAX, sum);
    for (int32_t i = 0; i < n; i++) {
        const uint32_t p = (((uint32_t)(table[at + x[i]] + 32768) * inverse >> 23) + 1) >> 1;
        prob[i] = (uint8_t)(p > 255 ? 255 : p);
    }
}

#endif
