#include "tfm_math.h"

int32_t tfm_linear_s8_rle_ref_scratch_bytes(const tfm_linear_dims *dims) {
    return dims && tfm_linear_dims_ok(dims) ? 0 : -1;
}

/* [walk] */
/* acc + the kept blocks of one row; *walk moves to the next row */
static int32_t row_dot(tfm_rle_walk *walk, int32_t block, const int8_t *in_p, int32_t cin, int32_t acc) {
    if (!tfm_rle_row(walk)) return acc;
    do {
        const int32_t k = tfm_rle_next(walk) * block, n = cin - k < block ? cin - k : block; /* the rest is padding */
        for (int32_t i = 0; i < n; i++) acc += in_p[k + i] * (int8_t)walk->at[i];
        walk->at += block;
    } while (tfm_rle_more(walk));
    return acc;
}
/* [/walk] */

int tfm_linear_s8_rle_ref(int8_t *out, const int8_t *in, const tfm_rle *weight, const tfm_linear_dims *dims,
                          const tfm_quant *quant, void *scratch, int32_t scratch_bytes) {
    int status = tfm_args_status(out, in, weight, dims, quant);
    if (!status) status = tfm_rle_status(weight, dims->cout);
    if (status) return status;
    if (!tfm_linear_dims_ok(dims)) return TFM_ERR_DIMS;
    (void)scratch, (void)scratch_bytes;
    const int32_t cin = dims->cin, cout = dims->cout, block = weight->block;
    status = tfm_rle_check(weight, cout, tfm_div(tfm_padded(cin, block), block));
    if (status) return status;
    for (int32_t p = 0; p < dims->pixels; p++, in += cin) {
        tfm_rle_walk walk = {weight->stream, 0, 0};
        for (int32_t n = 0; n < cout; n++) {
            const int32_t acc = row_dot(&walk, block, in, cin, tfm_bias(quant, n));
            *out++ = tfm_requant(acc, quant->mult[n], quant->shift, quant->zp_out);
        }
    }
    return TFM_OK;
}
