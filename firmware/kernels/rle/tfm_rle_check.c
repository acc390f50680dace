#include "tfm_math.h"

int tfm_rle_check(const tfm_rle *w, int32_t rows, int32_t row_blocks) {
    if (!w || !w->stream) return TFM_ERR_NULL;
    if (!tfm_block_ok(w->block) || rows < 1 || row_blocks < 1) return TFM_ERR_DIMS;
    int32_t at = 0, row = 0, next = row_blocks, empty = TFM_RLE_MAX_EMPTY; /* no row to go on with yet */
    while (at < w->bytes) {
        const int32_t header = w->stream[at++], gap = header & (TFM_RLE_FIRST - 1);
        if (header == TFM_RLE_END) return row == rows && at == w->bytes ? TFM_OK : TFM_ERR_STREAM;
        if (gap > TFM_RLE_MAX_GAP) {
            /* empty rows: a header that could have held more of them is not followed by another */
            if (header < TFM_RLE_FIRST || empty < TFM_RLE_MAX_EMPTY) return TFM_ERR_STREAM;
            empty = TFM_RLE_END - header;
            row += empty;
            next = row_blocks;
            if (row > rows) return TFM_ERR_STREAM;
            continue;
        }
        empty = TFM_RLE_MAX_EMPTY;
        if (header >= TFM_RLE_FIRST) next = 0, row++;
        next += gap + 1;
        at += w->block;
        if (row > rows || next > row_blocks) return TFM_ERR_STREAM;
    }
    return TFM_ERR_STREAM;
}
