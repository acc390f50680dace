"""Random int8 graphs, for kernels, code generator and simulator before any network is trained: every operator of a
searched network, odd sizes, zero points at both ends, values that saturate. A graph is drawn operator by operator;
eight random images run along, and the constants of each operator are chosen so that its codes stay spread: a graph
whose last tensor is constant would test nothing."""
import math

import numpy as np

from tinyformer import operators as ops8
from tinyformer.graph import Graph, Op, Tensor, made
from tinyformer.operators import OPERATORS, out_hw, square_window


class Draw:
    "Draws a random graph; `tensors` and `ops` are what was drawn, `live` the codes of eight images, name -> [8, ...]."
    def __init__(self,
        seed,     # of NumPy's generator
        shape,    # (h, w, c) of the input
        sparsity, # fraction of 1x4 blocks of weights cleared
    ):
        self.rng, self.sparsity = np.random.default_rng(seed), sparsity
        self.tensors, self.ops = {'input': Tensor('input', shape, 1/255, -128)}, []
        self.live = {'input': self.rng.integers(-128, 128, (8, *shape), dtype=np.int8)}

    def zp(self):
        "A zero point: an end, 0, or any."
        return int(self.rng.choice([-128, 127, 0, int(self.rng.integers(-128, 128))]))

    def put(self, kind, ins, shape, attrs, params=None, zp=None):
        "Append an operator and run it; the name of its tensor."
        name = f'{kind}_{len(self.ops)}'
        scale, zp = float(self.rng.uniform(0.02, 0.06)), attrs.get('zp_out', zp)
        t = self.tensors[ins[0]] if OPERATORS[kind].moves else None
        if t: scale, zp = t.scale, t.zero_point
        self.tensors[name] = Tensor(name, shape, scale, zp)
        self.ops.append(Op(kind, name, list(ins), name, attrs, params or {}))
        self.live[name] = made(self.ops[-1], self.live, 8, shape)
        return name

    def weights(self, rows, taps, cin, product):
        "Random weights, 1x4 blocks cleared; constants that centre and spread `product(weights)`."
        w = self.rng.integers(-127, 128, (rows, taps, cin))
        drop = self.rng.random((rows, taps, -(-cin // 4))) < self.sparsity
        w = np.where(np.repeat(drop, 4, axis=2)[:, :, :cin], 0, w).reshape(rows, -1)
        acc = product(w.astype(float)).reshape(-1, rows)
        mult, shift = ops8.requant_params(self.rng.uniform(20, 70, rows) / (acc.std(0) + 20))
        return dict(weight=w.astype(np.int8), bias=np.round(-acc.mean(0)).astype(np.int32), mult=mult), shift

    # ---- layers with weights

    def linear(self, kind, x, pixels, cin, cout, shape, zp=None):
        "A pointwise, linear or fully connected layer."
        live = self.live[x].reshape(-1, cin)
        params, shift = self.weights(cout, 1, cin, lambda w: live @ w.T)
        attrs = dict(pixels=pixels, cin=cin, cout=cout, shift=shift,
                     zp_in=self.tensors[x].zero_point, zp_out=self.zp() if zp is None else zp)
        return self.put(kind, [x], shape, attrs, params)

    def put_window(self, kind, x, k, stride, channels, params, shift):
        h, w, _ = self.tensors[x].shape
        attrs = dict(h=h, w=w, **channels, kh=k, kw=k, **square_window(stride, k//2), shift=shift,
                     zp_in=self.tensors[x].zero_point, zp_out=self.zp())
        return self.put(kind, [x], (*out_hw(attrs), list(channels.values())[-1]), attrs, params)

    def patches(self, x, k, stride):
        "What each output pixel is made from: [pixels, taps, channels]."
        t = self.tensors[x]
        win = ops8.patches(self.live[x], k, k, t.zero_point, **square_window(stride, k//2))
        return win.reshape(-1, k*k, t.shape[-1])

    def conv(self, x, k, stride, cout):
        "A k x k convolution, padded by k//2."
        win, c = self.patches(x, k, stride), self.tensors[x].shape[-1]
        params, shift = self.weights(cout, k*k, c, lambda w: win.reshape(-1, k*k*c) @ w.T)
        params['weight'] = params['weight'].reshape(cout, k, k, c)
        return self.put_window('conv3x3', x, k, stride, dict(cin=c, cout=cout), params, shift)

    def depthwise(self, x, k, stride):
        "A k x k depthwise convolution, padded by k//2."
        win, c = self.patches(x, k, stride), self.tensors[x].shape[-1]
        params, shift = self.weights(c, k*k, 1, lambda w: np.einsum('ntc,ct->nc', win, w))
        params['weight'] = params['weight'].T.reshape(k, k, c).copy()
        return self.put_window('depthwise3x3', x, k, stride, dict(c=c), params, shift)

    # ---- the others

    def add(self, a, b):
        "The sum of two tensors of one shape."
        ta, tb = self.tensors[a], self.tensors[b]
        s_out = max(ta.scale, tb.scale)*1.2
        mean = sum(t.scale*(self.live[t.name].mean() - t.zero_point) for t in (ta, tb))
        zp = int(np.clip(self.rng.uniform(-60, 60) - mean/s_out, -128, 127))
        p = ops8.add_params(ta.scale, ta.zero_point, tb.scale, tb.zero_point, s_out, zp)
        return self.put('add', [a, b], ta.shape, dict(n=ta.nbytes, **p), zp=zp)

    def norm(self, x):
        "A LayerNorm over the channels."
        t, zp = self.tensors[x], self.zp()
        tokens, c = math.prod(t.shape[:-1]), t.shape[-1]
        gamma, beta = self.rng.normal(1, .3, c), self.rng.normal(0, .3, c)
        p = ops8.layernorm_params(gamma, beta, t.scale, 1e-5, 0.025, c)
        arrays = dict(gamma=p.pop('gamma'), beta=p.pop('beta'))
        return self.put('layernorm', [x], (tokens, c), dict(tokens=tokens, c=c, zp_out=zp, **p), arrays)

    def encoder(self, x, heads, ffn):
        "A whole encoder layer, eleven operators."
        *hw, dim = self.tensors[x].shape
        tokens = math.prod(hw)
        def lin(z, cin, cout, zp=None): return self.linear('linear', z, tokens, cin, cout, (tokens, cout), zp)
        z = self.norm(x)
        qkv = [lin(z, dim, dim, 0) for _ in range(3)]
        p = ops8.attention_params(40/2500, 1., 1., 1., 1/4, self.zp(), dim, heads)
        p.pop('table')
        size = dict(tokens=tokens, keys=tokens, dim=dim, vdim=dim, heads=heads, causal=0)
        mixed = self.put('attention', qkv, (tokens, dim), size | p, dict(table=ops8.softmax_table(0.05)))
        x = self.add(x, lin(mixed, dim, dim))
        return self.add(x, lin(lin(self.norm(x), dim, ffn), ffn, dim))


def random_graph(
    seed=0,           # same seed, same graph
    shape=(8, 12, 3), # (h, w, c) of the input; h and w divisible by 4
    width=12,         # channels of the residual path
    heads=3,          # divides width
    classes=10,       # logits
    sparsity=0.6,     # fraction of 1x4 blocks cleared
): # Graph that holds every kind of operator that a searched network is lowered to
    "A small model with random weights and constants: for tests."
    g, wide = Draw(seed, shape, sparsity), 2*width + 2
    x = g.conv('input', 3, 1, width)
    h, w, c = shape[0]//2, shape[1]//2, width
    x = skip = g.put('maxpool2x2', [x], (h, w, c), dict(h=2*h, w=2*w, c=c), zp=g.tensors[x].zero_point)
    x = g.depthwise(g.linear('pointwise', x, h*w, c, wide, (h, w, wide)), 3, 1)
    x = g.add(g.linear('pointwise', x, h*w, wide, c, (h, w, c)), skip)
    x = g.encoder(g.conv(g.depthwise(x, 3, 2), 3, 1, c), heads, 2*width - 3)
    total, (h, w) = g.live[x].reshape(8, -1, c).sum(1), ((h + 1)//2, (w + 1)//2)
    mult, shift = ops8.requant_params(40 / (total.std() + 20))
    attrs = dict(h=h, w=w, c=c, bias=-int(total.mean()), mult=int(mult), shift=shift, zp_out=g.zp())
    x = g.linear('fully_connected', g.put('avgpool', [x], (c,), attrs), 1, c, classes, (classes,))
    return Graph(g.tensors, g.ops, 'input', x, f'random_{seed}')


def linear_graph(
    *layers: tuple,  # (name, input, outputs), or (name, (input, input)) for a sum, in the order in which they run
    cin: int = 8,    # values of the input 'x'
) -> Graph:          # its weights are all 1; the last layer makes its output
    "A graph of linear layers and sums, for questions about memory and order only."
    tensors, ops = {'x': Tensor('x', (cin,), 1., 0)}, []
    for name, reads, *n in layers:
        if n:
            k, n = tensors[reads].nbytes, n[0]
            params = dict(weight=np.ones((n, k), np.int8), bias=np.zeros(n, np.int32), mult=np.ones(n, np.int32))
            ops.append(Op('linear', name, [reads], name,
                          dict(pixels=1, cin=k, cout=n, shift=0, zp_in=0, zp_out=0), params))
        else:
            n = tensors[reads[0]].nbytes
            ops.append(Op('add', name, list(reads), name, dict(n=n, mult_a=1, mult_b=1, bias=0, shift=1)))
        tensors[name] = Tensor(name, (n,), 1., 0)
    return Graph(tensors, ops, 'x', ops[-1].output)
