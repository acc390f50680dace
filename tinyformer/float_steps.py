"""The kinds of step of a `FloatGraph`: what each computes, and the call that makes one, with its rule for shapes.

Each kind is a torch function of the values that it reads, channels last, with the axis of the batch in front. The call
refuses weights and values that do not fit. `FloatGraph.run` checks that both agree about the shape."""
import math
from collections import Counter

import torch, torch.nn.functional as F

from tinyformer.errors import BadInput

COMPUTE = {} # kind -> function(step, *values [n, ...]) -> value


def registering(
    table:dict, # key -> function
):
    "A decorator that puts a function into a table, under each of its keys."
    def under(*keys):
        def deco(f):
            for k in keys: table[k] = f
            return f
        return deco
    return under


computes = registering(COMPUTE) # with kinds of step


# ---- what they compute -----------------------------------------------------------------------------------------------

def _pads(a): return a['left'], a['right'], a['top'], a['bottom']


@computes('conv')
def _conv(step, x):
    a, w, b = step.attrs, step.params['weight'], step.params['bias']
    x = F.pad(x.permute(0, 3, 1, 2), _pads(a))
    stride, dilation = (a['sh'], a['sw']), (a['dh'], a['dw'])
    y = F.conv2d(x, w.permute(0, 3, 1, 2), b, stride, 0, dilation, a['groups'])
    return y.permute(0, 2, 3, 1)


@computes('linear')
def _linear(step, x): return F.linear(x, step.params['weight'], step.params['bias'])


@computes('scale')
def _scale(step, x): return x * step.params['weight'] + step.params['bias']


@computes('act')
def _act(step, x): return step.f(x)


def _windows(n, out, k, stride, before, adaptive, padded):
    "Where each of `out` windows starts and ends on an axis of n, and how many places it counts."
    if adaptive:
        edges = [(i*n//out, -(-(i + 1)*n//out)) for i in range(out)]
        return [(a, b, b - a) for a, b in edges]
    starts = [i*stride - before for i in range(out)]
    ends = [min(s + k, n + before) for s in starts]
    inside = [(max(s, 0), min(e, n)) for s, e in zip(starts, ends)]
    return [(a, b, e - s if padded else b - a) for s, e, (a, b) in zip(starts, ends, inside)]


@computes('maxpool', 'avgpool')
def _pool(step, x):
    a, (_, h, w, _), (oh, ow, _) = step.attrs, x.shape, step.shape
    rows = _windows(h, oh, a['kh'], a['sh'], a['top'], a['adaptive'], a['count_pad'])
    cols = _windows(w, ow, a['kw'], a['sw'], a['left'], a['adaptive'], a['count_pad'])
    if step.kind == 'maxpool': # first down, then across
        x = torch.stack([x[:, i:j].amax(1) for i, j, _ in rows], 1)
        return torch.stack([x[:, :, i:j].amax(2) for i, j, _ in cols], 2)
    x = torch.stack([x[:, i:j].sum(1) / n for i, j, n in rows], 1)
    return torch.stack([x[:, :, i:j].sum(2) / n for i, j, n in cols], 2)


@computes('mean')
def _mean(step, x): return x.flatten(1, -2).mean(1).reshape(len(x), *step.shape)


@computes('layernorm')
def _layernorm(step, x):
    gamma, beta = step.params['gamma'], step.params['beta']
    return F.layer_norm(x, x.shape[-1:], gamma, beta, step.attrs['eps'])


@computes('rmsnorm')
def _rmsnorm(step, x):
    return x * torch.rsqrt(x.square().mean(-1, True) + step.attrs['eps']) * step.params['gamma']


def _second(step, x, y):
    "The second operand, with axes that broadcast over the first."
    if not step.attrs['b']: return y.reshape(x.shape)
    lead = [1]*(x.ndim - 2) if step.attrs['b'] == 'row' else x.shape[1:-1]
    return y.reshape(len(y), *lead, -1)


@computes('add')
def _add(step, x, y): return step.attrs['alpha']*x + step.attrs['beta']*_second(step, x, y)


@computes('mul')
def _mul(step, x, y): return x * _second(step, x, y)


@computes('const')
def _const(step): return step.params['data'][None]


@computes('concat')
def _concat(step, x, y): return torch.cat([x, y], 1 + step.attrs['axis'])


@computes('view')
def _view(step, x): return x.reshape(len(x), *step.shape)


def copy_places(
    dims:tuple, # sizes of the output, first axis first
    strides:tuple, # places in the input's memory from one to the next, for each axis
    base:int, # place of the first
)->torch.Tensor: # int64 [prod(dims)] places in the input's memory
    "Where each value of a copy comes from."
    out = torch.tensor([base])
    for d, s in zip(dims, strides): out = (out[:, None] + s*torch.arange(d)).flatten()
    return out


@computes('copy')
def _copy(step, x):
    a = step.attrs
    places = copy_places(a['dims'], a['strides'], a['base'])
    return x.flatten(1)[:, places.to(x.device)].reshape(len(x), *step.shape)


@computes('pad')
def _pad(step, x):
    a, (n, h, w, c) = step.attrs, x.shape
    gh, gw = a['gap_h'] + 1, a['gap_w'] + 1
    y = x.new_zeros(n, (h - 1)*gh + 1, (w - 1)*gw + 1, c)
    y[:, ::gh, ::gw] = x
    return F.pad(y, (0, 0, *_pads(a)))


def _split(x, heads): return x.unflatten(2, (heads, -1)).transpose(1, 2)


@computes('attention')
def _attention(step, q, k, v):
    a = step.attrs
    q, k, v = (_split(x, a['heads']) for x in (q, k, v))
    s = q @ k.transpose(2, 3) * a['scale']
    if a['causal']: s = s.masked_fill(torch.ones_like(s[0, 0], dtype=torch.bool).triu(1), -math.inf)
    return (s.softmax(-1) @ v).transpose(1, 2).flatten(2)


@computes('matmul_qk')
def _matmul_qk(step, q, k):
    q, k = (_split(x, step.attrs['heads']) for x in (q, k))
    return (q @ k.transpose(2, 3)).reshape(len(q), *step.shape)


@computes('softmax')
def _softmax(step, x): return x.softmax(-1)


@computes('matmul_av')
def _matmul_av(step, p, v):
    p = p.reshape(len(p), step.attrs['heads'], -1, p.shape[-1])
    return (p @ _split(v, step.attrs['heads'])).transpose(1, 2).flatten(2)


@computes('fake_quantize')
def _fake_quantize(step, x):
    s, z = step.attrs['scale'], step.attrs['zero_point']
    return torch.fake_quantize_per_tensor_affine(x, s, z, -128, 127)


# ---- the calls that make them ----------------------------------------------------------------------------------------

def _fits(graph, name, x, y, b):
    "Check the sizes of a sum or product."
    n, c = math.prod(graph.shapes[x]), graph.shapes[x][-1]
    if math.prod(graph.shapes[y]) != {'': n, 'row': c, 'column': n//c}[b]:
        what = f"{graph.shapes[y]} is no {b or 'twin'} of {graph.shapes[x]}"
        raise BadInput(f'layer {name!r}: {what}')


class Builders:
    "One call for each kind of step; a part of `FloatGraph`, which has the names and shapes of all values."
    # ---- layers ------------------------------------------------------------------------------------------------------

    def add_conv(self,
        name:str, # of the layer
        x:str, # value (h, w, cin)
        weight:torch.Tensor, # [cout, kh, kw, cin/groups]
        bias:torch.Tensor=None, # [cout]
        stride:tuple=(1, 1), # down, across
        dilation:tuple=(1, 1), # down, across
        pad:tuple=(0, 0, 0, 0), # top, bottom, left, right
        groups:int=1, # cin for depthwise
    )->str: # value (oh, ow, cout)
        "A convolution over a map."
        cout, kh, kw, per = weight.shape
        h, w, cin = self.shapes[x]
        oh = (h + pad[0] + pad[1] - dilation[0]*(kh - 1) - 1) // stride[0] + 1
        ow = (w + pad[2] + pad[3] - dilation[1]*(kw - 1) - 1) // stride[1] + 1
        if cin != per*groups or cout % groups or oh < 1 or ow < 1:
            raise BadInput(f'layer {name!r}: weight {tuple(weight.shape)} does not fit {h, w, cin}')
        params = dict(weight=weight, bias=weight.new_zeros(cout) if bias is None else bias)
        keys = 'sh sw dh dw top bottom left right groups'.split()
        attrs = dict(zip(keys, (*stride, *dilation, *pad, groups)))
        return self.put('conv', name, [x], (oh, ow, cout), params, **attrs)

    def add_linear(self,
        name:str, # of the layer
        x:str, # value (..., cin)
        weight:torch.Tensor, # [cout, cin]
        bias:torch.Tensor=None, # [cout]
    )->str: # value (..., cout)
        "A linear layer over the last axis."
        *lead, cin = self.shapes[x]
        if cin != weight.shape[1]:
            raise BadInput(f'layer {name!r}: weight {tuple(weight.shape)} does not fit {cin} values')
        params = dict(weight=weight, bias=weight.new_zeros(len(weight)) if bias is None else bias)
        return self.put('linear', name, [x], (*lead, len(weight)), params)

    def add_scale(self,
        name:str, # of the layer
        x:str, # value (..., c)
        weight:torch.Tensor, # [c]
        bias:torch.Tensor, # [c]
    )->str: # value (..., c)
        "Each channel times its weight, plus its bias."
        params = dict(weight=weight, bias=bias)
        return self.put('scale', name, [x], self.shapes[x], params)

    def add_act(self,
        name:str, # of the layer
        x:str, # value
        act:str, # 'relu', 'relu6', 'clamp', 'gelu', ...
        f:object, # function of a tensor, value by value
        lo:float=-math.inf, # least value that it gives, where it is a clamp
        hi:float=math.inf, # greatest
        **line:float, # k and b where it is kx + b
    )->str: # value, as `x`
        "A function of one number, for each value."
        return self.put('act', name, [x], self.shapes[x], None, f, name=act, lo=lo, hi=hi, **line)

    # ---- pools and norms ---------------------------------------------------------------------------------------------

    def add_pool(self,
        name:str, # of the layer
        x:str, # value (h, w, c)
        kind:str, # 'maxpool' or 'avgpool'
        size:tuple, # (oh, ow)
        kernel:tuple=(1, 1), # (kh, kw)
        stride:tuple=(1, 1), # (sh, sw)
        pad:tuple=(0, 0), # (top, left)
        count_pad:bool=False, # an average counts its padding
        adaptive:bool=False, # windows divide the map; kernel, stride and pad say nothing
    )->str: # value (oh, ow, c)
        "A pool over a map."
        keys = 'kh kw sh sw top left count_pad adaptive'.split()
        attrs = dict(zip(keys, (*kernel, *stride, *pad, int(count_pad), int(adaptive))))
        return self.put(kind, name, [x], (*size, self.shapes[x][-1]), **attrs)

    def add_mean(self,
        name:str, # of the layer
        x:str, # value (h, w, c) or (t, c)
        keep:bool=False, # leave axes of size 1
    )->str: # value (c,), or (1, 1, c), (1, c)
        "The mean over the whole map or over all tokens."
        *lead, c = self.shapes[x]
        return self.put('mean', name, [x], (*[1]*len(lead)*keep, c), keep=int(keep))

    def add_layernorm(self,
        name:str, # of the layer
        x:str, # value (..., c)
        gamma:torch.Tensor, # [c] gain
        beta:torch.Tensor, # [c] offset
        eps:float, # added to the variance
    )->str: # value, as `x`
        "LayerNorm over the last axis."
        return self.put('layernorm', name, [x], self.shapes[x], dict(gamma=gamma, beta=beta), eps=eps)

    def add_rmsnorm(self,
        name:str, # of the layer
        x:str, # value (..., c)
        gamma:torch.Tensor, # [c] gain
        eps:float, # added to the mean square
    )->str: # value, as `x`
        "RMSNorm over the last axis."
        return self.put('rmsnorm', name, [x], self.shapes[x], dict(gamma=gamma), eps=eps)

    # ---- two values, and constants -----------------------------------------------------------------------------------

    def add_add(self,
        name:str, # of the step
        x:str, # value
        y:str, # value of that shape, or a smaller one
        alpha:int=1, # 1 or -1: sign of x
        beta:int=1, # 1 or -1: sign of y
        b:str='', # 'row' or 'column' where y is smaller
    )->str: # value, as `x`
        "alpha x + beta y."
        _fits(self, name, x, y, b)
        return self.put('add', name, [x, y], self.shapes[x], alpha=alpha, beta=beta, b=b)

    def add_mul(self,
        name:str, # of the step
        x:str, # value
        y:str, # value of that shape, or a smaller one
        b:str='', # 'row' or 'column' where y is smaller
    )->str: # value, as `x`
        "x times y."
        _fits(self, name, x, y, b)
        return self.put('mul', name, [x, y], self.shapes[x], b=b)

    def add_const(self,
        name:str, # of the step
        data:torch.Tensor, # in the order of memory, without a batch
    )->str: # value
        "A value that is the same for all inputs."
        return self.put('const', name, [], data.shape, dict(data=data))

    def add_concat(self,
        name:str, # of the step
        x:str, # value
        y:str, # value that differs on one axis at most
        axis:int, # along which y follows x
    )->str: # value
        "Two values, one behind the other along an axis."
        a, b = list(self.shapes[x]), list(self.shapes[y])
        both = a[axis] + b[axis]
        a[axis] = b[axis] = both
        if a != b: raise BadInput(f'layer {name!r}: {self.shapes[x]} and {self.shapes[y]} do not join')
        return self.put('concat', name, [x, y], a, axis=axis)

    # ---- moves -------------------------------------------------------------------------------------------------------

    def add_view(self,
        name:str, # of the step
        x:str, # value
        shape:tuple, # with as many values
    )->str: # value
        "The same bytes under another shape."
        if math.prod(shape) != math.prod(self.shapes[x]):
            raise BadInput(f'layer {name!r}: {self.shapes[x]} is not {tuple(shape)}')
        return self.put('view', name, [x], shape)

    def add_copy(self,
        name:str, # of the step
        x:str, # value
        shape:tuple, # of the output
        dims:tuple, # sizes, at most six, whose product is that of `shape`
        strides:tuple, # places between neighbours, 0 and negative allowed
        base:int=0, # place of the first value
    )->str: # value of `shape`
        "Values of x in another order."
        ways = [(d - 1)*s for d, s in zip(dims, strides)]
        least, most = (base + sum(f(0, w) for w in ways) for f in (min, max))
        inside = 0 <= least and most < math.prod(self.shapes[x])
        if not inside or math.prod(dims) != math.prod(shape) or len(dims) > 6:
            what = f'{dims} by {strides} from {base}'
            raise BadInput(f'layer {name!r}: no copy of {self.shapes[x]} is {what}')
        return self.put('copy', name, [x], shape, dims=tuple(dims), strides=tuple(strides), base=base)

    def add_pad(self,
        name:str, # of the step
        x:str, # value (h, w, c)
        pad:tuple=(0, 0, 0, 0), # top, bottom, left, right
        gap:tuple=(0, 0), # rows and columns of zeros between neighbours
    )->str: # value
        "Zeros around a map, and between its rows and columns."
        h, w, c = self.shapes[x]
        size = (h + (h - 1)*gap[0] + pad[0] + pad[1], w + (w - 1)*gap[1] + pad[2] + pad[3])
        keys = 'top bottom left right gap_h gap_w'.split()
        return self.put('pad', name, [x], (*size, c), **dict(zip(keys, (*pad, *gap))))

    # ---- attention, and rounding -------------------------------------------------------------------------------------

    def add_attention(self,
        name:str, # of the layer
        q:str, # queries (t, d)
        k:str, # keys (s, d)
        v:str, # values (s, e)
        heads:int=1, # divides d and e
        scale:float=None, # of the scores; None: one over the root of d/heads
        causal:bool=False, # a query sees the keys up to its own place
    )->str: # value (t, e)
        "softmax(scale q k') v, head by head."
        (t, d), (s, d2), (s2, e) = self.shapes[q], self.shapes[k], self.shapes[v]
        if d != d2 or s != s2 or d % heads or e % heads:
            what = f'q {t, d}, k {s, d2} and v {s2, e}'
            raise BadInput(f'layer {name!r}: {what} do not fit {heads} heads')
        scale = (d//heads)**-.5 if scale is None else float(scale)
        how = dict(heads=heads, scale=scale, causal=int(causal))
        return self.put('attention', name, [q, k, v], (t, e), **how)

    def add_matmul_qk(self,
        name:str, # of the step
        q:str, # rows (t, d)
        k:str, # rows (s, d)
        heads:int=1, # divides d
    )->str: # value (t, s), or (heads, t, s)
        "Every row of q times every row of k, head by head."
        (t, d), (s, d2) = self.shapes[q], self.shapes[k]
        if d != d2 or d % heads:
            raise BadInput(f'layer {name!r}: {t, d} and {s, d2} do not fit {heads} heads')
        return self.put('matmul_qk', name, [q, k], (heads, t, s)[heads == 1:], heads=heads)

    def add_softmax(self,
        name:str, # of the step
        x:str, # value (..., n)
    )->str: # value, as `x`
        "Softmax over the last axis."
        return self.put('softmax', name, [x], self.shapes[x])

    def add_matmul_av(self,
        name:str, # of the step
        p:str, # probabilities (t, s), or (heads, t, s)
        v:str, # values (s, e)
        heads:int=1, # divides e
    )->str: # value (t, e)
        "Values mixed by rows of probabilities."
        (s, e), rows = self.shapes[v], math.prod(self.shapes[p][:-1])
        if self.shapes[p][-1] != s or rows % heads or e % heads:
            raise BadInput(f'layer {name!r}: {self.shapes[p]} does not mix {s, e} in {heads} heads')
        return self.put('matmul_av', name, [p, v], (rows//heads, e), heads=heads)

    def add_fake_quantize(self,
        name:str, # of the step
        x:str, # value
        scale:float, # above 0
        zero_point:int, # -128 to 127
    )->str: # value, as `x`
        "Rounding to int8 codes that the model's author has set."
        return self.put('fake_quantize', name, [x], self.shapes[x], scale=scale, zero_point=zero_point)


# ---- tidying ---------------------------------------------------------------------------------------------------------

class Tidying:
    "Dropping, shortening and naming of steps; a part of `FloatGraph`."
    def makers(self)->dict: # value -> Step
        "The step behind each value."
        return {s.name: s for s in self.steps}

    def readers(self)->Counter: # value -> how often it is read
        "How many steps and outputs read each value."
        return Counter([i for s in self.steps for i in s.inputs] + [p.name for p in self.outputs])

    def prune(self): # itself
        "Drop what no output needs."
        alive = {p.name for p in self.outputs}
        for s in reversed(self.steps):
            if s.name in alive: alive.update(s.inputs)
        self.steps = [s for s in self.steps if s.name in alive]
        inputs = {p.name for p in self.inputs}
        self.shapes = {n: s for n, s in self.shapes.items() if n in alive | inputs}
        return self

    def shorten(self): # itself
        "Let every view start at a value that is none, and drop those that change nothing."
        made = self.makers()
        for s in [*self.steps]:
            inputs = []
            for i in s.inputs:
                at = i
                while at in made and made[at].kind == 'view': at = made[at].inputs[0]
                inputs.append(at if s.kind == 'view' or self.shapes[at] == self.shapes[i] else i)
            s.inputs = tuple(inputs)
        for p in self.outputs:
            at = made.get(p.name)
            if at and at.kind == 'view' and self.shapes[at.inputs[0]] == at.shape: p.name = at.inputs[0]
        return self.prune()

    def rename(self): # itself
        "Give every step the name that was asked for, or that with a number behind it."
        new, taken = {p.name: p.name for p in self.inputs}, {p.name for p in self.inputs}
        def rank(s): return s.kind == 'view', not s.params or s.kind == 'const'
        for s in sorted(self.steps, key=rank):
            base = name = self.labels.get(s.name, s.name)
            k = 2
            while name in taken: name, k = f'{base}_{k}', k + 1
            new[s.name] = name
            taken.add(name)
        for s in self.steps: s.name, s.inputs = new[s.name], tuple(new[i] for i in s.inputs)
        for p in self.outputs: p.name = new[p.name]
        self.shapes = {new[n]: shape for n, shape in self.shapes.items()}
        self.labels = {n: n for n in self.shapes}
        return self

    def _rename(self, gone):
        "Let what reads a step read its input instead."
        old, new = gone.name, gone.inputs[0]
        self.steps = [s for s in self.steps if s is not gone]
        for s in self.steps: s.inputs = tuple(new if i == old else i for i in s.inputs)
        for p in self.outputs: p.name = new if p.name == old else p.name
