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

#define TFM_TILE 8

/* Where the rows of a tile go: n valid pixels, `stride` bytes from one pixel's output to the next. */
typedef struct { int8_t *out; int32_t n, stride; } tfm_tile_out;

/* Write c inputs of one pixel into column p, starting at channel k0 (a multiple of block). */
void tfm_tile_expand(uint32_t *tile, int32_t p, int32_t k0, const int8_t *in, int32_t c, int32_t block);

/* The same with one value in place of inputs: padding, or the columns of pixels that do not exist. */
void tfm_tile_fill(uint32_t *tile, int32_t p, int32_t k0, int32_t value, int32_t c, int32_t block);

/* All output channels of a tile: dense weight int8[cout][k] or a stream. */
void tfm_tile_rows_dense(const tfm_tile_out *to, const uint32_t *tile, const int8_t *weight, int32_t k,
                         int32_t cout, const tfm_quant *quant);
void tfm_tile_rows_rle(const tfm_tile_out *to, const uint32_t *tile, const tfm_rle *weight,
                       int32_t cout, const tfm_quant *quant);

#endif
