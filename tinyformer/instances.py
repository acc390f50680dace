"""Random constants for operators of any size, for tests and benches. They spread the output over all codes."""
from dataclasses import dataclass

import numpy as np

from .errors import BadInput
from .integers import requant_params
from .windows import square_window


@dataclass
class Shape:
    "Sizes of a random operator, in words that serve every kind."
    h:int=8           # input height
    w:int=8           # input width
    cin:int=16        # input channels; channels of kinds that keep them; width of attention
    cout:int=None     # output channels; None = cin
    tokens:int=None   # rows of kinds without a map; None = h * w
    heads:int=4       # of attention
    keys:int=None     # rows of k and v; None = tokens
    vdim:int=None     # width of v; None = cin
    causal:int=0      # 1: attention that sees no later token
    stride:int=1      # of a window
    sparsity:float=0. # share of blocks cleared
    block:int=4       # weights in a block
    k:int=3           # window height and width
    pad:int=None      # of a window; None = k // 2
    window:dict=None  # of `WINDOW`, kh and kw: what differs from direction to direction
    zp_in:int=0; zp_out:int=0 # zero points of the input and of the output

    def __post_init__(self):
        self.cout, self.tokens = self.cout or self.cin, self.tokens or self.h*self.w
        self.keys, self.vdim = self.keys or self.tokens, self.vdim or self.cin
        self.pad = self.k//2 if self.pad is None else self.pad
        square = dict(kh=self.k, kw=self.k, **square_window(self.stride, self.pad))
        self.window = square | (self.window or {})


def random_weights(
    rng:np.random.Generator, # of the blocks kept and of the weights
    rows:int,        # output channels
    taps:int,        # kernel positions
    cin:int,         # input channels
    sparsity:float,  # share of blocks cleared, exact up to rounding
    block:int=4,     # weights in a block
)->np.ndarray: # int8 [rows, taps, cin]; no zero in a kept block
    "Weights with an exact share of random blocks cleared."
    if not 0 <= sparsity <= 1: raise BadInput(f'sparsity {sparsity} is not between 0 and 1')
    n = -(-cin // block)
    keep = np.zeros(rows * taps * n, bool)
    keep[rng.permutation(keep.size)[:round(keep.size * (1 - sparsity))]] = True
    w = rng.integers(1, 128, (rows, taps, cin)) * rng.choice([-1, 1], (rows, taps, cin))
    kept = np.repeat(keep.reshape(rows, taps, n), block, 2)[:, :, :cin]
    return np.where(kept, w, 0).astype(np.int8)

def spread(
    rng:np.random.Generator, # of the multipliers and biases
    w:np.ndarray, # int8 [rows, weights of a row]
    zp_in:int,    # zero point of the input
)->tuple: # (dict of bias int32 [rows] and mult int32 [rows], pre-shift)
    "Folded bias and multipliers that spread the output over int8, saturation included."
    spread = 74 * np.sqrt((w.astype(float)**2).sum(1)) + 300
    mult, shift = requant_params(60 / spread * rng.uniform(0.3, 2, len(w)))
    bias = rng.normal(0, spread) - zp_in * w.sum(1, dtype=np.int64)
    return dict(bias=np.round(bias).astype(np.int32), mult=mult), shift

def zero_point(
    rng:np.random.Generator, # where randomness comes from
)->int: # a code
    "A zero point, often at an end of the range, where a wrong padding shows."
    return int(rng.choice([-128, 127, 0, int(rng.integers(-128, 128))]))
