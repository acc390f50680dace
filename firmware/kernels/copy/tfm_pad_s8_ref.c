#include <string.h>
#include "tfm_math.h"

static int sound(const tfm_pad *p) {
    const int32_t sides[6] = {p->top, p->bottom, p->left, p->right, p->gap_h, p->gap_w};
    if (!tfm_dim_ok(p->h) || !tfm_dim_ok(p->w) || !tfm_dim_ok(p->c)) return 0;
    for (int i = 0; i < 6; i++) {
        if (sides[i] < 0 || sides[i] > TFM_MAX_DIM) return 0;
    }
    const int64_t rows = p->top + p->h + p->bottom + tfm_wide(p->h - 1, p->gap_h);
    const int64_t row = p->left + p->w + p->right + tfm_wide(p->w - 1, p->gap_w);
    return rows <= TFM_MAX_VALUES && row <= tfm_div(TFM_MAX_VALUES, p->c) && tfm_long(rows, tfm_long(row, p->c)) <= TFM_MAX_VALUES;
}

/* n values of the padding; gives where they end */
static int8_t *blank(int8_t *out, const tfm_pad *pad, int32_t n) {
    memset(out, pad->value, (size_t)n);
    return out + n;
}

int tfm_pad_s8_ref(int8_t *out, const int8_t *in, const tfm_pad *pad) {
    if (!out || !in || !pad) return TFM_ERR_NULL;
    if (!sound(pad)) return TFM_ERR_DIMS;
    const int32_t c = pad->c, row = (pad->left + pad->w + pad->right + (pad->w - 1) * pad->gap_w) * c;
    const int32_t run = pad->gap_w ? 1 : pad->w; /* pixels that stay side by side */
    out = blank(out, pad, pad->top * row);
    for (int32_t y = 0; y < pad->h; y++) {
        if (y) out = blank(out, pad, pad->gap_h * row);
        out = blank(out, pad, pad->left * c);
        for (int32_t x = 0; x < pad->w; x += run, in += run * c, out += run * c) {
            if (x) out = blank(out, pad, pad->gap_w * c);
            memcpy(out, in, (size_t)(run * c));
        }
        out = blank(out, pad, pad->right * c);
    }
    blank(out, pad, pad->bottom * row);
    return TFM_OK;
}
