"""All operators: `OPERATORS` has the record of each kind. What defines their bytes is importable from here as well.

The bytes are defined on the pages `04_integers` to `04d_norms`, the record is explained on `04e_record`, and the
records themselves stand in the modules `ops_*`."""
import numpy as np

from .elementwise import *
from .errors import BadInput
from .features import (add_counts, dense_counts, edge_pixels, head_counts, scalar_counts, stream_counts, taps_inside,
                       unit_counts)
from .instances import Shape, random_weights, zero_point
from .integers import *
from .norms import *
from .ops_attention import ATTENTION, STEPS
from .ops_elementwise import ELEMENTWISE
from .ops_layers import LAYERS
from .ops_norms import NORMS
from .ops_pools import POOLS
from .record import *
from .softmax import *
from .structs import STRUCTS
from .windows import *


CONTRACT_VERSION = 1   # of the bytes that every operator returns

OPERATORS = LAYERS | POOLS | ELEMENTWISE | ATTENTION | NORMS # kind -> Operator


def random_instance(
    kind:str, # a key of `OPERATORS`
    rng:np.random.Generator, # where randomness comes from
    **shape:int, # fields of `Shape`
)->tuple: # (attributes, arrays)
    "Random constants of an operator of this kind and size."
    if kind not in OPERATORS: raise BadInput(f"no operator {kind!r}; known: {', '.join(OPERATORS)}")
    s = Shape(**shape)
    s.zp_in, s.zp_out = zero_point(rng), zero_point(rng)
    return OPERATORS[kind].draw(rng, s)

def random_inputs(
    kind:str, # a key of `OPERATORS`
    a:dict, # its attributes
    rng:np.random.Generator, # where randomness comes from
)->list: # int8 arrays of one image, flat
    "Inputs for an operator; now and then all at one end of the range."
    low, high = {0: (127, 128), 1: (-128, -127)}.get(int(rng.integers(0, 8)), (-128, 128))
    return [rng.integers(low, high, n).astype(np.int8) for n in OPERATORS[kind].sizes(a)[0]]
