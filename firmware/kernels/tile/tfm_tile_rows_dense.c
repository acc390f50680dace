#include "tfm_tile_rows.h"

/* The last one to three inputs of a row, as one block padded with zeros. */
TFM_INLINE void tail4(uint32_t w, const uint32_t *t, int32_t acc[8]) {
    const uint32_t v = tfm_sxtb16(w), x = tfm_sxtb16_ror8(w);
    acc[0] = tfm_smlad(t[8], x, tfm_smlad(t[0], v, acc[0]));
    acc[1] = tfm_smlad(t[9], x, tfm_smlad(t[1], v, acc[1]));
    acc[2] = tfm_smlad(t[10], x, tfm_smlad(t[2], v, acc[2]));
    acc[3] = tfm_smlad(t[11], x, tfm_smlad(t[3], v, acc[3]));
    acc[4] = tfm_smlad(t[12], x, tfm_smlad(t[4], v, acc[4]));
    acc[5] = tfm_smlad(t[13], x, tfm_smlad(t[5], v, acc[5]));
    acc[6] = tfm_smlad(t[14], x, tfm_smlad(t[6], v, acc[6]));
    acc[7] = tfm_smlad(t[15], x, tfm_smlad(t[7], v, acc[7]));
}

void tfm_tile_rows_dense(const tfm_tile_out *to, const uint32_t *tile, const int8_t *weight, int32_t k,
                         int32_t cout, const tfm_quant *quant) {
    const int32_t tail = k & 3, body = k - tail;
    const uint32_t *last = tile + 4 * body;
    for (tfm_rows r = tfm_rows_begin(to, cout, quant); r.mult != r.end; r.bias += r.bias_step, weight += k) {
        int32_t acc[8] = TFM_FILL8(*r.bias);
        if (body) tfm_dense4(weight, weight + body, tile, acc);
        if (tail) tail4(tfm_load_tail(weight + body, tail), last, acc);
        tfm_rows_store(&r, acc);
    }
}
