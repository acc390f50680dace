#include "tfm_math.h"

int tfm_mul_s8_ref(int8_t *out, const int8_t *a, const int8_t *b, const tfm_mul *mul) {
    if (!out || !a || !b || !mul) return TFM_ERR_NULL;
    if (!tfm_rows_ok(mul->outer, mul->inner) || mul->b < 0 || mul->b > 2 || !tfm_shift_ok(mul->shift)) return TFM_ERR_DIMS;
    /* how far b goes on with a value, and with a row */
    const int32_t value = mul->b != 2, row = mul->b == 0 ? mul->inner : mul->b == 2;
    for (int32_t o = 0; o < mul->outer; o++) {
        for (int32_t i = 0; i < mul->inner; i++) {
            const int32_t product = (*a++ - mul->zp_a) * (b[o * row + i * value] - mul->zp_b);
            *out++ = tfm_requant(product, mul->mult, mul->shift, mul->zp_out);
        }
    }
    return TFM_OK;
}
