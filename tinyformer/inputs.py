"What a person hands to a model, before it becomes codes: the order of the axes, and values that are refused."
import numpy as np

from .errors import BadInput

FAR = .25 # share of values outside an input's range that shows another unit, not rare events


def channels_last(
    x: np.ndarray, # [n, ...] as a person has them
    shape: tuple,  # of one image, sequence or vector, channels last
) -> np.ndarray:   # [n, *shape]; as it is where the sizes say nothing
    "Values in the order of the device."
    def sizes(s): return [n for n in s if n != 1]
    first = shape[-1:] + tuple(shape[:-1])
    if sizes(x.shape[1:]) == sizes(shape): return x.reshape(-1, *shape)
    if sizes(x.shape[1:]) == sizes(first): return np.moveaxis(x.reshape(-1, *first), 1, -1)
    last = tuple(shape[1:]) + shape[:1]                  # the device itself has channels first
    if sizes(x.shape[1:]) == sizes(last): return np.moveaxis(x.reshape(-1, *last), -1, 1)
    return x


def need_floats(
    name: str,       # of the model
    x: np.ndarray,   # what a person gave
    lo: float,       # smallest value that the input has a code for
    hi: float,       # largest
    pictures: bool,  # whether the model reads bytes of pictures as well
):
    "Refuse what is not floats, or floats of another unit; the error says what the model reads."
    reads = f'{name} reads floats from {lo:.3g} to {hi:.3g}'
    if x.dtype.kind != 'f':
        raise BadInput(f"{reads}{' or uint8 images' if pictures else ''}, channels last; got {x.dtype}")
    if not np.isfinite(x).all(): raise BadInput(f'{reads}; got values that are not finite')
    step = (hi - lo) / 255
    outside = ((x < lo - step) | (x > hi + step)).mean() if x.size else 0
    if outside > FAR: raise BadInput(f'{reads}; {outside:.0%} of the values lie outside: they have another unit')


def need_codes(
    name: str,     # of the model
    x: np.ndarray, # what a person gave
    shape: tuple,  # of one image
):
    "Refuse what is not a batch of int8 codes of this shape."
    if x.dtype != np.int8:
        raise BadInput(f'{name} takes int8, got {x.dtype}; graph.encode makes it from what the float network read, '
                       'and predict does so itself')
    if x.shape[1:] != tuple(shape):
        raise BadInput(f'{name} takes a batch of shape (n, {", ".join(map(str, shape))}), got {x.shape}')
