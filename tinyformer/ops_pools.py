"""Records of the pools: the mean of a whole map, 2x2 maxima, and both pools over windows."""
import numpy as np

from .features import taps_inside, unit_counts
from .integers import requant_params
from .ops_layers import all_rows, as_map, map_values
from .record import CODE, IN0, INT32, MULT, OUT, PER_CHANNEL, SHIFT, SIZE, SIZE_OR_0, Array, CCall, Operator
from .windows import (POOL, avgpool2d_params, avgpool2d_s8, avgpool_s8, count_range, maxpool2x2_s8, maxpool_s8, out_hw)

POOLS = {} # kind -> Operator


# ---- the mean of a map, and 2x2 maxima -------------------------------------------------------------------------------

def _draw_avgpool(rng, s):
    mult, shift = requant_params(rng.uniform(0.5, 3) / (s.h*s.w))
    return dict(h=s.h, w=s.w, c=s.cin, bias=-s.h*s.w*s.zp_in, mult=int(mult), shift=shift,
                zp_out=s.zp_out), {}

_POOL_COSTS = dict.fromkeys((('c', 'dense'), ('dsp', 'dense')), ('call', 'elements', 'pixel_cin'))
POOLS['avgpool'] = Operator(
    'avgpool', params={}, inputs=1, draw=_draw_avgpool,
    attrs=dict(h=SIZE, w=SIZE, c=SIZE, bias=INT32, mult=MULT, shift=SHIFT, zp_out=CODE),
    call=CCall('avgpool', 'pool', (OUT, IN0, ('struct', 'tfm_pool')), _POOL_COSTS),
    sizes=lambda a: ((map_values(a),), a['c']), macs=lambda a: 0*a['c'],
    reference=lambda a, p, x: avgpool_s8(as_map(a, x), a['bias'], a['mult'], a['shift'], a['zp_out']),
    features=lambda a, kept=0, live=None: unit_counts(1, map_values(a), a['c'], 0, map_values(a)),
    bound=lambda a, p: (128 * a['h'] * a['w'] + abs(a['bias'])) << a['shift'])


def _halves(a, p, zps, zp):
    if a['h'] % 2 or a['w'] % 2: yield '', 'needs even sizes'

def _maxpool_counts(a, kept=0, live=None):
    return unit_counts(a['h']*a['w'] // 4, 4*a['c'], a['c'], 0, map_values(a))

POOLS['maxpool2x2'] = Operator(
    'maxpool2x2', params={}, inputs=1, check=_halves, features=_maxpool_counts,
    attrs=dict(h=SIZE, w=SIZE, c=SIZE), draw=lambda rng, s: (dict(h=s.h, w=s.w, c=s.cin), {}),
    call=CCall('maxpool2x2', 'pool', (OUT, IN0, ('int', 'h'), ('int', 'w'), ('int', 'c')),
               {('c', 'dense'): ('call', 'elements'),
                ('dsp', 'dense'): ('call', 'pixels', 'elements')}),
    sizes=lambda a: ((map_values(a),), map_values(a) // 4), macs=lambda a: 0*a['c'],
    reference=lambda a, p, x: maxpool2x2_s8(as_map(a, x)), window=lambda a: (2, 2, 0, 0), rows='h',
    moves=True)


# ---- pools over windows ----------------------------------------------------------------------------------------------

_POOL_ATTRS = dict(h=SIZE, w=SIZE, c=SIZE, **dict.fromkeys(POOL[:6], SIZE), top=SIZE_OR_0,
                   left=SIZE_OR_0, adaptive=(0, 1))

def _pool_fits(a):
    plain = a['kh'] == a['kw'] == a['sh'] == a['sw'] == 1 and a['top'] == a['left'] == 0
    if a['adaptive'] and not plain:
        yield 'adaptive', 'its windows follow from the sizes: kernel and stride are 1, padding 0'
    if a['adaptive']: return
    sides = ('h', 'oh', 'kh', 'sh', 'top'), ('w', 'ow', 'kw', 'sw', 'left')
    for size, out, k, stride, pad in sides:
        if a[pad] >= a[k]: yield pad, f'{a[pad]} is not below {k} = {a[k]}'
        if (a[out] - 1)*a[stride] - a[pad] >= a[size]:
            yield out, 'the last window lies outside the map with its padding'

# Windows that share rows or skip some make a band from a ring of rows, as a convolution does. Those of an adaptive pool
# have no constant stride, so it runs whole.
def _pool_rows(a): # (rows, stride, padding above, below): below follows from the output's height
    below = (a['oh'] - 1)*a['sh'] + a['kh'] - a['h'] - a['top']
    return None if a['adaptive'] else (a['kh'], a['sh'], a['top'], below)


def _pool_counts(a, kept=0, live=None):
    pixels, c, adaptive = a['oh']*a['ow'], a['c'], a['adaptive']
    def covered(size, out, k, stride, pad): # rows or columns of all windows
        return (adaptive*(size + out - np.gcd(size, out))
                + (1 - adaptive)*taps_inside(size, out, k, stride, pad))
    rows = covered(a['h'], a['oh'], a['kh'], a['sh'], a['top'])
    taps = rows*covered(a['w'], a['ow'], a['kw'], a['sw'], a['left'])
    wide, narrow, quads = c // 16, -(-(c % 16) // 4) + (c < 4)*(c - 1), -(-c // 4)
    return unit_counts(pixels, 0, c, 0, map_values(a)) | dict(
        pixel_cin=taps*c, output_rows=rows*a['ow']*c, wide_taps=taps*wide,
        narrow_taps=taps*narrow, passes=pixels*(wide + narrow),
        pass_rows=rows*a['ow']*(wide + narrow),
        quads=pixels*quads, quad_rows=rows*a['ow']*quads, quad_taps=taps*quads)


def _draw_pool(rng, s):
    w, size = s.window, dict(h=s.h, w=s.w, c=s.cin)
    if w.get('adaptive'):
        return size | dict.fromkeys(POOL, 1) | dict(oh=w['oh'], ow=w['ow'], top=0, left=0)
    a = dict(dh=1, dw=1, kh=min(w['kh'], s.h), kw=min(w['kw'], s.w), sh=w['sh'], sw=w['sw'])
    for side in ('top', 'bottom'): a[side] = min(w[side], a['kh'] - 1)
    for side in ('left', 'right'): a[side] = min(w[side], a['kw'] - 1)
    oh, ow = out_hw(size | a)
    return size | {n: a[n] for n in POOL if n in a} | dict(oh=oh, ow=ow, adaptive=0)

def _draw_mean(rng, s):
    a = _draw_pool(rng, s)
    a['count_pad'] = int(rng.integers(2)) if not a['adaptive'] else 0
    p = avgpool2d_params(a, rng.uniform(.5, 3), 1.)
    return a | dict(shift=p['shift'], zp_in=s.zp_in, zp_out=s.zp_out), dict(mult=p['mult'])

_POOLS = dict(inputs=1, features=_pool_counts, window=_pool_rows, rows='h', macs=lambda a: 0*a['c'],
              sizes=lambda a: ((map_values(a),), a['oh']*a['ow']*a['c']),
              bands=lambda a, isa, format: isa == 'dsp' and not a['adaptive'])
def _pool_costs(*dsp):
    return {('c', 'dense'): ('call', 'outputs', 'output_rows', 'pixel_cin'),
            ('dsp', 'dense'): ('call', 'pixels', *dsp)}

_POOL_ARGS = OUT, IN0, ('struct', 'tfm_pool_dims')

def _of_pool(a): return {n: a[n] for n in POOL}


POOLS['maxpool'] = Operator(
    'maxpool', **_POOLS, params={}, attrs=_POOL_ATTRS, moves=True,
    check=lambda a, p, zps, zp: _pool_fits(a),
    draw=lambda rng, s: (_draw_pool(rng, s), {}),
    call=CCall('maxpool', 'pool', _POOL_ARGS,
               _pool_costs('passes', 'pass_rows', 'wide_taps', 'narrow_taps'),
               rows=(('dsp', 'dense'),)),
    reference=lambda a, p, x: maxpool_s8(as_map(a, x), **_of_pool(a)),
    c_values=lambda a, p: a | all_rows(a))

def _mean_fits(a, p, zps, zp):
    yield from _pool_fits(a)
    if a['adaptive'] and a['count_pad']: yield 'count_pad', 'an adaptive pool has no padding'

def _multipliers(a): # how many
    least, most = count_range(a)
    return most - least + 1


POOLS['avgpool2d'] = Operator(
    'avgpool2d', **_POOLS, draw=_draw_mean, check=_mean_fits,
    attrs=_POOL_ATTRS | dict(count_pad=(0, 1), **PER_CHANNEL),
    params=dict(mult=Array('int32', (_multipliers,), 0)),
    call=CCall('avgpool2d', 'pool', (*_POOL_ARGS, ('struct', 'tfm_pool_quant')),
               _pool_costs('quads', 'quad_rows', 'quad_taps'), rows=(('dsp', 'dense'),)),
    reference=lambda a, p, x: avgpool2d_s8(
        as_map(a, x), p['mult'], **_of_pool(a) | {n: a[n] for n in ('count_pad', *PER_CHANNEL)}),
    bound=lambda a, p: 255 * count_range(a | dict(count_pad=0))[1] << a['shift'],
    c_values=lambda a, p: a | p | all_rows(a) | dict(least=count_range(a)[0]))
