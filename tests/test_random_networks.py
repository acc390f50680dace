"""Random networks through `generate`: the C on this machine under sanitizers and on the emulated core returns the reference's
bytes, whatever the strides, kernels, paddings, memory mode and kernels (see tinyformer/random_networks.py)."""
import numpy as np
import pytest

from tinyformer import codegen as cg, graph as tg, random_networks as rn
from tinyformer.errors import BadInput
from tinyformer.graph import Graph, Op, Tensor
from tinyformer.quantization import requant_params
from tinyformer.simulator import build, simulate

SHARE, SHARES, BATCH = 500, 4, 250     # networks in each share of the sweep, and in one program

AT_LEAST = {   # feature -> in how many networks of a share, at least
    **dict.fromkeys(['chain', 'in place', 'another order', 'no arena', 'two chains', 'several rows at a time', 'last band is short'], 5),
    **dict.fromkeys(['ring', 'strip', 'whole tensor in a chain', 'chain reads the input', 'chain writes the output'], 5),
    **dict.fromkeys([f'kernel {how}, {where}' for how in ('equal to stride', 'equal to stride with padding', 'over stride', 'over stride with padding',
                     'under stride', 'under stride with padding') for where in ('in a chain',)], 1),
    **dict.fromkeys([f'{kind} {where}' for kind in ('conv3x3', 'depthwise3x3', 'pointwise', 'linear', 'layernorm', 'maxpool2x2', 'add')
                     for where in ('first in a chain', 'in a chain')], 2),
    'addition of a tensor from outside a chain': 5, 'chain of 3': 5, 'chain of 4': 1,
    **dict.fromkeys(['one pixel', 'one channel', 'more than 127 blocks in a row', 'zero point at an end', 'pre-shift', 'kernel not square',
                     'stride over kernel', 'padding as wide as the kernel', 'a tensor with two readers', 'one tensor twice',
                     'an operator without weights left'], 10),
    'a tensor nobody reads': 2, 'the output is read again': 0,
    **dict.fromkeys(tg.KINDS, 10),
    **dict.fromkeys([f'memory {m}' for m in rn.MEMORY] + ['objective bytes', 'objective speed'], 50)}
