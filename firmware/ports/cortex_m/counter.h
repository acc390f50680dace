/* The cycle counter of Armv7-M and Armv8-M mainline (DWT); smaller cores have none, and it stays 0. */
#ifndef TFM_COUNTER_H
#define TFM_COUNTER_H
#include <stdint.h>

#if !defined(__arm__) || defined(__ARM_ARCH_6M__) || defined(__ARM_ARCH_8M_BASE__)
static inline uint32_t tfm_counter(void) { return 0u; }
static inline void tfm_counter_start(void) {}
#else
#define DEMCR (*(volatile uint32_t *)0xE000EDFCu)
#define DWT_CTRL (*(volatile uint32_t *)0xE0001000u)
#define DWT_CYCCNT (*(volatile uint32_t *)0xE0001004u)
#define DWT_LAR (*(volatile uint32_t *)0xE0001FB0u)

static inline uint32_t tfm_counter(void) { return DWT_CYCCNT; }

static inline void tfm_counter_start(void) {
    DEMCR |= 1u << 24; /* trace on */
    DWT_LAR = 0xC5ACCE55u;
    DWT_CYCCNT = 0u;
    DWT_CTRL |= 1u;
}
#endif
#endif
