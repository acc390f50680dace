/* Runs the model once on the input from standard input and writes what its operators tell: a copy of model.c that calls
   tfm_trace says which operator begins, which bytes of its output it has made, or which status it met. Each record is
   three words (operator, first byte, bytes) and the bytes. bytes = 0: it begins; below 0: minus its status. */
#include <stdint.h>
#include <stdio.h>

#include "model.h"

void tfm_trace(int32_t op, const int8_t *made, int32_t first, int32_t bytes);

static int8_t input[TFM_INPUT_BYTES], output[TFM_OUTPUT_BYTES];

void tfm_trace(int32_t op, const int8_t *made, int32_t first, int32_t bytes) {
    const int32_t head[3] = {op, first, bytes};
    fwrite(head, sizeof head, 1, stdout);
    if (bytes > 0) fwrite(made, 1, (size_t)bytes, stdout);
    fflush(stdout); /* what was made before a crash is not lost */
}

int main(void) {
    if (fread(input, 1, sizeof input, stdin) != sizeof input) return 1;
    return tfm_invoke(input, output) == 0 ? 0 : 2;
}
