#include "tfm_math.h"

/* floor of the square root, one bit of the root per step */
static uint32_t isqrt32(uint32_t x) {
    uint32_t root = 0;
    for (uint32_t bit = (uint32_t)1 << 30; bit; bit >>= 2) {
        if (x >= root + bit) {
            x -= root + bit;
            root = (root >> 1) + bit;
        } else {
            root >>= 1;
        }
    }
    return root;
}

/* round(sqrt(c) * 2^8): a half cannot occur */
static uint32_t sqrt_q8(int32_t c) {
    return (isqrt32((uint32_t)c << 18) + 1) >> 1;
}

/* One row: d = C*x - sum(x) is exact, so no precision is lost before the division by the deviation.
 * The sum of d^2 is C * (C * sum(x^2) - sum(x)^2). */
static void row(int8_t *out, const int8_t *in, const tfm_layernorm *norm, uint32_t rc) {
    const int32_t c = norm->c, mult = norm->mult, shift = norm->shift, zp = norm->zp_out;
    int32_t sum = 0, squares = 0;
    for (int32_t i = 0; i < c; i++) sum += in[i], squares += in[i] * in[i];
    const int64_t spread = (int64_t)c * squares - (int64_t)sum * sum; /* >= 0 */
    uint64_t var = (uint64_t)spread * (uint64_t)c + (uint64_t)norm->eps_q;
    if (var == 0) var = 1;
    /* scale by an even power of two: the top 32 bits give the 16 root bits that are used */
    const int32_t k = __builtin_clzll(var) & ~1;
    const uint32_t root = isqrt32((uint32_t)((var << k) >> 32));
    const int32_t m = (int32_t)((((uint32_t)1 << 31) / root) * rc), sh = 45 - k / 2;
    const int64_t half = (int64_t)1 << (sh - 1);
    for (int32_t i = 0; i < c; i++) {
        const int32_t d = c * in[i] - sum;
        const int32_t n = (int32_t)(((int64_t)d * m + half) >> sh);
        out[i] = tfm_requant(n * norm->gamma[i] + norm->beta[i], mult, shift, zp);
    }
}

int tfm_layernorm_s8_ref(int8_t *out, const int8_t *in, const tfm_layernorm *norm) {
    if (!out || !in || !norm || !norm->gamma || !norm->beta) return TFM_ERR_NULL;
    if (!tfm_dim_ok(norm->tokens) || norm->c < 1 || norm->c > 1024 || !tfm_shift_ok(norm->shift)
        || norm->eps_q < 0 || norm->eps_q >> 62)
        return TFM_ERR_DIMS;
    const uint32_t rc = sqrt_q8(norm->c);
    for (int32_t t = 0; t < norm->tokens; t++, out += norm->c, in += norm->c) row(out, in, norm, rc);
    return TFM_OK;
}
