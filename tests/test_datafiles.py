"""Images that a person brings: every array is checked, and every bad one is refused by name."""
import os
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from tinyformer.data import find_arrays
from tinyformer.datafiles import (MAX_CLASSES, check_arrays, check_groups, check_images, check_labels, data_file,
                                  data_folder, npz_arrays, numbered, one_line, pack_arrays, parts_table)
from tinyformer.errors import BadInput, MissingData


def good():
    return dict(x_train=np.zeros((6, 4, 5, 3), np.uint8), y_train=np.array([0, 1, 2] * 2),
                x_test=np.zeros((3, 4, 5, 3), np.uint8), y_test=np.array([0, 1, 2]))


# ---- arrays ----------------------------------------------------------------------------------------------------------

def test_a_missing_channel_axis_is_added():
    assert check_images(np.zeros((5, 8, 8), np.uint8), 'grey').shape == (5, 8, 8, 1)


@pytest.mark.parametrize('x, said', [
    (np.zeros((5, 8, 8, 1)), 'x is float64: images must be uint8'),
    (np.zeros((5, 3, 32, 32), np.uint8), 'channels must come last'),
    (np.zeros((0, 8, 8, 1), np.uint8), 'none of them 0'), (np.zeros((8, 8), np.uint8), r'x has shape \(8, 8\)')])
def test_bad_images_are_named(x, said):
    with pytest.raises(BadInput, match=said): check_images(x, 'x')


def test_labels_become_int64():
    assert check_labels(np.uint8([1, 0, 2]), 3, 'y').dtype == np.int64
    assert check_labels(np.array([MAX_CLASSES - 1], np.uint64), 1, 'y').tolist() == [MAX_CLASSES - 1]


@pytest.mark.parametrize('y, n, said', [
    (np.array([1, 2]), 3, 'one per image'), (np.array([1., 2.]), 2, 'float64'), (np.array([1, -1]), 2, 'the label -1'),
    *[(np.array([0, big], big.dtype), 2, f'the label {big}')
      for big in (np.uint64(2**63), np.int64(2**40), np.uint32(2**31), np.uint16(MAX_CLASSES))]])
def test_bad_labels_are_named(y, n, said):
    with pytest.raises(BadInput, match=said): check_labels(y, n, 'y')


def test_groups_are_whole_numbers_of_two_kinds_at_least():
    assert check_groups(np.uint8([7, 7, 2]), 3, 'g').tolist() == [7, 7, 2]
    bad = {'one per training image': np.array([1, 2, 3]), 'float64': np.array([1., 2.]), 'one group': np.array([4, 4])}
    for said, groups in bad.items():
        with pytest.raises(BadInput, match=said): check_groups(groups, 2, 'g')


def test_names_of_classes_are_the_labels_where_nobody_gives_them():
    assert check_arrays(good(), 'good')['classes'] == ('0', '1', '2')
    assert check_arrays(dict(good(), classes=['a', 'b', 'c']), 'good')['classes'] == ('a', 'b', 'c')


def test_a_set_that_does_not_fit_together_is_named():
    with pytest.raises(BadInput, match='bad has no y_test'):
        check_arrays({k: v for k, v in good().items() if k != 'y_test'}, 'bad')
    bad = {r'x_test has images of \(4, 4, 3\)': dict(x_test=good()['x_test'][:, :, :4]),
           'a label 2, but only 2 classes': dict(classes=['a', 'b']), 'bad has no y_val': dict(x_val=good()['x_test'])}
    for said, change in bad.items():
        with pytest.raises(BadInput, match=said): check_arrays(good() | change, 'bad')


# ---- files -----------------------------------------------------------------------------------------------------------

def test_rows_of_keys_are_numbered():
    assert numbered(np.array([0, 0, 1, 1]), np.array([5, 6, 5, 5])).tolist() == [0, 1, 2, 2]


def test_an_error_is_said_in_one_line():
    assert one_line(ValueError('two\nlines')) == 'two lines'
    assert one_line(ValueError()) == 'ValueError' and len(one_line(ValueError('x' * 999))) == 200


def test_an_npz_is_named_by_its_file(tmp_path):
    np.savez(tmp_path/'mine.npz', **good())
    assert npz_arrays(tmp_path/'mine.npz')['source'] == 'mine.npz'


def test_pickles_stumps_and_texts_are_no_npz(tmp_path):
    np.savez(tmp_path/'mine.npz', **good())
    np.savez(tmp_path/'pickled.npz', **{**good(), 'y_test': np.array([{}, 1, 2], dtype=object)})
    (tmp_path/'cut.npz').write_bytes((tmp_path/'mine.npz').read_bytes()[:700])
    (tmp_path/'text.npz').write_text('not an archive')
    for bad in ('pickled', 'cut', 'text'):
        with pytest.raises(BadInput, match='not a readable .npz'): npz_arrays(tmp_path/f'{bad}.npz')


def packed(images):
    "The first bytes, which are alike, all others end to end, and where each image begins."
    raw = []
    for im in images:
        raw.append(BytesIO())
        Image.fromarray(im).save(raw[-1], 'JPEG', quality=95)
    head = os.path.commonprefix([r.getvalue() for r in raw])
    rest = [r.getvalue()[len(head):] for r in raw]
    return np.uint8([*head]), np.uint8([*b''.join(rest)]), np.cumsum([0, *map(len, rest)])


SHADES = np.arange(0, 240, 40, np.uint8)[:, None, None, None] * np.ones((1, 16, 16, 3), np.uint8)


def pack():
    "Six grey images as a pack, of three classes, with the groups of the training part."
    header, scan, offset = packed(SHADES)
    part = dict(scan=scan, offset=offset, label=np.uint8([0, 0, 1, 1, 1, 2]))
    out = {f'{p}_{k}': v for p in ('train', 'test') for k, v in part.items()}
    return dict(out, header=header, train_track=np.uint8([0, 0, 0, 1, 1, 0]))


def test_a_pack_keeps_the_first_bytes_once():
    back = pack_arrays(pack())
    assert back['group_train'].tolist() == [0, 0, 1, 2, 2, 3]
    assert len(pack()['header']) > 500 and abs(back['x_train'].astype(int) - SHADES).max() < 4


def test_a_pack_is_opened_and_refused_like_any_file(tmp_path):
    np.savez(tmp_path/'signs.npz', **pack())
    assert npz_arrays(tmp_path/'signs.npz')['group_train'].tolist() == [0, 0, 1, 2, 2, 3]
    head, both, ends = packed([np.zeros((16, 16, 3), np.uint8), np.zeros((16, 24, 3), np.uint8)])
    faults = {'not a readable .npz': dict(header=pack()['header'][50:]),
              r'y_train is uint8 \[6\]': dict(train_offset=pack()['train_offset'][:-1]),
              'images of 2 sizes': dict(header=head, train_scan=both, train_offset=ends)}
    for said, fault in faults.items():
        np.savez(tmp_path/'signs.npz', **pack() | fault)
        with pytest.raises(BadInput, match=said): npz_arrays(tmp_path/'signs.npz')


def test_a_folder_is_named_by_argument_or_variable(tmp_path, monkeypatch):
    monkeypatch.setenv('TINYFORMER_DATA', '')
    assert data_folder(tmp_path) == tmp_path and data_folder() is None
    monkeypatch.setenv('TINYFORMER_DATA', str(tmp_path))
    assert data_folder() == tmp_path
    with pytest.raises(MissingData, match='TINYFORMER_DATA'): data_folder(tmp_path/'nowhere')


def test_a_pack_goes_by_the_name_of_its_data_set(tmp_path):
    np.savez(tmp_path/'mine.npz', **good())
    np.savez(tmp_path/'gtsrb32_jpeg.npz', **pack())
    (tmp_path/'empty.npz').mkdir()
    assert data_file('mine', tmp_path) == tmp_path/'mine.npz'
    assert data_file('gtsrb', tmp_path) == tmp_path/'gtsrb32_jpeg.npz'
    assert data_file('cifar10', tmp_path) is None and data_file('empty', tmp_path) is None
    assert data_file('../' + tmp_path.name + '/mine', tmp_path) is None          # a name, not a path


def test_signs_without_groups_are_told_of(tmp_path, recwarn):
    "Photographs of one sign on both sides of the cut make validation accuracies too high."
    plain, groups = good(), np.arange(len(good()['y_train']))
    np.savez(tmp_path/'mine.npz', **plain)
    np.savez(tmp_path/'gtsrb.npz', **plain, group_train=groups)
    for name in 'mine', 'gtsrb': find_arrays(name, tmp_path)
    np.savez(tmp_path/'gtsrb.npz', **plain, x_val=plain['x_test'], y_val=plain['y_test'])
    find_arrays('gtsrb', tmp_path)
    assert not recwarn.list
    np.savez(tmp_path/'gtsrb.npz', **plain)
    with pytest.warns(UserWarning, match='which images show the same sign.*group_train'):
        find_arrays('gtsrb', tmp_path)


def test_a_table_of_parts():
    text = parts_table('mine', (4, 5, 3), ('a', 'b'), 'a folder', dict(train=6000, val=2, test=3))
    assert text.startswith('**mine**: 4x5x3 uint8, 2 classes, from a folder\n\n| part | images |\n|:--|--:|\n')
    assert text.endswith('| train | 6,000 |\n| val | 2 |\n| test | 3 |')
