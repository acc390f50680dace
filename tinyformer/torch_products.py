"""Handlers of the reader for products of matrices and softmax, in all spellings; `patterns` finds attention in them.

Each is a method of `Reader`. A product of two tensors that both depend on the input waits as `Scores`. What is no
attention after all becomes steps: `matmul_qk`, `softmax` and `matmul_av`, with the scores in memory."""
import math

import torch
from fastcore.basics import patch
from torch import fx

from tinyformer.places import Val, one_value, places_of
from tinyformer.reader import MOVES, Reader, Refused, Scores, line_formula, reads
from tinyformer.torch_layers import turned

HIDDEN = -1e3 # what is added to a score that a mask hides is below this
LOWERED = -100. # what is added instead where the scores are steps: e^-100 is nothing


def flat(
    t:object, # Val or constant [..., m, n]
)->torch.Tensor: # [m, n], or None
    "The one matrix that a constant repeats; None where it is a stack of several."
    if isinstance(t, Val): return None
    stack = t.reshape(-1, *t.shape[-2:])
    return stack[0] if torch.equal(stack, stack[:1].expand_as(stack)) else None


def waits(
    t:object, # Val or constant
)->bool:
    "Whether a tensor is a product that no step has computed."
    return isinstance(t, Val) and isinstance(t.source, Scores)


# ---- scores ----------------------------------------------------------------------------------------------------------

@patch
def matrices(self:Reader,
    v:Val, # [..., rows, columns]
)->tuple: # (Val [images, groups, rows, columns], function that brings such places back)
    "A stack of matrices, image by image."
    v = self.force(v) if isinstance(v.source, str) else v
    i, n, lead = v.index, self.size(v.source), v.index.shape[:-2]
    if i.ndim == 2: i = i[None]
    steps = n*torch.arange(self.images)
    for axis, size in enumerate(i.shape[:-2]):
        if size % self.images: continue
        rest = [*i.shape[:axis], size//self.images, *i.shape[axis + 1:-2]]
        j = i.unflatten(axis, (self.images, -1)).movedim(axis, 0)
        if not torch.equal(j, j[:1] + steps.reshape(-1, *[1]*(j.ndim - 1))): continue
        def back(t):
            t = t.reshape(self.images, *rest, *t.shape[-2:]).movedim(0, axis)
            return t.reshape(*lead, *t.shape[-2:])
        return Val(v.source, j.flatten(1, -3)), back
    raise Refused('a matrix product that mixes images', 'the axis of the images first', True)


@patch
def _factor(self:Reader, v):
    "A tensor without a number that it is still to be multiplied with, and the number."
    p = self._parts(v) if v.pending else None
    if p is None or not one_value(p[0]) or p[1].any(): return v, 1.
    return v.bare(), float(p[0].flatten()[0])


@patch
def _turned_scores(self:Reader, v):
    "Scores written as keys times queries, the other way round."
    s, (h, t, k) = v.source, v.source.shape
    fixed = {'kq'['qk'.index(n)]: x for n, x in s.fixed.items()}
    n, r = v.index // s.size, v.index % s.size
    index = n*s.size + r//(t*k)*(t*k) + r % k*t + r//k % t
    return Val(Scores(s.k, s.q, (h, k, t), s.node, fixed), index, v.f, v.w, v.b, v.origin)


@patch
def _lowered(self:Reader, v):
    "Scores whose hidden ones are lowered."
    p = self._parts(v)
    if p is None or not (p[1] < HIDDEN).any(): return v
    (w, b), hidden = p, p[1] < HIDDEN
    w = torch.where(hidden, w[~hidden].flatten()[0], w)
    return Val(v.source, v.index, None, w, torch.where(hidden, LOWERED, b), v.origin)


@patch
def _joined_heads(self:Reader, v, node):
    "A value (tokens, heads*d) of a tensor [n, heads, tokens, d]."
    places = self.inside(v).transpose(0, 1)
    return self.get(v.source, places.flatten(), (len(places), places[0].numel()), node)


@patch
def product(self:Reader,
    s:Scores, # not yet probabilities
)->Val: # [n, heads, t, s]
    "Every query with every key, as a step."
    q, k = (self._joined_heads(self.force(v), s.node) for v in (s.q, s.k))
    (heads, t, keys), label = s.shape, self.label(s.node)
    return self.whole(self.graph.add_matmul_qk(label, q, k, heads), [heads, t, keys], (0, 1, 2))


@patch
def resolve(self:Reader,
    v:Val, # of Scores
)->Val: # computed
    "Scores that are no attention after all, as steps."
    y = self._once(('scores', v.source), lambda: self._computed(v.source))
    return Val(y.source, y.index.flatten()[v.index], v.f, v.w, v.b, v.origin)


@patch
def _computed(self:Reader, s):
    "[n, heads, t, s]: probabilities; a linear layer where the queries are constant; products."
    if s.done: return self._soft(s)
    weight = flat(s.fixed['q']) if 'q' in s.fixed else None
    if weight is None or s.shape[0] > 1: return self.product(s)
    y = self.linear(s.node, Val(s.k.source, s.k.index[:, 0]), weight) # [n, s, t]
    return y.moved(lambda i: i.transpose(1, 2)[:, None])


@patch
def _soft(self:Reader, s):
    "Probabilities that are read, as a step."
    index = torch.arange(self.images*s.size).reshape(self.images, *s.shape)
    scores = Scores(s.q, s.k, s.shape, s.node, s.fixed)
    v = Val(scores, index, line_formula(s.scale, 0) if s.scale != 1 else None)
    if s.causal: v = self._affine(s.node, 'add', [v, LOWERED*torch.ones(s.shape[1:]).triu(1)], {})
    return self.softmax(s.node, v, -1)


# ---- softmax ---------------------------------------------------------------------------------------------------------

@patch
def softmax(self:Reader,
    node:fx.Node, # that asks for it
    v:Val, # any
    dim:int, # its axis
)->Val: # as `v`
    "A softmax of rows, as a step."
    v = self.force(v)
    if dim % v.index.ndim == 0 and self.images > 1:
        raise Refused('a softmax over images', 'another axis', True)
    def work(rows):
        done = self.graph.add_softmax(self.label(node), self.rows_of(node, rows, (0, 1)))
        return self.whole(done, rows.index.shape[1:], (0, 1))
    y = self.framed(v.moved(lambda t: t.movedim(dim, -1)), 1, work)
    return y.moved(lambda t: t.movedim(-1, dim))


@patch
@reads('softmax', '_softmax', 'log_softmax', '_log_softmax')
def _read_softmax(self:Reader, node, input, dim, **_):
    "A softmax of scores, of rows, or at the end."
    name = node.target._schema.name.partition('::')[2].strip('_')
    if isinstance(input.source, Scores) and name == 'softmax':
        return self.probabilities(node, input, dim)
    if self.logits and self._ends(node):
        self.left[node.name] = name, dim
        self.graph.notes.append(f'the {name} at the end is left out: the largest stays the largest')
        return input
    y = self.softmax(node, input, dim)
    if name == 'softmax': return y
    return self._change(node, 'log.default', self._change(node, 'clamp_min.default', y, 1e-30))


@patch
def _ends(self:Reader, node):
    "Whether only views come between an operation and the results."
    def view(n): return getattr(n.target, '_schema', n).name.partition('::')[2] in MOVES
    return all(u.op == 'output' or view(u) and self._ends(u) for u in node.users)


# ---- spellings of a product ------------------------------------------------------------------------------------------

@patch
@reads('matmul', 'bmm', 'mm')
def _read_matmul(self:Reader, node, input, mat2=None, other=None, **_):
    "Matrix products."
    return self.contract(node, input, mat2 if other is None else other)


@patch
@reads('baddbmm', 'addmm')
def _read_addmm(self:Reader, node, input, mat1=None, batch1=None, mat2=None, batch2=None, beta=1,
                alpha=1, **_):
    "Matrix products plus a tensor."
    y = self.contract(node, *((mat1, mat2) if batch1 is None else (batch1, batch2)))
    if alpha != 1: y = self._change(node, 'mul.Tensor', y, alpha)
    if beta == 0: return y
    if not isinstance(input, Val): return self._sum_of(node, y, input*beta)
    if beta != 1: input = self._change(node, 'mul.Tensor', input, beta)
    return self._sum_of(node, y, input)


@patch
def _sum_of(self:Reader, node, y, other):
    "y plus a tensor, a constant or nothing."
    if other is None: return y
    if isinstance(other, Val): return self._step_of_two(node, 'add', y, other, alpha=1, beta=1)
    return self._affine(node, 'add', [y, other], {})


@patch
@reads('scaled_dot_product_attention')
def _read_sdpa(self:Reader, node, query, key, value, attn_mask=None, dropout_p=0., is_causal=False,
               scale=None, enable_gqa=False, **_):
    "F.scaled_dot_product_attention."
    if dropout_p: raise Refused('dropout that is always on', 'dropout_p=0 in eval()')
    shape = places_of(query).shape
    def repeated(t):
        if isinstance(t, Val): return t.moved(repeated)
        return t.repeat_interleave(shape[-3] // t.shape[-3], -3)
    if enable_gqa: key, value = repeated(key), repeated(value)
    s = self.contract(node, query, turned(key))
    s = self._change(node, 'mul.Tensor', s, shape[-1]**-.5 if scale is None else scale)
    if is_causal: attn_mask = torch.ones(s.index.shape[-2:], dtype=torch.bool).tril()
    if isinstance(attn_mask, torch.Tensor) and attn_mask.dtype == torch.bool:
        attn_mask = torch.zeros(attn_mask.shape).masked_fill(~attn_mask, -math.inf)
    if isinstance(attn_mask, Val): attn_mask = attn_mask.moved(lambda t: t.expand(s.index.shape))
    s, ready = self._sum_of(node, s, attn_mask), self.probabilities
    if not isinstance(s.source, Scores): ready = self.softmax
    return self.contract(node, ready(node, s, -1), value)


@patch
@reads('einsum')
def _read_einsum(self:Reader, node, equation, tensors, **_):
    "Two tensors: a matrix product over the letters that are summed."
    ins, _, out = equation.replace(' ', '').partition('->')
    letters = ins.split(',')
    if len(tensors) == 1 and sorted(letters[0]) == sorted(out):
        return tensors[0].moved(lambda t: t.permute([letters[0].index(c) for c in out]))
    hint = 'a product of two tensors, all axes named'
    if len(tensors) != 2 or '.' in equation or not out: raise Refused(f'einsum {equation}', hint)
    (la, lb), (a, b) = letters, tensors
    if not isinstance(a, Val): la, lb, a, b = lb, la, b, a
    both = [c for c in la if c in lb]
    lead, summed = ([c for c in both if (c in out) == seen] for seen in (True, False))
    rows, cols = [c for c in la if c not in lb], [c for c in lb if c not in la]
    if not summed or {*rows, *cols} - {*out}: raise Refused(f'einsum {equation}', hint)
    size = dict(zip(la + lb, (*places_of(a).shape, *places_of(b).shape)))
    left = self._lettered(a, la, lead, rows, summed, size)
    right = self._lettered(b, lb, lead, summed, cols, size)
    order = [*lead, *rows, *cols]
    def back(t): return t.reshape([size[c] for c in order]).permute([order.index(c) for c in out])
    return self.contract(node, left, right).moved(back)


@patch
def _lettered(self:Reader, t, own, lead, first, second, size):
    "A tensor whose axes are the letters `own`, as a stack of matrices."
    how = own, lead, first, second, size
    if isinstance(t, Val): return t.moved(lambda i: self._lettered(i, *how))
    t = t.permute([own.index(c) for c in (*lead, *first, *second)])
    rows, columns = (math.prod(size[c] for c in part) for part in (first, second))
    return t.reshape(*(size[c] for c in lead), rows, columns)
