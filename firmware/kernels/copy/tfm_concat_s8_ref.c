#include <string.h>
#include "tfm_math.h"

int tfm_concat_s8_ref(int8_t *out, const int8_t *in_a, const int8_t *in_b, int32_t outer, int32_t a, int32_t b) {
    if (!out || !in_a || !in_b) return TFM_ERR_NULL;
    if (a < 1 || b < 1 || a > TFM_MAX_VALUES - b || !tfm_rows_ok(outer, a + b)) return TFM_ERR_DIMS;
    for (int32_t o = 0; o < outer; o++, in_a += a, in_b += b, out += a + b) {
        memcpy(out, in_a, (size_t)a);
        memcpy(out + a, in_b, (size_t)b);
    }
    return TFM_OK;
}
