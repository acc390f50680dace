"""Images that a person brings: arrays, folders of `.npz` and packs of JPEG, each checked before use.

Files of strangers deserve suspicion. No pickle is read, so opening a file runs no code of its author; a bad array is
refused with its name and its fault."""
import os, warnings, zipfile, zlib
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from tinyformer.errors import BadInput, MissingData

MAX_CLASSES = 32_767  # what a classifier's kernel takes
MAX_SIDE = 1024  # pixels of an image in a pack
GROUPED = dict(gtsrb='sign')  # data sets whose images come in groups -> what a group shows


# ---- arrays ----------------------------------------------------------------------------------------------------------

def check_images(
    x: object,  # array to be checked
    what: str,  # named in errors
) -> np.ndarray:  # uint8 [n, h, w, c]
    "uint8 images with 1 to 4 channels, which come last; a missing channel axis is added."
    x = np.asarray(x)
    if x.dtype != np.uint8: raise BadInput(f"{what} is {x.dtype}: images must be uint8, 0 to 255")
    if x.ndim == 3: x = x[..., None]
    if x.ndim != 4 or 0 in x.shape:
        raise BadInput(f"{what} has shape {x.shape}: images must be [n, height, width, channels], "
                       "none of them 0")
    if x.shape[3] > 4:
        raise BadInput(f"{what} has shape {x.shape}: channels must come last, "
                       "[n, height, width, channels]")
    return x


def check_labels(
    y: object,  # array to be checked
    n: int,  # how many there must be
    what: str,  # named in errors
) -> np.ndarray:  # int64 [n], 0 <= label < MAX_CLASSES
    "Whole numbers from 0, one per image."
    y = np.asarray(y)
    if y.dtype.kind not in 'iu' or y.shape != (n,):
        raise BadInput(f"{what} is {y.dtype} {list(y.shape)}: labels must be whole numbers [{n}], "
                       "one per image")
    if y.min() < 0: raise BadInput(f"{what} has the label {y.min()}: labels start at 0")
    if y.max() >= MAX_CLASSES:
        raise BadInput(f"{what} has the label {y.max()}: "
                       f"there can be {MAX_CLASSES:,} classes at most")
    return y.astype(np.int64)


def check_groups(
    groups: object,  # array to be checked
    n: int,  # how many there must be
    what: str,  # named in errors
) -> np.ndarray:  # int64 [n]
    "Whole numbers that say which training images belong together, two different ones at least."
    groups = np.asarray(groups)
    if groups.dtype.kind not in 'iu' or groups.shape != (n,):
        raise BadInput(f"{what} is {groups.dtype} {list(groups.shape)}: groups must be whole "
                       f"numbers [{n}], one per training image")
    if len(np.unique(groups)) < 2:
        raise BadInput(f"{what} holds one group only: leave it out, or give two or more")
    return groups.astype(np.int64)


def check_arrays(
    arrays: dict,  # x_train, y_train, x_test, y_test; perhaps x_val, y_val, group_train, classes
    source: str,  # named in errors
) -> dict:  # images uint8 [n, h, w, c], labels int64 [n], classes a tuple, source
    "Refuse arrays that are not a labelled image set, naming the array and its fault."
    parts, out = ['train', 'test'] + ['val'] * bool({'x_val', 'y_val'} & set(arrays)), {}
    missing = [f'{a}_{p}' for p in parts for a in 'xy' if f'{a}_{p}' not in arrays]
    if missing:
        raise BadInput(f"{source} has no {', '.join(missing)}: "
                       "it needs x_train, y_train, x_test, y_test")
    for p in parts:
        out[f'x_{p}'] = x = check_images(arrays[f'x_{p}'], f'{source}: x_{p}')
        out[f'y_{p}'] = check_labels(arrays[f'y_{p}'], len(x), f'{source}: y_{p}')
        if x.shape[1:] != out['x_train'].shape[1:]:
            raise BadInput(f"{source}: x_{p} has images of {x.shape[1:]}, "
                           f"x_train of {out['x_train'].shape[1:]}")
    count = 1 + max(int(out[f'y_{p}'].max()) for p in parts)
    classes = tuple(str(name) for name in np.atleast_1d(arrays.get('classes', np.arange(count))))
    if len(classes) < count:
        raise BadInput(f"{source}: there is a label {count - 1}, but only {len(classes)} classes")
    if (groups := arrays.get('group_train')) is not None:
        out['group_train'] = check_groups(groups, len(out['y_train']), f'{source}: group_train')
    return dict(out, classes=classes, source=source)


# ---- files -----------------------------------------------------------------------------------------------------------

def numbered(
    *keys: np.ndarray,  # [n] each
) -> np.ndarray:  # int64 [n]
    "A number for each different row of the keys."
    return np.unique(np.stack(keys, 1), axis=0, return_inverse=True)[1].reshape(-1)


def _unpacked(header, scan, cuts):
    "uint8 [n, h, w] or [n, h, w, c] of JPEG images that share their first bytes."
    files = [BytesIO(header + scan[a:b]) for a, b in zip(cuts, cuts[1:])]
    images = [Image.open(f, formats=['JPEG']) for f in files]
    sizes = {im.size for im in images}
    if len(sizes) != 1: raise ValueError(f'images of {len(sizes)} sizes')
    if max(images[0].size) > MAX_SIDE: raise ValueError(f'a side is longer than {MAX_SIDE} pixels')
    return np.stack([np.asarray(im) for im in images])


def pack_arrays(
    f: dict,  # the arrays of a pack
) -> dict:  # those of an .npz of plain arrays
    "Unpack JPEG images whose common bytes are stored once."
    arrays, header = {}, f['header'].tobytes()
    for part in ('train', 'test'):
        cuts = f[f'{part}_offset'].astype(np.int64)
        arrays[f'x_{part}'] = _unpacked(header, f[f'{part}_scan'].tobytes(), cuts)
        arrays[f'y_{part}'] = f[f'{part}_label']
    if 'train_track' in f:
        arrays['group_train'] = numbered(f['train_label'], f['train_track'])
    return arrays


def one_line(
    e: Exception,  # of any kind
) -> str:  # at most 200 characters
    "An error's text in one line of at most 200 characters."
    return ' '.join(str(e).split())[:200] or type(e).__name__


def npz_arrays(
    path: Path,  # a .npz file
) -> dict:  # as `check_arrays` gives
    "Read a stranger's `.npz` or pack without pickle, so that opening it cannot run code."
    try:
        with np.load(path, allow_pickle=False) as f: arrays = {k: f[k] for k in f.files}
        if 'train_scan' in arrays: arrays = pack_arrays(arrays)
    except (OSError, ValueError, LookupError, EOFError, AttributeError, TypeError, RuntimeError,
            MemoryError, zipfile.BadZipFile, zlib.error, Image.DecompressionBombError) as e:
        raise BadInput(f"{path} is not a readable .npz of plain arrays ({one_line(e)}); "
                       "write it with numpy.savez") from e
    return check_arrays(arrays, Path(path).name)


def warn_ungrouped(
    name: str,  # of a data set
    arrays: dict,  # as `check_arrays` gives
    file: Path,  # where they came from
) -> dict:  # the same
    "Say so where a validation cut by image would leave photographs of one thing on both sides."
    if name in GROUPED and not {'group_train', 'x_val'} & set(arrays):
        warnings.warn(f'{file} does not say which images show the same {GROUPED[name]}, so some of them may lie on '
                      'both sides of the validation cut, and validation accuracies are then too high: add an array '
                      f'group_train, a number for each {GROUPED[name]}, or take the pack or the files of the source.')
    return arrays


def data_folder(
    folder=None,  # path; by default what TINYFORMER_DATA says
):  # Path, or None when neither names one
    "The folder that a person named for data files."
    folder = folder or os.environ.get('TINYFORMER_DATA')
    if not folder: return None
    folder = Path(folder).expanduser()
    if folder.is_dir(): return folder
    raise MissingData(f"the data folder {folder} is not there: create it, or change folder= or "
                      "TINYFORMER_DATA")


def data_file(
    name: str,  # of a data set
    folder=None,  # as for `load`
):  # Path, or None when there is no such file
    "The `.npz` of that name in the data folder, or a pack of JPEG images; no folder."
    folder = data_folder(folder)
    files = {p.stem: p for p in folder.glob('*.npz') if p.is_file()} if folder else {}
    return next((files[s] for s in (name, f'{name}_jpeg', f'{name}32_jpeg') if s in files), None)


def parts_table(
    name,    # of a data set
    shape,   # (h, w, c) of an image
    classes, # names of its classes
    source,  # where its images came from
    sizes,   # name of a part -> images in it
):           # Markdown
    "What a data set holds, as a table of its parts."
    h, w, c = shape
    about = f'{h}x{w}x{c} uint8, {len(classes)} classes, from {source}'
    rows = [f'| {part} | {n:,} |' for part, n in sizes.items()]
    return '\n'.join([f'**{name}**: {about}', '', '| part | images |', '|:--|--:|', *rows])
