#include "tfm_scalar.h"

#define ROWS(NAME, WALK)                                                                                           \
    static void NAME(int8_t *out, const int32_t *tile, const tfm_rle *weight, int32_t cout, const tfm_quant *quant, \
                     int32_t n) {                                                                                  \
        tfm_rle_walk walk = {weight->stream, 0, 0};                                                                \
        for (int32_t row = 0; row < cout; row++) {                                                                 \
            const int32_t bias = tfm_bias(quant, row);                                                             \
            int32_t acc[4] = {bias, bias, bias, bias};                                                             \
            if (tfm_rle_row(&walk)) walk.at = WALK(walk.at, tile, acc);                                            \
            tfm_scalar_put(out + row, cout, n, acc, quant->mult[row], quant->shift, quant->zp_out); \
        }                                                                                                          \
    }

ROWS(rows4, tfm_scalar_walk4)
ROWS(rows2, tfm_scalar_walk2)
ROWS(rows1, tfm_scalar_walk1)

void tfm_scalar_rows_rle(int8_t *out, const int32_t *tile, const tfm_rle *weight, int32_t cout, const tfm_quant *quant,
                         int32_t n) {
    if (weight->block == 4) rows4(out, tile, weight, cout, quant, n);
    else if (weight->block == 2) rows2(out, tile, weight, cout, quant, n);
    else rows1(out, tile, weight, cout, quant, n);
}
