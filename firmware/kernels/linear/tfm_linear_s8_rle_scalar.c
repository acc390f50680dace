#include "tfm_scalar.h"

int32_t tfm_linear_s8_rle_scalar_scratch_bytes(const tfm_linear_dims *dims) {
    if (!dims || !tfm_linear_dims_ok(dims)) return -1;
    return dims->pixels < TFM_SCALAR_TILE ? tfm_round4(dims->cin) : 16 * tfm_round4(dims->cin);
}

/* A row over one pixel: from its first header to the one behind it. */
static inline const uint8_t *one4(const uint8_t *at, const int8_t *x, int32_t *acc) {
    int32_t a = *acc, skip = *at - TFM_RLE_FIRST;
    do {
        x += 4 * skip;
        a += x[0] * (int8_t)at[1] + x[1] * (int8_t)at[2] + x[2] * (int8_t)at[3] + x[3] * (int8_t)at[4];
        x += 4, at += 5;
        skip = *at;
    } while (skip < TFM_RLE_FIRST);
    *acc = a;
    return at;
}

static inline const uint8_t *one(const uint8_t *at, int32_t block, const int8_t *x, int32_t *acc) {
    int32_t a = *acc, skip = *at++ - TFM_RLE_FIRST;
    do {
        x += block * skip;
        for (int32_t i = 0; i < block; i++) a += *x++ * (int8_t)*at++;
        skip = *at++;
    } while (skip < TFM_RLE_FIRST);
    *acc = a;
    return at - 1;
}

/* x: the pixel with zeros behind it */
static void one_pixel(int8_t *out, const int8_t *x, const tfm_rle *weight, int32_t cout, const tfm_quant *quant) {
    tfm_rle_walk walk = {weight->stream, 0, 0};
    for (int32_t row = 0; row < cout; row++) {
        int32_t acc = tfm_bias(quant, row);
        if (tfm_rle_row(&walk)) walk.at = weight->block == 4 ? one4(walk.at, x, &acc) : one(walk.at, weight->block, x, &acc);
        out[row] = tfm_requant(acc, quant->mult[row], quant->shift, quant->zp_out);
    }
}

int tfm_linear_s8_rle_scalar(int8_t *out, const int8_t *in, const tfm_rle *weight, const tfm_linear_dims *dims,
                             const tfm_quant *quant, void *scratch, int32_t scratch_bytes) {
    int status = tfm_args_status(out, in, weight, dims, quant);
    if (!status) status = tfm_rle_status(weight, dims->cout);
    if (status) return status;
    if (!tfm_linear_dims_ok(dims)) return TFM_ERR_DIMS;
    status = tfm_scratch_status(scratch, scratch_bytes, tfm_linear_s8_rle_scalar_scratch_bytes(dims));
    if (status) return status;
    const int32_t cin = dims->cin, cout = dims->cout, last = dims->pixels - TFM_SCALAR_TILE, padded = tfm_round4(cin);
    if (last < 0) {
        int8_t *const x = (int8_t *)scratch;
        memset(x + cin, 0, (size_t)(padded - cin));
        for (int32_t p = 0; p < dims->pixels; p++, in += cin, out += cout) {
            memcpy(x, in, (size_t)cin);
            one_pixel(out, x, weight, cout, quant);
        }
        return TFM_OK;
    }
    /* the last tile reaches back so that it is full, too */
    for (int32_t at = 0; at <= last; at += at < last && at + TFM_SCALAR_TILE > last ? last - at : TFM_SCALAR_TILE) {
        tfm_scalar_expand((int32_t *)scratch, in + at * cin, cin, cin, padded);
        tfm_scalar_rows_rle(out + at * cout, (const int32_t *)scratch, weight, cout, quant, TFM_SCALAR_TILE);
    }
    return TFM_OK;
}
