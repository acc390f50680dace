"""What each operator of an ONNX file becomes: a layer of torch, or a function of tensors."""
import math, operator
from dataclasses import dataclass

import numpy as np
import torch, torch.nn as nn, torch.nn.functional as F

from tinyformer.errors import MissingTool

INSTALL = "reading an ONNX file needs the package onnx: pip install 'tinyformer[onnx]'"


def onnx_package():
    "The package `onnx`, or `MissingTool` with the command that installs it."
    try: import onnx, onnx.numpy_helper
    except ImportError as e: raise MissingTool(INSTALL) from e
    return onnx


def tensor_of(proto, folder=''):
    "A tensor of the file: every float as float32."
    a = np.array(onnx_package().numpy_helper.to_array(proto, folder))
    if a.dtype.kind == 'f' or a.dtype.name == 'bfloat16': a = a.astype(np.float32)
    if a.dtype == np.uint16 or a.dtype == np.uint32 or a.dtype == np.uint64: a = a.astype(np.int64)
    return torch.from_numpy(a.copy(order='C'))


# ---- values and calls ------------------------------------------------------------------------------------------------

@dataclass
class Value:
    "What a name stands for while the file is converted."
    worlds: list       # the tensor for each number of images that is tried
    fixed: bool        # known without any image
    grid: tuple = None # (scale, zero point, axis) of integers that became these real numbers

    @property
    def same(self): return all(torch.equal(self.worlds[0], w) for w in self.worlds[1:])


class Refused(Exception):
    "A node that cannot be converted, and what to do instead."
    def __init__(self, what, instead): super().__init__(what); self.what, self.instead = what, instead


class Call:
    "One node: its attributes, its constant inputs, and the shapes of the others."
    def __init__(self, node, ins, sizes, opset):
        from onnx.helper import get_attribute_value
        self.node, self.ins, self.sizes, self.opset = node, ins, sizes, opset
        self.attrs = {a.name: get_attribute_value(a) for a in node.attribute}
        self.used = None               # positions of the inputs that the function takes; None: all that are there
        self.sized = False             # the function takes the number of images as well, before the others

    def attr(self, name, default=None):
        "An attribute; text as text."
        v = self.attrs.get(name, default)
        return v.decode() if isinstance(v, bytes) else v

    def there(self, i): return i < len(self.ins) and self.ins[i] is not None

    def shape(self, i=0): return tuple(self.ins[i].worlds[0].shape)

    def rank(self, i=0): return len(self.shape(i))

    def const(self, i, default=None, what='an input'):
        "An input that does not depend on the images, as a tensor."
        if not self.there(i): return default
        v = self.ins[i]
        if not v.fixed: raise Refused(f'{what} is computed from the images', 'a constant')
        if not v.same: raise Refused(f'{what} depends on the number of images', 'a constant')
        return v.worlds[0]

    def ints(self, i, name=None, default=None):
        "Whole numbers from input `i`, or from attribute `name` in older files."
        if name is not None and name in self.attrs: return [int(v) for v in np.atleast_1d(self.attrs[name])]
        t = self.const(i, what=f'input {i}')
        return default if t is None else [int(v) for v in t.reshape(-1)]

    def takes(self, *positions): self.used = positions


OPS = {}
"Operator -> function of a `Call` that gives a layer or a function of tensors."


def op(*names):
    "Register how nodes are converted."
    def register(f):
        OPS.update(dict.fromkeys(names, f))
        return f
    return register


PLAIN = dict(
    Add=operator.add, Sub=operator.sub, Mul=operator.mul, Div=torch.div, Pow=torch.pow, Sqrt=torch.sqrt, Erf=torch.erf,
    Exp=torch.exp, Log=torch.log, Abs=torch.abs, Neg=torch.neg, Reciprocal=torch.reciprocal, Floor=torch.floor,
    Ceil=torch.ceil, Round=torch.round, Sign=torch.sign, Sin=torch.sin, Cos=torch.cos, Relu=F.relu,
    Sigmoid=torch.sigmoid, Tanh=torch.tanh, Softplus=F.softplus, Softsign=F.softsign, HardSwish=F.hardswish,
    Mish=F.mish, MatMul=torch.matmul, Where=torch.where, Equal=torch.eq, Greater=torch.gt, Less=torch.lt,
    GreaterOrEqual=torch.ge,
    LessOrEqual=torch.le, Not=torch.logical_not, And=torch.logical_and, Or=torch.logical_or)
"Nodes without attributes."
for _name, _function in PLAIN.items(): OPS[_name] = lambda c, f=_function: f


@op('Identity', 'Dropout')
def _same(c):
    c.takes(0)
    return lambda x: x


@op('Div')
def _div(c):
    whole = not c.ins[0].worlds[0].is_floating_point()
    return (lambda a, b: torch.div(a, b, rounding_mode='trunc')) if whole else torch.div


@op('Mod')
def _mod(c): return torch.fmod if c.attr('fmod', 0) else torch.remainder


@op('Sum', 'Max', 'Min', 'Mean')
def _many(c):
    f = dict(Sum=torch.add, Max=torch.maximum, Min=torch.minimum, Mean=torch.add)[c.node.op_type]
    n = len(c.ins) if c.node.op_type == 'Mean' else 1
    def fold(x, *others):
        for o in others: x = f(x, o)
        return x / n if n > 1 else x
    return fold


# ---- layers with weights ---------------------------------------------------------------------------------------------

class PaddedConv2d(nn.Conv2d):
    "A convolution with four paddings of its own: left, right, top, bottom."
    around = (0, 0, 0, 0)

    def forward(self, x): return super().forward(F.pad(x, self.around))


class PaddedConv1d(nn.Conv1d):
    "A convolution with two paddings of its own."
    around = (0, 0)

    def forward(self, x): return super().forward(F.pad(x, self.around))


def _same_pads(c, sizes, kernel, stride, dilation):
    "What SAME means: (before, after) for each axis."
    upper, pads = c.attr('auto_pad') == 'SAME_UPPER', []
    for n, k, s, d in zip(sizes, kernel, stride, dilation):
        total = max(0, (-(-n // s) - 1) * s + d * (k - 1) + 1 - n)
        few, many = total // 2, total - total // 2
        pads.append((few, many) if upper else (many, few))
    return pads


def _window(c, kernel):
    "(stride, dilation, [(before, after), ...]) of a convolution or pool."
    n = len(kernel)
    stride, dilation = (list(c.attr(k, [1] * n)) for k in ('strides', 'dilations'))
    auto, pads = c.attr('auto_pad', 'NOTSET'), list(c.attr('pads', [0] * 2 * n))
    pairs = list(zip(pads[:n], pads[n:]))
    if auto.startswith('SAME'): pairs = _same_pads(c, c.shape()[2:], kernel, stride, dilation)
    if auto == 'VALID': pairs = [(0, 0)] * n
    if min(pads, default=0) < 0: raise Refused('negative padding', 'a Slice')
    return stride, dilation, pairs


def _around(pairs):
    "Paddings as `F.pad` takes them: the last axis first."
    return tuple(v for pair in reversed(pairs) for v in pair)


def _weights(c, i, what):
    "The weights of a layer: floats, in the layer's own layout."
    w = c.const(i, what=what)
    if not w.is_floating_point(): raise Refused(f'{what} of {w.dtype}', 'the QDQ format, or the float file')
    return w.float()


def _filled(layer, weight, bias, grid=None, axis=0):
    "Give a layer its weights, and the scales of the integers that they were, where there are any."
    layer.weight = nn.Parameter(weight.clone())
    layer.bias = None if bias is None else nn.Parameter(bias.reshape(-1).float().clone())
    if grid is not None and not grid[1].any():
        scale, _, along = grid
        if scale.numel() == 1: scale = scale.reshape(1).expand(weight.shape[axis])
        if scale.numel() == weight.shape[axis] and along in (None, axis):
            layer.register_buffer('weight_scale', scale.float().reshape(-1).clone())
    return layer.eval()


def _empty(kind, *args, **kw):
    "A layer whose weights are not drawn: they are replaced."
    return nn.utils.skip_init(kind, *args, **kw)


@op('Conv')
def _conv(c):
    w = _weights(c, 1, 'its weights')
    kernel, groups = tuple(w.shape[2:]), int(c.attr('group', 1))
    if len(kernel) not in (1, 2): raise Refused(f'a convolution over {len(kernel)} axes', 'a convolution over 1 or 2')
    stride, dilation, pairs = _window(c, kernel)
    even = all(a == b for a, b in pairs)
    kinds = {1: (nn.Conv1d, PaddedConv1d), 2: (nn.Conv2d, PaddedConv2d)}[len(kernel)]
    layer = _empty(kinds[0 if even else 1], w.shape[1] * groups, len(w), kernel, tuple(stride),
                   tuple(a for a, _ in pairs) if even else 0, tuple(dilation), groups)
    if not even: layer.around = _around(pairs)
    c.takes(0)
    return _filled(layer, w, c.const(2, what='its bias'), c.ins[1].grid)


class CroppedTransposed(nn.ConvTranspose2d):
    "A transposed convolution whose edges are cut unevenly: (first, end) for rows and columns."
    cut = ((0, 0), (0, 0))

    def forward(self, x):
        y = super().forward(x)
        (top, bottom), (left, right) = self.cut
        return y[:, :, top:y.shape[2] - bottom, left:y.shape[3] - right]


@op('ConvTranspose')
def _transposed(c):
    w = _weights(c, 1, 'its weights')
    if w.ndim != 4: raise Refused(f'a transposed convolution over {w.ndim - 2} axes', 'one over 2 axes')
    kernel, groups = tuple(w.shape[2:]), int(c.attr('group', 1))
    stride, dilation, extra = (list(c.attr(k, [d, d])) for k, d in
                               (('strides', 1), ('dilations', 1), ('output_padding', 0)))
    pads, auto = list(c.attr('pads', [0] * 4)), c.attr('auto_pad', 'NOTSET')
    whole = [(n - 1) * s + d * (k - 1) + 1 + e for n, s, d, k, e in
             zip(c.shape()[2:], stride, dilation, kernel, extra)]
    want = c.attr('output_shape')
    if want is None and auto.startswith('SAME'): want = [n * s for n, s in zip(c.shape()[2:], stride)]
    pairs = list(zip(pads[:2], pads[2:]))
    if want is not None:
        over = [f - n for f, n in zip(whole, list(want)[-2:])]
        upper = auto == 'SAME_UPPER'
        pairs = [(t // 2, t - t // 2) if upper else (t - t // 2, t // 2) for t in over]
    even = all(a == b for a, b in pairs) and max(extra) == 0
    layer = _empty(nn.ConvTranspose2d if even else CroppedTransposed, len(w), w.shape[1] * groups, kernel,
                   tuple(stride), tuple(a for a, _ in pairs) if even else 0,
                   tuple(extra) if even or max(extra) < max(*stride, *dilation) else 0, groups,
                   dilation=tuple(dilation))
    if not even: layer.cut = tuple(pairs)
    c.takes(0)
    return _filled(layer, w, c.const(2, what='its bias'), c.ins[1].grid, axis=1)


def _linear(c, weight, bias, grid, axis):
    "nn.Linear from weights [out, in]."
    layer = _empty(nn.Linear, weight.shape[1], weight.shape[0])
    c.takes(0)
    if grid is not None and grid[2] is not None:
        grid = grid[:2] + ((0 if grid[2] % 2 == axis else 1),)
    return _filled(layer, weight, bias, grid)


@op('Gemm')
def _gemm(c):
    if c.attr('transA', 0): raise Refused('transA', 'a Transpose before it')
    if not c.ins[1].fixed: raise Refused('weights that are computed', 'MatMul')
    w, across = _weights(c, 1, 'its weights'), bool(c.attr('transB', 0))
    w = (w if across else w.T) * c.attr('alpha', 1.)
    bias = c.const(2, what='its bias')
    if bias is not None: bias = (bias.float() * c.attr('beta', 1.)).reshape(-1).expand(len(w))
    grid = c.ins[1].grid if c.attr('alpha', 1.) == 1 else None
    return _linear(c, w, bias, grid, 0 if across else 1)


@op('MatMul')
def _matmul(c):
    if not (c.ins[1].fixed and c.rank(1) == 2 and not c.ins[0].fixed): return torch.matmul
    return _linear(c, _weights(c, 1, 'its weights').T, None, c.ins[1].grid, 1)


@op('BatchNormalization')
def _batch_norm(c):
    if c.attr('training_mode', 0): raise Refused('training mode', 'the network in evaluation mode')
    gain, offset, mean, var = (c.const(i, what='a statistic').float() for i in (1, 2, 3, 4))
    kind = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d}.get(c.rank())
    if kind is None: raise Refused(f'{c.rank()} axes', '2 to 4 axes')
    layer = kind(len(gain), eps=c.attr('epsilon', 1e-5))
    layer.load_state_dict(dict(weight=gain, bias=offset, running_mean=mean, running_var=var,
                               num_batches_tracked=torch.tensor(0)))
    c.takes(0)
    return layer.eval()


@op('LayerNormalization', 'RMSNormalization')
def _layer_norm(c):
    axis = int(c.attr('axis', -1)) % c.rank()
    if axis != c.rank() - 1 and math.prod(c.shape()[axis:-1]) != 1:
        raise Refused(f'a norm over the axes from {axis} on', 'a norm over the last axis')
    kind = nn.LayerNorm if c.node.op_type[0] == 'L' else nn.RMSNorm
    layer = kind(c.shape()[axis:], eps=c.attr('epsilon', 1e-5))
    layer.weight = nn.Parameter(c.const(1, what='its gain').float().reshape(layer.weight.shape).clone())
    if c.there(2): layer.bias = nn.Parameter(c.const(2, what='its offset').float().reshape(layer.weight.shape).clone())
    c.takes(0)
    return layer.eval()


@op('InstanceNormalization')
def _instance_norm(c):
    eps, gain, offset = c.attr('epsilon', 1e-5), *(c.const(i, what='a gain or offset').float() for i in (1, 2))
    c.takes(0, 1, 2)
    return lambda x, g, b: F.group_norm(x, gain.numel(), g, b, eps) if offset is not None else None


@op('GroupNormalization')
def _group_norm(c):
    groups, channels = int(c.attr('num_groups')), c.shape()[1]
    gain, offset = (c.const(i, what='a gain or offset').float() for i in (1, 2))
    each = channels // gain.numel()                  # before opset 21 one number for each group
    layer = nn.GroupNorm(groups, channels, eps=c.attr('epsilon', 1e-5))
    for name, v in dict(weight=gain, bias=offset).items():
        setattr(layer, name, nn.Parameter(v.repeat_interleave(each)))
    c.takes(0)
    return layer.eval()


# ---- activations -----------------------------------------------------------------------------------------------------

@op('LeakyRelu')
def _leaky(c):
    slope = c.attr('alpha', .01)
    return lambda x: F.leaky_relu(x, slope)


@op('Elu')
def _elu(c):
    alpha = c.attr('alpha', 1.)
    return lambda x: F.elu(x, alpha)


@op('Selu', 'Celu')
def _selu(c):
    if c.node.op_type == 'Celu':
        alpha = c.attr('alpha', 1.)
        return lambda x: F.celu(x, alpha)
    alpha, gamma = c.attr('alpha', 1.67326319), c.attr('gamma', 1.05070102)
    return lambda x: gamma * F.elu(x, alpha)


@op('HardSigmoid')
def _hard_sigmoid(c):
    alpha, beta = c.attr('alpha', .2), c.attr('beta', .5)
    if abs(alpha - 1/6) < 1e-6 and beta == .5: return F.hardsigmoid
    return lambda x: torch.clamp(alpha * x + beta, 0., 1.)


@op('Gelu')
def _gelu(c):
    kind = c.attr('approximate', 'none')
    return lambda x: F.gelu(x, approximate=kind)


@op('PRelu')
def _prelu(c):
    slope = c.const(1, what='its slope').float()
    if slope.numel() == 1 or (slope.shape[0] == c.shape()[1] and slope.numel() == c.shape()[1]):
        layer = nn.PReLU(slope.numel())
        layer.weight = nn.Parameter(slope.reshape(-1).clone())
        c.takes(0)
        return layer.eval()
    return lambda x, a: F.relu(x) - a * F.relu(-x)


@op('Clip')
def _clip(c):
    lo, hi = c.attr('min'), c.attr('max')
    if c.there(1): lo = float(c.const(1, what='its limit'))
    if c.there(2): hi = float(c.const(2, what='its limit'))
    c.takes(0)
    whole = not c.ins[0].worlds[0].is_floating_point()
    lo, hi = (v if v is None else int(v) if whole else float(v) for v in (lo, hi))
    if (lo, hi) == (0., 6.): return F.relu6
    if lo == 0. and (hi is None or hi > 1e30): return F.relu
    if lo is None and hi is None: return lambda x: x
    return lambda x: torch.clamp(x, lo, hi)


@op('Softmax', 'LogSoftmax')
def _softmax(c):
    f = F.softmax if c.node.op_type == 'Softmax' else F.log_softmax
    axis = int(c.attr('axis', 1 if c.opset < 13 else -1)) % c.rank()
    if c.opset >= 13 or math.prod(c.shape()[axis + 1:]) == 1: return lambda x: f(x, axis)
    return lambda x: f(x.flatten(axis), axis).reshape(x.shape)


# ---- pools and means -------------------------------------------------------------------------------------------------

@op('MaxPool', 'AveragePool')
def _pool(c):
    kernel, top = list(c.attr('kernel_shape')), c.node.op_type == 'MaxPool'
    if len(kernel) not in (1, 2): raise Refused(f'a pool over {len(kernel)} axes', 'a pool over 1 or 2')
    stride, dilation, pairs = _window(c, kernel)
    ceil, count = bool(c.attr('ceil_mode', 0)), bool(c.attr('count_include_pad', 0))
    if len(c.node.output) > 1 and c.node.output[1]: raise Refused('the places of the maxima', 'the values alone')
    if not top and max(dilation) > 1: raise Refused('a dilated average', 'dilation 1')
    even = all(a == b for a, b in pairs)
    half = all(2 * a <= k for (a, _), k in zip(pairs, kernel))
    if not even and not top and not count:
        raise Refused('an average over an uneven padding that it leaves out', 'count_include_pad=1, or even padding')
    f = getattr(F, f"{'max' if top else 'avg'}_pool{len(kernel)}d")
    more = dict(dilation=tuple(dilation)) if top else dict(count_include_pad=count)
    pad = tuple(a for a, _ in pairs) if even and half else 0
    around, value = (None, 0.) if even and half else (_around(pairs), -math.inf if top else 0.)
    kernel, stride = tuple(kernel), tuple(stride)
    def pool(x):
        if around is not None: x = F.pad(x, around, value=value)
        return f(x, kernel, stride, pad, ceil_mode=ceil, **more)
    return pool


@op('GlobalAveragePool', 'GlobalMaxPool')
def _global_pool(c):
    n = c.rank() - 2
    if n not in (1, 2): raise Refused(f'a pool over {n} axes', 'a pool over 1 or 2')
    f = getattr(F, f"adaptive_{'avg' if 'Average' in c.node.op_type else 'max'}_pool{n}d")
    return lambda x: f(x, 1)


@op('ReduceMean', 'ReduceSum', 'ReduceMax', 'ReduceMin', 'ReduceL2', 'ReduceSumSquare', 'ReduceProd')
def _reduce(c):
    axes, keep, kind = c.ints(1, 'axes'), bool(c.attr('keepdims', 1)), c.node.op_type[6:]
    if axes is None and c.attr('noop_with_empty_axes', 0): return _same(c)
    axes = tuple(axes or range(c.rank()))
    c.takes(0)
    if kind == 'Prod': return lambda x: torch.prod(x, axes[0], keep)
    if kind == 'L2': return lambda x: torch.linalg.vector_norm(x, 2, axes, keep)
    if kind == 'SumSquare': return lambda x: torch.sum(x * x, axes, keep)
    f = dict(Mean=torch.mean, Sum=torch.sum, Max=torch.amax, Min=torch.amin)[kind]
    return lambda x: f(x, axes, keep)


@op('ArgMax')
def _argmax(c):
    axis, keep = int(c.attr('axis', 0)), bool(c.attr('keepdims', 1))
    return lambda x: torch.argmax(x, axis, keep)


# ---- shapes ----------------------------------------------------------------------------------------------------------

class Sizes:
    "Whole numbers of which some grow with the number of images: each is (at none, more with each image)."
    def __init__(self, rows, images):
        self.pairs = []
        for each in zip(*rows):
            slope = 0 if len(images) == 1 else (each[1] - each[0]) // (images[1] - images[0])
            self.pairs.append((each[0] - slope * images[0], slope))

    @property
    def fixed(self): return not any(s for _, s in self.pairs)

    def at(self, n): return [a + s * n if s else a for a, s in self.pairs]


def _sizes(c, i):
    "Input `i` as `Sizes`."
    if not c.ins[i].fixed: raise Refused('a shape that is computed from the images', 'a constant shape')
    return Sizes([[int(v) for v in w.reshape(-1)] for w in c.ins[i].worlds], c.sizes)


@op('Shape')
def _shape(c):
    lo, hi = c.attr('start', 0), c.attr('end')
    return lambda x: torch.tensor(tuple(x.shape)[lo:hi])


@op('Size')
def _size(c): return lambda x: torch.tensor(x.numel())


@op('Reshape')
def _reshape(c):
    s = _sizes(c, 1) if 'shape' not in c.attrs else Sizes([list(c.attr('shape'))] * 2, c.sizes)
    zero, shapes = bool(c.attr('allowzero', 0)), [tuple(w.shape) for w in c.ins[0].worlds]
    c.takes(0)
    pairs = [(a, k) if a or k or zero else ('copy', j) for j, (a, k) in enumerate(s.pairs)]
    known = [a for a, _ in pairs]
    # a file that was written for one image says so in its shapes: there the number of images is left open
    if len(c.sizes) > 1 and [w[0] for w in shapes] == list(c.sizes) and pairs and pairs[0] == (c.written, 0):
        per = [shapes[0][k] if a == 'copy' else a for a, k in pairs[1:]]
        here, one = math.prod(v for v in per if v != -1), math.prod(shapes[0][1:])
        if here == one or (-1 in per and one % here == 0): pairs[0] = (0, 1)
    def reshape(n, x):
        return x.reshape([x.shape[k] if a == 'copy' else a + k * n if k else a for a, k in pairs])
    moving = [j for j, (a, k) in enumerate(pairs) if a != 'copy' and k]
    if len(moving) == 1 and pairs[moving[0]][0] == 0 and -1 not in known:
        pairs[moving[0]] = (-1, 0)                   # the only size that is open: torch finds it
        moving = []
    c.sized = bool(moving)
    return reshape if moving else lambda x: reshape(None, x)


@op('Flatten')
def _flatten(c):
    axis = int(c.attr('axis', 1))
    axis = axis + c.rank() if axis < 0 else axis
    if axis == 1: return lambda x: torch.flatten(x, 1)
    return lambda x: x.reshape(math.prod(x.shape[:axis]), -1)


@op('Transpose')
def _transpose(c):
    perm = tuple(c.attr('perm') or reversed(range(c.rank())))
    return lambda x: x.permute(perm)


def _scalars_too(axes, rank): return tuple(a % rank for a in axes)


@op('Squeeze')
def _squeeze(c):
    axes = c.ints(1, 'axes')
    if axes is None: axes = [i for i, n in enumerate(c.shape()) if n == 1]
    axes = _scalars_too(axes, c.rank())
    c.takes(0)
    return lambda x: torch.squeeze(x, axes)


@op('Unsqueeze')
def _unsqueeze(c):
    axes = c.ints(1, 'axes')
    axes = sorted(_scalars_too(axes, c.rank() + len(axes)))
    c.takes(0)
    def unsqueeze(x):
        for a in axes: x = torch.unsqueeze(x, a)
        return x
    return unsqueeze


@op('Concat')
def _concat(c):
    axis, rank = int(c.attr('axis')), c.rank()
    rows = {v.worlds[0].shape[0] for v in c.ins if v.worlds[0].ndim}
    tokens = rank > 1 and axis % rank and rows == {1, c.sizes[0]} and len(c.sizes) > 1
    if not tokens: return lambda *xs: torch.cat(xs, axis)
    def joined(*xs):                                 # a class token that a file for one image holds once
        n = max(x.shape[0] for x in xs)
        return torch.cat([x.expand(n, *x.shape[1:]) for x in xs], axis)
    return joined


@op('Slice')
def _slice(c):
    starts, ends = c.ints(1, 'starts'), c.ints(2, 'ends')
    axes = c.ints(3, 'axes') or list(range(len(starts)))
    steps = c.ints(4) or [1] * len(starts)
    axes = _scalars_too(axes, c.rank())
    c.takes(0)
    def cut(x):
        for a, lo, hi, step in zip(axes, starts, ends, steps):
            x = _take(x, a, lo, hi, step)
        return x
    return cut


def _take(x, axis, lo, hi, step):
    "One axis of a slice, by ONNX's rules."
    n = x.shape[axis]
    if step > 0:
        lo, hi, _ = slice(max(lo, -n), min(max(hi, -n), n)).indices(n)
        return x[(slice(None),) * axis + (slice(lo, hi, step),)]
    lo, hi = min(lo + n * (lo < 0), n - 1), hi + n * (-n <= hi < 0)
    hi = max(hi, -1)
    if (lo - hi) <= 0: return x.narrow(axis, 0, 0)
    x = torch.flip(x[(slice(None),) * axis + (slice(hi + 1, lo + 1),)], (axis,))
    return x[(slice(None),) * axis + (slice(None, None, -step),)]


@op('Gather')
def _gather(c):
    axis, where = int(c.attr('axis', 0)) % max(1, c.rank()), c.const(1, what='the places')
    n = c.shape()[axis]
    where = torch.where(where < 0, where + n, where).long()
    c.takes(0)
    if where.ndim == 0:
        at = int(where)
        return lambda x: x.select(axis, at)
    places = where.reshape(-1).tolist()
    if places == list(range(places[0], places[0] + len(places))) and where.ndim == 1:
        lo, hi = places[0], places[0] + len(places)
        return lambda x: x[(slice(None),) * axis + (slice(lo, hi),)]
    shape = tuple(where.shape)
    def gather(x):
        y = torch.index_select(x, axis, torch.tensor(places, device=x.device))
        return y if len(shape) == 1 else y.unflatten(axis, shape)
    return gather


@op('Split')
def _split(c):
    axis, parts = int(c.attr('axis', 0)) % c.rank(), c.ints(1, 'split')
    n, k = c.shape()[axis], len(c.node.output)
    if parts is None:
        size = -(-n // k)
        parts = [size] * (k - 1) + [n - size * (k - 1)]
    c.takes(0)
    return lambda x: torch.split(x, parts, axis)


@op('Pad')
def _pad(c):
    mode, rank = c.attr('mode', 'constant'), c.rank()
    pads = c.ints(1, 'pads')
    value = c.attr('value', 0.) if c.opset < 11 else 0.
    if c.there(2): value = float(c.const(2, what='its value'))
    axes = _scalars_too(c.ints(3) or range(rank), rank)
    n, each = len(axes), dict.fromkeys(range(rank), (0, 0))
    each.update(zip(axes, zip(pads[:n], pads[n:])))
    c.takes(0)
    if each[0] != (0, 0): raise Refused('padding between images', 'padding of the other axes')
    last = max((rank - a for a in range(rank) if each[a] != (0, 0)), default=0)
    around = _around([each[a] for a in range(rank - last, rank)])
    kind = dict(constant='constant', reflect='reflect', edge='replicate', wrap='circular')[mode]
    if kind == 'constant': return lambda x: F.pad(x, around, value=value) if around else x
    return lambda x: F.pad(x, around, mode=kind)


@op('Expand')
def _expand(c):
    s, rank = _sizes(c, 1), c.rank()
    c.takes(0)
    if [w.shape[0] if rank else 0 for w in c.ins[0].worlds] == list(c.sizes) and len(s.pairs) == rank:
        s.pairs[0] = (s.pairs[0][0], s.pairs[0][1])
    def expand(n, x):
        to = s.at(n)
        own = (1,) * (len(to) - x.ndim) + tuple(x.shape)
        return x.expand([v if o == 1 else o for v, o in zip(to, own)])
    c.sized = not s.fixed
    return expand if c.sized else lambda x: expand(None, x)


@op('Tile')
def _tile(c):
    times = tuple(c.ints(1))
    c.takes(0)
    return lambda x: x.repeat(times)


@op('ConstantOfShape')
def _constant_of_shape(c):
    v = c.attr('value')
    value = torch.zeros(1) if v is None else tensor_of(v).reshape(1)
    return lambda shape: value.expand([int(n) for n in shape]).clone()


@op('Range')
def _range(c): return lambda a, b, step: torch.arange(a.item(), b.item(), step.item(), dtype=a.dtype)


DTYPES = {1: torch.float32, 6: torch.int32, 7: torch.int64, 9: torch.bool, 10: torch.float32, 11: torch.float32,
          16: torch.float32}
"ONNX's number of a type -> ours: every float is computed as float32."


@op('Cast')
def _cast(c):
    to = DTYPES.get(int(c.attr('to')))
    if to is None: raise Refused(f"a cast to ONNX's type {c.attr('to')}", 'float')
    moves = c.ins[0].worlds[0].dtype != to
    if moves and not c.ins[0].fixed and to != torch.float32: raise Refused(f'a cast to {to}', 'float')
    return (lambda x: x.to(to)) if moves else lambda x: x


@op('DepthToSpace')
def _depth_to_space(c):
    b, crd = int(c.attr('blocksize')), c.attr('mode', 'DCR') == 'CRD'
    if crd: return lambda x: F.pixel_shuffle(x, b)
    def shuffle(x):
        x = x.unflatten(1, (b, b, -1)).permute(0, 3, 4, 1, 5, 2)
        return x.flatten(2, 3).flatten(3, 4)
    return shuffle


@op('SpaceToDepth')
def _space_to_depth(c):
    b = int(c.attr('blocksize'))
    return lambda x: x.unflatten(3, (-1, b)).unflatten(2, (-1, b)).permute(0, 3, 5, 1, 2, 4).flatten(1, 3)


def _places(n, factor, coordinate, rounding):
    "Which input row each output row takes, by ONNX's words."
    i = np.arange(round(n * factor))
    x = dict(asymmetric=i / factor, half_pixel=(i + .5) / factor - .5, pytorch_half_pixel=(i + .5) / factor - .5,
             align_corners=i * (n - 1) / max(1, len(i) - 1))
    if coordinate not in x: return None
    x, how = x[coordinate], dict(floor=np.floor, ceil=np.ceil, round_prefer_floor=lambda v: np.ceil(v - .5),
                                 round_prefer_ceil=lambda v: np.floor(v + .5))[rounding]
    return np.clip(how(x), 0, n - 1).astype(int)


@op('Resize', 'Upsample')
def _resize(c):
    mode = c.attr('mode', 'nearest')
    if mode != 'nearest': raise Refused(f'{mode} interpolation', 'mode nearest, or a transposed convolution')
    scales, n = None, c.rank()
    at = 1 if c.node.op_type == 'Upsample' or c.opset < 11 else 2
    if 'scales' in c.attrs: scales = list(c.attr('scales'))
    elif c.there(at) and c.ins[at].worlds[0].numel(): scales = c.const(at, what='its scale').tolist()
    axes = _scalars_too(c.attr('axes', list(range(n))), n)
    sizes = _sizes(c, 3).at(c.sizes[0]) if scales is None else None
    if scales is None: scales = [v / c.shape()[a] for v, a in zip(sizes, axes)]
    each = {a: v for a, v in zip(axes, scales) if v != 1}
    old = c.node.op_type == 'Upsample' or c.opset < 11
    words = ('asymmetric', 'floor') if old else (c.attr('coordinate_transformation_mode', 'half_pixel'),
                                                 c.attr('nearest_mode', 'round_prefer_floor'))
    for a, f in each.items():
        n = c.shape()[a]
        plain = a > 1 and f == round(f) and np.array_equal(_places(n, f, *words), np.arange(round(n * f)) // round(f))
        if not plain: raise Refused(f'nearest by {f:g} ({", ".join(words)}) on axis {a}', 'a whole factor on the map')
    c.takes(0)
    factors = tuple(float(each.get(a, 1)) for a in range(2, c.rank()))
    return lambda x: F.interpolate(x, scale_factor=factors, mode='nearest')


@op('Einsum')
def _einsum(c):
    rule = c.attr('equation')
    return lambda *xs: torch.einsum(rule, *xs)


@op('Trilu')
def _trilu(c):
    k, f = int(c.const(1, torch.tensor(0), 'its diagonal')), torch.triu if c.attr('upper', 1) else torch.tril
    c.takes(0)
    return lambda x: f(x, k)


# ---- integers --------------------------------------------------------------------------------------------------------

LIMITS = {torch.int8: (-128, 127), torch.uint8: (0, 255)}


def _grid(c):
    "(scale, zero point, axis) of a quantise or dequantise node."
    scale = c.const(1, what='its scale').float()
    zero = c.const(2, torch.zeros(scale.shape, dtype=torch.uint8), 'its zero point')
    if c.attr('block_size', 0): raise Refused('scales in blocks', 'one scale for a channel')
    return scale, zero, None if scale.numel() == 1 else int(c.attr('axis', 1)) % c.rank()


@op('QuantizeLinear')
def _quantize(c):
    scale, zero, axis = _grid(c)
    if axis is not None: raise Refused('activations with a scale for each channel', 'one scale for the tensor')
    if zero.dtype not in LIMITS: raise Refused(f'activations of {zero.dtype}', 'int8 or uint8')
    c.takes(0)
    s, z, (lo, hi) = float(scale), int(zero), LIMITS[zero.dtype]
    return lambda x: torch.fake_quantize_per_tensor_affine(x, s, z, lo, hi)


@op('DequantizeLinear')
def _dequantize(c):
    scale, zero, axis = _grid(c)
    c.takes(0)
    if not c.ins[0].fixed:
        if c.ins[0].grid is None: raise Refused('integers that no QuantizeLinear made', 'a float input')
        if float(c.ins[0].grid[0]) != float(scale) or int(c.ins[0].grid[1]) != int(zero):
            raise Refused('another scale than its QuantizeLinear has', 'one scale for both')
        return lambda x: x
    shape = [-1 if a == axis else 1 for a in range(c.rank())]
    if axis is None: shape = []
    s, z = scale.reshape(shape), zero.reshape(shape).to(torch.float32)
    return lambda x: (x.float() - z) * s


MOVES = 'Reshape Transpose Squeeze Unsqueeze Flatten Identity MaxPool Slice Concat Gather Split Pad Relu'.split()
"Nodes that leave a grid of integers as it is."


def grid_of(c, made):
    "The grid that a node's output lies on, if it is known."
    kind = c.node.op_type
    if kind in ('QuantizeLinear', 'DequantizeLinear') and made.fixed == (kind == 'DequantizeLinear'): return _grid(c)
    if kind not in MOVES or not c.ins or c.ins[0] is None or c.ins[0].grid is None: return None
    scale, zero, axis = c.ins[0].grid
    if axis is None: return c.ins[0].grid
    perm = c.attr('perm') or list(reversed(range(c.rank())))
    return (scale, zero, list(perm).index(axis)) if kind == 'Transpose' else None
