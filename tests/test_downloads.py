"""What torchvision downloads, played by stand-ins in the layout of the originals: one layout comes out."""
from types import SimpleNamespace
from urllib.error import URLError

import numpy as np
import pytest
import torch
from PIL import Image

from tinyformer.data import load
from tinyformer.downloads import download, import_torchvision, torchvision_arrays
from tinyformer.errors import MissingData


@pytest.fixture(scope='module')
def sets(): return import_torchvision().datasets


def stand_in(x, **labels):
    "A data set of torchvision with these pixels."
    return lambda root, download, **which: SimpleNamespace(data=x, **labels)


def test_the_import_is_the_same_twice(sets):
    vision = import_torchvision()
    assert import_torchvision() is vision and callable(sets.CIFAR10) and callable(vision.transforms.RandomCrop)


@pytest.mark.parametrize('name, kind, x, labels, shape, classes', [
    ('cifar10', 'CIFAR10', np.zeros((2, 32, 32, 3), np.uint8), dict(targets=[0, 1], classes=['cat', 'dog']),
     (2, 32, 32, 3), ('cat', 'dog')),
    ('svhn', 'SVHN', np.zeros((2, 3, 32, 32), np.uint8), dict(labels=np.array([0, 1])), (2, 32, 32, 3), ('0', '1')),
    ('fashion_mnist', 'FashionMNIST', torch.zeros(2, 28, 28, dtype=torch.uint8),
     dict(targets=torch.tensor([0, 1]), classes=['coat', 'bag']), (2, 28, 28, 1), ('coat', 'bag'))])
def test_layouts_become_one(sets, monkeypatch, tmp_path, name, kind, x, labels, shape, classes):
    monkeypatch.setattr(sets, kind, stand_in(x, **labels))
    found = torchvision_arrays(name, tmp_path)
    assert found['x_train'].shape == found['x_test'].shape == shape and found['classes'] == classes
    assert found['y_train'].tolist() == [0, 1]


def test_photographs_of_one_sign_are_a_group(sets, monkeypatch, tmp_path):
    for name, shade in (('00000_00000', 10), ('00000_00001', 20), ('00001_00000', 200)):
        Image.new('RGB', (40, 50), (shade,) * 3).save(tmp_path/f'{name}.ppm')

    class Signs:
        "As torchvision's GTSRB: all files are of class 1."
        def __init__(self, root, split, download, transform):
            self._samples, self.transform = [(str(p), 1) for p in sorted(tmp_path.glob('*.ppm'))], transform
        def __len__(self): return len(self._samples)
        def __getitem__(self, i):
            path, label = self._samples[i]
            return self.transform(Image.open(path).convert('RGB')), label

    monkeypatch.setattr(sets, 'GTSRB', Signs)
    found = torchvision_arrays('gtsrb', tmp_path)
    assert found['x_train'].shape == (3, 32, 32, 3) and found['x_train'][:, 5, 5, 0].tolist() == [10, 20, 200]
    assert (found['group_train'].tolist(), found['y_test'].tolist()) == ([0, 0, 1], [1, 1, 1])
    assert len(load('gtsrb', tmp_path, val_fraction=.5).y_val) in (1, 2)             # a whole sign


def test_without_a_network_it_says_how_to_do_without(sets, monkeypatch, tmp_path):
    def no_network(*a, **k): raise URLError('no network')
    monkeypatch.setattr(sets, 'CIFAR10', no_network)
    with pytest.raises(MissingData, match='could not be downloaded.*no network'): download('cifar10', tmp_path)
    (tmp_path/'file').write_text('in the way')
    with pytest.raises(MissingData, match='cannot be kept in'): download('cifar10', tmp_path/'file'/'x')
