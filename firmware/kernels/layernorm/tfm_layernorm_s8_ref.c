#include "tfm_norm.h"

static void row(int8_t *out, const int8_t *in, const tfm_layernorm *norm, uint32_t rc) {
    const int32_t c = norm->c;
    int32_t sum = 0, squares = 0;
    for (int32_t i = 0; i < c; i++) sum += in[i], squares += in[i] * in[i];
    const tfm_norm_row r = tfm_norm_scale(sum, squares, c, norm->eps_q, rc);
    for (int32_t i = 0; i < c; i++) {
        const int32_t n = tfm_norm_value(c * in[i] - sum, &r);
        out[i] = tfm_requant(n * norm->gamma[i] + norm->beta[i], norm->mult, norm->shift, norm->zp_out);
    }
}

int tfm_layernorm_s8_ref(int8_t *out, const int8_t *in, const tfm_layernorm *norm) {
    const int status = tfm_norm_status(out, in, norm);
    if (status) return status;
    const uint32_t rc = tfm_sqrt_q8(norm->c);
    for (int32_t t = 0; t < norm->tokens; t++, out += norm->c, in += norm->c) row(out, in, norm, rc);
    return TFM_OK;
}
