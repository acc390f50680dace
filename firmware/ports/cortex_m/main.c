/* One inference on the built-in example, then stop: a debugger reads the three results below.
   Clocks and caches stay as the reset leaves them. */
#include <string.h>

#include "model.h"
#include "example.h"

/* The cycle counter of Armv7-M and Armv8-M mainline; smaller cores have none. */
#if defined(__ARM_ARCH_6M__) || defined(__ARM_ARCH_8M_BASE__)
#define COUNTER 0
#else
#define COUNTER 1
#endif
#define DEMCR (*(volatile uint32_t *)0xE000EDFCu)
#define DWT_CTRL (*(volatile uint32_t *)0xE0001000u)
#define DWT_CYCCNT (*(volatile uint32_t *)0xE0001004u)
#define DWT_LAR (*(volatile uint32_t *)0xE0001FB0u)

int8_t tfm_input[TFM_INPUT_BYTES] __attribute__((aligned(4)));
int8_t tfm_output[TFM_OUTPUT_BYTES] __attribute__((aligned(4)));

volatile int tfm_result = -1;     /* what tfm_invoke returned; 0 is success */
volatile int tfm_different = -1;  /* output bytes that differ from the expected ones */
volatile uint32_t tfm_cycles = 0; /* cycles that the inference took; 0 where there is no counter */

#if COUNTER
static uint32_t cycles(void) { return DWT_CYCCNT; }

static void start_counter(void) {
    DEMCR |= 1u << 24; /* trace on */
    DWT_LAR = 0xC5ACCE55u;
    DWT_CYCCNT = 0u;
    DWT_CTRL |= 1u;
}
#else
static uint32_t cycles(void) { return 0u; }
static void start_counter(void) {}
#endif

int main(void) {
    start_counter();
    memcpy(tfm_input, tfm_example_input, sizeof tfm_input);
    const uint32_t start = cycles();
    const int result = tfm_invoke(tfm_input, tfm_output);
    tfm_cycles = cycles() - start;

    int different = 0;
    for (int i = 0; i < TFM_OUTPUT_BYTES; i++) different += tfm_output[i] != tfm_example_output[i];
    tfm_different = different;
    tfm_result = result;
    for (;;) __asm__ volatile("wfi");
}
