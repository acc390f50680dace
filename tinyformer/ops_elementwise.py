"""Records of the operators that work value by value: sums, products, tables, constants and movements of data."""
import math

import numpy as np

from .elementwise import AXES, add_params, add_s8, concat_s8, copy_attrs, copy_index, lut_s8, mul_s8, over_rows, pad_s8
from .features import add_counts, unit_counts
from .instances import zero_point
from .integers import requant_params
from .ops_layers import as_map, map_values
from .record import CODE, IN0, IN1, INT32, MULT, OUT, SHIFT, SIZE, VALUES, Array, CCall, Operator

ELEMENTWISE = {} # kind -> Operator


# ---- sums ------------------------------------------------------------------------------------------------------------

def _draw_add(rng, s):
    s_a, s_b, s_out = rng.uniform(0.01, 0.1, 3)
    scales = s_a, s.zp_in, s_b, zero_point(rng), s_out, s.zp_out
    return dict(n=s.tokens*s.cin, **add_params(*scales, *_signs(rng))), {}

def _signs(rng): return (1, 1) if rng.random() < .5 else rng.choice([-1, 1], 2).tolist()

def _run_add(a, p, x, y):
    x, y = (z.reshape(len(z), -1) for z in (x, y))
    return add_s8(x, y, a['mult_a'], a['mult_b'], a['bias'], a['shift'])

def _add_counts(a, kept=0, live=None):
    return unit_counts(a['n'], 1, 1, 0, 2*a['n']) | add_counts(a['n'], a.get('shift', 16))

_ADDS = dict(params={}, inputs=2,
             bound=lambda a, p: 128 * (abs(a['mult_a']) + abs(a['mult_b'])) + abs(a['bias']))
_ADD_ATTRS = dict(mult_a=(-32767, 32767), mult_b=(-32767, 32767), bias=INT32, shift=(1, 20))
ELEMENTWISE['add'] = Operator(
    'add', **_ADDS, draw=_draw_add, reference=_run_add, features=_add_counts,
    attrs=dict(n=VALUES, **_ADD_ATTRS), call=CCall(
        'add', 'add', (OUT, IN0, IN1, ('struct', 'tfm_add')), {
            ('c', 'dense'): ('call', 'elements'),
            ('dsp', 'dense'): ('call', 'usual_adds', 'other_adds')}),
    sizes=lambda a: ((a['n'], a['n']), a['n']), macs=lambda a: 0*a['n'],
    window=lambda a: (1, 1, 0, 0), rows='n', in_place=lambda a, isa: (0, 1))


# ---- tables ----------------------------------------------------------------------------------------------------------

# C gets the table in another order, codes 0 to 127 and then -128 to -1, so that a byte is an index as it is
def _draw_lut(rng, s):
    return dict(n=s.tokens*s.cin), dict(table=rng.integers(-128, 128, 256).astype(np.int8))

ELEMENTWISE['lut'] = Operator(
    'lut', attrs=dict(n=VALUES), params=dict(table=Array('int8', (256,))), inputs=1, draw=_draw_lut,
    call=CCall('lut', 'lut', (OUT, IN0, ('array', 'table'), ('int', 'n')),
               dict.fromkeys((('c', 'dense'), ('dsp', 'dense')), ('call', 'elements'))),
    sizes=lambda a: ((a['n'],), a['n']), macs=lambda a: 0*a['n'],
    reference=lambda a, p, x: lut_s8(x.reshape(len(x), -1), p['table']),
    features=lambda a, kept=0, live=None: unit_counts(a['n'], 1, 1, 0, a['n']),
    window=lambda a: (1, 1, 0, 0), rows='n', in_place=lambda a, isa: (0,),
    c_values=lambda a, p: a | dict(table=np.roll(p['table'], 128)))


# ---- two tensors of which the second may be spread over the first ----------------------------------------------------

# A row of factors is read again for every row of the output: `whole` names it, and the output is never written over it.
_PAIR = dict(outer=VALUES, inner=VALUES)
_ROWS = dict(window=lambda a: (1, 1, 0, 0), rows='outer',
             whole=lambda a: (1,) if a['b'] == 1 else ())

def _pair(a): return a['outer']*a['inner'] # values of the first input

def _second(a): return {0: _pair(a), 1: a['inner'], 2: a['outer']}[a['b']] # values of the other

def _pair_sizes(a): return (_pair(a), _second(a)), _pair(a)

def _pair_inputs(a, x, y):
    outer, inner = a['outer'], a['inner']
    return x.reshape(len(x), outer, inner), over_rows(y, outer, inner, a['b'])

def _pair_counts(a, kept=0, live=None):
    one, n, outer = a['b'] == 2, _pair(a), a['outer'] # one value of the second input for each row
    kinds = dict(own_values=n*(1 - one), own_rows=outer*(a['b'] == 1), one_values=n*one,
                 one_rows=outer*one)
    return unit_counts(a['outer'], a['inner'], a['inner'], 0, n + _second(a)) | kinds

_PAIR_COSTS = {('c', 'dense'): ('call', 'pixels', 'elements'),
               ('dsp', 'dense'): ('call', 'own_values', 'own_rows', 'one_values', 'one_rows')}


def _draw_mul(rng, s):
    top = 4 if rng.random() < .1 else .02 # a large ratio needs a pre-shift
    mult, shift = requant_params(rng.uniform(.1, 1)*top)
    return dict(outer=s.tokens, inner=s.cin, b=int(rng.integers(3)), zp_a=s.zp_in,
                zp_b=zero_point(rng), zp_out=s.zp_out, mult=int(mult), shift=shift), {}

_FACTORS = 'zp_a', 'zp_b', 'zp_out', 'mult', 'shift'

def _run_mul(a, p, x, y): return mul_s8(*_pair_inputs(a, x, y), *(a[n] for n in _FACTORS))

def _own_zero_points(a, p, zps, zp):
    for name, want in zip(('zp_a', 'zp_b'), zps):
        if a[name] != want: yield name, f'is {a[name]}, its input has {want}'

ELEMENTWISE['mul'] = Operator(
    'mul', params={}, inputs=2, draw=_draw_mul, reference=_run_mul, features=_pair_counts, **_ROWS,
    attrs=dict(**_PAIR, b=(0, 2), zp_a=CODE, zp_b=CODE, zp_out=CODE, mult=MULT, shift=SHIFT),
    call=CCall('mul', 'mul', (OUT, IN0, IN1, ('struct', 'tfm_mul')), _PAIR_COSTS),
    sizes=_pair_sizes, macs=lambda a: 0*a['inner'], check=_own_zero_points,
    bound=lambda a, p: 255*255 << a['shift'], in_place=lambda a, isa: (0,) if a['b'] else (0, 1))


def _draw_add_broadcast(rng, s):
    a, _ = _draw_add(rng, s)
    del a['n']
    return dict(outer=s.tokens, inner=s.cin, b=int(rng.integers(1, 3)), **a), {}

def _run_add_broadcast(a, p, x, y):
    return add_s8(*_pair_inputs(a, x, y), a['mult_a'], a['mult_b'], a['bias'], a['shift'])

def _add_broadcast_counts(a, kept=0, live=None):
    counts = _pair_counts(a)
    return counts | add_counts(counts['own_values'], a.get('shift', 16))

ELEMENTWISE['add_broadcast'] = Operator(
    'add_broadcast', **_ADDS, **_ROWS, draw=_draw_add_broadcast, reference=_run_add_broadcast,
    features=_add_broadcast_counts, attrs=dict(**_PAIR, b=(1, 2), **_ADD_ATTRS), call=CCall(
        'add_broadcast', 'add', (OUT, IN0, IN1, ('struct', 'tfm_add_broadcast')), {
            ('c', 'dense'): ('call', 'pixels', 'elements'),
            ('dsp', 'dense'): ('call', 'usual_adds', 'other_adds', 'own_rows', 'one_values',
                               'one_rows')},
        files={('dsp', 'dense'): ('add/tfm_add_s8_dsp.c',)}),
    sizes=_pair_sizes, macs=lambda a: 0*a['inner'], in_place=lambda a, isa: (0,))


# ---- constants -------------------------------------------------------------------------------------------------------

# the same tensor for every image: its reference makes a batch of one
def _draw_const(rng, s):
    n = s.tokens*s.cin
    return dict(n=n), dict(data=rng.integers(-128, 128, n).astype(np.int8))

def _byte_counts(words, others): return dict(word_bytes=words, other_bytes=others)

def _const_counts(a, kept=0, live=None):
    return unit_counts(1, a['n'], a['n'], 0, a['n']) | _byte_counts(a['n'], 0*a['n'])

ELEMENTWISE['const'] = Operator(
    'const', attrs=dict(n=VALUES), params=dict(data=Array('int8', ('n',))), inputs=0,
    draw=_draw_const, features=_const_counts, reference=lambda a, p: p['data'][None],
    call=CCall('const', 'copy', (OUT, ('array', 'data'), ('int', 'n')),
               {('c', 'dense'): ('call', 'word_bytes')}),
    sizes=lambda a: ((), a['n']), macs=lambda a: 0*a['n'])


def _draw_concat(rng, s): return dict(outer=s.tokens, a=s.cin, b=s.cout), {}

def _run_concat(a, p, x, y):
    return concat_s8(*(v.reshape(len(v), a['outer'], -1) for v in (x, y)))

def _joined(a): return a['a'] + a['b'] # values of a row

def _concat_counts(a, kept=0, live=None):
    n, odd = a['outer']*_joined(a), (a['a'] % 4 > 0) | (a['b'] % 4 > 0)
    return unit_counts(a['outer'], _joined(a), _joined(a), 0, n) | _byte_counts(n*(1 - odd), n*odd)

ELEMENTWISE['concat'] = Operator(
    'concat', attrs=dict(outer=VALUES, a=VALUES, b=VALUES), params={}, inputs=2, draw=_draw_concat,
    reference=_run_concat, features=_concat_counts, moves=True, macs=lambda a: 0*a['a'], call=CCall(
        'concat', 'copy', (OUT, IN0, IN1, ('int', 'outer'), ('int', 'a'), ('int', 'b')), {
            ('c', 'dense'): ('call', 'pixels', 'word_bytes', 'other_bytes')}),
    sizes=lambda a: ((a['outer']*a['a'], a['outer']*a['b']), a['outer']*_joined(a)),
    window=lambda a: (1, 1, 0, 0), rows='outer')


# ---- copies ----------------------------------------------------------------------------------------------------------

# Values that lie side by side are copied as one run. A place outside the input is refused before anything is read.
_D, _S = tuple(f'd{i}' for i in range(AXES)), tuple(f's{i}' for i in range(AXES))

def _copied(a): return math.prod(a[n] for n in _D) # values of the output

def _inside(a, p, zps, zp):
    ends = [(a[d] - 1)*a[s] for d, s in zip(_D, _S)]
    low, high = (a['base'] + sum(f(0, e) for e in ends) for f in (min, max))
    if low < 0 or high >= a['n_in']:
        yield '', f"reads places {low} to {high} of an input of {a['n_in']} values"

def _copy_counts(a, kept=0, live=None):
    n, run, last, joined = _copied(a), 1, 1, 1
    for d, s in zip(reversed(_D), reversed(_S)):
        joined = joined * ((a[d] == 1) | (a[s] == run))
        run = run * (1 + (a[d] - 1)*joined)
        last = last + (a[d] - 1)*(last == 1) # the innermost axis of more than one value
    single, odd = run == 1, run % 4 > 0
    gathers = dict(runs=n // run*(1 - single), gathers=n // last*single, gathered=n*single)
    return unit_counts(n, 1, 1, 0, n) | gathers | _byte_counts(n*(1 - odd), n*odd*(1 - single))


def _draw_copy(rng, s):
    parts = int(rng.choice([k for k in range(1, s.cin + 1) if s.cin % k == 0]))
    x = np.arange(s.tokens*s.cin).reshape(s.tokens, parts, -1)
    if rng.random() < .7: x = x.transpose(rng.permutation(3))
    x = x[tuple(slice(None, None, step) for step in rng.choice([1, 1, 1, -1, 2], 3).tolist())]
    if rng.random() < .3: x = np.broadcast_to(x[:, None], (len(x), 2, *x.shape[1:]))
    strides = [k // x.itemsize for k in x.strides]
    return copy_attrs(x.shape, strides, x.flat[0], s.tokens*s.cin), {}

def _run_copy(a, p, x):
    return x.reshape(len(x), -1)[:, copy_index([a[n] for n in _D], [a[n] for n in _S], a['base'])]

ELEMENTWISE['copy'] = Operator(
    'copy', params={}, inputs=1, draw=_draw_copy, reference=_run_copy, features=_copy_counts,
    attrs=dict(**dict.fromkeys(_D, VALUES), **dict.fromkeys(_S, (-2**30, 2**30)), base=(0, 2**30),
               n_in=VALUES),
    call=CCall('copy', 'copy', (OUT, IN0, ('struct', 'tfm_copy')), {
        ('c', 'dense'): ('call', 'runs', 'gathers', 'gathered', 'word_bytes', 'other_bytes')}),
    sizes=lambda a: ((a['n_in'],), _copied(a)), macs=lambda a: 0*a['n_in'], check=_inside,
    moves=True)


# ---- borders and gaps ------------------------------------------------------------------------------------------------

_SIDES = 'top', 'bottom', 'left', 'right', 'gap_h', 'gap_w'

def _draw_pad(rng, s):
    gaps = rng.integers(0, 3, 2) * (rng.random() < .4)
    sides = zip(_SIDES, (*rng.integers(0, 4, 4).tolist(), *gaps.tolist()))
    return dict(h=s.h, w=s.w, c=s.cin, **dict(sides), value=s.zp_in), {}

def _padded(a): # values of the output
    rows = a['top'] + a['h'] + (a['h'] - 1)*a['gap_h'] + a['bottom']
    return rows * (a['left'] + a['w'] + (a['w'] - 1)*a['gap_w'] + a['right']) * a['c']

def _pad_counts(a, kept=0, live=None):
    apart, n = a['gap_w'] > 0, a['h']*a['w']*a['c']
    runs = a['h'] * (1 + (a['w'] - 1)*apart)
    odd = (a['c']*(1 + (a['w'] - 1)*(1 - apart)) % 4 > 0)
    filled = dict(runs=runs, filled=_padded(a) - n)
    return unit_counts(a['h'], a['w'], a['c'], 0, n) | filled | _byte_counts(n*(1 - odd), n*odd)

ELEMENTWISE['pad'] = Operator(
    'pad', params={}, inputs=1, draw=_draw_pad, features=_pad_counts, moves=True,
    attrs=dict(h=SIZE, w=SIZE, c=SIZE, **dict.fromkeys(_SIDES, (0, 32767)), value=CODE),
    call=CCall('pad', 'copy', (OUT, IN0, ('struct', 'tfm_pad')), {
        ('c', 'dense'): ('call', 'runs', 'filled', 'word_bytes', 'other_bytes')}),
    sizes=lambda a: ((map_values(a),), _padded(a)), macs=lambda a: 0*a['c'],
    reference=lambda a, p, x: pad_s8(as_map(a, x), *(a[n] for n in _SIDES), a['value']))
