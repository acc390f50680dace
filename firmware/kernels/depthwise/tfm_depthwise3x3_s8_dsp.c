#include "tfm_depthwise.h"
#include "tfm_dsp.h"

TFM_OUTLINE int32_t tfm_depthwise3x3_s8_dsp_scratch_bytes(const tfm_conv_dims *dims) {
    if (!dims || !tfm_conv_dims_ok(dims) || dims->cin != dims->cout || !tfm_depthwise3x3_ok(dims)) return -1;
    return tfm_depthwise3x3_scratch_bytes(dims);
}

static int status_of(const int8_t *out, const int8_t *in, const int8_t *weight, const tfm_conv_dims *dims,
                     const tfm_quant *quant, const void *scratch, int32_t scratch_bytes) {
    return tfm_all_status(out, in, weight, dims, quant, scratch, scratch_bytes, tfm_depthwise3x3_s8_dsp_scratch_bytes(dims));
}

int tfm_depthwise3x3_s8_dsp(int8_t *out, const int8_t *in, const int8_t *weight, const tfm_conv_dims *dims,
                            const tfm_quant *quant, void *scratch, int32_t scratch_bytes) {
    const int status = status_of(out, in, weight, dims, quant, scratch, scratch_bytes);
    if (status) return status;
    tfm_depthwise3x3_rows(out, in, dims->h, weight, dims, quant, 0, tfm_conv_oh(dims), scratch);
    return TFM_OK;
}

int tfm_depthwise3x3_s8_dsp_rows(int8_t *out, const int8_t *in, const int8_t *weight, const tfm_conv_dims *dims,
                                 const tfm_quant *quant, const tfm_band *band, void *scratch, int32_t scratch_bytes) {
    if (!band) return TFM_ERR_NULL;
    const int status = status_of(out, in, weight, dims, quant, scratch, scratch_bytes);
    if (status) return status;
    if (!tfm_band_ok(band, dims)) return TFM_ERR_DIMS;
    tfm_depthwise3x3_rows(out, in, band->ring, weight, dims, quant, band->first, band->end, scratch);
    return TFM_OK;
}
