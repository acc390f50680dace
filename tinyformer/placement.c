/* Places intervals of fixed life and size below given limits, for the computer that plans, not for the
 * device. `memory_alloc` tells the method in words; this is one run of it, from the floor up.
 *
 * Time is cut into sections during which the same intervals are live. An interval may rest in between, so it
 * lives in one or more pieces, each a row of sections. A state is the list of intervals that
 * still wait, each with the lowest address at which it may start, sorted by that address; of those already
 * placed nothing else matters. States lie one behind the other in a pool, so going back costs nothing. */
#include <stdint.h>

#define MAX_N 1024        /* intervals, and sections */
#define MAX_DEPTH 4096    /* decisions on top of each other */
#define POOL (1 << 20)    /* waiting intervals in all states of one branch */

typedef struct { int32_t k, low; } waiting;

typedef struct { /* of what waits and lives in a section */
    int32_t floor;  /* lowest start */
    int32_t rest;   /* sum of sizes */
    int32_t top;    /* no plan ends lower */
    int32_t limit;  /* highest end that one of them may have */
    int32_t ways;   /* intervals that can start at the floor */
    int32_t joined; /* one of them lives in the section before, too */
} section;

typedef struct {
    int32_t height, depth;      /* the highest of all limits; decisions on top of each other */
    const int32_t *piece;       /* interval k has the pieces piece[k]..piece[k+1]-1 */
    const int32_t *first, *end; /* a piece lives in the sections first..end-1 */
    const int32_t *size, *step; /* interval k starts at a multiple of step[k] */
    const int32_t *limit;       /* and ends at limit[k] at the latest; limits differ by 1 at most */
    const double *priority;
    int32_t *offset;
    int64_t steps, fails, patience;
    section at[MAX_N];
    waiting pool[POOL];
} search;

/* First section of an interval, and the one after its last. */
static int32_t birth(const search *p, int32_t k) { return p->first[p->piece[k]]; }
static int32_t death(const search *p, int32_t k) { return p->end[p->piece[k + 1] - 1]; }

static int lives(const search *p, int32_t k, int32_t t) {
    for (int32_t i = p->piece[k]; i < p->piece[k + 1]; i++) if (t >= p->first[i] && t < p->end[i]) return 1;
    return 0;
}

static int meet(const search *p, int32_t a, int32_t b) {
    for (int32_t i = p->piece[a]; i < p->piece[a + 1]; i++) {
        for (int32_t j = p->piece[b]; j < p->piece[b + 1]; j++) {
            if (p->first[i] < p->end[j] && p->first[j] < p->end[i]) return 1;
        }
    }
    return 0;
}

static int twins(const search *p, int32_t a, int32_t b) {
    const int32_t n = p->piece[a + 1] - p->piece[a];
    if (n != p->piece[b + 1] - p->piece[b] || p->size[a] != p->size[b]) return 0;
    if (p->step[a] != p->step[b] || p->limit[a] != p->limit[b]) return 0;
    for (int32_t i = p->piece[a], j = p->piece[b]; i < p->piece[a + 1]; i++, j++) {
        if (p->first[i] != p->first[j] || p->end[i] != p->end[j]) return 0;
    }
    return 1;
}

/* The lowest address from `low` up at which interval k may start. */
static int32_t rounded(const search *p, int32_t k, int32_t low) {
    return (low + p->step[k] - 1) / p->step[k] * p->step[k];
}

/* Insertion: a state is nearly sorted already, because few starts differ from those of the state before. */
static void sort(waiting *w, int32_t n) {
    for (int32_t i = 1; i < n; i++) {
        const waiting x = w[i];
        int32_t j = i;
        for (; j && w[j - 1].low > x.low; j--) w[j] = w[j - 1];
        w[j] = x;
    }
}

/* Fills in the sections of a state; 0 if one of them is too full. What waits in a section stands one above
 * the other, so stacking it by lowest start gives an end that no plan can undercut. */
static int survey(search *p, const waiting *w, int32_t n) {
    for (int32_t i = 0; i < n; i++) {
        const int32_t k = w[i].k, low = w[i].low;
        for (int32_t j = p->piece[k], rest = birth(p, k); j < p->piece[k + 1]; rest = p->end[j++]) {
            for (int32_t t = rest; t < p->first[j]; t++) p->at[t].joined = 1; /* k comes back after it */
            for (int32_t t = p->first[j]; t < p->end[j]; t++) {
                section *s = p->at + t;
                if (!s->ways) s->floor = low;
                s->ways += low == s->floor;
                s->joined |= t > birth(p, k);
                s->rest += p->size[k];
                s->top = (low > s->top ? low : s->top) + p->size[k];
                if (p->limit[k] > s->limit) s->limit = p->limit[k];
                if (s->top > s->limit) return p->fails++, 0;
            }
        }
    }
    return 1;
}

/* Whether a section has room to leave its floor empty. */
static int may_leave_hole(const search *p, int32_t t) { return p->at[t].floor + p->at[t].rest < p->at[t].limit; }

/* Of the sections with the lowest floor, the one with the fewest ways to go on; a hole is a way too. */
static int32_t choose(const search *p, const waiting *w, int32_t n) {
    int32_t best = -1, fewest = INT32_MAX;
    for (int32_t i = 0; i < n && w[i].low == w->low; i++) {
        for (int32_t j = p->piece[w[i].k]; j < p->piece[w[i].k + 1]; j++) {
            for (int32_t t = p->first[j]; t < p->end[j]; t++) {
                const int32_t ways = p->at[t].ways + may_leave_hole(p, t);
                if (p->at[t].floor == w->low && ways < fewest) best = t, fewest = ways;
            }
        }
    }
    return best;
}

/* The state after interval k was placed at the floor: whoever meets it has to start above. Returns its length. */
static int32_t put(search *p, const waiting *w, int32_t n, int32_t k, waiting *out) {
    const int32_t top = w->low + p->size[k];
    int32_t m = 0;
    p->offset[k] = w->low;
    for (int32_t i = 0; i < n; i++) {
        if (w[i].k == k) continue;
        out[m] = w[i];
        if (out[m].low < top && meet(p, k, w[i].k)) out[m].low = rounded(p, w[i].k, top);
        m++;
    }
    sort(out, m);
    return m;
}

/* The state after none of the m `refused` took the floor: each can only rest on another that still waits. */
static void leave_hole(const search *p, const waiting *w, int32_t n, const waiting *refused, int32_t m, waiting *out) {
    for (int32_t i = 0; i < n; i++) {
        int32_t is_refused = 0, next = p->height;
        out[i] = w[i];
        for (int32_t j = 0; j < m; j++) is_refused |= refused[j].k == w[i].k;
        if (!is_refused) continue;
        for (int32_t j = 0; j < n; j++) {
            const int32_t top = rounded(p, w[i].k, w[j].low + p->size[w[j].k]);
            if (j != i && top < next && meet(p, w[i].k, w[j].k)) next = top;
        }
        out[i].low = next;
    }
    sort(out, n);
}

static int descend(search *p, waiting *w, int32_t n);

/* One section decides: each interval that can rest on its floor in turn, then none of them. Any plan that is
 * left, let fall down until nothing can fall, is one of these cases. 1: found; 0: there is none; -1: out of
 * patience. */
static int branch(search *p, waiting *w, int32_t n) {
    if (p->fails >= p->patience || p->depth >= MAX_DEPTH || p->pool + POOL - w < 5 * n) return -1;
    p->steps++;
    const int32_t t = choose(p, w, n), hole = may_leave_hole(p, t);
    waiting *choice = w + n;
    int32_t m = 0;
    for (int32_t i = 0; i < n && w[i].low == w->low; i++) {
        const int32_t k = w[i].k;
        if (!lives(p, k, t)) continue;
        int32_t j = m++;
        for (; j && p->priority[choice[j - 1].k] < p->priority[k]; j--) choice[j] = choice[j - 1];
        choice[j] = w[i];
    }
    waiting *next = choice + m;
    int found = 0;
    p->depth++;
    for (int32_t i = 0; i < m && !found; i++) {
        int tried = 0;
        for (int32_t j = 0; j < i; j++) tried |= twins(p, choice[i].k, choice[j].k);
        if (!tried) found = descend(p, next, put(p, w, n, choice[i].k, next));
    }
    if (!found && hole) {
        leave_hole(p, w, n, choice, m, next);
        found = descend(p, next, n);
    }
    p->depth--;
    return found;
}

/* Checks a state and cuts it where nothing that waits lives on both sides. Such parts do not feel each other:
 * each is searched alone, and one that has no plan ends the branch, whatever the others could do. */
static int descend(search *p, waiting *w, int32_t n) {
    int32_t from = MAX_N, end = 0;
    for (int32_t i = 0; i < n; i++) {
        if (birth(p, w[i].k) < from) from = birth(p, w[i].k);
        if (death(p, w[i].k) > end) end = death(p, w[i].k);
    }
    for (int32_t t = from; t < end; t++) p->at[t] = (section){0};
    if (!survey(p, w, n)) return 0;
    for (int32_t to; from < end; from = to) {
        waiting *part = w + n;
        int32_t m = 0;
        for (to = from + 1; to < end && p->at[to].joined; to++) {}
        for (int32_t i = 0; i < n; i++) if (birth(p, w[i].k) >= from && birth(p, w[i].k) < to) part[m++] = w[i];
        const int found = m ? branch(p, part, m) : 1;
        if (found != 1) return found;
    }
    return 1;
}

int32_t tfm_place_bytes(void) { return (int32_t)sizeof(search); }

/* One run for n intervals. Interval k has the pieces piece[k]..piece[k+1]-1, in the order of time; a piece lives in
 * the sections first..end-1. There are at most MAX_N intervals, pieces of one and sections. Interval k starts at a
 * multiple of step[k] and ends at limit[k] at the latest; sizes, steps and limits are at most 2^29, and limits
 * differ by 1 at most. Of the intervals that could rest at one place the highest priority is tried first; the run
 * ends after `patience` dead ends. `memory` has tfm_place_bytes(). Returns 1 with the offsets filled in, 0 when no
 * plan exists, -1 when patience ran out, -2 for arguments out of range. */
int32_t tfm_place(void *memory, int32_t n, const int32_t *piece, const int32_t *first, const int32_t *end,
                  const int32_t *size, const int32_t *step, const int32_t *limit, const double *priority,
                  int64_t patience, int32_t *offset, int64_t *steps) {
    search *p = memory;
    if (n < 0 || n > MAX_N) return -2;
    p->piece = piece, p->first = first, p->end = end, p->size = size, p->step = step, p->limit = limit;
    p->priority = priority, p->offset = offset, p->height = 0;
    p->depth = 0, p->steps = 0, p->fails = 0, p->patience = patience;
    for (int32_t k = 0; k < n; k++) {
        if (size[k] < 1 || size[k] > 1 << 29 || step[k] < 1 || step[k] > 1 << 29) return -2;
        if (limit[k] < 0 || limit[k] > 1 << 29 || limit[k] - limit[0] > 1 || limit[0] - limit[k] > 1) return -2;
        if (piece[k] >= piece[k + 1] || piece[k + 1] - piece[k] > MAX_N) return -2;
        for (int32_t j = piece[k]; j < piece[k + 1]; j++) {
            const int32_t before = j > piece[k] ? end[j - 1] : 0;
            if (first[j] < before || first[j] >= end[j] || end[j] > MAX_N) return -2;
        }
        if (limit[k] > p->height) p->height = limit[k];
        p->pool[k] = (waiting){k, 0};
    }
    const int found = descend(p, p->pool, n);
    *steps += p->steps;
    return found;
}
