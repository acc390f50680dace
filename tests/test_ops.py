"""The records of the operators, their cost features and their random instances: each part alone, then every record
against what its reference does."""
import re

import numpy as np
import pytest

from conftest import ROOT
from tinyformer import (ops_attention as att, ops_elementwise as elt, ops_layers as lay, ops_norms as norm,
                        ops_pools as pool)
from tinyformer.elementwise import add_s8, copy_attrs, lut_s8, mul_s8, over_rows
from tinyformer.errors import BadInput
from tinyformer.features import (add_counts, dense_counts, edge_pixels, head_counts, scalar_counts, stream_counts,
                                 taps_inside, unit_counts)
from tinyformer.instances import Shape, random_weights, spread, zero_point
from tinyformer.integers import linear_s8
from tinyformer.norms import layernorm_s8, rmsnorm_s8, unit_factor
from tinyformer.operators import OPERATORS, STRUCTS, random_inputs, random_instance
from tinyformer.record import CCall, IN0, OUT, SIZE, Array
from tinyformer.softmax import causal_mask, softmax_table
from tinyformer.windows import avgpool_s8, maxpool2x2_s8, maxpool_s8, square_window


def rng(seed=0): return np.random.default_rng(seed)


def codes(*shape, seed=1): return rng(seed).integers(-128, 128, shape, dtype=np.int8)


def some(counts, *names): return [counts[n] for n in names]


# ---- every record ----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize('kind', OPERATORS)
def test_a_record_agrees_with_its_reference(kind):
    "Attributes, ranges, arrays, inputs, sizes, sums and features, over random instances."
    op = OPERATORS[kind]
    assert op.kind == kind == repr(op)
    for seed in range(50):
        r = rng(seed)
        a, p = random_instance(kind, r, h=4, w=6, cin=8, cout=5, heads=2)
        xs = random_inputs(kind, a, r)
        assert set(a) == set(op.attrs)
        assert all(least <= a[n] <= most for n, (least, most) in op.attrs.items())
        shapes = {n: (array.dtype, array.sizes(a)) for n, array in op.params.items()}
        assert {n: (v.dtype, v.shape) for n, v in p.items()} == shapes
        assert len(xs) == op.inputs and op.reference(a, p, *(x[None] for x in xs)).size == op.sizes(a)[1]
        assert op.bound(a, p) < 2**31
        for names in op.call.costs.values(): assert set(names) <= set(op.features(a))


def test_no_operator_of_that_name():
    with pytest.raises(BadInput, match='known: pointwise'): random_instance('gelu', rng())


def test_structures_are_those_of_the_header():
    "Fields by name and order; a pointer is an array."
    text = (ROOT/'firmware'/'include'/'tfm_kernels.h').read_text(encoding='utf-8')
    text = re.sub(r'/\*.*?\*/|//[^\n]*', '', text, flags=re.S)
    found = {name: [re.split(r'[\s*]+', o.split('[')[0].strip())[-1] for line in body.split(';') if line.strip()
                    for o in line.split(',')]
             for body, name in re.findall(r'typedef struct[^{]*\{([^}]*)\}\s*(\w+);', text)}
    assert len(STRUCTS) > 10
    for name, fields in STRUCTS.items(): assert [field for field, _ in fields] == found[name], name


def test_a_call_says_which_formats_it_knows():
    toy = CCall('toy', 'toy', (OUT, IN0), {('c', 'dense'): ('call', 'elements')})
    assert toy.formats == ('dense',) and lay._CONV_CALL.formats == ('dense', 'rle')
    assert Array('int8', ('cout', 9, lambda a: a['cout'] + 1)).sizes(dict(cout=4)) == (4, 9, 5)


# ---- features --------------------------------------------------------------------------------------------------------

def test_dense_weights_meet_four_pixels_and_eight_inputs():
    assert unit_counts(64, 12, 20, 64*12*20, 64*12)['pixel_cin'] == 64*12
    assert dense_counts(1, 512, 10)['one_macs'] == 5120 and dense_counts(17, 12, 3)['quad_macs'] == 20*3*16
    both = dense_counts(*np.array([[1, 17], [512, 12], [10, 3]]))                      # two layers at once
    assert (both['one_macs'].tolist(), both['quad_macs'].tolist()) == ([5120, 0], [0, 20*3*16])


def test_a_stream_is_walked_once_for_eight_pixels():
    assert stream_counts(1, 64, 10, 30, 9)['few_blocks'] == 30
    assert some(stream_counts(17, 12, 3, 5, 2), 'tile_rows', 'tile_blocks', 'fill_words') == [3*2, 3*5, 17*3]
    both = stream_counts(*np.array([[1, 17], [64, 12], [10, 3], [30, 5], [9, 2]]))
    assert (both['few_blocks'].tolist(), both['tile_blocks'].tolist()) == ([30, 0], [0, 15])


def test_scalar_kernels_share_a_weight_among_four_pixels():
    assert some(scalar_counts(9, 64, 10, 30), 'four_rows', 'four_blocks', 'alone_rows') == [3*10, 3*30, 0]
    assert [scalar_counts(2, 64, 10, 30, s)['alone_macs'] for s in (0, 1)] == [0, 2*640]


def test_attention_takes_two_queries_and_four_keys():
    want = dict(rows=16, pairs=256, macs=256*(12 + 4), keys=16, words=16*16, outputs=16*16, rests=0, tails=0, hidden=0)
    assert head_counts(16, 16, 2, 22, 8) == {f'head_{k}': 2*n for k, n in want.items()}
    odd = head_counts(3, 5, 1, 4, 0)                                                   # four rows, eight keys
    assert some(odd, *(f'head_{k}' for k in ('rows', 'pairs', 'macs', 'rests', 'tails'))) == [4, 20, 128, 4, 8]
    assert head_counts(4, 4, 1, 4, 4, causal=1)['head_hidden'] == 6


def test_usual_shifts_and_pixels_at_the_border():
    assert add_counts(8, 20) == dict(usual_adds=0, other_adds=8) and add_counts(8)['usual_adds'] == 8
    assert (edge_pixels(8, 8, 9), edge_pixels(32, 32, 9), edge_pixels(8, 8, 1)) == (64, 320, 0)


@pytest.mark.parametrize('size,out,k,stride,pad', [(7, 7, 3, 1, 1), (7, 4, 3, 2, 1), (5, 3, 5, 2, 2), (4, 2, 5, 1, 4)])
def test_taps_inside_the_map_are_counted_as_they_lie(size, out, k, stride, pad):
    starts = np.arange(out)*stride - pad
    inside = np.minimum(size, starts + k) - np.maximum(0, starts)
    assert taps_inside(size, out, k, stride, pad) == inside.sum()


# ---- random instances ------------------------------------------------------------------------------------------------

def test_a_shape_fills_in_what_is_not_said():
    assert (Shape(cin=12, k=5).cout, Shape(h=4, w=6).tokens, Shape(k=5).pad) == (12, 24, 2)
    assert (Shape(h=4, w=6).keys, Shape(tokens=3, keys=5).keys, Shape(cin=12).vdim) == (24, 5, 12)
    assert Shape(stride=2).window == dict(kh=3, kw=3, **square_window(2, 1))
    narrow = Shape(window=dict(kw=1, left=0, right=0)).window
    assert narrow | square_window(1, 1) == dict(kh=3, kw=1, **square_window(1, 1))


def test_random_weights_have_the_share_of_zeros_that_is_asked():
    r = rng()
    w = random_weights(r, 20, 9, 8, .75)
    assert (w.reshape(-1, 4) == 0).all(1).mean() == .75
    with pytest.raises(BadInput, match='not between 0 and 1'): random_weights(r, 2, 1, 4, 1.5)
    p, shift = spread(r, w.reshape(20, -1), 9)
    assert shift == 0 and (p['mult'] > 0).all() and p['bias'].dtype == np.int32
    drawn = [zero_point(r) for _ in range(200)]
    assert min(drawn) == -128 and max(drawn) == 127 and 4 < len(set(drawn)) < 200


# ---- layers ----------------------------------------------------------------------------------------------------------

def test_what_layers_with_weights_share():
    p = dict(weight=np.array([[-127, 2], [3, 0]], np.int8), bias=np.array([-5, 7], np.int32))
    assert lay._weighted_bound(dict(shift=1), p, 1) == 2 * (5 + 128*129)
    assert lay._weighted_arrays('cout', 'cout', 'cin')['weight'].sizes(dict(cout=2, cin=9)) == (2, 9)
    assert lay._weighted_counts(64, 1, 12, 20, 9, 5, 64*12)['tile_blocks'] == 8*9


def test_linear():
    a, p = lay._draw_linear(rng(), Shape(tokens=5, cin=6, cout=3))
    x = codes(2, 30)
    assert np.array_equal(lay._run_linear(a, p, x), linear_s8(x.reshape(2, 5, 6), zp_out=0, shift=a['shift'], **p))
    assert lay._linear_counts(a)['macs'] == 5*6*3
    columns = dict(pixels=np.array([64, 1]), cin=np.array([12, 12]), cout=np.array([20, 20]))
    assert lay._linear_counts(columns, kept=9, live=5)['tile_blocks'].tolist() == [8*9, 0]      # two layers at once
    linear, layer = OPERATORS['linear'], dict(pixels=64, cin=12, cout=20)          # no weights: a mere layer
    assert (linear.sizes(layer), linear.macs(layer)) == (((768,), 1280), 15360)
    assert (linear.window(layer), linear.rows) == ((1, 1, 0, 0), 'pixels')
    assert OPERATORS['fully_connected'].window(layer) is None and lay._draw_one(rng(), Shape())[0]['pixels'] == 1


def test_a_window_fits_its_map():
    tiny = dict(h=1, w=1, kh=3, kw=3, **square_window())
    said = [('kh', 'a window of 3x3 is larger than the map of 1x1 with its padding')]
    assert list(lay._window_fits(tiny, {}, [], 0)) == said
    assert len(list(lay._window_fits(tiny | dict(kw=2, dw=3, bottom=2, right=2), {}, [], 0))) == 1
    assert not list(lay._window_fits(tiny | dict(kw=2, dw=3, bottom=2, right=3), {}, [], 0))
    many = dict(h=99, w=99, kh=15, kw=16, **square_window())
    assert 'more than 225 taps' in list(lay._window_fits(many, {}, [], 0))[0][1]


def test_what_windowed_layers_share():
    a = dict(h=4, w=6, c=5, kh=3, kw=3, **square_window(), shift=0, zp_in=1, zp_out=2)
    assert lay.as_map(a, np.zeros((2, 120))).shape == (2, 4, 6, 5) and lay.map_values(a) == 120
    def shown(x, weight, bias, mult, **numbers): return x.shape, weight, bias, mult, numbers
    how = dict(shift=0, zp_in=1, zp_out=2, **square_window())
    got = lay._convolve(shown, a, dict(weight=1, bias=2, mult=3), np.zeros((2, 120)))
    assert got == ((2, 4, 6, 5), 1, 2, 3, how)
    assert lay.all_rows(a) == dict(first=0, end=2, ring=4)
    assert lay._WINDOWED['window'](a | dict(dh=2, sh=4, top=3)) == (5, 4, 3, 0)
    assert set(lay._window_attrs(c=SIZE)) == set(a)


def test_conv():
    a, p = lay._draw_conv(rng(), Shape(h=5, w=6, cin=4, cout=7, stride=2))
    assert (a['sh'], a['sw'], p['weight'].shape) == (2, 2, (7, 3, 3, 4))
    assert some(lay._conv_counts(a), 'pixels', 'macs', 'inputs') == [9, 9*7*36, 120]
    # two rows of a map that tiles fill: four rows of taps instead of six
    full = dict(a, h=4, w=8, sh=1, sw=1, top=1, bottom=1, left=1, right=1)
    shares = [lay._gathered(b) for b in (full, dict(full, h=3), dict(full, w=9), dict(full, sh=3))]
    assert np.allclose(shares, [2/3, 7/9, 1, 1])
    assert lay._conv_counts(full)['tile_cin'] == 32 * 36 * lay._gathered(full)
    conv = OPERATORS['conv3x3']
    assert (conv.sizes(a), conv.macs(a), conv.window(a)) == (((120,), 63), 63*36, (3, 2, 1, 1))
    assert conv.reference(a, p, codes(2, 120)).shape == (2, 3, 3, 7)
    assert [conv.bands(a, *k) for k in (('dsp', 'dense'), ('dsp', 'rle'), ('c', 'dense'))] == [True, True, False]


def test_depthwise():
    a, p = lay._draw_depthwise(rng(), Shape(h=5, w=6, cin=4))
    assert p['weight'].shape == (3, 3, 4)
    assert some(lay._depthwise_counts(a), 'pixels', 'macs', 'channels', 'plane_outputs', 'taps') == [
        30, 30*36, 4, 30*4, 0]
    wide = lay._depthwise_counts(a | dict(left=2, right=2))
    assert some(wide, 'plane_outputs', 'tap_outputs', 'tap_rows', 'taps') == [0, 40, 104, 234]
    (_, name, fits), = lay._DEPTHWISE_CALL.narrow
    assert (name, fits(a), fits(a | dict(kw=5)), fits(a | dict(dh=2))) == ('depthwise3x3', 1, 0, 0)
    assert (lay._same_3x3(a), lay._same_3x3(a | dict(bottom=0))) == (True, False)
    deep = OPERATORS['depthwise3x3']
    assert deep.in_place(a, 'dsp') == (0,)
    assert [deep.in_place(*k) for k in ((a, 'c'), (a | dict(sw=2), 'dsp'))] == [(), ()]
    assert [deep.bands(a, 'dsp', 'dense'), deep.bands(a, 'c', 'dense')] == [True, False]


# ---- pools -----------------------------------------------------------------------------------------------------------

PADDED = dict(h=7, w=5, c=5, oh=4, ow=2, kh=3, kw=2, sh=2, sw=3, top=1, left=0, adaptive=0)
THIRDS = PADDED | dict(oh=3, ow=7, kh=1, kw=1, sh=1, sw=1, top=0, adaptive=1)
ODD = Shape(h=6, w=9, cin=3, window=dict(kw=2, sw=3, bottom=0))


def test_pools_of_a_whole_map_and_of_2x2_pixels():
    a, _ = pool._draw_avgpool(rng(), Shape(h=4, w=6, cin=5))
    mean, x = OPERATORS['avgpool'], codes(1, 4, 6, 5)
    assert (mean.sizes(a), mean.features(a)['pixels']) == (((120,), 5), 1)
    numbers = [a[n] for n in ('bias', 'mult', 'shift', 'zp_out')]
    assert np.array_equal(mean.reference(a, {}, x), avgpool_s8(x, *numbers))
    half, a, x = OPERATORS['maxpool2x2'], dict(h=4, w=6, c=4), np.arange(96, dtype=np.int8).reshape(1, 96)
    assert np.array_equal(half.reference(a, {}, x), maxpool2x2_s8(x.reshape(1, 4, 6, 4)))
    assert (half.sizes(a), pool._maxpool_counts(a)['pixels'], half.moves) == (((96,), 24), 6, True)
    assert [len(list(pool._halves(b, {}, [3], 3))) for b in (a, a | dict(h=3), a | dict(w=5))] == [0, 1, 1]


def test_the_windows_of_a_pool_are_checked():
    def complaints(a): return [where for where, _ in pool._pool_fits(a)]
    assert not complaints(PADDED) and complaints(PADDED | dict(adaptive=1)) == ['adaptive']
    assert complaints(PADDED | dict(top=3)) == ['top'] and complaints(PADDED | dict(ow=3)) == ['ow']
    assert (pool._pool_rows(PADDED), pool._pool_rows(PADDED | dict(adaptive=1))) == ((3, 2, 1, 1), None)
    assert pool._pool_rows(dict(PADDED, h=8, oh=2, sh=3, top=0)) == (3, 3, 0, -2)       # two rows are never read


def test_what_pools_cost():
    f = pool._pool_counts(PADDED | dict(c=37))
    assert f['pixel_cin'] == 10 * 4 * 37                       # rows and columns that the windows hold
    assert some(f, 'passes', 'quads', 'quad_taps') == [8*(2 + 2), 8*10, 40*10]
    assert some(pool._pool_counts(PADDED | dict(c=3)), 'passes', 'quads') == [8*3, 8]
    assert pool._pool_counts(THIRDS)['quad_rows'] == 9 * 7 * 2
    assert pool._pool_costs('quads')['dsp', 'dense'] == ('call', 'pixels', 'quads')


def test_pools_over_windows():
    a = pool._draw_pool(None, ODD)
    assert a == dict(h=6, w=9, c=3, oh=5, ow=4, kh=3, kw=2, sh=1, sw=3, top=1, left=1, adaptive=0)
    adaptive = pool._draw_pool(None, Shape(window=dict(adaptive=1, oh=3, ow=5)))
    assert some(adaptive, 'oh', 'ow', 'adaptive', 'top') == [3, 5, 1, 0]
    top, x = OPERATORS['maxpool'], codes(2, 6*9*3)
    want = maxpool_s8(x.reshape(2, 6, 9, 3), **pool._of_pool(a))
    assert np.array_equal(top.reference(a, {}, x), want)
    assert (top.sizes(a), top.window(a)) == (((162,), 60), (3, 1, 1, 0))
    assert [top.bands(b, 'dsp', 'dense') for b in (a, adaptive)] == [True, False]
    assert (list(top.check(a, {}, [3], 3)), top.moves) == ([], True)
    assert [w for w, _ in pool._mean_fits(adaptive | dict(count_pad=1), {}, [0], 0)] == ['count_pad']
    assert pool._multipliers(a | dict(count_pad=0)) == 5        # windows of 2 to 6 values


def test_means_of_windows():
    mean, seen = OPERATORS['avgpool2d'], set()
    for seed in range(6):
        a, p = pool._draw_mean(rng(seed), ODD)
        seen.add(a['count_pad'])
        assert (pool._of_pool(a)['kh'], p['mult'].size) == (3, 1 if a['count_pad'] else 5)
        assert mean.params['mult'].sizes(a) == p['mult'].shape
        assert mean.reference(a, p, codes(2, 6*9*3)).shape == (2, 5, 4, 3)
        assert mean.bound(a, p) == 255 * 6 << a['shift']
        assert mean.c_values(a, p)['least'] == (6 if a['count_pad'] else 2)
    assert seen == {0, 1}


# ---- value by value --------------------------------------------------------------------------------------------------

SUM = 'mult_a', 'mult_b', 'bias', 'shift'


def test_add():
    add, (a, _) = OPERATORS['add'], elt._draw_add(rng(), Shape(tokens=5, cin=6))
    assert (add.sizes(a), add.in_place(a, 'c'), add.rows) == (((30, 30), 30), (0, 1), 'n')
    x, y = codes(2, 1, 30)
    assert np.array_equal(elt._run_add(a, {}, x, y), add_s8(x, y, *some(a, *SUM)))
    assert elt._add_counts(dict(n=8))['usual_adds'] == 8                   # the usual shift where none is known
    assert {tuple(elt._signs(rng(s))) for s in range(40)} == {(1, 1), (1, -1), (-1, 1), (-1, -1)}


def test_lut():
    lut, (a, p) = OPERATORS['lut'], elt._draw_lut(rng(), Shape(tokens=3, cin=4))
    x, = random_inputs('lut', a, rng(1))
    assert lut.reference(a, p, x[None])[0].tolist() == [p['table'][v + 128] for v in x.astype(int)]
    assert np.array_equal(lut.c_values(a, p)['table'][x.view(np.uint8)], lut_s8(x, p['table']))


def test_the_second_input_is_spread():
    a = dict(outer=3, inner=2)
    assert [elt._second(a | dict(b=b)) for b in range(3)] == [6, 2, 3] and elt._pair(a) == 6
    assert [elt._ROWS['whole'](dict(b=b)) for b in range(3)] == [(), (1,), ()]
    assert [elt._pair_counts(a | dict(b=b))['one_values'] for b in range(3)] == [0, 0, 6]
    assert elt._pair_sizes(a | dict(b=2)) == ((6, 3), 6)
    x, y = np.zeros((5, 6), np.int8), np.zeros((5, 3), np.int8)
    assert [v.shape for v in elt._pair_inputs(a | dict(b=2), x, y)] == [(5, 3, 2), (5, 3, 1)]


def test_mul():
    mul, (a, _) = OPERATORS['mul'], elt._draw_mul(rng(), Shape(tokens=3, cin=2))
    x, y = random_inputs('mul', a, rng(1))
    want = mul_s8(x.reshape(3, 2), over_rows(y[None], 3, 2, a['b'])[0], *some(a, *elt._FACTORS))
    assert np.array_equal(elt._run_mul(a, {}, x[None], y[None])[0], want)
    assert [mul.in_place(dict(b=b), 'dsp') for b in range(3)] == [(0, 1), (0,), (0,)]
    said = list(elt._own_zero_points(dict(zp_a=1, zp_b=2), {}, [1, 3], 0))
    assert said == [('zp_b', 'is 2, its input has 3')]


def test_add_broadcast():
    a, _ = elt._draw_add_broadcast(rng(), Shape(tokens=3, cin=2))
    x, y = random_inputs('add_broadcast', a | dict(b=1), rng(1))
    got = elt._run_add_broadcast(a | dict(b=1), {}, x[None], y[None])[0]
    assert np.array_equal(got, add_s8(x.reshape(3, 2), np.stack([y]*3), *some(a, *SUM)))
    assert elt._add_broadcast_counts(a | dict(b=1, shift=15))['usual_adds'] == 6


def test_const_and_concat():
    a, p = elt._draw_const(rng(), Shape(tokens=3, cin=2))
    assert np.array_equal(OPERATORS['const'].reference(a, p), p['data'][None])
    assert (OPERATORS['const'].sizes(a), elt._const_counts(a)['word_bytes']) == (((), 6), 6)
    x, y = np.arange(4, dtype=np.int8)[None], np.arange(10, 16, dtype=np.int8)[None]
    two = elt._run_concat(dict(outer=2, a=2, b=3), {}, x, y)[0]
    assert two.tolist() == [[0, 1, 10, 11, 12], [2, 3, 13, 14, 15]]
    assert elt._run_concat(dict(outer=1, a=4, b=6), {}, x, y)[0, 0].tolist() == [*range(4), *range(10, 16)]
    assert [elt._concat_counts(dict(outer=2, a=4, b=b))['word_bytes'] for b in (3, 8)] == [0, 24]
    assert (elt._joined(dict(a=2, b=3)), OPERATORS['concat'].moves) == (5, True)


@pytest.mark.parametrize('args,runs,gathers,words,others', [
    (([3, 2, 2], [2, 6, 1], 0, 12), 6, 0, 0, 12), (([2, 2, 4], [8, 4, 1], 0, 16), 1, 0, 16, 0),
    (([4], [-1], 3, 4), 0, 1, 0, 0)])
def test_a_copy_is_counted_in_runs(args, runs, gathers, words, others):
    counts = elt._copy_counts(copy_attrs(*args))
    assert some(counts, 'runs', 'gathers', 'word_bytes', 'other_bytes') == [runs, gathers, words, others]


def test_copy():
    assert not list(elt._inside(copy_attrs([3], [-1], 2, 3), {}, [], 0))
    for base, places in ((1, '-1 to 1'), (3, '1 to 3')):
        said = list(elt._inside(copy_attrs([3], [-1], base, 3), {}, [], 0))
        assert said == [('', f'reads places {places} of an input of 3 values')]
    assert elt._copied(copy_attrs([3, 2], [2, 6], 0, 12)) == 6
    x = codes(2, 12)
    turned = elt._run_copy(copy_attrs([3, 2, 2], [2, 6, 1], 0, 12), {}, x).reshape(2, 3, 2, 2)
    assert np.array_equal(turned, x.reshape(2, 2, 3, 2).transpose(0, 2, 1, 3))
    for seed in range(50):
        a, p = elt._draw_copy(rng(seed), Shape(tokens=5, cin=12))
        assert not list(elt._inside(a, p, [], 0))


def test_pad():
    a = dict(h=2, w=2, c=1, top=0, bottom=1, left=1, right=0, gap_h=0, gap_w=1, value=9)
    assert (elt._padded(a), OPERATORS['pad'].sizes(a)) == (12, ((4,), 12))
    assert some(elt._pad_counts(a), 'runs', 'filled', 'other_bytes') == [4, 8, 4]
    assert elt._pad_counts(a | dict(gap_w=0, w=4))['word_bytes'] == 8


# ---- attention -------------------------------------------------------------------------------------------------------

HEADS = Shape(tokens=4, keys=6, cin=8, vdim=10, heads=2)


def test_what_attention_is_checked_for():
    p = att._random_attention(rng(), Shape(cin=8, heads=2))
    a = dict(tokens=4, keys=6, dim=8, vdim=12, heads=2, causal=0)
    table = att._c_table(a, p)['table']
    assert (table.dtype.name, table[-1], (np.diff(table) >= 0).all()) == ('int16', 32767, True)
    rising = list(att._table_falls(a, dict(table=p['table'][::-1]), [], 0))
    assert rising == [('table', 'must fall from 65535')]
    assert [len(list(att._heads_fit(a, p, zps, 5))) for zps in ([0, 0, 0], [0, 1, 0])] == [0, 1]
    wrong = [a | dict(vdim=11), a | dict(dim=9), a | dict(causal=1, keys=3)]
    assert [[where for where, _ in att._heads_fit(b, p, [0]*3, 5)] for b in wrong] == [[''], [''], ['causal']]
    assert [att._pairs(a), att._pairs(a | dict(causal=1))] == [24, causal_mask(4, 6).sum()]
    counts = att._attention_counts(a, 8, 12, 152, 48)
    assert some(counts, 'macs', 'pairs', 'inputs', 'outputs') == [24*20, 2*24, 152, 48]


def test_attention_whole():
    attention, (a, p) = OPERATORS['attention'], att._draw_attention(rng(), HEADS)
    qkv = [codes(2, n, seed=n) for n in attention.sizes(a)[0]]
    assert (att._attention_sizes(a), attention.macs(a)) == (((32, 48, 60), 40), 24*18)
    assert att._run_attention(a, p, *qkv).shape == (2, 4, 10)
    assert some(att._whole_counts(a), 'inputs', 'outputs', 'four_keys', 'four_qk') == [140, 40, 6*2, 6*8]
    assert att._four_queries(a | dict(causal=1))['four_q'] == 8
    assert attention.macs(a | dict(causal=1)) == (3 + 4 + 5 + 6)*18
    assert [attention.in_place(b, 'c') for b in (a, a | dict(vdim=8))] == [(), (0,)]
    assert 0 < att._attention_bound(a, p) < 2**31


def test_scores_and_softmax():
    qk, (a, _) = OPERATORS['matmul_qk'], att._draw_matmul('qk')(rng(), HEADS)
    q, k = codes(2, 32), codes(2, 48)
    assert (att._scores(a), att._qk_sizes(a), qk.macs(a)) == (48, ((32, 48), 48), 24*8)
    assert att._rows(a, 'keys', k).shape == (2, 6, 8) and att._run_qk(a, {}, q, k).shape == (2, 2, 4, 6)
    assert att._qk_counts(a)['outputs'] == 48
    assert att._matmul_call('matmul_qk', ('call',), ()).costs['c', 'dense'] == ('call',)
    soft, (a, p) = OPERATORS['softmax'], att._draw_softmax(rng(), HEADS)
    assert (a, soft.sizes(a), att._softmax_counts(a)['head_rows']) == (dict(rows=8, n=6), ((48,), 48), 8)
    assert [att._softmax_counts(dict(rows=2, n=n))['head_tails'] for n in (8, 9, 12, 13)] == [0, 2, 2, 4]
    assert [len(list(att._probabilities(a, p, [0], zp))) for zp in (-128, 0)] == [0, 1]


def test_three_steps_give_the_bytes_of_attention():
    size = dict(tokens=5, keys=7, dim=6, heads=2)
    av, qk, soft, whole = (OPERATORS[k] for k in ('matmul_av', 'matmul_qk', 'softmax', 'attention'))
    assert some(att._av_counts(size), 'macs', 'outputs') == [5*7*6, 30]
    assert (av.sizes(size), att._av_sizes(size | dict(tokens=1))[1]) == (((70, 42), 30), 6)
    q, k, v = (rng(seed).integers(-100, 101, (1, rows, 6), dtype=np.int8) for seed, rows in enumerate((5, 7, 7)))
    table, step = dict(table=softmax_table(0.05)), dict(size, mult=2**24, shift=0)
    prob = soft.reference(dict(rows=10, n=7), table, qk.reference(dict(step, zp_out=0), {}, q, k))
    once = dict(size, vdim=6, causal=0, mult_qk=2**24, shift_qk=0, mult_av=2**24, shift_av=0, zp_out=3)
    assert np.array_equal(att._mix(dict(step, zp_out=3), {}, prob, v), whole.reference(once, table, q, k, v))
    assert [len(list(att._mixes(size, {}, zps, 3))) for zps in ([-128, 0], [0, 0], [0, 1])] == [0, 1, 2]


# ---- norms -----------------------------------------------------------------------------------------------------------

def test_layernorm():
    a, p = norm._draw_layernorm(rng(), Shape(tokens=3, cin=8))
    x, numbers = codes(2, 3, 8), {n: a[n] for n in ('mult', 'shift', 'zp_out', 'eps_q')}
    assert np.array_equal(norm._run_layernorm(a, p, x.reshape(2, 24)), layernorm_s8(x, **p, **numbers))
    assert 0 < norm._layernorm_bound(a, p) < 2**31 and norm._layernorm_counts(a)['pixels'] == 3
    assert [norm._layernorm_counts(dict(tokens=2, c=c))['long_values'] for c in (1024, 1025)] == [0, 2050]


def test_rmsnorm():
    a, p = norm._draw_rmsnorm(rng(), Shape(tokens=3, cin=8))
    x, numbers = codes(2, 3, 8), {n: a[n] for n in ('zp_in', 'mult', 'shift', 'zp_out', 'eps_q')}
    assert np.array_equal(norm._run_rmsnorm(a, p, x.reshape(2, 24)), rmsnorm_s8(x, **p, **numbers))
    assert 0 < norm._rmsnorm_bound(a, p) < 2**31


def test_the_bound_of_a_normalised_value_holds_for_every_width():
    "One value of c that are zero otherwise is the largest of all."
    for c in range(1, 32_768):
        m, sh = (int(v) for v in unit_factor(np.uint64(97**2), c))
        assert 97*m >> sh <= norm._unit_bound(c) < 1.5*2**10*c**.5 + 2
