/* Integer arithmetic and argument checks shared by the kernels. Not part of the public contract. */
#ifndef TFM_MATH_H
#define TFM_MATH_H

#include <stddef.h>
#include <stdint.h>
#include "tfm_kernels.h"

static inline int8_t tfm_sat8(int32_t x) {
    return (int8_t)(x < -128 ? -128 : x > 127 ? 127 : x);
}

/* A left shift of a negative int is undefined, of an unsigned one it is not. */
static inline int32_t tfm_shl(int32_t x, int32_t shift) {
    return (int32_t)((uint32_t)x << shift);
}

/* A core whose products have 32 bits, and which cannot divide. -DTFM_SHORT_PRODUCTS=1 builds its forms for any. */
#if !defined(TFM_SHORT_PRODUCTS) && (defined(__ARM_ARCH_6M__) || defined(__ARM_ARCH_8M_BASE__))
#define TFM_SHORT_PRODUCTS 1
#endif

#if defined(TFM_SHORT_PRODUCTS) && TFM_SHORT_PRODUCTS

/* [short] */
/* (acc * mult + 2^31) >> 32 from four products of 16 by 16 bits: no sum of them leaves 32 bits. */
static inline int32_t tfm_round_high(int32_t acc, int32_t mult) {
    const int32_t ah = acc >> 16, al = acc & 0xFFFF, mh = mult >> 16, ml = mult & 0xFFFF;
    const int32_t t = ah * ml + (int32_t)((uint32_t)al * (uint32_t)ml >> 16) + 0x8000;
    return ah * mh + (t >> 16) + ((al * mh + (t & 0xFFFF)) >> 16);
}
/* [/short] */

/* a * b in 64 bits */
static inline uint64_t tfm_wide_u(uint32_t a, uint32_t b) {
    const uint32_t ah = a >> 16, al = a & 0xFFFFu, bh = b >> 16, bl = b & 0xFFFFu, low = al * bl;
    const uint32_t t = ah * bl + (low >> 16), u = al * bh + (t & 0xFFFFu);
    return (uint64_t)(ah * bh + (t >> 16) + (u >> 16)) << 32 | (u << 16 | (low & 0xFFFFu));
}

/* A negative a is a + 2^32 when it is read without its sign: the product is 2^32 * b too large. */
static inline int64_t tfm_wide_su(int32_t a, uint32_t b) {
    return (int64_t)(tfm_wide_u((uint32_t)a, b) - ((uint64_t)(a < 0 ? b : 0u) << 32));
}

static inline int64_t tfm_wide(int32_t a, int32_t b) {
    return (int64_t)((uint64_t)tfm_wide_su(a, (uint32_t)b) - ((uint64_t)(b < 0 ? (uint32_t)a : 0u) << 32));
}

/* 0 <= a < 2^63 and 0 <= b: the low 64 bits */
static inline uint64_t tfm_wider(uint64_t a, int32_t b) {
    return tfm_wide_u((uint32_t)a, (uint32_t)b) + ((uint64_t)((uint32_t)(a >> 32) * (uint32_t)b) << 32);
}

/* 0 <= a, b < 2^32 */
static inline int64_t tfm_long(int64_t a, int64_t b) { return (int64_t)tfm_wide_u((uint32_t)a, (uint32_t)b); }

/* a / b, one bit of the quotient a step */
static inline uint32_t tfm_udiv(uint32_t a, uint32_t b) {
    uint32_t rest = 0, bits = 32;
    for (; bits > 1 && a >> 24 == 0; bits -= 8) a <<= 8;
    for (; bits; bits--) {
        rest = rest << 1 | a >> 31;
        a <<= 1;
        if (rest >= b) rest -= b, a |= 1;
    }
    return a;
}

/* a / b and a % b for a >= 0 and b > 0 */
static inline int32_t tfm_div(int32_t a, int32_t b) { return (int32_t)tfm_udiv((uint32_t)a, (uint32_t)b); }

static inline int32_t tfm_mod(int32_t a, int32_t b) { return a - tfm_div(a, b) * b; }

#else

static inline int32_t tfm_round_high(int32_t acc, int32_t mult) {
    return (int32_t)(((int64_t)acc * mult + ((int64_t)1 << 31)) >> 32);
}

static inline int64_t tfm_wide_su(int32_t a, uint32_t b) { return (int64_t)a * (int64_t)b; }

static inline int64_t tfm_wide(int32_t a, int32_t b) { return (int64_t)a * b; }

static inline uint64_t tfm_wider(uint64_t a, int32_t b) { return a * (uint64_t)b; }

static inline int64_t tfm_long(int64_t a, int64_t b) { return a * b; }

static inline uint32_t tfm_udiv(uint32_t a, uint32_t b) { return a / b; }

static inline int32_t tfm_div(int32_t a, int32_t b) { return a / b; }

#define tfm_mod(a, b) ((a) % (b))

#endif

static inline int8_t tfm_requant(int32_t acc, int32_t mult, int32_t shift, int32_t zp) {
    return tfm_sat8(tfm_round_high(tfm_shl(acc, shift), mult) + zp);
}

static inline int32_t tfm_bias(const tfm_quant *quant, int32_t n) {
    return quant->bias ? quant->bias[n] : 0;
}

static inline int32_t tfm_round4(int32_t x) {
    return (x + 3) & ~3;
}

/* Channels of one tap in a stream: padded to whole blocks. */
static inline int32_t tfm_padded(int32_t cin, int32_t block) {
    return (cin + block - 1) & ~(block - 1);
}

static inline int tfm_dim_ok(int32_t x) {
    return x >= 1 && x <= TFM_MAX_DIM;
}

/* Rows of an element-wise kernel. */
static inline int tfm_rows_ok(int32_t outer, int32_t inner) {
    return outer >= 1 && inner >= 1 && tfm_wide(outer, inner) <= TFM_MAX_VALUES;
}

static inline int tfm_linear_dims_ok(const tfm_linear_dims *d) {
    return tfm_dim_ok(d->pixels) && tfm_dim_ok(d->cin) && tfm_dim_ok(d->cout);
}

static inline int tfm_pad_ok(int32_t x) {
    return x >= 0 && x < TFM_MAX_DIM;
}

/* Rows or columns from the first tap of a window to its last. */
static inline int32_t tfm_span(int32_t taps, int32_t dilation) {
    return (taps - 1) * dilation + 1;
}

static inline int32_t tfm_conv_oh(const tfm_conv_dims *d) {
    return tfm_div(d->h + d->top + d->bottom - tfm_span(d->kh, d->dh), d->sh) + 1;
}

static inline int32_t tfm_conv_ow(const tfm_conv_dims *d) {
    return tfm_div(d->w + d->left + d->right - tfm_span(d->kw, d->dw), d->sw) + 1;
}

static inline int tfm_conv_dims_ok(const tfm_conv_dims *d) {
    return tfm_dim_ok(d->h) && tfm_dim_ok(d->w) && tfm_dim_ok(d->cin) && tfm_dim_ok(d->cout)
        && d->kh >= 1 && d->kw >= 1 && d->kh <= TFM_MAX_TAPS && d->kw <= TFM_MAX_TAPS
        && d->kh * d->kw <= TFM_MAX_TAPS && tfm_dim_ok(d->sh) && tfm_dim_ok(d->sw) && tfm_dim_ok(d->dh) && tfm_dim_ok(d->dw)
        && tfm_pad_ok(d->top) && tfm_pad_ok(d->bottom) && tfm_pad_ok(d->left) && tfm_pad_ok(d->right)
        && d->h + d->top + d->bottom >= tfm_span(d->kh, d->dh) && d->w + d->left + d->right >= tfm_span(d->kw, d->dw);
}

static inline int tfm_band_ok(const tfm_band *b, const tfm_conv_dims *d) {
    return b->first >= 0 && b->first < b->end && b->end <= tfm_conv_oh(d) && b->ring >= 1 && b->ring <= d->h;
}

static inline int tfm_shift_ok(int32_t shift) {
    return shift >= 0 && shift <= 31;
}

static inline int tfm_block_ok(int32_t block) {
    return block == 1 || block == 2 || block == 4;
}

/* Status of a scratch argument against what the kernel needs. */
static inline int tfm_scratch_status(const void *scratch, int32_t have, int32_t need) {
    if (need == 0) return TFM_OK;
    if (scratch == NULL) return TFM_ERR_NULL;
    if (have < need) return TFM_ERR_SCRATCH;
    return (uintptr_t)scratch % 4 ? TFM_ERR_ALIGN : TFM_OK;
}

/* Status of the arguments that all linear and convolution kernels share. */
static inline int tfm_args_status(const void *out, const void *in, const void *weight, const void *dims,
                                  const tfm_quant *quant) {
    if (!out || !in || !weight || !dims || !quant || !quant->mult) return TFM_ERR_NULL;
    return tfm_shift_ok(quant->shift) ? TFM_OK : TFM_ERR_DIMS;
}

/* The same, and of the scratch: `need` is -1 where the sizes are wrong. */
static inline int tfm_all_status(const void *out, const void *in, const void *weight, const void *dims,
                                 const tfm_quant *quant, const void *scratch, int32_t scratch_bytes, int32_t need) {
    const int status = tfm_args_status(out, in, weight, dims, quant);
    if (status) return status;
    return need < 0 ? TFM_ERR_DIMS : tfm_scratch_status(scratch, scratch_bytes, need);
}

#define TFM_RLE_FIRST 128    /* header flag: first block of a row */
#define TFM_RLE_MAX_GAP 119  /* blocks that one header can skip */
#define TFM_RLE_MAX_EMPTY 7  /* empty rows that one header can stand for: header 255 - rows */
#define TFM_RLE_END 255      /* behind the last row */

/* The shortest stream of `rows` rows is empty rows only. */
static inline int tfm_rle_status(const tfm_rle *w, int32_t rows) {
    if (!w->stream) return TFM_ERR_NULL;
    return tfm_block_ok(w->block) && w->bytes > tfm_div(rows, TFM_RLE_MAX_EMPTY) ? TFM_OK : TFM_ERR_DIMS;
}

/* [item] */
/* A walk through a stream: the next byte, the block after the last one seen, empty rows to come. */
typedef struct { const uint8_t *at; int32_t next, empty; } tfm_rle_walk;

/* Begin a row. 0 when it is empty; else its blocks come one by one while tfm_rle_more() holds. */
static inline int tfm_rle_row(tfm_rle_walk *walk) {
    walk->next = -TFM_RLE_FIRST; /* takes the flag off the row's first header */
    if (!walk->empty && *walk->at >= TFM_RLE_END - TFM_RLE_MAX_EMPTY) walk->empty = TFM_RLE_END - *walk->at++;
    return walk->empty ? walk->empty--, 0 : 1;
}

/* Step over one header. Gives the index of the block whose weights now lie at walk->at. */
static inline int32_t tfm_rle_next(tfm_rle_walk *walk) {
    const int32_t block = walk->next + *walk->at++;
    walk->next = block + 1;
    return block;
}

static inline int tfm_rle_more(const tfm_rle_walk *walk) {
    return *walk->at < TFM_RLE_FIRST;
}
/* [/item] */

#endif
