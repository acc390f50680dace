"""Golden vectors: constants, inputs and output bytes of every operator and of some small models, kept as data.

    .venv/bin/python tests/golden.py            compare the stored bytes with the NumPy operators of today
    .venv/bin/python tests/golden.py --write    add cases for operators that have none; the others stay

NumPy, the C kernels and the emulated core are compared with each other elsewhere. These files notice when all of them
drift together. A change of the stored bytes is a change of the numeric contract: it needs a new CONTRACT_VERSION
in `tinyformer/operators.py`, and with it new files. Arrays are base64 of their little-endian bytes, one case a line."""
import argparse, base64, json, sys
from pathlib import Path

import numpy as np

import sweep
from tinyformer import graph as tg, operators as ops8, random_networks as rn, schedule as sc
from tinyformer.errors import BadInput
from tinyformer.files import write_text
from tinyformer.graph import Graph, Op, Tensor
from tinyformer.random_graphs import Draw
from tinyformer.operators import CONTRACT_VERSION, OPERATORS

FOLDER = Path(__file__).resolve().parent/'golden'
CASES, IMAGES = 8, 2     # of each kind of operator; inputs of each


# ---- arrays, operators and models as JSON

def pack(a):
    raw = np.ascontiguousarray(a, a.dtype.newbyteorder('<')).tobytes()
    return [str(a.dtype), list(a.shape), base64.b64encode(raw).decode()]


def unpack(packed):
    dtype, shape, text = packed
    return np.frombuffer(base64.b64decode(text), np.dtype(dtype).newbyteorder('<')).astype(dtype).reshape(shape)


def op_dict(op):
    params = {k: pack(v) for k, v in op.params.items()}
    return dict(kind=op.kind, name=op.name, inputs=op.inputs, output=op.output, attrs=op.attrs, params=params)


def of_today(op):
    "Whether a stored operator has the attributes that its kind has now."
    return set(op['attrs']) == set(OPERATORS[op['kind']].attrs)


def op_of(d):
    params = {k: unpack(v) for k, v in d['params'].items()}
    return Op(d['kind'], d['name'], d['inputs'], d['output'], tg.modern(d['kind'], d['attrs']), params)


def graph_dict(g):
    tensors = [[t.name, list(t.shape), t.scale, t.zero_point] for t in g.tensors.values()]
    return dict(name=g.name, input=g.input, output=g.output, tensors=tensors, ops=[op_dict(op) for op in g.ops])


def graph_of(d):
    tensors = {n: Tensor(n, tuple(shape), scale, zp) for n, shape, scale, zp in d['tensors']}
    return Graph(tensors, [op_of(o) for o in d['ops']], d['input'], d['output'], d['name'])


# ---- drawing

def edges(op):
    "What makes a case worth keeping: zero points at the ends, a pre-shift, padding, strides, heads, pruned weights."
    a, p = op.attrs, op.params
    found = {f'{k} {a[k]}' for k in ('zp_in', 'zp_out') if a.get(k) in (-128, 127)}
    over = ('shift', 'top', 'bottom', 'left', 'right') if 'mult_b' not in a else ()
    found |= {f'{k} over 0' for k in over if a.get(k, 0) > 0}
    found |= {f'{k} {min(a[k], 3)}' for k in ('sh', 'sw', 'dh', 'dw') if k in a}
    if 'heads' in a:
        found |= {f"heads {a['heads']}", f"causal {a.get('causal')}"}
        found.add(f"keys {np.sign(a['keys'] - a['tokens'])} width {np.sign(a.get('vdim', a['dim']) - a['dim'])}")
    if 'weight' in p: found.add('pruned' if (p['weight'] == 0).mean() > .2 else 'dense')
    return found


def telling(y): return y.size > 3 and len(np.unique(y)) >= min(12, y.size // 2)     # saturated outputs hide much


def draw_cases(kind):
    "Operators of one kind with different edges: the first ones bring one that was not there, if a few draws find any."
    rng, seen, cases = np.random.default_rng([CONTRACT_VERSION, *kind.encode()]), set(), []
    while len(cases) < CASES:
        tries = 0
        while True:
            op, xs, want = sweep.draw(rng, [kind], IMAGES)
            if sum(a.nbytes for a in [*op.params.values(), *xs]) > 1200 or not telling(want): continue
            if edges(op) - seen or (tries := tries + 1) > 20: break
        seen |= edges(op)
        cases.append(dict(op=op_dict(op), inputs=[pack(x) for x in xs], output=pack(want)))
    return cases


def in_bands(g):
    "Whether convolutions of the model run band by band where memory counts most."
    chains = sc.choose_chains(g, sc.choose_kernels(g, rn.BOARD), 'least')
    inner = [g.ops[i - 1:i + 1] for c in chains for i in range(c.first + 1, c.last + 1)]
    return any(op.kind == 'conv3x3' and 'kh' in before.attrs for before, op in inner)


class _Tables(Draw):
    "A model in which look-up tables stand everywhere: first, last, two in a row, inside a chain that runs in bands."
    def lut(self, x):
        t, table = self.tensors[x], self.rng.integers(-128, 128, 256).astype(np.int8)
        return self.put('lut', [x], t.shape, dict(n=t.nbytes), dict(table=table), zp=self.zp())

    def graph(self):
        h, w, c = self.tensors['input'].shape
        x = self.lut(self.conv(self.lut('input'), 3, 1, 24))
        x = self.lut(self.lut(self.linear('pointwise', x, h*w, 24, c, (h, w, c))))
        x = self.depthwise(self.add(x, self.lut(x)), 3, 2)
        x = self.linear('fully_connected', x, 1, self.tensors[x].nbytes, 6, (6,))
        return Graph(self.tensors, self.ops, 'input', self.lut(x), 'tables')


class _Branches(Draw):
    "Two branches: constants, factors for channels and pixels, a difference, a joint, moved and padded values."
    def branches(self):
        (h, w, c), row = self.tensors['input'].shape, dict(outer=32, inner=6)
        def const(*shape):
            n = int(np.prod(shape))
            data = dict(data=self.rng.integers(-128, 128, n).astype(np.int8))
            return self.put('const', [], shape, dict(n=n), data, zp=self.zp())
        def times(x, y, form):
            zps = {k: self.tensors[t].zero_point for k, t in (('zp_a', x), ('zp_b', y))}
            attrs = dict(**row, b=form, **zps, zp_out=self.zp(), mult=2**26, shift=0)
            return self.put('mul', [x, y], (h, w, 6), attrs)
        position, factors = const(6), const(h, w, 1)
        x = self.linear('pointwise', 'input', 32, c, 6, (h, w, 6))
        y = times(times(self.depthwise(x, 3, 1), factors, 2), position, 1)
        sum_ = ops8.add_params(.05, self.tensors[y].zero_point, .02, self.tensors[position].zero_point, .05, 3, -1, 1)
        y = self.put('add_broadcast', [y, position], (h, w, 6), dict(**row, b=1, **sum_), zp=3)
        turned = ops8.copy_attrs([4, 8, 6], [6, 24, -1], 5, h*w*6)
        y = self.put('copy', [y], (h, w, 6), turned)
        y = self.put('concat', [y, y], (h, w, 12), dict(outer=32, a=6, b=6))
        norm = ops8.rmsnorm_params(self.rng.normal(1, .3, 12), self.tensors[y].scale, 1e-5, .03, 12)
        gamma, attrs = norm.pop('gamma'), dict(tokens=32, c=12, zp_in=self.tensors[y].zero_point, zp_out=self.zp())
        y = self.put('rmsnorm', [y], (h, w, 12), attrs | norm, dict(gamma=gamma))
        sides = dict(top=1, bottom=0, left=0, right=2, gap_h=0, gap_w=1)
        y = self.put('pad', [y], (5, 17, 12), dict(h=h, w=w, c=12, **sides, value=7))
        return self.linear('fully_connected', y, 1, 5*17*12, 6, (6,))

    def graph(self): return Graph(self.tensors, self.ops, 'input', self.branches(), 'branches')


class _Pools(Draw):
    "A model of pools over windows: shared rows, rows that are skipped, padding, sizes that follow from the output's."
    def pool(self, kind, x, **window):
        h, w, c = self.tensors[x].shape
        zp = self.tensors[x].zero_point
        shape = ops8.Shape(h=h, w=w, cin=c, window=window, zp_in=zp, zp_out=self.zp())
        a, p = ops8.OPERATORS[kind].draw(self.rng, shape)
        return self.put(kind, [x], (a['oh'], a['ow'], c), a, p, zp=zp)

    def graph(self):
        x = self.pool('maxpool', self.conv('input', 3, 1, 9), sh=2, sw=2, kh=3, kw=2)
        x = self.pool('avgpool2d', self.depthwise(x, 3, 1), sh=1, sw=2, kh=2, top=0, bottom=0)
        x = self.pool('maxpool', self.pool('avgpool2d', x, adaptive=1, oh=4, ow=3), adaptive=1, oh=3, ow=5)
        x = self.linear('fully_connected', x, 1, self.tensors[x].nbytes, 6, (6,))
        return Graph(self.tensors, self.ops, 'input', x, 'pools')


ADDED = dict(tables=lambda: _Tables(CONTRACT_VERSION, (16, 6, 2), 0.).graph(),   # models of operators that came later
             branches=lambda: _Branches(CONTRACT_VERSION, (4, 8, 3), 0.).graph(),
             pools=lambda: _Pools(CONTRACT_VERSION, (11, 9, 4), 0.).graph())


def draw_models():
    "Every operator of a lowered network; convolutions in bands; attention in three steps, and a table."
    graphs = [tg.random_graph(CONTRACT_VERSION, (4, 8, 3), width=6, heads=2, classes=5)]
    nets = (rn.draw(CONTRACT_VERSION, i) for i in range(10**6))
    small = (n.graph for n in nets if 5 <= len(n.graph.ops) <= 9 and telling(tg.run(n.graph, n.inputs))
             and sum(op.params['weight'].size for op in n.graph.ops if 'weight' in op.params) < 6000)
    def in_steps(g): return {'softmax', 'lut'} <= {op.kind for op in g.ops}
    return [*graphs, *(next(filter(wanted, small)) for wanted in (in_bands, in_steps))]


def model_case(g):
    "A model with images and what it makes of them."
    rng = np.random.default_rng([CONTRACT_VERSION, *g.name.encode()])
    x = rng.integers(-128, 128, (IMAGES, *g.tensors[g.input].shape)).astype(np.int8)
    return dict(graph=graph_dict(g), inputs=pack(x), output=pack(tg.run(g, x)))


# ---- files

def path(what, folder=FOLDER): return Path(folder)/f'contract_{CONTRACT_VERSION}_{what}.json'


def text_of(cases): return '[\n' + ',\n'.join(json.dumps(c, separators=(',', ':')) for c in cases) + '\n]\n'


def load(what, folder=FOLDER):
    "The stored cases."
    if not path(what, folder).is_file(): raise BadInput(f'no {path(what, folder).name}: run tests/golden.py --write')
    return json.loads(path(what, folder).read_text())


def operators(folder=FOLDER):
    "(operator, its inputs, output bytes) of every stored case; the inputs each [images, ...]."
    for c in load('operators', folder): yield op_of(c['op']), [unpack(x) for x in c['inputs']], unpack(c['output'])


def models(folder=FOLDER):
    "(model, images, output bytes) of every stored model."
    for c in load('models', folder): yield graph_of(c['graph']), unpack(c['inputs']), unpack(c['output'])


def differences(folder=FOLDER):
    "Names of the cases to which the NumPy operators of today give other bytes."
    def same(got, want): return np.array_equal(np.broadcast_to(got.reshape(len(got), -1), want.shape), want)
    res = [f'{op.kind} {op.attrs}' for op, xs, want in operators(folder) if not same(tg.run_op(op, *xs), want)]
    return res + [f'model {g.name}' for g, x, want in models(folder) if not np.array_equal(tg.run(g, x), want)]


def write(folder=FOLDER):
    "Draw what is not there: a kind without cases, or with cases of fewer attributes only. A stored case never changes."
    stored = load('operators', folder) if path('operators', folder).is_file() else []
    kinds = {c['op']['kind'] for c in stored if of_today(c['op'])}
    for kind in tg.KINDS: stored += [] if kind in kinds else draw_cases(kind)
    write_text(path('operators', folder), text_of(stored))
    stored = load('models', folder) if path('models', folder).is_file() else list(map(model_case, draw_models()))
    names = {c['graph']['name'] for c in stored}
    more = [model_case(make()) for name, make in ADDED.items() if name not in names]
    if more: write_text(path('models', folder), text_of(stored + more))


def main(argv=None):
    p = argparse.ArgumentParser(description='Golden vectors of the numeric contract.')
    p.add_argument('--write', action='store_true', help='add cases for operators that have none')
    p.add_argument('--folder', type=Path, default=FOLDER)
    a = p.parse_args(argv)
    if a.write: write(a.folder)
    wrong = differences(a.folder)
    n_ops, n_models = (len(load(what, a.folder)) for what in ('operators', 'models'))
    print(f'contract {CONTRACT_VERSION}: {n_ops} operators, {n_models} models, {len(wrong)} different')
    if wrong: print('\n'.join(wrong), '\nIf this is meant, raise CONTRACT_VERSION and write new files.', sep='\n')
    return bool(wrong)


if __name__ == '__main__': sys.exit(main())
