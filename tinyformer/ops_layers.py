"""Records of the operators with weights: linear layers, convolutions and depthwise convolutions."""
import math
from dataclasses import replace

import numpy as np

from .features import dense_counts, edge_pixels, scalar_counts, stream_counts, taps_inside, unit_counts
from .instances import Shape, random_weights, spread
from .integers import linear_s8
from .record import IN0, OUT, PAD, PER_CHANNEL, SCRATCH, SIZE, TAPS, WEIGHT, Array, CCall, Operator
from .windows import WINDOW, conv_s8, depthwise_s8, out_hw, spans

LAYERS = {} # kind -> Operator


# ---- linear layers ---------------------------------------------------------------------------------------------------

_QUANT = ('struct', 'tfm_quant')
_STREAM = ('call', 'channels', 'stream_blocks', 'outputs', 'pixel_blocks')
_QUADS = ('quad_cin', 'quad_rows', 'quad_macs', 'row_cin')
_TILES = ('tile_cin', 'tile_rows', 'tile_blocks', 'fill_blocks', 'fill_words')
_TILE_FILES = {
    ('c', 'rle'): ('rle/tfm_rle_check.c',), ('dsp', 'dense'): ('tile/tfm_tile_rows_dense.c',),
    ('dsp', 'rle'): ('tile/tfm_tile_expand.c', 'tile/tfm_tile_rows_rle.c'),
    **{('scalar', f): (f'scalar/tfm_scalar_rows_{f}.c', 'scalar/tfm_scalar_put.c')
       for f in ('dense', 'rle')}}
_FOURS = dict(dense=('four_cin', 'four_rows', 'four_macs'),
              rle=('four_cin', 'four_rows', 'four_blocks'))

def _weighted_arrays(cout, *shape):
    return dict(weight=Array('int8', shape, -127), bias=Array('int32', (cout,)),
                mult=Array('int32', (cout,), 0))

def _weighted_bound(a, p, axes):
    sums = np.abs(p['weight'].astype(np.int16)).sum(axes, dtype=np.int64)
    return int((np.abs(p['bias'].astype(np.int64)) + 128*sums).max()) << a['shift']

def _weighted_counts(pixels, taps, cin, cout, kept, live, read, edge=0, single=1):
    inputs, live = taps*cin, cout if live is None else live
    return (unit_counts(pixels, inputs, cout, pixels*inputs*cout, read) | dict(edge_pixels=edge)
            | dense_counts(pixels, inputs, cout, taps)
            | stream_counts(pixels, inputs, cout, kept, live)
            | scalar_counts(pixels, inputs, cout, kept, single))


def _draw_linear(rng, s):
    weight = random_weights(rng, s.cout, 1, s.cin, s.sparsity, s.block)[:, 0]
    p, shift = spread(rng, weight, s.zp_in)
    a = dict(pixels=s.tokens, cin=s.cin, cout=s.cout, shift=shift, zp_in=s.zp_in, zp_out=s.zp_out)
    return a, p | dict(weight=weight)

def _run_linear(a, p, x):
    x = x.reshape(-1, a['pixels'], a['cin'])
    return linear_s8(x, p['weight'], p['bias'], p['mult'], a['shift'], a['zp_out'])

def _linear_counts(a, kept=0, live=None):
    pixels, cin, cout = a['pixels'], a['cin'], a['cout']
    return _weighted_counts(pixels, 1, cin, cout, kept, live, pixels*cin)

_LINEAR_CALL = CCall(
    'linear', 'linear', (OUT, IN0, WEIGHT, ('struct', 'tfm_linear_dims'), _QUANT, SCRATCH),
    {('c', 'dense'): ('call', 'outputs', 'macs'), ('c', 'rle'): _STREAM,
     ('dsp', 'dense'): ('call', 'one_rows', 'one_macs', *_QUADS),
     ('dsp', 'rle'): ('call', *_TILES, 'few_rows', 'few_blocks', 'few_outputs'),
     ('scalar', 'dense'): ('call', *_FOURS['dense'], 'alone_rows', 'alone_macs'),
     ('scalar', 'rle'): ('call', *_FOURS['rle'], 'alone_rows', 'alone_blocks')},
    'tfm_linear_dims', _TILE_FILES)


_LINEAR = dict(
    attrs=dict(pixels=SIZE, cin=SIZE, cout=SIZE, **PER_CHANNEL), inputs=1, call=_LINEAR_CALL,
    params=_weighted_arrays('cout', 'cout', 'cin'),
    sizes=lambda a: ((a['pixels']*a['cin'],), a['pixels']*a['cout']),
    macs=lambda a: a['pixels']*a['cin']*a['cout'],
    reference=_run_linear, features=_linear_counts, bound=lambda a, p: _weighted_bound(a, p, 1))

def _draw_one(rng, s): return _draw_linear(rng, replace(s, tokens=1))

# one operator under three names: on a map, on tokens, and on a single vector
for _kind in ('pointwise', 'linear'):
    LAYERS[_kind] = Operator(
        _kind, **_LINEAR, draw=_draw_linear, window=lambda a: (1, 1, 0, 0), rows='pixels',
        prunable=lambda a: a['cin'] >= 4)
LAYERS['fully_connected'] = Operator('fully_connected', **_LINEAR, draw=_draw_one)


# ---- convolutions ----------------------------------------------------------------------------------------------------

# asked before sizes are multiplied: two negative sides make a positive product
def _window_fits(a, p, zps, zp):
    (rows, columns), room = spans(a), f"the map of {a['h']}x{a['w']}"
    if rows > a['h'] + a['top'] + a['bottom'] or columns > a['w'] + a['left'] + a['right']:
        yield 'kh', f'a window of {rows}x{columns} is larger than {room} with its padding'
    if a['kh']*a['kw'] > TAPS:
        yield 'kh', f"a window of {a['kh']}x{a['kw']} has more than {TAPS} taps"


def as_map(
    a:dict,        # h, w and cin or c
    x:np.ndarray,  # int8 [n, values]
)->np.ndarray:     # int8 [n, h, w, channels]
    "A batch of inputs as maps."
    return x.reshape(-1, a['h'], a['w'], a['cin'] if 'cin' in a else a['c'])

def map_values(
    a:dict,  # h, w and c
)->int:      # values of a map
    "How many values a map has."
    return a['h']*a['w']*a['c']

def _convolve(function, a, p, x):
    numbers = {n: a[n] for n in ('shift', 'zp_in', 'zp_out', *WINDOW)}
    return function(as_map(a, x), p['weight'], p['bias'], p['mult'], **numbers)

def all_rows(
    a:dict,  # attributes of a convolution or of a pool over windows
)->dict:     # fields of the structure tfm_band
    "The band that is the whole map."
    return dict(first=0, end=out_hw(a)[0], ring=a['h'])

def _window_attrs(**channels):
    return dict(h=SIZE, w=SIZE, **channels, kh=(1, TAPS), kw=(1, TAPS),
                **dict.fromkeys(WINDOW[:4], SIZE), **dict.fromkeys(WINDOW[4:], PAD), **PER_CHANNEL)

_CONV_ARGS = (OUT, IN0, WEIGHT, ('struct', 'tfm_conv_dims'), _QUANT, SCRATCH)
_WINDOWED = dict(window=lambda a: (spans(a)[0], a['sh'], a['top'], a['bottom']), rows='h',
                 check=_window_fits, inputs=1)


def _draw_conv(rng, s):
    kh, kw = s.window['kh'], s.window['kw']
    weight = random_weights(rng, s.cout, kh*kw, s.cin, s.sparsity, s.block)
    p, shift = spread(rng, weight.reshape(s.cout, -1), s.zp_in)
    a = dict(h=s.h, w=s.w, cin=s.cin, cout=s.cout, **s.window, shift=shift, zp_in=s.zp_in,
             zp_out=s.zp_out)
    return a, p | dict(weight=weight.reshape(s.cout, kh, kw, s.cin))

def _gathered(a): # share of the patches that the sparse kernel gathers: two rows share some of it
    oh, ow = out_hw(a)
    once = (ow % 8 == 0) & (a['dh'] == 1) & (a['sh'] < a['kh'])
    return 1 - once*(oh // 2)*(a['kh'] - a['sh']) / (oh*a['kh'])

def _conv_counts(a, kept=0, live=None):
    (oh, ow), taps, cin = out_hw(a), a['kh']*a['kw'], a['cin']
    counts = _weighted_counts(oh*ow, taps, cin, a['cout'], kept, live, a['h']*a['w']*cin,
                              edge_pixels(oh, ow, taps), 0)
    return counts | dict(tile_cin=counts['tile_cin']*_gathered(a))

_CONV_CALL = CCall(
    'conv', 'conv', _CONV_ARGS,
    {('c', 'dense'): ('call', 'outputs', 'macs'), ('c', 'rle'): _STREAM,
     ('dsp', 'dense'): ('call', 'pixels', 'edge_pixels', *_QUADS),
     ('dsp', 'rle'): ('call', 'pixels', 'edge_pixels', *_TILES),
     **{('scalar', f): ('call', 'pixels', *names) for f, names in _FOURS.items()}},
    'tfm_conv_dims', _TILE_FILES, rows=(('dsp', 'dense'), ('dsp', 'rle')))


LAYERS['conv3x3'] = Operator(
    'conv3x3', **_WINDOWED, attrs=_window_attrs(cin=SIZE, cout=SIZE), call=_CONV_CALL,
    params=_weighted_arrays('cout', 'cout', 'kh', 'kw', 'cin'),
    sizes=lambda a: ((a['h']*a['w']*a['cin'],), math.prod(out_hw(a))*a['cout']),
    macs=lambda a: math.prod(out_hw(a))*a['cout']*a['kh']*a['kw']*a['cin'],
    reference=lambda a, p, x: _convolve(conv_s8, a, p, x),
    features=_conv_counts, draw=_draw_conv, bound=lambda a, p: _weighted_bound(a, p, (1, 2, 3)),
    reads=lambda a: math.prod(out_hw(a))*a['kh']*a['kw'] / (a['h']*a['w']),
    bands=lambda a, isa, format: isa == 'dsp',
    prunable=lambda a: a['cin'] >= 4, c_values=lambda a, p: a | p | all_rows(a))


# ---- depthwise convolutions ------------------------------------------------------------------------------------------

def _draw_depthwise(rng, s):
    kh, kw = s.window['kh'], s.window['kw']
    weight = random_weights(rng, s.cin, 1, kh*kw, 0.)[:, 0]
    p, shift = spread(rng, weight, s.zp_in)
    a = dict(h=s.h, w=s.w, c=s.cin, **s.window, shift=shift, zp_in=s.zp_in, zp_out=s.zp_out)
    return a, p | dict(weight=weight.T.reshape(kh, kw, s.cin).copy())

def _in_planes(a): # windows that the dsp kernel takes in planes of 16 bits; the others tap by tap
    return ((a['kh'] == 3) & (a['kw'] == 3) & (a['sh'] == a['sw']) & (a['sh'] <= 2)
            & (a['dh'] == 1) & (a['dw'] == 1) & (a['left'] <= 1))

def _depthwise_counts(a, kept=0, live=None):
    (oh, ow), c, read = out_hw(a), a['c'], a['h']*a['w']*a['c']
    planes, pixels, taps = 1*_in_planes(a), oh*ow, a['kh']*a['kw']
    quads = (1 - planes) * -(-c // 4)
    rows = taps_inside(a['h'], oh, a['kh'], a['sh'], a['top'], a['dh'])
    columns = taps_inside(a['w'], ow, a['kw'], a['sw'], a['left'], a['dw'])
    return unit_counts(pixels, taps*c, c, pixels*taps*c, read) | dict(
        kernel_rows=pixels*c*a['kh'], plane_calls=planes, plane_channels=planes*c,
        plane_inputs=planes*read, plane_outputs=planes*pixels*c, tap_outputs=quads*pixels,
        tap_rows=quads*rows*ow, taps=quads*rows*columns)


def _same_3x3(a): return all(a[n] == v for n, v in Shape().window.items())

_DEPTHWISE_COSTS = ('plane_calls', 'plane_channels', 'plane_inputs', 'plane_outputs',
                    'tap_outputs', 'tap_rows', 'taps')
_DEPTHWISE_CALL = CCall(
    'depthwise', 'depthwise', _CONV_ARGS,
    {('c', 'dense'): ('call', 'outputs', 'kernel_rows', 'macs'),
     ('dsp', 'dense'): _DEPTHWISE_COSTS,
     ('scalar', 'dense'): ('call', 'pixels', 'outputs', 'macs')},
    'tfm_conv_dims', {('dsp', 'dense'): ('depthwise/tfm_depthwise3x3.c',),
                      ('scalar', 'dense'): ('scalar/tfm_scalar_put.c',)},
    rows=(('dsp', 'dense'),), narrow=((('dsp', 'dense'), 'depthwise3x3', _in_planes),))


LAYERS['depthwise3x3'] = Operator(
    'depthwise3x3', **_WINDOWED, attrs=_window_attrs(c=SIZE), call=_DEPTHWISE_CALL,
    params=_weighted_arrays('c', 'kh', 'kw', 'c'),
    sizes=lambda a: ((a['h']*a['w']*a['c'],), math.prod(out_hw(a))*a['c']),
    macs=lambda a: math.prod(out_hw(a))*a['c']*a['kh']*a['kw'],
    reference=lambda a, p, x: _convolve(depthwise_s8, a, p, x),
    features=_depthwise_counts, draw=_draw_depthwise,
    bound=lambda a, p: _weighted_bound(a, p, (0, 1)),
    bands=lambda a, isa, format: isa == 'dsp',
    in_place=lambda a, isa: (0,) if isa == 'dsp' and _same_3x3(a) else (),
    c_values=lambda a, p: a | p | dict(cin=a['c'], cout=a['c']) | all_rows(a))
