/* The score around the network: how far its answer is from what it was given, in squared units of the input.
   Compile this with the generated model; -1 says that the network itself failed. */
#include "model.h"

float anomaly_score(const int8_t *x) {
    static int8_t y[TFM_OUTPUT_BYTES];
    if (tfm_invoke(x, y) != 0) return -1.0f;
    float sum = 0.0f;
    for (int i = 0; i < TFM_OUTPUT_BYTES; i++) {
        const float was = (float)(x[i] - TFM_INPUT_ZERO) * TFM_INPUT_SCALE;
        const float drawn = (float)(y[i] - TFM_OUTPUT_ZERO) * TFM_OUTPUT_SCALE;
        sum += (drawn - was) * (drawn - was);
    }
    return sum / (float)TFM_OUTPUT_BYTES;
}
