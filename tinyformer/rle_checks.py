"""What a weight stream may hold: checks of weights before they are encoded and of bytes while they are read.

`rle_encoding` uses them. Each refusal says what is wrong, and in a stream at which byte."""
import numpy as np

from .errors import BadInput, CorruptModel


def check_weights(
    weights: np.ndarray  # int8, values in [-127, 127]
) -> np.ndarray:         # the same
    "Refuse weights that a stream cannot hold."
    w = np.asarray(weights)
    if w.dtype != np.int8: raise BadInput(f"weights are {w.dtype}: quantise them to int8 first")
    if (w == -128).any(): raise BadInput("weights hold -128: symmetric int8 weights lie in [-127, 127]")
    return w


def corrupt(
    at: int,    # byte offset in the stream
    what: str   # what is wrong there
):
    "Raise `CorruptModel` for a weight stream, naming the byte."
    raise CorruptModel(f"weight stream, byte {at}: {what}. The stream is damaged: write it again from the model.")


def take(
    buf: bytes, # the stream
    at: int,    # first byte wanted
    n: int      # how many
) -> bytes:     # exactly n bytes
    "A piece of the stream, refusing to read past its end."
    if at + n > len(buf): corrupt(len(buf), f"truncated, {at + n - len(buf)} more needed for the item at hand")
    return buf[at:at + n]


def check_block(
    weights: bytes, # of one kept block
    room: int,      # how many of them are real, not padding
    at: int,        # byte offset of the first
    bridge: bool    # whether a bridge can be here: behind the longest gap, and the row goes on
):
    "Refuse a block that `encode` cannot have written."
    if not any(weights) and not bridge: corrupt(at, "a kept block is all zero and bridges no gap")
    if 128 in weights: corrupt(at, "weight -128 is outside [-127, 127]")
    if any(weights[room:]): corrupt(at + room, "a weight in the padding is not zero")
