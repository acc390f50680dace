"""The steps of a float network as those of a network that rounds. Nearly all become a `QOp` of their kind; what needs
thought is which codes a value has. A ReLU or another clamp vanishes into the range of the step that it follows, if
nobody reads that step without it. Two activations in a row become one table, and `k x + b` after a layer becomes part
of its weights. `q`, `k` and `v` of an attention have zero point 0, the two halves of a concatenation one scale; where a
range cannot be bent to that, a table in between gives the same values other codes. Scales that a model's author has
set stay. Page `16_quantization` shows each of these."""
import math
from collections import Counter

import torch

from tinyformer.float_graph import Step
from tinyformer.qlayers import THROUGH, QAct, QAttention, QLayer, QMaxPool, QOp, QSoftmax, line, weight_scales
from tinyformer.qnet import QuantNet, is_free
from tinyformer.ranges import Quantizer, Scaled


# ---- questions about a step or a range -------------------------------------------------------------------------------

def _covers(a, shape, size):
    "Whether a pool is one window over a whole map, its padding left out."
    (oh, ow, _), (h, w, _) = size, shape
    whole = a['top'] == a['left'] == 0 and a['kh'] == h and a['kw'] == w
    return oh == ow == 1 and (a['adaptive'] or whole)


def kind_of(step, shape):
    "The operator of `graph` that a step becomes; `shape` is that of its input."
    a, k = step.attrs, step.kind
    if k == 'conv':
        plain = step.params['weight'].shape[1:3] == (1, 1) and all(a[n] == 1 for n in ('sh', 'sw'))
        plain = plain and not any(a[n] for n in ('top', 'bottom', 'left', 'right'))
        if a['groups'] > 1: return 'depthwise3x3'
        return 'pointwise' if plain else 'conv3x3'
    if k == 'linear': return 'fully_connected' if math.prod(shape[:-1]) == 1 else 'linear'
    if k == 'maxpool':
        halves = all(a[n] == 2 for n in ('kh', 'kw', 'sh', 'sw')) and not a['top'] + a['left']
        even = step.shape[0]*2 == shape[0] and step.shape[1]*2 == shape[1]
        return 'maxpool2x2' if halves and even and not a['adaptive'] else 'maxpool'
    if k == 'avgpool': return 'avgpool' if _covers(a, shape, step.shape) else 'avgpool2d'
    if k == 'add' and a['b']: return 'add_broadcast'
    return dict(scale='depthwise3x3', act='lut', mean='avgpool').get(k, k)


def authors_scales(
    weight, # [cout, ...] multiples of one scale, or of one per channel
): # float32 [cout]
    "The scales of weights that were integers before."
    one = weight.abs().max().clamp_min(1e-12) / 127
    codes = weight / one
    if (codes - codes.round()).abs().max() < 1e-3: return one.expand(len(weight)).clone()
    return weight_scales(weight)


def _clamps(f, lo, hi):
    "Whether a function is a clamp to lo and hi, which hold 0."
    if not lo <= 0 < hi or math.isinf(hi - lo) and lo != 0 and math.isinf(hi): return False
    x = torch.linspace(-20, 20, 401)
    return torch.equal(f(x.clone()), x.clamp(lo, hi))


def _open(q):
    "Whether all peers of a range may still change."
    return all(type(p) is Quantizer and not (p.fixed or p.known) for p in q.peers)


def _unclipped(q): return math.isinf(q.least) and math.isinf(q.most)


def _turn(q):
    "Give a range and its peers zero point 0."
    for p in q.peers: p.kind = 'symmetric'


# ---- the walk --------------------------------------------------------------------------------------------------------

class Builder:
    "Turns the steps of a `FloatGraph` into those of a `QuantNet`; a method `_KIND` knows what is special about a kind."
    def __init__(self,
        graph, # FloatGraph of one input
        lo,    # least value of the input
        hi,    # greatest value of the input
    ):
        self.graph, self.net = graph, QuantNet(graph.inputs[0], lo, hi)
        self.steps = {s.name: s for s in graph.steps}
        self.readers = Counter(i for s in graph.steps for i in s.inputs)
        self.readers.update(p.name for p in graph.outputs)
        self.value = {graph.inputs[0].name: 'input'} # of the graph -> of the network

    def run(self):
        "The network, its ranges still to be set."
        for step in self.graph.steps:
            special = getattr(self, f'_{step.kind}', None)
            self.value[step.name] = special(step) if special else self.put(step, QOp(step))
        self.net.targets, self.net.notes = self.graph.outputs, list(self.graph.notes)
        outs = [self.value[p.name] for p in self.graph.outputs]
        self.net.output = outs[0] if len(outs) == 1 else self._joined(outs)
        return self.net

    def put(self, step, layer, ins=None):
        "Append a step with its layer; the name of its value."
        ins = [self.value[i] for i in step.inputs] if ins is None else ins
        kind = kind_of(step, self.net.shapes[ins[0]] if ins else ())
        return self.net._add(kind, step.name, ins, layer, step.shape)

    def _linear(self, step): return self._weighted(step)
    def _scale(self, step): return self._weighted(step)
    def _maxpool(self, step): return self.put(step, QMaxPool(step))
    def _softmax(self, step): return self.put(step, QSoftmax(step))

    # ---- layers with weights, means and pools

    def _weighted(self, step):
        "A layer with weights; in a model whose author has set scales, they keep theirs."
        coded = any(s.kind == 'fake_quantize' for s in self.graph.steps)
        if coded and 'scales' not in step.params:
            scales = authors_scales(step.params['weight'].detach())
            step = Step(step.kind, step.name, step.inputs, step.shape, step.attrs,
                        step.params | dict(scales=scales))
        return self.put(step, QLayer(step))

    def _conv(self, step):
        "A convolution; in groups: block diagonal weights, but for depthwise."
        w, groups = step.params['weight'], step.attrs['groups']
        cout, kh, kw, per = w.shape
        if groups > 1 and (per > 1 or cout != groups):
            full = w.new_zeros(groups, cout//groups, kh, kw, groups, per)
            for g in range(groups): full[g, :, :, :, g] = w.unflatten(0, (groups, -1))[g]
            params = step.params | dict(weight=full.reshape(cout, kh, kw, groups*per))
            step = Step('conv', step.name, step.inputs, step.shape, step.attrs | dict(groups=1), params)
        return self._weighted(step)

    def _mean(self, step):
        "A mean, whose range begins at 0 where its input's does."
        layer = QOp(step)
        if self.net.quantizer(self.value[step.inputs[0]]).kind == 'relu': layer.out.clip(0., math.inf)
        return self.put(step, layer)

    def _avgpool(self, step):
        "An average; if it counts padding that its last windows pass, the padding becomes a step."
        a, name = step.attrs, self.value[step.inputs[0]]
        (h, w, c), (oh, ow, _), top, left = self.net.shapes[name], step.shape, a['top'], a['left']
        passes = (oh - 1)*a['sh'] + a['kh'] > h + 2*top or (ow - 1)*a['sw'] + a['kw'] > w + 2*left
        if not a['count_pad'] or a['adaptive'] or not passes: return self._mean(step)
        ends = dict(top=top, bottom=top, left=left, right=left, gap_h=0, gap_w=0)
        pad = Step('pad', f'{step.name}_pad', (name,), (h + 2*top, w + 2*left, c), ends)
        self.net._add('pad', pad.name, [name], QOp(pad), pad.shape)
        self.value[pad.name], whole = pad.name, dict(count_pad=0, top=0, left=0)
        return self._mean(Step('avgpool', step.name, (pad.name,), step.shape, a | whole))

    # ---- activations

    def _alone(self, name):
        "The value whose codes a value of the graph has, if nobody reads either of them elsewhere."
        while name in self.steps and self.readers[name] == 1:
            step = self.steps[name]
            gone = step.inputs and self.value[name] == self.value[step.inputs[0]]
            if not gone and step.kind not in THROUGH: return self.value[name]
            if step.kind == 'concat': return None
            name = step.inputs[0]
        return None

    def _recode(self, name, kind='affine'):
        "A table after a value of the network that gives it codes of its own."
        to = f'{name}_codes'
        while to in self.net.shapes or to in self.graph.shapes: to += '_'
        step = Step('act', to, (name,), self.net.shapes[name], dict(name='codes'), {}, lambda x: x)
        layer = QAct(step, self.net.quantizer(name))
        layer.out = Quantizer(kind)
        return self.net._add('lut', to, [name], layer, step.shape)

    def _clamped(self, name, src, lo, hi):
        "Whether the range of a value does what a clamp to lo and hi would do."
        q = self.net.quantizer(name)
        if type(q) is not Quantizer: return False
        if q is self.net.image: return lo <= float(q.lo) and float(q.hi) <= hi
        if not q.given and q.least >= lo and q.most <= hi: return True
        if src is None or not is_free(q) or q.kind == 'symmetric': return False
        q.clip(lo, hi)
        return True

    def _act(self, step):
        "An activation: a clamp of a range, part of the table or layer before it, or a table."
        x, f, a = step.inputs[0], step.f, step.attrs
        name, src = self.value[x], self._alone(x)
        q, near = self.net.quantizer(name), self.net.layer(name) if src == name else None
        own = near is not None and near.out is q and (is_free(q) or type(q) is Scaled)
        if own and isinstance(near, QAct):
            first = near.f
            near.f = lambda x: f(first(x))
            near._range_from(self.net.quantizer(self.net.reads(name)[0]))
            return name
        if _clamps(f, a['lo'], a['hi']) and self._clamped(name, src, a['lo'], a['hi']): return name
        kb = line(f)
        if kb and own and isinstance(near, QLayer) and math.isinf(q.least - q.most):
            near.stretch(*kb)
            return name
        return self.put(step, QAct(step, q))

    # ---- zero point 0 for attention

    def _centred(self, name):
        "A value of the network with zero point 0: this one, or its table."
        q = self.net.quantizer(name)
        if q.kind == 'symmetric' or q.known and q.known[1] == 0: return name
        if not _open(q) or q.kind != 'affine' or not _unclipped(q):
            return self._recode(name, 'symmetric')
        _turn(q)
        return name

    def _matmul_qk(self, step):
        "Products of rows whose zero point is 0."
        return self.put(step, QOp(step), [self._centred(self.value[i]) for i in step.inputs])

    def _attention(self, step):
        "Attention over values whose zero point is 0."
        return self.put(step, QAttention(step), [self._centred(self.value[i]) for i in step.inputs])

    def _matmul_av(self, step):
        "Values with zero point 0, mixed by probabilities whose lowest code is 0."
        p, v = (self.value[i] for i in step.inputs)
        q = self.net.quantizer(p)
        if not (q.kind == 'relu' or q.known and q.known[1] == -128): p = self._recode(p, 'relu')
        return self.put(step, QOp(step), [p, self._centred(v)])

    # ---- one scale for what is joined

    def _plain(self, name):
        "A value whose codes can be bent to another's: this one, or its table."
        q = self.net.quantizer(name)
        usual = q.most == math.inf and (q.least == 0 or math.isinf(q.least))
        if _open(q) and usual: return name
        return self._recode(name, 'relu' if q.kind == 'relu' else 'affine')

    def _adopts(self, name, q):
        "Let a constant have the codes of a range that does not move, where they cover it."
        layer = None if name == 'input' else self.net.layer(name)
        if layer is None or layer.kind != 'const' or not is_free(layer.out) or not q.fixed: return False
        scale, zp = q.qparams()
        codes = layer.params['data'] / scale + zp
        if codes.min() < -128.5 or codes.max() > 127.5: return False
        layer.out.give(scale, zp)
        return True

    def _twins(self, a, b):
        "Two values of the network with one scale and zero point: these, or tables of them."
        p, q = self.net.quantizer(a), self.net.quantizer(b)
        if p in q.peers or p.given and q.given and p.known == q.known: return a, b
        if self._adopts(a, q) or self._adopts(b, p): return a, b
        names = [self._plain(a), self._plain(b)]
        kinds = [self.net.quantizer(n).kind for n in names]
        if kinds[0] != kinds[1] and 'relu' in kinds:
            i = kinds.index('relu')
            names[i] = self._recode(names[i])
        p, q = (self.net.quantizer(n) for n in names)
        if 'symmetric' in (p.kind, q.kind): _turn(p); _turn(q)
        p.join(q)
        return names

    def _concat(self, step):
        "One value behind another, of one scale."
        return self.put(step, QOp(step), self._twins(*(self.value[i] for i in step.inputs)))

    def _joined(self, names):
        "One value that holds all outputs, one behind the other."
        flat, add, shapes = [], self.net._add, self.net.shapes
        for name in names:
            step = Step('view', f'{name}_flat', (name,), (math.prod(shapes[name]),))
            while step.name in shapes: step.name += '_'
            flat.append(add('view', step.name, [name], QOp(step), step.shape))
        out = flat[0]
        for i, name in enumerate(flat[1:], 2):
            pair = self._twins(out, name)
            shape = (shapes[out][0] + shapes[name][0],)
            step = Step('concat', f'outputs_{i}', tuple(pair), shape, dict(axis=0))
            out = add('concat', step.name, pair, QOp(step), shape)
        return out

    # ---- scales of a model's author

    def _fake_quantize(self, step):
        "Scale and zero point of a model's author: those of the value itself, or of its table."
        name, given = self.value[step.inputs[0]], (step.attrs['scale'], step.attrs['zero_point'])
        q = self.net.quantizer(name)
        if q.given and q.known == given: return name
        top = given[0] * (127 - given[1])
        whole = q.kind == 'affine' and q.least == -math.inf
        fits = (given[1] == -128 or whole) and top <= 1.01 * q.most
        new = q is self.net.image and not q.given
        if not new and not (_open(q) and fits):
            name = self._recode(name)
            q = self.net.quantizer(name)
        for p in q.peers: p.give(*given)
        return name
