/* A fuzz target for weight streams. What tfm_rle_check accepts, all kernels must run alike, inside memory of exactly the
 * right size; what it refuses, the plain kernel must refuse as well, before it writes.
 * firmware/tests/README.md says how to build and run it. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "tfm_kernels.h"

#define REQUIRE(holds) do { if (!(holds)) abort(); } while (0)
#define MAX 32

/* Memory of exactly n bytes, so that the address sanitizer sees one byte too far. */
static void *exact(const void *from, size_t n) {
    void *p = malloc(n ? n : 1);
    REQUIRE(p);
    if (from) memcpy(p, from, n);
    return p;
}

typedef struct { int32_t rows, out_bytes, in_bytes, row_blocks, padded; } sizes;

static int32_t mult[MAX], bias[MAX], accepted;
static int8_t numbers[1 << 16];

/* A sound stream as the dsp kernels want it: blocks of four by words. */
static uint8_t *dsp_stream(const tfm_rle *w, int32_t *bytes) {
    uint8_t *out = exact(NULL, (size_t)(4 * w->bytes));
    int32_t at = 0, word = 0, place = 0;
    *bytes = w->bytes;
    if (w->block != 4) return memcpy(out, w->stream, (size_t)w->bytes);
    for (*bytes = 0; at < w->bytes;) {
        const int stands_alone = w->stream[at] >= 248;
        if (place == 0) memset(out + *bytes, 255, 4), word = *bytes, *bytes += 4;
        out[word + place++] = w->stream[at++];
        if (!stands_alone) memcpy(out + *bytes, w->stream + at, 4), *bytes += 4, at += 4;
        if (stands_alone || place == 4) place = 0;
    }
    uint8_t *fit = exact(out, (size_t)*bytes);
    free(out);
    return fit;
}

static void all(const tfm_rle *w, const tfm_linear_dims *lin, const tfm_conv_dims *conv, const sizes *s) {
    const tfm_quant quant = {bias, mult, 0, 3, -5};
    const int32_t need_ref = lin ? tfm_linear_s8_rle_ref_scratch_bytes(lin) : tfm_conv_s8_rle_ref_scratch_bytes(conv);
    const int32_t need = lin ? tfm_linear_s8_rle_dsp_scratch_bytes(lin) : tfm_conv_s8_rle_dsp_scratch_bytes(conv);
    REQUIRE(need_ref >= 0 && need >= 0);
    const size_t n = (size_t)s->out_bytes;
    int8_t *in = exact(numbers, (size_t)s->in_bytes), *a = exact(NULL, n), *b = exact(NULL, n);
    void *scratch_ref = exact(NULL, (size_t)need_ref), *scratch = exact(NULL, (size_t)need);
    memset(a, 1, n), memset(b, 2, n);
    const int good = tfm_rle_check(w, s->rows, s->row_blocks) == TFM_OK;
    const int ref = lin ? tfm_linear_s8_rle_ref(a, in, w, lin, &quant, scratch_ref, need_ref)
                        : tfm_conv_s8_rle_ref(a, in, w, conv, &quant, scratch_ref, need_ref);
    REQUIRE(ref == TFM_OK || ref == TFM_ERR_STREAM || ref == TFM_ERR_DIMS); /* DIMS: too short for so many rows */
    REQUIRE((ref == TFM_OK) == good);
    for (size_t i = 0; !good && i < n; i++) REQUIRE(a[i] == 1);
    if (good) {
        const int32_t room = lin ? tfm_linear_s8_rle_scalar_scratch_bytes(lin) : tfm_conv_s8_rle_scalar_scratch_bytes(conv);
        void *tile = exact(NULL, (size_t)room);
        REQUIRE((lin ? tfm_linear_s8_rle_scalar(b, in, w, lin, &quant, tile, room)
                     : tfm_conv_s8_rle_scalar(b, in, w, conv, &quant, tile, room)) == TFM_OK);
        free(tile);
        REQUIRE(s->padded || memcmp(a, b, n) == 0);
        memset(b, 2, n);
        tfm_rle own = *w;
        own.stream = dsp_stream(w, &own.bytes);
        const int dsp = lin ? tfm_linear_s8_rle_dsp(b, in, &own, lin, &quant, scratch, need)
                            : tfm_conv_s8_rle_dsp(b, in, &own, conv, &quant, scratch, need);
        free((void *)(uintptr_t)own.stream);
        REQUIRE(dsp == TFM_OK);
        accepted++;
        /* the check does not look at weights: those of padding are zero in a sound stream, and here anything */
        REQUIRE(s->padded || memcmp(a, b, n) == 0);
    }
    free(in), free(a), free(b), free(scratch_ref), free(scratch);
}

/* Six bytes of sizes, then the stream. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 7 || size > 4096) return 0;
    for (int32_t i = 0; mult[0] == 0 && i < 1 << 16; i++) numbers[i] = (int8_t)(i * 37 ^ i >> 5);
    for (int32_t i = 0; i < MAX; i++) mult[i] = 40000000 + i * 1000003, bias[i] = i * 777 - 5000;
    const int32_t block = 1 << data[0] % 3, cin = 1 + data[1] * (data[0] & 64 ? 3 : 1), rows = 1 + data[2] % MAX;
    tfm_rle w = {exact(data + 6, size - 6), (int32_t)(size - 6), block, 0};
    const int32_t blocks = (cin + block - 1) / block;
    if (data[0] & 128) {
        const int32_t step = 1 + (data[5] >> 4) % 2, pad = (data[5] >> 5) % 3, more = data[3] >> 6, apart = 1 + data[4] / 128;
        const tfm_conv_dims d = {1 + data[3] % 6, 1 + data[4] % 9, 1 + cin % 24, rows, 1 + data[5] % 3, 1 + (data[5] >> 2) % 3,
                                 step, 1 + data[4] / 64 % 2, apart, apart, pad, more, more, pad};
        const int32_t high = d.h + pad + more - (d.kh - 1) * apart - 1, wide = d.w + more + pad - (d.kw - 1) * apart - 1;
        if (high >= 0 && wide >= 0) {
            const int32_t oh = high / d.sh + 1, ow = wide / d.sw + 1;
            const sizes s = {rows, oh * ow * rows, d.h * d.w * d.cin, d.kh * d.kw * ((d.cin + block - 1) / block), d.cin % block};
            all(&w, NULL, &d, &s);
        }
    } else {
        const tfm_linear_dims d = {1 + data[3] % 40, cin, rows};
        const sizes s = {rows, d.pixels * rows, d.pixels * cin, blocks, cin % block};
        all(&w, &d, NULL, &s);
    }
    free((void *)(uintptr_t)w.stream);
    return 0;
}

#ifdef FROM_FILE
/* Without a fuzzer: the records of a file, each a length of four bytes and that many bytes. */
#include <stdio.h>
int main(int argc, char **argv) {
    FILE *f = argc == 2 ? fopen(argv[1], "rb") : NULL;
    static uint8_t record[8192];
    int32_t n, done = 0;
    if (!f) return 2;
    for (; fread(&n, sizeof n, 1, f) == 1; done++) {
        REQUIRE(n > 0 && n <= (int32_t)sizeof record && fread(record, (size_t)n, 1, f) == 1);
        LLVMFuzzerTestOneInput(record, (size_t)n);
    }
    fclose(f);
    printf("%d accepted of %d\n", accepted, done);
    return 0;
}
#endif
