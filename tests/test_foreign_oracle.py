"""A second opinion from a stranger: torch's own int8 operators (QNNPACK for convolutions and layers) agree with ours
within one step of the output. They round otherwise, share no code with ours, and know nothing of our contract."""
import math, warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tinyformer import graph as tg, operators as ops

CASES = 200         # of each operator
Q = torch.ops.quantized


@pytest.fixture(autouse=True)
def qnnpack():
    "The backend that runs on every processor and sums in 32 bits. Torch warns that all of them will be gone some day."
    assert 'qnnpack' in torch.backends.quantized.supported_engines
    before, torch.backends.quantized.engine = torch.backends.quantized.engine, 'qnnpack'
    with warnings.catch_warnings():
        warnings.filterwarnings('ignore', message='.*quantized tensor creation functions.*')
        yield
    torch.backends.quantized.engine = before


def tensor(codes, scale, zp, dtype=torch.quint8):
    "A torch tensor of the same codes; quint8 counts from 0 where int8 counts from -128."
    up = 128 if dtype == torch.quint8 else 0
    t = torch.from_numpy((np.asarray(codes, np.int16) + up).astype(np.uint8 if up else np.int8))
    return torch._make_per_tensor_quantized_tensor(t, float(scale), int(zp) + up)


def codes(t): return t.int_repr().numpy().astype(np.int16) - (128 if t.dtype == torch.quint8 else 0)


def zero_point(rng): return int(rng.choice([-128, 127, 0, int(rng.integers(-128, 128))]))


def draw(rng, *shape): return rng.integers(-128, 128, shape).astype(np.int8)


def layer(rng, rows, k, s_in, zp_in):
    "Weights, their scales, a bias in steps of the accumulator, and an output range that fits."
    w, s_w = rng.integers(-127, 128, (rows, k)).astype(np.int8), rng.uniform(.002, .02, rows)
    w[rng.random(rows) < .1] = 0
    bias = np.round(rng.normal(0, 2000, rows)).astype(np.int64)
    s_out = float(s_in * s_w.max() * 74 * 74 * math.sqrt(k) * rng.uniform(.5, 3) / 60)
    mult, shift = ops.requant_params(s_in * s_w / s_out)
    folded = (bias - zp_in * w.astype(np.int64).sum(1)).astype(np.int32)
    return w, s_w, bias, s_out, dict(bias=folded, mult=mult, shift=shift)


def torch_weight(w, s_w):
    zps = torch.zeros(len(s_w), dtype=torch.long)
    return torch._make_per_channel_quantized_tensor(torch.from_numpy(w), torch.from_numpy(s_w), zps, 0)


def channels_first(x): return np.ascontiguousarray(x.transpose(0, 3, 1, 2))


def torch_bias(bias, s_in, s_w): return torch.from_numpy((bias * s_in * s_w).astype(np.float32))


# ---- one case of each operator: (our bytes, theirs)

def linear(rng):
    tokens, cin, cout = (int(rng.integers(1, n)) for n in (20, 40, 20))
    s_in, zp_in, zp_out, x = float(rng.uniform(.005, .1)), zero_point(rng), zero_point(rng), draw(rng, 2, tokens, cin)
    w, s_w, bias, s_out, p = layer(rng, cout, cin, s_in, zp_in)
    packed = Q.linear_prepack(torch_weight(w, s_w), torch_bias(bias, s_in, s_w))
    theirs = Q.linear(tensor(x, s_in, zp_in), packed, s_out, zp_out + 128)
    return ops.linear_s8(x, w, **p, zp_out=zp_out), codes(theirs)


def convolution(rng, deep, pointwise=False):
    low, high = (1, 1, 1, 1, 1, 1, 0, 0), (6, 6, 5, 5, 4, 4, 4, 4)      # torch pads both sides alike
    drawn = low if pointwise else (int(v) for v in rng.integers(low, high))
    kh, kw, sh, sw, dh, dw, top, left = drawn
    h, w, cin = (int(rng.integers(1, 12)) for _ in range(3))
    h, w = max(h, (kh - 1)*dh + 1 - 2*top), max(w, (kw - 1)*dw + 1 - 2*left)
    cout = cin if deep else int(rng.integers(1, 12))
    s_in, zp_in, zp_out, x = float(rng.uniform(.005, .1)), zero_point(rng), zero_point(rng), draw(rng, 2, h, w, cin)
    m, s_w, bias, s_out, p = layer(rng, cout, kh * kw * (1 if deep else cin), s_in, zp_in)
    weight = m.reshape(cout, kh, kw, 1 if deep else cin)
    packed = Q.conv2d_prepack(torch_weight(channels_first(weight), s_w), torch_bias(bias, s_in, s_w),
                              [sh, sw], [top, left], [dh, dw], cin if deep else 1)
    theirs = codes(Q.conv2d(tensor(channels_first(x), s_in, zp_in), packed, s_out, zp_out + 128)).transpose(0, 2, 3, 1)
    if pointwise: return ops.linear_s8(x.reshape(2, h*w, cin), m, **p, zp_out=zp_out), theirs.reshape(2, h*w, cout)
    how = dict(p, zp_in=zp_in, zp_out=zp_out, sh=sh, sw=sw, dh=dh, dw=dw)
    how |= dict(top=top, bottom=top, left=left, right=left)
    if deep: return ops.depthwise_s8(x, weight[..., 0].transpose(1, 2, 0), **how), theirs
    return ops.conv_s8(x, weight, **how), theirs


def addition(rng):
    x, y = draw(rng, 2, 50), draw(rng, 2, 50)
    s, zps = rng.uniform(.01, .2, 3), [zero_point(rng) for _ in range(3)]
    dtype = rng.choice([torch.quint8, torch.qint8])
    up = 128 if dtype == torch.quint8 else 0
    theirs = Q.add(tensor(x, s[0], zps[0], dtype), tensor(y, s[1], zps[1], dtype), float(s[2]), zps[2] + up)
    return ops.add_s8(x, y, **ops.add_params(s[0], zps[0], s[1], zps[1], s[2], zps[2])), codes(theirs)


def average(rng):
    h, w, c = (int(rng.integers(1, n)) for n in (10, 10, 40))
    x, scale, zp = draw(rng, 2, h, w, c), float(rng.uniform(.01, .1)), zero_point(rng)
    mult, shift = ops.requant_params(1 / (h*w))
    theirs = F.adaptive_avg_pool2d(tensor(channels_first(x), scale, zp), 1)
    return ops.avgpool_s8(x, -h*w*zp, int(mult), shift, zp), codes(theirs)[..., 0, 0]


def maximum(rng):
    h, w, c = 2 * int(rng.integers(1, 6)), 2 * int(rng.integers(1, 6)), int(rng.integers(1, 9))
    x = draw(rng, 2, h, w, c)
    return ops.maxpool2x2_s8(x), codes(F.max_pool2d(tensor(channels_first(x), .1, 3), 2)).transpose(0, 2, 3, 1)


def pool_window(rng, counted):
    "(our input, its tensor for torch, torch's arguments) of a pool; an adaptive one has a size only."
    h, w, c = (int(v) for v in rng.integers((2, 1, 1), (12, 12, 9)))
    kh, kw = int(rng.integers(1, h + 1)), int(rng.integers(1, w + 1))
    if kh * kw == 1: kh = 2      # torch pools no single values
    sh, sw = rng.integers(1, 4, 2).tolist()
    pads, ceil = (int(rng.integers(0, kh//2 + 1)), int(rng.integers(0, kw//2 + 1))), bool(rng.integers(2))
    x, scale, zp = draw(rng, 2, h, w, c), float(rng.uniform(.01, .1)), zero_point(rng)
    how = dict(kernel_size=(kh, kw), stride=(sh, sw), padding=pads, ceil_mode=ceil)
    # where torch rounds up, it counts only as much padding as was asked for: our form of that is an operator `pad`
    if counted: how['count_include_pad'] = bool(rng.integers(2)) and not ceil
    if rng.random() < .3: how = dict(output_size=rng.integers(1, 9, 2).tolist())
    # for an average in quint8 torch asks QNNPACK, which counts all padding
    return x, tensor(channels_first(x), scale, zp, torch.qint8 if counted else torch.quint8), zp, how


def of_pool(x, theirs, how):
    "Our attributes of a pool for torch's arguments; the size of the output is theirs."
    size = dict(h=x.shape[1], w=x.shape[2], oh=theirs.shape[1], ow=theirs.shape[2])
    if 'output_size' in how: return size | dict.fromkeys(('kh', 'kw', 'sh', 'sw', 'adaptive'), 1) | dict(top=0, left=0)
    names = dict(zip(('kh', 'kw', 'sh', 'sw', 'top', 'left'), (*how['kernel_size'], *how['stride'], *how['padding'])))
    return size | names | dict(adaptive=0)


def maximum_of_windows(rng):
    x, t, _, how = pool_window(rng, False)
    if 'output_size' in how: theirs = F.adaptive_max_pool2d(t.int_repr().float(), **how).numpy().astype(int) - 128
    else: theirs = codes(F.max_pool2d(t, **how))
    a = of_pool(x, theirs := theirs.transpose(0, 2, 3, 1), how)
    return ops.maxpool_s8(x, **{n: a[n] for n in ops.POOL}), theirs


def mean_of_windows(rng):
    x, t, zp, how = pool_window(rng, True)
    theirs = codes((F.adaptive_avg_pool2d if 'output_size' in how else F.avg_pool2d)(t, **how)).transpose(0, 2, 3, 1)
    a = of_pool(x, theirs, how) | dict(count_pad=int(how.get('count_include_pad', 0)))
    numbers = ops.avgpool2d_params(a, 1., 1.) | {n: a[n] for n in (*ops.POOL, 'count_pad')}
    return ops.avgpool2d_s8(x, **numbers, zp_in=zp, zp_out=zp), theirs


def normalisation(rng):
    c, eps, zp = int(rng.integers(2, 65)), 1e-5, zero_point(rng)
    s_in, s_out = float(rng.uniform(.01, .2)), float(rng.uniform(.02, .06))
    x, gamma, beta = draw(rng, 2, 5, c), rng.normal(1, .3, c), rng.normal(0, .3, c)
    t = tensor(x, s_in, zero_point(rng), torch.qint8)
    theirs = Q.layer_norm(t, [c], torch.from_numpy(gamma).float(), torch.from_numpy(beta).float(), eps, s_out, zp)
    return ops.layernorm_s8(x, **ops.layernorm_params(gamma, beta, s_in, eps, s_out, c), zp_out=zp), codes(theirs)


def softmax(rng):
    x, scale = draw(rng, 3, int(rng.integers(1, 40)), int(rng.integers(1, 65))), float(rng.uniform(.005, .3))
    theirs = Q.softmax(tensor(x, scale, 0, torch.qint8), -1, 1/256, -128)
    return ops.softmax_s8(x, ops.softmax_table(scale)), codes(theirs)


def heads_of(rng):
    heads, d, tokens, keys = (int(rng.integers(1, n)) for n in (4, 17, 33, 33))
    def split(x): return np.ascontiguousarray(x.reshape(2, -1, heads, x.shape[-1] // heads).transpose(0, 2, 1, 3))
    return heads, d, tokens, keys, split


def scores(rng):
    heads, d, tokens, keys, split = heads_of(rng)
    q, k, s_q, s_k = draw(rng, 2, tokens, heads*d), draw(rng, 2, keys, heads*d), *rng.uniform(.01, .1, 2)
    s_score, zp = float(s_q * s_k * 74 * 74 * rng.uniform(.5, 3) / 60), zero_point(rng)
    p = ops.attention_params(s_q, s_k, 1., s_score, 1., 0, heads*d, heads)
    tq, tk = (tensor(split(x), s, 0, torch.qint8) for x, s in ((q, s_q), (k, s_k)))
    theirs = Q.matmul(tq, tk.transpose(2, 3).contiguous(), s_score * math.sqrt(d), zp)
    return ops.matmul_qk_s8(q, k, heads, p['mult_qk'], p['shift_qk'], zp), codes(theirs)


def weighted_sum(rng):
    heads, d, tokens, keys, split = heads_of(rng)
    prob = ops.softmax_s8(draw(rng, 2, heads, tokens, keys), ops.softmax_table(float(rng.uniform(.005, .2))))
    v, s_v, zp = draw(rng, 2, keys, heads*d), float(rng.uniform(.01, .1)), zero_point(rng)
    s_out = float(s_v * rng.uniform(.2, 1.5))
    p = ops.attention_params(1., 1., s_v, 1., s_out, zp, heads*d, heads)
    theirs = codes(Q.matmul(tensor(prob, 1/256, -128, torch.qint8), tensor(split(v), s_v, 0, torch.qint8), s_out, zp))
    theirs = theirs.transpose(0, 2, 1, 3).reshape(2, tokens, -1)
    return ops.matmul_av_s8(prob, v, p['mult_av'], p['shift_av'], zp), theirs


def table(rng):
    "Sigmoid and tanh have ranges of their own in torch, where QNNPACK looks them up, too; hard-swish takes any."
    x, s_in, zp_in = draw(rng, 2, 50), float(rng.uniform(.01, .1)), zero_point(rng)
    name = rng.choice(['sigmoid', 'tanh', 'hardswish'])
    wide = float(rng.uniform(.02, .1)), zero_point(rng)
    f, s_out, zp = dict(sigmoid=(lambda v: 1/(1 + np.exp(-v)), 1/256, -128), tanh=(np.tanh, 1/128, 0),
                        hardswish=(lambda v: v*np.clip(v + 3, 0, 6)/6, *wide))[name]
    t = tensor(x, s_in, zp_in)
    theirs = Q.hardswish(t, s_out, zp + 128) if name == 'hardswish' else getattr(torch, name)(t)
    assert abs(theirs.q_scale() - s_out) < 1e-9 and theirs.q_zero_point() - 128 == zp
    return ops.lut_s8(x, ops.lut_table(f, s_in, zp_in, s_out, zp)), codes(theirs)


def second(rng, outer, inner, form):
    "A second input of one of the three forms, and the same spread over all rows for the stranger."
    y = draw(rng, 2, {0: outer*inner, 1: inner, 2: outer}[form])
    wide = np.broadcast_to(ops.over_rows(y, outer, inner, form), (2, outer, inner))
    return ops.over_rows(y, outer, inner, form), np.ascontiguousarray(wide)


def product(rng):
    outer, inner, form = int(rng.integers(1, 9)), int(rng.integers(1, 17)), int(rng.integers(3))
    x, (y, wide), s = draw(rng, 2, outer, inner), second(rng, outer, inner, form), rng.uniform(.01, .2, 2)
    zps, s_out = [zero_point(rng) for _ in range(3)], float(s.prod() * rng.uniform(30, 200))
    theirs = Q.mul(tensor(x, s[0], zps[0]), tensor(wide, s[1], zps[1]), s_out, zps[2] + 128)
    mult, shift = ops.requant_params(s.prod() / s_out)
    return ops.mul_s8(x, y, *zps, int(mult), shift), codes(theirs)


def spread_sum(rng):
    "A sum or a difference with a row, or with a value for each row; torch has no quantized difference."
    outer, inner, form = int(rng.integers(1, 9)), int(rng.integers(1, 17)), int(rng.integers(1, 3))
    x, (y, wide), s = draw(rng, 2, outer, inner), second(rng, outer, inner, form), rng.uniform(.01, .2, 3)
    zps, sign = [zero_point(rng) for _ in range(3)], int(rng.choice([-1, 1]))
    real = tensor(x, s[0], zps[0]).dequantize() + sign * tensor(wide, s[1], zps[1]).dequantize()
    theirs = torch.quantize_per_tensor(real, float(s[2]), zps[2], torch.qint8)
    return ops.add_s8(x, y, **ops.add_params(s[0], zps[0], s[1], zps[1], s[2], zps[2], 1, sign)), codes(theirs)


def joint(rng):
    rows, a, b = (int(rng.integers(1, n)) for n in (9, 17, 17))
    x, y = draw(rng, 2, rows, a), draw(rng, 2, rows, b)
    return ops.concat_s8(x, y), codes(Q.cat([tensor(x, .1, 3), tensor(y, .1, 3)], 2, .1, 128 + 3))


def moved(rng):
    "A view as torch's own operators make it, through our copy."
    shape = [int(v) for v in rng.integers(2, 7, 4)]
    x = torch.from_numpy(draw(rng, *shape))
    view = x.permute(*rng.permutation(4).tolist())[int(rng.integers(2)):, ..., ::int(rng.integers(1, 3))]
    if rng.random() < .5: view = view.unsqueeze(1).expand(-1, 2, -1, -1, -1)
    a = ops.copy_attrs(view.shape, view.stride(), view.storage_offset(), x.numel())
    got = ops.OPERATORS['copy'].reference(a, {}, x.numpy().reshape(1, -1))
    return got.reshape(view.shape), view.contiguous().numpy().astype(np.int16)


def bordered(rng):
    "A border of zeros as torch pads, and gaps as the gradient of a stride of two or three makes them."
    h, w, c, gap = (int(rng.integers(1, n)) for n in (7, 7, 9, 4))
    x, zp, sides = draw(rng, 2, h, w, c), zero_point(rng), rng.integers(0, 4, 4).tolist()
    real = torch.from_numpy(channels_first(x)).float() - zp
    top, bottom, left, right = sides
    one = torch.ones(c, 1, 1, 1)
    apart = F.conv_transpose2d(real, one, stride=gap, groups=c)
    theirs = F.pad(apart, (left, right, top, bottom)).permute(0, 2, 3, 1).numpy().astype(np.int16) + zp
    return ops.pad_s8(x, *sides, gap - 1, gap - 1, zp), theirs


def root_mean_square(rng):
    c, eps, zps = int(rng.integers(2, 65)), 1e-5, (zero_point(rng), zero_point(rng))
    s_in, s_out = rng.uniform((.01, .02), (.2, .06))
    x, gamma = draw(rng, 2, 5, c), rng.normal(1, .3, c)
    real = F.rms_norm(torch.from_numpy(s_in*(x.astype(float) - zps[0])), [c], torch.from_numpy(gamma), eps)
    theirs = torch.quantize_per_tensor(real.float(), float(s_out), zps[1], torch.qint8)
    p = ops.rmsnorm_params(gamma, float(s_in), eps, float(s_out), c)
    return ops.rmsnorm_s8(x, zp_in=zps[0], zp_out=zps[1], **p), codes(theirs)


def long_normalisation(rng):
    "A whole map as one row, up to the longest."
    c, eps, zp = int(rng.choice([1025, 4096, 16_384, 32_767])), 1e-5, zero_point(rng)
    s_in, s_out = rng.uniform((.01, .02), (.2, .06))
    x, gamma, beta = draw(rng, 1, 1, c), rng.normal(1, .3, c), rng.normal(0, .3, c)
    real = F.layer_norm(torch.from_numpy(s_in*x.astype(float)), [c], *map(torch.from_numpy, (gamma, beta)), eps)
    theirs = torch.quantize_per_tensor(real.float(), float(s_out), zp, torch.qint8)
    return ops.layernorm_s8(x, **ops.layernorm_params(gamma, beta, s_in, eps, s_out, c), zp_out=zp), codes(theirs)


def any_normalisation(rng): return (normalisation if rng.random() < .9 else long_normalisation)(rng)


ORACLES = dict(linear=linear, fully_connected=linear, pointwise=lambda rng: convolution(rng, False, True),
               conv3x3=lambda rng: convolution(rng, False), depthwise3x3=lambda rng: convolution(rng, True),
               add=addition, avgpool=average, maxpool2x2=maximum, maxpool=maximum_of_windows,
               avgpool2d=mean_of_windows, layernorm=any_normalisation, softmax=softmax,
               matmul_qk=scores, matmul_av=weighted_sum, lut=table, mul=product, add_broadcast=spread_sum, concat=joint,
               copy=moved, pad=bordered, rmsnorm=root_mean_square)
# the mean of a few integers is often a half, which torch rounds to the even neighbour and we round up
APART = dict(avgpool2d=.15)  # share of values that may be one step apart, where it is not .05
COMPOSED = {'attention'}     # its three steps are asked above, and the whole below
STORED = {'const'}           # there is nothing to compute


@pytest.mark.parametrize('kind', ORACLES)
def test_a_stranger_agrees_within_one_step(kind):
    rng, sizes, apart = np.random.default_rng([*kind.encode()]), 0, 0
    spread = set()
    for case in range(CASES):
        ours, theirs = ORACLES[kind](rng)
        assert ours.shape == theirs.shape and ours.dtype == np.int8
        d = np.abs(ours.astype(int) - theirs)
        assert d.max() <= 1, f'{kind}, case {case}: {d.max()} steps apart'
        sizes, apart, spread = sizes + d.size, apart + int((d > 0).sum()), spread | set(ours.ravel()[:500].tolist())
    print(f'{kind}: {CASES} cases, {sizes} values, {apart} one step apart')
    assert sizes > 20*CASES and len(spread) > 200 and apart < APART.get(kind, .05)*sizes


def test_every_operator_is_asked():
    assert set(ORACLES) | COMPOSED | STORED == set(tg.KINDS)


def test_attention_is_its_three_steps():
    rng = np.random.default_rng(0)
    for _ in range(CASES):
        heads, d, tokens, keys, _ = heads_of(rng)
        sizes = (tokens, d), (keys, d), (keys, int(rng.integers(1, 17)))
        q, k, v = (draw(rng, 2, rows, heads*width) for rows, width in sizes)
        s_score, s_out = rng.uniform((.02, .01), (.2, .1))
        s_qkv, zp = rng.uniform(.01, .1, 3), zero_point(rng)
        p = ops.attention_params(*s_qkv, float(s_score), float(s_out), zp, heads*d, heads)
        prob = ops.softmax_s8(ops.matmul_qk_s8(q, k, heads, p['mult_qk'], p['shift_qk']), p['table'])
        want = ops.matmul_av_s8(prob, v, p['mult_av'], p['shift_av'], p['zp_out'])
        assert np.array_equal(ops.attention_s8(q, k, v, heads=heads, **p), want)


def attention(rng, keys_of=lambda rng, tokens: int(rng.integers(1, 33)), causal=0):
    """(our bytes, those of torch's attention in float): scores are whole codes, so that only softmax and the last
    rounding are left to differ, and the output's step is not finer than the sum of what softmax rounds away."""
    heads, d, tokens, _, split = heads_of(rng)
    keys, e = keys_of(rng, tokens), int(rng.integers(1, 17))
    q, k = (rng.integers(-2, 3, (2, rows, heads*d)).astype(np.int8) for rows in (tokens, keys))
    v, s_score, s_v, zp = draw(rng, 2, keys, heads*e), float(rng.uniform(.02, .2)), .03, zero_point(rng)
    s_out = s_v * max(1, keys / 8)
    p = ops.attention_params(s_score, math.sqrt(d), s_v, s_score, s_out, zp, heads*d, heads)
    mask = torch.ones(tokens, keys, dtype=torch.bool).tril(keys - tokens) if causal else None
    tq, tk, tv = (torch.from_numpy(split(x)*s) for x, s in ((q, s_score), (k, math.sqrt(d)), (v, s_v)))
    real = F.scaled_dot_product_attention(tq, tk, tv, attn_mask=mask).numpy() / s_out + zp
    theirs = np.clip(np.floor(real + .5), -128, 127).transpose(0, 2, 1, 3).reshape(2, tokens, -1)
    return ops.attention_s8(q, k, v, heads=heads, **p, causal=causal), theirs


@pytest.mark.parametrize('how', [{}, dict(keys_of=lambda rng, n: n, causal=1),
                                 dict(keys_of=lambda rng, n: n + int(rng.integers(0, 9)), causal=1)])
def test_attention_is_within_one_step_of_float(how):
    "Cross attention; causal attention, square and with keys from before."
    rng, n, apart = np.random.default_rng(5), 0, 0
    for case in range(CASES):
        ours, theirs = attention(rng, **how)
        d = np.abs(ours - theirs)
        assert d.max() <= 1, f'case {case}: {d.max()} steps apart'
        n, apart = n + d.size, apart + int((d > 0).sum())
    print(f'{n} values, {apart} one step apart')
    assert n > 20*CASES and apart < .15*n


def test_torch_means_the_same_by_causal():
    "The mask of the square case is the one that torch makes itself."
    rng = np.random.default_rng(6)
    q, k, v = (torch.from_numpy(rng.normal(size=(1, 2, 7, 4))) for _ in 'qkv')
    seen = torch.from_numpy(ops.causal_mask(7, 7))
    both = [F.scaled_dot_product_attention(q, k, v, **how) for how in (dict(is_causal=True), dict(attn_mask=seen))]
    assert torch.allclose(*both)


def test_work_in_parts_changes_no_byte(monkeypatch):
    "Heads and images are worked on in parts where memory counts, down to one at a time; the last part is shorter."
    rng = np.random.default_rng(1)
    q, k, v = (draw(rng, 3, 5, 15) for _ in 'qkv')
    p = ops.attention_params(.05, .05, .05, .1, .05, 0, 15, 5)
    x, w = draw(rng, 5, 6, 6, 3), draw(rng, 4, 3, 3, 3)
    how = dict(bias=np.zeros(4, np.int32), mult=np.full(4, 2**22, np.int32), shift=0)
    how |= dict(zp_in=3, zp_out=0, **ops.square_window(1, 1))
    def both(): return ops.attention_s8(q, k, v, heads=5, **p), ops.conv_s8(x, w, **how)
    whole = both()
    for at_once in (1, 2*3*5*5, 2*36*27, 3*36*27):
        for module in ('windows', 'softmax'): monkeypatch.setattr(f'tinyformer.{module}.AT_ONCE', at_once)
        for a, b in zip(whole, both()): assert np.array_equal(a, b)


@pytest.mark.parametrize('kind', ORACLES)
def test_a_drift_is_seen(kind, monkeypatch):
    "Two steps more on one value in a hundred, and the stranger objects."
    def drifted(f):
        def g(*a, **k):
            y = f(*a, **k).copy()
            y.flat[::100] = np.where(y.flat[::100] > 0, y.flat[::100] - 2, y.flat[::100] + 2)
            return y
        return g
    for name in [n for n in dir(ops) if n.endswith('_s8')]:
        monkeypatch.setattr(ops, name, drifted(getattr(ops, name)))
    record = ops.OPERATORS[kind]
    monkeypatch.setitem(ops.OPERATORS, kind, replace(record, reference=drifted(record.reference)))
    with pytest.raises(AssertionError, match='steps apart'): test_a_stranger_agrees_within_one_step(kind)
