/* Reads inputs from standard input, writes outputs to standard output: TFM_INPUT_BYTES in, TFM_OUTPUT_BYTES out, until the end.
   Without input bytes it runs the built-in example. Exit status: 0 all went well, 1 something differs, 2 an operator failed and standard error says with
   which status. */
#include <stdio.h>
#include <string.h>

#include "model.h"
#include "example.h"

static int8_t input[TFM_INPUT_BYTES], output[TFM_OUTPUT_BYTES];

/* Run the model; 2 with a message when that fails. */
static int invoke(const int8_t *from, int image) {
    const int status = tfm_invoke(from, output);
    if (status != 0) fprintf(stderr, "tfm_invoke returned status %d for image %d\n", status, image);
    return status != 0 ? 2 : 0;
}

static int example(void) {
    if (invoke(tfm_example_input, 0) != 0) return 2;
    int different = 0;
    for (int i = 0; i < TFM_OUTPUT_BYTES; i++) different += output[i] != tfm_example_output[i];
    printf("%d bytes compared with the expected output, %d different\n", TFM_OUTPUT_BYTES, different);
    return different != 0;
}

int main(void) {
    int images = 0;
    const int damage = tfm_check();
    if (damage != 0) {
        fprintf(stderr, "tfm_check returned status %d: the constants are not as they were generated\n", damage);
        return 2;
    }
    while (fread(input, 1, sizeof input, stdin) == sizeof input) {
        if (invoke(input, images) != 0) return 2;
        if (fwrite(output, 1, sizeof output, stdout) != sizeof output) return 1;
        images++;
    }
    return images > 0 ? 0 : example();
}
