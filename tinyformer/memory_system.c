/* Counts what a run asks of its memories, for the computer that emulates, not for the device. The emulator calls
 * tfm_ms_block and tfm_ms_access; `memory_system` tells in words what is counted and what a count costs.
 *
 * An address lies in a place; a place answers at once (a tightly coupled memory), through a cache, or slowly every
 * time. Counts are kept by owner (the operator that runs), place and event. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define MAX_PLACES 16
#define MAX_CACHES 4
#define MAX_LINES 4096        /* of one cache */
#define MAX_BLOCKS (1 << 16)  /* basic blocks by owner; a power of two */
#define MEMO (1 << 12)        /* addresses whose owner is remembered; a power of two */

enum { AT_ONCE = -1, SLOW = -2 }; /* instead of the number of a cache */

/* In the order of EVENTS in Python. */
enum { FETCHES, FETCH_NEXT, FETCH_JUMP, LOADS, LOAD_MISS, STORES, STORE_MISS, WRITE_BACK, LOAD_ODD, STORE_ODD, EVENTS };

typedef struct {
    int32_t line_bytes, sets, ways, random; /* random: a line is chosen by a shift register, else the oldest goes */
    uint32_t seed;
    uint64_t clock;
    uint64_t used[MAX_LINES];
    uint32_t tag[MAX_LINES];                /* address / line_bytes + 1; 0: empty */
    uint8_t dirty[MAX_LINES];
} cache;

typedef struct {
    uint32_t first, last;
    int32_t code, data;                     /* number of a cache, AT_ONCE or SLOW */
    int32_t fetch_bytes;                    /* one slow fetch */
    int32_t back, allocate;                 /* stores stay in the cache; a missing store brings its line in */
    uint32_t last_line;                     /* of code: what was fetched before */
} place;

typedef struct { uint32_t address, size; int32_t owner; int64_t times, jumps; } block;

/* What is known of the code at an address: whose it is, and whether an IT instruction stands in the block. */
typedef struct { uint32_t address; int32_t owner, it; } known;

/* Functions of the emulator. */
typedef int (*memory_reader)(void *engine, uint64_t address, void *bytes, size_t size);
typedef int (*register_access)(void *engine, int number, void *value);

typedef struct {
    int32_t places, caches, owners, functions, owner, full;
    int32_t it, psr;                        /* IT stands in this block; the emulator's number of the status register */
    memory_reader read_code;
    register_access read_register, write_register;
    const uint32_t *function;               /* first addresses, ascending */
    const int32_t *function_owner;          /* below 0: works for whoever called it */
    int64_t *counts;                        /* [owners][places][EVENTS] */
    known memo[MEMO];
    place at[MAX_PLACES];
    cache cached[MAX_CACHES];
    block *left;                            /* the block that ran last */
    block blocks[MAX_BLOCKS];
} state;

int64_t tfm_ms_bytes(void) { return (int64_t)sizeof(state); }

/* Shapes: line_bytes, sets, ways, random. Places: first, last, code, data, fetch_bytes, back, allocate. */
int32_t tfm_ms_begin(state *s, const int32_t *shapes, int32_t caches, const uint32_t *places, int32_t n,
                     const uint32_t *function, const int32_t *function_owner, int32_t functions, int64_t *counts,
                     int32_t owners, int32_t owner) {
    memset(s, 0, sizeof *s);
    if (caches > MAX_CACHES || n > MAX_PLACES || n < 1) return -1;
    for (int32_t i = 0; i < caches; i++, shapes += 4) {
        cache *c = &s->cached[i];
        c->line_bytes = shapes[0]; c->sets = shapes[1]; c->ways = shapes[2]; c->random = shapes[3];
        c->seed = 0xACE1u;
        if (c->sets * c->ways > MAX_LINES) return -1;
    }
    for (int32_t i = 0; i < n; i++, places += 7) {
        place *p = &s->at[i];
        p->first = places[0]; p->last = places[1];
        p->code = (int32_t)places[2]; p->data = (int32_t)places[3]; p->fetch_bytes = (int32_t)places[4];
        p->back = (int32_t)places[5]; p->allocate = (int32_t)places[6];
    }
    s->places = n; s->caches = caches; s->owners = owners; s->owner = owner; s->counts = counts;
    s->function = function; s->function_owner = function_owner; s->functions = functions;
    return 0;
}

/* What lies nowhere else counts as in the last place. */
static int32_t place_of(const state *s, uint32_t address) {
    int32_t i = 0;
    while (i < s->places - 1 && (address < s->at[i].first || address > s->at[i].last)) i++;
    return i;
}

static int32_t victim(cache *c, int32_t first) {
    for (int32_t i = first; i < first + c->ways; i++) if (c->tag[i] == 0u) return i;
    if (c->random) {
        const uint32_t bit = (c->seed ^ (c->seed >> 2) ^ (c->seed >> 3) ^ (c->seed >> 5)) & 1u;
        c->seed = (c->seed >> 1) | (bit << 15);
        return first + (int32_t)(c->seed % (uint32_t)c->ways);
    }
    int32_t oldest = first;
    for (int32_t i = first; i < first + c->ways; i++) if (c->used[i] < c->used[oldest]) oldest = i;
    return oldest;
}

/* Whether the line was there. Absent and wanted, it comes in; *out then is the changed line that had to go, plus 1. */
static int32_t lookup(cache *c, uint32_t line, int32_t wanted, int32_t changes, uint32_t *out) {
    const int32_t first = (int32_t)(line % (uint32_t)c->sets) * c->ways;
    *out = 0u;
    for (int32_t i = first; i < first + c->ways; i++) {
        if (c->tag[i] != line + 1u) continue;
        c->used[i] = ++c->clock;
        if (changes) c->dirty[i] = 1;
        return 1;
    }
    if (!wanted) return 0;
    const int32_t i = victim(c, first);
    if (c->dirty[i]) *out = c->tag[i];
    c->tag[i] = line + 1u; c->used[i] = ++c->clock; c->dirty[i] = (uint8_t)changes;
    return 0;
}

static int64_t *row(const state *s, int32_t at) {
    return s->counts + ((int64_t)s->owner * s->places + at) * EVENTS;
}

static int32_t has_it(const state *s, void *engine, uint32_t address, uint32_t size) {
    uint8_t code[4];
    for (uint32_t i = 0; engine && s->read_code && i < size; i += 2) {
        if (s->read_code(engine, address + i, code, 2)) return 1;
        if (code[1] >> 3 >= 0x1D) i += 2;              /* a long instruction */
        else if (code[1] == 0xBF && (code[0] & 15)) return 1;
    }
    return 0;
}

static const known *about(state *s, void *engine, uint32_t address, uint32_t size) {
    known *k = &s->memo[(address >> 1) & (MEMO - 1)];
    if (k->address == address) return k;
    int32_t low = 0, high = s->functions;         /* the last function that starts at or before the address */
    while (low < high) {
        const int32_t middle = (low + high) / 2;
        if (s->function[middle] <= address) low = middle + 1; else high = middle;
    }
    k->address = address;
    k->owner = low ? s->function_owner[low - 1] : -1;
    k->it = has_it(s, engine, address, size);
    return k;
}

/* A hook of an access leaves the IT state of its instruction behind (Unicorn 2.1): the code that follows the IT block
 * would be taken for conditional. What is left behind is cleared; the block itself no longer needs it. */
static void clear_it(const state *s, void *engine) {
    uint32_t psr = 0;
    if (s->read_register(engine, s->psr, &psr)) return;
    psr &= ~0x0600FC00u;
    (void)s->write_register(engine, s->psr, &psr);
}

/* Jumps: how often the code that ran next was not the code that lies next. */
static void book(state *s, uint32_t address, uint32_t size) {
    if (s->left && s->left->address + s->left->size != address) s->left->jumps++;
    uint32_t i = (address * 2654435761u + size * 40503u + (uint32_t)s->owner * 97u) & (MAX_BLOCKS - 1);
    for (int32_t tries = 0; tries < 64; tries++, i = (i + 1) & (MAX_BLOCKS - 1)) {
        block *b = &s->blocks[i];
        if (b->times == 0) { b->address = address; b->size = size; b->owner = s->owner; }
        if (b->address == address && b->size == size && b->owner == s->owner) { b->times++; s->left = b; return; }
    }
    s->full = 1;
}

/* Code of a basic block, line by line. */
void tfm_ms_block(void *engine, uint64_t address64, uint32_t size, state *s) {
    const uint32_t address = (uint32_t)address64;
    const known *k = about(s, engine, address, size);
    const int32_t at = place_of(s, address);
    if (k->owner >= 0) s->owner = k->owner;
    s->it = k->it | (s->it & 1) << 1;             /* an IT block may reach into the block that follows */
    book(s, address, size);
    place *p = &s->at[at];
    int64_t *n = row(s, at);
    n[FETCHES]++;
    if (p->code == AT_ONCE) return;
    const uint32_t bytes = (uint32_t)(p->code == SLOW ? p->fetch_bytes : s->cached[p->code].line_bytes);
    for (uint32_t line = address / bytes; line <= (address + size - 1u) / bytes; line++) {
        uint32_t out;
        const int32_t next = line == p->last_line + 1u;
        if (line == p->last_line && p->code == SLOW) continue;   /* what was fetched last is still at hand */
        p->last_line = line;
        if (p->code == SLOW || !lookup(&s->cached[p->code], line, 1, 0, &out)) n[next ? FETCH_NEXT : FETCH_JUMP]++;
    }
}

/* One load or store: 16 and 17 are Unicorn's numbers. */
void tfm_ms_access(void *engine, int32_t type, uint64_t address64, int32_t size, int64_t value, state *s) {
    (void)value;
    if (s->it && engine) clear_it(s, engine);
    const uint32_t address = (uint32_t)address64;
    const int32_t at = place_of(s, address), store = type == 17;
    const place *p = &s->at[at];
    int64_t *n = row(s, at);
    n[store ? STORES : LOADS]++;
    if (address & ((uint32_t)(size < 4 ? size : 4) - 1u)) n[store ? STORE_ODD : LOAD_ODD]++;
    if (p->data == AT_ONCE) return;
    if (p->data == SLOW) { n[store ? STORE_MISS : LOAD_MISS]++; return; }
    cache *c = &s->cached[p->data];
    const uint32_t line = address / (uint32_t)c->line_bytes;
    const uint32_t last = (address + (uint32_t)size - 1u) / (uint32_t)c->line_bytes;
    for (uint32_t l = line; l <= last; l++) {
        uint32_t out;
        if (!lookup(c, l, !store || p->allocate, store && p->back, &out)) n[store ? STORE_MISS : LOAD_MISS]++;
        if (out) row(s, place_of(s, (out - 1u) * (uint32_t)c->line_bytes))[WRITE_BACK]++;
    }
}

void tfm_ms_emulator(state *s, memory_reader code, register_access get, register_access set, int32_t psr) {
    s->read_code = code; s->read_register = get; s->write_register = set; s->psr = psr;
}

/* The blocks that ran, packed: owner, address, bytes, times, jumps in rows of five. -1: there were too many. */
int32_t tfm_ms_blocks(const state *s, int64_t *out) {
    int32_t n = 0;
    if (s->full) return -1;
    for (int32_t i = 0; i < MAX_BLOCKS; i++) {
        const block *b = &s->blocks[i];
        if (b->times == 0) continue;
        const int64_t row[5] = {b->owner, b->address, b->size, b->times, b->jumps};
        memcpy(out + 5 * n++, row, sizeof row);
    }
    return n;
}
