#include "tfm_tile_rows.h"

/* The three loops differ in the block they walk; written once so that they cannot drift apart. */
#define ROWS(NAME, WALK)                                                                              \
    static void NAME(tfm_rows r, const uint32_t *tile, const uint8_t *stream) {                       \
        tfm_rle_walk walk = {stream, 0, 0};                                                           \
        for (; r.mult != r.end; r.bias += r.bias_step) {                                              \
            int32_t acc[8] = TFM_FILL8(*r.bias);                                                      \
            if (tfm_rle_row(&walk)) WALK(&walk, tile, acc);                                           \
            tfm_rows_store(&r, acc);                                                                  \
        }                                                                                             \
    }
ROWS(rows4, tfm_walk4)
ROWS(rows2, tfm_walk2)
ROWS(rows1, tfm_walk1)

void tfm_tile_rows_rle(const tfm_tile_out *to, const uint32_t *tile, const tfm_rle *weight,
                       int32_t cout, const tfm_quant *quant) {
    const tfm_rows r = tfm_rows_begin(to, cout, quant);
    if (weight->block == 4) rows4(r, tile, weight->stream);
    else if (weight->block == 2) rows2(r, tile, weight->stream);
    else rows1(r, tile, weight->stream);
}
