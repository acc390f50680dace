/* A model as a WebAssembly module: who calls it writes the input, calls tfm_run and reads the output. */
#include "model.h"

#define EXPORT(name) __attribute__((export_name(name)))

static int8_t input[TFM_INPUT_BYTES], output[TFM_OUTPUT_BYTES];

EXPORT("tfm_input") int8_t *tfm_input(void);
EXPORT("tfm_output") int8_t *tfm_output(void);
EXPORT("tfm_run") int tfm_run(void);

int8_t *tfm_input(void) { return input; }
int8_t *tfm_output(void) { return output; }
int tfm_run(void) { return tfm_invoke(input, output); } /* 0: TFM_OK */
