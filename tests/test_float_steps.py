"""The kinds of step: what each computes is what torch computes, and its call refuses what does not fit."""
import pytest, torch, torch.nn as nn, torch.nn.functional as F

from tinyformer import float_steps as fs
from tinyformer.errors import BadInput
from tinyformer.float_graph import FloatGraph, Step
from tinyformer.float_steps import COMPUTE, copy_places, registering


def step(kind, shape=(), params=None, **attrs): return Step(kind, '', (), shape, attrs, params or {})


@pytest.fixture
def g():
    "A graph with a map, its tokens, and some steps on them."
    g = FloatGraph()
    g.add_input((3, 8, 8), (1, 2, 0))
    g.add_conv('conv', 'input', torch.rand(4, 3, 3, 3), None, (2, 2), pad=(1, 1, 1, 1))
    g.add_view('tokens', 'input', (64, 3))
    g.add_const('three', torch.ones(3))
    g.add_add('sum', 'tokens', 'three', beta=-1, b='row')
    g.add_mul('gate', 'sum', 'tokens')
    g.add_view('map', g.add_concat('both', 'tokens', 'sum', 0), (8, 16, 3))
    return g


def shapes(g, *names): return [g.shapes[n] for n in names]


def test_a_table_is_filled_under_every_key():
    table = {}
    @registering(table)('twice', 'double')
    def twice(x): return 2*x
    assert [table[k](3) for k in ('twice', 'double')] == [6, 6] and twice(4) == 8


# ---- layers ----------------------------------------------------------------------------------------------------------

def test_paddings_stand_as_torch_counts_them():
    assert fs._pads(dict(top=1, bottom=2, left=3, right=4)) == (3, 4, 1, 2)


def test_a_scale_is_a_product_and_a_sum():
    x = torch.rand(2, 5, 6, 3)
    assert torch.allclose(COMPUTE['scale'](step('scale', params=dict(weight=2., bias=1.)), x), 2*x + 1)


def test_layers_know_their_shapes_and_refuse_weights(g):
    fc = nn.Linear(4, 5)
    g.add_linear('fc', 'conv', fc.weight)
    g.add_scale('norm', 'fc', torch.ones(5), torch.zeros(5))
    g.add_act('relu', 'norm', 'relu', torch.relu, 0.)
    assert shapes(g, 'conv', 'fc', 'norm', 'relu') == [(4, 4, 4), *[(4, 4, 5)]*3]
    with pytest.raises(BadInput, match='does not fit'): g.add_conv('conv', 'conv', torch.rand(4, 3, 3, 3))
    with pytest.raises(BadInput, match='does not fit 5 values'): g.add_linear('fc', 'fc', fc.weight)


# ---- pools and norms -------------------------------------------------------------------------------------------------

def test_windows_end_at_the_edge():
    assert fs._windows(7, 4, 3, 2, 1, False, False) == [(0, 2, 2), (1, 4, 3), (3, 6, 3), (5, 7, 2)]
    assert fs._windows(7, 4, 3, 2, 1, False, True)[0] == (0, 2, 3)                    # the padding counts
    assert fs._windows(5, 2, 1, 1, 0, True, False) == [(0, 3, 3), (2, 5, 3)]          # they overlap


@pytest.mark.parametrize('kernel, stride, pad, ceil, count', [
    (3, 2, 1, True, True), (2, 2, 0, True, False), (3, 1, 1, False, False)])
def test_average_pools_are_those_of_torch(kernel, stride, pad, ceil, count):
    x, h = torch.randn(2, 4, 21, 15, generator=torch.Generator().manual_seed(0)), FloatGraph()
    want = F.avg_pool2d(x, kernel, stride, pad, ceil, count)
    how = dict(kernel=(kernel,)*2, stride=(stride,)*2, pad=(pad,)*2, count_pad=count)
    h.add_pool('p', h.add_input((4, 21, 15), (1, 2, 0)), 'avgpool', want.shape[2:], **how)
    got = COMPUTE['avgpool'](h.steps[0], h.inputs[0].inward(x))
    assert torch.allclose(got, want.permute(0, 2, 3, 1), atol=1e-5)


def test_pools_and_means_know_their_shapes(g):
    g.add_pool('pool', 'conv', 'maxpool', (2, 2), (2, 2), (2, 2))
    assert shapes(g, 'pool', g.add_mean('gap', 'conv'), g.add_mean('gap', 'conv', True)) == [(2, 2, 4), (4,), (1, 1, 4)]


def test_norms_give_rows_of_size_one(g):
    x, one = torch.randn(2, 6, 8, generator=torch.Generator().manual_seed(0)), torch.ones(8)
    norm = step('layernorm', params=dict(gamma=one, beta=0*one), eps=1e-5)
    assert torch.allclose(COMPUTE['layernorm'](norm, x).std(-1, correction=0), torch.ones(2, 6), atol=1e-3)
    assert torch.allclose(COMPUTE['rmsnorm'](norm, x).square().mean(-1), torch.ones(2, 6), atol=1e-3)
    g.add_layernorm('ln', 'tokens', one[:3], one[:3], 1e-5)
    assert shapes(g, g.add_rmsnorm('rms', 'ln', one[:3], 1e-5)) == [(64, 3)]


# ---- two values ------------------------------------------------------------------------------------------------------

def test_rows_and_columns_are_repeated():
    x, row, column = torch.zeros(1, 4, 3), torch.arange(3.)[None], torch.arange(4.)[None]
    def minus(y, b): return COMPUTE['add'](step('add', alpha=1, beta=-1, b=b), x, y)[0]
    assert minus(row, 'row')[2].tolist() == [0, -1, -2] and minus(column, 'column')[:, 1].tolist() == [0, -1, -2, -3]
    assert fs._second(step('mul', b='column'), x, column).shape == (1, 4, 1)


def test_operands_that_do_not_fit_are_refused(g):
    assert shapes(g, 'three', 'sum', 'gate') == [(3,), (64, 3), (64, 3)]
    with pytest.raises(BadInput, match='is no row of'): g.add_add('sum', 'tokens', 'conv', b='row')
    with pytest.raises(BadInput, match='is no twin of'): g.add_mul('gate', 'tokens', 'conv')


# ---- moves -----------------------------------------------------------------------------------------------------------

def test_a_copy_reads_places_in_nested_loops():
    assert copy_places((2, 3), (1, 2), 0).tolist() == [0, 2, 4, 1, 3, 5]             # a transpose of 3x2
    x = torch.arange(6.).reshape(1, 6)
    turned = COMPUTE['copy'](step('copy', (2, 3), dims=(2, 3), strides=(1, 2), base=0), x)
    assert torch.equal(turned[0], x.reshape(3, 2).T)


def test_zeros_go_around_and_between():
    around = step('pad', top=1, bottom=0, left=0, right=2, gap_h=1, gap_w=0)
    assert COMPUTE['pad'](around, torch.ones(1, 2, 2, 1))[0, :, :, 0].tolist() == [
        [0, 0, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0], [1, 1, 0, 0]]


def test_moves_know_their_shapes_and_refuse_what_lies_outside(g):
    g.add_copy('flip', 'map', (384,), (384,), (-1,), 383)
    g.add_pad('wide', 'map', (1, 1, 0, 0), (1, 0))
    assert shapes(g, 'both', 'map', 'flip', 'wide') == [(128, 3), (8, 16, 3), (384,), (17, 16, 3)]
    with pytest.raises(BadInput, match='do not join'): g.add_concat('both', 'tokens', 'conv', 0)
    with pytest.raises(BadInput, match=r'is not \(5,\)'): g.add_view('five', 'tokens', (5,))
    with pytest.raises(BadInput, match='no copy of'): g.add_copy('flip', 'map', (384,), (384,), (-1,), 382)


# ---- attention -------------------------------------------------------------------------------------------------------

def test_attention_and_its_parts_are_those_of_torch():
    gen = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(2, n, d, generator=gen) for n, d in ((3, 8), (5, 8), (5, 4)))
    heads = [fs._split(t, 2) for t in (q, k, v)]
    want = F.scaled_dot_product_attention(*heads)                                     # 4 per head: 1/2
    got = COMPUTE['attention'](step('attention', heads=2, scale=.5, causal=0), q, k, v)
    assert torch.allclose(got, want.transpose(1, 2).flatten(2), atol=1e-5)
    scores = COMPUTE['matmul_qk'](step('matmul_qk', (2, 3, 5), heads=2), q, k)
    assert torch.allclose(scores, heads[0] @ heads[1].mT, atol=1e-5)
    p = COMPUTE['softmax'](step('softmax'), torch.randn(2, 3, 5, generator=gen))
    assert torch.allclose(COMPUTE['matmul_av'](step('matmul_av', heads=1), p, v), p @ v, atol=1e-6)


def test_rounding_is_to_int8_codes():
    coded = COMPUTE['fake_quantize'](step('fake_quantize', scale=.5, zero_point=0), torch.tensor([.3, 99.]))
    assert coded.tolist() == [.5, 63.5]


def test_attention_knows_its_shapes_and_refuses_heads_that_do_not_divide(g):
    g.add_attention('attend', 'tokens', 'sum', 'gate')
    g.add_linear('one', 'tokens', torch.rand(64, 3))
    g.add_matmul_av('mix', g.add_softmax('soft', 'one'), 'gate')
    g.add_fake_quantize('round', 'mix', .1, 0)
    assert shapes(g, 'attend', 'soft', 'mix', 'round') == [(64, 3), (64, 64), (64, 3), (64, 3)]
    assert shapes(g, g.add_matmul_qk('product', 'tokens', 'sum', 3)) == [(3, 64, 64)]
    two = (lambda: g.add_attention('attend', 'tokens', 'sum', 'gate', 2),
           lambda: g.add_matmul_qk('product', 'tokens', 'sum', 2))
    for call in two:
        with pytest.raises(BadInput, match='do not fit 2 heads'): call()
    with pytest.raises(BadInput, match='does not mix'): g.add_matmul_av('mix', 'tokens', 'gate')


# ---- tidying ---------------------------------------------------------------------------------------------------------

def test_views_of_views_and_steps_that_nobody_reads_go():
    g = FloatGraph()
    g.add_input((4,))
    y = g.add_view('w', g.add_view('v', g.add_linear('fc_2', 'input', torch.rand(4, 4)), (2, 2)), (4,))
    g.add_act('lost', 'fc_2', 'relu', torch.relu, 0.)
    g.add_output(y)
    before = g.run(torch.ones(1, 4))
    assert (g.readers()['fc_2'], g.makers()['w'].kind) == (2, 'view')
    g.shorten().prune().rename()
    assert torch.equal(g.run(torch.ones(1, 4)), before) and [(s.kind, s.name) for s in g.steps] == [('linear', 'fc_2')]
    g._rename(g.steps[0])
    assert g.outputs[0].name == 'input'
