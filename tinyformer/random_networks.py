"""Random small networks as C, byte for byte against the reference: on this machine under sanitizers, and on the
emulated Cortex-M7; or on any other core that something here runs.

    python -m tinyformer.random_networks --count 50000 --seed 0 --device-share 0.05
    python -m tinyformer.random_networks --count 200 --target rp2040
    python -m tinyformer.random_networks --only 1234 --seed 0 --keep build/failing

Network number k of a seed is drawn from (seed, k) alone, so one that fails can be run again by its number. Every
network goes through `codegen.generate` with a memory mode, an objective and a choice of kernels of its own. Many are
compiled as one program (`firmware/tests/run_networks.c`): starting a compiler takes longer than compiling one."""
import argparse, json, math, os, re, shutil, subprocess, sys, tempfile, time
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from . import codegen as cg, graph as tg, kernels as tk, operators, random_graphs, schedule as sc
from .errors import BadInput, BuildFailed, CorruptModel, SimulationFailed
from .graph import Graph
from .hardware import WASM, Target, target
from .operators import (add_params, attention_params, copy_attrs, layernorm_params, out_hw, requant_params,
                        rmsnorm_params, softmax_table, square_window)
from .simulator import Emulator
from .toolchain import WARNINGS, compile_host, compile_image, compile_wasm, find_node, firmware_dir

BOARD = replace(target('stm32f746'), flash_bytes=1 << 24, sram_bytes=1 << 22)     # no limit gets in the way
MEMORY = *sc.MEMORY, 'forced'     # the engine's modes, and bands of any height where the engine would not choose them
TALL_MEMORY = *MEMORY, 'least', 'forced', 'forced', 'forced'
IMAGES = 4        # inputs of each network
POLICIES = 'auto', 'auto', 'auto', 'ref', 'dsp', '1x1', '1x2', '1x4', 'any', 'any'     # which kernels; twice as often
TALL_POLICIES = 'auto', 'auto', 'dense dsp', 'dense dsp', 'dense dsp', 'dsp', 'any'    # only some run in bands


# ---- drawing a network

class Draw(random_graphs.Draw):
    "Draws a network operator by operator: what the engine accepts, at and around its edges."
    SIZES = 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 13, 16
    CHANNELS = 1, 1, 2, 3, 4, 4, 5, 7, 8, 8, 12, 13, 16, 24
    LONG = 508, 512, 520, 640      # input channels of rows with more than 127 blocks
    MOST_MACS = 150_000            # of one operator: small networks have the corners

    def __init__(self, rng, tall):
        self.tall = tall               # many rows, few branches, dense weights: what runs band by band
        h, w = (int(rng.choice(self.SIZES)) for _ in 'hw')
        if tall: h, w = int(rng.integers(6, 33)), int(rng.integers(1, 9))
        elif rng.random() < .05: h, w = (1, 1) if rng.random() < .5 else (int(rng.integers(1, 65)), 1)
        c = int(rng.choice(self.LONG)) if h*w <= 4 and rng.random() < .3 else int(rng.choice(self.CHANNELS))
        super().__init__(rng, (h, w, c), 0.)
        self.tensors['input'].zero_point, self.hw = self.zp(), {'input': (h, w)}

    def pick(self, *values): return values[int(self.rng.integers(len(values)))]

    def weights(self, rows, taps, cin, product):
        "As the random graph's; any blocks are pruned, rows are empty, weights, shifts and multipliers at their ends."
        block, share = self.pick(1, 2, 4), self.pick(0., 0., .3, .6, .8, .95, 1.)
        if self.tall and self.rng.random() < .7: share = 0.
        w = self.rng.integers(-127, 128, (rows, taps, cin))
        drop = self.rng.random((rows, taps, -(-cin // block))) < share
        w = np.where(np.repeat(drop, block, axis=2)[:, :, :cin], 0, w).reshape(rows, -1)
        if self.rng.random() < .1: w[self.rng.random(rows) < .5] = 0
        if self.rng.random() < .1: w = np.sign(w) * 127
        acc = product(w.astype(float)).reshape(-1, rows)
        mult, shift = requant_params(self.rng.uniform(20, 70, rows) / (acc.std(0) + 20))
        if self.rng.random() < .15:
            more = int(self.rng.integers(1, 5))
            mult, shift = mult >> more, shift + more
        if self.rng.random() < .03: mult = np.full_like(mult, self.pick(0, 2**31 - 1))
        bias = np.zeros(rows, np.int32) if self.rng.random() < .05 else np.round(-acc.mean(0)).astype(np.int32)
        return dict(weight=w.astype(np.int8), bias=bias, mult=mult), shift

    # -- operators over a map; each gives the name of its output, or None when it does not go

    def window(self, kind, x, kh, kw, how, cout=None):
        "A convolution of any kernel, strides, dilations and paddings."
        (h, w), c = self.hw[x], self.tensors[x].shape[-1]
        oh, ow = out_hw(dict(h=h, w=w, kh=kh, kw=kw, **how))
        if min(oh, ow) < 1: return None
        zp_in, deep = self.tensors[x].zero_point, kind == 'depthwise3x3'
        win = operators.patches(self.live[x].reshape(-1, h, w, c), kh, kw, zp_in, **how)
        if oh * ow * c * kh * kw * (1 if deep else cout) > self.MOST_MACS: return None
        win = win.reshape(-1, kh*kw, c)
        if deep: params, shift = self.weights(c, kh*kw, 1, lambda m: np.einsum('ntc,ct->nc', win, m))
        else: params, shift = self.weights(cout, kh*kw, c, lambda m: win.reshape(-1, kh*kw*c) @ m.T)
        weight = params['weight']
        params['weight'] = weight.T.reshape(kh, kw, c).copy() if deep else weight.reshape(cout, kh, kw, c)
        attrs = dict(h=h, w=w, **(dict(c=c) if deep else dict(cin=c, cout=cout)), kh=kh, kw=kw, **how,
                     shift=shift, zp_in=zp_in, zp_out=self.zp())
        return self.map(self.put(kind, [x], (oh, ow, c if deep else cout), attrs, params), (oh, ow))

    def map(self, name, hw):
        "Remember that a tensor is a map of h x w pixels, whatever its shape says."
        self.hw[name] = hw
        return name

    USUAL = ((3, 1), (3, 1), (3, 2), (5, 1), (5, 2), (1, 1), (1, 2), (1, 3), (2, 2), (2, 2), (2, 3),
             (3, 3), (3, 3), (3, 4))

    def kernel(self):
        "Kernel height and width, and the rest of a window: half of them as networks have them, half anything."
        if self.rng.random() < .5:
            k, stride = self.pick(*self.USUAL)
            return k, k, square_window(stride, self.pick(0, k//2))
        return self.pick(1, 2, 3, 4, 5), self.pick(1, 2, 3, 4, 5), self.directions()

    def directions(self):
        "Strides, dilations and paddings: alike in both directions, as TensorFlow pads, or anything."
        how = square_window(self.pick(1, 2, 3, 4), self.pick(0, 1, 2, 3))
        kind = self.rng.random()
        if kind < .4: return how
        if kind < .6: return square_window(2) | dict(bottom=1, right=1)
        how |= dict(sw=self.pick(1, 2, 3), dh=self.pick(1, 1, 2, 3), dw=self.pick(1, 1, 2, 3))
        return how | {side: self.pick(0, 0, 1, 2, 3) for side in ('top', 'bottom', 'left', 'right')}

    def channels(self, x):
        "Output channels; in a tall network wide and narrow maps take turns, so that the wide ones fill the arena."
        if self.tall and self.tensors[x].shape[-1] < 6: return self.pick(12, 16, 24)
        return int(self.rng.choice(self.CHANNELS))

    def conv(self, x): return self.window('conv3x3', x, *self.kernel(), self.channels(x))

    def depthwise(self, x):
        if self.rng.random() < .5:
            how = square_window(self.pick(1, 1, 2), self.pick(0, 1, 1))
            if self.rng.random() < .3: how |= {side: self.pick(0, 1) for side in ('top', 'bottom', 'left', 'right')}
            return self.window('depthwise3x3', x, 3, 3, how)
        return self.window('depthwise3x3', x, *self.kernel())

    def pointwise(self, x, cout=None):
        (h, w), c, cout = self.hw[x], self.tensors[x].shape[-1], cout or self.channels(x)
        if h * w * c * cout > self.MOST_MACS: return None
        kind = self.pick('pointwise', 'pointwise', 'linear')
        return self.map(self.linear(kind, x, h*w, c, cout, self.pick((h, w, cout), (h*w, cout))), (h, w))

    def maxpool(self, x):
        (h, w), c = self.hw[x], self.tensors[x].shape[-1]
        if h % 2 or w % 2: return None
        name = self.put('maxpool2x2', [x], (h//2, w//2, c), dict(h=h, w=w, c=c), zp=self.tensors[x].zero_point)
        return self.map(name, (h//2, w//2))

    def pool(self, x):
        "The largest or the mean of windows: as networks have them, any that fits, adaptive."
        (h, w), c, zp_in = self.hw[x], self.tensors[x].shape[-1], self.tensors[x].zero_point
        kh, kw, how = self.kernel()
        if self.rng.random() < .2: how |= dict(adaptive=1, oh=self.pick(1, 2, 3, 5), ow=self.pick(1, 2, 3, 5))
        shape = operators.Shape(h=h, w=w, cin=c, window=dict(kh=kh, kw=kw, **how), zp_in=zp_in, zp_out=self.zp())
        kind = self.pick('maxpool', 'avgpool2d')
        a, p = operators.OPERATORS[kind].draw(self.rng, shape)
        hw = a['oh'], a['ow']
        if math.prod(hw) * c * a['kh'] * a['kw'] > self.MOST_MACS: return None
        return self.map(self.put(kind, [x], (*hw, c), a, p, zp=zp_in), hw)

    def layernorm(self, x):
        "Over the channels of every pixel; the result keeps its shape, or becomes a list of tokens."
        hw, name = self.hw[x], self.norm(x)
        if self.rng.random() < .5: self.tensors[name].shape = (*hw, self.tensors[x].shape[-1])
        return self.map(name, hw)

    def long_norm(self, x):
        "LayerNorm over the whole map as one row, or RMSNorm over channels or the whole map."
        t, zp = self.tensors[x], self.zp()
        one_row = self.rng.random() < (.9 if t.nbytes > 1024 else .2)
        tokens, c = (1, t.nbytes) if one_row else (t.nbytes // t.shape[-1], t.shape[-1])
        gamma = self.rng.normal(1, .3, c)
        if self.rng.random() < .5:
            p = rmsnorm_params(gamma, t.scale, 1e-5, .025, c)
            arrays, attrs, kind = {}, dict(zp_in=t.zero_point), 'rmsnorm'
        else:
            p = layernorm_params(gamma, self.rng.normal(0, .3, c), t.scale, 1e-5, .025, c)
            arrays, attrs, kind = dict(beta=p.pop('beta')), {}, 'layernorm'
        arrays['gamma'] = p.pop('gamma')
        return self.map(self.put(kind, [x], t.shape, dict(tokens=tokens, c=c, zp_out=zp, **attrs, **p), arrays),
                        self.hw[x])

    def border(self, x):
        "A border of any code, gaps between the pixels."
        (h, w), c = self.hw[x], self.tensors[x].shape[-1]
        gaps = [self.pick(0, 0, 0, 1, 2) for _ in 'hw']
        top, bottom, left, right = (self.pick(0, 0, 1, 2, 3) for _ in range(4))
        hw = top + (h - 1)*(gaps[0] + 1) + 1 + bottom, left + (w - 1)*(gaps[1] + 1) + 1 + right
        if math.prod(hw)*c > 20_000: return None
        sides = dict(top=top, bottom=bottom, left=left, right=right, gap_h=gaps[0], gap_w=gaps[1])
        attrs = dict(h=h, w=w, c=c, **sides, value=self.pick(self.tensors[x].zero_point, self.zp()))
        return self.map(self.put('pad', [x], (*hw, c), attrs), hw)

    def activation(self, x):
        "A table of any 256 bytes, or one that rises."
        table = self.rng.integers(-128, 128, 256).astype(np.int8)
        if self.rng.random() < .5: table.sort()
        t = self.tensors[x]
        return self.map(self.put('lut', [x], t.shape, dict(n=t.nbytes), dict(table=table), zp=self.zp()), self.hw[x])

    def earlier(self, x, **wanted):
        "Any earlier tensor that has the map of x and as many channels: x itself, a neighbour, a long way back."
        like = dict(h=self.hw[x][0], w=self.hw[x][1], c=self.tensors[x].shape[-1]) | wanted
        def fits(n):
            has = dict(h=self.hw[n][0], w=self.hw[n][1], c=self.tensors[n].shape[-1])
            return all(v in (None, has[k]) for k, v in like.items())
        return self.pick(*filter(fits, self.hw))

    def plus(self, x):
        "Add or subtract an earlier tensor, a constant, one value for each channel or for each pixel."
        (y, form), hw = self.second(x), self.hw[x]
        if not form: x, y = self.pick((x, y), (y, x))
        ta, tb, signs = self.tensors[x], self.tensors[y], self.pick((1, 1), (1, -1), (-1, 1), (-1, -1))
        s_out, means = max(ta.scale, tb.scale)*1.2, 0.
        for t, sign in zip((ta, tb), signs): means += sign*t.scale*(self.live[t.name].mean() - t.zero_point)
        zp = int(np.clip(self.rng.uniform(-60, 60) - means/s_out, -128, 127))
        p = add_params(ta.scale, ta.zero_point, tb.scale, tb.zero_point, s_out, zp, *signs)
        if not form: return self.map(self.put('add', [x, y], ta.shape, dict(n=ta.nbytes, **p), zp=zp), hw)
        size = dict(outer=math.prod(hw), inner=ta.shape[-1], b=form)
        return self.map(self.put('add_broadcast', [x, y], ta.shape, size | p, zp=zp), hw)

    def constant(self, *shape):
        "A constant, where it is read or before everything else; the walk never goes on from it."
        n = math.prod(shape)
        data = dict(data=self.rng.integers(-128, 128, n).astype(np.int8))
        name = self.put('const', [], shape, dict(n=n), data, zp=self.zp())
        if self.rng.random() < .5: self.ops.insert(0, self.ops.pop())
        return name

    def second(self, x):
        "(a tensor that can be added to x or multiplied with it, its form: see `operators.over_rows`)."
        (h, w), c, form = self.hw[x], self.tensors[x].shape[-1], self.pick(0, 0, 1, 2)
        shapes = (h, w, c), self.pick((c,), (1, 1, c)), (h, w, 1)
        if self.rng.random() < (.5 if self.tall else .3): return self.constant(*shapes[form]), form
        if form == 0: return self.earlier(x), 0
        if form == 2: return self.pointwise(self.earlier(x, c=None), 1) or self.constant(h, w, 1), 2
        wide = [n for n in self.hw if self.tensors[n].nbytes == c]      # any tensor of so many values is a row
        return self.pick(*wide) if wide and self.rng.random() < .5 else self.avgpool(x), 1

    def times(self, x):
        "Multiply with a tensor, a constant, a factor for each channel or for each pixel."
        (y, form), hw = self.second(x), self.hw[x]
        if not form: x, y = self.pick((x, y), (y, x))
        ta, tb, zp = self.tensors[x], self.tensors[y], self.zp()
        mult, shift = requant_params(self.pick(.002, .01, .03, .7))
        attrs = dict(outer=math.prod(hw), inner=ta.shape[-1], b=form, zp_a=ta.zero_point, zp_b=tb.zero_point,
                     zp_out=zp, mult=int(mult), shift=shift)
        return self.map(self.put('mul', [x, y], ta.shape, attrs), hw)

    def as_scaled(self, y, x):
        "A tensor with the codes of y in the scale and zero point of x: y itself, or what a table makes of it."
        ty, tx = self.tensors[y], self.tensors[x]
        if (ty.scale, ty.zero_point) == (tx.scale, tx.zero_point): return y
        table = self.rng.integers(-128, 128, 256).astype(np.int8)
        name = self.put('lut', [y], ty.shape, dict(n=ty.nbytes), dict(table=table), zp=tx.zero_point)
        self.tensors[name].scale = tx.scale
        return self.map(name, self.hw[y]) if y in self.hw else name

    def join(self, x):
        "Another tensor beside x: along the channels, along a row, or below it; an earlier one or a constant."
        axis, (h, w), c = self.pick('c', 'c', 'w', 'h'), self.hw[x], self.tensors[x].shape[-1]
        other = self.earlier(x, **{axis: None})
        (oh, ow), oc = self.hw[other], self.tensors[other].shape[-1]
        if self.rng.random() < .3: other = self.constant(oh, ow, oc)
        x, other = self.pick((x, self.as_scaled(other, x)), (self.as_scaled(other, x), x))
        outer = dict(c=h*w, w=h, h=1)[axis]
        hw = (h + oh if axis == 'h' else h, w + ow if axis == 'w' else w)
        shape, sizes = (*hw, c + oc if axis == 'c' else c), (self.tensors[n].nbytes // outer for n in (x, other))
        if math.prod(shape) > 20_000: return None
        return self.map(self.put('concat', [x, other], shape, dict(zip(('outer', 'a', 'b'), (outer, *sizes)))), hw)

    def move(self, x):
        "A copy: axes in another order, backwards, every second value, each repeated."
        (h, w), c = self.hw[x], self.tensors[x].shape[-1]
        view = np.arange(h*w*c).reshape(h, w, c)
        if self.rng.random() < .6: view = view.transpose(self.rng.permutation(3))
        view = view[tuple(slice(None, None, self.pick(1, 1, 1, -1, 2)) for _ in 'hwc')]
        shape = view.shape
        if self.rng.random() < .2 and view.size < 1000:
            view = np.broadcast_to(view[:, None, :, None], (shape[0], 2, shape[1], 2, shape[2]))
            shape = 2*shape[0], 2*shape[1], shape[2]
        attrs = copy_attrs(view.shape, [s // view.itemsize for s in view.strides], view.flat[0], h*w*c)
        return self.map(self.put('copy', [x], shape, attrs), shape[:2])

    def residual(self, x):
        "Some operators that keep the map, and their input added."
        hw, c, y = self.hw[x], self.tensors[x].shape[-1], x
        for _ in range(self.pick(1, 2, 3)):
            k = self.pick(1, 3, 3)
            same = square_window(1, k//2)
            y = self.pick(lambda: self.pointwise(y), lambda: self.window('conv3x3', y, k, k, same, self.channels(y)),
                          lambda: self.window('depthwise3x3', y, k, k, same), lambda: self.layernorm(y))() or y
        if self.tensors[y].shape[-1] != c: y = self.pointwise(y, c)
        return y and self.map(self.add(*self.pick((x, y), (y, x))), hw)

    def projection(self, x, dim):
        "A linear layer over the pixels of a map, as attention wants it; None where it would be too large."
        rows, c = math.prod(self.hw[x]), self.tensors[x].shape[-1]
        return self.linear('linear', x, rows, c, dim, (rows, dim), 0) if rows * c * dim <= self.MOST_MACS else None

    def attention(self, x):
        "Attention of the pixels, to each other or to those of another map, as one operator or in its three steps."
        other = self.pick(x, x, self.pick(*self.hw))
        tokens, keys = math.prod(self.hw[x]), math.prod(self.hw[other])
        heads, d = self.pick(1, 2, 3), self.pick(1, 2, 3, 4, 5, 8)
        dim, vdim = heads * d, heads * self.pick(d, d, 1, 3, 4, 7)
        if max(tokens, keys) > 1024 or tokens * keys * max(dim, vdim) > self.MOST_MACS: return None
        q, k, v = self.projection(x, dim), self.projection(other, dim), self.projection(other, vdim)
        if None in (q, k, v): return None
        p = attention_params(40/2500, 1., 1., 1., self.pick(1/8, 1/4, 1/2), self.zp(), dim, heads)
        size, p['table'] = dict(tokens=tokens, keys=keys, heads=heads), softmax_table(self.pick(.01, .05, .3))
        if self.rng.random() < .6:
            size |= dict(dim=dim, vdim=vdim, causal=int(keys >= tokens and self.rng.random() < .4))
            table = dict(table=p.pop('table'))
            return self.map(self.put('attention', [q, k, v], (tokens, vdim), size | p, table), self.hw[x])
        return self.map(self.in_steps(q, k, v, size, dim, vdim, p), self.hw[x])

    def in_steps(self, q, k, v, size, dim, vdim, p):
        "Attention with its scores in memory."
        heads, tokens, keys = (size[n] for n in ('heads', 'tokens', 'keys'))
        qk, av = ({n: p[f'{n}_{part}'] for n in ('mult', 'shift')} for part in ('qk', 'av'))
        scores = self.put('matmul_qk', [q, k], (heads, tokens, keys), size | qk | dict(dim=dim, zp_out=0))
        prob = self.softmax(scores, heads*tokens, keys, p['table'])
        return self.put('matmul_av', [prob, v], (tokens, vdim), size | av | dict(dim=vdim, zp_out=p['zp_out']))

    def softmax(self, x, rows, n, table):
        return self.put('softmax', [x], self.tensors[x].shape, dict(rows=rows, n=n), dict(table=table), zp=-128)

    def sequence_pool(self, x):
        "A mean of the pixels, weighted by the softmax of a linear layer of each."
        tokens, dim = math.prod(self.hw[x]), self.pick(1, 3, 4, 8, 13)
        if tokens > 1024: return None
        weights, v = self.projection(x, 1), self.projection(x, dim)
        if None in (weights, v): return None
        prob = self.softmax(weights, 1, tokens, softmax_table(self.pick(.01, .05, .3)))
        mult, shift = requant_params(self.pick(1/128, 1/256))
        attrs = dict(tokens=1, keys=tokens, dim=dim, heads=1, mult=int(mult), shift=shift, zp_out=self.zp())
        return self.map(self.put('matmul_av', [prob, v], (dim,), attrs), (1, 1))

    def avgpool(self, x):
        (h, w), c = self.hw[x], self.tensors[x].shape[-1]
        total = self.live[x].reshape(8, -1, c).sum(1, dtype=np.int64)
        mult, shift = requant_params(40 / (total.std() + 20))
        attrs = dict(h=h, w=w, c=c, bias=-int(total.mean()), mult=int(mult), shift=shift, zp_out=self.zp())
        return self.map(self.put('avgpool', [x], (c,), attrs), (1, 1))

    def classifier(self, x):
        "Fully connected, over the channels of one pixel or over the whole map."
        n, cout = self.tensors[x].nbytes, self.pick(1, 2, 5, 10, 13)
        if n * cout > self.MOST_MACS: return None
        return self.map(self.linear('fully_connected', x, 1, n, cout, (cout,)), (1, 1))

    # method -> how often it is taken, in a network of any form and in a tall one
    STEPS = dict(conv=(4, 7), depthwise=(3, 5), pointwise=(3, 3), maxpool=(1, 5), pool=(2, 3), layernorm=(1, 1),
                 activation=(1, 1), plus=(1, 2), residual=(2, 1), attention=(2, 0), sequence_pool=(1, 0),
                 avgpool=(1, 0), times=(1, 2), join=(1, 2), move=(1, 0), border=(1, 1), long_norm=(1, 3))

    def draw(self):
        "The network: a walk that now and then goes on from an earlier tensor, and ends as a classifier or anywhere."
        x, names = 'input', [name for name, often in self.STEPS.items() for _ in range(often[self.tall])]
        for _ in range(int(self.rng.integers(2 if self.tall else 1, 9))):
            if self.rng.random() < (.03 if self.tall else .1): x = self.pick(*self.hw)
            x = getattr(self, self.pick(*names))(x) or x
        if self.rng.random() < .3: x = self.classifier(self.avgpool(x) if self.rng.random() < .5 else x) or x
        if x == 'input': x = self.plus(x)
        graph = Graph(self.tensors, self.ops, 'input', x, 'network')
        if self.rng.random() < .03: return replace(graph, output=self.pick(*self.ops).output)    # the rest is in vain
        return graph if self.rng.random() < .03 else _without_dead_ends(graph)


def _without_dead_ends(graph):
    "The same network without operators whose output nobody reads."
    needed, ops = {graph.output}, []
    for op in reversed(graph.ops):
        if op.output in needed:
            ops.insert(0, op)
            needed.update(op.inputs)
    tensors = {n: t for n, t in graph.tensors.items() if n in needed or n == graph.input}
    return replace(graph, ops=ops, tensors=tensors)


def named(graph, prefix):
    "The same network, every operator's name with a prefix, so that the C of many networks can stand in one file."
    ops = [replace(op, name=f'{prefix}_{op.name}') for op in graph.ops]
    return replace(graph, ops=ops, name=prefix)


@dataclass
class Network:
    "A drawn network and how its C is to be made."
    number: int     # with the seed it gives the network
    graph: Graph    # checked
    memory: str     # see `codegen.generate`; 'forced' for `chains`
    objective: str  # see `codegen.generate`
    policy: str     # one of POLICIES
    choices: dict   # operator name -> Choice, empty for the engine's own
    inputs: np.ndarray # int8 [IMAGES, ...]
    rng: np.random.Generator # for what is left to draw
    board: Target = BOARD   # what it is made for

    def __repr__(self):
        how = f'memory {self.memory!r}, objective {self.objective!r}, kernels {self.policy!r}'
        return f'network {self.number}: {len(self.graph.ops)} operators, {how}'


def _choices(rng, graph, policy, board):
    "Kernels by a policy: an operator that has none of the kind takes any."
    if policy == 'auto': return {}
    def fits(c):
        if policy in ('ref', 'dsp'): return (c.kernel.isa != 'c') == (policy == 'dsp')   # dsp: or scalar
        if policy == 'dense dsp': return c.kernel.isa != 'c' and not c.block
        return policy in ('any', f'1x{c.block}')
    res = {}
    for op in graph.ops:
        able = tk.candidates(op, board)
        able = [c for c in able if fits(c)] or able
        res[op.name] = able[int(rng.integers(len(able)))]
    return res


def _inputs(rng, shape):
    "Images: noise, a few flat ones at the ends of the range, a ramp."
    x = rng.integers(-128, 128, (IMAGES, *shape)).astype(np.int8)
    if rng.random() < .2: x[int(rng.integers(IMAGES))] = rng.choice([-128, 127])
    ramp = np.arange(x[0].size).astype(np.int8).reshape(shape)
    if rng.random() < .2: x[int(rng.integers(IMAGES))] = ramp
    return x


def draw(
    seed:int,   # of the whole run
    number:int, # of the network
    board:Target=BOARD, # what it is made for
)->Network:     # one that the engine accepts
    "A random network. What leaves int32 is the compiler's to refuse, and is drawn again."
    rng = np.random.default_rng([seed, number])
    tall = rng.random() < .7
    while True:
        try:
            graph = Draw(rng, tall).draw()
            tg.check(graph := named(graph, f'n{number}'))
            break
        except (BadInput, CorruptModel): continue
    ways = TALL_MEMORY if tall else MEMORY, tuple(tk.OBJECTIVES), TALL_POLICIES if tall else POLICIES
    memory, objective, policy = (way[int(rng.integers(len(way)))] for way in ways)
    choices, inputs = _choices(rng, graph, policy, board), _inputs(rng, graph.tensors[graph.input].shape)
    return Network(number, graph, memory, objective, policy, choices, inputs, rng, board)


def _forced(rng, fw):
    "Chains anywhere, of any height, no two of the same operator."
    chains, at, flow = [], 0, sc.columns(fw.graph, fw.choices)[0]
    for first, last in sc.pieces(flow):
        while max(at, first) < last and rng.random() < .8:
            a = int(rng.integers(max(at, first), last))
            b = int(rng.integers(a + 1, min(a + 7, last) + 1))
            at, rows = b + 1, sc.heights(flow.steps[a:b + 1])
            if rows is None or rows[-1] < 2: continue
            chains.append(sc.Chain(a, b, int(rng.integers(1, rows[-1]))))
    return tuple(chains)


def generate(
    net:Network, # a drawn network
    folder:Path, # where to put its C
    port:str='host', # see `codegen.generate`
)->cg.Firmware:
    "The network's C, by `codegen.generate`; with the chains of a forced plan in place of its own."
    memory = 'fast' if net.memory == 'forced' else net.memory
    fw = cg.generate(net.graph, net.board, folder, choices=net.choices, port=port, memory=memory,
                     objective=net.objective, prefix=f'n{net.number}')
    if net.memory != 'forced': return fw
    chains = _forced(net.rng, fw)
    fw = replace(fw, arena=sc.plan_arena(fw.graph, fw.choices, chains=chains), chains=chains)
    (folder/'model.h').write_text(cg.model_h(fw.graph, fw.arena, fw.prefix), encoding='utf-8')
    blobs = cg.constants(fw.graph, fw.choices, fw.prefix)
    text = cg.model_c(fw.graph, fw.choices, fw.arena, blobs, chains, prefix=fw.prefix)
    (folder/'model.c').write_text(text, encoding='utf-8')
    return fw


# ---- what a network exercises

def features(
    fw:cg.Firmware, # a generated network
)->set:             # of words
    "What occurs in a network's C: the sweep counts it, so that nothing is left out unseen."
    g, res = fw.graph, {op.kind for op in fw.graph.ops}
    res |= {f'{c.kernel.name} 1x{c.block}' if c.block else c.kernel.name for c in fw.choices.values()}
    def note(word, yes): res.update([word] if yes else [])
    shapes = [t.shape for t in g.tensors.values()]
    readers = Counter(n for op in g.ops for n in op.inputs)
    windows = [op.attrs for op in g.ops if 'dh' in op.attrs]
    pools = [op.attrs for op in g.ops if 'adaptive' in op.attrs]
    weighted = [op for op in g.ops if 'weight' in op.params]
    note('one pixel', any(s[:-1] in ((1, 1), (1,)) for s in shapes))
    note('one channel', any(s[-1] == 1 for s in shapes))
    rows = [op.params['weight'][0].size for op in weighted if 'cout' in op.attrs]
    note('more than 127 blocks in a row', max(rows, default=0) > 4*127)
    note('zero point at an end', any(t.zero_point in (-128, 127) for t in g.tensors.values()))
    note('pre-shift', any(op.attrs.get('shift', 0) > 0 and 'mult_b' not in op.attrs for op in g.ops))
    note('an operator without weights left', any(not op.params['weight'].any() for op in weighted))
    note('kernel not square', any(a['kh'] != a['kw'] for a in windows))
    note('stride over kernel', any(max(a['sh'], a['sw']) > min(a['kh'], a['kw']) for a in windows))
    note('padding as wide as the kernel', any(a['top'] >= a['kh'] or a['left'] >= a['kw'] for a in windows))
    note('adaptive pool', any(a['adaptive'] for a in pools))
    note('padded pool', any(a['top'] + a['left'] for a in pools))
    note('directions unlike', any(a['sh'] != a['sw'] for a in windows))
    note('dilation', any(max(a['dh'], a['dw']) > 1 for a in windows))
    note('padded on one side', any(a['top'] != a['bottom'] or a['left'] != a['right'] for a in windows))
    heads = [op.attrs for op in g.ops if 'heads' in op.attrs]
    note('keys unlike tokens', any(a['keys'] != a['tokens'] for a in heads))
    note('values of another width', any(a.get('vdim', a['dim']) != a['dim'] for a in heads))
    note('causal attention', any(a.get('causal') for a in heads))
    note('a tensor with two readers', max(readers.values()) > 1)
    note('one tensor twice', any(len(set(op.inputs)) < len(op.inputs) for op in g.ops))
    note('layernorm of a long row', any(op.kind == 'layernorm' and op.attrs['c'] > 1024 for op in g.ops))
    note('a difference', any(min(op.attrs.get('mult_a', 0), op.attrs.get('mult_b', 0)) < 0 for op in g.ops))
    for op in g.ops: note(f"{op.kind} of form {op.attrs.get('b')}", op.kind in ('mul', 'add_broadcast'))
    note('a tensor nobody reads', any(op.output not in readers and op.output != g.output for op in g.ops))
    note('the output is read again', g.output in readers)
    note('no arena', fw.plan.peak == 0)
    note('in place', any(len(b.holds) > 1 and not b.scratch for b in fw.arena.buffers))
    for chain in fw.chains: res |= _chain_features(fw, chain)
    return res | ({'two chains'} if len(fw.chains) > 1 else set())


def _chain_features(fw, chain):
    "What occurs in one chain."
    g, ops, loop = fw.graph, fw.graph.ops[chain.first:chain.last + 1], cg.loop_of(fw.graph, fw.choices, chain)
    res, inner = {'chain', f'chain of {min(len(ops), 5)}'}, {op.output for op in ops[:-1]}
    if g.input in ops[0].inputs: res.add('chain reads the input')
    if ops[-1].output == g.output: res.add('chain writes the output')
    if loop.heights[-1] % chain.rows: res.add('last band is short')
    if chain.rows > 1: res.add('several rows at a time')
    for i, op in enumerate(ops, chain.first):
        k, s, *padding = loop.steps[i].window
        first = 'first in a chain' if i == chain.first else 'in a chain'
        res.add(f'{op.kind} {first}')
        if loop.steps[i].finds_rows:
            how = 'under' if k < s else 'equal to' if k == s else 'over'
            res.add(f"kernel {how} stride{' with padding' if any(padding) else ''}, {first}")
        if loop.steps[i].whole: res.add('a tensor without rows, read in a chain')
        if op.kind == 'add' and set(op.inputs) - inner - {g.input}: res.add('addition of a tensor from outside a chain')
    for i in range(chain.first, chain.last):
        whole = loop.rows_kept(i) == loop.rows_out(i)
        res.add('whole tensor in a chain' if whole else 'ring' if loop.fills_ring(i) else 'strip')
    return res


# ---- many networks as one program

PART = '#include "{name}/weights.c"\n#include "{name}/model.c"'
ROW = '    {{{name}_invoke_with, {name}_invoke, {NAME}_INPUT_BYTES, {NAME}_OUTPUT_BYTES, {NAME}_ARENA_BYTES}},'
TABLE = '''
typedef struct {{
    int (*invoke_with)(int8_t *arena, const int8_t *input, int8_t *output);
    int (*invoke)(const int8_t *input, int8_t *output);
    int32_t in, out, arena;
}} network;

static const network networks[] = {{
{rows}
}};
'''


def together(
    folders:list, # of generated models, each with its folder's name as prefix
    table:bool,   # with the table that `run_networks.c` reads
)->str:           # C
    "The C of many models as one file: their prefixes keep them apart."
    names = [folder.name for folder in folders]
    rows = [ROW.format(name=name, NAME=name.upper()) for name in names]
    return '\n'.join(PART.format(name=n) for n in names) + (TABLE.format(rows='\n'.join(rows)) if table else '') + '\n'


SANITIZE = dict(gcc=('-fsanitize=address,undefined', '-fno-sanitize-recover=all'),
                zig=('-fsanitize=undefined', '-fsanitize-trap=all'))


def _host_kernels(cc):
    "Every kernel as a library, instrumented, compiled once."
    return compile_host(tk.sources(), include=[tk.FIRMWARE/'include'], flags=(*SANITIZE[cc], *WARNINGS), cc=cc)


def _records(raw, made, images):
    "(status, outputs) of each network that has a whole record."
    at = 0
    for net, fw in made:
        n = fw.graph.tensors[fw.graph.output].nbytes
        if len(raw) < at + 4 + images*n: return
        outputs = np.frombuffer(raw, np.int8, images*n, at + 4).reshape(images, n)
        yield int(np.frombuffer(raw, np.int32, 1, at)[0]), outputs
        at += 4 + images*n


def _compiled(make, made):
    "(what `make` makes of the networks that the compiler takes, number -> its words about those that it refuses)."
    try: return make(made), {}
    except BuildFailed as e:
        refused = {int(n): str(e) for n in re.findall(r'/n(\d+)/[\w.]+:\d+:\d+: error', e.log)}
        if not refused: raise
        product, more = _compiled(make, [m for m in made if m[0].number not in refused])
        return product, refused | more


def run_host(
    made:list,   # of (Network, Firmware) in one folder
    folder:Path, # that folder
    cc:str,      # 'gcc' (address and undefined-behaviour sanitizers) or 'zig' (the latter)
)->dict:         # number -> (trouble in words or '', outputs int8 [images, n] or None)
    "Compile the networks as one program and run it, again from the next one on where one stops it."
    def make(some):
        (folder/'networks.h').write_text(together([fw.folder for _, fw in some], True), encoding='utf-8')
        sources, include = [firmware_dir()/'tests'/'run_networks.c', _host_kernels(cc)], [folder, tk.FIRMWARE/'include']
        return compile_host(sources, include=include, flags=(*SANITIZE[cc], *WARNINGS, '-O0'), shared=False, cc=cc)
    program, refused = _compiled(make, made)
    res = {number: (why, None) for number, why in refused.items()}
    left = [m for m in made if m[0].number not in refused]
    total, images = len(left), len(made[0][0].inputs)
    while left:
        (folder/'inputs').write_bytes(b''.join(net.inputs.tobytes() for net, _ in left))
        words = [program, folder/'inputs', folder/'outputs', str(images), str(total - len(left))]
        env = {**os.environ, 'ASAN_OPTIONS': 'detect_leaks=0'}
        done = subprocess.run(words, capture_output=True, encoding='utf-8', errors='replace', env=env)
        got = list(_records((folder/'outputs').read_bytes(), left, images))
        res |= {net.number: (f'status {s}' if s else '', y) for (net, _), (s, y) in zip(left, got)}
        if bool(done.returncode) == (len(got) == len(left)):
            raise SimulationFailed(f'run_networks ended with {done.returncode}: {done.stderr[:500]}')
        if done.returncode: res[left[len(got)][0].number] = _reason(done), None
        left = left[len(got) + 1:]
    program.unlink()
    return res


def _reason(done):
    "The line in which a sanitizer says what it found."
    marks = 'ERROR: AddressSanitizer', 'runtime error', 'run_networks:'
    lines = [l for l in done.stderr.splitlines() if any(m in l for m in marks)]
    return (lines[0] if lines else f'stopped with {done.returncode}: {done.stderr[:200]}').strip()


class Core:
    "An emulated core with many networks in one image; a buffer touches the end or the start of the memory that exists."
    ROOM, AT, STEP = 1 << 18, 0x70000000, 1 << 19

    def __init__(self, elf, core='cortex-m7'):
        self.emu = Emulator(elf, core)
        for i in range(3): self.emu.uc.mem_map(self.AT + i*self.STEP, self.ROOM)

    def room(self, i, n, at_end, align=1):
        if n > self.ROOM: raise BadInput(f'{n} bytes do not fit into a room of {self.ROOM}')
        return self.AT + i*self.STEP + ((self.ROOM - n) & -align if at_end else 0)

    def run(self, net, fw):
        "(trouble in words or '', outputs)."
        n, outs = fw.graph.tensors[fw.graph.output].nbytes, []
        for i, x in enumerate(net.inputs):
            end = i % 2 == 0
            arena, source, to = self.room(0, fw.arena_bytes, end, 8), self.room(1, x.size, end), self.room(2, n, end)
            self.emu.write(arena, np.random.default_rng(i).integers(0, 256, fw.arena_bytes, np.uint8).tobytes())
            self.emu.write(source, x.tobytes())
            self.emu.write(to, b'\xA5' * n)
            try: status = self.emu.call(f'{fw.prefix}_invoke_with', arena, source, to)
            except SimulationFailed as e: return str(e), None
            if status: return f'status {status}', None
            if self.emu.read(source, x.size) != x.tobytes(): return 'the input was written', None
            outs.append(np.frombuffer(self.emu.read(to, n), np.int8))
        return '', np.stack(outs)


def _kernels(made): return sorted({s for _, fw in made for s in cg.kernel_sources(fw.choices)})


def run_device(made, folder, cc):
    "As `run_host`, on the emulated core that they were made for."
    board = made[0][0].board
    def make(some):
        (folder/'device.c').write_text(together([fw.folder for _, fw in some], False), encoding='utf-8')
        port = tk.FIRMWARE/'ports'/'cortex_m'
        return compile_image([*_kernels(some), folder/'device.c', port/'memory.c'], port/'bare.ld',
                             include=[folder, tk.FIRMWARE/'include'], flags=WARNINGS, cc=cc, core=board.core)
    elf, refused = _compiled(make, made)
    core = Core(elf, board.core)
    res = {net.number: (refused[net.number], None) if net.number in refused else core.run(net, fw) for net, fw in made}
    elf.unlink()
    return res


def run_node(made, folder, cc):
    "As `run_host`, as one WebAssembly module in Node."
    names = [net.graph.name for net, _ in made]
    (folder/'module.c').write_text(together([fw.folder for _, fw in made], False), encoding='utf-8')
    exports = [f'-Wl,--export={name}_invoke_with' for name in names] + ['-Wl,--export=__heap_base']
    module = compile_wasm([*_kernels(made), folder/'module.c'], folder/'module.wasm', [folder, tk.FIRMWARE/'include'],
                          (*WARNINGS, *exports))
    sizes = [dict(name=name, arena=fw.arena_bytes, input=net.inputs[0].size, images=len(net.inputs),
                  output=fw.graph.tensors[fw.graph.output].nbytes) for name, (net, fw) in zip(names, made)]
    (folder/'sizes.json').write_text(json.dumps(sizes))
    (folder/'inputs').write_bytes(b''.join(net.inputs.tobytes() for net, _ in made))
    script = firmware_dir()/'tests'/'run_networks.cjs'
    words = [find_node(), script, module, folder/'sizes.json', folder/'inputs', folder/'outputs']
    done = subprocess.run([*map(str, words)], capture_output=True, encoding='utf-8')
    if done.returncode: raise SimulationFailed(f'run_networks.cjs: {done.stderr[:500]}')
    records = _records((folder/'outputs').read_bytes(), made, len(made[0][0].inputs))
    return {net.number: (f'status {s}' if s else '', y) for (net, _), (s, y) in zip(made, records)}


# ---- the sweep

@dataclass
class Result:
    "What a sweep did."
    networks: Counter = field(default_factory=Counter)  # (place, memory mode) -> networks
    compared: Counter = field(default_factory=Counter)  # (place, memory mode) -> bytes
    different: Counter = field(default_factory=Counter) # (place, memory mode) -> bytes; all of one that did not return
    features: Counter = field(default_factory=Counter)  # see `features` -> networks
    failures: list = field(default_factory=list)        # (number, place, what happened)

    def lines(self):
        "One line for each place and memory mode, and a closing line."
        def figures(networks, compared, different):
            return f'{networks} networks, {compared} bytes compared, {different} different'
        counts = self.networks, self.compared, self.different
        res = [f'{key[0]}, memory {key[1]!r}: {figures(*(c[key] for c in counts))}' for key in sorted(self.networks)]
        failed = len({number for number, *_ in self.failures})
        return [*res, f'{figures(*(sum(c.values()) for c in counts))}, {failed} networks failed']


def judge(result, place, net, want, trouble, got):
    "Compare what one network returned, and book it."
    key = place, net.memory
    wrong = want.size if got is None or trouble else int((got != want).sum())
    result.networks[key] += 1
    result.compared[key] += want.size
    result.different[key] += wrong
    what = trouble or f'{wrong} of {want.size} bytes differ'
    if wrong or trouble: result.failures.append((net.number, place, f'{what}; {net}'))


def run_batch(
    seed:int,      # of the whole run
    numbers:list,  # of networks
    result:Result, # gets what happened
    folder:Path,   # an empty folder
    cc:str,        # of the host
    device:list,   # numbers that the emulated core runs as well
    device_cc:str='auto', # its compiler
):
    "Draw, generate, compile, run and compare some networks."
    made, want = [], []
    for number in numbers:
        net = draw(seed, number)
        try: fw = generate(net, folder/f'n{number}')
        except Exception as e:      # whatever it is: the engine accepts this network
            judge(result, 'generate', net, np.zeros(0), f'{type(e).__name__}: {e}', None)
            continue
        made.append((net, fw))
        want.append(tg.run(net.graph, net.inputs).reshape(IMAGES, -1))
        result.features.update(features(fw))
        result.features.update([f'memory {net.memory}', f'objective {net.objective}', f'kernels {net.policy}'])
        if [op.name for op in fw.graph.ops] != [op.name for op in net.graph.ops]: result.features['another order'] += 1
    host, core = run_host(made, folder, cc), {}
    some = [m for m in made if m[0].number in set(device)]
    if some: core = run_device(some, folder, device_cc)
    for place, got in ((f'host {cc}', host), ('device', core)):
        for (net, _), y in zip(made, want):
            if net.number in got: judge(result, place, net, y, *got[net.number])


def roomy_memory():
    "A folder in memory with room for a batch, None where there is none: on disk, writing takes as long as the rest."
    shm = Path('/dev/shm')
    return shm if shm.is_dir() and os.access(shm, os.W_OK) and shutil.disk_usage(shm).free > 1 << 30 else None


def sweep(
    count:int,              # networks
    seed:int=0,             # of the whole run
    start:int=0,            # first number
    device_share:float=0.,  # share of the networks that the emulated core runs as well
    cc:str='gcc',           # of the host: 'gcc' or 'zig'
    device_cc:str='auto',   # of the core: 'auto', 'gcc' or 'zig'
    batch:int=250,          # networks in one program
    progress:bool=False,    # show a bar
    most:int=20,            # stop after so many failures
)->Result:                  # what was done
    "Run many random networks. It goes on after a failure: many tell more than the first."
    if count < 1 or not 0 <= device_share <= 1:
        raise BadInput(f'count is {count} and device_share {device_share}: give at least 1, and 0 to 1')
    result, pause = Result(), .1 if sys.stderr.isatty() else 60
    with tqdm(total=count, unit='network', disable=not progress, leave=False, mininterval=pause) as bar:
        for at in range(start, start + count, batch):
            numbers = list(range(at, min(at + batch, start + count)))
            each = round(1 / device_share) if device_share else 0
            with tempfile.TemporaryDirectory(prefix='tinyformer-networks-', dir=roomy_memory()) as folder:
                some = [n for n in numbers if each and n % each == 0]
                run_batch(seed, numbers, result, Path(folder), cc, some, device_cc)
            bar.update(len(numbers))
            if len(result.failures) >= most: break
    return result


def sweep_core(
    board:Target,         # its core runs them; `hardware.WASM`: Node does
    count:int,            # networks
    seed:int=0,           # of the whole run
    start:int=0,          # first number
    cc:str='auto',        # a compiler of the core
    batch:int=50,         # networks in one image
)->Result:                # what was done
    "Random networks on a core other than the Cortex-M7, made for it."
    result, board = Result(), replace(board, flash_bytes=BOARD.flash_bytes, sram_bytes=BOARD.sram_bytes, memories=())
    run = run_node if board.cpu.family == 'wasm' else run_device
    for at in range(start, start + count, batch):
        with tempfile.TemporaryDirectory(prefix='tinyformer-networks-', dir=roomy_memory()) as folder:
            nets = [draw(seed, number, board) for number in range(at, min(at + batch, start + count))]
            made = [(net, generate(net, Path(folder)/f'n{net.number}')) for net in nets]
            got = run(made, Path(folder), cc)
        for net, fw in made:
            result.features.update(features(fw))
            judge(result, board.core, net, tg.run(net.graph, net.inputs).reshape(IMAGES, -1), *got[net.number])
    return result


def main(argv=None):
    p = argparse.ArgumentParser(prog='python -m tinyformer.random_networks', description=__doc__.split('\n\n')[0])
    p.add_argument('--count', type=int, default=2000, help='networks')
    p.add_argument('--seed', type=int, default=0, help='of the run')
    p.add_argument('--start', type=int, default=0, help='number of the first network: go on where a run was stopped')
    p.add_argument('--only', type=int, help='run the network of this number alone, on both places')
    p.add_argument('--keep', type=Path, help='with --only: leave the generated C in this folder')
    p.add_argument('--device-share', type=float, default=.05, help='share that the emulated Cortex-M7 runs as well')
    p.add_argument('--cc', default='gcc', choices=['gcc', 'zig'], help='gcc has both sanitizers, zig one')
    p.add_argument('--target', help='instead, run them all on the core of this board, or on wasm32')
    p.add_argument('--features', action='store_true', help='print how often each feature occurred')
    a = p.parse_args(argv)
    if a.only is not None: return one(a.seed, a.only, a.cc, a.keep)
    started = time.time()
    board = a.target and (WASM if a.target == WASM.name else target(a.target))
    if board: r = sweep_core(board, a.count, a.seed, a.start)
    else: r = sweep(a.count, a.seed, a.start, a.device_share, a.cc, progress=True)
    for word, n in sorted(r.features.items()) if a.features else (): print(f'{n:7} {word}')
    for number, place, what in r.failures: print(f'FAILED {place}: {what}')
    if r.failures: print(f'Run one again with --seed {a.seed} --only NUMBER --keep FOLDER')
    print('\n'.join([*r.lines(), f'{time.time() - started:.0f} s']))
    return 1 if r.failures else 0


def one(seed, number, cc, keep):
    "Run one network, in both places, and show it."
    result = Result()
    with tempfile.TemporaryDirectory(prefix='tinyformer-networks-') as folder:
        run_batch(seed, [number], result, Path(folder), cc, [number])
        net = draw(seed, number)
        fw = generate(net, keep or Path(folder)/'again')
        print(net)
        for op in fw.graph.ops:
            shape, kernel = fw.graph.tensors[op.output].shape, fw.choices[op.name].kernel
            print('   ', op.kind, *op.inputs, '->', op.output, shape, op.attrs, kernel)
        print('\n'.join(map(str, fw.chains)))
    for _, place, what in result.failures: print(f'FAILED {place}: {what}')
    print('\n'.join(result.lines()))
    return 1 if result.failures else 0


if __name__ == '__main__':
    from tinyformer.cli import standalone
    sys.exit(standalone(main, 'random_networks'))
