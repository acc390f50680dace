/* Dense weights on a tile of up to 16 pixels. Shared by the dsp kernels of linear and convolution;
 * not part of the public contract.
 *
 * A tile holds int16 pairs in two parts, 36 bytes for each of K inputs (K rounded up to eights):
 *   x: four groups of 4 pixels, each [K/2 pairs][4 pixels] words, 8 * K bytes a group
 *   w: two output channels,           [K/2 pairs][2 channels] words, 4 * K bytes
 * Pairs follow the bytes of a word: inputs (0, 2), (1, 3), (4, 6), (5, 7) and so on.
 * All output channels, two at a time, meet all groups: a word that is read serves two channels or
 * four pixels, and a weight is expanded once for 16 pixels (8 would halve the scratch and cost
 * a tenth more cycles; 32 would double it and save a twentieth). Inputs past the end of a row are 0,
 * so what stands there among the weights, mostly those of the next row, does not count. */
#ifndef TFM_DENSE_H
#define TFM_DENSE_H

#include "tfm_dsp.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TFM_DENSE_TILE 16 /* a multiple of 4; more pixels cost memory and save expanding weights */

static inline int32_t tfm_round8(int32_t x) { return (x + 7) & ~7; }

/* Bytes of a tile of `taps` times `cin` inputs: enough for the eights, and linear in the inputs. The assembly reads, and
 * does not use, two words behind the weights. */
static inline int32_t tfm_dense_tile_bytes(int32_t taps, int32_t cin) {
    return (2 * TFM_DENSE_TILE + 4) * (taps * tfm_round4(cin) + 4) + 8;
}

/* The part of a tile where weights go. A caller may use its 4 * K bytes until it calls tfm_dense_rows. */
static inline uint32_t *tfm_dense_w(uint32_t *tile, int32_t k) { return tile + TFM_DENSE_TILE / 2 * tfm_round8(k); }

/* The words of input k0 (a multiple of 4) of a group. */
static inline uint32_t *tfm_dense_x(uint32_t *tile, int32_t k, int32_t group, int32_t k0) {
    return tile + 2 * (group * tfm_round8(k) + k0);
}

/* Zeros for the inputs that no caller writes: whole words between k and its eights. Once for a call. */
static inline void tfm_dense_clear(uint32_t *tile, int32_t k) {
    const int32_t k4 = tfm_round4(k);
    for (int32_t g = 0; g < TFM_DENSE_TILE / 4 && k4 < tfm_round8(k); g++) memset(tfm_dense_x(tile, k, g, k4), 0, 32);
}

/* c inputs of four pixels, from in[0] to in[3], to the words at x; zeros up to a multiple of 4. */
void tfm_dense_expand(uint32_t *x, const int8_t *const in[4], int32_t c);

/* All output channels of the n pixels of a tile: weight int8[cout][k], out int8[n][cout]. Inputs past k are 0. */
void tfm_dense_rows(int8_t *out, uint32_t *tile, int32_t n, const int8_t *weight, int32_t k, int32_t cout,
                    const tfm_quant *quant);

#ifdef __cplusplus
}
#endif
#endif
