"""What a step becomes: the attributes that the record of its operator names, with the right sizes and multipliers."""
import numpy as np
import pytest
import torch

from tinyformer import lowering as lo, quantization as qz
from tinyformer.arch import Arch, Downsample, InvertedResidual, layers
from tinyformer.float_graph import FloatGraph, Step
from tinyformer.operators import OPERATORS

WINDOW = dict(zip(lo.WINDOW, (2, 1, 1, 1, 0, 1, 0, 1)))
SHAPES = dict(q=(5, 8), k=(7, 8), v=(7, 6), p=(10, 7), x=(5, 8))


def layer_of(kind, name, shape, weight, bias, **attrs):
    "A layer with weights."
    params = dict(weight=torch.tensor(weight), bias=torch.tensor(bias))
    return qz.QLayer(Step(kind, name, ('x',), shape, attrs, params))


def test_a_scale_of_a_vector_is_a_depthwise_convolution_of_one_tap():
    node = qz.QNode('depthwise3x3', 'norm', ('x',), (7,))
    layer = layer_of('scale', 'norm', (7,), [.5]*7, [0.]*7)
    attrs, params = lo._lower_weighted(node, layer, {'x': (7,)}, (.1, 0), (.1, 0))
    assert [attrs[k] for k in ('h', 'w', 'c', 'kh', 'kw', 'sh', 'top')] == [1, 1, 7, 1, 1, 1, 0]
    assert params['weight'].shape == (1, 1, 7) and set(attrs) == set(OPERATORS['depthwise3x3'].attrs)


def test_a_linear_layer_counts_its_pixels():
    layer = layer_of('linear', 'fc', (2,), [[1.27, -.5, 0.], [.2, 0., .254]], [.1, 0.])
    node = qz.QNode('linear', 'fc', ('x',), (6, 2))
    attrs, _ = lo._lower_weighted(node, layer, {'x': (6, 3)}, (.1, 10), (.2, -3))
    assert {k: attrs[k] for k in ('pixels', 'cin', 'cout')} == dict(pixels=6, cin=3, cout=2)
    assert set(attrs) == set(OPERATORS['linear'].attrs)


def test_an_average_pool_has_a_multiplier_for_each_number_of_values():
    g = FloatGraph()
    g.add_input((6, 6, 2))
    g.add_pool('mean', 'input', 'avgpool', (3, 3), (2, 2), (2, 2))
    node = qz.QNode('avgpool2d', 'mean', ('input',), (3, 3, 2))
    attrs, params = lo._lower_avgpool2d(node, qz.QOp(g.steps[0]), g.shapes, (.1, 3), (.1, -5))
    assert params['mult']/2**32*2**attrs['shift'] == pytest.approx([1/4], rel=1e-6)
    assert set(attrs) == set(OPERATORS['avgpool2d'].attrs)
    assert (attrs['oh'], attrs['zp_in'], attrs['zp_out']) == (3, 3, -5)


def test_rmsnorm_takes_the_zero_point_of_its_input():
    step = Step('rmsnorm', 'n', ('x',), (5, 8), dict(eps=1e-5), dict(gamma=torch.ones(8)))
    attrs, _ = lo._lower_norm(qz.QNode('rmsnorm', 'n', ('x',), (5, 8)), qz.QOp(step), SHAPES, (.1, 3), (.02, 0))
    assert set(attrs) == set(OPERATORS['rmsnorm'].attrs) and attrs['zp_in'] == 3


def test_attention_in_parts():
    mix = qz.QOp(Step('matmul_av', 'm', ('p', 'v'), (5, 6), dict(heads=2)))
    node = qz.QNode('matmul_av', 'm', ('p', 'v'), (5, 6))
    attrs, _ = lo._lower_matmul_av(node, mix, SHAPES, (1/256, -128), (.1, 0), (.1, 2))
    assert set(attrs) == set(OPERATORS['matmul_av'].attrs) and (attrs['keys'], attrs['dim']) == (7, 6)


def test_the_operators_of_a_random_model_are_the_layers_of_its_path():
    arch = Arch((8, 8, 1), 10, (Downsample(8, 'conv_pool'), InvertedResidual(8, 2)), 12)
    assert [op.name for op in lo.random_model(arch, sparsity=.5).ops] == [l.name for l in layers(arch)]


def test_another_factor_of_attention_stretches_the_queries():
    "Twice the factor gives what queries of twice the scale give."
    node = qz.QNode('attention', 'a', ('q', 'k', 'v'), (5, 6))
    def lowered(scale, s_q):
        core = qz.QAttention(Step('attention', 'a', ('q', 'k', 'v'), (5, 6), dict(heads=2, scale=scale, causal=0)))
        return lo._lower_attention(node, core, SHAPES, (s_q, 0), (.1, 0), (.1, 0), (.1, 4))
    (a, one), (b, two), (c, _) = lowered(.5, .2), lowered(1., .1), lowered(.5, .1)
    assert a == b and np.array_equal(one['table'], two['table']) and a != c
