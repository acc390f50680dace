/* The board that QEMU emulates: UART 0 and timer 0 of Arm's CMSDK. Its clock is set up from the start. */
#include "board.h"

#define CLOCK_HZ 25000000u
#define TIMER0_CTRL (*(volatile uint32_t *)0x40000000u)
#define TIMER0_VALUE (*(volatile uint32_t *)0x40000004u)
#define TIMER0_RELOAD (*(volatile uint32_t *)0x40000008u)
#define UART0_DATA (*(volatile uint32_t *)0x40004000u)
#define UART0_STATE (*(volatile uint32_t *)0x40004004u) /* bit 0: no room to send, bit 1: a byte came in */
#define UART0_CTRL (*(volatile uint32_t *)0x40004008u)  /* bit 0: send, bit 1: receive */
#define UART0_BAUDDIV (*(volatile uint32_t *)0x40004010u)
#define BAUD 115200u

uint32_t tfm_board_start(tfm_trouble *trouble) {
    TIMER0_RELOAD = 0xFFFFFFFFu; /* it counts down */
    TIMER0_VALUE = 0xFFFFFFFFu;
    TIMER0_CTRL = 1u;
    UART0_BAUDDIV = CLOCK_HZ / BAUD;
    UART0_CTRL = 3u;
    *trouble = TFM_READY;
    return CLOCK_HZ;
}

int tfm_board_in(void) { return (UART0_STATE & 2u) != 0u ? (int)(UART0_DATA & 0xFFu) : -1; }

int tfm_board_out(uint8_t byte) {
    if ((UART0_STATE & 1u) != 0u) return 0;
    UART0_DATA = byte;
    return 1;
}

uint32_t tfm_board_cycles(void) { return 0xFFFFFFFFu - TIMER0_VALUE; }
