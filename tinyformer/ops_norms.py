"""Records of the norms: LayerNorm and RMSNorm."""
import math

import numpy as np

from .features import unit_counts
from .norms import layernorm_params, layernorm_s8, rmsnorm_params, rmsnorm_s8
from .record import CODE, IN0, MULT, OUT, SHIFT, SIZE, Array, CCall, Operator

NORMS = {} # kind -> Operator


# ---- LayerNorm -------------------------------------------------------------------------------------------------------

def _draw_layernorm(rng, s):
    gamma, beta, s_out = rng.normal(1, .5, s.cin), rng.normal(0, .5, s.cin), rng.uniform(0.01, 0.04)
    p = layernorm_params(gamma, beta, 0.03, 1e-5, s_out, s.cin)
    arrays = dict(gamma=p.pop('gamma'), beta=p.pop('beta'))
    return dict(tokens=s.tokens, c=s.cin, zp_out=s.zp_out, **p), arrays

def _run_layernorm(a, p, x):
    numbers = (a[n] for n in ('mult', 'shift', 'zp_out', 'eps_q'))
    return layernorm_s8(x.reshape(-1, a['tokens'], a['c']), p['gamma'], p['beta'], *numbers)

def _layernorm_bound(a, p):
    gamma, beta = (np.abs(p[n].astype(np.int64)) for n in ('gamma', 'beta'))
    return int((_unit_bound(a['c'])*gamma + beta).max()) << a['shift']

def _unit_bound(c): return 1025*(math.isqrt(c - 1) + 1) # of a normalised value, sqrt(c) * 2**10

def _layernorm_counts(a, kept=0, live=None):
    n = a['tokens']*a['c']
    return unit_counts(a['tokens'], a['c'], a['c'], 0, n) | dict(long_values=n*(a['c'] > 1024))


_NORM_COSTS = {('c', 'dense'): ('call', 'pixels', 'elements'),
               ('dsp', 'dense'): ('call', 'pixels', 'elements', 'long_values')}
NORMS['layernorm'] = Operator(
    'layernorm', inputs=1, draw=_draw_layernorm, bound=_layernorm_bound,
    attrs=dict(tokens=SIZE, c=SIZE, mult=MULT, shift=SHIFT, zp_out=CODE, eps_q=(0, 2**62 - 1)),
    params=dict(gamma=Array('int16', ('c',)), beta=Array('int32', ('c',))),
    call=CCall('layernorm', 'layernorm', (OUT, IN0, ('struct', 'tfm_layernorm')), _NORM_COSTS),
    sizes=lambda a: ((a['tokens']*a['c'],), a['tokens']*a['c']), macs=lambda a: 0*a['c'],
    reference=_run_layernorm, features=_layernorm_counts, reads=lambda a: 2,
    window=lambda a: (1, 1, 0, 0), rows='tokens', in_place=lambda a, isa: (0,))


# ---- RMSNorm ---------------------------------------------------------------------------------------------------------

def _draw_rmsnorm(rng, s):
    p = rmsnorm_params(rng.normal(1, .5, s.cin), 0.03, 1e-5, rng.uniform(0.01, 0.04), s.cin)
    arrays = dict(gamma=p.pop('gamma'))
    return dict(tokens=s.tokens, c=s.cin, zp_in=s.zp_in, zp_out=s.zp_out, **p), arrays

def _run_rmsnorm(a, p, x):
    numbers = (a[n] for n in ('zp_in', 'mult', 'shift', 'zp_out', 'eps_q'))
    return rmsnorm_s8(x.reshape(-1, a['tokens'], a['c']), p['gamma'], *numbers)

def _rmsnorm_bound(a, p):
    return int(_unit_bound(a['c'])*np.abs(p['gamma'].astype(np.int64)).max()) << a['shift']

NORMS['rmsnorm'] = Operator(
    'rmsnorm', inputs=1, draw=_draw_rmsnorm, bound=_rmsnorm_bound, attrs=dict(
        tokens=SIZE, c=SIZE, zp_in=CODE, mult=MULT, shift=SHIFT, zp_out=CODE, eps_q=(0, 2**62 - 1)),
    params=dict(gamma=Array('int16', ('c',))), call=CCall(
        'rmsnorm', 'layernorm', (OUT, IN0, ('struct', 'tfm_rmsnorm')), {
            ('c', 'dense'): _NORM_COSTS['c', 'dense']}),
    sizes=lambda a: ((a['tokens']*a['c'],), a['tokens']*a['c']), macs=lambda a: 0*a['c'],
    reference=_run_rmsnorm, features=_layernorm_counts, reads=lambda a: 2,
    window=lambda a: (1, 1, 0, 0), rows='tokens', in_place=lambda a, isa: (0,))
