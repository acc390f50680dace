"""Costs of many random paths at once: equal, number for number, to `cost` of each.

A choice of the space becomes a column of numbers. At each place of the path, the rows whose block has the same operators
(the same map, convolutions or none, the same number of encoder layers) share one list of layers, the one that
`Block.layers` gives, with a column wherever a width is. A kind of layer is then costed once for each different row of its
columns. Blocks that the engine may run band by band across their border stay together until the chain is cut, and the
arena is the largest peak of all runs (`arena`).
"""
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from math import prod
from types import SimpleNamespace

import numpy as np

from .arena import find_runs, run_peak, window
from .errors import BadInput
from .rle_encoding import BLOCKS
from .arch import KINDS, Arch, LayerSpec, _adds, _Head
from .cost_model import ALIGN, _layer_cost
from .kernels import load_cost_table
from .search_space import SearchSpace

_BLOCKS = tuple(BLOCKS)


@dataclass(frozen=True)
class Costs:
    "Random paths of a space and what each costs, one number per path."
    space:SearchSpace          # where they come from
    picks:dict                 # name of a choice → index of the value picked, [n]
    params:np.ndarray          # trainable parameters of the float network
    macs:np.ndarray            # multiply-accumulates, dense
    storage_bytes:np.ndarray   # flash: expected weights, per-channel constants, kernel code
    peak_bytes:np.ndarray      # the engine's arena
    instructions:np.ndarray    # executed per inference
    io_bytes:int               # the caller's buffers for the image and the scores, the same for all

    def __len__(self): return len(self.params)

    def arch(self,
        i:int, # row
    )->Arch: # its path
        "The path of a row."
        return self.space.walk(lambda name, values: values[self.picks[name][i]])


def sample_costs(
    space:SearchSpace,       # what to draw from
    n:int,                   # paths, at least 1
    rng:np.random.Generator|int, # generator, or a seed
    table=None,              # cost table; None = the one shipped with the package
)->Costs: # `n` rows
    "Draw every choice uniformly and independently, as `space.sample` does, and cost the paths."
    if type(n) is not int or n < 1: raise BadInput(f'sample_costs got n = {n!r}: give a number of paths, 1 or more.')
    rng = np.random.default_rng(rng)
    return path_costs(space, {name: rng.integers(len(values), size=n) for name, values in space.choices.items()}, table)


def path_costs(
    space:SearchSpace, # whose choices they are
    picks:dict,        # name of a choice → index of the value picked, [n]; names as in `space.choices`
    table=None,        # cost table; None = the one shipped with the package
)->Costs:
    "Costs of the paths with these picks."
    walk = _Walk(space, picks, load_cost_table() if table is None else table)
    for i, p in enumerate(space.positions):
        for r in range(max(p.repeat)):
            values = {name: _column(name, vs, picks[f'{i}.{r}.{name}']) for name, vs in p.choices}
            walk.place(KINDS[p.kind], np.flatnonzero(np.array(p.repeat)[picks[f'{i}.repeat']] > r), values)
    head = {name.removeprefix('head_'): _column(name, getattr(space, name), picks[name]) for name in ('head', 'head_block', 'head_sparsity')}
    walk.place(_Head, np.arange(walk.n), dict(cout=head['head'], classes=space.classes, block=head['block'], sparsity=head['sparsity']), last=True)
    t = walk.totals
    return Costs(space, picks, t['params'], t['macs'], t['flash'] + walk.table['code_bytes'], np.maximum(walk.peak, ALIGN), t['instructions'],
                 prod(space.input) + space.classes)


def _column(name, values, pick):
    "Values of a choice for every path; one value that is no number stays as it is."
    if name.endswith('block'): return np.array([_BLOCKS.index(v) for v in values])[pick]
    if values[0] is None or isinstance(values[0], str): return values[0]
    return np.array(values)[pick]


def _raw(cls, values):
    "A block with columns in place of numbers; its own checks are for numbers."
    b = object.__new__(cls)
    b.__dict__.update(values)
    return b


def _take(v, at): return v[at] if isinstance(v, np.ndarray) else v


def _codes(*columns):
    "A number for each different combination: (one row of each, the number of each row)."
    key = np.zeros(len(columns[0]), np.uint64)
    for k, c in enumerate(columns):
        key = (key ^ np.ascontiguousarray(c).view(np.uint64))*np.uint64(0x9E3779B97F4A7C15 + 2*k)
        key ^= key >> np.uint64(29)
    _, first, code = np.unique(key, return_index=True, return_inverse=True)
    for c in columns: assert np.array_equal(c[first][code], c)       # no two combinations share a key
    return first, code


class _Walk:
    "Where all paths have got to."
    def __init__(self, space, picks, table):
        self.n, self.table = len(next(iter(picks.values()))), table
        self.h, self.w, self.c = (np.full(self.n, v, np.int64) for v in space.input)
        self.totals = {k: np.zeros(self.n, np.int64) for k in ('params', 'macs', 'flash', 'instructions')}
        self.peak = np.zeros(self.n, np.int64)
        self.open, self.of = [], np.full(self.n, -1)     # segments that may go on, and which one each path is in

    def place(self, cls, rows, values, last=False):
        "Put a block at the end of the paths `rows`; `values`: its fields, as columns over all paths."
        if not len(rows): return
        default = {f.name: f.default for f in fields(cls)}
        v = default | {k: _take(x, rows) for k, x in values.items()}
        cin, new, closing = self.c[rows], [], {}
        if cls is KINDS['transformer']: v['dim'] = np.where(v['convs'], v.get('dim', cin), cin)
        v['cout'] = cin if v['cout'] is None else v['cout']
        widths = [cin, v['cout'], v.get('dim', cin), v.get('ffn', cin), cin*v.get('expand', 1)]
        split_by = [self.h[rows], self.w[rows], *(np.broadcast_to(v.get(k, 0), cin.shape).astype(np.int64) for k in ('convs', 'depth', 'heads')),
                    (v['cout'] == cin).astype(np.int64), (v['cout'] > 0).astype(np.int64), sum((np.asarray(w) >= 4).astype(np.int64) << k for k, w in enumerate(widths))]
        first, code = _codes(*split_by)
        for g, f in enumerate(first):
            at = np.flatnonzero(code == g)
            b = {k: _take(x, at) for k, x in v.items()} | {k: _take(v[k], f).item() for k in ('convs', 'depth', 'heads', 'stride') if isinstance(v.get(k), np.ndarray)}
            for part in self.costed(_raw(cls, b), rows[at], int(self.h[rows[f]]), int(self.w[rows[f]])): self.extend(part, new, closing)
        for k, parts in closing.items(): self.close(self.open[k], np.sort(np.concatenate(parts)), False)
        self.go_on(_merged(new), last)

    def costed(self, b, rows, h, w):
        "Layers of a block with their costs added to the totals; one part for each set of formats of its 3x3 convolutions."
        specs = b.layers('b', ('x', h, w, self.c[rows]))
        measured = [_measure(l, len(rows), self.table) for l in specs]
        for name, column in (('params', [l.params for l in specs]), ('macs', [l.macs for l in specs]),
                             ('flash', [m[0] for m in measured]), ('instructions', [m[1] for m in measured])):
            self.totals[name][rows] += sum(column)
        out = [np.broadcast_to(l.out_bytes, len(rows)) for l in specs]
        convs = sum((m[3].astype(np.int64) << k for k, (l, m) in enumerate(zip(specs, measured)) if l.kind == 'conv3x3'), np.zeros(len(rows), np.int64))
        size = h*w*self.c[rows]
        self.h[rows], self.w[rows], self.c[rows] = specs[-1].h, specs[-1].w, specs[-1].cout
        for code in np.unique(convs):
            at = np.flatnonzero(convs == code)
            formats = tuple('rle' if code >> k & 1 else 'dense' for k in range(len(specs)))
            shape = tuple((l.kind, l.h, l.w, l.stride) for l in specs)
            yield SimpleNamespace(rows=rows[at], specs=specs, formats=formats, hw=(h, w), key=(shape, tuple(l.inputs for l in specs), formats, (h, w)),
                                  x=size[at], out=[o[at] for o in out], scratch=[m[2][at] for m in measured])

    def extend(self, part, new, closing):
        "Join a block to the open segments where a chain may cross, and start segments elsewhere."
        specs, alone = part.specs, []
        can = sum('x' in l.inputs for l in specs) == 1 and window(specs[0], part.formats[0]) is not None
        had = self.of[part.rows]
        for k in np.unique(had):
            at = np.flatnonzero(had == k)
            if k >= 0 and can and window(self.open[k].specs[-1], self.open[k].formats[-1]) is not None: new.append(_joined(self.open[k], _cut(part, at)))
            else:
                if k >= 0: closing.setdefault(k, []).append(part.rows[at])
                alone.append((k < 0, at))
        for first in {f for f, _ in alone}: new.append(_started(_cut(part, np.sort(np.concatenate([at for f, at in alone if f == first]))), first))

    def go_on(self, fresh, last):
        "Note which segment each path is in; forget segments that all have left. The end of the network closes all."
        self.of = np.where(self.of < 0, -1, self.of + len(fresh))
        for k, s in enumerate(fresh): self.of[s.rows] = k
        keep = np.unique(self.of[self.of >= 0])
        self.of = np.where(self.of < 0, -1, np.searchsorted(keep, self.of))
        self.open = [(fresh + self.open)[k] for k in keep]
        if last:
            for s in self.open: self.close(s, s.rows, True)

    def close(self, s, rows, last):
        "Take the peaks of a segment's runs for some of its paths."
        s = _cut(s, np.searchsorted(s.rows, rows))
        size = {'x': s.x} | {l.name: o for l, o in zip(s.specs, s.out)} | ({s.specs[-1].name: np.zeros(len(rows), np.int64)} if last else {})
        for a, b, run, outside in find_runs(s.specs, s.formats, ('x', *s.hw), s.first, last):
            columns = [size[n] for n in outside] + [size[l.name] for l in s.specs[a:b]] + s.scratch[a:b]
            first, code = _codes(*columns) if b - a > 1 else (np.arange(len(rows)),)*2
            e, t = len(outside), b - a
            table = np.stack([c[first] for c in columns], 1)
            peak = run_peak(run, table[:, :e], table[:, e:e + t], table[:, e + t:])
            self.peak[rows] = np.maximum(self.peak[rows], peak[code])


def _cut(s, at): return SimpleNamespace(**vars(s) | dict(rows=s.rows[at], x=s.x[at], out=[o[at] for o in s.out], scratch=[o[at] for o in s.scratch]))


def _started(part, first):
    "A segment of one block."
    specs = [replace(l, name=f'0.{l.name}', inputs=tuple(n if n == 'x' else f'0.{n}' for n in l.inputs)) for l in part.specs]
    return SimpleNamespace(**vars(part) | dict(specs=specs, first=first, blocks=1, key=(first, part.key)))


def _joined(s, part):
    "A segment with a block behind it."
    k, x, s = s.blocks, s.specs[-1].name, _cut(s, np.searchsorted(s.rows, part.rows))
    specs = [replace(l, name=f'{k}.{l.name}', inputs=tuple(x if n == 'x' else f'{k}.{n}' for n in l.inputs)) for l in part.specs]
    return SimpleNamespace(rows=part.rows, specs=s.specs + specs, formats=s.formats + part.formats, hw=s.hw, key=(s.key, part.key), x=s.x,
                           out=s.out + part.out, scratch=s.scratch + part.scratch, first=s.first, blocks=k + 1)


def _merged(segments):
    "Segments of the same operators as one."
    groups = {}
    for s in segments: groups.setdefault(s.key, []).append(s)
    out = []
    for group in groups.values():
        rows = np.concatenate([s.rows for s in group])
        order = np.argsort(rows)
        both = lambda columns: np.concatenate(columns)[order]
        out.append(SimpleNamespace(**vars(group[0]) | dict(rows=rows[order], x=both([s.x for s in group]), out=[both(c) for c in zip(*(s.out for s in group))],
                                                           scratch=[both(c) for c in zip(*(s.scratch for s in group))])))
    return out


def _measure(l, n, table):
    "(flash bytes, instructions, scratch bytes, whether stored as a stream) of a layer with columns, each [n]."
    fixed = tuple(getattr(l, k) for k in ('kind', 'h', 'w', 'taps', 'stride', 'heads'))
    columns = [np.broadcast_to(getattr(l, k), n) if k != 'block' or isinstance(l.block, np.ndarray) else np.full(n, _BLOCKS.index(l.block))
               for k in ('cin', 'cout', 'block', 'sparsity', 'in_bytes')]
    first, code = _codes(*(c for c, k in zip(columns, (l.cin, l.cout, l.block, l.sparsity)) if isinstance(k, np.ndarray))) if isinstance(l.cin, np.ndarray) \
        or isinstance(l.cout, np.ndarray) else (np.array([0]), np.zeros(n, int))
    rows = [_numbers(table, *fixed, *values) for values in zip(*(c[first].tolist() for c in columns))]
    return [np.array(c)[code] for c in zip(*rows)]


@lru_cache(maxsize=None)
def _numbers(table, kind, h, w, taps, stride, heads, cin, cout, block, sparsity, in_bytes):
    return _layer_cost(LayerSpec('', kind, h, w, cin, cout, (), in_bytes, taps, stride, heads, _BLOCKS[block], sparsity), table)
