"""Handlers of the reader for layers and for what pads and joins tensors: linear layers, convolutions, paddings, `cat`.

Each is a method of `Reader`. It asks for its input in the order that the layer works in, exchanges the columns of its
weights where that saves a copy, and puts steps into the `FloatGraph`."""
import math

import torch, torch.nn.functional as F
from fastcore.basics import patch
from torch import fx

from tinyformer.operators import TAPS
from tinyformer.places import Val, columns, loops, natural, places_of
from tinyformer.reader import Reader, Refused, reads


def argument(
    node:fx.Node, # an operation
    i:int, # which of its arguments
)->object: # the node or number there; None where there are fewer
    "One argument of an operation, as the program has it."
    return node.args[i] if len(node.args) > i else None


def each(
    v:object, # one number, or a number for each axis
    n:int, # axes
)->list: # n numbers
    "One number for each of n axes."
    v = [v] if isinstance(v, int) else list(v)
    return v * n if len(v) == 1 else v


def turned(
    t:object, # Val or tensor [..., m, n]
)->object: # [..., n, m]
    "The last two axes exchanged."
    return t.moved(lambda i: i.transpose(-1, -2)) if isinstance(t, Val) else t.transpose(-1, -2)


# ---- linear layers ---------------------------------------------------------------------------------------------------

@patch
def input_of(self:Reader,
    v:Val, # what a layer reads, its channels being the last axis
    order:tuple, # its axes in the order that the layer works in
    node:fx.Node, # the layer
    weight:torch.Tensor, # [cout, ..., cin]
    split:bool=True, # whether columns may move
)->tuple: # (name of a value (positions, channels), weight)
    "A layer's input and weight, with the weight's columns in the order of the input's memory."
    v = self.force(v)
    places = self.inside(v).permute(order)
    want = places.reshape(-1, places.shape[-1])
    if want.shape[0] * want.shape[1] == 1 or not split: chosen = None
    else: chosen = columns(want, self.size(v.source))
    c = self.size(v.source) // len(want)
    if chosen is None or len(chosen.unique()) != c or torch.equal(chosen, torch.arange(c)):
        return self.get(v.source, want.flatten(), want.shape, node), weight
    moved = weight.new_zeros(*weight.shape[:-1], c).index_add(-1, chosen, weight)
    return self.get(v.source, torch.arange(len(want)*c), (len(want), c), node), moved


@patch
def linear(self:Reader,
    node:fx.Node, # the layer
    v:Val, # [n, ..., cin]
    weight:torch.Tensor, # [cout, cin]
    bias:torch.Tensor=None, # [cout]
    owner:fx.Node=None, # of the weight
)->Val: # [n, ..., cout]
    "A linear layer over the last axis."
    v = self.force(v)
    vector = v.index.ndim == 2 and len(v.index) == self.images
    def work(rows):
        x, w = self.input_of(rows, (0, 1), node, weight)
        if vector: x = self.get(x, torch.arange(w.shape[1]), (w.shape[1],), node)
        name = self.graph.add_linear(self.label(node, owner), x, w, bias)
        return self.whole(name, [rows.index.shape[1], len(w)], (0, 1))
    return self.framed(v, 1, work)


@patch
@reads('linear')
def _read_linear(self:Reader, node, input, weight, bias=None):
    "F.linear and nn.Linear."
    if isinstance(input, Val) and not isinstance(weight, Val) and not isinstance(bias, Val):
        return self.linear(node, input, weight, bias, argument(node, 1))
    return self._sum_of(node, self.contract(node, input, turned(weight)), bias)


# ---- convolutions ----------------------------------------------------------------------------------------------------

@patch
@reads('conv2d', 'conv1d', 'convolution')
def _read_conv(self:Reader, node, input, weight, bias, stride, padding, dilation, groups,
               transposed=False, output_padding=(0,), **_):
    "A convolution; `padding` may be a word."
    if transposed:
        how = stride, padding, output_padding, groups, dilation
        return self._read_transposed(node, input, weight, bias, *how)
    if not isinstance(input, Val) or isinstance(weight, Val):
        raise Refused('a convolution with computed weights', 'a matrix product')
    if input.index.ndim != weight.ndim:
        raise Refused('a convolution without an axis of images', 'x[None]', True)
    k = weight.shape[2:]
    if len(k) == 3: raise Refused('a convolution in three dimensions', 'nn.Conv2d')
    stride, dilation = (each(v, len(k)) for v in (stride, dilation))
    total = [d*(n - 1) for n, d in zip(k, dilation)]
    if padding == 'same': pads = [(t//2, t - t//2) for t in total]
    else: pads = [(p, p) for p in each(0 if padding == 'valid' else padding, len(k))]
    return self.conv(node, input, weight, bias, stride, pads, dilation, groups)


@patch
def conv(self:Reader,
    node:fx.Node, # the layer
    v:Val, # [n, c, h, w] or [n, c, l]
    weight:torch.Tensor, # [cout, cin/groups, kh, kw], or without kh
    bias:torch.Tensor, # [cout] or None
    stride:list, # for each axis, as are the next two
    pads:list, # (before, after)
    dilation:list, # 1 or more
    groups:int, # 1 or more
)->Val: # [n, cout, ...]
    "A convolution over a map, or over a line, which is a map one row high."
    if _apart(weight, stride, pads, dilation, groups): return self.patches(node, v, weight, bias)
    line, order = v.index.ndim == 3, (1, 0) if v.index.ndim == 3 else (1, 2, 0)
    if line: weight, stride, dilation = weight[:, :, None], [1, *stride], [1, *dilation]
    weight, groups = _ungrouped(weight.permute(0, 2, 3, 1), groups)
    v, pads = self.unpadded(self.force(v), order, [(0, 0)]*line + pads)
    x, weight = self.input_of(v, order, node, weight, groups == 1)
    shape = *[1]*line, *(v.index.shape[1 + a] for a in order[:-1]), self.graph.shapes[x][-1]
    x = self.get(x, torch.arange(math.prod(shape)), shape, node)
    if min(map(min, pads)) < 0: raise Refused(f'paddings {pads}', 'paddings of 0 or more')
    how = tuple(stride), tuple(dilation), (*pads[0], *pads[1]), groups
    name = self.label(node, argument(node, 1))
    name = self.graph.add_conv(name, x, weight.contiguous(), bias, *how)
    return self.whole(name, self.graph.shapes[name][line:], order)


def _apart(weight, stride, pads, dilation, groups):
    "Whether windows lie side by side and are larger than the kernels take."
    alike = [*weight.shape[2:]] == [*stride] and groups == max(dilation) == 1
    return alike and not any(map(any, pads)) and math.prod(stride) > TAPS


@patch
def patches(self:Reader,
    node:fx.Node, # the layer
    v:Val, # [n, c, h, w] or [n, c, l]
    weight:torch.Tensor, # [cout, c, kh, kw] or [cout, c, k]
    bias:torch.Tensor, # [cout] or None
)->Val: # [n, cout, ...]
    "A convolution over large windows side by side: a linear layer over the values of each."
    def cut(t): # [n, oh, ow, kh, kw, c], what does not fill a window left out
        rank = t.ndim - 2
        for a, k in enumerate(weight.shape[2:]):
            t = t.narrow(2 + a, 0, t.shape[2 + a]//k*k).unflatten(2 + a, (-1, k)).movedim(3 + a, -1)
        return t.movedim(1, -1).flatten(1 + rank)
    y = self.linear(node, v.moved(cut), weight.movedim(1, -1).flatten(1), bias, argument(node, 1))
    return y.moved(lambda t: t.movedim(-1, 1))


def _ungrouped(w, groups):
    "Weights [cout, kh, kw, cin/groups] with the zeros between groups; depthwise stays as it is."
    cout, kh, kw, per = w.shape
    if groups == 1 or per == 1 and groups == cout: return w, groups
    full, own = w.new_zeros(groups, cout//groups, kh, kw, groups, per), cout//groups
    for g in range(groups): full[g, ..., g, :] = w[g*own:(g + 1)*own]
    return full.reshape(cout, kh, kw, groups*per), 1


@patch
@reads('conv_transpose2d', 'conv_transpose1d')
def _read_transposed(self:Reader, node, input, weight, bias, stride, padding, output_padding,
                     groups, dilation, **_):
    "A transposed convolution: zeros between the positions, then a convolution."
    n = weight.ndim - 2
    stride, dilation, padding = (each(v, n) for v in (stride, dilation, padding))
    extra = each(output_padding, n)
    back = [d*(k - 1) - p for k, p, d in zip(weight.shape[2:], padding, dilation)]
    w = weight.unflatten(0, (groups, -1)).transpose(1, 2).flatten(0, 1)
    if max(stride) > 1: input = self.padded(node, input, [(0, 0)]*n, [s - 1 for s in stride])
    pads = [(b, b + e) for b, e in zip(back, extra)]
    return self.conv(node, input, w.flip([*range(2, w.ndim)]), bias, [1]*n, pads, dilation, groups)


# ---- paddings --------------------------------------------------------------------------------------------------------

@patch
def padded(self:Reader,
    node:fx.Node, # who asks
    v:Val, # [n, c, h, w] or [n, c, l]
    pads:list, # (before, after) for each axis
    gaps:list=(0, 0), # zeros between neighbours, for each axis
)->Val: # the larger map or line
    "Zeros around and between the positions of a map or a line."
    line, order = v.index.ndim == 3, (1, 0) if v.index.ndim == 3 else (1, 2, 0)
    shape = *[1]*line, *(v.index.shape[1 + a] for a in order)
    pads, gaps = [(0, 0)]*line + [*pads], (0, gaps[-1]) if line else tuple(gaps)
    x = self.fetch(v, order, shape, node)
    name = self.graph.add_pad(self.label(node), x, (*pads[0], *pads[1]), gaps)
    return self.whole(name, self.graph.shapes[name][line:], order)


@patch
def unpadded(self:Reader,
    v:Val, # with nothing left to do
    order:tuple, # its axes as a convolution reads them
    pads:list, # (before, after) of the convolution, for two axes
)->tuple: # (what was padded, paddings of both)
    "A padded map without its padding, and what the convolution has to pad instead."
    made, places = self.maker(v.source), self.inside(v).permute(order).flatten()
    if made is None or made.kind != 'pad' or made.attrs['gap_h'] or made.attrs['gap_w']:
        return v, pads
    if not torch.equal(places, torch.arange(self.size(v.source))): return v, pads
    a, sizes = made.attrs, self.graph.shapes[made.inputs[0]]
    more = (a['top'], a['bottom']), (a['left'], a['right'])
    pads = [(p[0] + q[0], p[1] + q[1]) for p, q in zip(pads, more)]
    return self.whole(made.inputs[0], sizes[-len(order):], order), pads


@patch
@reads('pad', 'constant_pad_nd')
def _read_pad(self:Reader, node, input, pad, mode='constant', value=None, **_):
    "F.pad: cut where negative, then a `pad` step, or a `concat` with constants on other axes."
    if mode != 'constant': return self._inside_out(node, input, pad, mode)
    if min(pad) < 0: input = input.moved(lambda t: F.pad(t, [min(p, 0) for p in pad]))
    rank, more = input.index.ndim, [max(p, 0) for p in pad]
    pairs = {rank - 1 - i: (more[2*i], more[2*i + 1]) for i in range(len(pad)//2)}
    pairs = {a: p for a, p in pairs.items() if any(p)}
    if not pairs: return input
    if 0 in pairs: raise Refused('padding of the axis of images', 'padding of other axes', True)
    spatial = {4: {2, 3}, 3: {2}}.get(rank, set())
    last = input.index.shape[1] == 1 or natural(self.inside(input))[-1] == 0 # channels
    if not value and {*pairs} <= spatial and last:
        return self.padded(node, input, [pairs.get(a, (0, 0)) for a in sorted(spatial)])
    for a, ends in pairs.items(): input = self._extended_by(node, input, a, ends, float(value or 0))
    return input


@patch
def _extended_by(self:Reader, node, v, axis, ends, value):
    "A tensor between constant blocks of ends[0] and ends[1] places on an axis."
    shape = [*v.index.shape]
    def block(n): return [torch.full((*shape[:axis], n, *shape[axis + 1:]), value)]*(n > 0)
    return self._read_cat(node, [*block(ends[0]), v, *block(ends[1])], axis)


@patch
def lift(self:Reader,
    t:torch.Tensor, # a constant, with an axis of images, or 1 there
    node:fx.Node, # who reads it
    axis:int=None, # of those of one image, that should be the last in memory
)->Val: # it, as a value
    "A constant as a step."
    if not torch.equal(t, t[:1].expand_as(t)):
        raise Refused('a constant that differs from image to image', 'one constant')
    order = [*range(t.ndim - 1)]
    if axis is not None: order.append(order.pop(axis))
    data = t[0].permute(order).contiguous()
    shape = data.shape if data.ndim <= 3 else (math.prod(data.shape[:-1]), data.shape[-1])
    name = self.graph.add_const(self.label(node) + '.constant', data.reshape(shape))
    return self.whole(name, [*data.shape], tuple(order))


@patch
def _inside_out(self:Reader, node, v, pad, mode):
    "A padding by what is inside: 'reflect', 'replicate' or 'circular'."
    for i in range(len(pad)//2):
        axis, (a, b) = v.index.ndim - 1 - i, pad[2*i:2*i + 2]
        n = v.index.shape[axis]
        at = F.pad(torch.arange(n).float()[None, None], (a, b), mode)[0, 0].long()
        parts = [v.moved(lambda t: t.index_select(axis, p))
                 for p in at.split([a, n, b]) if len(p)]
        v = self._read_cat(node, parts, axis)
    return v


# ---- joining ---------------------------------------------------------------------------------------------------------

@patch
@reads('cat', 'concat', 'concatenate')
def _read_cat(self:Reader, node, tensors, dim=0):
    "torch.cat of tensors and constants."
    tensors = [t for t in tensors if isinstance(t, Val) or t.numel()]
    dim %= max(places_of(t).ndim for t in tensors)
    if not dim: raise Refused('images put together', 'cat over another axis', True)
    joint = self.same_memory(tensors, dim)
    if joint is not None: return joint
    vals = [self.force(t) if isinstance(t, Val) else t for t in tensors]
    most = max((t for t in vals if isinstance(t, Val)), key=lambda t: t.index.numel())
    order = natural(self.inside(most))
    def value(t): return self.lift(t.expand(self.images, *t.shape[1:]), node, order[-1])
    vals = [t if isinstance(t, Val) else value(t) for t in vals]
    at, out = order.index(dim - 1), None
    for v in vals:
        sizes = [v.index.shape[1 + a] for a in order]
        parts = sizes[:at], sizes[at:at + 1], sizes[at + 1:]
        x = self.fetch(v, order, sizes if len(sizes) <= 3 else [*map(math.prod, parts)], node)
        axis = at if len(sizes) <= 3 else 1
        out = x if out is None else self.graph.add_concat(self.label(node), out, x, axis)
    sizes[at] = sum(v.index.shape[dim] for v in vals)
    return self.whole(out, sizes, order)


@patch
def same_memory(self:Reader,
    tensors:list, # to be put together
    dim:int, # along this axis
)->Val: # all of them, or None where that needs a step
    "Parts of one value put together again."
    if not all(isinstance(t, Val) and isinstance(t.source, str) for t in tensors): return None
    a, w, b = tensors[0], None, None
    if any(v.source != a.source or v.f != a.f for v in tensors): return None
    if any(v.w is not None for v in tensors):
        parts = [self._parts(v) for v in tensors]
        if None in parts: return None
        w, b = (torch.cat(t, dim) for t in zip(*parts))
    index = torch.cat([t.index for t in tensors], dim)
    v = Val(a.source, index, a.f if w is None else None, w, b, a.origin)
    places = self.inside(v)
    want = places.permute(natural(places))
    want = want.reshape(-1, want.shape[-1])
    easy = columns(want, self.size(v.source)) is not None or loops(want.flatten()) is not None
    return v if easy else None


@patch
@reads('stack')
def _read_stack(self:Reader, node, tensors, dim=0):
    "torch.stack: a new axis, then cat."
    dim %= 1 + places_of(tensors[0]).ndim
    def grown(t): return t.moved(grown) if isinstance(t, Val) else t.unsqueeze(dim)
    return self._read_cat(node, [grown(t) for t in tensors], dim)


@patch
@reads('roll')
def _read_roll(self:Reader, node, input, shifts, dims=(), **_):
    "The end of each axis put before its beginning."
    if not dims: return self.move(node, (input, shifts), {})
    for shift, axis in zip(each(shifts, 1), each(dims, 1)):
        n = input.index.shape[axis]
        cuts = [(n - shift % n, shift % n), (0, n - shift % n)]
        parts = [input.moved(lambda t: t.narrow(axis, *c)) for c in cuts if c[1]]
        input = self._read_cat(node, parts, axis)
    return input


# ---- a map read between its pixels -----------------------------------------------------------------------------------

@patch
@reads('upsample_bilinear2d', 'upsample_bicubic2d', 'upsample_linear1d')
def _read_upsample(self:Reader, node, input, align_corners, **_):
    "A map as it is read between its pixels: a linear layer along each axis."
    mode = node.target._schema.name.rpartition('upsample_')[2].rstrip('12d')
    for axis, size in enumerate(node.meta['val'].shape[2:], 2):
        eye = torch.eye(input.index.shape[axis])[None, None] # a row for each place
        how = dict(mode='bilinear' if mode == 'linear' else mode, align_corners=align_corners)
        w = F.interpolate(eye, (eye.shape[-1], size), **how)[0, 0].T
        y = self.linear(node, input.moved(lambda t: t.movedim(axis, -1)), w)
        input = y.moved(lambda t: t.movedim(-1, axis))
    return input
