"""Layers that round, beside the float graph and the integers."""
import numpy as np
import pytest
import torch

from tinyformer.float_graph import COMPUTE, FloatGraph, Step
from tinyformer.operators import layernorm_params, layernorm_s8
from tinyformer.qlayers import QAct, QLayer, QMaxPool, QOp
from tinyformer.ranges import Quantizer


@pytest.mark.parametrize('how', [dict(stride=(2, 1), dilation=(1, 2), pad=(1, 0, 2, 1)), dict(pad=(1, 1, 1, 1)),
                                 dict(stride=(3, 2), pad=(0, 2, 0, 0))])
def test_a_product_is_that_of_the_float_graph(how):
    gen = torch.Generator().manual_seed(0)
    graph = FloatGraph()
    graph.add_input((5, 7, 3))
    graph.add_conv('conv', 'input', torch.randn(4, 3, 3, 3, generator=gen), torch.randn(4, generator=gen), **how)
    layer, x = QLayer(graph.steps[0]), torch.rand(2, 5, 7, 3, generator=gen)
    with torch.no_grad(): got = layer.product(x, layer.weight, layer.bias)
    assert torch.allclose(got, COMPUTE['conv'](graph.steps[0], x), atol=1e-5)


def test_a_scale_has_one_weight_a_channel():
    step = Step('scale', 's', ('x',), (2,), {}, dict(weight=torch.tensor([3., 3.]), bias=torch.ones(2)))
    assert QLayer(step).product(torch.ones(1, 2), 3., 1.).tolist() == [[4, 4]]


@pytest.mark.parametrize('how', [((2, 4), (2, 2), (2, 2)), ((3, 4), (3, 3), (2, 2), (1, 1)), ((3, 4), (2, 2), (2, 2)),
                                 ((2, 2), (2, 2), (2, 3))], ids=['plain', 'padded', 'ceil', 'unread rows'])
def test_a_max_pool_is_that_of_the_float_graph(how):
    graph = FloatGraph()
    graph.add_input((5, 8, 3))
    graph.add_pool('pool', 'input', 'maxpool', *how)
    x = torch.randn(2, 5, 8, 3, generator=torch.Generator().manual_seed(0))
    assert torch.equal(QMaxPool(graph.steps[0])._compute(x), COMPUTE['maxpool'](graph.steps[0], x))


def test_a_layernorm_is_that_of_the_integers_where_codes_hardly_differ():
    gain = dict(gamma=torch.ones(8), beta=torch.zeros(8))
    ln = QOp(Step('layernorm', 'ln', ('x',), (1, 8), dict(eps=0.), gain)).eval()
    ln.out.lo.fill_(-128/50); ln.out.hi.fill_(127/50)
    quiet = np.array([5, 5, 4, 6, 5, 5, 4, 5])
    constants = layernorm_params(np.ones(8), np.zeros(8), 1., 0., 1/50, 8)
    want = layernorm_s8(quiet.astype(np.int8)[None, None], zp_out=0, **constants)
    got = ln([torch.tensor(quiet[None], dtype=torch.float32)], [None])[0].detach().numpy()
    assert abs(got - want[0]/50).max() <= .021


def test_a_function_that_ends_takes_its_whole_range_once_half_is_reached():
    act = QAct(Step('act', 'tanh', ('x',), (3,), {}, {}, torch.tanh), Quantizer())
    act.out.lo.fill_(-.9); act.out.hi.fill_(.2)
    act.settle()
    assert (float(act.out.lo), float(act.out.hi), act.out.fixed) == (-1, 1, True)
