#include <string.h>
#include "tfm_math.h"

int tfm_const_s8_ref(int8_t *out, const int8_t *data, int32_t n) {
    if (!out || !data) return TFM_ERR_NULL;
    if (n < 1 || n > TFM_MAX_VALUES) return TFM_ERR_DIMS;
    memcpy(out, data, (size_t)n);
    return TFM_OK;
}
