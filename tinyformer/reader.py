"""A program of torch operations becomes the steps of a `FloatGraph`.

What moves data is done to places (see `places`). What works value by value waits until somebody needs the result, and
often ends inside a layer. What computes something else is left to handlers, which register themselves under names of
torch operations: those of layers, norms and attention are in `torch_layers`, `torch_norms`, `torch_products`,
`torch_values` and `patterns`. An operation without a handler is noted, and a stand-in of the right shape takes its
place, so that one look finds all layers that are not supported."""
import math, operator
from dataclasses import dataclass, field

import torch
from torch import fx
from torch.export.graph_signature import InputKind
from torch.utils._pytree import tree_flatten_with_path, tree_leaves, tree_map, tree_unflatten

from tinyformer.errors import BadInput, UnsupportedOp
from tinyformer.float_graph import FloatGraph, Formula, Ref, Step, describe, joined, registering
from tinyformer.places import PIECES, Val, bends, columns, grid, loops, natural, one_value, places_of
from tinyformer.program import IMAGES, export, first_line, quietly, still_copy, unwrap # most are found here as well


MOVES = set('''view reshape _unsafe_view permute transpose t flatten unflatten squeeze unsqueeze
    slice select narrow expand expand_as view_as reshape_as repeat tile flip roll rot90
    pixel_shuffle pixel_unshuffle channel_shuffle native_channel_shuffle split
    split_with_sizes chunk unbind
    tensor_split hsplit vsplit contiguous clone alias detach movedim moveaxis swapaxes swapdims
    repeat_interleave index_select index gather take unfold diagonal numpy_T mT adjoint ravel
    lift_fresh_copy lift_fresh to _to_copy type_as alias_copy view_copy broadcast_to
    upsample_nearest2d upsample_nearest1d _upsample_nearest_exact2d
    _upsample_nearest_exact1d'''.split())
COPIES = {'to', '_to_copy', 'type_as', 'contiguous', 'clone', 'lift_fresh_copy', 'lift_fresh'}
VIEWS = {'view', '_unsafe_view', 'view_copy'} # the places may lie otherwise than torch's memory
LINEAR = {'add', 'sub', 'rsub', 'mul', 'div', 'neg', 'masked_fill', 'where'} # kx + b with constants
POINTWISE = {'hardswish', 'log_sigmoid', 'rsub', 'where', 'masked_fill'} # torch marks them not
USUAL = 'nn.Conv2d, nn.Linear, nn.LayerNorm, nn.MultiheadAttention, pools, activations, + and *'
NEAREST = dict( # what to write instead of what has no form at all
    Conv3d='nn.Conv2d', Embedding='nn.Linear', embedding='nn.Linear',
    LSTM='nn.MultiheadAttention or nn.Conv1d', GRU='nn.MultiheadAttention or nn.Conv1d',
    RNN='nn.MultiheadAttention or nn.Conv1d',
    Upsample="mode='nearest'", grid_sampler="nn.Upsample(mode='nearest')",
    local_response_norm='nn.BatchNorm2d', var='nn.LayerNorm',
    std='nn.LayerNorm', cumsum='nn.Linear with a triangular weight', topk='the values themselves',
    sort='the values themselves', argmax='the logits: the largest is found outside')


class Refused(Exception):
    "An operation that has no integer form."
    def __init__(self,
        what:str, # what is refused
        hint:str, # the nearest form that is not
        layout:bool=False, # only the order of values is at fault
    ):
        super().__init__(what)
        self.what, self.hint, self.layout = what, hint, layout


TROUBLE = Refused, BadInput, RuntimeError, TypeError, ValueError, LookupError, AttributeError


def _single(v):
    "float32 for any floating type."
    return v.detach().float() if isinstance(v, torch.Tensor) and v.is_floating_point() else v


def words_of(
    op:torch._ops.OpOverload,
    args:tuple,
    named:dict,
)->dict: # name in the operator's schema -> what the call gives, or the default; `self` is called `input`
    "The arguments of a call by their names."
    words = {a.name: a.default_value for a in op._schema.arguments}
    words.update(zip(words, args)); words.update(named)
    return {'input' if k == 'self' else k: v for k, v in words.items()}


def _at_rest(words):
    "Whether an operator that could draw numbers draws none: dropout outside training."
    return words.get('train') is False or words.get('dropout_p', words.get('p')) == 0


def _double(t): return torch.as_tensor(t).double()


def line_formula(
    k:float, # slope
    b:float, # value at 0
)->Formula:
    "kx + b as a formula."
    f = Formula().then('mul.Tensor', Ref(0), float(k)) if k != 1 else Formula()
    return f.then('add.Tensor', Ref(0), float(b)) if b else f


def _smaller(want):
    "Places [positions, channels] as one row or column where that is all there is to them."
    if torch.equal(want, want[:1].expand_as(want)): return want[0], 'row'
    if torch.equal(want, want[:, :1].expand_as(want)): return want[:, 0], 'column'
    return want, ''


@dataclass(eq=False)
class Scores:
    "Products of queries and keys, or softmax of them, that no step computes."
    q:Val # [n, heads, t, d]
    k:Val # [n, heads, s, d]
    shape:tuple # (heads, t, s) per image
    node:object # that asked for it
    fixed:dict = field(default_factory=dict) # 'q' or 'k' -> [t, d], where it is a constant
    scale:float = 1. # of the scores, once they are probabilities
    causal:bool = False # likewise
    done:bool = False # probabilities

    @property
    def size(self): return math.prod(self.shape)


class Reader:
    "Turns a program of torch operations into the steps of a `FloatGraph`."
    HANDLERS = {} # name of an operation -> function(reader, node, **its arguments)

    def __init__(self,
        program:object, # of torch.export
        images:int, # in it
        orders:list, # (shape, order) of each input
        anchors:set=(), # names of nodes whose results are needed as they are
        unsplit:set=(), # names of layers that stay whole
        logits:bool=False, # leave out a softmax at the end
    ):
        self.program, self.images, self.orders, self.logits = program, images, orders, logits
        self.anchors, self.unsplit = anchors, unsplit
        self.graph, self.env, self.cache = FloatGraph(), {}, {}
        self.forced, self.extended, self.split = set(), set(), set() # names of nodes, of layers
        self.unknown, self.refusals = set(), {} # stand-ins; layer -> (what, hint)
        self.means, self.left, self.narrow = {}, {}, False # see `mean`, `softmax`, `cast`
        self.owners, self.now = {}, None # placeholder -> parameter
        self.nodes = {n.name: n for n in program.graph.nodes}
        self.paths = {self.stack(n)[0] for n in program.graph.nodes}

    # ---- what is read ------------------------------------------------------------------------------------------------

    def maker(self,
        name:str, # of a value
    )->Step: # or None
        "The step that makes a value; None for an input."
        return next((s for s in self.graph.steps if s.name == name), None)

    def size(self,
        source:object, # name of a value, or Scores
    )->int: # values
        "How many values one image has there."
        return source.size if isinstance(source, Scores) else math.prod(self.graph.shapes[source])

    def stack(self,
        node:fx.Node, # an operation
    )->tuple: # (path, type as text)
        "The innermost module that asked for an operation."
        inner = [*(node.meta.get('nn_module_stack') or {}).values()]
        path, kind = inner[-1] if inner else ('', '')
        path = path.removeprefix("L['self']").strip('.') # as strict programs have it
        kind = kind if isinstance(kind, str) else f'{kind.__module__}.{kind.__qualname__}'
        return path.split('@')[0], kind # a second call is 'path@1'

    def label(self,
        node:fx.Node, # an operation
        weight:object=None, # the node of its weight
    )->str: # name for a step
        "What a step is called."
        path, kind = self.stack(node)
        op = node.target.__name__.partition('.')[0] if callable(node.target) else str(node.target)
        owner = self.owners.get(getattr(weight, 'name', None), '')
        if '.Linear' in kind or 'conv.' in kind or not owner.endswith('weight'):
            parts = any(p.startswith(path + '.') for p in self.paths)
            return op if not path else f'{path}.{op}' if parts else path
        return owner.removesuffix('weight').strip('._') or op

    def read(self)->FloatGraph: # not yet tidied
        "Go through the program."
        state = {**self.program.state_dict, **self.program.constants}
        sig = self.program.graph_signature
        for spec in sig.input_specs:
            if spec.kind is InputKind.USER_INPUT: continue
            self.env[spec.arg.name] = _single(state[spec.target])
            self.owners[spec.arg.name] = spec.target
        if sig.buffers_to_mutate or sig.user_inputs_to_mutate:
            what = 'a state that stays from one inference to the next, or a write over the input'
            self.refusals['forward'] = what, 'a state that goes in and comes out'
        inputs = [s.arg.name for s in sig.input_specs if s.kind is InputKind.USER_INPUT]
        for name, (shape, order) in zip(inputs, self.orders):
            value = self.graph.add_input(shape, order, 'input' if len(inputs) == 1 else name)
            self.env[name] = self.whole(value, [shape[a] for a in order], order)
        results = self.walk(self.program.graph, self.env)
        if not self.refusals:
            try: self.finish(results)
            except Refused as e: self.refusals['output'] = e.what, e.hint
        if self.refusals: raise self.error()
        return self.graph

    def walk(self,
        graph:fx.Graph, # the program, or a part that it calls
        env:dict, # name of a node -> what it stands for
    )->list: # results
        "Read every operation of a graph."
        module, alive = graph.owning_module, set()
        for node in reversed(graph.nodes): # what no result needs is not read
            if node.op == 'output' or node in alive: alive.update(node.all_input_nodes)
        for node in graph.nodes:
            if node.op == 'output': return fx.node.map_arg(node.args[0], lambda n: env[n.name])
            if node.op == 'get_attr': env[node.name] = operator.attrgetter(node.target)(module)
            if node.op != 'call_function' or node not in alive: continue
            self.now, look = node, lambda n: env[n.name]
            args, named = fx.node.map_arg(node.args, look), fx.node.map_arg(node.kwargs, look)
            try: env[node.name] = self.operation(node, args, named)
            except Exception as e:
                if not isinstance(e, TROUBLE): raise
                env[node.name] = self._refuse(node, e, (args, named))

    def _refuse(self, node, e, args):
        "Note an operation that has no integer form; stand-ins for what it would give."
        path, kind = self.stack(node)
        strange = any(isinstance(a, Val) and a.source in self.unknown for a in tree_leaves(args))
        if not isinstance(e, Refused):
            e = Refused(f'{node.target}: {first_line(e)}', 'another form', True)
        if not (strange and e.layout): self.refusals.setdefault(path or node.name, (e.what, e.hint))
        def stand_in(t):
            if not isinstance(t, torch.Tensor): return t
            shape = [d if isinstance(d, int) else self.images for d in t.shape][1:]
            order = (1, 2, 0) if len(shape) == 3 else range(len(shape))
            name = f'?{len(self.unknown)}'
            self.unknown.add(name)
            self.graph.shapes[name] = tuple(shape[a] for a in order)
            return self.whole(name, self.graph.shapes[name], tuple(order))
        return tree_map(stand_in, node.meta.get('val'))

    def error(self)->UnsupportedOp: # to be raised
        "One error for all operations that have no integer form."
        def line(name, what, hint):
            what = ' '.join(what.split())[:160]
            return f'layer {name!r} ({what}) has no integer form; nearest supported: {hint}'
        lines = [line(n, *w) for n, w in self.refusals.items()]
        many = f'{len(lines)} layers of the network have no integer form: ' if len(lines) > 1 else ''
        return UnsupportedOp(many + '; '.join(lines))

    def operation(self,
        node:fx.Node, # to be read
        args:tuple, # what its arguments stand for
        named:dict, # likewise
    )->object: # Val, list of Vals, tensor or number
        "Compute, follow or translate one operation."
        op, leaves = node.target, tree_leaves((args, named))
        if isinstance(op, torch._ops.HigherOrderOperator): return self._part(node, args)
        if not isinstance(op, torch._ops.OpOverload): return self._python(op, args, named)
        if not any(isinstance(a, Val) for a in leaves): return self._constant(node, args, named)
        name = op._schema.name.partition('::')[2]
        words = words_of(op, args, named)
        if name in Reader.HANDLERS: return Reader.HANDLERS[name](self, node, **words)
        if name in MOVES: return self.move(node, args, named)
        if torch.Tag.pointwise in op.tags or name in POINTWISE: return self.pointwise(node, args, named)
        kind = self.stack(node)[1].split('.')[-1] if 'torch.nn.' in self.stack(node)[1] else f'{name}()'
        raise Refused(kind, NEAREST.get(kind, NEAREST.get(name, USUAL)))

    def _python(self, op, args, named):
        "Arithmetic with sizes, and the parts of a result."
        if op is not operator.getitem: args = tree_map(places_of, args)
        return op(*args, **named)

    def _constant(self, node, args, named):
        "What does not depend on the input is computed at once."
        if torch.Tag.nondeterministic_seeded in node.target.tags and not _at_rest(words_of(node.target, args, named)):
            raise Refused(f'{node.target.__name__}: chance', 'the same numbers in each inference')
        if 'device' in named: named = {**named, 'device': torch.device('cpu')}
        out = node.target(*args, **named)
        return tree_map(_single, out)

    def _part(self, node, args):
        "A part of the network under no_grad or autocast, in place."
        at = next((i for i, a in enumerate(args) if isinstance(a, fx.GraphModule)), None)
        name = node.target.__name__
        if at is None or name not in ('wrap_with_set_grad_enabled', 'wrap_with_autocast'):
            raise Refused(f'{name}()', 'one chain of layers')
        graph = args[at].graph
        names = [n.name for n in graph.nodes if n.op == 'placeholder']
        return self.walk(graph, dict(zip(names, args[at + 1:])))

    # ---- moves, done to the places -----------------------------------------------------------------------------------

    def move(self,
        node:fx.Node, # an operation that only moves values
        args:tuple, # its arguments
        named:dict, # likewise
    )->object: # Val or list of Vals
        "Do an operation to the places, and to what is still to be done."
        name = node.target._schema.name.partition('::')[2]
        v = next(a for a in tree_leaves((args, named)) if isinstance(a, Val))
        if name in COPIES: return self.cast(node, v)
        def run(pick):
            a, words = tree_map(lambda t: pick(t) if isinstance(t, Val) else t, (args, named))
            if name in VIEWS: return a[0].reshape(a[1])
            if 'upsample' not in name: return node.target(*a, **words)
            return node.target(a[0].double(), *a[1:], **words).to(a[0].dtype)
        def done(field): return run(lambda t: getattr(t, field) if t is v else t.index)
        out = [done(f) if getattr(v, f) is not None else None for f in ('index', 'w', 'b')]
        if isinstance(out[0], torch.Tensor): return Val(v.source, out[0], v.f, *out[1:], v.origin)
        rows = zip(*(o or [None]*len(out[0]) for o in out))
        return [Val(v.source, i, v.f, w, b, v.origin) for i, w, b in rows]

    def cast(self,
        node:fx.Node, # a copy, or a change of type
        v:Val, # what it reads
    )->Val: # the same
        "A copy, or a change of type, which among floating types is nothing."
        t = node.meta.get('val')
        if isinstance(t, torch.Tensor) and not t.is_floating_point():
            raise Refused(f'a cast to {t.dtype}', 'floating point throughout')
        self.narrow |= isinstance(t, torch.Tensor) and t.dtype in (torch.half, torch.bfloat16)
        return v

    # ---- results -----------------------------------------------------------------------------------------------------

    def finish(self,
        results:object, # what the program gives
    ):
        "Make the outputs."
        labels, self.kept = self._labels(), []
        for k, v in enumerate(tree_leaves(results)):
            label = labels[k] if k < len(labels) else ''
            if isinstance(v, (Val, torch.Tensor)): self.kept.append(isinstance(v, Val))
            if not isinstance(v, Val):
                self.graph.notes.append(f'output {label or k} is the same for all inputs and left out')
                continue
            self.now = self.program.graph.output_node()
            v = self.force(v)
            places = self.inside(v)
            usual = (1, 2, 0) if places.ndim == 3 else tuple(range(places.ndim))
            every = torch.arange(self.size(v.source))
            def free(o): return torch.equal(places.permute(o).flatten(), every)
            order = next((o for o in (usual, natural(places)) if free(o)), usual)
            shape = tuple(places.shape[a] for a in order)
            name = self.fetch(v, order, shape, self.now)
            self.graph.add_output(name, tuple(places.shape), order, label)
        if not self.graph.outputs: raise Refused('nothing that depends on the input', 'a result')

    def _labels(self):
        "What the author calls the outputs, if they come in a dict or several."
        spec = self.program.call_spec.out_spec
        pairs, _ = tree_flatten_with_path(tree_unflatten([*range(spec.num_leaves)], spec))
        def word(k): return str(getattr(k, 'key', getattr(k, 'idx', k)))
        return ['.'.join(map(word, path)) for path, _ in pairs]

    # ---- where values lie --------------------------------------------------------------------------------------------

    def whole(self,
        name:str, # of a value
        sizes:list, # of the author's axes, in the order of memory
        order:tuple, # those axes
    )->Val: # all of it
        "A value as its author sees it."
        index = torch.arange(self.images * math.prod(sizes)).reshape(self.images, *sizes)
        return Val(name, index.permute(0, *(1 + order.index(a) for a in range(len(order)))))

    def inside(self,
        v:Val, # any
    )->torch.Tensor: # int64 [...] places, without the axis of images
        "Where one image's values lie; refused where images mix."
        n, i = self.size(v.source), v.index
        steps = n * torch.arange(len(i) if i.ndim else 1).reshape(-1, *[1]*(i.ndim - 1))
        first = i.ndim and len(i) == self.images and i.numel()
        if first and torch.equal(i, i[:1] + steps) and i[0].max() < n: return i[0]
        raise Refused('a tensor whose first axis is not that of the images',
                      'operators that leave the axis of the images alone, as x.flatten(1) does', True)

    def framed(self,
        v:Val, # with nothing left to do
        keep:int, # axes at the end that belong together
        work:object, # function of a Val [images, rows, ...]: another one, as many rows
    )->Val: # the author's leading axes, then what `work` gave
        "Work on the rows of each image, wherever the author has the axis of images."
        lead, last = v.index.shape[:v.index.ndim - keep], v.index.shape[v.index.ndim - keep:]
        rows = v.index.reshape(-1, *last)
        order = (rows.flatten(1)[:, 0] // self.size(v.source)).argsort(stable=True)
        if len(rows) % self.images: raise Refused('a tensor that mixes images', 'x.flatten(1)', True)
        y = work(Val(v.source, rows[order].reshape(self.images, -1, *last)))
        out = y.index.flatten(0, 1)[order.argsort()]
        return Val(y.source, out.reshape(*lead, *out.shape[1:]))

    def _ordered(self, v):
        "The order of elements that puts image after image; None where the first axis is theirs."
        image = v.index.flatten() // self.size(v.source)
        lies = len(v.index) == self.images and (image[1:] >= image[:-1]).all()
        return None if lies else image.argsort(stable=True)

    def get(self,
        source:str, # a value
        want:torch.Tensor, # places of one image, in the order wanted
        shape:tuple, # of the value wanted
        node:fx.Node, # who asks
    )->str: # name of a value with these bytes
        "A value that holds given places of another in their order."
        shape = tuple(shape)
        if len(want) == self.size(source) and torch.equal(want, torch.arange(len(want))):
            if shape == self.graph.shapes[source]: return source
            found = lambda: self.graph.add_view(self.label(node) + '.view', source, shape)
            return self._once((source, shape), found)
        def make():
            rows = self._channels(source, want)
            if rows is not None: return self._split_rows(source, rows, shape)
            found = loops(want)
            if found: return self.graph.add_copy(self.label(node) + '.copy', source, shape, *found)
            whole = self._pieced(source, grid(want, shape[-1]), node, PIECES)
            return self.get(whole, torch.arange(len(want)), shape, node)
        return self._once((source, shape, want.numpy().tobytes()), make)

    def _once(self, key, make):
        "What was made before under this key, or now."
        if key not in self.cache: self.cache[key] = make()
        return self.cache[key]

    def fetch(self,
        v:Val, # any
        order:tuple, # its axes in the order wanted
        shape:tuple, # of the value wanted
        node:fx.Node, # who asks
    )->str: # name of a value
        "A value that holds a tensor in a given order of its axes."
        v = self.force(v)
        return self.get(v.source, self.inside(v).permute(order).reshape(-1), shape, node)

    def _pieced(self, source, places, node, most):
        "A value (outer, n, inner) that holds places, from as many copies as it takes."
        cut = bends(places)[:1] if most else []
        if not cut:
            what = 'values in an order that no six loops count'
            raise Refused(what, 'a reshape, slice or transpose', True)
        (axis, at), names = cut[0], []
        for p in places.split([at, places.shape[axis] - at], axis):
            shape = math.prod(p.shape[:axis]), p.shape[axis], math.prod(p.shape[axis + 1:])
            found, want = loops(p.flatten()), torch.arange(p.numel())
            if found: x = self.graph.add_copy(self.label(node) + '.copy', source, shape, *found)
            else: x = self.get(self._pieced(source, p, node, most - 1), want, shape, node)
            names.append(x)
        return self.graph.add_concat(self.label(node), *names, 1)

    def _channels(self, source, want):
        "The rows of a layer that alone give these places; None where that is not all there is to it."
        made = self.maker(source)
        splits = made and made.kind in ('linear', 'conv') and made.attrs.get('groups', 1) == 1
        if not splits or source in self.unsplit: return None
        positions = math.prod(made.shape[:-1])
        if len(want) % positions: return None
        rows = columns(want.reshape(positions, -1), self.size(source))
        return rows if rows is not None and len(rows.unique()) == len(rows) else None

    def _split_rows(self, source, rows, shape):
        "The layer again, with some of its rows."
        made = self.maker(source)
        params = {k: p[rows] for k, p in made.params.items()}
        self.split.add(source)
        label = self.graph.labels[source]
        names = {n.rpartition('.')[::2] for n in self.graph.labels.values()}
        part = sum(n == label and k.isdigit() for n, k in names)
        own = (*made.shape[:-1], len(rows))
        name = self.graph.put(made.kind, f'{label}.{part}', made.inputs, own, params, **made.attrs)
        return self.graph.add_view(f'{name}.view', name, shape) if shape != own else name

    # ---- what was left to be done ------------------------------------------------------------------------------------

    def force(self,
        v:Val, # any
    )->Val: # the same numbers, with nothing left to do
        "Make the step that a tensor still waits for."
        if isinstance(v.source, Scores): v = self.resolve(v)
        if not v.pending: return v
        if v.origin: self.forced.add(v.origin)
        order = self._ordered(v)
        one = v if order is None else v.moved(lambda t: t.flatten()[order].reshape(self.images, -1))
        y = self._force_affine(one) if v.f is None else self._force_function(one)
        if order is None: return y
        return y.moved(lambda t: t.flatten()[order.argsort()].reshape(v.index.shape))

    def _own(self, v, node=None, once=False):
        "The same tensor with memory of its own, if it is a part of a value, or (once) repeats it."
        places = self.inside(v)
        seen = places.flatten().bincount(minlength=self.size(v.source))
        if seen.min() and (seen.max() == 1 or not once): return v
        order = natural(places)
        sizes = [places.shape[a] for a in order]
        shape = sizes if len(sizes) <= 3 else (math.prod(sizes[:-1]), sizes[-1])
        name = self.fetch(v.bare(), order, shape, node or self.now)
        new = self.whole(name, sizes, order)
        return Val(name, new.index, v.f, v.w, v.b, v.origin)

    def _force_function(self, v):
        "An activation, as a step."
        how = self._once(('what', v.f), lambda: describe(v.f))
        if how.get('k') == 1 and how.get('b') == 0: return v.bare()
        v = self._own(v)
        name = self.label(self.nodes.get(v.origin, self.now))
        more = {k: how[k] for k in how if k != 'name'}
        def make(): return self.graph.add_act(name, v.source, how['name'], v.f, **more)
        return Val(self._once((v.source, v.f), make), v.index)

    def _force_affine(self, v):
        "w x + b with constants, as the cheapest steps that do it."
        given = [t.double() for t in (v.w, v.b)]
        if not all(torch.equal(t, t[:1].expand_as(t)) for t in given):
            raise Refused('constants that differ from image to image', 'one constant for all')
        if not all(t.isfinite().all() for t in given):
            raise Refused('a mask outside of attention', 'softmax(q k^T + mask) v')
        v = self._own(v)
        places, n = self.inside(v).flatten(), self.size(v.source)
        given = [t[0].flatten() for t in given]
        w, b = (torch.zeros(n, dtype=torch.double).index_copy(0, places, t) for t in given)
        if not all(torch.equal(t[places], g) for t, g in zip((w, b), given)):
            return self._force_affine(self._own(v, once=True)) # the same value times several constants
        key = v.source, w.numpy().tobytes(), b.numpy().tobytes()
        return Val(self._once(key, lambda: self._affine_steps(v, w, b)), v.index)

    def _affine_steps(self, v, w, b):
        "Steps for w x + b, where w and b are given for each place of a value."
        name, x = self.label(self.nodes.get(v.origin, self.now)), v.source
        shape = self.graph.shapes[x]
        def line(k, b):
            return self._force_function(Val(x, v.index, line_formula(k, b), origin=v.origin)).source
        rows = [t.reshape(-1, shape[-1]) for t in (w, b)]
        if one_value(w) and one_value(b): return line(w[0], b[0])
        if all(torch.equal(t, t[:1].expand_as(t)) for t in rows):
            return self.graph.add_scale(name, x, *(t[0].float() for t in rows))
        if one_value(w): x = line(w[0], 0)
        else: x = self._constant_step(self.graph.add_mul, name, x, rows[0])
        return self._constant_step(self.graph.add_add, name, x, rows[1]) if b.any() else x

    def _constant_step(self, add, name, x, rows):
        "A sum or product with constants [positions, channels]."
        if torch.equal(rows, rows[:1].expand_as(rows)): data, b = rows[0], 'row'
        elif torch.equal(rows, rows[:, :1].expand_as(rows)): data, b = rows[:, 0], 'column'
        else: data, b = rows.reshape(self.graph.shapes[x]), ''
        return add(name, x, self.graph.add_const(name + '.constant', data.float()), b=b)

    # ---- value by value ----------------------------------------------------------------------------------------------

    def pointwise(self,
        node:fx.Node, # an operation that works value by value
        args:tuple, # its arguments
        named:dict, # likewise
    )->Val: # not yet computed
        "Leave an operation to be done later, together with others on the same values."
        name = node.target._schema.name.partition('::')[2]
        shape = torch.broadcast_shapes(*(getattr(places_of(a), 'shape', ()) for a in args))
        args = [a.moved(lambda t: t.expand(shape)) if isinstance(a, Val) else a for a in args]
        vals = [a for a in args if isinstance(a, Val)]
        if len(vals) > 1 and not self._alike(vals): return self._combine(node, name, args, named)
        scalar = all(a.numel() == 1 for a in args if isinstance(a, torch.Tensor))
        if name in LINEAR and (not scalar or any(v.w is not None for v in vals)):
            done = self._affine(node, name, args, named)
            if done is not None: return done
        if not scalar: raise Refused(f'{name}() with many constants', 'one number, or + - * /')
        if any(v.w is not None for v in vals): # force, and look again
            return self.pointwise(node, self._all_forced(args), named)
        self.extended.update(v.origin for v in vals if v.pending)
        def plain(a): return (a.f or Formula()) if isinstance(a, Val) else a
        args = [a.item() if isinstance(a, torch.Tensor) else plain(a) for a in args]
        op = f'{name}.{node.target._overloadname}'
        v, f = vals[0], joined(op, args, named)
        return self._later(Val(v.source, v.index, f, origin=node.name))

    def _all_forced(self, args):
        return [self.force(a) if isinstance(a, Val) else a for a in args]

    def _alike(self, vals):
        "Whether tensors are functions of the same values."
        a = vals[0]
        return all(v.source is a.source or v.source == a.source for v in vals) and all(
            torch.equal(v.index, a.index) for v in vals[1:])

    def _later(self, v):
        "Leave it for later, unless an earlier reading has seen that others need it as it is."
        return self.force(v) if v.origin in self.anchors and not isinstance(v.source, Scores) else v

    def _parts(self, v):
        "(w, b) of a tensor that is w x + b with constants; None where it is something else."
        full = lambda k: torch.full((), float(k), dtype=torch.double).expand(v.index.shape)
        if v.w is not None: return v.w, v.b
        if v.f is None: return full(1), full(0)
        how = self._once(('what', v.f), lambda: describe(v.f))
        return (full(how['k']), full(how['b'])) if how['name'] == 'affine' else None

    def _affine(self, node, name, args, named):
        "Sums and products with constants: w x + b stays of this form. None where it does not."
        shape = next(a.index.shape for a in args if isinstance(a, Val))
        wb = [self._parts(a) if isinstance(a, Val) else a for a in args]
        if any(p is None for p in wb): # a function first: make its step
            return self.pointwise(node, self._all_forced(args), named)
        found = self._new_parts(name, args, wb, named)
        if found is None: return None
        v = next(a for a in args if isinstance(a, Val))
        self.extended.update(a.origin for a in args if isinstance(a, Val) and a.pending)
        w, b = (torch.as_tensor(t).expand(shape) for t in found)
        return self._later(Val(v.source, v.index, None, w, b, node.name))

    def _new_parts(self, name, args, wb, named):
        "(w, b) of a sum or product of tensors that are w x + b, and constants, with w = 0; or None."
        num = [p if isinstance(p, tuple) else (0., _double(p)) for p in wb]
        known = [not isinstance(a, Val) for a in args]
        if name == 'neg': return [-t for t in num[0]]
        if name in ('add', 'sub', 'rsub'):
            k = named.get('alpha', 1) * (1 if name == 'add' else -1)
            return [x + k*y for x, y in zip(*(num[:2] if name != 'rsub' else num[1::-1]))]
        if name == 'mul' and any(known):
            i = known.index(True)
            return [t * num[i][1] for t in num[1 - i]]
        if name == 'div' and known[1]: return [t / num[1][1] for t in num[0]]
        if name == 'masked_fill' and known[1]: mask, yes, no = args[1], num[2], num[0]
        elif name == 'where' and known[0]: mask, yes, no = args[0], num[1], num[2]
        else: return None
        return [torch.where(mask.bool(), _double(y), _double(n)) for y, n in zip(yes, no)]

    def _combine(self, node, name, args, named):
        "A sum or product of two different tensors."
        two = len(args) > 1 and all(isinstance(a, Val) for a in args[:2])
        if name not in ('add', 'sub', 'rsub', 'mul', 'div') or not two:
            raise Refused(f'{name}() of two tensors', 'their sum, difference or product')
        a, b = args[:2] if name != 'rsub' else args[1::-1]
        if name == 'div': name, b = 'mul', self._change(node, 'reciprocal.default', b)
        if name == 'mul':
            done = self.hand_norm(node, a, b) or self.hand_norm(node, b, a)
            return done or self._step_of_two(node, 'mul', a, b)
        k = named.get('alpha', 1) * (1 if name == 'add' else -1)
        if abs(k) != 1: k, b = 1, self._change(node, 'mul.Tensor', b, k)
        (a, alpha), (b, beta) = self._sign(a, 1), self._sign(b, k)
        return self._step_of_two(node, 'add', a, b, alpha=alpha, beta=beta)

    def _change(self, node, op, v, *args):
        "One more operation on a tensor, value by value."
        if v.w is not None: v = self.force(v)
        f = joined(op, [v.f or Formula(), *args], {})
        return Val(v.source, v.index, f, origin=node.name)

    def _sign(self, v, k):
        "A tensor without its minus, which goes into the sum."
        how = describe(v.f) if v.f is not None else {}
        return (v.bare(), -k) if (how.get('k'), how.get('b')) == (-1, 0) else (v, k)

    def _full(self, v):
        "Whether a tensor is all of its value, each place once."
        places = self.inside(v).flatten().sort().values
        return torch.equal(places, torch.arange(self.size(v.source)))

    def _step_of_two(self, node, kind, a, b, **signs):
        "An `add` or `mul` step."
        a, b = self._all_forced([a, b])
        order = self._ordered(a)
        if order is not None: # the axis of images is not the first
            flat = [v.moved(lambda t: t.flatten()[order].reshape(self.images, -1)) for v in (a, b)]
            y = self._step_of_two(node, kind, *flat, **signs)
            return y.moved(lambda t: t.flatten()[order.argsort()].reshape(a.index.shape))
        if not self._full(a):
            if self._full(b): a, b, signs = b, a, dict(zip(signs, [*signs.values()][::-1]))
            else: a = self._own(a, node, once=True)
        shape, n = self.graph.shapes[a.source], self.size(a.source)
        want = self.inside(b).flatten()[self.inside(a).flatten().argsort()].reshape(-1, shape[-1])
        how = ''
        if n > shape[-1] > 1: want, how = _smaller(want)
        elif n == shape[-1] > 1 and one_value(want): want, how = want[:, 0], 'column'
        keep = len(want.flatten()) == self.size(b.source)
        own = self.graph.shapes[b.source] if keep else shape if not how else (want.numel(),)
        other = self.get(b.source, want.flatten(), own, node)
        add = self.graph.add_add if kind == 'add' else self.graph.add_mul
        def make(): return add(self.label(node), a.source, other, b=how, **signs)
        return Val(self._once((kind, a.source, other, how, *signs.values()), make), a.index)


reads = registering(Reader.HANDLERS) # with names of torch operations, without overloads
