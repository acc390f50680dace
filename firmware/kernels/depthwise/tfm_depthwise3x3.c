#include "tfm_depthwise.h"
#include "tfm_dsp.h"

/* [lane] */
/* What the inner loop reads besides pixels. Weights of kernel row r are two words: (w0, w1) in w[r]
 * and (w1, w2) in w[3 + r]. For a pair of outputs over the words A = (x, x+1) and B = (x+2, x+3)
 *     left  = A . (w0, w1) + low(B) * w2
 *     right = high(A) * w0 + B . (w1, w2)
 * which is six multiplies per output and the next pair's A is this one's B. */
typedef struct {
    uint32_t w[6];
    int32_t bias, mult;
    const uint32_t *last; /* pair of columns with results, in the row at hand */
    int32_t zp, shift;
} lane;
/* [/lane] */

/* Four channels of one band. */
typedef struct {
    uint32_t *planes;
    int8_t *stage;
    int32_t columns, stride;
} band;

#if TFM_HAS_DSP

/* Two rows of outputs, two columns at a time: a b above e f. 28 multiplies in 32 cycles; the order is
 * the one that issues best. The lower pair is stored one round late, while the next one starts: what
 * the first round stores falls into the stage's unused first slot.
 * r0: p, r1: o, r2: l, r3: zp; r4 to r7: pixels, r8, r9: weights, r10 to lr: a, b, e, f. */
TFM_NAKED static void two_rows(TFM_UNUSED const uint32_t *p, TFM_UNUSED int8_t *o, TFM_UNUSED const lane *l) {
    __asm volatile(
        "push {r4-r11, lr}\n"
        "ldr r3, [r2, #36]\n" /* zp */
        "ldr r4, [r0]\n"
        "ldr r5, [r0, #4]\n"
        "ldr r6, [r0, #8]\n"
        "ldr r7, [r0, #12]\n"
        "movs r12, #0\n"
        "movs lr, #0\n"
        "ldr r8, [r2]\n"
        "1:\n"
        "ldr r10, [r2, #24]\n"
        "ldr r9, [r2, #4]\n"
        "ssat lr, #8, lr\n"
        "ssat r12, #8, r12\n"
        "smlatb r11, r4, r8, r10\n"
        "strb r12, [r1, #-56]\n"
        "smlad r12, r5, r8, r10\n"
        "strb lr, [r1, #-52]\n"
        "smlatb lr, r5, r8, r10\n"
        "smlad r10, r4, r8, r10\n"
        "ldr r4, [r2, #32]\n"
        "smlad r12, r6, r9, r12\n"
        "smlatb lr, r6, r9, lr\n"
        "smlatb r11, r5, r9, r11\n"
        "ldr r8, [r2, #8]\n"
        "smlad r10, r5, r9, r10\n"
        "cmp r0, r4\n"
        "smlatb r11, r6, r8, r11\n"
        "smlad r12, r7, r8, r12\n"
        "ldr r9, [r2, #12]\n"
        "smlad r10, r6, r8, r10\n"
        "ldr r5, [r0, #164]\n"
        "smlatb lr, r7, r8, lr\n"
        "ldr r6, [r0, #168]\n"
        "smlad lr, r5, r9, lr\n"
        "ldr r4, [r0, #160]\n"
        "smlabt r12, r5, r9, r12\n"
        "smlad r11, r4, r9, r11\n"
        "ldr r8, [r2, #16]\n"
        "smlabt r10, r4, r9, r10\n"
        "smlabt r10, r5, r8, r10\n"
        "ldr r7, [r0, #172]\n"
        "smlad lr, r6, r8, lr\n"
        "ldr r9, [r2, #20]\n"
        "smlabt r12, r6, r8, r12\n"
        "smlad r11, r5, r8, r11\n"
        "add r0, r0, #160\n"
        "smlabt r10, r6, r9, r10\n"
        "ldr r8, [r2, #28]\n"
        "smlabt r12, r7, r9, r12\n"
        "smlad r11, r6, r9, r11\n"
        "smmlar r10, r10, r8, r3\n"
        "smlad lr, r7, r9, lr\n"
        "ssat r10, #8, r10\n"
        "smmlar r11, r11, r8, r3\n"
        "smmlar r12, r12, r8, r3\n"
        "strb r10, [r1]\n"
        "ssat r11, #8, r11\n"
        "smmlar lr, lr, r8, r3\n"
        "ldr r8, [r2]\n"
        "strb r11, [r1, #4]\n"
        "add r1, r1, #64\n"
        "bne 1b\n"
        "ssat r12, #8, r12\n"
        "ssat lr, #8, lr\n"
        "strb r12, [r1, #-56]\n"
        "strb lr, [r1, #-52]\n"
        "pop {r4-r11, pc}\n");
}

/* A last row of outputs that has no partner, two columns at a time: 14 multiplies in 17 cycles.
 * r0: p, r1: o, r2: l, lr: last; r3 to r8: weights, r9, r10: left and right, r11, r12: pixels. */
TFM_NAKED static void last_row(TFM_UNUSED const uint32_t *p, TFM_UNUSED int8_t *o, TFM_UNUSED const lane *l) {
    __asm volatile(
        "push {r4-r11, lr}\n"
        "ldm r2, {r3-r8}\n"
        "ldr lr, [r2, #32]\n"
        "1: ldr r11, [r0]\n"
        "ldr r9, [r2, #24]\n"
        "ldr r12, [r0, #160]\n"
        "smlatb r10, r11, r3, r9\n"
        "smlad r9, r11, r3, r9\n"
        "ldr r11, [r0, #4]\n"
        "smlad r10, r12, r6, r10\n"
        "smlabt r9, r12, r6, r9\n"
        "ldr r12, [r0, #164]\n"
        "smlatb r10, r11, r4, r10\n"
        "smlad r9, r11, r4, r9\n"
        "ldr r11, [r0, #8]\n"
        "smlad r10, r12, r7, r10\n"
        "smlabt r9, r12, r7, r9\n"
        "ldr r12, [r0, #168]\n"
        "smlatb r10, r11, r5, r10\n"
        "cmp r0, lr\n"
        "smlad r9, r11, r5, r9\n"
        "ldr r11, [r2, #28]\n"
        "smlad r10, r12, r8, r10\n"
        "smlabt r9, r12, r8, r9\n"
        "ldr r12, [r2, #36]\n" /* zp */
        "add r0, r0, #160\n"
        "smmlar r10, r10, r11, r12\n"
        "smmlar r9, r9, r11, r12\n"
        "ssat r10, #8, r10\n"
        "strb r10, [r1, #4]\n"
        "ssat r9, #8, r9\n"
        "strb r9, [r1], #64\n"
        "bne 1b\n"
        "pop {r4-r11, pc}\n");
}

/* Two rows of outputs at stride 2, one column at a time: rows 0 to 2 give a, rows 2 to 4 give b.
 * r0: p, r1: o, r2: l, r3: zp; r4 to r7 and r12: pixels, r8, r9: weights, r10, r11: a, b. */
TFM_NAKED static void two_rows_stride2(TFM_UNUSED const uint32_t *p, TFM_UNUSED int8_t *o, TFM_UNUSED const lane *l) {
    __asm volatile(
        "push {r4-r11, lr}\n"
        "ldr r3, [r2, #36]\n" /* zp */
        "ldr r4, [r0]\n"
        "ldr r5, [r0, #4]\n"
        "ldr r6, [r0, #8]\n"
        "ldr r7, [r0, #12]\n"
        "ldr r12, [r0, #16]\n"
        "ldr r8, [r2]\n"
        "1:\n"
        "ldr r10, [r2, #24]\n"
        "smlad r11, r6, r8, r10\n"
        "ldr r9, [r2, #4]\n"
        "smlad r10, r4, r8, r10\n"
        "ldr r4, [r2, #32]\n"
        "smlad r11, r7, r9, r11\n"
        "ldr r8, [r2, #8]\n"
        "cmp r0, r4\n"
        "ldr r4, [r0, #160]\n"
        "smlad r10, r5, r9, r10\n"
        "ldr r5, [r0, #164]\n"
        "smlad r10, r6, r8, r10\n"
        "ldr r9, [r2, #12]\n"
        "smlad r11, r12, r8, r11\n"
        "ldr r6, [r0, #168]\n"
        "ldr r7, [r0, #172]\n"
        "ldr r12, [r0, #176]\n"
        "smlabt r11, r6, r9, r11\n"
        "ldr r8, [r2, #16]\n"
        "smlabt r10, r4, r9, r10\n"
        "add r0, r0, #160\n"
        "smlabt r11, r7, r8, r11\n"
        "ldr r9, [r2, #20]\n"
        "smlabt r10, r5, r8, r10\n"
        "smlabt r10, r6, r9, r10\n"
        "ldr r8, [r2, #28]\n"
        "smlabt r11, r12, r9, r11\n"
        "smmlar r10, r10, r8, r3\n"
        "smmlar r11, r11, r8, r3\n"
        "ssat r10, #8, r10\n"
        "ssat r11, #8, r11\n"
        "strb r10, [r1]\n"
        "ldr r8, [r2]\n"
        "strb r11, [r1, #8]\n"
        "add r1, r1, #64\n"
        "bne 1b\n"
        "pop {r4-r11, pc}\n");
}
#endif

/* One row of outputs in plain C. */
static TFM_OUTLINE void one_row(const uint32_t *p, int8_t *o, const lane *l, int32_t stride) {
    for (const uint32_t *end = l->last + TFM_DW_COLUMN; p != end; p += TFM_DW_COLUMN, o += TFM_DW_SLOT) {
        int32_t left = l->bias, right = l->bias;
        for (int32_t r = 0; r < 3; r++) {
            const uint32_t a = p[r], b = p[r + TFM_DW_COLUMN];
            left = tfm_smlad(a, l->w[r], tfm_smlatt(tfm_pkhbt(0, b), l->w[3 + r], left));
            if (stride == 1) right = tfm_smlatb(a, l->w[r], tfm_smlad(b, l->w[3 + r], right));
        }
        o[0] = tfm_requant(left, l->mult, l->shift, l->zp);
        if (stride == 1) o[4] = tfm_requant(right, l->mult, l->shift, l->zp);
    }
}

/* One channel of a band. At stride 2 an odd number of rows is made even: planes and stage have the room. */
static void channel_rows(const band *g, lane *l, int32_t c, int32_t rows) {
    const uint32_t *p = g->planes + c * TFM_DW_ROWS;
    int8_t *o = g->stage + TFM_DW_SLOT + c;
    l->last = p + (g->columns - 2) * TFM_DW_COLUMN;
#if TFM_HAS_DSP
    if (l->shift == 0) {
        for (; rows > 0; rows -= 2, o += 16, p += 2 * g->stride, l->last += 2 * g->stride) {
            if (g->stride == 2) two_rows_stride2(p, o, l);
            else if (rows > 1) two_rows(p, o, l);
            else last_row(p, o, l);
        }
        return;
    }
#endif
    for (; rows > 0; rows--, o += 8, p += g->stride, l->last += g->stride) one_row(p, o, l, g->stride);
}

/* n bytes as the low ones of a word. */
static inline uint32_t load(const int8_t *p, int32_t n) { return n == 4 ? tfm_load4(p) : tfm_load_tail(p, n); }

/* Four channels of two neighbours a, b as four words (a, b) at q, `step` words apart. */
static inline void put(uint32_t *q, int32_t step, uint32_t a, uint32_t b) {
    const uint32_t low = tfm_pkhbt(a, b), high = tfm_pkhtb(a, b);
    q[0] = tfm_sxtb16(low), q[step] = tfm_sxtb16_ror8(low);
    q[2 * step] = tfm_sxtb16(high), q[3 * step] = tfm_sxtb16_ror8(high);
}

/* Weights of up to four channels, `n` of them, C = `step` bytes from tap to tap. A shift before the
 * requantisation is taken into them where sixteen bits hold it: the rest remains. */
static inline void set_lanes(lane l[4], const int8_t *w, int32_t step, int32_t n, const tfm_quant *quant, int32_t c) {
    const int32_t pre = TFM_HAS_DSP && quant->shift <= 8 ? quant->shift : 0;
    for (int32_t r = 0; r < 3; r++, w += 3 * step) {
        const uint32_t w0 = load(w, n), w1 = load(w + step, n), w2 = load(w + 2 * step, n);
        put(&l[0].w[r], (int32_t)(sizeof *l / 4), w0, w1);
        put(&l[0].w[3 + r], (int32_t)(sizeof *l / 4), w1, w2);
    }
    for (int32_t i = 0; i < n; i++) {
        l[i].bias = tfm_shl(tfm_bias(quant, c + i), pre);
        l[i].mult = quant->mult[c + i], l[i].zp = quant->zp_out, l[i].shift = quant->shift - pre;
        if (pre) for (int32_t t = 0; t < 6; t++)
            l[i].w[t] = tfm_pkhbt(l[i].w[t] << pre, (l[i].w[t] & 0xFFFF0000u) << pre >> 16);
    }
}

/* A row of w pixels, n channels each, into a row of the planes; zero point left and right of it. */
static inline uint32_t *set_row(uint32_t *q, const int8_t *in, int32_t left, int32_t c, int32_t pad, int32_t n, uint32_t zp) {
    if (pad) put(q, TFM_DW_ROWS, zp, load(in, n)), in += c, left--, q += TFM_DW_COLUMN;
    for (; left > 1; left -= 2, in += 2 * c, q += TFM_DW_COLUMN)
        put(q, TFM_DW_ROWS, load(in, n), load(in + c, n));
    if (left) put(q, TFM_DW_ROWS, load(in, n), zp), q += TFM_DW_COLUMN;
    return q;
}

/* Rows r..last-1 of the planes: rows of the input from number `at` on, or of padding. */
static TFM_OUTLINE void set_rows(const band *g, const int8_t *in, int32_t ring, const tfm_conv_dims *d,
                                 int32_t n, uint32_t zp, int32_t at, int32_t r, int32_t last) {
    const int32_t c = d->cin, w = d->w, h = d->h, pad = d->left;
    const uint32_t zp16 = tfm_sxtb16(zp);
    const int32_t words = g->columns * TFM_DW_COLUMN;
    uint32_t *q = g->planes + r;
    for (const uint32_t *const end = g->planes + last; q != end; q++, at++) {
        uint32_t *p = q;
        if (at >= 0 && at < h) {
            const int8_t *row = in + (at < ring ? at : at % ring) * w * c;
            p = n == 4 ? set_row(p, row, w, c, pad, 4, zp) : set_row(p, row, w, c, pad, n, zp);
        }
        for (; p != q + words; p += TFM_DW_COLUMN)
            p[0] = zp16, p[TFM_DW_ROWS] = zp16, p[2 * TFM_DW_ROWS] = zp16, p[3 * TFM_DW_ROWS] = zp16;
    }
}

/* The last two rows of a band are the first two of the next. */
static TFM_OUTLINE void keep_two(uint32_t *q, int32_t columns) {
    for (int32_t i = 0; i < 4 * columns; i++, q += TFM_DW_ROWS) q[0] = q[TFM_DW_BAND], q[1] = q[TFM_DW_BAND + 1];
}

/* One row of results, ow pixels of n channels, from its place in the stage's slots. */
static TFM_OUTLINE void store_row(int8_t *out, const int8_t *s, int32_t ow, int32_t c, int32_t n, int32_t stride) {
    if (n == 4 && stride == 1) {
        for (; ow > 1; ow -= 2, s += TFM_DW_SLOT, out += 2 * c) memcpy(out, s, 4), memcpy(out + c, s + 4, 4);
        if (ow) memcpy(out, s, 4);
        return;
    }
    for (int32_t x = 0; x < ow; x++, out += c) {
        const int8_t *from = stride == 1 ? s + x / 2 * TFM_DW_SLOT + x % 2 * 4 : s + x * TFM_DW_SLOT;
        for (int32_t i = 0; i < n; i++) out[i] = from[i];
    }
}

/* n channels, from c on, of output rows y0..y1-1. */
static void group(int8_t *out, const int8_t *in, int32_t ring, const int8_t *weight, const tfm_conv_dims *d,
                  const tfm_quant *quant, int32_t y0, int32_t y1, const band *g, int32_t c, int32_t n) {
    const int32_t stride = d->sh, ow = tfm_conv_ow(d);
    const uint32_t zp = (uint32_t)(quant->zp_in & 255) * 0x01010101u;
    lane lanes[4];
    if (n == 4) set_lanes(lanes, weight + c, d->cin, 4, quant, c);
    else set_lanes(lanes, weight + c, d->cin, n, quant, c);
    for (int32_t y = y0, r = 0; y < y1; y += TFM_DW_BAND / stride, r = 3 - stride) { /* at stride 2 one row is kept */
        const int32_t rows = y1 - y < TFM_DW_BAND / stride ? y1 - y : TFM_DW_BAND / stride;
        if (r) keep_two(g->planes, g->columns);
        set_rows(g, in + c, ring, d, n, zp, y * stride - d->top + r, r, (rows - 1) * stride + 3);
        for (int32_t i = 0; i < n; i++) channel_rows(g, &lanes[i], i, rows);
        for (int32_t i = 0; i < rows; i++, out += ow * d->cin)
            store_row(out + c, g->stage + TFM_DW_SLOT + 8 * i, ow, d->cin, n, stride);
    }
}

void tfm_depthwise3x3_rows(int8_t *out, const int8_t *in, int32_t ring, const int8_t *weight,
                           const tfm_conv_dims *dims, const tfm_quant *quant, int32_t y0, int32_t y1,
                           void *scratch) {
    const int32_t columns = (dims->w + dims->left + dims->right + 1) / 2;
    const band g = {(uint32_t *)scratch, (int8_t *)scratch + 4 * TFM_DW_COLUMN * columns, columns, dims->sh};
    for (int32_t c = 0; c < dims->cin; c += 4)
        group(out, in, ring, weight, dims, quant, y0, y1, &g, c, dims->cin - c < 4 ? dims->cin - c : 4);
}
