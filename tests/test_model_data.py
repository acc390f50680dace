"""What a model is asked about: files that are refused, shapes that do not fit, and pictures where there is no data."""
from dataclasses import replace

import numpy as np
import pytest

from tinyformer import graph as tg
from tinyformer.data import load
from tinyformer.errors import BadInput, UnknownDataset
from tinyformer.model_data import _made_up, _named, _read_npz, at_hand, labelled, own_data, pictures


@pytest.fixture(scope='module')
def digits(): return load('digits')


@pytest.fixture
def some(digits, tmp_path):
    np.savez(tmp_path/'some.npz', x_test=digits.x_test[:40], y_test=digits.y_test[:40])
    return tmp_path/'some.npz'


@pytest.fixture
def toy(): return tg.random_graph(0, (8, 8, 1))


def test_images_and_labels_come_back(some, digits):
    x, y = _read_npz(some)
    assert (x.shape, x.dtype, y.tolist()) == ((40, 8, 8, 1), np.uint8, digits.y_test[:40].tolist())


def test_a_file_that_will_not_do_is_refused(tmp_path, some):
    x, y = _read_npz(some)
    np.savez(tmp_path/'half.npz', x_test=x)
    (tmp_path/'text.npz').write_text('x_test')
    np.savez(tmp_path/'bytes.npz', x_test=x.astype(int), y_test=y)
    says = dict(half='has no y_test', text='not a readable .npz', bytes='must be uint8', absent='no file')
    for name, words in says.items():
        with pytest.raises(BadInput, match=words): _read_npz(tmp_path/f'{name}.npz')


def test_a_file_of_a_stranger_does_not_choose_our_files(toy, some):
    assert own_data(tg.random_graph(0)) == 'random_0'
    toy.meta['dataset'] = str(some)
    with pytest.raises(UnknownDataset, match='not known here'): _named(toy, None)
    toy.meta['dataset'] = 'digits'
    assert _named(toy, None)[2] == 'test images of digits' and _named(toy, some)[2] == 'some.npz'


def test_images_must_fit_the_model_and_be_as_many_as_asked(toy, some):
    assert len(labelled(toy, some, 30)[0]) == 30
    assert labelled(toy, 'digits')[2] == 'test images of digits'
    with pytest.raises(BadInput, match='41 images were asked for, some.npz has 40'): labelled(toy, some, 41)
    with pytest.raises(BadInput, match='takes images of 6x6x3'): labelled(tg.random_graph(0, (6, 6, 3)), some)


def test_vectors_and_labels_beyond_the_outputs():
    vectors = tg.Graph({'input': tg.Tensor('input', (6,), .1, 0)}, [], 'input', 'input', 'six')
    features = np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32)
    assert (labelled(vectors, (features, np.arange(4)))[0] == features).all()
    with pytest.raises(BadInput, match=r'takes images of 6 \(channels\)'):
        labelled(vectors, (features[:, :5], np.arange(4)))
    with pytest.raises(BadInput, match='has the label 6, and six gives 6 values'):
        labelled(vectors, (features, np.arange(3, 7)))


def test_made_up_pictures_where_no_data_set_is_at_hand(digits, toy):
    toy.meta['dataset'] = 'digits'
    assert (pictures(toy, 10)[1] == digits.y_test[:10]).all() and at_hand('digits')
    stranger = tg.random_graph(0, (12, 12, 3))
    fake, none = pictures(stranger, 10)
    assert (fake.shape, none, at_hand(own_data(stranger))) == ((10, 12, 12, 3), None, False)
    heard = replace(stranger.tensors[stranger.input], scale=.3, zero_point=40)
    assert np.allclose(_made_up(heard, 10) / .3 + 168, fake, atol=.51)        # the same waves, in the input's unit
