"What a person hands to a model: the order of its axes, and what is refused (tinyformer/inputs.py)."
import numpy as np
import pytest

from tinyformer import graph as gr
from tinyformer.errors import BadInput
from tinyformer.graph import Graph, Tensor, encode, predict, run
from tinyformer.inputs import FAR, channels_last, need_codes, need_floats


def eye(): return Graph({'input': Tensor('input', (1, 2, 1), 1/255, -128)}, [], 'input', 'input', 'eye')


def ear(): return Graph({'input': Tensor('input', (1, 2, 1), .1, 28)}, [], 'input', 'input', 'ear')


@pytest.mark.parametrize('given, shape, want', [
    ((2, 3, 2), (2, 3), (2, 2, 3)),              # channels first
    ((2, 1, 3, 2), (2, 3), (2, 2, 3)),           # and an axis more
    ((2, 5, 4, 3), (3, 5, 4), (2, 3, 5, 4)),     # the device has channels first
    ((2, 3, 2), (1, 3, 2), (2, 1, 3, 2)),        # an axis less
    ((2, 3, 2), (7,), (2, 3, 2)),                # the sizes say nothing
    ((2, 4, 4, 4), (4, 4, 4), (2, 4, 4, 4))])    # both orders fit
def test_channels_go_last_where_the_sizes_say_so(given, shape, want):
    x = np.arange(np.prod(given)).reshape(given)
    y = channels_last(x, shape)
    assert y.shape == want and sorted(y.ravel()) == sorted(x.ravel())


def test_values_keep_their_channel():
    x = np.arange(12.).reshape(2, 3, 2)
    assert np.array_equal(channels_last(x, (2, 3)), np.moveaxis(x, 1, 2))
    y = np.arange(120).reshape(2, 5, 4, 3)
    assert np.array_equal(channels_last(y, (3, 5, 4)), np.moveaxis(y, -1, 1))


@pytest.mark.parametrize('x, text', [
    (np.zeros((1, 2), np.uint8), 'ear reads floats from -15.6 to 9.9, channels last; got uint8'),
    (np.zeros((1, 2), np.int8), 'got int8'), (np.array([[1., np.nan]]), 'not finite'),
    (np.array([[1., 99.]]), '50% of the values lie outside: they have another unit')])
def test_what_is_refused(x, text):
    with pytest.raises(BadInput, match=text): need_floats('ear', x, -15.6, 9.9, False)
    with pytest.raises(BadInput, match=text): encode(ear(), x)


def test_rare_events_are_no_other_unit():
    few = np.zeros(100)
    few[:int(100*FAR)] = 99.
    need_floats('ear', few, -15.6, 9.9, False)
    few[int(100*FAR)] = 99.
    with pytest.raises(BadInput, match='26%'): need_floats('ear', few, -15.6, 9.9, False)
    need_floats('ear', np.full(9, 9.9 + .1), -15.6, 9.9, False)      # a step beyond the end rounds
    need_floats('ear', np.zeros(0), -15.6, 9.9, False)


def test_a_model_of_pictures_says_so():
    with pytest.raises(BadInput, match='from 0 to 1 or uint8 images, channels last; got int64'):
        encode(eye(), np.zeros((1, 2), np.int64))
    with pytest.raises(BadInput, match='uint8'): predict(eye(), np.zeros((1, 1, 2, 1), np.int8))


def test_codes_need_their_type_and_shape():
    need_codes('eye', np.zeros((5, 1, 2, 1), np.int8), (1, 2, 1))
    with pytest.raises(BadInput, match='eye takes int8, got float64; graph.encode makes it'):
        need_codes('eye', np.zeros((5, 1, 2, 1)), (1, 2, 1))
    with pytest.raises(BadInput, match=r'\(n, 1, 2, 1\), got \(1, 1, 1, 2\)'):
        run(eye(), np.zeros((1, 1, 1, 2), np.int8))
    assert run(eye(), np.zeros((0, 1, 2, 1), np.int8)).shape == (0, 1, 2, 1)


def test_the_names_are_found_where_they_were(): assert gr.FAR == FAR and gr.channels_last is channels_last
