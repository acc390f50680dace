/* TinyFormer kernels: the public contract of every integer operator.
 *
 * Letters: P pixels or tokens, K input channels (times taps for a convolution), N output channels,
 * T tokens, D embedding width, C channels. All tensors are int8, channels last, contiguous.
 *
 * requant(acc, mult, shift, zp) = sat8((((acc << shift) * mult + 2^31) >> 32) + zp), halves round up.
 * The compiler promises 0 <= mult < 2^31 and |acc << shift| < 2^31; a kernel does not check it.
 *
 * Every kernel checks its arguments before it writes and returns TFM_OK or the first status that
 * applies, in the order of the enumeration. It keeps no state, allocates nothing, uses no float and
 * touches exactly the bytes named here. Tensors do not overlap unless a line says they may.
 * Names end in _ref (plain C, the definition), _dsp (same bytes; SIMD instructions of the DSP
 * extension when the core has them, portable C otherwise) or _scalar (same bytes; plain C for cores
 * without it; streams are trusted as by _dsp). Sizes are 1 to TFM_MAX_DIM.
 * Scratch is memory of the caller: at least ..._scratch_bytes(dims) bytes, 4-byte aligned, contents
 * do not matter before or after; may be NULL when that function gives 0. It gives -1 for bad dims. */
#ifndef TFM_KERNELS_H
#define TFM_KERNELS_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TFM_MAX_DIM 32767
#define TFM_MAX_TAPS 225
#define TFM_MAX_TOKENS 1024
#define TFM_MAX_VALUES (1 << 30) /* of an element-wise kernel */

typedef enum {
    TFM_OK = 0,
    TFM_ERR_NULL = 1,     /* a pointer that must not be NULL is */
    TFM_ERR_DIMS = 2,     /* a size, shift or block is out of range, or two of them disagree */
    TFM_ERR_SCRATCH = 3,  /* scratch is smaller than ..._scratch_bytes() */
    TFM_ERR_ALIGN = 4,    /* scratch, or a 1x4 stream by words, is not 4-byte aligned */
    TFM_ERR_STREAM = 5,   /* a weight stream is damaged (only where a contract says it is checked) */
    TFM_ERR_WEIGHTS = 6   /* the constants are not those that were generated: from a model's own check, no kernel gives it */
} tfm_status;

/* bias[N], mult[N]: per output channel. bias has -zp_in * sum(w) folded in; NULL stands for zeros.
 * shift 0..31, one for the layer. zp_in is read by padding only. */
typedef struct { const int32_t *bias, *mult; int32_t shift, zp_in, zp_out; } tfm_quant;

typedef struct { int32_t pixels, cin, cout; } tfm_linear_dims;

/* h, w: input size; kh, kw: taps; sh, sw: strides; dh, dw: distances from tap to tap; top to right: rows
 * and columns of padding. Output is oh = (h + top + bottom - (kh-1)*dh - 1) / sh + 1 rows by
 * ow = (w + left + right - (kw-1)*dw - 1) / sw + 1 columns. kh * kw <= TFM_MAX_TAPS, paddings from 0. */
typedef struct { int32_t h, w, cin, cout, kh, kw, sh, sw, dh, dw, top, bottom, left, right; } tfm_conv_dims;

/* For the kernels whose names end in _rows: of the output only rows first to end - 1, which are written
 * from `out` on. Input row y lies at in + (y % ring) * w * K: who makes the input band by band keeps
 * `ring` rows of it; ring = h is the whole input. Rows outside the image are padding as ever.
 * 0 <= first < end <= rows of the output, 1 <= ring <= h. Scratch is that of the whole kernel. */
typedef struct { int32_t first, end, ring; } tfm_band;

/* stream: rows (output channels) one after the other; a row is a list of items. An item is a header
 * byte and `block` int8 weights (block is 1, 2 or 4). Low seven bits of the header, 0 to 119: blocks
 * skipped before this one; a longer gap is bridged by blocks of zeros. High bit: first item of a row.
 * 0xF8 to 0xFE stand for 7 to 1 empty rows, 0xFF for the end of the stream. Each tap's input channels
 * are padded with zeros to a multiple of `block`. `bytes` is the length of the stream.
 * The _dsp kernels want blocks of four by words instead, aligned to 4: four headers, then the weights of those of them
 * that are blocks, then the next four headers. Empty rows or the end are the last header of a word; what is left of
 * the word is 0xFF.
 * `empty` is not 0 where a row is empty. Results do not depend on it: 0 may cost a second start of the first tile. */
typedef struct { const uint8_t *stream; int32_t bytes, block, empty; } tfm_rle;

/* Reads the whole stream once: TFM_OK when it describes exactly `rows` rows of `row_blocks` blocks,
 * TFM_ERR_STREAM when it is truncated, runs past a row, or has bytes left over. */
int tfm_rle_check(const tfm_rle *w, int32_t rows, int32_t row_blocks);

/* CRC-32 of Ethernet and zlib over n bytes more; crc is 0 or that of the bytes before them. */
uint32_t tfm_crc32(uint32_t crc, const void *bytes, int32_t n);

/* out[p][n] = requant(bias[n] + sum_k in[p][k] * weight[n][k])
 * out int8[P][N], in int8[P][K], weight int8[N][K] in [-127, 127].
 * Serves 1x1 convolution (P = h*w), token-wise linear (P = T) and fully connected (P = 1).
 * The rle forms take the same matrix as a stream; _rle_ref checks the stream (TFM_ERR_STREAM),
 * _rle_dsp trusts it: check it once with tfm_rle_check, before it is put into words. An undersized tfm_rle is TFM_ERR_DIMS. */
int tfm_linear_s8_ref(int8_t *out, const int8_t *in, const int8_t *weight, const tfm_linear_dims *dims,
                      const tfm_quant *quant, void *scratch, int32_t scratch_bytes);
int tfm_linear_s8_dsp(int8_t *out, const int8_t *in, const int8_t *weight, const tfm_linear_dims *dims,
                      const tfm_quant *quant, void *scratch, int32_t scratch_bytes);
int tfm_linear_s8_rle_ref(int8_t *out, const int8_t *in, const tfm_rle *weight, const tfm_linear_dims *dims,
                          const tfm_quant *quant, void *scratch, int32_t scratch_bytes);
int tfm_linear_s8_rle_dsp(int8_t *out, const int8_t *in, const tfm_rle *weight, const tfm_linear_dims *dims,
                          const tfm_quant *quant, void *scratch, int32_t scratch_bytes);
int tfm_linear_s8_scalar(int8_t *out, const int8_t *in, const int8_t *weight, const tfm_linear_dims *dims,
                         const tfm_quant *quant, void *scratch, int32_t scratch_bytes);
int tfm_linear_s8_rle_scalar(int8_t *out, const int8_t *in, const tfm_rle *weight, const tfm_linear_dims *dims,
                             const tfm_quant *quant, void *scratch, int32_t scratch_bytes);
int32_t tfm_linear_s8_scalar_scratch_bytes(const tfm_linear_dims *dims);
int32_t tfm_linear_s8_rle_scalar_scratch_bytes(const tfm_linear_dims *dims);
int32_t tfm_linear_s8_ref_scratch_bytes(const tfm_linear_dims *dims);
int32_t tfm_linear_s8_dsp_scratch_bytes(const tfm_linear_dims *dims);
int32_t tfm_linear_s8_rle_ref_scratch_bytes(const tfm_linear_dims *dims);
int32_t tfm_linear_s8_rle_dsp_scratch_bytes(const tfm_linear_dims *dims);

/* out[y][x][n] = requant(bias[n] + sum over ky, kx, k of in[y*sh+ky*dh-top][x*sw+kx*dw-left][k] * weight[n][ky][kx][k])
 * out int8[oh][ow][N], in int8[h][w][K], weight int8[N][kh][kw][K]. Outside the input stands zp_in.
 * Streams and statuses as for linear. */
int tfm_conv_s8_ref(int8_t *out, const int8_t *in, const int8_t *weight, const tfm_conv_dims *dims,
                    const tfm_quant *quant, void *scratch, int32_t scratch_bytes);
int tfm_conv_s8_dsp(int8_t *out, const int8_t *in, const int8_t *weight, const tfm_conv_dims *dims,
                    const tfm_quant *quant, void *scratch, int32_t scratch_bytes);
int tfm_conv_s8_rle_ref(int8_t *out, const int8_t *in, const tfm_rle *weight, const tfm_conv_dims *dims,
                        const tfm_quant *quant, void *scratch, int32_t scratch_bytes);
int tfm_conv_s8_rle_dsp(int8_t *out, const int8_t *in, const tfm_rle *weight, const tfm_conv_dims *dims,
                        const tfm_quant *quant, void *scratch, int32_t scratch_bytes);
int tfm_conv_s8_dsp_rows(int8_t *out, const int8_t *in, const int8_t *weight, const tfm_conv_dims *dims,
                         const tfm_quant *quant, const tfm_band *band, void *scratch, int32_t scratch_bytes);
int tfm_conv_s8_rle_dsp_rows(int8_t *out, const int8_t *in, const tfm_rle *weight, const tfm_conv_dims *dims,
                             const tfm_quant *quant, const tfm_band *band, void *scratch, int32_t scratch_bytes);
int tfm_conv_s8_scalar(int8_t *out, const int8_t *in, const int8_t *weight, const tfm_conv_dims *dims,
                       const tfm_quant *quant, void *scratch, int32_t scratch_bytes);
int tfm_conv_s8_rle_scalar(int8_t *out, const int8_t *in, const tfm_rle *weight, const tfm_conv_dims *dims,
                           const tfm_quant *quant, void *scratch, int32_t scratch_bytes);
int32_t tfm_conv_s8_scalar_scratch_bytes(const tfm_conv_dims *dims);
int32_t tfm_conv_s8_rle_scalar_scratch_bytes(const tfm_conv_dims *dims);
int32_t tfm_conv_s8_ref_scratch_bytes(const tfm_conv_dims *dims);
int32_t tfm_conv_s8_dsp_scratch_bytes(const tfm_conv_dims *dims);
int32_t tfm_conv_s8_rle_ref_scratch_bytes(const tfm_conv_dims *dims);
int32_t tfm_conv_s8_rle_dsp_scratch_bytes(const tfm_conv_dims *dims);

/* out[y][x][c] = requant(bias[c] + sum over ky, kx of in[y*sh+ky*dh-top][x*sw+kx*dw-left][c] * weight[ky][kx][c])
 * cin == cout == C. out int8[oh][ow][C], in int8[h][w][C], weight int8[kh][kw][C]. Padding is zp_in.
 * _dsp: out may be in when kh = kw = 3 and strides, dilations and paddings are 1.
 * 3x3_s8_dsp: the same for kh = kw = 3, sh = sw <= 2, no dilation, left <= 1, other sizes are TFM_ERR_DIMS. A program
 * that calls nothing else links no code for other windows. */
int tfm_depthwise_s8_ref(int8_t *out, const int8_t *in, const int8_t *weight, const tfm_conv_dims *dims,
                         const tfm_quant *quant, void *scratch, int32_t scratch_bytes);
int tfm_depthwise_s8_dsp(int8_t *out, const int8_t *in, const int8_t *weight, const tfm_conv_dims *dims,
                         const tfm_quant *quant, void *scratch, int32_t scratch_bytes);
int tfm_depthwise_s8_dsp_rows(int8_t *out, const int8_t *in, const int8_t *weight, const tfm_conv_dims *dims,
                              const tfm_quant *quant, const tfm_band *band, void *scratch, int32_t scratch_bytes);
int tfm_depthwise3x3_s8_dsp(int8_t *out, const int8_t *in, const int8_t *weight, const tfm_conv_dims *dims,
                            const tfm_quant *quant, void *scratch, int32_t scratch_bytes);
int tfm_depthwise3x3_s8_dsp_rows(int8_t *out, const int8_t *in, const int8_t *weight, const tfm_conv_dims *dims,
                                 const tfm_quant *quant, const tfm_band *band, void *scratch, int32_t scratch_bytes);
int tfm_depthwise_s8_scalar(int8_t *out, const int8_t *in, const int8_t *weight, const tfm_conv_dims *dims,
                            const tfm_quant *quant, void *scratch, int32_t scratch_bytes);
int32_t tfm_depthwise_s8_scalar_scratch_bytes(const tfm_conv_dims *dims);
int32_t tfm_depthwise_s8_ref_scratch_bytes(const tfm_conv_dims *dims);
int32_t tfm_depthwise_s8_dsp_scratch_bytes(const tfm_conv_dims *dims);
int32_t tfm_depthwise3x3_s8_dsp_scratch_bytes(const tfm_conv_dims *dims);

/* out[i] = sat8((a[i] * mult_a + b[i] * mult_b + bias) >> shift), i < n. |mult_a|, |mult_b| <= 32767,
 * shift 0..20, the sum stays inside int32. out may be a or b. n is 1 to TFM_MAX_VALUES. */
typedef struct { int32_t n, mult_a, mult_b, bias, shift; } tfm_add;
int tfm_add_s8_ref(int8_t *out, const int8_t *a, const int8_t *b, const tfm_add *add);
int tfm_add_s8_dsp(int8_t *out, const int8_t *a, const int8_t *b, const tfm_add *add);

/* out[c] = requant(bias + sum over y, x of in[y][x][c], mult, shift, zp_out). out int8[C], in int8[h][w][C]. */
typedef struct { int32_t h, w, c, bias, mult, shift, zp_out; } tfm_pool;
int tfm_avgpool_s8_ref(int8_t *out, const int8_t *in, const tfm_pool *pool);
int tfm_avgpool_s8_dsp(int8_t *out, const int8_t *in, const tfm_pool *pool);

/* out[i] = table[in[i] taken as uint8_t], i < n: the entries of codes 0 to 127, then of -128 to -1.
 * table int8[256]. out may be in. n is 1 to TFM_MAX_VALUES. */
int tfm_lut_s8_ref(int8_t *out, const int8_t *in, const int8_t *table, int32_t n);
int tfm_lut_s8_dsp(int8_t *out, const int8_t *in, const int8_t *table, int32_t n);

/* The second input b of mul and add_broadcast, for outputs int8[outer][inner]: b = 0 (mul alone): int8[outer][inner];
 * b = 1: int8[inner], the same for every row; b = 2: int8[outer], one value for a whole row. out may be a, and
 * for b = 0 the second input. outer, inner and their product are 1 to TFM_MAX_VALUES.
 * mul: out[o][i] = requant((a[o][i] - zp_a) * (b - zp_b), mult, shift, zp_out). */
typedef struct { int32_t outer, inner, b, zp_a, zp_b, zp_out, mult, shift; } tfm_mul;
int tfm_mul_s8_ref(int8_t *out, const int8_t *a, const int8_t *b, const tfm_mul *mul);
int tfm_mul_s8_dsp(int8_t *out, const int8_t *a, const int8_t *b, const tfm_mul *mul);

/* out[o][i] = sat8((a[o][i] * mult_a + b * mult_b + bias) >> shift), ranges as for tfm_add. */
typedef struct { int32_t outer, inner, b, mult_a, mult_b, bias, shift; } tfm_add_broadcast;
int tfm_add_broadcast_s8_ref(int8_t *out, const int8_t *a, const int8_t *b, const tfm_add_broadcast *add);
int tfm_add_broadcast_s8_dsp(int8_t *out, const int8_t *a, const int8_t *b, const tfm_add_broadcast *add);

/* out[i] = data[i], i < n: a constant as a tensor. n is 1 to TFM_MAX_VALUES. */
int tfm_const_s8_ref(int8_t *out, const int8_t *data, int32_t n);

/* Rows of a values of the first input, each followed by b values of the second. in_a int8[outer][a],
 * in_b int8[outer][b], out int8[outer][a + b]; out has at most TFM_MAX_VALUES values. */
int tfm_concat_s8_ref(int8_t *out, const int8_t *in_a, const int8_t *in_b, int32_t outer, int32_t a, int32_t b);

/* out[i0]..[i5] = in[base + i0 * s0 + .. + i5 * s5], out int8[d0]..[d5], in int8[n_in]. A stride may be 0 or
 * negative; TFM_ERR_DIMS when a value outside the input would be read. out has at most TFM_MAX_VALUES values. */
typedef struct { int32_t d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, base, n_in; } tfm_copy;
int tfm_copy_s8_ref(int8_t *out, const int8_t *in, const tfm_copy *copy);

/* A map with `value` around it, gap_h rows between its rows and gap_w pixels between its pixels. in int8[h][w][C],
 * out int8[top + h + (h-1)*gap_h + bottom][left + w + (w-1)*gap_w + right][C], at most TFM_MAX_VALUES values. */
typedef struct { int32_t h, w, c, top, bottom, left, right, gap_h, gap_w, value; } tfm_pad;
int tfm_pad_s8_ref(int8_t *out, const int8_t *in, const tfm_pad *pad);

/* out[y][x][c] = the largest of the four in[2y..2y+1][2x..2x+1][c]. h and w are even. out int8[h/2][w/2][C].
 * out may be in. */
int tfm_maxpool2x2_s8_ref(int8_t *out, const int8_t *in, int32_t h, int32_t w, int32_t c);
int tfm_maxpool2x2_s8_dsp(int8_t *out, const int8_t *in, int32_t h, int32_t w, int32_t c);

/* Pools over windows. Output row i is made from the rows i*sh - top to i*sh - top + kh - 1 of the input, as far
 * as they exist; where adaptive is 1, from i*h/oh, rounded down, to (i+1)*h/oh, rounded up and not included.
 * Columns alike. top < kh, left < kw, and no window lies outside the map with all of its rows or columns.
 * in int8[h][w][C], out int8[oh][ow][C]. _rows: see tfm_band, not where adaptive is 1. */
typedef struct { int32_t h, w, c, oh, ow, kh, kw, sh, sw, top, left, adaptive; } tfm_pool_dims;

/* out[y][x][c] = the largest of the window's values. */
int tfm_maxpool_s8_ref(int8_t *out, const int8_t *in, const tfm_pool_dims *dims);
int tfm_maxpool_s8_dsp(int8_t *out, const int8_t *in, const tfm_pool_dims *dims);
int tfm_maxpool_s8_dsp_rows(int8_t *out, const int8_t *in, const tfm_pool_dims *dims, const tfm_band *band);

/* out[y][x][c] = requant(sum over the window of (in - zp_in), mult[n - least], shift, zp_out). n: how many values
 * the window holds, kh * kw for every window where count_pad is 1. least: the smallest n there is. */
typedef struct { const int32_t *mult; int32_t least, count_pad, shift, zp_in, zp_out; } tfm_pool_quant;
int tfm_avgpool2d_s8_ref(int8_t *out, const int8_t *in, const tfm_pool_dims *dims, const tfm_pool_quant *quant);
int tfm_avgpool2d_s8_dsp(int8_t *out, const int8_t *in, const tfm_pool_dims *dims, const tfm_pool_quant *quant);
int tfm_avgpool2d_s8_dsp_rows(int8_t *out, const int8_t *in, const tfm_pool_dims *dims, const tfm_pool_quant *quant,
                              const tfm_band *band);

/* out[t][c] = requant(norm[t][c] * gamma[c] + beta[c], mult, shift, zp_out) over rows of C channels;
 * norm is (x - mean) / sqrt(var + eps) in units of 2^-10, integers only. 0 <= eps_q < 2^62.
 * out, in int8[T][C]; gamma int16[C], beta int32[C], neither NULL. out may be in. */
typedef struct {
    int32_t tokens, c;
    const int16_t *gamma;
    const int32_t *beta;
    int32_t mult, shift, zp_out;
    int64_t eps_q;
} tfm_layernorm;
int tfm_layernorm_s8_ref(int8_t *out, const int8_t *in, const tfm_layernorm *norm);
int tfm_layernorm_s8_dsp(int8_t *out, const int8_t *in, const tfm_layernorm *norm);

/* out[t][c] = requant(norm[t][c] * gamma[c], mult, shift, zp_out) over rows of C channels; norm is
 * (x - zp_in) / sqrt(mean((x - zp_in)^2) + eps) in units of 2^-10, integers only. 0 <= eps_q < 2^62.
 * out, in int8[T][C]; gamma int16[C]. out may be in. */
typedef struct {
    int32_t tokens, c;
    const int16_t *gamma;
    int32_t zp_in, mult, shift, zp_out;
    int64_t eps_q;
} tfm_rmsnorm;
int tfm_rmsnorm_s8_ref(int8_t *out, const int8_t *in, const tfm_rmsnorm *norm);

/* Row-wise softmax: out = min(255, round(256 * e / sum e)) - 128 with e = table[255 - (max - in)] + 32768.
 * out, in int8[rows][n], n <= TFM_MAX_TOKENS; table int16[256] rises to 32767, the e of the maximum.
 * out may be in. */
typedef struct { int32_t rows, n; const int16_t *table; } tfm_softmax;
int tfm_softmax_s8_ref(int8_t *out, const int8_t *in, const tfm_softmax *softmax, void *scratch, int32_t scratch_bytes);
int tfm_softmax_s8_dsp(int8_t *out, const int8_t *in, const tfm_softmax *softmax, void *scratch, int32_t scratch_bytes);
int32_t tfm_softmax_s8_ref_scratch_bytes(const tfm_softmax *softmax);
int32_t tfm_softmax_s8_dsp_scratch_bytes(const tfm_softmax *softmax);

/* The two products of attention of T queries and S keys with the scores in memory, head width d = D / heads,
 * zero points of q, k and v are 0. Scores and probabilities are int8[heads][T][S]; probabilities as softmax gives them.
 * qk: out[h][i][j] = requant(sum_c q[i][h*d + c] * k[j][h*d + c]);
 * av: out[i][h*d + c] = requant(sum_j (prob[h][i][j] + 128) * v[j][h*d + c]).
 * q and the output of av int8[T][D], k and v int8[S][D]. T, S <= TFM_MAX_TOKENS, heads divides D. */
typedef struct { int32_t tokens, keys, dim, heads, mult, shift, zp_out; } tfm_matmul;
int tfm_matmul_qk_s8_ref(int8_t *out, const int8_t *q, const int8_t *k, const tfm_matmul *matmul,
                         void *scratch, int32_t scratch_bytes);
int tfm_matmul_qk_s8_dsp(int8_t *out, const int8_t *q, const int8_t *k, const tfm_matmul *matmul,
                         void *scratch, int32_t scratch_bytes);
int tfm_matmul_av_s8_ref(int8_t *out, const int8_t *prob, const int8_t *v, const tfm_matmul *matmul,
                         void *scratch, int32_t scratch_bytes);
int tfm_matmul_av_s8_dsp(int8_t *out, const int8_t *prob, const int8_t *v, const tfm_matmul *matmul,
                         void *scratch, int32_t scratch_bytes);
int32_t tfm_matmul_qk_s8_ref_scratch_bytes(const tfm_matmul *matmul);
int32_t tfm_matmul_qk_s8_dsp_scratch_bytes(const tfm_matmul *matmul);
int32_t tfm_matmul_av_s8_ref_scratch_bytes(const tfm_matmul *matmul);
int32_t tfm_matmul_av_s8_dsp_scratch_bytes(const tfm_matmul *matmul);

/* Multi-head attention of T queries and S keys, D wide; v is E wide. Per head of D / heads and E / heads channels,
 * zero points of q, k and v are 0:
 * score[i][j] = requant(sum_c q[i][c] * k[j][c], mult_qk, shift_qk, 0); prob = softmax(score[i]) + 128;
 * out[i][c] = requant(sum_j prob[i][j] * v[j][c], mult_av, shift_av, zp_out).
 * j runs over all keys, or with causal = 1 over keys 0 to i + S - T, in the softmax too (S >= T).
 * q int8[T][D], k int8[S][D], v int8[S][E], out int8[T][E]; _ref takes one query row at a time, _dsp two: the score
 * matrix never exists. table as for softmax. T, S <= TFM_MAX_TOKENS, heads divides D and E. out may be q if D = E. */
typedef struct {
    int32_t tokens, keys, dim, vdim, heads, causal, mult_qk, shift_qk;
    const int16_t *table;
    int32_t mult_av, shift_av, zp_out;
} tfm_attention;
int tfm_attention_s8_ref(int8_t *out, const int8_t *q, const int8_t *k, const int8_t *v,
                         const tfm_attention *attention, void *scratch, int32_t scratch_bytes);
int tfm_attention_s8_dsp(int8_t *out, const int8_t *q, const int8_t *k, const int8_t *v,
                         const tfm_attention *attention, void *scratch, int32_t scratch_bytes);
int tfm_attention_s8_scalar(int8_t *out, const int8_t *q, const int8_t *k, const int8_t *v, const tfm_attention *attention,
                            void *scratch, int32_t scratch_bytes);
int32_t tfm_attention_s8_scalar_scratch_bytes(const tfm_attention *attention);
int32_t tfm_attention_s8_ref_scratch_bytes(const tfm_attention *attention);
int32_t tfm_attention_s8_dsp_scratch_bytes(const tfm_attention *attention);

#ifdef __cplusplus
}
#endif
#endif
