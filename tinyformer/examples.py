"""A person's own inputs, with labels or without, as a network of any front end reads them."""
import zipfile, zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from tinyformer.data import check_images, one_line, split, to_float
from tinyformer.errors import BadInput

NEEDS = ('it needs x (uint8 pictures [n, h, w, c], or floats as the network reads them) and, where there are labels, '
         'y; or x_train, x_test, y_train, y_test')
HELD = .25
"Share of the inputs that is kept for testing where the file has no x_test."


@dataclass
class Examples:
    "Inputs to calibrate and train with, and others to test with."
    x: torch.Tensor        # float32 [n, ...] as the network reads them
    y: np.ndarray          # int64 [n], or None
    x_test: torch.Tensor   # others than x, where the file has enough
    y_test: np.ndarray     # int64 [n], or None
    source: str            # in words
    pictures: bool = False # bytes of pictures were given
    real: bool = True      # not made up
    remark: str = ''       # why labels that were given are not used

    @property
    def shape(self): return tuple(self.x.shape[1:])

    @property
    def classes(self): return 0 if self.y is None else 1 + int(max(self.y.max(), self.y_test.max()))


def _npz(path):
    "Arrays of a file, unpacked without pickle."
    try:
        with np.load(path, allow_pickle=False) as f: return {k: f[k] for k in f.files}
    except FileNotFoundError: raise BadInput(f'no file {path}') from None
    except (OSError, ValueError, KeyError, EOFError, AttributeError, TypeError, RuntimeError, MemoryError,
            zipfile.BadZipFile, zlib.error) as e:
        raise BadInput(f'{path} is not a readable .npz of plain arrays ({one_line(e)}); write it with '
                       'numpy.savez') from e


def as_read(
    x,           # array [n, ...]: uint8 pictures, channels last, or floats
    shape=None,  # of one input as the network reads it; None: not known
    what='x',    # named in errors
): # float32 tensor [n, *shape]
    "Inputs in the order in which the network reads them: channels first for pictures."
    if x.dtype == np.uint8 and x.ndim in (3, 4): x = to_float(check_images(x, what)).numpy()
    elif x.dtype.kind != 'f': raise BadInput(f'{what} is {x.dtype}: {NEEDS}')
    if x.ndim < 2 or 0 in x.shape: raise BadInput(f'{what} has shape {x.shape}: {NEEDS}')
    x = torch.from_numpy(np.array(x, np.float32))
    if not x.isfinite().all(): raise BadInput(f'{what} holds values that are not finite')
    if shape is None or tuple(x.shape[1:]) == tuple(shape): return x
    last, first = x.movedim(1, -1), x.movedim(-1, 1)
    for y in (first, last):
        if tuple(y.shape[1:]) == tuple(shape): return y.contiguous()
    def without_ones(s): return [n for n in s if n > 1]
    if x[0].numel() == np.prod(shape) and (x.ndim == 2 or without_ones(x.shape[1:]) == without_ones(shape)):
        return x.reshape(len(x), *shape)
    raise BadInput(f'the network reads {tuple(shape)}, {what} has {tuple(x.shape[1:])}: {NEEDS}')


def _labels(y, n, what):
    "Whole numbers, one per input; None for anything else. Rows with a single 1 among zeros are classes too."
    y = np.asarray(y)
    if y.shape[:1] != (n,): raise BadInput(f'{what} has {y.shape[:1]} rows, x {n}: one label per input')
    y = y.reshape(n, -1)
    if y.shape[1] > 1 and y.dtype.kind in 'iufb' and ((y == 0) | (y == 1)).all() and (y.sum(1) == 1).all():
        y = y.argmax(1)[:, None]
    if y.shape[1] != 1 or y.dtype.kind not in 'iu': return None
    if y.min() < 0: raise BadInput(f'{what} has the label {y.min()}: labels start at 0')
    return y[:, 0].astype(np.int64)


def read_examples(
    path,       # .npz file
    shape=None, # of one input as the network reads it; None: not known
): # Examples
    "Read a person's inputs; a part is held back for testing where the file does not say which."
    held, name = _npz(path), Path(path).name
    one = next((k for k in ('x', 'x_train', 'images', 'X') if k in held), None)
    if one is None: raise BadInput(f"{name} has {', '.join(held) or 'nothing'}: {NEEDS}")
    pictures = held[one].dtype == np.uint8
    x = as_read(held[one], shape, f'{name}: {one}')
    y = next((held[k] for k in ('y', 'y_train', 'labels') if k in held), None)
    given, y = y is not None, None if y is None else _labels(y, len(x), f'{name}: y')
    remark = f'y of {name} holds no whole numbers, one per input' if given and y is None else ''
    if 'x_test' in held:
        xt = as_read(held['x_test'], shape or tuple(x.shape[1:]), f'{name}: x_test')
        yt = _labels(held['y_test'], len(xt), f'{name}: y_test') if y is not None and 'y_test' in held else None
        if y is not None and yt is None: remark = f'{name} has no y_test that fits y'
        return Examples(x, y if yt is not None else None, xt, yt, name, pictures, remark=remark)
    n = round(len(x) * HELD)
    if n < 1 or len(x) < 8:
        return Examples(x, y, x, y, f'{name}, tested on the same inputs', pictures, remark=remark)
    train, test = split(np.zeros(len(x)) if y is None else y, n)
    part = lambda a, i: None if a is None else a[i]
    return Examples(x[train], part(y, train), x[test], part(y, test), name, pictures, remark=remark)


def made_up(
    shape, # of one input as the network reads it
    n=32,  # how many
    seed=0,
): # Examples
    "Random inputs for a network whose data is not at hand: every figure but accuracy is right with them."
    gen = torch.Generator().manual_seed(seed)
    x = torch.rand(n, *shape, generator=gen)
    if len(shape) != 3 or shape[0] > 4: x = torch.randn(n, *shape, generator=gen)
    return Examples(x, None, x, None, 'random numbers', real=False)
