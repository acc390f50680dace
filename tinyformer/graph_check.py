"""The check of a graph: names, types, ranges, shapes, sums. A graph may come from a file, and a wrong constant in C is
no exception but a wild write. `check` looks at every field, first at types, then at ranges, then at products of
several fields, and raises `CorruptModel` with the place. It asks the records of `operators` and knows no kind by
name."""
import json, math, re

import numpy as np

from tinyformer.errors import CorruptModel
from tinyformer.operators import OPERATORS

MAX_VALUES = 2**23 # values of one tensor: SRAM is smaller
MAX_BYTES = 2**26  # of all arrays: flash is not larger
TAKEN = 'rest',    # operator names that mean something else: in a profile, what runs between operators
NAME = re.compile(r'[A-Za-z0-9_][A-Za-z0-9_.\-]{0,99}')    # what stands in comments of C ends none of them


# ---- single fields ---------------------------------------------------------------------------------------------------

def need(
    ok,    # whether all is well
    where, # the field, as a person would name it
    what,  # what is wrong with it
):
    "Raise `CorruptModel` with the place, unless all is well."
    if not ok: raise CorruptModel(f'{where}: {what}')


def need_int(v, lo, hi, where):
    "An integer from lo to hi; True is none."
    need(type(v) is int and lo <= v <= hi, where, f'must be an integer from {lo} to {hi}, is {v!r}'[:200])


def need_name(v, where):
    "A name of letters, digits and _ . -"
    ok = isinstance(v, str) and NAME.fullmatch(v)
    need(ok, where, f'must be a name of letters, digits and _ . -, is {v!r}'[:200])


def check_tensor(
    name, # its key in `graph.tensors`
    t,    # `graph.Tensor`
):
    "Name, shape, scale and zero point of one tensor."
    w = f'tensor {name}'
    need_name(t.name, f'{w}.name')
    need(t.name == name, f'{w}.name', f'is {t.name}')
    ok = isinstance(t.shape, tuple) and 1 <= len(t.shape) <= 3
    need(ok, f'{w}.shape', f'must hold 1 to 3 sizes, is {t.shape!r}'[:200])
    for n in t.shape: need_int(n, 1, MAX_VALUES, f'{w}.shape')
    need(t.nbytes <= MAX_VALUES, f'{w}.shape', f'holds {t.nbytes} values, more than {MAX_VALUES}')
    ok = type(t.scale) is float and 0 < t.scale < math.inf
    need(ok, f'{w}.scale', f'must be a positive number, is {t.scale!r}'[:200])
    need_int(t.zero_point, -128, 127, f'{w}.zero_point')


# ---- one operator ----------------------------------------------------------------------------------------------------

def check_words(
    op, # `graph.Op`; its arrays may still be missing
): # bytes of the arrays that go with its attributes
    "Names, lists and attributes of an operator."
    need_name(op.name, 'op name')
    w = f'op {op.name}'
    need(op.name not in TAKEN, f'{w}.name', 'is a word of the profile; give the operator another name')
    known = OPERATORS.get(op.kind) if isinstance(op.kind, str) else None
    need(known, f'{w}.kind', f'unknown: {op.kind!r}; known are {", ".join(OPERATORS)}'[:300])
    ok = type(op.inputs) is list and len(op.inputs) == known.inputs
    need(ok, f'{w}.inputs', f'must be a list of {known.inputs} names, is {op.inputs!r}'[:200])
    for n in (*op.inputs, op.output): need_name(n, f'{w}.inputs or output')
    ok = isinstance(op.attrs, dict) and set(op.attrs) == set(known.attrs)
    need(ok, f'{w}.attrs', f'must be {", ".join(known.attrs)}')
    for k, v in op.attrs.items(): need_int(v, *known.attrs[k], f'{w}.{k}')
    size = 0
    for p in known.params.values(): size += math.prod(p.sizes(op.attrs))*np.dtype(p.dtype).itemsize
    need_bytes(size, w, 'its')
    return size


def check_sizes(
    ops, # of `graph.Op`; their arrays may still be missing
):
    "Words of all operators, and the bytes of their arrays together."
    need_bytes(sum(map(check_words, ops)), 'ops', 'all')


def need_bytes(size, where, whose):
    "No more bytes of arrays than a flash could hold."
    need(size <= MAX_BYTES, where, f'{whose} arrays take {size} bytes, more than {MAX_BYTES}')


def check_arrays(
    op, # `graph.Op` that passed `check_words`
):
    "Every array of the operator's kind is there, alone, of the right type, shape and range."
    known, w = OPERATORS[op.kind], f'op {op.name}'
    ok = isinstance(op.params, dict) and set(op.params) == set(known.params)
    need(ok, f'{w}.params', f'must be {", ".join(known.params) or "none"}')
    for k, array in known.params.items():
        p, shape = op.params[k], array.sizes(op.attrs)
        ok = isinstance(p, np.ndarray) and p.dtype == array.dtype and p.shape == shape
        need(ok, f'{w}.{k}', f'must be {array.dtype} {shape}')
        ok = array.low is None or p.min() >= array.low
        need(ok, f'{w}.{k}', f'holds {p.min()}; the least value allowed is {array.low}')


def _same_codes(w, inputs, out):
    "Codes that are moved mean the same before and after."
    for t in inputs:
        ok = (t.scale, t.zero_point) == (out.scale, out.zero_point)
        need(ok, w, f'moves codes, so {t.name} and {out.name} must have one scale and zero point')


def check_op(
    op,      # `graph.Op` that passed `check_words`
    tensors, # name -> `graph.Tensor`
):
    "An operator agrees with its arrays and tensors, and its accumulator with int32."
    check_arrays(op)
    known, w, a, out = OPERATORS[op.kind], f'op {op.name}', op.attrs, tensors[op.output]
    zps = [tensors[n].zero_point for n in op.inputs]
    for where, what in known.check(a, op.params, zps, out.zero_point):
        raise CorruptModel(f'{w}.{where}: {what}' if where else f'{w}: {what}')
    sizes, n_out = known.sizes(a)
    for name, n in zip(op.inputs, sizes):
        need(tensors[name].nbytes == n, f'{w}.inputs', f'{name} holds {tensors[name].nbytes} values, not {n}')
    need(out.nbytes == n_out, f'{w}.output', f'{op.output} holds {out.nbytes} values, not {n_out}')
    if known.moves: _same_codes(w, [tensors[n] for n in op.inputs], out)
    ends = [('zp_in', zp, 'input') for zp in zps[:1]]
    for key, zp, what in (*ends, ('zp_out', out.zero_point, 'output')):
        need(a.get(key, zp) == zp, f'{w}.{key}', f'is {a.get(key)}, its {what} has {zp}')
    top = known.bound(a, op.params)
    need(top < 2**31, w, f'its accumulator can reach {top}, over int32; lower the range of its weights or bias')


# ---- a graph ---------------------------------------------------------------------------------------------------------

def check_meta(
    meta, # what the file says beside the model
):
    "`meta` is a JSON object; a data set is named by a name."
    need(type(meta) is dict, 'meta', 'must be an object')
    try: same = json.loads(json.dumps(meta, allow_nan=False)) == meta
    except (TypeError, ValueError, RecursionError): same = False
    need(same, 'meta', 'must hold what JSON can: texts, numbers, true, false, null, lists and objects')
    if 'dataset' in meta: need_name(meta['dataset'], 'meta.dataset')


def check_parts(
    parts, # of dicts name, first, shape: the inputs (or outputs) of the network
    what,  # 'inputs' or 'outputs'
    size,  # values of the tensor that holds them
):
    "Several inputs or outputs lie side by side in one tensor, without gaps."
    need(type(parts) is list, f'meta.{what}', 'must be a list')
    first = 0
    for i, p in enumerate(parts):
        w = f'meta.{what}[{i}]'
        need(type(p) is dict and sorted(p) == ['first', 'name', 'shape'], w, 'must have name, first and shape')
        sizes = p['shape']
        ok = type(sizes) is list and all(type(n) is int and n > 0 for n in sizes)
        need(ok and type(p['name']) is str, w, 'must have a text as name and a list as shape')
        need(p['first'] == first, w, f"begins at {p['first']}, {first} values lie before it")
        first += math.prod(sizes)
    need(not parts or first == size, f'meta.{what}', f'have {first} values, the tensor {size}')


def check_end(
    graph, # `graph.Graph` whose tensors passed
    where, # 'input' or 'output'
):
    "The input or output is a tensor, and its parts fill it."
    name, what = getattr(graph, where), f'{where}s'
    need(isinstance(name, str) and name in graph.tensors, where, f'{name!r} is not a tensor'[:200])
    check_parts(graph.meta.get(what, []), what, graph.tensors[name].nbytes)


def check(
    graph, # any `graph.Graph`
): # None when all is well
    "Refuse a graph that no kernel could run: every field, every shape, every accumulator."
    need_name(graph.name, 'name')
    check_meta(graph.meta)
    need(type(graph.tensors) is dict, 'tensors', 'must be a dict')
    for name, t in graph.tensors.items(): check_tensor(name, t)
    for where in ('input', 'output'): check_end(graph, where)
    need(type(graph.ops) is list and graph.ops, 'ops', 'must be a list of at least one operator')
    check_sizes(graph.ops)
    seen, names = {graph.input}, set()
    for op in graph.ops:
        w = f'op {op.name}'
        need(op.name not in names, w, 'the name is used twice')
        for n in op.inputs: need(n in seen, f'{w}.inputs', f'{n!r} is not computed yet')
        ok = op.output in graph.tensors and op.output not in seen
        need(ok, f'{w}.output', f'{op.output!r} is no tensor, or written twice')
        check_op(op, graph.tensors)
        seen.add(op.output); names.add(op.name)
    need(seen == set(graph.tensors), 'tensors', f'never computed: {sorted(set(graph.tensors) - seen)}')
