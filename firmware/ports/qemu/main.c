/* One inference on the built-in example; the output and the elapsed timer ticks go to the debugger's console. */
#include <string.h>

#include "model.h"
#include "example.h"

/* Arm v7-M system timer: counts down from a 24-bit start value at the core's clock, 25 MHz here. */
#define SYST_CSR (*(volatile uint32_t *)0xE000E010u)
#define SYST_RVR (*(volatile uint32_t *)0xE000E014u)
#define SYST_CVR (*(volatile uint32_t *)0xE000E018u)

int8_t tfm_input[TFM_INPUT_BYTES] __attribute__((aligned(4)));
int8_t tfm_output[TFM_OUTPUT_BYTES] __attribute__((aligned(4)));

/* Semihosting: the debugger, or QEMU, does the work that the breakpoint asks for. */
static int semihost(int operation, const void *argument) {
    register int r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

static void print(const char *text) { (void)semihost(0x04, text); }

/* The lowest `digits` hexadecimal digits of `value`. */
static void print_hex(uint32_t value, int digits) {
    char text[9];
    for (int i = 0; i < digits; i++) text[i] = "0123456789abcdef"[(value >> (4 * (digits - 1 - i))) & 15u];
    text[digits] = '\0';
    print(text);
}

static void leave(int code) {
    const uint32_t block[2] = {0x20026u, (uint32_t)code}; /* application exit */
    (void)semihost(0x20, block);
}

int main(void) {
    memcpy(tfm_input, tfm_example_input, sizeof tfm_input);
    SYST_RVR = 0x00FFFFFFu;
    SYST_CVR = 0u;
    SYST_CSR = 5u; /* core clock, no interrupt, on */

    int result = tfm_check();
    const uint32_t start = SYST_CVR;
    if (result == 0) result = tfm_invoke(tfm_input, tfm_output);
    const uint32_t ticks = (start - SYST_CVR) & 0x00FFFFFFu;

    print("result ");
    print_hex((uint32_t)result, 8);
    print("\nticks ");
    print_hex(ticks, 8);
    print("\noutput ");
    for (int i = 0; i < TFM_OUTPUT_BYTES; i++) print_hex((uint8_t)tfm_output[i], 2);
    print("\n");
    int different = 0;
    for (int i = 0; i < TFM_OUTPUT_BYTES; i++) different += tfm_output[i] != tfm_example_output[i];
    leave(result != 0 || different != 0);
    return 0;
}
