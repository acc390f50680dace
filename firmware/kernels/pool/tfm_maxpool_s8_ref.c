#include "tfm_pool.h"

int tfm_maxpool_s8_ref(int8_t *out, const int8_t *in, const tfm_pool_dims *dims) {
    if (!out || !in || !dims) return TFM_ERR_NULL;
    if (!tfm_pool_dims_ok(dims)) return TFM_ERR_DIMS;
    for (int32_t oy = 0; oy < dims->oh; oy++) {
        const tfm_range rows = tfm_pool_rows(dims, oy);
        for (int32_t ox = 0; ox < dims->ow; ox++) {
            const tfm_range columns = tfm_pool_columns(dims, ox);
            for (int32_t c = 0; c < dims->c; c++) {
                int8_t most = -128;
                for (int32_t y = rows.from; y < rows.end; y++)
                    for (int32_t x = columns.from; x < columns.end; x++)
                        most = tfm_max8(most, in[(y * dims->w + x) * dims->c + c]);
                *out++ = most;
            }
        }
    }
    return TFM_OK;
}
