"""The checks of a graph, one helper at a time: what passes, what is refused, and with which words.
Whole graphs with one wrong field are in `test_graph.py`."""
import math
from dataclasses import replace

import numpy as np, pytest

from tinyformer import graph_check as gc
from tinyformer.errors import CorruptModel
from tinyformer.graph import Graph, Op, Tensor

IMAGE = Tensor('input', (1, 1, 3), 1/255, -128)
FC = Op('fully_connected', 'fc', ['input'], 'fc', dict(pixels=1, cin=3, cout=2, shift=0, zp_in=-128, zp_out=5),
        dict(weight=np.array([[2, 3, -1], [0, 1, 0]], np.int8), bias=np.array([519, 128], np.int32),
             mult=np.array([2**30, 2**30], np.int32)))
HAND = Graph({'input': IMAGE, 'fc': Tensor('fc', (2,), 0.05, 5)}, [FC], 'input', 'fc', 'hand')


def changed(op, **attrs): return replace(op, attrs=op.attrs | attrs)


def refused(words, f, *args):
    with pytest.raises(CorruptModel) as e: f(*args)
    assert words in str(e.value)


def test_a_place_is_named():
    gc.need(True, 'here', 'bad')
    refused('here: bad', gc.need, False, 'here', 'bad')


def test_integers_have_a_range_and_true_is_none():
    for v in (1, 3, 9): gc.need_int(v, 1, 9, 'stride')
    refused('stride: must be an integer from 1 to 9, is 0', gc.need_int, 0, 1, 9, 'stride')
    for v in (True, 3., np.int64(3), '3', None): refused('stride', gc.need_int, v, 1, 9, 'stride')


def test_names_end_no_comment_of_c():
    for name in ('a', '_', 'blocks.1.expand', '0-x', 'a'*100): gc.need_name(name, 'op name')
    for name in ('', 'a */ system("x"); /*', 'a b', '.a', 'a'*101, 'ä', 7, None):
        refused('op name: must be a name', gc.need_name, name, 'op name')


@pytest.mark.parametrize('shape,scale,zero_point,words', [
    ((3,), float('nan'), 0, 'input.scale'), ((3,), math.inf, 0, 'input.scale'), ((3,), 0., 0, 'input.scale'),
    ((3,), 1, 0, 'input.scale'), ((3,), .1, 128, 'input.zero_point'), ((3,), .1, True, 'input.zero_point'),
    ((2**12, 2**12), .1, 0, 'more than 8388608'), ([3], .1, 0, 'input.shape'), ((), .1, 0, 'input.shape'),
    ((1, 1, 1, 1), .1, 0, 'input.shape'), ((0,), .1, 0, 'input.shape')])
def test_a_tensor_has_a_shape_a_scale_and_a_zero_point(shape, scale, zero_point, words):
    gc.check_tensor('input', IMAGE)
    refused(words, gc.check_tensor, 'input', Tensor('input', shape, scale, zero_point))


def test_a_tensor_has_the_name_of_its_key():
    refused('tensor x.name: is input', gc.check_tensor, 'x', IMAGE)


def test_the_words_of_an_operator():
    "They are looked at before its arrays, and say how many bytes those take."
    assert gc.check_words(FC) == 6 + 8 + 8 == gc.check_words(replace(FC, params={}))
    for op, words in ((changed(FC, colour=1), 'op fc.attrs'),
                      (changed(FC, cin=40000), 'op fc.cin: must be an integer from 1 to 32767'),
                      (changed(FC, cin=30000, cout=30000), 'more than 67108864'),
                      (Op('gelu', 'g', ['input'], 'g', {}), 'known are pointwise'),
                      (Op('lut', 'g', {'input': 1}, 'g', {}), 'a list of 1 names'),
                      (Op('lut', 'rest', ['input'], 'g', {}), 'another name')):
        refused(words, gc.check_words, op)


def test_all_operators_together_are_bearable():
    half = changed(FC, cin=30000, cout=1200)
    gc.check_sizes([half])
    refused('ops: all arrays take 72019200 bytes', gc.check_sizes, [half, half])


def test_arrays_are_there_alone_and_in_range():
    gc.check_arrays(FC)
    refused('op fc.weight: must be int8 (4, 3)', gc.check_arrays, changed(FC, cout=4))
    low = replace(FC, params=FC.params | dict(mult=np.int32([1, -1])))
    refused('op fc.mult: holds -1; the least value allowed is 0', gc.check_arrays, low)
    for params in (FC.params | dict(more=np.zeros(1)), dict(weight=FC.params['weight']), None):
        refused('op fc.params: must be weight, bias, mult', gc.check_arrays, replace(FC, params=params))


def test_an_operator_agrees_with_its_tensors():
    gc.check_op(FC, HAND.tensors)
    refused('zp_in: is 3, its input has -128', gc.check_op, changed(FC, zp_in=3), HAND.tensors)
    refused('over int32', gc.check_op, changed(FC, shift=31), HAND.tensors)
    refused('input holds 3 values, not 6', gc.check_op, changed(FC, pixels=2), HAND.tensors)


def test_meta_names_a_data_set_by_a_name():
    gc.check_meta(dict(note='x', dataset='digits'))
    refused('meta.dataset: must be a name', gc.check_meta, dict(dataset='../secret'))


@pytest.mark.parametrize('bad', [[], {1: 'x'}, dict(a=(1, 2)), dict(a=np.float32(1)), dict(a=math.inf), dict(a=b'')])
def test_meta_is_what_json_gives_back(bad): refused('meta', gc.check_meta, bad)


PARTS = [dict(name='image', first=0, shape=[2, 2]), dict(name='pose', first=4, shape=[3])]


@pytest.mark.parametrize('bad', [PARTS[0], PARTS[1:], [*PARTS, 'x'], [PARTS[0] | dict(shape=7)],
                                 [PARTS[0] | dict(shape=[0])], [PARTS[0] | dict(name=1)], PARTS[:1],
                                 [PARTS[0] | dict(more=1), PARTS[1]]])
def test_parts_fill_their_tensor(bad):
    gc.check_parts(PARTS, 'inputs', 7)
    gc.check_parts([], 'inputs', 7)
    with pytest.raises(CorruptModel, match='meta.inputs'): gc.check_parts(bad, 'inputs', 7)


def test_the_ends_are_tensors():
    gc.check_end(HAND, 'output')
    for name in ('y', 3, ['fc']): refused('is not a tensor', gc.check_end, replace(HAND, output=name), 'output')


def test_a_loop_is_refused():
    loop = Op('add', 'loop', ['fc', 'fc'], 'fc', dict(n=2, mult_a=1, mult_b=1, bias=0, shift=1))
    refused("'fc' is not computed yet", gc.check, replace(HAND, ops=[loop]))
