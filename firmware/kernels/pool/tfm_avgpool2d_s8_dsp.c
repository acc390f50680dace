#include "tfm_pool.h"

/* Sums of bytes are kept two in a word; 256 times -128 is the most that 16 bits hold. */
#define MOST 256

static inline int32_t low(uint32_t pair) { return (int16_t)(pair & 0xFFFFu); }
static inline int32_t high(uint32_t pair) { return (int16_t)(pair >> 16); }

/* A window of bytes, four channels, added to sum: `in` is its first column in row 0 of the ring. Of a word of
 * channels (0, 1, 2, 3) the even ones go to one pair of sums and the odd ones to another. */
static inline void add4(int32_t sum[4], const int8_t *in, int32_t line, int32_t ring, tfm_range rows, int32_t columns, int32_t c) {
    uint32_t even = 0, odd = 0;
    int32_t room = MOST;
    for (int32_t y = rows.from; y < rows.end; y++) {
        const int8_t *p = in + y % ring * line;
        for (int32_t left = columns; left > 0;) {
            int32_t n = left < room ? left : room;
            left -= n, room -= n;
            for (; n > 0; n--, p += c) {
                const uint32_t x = tfm_load4(p);
                even = tfm_sxtab16(even, x), odd = tfm_sxtab16_ror8(odd, x);
            }
            if (room > 0) continue;
            sum[0] += low(even), sum[1] += low(odd), sum[2] += high(even), sum[3] += high(odd);
            even = 0, odd = 0, room = MOST;
        }
    }
    sum[0] += low(even), sum[1] += low(odd), sum[2] += high(even), sum[3] += high(odd);
}

static inline void add1(int32_t *sum, const int8_t *in, int32_t line, int32_t ring, tfm_range rows, int32_t columns, int32_t c) {
    for (int32_t y = rows.from; y < rows.end; y++)
        for (int32_t n = 0; n < columns; n++) *sum += in[y % ring * line + n * c];
}

static void rows_of(int8_t *out, const int8_t *in, const tfm_pool_dims *d, const tfm_pool_quant *q, int32_t first,
                    int32_t end, int32_t ring) {
    const int32_t c = d->c, line = d->w * c, step = c < 4 ? 1 : 4;
    for (int32_t oy = first; oy < end; oy++) {
        const tfm_range rows = tfm_pool_rows(d, oy);
        for (int32_t ox = 0; ox < d->ow; ox++, out += c) {
            const tfm_range columns = tfm_pool_columns(d, ox);
            const int32_t n = columns.end - columns.from, inside = (rows.end - rows.from) * n;
            const int32_t mult = q->mult[(q->count_pad ? d->kh * d->kw : inside) - q->least], start = -inside * q->zp_in;
            for (int32_t at = 0; at < c; at += step) {
                if (at + step > c) at = c - step; /* some channels twice */
                int32_t sum[4] = {start, start, start, start};
                const int8_t *const from = in + columns.from * c + at;
                if (step == 4) add4(sum, from, line, ring, rows, n, c);
                else add1(sum, from, line, ring, rows, n, c);
                for (int32_t i = 0; i < step; i++)
                    out[at + i] = (int8_t)tfm_requant0(tfm_shl(sum[i], q->shift), mult, q->zp_out);
            }
        }
    }
}

int tfm_avgpool2d_s8_dsp(int8_t *out, const int8_t *in, const tfm_pool_dims *dims, const tfm_pool_quant *quant) {
    if (!out || !in || !dims || !quant || !quant->mult) return TFM_ERR_NULL;
    if (!tfm_pool_dims_ok(dims) || !tfm_shift_ok(quant->shift)) return TFM_ERR_DIMS;
    rows_of(out, in, dims, quant, 0, dims->oh, dims->h);
    return TFM_OK;
}

int tfm_avgpool2d_s8_dsp_rows(int8_t *out, const int8_t *in, const tfm_pool_dims *dims, const tfm_pool_quant *quant,
                              const tfm_band *band) {
    if (!out || !in || !dims || !quant || !quant->mult || !band) return TFM_ERR_NULL;
    if (!tfm_pool_dims_ok(dims) || !tfm_shift_ok(quant->shift)) return TFM_ERR_DIMS;
    if (dims->adaptive || !tfm_pool_band_ok(band, dims)) return TFM_ERR_DIMS;
    rows_of(out, in, dims, quant, band->first, band->end, band->ring);
    return TFM_OK;
}
