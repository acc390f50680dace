"""Weights that come in: what is no number is refused by name, and the author's scales are kept where they still fit."""
import math

import pytest
import torch
from torch import nn

from tinyformer.errors import BadInput
from tinyformer.float_graph import FloatGraph
from tinyformer.net_weights import check_finite, keep_scales


@pytest.mark.parametrize('value', [math.nan, math.inf, -math.inf])
def test_weights_that_are_no_numbers_are_refused_by_name(value):
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    check_finite(net)
    with torch.no_grad(): net[1].weight[0, 0] = value
    with pytest.raises(BadInput, match='not finite, in 1.weight'): check_finite(net)


def test_a_mask_may_hold_minus_infinity():
    net = nn.Linear(2, 2)
    net.register_buffer('mask', torch.full((2, 2), -math.inf).triu(1))
    check_finite(net)
    net.mask[0, 0] = math.inf
    with pytest.raises(BadInput, match='in mask'): check_finite(net)


def test_scales_of_the_author_stay_where_the_weights_are_still_his_integers():
    net, graph = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 2)), FloatGraph()
    y = graph.add_input((3,))
    for i, layer in enumerate(net):
        layer.weight.data = torch.tensor([[.5], [.25]]).expand_as(layer.weight).clone()
        layer.register_buffer('weight_scale', torch.tensor([.5, .25]))
        y = graph.add_linear(str(i), y, layer.weight.detach() + .1*i)    # the second's are no multiples
    assert keep_scales(graph, net) is graph
    kept = [s.params.get('scales') for s in graph.steps]
    assert kept[0].tolist() == [.5, .25] and kept[1] is None
