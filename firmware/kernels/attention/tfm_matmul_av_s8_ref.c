#include "tfm_attention.h"

int32_t tfm_matmul_av_s8_ref_scratch_bytes(const tfm_matmul *matmul) {
    return matmul && tfm_matmul_ok(matmul) ? 0 : -1;
}

int tfm_matmul_av_s8_ref(int8_t *out, const int8_t *prob, const int8_t *v, const tfm_matmul *matmul,
                         void *scratch, int32_t scratch_bytes) {
    const tfm_matmul *m = matmul;
    (void)scratch, (void)scratch_bytes;
    if (!out || !prob || !v || !m) return TFM_ERR_NULL;
    if (!tfm_matmul_ok(m)) return TFM_ERR_DIMS;
    const int32_t width = tfm_div(m->dim, m->heads);
    for (int32_t h = 0; h < m->dim; h += width) {
        for (int32_t i = 0; i < m->tokens; i++, prob += m->keys) {
            for (int32_t c = h; c < h + width; c++) {
                int32_t acc = 0;
                for (int32_t j = 0; j < m->keys; j++) acc += (prob[j] + 128) * v[j * m->dim + c];
                out[i * m->dim + c] = tfm_requant(acc, m->mult, m->shift, m->zp_out);
            }
        }
    }
    return TFM_OK;
}
