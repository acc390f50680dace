/* What the serial server needs of a board: `ports/NAME/board.c` gives it. */
#ifndef TFM_BOARD_H
#define TFM_BOARD_H
#include <stdint.h>

/* What did not become ready in time when the clock was set up. The board then stays at its slow clock. */
typedef enum {
    TFM_READY = 0,
    TFM_NO_OVERDRIVE = 1, /* the regulator did not go into over-drive */
    TFM_NO_FLASH = 2,     /* the flash did not take its wait states */
    TFM_NO_PLL = 3,       /* the PLL did not lock */
    TFM_NO_SWITCH = 4     /* the core did not change over to the PLL */
} tfm_trouble;

/* Set up memories, clock, serial line and counter. Gives the core's clock in hertz; `trouble` says why it is the slow one. */
uint32_t tfm_board_start(tfm_trouble *trouble);

/* The byte that came in, 0 to 255, or -1 when there is none. Does not wait. */
int tfm_board_in(void);

/* Send a byte: 1, or 0 when the line is busy. Does not wait. */
int tfm_board_out(uint8_t byte);

/* Cycles of the core's clock since the start, modulo 2^32. */
uint32_t tfm_board_cycles(void);
#endif
