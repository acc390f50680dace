"""The steps of a float graph as those of a network that rounds: kinds, shared codes, tables in between."""
import math

import pytest
import torch, torch.nn.functional as F

from tinyformer import qbuild as qb
from tinyformer.float_graph import FloatGraph
from tinyformer.qnet import watch
from tinyformer.ranges import Quantizer, Scaled


@pytest.fixture(autouse=True)
def seeded(): torch.manual_seed(0)


def start(shape=(4, 4, 3)):
    "A graph with one convolution."
    graph = FloatGraph()
    graph.add_input(shape)
    graph.add_conv('conv', 'input', torch.randn(6, 1, 1, shape[-1]))
    return graph


def tokens():
    "A graph with three linear layers over eight tokens."
    graph = FloatGraph()
    graph.add_input((8, 6))
    for name in 'qkv': graph.add_linear(name, 'input', torch.randn(6, 6), torch.randn(6))
    return graph


def built(graph, out):
    "The network of a graph and its builder; run exactly, it gives what the graph gives."
    graph.add_output(out)
    b = qb.Builder(graph, 0., 1.)
    net, x = b.run(), torch.rand(3, *graph.inputs[0].shape)
    assert torch.allclose(watch(net)(x), graph.run(x), atol=1e-5)
    return watch(net, False), b


def kinds(net): return [n.kind for n in net.nodes]


def test_kinds_of_convolutions_and_pools():
    graph = FloatGraph()
    graph.add_input((8, 8, 4))
    graph.add_conv('one', 'input', torch.ones(4, 1, 1, 4))
    graph.add_conv('deep', 'one', torch.ones(4, 3, 3, 1), groups=4)
    graph.add_pool('half', 'deep', 'maxpool', (3, 3), (2, 2), (2, 2))
    graph.add_pool('most', 'half', 'maxpool', (2, 2), (2, 2))
    graph.add_pool('whole', 'most', 'avgpool', (1, 1), (2, 2))
    made = [qb.kind_of(s, graph.shapes[s.inputs[0]]) for s in graph.steps]
    assert made == ['pointwise', 'depthwise3x3', 'maxpool2x2', 'maxpool', 'avgpool']
    assert qb._covers(graph.steps[-1].attrs, (2, 2, 4), (1, 1, 4))


def test_scales_of_weights_that_were_integers():
    codes = torch.tensor([[3., -127.], [5., 9.]])
    assert torch.allclose(qb.authors_scales(.02 * codes), torch.tensor([.02, .02]))
    own = qb.authors_scales(torch.tensor([[.02], [.3]]) * codes[:1])
    assert torch.allclose(own, torch.tensor([.02, .3]))


def test_the_walk_keeps_names_and_readers():
    graph = start()
    net, b = built(graph, graph.add_softmax('soft', 'conv'))
    assert [(n.kind, n.name, n.inputs) for n in net.nodes][1] == ('softmax', 'soft', ('conv',))
    assert (net.output, b.readers['conv']) == ('soft', 1)


def test_groups_and_ragged_pools():
    graph = start()
    graph.add_conv('groups', 'conv', torch.randn(8, 3, 3, 3), groups=2)
    graph.add_conv('deep', 'conv', torch.randn(6, 3, 3, 1), groups=6)
    graph.add_pool('ragged', 'groups', 'avgpool', (2, 2), (3, 3), (2, 2), (1, 1), count_pad=True)
    net, _ = built(graph, 'ragged')
    assert kinds(net) == 'pointwise conv3x3 depthwise3x3 pad avgpool2d'.split()
    assert net.layer('groups').weight.shape[-1] == 6 and net.layer('groups').mask.mean() == .5    # written out
    assert net.layer('deep').weight.shape == (6, 3, 3, 1)


def test_a_mean_of_what_a_relu_gave_is_never_negative():
    graph = start()
    graph.add_act('relu', 'conv', 'relu', torch.relu, 0.)
    graph.add_mean('mean', 'relu')
    net, _ = built(graph, 'mean')
    assert net.quantizer('mean').kind == 'relu'
    graph = start()
    graph.add_mean('mean', 'conv')
    assert built(graph, 'mean')[0].quantizer('mean').kind == 'affine'


def test_codes_that_nobody_else_reads():
    graph = start()
    graph.add_view('rows', 'conv', (16, 6))
    graph.add_layernorm('norm', 'rows', torch.ones(6), torch.zeros(6), 1e-5)
    graph.add_add('sum', 'norm', 'norm')
    net, b = built(graph, 'sum')
    assert [b._alone(n) for n in ('rows', 'norm', 'input')] == ['conv', None, None]
    assert b._recode('norm', 'symmetric') == 'norm_codes'
    assert (net.nodes[-1].kind, net.quantizer('norm_codes').kind) == ('lut', 'symmetric')


def test_which_functions_are_clamps():
    assert qb._clamps(torch.relu, 0., math.inf) and qb._clamps(F.relu6, 0., 6.)
    assert not qb._clamps(F.gelu, 0., math.inf) and not qb._clamps(torch.abs, -math.inf, math.inf)


def test_a_clamp_ends_a_range():
    net, b = built(start(), 'conv')
    assert b._clamped('conv', 'conv', 0., math.inf)
    assert (net.quantizer('conv').kind, net.quantizer('conv').most) == ('relu', math.inf)
    assert [b._clamped('conv', None, lo, math.inf) for lo in (0., .5)] == [True, False]
    assert [b._clamped('input', None, 0., hi) for hi in (1., .5)] == [True, False]


def test_activations_in_a_row_are_one_table():
    graph = start()
    graph.add_act('relu', 'conv', 'relu', torch.relu, 0.)
    graph.add_act('gate', 'relu', 'sigmoid', torch.sigmoid)
    graph.add_act('less', 'gate', 'scalar', lambda x: x - .5)
    net, b = built(graph, 'less')
    assert b._act(graph.steps[1]) == 'conv'                    # a clamp that is there already
    assert [(n.kind, n.name) for n in net.nodes] == [('pointwise', 'conv'), ('lut', 'gate')]


def test_what_is_read_twice_stays():
    graph = start()
    graph.add_act('times', 'conv', 'scalar', lambda x: 3*x + 1)
    graph.add_act('relu', 'times', 'relu', torch.relu, 0.)
    graph.add_add('sum', 'times', 'relu')
    graph.add_act('twice', 'sum', 'scalar', lambda x: 2*x)
    net, _ = built(graph, 'twice')
    assert kinds(net) == ['pointwise', 'lut', 'add', 'lut'] and type(net.quantizer('twice')) is Scaled


def test_attention_reads_zero_point_0():
    graph = tokens()
    graph.add_act('relu', 'v', 'relu', torch.relu, 0.)
    net, _ = built(graph, graph.add_attention('core', 'q', 'k', 'relu', heads=2, causal=True))
    assert kinds(net) == ['linear']*3 + ['lut', 'attention']                     # v is never negative
    assert [net.quantizer(n).qparams()[1] for n in net.reads('core')] == [0, 0, 0]


def test_products_of_attention_read_their_zero_points():
    graph = tokens()
    graph.add_linear('w', 'q', torch.randn(1, 6))
    graph.add_softmax('p', graph.add_view('row', 'w', (1, 8)))
    net, b = built(graph, graph.add_matmul_av('pool', 'p', 'v'))
    assert [net.quantizer(n).qparams()[1] for n in net.reads('pool')] == [-128, 0]
    assert [b._centred(n) for n in ('v', 'p')] == ['v', 'p_codes']
    graph = tokens()
    net, _ = built(graph, graph.add_matmul_qk('scores', 'q', 'k', 2))
    assert [net.quantizer(n).qparams()[1] for n in net.reads('scores')] == [0, 0]


def test_questions_about_a_range():
    q = Quantizer()
    assert qb._open(q) and qb._unclipped(q)
    qb._turn(q)
    assert q.kind == 'symmetric'
    assert not qb._open(q.freeze())


def test_joined_values_have_one_scale():
    graph, x = start(), torch.rand(2, 4, 4, 3)
    graph.add_conv('wide', 'input', 9*torch.randn(6, 1, 1, 3))
    graph.add_concat('both', 'conv', 'wide', 2)
    graph.add_act('pos', 'both', 'relu', torch.relu, 0.)
    graph.add_concat('three', 'pos', 'input', 2)
    net, _ = built(graph, 'three')
    assert kinds(net) == 'pointwise pointwise concat lut lut concat'.split()
    net.calibrate(x)
    assert net.quantizer('conv').qparams() == net.quantizer('wide').qparams()
    assert float(net.quantizer('conv').hi) < float(net.quantizer('wide').hi)
    assert len({net.quantizer(n).qparams() for n in net.reads('three')}) == 1


def test_a_constant_takes_the_codes_of_its_neighbour():
    graph = start()
    graph.add_const('token', torch.full((4, 4, 1), .2))
    net, b = built(graph, graph.add_concat('both', 'token', 'input', 2))
    assert (net.reads('both'), net.quantizer('token').qparams()) == (('token', 'input'), (1/255, -128))
    assert (b._plain('conv'), b._twins('conv', 'conv')) == ('conv', ('conv', 'conv'))
    assert not b._adopts('conv', net.image)                    # no constant


def test_several_outputs_lie_in_one_vector():
    graph, x = start(), torch.rand(2, 4, 4, 3)
    graph.add_mean('mean', 'conv')
    graph.add_linear('logits', 'mean', torch.randn(5, 6))
    for name in ('logits', 'mean'): graph.add_output(name)
    net = qb.Builder(graph, 0., 1.).run()
    for got, want in zip(watch(net)(x), graph.run(x)): assert torch.allclose(got, want, atol=1e-5)
    assert (net.output, net.shapes[net.output]) == ('outputs_2', (11,))
    assert built(start(), 'conv')[1]._joined(['input', 'conv']) == 'outputs_2'


def test_scales_of_the_author_stay():
    graph = start()
    graph.add_fake_quantize('q0', 'conv', .05, -10)
    graph.add_act('relu', 'q0', 'relu', torch.relu, 0.)
    graph.add_fake_quantize('q1', 'relu', .03, -128)
    graph.add_fake_quantize('q2', 'q1', .04, -128)
    net, _ = built(graph, 'q2')
    assert [(n.kind, n.name) for n in net.nodes][1:] == [('lut', 'relu'), ('lut', 'relu_codes')]
    assert [net.quantizer(n.name).qparams() for n in net.nodes] == [(.05, -10), (.03, -128), (.04, -128)]
