/* Every kernel refuses bad arguments with the status that its contract names, before it writes.
 * Prints the number of checks; exits 0 when all hold, 1 otherwise. Host only. */
#include <stdio.h>
#include <string.h>
#include "tfm_kernels.h"

static int checks, failures;
static int seen[6];

static void expect(int line, int got, int want) {
    checks++;
    if (want >= 0 && want < 6) seen[want]++;
    if (got == want) return;
    failures++;
    printf("line %d: status %d, want %d\n", line, got, want);
}
#define EXPECT(call, want) expect(__LINE__, (call), (want))

/* 2 pixels or a 2x3 map, 5 channels in, 5 out: small enough for every kernel */
static int8_t in[64], out[64], weight[5 * 9 * 5];
static int32_t bias[5], mult[5], scratch[4096];
static const uint8_t stream[] = {0x80, 1, 2, 3, 4, 0xFB, 0xFF};
static const union { uint8_t bytes[12]; uint32_t aligned; } words = {{0x80, 0xFB, 0xFF, 0xFF, 1, 2, 3, 4, 0xFF, 0xFF, 0xFF, 0xFF}};
static const tfm_quant quant = {bias, mult, 0, 0, 0}, no_bias = {NULL, mult, 0, 0, 0};
static const tfm_quant no_mult = {bias, NULL, 0, 0, 0}, bad_shift = {bias, mult, 32, 0, 0};
static const tfm_rle rle = {stream, (int32_t)sizeof stream, 4, 0}, no_stream = {NULL, 9, 4, 0}, bad_block = {stream, 9, 3, 0};
static const tfm_rle few_bytes = {stream, 0, 4, 0}, cut = {stream, (int32_t)sizeof stream - 1, 4, 0};
static const tfm_rle by_words = {words.bytes, (int32_t)sizeof words, 4, 0}, odd = {words.bytes + 1, 11, 4, 0};

typedef int dense_linear(int8_t *, const int8_t *, const int8_t *, const tfm_linear_dims *, const tfm_quant *, void *, int32_t);
typedef int rle_linear(int8_t *, const int8_t *, const tfm_rle *, const tfm_linear_dims *, const tfm_quant *, void *, int32_t);
typedef int dense_conv(int8_t *, const int8_t *, const int8_t *, const tfm_conv_dims *, const tfm_quant *, void *, int32_t);
typedef int rle_conv(int8_t *, const int8_t *, const tfm_rle *, const tfm_conv_dims *, const tfm_quant *, void *, int32_t);

/* The checks that all kernels with dims, quant and scratch share. W is a good weight argument. */
#define COMMON(f, W, dims, bad, need)                                              \
    do {                                                                           \
        const int32_t n = need(&dims);                                             \
        EXPECT(f(out, in, W, &dims, &quant, scratch, n), TFM_OK);                  \
        EXPECT(f(out, in, W, &dims, &no_bias, scratch, n), TFM_OK);                \
        EXPECT(f(NULL, in, W, &dims, &quant, scratch, n), TFM_ERR_NULL);           \
        EXPECT(f(out, NULL, W, &dims, &quant, scratch, n), TFM_ERR_NULL);          \
        EXPECT(f(out, in, NULL, &dims, &quant, scratch, n), TFM_ERR_NULL);         \
        EXPECT(f(out, in, W, NULL, &quant, scratch, n), TFM_ERR_NULL);             \
        EXPECT(f(out, in, W, &dims, NULL, scratch, n), TFM_ERR_NULL);              \
        EXPECT(f(out, in, W, &dims, &no_mult, scratch, n), TFM_ERR_NULL);          \
        EXPECT(f(out, in, W, &dims, &bad_shift, scratch, n), TFM_ERR_DIMS);        \
        for (size_t j = 0; j < sizeof bad / sizeof *bad; j++) {                    \
            EXPECT(f(out, in, W, &bad[j], &quant, scratch, n), TFM_ERR_DIMS);      \
            EXPECT(need(&bad[j]), -1);                                             \
        }                                                                          \
        EXPECT(need(NULL), -1);                                                    \
        if (n > 0) {                                                               \
            EXPECT(f(out, in, W, &dims, &quant, NULL, n), TFM_ERR_NULL);           \
            EXPECT(f(out, in, W, &dims, &quant, scratch, n - 1), TFM_ERR_SCRATCH); \
            EXPECT(f(out, in, W, &dims, &quant, scratch, 0), TFM_ERR_SCRATCH);     \
            EXPECT(f(out, in, W, &dims, &quant, (char *)scratch + 2, n), TFM_ERR_ALIGN); \
        } else {                                                                   \
            EXPECT(f(out, in, W, &dims, &quant, NULL, 0), TFM_OK);                 \
        }                                                                          \
    } while (0)

static const tfm_linear_dims lin = {2, 4, 5};
static const tfm_linear_dims bad_lin[] = {{0, 4, 5}, {2, 0, 5}, {2, 4, 0}, {-1, 4, 5}, {40000, 4, 5}, {2, 40000, 5}, {2, 4, 40000}};
static const tfm_conv_dims conv = {2, 3, 4, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0}, depth = {2, 3, 5, 5, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1};
#define CONV(H, W, CIN, COUT, KH, KW, ...) {H, W, CIN, COUT, KH, KW, __VA_ARGS__}
#define PLAIN 1, 1, 1, 1, 0, 0, 0, 0 /* strides, dilations, paddings */
static const tfm_conv_dims bad_conv[] = {CONV(0, 3, 4, 5, 1, 1, PLAIN), CONV(2, 0, 4, 5, 1, 1, PLAIN), CONV(2, 3, 0, 5, 1, 1, PLAIN),
    CONV(2, 3, 4, 0, 1, 1, PLAIN), CONV(2, 3, 4, 5, 0, 1, PLAIN), CONV(2, 3, 4, 5, 1, 0, PLAIN), CONV(2, 3, 4, 5, 3, 1, PLAIN),
    CONV(2, 3, 4, 5, 1, 4, PLAIN), CONV(2, 3, 4, 5, 1, 1, 0, 1, 1, 1, 0, 0, 0, 0), CONV(2, 3, 4, 5, 1, 1, 1, 0, 1, 1, 0, 0, 0, 0),
    CONV(2, 3, 4, 5, 1, 1, 1, 1, 0, 1, 0, 0, 0, 0), CONV(2, 3, 4, 5, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0),
    CONV(2, 3, 4, 5, 1, 1, 1, 1, 1, 1, -1, 0, 0, 0), CONV(2, 3, 4, 5, 1, 1, 1, 1, 1, 1, 0, -1, 0, 0),
    CONV(2, 3, 4, 5, 1, 1, 1, 1, 1, 1, 0, 0, -1, 0), CONV(2, 3, 4, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 40000),
    CONV(2, 3, 4, 5, 2, 1, 1, 1, 2, 1, 0, 0, 0, 0), CONV(2, 3, 4, 5, 1, 2, 1, 1, 1, 4, 0, 0, 0, 0),
    CONV(2, 3, 4, 5, 200, 200, 1, 1, 1, 1, 100, 100, 100, 100)};

static void streams(rle_linear *f, rle_conv *g, int checked) {
    const int32_t n = (int32_t)sizeof scratch;
    EXPECT(f(out, in, &no_stream, &lin, &quant, scratch, n), TFM_ERR_NULL);
    EXPECT(g(out, in, &no_stream, &conv, &quant, scratch, n), TFM_ERR_NULL);
    EXPECT(f(out, in, &bad_block, &lin, &quant, scratch, n), TFM_ERR_DIMS);
    EXPECT(g(out, in, &bad_block, &conv, &quant, scratch, n), TFM_ERR_DIMS);
    EXPECT(f(out, in, &few_bytes, &lin, &quant, scratch, n), TFM_ERR_DIMS);
    EXPECT(g(out, in, &few_bytes, &conv, &quant, scratch, n), TFM_ERR_DIMS);
    if (!checked) {
        EXPECT(f(out, in, &odd, &lin, &quant, scratch, n), TFM_ERR_ALIGN);
        EXPECT(g(out, in, &odd, &conv, &quant, scratch, n), TFM_ERR_ALIGN);
        return;
    }
    EXPECT(f(out, in, &cut, &lin, &quant, scratch, n), TFM_ERR_STREAM);
    EXPECT(g(out, in, &cut, &conv, &quant, scratch, n), TFM_ERR_STREAM);
}

static void others(void) {
    static const int16_t table[256] = {[255] = 32767};
    static const int16_t dark[256] = {0};
    static const int16_t gamma[5] = {1};
    const tfm_add add = {5, 1, 1, 0, 1}, bad_add[] = {{0, 1, 1, 0, 1}, {5, 1, 1, 0, 21}, {5, 1, 1, 0, -1}};
    int (*const adds[])(int8_t *, const int8_t *, const int8_t *, const tfm_add *) = {tfm_add_s8_ref, tfm_add_s8_dsp};
    for (int i = 0; i < 2; i++) {
        EXPECT(adds[i](out, in, in, &add), TFM_OK);
        EXPECT(adds[i](in, in, in, &add), TFM_OK);
        EXPECT(adds[i](NULL, in, in, &add), TFM_ERR_NULL);
        EXPECT(adds[i](out, NULL, in, &add), TFM_ERR_NULL);
        EXPECT(adds[i](out, in, NULL, &add), TFM_ERR_NULL);
        EXPECT(adds[i](out, in, in, NULL), TFM_ERR_NULL);
        for (int j = 0; j < 3; j++) EXPECT(adds[i](out, in, in, &bad_add[j]), TFM_ERR_DIMS);
    }
    const tfm_pool pool = {2, 3, 5, 0, 1, 0, 0}, bad_pool[] = {{0, 3, 5, 0, 1, 0, 0}, {2, 3, 0, 0, 1, 0, 0}, {2, 3, 5, 0, 1, 32, 0}};
    EXPECT(tfm_avgpool_s8_ref(out, in, &pool), TFM_OK);
    EXPECT(tfm_avgpool_s8_ref(NULL, in, &pool), TFM_ERR_NULL);
    EXPECT(tfm_avgpool_s8_ref(out, NULL, &pool), TFM_ERR_NULL);
    EXPECT(tfm_avgpool_s8_ref(out, in, NULL), TFM_ERR_NULL);
    for (int j = 0; j < 3; j++) EXPECT(tfm_avgpool_s8_ref(out, in, &bad_pool[j]), TFM_ERR_DIMS);
    EXPECT(tfm_maxpool2x2_s8_ref(out, in, 2, 4, 5), TFM_OK);
    EXPECT(tfm_maxpool2x2_s8_ref(NULL, in, 2, 4, 5), TFM_ERR_NULL);
    EXPECT(tfm_maxpool2x2_s8_ref(out, NULL, 2, 4, 5), TFM_ERR_NULL);
    EXPECT(tfm_maxpool2x2_s8_ref(out, in, 3, 4, 5), TFM_ERR_DIMS);
    EXPECT(tfm_maxpool2x2_s8_ref(out, in, 2, 3, 5), TFM_ERR_DIMS);
    EXPECT(tfm_maxpool2x2_s8_ref(out, in, 2, 4, 0), TFM_ERR_DIMS);
    const tfm_pool_dims all = {2, 3, 5, 1, 1, 2, 3, 1, 1, 0, 0, 0}, grown = {2, 3, 5, 4, 4, 1, 1, 1, 1, 0, 0, 1};
    static const tfm_pool_dims bad_dims[] = {{0, 3, 5, 1, 1, 2, 3, 1, 1, 0, 0, 0}, {2, 0, 5, 1, 1, 2, 3, 1, 1, 0, 0, 0},
        {2, 3, 0, 1, 1, 2, 3, 1, 1, 0, 0, 0}, {2, 3, 5, 0, 1, 2, 3, 1, 1, 0, 0, 0}, {2, 3, 5, 1, 0, 2, 3, 1, 1, 0, 0, 0},
        {2, 3, 5, 1, 1, 0, 3, 1, 1, 0, 0, 0}, {2, 3, 5, 1, 1, 2, 0, 1, 1, 0, 0, 0}, {2, 3, 5, 1, 1, 2, 3, 0, 1, 0, 0, 0},
        {2, 3, 5, 1, 1, 2, 3, 1, 0, 0, 0, 0}, {2, 3, 5, 1, 1, 2, 3, 1, 1, -1, 0, 0}, {2, 3, 5, 1, 1, 2, 3, 1, 1, 2, 0, 0},
        {2, 3, 5, 1, 1, 2, 3, 1, 1, 0, 3, 0}, {2, 3, 5, 3, 1, 2, 3, 1, 1, 0, 0, 0}, {2, 3, 5, 1, 2, 2, 3, 1, 3, 0, 0, 0}};
    static const int32_t one_mult[64] = {0};
    const tfm_pool_quant mean = {one_mult, 1, 0, 0, 0, 0}, no_mults = {NULL, 1, 0, 0, 0, 0}, far = {one_mult, 1, 0, 32, 0, 0};
    const tfm_band row = {0, 1, 2}, bad_rows[] = {{-1, 1, 2}, {0, 0, 2}, {0, 2, 2}, {0, 1, 0}, {0, 1, 3}};
    int (*const tops[])(int8_t *, const int8_t *, const tfm_pool_dims *) = {tfm_maxpool_s8_ref, tfm_maxpool_s8_dsp};
    int (*const means[])(int8_t *, const int8_t *, const tfm_pool_dims *, const tfm_pool_quant *) =
        {tfm_avgpool2d_s8_ref, tfm_avgpool2d_s8_dsp};
    for (int i = 0; i < 2; i++) {
        EXPECT(tops[i](out, in, &all), TFM_OK);
        EXPECT(tops[i](NULL, in, &all), TFM_ERR_NULL);
        EXPECT(tops[i](out, NULL, &all), TFM_ERR_NULL);
        EXPECT(tops[i](out, in, NULL), TFM_ERR_NULL);
        EXPECT(means[i](out, in, &all, &mean), TFM_OK);
        EXPECT(means[i](NULL, in, &all, &mean), TFM_ERR_NULL);
        EXPECT(means[i](out, NULL, &all, &mean), TFM_ERR_NULL);
        EXPECT(means[i](out, in, NULL, &mean), TFM_ERR_NULL);
        EXPECT(means[i](out, in, &all, NULL), TFM_ERR_NULL);
        EXPECT(means[i](out, in, &all, &no_mults), TFM_ERR_NULL);
        EXPECT(means[i](out, in, &all, &far), TFM_ERR_DIMS);
        for (size_t j = 0; j < sizeof bad_dims / sizeof *bad_dims; j++) {
            EXPECT(tops[i](out, in, &bad_dims[j]), TFM_ERR_DIMS);
            EXPECT(means[i](out, in, &bad_dims[j], &mean), TFM_ERR_DIMS);
        }
    }
    EXPECT(tfm_maxpool_s8_dsp_rows(out, in, &all, &row), TFM_OK);
    EXPECT(tfm_avgpool2d_s8_dsp_rows(out, in, &all, &mean, &row), TFM_OK);
    EXPECT(tfm_maxpool_s8_dsp_rows(out, in, &all, NULL), TFM_ERR_NULL);
    EXPECT(tfm_avgpool2d_s8_dsp_rows(out, in, &all, &mean, NULL), TFM_ERR_NULL);
    EXPECT(tfm_maxpool_s8_dsp_rows(out, in, &grown, &row), TFM_ERR_DIMS);
    EXPECT(tfm_avgpool2d_s8_dsp_rows(out, in, &grown, &mean, &row), TFM_ERR_DIMS);
    for (int j = 0; j < 5; j++) {
        EXPECT(tfm_maxpool_s8_dsp_rows(out, in, &all, &bad_rows[j]), TFM_ERR_DIMS);
        EXPECT(tfm_avgpool2d_s8_dsp_rows(out, in, &all, &mean, &bad_rows[j]), TFM_ERR_DIMS);
    }
    int (*const norms[])(int8_t *, const int8_t *, const tfm_layernorm *) = {tfm_layernorm_s8_ref, tfm_layernorm_s8_dsp};
    for (int i = 0; i < 2; i++) {
        tfm_layernorm norm = {2, 5, gamma, bias, 1, 0, 0, 0};
        EXPECT(norms[i](out, in, &norm), TFM_OK);
        EXPECT(norms[i](NULL, in, &norm), TFM_ERR_NULL);
        EXPECT(norms[i](out, NULL, &norm), TFM_ERR_NULL);
        EXPECT(norms[i](out, in, NULL), TFM_ERR_NULL);
        norm.eps_q = -1;
        EXPECT(norms[i](out, in, &norm), TFM_ERR_DIMS);
        norm.eps_q = (int64_t)1 << 62;
        EXPECT(norms[i](out, in, &norm), TFM_ERR_DIMS);
        norm.eps_q = 0, norm.c = 32768;
        EXPECT(norms[i](out, in, &norm), TFM_ERR_DIMS);
        norm.c = 5, norm.gamma = NULL;
        EXPECT(norms[i](out, in, &norm), TFM_ERR_NULL);
    }
    int (*const softmaxes[])(int8_t *, const int8_t *, const tfm_softmax *, void *, int32_t) = {tfm_softmax_s8_ref, tfm_softmax_s8_dsp};
    int32_t (*const soft_needs[])(const tfm_softmax *) = {tfm_softmax_s8_ref_scratch_bytes, tfm_softmax_s8_dsp_scratch_bytes};
    for (int i = 0; i < 2; i++) {
        tfm_softmax s = {2, 5, table};
        const int32_t n = soft_needs[i](&s);
        EXPECT(softmaxes[i](out, in, &s, scratch, n), TFM_OK);
        EXPECT(softmaxes[i](NULL, in, &s, scratch, n), TFM_ERR_NULL);
        EXPECT(softmaxes[i](out, NULL, &s, scratch, n), TFM_ERR_NULL);
        EXPECT(softmaxes[i](out, in, NULL, scratch, n), TFM_ERR_NULL);
        EXPECT(soft_needs[i](NULL), -1);
        s.table = dark;
        EXPECT(softmaxes[i](out, in, &s, scratch, n), TFM_ERR_DIMS);
        s.table = NULL;
        EXPECT(softmaxes[i](out, in, &s, scratch, n), TFM_ERR_NULL);
        s.table = table, s.n = 1025;
        EXPECT(softmaxes[i](out, in, &s, scratch, n), TFM_ERR_DIMS);
        EXPECT(soft_needs[i](&s), -1);
    }
    int (*const matmuls[])(int8_t *, const int8_t *, const int8_t *, const tfm_matmul *, void *, int32_t)
        = {tfm_matmul_qk_s8_ref, tfm_matmul_qk_s8_dsp, tfm_matmul_av_s8_ref, tfm_matmul_av_s8_dsp};
    int32_t (*const mul_needs[])(const tfm_matmul *) = {tfm_matmul_qk_s8_ref_scratch_bytes, tfm_matmul_qk_s8_dsp_scratch_bytes,
                                                        tfm_matmul_av_s8_ref_scratch_bytes, tfm_matmul_av_s8_dsp_scratch_bytes};
    for (int i = 0; i < 4; i++) {
        tfm_matmul m = {3, 5, 4, 2, 1, 0, 0};
        const int32_t n = mul_needs[i](&m);
        EXPECT(matmuls[i](out, in, in, &m, scratch, n), TFM_OK);
        EXPECT(matmuls[i](NULL, in, in, &m, scratch, n), TFM_ERR_NULL);
        EXPECT(matmuls[i](out, NULL, in, &m, scratch, n), TFM_ERR_NULL);
        EXPECT(matmuls[i](out, in, NULL, &m, scratch, n), TFM_ERR_NULL);
        EXPECT(matmuls[i](out, in, in, NULL, scratch, n), TFM_ERR_NULL);
        EXPECT(mul_needs[i](NULL), -1);
        if (n > 0) {
            EXPECT(matmuls[i](out, in, in, &m, NULL, n), TFM_ERR_NULL);
            EXPECT(matmuls[i](out, in, in, &m, scratch, n - 1), TFM_ERR_SCRATCH);
            EXPECT(matmuls[i](out, in, in, &m, (char *)scratch + 1, n), TFM_ERR_ALIGN);
        }
        m.heads = 3;
        EXPECT(matmuls[i](out, in, in, &m, scratch, n), TFM_ERR_DIMS);
        EXPECT(mul_needs[i](&m), -1);
        m.heads = 2, m.tokens = 1025;
        EXPECT(matmuls[i](out, in, in, &m, scratch, n), TFM_ERR_DIMS);
        m.tokens = 3, m.keys = 1025;
        EXPECT(matmuls[i](out, in, in, &m, scratch, n), TFM_ERR_DIMS);
        EXPECT(mul_needs[i](&m), -1);
        m.keys = 0;
        EXPECT(matmuls[i](out, in, in, &m, scratch, n), TFM_ERR_DIMS);
        m.keys = 5, m.shift = 32;
        EXPECT(matmuls[i](out, in, in, &m, scratch, n), TFM_ERR_DIMS);
    }
    int (*const attentions[])(int8_t *, const int8_t *, const int8_t *, const int8_t *, const tfm_attention *, void *, int32_t)
        = {tfm_attention_s8_ref, tfm_attention_s8_dsp};
    int32_t (*const needs[])(const tfm_attention *) = {tfm_attention_s8_ref_scratch_bytes, tfm_attention_s8_dsp_scratch_bytes};
    for (int i = 0; i < 2; i++) {
        tfm_attention a = {3, 5, 4, 2, 2, 1, 1, 0, table, 1, 0, 0};
        const int32_t n = needs[i](&a);
        EXPECT(attentions[i](out, in, in, in, &a, scratch, n), TFM_OK);
        EXPECT(attentions[i](NULL, in, in, in, &a, scratch, n), TFM_ERR_NULL);
        EXPECT(attentions[i](out, NULL, in, in, &a, scratch, n), TFM_ERR_NULL);
        EXPECT(attentions[i](out, in, NULL, in, &a, scratch, n), TFM_ERR_NULL);
        EXPECT(attentions[i](out, in, in, NULL, &a, scratch, n), TFM_ERR_NULL);
        EXPECT(attentions[i](out, in, in, in, NULL, scratch, n), TFM_ERR_NULL);
        EXPECT(attentions[i](out, in, in, in, &a, NULL, n), TFM_ERR_NULL);
        EXPECT(attentions[i](out, in, in, in, &a, scratch, n - 1), TFM_ERR_SCRATCH);
        EXPECT(attentions[i](out, in, in, in, &a, (char *)scratch + 1, n), TFM_ERR_ALIGN);
        a.heads = 3;
        EXPECT(attentions[i](out, in, in, in, &a, scratch, n), TFM_ERR_DIMS);
        EXPECT(needs[i](&a), -1);
        a.heads = 2, a.tokens = 1025;
        EXPECT(attentions[i](out, in, in, in, &a, scratch, n), TFM_ERR_DIMS);
        a.tokens = 3, a.keys = 1025;
        EXPECT(attentions[i](out, in, in, in, &a, scratch, n), TFM_ERR_DIMS);
        EXPECT(needs[i](&a), -1);
        a.keys = 2; /* fewer than queries, and causal */
        EXPECT(attentions[i](out, in, in, in, &a, scratch, n), TFM_ERR_DIMS);
        EXPECT(needs[i](&a), -1);
        a.causal = 0;
        EXPECT(attentions[i](out, in, in, in, &a, scratch, n), TFM_OK);
        a.keys = 5, a.causal = 2;
        EXPECT(attentions[i](out, in, in, in, &a, scratch, n), TFM_ERR_DIMS);
        a.causal = 1, a.vdim = 3;
        EXPECT(attentions[i](out, in, in, in, &a, scratch, n), TFM_ERR_DIMS);
        EXPECT(needs[i](&a), -1);
        a.vdim = 2, a.table = NULL;
        EXPECT(attentions[i](out, in, in, in, &a, scratch, n), TFM_ERR_NULL);
    }
}

int main(void) {
    dense_linear *const linears[] = {tfm_linear_s8_ref, tfm_linear_s8_dsp};
    rle_linear *const rle_linears[] = {tfm_linear_s8_rle_ref, tfm_linear_s8_rle_dsp};
    dense_conv *const convs[] = {tfm_conv_s8_ref, tfm_conv_s8_dsp}, *const depths[] = {tfm_depthwise_s8_ref, tfm_depthwise_s8_dsp};
    rle_conv *const rle_convs[] = {tfm_conv_s8_rle_ref, tfm_conv_s8_rle_dsp};
    int32_t (*const lin_need[])(const tfm_linear_dims *) = {tfm_linear_s8_ref_scratch_bytes, tfm_linear_s8_dsp_scratch_bytes,
        tfm_linear_s8_rle_ref_scratch_bytes, tfm_linear_s8_rle_dsp_scratch_bytes};
    int32_t (*const conv_need[])(const tfm_conv_dims *) = {tfm_conv_s8_ref_scratch_bytes, tfm_conv_s8_dsp_scratch_bytes,
        tfm_conv_s8_rle_ref_scratch_bytes, tfm_conv_s8_rle_dsp_scratch_bytes, tfm_depthwise_s8_ref_scratch_bytes, tfm_depthwise_s8_dsp_scratch_bytes};
    COMMON(tfm_depthwise3x3_s8_dsp, weight, depth, bad_conv, tfm_depthwise3x3_s8_dsp_scratch_bytes);
    tfm_conv_dims wide = depth;
    wide.kw = 2; /* a window that this form does not have code for */
    EXPECT(tfm_depthwise3x3_s8_dsp(out, in, weight, &wide, &quant, scratch, sizeof scratch), TFM_ERR_DIMS);
    EXPECT(tfm_depthwise3x3_s8_dsp_scratch_bytes(&wide), -1);
    for (int i = 0; i < 2; i++) {
        COMMON(linears[i], weight, lin, bad_lin, lin_need[i]);
        COMMON(rle_linears[i], (i ? &by_words : &rle), lin, bad_lin, lin_need[2 + i]);
        COMMON(convs[i], weight, conv, bad_conv, conv_need[i]);
        COMMON(rle_convs[i], (i ? &by_words : &rle), conv, bad_conv, conv_need[2 + i]);
        COMMON(depths[i], weight, depth, bad_conv, conv_need[4 + i]);
        EXPECT(depths[i](out, in, weight, &conv, &quant, scratch, 0), TFM_ERR_DIMS); /* cin is not cout */
        streams(rle_linears[i], rle_convs[i], i == 0);
    }
    others();
    for (int s = 0; s < 6; s++) {
        if (seen[s] == 0) printf("status %d was never asked for\n", s), failures++;
    }
    printf("%d checks, %d failures\n", checks, failures);
    return checks > 0 && failures == 0 ? 0 : 1;
}
