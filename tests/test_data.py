"Data sets: the pinned split, files of strangers, downloads that fail, augmentation on odd shapes."
import hashlib
import io
import os
import pickle
import subprocess
import sys
from urllib.error import URLError

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from PIL import Image

from tinyformer import data, downloads
from tinyformer.errors import BadInput, MissingData, UnknownDataset


@pytest.fixture(autouse=True)
def no_data_folder(monkeypatch): monkeypatch.delenv('TINYFORMER_DATA', raising=False)


def arrays(n=6, shape=(4, 5, 3), classes=3, seed=0):
    "A small labelled image set as it would stand in a `.npz`."
    rng = np.random.default_rng(seed)
    return dict(x_train=rng.integers(0, 256, (n, *shape), np.uint8), y_train=np.arange(n) % classes,
                x_test=rng.integers(0, 256, (classes, *shape), np.uint8), y_test=np.arange(classes))


def npz(save=np.savez, **arrays):
    "The bytes of a `.npz`."
    out = io.BytesIO()
    save(out, **arrays)
    return out.getvalue()


def test_digits_are_pinned():
    d = data.load('digits')
    assert (d.shape, len(d.y_train), len(d.y_val), len(d.y_test)) == ((8, 8, 1), 1150, 287, 360)
    for x, y in ((d.x_train, d.y_train), (d.x_val, d.y_val), (d.x_test, d.y_test)):
        assert (x.dtype, y.dtype) == (np.uint8, np.int64) and set(y) == set(range(10))
    digest = lambda *a: hashlib.sha256(b''.join(x.tobytes() for x in a)).hexdigest()[:16]
    assert digest(d.x_test, d.y_test) == '5d866c23809e0fd1'
    assert digest(d.x_val, d.y_val) == digest(*(lambda e: (e.x_val, e.y_val))(data.load('digits')))


def test_no_image_stands_in_two_parts():
    for seed in range(3):
        d = data.load('digits', seed=seed)
        parts = [{im.tobytes() for im in x} for x in (d.x_train, d.x_val, d.x_test)]
        assert len(set.union(*parts)) == sum(len(x) for x in (d.x_train, d.x_val, d.x_test)) == 1797
    assert not np.array_equal(data.load('digits', seed=1).y_val, data.load('digits', seed=2).y_val)


@settings(deadline=None, max_examples=150, derandomize=True)
@given(st.lists(st.integers(0, 7), max_size=80), st.floats(0, 1), st.integers(0, 5))
def test_split_is_exact_and_stratified(labels, fraction, seed):
    y = np.array(labels, dtype=np.int64)
    held = int(len(y) * fraction)
    kept, out = data.split(y, held, seed)
    assert len(out) == held and sorted([*kept, *out]) == list(range(len(y)))
    for label in set(labels):
        assert abs((y[out] == label).sum() - (y == label).sum() * held / len(y)) < 1


def test_own_npz(tmp_path, monkeypatch):
    a = arrays()
    (tmp_path/'mine.npz').write_bytes(npz(**a))
    d = data.load('mine', tmp_path, val_fraction=.5)
    assert (d.shape, d.classes, d.source) == ((4, 5, 3), ('0', '1', '2'), 'mine.npz')
    assert np.array_equal(d.x_test, a['x_test'])
    monkeypatch.setenv('TINYFORMER_DATA', str(tmp_path))
    assert data.load('mine').shape == (4, 5, 3) and 'mine' in data.names()
    (tmp_path/'parted.npz').write_bytes(npz(**a, x_val=a['x_test'], y_val=a['y_test'],
                                            classes=np.array(['a', 'b', 'c'])))
    d = data.load('parted')
    assert (len(d.y_train), len(d.y_val), d.classes) == (6, 3, ('a', 'b', 'c'))


def test_a_file_wins_over_a_download(tmp_path):
    (tmp_path/'cifar10.npz').write_bytes(npz(**arrays()))
    assert data.load('cifar10', tmp_path).source == 'cifar10.npz'


FAULTS = [(dict(x_train=np.zeros((6, 4, 5, 3))), 'x_train is float64: images must be uint8'),
          (dict(x_test=np.zeros((3, 4, 4, 3), np.uint8)), r'x_test has images of \(4, 4, 3\), x_train of \(4, 5, 3\)'),
          (dict(x_train=np.zeros((6, 3, 32, 32), np.uint8)), 'channels must come last'),
          (dict(x_train=np.zeros((6, 4), np.uint8)), r'has shape \(6, 4\)'),
          (dict(x_train=np.zeros((0, 4, 5, 3), np.uint8), y_train=np.zeros(0, int)), 'none of them 0'),
          (dict(y_train=np.zeros(5, int)), r'y_train is int64 \[5\]'),
          (dict(y_train=np.zeros((6, 1), int)), 'one per image'),
          (dict(y_train=np.linspace(0, 1, 6)), 'float64'),
          (dict(y_test=np.array([0, -1, 2])), 'y_test has the label -1'),
          (dict(classes=np.array(['a', 'b'])), 'label 2, but only 2 classes'),
          (dict(classes=np.array('lone')), 'only 1 classes'),
          (dict(x_val=np.zeros((3, 4, 5, 3), np.uint8)), 'has no y_val'),
          (dict(group_train=np.zeros(6, int)), 'group_train holds one group only'),
          (dict(group_train=np.arange(5)), r'group_train is int64 \[5\]: groups must be whole numbers \[6\]'),
          (dict(group_train=np.linspace(0, 1, 6)), 'group_train is float64'),
          (dict(group_train=np.array(list('aabbcc'))), 'group_train is <U1')]


@pytest.mark.parametrize('change,text', FAULTS)
def test_bad_arrays_are_named(tmp_path, change, text):
    (tmp_path/'bad.npz').write_bytes(npz(**{**arrays(), **change}))
    with pytest.raises(BadInput, match=text) as e: data.load('bad', tmp_path)
    assert 'bad.npz' in str(e.value) and '\n' not in str(e.value)


def pack(size=(8, 8), kind='JPEG', **change):
    "A pack of six JPEG images a part, each stored whole."
    images, raw = np.random.default_rng(0).integers(0, 256, (6, *size, 3), np.uint8), []
    for im in images:
        raw.append(io.BytesIO())
        Image.fromarray(im).save(raw[-1], kind)
    files = [r.getvalue() for r in raw]
    part = dict(scan=np.frombuffer(b''.join(files), np.uint8), offset=np.cumsum([0, *map(len, files)]),
                label=np.uint8([0, 0, 1, 1, 2, 2]))
    both = {f'{p}_{k}': v for p in ('train', 'test') for k, v in part.items()}
    return dict(both, header=np.zeros(0, np.uint8), train_track=np.uint8([0, 1, 0, 1, 0, 1])) | change


def cut_short(p): return p | dict(train_offset=p['train_offset'] - np.arange(7) * 3)
def backwards(p): return p | dict(test_offset=p['test_offset'][::-1])
def without(key): return lambda p: {k: v for k, v in p.items() if k != key}
def huge(p):
    scan = p['train_scan'].tobytes()
    at = scan.find(b'\xff\xc0') + 5                  # height and width of the first image
    return p | dict(train_scan=np.frombuffer(scan[:at] + b'\xff\xdc\xff\xdc' + scan[at + 4:], np.uint8))


PACK_FAULTS = [(cut_short, 'not a readable'), (backwards, 'not a readable'), (without('train_label'), 'not a readable'),
               (without('header'), 'not a readable'), (huge, 'exceeds limit'),
               (lambda p: p | dict(train_label=np.zeros(5, np.uint8)), 'not a readable|one per image'),
               (lambda p: p | pack((8, 2048), train_track=p['train_track']), 'longer than 1024'),
               (lambda p: p | pack(kind='PNG'), 'not a readable'),
               (lambda p: p | dict(train_offset=np.array(5)), 'not a readable')]


@pytest.mark.parametrize('fault, text', PACK_FAULTS)
def test_bad_packs_are_refused(tmp_path, fault, text):
    (tmp_path/'signs_jpeg.npz').write_bytes(npz(**pack()))
    whole = data.load('signs', tmp_path)
    assert (whole.shape, len(whole.y_train), len(whole.y_val)) == ((8, 8, 3), 5, 1)
    (tmp_path/'signs_jpeg.npz').write_bytes(npz(**fault(pack())))
    with pytest.raises(BadInput, match=text): data.load('signs', tmp_path)


@pytest.mark.parametrize('seed', range(20))
def test_no_group_stands_on_both_sides(tmp_path, seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(20, 60))
    group = rng.integers(0, 12, n)
    x = np.arange(n, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 2, 1), np.uint8)
    (tmp_path/'g.npz').write_bytes(npz(x_train=x, y_train=group % 3, x_test=x[:3], y_test=np.arange(3),
                                       group_train=group))
    d = data.load('g', tmp_path, val_fraction=.3, seed=seed)
    train, val = (part[:, 0, 0, 0].astype(int) for part in (d.x_train, d.x_val))
    assert sorted([*train, *val]) == list(range(n)) and not {*group[train]} & {*group[val]}
    assert len({*group[val]}) == round(.3 * len({*group})) and (group[train] % 3 == d.y_train).all()
    with pytest.raises(BadInput, match='groups of training images cannot be cut'):
        data.load('g', tmp_path, val_fraction=.01)


@pytest.mark.parametrize('key', ['x_train', 'y_train', 'x_test', 'y_test'])
def test_missing_arrays_are_named(tmp_path, key):
    (tmp_path/'bad.npz').write_bytes(npz(**{k: v for k, v in arrays().items() if k != key}))
    with pytest.raises(BadInput, match=f'bad.npz has no {key}'): data.load('bad', tmp_path)


def test_every_truncation_is_refused(tmp_path):
    whole, cases = npz(**arrays()), 0
    for n in range(len(whole)):
        (tmp_path/'cut.npz').write_bytes(whole[:n])
        with pytest.raises(BadInput, match='not a readable .npz'): data.npz_arrays(tmp_path/'cut.npz')
        cases += 1
    assert cases == len(whole) > 1000


@pytest.mark.parametrize('save', [np.savez, np.savez_compressed])
def test_flipped_bits_never_escape_as_other_errors(tmp_path, save):
    "A damaged file is refused or, where the flip is in a field that nothing reads, loads as it was."
    whole, rng, refused = npz(save, **arrays()), np.random.default_rng(0), 0
    for k in rng.integers(0, len(whole), 400):
        damaged = bytearray(whole)
        damaged[k] ^= 1 << rng.integers(8)
        (tmp_path/'bad.npz').write_bytes(damaged)
        try: a = data.npz_arrays(tmp_path/'bad.npz')
        except BadInput: refused += 1
        else: assert all(np.array_equal(a[name], v) for name, v in arrays().items())
    assert refused > 100


class Bomb:
    "Unpickling this would create a file."
    def __init__(self, path): self.path = path
    def __reduce__(self): return open, (str(self.path), 'w')


def test_pickles_are_never_run(tmp_path):
    mark = tmp_path/'mark'
    (tmp_path/'bad.npz').write_bytes(npz(**{**arrays(), 'y_test': np.array([Bomb(mark)], dtype=object)}))
    (tmp_path/'bare.npz').write_bytes(pickle.dumps(Bomb(mark)))
    for name in ('bad', 'bare'):
        with pytest.raises(BadInput, match='not a readable'): data.load(name, tmp_path)
    assert not mark.exists()


def test_unknown_and_missing(tmp_path, monkeypatch):
    with pytest.raises(UnknownDataset, match="did you mean 'digits'.*cifar10, cifar100, digits"): data.load('digit')
    with pytest.raises(UnknownDataset, match='TINYFORMER_DATA'): data.load('../secret', tmp_path)
    with pytest.raises(MissingData, match='is not there: create it'): data.load('digits', tmp_path/'nowhere')
    monkeypatch.setenv('TINYFORMER_DATA', str(tmp_path/'nowhere'))
    with pytest.raises(MissingData, match='TINYFORMER_DATA'): data.names()
    monkeypatch.delenv('TINYFORMER_DATA')
    for f in (0, 1, -.5, float('nan')):
        with pytest.raises(BadInput, match='val_fraction'): data.load('digits', val_fraction=f)


@pytest.mark.parametrize('name', sorted(data.TORCHVISION))
def test_download_without_network(tmp_path, monkeypatch, name):
    "The real torchvision code runs up to the socket; the message says how to go on, in one line."
    def urlopen(*a, **k): raise URLError('no network')
    monkeypatch.setattr('urllib.request.urlopen', urlopen)
    with pytest.raises(MissingData) as e: data.load(name, tmp_path)
    text = str(e.value)
    assert 'no network' in text and f'{name}.npz' in text and 'TINYFORMER_DATA' in text and '\n' not in text


def run(code):
    "A fresh interpreter: what an import does can be seen only once per process."
    return subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, timeout=120,
                          env={**os.environ, 'OMP_NUM_THREADS': '1'})


def test_torchvision_imports_in_a_fresh_process():
    done = run('from tinyformer.data import import_torchvision as t; v = t(); assert t() is v; v.datasets.SVHN; '
               'print("fine")')
    assert (done.returncode, done.stdout.strip()) == (0, 'fine'), done.stderr


def test_other_import_errors_are_not_swallowed(monkeypatch):
    class Finder:
        "Fails once, so that a second try would hide the fault."
        def find_spec(self, name, path=None, target=None):
            if name == 'torchvision' and self in sys.meta_path:
                sys.meta_path.remove(self)
                raise RuntimeError('a fault of another kind')
    for m in [m for m in sys.modules if m.split('.')[0] == 'torchvision']: monkeypatch.delitem(sys.modules, m)
    monkeypatch.setattr(sys, 'meta_path', [Finder(), *sys.meta_path])
    with pytest.raises(RuntimeError, match='another kind'): data.import_torchvision()


def test_float_and_int8_mean_the_same():
    x = np.arange(256, dtype=np.uint8).reshape(2, 8, 16, 1)
    q = data.to_int8(x)
    assert q.dtype == np.int8 and np.array_equal(q.astype(int), x.astype(int) - 128)
    f = data.to_float(x)
    assert f.shape == (2, 1, 8, 16) and f.is_contiguous()
    assert np.array_equal(f.numpy()[:, 0], ((q.astype(np.float32) + 128) / 255)[..., 0])
    assert np.array_equal(np.round(f.numpy()[:, 0] * 255), x[..., 0])


@pytest.mark.parametrize('shape', [(1, 1, 1, 1), (7, 1, 8, 8), (5, 3, 6, 9), (2, 2, 31, 4)])
def test_augment_keeps_shape_range_and_reproducibility(shape):
    g = lambda: torch.Generator().manual_seed(3)
    x = torch.rand(shape, generator=g())
    assert torch.allclose(data.augment(x, shift=0), x, atol=1e-5)
    y = data.augment(x, g(), shift=2, rotate=30., scale=.3, flip=True)
    assert y.shape == x.shape and y.dtype == x.dtype and 0 <= y.min() and y.max() <= 1 + 1e-6
    assert torch.equal(y, data.augment(x, g(), shift=2, rotate=30., scale=.3, flip=True))
    assert torch.equal(data.augment(x.double(), g()), data.augment(x.double(), g()))


def test_shifts_cover_all_directions_evenly():
    x = torch.zeros(9000, 1, 5, 7)
    x[:, :, 2, 3] = 1
    y = data.augment(x, torch.Generator().manual_seed(0), shift=1)
    counts = y.sum((0, 1))[1:4, 2:5]
    assert abs(counts.sum() - 9000) < .1 and counts.min() > 850 and counts.max() < 1150


def test_augmentation_mirrors_only_things():
    d = data.load('digits')
    assert not data.augmentation(d).get('flip')
    assert data.augment(data.to_float(d.x_train[:4]), **data.augmentation(d)).shape == (4, 1, 8, 8)


def test_plots():
    x = data.load('digits').x_train[:6]
    sheet = data.plot_augmented(x, copies=2).axes[0].images[0].get_array()
    assert sheet.shape == (3 * 9, 6 * 9) and np.allclose(sheet[1:9, 9:17], x[1, ..., 0] / 255)
    rgb = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), np.uint8)
    assert data.plot_images(rgb, 'abc', columns=2).axes[0].images[0].get_array().shape == (2 * 24, 2 * 18, 3)


@pytest.mark.parametrize('label, dtype', [(2**63, np.uint64), (2**64 - 1, np.uint64), (2**40, np.int64),
                                          (2**31, np.uint32), (32767, np.uint16)])
def test_labels_that_would_wrap_or_fill_the_memory_are_refused(tmp_path, label, dtype):
    a = arrays()
    a['y_train'] = np.array([label, 0, 1, 2, 0, 1], dtype)
    (tmp_path/'big.npz').write_bytes(npz(**a))
    with pytest.raises(BadInput, match=f'the label {label}: there can be 32,767 classes'): data.load('big', tmp_path)


def test_a_folder_named_like_a_file_is_no_data_set(tmp_path, monkeypatch):
    (tmp_path/'x.npz').mkdir()
    (tmp_path/'cifar10.npz').mkdir()
    with pytest.raises(UnknownDataset, match="no data set 'x'"): data.load('x', tmp_path)
    downloaded = dict(arrays(classes=3), classes=tuple('abc'), source='a download')
    monkeypatch.setattr(downloads, 'torchvision_arrays', lambda name, root: downloaded)
    assert data.load('cifar10', tmp_path, val_fraction=.5).source == 'a download'


def test_a_place_for_downloads_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    (tmp_path/'home').write_text('a file')
    monkeypatch.setenv('HOME', str(tmp_path/'home'))
    with pytest.raises(MissingData, match='cannot be kept in .*home.*by TINYFORMER_DATA'): data.load('cifar10')
