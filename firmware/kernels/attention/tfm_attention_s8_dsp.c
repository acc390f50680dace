#include "tfm_dsp.h"
#include "tfm_softmax.h"

static int dims_ok(const tfm_attention *a) {
    return a->tokens >= 1 && a->tokens <= TFM_MAX_TOKENS && tfm_dim_ok(a->dim) && a->heads >= 1
        && a->heads <= a->dim && a->dim % a->heads == 0 && tfm_shift_ok(a->shift_qk) && tfm_shift_ok(a->shift_av);
}

int32_t tfm_attention_s8_dsp_scratch_bytes(const tfm_attention *attention) {
    return attention && dims_ok(attention) ? tfm_round4(attention->tokens) : -1;
}

/* q . k over `width` channels for two keys: the query is widened once for both */
static inline void dot2(const int8_t *q, const int8_t *k0, const int8_t *k1, int32_t width, int32_t acc[2]) {
    int32_t a0 = 0, a1 = 0;
    for (const int8_t *end = q + (width & ~3); q < end; q += 4, k0 += 4, k1 += 4) {
        const uint32_t x = tfm_load4(q), even = tfm_sxtb16(x), odd = tfm_sxtb16_ror8(x);
        const uint32_t y = tfm_load4(k0), z = tfm_load4(k1);
        a0 = tfm_smlad(odd, tfm_sxtb16_ror8(y), tfm_smlad(even, tfm_sxtb16(y), a0));
        a1 = tfm_smlad(odd, tfm_sxtb16_ror8(z), tfm_smlad(even, tfm_sxtb16(z), a1));
    }
    if (width & 2) {
        a0 += q[0] * k0[0] + q[1] * k0[1], a1 += q[0] * k1[0] + q[1] * k1[1];
        q += 2, k0 += 2, k1 += 2;
    }
    if (width & 1) a0 += *q * *k0, a1 += *q * *k1;
    acc[0] = a0, acc[1] = a1;
}

/* tfm_softmax_row on four scores at a time; scores and probabilities share `row`, which is 4-byte
 * aligned and padded to a multiple of four. One subtraction gives four distances from the maximum. */
TFM_OUTLINE static void softmax4(uint8_t *row, int32_t n, int32_t max, const uint16_t *table) {
    const uint32_t max4 = ((uint32_t)max & 0xFFu) * 0x01010101u;
    const int32_t n4 = n & ~3;
    uint32_t sum = 0;
    for (int32_t i = 0; i < n4; i += 4) {
        const uint32_t d = tfm_usub8(max4, tfm_load4(row + i));
        sum += (uint32_t)table[d & 0xFFu] + table[d >> 8 & 0xFFu] + table[d >> 16 & 0xFFu] + table[d >> 24];
    }
    for (int32_t i = n4; i < n; i++) sum += table[max - (int8_t)row[i]];
    const uint32_t inverse = UINT32_MAX / sum, half = (uint32_t)1 << 23;
    /* ((e * inverse >> 23) + 1) >> 1 is (e * inverse + 2^23) >> 24, unless the addition overflows: then
     * one score has all the weight, and the row takes the way that saturates. */
    if (table[0] * inverse > UINT32_MAX - half) {
        tfm_softmax_probs(row, (const int8_t *)row, n, max, table, inverse);
        return;
    }
    for (int32_t i = 0; i < n4; i += 4) {
        const uint32_t d = tfm_usub8(max4, tfm_load4(row + i));
        row[i] = (uint8_t)((table[d & 0xFFu] * inverse + half) >> 24);
        row[i + 1] = (uint8_t)((table[d >> 8 & 0xFFu] * inverse + half) >> 24);
        row[i + 2] = (uint8_t)((table[d >> 16 & 0xFFu] * inverse + half) >> 24);
        row[i + 3] = (uint8_t)((table[d >> 24] * inverse + half) >> 24);
    }
    for (int32_t i = n4; i < n; i++) row[i] = (uint8_t)((table[max - (int8_t)row[i]] * inverse + half) >> 24);
}

/* probabilities 0..255 of one query row against all keys of one head */
TFM_OUTLINE static void row_probs(uint8_t *prob, const int8_t *q_i, const int8_t *k, const tfm_attention *a, int32_t width) {
    int8_t *score = (int8_t *)prob; /* the row is rewritten in place */
    const int32_t tokens = a->tokens, dim = a->dim, mult = a->mult_qk, shift = a->shift_qk;
    int32_t max = -128, acc[2];
    for (int32_t j = tokens; j > 0; j -= 2, k += 2 * dim) {
        dot2(q_i, k, j > 1 ? k + dim : k, width, acc); /* an odd last key is done twice */
        const int32_t s0 = tfm_requant0(tfm_shl(acc[0], shift), mult, 0);
        const int32_t s1 = tfm_requant0(tfm_shl(acc[1], shift), mult, 0);
        *score++ = (int8_t)s0;
        if (j > 1) *score++ = (int8_t)s1;
        if (s0 > max) max = s0;
        if (s1 > max) max = s1;
    }
    softmax4(prob, tokens, max, a->table);
}

/* out[0..3] = requant(sum over j of prob[j] * v[j][0..3]) */
TFM_OUTLINE static void mix4(int8_t *out, const uint8_t *prob, const int8_t *v, const tfm_attention *a) {
    int32_t a0 = 0, a1 = 0, a2 = 0, a3 = 0;
    const int32_t dim = a->dim, shift = a->shift_av, mult = a->mult_av, zp = a->zp_out;
    for (const uint8_t *end = prob + a->tokens; prob < end; prob++, v += dim) {
        const uint32_t p = *prob, x = tfm_load4(v), even = tfm_sxtb16(x), odd = tfm_sxtb16_ror8(x);
        a0 = tfm_smlabb(even, p, a0), a2 = tfm_smlatb(even, p, a2);
        a1 = tfm_smlabb(odd, p, a1), a3 = tfm_smlatb(odd, p, a3);
    }
    out[0] = (int8_t)tfm_requant0(tfm_shl(a0, shift), mult, zp);
    out[1] = (int8_t)tfm_requant0(tfm_shl(a1, shift), mult, zp);
    out[2] = (int8_t)tfm_requant0(tfm_shl(a2, shift), mult, zp);
    out[3] = (int8_t)tfm_requant0(tfm_shl(a3, shift), mult, zp);
}

/* the same for the last one to three channels */
TFM_OUTLINE static void mix_tail(int8_t *out, int32_t n, const uint8_t *prob, const int8_t *v, const tfm_attention *a) {
    int32_t a0 = 0, a1 = 0, a2 = 0;
    const int32_t dim = a->dim, second = n > 1 ? 1 : 0, third = n > 2 ? 2 : 0;
    for (const uint8_t *end = prob + a->tokens; prob < end; prob++, v += dim) {
        const int32_t p = *prob;
        a0 += p * v[0], a1 += p * v[second], a2 += p * v[third];
    }
    const int32_t acc[3] = {a0, a1, a2};
    for (int32_t i = 0; i < n; i++)
        out[i] = (int8_t)tfm_requant0(tfm_shl(acc[i], a->shift_av), a->mult_av, a->zp_out);
}

int tfm_attention_s8_dsp(int8_t *out, const int8_t *q, const int8_t *k, const int8_t *v,
                         const tfm_attention *attention, void *scratch, int32_t scratch_bytes) {
    const tfm_attention *a = attention;
    if (!out || !q || !k || !v || !a || !a->table) return TFM_ERR_NULL;
    if (!dims_ok(a) || a->table[0] == 0) return TFM_ERR_DIMS;
    const int status = tfm_scratch_status(scratch, scratch_bytes, tfm_attention_s8_dsp_scratch_bytes(a));
    if (status) return status;
    const int32_t width = a->dim / a->heads;
    uint8_t *prob = scratch; /* [tokens] */
    for (int32_t i = 0; i < a->tokens; i++, q += a->dim, out += a->dim) {
        for (int32_t h = 0; h < a->dim; h += width) {
            row_probs(prob, q + h, k + h, a, width);
            int32_t c = h;
            for (; c + 4 <= h + width; c += 4) mix4(out + c, prob, v + c, a);
            if (width & 3) mix_tail(out + c, width & 3, prob, v + c, a);
        }
    }
    return TFM_OK;
}
