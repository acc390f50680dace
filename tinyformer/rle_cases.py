"""What puts a weight stream to the test: random layers, damaged streams, and the C loop, called from Python.

Page `02_rle_encoding` and the tests use it. The C is that of the device: `firmware/kernels/linear`, compiled for this
machine with four more functions, which let Python call what is private to the file."""
import ctypes, tempfile
from functools import lru_cache
from itertools import product
from pathlib import Path

import numpy as np

from .errors import CorruptModel
from .rle_encoding import walk
from .toolchain import compile_host, firmware_dir


# ---- layers and streams ----------------------------------------------------------------------------------------------

# rows, taps, cin, block, sparsity: small, prime, or next to a multiple of the block
SWEEP = list(product((1, 2, 7), (1, 9), (1, 2, 3, 4, 5, 17, 131, 257), (1, 2, 4), (0, .5, .9, .99, 1)))


def draw(
    rng,            # NumPy's generator
    rows: int,      # output channels
    taps: int,      # kernel positions
    cin: int,       # input channels
    b: int,         # weights per block
    sparsity: float # share of blocks that are zero, about
) -> np.ndarray:    # int8 `[rows, taps, cin]`
    "A random layer of which whole blocks are zero."
    w = rng.integers(-127, 128, (rows, taps, cin)).astype(np.int8)
    pad = np.pad(w, ((0, 0), (0, 0), (0, -cin % b))).reshape(rows, taps, -1, b)
    pad = pad * (rng.random(pad.shape[:3]) >= sparsity)[..., None]
    return np.ascontiguousarray(pad.reshape(rows, taps, -1)[:, :, :cin])


def corruptions(
    stream: bytes # any stream
):                # yields streams
    "The stream with each byte replaced by each other value."
    for i, old in enumerate(stream):
        for v in set(range(256)) - {old}: yield stream[:i] + bytes([v]) + stream[i + 1:]


def accepts(
    stream: bytes, # any bytes
    rows: int,     # output channels
    m: int,        # blocks per row
    b: int         # weights per block
) -> bool:         # whether every header makes sense
    "Whether `walk` reaches the end."
    try: return len(list(walk(stream, rows, m, b))) >= 0
    except CorruptModel: return False


# ---- the loop in C ---------------------------------------------------------------------------------------------------

PEEK = """
int begin_row(tfm_rle_walk *w) { return tfm_rle_row(w); }
int32_t next_block(tfm_rle_walk *w) { return tfm_rle_next(w); }
int more_blocks(const tfm_rle_walk *w) { return tfm_rle_more(w); }
int32_t dot(tfm_rle_walk *w, int32_t block, const int8_t *x, int32_t cin) {
    return row_dot(w, block, x, cin, 0);
}
"""


class Walk(ctypes.Structure):
    "`tfm_rle_walk` of `tfm_math.h`."
    _fields_ = [('at', ctypes.c_void_p), ('next', ctypes.c_int32), ('empty', ctypes.c_int32)]


class Stream(ctypes.Structure):
    "`tfm_rle` of `tfm_kernels.h`, as far as the check reads it."
    _fields_ = [('stream', ctypes.c_char_p), ('bytes', ctypes.c_int32), ('block', ctypes.c_int32)]


def c_source(
    file: str, # in `firmware/`
    mark: str  # the name between two comments, `/* [mark] */` and `/* [/mark] */`
) -> str:      # C
    "A marked part of a file of the firmware."
    text = (firmware_dir()/file).read_text(encoding='utf-8')
    return text.split(f'/* [{mark}] */')[1].split(f'/* [/{mark}] */')[0].strip()


@lru_cache(1)
def c_loop(): # a library with the functions of `PEEK` and `tfm_rle_check`
    "The loop of the plain C kernel, compiled for this machine."
    kernel, checker = (firmware_dir()/'kernels'/o for o in ('linear/tfm_linear_s8_rle_ref.c', 'rle/tfm_rle_check.c'))
    with tempfile.TemporaryDirectory() as folder:
        peek = Path(folder)/'peek.c'
        peek.write_text(kernel.read_text(encoding='utf-8') + PEEK, encoding='utf-8')
        return ctypes.CDLL(str(compile_host([peek, checker], include=[firmware_dir()/'include'])))


def c_trace(
    stream: bytes,   # its first row is walked
    x: np.ndarray,   # int8, the activations of the row
    b: int           # weights per block
) -> list:           # (byte of the header, block, weights, accumulator) after each kept block
    "Follow the C loop through a row."
    lib, buf, acc, out = c_loop(), ctypes.create_string_buffer(stream, len(stream)), 0, []
    base = ctypes.addressof(buf)
    walk = Walk(base)
    more = lib.begin_row(ctypes.byref(walk))
    while more:
        header, pos = walk.at - base, lib.next_block(ctypes.byref(walk))
        w = np.frombuffer(stream[walk.at - base:][:b], np.int8)
        acc += int(w.astype(int) @ x[pos * b:][:b])
        out.append((header, pos, w.tolist(), acc))
        walk.at += b
        more = lib.more_blocks(ctypes.byref(walk))
    return out


def c_sums(
    stream: bytes, # of a linear layer
    rows: int,     # output channels
    x: np.ndarray, # int8, the activations of a row, padded to whole blocks
    b: int         # weights per block
) -> tuple:        # (the sum of each row, bytes read)
    "What the C loop gives for every row of a layer."
    buf, xs = ctypes.create_string_buffer(stream, len(stream)), np.ascontiguousarray(x, np.int8)
    walk, at = Walk(ctypes.addressof(buf)), xs.ctypes.data_as(ctypes.c_void_p)
    sums = [c_loop().dot(ctypes.byref(walk), b, at, len(xs)) for _ in range(rows)]
    return sums, walk.at - ctypes.addressof(buf)


def c_accepts(
    stream: bytes, # any bytes
    rows: int,     # output channels
    m: int,        # blocks per row
    b: int         # weights per block
) -> bool:         # whether every header makes sense
    "Whether `tfm_rle_check` finds nothing wrong."
    return c_loop().tfm_rle_check(ctypes.byref(Stream(stream, len(stream), b)), rows, m) == 0
