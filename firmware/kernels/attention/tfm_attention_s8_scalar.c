#include "tfm_attention.h"
#include "tfm_scalar.h"
#include "tfm_softmax.h"

/* a tile of four queries or of four rows of probabilities, then those rows as bytes */
int32_t tfm_attention_s8_scalar_scratch_bytes(const tfm_attention *attention) {
    if (!attention || !tfm_attention_ok(attention)) return -1;
    const int32_t width = tfm_div(attention->dim, attention->heads), keys = attention->keys;
    return 16 * (width > keys ? width : keys) + 4 * tfm_round4(keys);
}

/* Scores of n queries, as codes, to rows of `pitch` bytes. */
static void scores(int8_t *row, int32_t pitch, const int32_t *tile, const int8_t *k, const tfm_attention *a, int32_t width,
                   int32_t keys, int32_t n) {
    for (int32_t j = 0; j < keys; j++, k += a->dim) {
        int32_t acc[4] = {0, 0, 0, 0};
        tfm_scalar_dot(acc, tile, k, 1, width);
        tfm_scalar_put(row + j, pitch, n, acc, a->mult_qk, a->shift_qk, 0);
    }
}

/* Probabilities as a tile: 0 for keys that a query does not see. */
static void prob_tile(int32_t *tile, const uint8_t *row, int32_t seen, int32_t keys) {
    for (int32_t j = 0; j < seen; j++) tile[4 * j] = row[j];
    for (int32_t j = seen; j < keys; j++) tile[4 * j] = 0;
}

/* One head of the n queries from i on. */
static void four_queries(int8_t *out, const int8_t *q, const int8_t *k, const int8_t *v, const tfm_attention *a, int32_t i,
                         int32_t n, int32_t *tile, int8_t *rows) {
    const int32_t width = tfm_div(a->dim, a->heads), v_width = tfm_div(a->vdim, a->heads), pitch = tfm_round4(a->keys);
    const int32_t keys = tfm_keys_seen(a, i + n - 1);
    for (int32_t p = 0; p < TFM_SCALAR_TILE; p++) tfm_scalar_column(tile + p, q + (p < n ? p : n - 1) * a->dim, width);
    scores(rows, pitch, tile, k, a, width, keys, n);
    for (int32_t p = 0; p < TFM_SCALAR_TILE; p++) {
        int8_t *const row = rows + (p < n ? p : n - 1) * pitch;
        const int32_t seen = tfm_keys_seen(a, i + (p < n ? p : n - 1));
        if (p < n) tfm_softmax_row((uint8_t *)row, row, seen, a->table);
        prob_tile(tile + p, (const uint8_t *)row, seen, keys);
    }
    for (int32_t c = 0; c < v_width; c++) {
        int32_t acc[4] = {0, 0, 0, 0};
        tfm_scalar_dot(acc, tile, v + c, a->vdim, keys);
        tfm_scalar_put(out + c, a->vdim, n, acc, a->mult_av, a->shift_av, a->zp_out);
    }
}

int tfm_attention_s8_scalar(int8_t *out, const int8_t *q, const int8_t *k, const int8_t *v, const tfm_attention *attention,
                            void *scratch, int32_t scratch_bytes) {
    const tfm_attention *a = attention;
    if (!out || !q || !k || !v || !a || !a->table) return TFM_ERR_NULL;
    const int32_t need = tfm_attention_s8_scalar_scratch_bytes(a);
    if (need < 0 || !tfm_table_ok(a->table)) return TFM_ERR_DIMS;
    const int status = tfm_scratch_status(scratch, scratch_bytes, need);
    if (status) return status;
    const int32_t width = tfm_div(a->dim, a->heads), v_width = tfm_div(a->vdim, a->heads);
    int32_t *const tile = (int32_t *)scratch;
    int8_t *const rows = (int8_t *)(tile + 4 * (width > a->keys ? width : a->keys));
    for (int32_t i = 0; i < a->tokens; i += TFM_SCALAR_TILE) {
        const int32_t n = a->tokens - i < TFM_SCALAR_TILE ? a->tokens - i : TFM_SCALAR_TILE;
        for (int32_t h = 0; h < a->heads; h++)
            four_queries(out + i * a->vdim + h * v_width, q + i * a->dim + h * width, k + h * width, v + h * v_width, a, i, n,
                         tile, rows);
    }
    return TFM_OK;
}
