/* The sizes of attention, shared by its kernels and those of its products. Not part of the public contract. */
#ifndef TFM_ATTENTION_H
#define TFM_ATTENTION_H

#include "tfm_math.h"

static inline int tfm_tokens_ok(int32_t n) {
    return n >= 1 && n <= TFM_MAX_TOKENS;
}

/* heads divides the width; no head is empty */
static inline int tfm_heads_ok(int32_t heads, int32_t dim) {
    return tfm_dim_ok(dim) && heads >= 1 && heads <= dim && tfm_mod(dim, heads) == 0;
}

static inline int tfm_matmul_ok(const tfm_matmul *m) {
    return tfm_tokens_ok(m->tokens) && tfm_tokens_ok(m->keys) && tfm_heads_ok(m->heads, m->dim) && tfm_shift_ok(m->shift);
}

static inline int tfm_attention_ok(const tfm_attention *a) {
    return tfm_tokens_ok(a->tokens) && tfm_tokens_ok(a->keys) && tfm_heads_ok(a->heads, a->dim)
        && tfm_heads_ok(a->heads, a->vdim) && (a->causal == 0 || (a->causal == 1 && a->keys >= a->tokens))
        && tfm_shift_ok(a->shift_qk) && tfm_shift_ok(a->shift_av);
}

/* How many keys query i sees: the first ones. */
static inline int32_t tfm_keys_seen(const tfm_attention *a, int32_t i) {
    return a->causal ? i + 1 + a->keys - a->tokens : a->keys;
}

#endif
