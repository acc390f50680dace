"""Operators that only move data: their attributes are those that the records ask for, with the right sizes."""
import numpy as np, torch

from tinyformer import lower_moves as lm
from tinyformer.float_graph import FloatGraph, Step
from tinyformer.operators import OPERATORS
from tinyformer.qlayers import QOp
from tinyformer.qnet import QNode


def asked(kind, attrs):
    "The attributes are all that the record of the kind names."
    assert set(attrs) == set(OPERATORS[kind].attrs)
    return attrs


def test_every_shape_is_a_map():
    assert lm.as_map((2, 4, 7)) == dict(h=2, w=4, c=7)
    assert lm.as_map((5, 3)) == dict(h=1, w=5, c=3) and lm.as_map((4,)) == dict(h=1, w=1, c=4)


def test_a_pool_by_the_maximum():
    g = FloatGraph()
    g.add_input((6, 6, 2))
    g.add_pool('max', 'input', 'maxpool', (3, 3), (2, 2), (2, 2))
    layer = QOp(g.steps[0])
    a, arrays = lm.lower_maxpool(QNode('maxpool', 'max', ('input',), (3, 3, 2)), layer, g.shapes, None, None)
    assert [asked('maxpool', a)[k] for k in ('h', 'oh', 'ow', 'kh', 'sw')] == [6, 3, 3, 2, 2] and arrays == {}
    a, _ = lm.lower_maxpool(QNode('maxpool2x2', 'max', ('input',), (3, 3, 2)), layer, g.shapes, None, None)
    assert asked('maxpool2x2', a) == dict(h=6, w=6, c=2)


def test_a_constant_is_cut_to_its_range():
    layer = QOp(Step('const', 'c', (), (4,), {}, dict(data=torch.tensor([0., 1., 99., -99.]))))
    a, arrays = lm.lower_const(None, layer, {}, (.5, -3))
    assert asked('const', a) == dict(n=4) and arrays['data'].tolist() == [-3, -1, 127, -128]
    assert arrays['data'].dtype == np.int8


def test_one_value_behind_another():
    layer = QOp(Step('concat', 'c', (), (), dict(axis=1)))
    a, _ = lm.lower_concat(QNode('concat', 'c', ('x', 'y'), ()), layer, dict(x=(3, 4, 5), y=(3, 2, 5)))
    assert asked('concat', a) == dict(outer=3, a=20, b=10)


def test_a_copy_has_six_sizes():
    layer = QOp(Step('copy', 'c', (), (), dict(dims=(3, 2), strides=(-1, 3), base=2)))
    a, _ = lm.lower_copy(QNode('copy', 'c', ('x',), ()), layer, dict(x=(6,)), None, None)
    asked('copy', a)
    assert [a[f'd{i}'] for i in range(6)] == [1, 1, 1, 1, 3, 2] and (a['s4'], a['s5']) == (-1, 3)
    assert (a['base'], a['n_in']) == (2, 6)


def test_a_border_has_the_code_of_zero():
    layer = QOp(Step('pad', 'p', (), (), dict(top=1, bottom=0, left=2, right=0, gap_h=1, gap_w=1)))
    a, _ = lm.lower_pad(QNode('pad', 'p', ('x',), ()), layer, dict(x=(3, 4, 5)), (.1, 7), None)
    assert [asked('pad', a)[k] for k in ('h', 'w', 'c', 'top', 'left', 'gap_h', 'value')] == [3, 4, 5, 1, 2, 1, 7]
