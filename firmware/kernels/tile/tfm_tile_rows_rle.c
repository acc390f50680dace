#include "tfm_tile_rows.h"

#if TFM_HAS_DSP && !defined(TFM_NO_ASM)

TFM_FAST(fast4, TFM_WORDS(TFM_FIRST4, TFM_BLOCK4), "", "bmi 10b\n add r8, r8, #4\n")
TFM_FAST(fast2, TFM_PLAIN(TFM_FIRST2, TFM_BLOCK2), ", #1", "bmi 1b\n")
TFM_FAST(fast1, TFM_PLAIN(TFM_FIRST1, TFM_BLOCK1), ", #1", "bmi 1b\n")

/* Up to `end`, 32 bytes at a time. */
TFM_NAKED static void copy32(TFM_UNUSED int8_t *to, TFM_UNUSED const int8_t *from, TFM_UNUSED const int8_t *end) {
    __asm volatile(
        "push {r4-r10, lr}\n"
        "1: ldm r1!, {r3-r10}\n"
        "stm r0!, {r3-r10}\n"
        "cmp r0, r2\n"
        "bne 1b\n"
        "pop {r4-r10, pc}\n");
}

/* n bytes, each as the one `distance` before it. What was just written is read again and repeats, so no
 * more than `distance` bytes may be copied at a time. */
static void repeat(int8_t *to, int32_t distance, int32_t n) {
    const int8_t *from = to - distance;
    if (n >= 32 && distance >= 32 && distance % 4 == 0 && (uintptr_t)to % 4 == 0) {
        const int32_t body = n & ~31;
        copy32(to, from, to + body);
        to += body, from += body, n &= 31;
    }
    if (distance >= 4)
        for (; n >= 4; n -= 4, to += 4, from += 4) memcpy(to, from, 4);
    for (; n > 0; n--) *to++ = *from++;
}

/* An empty row gives the same byte for all pixels. Writing the outputs of such rows for the whole layer
 * before the first tile is copying; a row of the tile would have to store byte by byte. */
static void fill(const tfm_tile_layer *l) {
    const tfm_quant *q = l->quant;
    int8_t *to = l->out;
    for (int32_t n = 0; n < l->cout; n++) *to++ = (int8_t)tfm_requant0(q->bias[n], q->mult[n], q->zp_out);
    repeat(to, l->cout, (l->pixels - 1) * l->cout);
}

/* 0 when the tile met an empty row whose outputs are not there. */
static int fast(const tfm_tile_layer *l, const uint32_t *tile, int32_t at) {
    const tfm_quant *q = l->quant;
    const int32_t block = l->weight->block, rows = l->cout;
    const uint32_t out = (uint32_t)(uintptr_t)(l->out + at * rows) - 1; /* of the row before the first */
    const tfm_row_frame f = {-(out + (uint32_t)rows), out, q->zp_out, (uint32_t)(uintptr_t)q->mult - 4 * out, rows,
                             tile + TFM_RLE_FIRST * 4 * block, (uint32_t)(uintptr_t)q->bias - 4 * out, l->empty_ok ? 7 : 0};
    const uint8_t *const stream = l->weight->stream;
    /* no pointer to a function: the bound of the stack follows calls by name */
    const int32_t last = block == 4 ? fast4(stream, &f) : block == 2 ? fast2(stream, &f) : fast1(stream, &f);
    return last == -1;
}

#else

TFM_ROWS(rows4, tfm_words_row, tfm_walk4)
TFM_ROWS(rows2, tfm_plain_row, tfm_walk2)
TFM_ROWS(rows1, tfm_plain_row, tfm_walk1)

#endif

void tfm_tile_rows_rle(tfm_tile_layer *l, const uint32_t *tile, int32_t at) {
    const int32_t left = l->pixels - at, n = left < TFM_TILE ? left : TFM_TILE;
    int8_t *out = l->out + at * l->cout;
#if TFM_HAS_DSP && !defined(TFM_NO_ASM)
    if (n == TFM_TILE && l->quant->bias && !l->quant->shift) {
        if (l->weight->empty && !l->empty_ok) fill(l), l->empty_ok = 1;
        if (fast(l, tile, at)) return;
        fill(l); /* nobody had said that there are empty rows: the first tile starts again */
        l->empty_ok = 1;
        fast(l, tile, at);
        return;
    }
#else
    const int32_t block = l->weight->block;
    if (n == TFM_TILE) {
        if (block == 4) rows4(l, tile, out);
        else if (block == 2) rows2(l, tile, out);
        else rows1(l, tile, out);
        return;
    }
#endif
    tfm_few(l, tile, out, n);
}
