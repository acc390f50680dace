"""Handlers of the reader for pools, means and norms.

Each is a method of `Reader`. A pool over the whole map is a `mean`, by whatever name it goes, and a mean of a mean is
one mean. Norms work over the last axis of memory, whatever axes the author means."""
import math

import torch, torch.nn.functional as F
from fastcore.basics import patch
from torch import fx

from tinyformer.places import Val, natural
from tinyformer.reader import Reader, Refused, reads
from tinyformer.torch_layers import argument, each


# ---- pools -----------------------------------------------------------------------------------------------------------

@patch
@reads('avg_pool2d', 'avg_pool1d', 'max_pool2d', 'max_pool1d', 'max_pool2d_with_indices')
def _read_pool(self:Reader, node, input, kernel_size, stride=(), padding=0, dilation=1,
               ceil_mode=False, count_include_pad=False, divisor_override=None, **_):
    "Average and max pools; torch itself tells the size of the result."
    name = node.target._schema.name
    average, n, sizes = 'avg' in name, input.index.ndim - 2, input.index.shape[2:]
    if {*each(dilation, 1)} != {1}: raise Refused('a pool with dilation', 'dilation=1')
    if divisor_override: raise Refused('a pool with divisor_override', 'the mean of the window')
    kernel, padding = each(kernel_size, n), each(padding, n)
    stride = each(stride or kernel, n)
    if average and tuple(kernel) == tuple(sizes) and not any(padding):
        return self.mean(node, input, [*range(2, n + 2)], True)
    pool = getattr(F, f"{'avg' if average else 'max'}_pool{n}d")
    out = pool(torch.zeros(1, 1, *sizes), kernel, stride, padding, ceil_mode=ceil_mode).shape[2:]
    how = dict(kernel=kernel, stride=stride, pad=padding)
    how = {k: (*[int(k != 'pad')]*(2 - n), *v) for k, v in how.items()}
    counted = count_include_pad and any(padding)
    y = self.pool(node, input, 'avgpool' if average else 'maxpool', out, count_pad=counted, **how)
    return [y, None] if 'indices' in name else y


@patch
def pool(self:Reader,
    node:fx.Node, # the layer
    v:Val, # [n, c, h, w] or [n, c, l]
    kind:str, # 'avgpool' or 'maxpool'
    size:list, # of the result, for each axis
    **how:object, # see `add_pool`
)->Val: # [n, c, *size]
    "A pool over a map or a line."
    line, order = v.index.ndim == 3, (1, 0) if v.index.ndim == 3 else (1, 2, 0)
    shape = *[1]*line, *(v.index.shape[1 + a] for a in order)
    x = self.fetch(v, order, shape, node)
    name = self.graph.add_pool(self.label(node), x, kind, (*[1]*line, *size), **how)
    return self.whole(name, self.graph.shapes[name][line:], order)


@patch
@reads('adaptive_avg_pool2d', 'adaptive_avg_pool1d', 'adaptive_max_pool2d', 'adaptive_max_pool1d')
def _read_adaptive(self:Reader, node, input, output_size, **_):
    "Adaptive pools: plain ones where the windows are alike."
    name, n, sizes = node.target._schema.name, input.index.ndim - 2, input.index.shape[2:]
    out = [s if o is None else o for o, s in zip(each(output_size, n), sizes)]
    if 'avg' in name and {*out} == {1}: return self.mean(node, input, [*range(2, n + 2)], True)
    even = all(s % o == 0 for s, o in zip(sizes, out))
    k = *[1]*(2 - n), *(s // o if even else 1 for s, o in zip(sizes, out))
    kind = 'avgpool' if 'avg' in name else 'maxpool'
    y = self.pool(node, input, kind, out, kernel=k, stride=k, adaptive=not even)
    return [y, None] if 'max' in name else y


# ---- means -----------------------------------------------------------------------------------------------------------

@patch
def over(self:Reader,
    node:fx.Node, # who asks
    v:Val, # any
    axes:list, # of the author's tensor, that are reduced
)->tuple: # (value of (outer, n, inner), outer, n, inner, kept axes in the order of memory)
    "A tensor as (outer, n, inner), where the axes to be reduced are the middle one."
    v, axes = self.force(v), [a % v.index.ndim for a in axes]
    if 0 in axes: raise Refused('a sum over images', 'a sum over other axes', True)
    places = self.inside(v)
    lies = natural(places)
    gone, kept = ([a for a in lies if (a + 1 in axes) == out] for out in (True, False))
    at = lies.index(gone[0])
    if [*lies[at:at + len(gone)]] != gone: at = max(0, len(kept) - 1)
    order = *kept[:at], *gone, *kept[at:]
    sizes = [places.shape[a] for a in order]
    parts = sizes[:at], sizes[at:at + len(gone)], sizes[at + len(gone):]
    outer, n, inner = map(math.prod, parts)
    whole_map = not at and len(gone) == 2 and len(order) == 3
    shape = sizes if whole_map else (n, inner) if outer == 1 else (outer, n, inner)
    return self.fetch(v, order, shape, node), outer, n, inner, kept


@patch
def _reduced(self:Reader, name, v, axes, kept, keep):
    "What is left of a tensor when some axes are reduced to one number."
    shape, axes = v.index.shape, {a % v.index.ndim for a in axes}
    left = [a for a in range(len(shape) - 1) if a + 1 not in axes]
    y = self.whole(name, [shape[1 + a] for a in kept], tuple(left.index(a) for a in kept))
    full = [1 if i in axes else s for i, s in enumerate(shape)]
    return y.moved(lambda t: t.reshape(full)) if keep else y


@patch
def mean(self:Reader,
    node:fx.Node, # who asks
    v:Val, # any
    axes:list, # of the author's tensor
    keep:bool, # leave axes of size 1
)->Val: # reduced
    "The mean over axes: of a whole map, of all tokens, or of rows."
    before = self.means.get(v.source) if not v.pending and isinstance(v.source, str) else None
    if before and torch.equal(before[2].index, v.index):
        return self._mean_of_mean(node, v, axes, keep, *before)
    x, outer, n, inner, kept = self.over(node, v, axes)
    rank, gone = v.index.ndim, {a % v.index.ndim for a in axes}
    def make():
        if outer == 1: return self.graph.add_mean(self.label(node), x, keep)
        return self.graph.add_pool(self.label(node), x, 'avgpool', (outer, 1), (1, n), (1, n))
    name = x if n == 1 else self._once(('mean', x, outer, n, keep), make)
    y = self._reduced(name, v, axes, kept, keep)
    left = [a for a in range(rank) if keep or a not in gone]
    self.means[name] = v, sorted(gone), y, left
    return y


@patch
def _mean_of_mean(self:Reader, node, v, axes, keep, inner, gone, _, left):
    "One mean over the axes of both; `left` says which of the first tensor's axes v has."
    axes = {a % v.index.ndim for a in axes}
    y = self.mean(node, inner, [*gone, *(left[a] for a in axes)], keep)
    sizes = [1 if i in axes else s for i, s in enumerate(v.index.shape)]
    return y.moved(lambda t: t.reshape([s for i, s in enumerate(sizes) if keep or i not in axes]))


def _axes(v, dim): return [*range(v.index.ndim)] if dim in (None, (), []) else each(dim, 1)


@patch
@reads('mean')
def _read_mean(self:Reader, node, input, dim=None, keepdim=False, **_):
    "torch.mean."
    return self.mean(node, input, _axes(input, dim), keepdim)


@patch
@reads('sum')
def _read_sum(self:Reader, node, input, dim=None, keepdim=False, **_):
    "torch.sum: the mean, times how many."
    n = math.prod(input.index.shape[a] for a in _axes(input, dim))
    y = self.mean(node, input, _axes(input, dim), keepdim)
    return self._change(node, 'mul.Tensor', y, float(n))


@patch
@reads('linalg_vector_norm')
def _read_vector_norm(self:Reader, node, input, ord=2, dim=None, keepdim=False, **_):
    "The root of the sum of squares."
    if ord != 2: raise Refused(f'a norm of order {ord}', 'ord=2')
    squares = self._change(node, 'square.default', input)
    y = self._read_sum(node, squares, dim, keepdim)
    return self._change(node, 'sqrt.default', y)


@patch
@reads('amax', 'max')
def _read_max(self:Reader, node, input, dim=(), keepdim=False, **_):
    "torch.amax, and the values of torch.max over an axis."
    if isinstance(dim, Val): raise Refused('the larger of two tensors', 'a ReLU of one tensor')
    axes = _axes(input, dim)
    x, outer, n, inner, kept = self.over(node, input, axes)
    x = self.get(x, torch.arange(outer*n*inner), (outer, n, inner), node)
    name = self.graph.add_pool(self.label(node), x, 'maxpool', (outer, 1), (1, n), (1, n))
    y = self._reduced(name, input, axes, kept, keepdim)
    return [y, None] if 'max.dim' in str(node.target) else y


# ---- norms -----------------------------------------------------------------------------------------------------------

@patch
def normalise(self:Reader,
    node:fx.Node, # the layer
    v:Val, # any
    axes:list, # of the author's tensor, over which it is normalised
    gain:torch.Tensor, # of the shape of these axes, or None
    offset:torch.Tensor, # likewise
    eps:float, # added to the variance
    centred:bool=True, # LayerNorm; False: RMSNorm
)->Val: # as `v`
    "A normalisation over any axes, as one over the last axis."
    v, axes = self.force(v), sorted(a % v.index.ndim for a in axes)
    if 0 in axes and self.images > 1: raise Refused('a norm over images', 'other axes', True)
    order = [*(a for a in range(v.index.ndim) if a not in axes), *axes]
    def work(rows): return self._norm_rows(node, rows, gain, offset, eps, centred)
    y = self.framed(v.moved(lambda t: t.permute(order)), len(axes), work)
    return y.moved(lambda t: t.permute([order.index(a) for a in range(len(order))]))


@patch
def _norm_rows(self:Reader, node, rows, gain, offset, eps, centred):
    "A normalisation of each row of [images, rows, *axes]."
    places = self.inside(rows)
    inner = [a for a in natural(places) if a]
    x, n = self.rows_of(node, rows, (0, *inner)), places[0].numel()
    turn = [a - 1 for a in inner]
    def flat(t, k): return torch.full((n,), float(k)) if t is None else t.permute(turn).flatten()
    name, gamma = self.label(node, argument(node, 2)), flat(gain, 1)
    if centred: name = self.graph.add_layernorm(name, x, gamma, flat(offset, 0), eps)
    else: name = self.graph.add_rmsnorm(name, x, gamma, eps)
    return self.whole(name, [len(places), *(places.shape[a] for a in inner)], (0, *inner))


@patch
def rows_of(self:Reader,
    node:fx.Node, # who asks
    v:Val, # [images, rows, ...]
    order:tuple, # the axis of rows, then the others as wanted
)->str: # name of a value (..., n)
    "A value whose last axis is a row; as it is where its own last axis is one."
    places, own = self.inside(v), self.graph.shapes[v.source]
    rows, n = len(places), places[0].numel()
    shape = own if own[-1] == n and math.prod(own) == rows*n else (rows, n) if rows > 1 else (n,)
    return self.fetch(v, order, shape, node)


@patch
@reads('layer_norm', 'rms_norm')
def _read_layer_norm(self:Reader, node, input, normalized_shape, weight=None, bias=None,
                     eps=None, **_):
    "LayerNorm and RMSNorm."
    axes = [*range(-len(normalized_shape), 0)]
    eps = torch.finfo(torch.float32).eps if eps is None else eps
    centred = 'layer' in node.target._schema.name
    return self.normalise(node, input, axes, weight, bias, eps, centred)


@patch
@reads('group_norm')
def _read_group_norm(self:Reader, node, input, num_groups, weight=None, bias=None, eps=1e-5, **_):
    "GroupNorm; one group is a LayerNorm over all, with a gain for each value."
    shape, rank = input.index.shape, input.index.ndim
    if num_groups == 1:
        def full(t): return t if t is None else t.reshape(-1, *[1]*(rank - 2)).expand(shape[1:])
        return self.normalise(node, input, [*range(1, rank)], full(weight), full(bias), eps)
    parts = input.moved(lambda t: t.unflatten(1, (num_groups, -1)))
    y = self.normalise(node, parts, [*range(2, rank + 1)], None, None, eps)
    return self.channelwise(node, y.moved(lambda t: t.flatten(1, 2)), weight, bias)


@patch
@reads('instance_norm')
def _read_instance_norm(self:Reader, node, input, weight, bias, running_mean, running_var,
                        use_input_stats, momentum, eps, **_):
    "InstanceNorm."
    stats = running_mean, running_var
    if not use_input_stats: return self._read_batch_norm(node, input, weight, bias, *stats, eps=eps)
    y = self.normalise(node, input, [*range(2, input.index.ndim)], None, None, eps)
    return self.channelwise(node, y, weight, bias)


@patch
def channelwise(self:Reader,
    node:fx.Node, # the layer
    v:Val, # [n, c, ...]
    weight:torch.Tensor, # [c] or None
    bias:torch.Tensor, # likewise
)->Val: # not yet computed
    "Each channel times a weight, plus a bias."
    shape = v.index.shape
    if self._parts(v) is None: v = self.force(v)
    (w, b), ends = self._parts(v), [1]*(len(shape) - 2)
    def full(t, k): return torch.as_tensor(k if t is None else t).double().reshape(-1, *ends)
    gain, offset = full(weight, 1.), full(bias, 0.)
    self.extended.update([v.origin]*v.pending)
    w, b = (w*gain).expand(shape), (b*gain + offset).expand(shape)
    return self._later(Val(v.source, v.index, None, w, b, node.name))


@patch
@reads('batch_norm', '_native_batch_norm_legit_no_training', '_native_batch_norm_legit')
def _read_batch_norm(self:Reader, node, input, weight, bias, running_mean, running_var,
                     training=False, momentum=0, eps=1e-5, **_):
    "BatchNorm with the statistics of training."
    if training or running_var is None:
        raise Refused('a norm over the batch', 'a batch norm with track_running_stats, in eval()')
    w = (running_var.double() + eps).rsqrt() * (1 if weight is None else weight.double())
    b = (0 if bias is None else bias.double()) - running_mean.double()*w
    y = self.channelwise(node, input, w, b)
    return [y, None, None] if 'native' in node.target._schema.name else y
