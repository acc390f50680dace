/* A board whose serial line is a tape: elements of 16 bits, a byte each or, 0xFFFF, a long silence. Under QEMU the tape lies at
   0x60000000 behind its length, and the answers go to the file `answers`; elsewhere it is standard input, and they go
   to standard output. The program ends where the tape ends. */
#include "board.h"

#define CLOCK_HZ 25000000u
#define SILENCE 0xFFFF

static uint32_t now;

#ifdef __arm__
#define TAPE ((const uint16_t *)0x60000004u)
#define TAPE_LENGTH (*(const uint32_t *)0x60000000u)
#define ANSWERS ((uint8_t *)0x60800000u)

static uint32_t at, answered;

static int semihost(int operation, const void *argument) {
    register int r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

static int element(void) { return at < TAPE_LENGTH ? TAPE[at++] : -1; }
static void keep(uint8_t byte) { ANSWERS[answered++] = byte; }

static void leave(void) {
    static const char name[] = "answers";
    const uint32_t open[3] = {(uint32_t)name, 5u /* wb */, sizeof name - 1u};
    const uint32_t file = (uint32_t)semihost(0x01, open);
    const uint32_t write[3] = {file, (uint32_t)ANSWERS, answered};
    const int lost = semihost(0x05, write);
    const uint32_t code[2] = {0x20026u, (uint32_t)lost}; /* application exit */
    (void)semihost(0x02, &file);
    (void)semihost(0x20, code);
}
#else
#include <stdio.h>
#include <stdlib.h>

static int element(void) {
    uint8_t two[2];
    return fread(two, 1, 2, stdin) == 2 ? two[0] | two[1] << 8 : -1;
}
static void keep(uint8_t byte) { putchar(byte); }
static void leave(void) { exit(0); }
#endif

uint32_t tfm_board_start(tfm_trouble *trouble) {
    *trouble = TFM_NO_PLL; /* so that a test sees it told */
    return CLOCK_HZ;
}

int tfm_board_in(void) {
    const int e = element();
    if (e < 0) leave();
    if (e == SILENCE) now += CLOCK_HZ;
    return e == SILENCE ? -1 : e;
}

int tfm_board_out(uint8_t byte) {
    keep(byte);
    return 1;
}

uint32_t tfm_board_cycles(void) { return now++; }
