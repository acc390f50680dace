"""The structures that C functions take: name -> its fields, in the order of `firmware/include/tfm_kernels.h`."""
from .elementwise import AXES
from .windows import POOL, WINDOW


def _ints(*names): return tuple((n, 'int32') for n in names)

STRUCTS = dict( # structure of tfm_kernels.h -> (field, 'int32', 'int64' or 'array') in C's order
    tfm_linear_dims=_ints('pixels', 'cin', 'cout'),
    tfm_conv_dims=_ints('h', 'w', 'cin', 'cout', 'kh', 'kw', *WINDOW),
    tfm_band=_ints('first', 'end', 'ring'),
    tfm_quant=(('bias', 'array'), ('mult', 'array'), *_ints('shift', 'zp_in', 'zp_out')),
    tfm_rle=(('stream', 'array'), *_ints('bytes', 'block', 'empty')),
    tfm_add=_ints('n', 'mult_a', 'mult_b', 'bias', 'shift'),
    tfm_add_broadcast=_ints('outer', 'inner', 'b', 'mult_a', 'mult_b', 'bias', 'shift'),
    tfm_mul=_ints('outer', 'inner', 'b', 'zp_a', 'zp_b', 'zp_out', 'mult', 'shift'),
    tfm_pad=_ints('h', 'w', 'c', 'top', 'bottom', 'left', 'right', 'gap_h', 'gap_w', 'value'),
    tfm_copy=_ints(*(f'd{i}' for i in range(AXES)), *(f's{i}' for i in range(AXES)), 'base', 'n_in'),
    tfm_pool=_ints('h', 'w', 'c', 'bias', 'mult', 'shift', 'zp_out'),
    tfm_pool_dims=_ints('h', 'w', 'c', *POOL),
    tfm_pool_quant=(('mult', 'array'), *_ints('least', 'count_pad', 'shift', 'zp_in', 'zp_out')),
    tfm_layernorm=(*_ints('tokens', 'c'), ('gamma', 'array'), ('beta', 'array'),
                   *_ints('mult', 'shift', 'zp_out'), ('eps_q', 'int64')),
    tfm_rmsnorm=(*_ints('tokens', 'c'), ('gamma', 'array'),
                 *_ints('zp_in', 'mult', 'shift', 'zp_out'), ('eps_q', 'int64')),
    tfm_attention=(*_ints('tokens', 'keys', 'dim', 'vdim', 'heads', 'causal', 'mult_qk',
                          'shift_qk'),
                   ('table', 'array'), *_ints('mult_av', 'shift_av', 'zp_out')),
    tfm_softmax=(*_ints('rows', 'n'), ('table', 'array')),
    tfm_matmul=_ints('tokens', 'keys', 'dim', 'heads', 'mult', 'shift', 'zp_out'))
