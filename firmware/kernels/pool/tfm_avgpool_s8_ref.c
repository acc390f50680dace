#include "tfm_math.h"

int tfm_avgpool_s8_ref(int8_t *out, const int8_t *in, const tfm_pool *pool) {
    if (!out || !in || !pool) return TFM_ERR_NULL;
    if (!tfm_dim_ok(pool->h) || !tfm_dim_ok(pool->w) || !tfm_dim_ok(pool->c) || !tfm_shift_ok(pool->shift))
        return TFM_ERR_DIMS;
    const int32_t pixels = pool->h * pool->w;
    for (int32_t c = 0; c < pool->c; c++) {
        int32_t acc = pool->bias;
        const int8_t *in_c = in + c;
        for (int32_t p = 0; p < pixels; p++, in_c += pool->c) acc += *in_c;
        out[c] = tfm_requant(acc, pool->mult, pool->shift, pool->zp_out);
    }
    return TFM_OK;
}
