"""The separable network: depthwise and pointwise convolutions behind white patches."""
from dataclasses import replace

import pytest
import torch
from torch import nn

from tinyformer.pruning import prune_once, sparsity_of
from tinyformer.separable import SHAPES, Block, Separable, pruning_plan


@pytest.mark.parametrize('depths', [(1, 4, 2), (0, 0, 0), (2, 0, 3)])
def test_the_plan_names_every_pointwise_convolution_with_the_share_of_its_stage(depths):
    shape = replace(SHAPES['tiny'], depths=depths)
    net, plan = Separable(shape), pruning_plan(shape)
    pointwise = [n for n, m in net.named_modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (1, 1)]
    assert list(plan) == pointwise and all(block == '1x4' for block, _ in plan.values())
    stage = 0
    for i, block in enumerate(net.blocks):
        stage += not block.adds
        assert plan[f'blocks.{i}.pointwise'][1] == shape.shares[2 * stage + block.adds]
    for name in plan: nn.init.normal_(net.get_submodule(name).weight)            # it begins with many zeros
    prune_once(net, plan)
    for name, (_, share) in plan.items(): assert abs(sparsity_of(net, [name]) - share) < .01


@pytest.mark.parametrize('side, channels', [(32, 3), (28, 1)])
def test_any_photograph(side, channels):
    net = Separable(classes=7, channels=channels).eval()
    assert net(torch.rand(3, channels, side, side)).shape == (3, 7)


def test_a_block_begins_nearly_as_the_identity_and_adds_where_shapes_agree():
    torch.manual_seed(0)
    x = torch.rand(2, 8, 6, 6)
    same, narrower, smaller = (Block(8, cout, step).eval() for cout, step in ((8, 1), (4, 1), (8, 2)))
    assert same.adds and not narrower.adds and not smaller.adds
    assert smaller(x).shape == (2, 8, 3, 3)
    for block in (same, narrower, smaller): nn.init.dirac_(block.depthwise.weight, 8)
    torch.testing.assert_close(same(x), 2 * x, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(narrower(x), x[:, :4], rtol=1e-4, atol=1e-4)
