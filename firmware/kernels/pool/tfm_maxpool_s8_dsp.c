#include "tfm_pool.h"

/* The largest of a window of bytes, four channels: `in` is its first column in row 0 of the ring. */
static inline void four(int8_t *out, const int8_t *in, int32_t line, int32_t ring, tfm_range rows, int32_t columns, int32_t c) {
    uint32_t most = 0x80808080u;
    for (int32_t y = rows.from; y < rows.end; y++) {
        const int8_t *p = in + y % ring * line;
        for (int32_t n = columns; n > 0; n--, p += c) most = tfm_max8x4(most, tfm_load4(p));
    }
    tfm_store4(out, most);
}

/* Sixteen channels. */
static inline void sixteen(int8_t *out, const int8_t *in, int32_t line, int32_t ring, tfm_range rows, int32_t columns, int32_t c) {
    uint32_t m0 = 0x80808080u, m1 = m0, m2 = m0, m3 = m0;
    for (int32_t y = rows.from; y < rows.end; y++) {
        const int8_t *p = in + y % ring * line;
        for (int32_t n = columns; n > 0; n--, p += c) {
            m0 = tfm_max8x4(m0, tfm_load4(p)), m1 = tfm_max8x4(m1, tfm_load4(p + 4));
            m2 = tfm_max8x4(m2, tfm_load4(p + 8)), m3 = tfm_max8x4(m3, tfm_load4(p + 12));
        }
    }
    tfm_store4(out, m0), tfm_store4(out + 4, m1), tfm_store4(out + 8, m2), tfm_store4(out + 12, m3);
}

static inline void one(int8_t *out, const int8_t *in, int32_t line, int32_t ring, tfm_range rows, int32_t columns, int32_t c) {
    int8_t most = -128;
    for (int32_t y = rows.from; y < rows.end; y++)
        for (int32_t n = 0; n < columns; n++) most = tfm_max8(most, in[y % ring * line + n * c]);
    *out = most;
}

static void rows_of(int8_t *out, const int8_t *in, const tfm_pool_dims *d, int32_t first, int32_t end, int32_t ring) {
    const int32_t c = d->c, line = d->w * c;
    for (int32_t oy = first; oy < end; oy++) {
        const tfm_range rows = tfm_pool_rows(d, oy);
        for (int32_t ox = 0; ox < d->ow; ox++, out += c) {
            const tfm_range columns = tfm_pool_columns(d, ox);
            const int32_t n = columns.end - columns.from;
            const int8_t *const from = in + columns.from * c;
            int32_t at = 0;
            for (; at + 16 <= c; at += 16) sixteen(out + at, from + at, line, ring, rows, n, c);
            for (; at + 4 <= c; at += 4) four(out + at, from + at, line, ring, rows, n, c);
            if (at < c && c >= 4) four(out + c - 4, from + c - 4, line, ring, rows, n, c); /* some channels twice */
            else for (; at < c; at++) one(out + at, from + at, line, ring, rows, n, c);
        }
    }
}

int tfm_maxpool_s8_dsp(int8_t *out, const int8_t *in, const tfm_pool_dims *dims) {
    if (!out || !in || !dims) return TFM_ERR_NULL;
    if (!tfm_pool_dims_ok(dims)) return TFM_ERR_DIMS;
    rows_of(out, in, dims, 0, dims->oh, dims->h);
    return TFM_OK;
}

int tfm_maxpool_s8_dsp_rows(int8_t *out, const int8_t *in, const tfm_pool_dims *dims, const tfm_band *band) {
    if (!out || !in || !dims || !band) return TFM_ERR_NULL;
    if (!tfm_pool_dims_ok(dims) || dims->adaptive || !tfm_pool_band_ok(band, dims)) return TFM_ERR_DIMS;
    rows_of(out, in, dims, band->first, band->end, band->ring);
    return TFM_OK;
}
