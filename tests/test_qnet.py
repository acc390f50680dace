"""A network that rounds: ranges that only a softmax reads, and biases that take rounding back."""
import pytest
import torch

from tinyformer.float_graph import Port, Step
from tinyformer.qlayers import QAct, QLayer, QOp, QSoftmax
from tinyformer.qnet import DEEP, QuantNet
from tinyformer.ranges import Quantizer


def linear(name, weight): return QLayer(Step('linear', name, ('x',), (len(weight),), {},
                                             dict(weight=weight, bias=torch.zeros(len(weight)))))


def test_what_lies_far_below_the_largest_of_each_row_gets_no_codes():
    hot = QuantNet(Port('input', (3,), (0,)), -1., 1.)
    hot._add('fully_connected', 'fc', ['input'], linear('fc', 300*torch.eye(3)), (3,))
    hot._add('view', 'row', ['fc'], QOp(Step('view', 'row', ('fc',), (1, 3))), (1, 3))
    hot._add('softmax', 'soft', ['row'], QSoftmax(Step('softmax', 'soft', ('row',), (1, 3))), (1, 3))
    hot.calibrate(torch.tensor([[.02, -1, .01], [.01, .01, -.5]]))
    assert [float(hot.quantizer('fc').lo), float(hot.quantizer('fc').hi)] == pytest.approx([3 - DEEP, 6], rel=1e-4)


def test_a_narrow_range_in_front_of_a_sigmoid_stays():
    net = QuantNet(Port('input', (1,), (0,)), -1., 1.)
    net._add('fully_connected', 'fc', ['input'], linear('fc', torch.tensor([[60.]])), (1,))
    gate = Step('act', 'gate', ('fc',), (1,), {}, {}, torch.sigmoid)
    net._add('lut', 'gate', ['fc'], QAct(gate, net.quantizer('fc')), (1,))
    net.calibrate(torch.linspace(-.01, .01, 99)[:, None])
    assert (float(net.quantizer('fc').lo), float(net.quantizer('fc').hi)) == pytest.approx((-.6, .6), abs=.01)


def test_the_bias_takes_back_the_mean_error_of_each_channel():
    layer = linear('b', torch.tensor([[127., 1.]]))
    flat = torch.full((1, 2), .335)
    shift = layer.unbias(flat, flat + .01, Quantizer(hi=1.))             # off by 0.01 in both inputs
    assert shift.item() == pytest.approx(-1.28, abs=.01) and layer.bias.item() == pytest.approx(-1.28, abs=.01)
