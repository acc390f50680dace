"""What a model is asked about: test images with labels from a file or a data set, or made-up pictures.

Plumbing of `evaluation` and `zoo`. Any `.npz` with `x_test` and `y_test` will do; nothing else in it is read.
A model may name the data set that it was made for. Only the name of a data set known here is followed: a stranger's
file does not choose which of our files is opened."""
from pathlib import Path

import numpy as np

from tinyformer import graph as tg
from tinyformer.data import (TORCHVISION, check_images, check_labels, data_file, load as load_data, names as data_names,
                             one_line)
from tinyformer.errors import BadInput, UnknownDataset
from tinyformer.graph import Graph


def _read_npz(path):
    "x_test and y_test of a file, unpacked without pickle."
    wanted, name = ('x_test', 'y_test'), Path(path).name
    try:
        with np.load(path, allow_pickle=False) as f:
            have = {k: f[k] for k in wanted if k in f.files}
    except FileNotFoundError: raise BadInput(f'no file {path}') from None
    except Exception as e:
        raise BadInput(f'{path} is not a readable .npz of plain arrays ({one_line(e)}); '
                       'write it with numpy.savez') from e
    if lost := [k for k in wanted if k not in have]:
        raise BadInput(f"{path} has no {' and no '.join(lost)}: it needs x_test "
                       '(uint8 [n, h, w, c], or floats) and y_test (n labels)')
    x = have['x_test']
    if x.dtype.kind != 'f': x = check_images(x, f'{name}: x_test')
    return x, check_labels(have['y_test'], len(x), f'{name}: y_test')


def own_data(
    graph:Graph, # a model, perhaps with a card
)->str: # name of a data set
    "The data set that a model was made for: its card says so, or its file, else its name."
    said = getattr(graph, 'card', {}).get('dataset', {}).get('name'), graph.meta.get('dataset')
    return next((name for name in said if isinstance(name, str) and name), graph.name)


def _named(graph, data):
    "Images, labels and source of what a person named, or of the model's own data set."
    if isinstance(data, tuple): return *data, 'arrays'
    if data is None and own_data(graph) not in data_names():
        raise UnknownDataset(f'{graph.name} was made for the data set {own_data(graph)!r}, '
                             'which is not known here: name an .npz or a data set with --data')
    if data is not None and (str(data).endswith('.npz') or Path(data).is_file()):
        return *_read_npz(data), Path(data).name
    d = load_data(own_data(graph) if data is None else data)
    return d.x_test, d.y_test, f'test images of {d.name}'


def labelled(
    graph:Graph, # the model that will see them
    data:object=None, # .npz, name of a data set, or (images, labels); None is its own data set
    images:int=None, # how many, from the first on; None is all
)->tuple: # (uint8 or float [n, ...], int64 [n], where they are from)
    "Test images, sequences or vectors with labels, in the shape that the model takes."
    x, y, source = _named(graph, data)
    shape = tuple(graph.tensors[graph.input].shape)
    x = tg.channels_last(x, shape)
    if x.shape[1:] != shape:
        takes, has = ('x'.join(map(str, s)) for s in (shape, x.shape[1:]))
        axes = ('channels', 'time, channels', 'height, width, channels')[len(shape) - 1]
        raise BadInput(f'{graph.name} takes images of {takes} ({axes}), {source} has {has}')
    values = int(np.prod(graph.tensors[graph.output].shape))
    if y.max() >= values:
        raise BadInput(f'{source} has the label {y.max():,}, and {graph.name} gives {values} '
                       f'values: labels go from 0 to {values - 1}')
    if images is not None and not 1 <= images <= len(x):
        raise BadInput(f'{images} images were asked for, {source} has {len(x)}: '
                       f'ask for 1 to {len(x)}')
    return x[:images], y[:images], source


# ---- pictures without a data set -------------------------------------------------------------------------------------

def at_hand(
    name:str, # of a data set
)->bool: # whether `data.load` finds it without a download
    "Whether a data set lies on this machine."
    return name in data_names() and (name not in TORCHVISION or data_file(name) is not None)


def _made_up(tensor, n):
    "Waves in the shape of an input: bytes for one that reads pictures, else floats of its range."
    h, w, c = tensor.shape
    rng, (rows, columns) = np.random.default_rng(0), np.mgrid[:h, :w]
    def wave():
        a, b, phase = rng.uniform(-.6, .6), rng.uniform(-.6, .6), rng.uniform(0, 6)
        return 128 + 90 * np.sin(a * rows + b * columns + phase)
    stack = np.stack([wave() for _ in range(n * c)], -1).reshape(h, w, n, c).transpose(2, 0, 1, 3)
    if tg.reads_pictures(tensor): return stack.round().astype(np.uint8)
    return (tensor.scale * (stack - 128 - tensor.zero_point)).astype(np.float32)


def pictures(
    graph:Graph, # the model
    n:int=8, # how many
)->tuple: # (uint8 [n, h, w, c], or floats where a model reads those; labels or None)
    "Test images of the model's own data set, or made-up pictures where that is not at hand."
    if at_hand(own_data(graph)): return labelled(graph, None, n)[:2]
    return _made_up(graph.tensors[graph.input], n), None
