/* Places rectangles of fixed life and size below a given height, for the computer that plans, not for
 * the device. `memory_alloc` tells the method in words; this is its inner loop.
 *
 * Time is cut into sections during which the set of live intervals is constant. Of each section only
 * the skyline is kept: the lowest address from which nothing is placed yet. A step takes the lowest
 * skyline and lets one interval rest on it, or gives those bytes up. Bounds cut a branch as soon as
 * what is left of a section cannot fit above its skyline. */
#include <stdint.h>
#include <string.h>

#define MAX_N 320
#define MAX_SECTIONS 320
#define MAX_DEPTH 1000 /* states on the stack */

typedef struct {
    int32_t sky[MAX_SECTIONS];  /* everything below is used or given up */
    int32_t rest[MAX_SECTIONS]; /* bytes of this section that are still to be placed */
    int32_t low[MAX_N];         /* lowest address at which an interval can start */
    uint8_t placed[MAX_N];
    int32_t left;               /* intervals to place */
} state;

typedef struct {
    int32_t n, sections, height;
    int32_t first[MAX_N], end[MAX_N], size[MAX_N]; /* interval k lives in sections first..end-1 */
    int32_t live[MAX_SECTIONS][MAX_N], lives[MAX_SECTIONS];
    double priority[MAX_N], blame[MAX_N];
    int32_t offset[MAX_N], deepest;
    int64_t nodes, fails, fail_limit;
    state start;
} search;

static int failed(search *p, const state *s, int32_t section) {
    p->fails++;
    for (int32_t i = 0; i < p->lives[section]; i++) {
        const int32_t k = p->live[section][i];
        if (!s->placed[k]) p->blame[k] += 1. / p->lives[section];
    }
    return 0;
}

/* Whether the intervals of a section, the lowest start first, fit one above the other. */
static int stack_fits(const search *p, const state *s, int32_t section) {
    int32_t order[MAX_N], n = 0, top = 0;
    for (int32_t i = 0; i < p->lives[section]; i++) {
        const int32_t k = p->live[section][i];
        if (s->placed[k]) continue;
        int32_t j = n++;
        for (; j && s->low[order[j - 1]] > s->low[k]; j--) order[j] = order[j - 1];
        order[j] = k;
    }
    for (int32_t i = 0; i < n; i++) top = (s->low[order[i]] > top ? s->low[order[i]] : top) + p->size[order[i]];
    return top <= p->height;
}

/* An interval starts above every skyline of its life; a skyline rises to the lowest such start. */
static int tighten(search *p, state *s) {
    for (int changed = 1; changed;) {
        changed = 0;
        for (int32_t k = 0; k < p->n; k++) {
            if (s->placed[k]) continue;
            for (int32_t t = p->first[k]; t < p->end[k]; t++) if (s->sky[t] > s->low[k]) s->low[k] = s->sky[t];
            if (s->low[k] + p->size[k] > p->height) { p->fails++, p->blame[k] += 1; return 0; }
        }
        for (int32_t t = 0; t < p->sections; t++) {
            if (!s->rest[t]) continue;
            int32_t lowest = INT32_MAX;
            for (int32_t i = 0; i < p->lives[t]; i++) {
                const int32_t k = p->live[t][i];
                if (!s->placed[k] && s->low[k] < lowest) lowest = s->low[k];
            }
            if (lowest > s->sky[t]) s->sky[t] = lowest, changed = 1;
            if (s->sky[t] + s->rest[t] > p->height || !stack_fits(p, s, t)) return failed(p, s, t);
        }
    }
    return 1;
}

static int put(search *p, state *s, int32_t k) {
    p->offset[k] = s->low[k];
    s->placed[k] = 1, s->left--;
    for (int32_t t = p->first[k]; t < p->end[k]; t++) {
        s->sky[t] = p->offset[k] + p->size[k];
        s->rest[t] -= p->size[k];
        if (s->sky[t] + s->rest[t] > p->height) return failed(p, s, t);
    }
    return tighten(p, s);
}

/* The section with the lowest skyline; of equals, the one with the fewest ways to go on. */
static int32_t choose(const search *p, const state *s) {
    int32_t best = -1, best_ways = 0;
    for (int32_t t = 0; t < p->sections; t++) {
        if (!s->rest[t] || (best >= 0 && s->sky[t] > s->sky[best])) continue;
        int32_t ways = s->sky[t] + s->rest[t] < p->height; /* to leave a hole */
        for (int32_t i = 0; i < p->lives[t]; i++) {
            const int32_t k = p->live[t][i];
            ways += !s->placed[k] && s->low[k] == s->sky[t];
        }
        if (best < 0 || s->sky[t] < s->sky[best] || ways < best_ways) best = t, best_ways = ways;
    }
    return best;
}

static int same(const search *p, int32_t a, int32_t b) {
    return p->first[a] == p->first[b] && p->end[a] == p->end[b] && p->size[a] == p->size[b];
}

/* Where the skyline of a section goes when nothing rests on it: the next address at which something can. */
static int32_t hole(const search *p, const state *s, int32_t section) {
    const int32_t sky = s->sky[section];
    int32_t next = INT32_MAX;
    for (int32_t i = 0; i < p->lives[section]; i++) {
        const int32_t k = p->live[section][i];
        if (s->placed[k]) continue;
        if (s->low[k] > sky) { if (s->low[k] < next) next = s->low[k]; continue; }
        for (int32_t u = 0; u < p->n; u++) { /* k may rest on a neighbour instead */
            if (u == k || s->placed[u] || p->first[u] >= p->end[k] || p->first[k] >= p->end[u]) continue;
            const int32_t top = s->low[u] + p->size[u] > sky ? s->low[u] + p->size[u] : sky + 1;
            if (top < next) next = top;
        }
    }
    return next;
}

/* 1: all placed; 0: nothing here; -1: out of patience. Each level keeps a state on the stack. */
static int descend(search *p, const state *s, int32_t depth) {
    if (!s->left) return 1;
    p->nodes++;
    if (p->fails >= p->fail_limit || depth > MAX_DEPTH) return -1;
    if (p->n - s->left > p->deepest) p->deepest = p->n - s->left;
    const int32_t at = choose(p, s);
    int32_t order[MAX_N], n = 0;
    for (int32_t i = 0; i < p->lives[at]; i++) {
        const int32_t k = p->live[at][i];
        if (s->placed[k] || s->low[k] != s->sky[at]) continue;
        int32_t j = n++;
        for (; j && p->priority[order[j - 1]] < p->priority[k]; j--) order[j] = order[j - 1];
        order[j] = k;
    }
    const int32_t next = hole(p, s, at);
    state t;
    for (int32_t i = 0; i < n; i++) {
        int twin = 0; /* an equal interval was tried here already */
        for (int32_t j = 0; j < i; j++) twin |= same(p, order[i], order[j]);
        if (twin) continue;
        t = *s;
        if (put(p, &t, order[i])) {
            const int found = descend(p, &t, depth + 1);
            if (found) return found;
        }
    }
    if (next == INT32_MAX || next + s->rest[at] > p->height) return 0;
    t = *s;
    t.sky[at] = next;
    return tighten(p, &t) ? descend(p, &t, depth + 1) : 0;
}

/* xorshift: the same numbers on every machine, 0 <= x < 1 */
static double dice(uint64_t *seed) {
    *seed ^= *seed << 13, *seed ^= *seed >> 7, *seed ^= *seed << 17;
    return (double)(*seed >> 11) / 9007199254740992.;
}

/* Natural logarithm of x > 0, enough for priorities. */
static double log_of(double x) {
    double y = 0;
    while (x >= 2) x /= 2, y += 0.6931471805599453;
    while (x < 1) x *= 2, y -= 0.6931471805599453;
    const double z = (x - 1) / (x + 1);
    return y + 2 * z * (1 + z * z * (1. / 3 + z * z * (1. / 5 + z * z / 7)));
}

int32_t tfm_place_bytes(void) { return (int32_t)sizeof(search); }

/* Offsets below `height` for n intervals, or 0 when `nodes` steps found none. `memory` has tfm_place_bytes().
 * An interval lives in sections first..end-1, for `life` steps.
 * Short searches one after the other: each starts with the priorities of the one that came furthest, some
 * of them changed at random, plus the blame that each interval earned for dead ends. */
int32_t tfm_place(void *memory, int32_t n, int32_t sections, int32_t height, const int32_t *first, const int32_t *end,
                  const int32_t *size, const int32_t *life, int64_t nodes, uint64_t seed, int32_t *offset) {
    if (n < 1 || n > MAX_N || sections < 1 || sections > MAX_SECTIONS) return 0;
    search *p = memory;
    memset(p, 0, sizeof *p);
    p->n = n, p->sections = sections, p->height = height;
    state *start = &p->start;
    start->left = n;
    for (int32_t k = 0; k < n; k++) {
        p->first[k] = first[k], p->end[k] = end[k], p->size[k] = size[k];
        for (int32_t t = first[k]; t < end[k]; t++) p->live[t][p->lives[t]++] = k, start->rest[t] += size[k];
    }
    double kept[MAX_N], tried[MAX_N], blame[MAX_N];
    seed = seed * 0x9E3779B97F4A7C15u + 1;
    if (!tighten(p, start)) return 0;
    memset(p->blame, 0, sizeof p->blame);
    int32_t furthest = -1, stalls = 0;
    for (int64_t round = 0, tries = 0; p->nodes < nodes; tries++) {
        for (int32_t k = 0; k < n && !tries; k++) { /* a fresh start: by area or by length, in turn */
            kept[k] = round % 2 ? log_of(end[k] - first[k]) : log_of(life[k]) + log_of(size[k]);
            if (round > 1) kept[k] += 0.6 * (2 * dice(&seed) - 1);
        }
        for (int32_t k = 0; k < n; k++) {
            tried[k] = kept[k];
            if (tries && dice(&seed) < 0.1) tried[k] += 0.6 * (2 * dice(&seed) - 1);
            if (tries) tried[k] += p->blame[k];
            p->priority[k] = tried[k];
        }
        memcpy(blame, p->blame, sizeof blame);
        memset(p->blame, 0, sizeof p->blame);
        p->fails = 0, p->fail_limit = 1024, p->deepest = 0;
        const int found = descend(p, start, 0);
        if (found == 1) { memcpy(offset, p->offset, (size_t)n * sizeof *offset); return 1; }
        if (found == 0) return 0;
        double most = 1e-9;
        for (int32_t k = 0; k < n; k++) if (p->blame[k] > most) most = p->blame[k];
        for (int32_t k = 0; k < n; k++) p->blame[k] /= most;
        stalls++;
        if (p->deepest > furthest) stalls = 0;
        if (p->deepest >= furthest) furthest = p->deepest, memcpy(kept, tried, sizeof kept);
        else memcpy(p->blame, blame, sizeof blame);
        if (stalls > 200) stalls = 0, furthest = -1, round++, tries = -1;
    }
    return 0;
}
