/* Runs many generated models in one program and writes what each returned. tinyformer/random_networks.py writes
 * networks.h: the C of every model, its public names made unique, and the table `networks`.
 *
 *     run_networks INPUTS OUTPUTS IMAGES FIRST
 *
 * INPUTS holds IMAGES inputs of every model, from number FIRST on. OUTPUTS gets a status and IMAGES outputs of each,
 * at once: where the program stops, the first model without a record is the one that stopped it.
 * Arena, input and output touch the end (even images) or the start (odd ones) of pages beside which nothing may be
 * touched, and the arena holds noise before every run. Every third image goes through the model's own arena. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "networks.h"

enum { ROOM = 1 << 20, PAGE = 1 << 16, GUARD = 64, PAINT = 0xA5 };
enum { GUARD_WRITTEN = -2, INPUT_WRITTEN = -3 };

typedef struct { int8_t *base, *p; int32_t n; } room;

static void stop(const char *why) {
    fprintf(stderr, "run_networks: %s\n", why);
    exit(3);
}

static room make_room(void) {
    int8_t *p = mmap(NULL, ROOM + 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED || mprotect(p + PAGE, ROOM, PROT_READ | PROT_WRITE) != 0) stop("no memory");
    return (room){p + PAGE, NULL, 0};
}

/* Put n bytes at the end or the start of the room, with paint beside them. */
static void place(room *r, int32_t n, int32_t align, int at_end) {
    if (n > ROOM - 2 * GUARD) stop("a buffer is larger than its room");
    r->p = at_end ? r->base + ((ROOM - n) & -align) : r->base;
    r->n = n;
    if (at_end) memset(r->p - GUARD, PAINT, GUARD);
    memset(at_end ? r->p : r->p + n, PAINT, (size_t)(at_end ? r->base + ROOM - r->p : GUARD));
}

static int painted(const int8_t *from, const int8_t *to) {
    for (; from < to; from++) if ((uint8_t)*from != PAINT) return 0;
    return 1;
}

static int guards_hold(const room *r) {
    const int8_t *const end = r->p + r->n, *const last = r->base + ROOM;
    if (r->p != r->base) return painted(r->p - GUARD, r->p) && painted(end, last);
    return painted(end, end + GUARD);
}

static void noise(int8_t *p, int32_t n) {
    static uint32_t x = 1;
    for (int32_t i = 0; i < n; i++) x = x * 1664525u + 1013904223u, p[i] = (int8_t)(uint8_t)(x >> 24);
}

static room arena, input, output;

static int run(const network *net, const int8_t *x, int image) {
    const int at_end = image % 2 == 0;
    place(&arena, net->arena, 8, at_end);
    place(&input, net->in, 1, at_end);
    place(&output, net->out, 1, at_end);
    noise(arena.p, net->arena);
    memcpy(input.p, x, (size_t)net->in);
    const int status = image % 3 == 2 ? net->invoke(input.p, output.p) : net->invoke_with(arena.p, input.p, output.p);
    if (status) return status;
    if (!guards_hold(&arena) || !guards_hold(&input) || !guards_hold(&output)) return GUARD_WRITTEN;
    return memcmp(input.p, x, (size_t)net->in) ? INPUT_WRITTEN : 0;
}

int main(int argc, char **argv) {
    if (argc != 5) stop("usage: run_networks INPUTS OUTPUTS IMAGES FIRST");
    FILE *const in = fopen(argv[1], "rb"), *const out = fopen(argv[2], "wb");
    const int images = atoi(argv[3]);
    int8_t *const x = malloc(ROOM), *const y = malloc((size_t)images * ROOM);
    if (!in || !out || !x || !y) stop("cannot open the files");
    arena = make_room(), input = make_room(), output = make_room();
    for (size_t i = (size_t)atoi(argv[4]); i < sizeof networks / sizeof *networks; i++) {
        const network *const net = &networks[i];
        const size_t n = (size_t)net->out;
        int32_t status = 0;
        memset(y, 0, (size_t)images * n);
        for (int image = 0; image < images; image++) {
            if (fread(x, 1, (size_t)net->in, in) != (size_t)net->in) stop("too few inputs");
            if (status == 0) status = run(net, x, image);
            memcpy(y + (size_t)image * n, output.p, n);
        }
        fwrite(&status, sizeof status, 1, out);
        fwrite(y, n, (size_t)images, out);
        fflush(out);
    }
    return 0;
}
