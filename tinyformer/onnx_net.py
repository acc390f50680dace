"""An ONNX file as a torch module that runs its nodes.

Nodes with weights become layers (`nn.Conv2d`, `nn.Linear`, ...) under names that C and the model file allow; all others
become torch functions, see `onnx_ops`. Each node is run on an example while it is converted, so every shape is known.
What depends on the number of images is found by converting for two numbers of images at once."""
import re
from dataclasses import dataclass
from pathlib import Path

import torch, torch.nn as nn, torch.nn.functional as F

from tinyformer.errors import BadInput, CorruptModel, UnsupportedOp
from tinyformer.onnx_ops import OPS, Call, Refused, Value, grid_of, onnx_package, tensor_of

OPSETS = range(7, 29)
"Versions of the standard operators that are read."
INSTEAD = dict(
    **dict.fromkeys(('LSTM', 'GRU', 'RNN'), 'an attention block, or a convolution along the time'),
    If='the branch that is taken, exported alone', Loop='the loop written out', Scan='the loop written out',
    NonMaxSuppression='this step after the network, on the host', TopK='this step after the network',
    NonZero='this step after the network', ConvInteger='QuantizeLinear and '
    'DequantizeLinear around a Conv (QDQ format)', MatMulInteger='QuantizeLinear and DequantizeLinear around a MatMul '
    '(QDQ format)', QLinearConv='the QDQ format of the same quantizer', QLinearMatMul='the QDQ format of the same '
    'quantizer', DynamicQuantizeLinear='static quantisation, or the float file')
"What to export in place of an operator that has no torch function here."


# ---- activations that a file spells out ------------------------------------------------------------------------------

KNOWN = [F.gelu, lambda x: F.gelu(x, approximate='tanh'), F.silu, F.hardswish, F.mish, F.hardsigmoid, F.softsign]
"Functions of one number that exporters write as several nodes."
GRID = torch.linspace(-9, 9, 3601, dtype=torch.float64)
ELEMENTWISE = set('''Add Sub Mul Div Pow Sqrt Erf Exp Log Abs Neg Reciprocal Relu Sigmoid Tanh Softplus Clip HardSigmoid
                     Min Max Cast Identity'''.split())


def spelled(
    call, # a node
    function, # what it became
    curves, # name -> (name of the value that it is a function of, its values on `GRID`)
): # (root, values on GRID), or None
    "A value as a function of one number of an earlier value."
    if call.node.op_type not in ELEMENTWISE: return None
    roots, xs, free = [], [], [v for v in call.ins if v is not None]
    names = [n for n in call.node.input if n]
    for name, v in zip(names, free):
        if not v.fixed:
            root, y = curves.get(name, (name, GRID))
            roots.append((root, name))
            xs.append((root, y))
        elif v.same and v.worlds[0].numel() == 1: xs.append((None, v.worlds[0].double().reshape(())))
        else: return None
    common = {r for r, _ in roots}
    if len(common) != 1: return None
    used = range(len(xs)) if call.used is None else call.used
    try: y = function(*[xs[i][1] for i in used])
    except (TypeError, RuntimeError, IndexError): return None
    return common.pop(), y


def known_curve(y):
    "The function of torch that has these values on `GRID`."
    for f in KNOWN:
        if y.shape == GRID.shape and torch.allclose(y, f(GRID), atol=1e-5, rtol=1e-4): return f


# ---- the module ------------------------------------------------------------------------------------------------------

@dataclass
class Step:
    "One node that runs for every image."
    f: object      # name of a layer, or a function of tensors
    inputs: tuple  # names
    outputs: tuple # names
    sized: bool    # takes the number of images too


class OnnxNet(nn.Module):
    "The network of an ONNX file."
    def __init__(self):
        super().__init__()
        self.steps, self.ins, self.outs, self.constants, self.notes = [], [], [], {}, []
        self.images = None   # number of images that the file is written for; None: any

    def _once(self, *xs):
        live, n = dict(zip(self.ins, xs)), None
        if any(s.sized for s in self.steps): n = xs[0].shape[0]
        for s in self.steps:
            args = [live[i] if i in live else self._buffers[self.constants[i]] for i in s.inputs]
            f = getattr(self, s.f) if isinstance(s.f, str) else s.f
            made = f(n, *args) if s.sized else f(*args)
            live.update(zip(s.outputs, made if len(s.outputs) > 1 else [made]))
        res = [live[o] for o in self.outs]
        return res[0] if len(res) == 1 else tuple(res)

    def forward(self, x): return self.run(x)

    def run(self, *xs):
        if self.images is None or len(xs[0]) == self.images: return self._once(*xs)
        parts = [self._once(*one) for one in zip(*[x.split(self.images) for x in xs])]
        return torch.cat(parts) if len(self.outs) == 1 else tuple(torch.cat(p) for p in zip(*parts))


class OnnxNets(OnnxNet):
    "The same with several inputs."
    def forward(self, *xs): return self.run(*xs)


def plain_name(text, taken=()):
    "A name of letters, digits and _ that nothing else has."
    name = re.sub(r'[^A-Za-z0-9_]+', '_', text).strip('_')[:90] or 'layer'
    if name[0].isdigit(): name = f'n{name}'
    base, k = name, 2
    while name in taken: name, k = f'{base}_{k}', k + 1
    return name


class Converter:
    "Turns the nodes of one file into the steps of an `OnnxNet`."
    def __init__(self, model, shapes, images, written, folder):
        self.graph, self.images, self.written = model.graph, images, written
        self.net = OnnxNet() if len(shapes) == 1 else OnnxNets()
        self.opset = next(o.version for o in model.opset_import if o.domain in ('', 'ai.onnx'))
        self.values, self.problems, self.curves, self.alias, self.makers = {}, [], {}, {}, {}
        for t in self.graph.initializer:
            self.values[t.name] = Value([tensor_of(t, folder)] * len(images), True)
        gen = torch.Generator().manual_seed(0)
        for name, shape in shapes.items():
            self.net.ins.append(name)
            x = torch.rand(max(images), *shape, generator=gen)
            self.values[name] = Value([x[:n] for n in images], False)
        self.readers = {}
        for node in self.graph.node:
            for i in node.input: self.readers[i] = self.readers.get(i, 0) + 1
        for o in self.graph.output: self.readers[o.name] = self.readers.get(o.name, 0) + 1

    def run(self):
        "The module, or `UnsupportedOp` that lists all nodes which have no place in it."
        for k, node in enumerate(self.graph.node): self.node(node, node.name or f'{node.op_type}_{k}')
        if self.problems: raise refusal(self.problems)
        for o in self.graph.output: self.out(o.name)
        self.prune()
        return self.net

    def out(self, name):
        v = self.values.get(name)
        if v is None: raise CorruptModel(f'the file names the output {name!r}, which no node makes')
        if v.fixed: raise UnsupportedOp(f'the output {name!r} is a constant: the network does not depend on its input')
        self.net.outs.append(self.alias.get(name, name))

    def prune(self):
        "Leave out the steps that nothing needs."
        need, kept = set(self.net.outs), []
        for s in reversed(self.net.steps):
            if need & set(s.outputs): kept.append(s); need |= set(s.inputs)
        self.net.steps = kept[::-1]
        idle = [n for n in self.net.constants if n not in need]
        for name in idle: delattr(self.net, self.net.constants.pop(name))
        used = {s.f for s in kept if isinstance(s.f, str)}
        for name in [n for n, _ in self.net.named_children() if n not in used]: delattr(self.net, name)

    def node(self, node, name):
        "Convert one node; what it cannot is noted, and so is nothing that reads it."
        if node.domain not in ('', 'ai.onnx') or node.op_type not in (*OPS, 'Constant'):
            kind = f'{node.domain}.{node.op_type}' if node.domain not in ('', 'ai.onnx') else node.op_type
            self.problems.append((name, kind, INSTEAD.get(node.op_type, 'the standard operators that it is made of')))
            return
        if node.op_type == 'Constant': return self.constant(node, name)
        if any(i and i not in self.values for i in node.input): return        # after a refused node
        ins = [self.values[i] if i else None for i in node.input]
        call = Call(node, ins, self.images, self.opset)
        call.written = self.written
        self.makers.update(dict.fromkeys(node.output, node))
        try: self.converted(call, name, self.written_out(call) or OPS[node.op_type](call))
        except Refused as e: self.problems.append((name, f'{node.op_type} with {e.what}', e.instead))
        except UnsupportedOp: raise
        except Exception as e:
            raise CorruptModel(f'node {name!r} ({node.op_type}) cannot run: {" ".join(str(e).split())[:200]}') from e

    def constant(self, node, name):
        (a,) = node.attribute
        if a.name == 'value': t = tensor_of(a.t)
        elif a.name in ('value_float', 'value_floats'): t = torch.tensor(a.f if a.name[-1] == 't' else list(a.floats))
        elif a.name in ('value_int', 'value_ints'): t = torch.tensor(a.i if a.name[-1] == 't' else list(a.ints))
        else: return self.problems.append((name, f'Constant with {a.name}', 'a tensor'))
        self.values[node.output[0]] = Value([t] * len(self.images), True)

    def converted(self, call, name, f):
        "Run a node on the example; keep it as a step unless its result is known without images."
        names = list(call.node.input)
        used = [i for i in range(len(names)) if call.there(i)] if call.used is None else call.used
        with torch.no_grad():
            made = []
            for k, n in enumerate(self.images):
                args = [call.ins[i].worlds[k] for i in used if call.there(i)]
                y = f(n, *args) if call.sized else f(*args)
                made.append(y if isinstance(y, (tuple, list)) else [y])
        fixed = call.node.op_type in ('Shape', 'Size') or all(call.ins[i].fixed for i in used)
        outs = [o for o in call.node.output if o][:len(made[0])]
        for j, o in enumerate(outs):
            v = Value([m[j] for m in made], fixed)
            v.grid = grid_of(call, v)
            self.values[o] = v
        if not fixed: self.step(call, name, f, [names[i] for i in used if call.there(i)], outs)

    def written_out(self, call):
        "A layer norm over the last axis that the file writes out, recognised at its division; else None."
        def maker(name, kind):
            m = self.makers.get(name)
            return m if m is not None and m.op_type == kind else None
        if call.node.op_type != 'Div': return None
        middle, root = maker(call.node.input[0], 'Sub'), maker(call.node.input[1], 'Sqrt')
        total = root and maker(root.input[0], 'Add')
        eps = next((self.values[i] for i in total.input if self.values[i].fixed), None) if total and middle else None
        if eps is None or eps.worlds[0].numel() != 1: return None
        x = self.values[middle.input[0]].worlds[0]
        layer = nn.LayerNorm(x.shape[-1], eps=float(eps.worlds[0])).eval()
        a, b = (v.worlds[0] for v in call.ins)
        if x.shape != a.shape or not torch.allclose(a / b, layer(x), atol=1e-4): return None
        call.node = type(call.node).FromString(call.node.SerializeToString())      # the file itself stays as it is
        call.node.input[0] = middle.input[0]
        call.ins[0] = self.values[middle.input[0]]
        call.takes(0)
        return layer

    def step(self, call, name, f, inputs, outs):
        if self.merged(call, inputs, outs): return
        inputs = [self.alias.get(i, i) for i in inputs]
        curve = spelled(call, f, self.curves) if len(outs) == 1 else None
        if curve is not None:
            root = self.alias.get(curve[0], curve[0])
            self.curves[outs[0]] = curve
            whole = known_curve(curve[1]) if root != inputs[0] or len(inputs) > 1 else None
            if whole is not None: f, inputs, call.sized = whole, [root], False
        if isinstance(f, nn.Module):
            taken = set(dir(self.net)) | set(self.net._modules) | set(self.net._buffers)
            layer, f = f, plain_name(name, taken)
            self.net.add_module(f, layer)
        for i in inputs: self.bring(i)
        self.net.steps.append(Step(f, tuple(inputs), tuple(outs), call.sized))

    def merged(self, call, inputs, outs):
        "A sum with a constant goes into the linear layer before it, and the same for a norm's gain and offset."
        kind = call.node.op_type
        if kind not in ('Add', 'Mul') or len(inputs) != 2 or not self.net.steps: return False
        data = [i for i in inputs if not self.values[i].fixed]
        const = [i for i in inputs if self.values[i].fixed and self.values[i].same]
        if len(data) != 1 or len(const) != 1 or self.readers.get(data[0]) != 1: return False
        src, w = self.alias.get(data[0], data[0]), self.values[const[0]].worlds[0].float()
        made = next((s for s in reversed(self.net.steps) if src in s.outputs), None)
        layer = getattr(self.net, made.f) if made and isinstance(made.f, str) else None
        if w.numel() != w.shape[-1:].numel() or w.ndim == 0: return False
        if isinstance(layer, nn.Linear) and kind == 'Add' and layer.bias is None and w.numel() == layer.out_features:
            layer.bias = nn.Parameter(w.reshape(-1).clone())
        elif isinstance(layer, nn.LayerNorm) and w.numel() == layer.weight.numel() and layer.bias is not None:
            with torch.no_grad():
                if kind == 'Add': layer.bias.add_(w.reshape(-1))
                else: layer.weight.mul_(w.reshape(-1)); layer.bias.mul_(w.reshape(-1))
        else: return False
        self.alias[outs[0]] = src
        return True

    def bring(self, name):
        "A constant that a step reads becomes a buffer; one with a row for each image becomes a step."
        v = self.values.get(name)
        if v is None or not v.fixed or name in self.net.constants: return
        if any(name in s.outputs for s in self.net.steps): return
        t, label = v.worlds[0], plain_name(f'const_{name}', {*dir(self.net), *self.net._buffers, *self.net._modules})
        if v.same:
            self.net.register_buffer(label, t.clone())
            self.net.constants[name] = label
            return
        rows = [w.shape[:1] == (n,) and bool((w == w[:1]).all()) for w, n in zip(v.worlds, self.images)]
        if not all(rows):
            raise UnsupportedOp(f'the constant {name!r} depends on the number of images in a way that no board could '
                                'follow: export the network for one image')
        key = f'{name}:one'
        self.net.register_buffer(label, t[:1].clone())
        self.net.constants[key] = label
        self.net.steps.append(Step(lambda n, x: x.expand(n, *x.shape[1:]), (key,), (name,), True))


def refusal(problems):
    "One error for all nodes that have no place."
    each = '; '.join(f'node {name!r} ({what}): export {instead}' for name, what, instead in problems[:20])
    more = f'; and {len(problems) - 20} more' if len(problems) > 20 else ''
    many = 's' * (len(problems) > 1)
    return UnsupportedOp(f'{len(problems)} node{many} of the ONNX file cannot be read: {each}{more}')


# ---- files -----------------------------------------------------------------------------------------------------------

def read_proto(path):
    "A checked ONNX model, its local functions written out."
    onnx = onnx_package()
    try:
        model = onnx.load(path)
        onnx.checker.check_model(model)
        if model.functions:
            from onnx import inliner
            model = inliner.inline_local_functions(model)
    except OSError as e: raise BadInput(f'{path} cannot be read: {e.strerror or e}') from e
    except Exception as e:
        raise CorruptModel(f'{path} is no sound ONNX file ({" ".join(str(e).split())[:160]}): export it again') from e
    versions = [o.version for o in model.opset_import if o.domain in ('', 'ai.onnx')]
    if not versions or versions[0] not in OPSETS:
        raise UnsupportedOp(f'{path} has operators of version {versions or "unknown"}; {OPSETS[0]} to {OPSETS[-1]} are '
                            'read: convert it with onnx.version_converter.convert_version(model, 17)')
    return model


def input_shapes(model, example=()):
    "Name -> shape of each input without the images, and the number of images the file is written for (None: any)."
    given = {t.name for t in model.graph.initializer}
    inputs = [i for i in model.graph.input if i.name not in given]
    if not inputs: raise UnsupportedOp('the ONNX file has no input')
    shapes, first = {}, set()
    for k, i in enumerate(inputs):
        t = i.type.tensor_type
        if t.elem_type not in (1, 10, 11, 16):
            raise UnsupportedOp(f'the input {i.name!r} is no tensor of floats: export the network with a float input')
        dims = [d.dim_value if d.HasField('dim_value') else None for d in t.shape.dim]
        if len(dims) < 2:
            raise UnsupportedOp(f'the input {i.name!r} has {len(dims)} axes: the first must be the images')
        seen = tuple(example[k]) if k < len(example) else dims[1:]
        if len(seen) != len(dims) - 1 or any(d not in (None, s) for d, s in zip(dims[1:], seen)):
            raise BadInput(f'the input {i.name!r} of the ONNX file is {dims[1:]}, the data {list(seen)}')
        if not all(seen):
            raise BadInput(f'the ONNX file leaves the size of its input {i.name!r} open ({dims}): give --data, or '
                           'write the sizes into the file with onnx.tools.update_model_dims')
        shapes[i.name], first = tuple(seen), first | {dims[0] or None}
    return shapes, (first.pop() if len(first) == 1 else None)


def _agrees(net, shapes):
    "Whether two images together give what each gives alone."
    gen = torch.Generator().manual_seed(1)
    xs = [torch.rand(2, *s, generator=gen) for s in shapes.values()]
    with torch.no_grad():
        both, each = net(*xs), [net(*[x[i:i + 1] for x in xs]) for i in range(2)]
    both, each = ((both,), [(e,) for e in each]) if torch.is_tensor(both) else (both, each)
    return all(b.shape[:1] == (2,) and torch.allclose(b[i:i + 1], e[k], atol=1e-4, rtol=1e-3)
               for i, e in enumerate(each) for k, b in enumerate(both))


def load_onnx(
    path,       # .onnx file
    example=(), # shapes of the inputs without the images, where the file leaves sizes open
): # OnnxNet in evaluation mode; its `shapes` has name -> shape of each input
    "Read an ONNX file as a torch module."
    model = read_proto(path)
    shapes, written = input_shapes(model, example)
    folder = str(Path(path).resolve().parent)
    try:
        net = Converter(model, shapes, (2, 3), written or 1, folder).run()
        if _agrees(net, shapes): return _ready(net, shapes)
    except (CorruptModel, RuntimeError, TypeError) as e:
        if written is None: raise e if isinstance(e, CorruptModel) else CorruptModel(f'{path}: {e}') from e
    if written is None:
        raise UnsupportedOp(f'{path} mixes the images of a batch: export it for one image')
    net = Converter(model, shapes, (written,), written, folder).run()
    net.images = written
    return _ready(net, shapes)


def _ready(net, shapes):
    net.shapes = shapes
    return net.eval().requires_grad_(True)
