/* Runs stored cases through every kernel and compares bytes: a program on the host (with sanitizers), a function
 * on the emulated Cortex-M7. The cases come from tests/sweep.py, which also writes kernel_table.h from the catalogue:
 * call_kernel and need_kernel with one line per kernel.
 *
 * Every array that a kernel sees lies in a room of exactly its size. On the host that is memory of its own, so that
 * the address sanitizer sees one byte too far; on the device it touches the end (even cases) or the start (odd
 * ones) of a stretch of memory beside which nothing is mapped, so that the emulator stops at one byte too far, read
 * or written. Bytes between a room and the rest of its stretch are guards. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include "tfm_kernels.h"

/* What stands in a record for one argument of a kernel. */
enum { INT, ARRAY, OPTIONAL, INPUT, OUTPUT, SCRATCH, SCRATCH_BYTES, NOTHING, STRUCT }; /* OPTIONAL: an array, or NULL */
enum { ANY, SIZE, SHIFT, PAD, LENGTH, FLAG }; /* of an INT: which values it can not have */

/* value: an INT's low word, an array's offset in its chunk, the number of an INPUT; more: high word, or bytes;
 * kind: of an INT what it counts, of an array its alignment. */
typedef struct { int32_t tag, value, more, kind; } word4;
typedef struct { void *p; int64_t i; } arg;

#include "kernel_table.h"

/* A chunk: one operator's images (inputs and the expected output of each) and the calls that are to give it. */
typedef struct { int32_t bytes, images, inputs, out_bytes, in_bytes[4], data, calls, check, unused[5]; } chunk;
typedef struct { int32_t kernel, alias, args, unused; } record; /* alias: the input that the output lies on, or -1 */

/* What tests/sweep.py reads. `why` is a text; chunk, call, image and kernel say where the run is, or stopped. */
typedef struct {
    int32_t failures, chunk, call, image, kernel, at, got, want, statuses, unused;
    char why[40];
    int32_t cases[TABLE_KERNELS], compared[TABLE_KERNELS];
} results;

#define GUARD 32
#define ROOMS 16
#define MAX_ARGS 48

/* An array of n bytes at p; after the call its first `same` bytes are to be those at `from`. */
typedef struct { uint8_t *base, *p; int32_t size, n, same; const uint8_t *from; } room;

#ifdef ROOMS_ARE_GIVEN
/* Set by the caller: ROOMS stretches of memory, `room_step` bytes apart, `room_bytes` each. */
uintptr_t room_start, room_step;
int32_t room_bytes;
static int reserve(room *r, int32_t i, int32_t n, int32_t align, int at_end) {
    if (i >= ROOMS || n > room_bytes) return 0;
    r->base = (uint8_t *)(room_start + (uintptr_t)i * room_step), r->size = room_bytes;
    r->p = at_end ? r->base + ((room_bytes - n) & -align) : r->base;
    return 1;
}
static void release(room *r) { r->base = NULL; }
#else
#include <stdlib.h>
#if defined(__SANITIZE_ADDRESS__)
#define AROUND 0
#else
#define AROUND GUARD
#endif
static int reserve(room *r, int32_t i, int32_t n, int32_t align, int at_end) {
    (void)align, (void)at_end;
    if (i >= ROOMS) return 0;
    r->size = n + 2 * AROUND;
    r->base = malloc((size_t)r->size);
    r->p = r->base ? r->base + AROUND : NULL;
    return r->base != NULL;
}
static void release(room *r) { free(r->base); }
#endif

/* Bytes of a room, at most GUARD, before and behind its array. */
static int32_t before(const room *r) { return r->p - r->base < GUARD ? (int32_t)(r->p - r->base) : GUARD; }
static int32_t behind(const room *r) {
    const ptrdiff_t left = r->base + r->size - (r->p + r->n);
    return left < GUARD ? (int32_t)left : GUARD;
}

static int hold(room *r, int32_t i, const uint8_t *from, int32_t n, int32_t align, int at_end) {
    if (!reserve(r, i, n, align, at_end)) return 0;
    r->n = r->same = n, r->from = from;
    memset(r->p - before(r), 0xA5, (size_t)before(r));
    memset(r->p + n, 0xA5, (size_t)behind(r));
    if (from && n) memcpy(r->p, from, (size_t)n);
    return 1;
}

static uint32_t word(const uint8_t *p) {
    uint32_t w;
    memcpy(&w, p, sizeof w);
    return w;
}

/* Where a[i] ^ flip and b[i] first differ, or -1; four bytes at a time, an emulator counts every step. */
static int32_t difference(const uint8_t *a, const uint8_t *b, int32_t n, uint8_t flip) {
    int32_t i = 0;
    while (i + 4 <= n && (word(a + i) ^ word(b + i)) == flip * 0x01010101u) i += 4;
    for (; i < n; i++) {
        if ((a[i] ^ b[i]) != flip) return i;
    }
    return -1;
}

static void copy_flipped(uint8_t *to, const uint8_t *from, int32_t n) {
    int32_t i = 0;
    for (; i + 4 <= n; i += 4) {
        const uint32_t w = ~word(from + i);
        memcpy(to + i, &w, sizeof w);
    }
    for (; i < n; i++) to[i] = from[i] ^ 0xFF;
}

static int guards_hold(const room *r) {
    static const uint8_t paint[GUARD] = {[0 ... GUARD - 1] = 0xA5};
    const int32_t n = before(r);
    return difference(r->p - n, paint, n, 0) < 0 && difference(r->p + r->n, paint, behind(r), 0) < 0;
}

static int fail(results *res, const char *why, int32_t at, int32_t got, int32_t want) {
    if (res->failures++ == 0) {
        size_t n = 0;
        for (; why[n] && n + 1 < sizeof res->why; n++) res->why[n] = why[n];
        res->why[n] = '\0', res->at = at, res->got = got, res->want = want;
    }
    return 0;
}

/* One call with its arguments, and the rooms that they lie in. */
typedef struct {
    const chunk *c;
    const record *r;
    const word4 *w;
    arg a[MAX_ARGS];
    room rooms[ROOMS];
    int32_t used, out, scratch;
    results *res;
} call;

static const uint8_t *image_data(const chunk *c, int32_t image) {
    int32_t each = c->out_bytes;
    for (int32_t i = 0; i < c->inputs; i++) each += c->in_bytes[i];
    return (const uint8_t *)c + c->data + (size_t)image * (size_t)each;
}

/* Put everything in its room. The output starts as the opposite of what is expected, so that no byte can be right
 * without being written; scratch starts with noise. */
static int prepare(call *k, int32_t image) {
    const chunk *c = k->c;
    const uint8_t *at = image_data(c, image), *inputs[4], *want;
    const int at_end = image % 2 == 0;
    for (int32_t i = 0; i < c->inputs; at += c->in_bytes[i++]) inputs[i] = at;
    want = at, k->used = 0, k->out = k->scratch = -1;
    int32_t first_in[4] = {-1, -1, -1, -1};
    for (int32_t j = 0; j < k->r->args; j++) {
        const word4 *w = &k->w[j];
        arg *a = &k->a[j];
        a->p = NULL, a->i = (int64_t)((uint64_t)(uint32_t)w->more << 32 | (uint32_t)w->value);
        if (w->tag == STRUCT) a->p = a;
        if (w->tag != ARRAY && w->tag != OPTIONAL && w->tag != INPUT) continue;
        const int input = w->tag == INPUT;
        room *r = &k->rooms[k->used];
        const uint8_t *from = input ? inputs[w->value] : (const uint8_t *)c + w->value;
        if (!hold(r, k->used, from, input ? c->in_bytes[w->value] : w->more, input ? 1 : w->kind, at_end)) return 0;
        if (input) first_in[w->value] = k->used;
        a->p = r->p, k->used++;
    }
    for (int32_t j = 0; j < k->r->args; j++) {
        if (k->w[j].tag != OUTPUT) continue;
        if (k->r->alias >= 0) k->out = first_in[k->r->alias];
        else {
            k->out = k->used++;
            room *r = &k->rooms[k->out];
            if (!hold(r, k->out, NULL, c->out_bytes, 1, at_end)) return 0;
            copy_flipped(r->p, want, r->n);
        }
        k->a[j].p = k->rooms[k->out].p, k->rooms[k->out].from = want, k->rooms[k->out].same = c->out_bytes;
    }
    const int32_t need = need_kernel(k->r->kernel, k->a);
    if (need < 0) return 0;
    if (need > 0) {
        k->scratch = k->used++;
        room *r = &k->rooms[k->scratch];
        if (!hold(r, k->scratch, NULL, need, 4, at_end)) return 0;
        memset(r->p, 0x5A + 37 * image, (size_t)need);
    }
    for (int32_t j = 0; j < k->r->args; j++) {
        if (k->w[j].tag == SCRATCH) k->a[j].p = need > 0 ? k->rooms[k->scratch].p : NULL;
        if (k->w[j].tag == SCRATCH_BYTES) k->a[j].i = need;
    }
    return 1;
}

/* Guards hold, and nothing but output and scratch has changed; the output is what is expected. */
static int compare(const call *k) {
    for (int32_t i = 0; i < k->used; i++) {
        const room *r = &k->rooms[i];
        const char *beside = i == k->out ? "wrote beside the output" : i == k->scratch ? "wrote beside scratch" : "wrote beside an input";
        if (!guards_hold(r)) return fail(k->res, beside, i, 0, 0);
        if (i == k->scratch) continue;
        const int32_t at = difference(r->p, r->from, r->same, 0);
        if (at < 0) continue;
        return fail(k->res, i == k->out ? "byte differs" : "changed an input", at, (int8_t)r->p[at], (int8_t)r->from[at]);
    }
    return 1;
}

/* [statuses] */
/* A call that must be refused, with nothing written. */
static void refused(call *k, const char *why, int32_t j, int32_t want) {
    const int32_t got = call_kernel(k->r->kernel, k->a);
    k->res->statuses++;
    if (got != want) fail(k->res, why, j, got, want);
    const room *r = &k->rooms[k->out];
    if (k->r->alias < 0 && difference(r->p, r->from, r->n, 0xFF) >= 0) fail(k->res, "wrote although it refused", j, got, want);
}

/* Every argument spoilt in turn: the status is the one that the contract names. */
static void statuses(call *k) {
    for (int32_t j = 0; j < k->r->args; j++) {
        const word4 w = k->w[j];
        const arg good = k->a[j];
        const int pointer = w.tag == ARRAY || w.tag == INPUT || w.tag == OUTPUT || w.tag == STRUCT || (w.tag == SCRATCH && k->scratch >= 0);
        if (pointer) k->a[j].p = NULL, refused(k, "NULL", j, TFM_ERR_NULL);
        if (w.tag == SCRATCH && k->scratch >= 0) {
            for (int i = 1; i < 4; i++) k->a[j].p = (uint8_t *)good.p + i, refused(k, "misaligned scratch", j, TFM_ERR_ALIGN);
        }
        if (w.tag == SCRATCH_BYTES && k->scratch >= 0) {
            k->a[j].i = good.i - 1, refused(k, "scratch one byte short", j, TFM_ERR_SCRATCH);
            k->a[j].i = 0, refused(k, "no scratch", j, TFM_ERR_SCRATCH);
            k->a[j].i = -1, refused(k, "negative scratch", j, TFM_ERR_SCRATCH);
        }
        if (w.tag == INT && w.kind != ANY) {
            static const int32_t bad[][4] = {{0}, {0, -1, INT32_MIN, INT32_MAX}, {-1, 32, INT32_MIN, INT32_MAX},
                                             {-1, 40000, INT32_MIN, INT32_MAX}, {0, -1, INT32_MIN, 0}, {-1, 2, INT32_MIN, INT32_MAX}};
            for (int i = 0; i < 4; i++) k->a[j].i = bad[w.kind][i], refused(k, "a number out of range", j, TFM_ERR_DIMS);
        }
        k->a[j] = good;
    }
}
/* [/statuses] */

static void run_call(call *k) {
    for (int32_t image = 0; image < k->c->images; image++) {
        k->res->image = image;
        const int ready = prepare(k, image);
        if (!ready) fail(k->res, "no room, or the sizes are refused", need_kernel(k->r->kernel, k->a), 0, 0);
        else {
            if (k->c->check && image == 0) statuses(k);
            const int32_t status = call_kernel(k->r->kernel, k->a);
            if (status != TFM_OK) fail(k->res, "status", 0, status, TFM_OK);
            else if (compare(k)) {
                k->res->cases[k->r->kernel]++;
                k->res->compared[k->r->kernel] += k->c->out_bytes;
            }
        }
        for (int32_t i = 0; i < k->used; i++) release(&k->rooms[i]);
        if (k->res->failures) return;
    }
}

/* All chunks from `blob` on, until a failure. Gives the number of failures. */
int run_cases(const uint8_t *blob, int32_t bytes, results *res);
int run_cases(const uint8_t *blob, int32_t bytes, results *res) {
    static call k;
    memset(res, 0, sizeof *res);
    for (const uint8_t *end = blob + bytes; blob < end; res->chunk++) {
        const chunk *c = (const chunk *)(const void *)blob;
        const uint8_t *at = blob + sizeof *c;
        for (res->call = 0; res->call < c->calls; res->call++) {
            k.c = c, k.r = (const record *)(const void *)at, k.w = (const word4 *)(const void *)(k.r + 1), k.res = res;
            res->kernel = k.r->kernel;
            run_call(&k);
            if (res->failures) return res->failures;
            at = (const uint8_t *)(k.w + k.r->args);
        }
        blob += c->bytes;
    }
    return 0;
}

#if defined(ON_BOARD)
/* On a board with a debugger, or QEMU: it loads the cases behind their length, and prints. */
static const uint8_t *const given = (const uint8_t *)0x60000000;
static results all;

static int semihost(int operation, const void *argument) {
    register int r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

static void print_number(int32_t n) {
    char text[12], *at = text + sizeof text - 1;
    uint32_t left = n < 0 ? 0u - (uint32_t)n : (uint32_t)n;
    *at = '\0', *--at = ' ';
    do *--at = (char)('0' + left % 10), left /= 10;
    while (left);
    if (n < 0) semihost(0x04, "-");
    semihost(0x04, at);
}

int main(void) {
    room_start = 0x20080000, room_step = 0x20000, room_bytes = 0x1FF00;
    int32_t bytes;
    memcpy(&bytes, given, sizeof bytes);
    const int failures = run_cases(given + 8, bytes, &all);
    for (int i = 0; i < 10; i++) print_number((&all.failures)[i]);
    for (int i = 0; i < TABLE_KERNELS; i++) print_number(all.cases[i]), print_number(all.compared[i]);
    semihost(0x04, "\n"), semihost(0x04, all.why), semihost(0x04, "\n");
    const uint32_t exit_block[2] = {0x20026u, failures != 0};
    semihost(0x20, exit_block);
    return 0;
}
#elif !defined(ROOMS_ARE_GIVEN)
#include <stdio.h>

static results all;

/* What tests/sweep.py reads: the structure as numbers, then the reason. */
static void print_results(void) {
    for (int i = 0; i < 10; i++) printf("%d ", (&all.failures)[i]);
    for (int i = 0; i < TABLE_KERNELS; i++) printf("%d %d ", all.cases[i], all.compared[i]);
    printf("\n%s\n", all.why);
    fflush(stdout);
}

#if defined(__SANITIZE_ADDRESS__)
void __sanitizer_set_death_callback(void (*)(void));
#endif

int main(int argc, char **argv) {
    FILE *f = argc == 2 ? fopen(argv[1], "rb") : NULL;
    if (!f || fseek(f, 0, SEEK_END)) return 2;
    const long n = ftell(f);
    uint8_t *blob = n > 0 && n < INT32_MAX ? malloc((size_t)n) : NULL;
    rewind(f);
    if (!blob || fread(blob, 1, (size_t)n, f) != (size_t)n) return 2;
    fclose(f);
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_set_death_callback(print_results);
#endif
    const int failures = run_cases(blob, (int32_t)n, &all);
    print_results();
    free(blob);
    return failures ? 1 : 0;
}
#endif
