"""Layers of keys and values that go into their neighbours: the same numbers, fewer products, or left alone."""
import numpy as np, pytest, torch, torch.nn as nn

from tinyformer import quantization as qz
from tinyformer.codegen import generate
from tinyformer.float_graph import FloatGraph
from tinyformer.fused_attention import fuse_attention
from tinyformer.graph import encode, run
from tinyformer.hardware import target
from tinyformer.importer import import_model
from tinyformer.lowering import lower
from tinyformer.simulator import run_host

T, D = 9, 16


def attention(inner=D, keys=T, heads=1, causal=False, out=D, width=D):
    "Queries from (T, D), keys and values from another value (keys, width), each through a layer, and a layer behind."
    torch.manual_seed(0)
    g = FloatGraph()
    x, y = g.add_input((T, D)), g.add_input((keys, width), name='other') if keys != T or width != D else None
    def linear(name, x, n): return g.add_linear(name, x, torch.randn(n, g.shapes[x][-1]), torch.randn(n))
    q, k, v = linear('q', x, inner), linear('k', y or x, inner), linear('v', y or x, inner)
    a = g.add_attention('a', q, k, v, heads, causal=causal)
    g.add_output(linear('out', a, out))
    return g


def inputs(g, n=4): return [torch.randn(n, *p.shape) for p in g.inputs]


def layers(g): return [s.name for s in g.steps if s.kind == 'linear']


@pytest.mark.parametrize('how', [{}, dict(causal=True), dict(keys=5), dict(inner=24), dict(keys=7, width=12)])
def test_one_head_needs_two_layers(how):
    g = attention(**how)
    xs = inputs(g)
    before = g.run(*xs)
    fuse_attention(g)
    assert layers(g) == ['q', 'out'] and len(g.notes) == 2
    assert {*g.shapes} == {s.name for s in g.steps} | {p.name for p in g.inputs}
    assert torch.allclose(g.run(*xs), before, 1e-3, 1e-3)


@pytest.mark.parametrize('how', [dict(heads=2), dict(inner=4), dict(inner=4, causal=True)])
def test_left_alone_where_it_would_cost_more(how):
    g = attention(**how)
    fuse_attention(g)
    assert layers(g) == ['q', 'k', 'v', 'out'] and not g.notes


def test_zeros_count_as_nothing():
    "Weights that were pruned stay pruned: their product would have no zeros."
    g = attention()
    for s in g.steps:
        if s.kind == 'linear': s.params['weight'][:, :12] = 0
    fuse_attention(g)
    assert layers(g) == ['q', 'k', 'v', 'out']


@pytest.mark.parametrize('name,gone', [('k', ['v']), ('v', ['k'])])
def test_a_value_with_another_reader_stays(name, gone):
    g = attention()
    g.add_output(name)
    xs = inputs(g)
    before = g.run(*xs)
    fuse_attention(g)
    assert sorted({*'qkv'} - {*layers(g)}) == gone
    assert all(torch.allclose(a, b, 1e-3, 1e-3) for a, b in zip(g.run(*xs), before))


def test_scales_of_an_author_stay():
    g = attention()
    for s in g.steps:
        if s.name in ('k', 'out'): s.params['scales'] = torch.ones(D)
    fuse_attention(g)
    assert layers(g) == ['q', 'k', 'v', 'out']


class Encoder(nn.Module):
    "One encoder layer of PyTorch over tokens, and a head."
    def __init__(self, heads):
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(D, heads, 2*D, batch_first=True, norm_first=True, activation='gelu')
        self.head = nn.Linear(D, 3)

    def forward(self, x): return self.head(self.layer(x).mean(1))


def test_from_pytorch_to_bytes(tmp_path):
    "The importer does it; the C gives the bytes of the reference, and they stand for the network's numbers."
    torch.manual_seed(0)
    net, x = Encoder(1).eval(), torch.randn(64, T, D)
    graph = import_model(net, x)
    assert len(layers(graph)) == 5 and len(layers(import_model(Encoder(2).eval(), x))) == 7
    with torch.no_grad(): want = net(x)
    assert torch.allclose(graph.run(x), want, 1e-4, 1e-4)
    g = lower(qz.quantize(net, x), 'encoder')
    codes = encode(g, x.numpy())
    ref = run(g, codes)
    out = g.tensors[g.output]
    got = (ref.astype(float) - out.zero_point)*out.scale
    assert 10*np.log10((want.numpy()**2).sum() / ((want.numpy() - got)**2).sum()) > 25
    fw = generate(g, target('stm32f746'), tmp_path/'fw')
    assert np.array_equal(run_host(fw, codes[:4]), ref[:4])
