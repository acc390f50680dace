"""Records of attention: whole, and as three operators with the scores in memory."""
import numpy as np

from .features import head_counts, unit_counts
from .record import CODE, IN0, IN1, IN2, MULT, OUT, SCRATCH, SHIFT, SIZE, TOKENS, Array, CCall, Operator
from .softmax import attention_params, attention_s8, matmul_av_s8, matmul_qk_s8, softmax_s8

ATTENTION = {} # kind -> Operator


# ---- attention whole -------------------------------------------------------------------------------------------------

# q, k and v have zero point 0, and heads divide both widths. What a causal query does not see is not counted as work.
def _table_falls(a, p, zps, zp):
    t = p['table']
    if t[0] != 65535 or (t[1:] > t[:-1]).any(): yield 'table', 'must fall from 65535'

def _heads_fit(a, p, zps, zp):
    if any(zps) or any(a.get(n, 0) % a['heads'] for n in ('dim', 'vdim')):
        yield '', 'q, k, v must have zero point 0, and heads divide dim and vdim'
    if a.get('causal') and a['keys'] < a['tokens']:
        yield 'causal', f"needs as many keys as tokens, {a['tokens']}, or more"
    if 'table' in p: yield from _table_falls(a, p, zps, zp)

# C wants the table from its far end, so that a score added to an address finds its entry, and in int16 for SMLAD, SMLAW
def _c_table(a, p): return a | dict(table=(p['table'][::-1] - 32768.).astype(np.int16))

def _pairs(a): # of a query and a key that it sees
    return a['tokens']*a['keys'] - a.get('causal', 0)*(a['tokens']*(a['tokens'] - 1) // 2)

def _attention_counts(a, dim, vdim, read, written):
    pairs, size = _pairs(a), (a['tokens'], a['keys'], a['heads'])
    whole = unit_counts(a['tokens'], dim, written // a['tokens'], pairs*(dim + vdim), read)
    return (whole | dict(pairs=a['heads']*pairs)
            | head_counts(*size, dim, vdim, a.get('causal', 0)))

def _random_attention(rng, s):
    s_score, s_out = rng.uniform(0.02, 0.2), rng.uniform(0.3, 1.2)
    return attention_params(1/74, 1/74, 1., s_score, s_out, s.zp_out, s.cin, s.heads)


_HEADS = dict(tokens=TOKENS, keys=TOKENS, dim=SIZE, heads=SIZE)
_TABLE = dict(table=Array('uint16', (256,)))
_HEAD_COSTS = ('call', 'head_rows', 'head_pairs', 'head_macs', 'head_keys', 'head_words',
               'head_outputs', 'head_rests')

def _attention_sizes(a):
    t, s, d, e = (a[n] for n in ('tokens', 'keys', 'dim', 'vdim'))
    return (t*d, s*d, s*e), t*e

def _draw_attention(rng, s):
    p = _random_attention(rng, s)
    arrays = dict(table=p.pop('table'))
    size = dict(tokens=s.tokens, keys=s.keys, dim=s.cin, vdim=s.vdim, heads=s.heads)
    return dict(**size, causal=s.causal, **p), arrays

def _run_attention(a, p, *qkv):
    q, k, v = (x.reshape(len(x), a[n], -1) for x, n in zip(qkv, ('tokens', 'keys', 'keys')))
    return attention_s8(q, k, v, a['heads'], a['mult_qk'], a['shift_qk'], p['table'], a['mult_av'],
                        a['shift_av'], a['zp_out'], a['causal'])

def _attention_bound(a, p):
    scores = 128*128 * (a['dim'] // a['heads']) << a['shift_qk']
    return max(scores, 128 * (256 + a['keys']) << a['shift_av'])


def _four_queries(a): # what is done once for four queries
    t, s, fours = a['tokens'], a['keys'], -(-a['tokens'] // 4)
    unseen = a['causal']*(fours*t - 2*fours*(fours + 1) + 4*fours - t)
    seen = fours*s - unseen
    return dict(four_keys=seen*a['heads'], four_qk=seen*a['dim'], four_av=seen*a['vdim'],
                four_q=fours*a['dim'], four_v=fours*a['vdim'])

def _whole_counts(a, kept=0, live=None):
    read, written = _attention_sizes(a)
    counts = _attention_counts(a, a['dim'], a['vdim'], sum(read), written)
    return counts | _four_queries(a)


_FOUR_COSTS = 'four_keys', 'four_qk', 'four_av', 'four_q', 'four_v'
ATTENTION['attention'] = Operator(
    'attention', inputs=3, draw=_draw_attention, check=_heads_fit, params=_TABLE,
    attrs=dict(tokens=TOKENS, keys=TOKENS, dim=SIZE, vdim=SIZE, heads=SIZE, causal=(0, 1),
               mult_qk=MULT, shift_qk=SHIFT, mult_av=MULT, shift_av=SHIFT, zp_out=CODE),
    call=CCall('attention', 'attention',
               (OUT, IN0, IN1, IN2, ('struct', 'tfm_attention'), SCRATCH),
               {('c', 'dense'): ('call', 'pairs', 'macs', 'outputs'),
                ('dsp', 'dense'): (*_HEAD_COSTS, 'head_tails', 'head_hidden'),
                ('scalar', 'dense'): ('call', 'pairs', 'outputs', *_FOUR_COSTS)}, 'tfm_attention',
               {('scalar', 'dense'): ('scalar/tfm_scalar_put.c',)}),
    sizes=_attention_sizes, macs=lambda a: _pairs(a)*(a['dim'] + a['vdim']),
    reference=_run_attention, bound=_attention_bound, features=_whole_counts,
    in_place=lambda a, isa: (0,) if a['dim'] == a['vdim'] else (), c_values=_c_table)


# ---- in three operators, with the scores in memory: for comparison ---------------------------------------------------

# The product with v also serves sequence pooling, where one row of shares weighs all tokens. Its codes need not come
# from a softmax, which the bound respects.
def _draw_matmul(part):
    def draw(rng, s):
        p = _random_attention(rng, s)
        return dict(tokens=s.tokens, keys=s.keys, dim=s.cin, heads=s.heads, mult=p[f'mult_{part}'],
                    shift=p[f'shift_{part}'], zp_out=s.zp_out), {}
    return draw

def _scores(a): return a['heads']*a['tokens']*a['keys']

def _rows(a, n, x): return x.reshape(-1, a[n], a['dim'])

def _matmul_call(name, plain_costs, costs):
    return CCall(name, 'attention', (OUT, IN0, IN1, ('struct', 'tfm_matmul'), SCRATCH),
                 {('c', 'dense'): plain_costs, ('dsp', 'dense'): costs}, 'tfm_matmul')

def _run_qk(a, p, q, k):
    q, k = _rows(a, 'tokens', q), _rows(a, 'keys', k)
    return matmul_qk_s8(q, k, a['heads'], a['mult'], a['shift'], a['zp_out'])

_MATMUL = dict(attrs=_HEADS | dict(mult=MULT, shift=SHIFT, zp_out=CODE), params={}, inputs=2,
               macs=lambda a: a['tokens']*a['keys']*a['dim'])


def _qk_sizes(a): return (a['tokens']*a['dim'], a['keys']*a['dim']), _scores(a)

def _qk_counts(a, kept=0, live=None):
    read, written = _qk_sizes(a)
    return _attention_counts(a, a['dim'], 0, sum(read), written)

ATTENTION['matmul_qk'] = Operator(
    'matmul_qk', **_MATMUL, draw=_draw_matmul('qk'), check=_heads_fit, reference=_run_qk,
    call=_matmul_call('matmul_qk', ('call', 'pairs', 'macs'), _HEAD_COSTS),
    sizes=_qk_sizes, features=_qk_counts,
    bound=lambda a, p: 128*128 * (a['dim'] // a['heads']) << a['shift'])


def _draw_softmax(rng, s):
    return dict(rows=s.heads*s.tokens, n=s.keys), dict(table=_random_attention(rng, s)['table'])

def _probabilities(a, p, zps, zp):
    yield from _table_falls(a, p, zps, zp)
    if zp != -128: yield '', 'its output must have zero point -128'

def _softmax_counts(a, kept=0, live=None):
    n = a['rows']*a['n']
    tails = a['rows']*((a['n'] % 8 + 3) // 4)      # groups of four that are left over from eights
    return unit_counts(n, 1, 1, 0, n) | dict(head_rows=a['rows'], head_tails=tails)

_ROW_COSTS = {('c', 'dense'): ('call', 'head_rows', 'elements'),
              ('dsp', 'dense'): ('call', 'head_rows', 'elements', 'head_tails')}
ATTENTION['softmax'] = Operator(
    'softmax', inputs=1, draw=_draw_softmax, check=_probabilities, features=_softmax_counts,
    attrs=dict(rows=SIZE, n=TOKENS), params=_TABLE,
    call=CCall('softmax', 'attention', (OUT, IN0, ('struct', 'tfm_softmax'), SCRATCH), _ROW_COSTS,
               'tfm_softmax'),
    sizes=lambda a: ((a['rows']*a['n'],), a['rows']*a['n']), macs=lambda a: 0*a['n'],
    reference=lambda a, p, x: softmax_s8(x.reshape(-1, a['rows'], a['n']), p['table']),
    in_place=lambda a, isa: (0,), c_values=_c_table)


def _mixes(a, p, zps, zp):
    if zps[0] != -128: yield '', 'probabilities must have zero point -128'
    yield from _heads_fit(a, p, zps[1:], zp)

def _mix(a, p, prob, v):
    prob = prob.reshape(-1, a['heads'], a['tokens'], a['keys'])
    return matmul_av_s8(prob, _rows(a, 'keys', v), a['mult'], a['shift'], a['zp_out'])

def _av_sizes(a): return (_scores(a), a['keys']*a['dim']), a['tokens']*a['dim']

def _av_counts(a, kept=0, live=None):
    read, written = _av_sizes(a)
    return _attention_counts(a, 0, a['dim'], sum(read), written)

ATTENTION['matmul_av'] = Operator(
    'matmul_av', **_MATMUL, draw=_draw_matmul('av'), check=_mixes, reference=_mix,
    call=_matmul_call('matmul_av', ('call', 'macs', 'outputs'), _HEAD_COSTS),
    sizes=_av_sizes, bound=lambda a, p: 128*255 * a['keys'] << a['shift'],
    features=_av_counts)
STEPS = 'matmul_qk', 'softmax', 'matmul_av' # attention with its scores in memory: for comparison
