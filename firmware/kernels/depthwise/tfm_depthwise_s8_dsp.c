#include "tfm_depthwise.h"
#include "tfm_dsp.h"

TFM_OUTLINE int32_t tfm_depthwise_s8_dsp_scratch_bytes(const tfm_conv_dims *dims) {
    if (!dims || !tfm_conv_dims_ok(dims) || dims->cin != dims->cout) return -1;
    return tfm_depthwise3x3_ok(dims) ? tfm_depthwise3x3_scratch_bytes(dims) : 0;
}

/* First and one past last tap of a window at position `at` that lie inside 0..size-1. */
typedef struct { int32_t from, end; } taps;

static inline taps inside(int32_t at, int32_t size, int32_t n, int32_t dilation) {
    taps t = {0, n};
    if (at < 0) t.from = (dilation - 1 - at) / dilation;
    if (at + (n - 1) * dilation >= size) t.end = at >= size ? 0 : (size - at + dilation - 1) / dilation;
    return t;
}

/* Four channels, or one where there are no four. */
static inline uint32_t load(const int8_t *p, int32_t n) { return n == 4 ? tfm_load4(p) : (uint8_t)p[0]; }

/* Any window, n = 4 channels or 1, output row y. Padding equals zp_in, so with x - zp_in in place of x it drops
 * out of the sum: only the taps inside the input are visited. A word of four channels (0, 1, 2, 3) becomes
 * the pairs (0, 2) and (1, 3). */
static inline void any_row(int8_t *out, const int8_t *in, int32_t ring, const int8_t *weight, const tfm_conv_dims *d,
                           const tfm_quant *quant, const int32_t *start, const int32_t *mult, int32_t y, int32_t n) {
    const int32_t c = d->cin, kw = d->kw, w = d->w, dw = d->dw, sw = d->sw, shift = quant->shift, zp = quant->zp_out;
    const int32_t top = y * d->sh - d->top, line = w * c, down = d->dh * line, wrap = ring * line, step = dw * c;
    const uint32_t minus_zp = tfm_pkhbt((uint32_t)-quant->zp_in, (uint32_t)-quant->zp_in);
    const taps rows = inside(top, d->h, d->kh, d->dh);
    const int32_t first = rows.from < rows.end ? (top + rows.from * d->dh) % ring * line : 0;
    weight += rows.from * kw * c;
    for (int32_t x = -d->left, i = tfm_conv_ow(d); i > 0; i--, x += sw, out += c) {
        const taps columns = inside(x, w, kw, dw);
        const int8_t *w_row = weight + columns.from * c, *in_x = in + (x + columns.from * dw) * c;
        int32_t a0 = start[0], a1 = start[1], a2 = start[2], a3 = start[3], at = first;
        for (int32_t ky = rows.from; ky < rows.end; ky++, w_row += kw * c) {
            const int8_t *p = in_x + at, *u = w_row;
            for (int32_t left = columns.end - columns.from; left > 0; left--, p += step, u += c) {
                const uint32_t v = load(p, n), f = load(u, n);
                const uint32_t even = tfm_sxtab16(minus_zp, v), odd = tfm_sxtab16_ror8(minus_zp, v);
                const uint32_t f_even = tfm_sxtb16(f), f_odd = tfm_sxtb16_ror8(f);
                a0 = tfm_smlabb(even, f_even, a0), a2 = tfm_smlatt(even, f_even, a2);
                a1 = tfm_smlabb(odd, f_odd, a1), a3 = tfm_smlatt(odd, f_odd, a3);
            }
            for (at += down; at >= wrap;) at -= wrap; /* row y lies at y % ring */
        }
        out[0] = (int8_t)tfm_requant0(tfm_shl(a0, shift), mult[0], zp);
        if (n == 1) continue;
        out[1] = (int8_t)tfm_requant0(tfm_shl(a1, shift), mult[1], zp);
        out[2] = (int8_t)tfm_requant0(tfm_shl(a2, shift), mult[2], zp);
        out[3] = (int8_t)tfm_requant0(tfm_shl(a3, shift), mult[3], zp);
    }
}

/* Output rows y0..y1-1 of n channels from c on. */
static void any_channels(int8_t *out, const int8_t *in, int32_t ring, const int8_t *weight, const tfm_conv_dims *d,
                         const tfm_quant *quant, int32_t y0, int32_t y1, int32_t c, int32_t n) {
    int32_t start[4] = {0, 0, 0, 0};
    weight += c, in += c, out += c;
    for (int32_t k = 0; k < n; k++) { /* the bias has -zp_in * sum(w) folded in: it is taken out again */
        int32_t sum = 0;
        for (int32_t t = 0; t < d->kh * d->kw; t++) sum += weight[t * d->cin + k];
        start[k] = tfm_bias(quant, c + k) + quant->zp_in * sum;
    }
    for (int32_t y = y0; y < y1; y++, out += tfm_conv_ow(d) * d->cin) {
        if (n == 4) any_row(out, in, ring, weight, d, quant, start, quant->mult + c, y, 4);
        else any_row(out, in, ring, weight, d, quant, start, quant->mult + c, y, 1);
    }
}

/* Output rows y0..y1-1. The last four channels overlap those before rather than be fewer. */
static TFM_OUTLINE void any_rows(int8_t *out, const int8_t *in, int32_t ring, const int8_t *weight, const tfm_conv_dims *d,
                                 const tfm_quant *quant, int32_t y0, int32_t y1) {
    const int32_t n = d->cin < 4 ? 1 : 4;
    for (int32_t c = 0; c < d->cin; c += n)
        any_channels(out, in, ring, weight, d, quant, y0, y1, c + n > d->cin ? d->cin - n : c, n);
}

static inline void rows_of(int8_t *out, const int8_t *in, int32_t ring, const int8_t *weight, const tfm_conv_dims *dims,
                           const tfm_quant *quant, int32_t y0, int32_t y1, void *scratch) {
    if (tfm_depthwise3x3_ok(dims)) tfm_depthwise3x3_rows(out, in, ring, weight, dims, quant, y0, y1, scratch);
    else any_rows(out, in, ring, weight, dims, quant, y0, y1);
}

static int status_of(const int8_t *out, const int8_t *in, const int8_t *weight, const tfm_conv_dims *dims,
                     const tfm_quant *quant, const void *scratch, int32_t scratch_bytes) {
    return tfm_all_status(out, in, weight, dims, quant, scratch, scratch_bytes, tfm_depthwise_s8_dsp_scratch_bytes(dims));
}

int tfm_depthwise_s8_dsp(int8_t *out, const int8_t *in, const int8_t *weight, const tfm_conv_dims *dims,
                         const tfm_quant *quant, void *scratch, int32_t scratch_bytes) {
    const int status = status_of(out, in, weight, dims, quant, scratch, scratch_bytes);
    if (status) return status;
    rows_of(out, in, dims->h, weight, dims, quant, 0, tfm_conv_oh(dims), scratch);
    return TFM_OK;
}

int tfm_depthwise_s8_dsp_rows(int8_t *out, const int8_t *in, const int8_t *weight, const tfm_conv_dims *dims,
                              const tfm_quant *quant, const tfm_band *band, void *scratch, int32_t scratch_bytes) {
    if (!band) return TFM_ERR_NULL;
    const int status = status_of(out, in, weight, dims, quant, scratch, scratch_bytes);
    if (status) return status;
    if (!tfm_band_ok(band, dims)) return TFM_ERR_DIMS;
    rows_of(out, in, band->ring, weight, dims, quant, band->first, band->end, scratch);
    return TFM_OK;
}
