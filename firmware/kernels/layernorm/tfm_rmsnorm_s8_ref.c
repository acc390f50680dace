#include "tfm_norm.h"

static void row(int8_t *out, const int8_t *in, const tfm_rmsnorm *norm, uint32_t rc) {
    int32_t squares = 0;
    for (int32_t i = 0; i < norm->c; i++) squares += (in[i] - norm->zp_in) * (in[i] - norm->zp_in);
    const tfm_norm_row r = tfm_norm_factor(0, (uint64_t)squares + (uint64_t)norm->eps_q, rc);
    for (int32_t i = 0; i < norm->c; i++) {
        const int32_t n = tfm_norm_value(in[i] - norm->zp_in, &r);
        out[i] = tfm_requant(n * norm->gamma[i], norm->mult, norm->shift, norm->zp_out);
    }
}

int tfm_rmsnorm_s8_ref(int8_t *out, const int8_t *in, const tfm_rmsnorm *norm) {
    if (!out || !in || !norm || !norm->gamma) return TFM_ERR_NULL;
    if (!tfm_dim_ok(norm->tokens) || !tfm_dim_ok(norm->c) || !tfm_shift_ok(norm->shift) || norm->eps_q < 0
        || norm->eps_q >> 62) return TFM_ERR_DIMS;
    const uint32_t rc = tfm_sqrt_q8(norm->c);
    for (int32_t t = 0; t < norm->tokens; t++, out += norm->c, in += norm->c) row(out, in, norm, rc);
    return TFM_OK;
}
