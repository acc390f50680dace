"""Data sets that torchvision downloads, brought to one layout: uint8 images [n, h, w, c] and int64 labels."""
import sys
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import numpy as np
import torch

from tinyformer.datafiles import check_arrays, numbered, one_line
from tinyformer.errors import MissingData

TORCHVISION = {'cifar10': 'CIFAR10', 'cifar100': 'CIFAR100', 'svhn': 'SVHN',
               'fashion_mnist': 'FashionMNIST', 'gtsrb': 'GTSRB'}
_declared = []  # the library handle: its operators vanish when it is collected


def import_torchvision():  # the torchvision module
    "Import torchvision, also where its compiled operators do not load beside a CPU-only torch."
    try: import torchvision
    except RuntimeError as e:
        if 'torchvision::' not in str(e): raise
        loaded = [m for m in sys.modules if m.split('.')[0] == 'torchvision']
        for name in loaded: del sys.modules[name]
        if not _declared:
            _declared.append(torch.library.Library('torchvision', 'FRAGMENT'))
            args = 'Tensor dets, Tensor scores, float iou_threshold'
            for op in ('nms', 'qnms'):
                _declared[0].define(f'{op}({args}) -> Tensor')
        import torchvision
    return torchvision


def gtsrb_arrays(
    make: object,  # torchvision's GTSRB
    root: Path,  # folder that the download goes to
    side: int = 32,  # pixels: the photographs have many sizes, and are resized to this one
) -> dict:  # as `check_arrays` gives
    "German traffic signs; all photographs of one sign are a group."
    def seen(image): return np.asarray(image.resize((side, side), resample=2))  # 2: bilinear
    arrays = {}
    for part in ('train', 'test'):
        raw = make(str(root), split=part, download=True, transform=seen)
        images, labels = zip(*(raw[i] for i in range(len(raw))))
        arrays |= {f'x_{part}': np.stack(images), f'y_{part}': np.array(labels)}
        if part == 'train': signs = [int(Path(p).name.split('_')[0]) for p, _ in raw._samples]
    arrays['group_train'] = numbered(arrays['y_train'], np.array(signs))
    return check_arrays(arrays, 'torchvision GTSRB')


def torchvision_arrays(
    name: str,  # a key of TORCHVISION
    root: Path,  # folder that the download goes to, or already lies in
) -> dict:  # as `check_arrays` gives
    "Download (once) through torchvision, and bring its layouts to one."
    make, arrays = getattr(import_torchvision().datasets, TORCHVISION[name]), {}
    if name == 'gtsrb': return gtsrb_arrays(make, root)
    for part in ('train', 'test'):
        which = dict(split=part) if name == 'svhn' else dict(train=part == 'train')
        with redirect_stdout(StringIO()): raw = make(str(root), download=True, **which)
        x = np.asarray(raw.data)
        arrays[f'x_{part}'] = x.transpose(0, 2, 3, 1) if name == 'svhn' else x
        arrays[f'y_{part}'] = np.asarray(raw.labels if name == 'svhn' else raw.targets)
    if name != 'svhn': arrays['classes'] = raw.classes
    return check_arrays(arrays, f'torchvision {TORCHVISION[name]}')


def download(
    name: str,  # a key of TORCHVISION
    root: Path,  # folder that the download goes to; made where it is missing
) -> dict:  # as `check_arrays` gives
    "Fetch a data set through torchvision, or say how to do without."
    own = (f"put {name}.npz (x_train, y_train, x_test, y_test) into a folder "
           "and name the folder by folder= or TINYFORMER_DATA")
    try: root.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise MissingData(f"{name!r} is not on this machine, and a download cannot be kept in "
                          f"{root} ({e.strerror}): name a folder you can write to by "
                          f"TINYFORMER_DATA, or {own}") from e
    try: return torchvision_arrays(name, root)
    except (OSError, RuntimeError, ImportError) as e:
        raise MissingData(f"{name!r} is not on this machine and could not be downloaded "
                          f"({one_line(e)}). With a network and some space, try again; "
                          f"without one, {own}") from e
