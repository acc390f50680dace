#include "tfm_math.h"

int tfm_rle_check(const tfm_rle *w, int32_t rows, int32_t row_blocks) {
    if (!w || !w->stream) return TFM_ERR_NULL;
    if (!tfm_block_ok(w->block) || rows < 1 || row_blocks < 1) return TFM_ERR_DIMS;
    int32_t at = 0;
    for (int32_t n = 0; n < rows; n++) {
        int32_t next = 0;
        for (int last = 0; !last;) {
            if (at >= w->bytes) return TFM_ERR_STREAM;
            const int32_t header = w->stream[at++], gap = header & 127;
            last = header >> 7;
            next += gap;
            if (gap == 127) {
                /* an escape ends a row only when it is the row's one item */
                if (last ? next != 127 : next >= row_blocks) return TFM_ERR_STREAM;
                continue;
            }
            at += w->block;
            if (++next > row_blocks || at > w->bytes) return TFM_ERR_STREAM;
        }
    }
    return at == w->bytes ? TFM_OK : TFM_ERR_STREAM;
}
