#include "tfm_pool.h"

int tfm_avgpool2d_s8_ref(int8_t *out, const int8_t *in, const tfm_pool_dims *dims, const tfm_pool_quant *quant) {
    if (!out || !in || !dims || !quant || !quant->mult) return TFM_ERR_NULL;
    if (!tfm_pool_dims_ok(dims) || !tfm_shift_ok(quant->shift)) return TFM_ERR_DIMS;
    for (int32_t oy = 0; oy < dims->oh; oy++) {
        const tfm_range rows = tfm_pool_rows(dims, oy);
        for (int32_t ox = 0; ox < dims->ow; ox++) {
            const tfm_range columns = tfm_pool_columns(dims, ox);
            const int32_t inside = (rows.end - rows.from) * (columns.end - columns.from);
            const int32_t mult = quant->mult[(quant->count_pad ? dims->kh * dims->kw : inside) - quant->least];
            for (int32_t c = 0; c < dims->c; c++) {
                int32_t acc = 0;
                for (int32_t y = rows.from; y < rows.end; y++)
                    for (int32_t x = columns.from; x < columns.end; x++)
                        acc += in[(y * dims->w + x) * dims->c + c] - quant->zp_in;
                *out++ = tfm_requant(acc, mult, quant->shift, quant->zp_out);
            }
        }
    }
    return TFM_OK;
}
