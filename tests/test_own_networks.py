"""Networks of `blocks`: each type of module puts the steps that it computes, and whatever may differ is refused."""
import math

import pytest, torch, torch.nn as nn

from tinyformer import blocks
from tinyformer import own_networks as on
from tinyformer.arch import Arch, Downsample, InvertedResidual, Transformer
from tinyformer.float_graph import Port, describe
from tinyformer.importer import read_own
from tinyformer.own_networks import Own, changed
from tinyformer.program import still_copy
from tinyformer.reader import Refused


def made(m, *shape): return [(s.kind, s.shape) for s in Own(m, shape).graph.steps]


def kinds(m, *shape): return ' '.join(kind for kind, _ in made(m, *shape))


def test_a_module_that_nobody_knows_is_no_network_of_ours():
    with pytest.raises(KeyError): Own(nn.Identity(), (3, 4, 5))
    with pytest.raises(KeyError): made(nn.SiLU(), 3, 4, 4)
    assert Own(nn.Sequential(), (3, 4, 5)).graph.outputs == [Port('input', (4, 5, 3), (0, 1, 2))]


@pytest.mark.parametrize('m, steps', [
    (nn.Conv2d(3, 8, 3), [('conv', (2, 4, 8))]), (nn.BatchNorm2d(3), [('scale', (4, 6, 3))]),
    (nn.Linear(3, 2), [('linear', (4, 6, 2))]), (nn.LayerNorm(3), [('layernorm', (4, 6, 3))]),
    (nn.ReLU(), [('act', (4, 6, 3))]), (nn.MaxPool2d(2), [('maxpool', (2, 3, 3))]),
    (blocks.GlobalAvgPool(), [('mean', (3,))]), (nn.Sequential(blocks.ToTokens(), blocks.ToMap(4, 6)), [])])
def test_layers(m, steps): assert made(m, 3, 4, 6) == steps


def test_settings_that_blocks_never_makes_are_refused():
    on._as_built(nn.MaxPool2d(2), kernel_size=2)
    with pytest.raises(Refused, match='other settings of MaxPool2d'): made(nn.MaxPool2d(3), 3, 9, 9)
    with pytest.raises(Refused, match='Conv2d'): made(nn.Conv2d(3, 3, 3, padding_mode='circular'), 3, 4, 4)
    with pytest.raises(Refused, match='a mean over a line'): made(blocks.GlobalAvgPool(), 3, 1, 6)
    assert describe(on.RELU) == dict(name='relu', lo=0., hi=math.inf)


def test_blocks():
    assert kinds(blocks.InvertedResidualBlock(3, 3, 2, 1), 3, 4, 6) == 'conv scale act conv scale act conv scale add'
    assert kinds(blocks.ResidualBlock(3, 3), 3, 4, 6) == 'conv scale act conv scale act add'
    assert kinds(blocks.ConvBlock(3, 8, False), 3, 4, 6) == 'conv scale act'
    assert kinds(blocks.Net(Arch((8, 8, 3), 5, (Downsample(4),))), 3, 8, 8) == 'conv scale act maxpool mean linear'


def test_linear_layers_of_an_encoder_read_rows_of_the_map():
    graph = Own(blocks.Encoder(8, 2, 12), (8, 4, 6)).graph
    assert [s.name for s in graph.steps if s.kind == 'view'] == ['q.view', 'fc1.view']
    assert [(s.inputs, s.shape) for s in graph.steps if s.kind == 'add'] == [
        (('input', 'proj'), (4, 6, 8)), (('add1', 'fc2'), (4, 6, 8))]
    smooth = Own(blocks.Encoder(8, 2, 12, act='gelu'), (8, 4, 6)).graph
    assert [s.attrs['name'] for s in smooth.steps if s.kind == 'act'] == ['gelu']
    plain = blocks.TransformerBlock(Transformer(8, 2, 12, convs=False), 4, 6, 8)
    assert Own(plain, (8, 4, 6)).graph.steps[0].inputs == ('input',)


def test_what_may_do_something_else_is_left_to_the_trace():
    torch.manual_seed(0)
    net = blocks.build(Arch((16, 16, 3), 5, (Downsample(8, 'conv_pool'), InvertedResidual()), 7))
    x = torch.rand(4, 3, 16, 16)
    with torch.no_grad():
        for _ in range(20): net(torch.rand(8, 3, 16, 16))
    def own(): return read_own(still_copy(net, {}), [x])
    assert own() is not None and not any(map(changed, net.modules()))
    hook = net.register_forward_hook(lambda *_: None)
    assert own() is None
    hook.remove()
    net.blocks[0].relu = nn.SiLU()                                  # no module of `blocks`
    assert own() is None
