#include "tfm_math.h"

int tfm_add_s8_ref(int8_t *out, const int8_t *a, const int8_t *b, const tfm_add *add) {
    if (!out || !a || !b || !add) return TFM_ERR_NULL;
    if (add->n < 1 || add->n > TFM_MAX_VALUES || add->shift < 0 || add->shift > 20) return TFM_ERR_DIMS;
    for (int32_t i = 0; i < add->n; i++)
        out[i] = tfm_sat8((a[i] * add->mult_a + b[i] * add->mult_b + add->bias) >> add->shift);
    return TFM_OK;
}
