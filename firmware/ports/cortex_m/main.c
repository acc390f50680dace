/* One inference on the built-in example, then stop: a debugger reads the three results below.
   Clocks and caches stay as the reset leaves them; the image of `board/` sets them up. */
#include <string.h>

#include "counter.h"
#include "model.h"
#include "example.h"

int8_t tfm_input[TFM_INPUT_BYTES] __attribute__((aligned(4)));
int8_t tfm_output[TFM_OUTPUT_BYTES] __attribute__((aligned(4)));

volatile int tfm_result = -1;     /* what tfm_check, then tfm_invoke returned; 0 is success */
volatile int tfm_different = -1;  /* output bytes that differ from the expected ones */
volatile uint32_t tfm_cycles = 0; /* cycles that the inference took; 0 where there is no counter */

int main(void) {
    tfm_counter_start();
    memcpy(tfm_input, tfm_example_input, sizeof tfm_input);
    int result = tfm_check();
    const uint32_t start = tfm_counter();
    if (result == 0) result = tfm_invoke(tfm_input, tfm_output);
    tfm_cycles = tfm_counter() - start;

    int different = 0;
    for (int i = 0; i < TFM_OUTPUT_BYTES; i++) different += tfm_output[i] != tfm_example_output[i];
    tfm_different = different;
    tfm_result = result;
    for (;;) __asm__ volatile("wfi");
}
