/* The tile shared by the dsp kernels of linear and convolution. Not part of the public contract.
 *
 * A tile holds 8 pixels of K int8 inputs as int16, 16 * K bytes, so that one weight block meets all
 * 8 pixels while it is in a register:
 *   block 4: [K/4][2][8] words: word 0 holds channels (0, 2) of its group, word 1 channels (1, 3)
 *   block 2: [K/2][8] words: channels (0, 1) of the pair
 *   block 1: [K][8] int16: four words hold pixels (0,1) (2,3) (4,5) (6,7)
 * K is padded with zeros to whole blocks. Dense weights use the layout of block 4. */
#ifndef TFM_TILE_H
#define TFM_TILE_H

#include "tfm_dsp.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TFM_TILE 8

/* A layer of streams, tile by tile. empty_ok: the outputs of all empty rows are in `out` already. */
typedef struct {
    const tfm_rle *weight;
    const tfm_quant *quant;
    int8_t *out;
    int32_t pixels, cout, empty_ok;
} tfm_tile_layer;

/* Status of a stream for these kernels. */
static inline int tfm_tile_status(const tfm_rle *w, int32_t rows) {
    const int status = tfm_rle_status(w, rows);
    return !status && w->block == 4 && (uintptr_t)w->stream % 4 ? TFM_ERR_ALIGN : status;
}

/* Write c inputs of one pixel into column p, starting at channel k0 (a multiple of block). */
void tfm_tile_expand(uint32_t *tile, int32_t p, int32_t k0, const int8_t *in, int32_t c, int32_t block);

/* Four pixels, `step` bytes from one to the next, into the columns p to p + 3. */
void tfm_tile_expand4(uint32_t *tile, int32_t p, int32_t k0, const int8_t *in, int32_t step, int32_t c,
                      int32_t block);

/* The same with one value in place of inputs: padding, or the columns of pixels that do not exist. */
void tfm_tile_fill(uint32_t *tile, int32_t p, int32_t k0, int32_t value, int32_t c, int32_t block);

/* All output channels of the pixels `at` to at + 7, of which those below `pixels` exist. */
void tfm_tile_rows_rle(tfm_tile_layer *layer, const uint32_t *tile, int32_t at);

#ifdef __cplusplus
}
#endif
#endif
