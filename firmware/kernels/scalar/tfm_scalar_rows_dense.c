#include "tfm_scalar.h"

void tfm_scalar_rows_dense(int8_t *out, const int32_t *tile, const int8_t *weight, int32_t k, int32_t cout,
                           const tfm_quant *quant, int32_t n) {
    for (int32_t row = 0; row < cout; row++, weight += k) {
        const int32_t bias = tfm_bias(quant, row);
        int32_t acc[4] = {bias, bias, bias, bias};
        tfm_scalar_dot(acc, tile, weight, 1, k);
        tfm_scalar_put(out + row, cout, n, acc, quant->mult[row], quant->shift, quant->zp_out);
    }
}
