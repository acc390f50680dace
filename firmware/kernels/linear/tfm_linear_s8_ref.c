#include "tfm_math.h"

int32_t tfm_linear_s8_ref_scratch_bytes(const tfm_linear_dims *dims) {
    return dims && tfm_linear_dims_ok(dims) ? 0 : -1;
}

int tfm_linear_s8_ref(int8_t *out, const int8_t *in, const int8_t *weight, const tfm_linear_dims *dims,
                      const tfm_quant *quant, void *scratch, int32_t scratch_bytes) {
    const int status = tfm_args_status(out, in, weight, dims, quant);
    if (status) return status;
    if (!tfm_linear_dims_ok(dims)) return TFM_ERR_DIMS;
    (void)scratch, (void)scratch_bytes;
    const int32_t cin = dims->cin, cout = dims->cout;
    for (int32_t p = 0; p < dims->pixels; p++, in += cin) {
        const int8_t *w_n = weight; /* [cin] */
        for (int32_t n = 0; n < cout; n++, w_n += cin) {
            int32_t acc = tfm_bias(quant, n);
            for (int32_t k = 0; k < cin; k++) acc += in[k] * w_n[k];
            *out++ = tfm_requant(acc, quant->mult[n], quant->shift, quant->zp_out);
        }
    }
    return TFM_OK;
}
