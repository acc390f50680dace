/* Answers questions that come over the serial line, one frame each; `tinyformer board` asks them.

   | question            | answer                                                                             |
   |---------------------|------------------------------------------------------------------------------------|
   | 'H', no payload     | 'h': 9 words (below), the model's name, a line feed, the board's name              |
   | 'I', one input      | 'i': status of the model (0 is success), cycles that it took, its output           |
   | a frame that is bad | 'e': a word, which of `tfm_frame_status` it is                                     |

   The words of 'h': version of this protocol, version of the numeric contract, input bytes, output bytes, arena bytes,
   clock in hertz, CRC-32 of the model's constants, which of `tfm_trouble` there was at the start, and how many output bytes
   of the built-in example were wrong (all ones: the model returned an error). */
#include <string.h>

#include "about.h"
#include "board.h"
#include "example.h"
#include "frame.h"
#include "model.h"

#define PROTOCOL 1u
#define WORDS 9u

static int8_t tfm_input[TFM_INPUT_BYTES] __attribute__((aligned(4)));
static int8_t tfm_output[TFM_OUTPUT_BYTES] __attribute__((aligned(4)));
static uint32_t clock_hz, wrong;
static int damage; /* what tfm_check said at the start; 0: the constants are sound */
static tfm_trouble trouble;

/* Output bytes of the built-in example that are not the expected ones. */
static uint32_t example(void) {
    uint32_t n = 0;
    memcpy(tfm_input, tfm_example_input, sizeof tfm_input);
    if (damage != 0 || tfm_invoke(tfm_input, tfm_output) != 0) return 0xFFFFFFFFu;
    for (uint32_t i = 0; i < TFM_OUTPUT_BYTES; i++) n += tfm_output[i] != tfm_example_output[i];
    return n;
}

static void hello(uint8_t number) {
    static const char names[] = TFM_MODEL_NAME "\n" TFM_BOARD_NAME;
    const uint32_t text = sizeof names - 1u;
    const uint32_t words[WORDS] = {PROTOCOL, TFM_CONTRACT_VERSION, TFM_INPUT_BYTES, TFM_OUTPUT_BYTES, TFM_ARENA_BYTES,
                                   clock_hz, TFM_MODEL_CRC, (uint32_t)trouble, wrong};
    tfm_frame_begin((tfm_frame){'h', number, 4u * WORDS + text});
    for (uint32_t i = 0; i < WORDS; i++) tfm_frame_put_word(words[i]);
    tfm_frame_put(names, text);
    tfm_frame_end();
}

static void infer(uint8_t number) {
    const uint32_t start = tfm_board_cycles();
    const int status = damage != 0 ? damage : tfm_invoke(tfm_input, tfm_output);
    const uint32_t cycles = tfm_board_cycles() - start;
    tfm_frame_begin((tfm_frame){'i', number, 8u + TFM_OUTPUT_BYTES});
    tfm_frame_put_word((uint32_t)status);
    tfm_frame_put_word(cycles);
    tfm_frame_put(tfm_output, TFM_OUTPUT_BYTES);
    tfm_frame_end();
}

/* Answer one frame; what was wrong with it, if anything. */
static tfm_frame_status answer(tfm_frame frame) {
    const uint32_t want = frame.kind == 'I' ? TFM_INPUT_BYTES : 0u;
    if (frame.kind != 'I' && frame.kind != 'H') return TFM_FRAME_KIND;
    if (frame.length != want) return TFM_FRAME_LENGTH;
    if (frame.kind == 'H') hello(frame.number);
    else infer(frame.number);
    return TFM_FRAME_OK;
}

int main(void) {
    clock_hz = tfm_board_start(&trouble);
    tfm_frame_patience(clock_hz / 4u); /* a quarter of a second */
    damage = tfm_check();
    wrong = example();
    for (;;) {
        tfm_frame frame;
        tfm_frame_status status = tfm_frame_receive(&frame, (uint8_t *)tfm_input, sizeof tfm_input);
        if (status == TFM_FRAME_OK) status = answer(frame);
        if (status == TFM_FRAME_OK) continue;
        tfm_frame_begin((tfm_frame){'e', frame.number, 4u});
        tfm_frame_put_word((uint32_t)status);
        tfm_frame_end();
    }
}
