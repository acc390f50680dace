/* LayerNorm and softmax over int8 tensors, computed in float with the core's floating-point unit: what the integer
 * kernels are compared with. They are no part of the engine. */
#include <stdint.h>

static float from_bits(uint32_t n) { union { uint32_t n; float x; } u = {n}; return u.x; }
static uint32_t bits(float x) { union { float x; uint32_t n; } u = {x}; return u.n; }

/* The nearest integer, ties to even, of |x| < 2**22: the sum with 1.5 * 2**23 has it in its last bits. */
static int32_t nearest(float x) { return (int32_t)(bits(x + 12582912.f) - 0x4b400000u); }

static int8_t byte(float x) { return (int8_t)nearest(x < -128.f ? -128.f : x > 127.f ? 127.f : x); }

/* e**x for x <= 0: 2**n times a polynomial of degree 5, to about one part in 10**7 (the coefficients are Cephes'). */
static float exponential(float x) {
    if (x < -87.f) return 0.f;
    const int32_t n = nearest(x * 1.44269504f);
    const float r = x - (float)n * 0.693359375f + (float)n * 2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    return from_bits((uint32_t)(n + 127) << 23) * (p * r * r + r + 1.f);
}

/* in, out int8[tokens][c]; gamma and beta float[c] in units of the output's scale; eps in units of the input's
 * scale squared. */
int float_layernorm(int8_t *out, const int8_t *in, int32_t tokens, int32_t c, const float *gamma, const float *beta,
                    const float *eps, int32_t zp_out) {
    for (int32_t t = 0; t < tokens; t++, in += c, out += c) {
        int32_t sum = 0;
        for (int32_t i = 0; i < c; i++) sum += in[i];
        const float mean = (float)sum / (float)c;
        float squares = 0.f;
        for (int32_t i = 0; i < c; i++) squares += ((float)in[i] - mean) * ((float)in[i] - mean);
        const float scale = 1.f / __builtin_sqrtf(squares / (float)c + *eps);
        for (int32_t i = 0; i < c; i++)
            out[i] = byte(((float)in[i] - mean) * scale * gamma[i] + beta[i] + (float)zp_out);
    }
    return 0;
}

/* in, out int8[rows][n]; e float[n] of scratch; scale of the scores. out = min(255, round(256 p)) - 128. */
int float_softmax(int8_t *out, const int8_t *in, int32_t rows, int32_t n, const float *scale, float *e) {
    for (int32_t r = 0; r < rows; r++, in += n, out += n) {
        int32_t most = -128;
        for (int32_t i = 0; i < n; i++) most = in[i] > most ? in[i] : most;
        float sum = 0.f;
        for (int32_t i = 0; i < n; i++) sum += e[i] = exponential((float)(in[i] - most) * *scale);
        const float share = 256.f / sum;
        for (int32_t i = 0; i < n; i++) {
            const float p = e[i] * share;
            out[i] = (int8_t)(nearest(p > 255.f ? 255.f : p) - 128);
        }
    }
    return 0;
}
