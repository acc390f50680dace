"""Random graphs: each method of `Draw` puts the operators that it says, with the shapes that it says."""
import numpy as np, pytest

from tinyformer.graph import check, run
from tinyformer.random_graphs import Draw, random_graph


def draw(sparsity=.5, shape=(4, 6, 3)): return Draw(0, shape, sparsity)


def kinds(d): return [op.kind for op in d.ops]


def test_weights_are_sparse_and_centred():
    d = draw()
    x = d.live['input'].reshape(-1, 3)
    params, shift = d.weights(100, 1, 3, lambda w: x @ w.T)
    assert abs((params['weight'] == 0).mean() - .5) < .1
    acc = x @ params['weight'].T.astype(float) + params['bias']
    assert np.abs(acc.mean(0)).max() <= .5               # the bias takes the mean out, up to its own rounding
    scaled = acc.std(0) * params['mult'] * 2.**(shift - 32)
    assert (scaled < 70).all() and np.median(scaled) > 15


def test_what_is_put_has_a_name_and_runs():
    d = draw()
    assert d.put('maxpool2x2', ['input'], (2, 3, 3), dict(h=4, w=6, c=3), zp=-128) == 'maxpool2x2_0'
    assert d.live['maxpool2x2_0'].shape == (8, 2, 3, 3)
    assert d.tensors['maxpool2x2_0'].scale == d.tensors['input'].scale       # a pool moves codes


def test_layers_and_sums():
    d = draw()
    y = d.linear('pointwise', 'input', 24, 3, 5, (4, 6, 5))
    d.add(y, d.linear('pointwise', y, 24, 5, 5, (4, 6, 5)))
    assert kinds(d) == ['pointwise', 'pointwise', 'add']


def test_convolutions_are_cut_as_the_reference_cuts_them():
    d = draw()
    d.depthwise(d.conv('input', 3, 2, 5), 3, 1)
    assert [(op.kind, d.tensors[op.output].shape) for op in d.ops] == \
        [('conv3x3', (2, 3, 5)), ('depthwise3x3', (2, 3, 5))]


def test_an_encoder_layer_is_eleven_operators():
    d = draw(0., (2, 3, 8))
    d.encoder('input', 2, 20)
    mixing = ['layernorm', *['linear']*3, 'attention', 'linear', 'add']
    assert kinds(d) == mixing + ['layernorm', 'linear', 'linear', 'add']


@pytest.mark.parametrize('seed', range(4))
def test_codes_stay_spread_and_reach_both_ends(seed):
    g = random_graph(seed)
    check(g)
    x = np.random.default_rng(seed).integers(-128, 128, (64, 8, 12, 3), dtype=np.int8)
    live = run(g, x, keep=True)
    assert min(len(np.unique(live[op.output])) for op in g.ops) > 20
    codes = np.concatenate([np.unique(live[op.output]) for op in g.ops])
    assert {-128, 127} <= set(codes.tolist())
