#include <string.h>
#include "tfm_math.h"

#define AXES 6

/* The largest output, and whether every value that is read lies in the input. */
static int sound(const int32_t *d, const int32_t *s, const tfm_copy *copy) {
    int64_t values = 1, low = copy->base, high = copy->base;
    for (int i = 0; i < AXES; i++) {
        if (d[i] < 1 || (values = tfm_long(values, d[i])) > TFM_MAX_VALUES) return 0;
        const int64_t far = tfm_wide(d[i] - 1, s[i]);
        if (far < 0) low += far;
        else high += far;
    }
    return copy->n_in >= 1 && copy->n_in <= TFM_MAX_VALUES && low >= 0 && high < copy->n_in;
}

int tfm_copy_s8_ref(int8_t *out, const int8_t *in, const tfm_copy *copy) {
    if (!out || !in || !copy) return TFM_ERR_NULL;
    const int32_t d[AXES] = {copy->d0, copy->d1, copy->d2, copy->d3, copy->d4, copy->d5};
    const int32_t s[AXES] = {copy->s0, copy->s1, copy->s2, copy->s3, copy->s4, copy->s5};
    if (!sound(d, s, copy)) return TFM_ERR_DIMS;
    /* the axes from `outer` on are `run` values that lie side by side; a single gathered axis otherwise */
    int32_t run = 1, outer = AXES, step = 1, at = copy->base, k[AXES] = {0};
    while (outer > 0 && (d[outer - 1] == 1 || s[outer - 1] == run)) run *= d[--outer];
    if (run == 1 && outer > 0) outer--, run = d[outer], step = s[outer];
    for (;;) {
        if (step == 1) memcpy(out, in + at, (size_t)run);
        else for (int32_t i = 0; i < run; i++) out[i] = in[at + i * step];
        out += run;
        int32_t axis = outer - 1;
        while (axis >= 0 && ++k[axis] == d[axis]) at -= (d[axis] - 1) * s[axis], k[axis--] = 0;
        if (axis < 0) return TFM_OK;
        at += s[axis];
    }
}
