#include "tfm_math.h"

int tfm_add_broadcast_s8_ref(int8_t *out, const int8_t *a, const int8_t *b, const tfm_add_broadcast *add) {
    if (!out || !a || !b || !add) return TFM_ERR_NULL;
    if (!tfm_rows_ok(add->outer, add->inner) || add->b < 1 || add->b > 2 || add->shift < 0 || add->shift > 20)
        return TFM_ERR_DIMS;
    for (int32_t o = 0; o < add->outer; o++) {
        for (int32_t i = 0; i < add->inner; i++) {
            const int32_t y = b[add->b == 1 ? i : o];
            *out++ = tfm_sat8((*a++ * add->mult_a + y * add->mult_b + add->bias) >> add->shift);
        }
    }
    return TFM_OK;
}
