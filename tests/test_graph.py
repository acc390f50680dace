"The graph as data: its checks, its file, its interpreter."
import copy, io, json, os, pickle, tracemalloc, zipfile
from dataclasses import replace

import numpy as np, pytest

from tinyformer import graph as gr, graph_file as gf, lowering, operators
from tinyformer.lowering import random_model
from tinyformer.errors import BadInput, CorruptModel, RunFolderError
from tinyformer.operators import WINDOW, square_window
from tinyformer.arch import Arch, Downsample, InvertedResidual, Transformer, layers


def small(seed=0): return gr.random_graph(seed, (4, 4, 1), 4, 2, 3)

def same(a, b):
    "Whether two graphs are equal in everything but the order of nothing."
    if gf._pack(a) != gf._pack(b): return False
    return all(np.array_equal(v, q.params[k]) for p, q in zip(a.ops, b.ops) for k, v in p.params.items())

def done(n):
    print(f'{n} cases')
    assert n > 0

def inputs(graph, n=3, seed=0):
    return np.random.default_rng(seed).integers(-128, 128, (n, *graph.tensors[graph.input].shape), dtype=np.int8)


def test_random_graphs_hold_every_kind_of_a_searched_network_and_pass_the_check():
    for seed in range(12):
        graph = gr.random_graph(seed, (8, 4*(seed % 3 + 1), seed % 4 + 1), 4*(seed % 3 + 1), 2)
        gr.check(graph)
        assert {op.kind for op in graph.ops} == {layer.kind for layer in layers(ARCH)} <= set(lowering.LOWER)
        y = gr.run(graph, inputs(graph))
        assert y.shape == (3, 10) and y.dtype == np.int8
    assert same(gr.random_graph(5), gr.random_graph(5)) and not same(gr.random_graph(5), gr.random_graph(6))

def test_the_batch_size_does_not_change_a_byte():
    graph = small()
    x = inputs(graph, 9)
    whole = gr.run(graph, x)
    for size in (1, 2, 9, 100): assert np.array_equal(gr.run(graph, x, batch_size=size), whole)
    kept = gr.run(graph, x, keep=True, batch_size=4)
    assert set(kept) == set(graph.tensors) and np.array_equal(kept[graph.output], whole)
    assert all(kept[n].shape == (9, *t.shape) for n, t in graph.tensors.items())
    assert gr.run(graph, x[:0]).shape == (0, 3)

def test_wrong_inputs_are_refused_with_the_right_ones_named():
    graph = small()
    for x, words in ((np.zeros((1, 4, 4, 1)), 'takes int8, got float64'), (np.zeros((1, 4, 4, 1), np.uint8), 'predict'),
                     (np.zeros((1, 4, 5, 1), np.int8), r'\(n, 4, 4, 1\), got \(1, 4, 5, 1\)'),
                     (np.zeros((4, 4, 1), np.int8), 'batch of shape')):
        with pytest.raises(BadInput, match=words): gr.run(graph, x)
    with pytest.raises(BadInput, match='uint8'): gr.predict(graph, np.zeros((1, 4, 4, 1), np.int8))

def test_predict_is_the_argmax_of_run():
    graph = small()
    x = np.random.default_rng(1).integers(0, 256, (7, 4, 4, 1), dtype=np.uint8)
    assert np.array_equal(gr.predict(graph, x), gr.run(graph, (x.astype(int) - 128).astype(np.int8)).argmax(1))

ARCH = Arch((8, 8, 1), 10, (Downsample(8, 'conv_pool', 4, '1x2', .5), InvertedResidual(8, 3, 1, '1x4', .7),
                            Transformer(12, 3, 20, 1, 16, True, '1x4', .9),
                            Downsample(16, 'ir', 2), Transformer(16, 2, 24, convs=False)), 20)

def test_a_random_model_has_the_names_and_shapes_of_its_architecture():
    graph = random_model(ARCH, seed=1)
    specs = {l.name: l for l in layers(ARCH)}
    assert [op.name for op in graph.ops] == list(specs)
    for op in graph.ops:
        l = specs[op.name]
        assert (op.kind, op.inputs, graph.tensors[op.output].nbytes) == (l.kind, list(l.inputs), l.out_bytes), op.name
        assert gr.prunable(op) == l.prunable and gr.op_macs(op) == l.macs, op.name
    assert same(graph, random_model(ARCH, seed=1))
    for s in (0., .5, .9): assert abs(random_model(ARCH, sparsity=s).weight_sparsity() - s) < .03
    one = {op.name: (op.params['weight'] == 0).mean() for op in random_model(ARCH, sparsity={'head': .8}).ops
           if gr.prunable(op)}
    assert abs(one['head'] - .8) < .05 and all(abs(one[n] - specs[n].sparsity) < .1 for n in one if n != 'head')


# --- the file ---------------------------------------------------------------------------------------------------------
@pytest.fixture()
def saved(tmp_path):
    graph = small()
    path = gr.save(graph, tmp_path / 'model.tfm')
    return graph, path, path.read_bytes()

def test_save_and_load_give_the_same_graph_and_the_same_file(saved, tmp_path):
    graph, path, data = saved
    graph.meta = dict(note='x', accuracy=.5)
    gr.save(graph, path)
    back = gr.load(path)
    assert same(graph, back) and back.meta == graph.meta
    assert np.array_equal(gr.run(back, inputs(graph)), gr.run(graph, inputs(graph)))
    assert gr.save(back, tmp_path / 'again.tfm').read_bytes() == path.read_bytes()
    big = random_model(ARCH)
    assert same(big, gr.load(gr.save(big, tmp_path / 'big.tfm')))

def test_a_pruned_weight_takes_bits_and_what_is_kept(tmp_path):
    cases = 0
    for seed in range(4):
        for sparsity in (0, .5, .9, 1):
            g = gr.random_graph(seed, (6, 6, 8), sparsity=sparsity)
            path = gr.save(g, tmp_path/'g.tfm')
            assert same(g, gr.load(path))
            stored = set(gf._read_arrays(path))
            folded = [o for o in g.ops if 'weight' in o.params and f'{o.name}/weight.bits' in stored]
            assert all((o.params['weight'] == 0).mean() >= .25 and o.params['weight'].shape[-1] >= 8 for o in folded)
            assert folded or sparsity == 0
            cases += 1
    done(cases)

def test_files_of_version_1_are_read(saved, tmp_path):
    "As they were written before: every array stored as it is, not compressed; attributes added since are not there."
    graph, path, _ = saved
    head, kinds = dict(json.loads(gf._read_arrays(path)['graph.json'].tobytes()), version=1), set()
    for op in head['ops']:
        a, new = op['attrs'], gf.BEFORE_3.get(op['kind'], {})
        older = {old: a[n] for n, old in new.items() if isinstance(old, str)}
        for n in new: del a[n]
        a |= older
        if new: kinds.add(op['kind'])
    assert kinds == {'conv3x3', 'depthwise3x3', 'attention'}
    with open(tmp_path/'old.tfm', 'wb') as f:
        np.savez(f, **{'graph.json': np.frombuffer(json.dumps(head).encode(), np.uint8)},
                 **{f'{o.name}/{k}': v for o in graph.ops for k, v in o.params.items()})
    assert same(gr.load(tmp_path/'old.tfm'), graph)
    gr.save(gr.load(tmp_path/'old.tfm'), tmp_path/'new.tfm')
    assert (tmp_path/'new.tfm').read_bytes() == path.read_bytes()

def test_a_new_file_does_not_use_old_words(saved, tmp_path):
    graph, _, _ = saved
    old = copy.deepcopy(graph)
    a = next(op.attrs for op in old.ops if 'sh' in op.attrs)
    for name in WINDOW: del a[name]
    a |= dict(stride=1, pad=1)
    with pytest.raises(CorruptModel, match='attrs: must be'): gr.check(old)

def test_a_file_that_would_fill_the_memory_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(gf, 'MAX_BYTES', 10**6)
    with open(tmp_path/'bomb.tfm', 'wb') as f: np.savez_compressed(f, a=np.zeros(10**6, np.int8))
    assert (tmp_path/'bomb.tfm').stat().st_size < 5000
    monkeypatch.setattr(gf, 'MAX_HEAD', 0)
    with pytest.raises(CorruptModel, match='unpacks to more than'): gr.load(tmp_path/'bomb.tfm')

@pytest.mark.parametrize('change', ['bits', 'kept', 'short', 'both'])
def test_bits_that_do_not_fit_are_refused(tmp_path, change):
    g = gr.random_graph(0, (6, 6, 8), sparsity=.9)
    arrays = gf._read_arrays(gr.save(g, tmp_path/'g.tfm'))
    bits = next(n for n in arrays if n.endswith('.bits'))
    kept = bits[:-4] + 'kept'
    if change == 'bits': arrays[bits] = arrays[bits] ^ np.uint8(128)
    if change == 'kept': arrays[kept] = arrays[kept][:-1]
    if change == 'short': arrays[bits] = arrays[bits][..., :-1]
    if change == 'both': del arrays[kept]
    with open(tmp_path/'bad.tfm', 'wb') as f: np.savez(f, **arrays)
    with pytest.raises(CorruptModel, match='bad.tfm is not a sound model'): gr.load(tmp_path/'bad.tfm')

def test_every_truncation_is_refused(saved, tmp_path):
    _, path, data = saved
    cut = tmp_path / 'cut.tfm'
    cut.write_bytes(data)
    for n in reversed(range(len(data))):
        os.truncate(cut, n)
        with pytest.raises(CorruptModel, match='cut.tfm'): gr.load(cut)
    done(len(data))

def test_a_flipped_byte_is_refused_or_changes_nothing(saved, tmp_path):
    graph, path, data = saved
    rng, refused, bad = np.random.default_rng(0), 0, tmp_path / 'bad.tfm'
    cases = [(int(i), int(b)) for i, b in zip(rng.integers(0, len(data), 600), rng.integers(1, 256, 600))]
    for i, b in cases:
        bad.write_bytes(data[:i] + bytes([data[i] ^ b]) + data[i+1:])
        try: back = gr.load(bad)
        except CorruptModel: refused += 1
        else: assert same(graph, back), f'byte {i}'
    print(f'{refused} refused')
    assert refused > len(cases) / 2
    done(len(cases))

def test_foreign_files_are_refused(tmp_path):
    class Evil:
        def __reduce__(self): return (open, (str(tmp_path / 'pwned'), 'w'))
    p = tmp_path / 'x.tfm'
    with zipfile.ZipFile(p, 'w') as z: z.writestr('hello.txt', 'hi')
    zipped = p.read_bytes()
    buf = io.BytesIO(); np.savez(buf, **{'graph.json': np.array([Evil()], dtype=object)}); objects = buf.getvalue()
    buf = io.BytesIO(); np.savez(buf, a=np.zeros(3)); foreign = buf.getvalue()
    buf = io.BytesIO(); np.savez_compressed(buf, a=np.zeros(3)); packed = buf.getvalue()
    for data in (b'', b'hello', pickle.dumps(Evil()), zipped, objects, foreign, packed):
        p.write_bytes(data)
        with pytest.raises(CorruptModel, match='x.tfm is not a sound model'): gr.load(p)
    assert not (tmp_path / 'pwned').exists()
    with pytest.raises(BadInput, match='no model file'): gr.load(tmp_path / 'absent.tfm')
    with pytest.raises(BadInput, match='no model file'): gr.load(tmp_path)

def test_nothing_half_written_is_left(tmp_path):
    bad = small()
    bad.ops[0].attrs['shift'] = 99
    with pytest.raises(CorruptModel): gr.save(bad, tmp_path / 'a.tfm')
    with pytest.raises(RunFolderError): gr.save(small(), tmp_path)
    assert list(tmp_path.iterdir()) == []


# --- the check: one wrong field at a time -----------------------------------------------------------------------------
def op_of(graph, kind): return next(op for op in graph.ops if op.kind == kind)

WRONG = {
    'op .*kind': lambda g: setattr(g.ops[0], 'kind', 'gelu'),
    'is unsafe|name': lambda g: setattr(g, 'name', 'a */ b'),
    'op name': lambda g: setattr(g.ops[3], 'name', 'a\nb'),
    'used twice': lambda g: setattr(g.ops[3], 'name', g.ops[4].name),
    'not computed yet': lambda g: g.ops.reverse(),
    'never computed': lambda g: g.tensors.update(extra=gr.Tensor('extra', (2,), .1, 0)),
    'scale: must be a positive': lambda g: setattr(g.tensors['input'], 'scale', float('nan')),
    'zero_point: must be an integer': lambda g: setattr(g.tensors['input'], 'zero_point', 128),
    'shape: must': lambda g: setattr(g.tensors['input'], 'shape', (4, 4, True)),
    'zp_in: is': lambda g: g.ops[0].attrs.update(zp_in=3),
    'zp_out: is': lambda g: g.tensors[g.ops[0].output].__setattr__('zero_point', 77),
    'sh: must be an integer': lambda g: g.ops[0].attrs.update(sh=0),
    'attrs: must be': lambda g: g.ops[0].attrs.update(colour=1),
    'right: must be an integer': lambda g: g.ops[0].attrs.update(right=1.0),
    'weight: must be int8': lambda g: g.ops[0].params.update(weight=g.ops[0].params['weight'][:, 1:]),
    'weight: holds -128': lambda g: g.ops[0].params['weight'].__setitem__(0, -128),
    'mult: holds -1': lambda g: g.ops[0].params['mult'].__setitem__(0, -1),
    'bias: must be int32': lambda g: g.ops[0].params.update(bias=g.ops[0].params['bias'].astype(np.int64)),
    'accumulator can reach': lambda g: g.ops[0].params['bias'].__setitem__(0, 2**31 - 1),
    'table: must fall': lambda g: op_of(g, 'attention').params['table'].__setitem__(0, 0),
    'heads divide': lambda g: op_of(g, 'attention').attrs.update(heads=3),
    'causal: must be an integer from 0 to 1': lambda g: op_of(g, 'attention').attrs.update(causal=2),
    'mult_a: must be an integer from -32767 to 32767': lambda g: op_of(g, 'add').attrs.update(mult_a=40000),
    'mult_b: must be an integer from -32767 to 32767': lambda g: op_of(g, 'add').attrs.update(mult_b=-40000),
    'zp_in: must be an integer from -128 to 127': lambda g: g.ops[0].attrs.update(zp_in=128),
    'shift: must be an integer from 1 to 20': lambda g: op_of(g, 'add').attrs.update(shift=0),
    'eps_q: must be': lambda g: op_of(g, 'layernorm').attrs.update(eps_q=-1),
    'holds .* values, not': lambda g: op_of(g, 'avgpool').attrs.update(h=3),
    'output: ': lambda g: setattr(g, 'output', 'nothing'),
    'input: ': lambda g: setattr(g, 'input', 'nothing'),
    'meta': lambda g: setattr(g, 'meta', [])}

@pytest.mark.parametrize('words', WRONG)
def test_one_wrong_field_is_named(words):
    graph = copy.deepcopy(small())
    gr.check(graph)
    WRONG[words](graph)
    with pytest.raises(CorruptModel, match=words): gr.check(graph)

def test_a_wrong_head_is_named(saved, tmp_path):
    graph, path, data = saved
    arrays = gf._read_arrays(path)
    head = json.loads(arrays['graph.json'].tobytes())
    p, n = tmp_path / 'head.tfm', 0
    for change, words in ((dict(format='other'), 'format'), (dict(version=gf.VERSION + 1), 'version'),
                          (dict(ops=3), 'ops'), (dict(extra=1), 'fields'),
                          (dict(tensors=head['tensors'][:1]*2), 'used twice'), (dict(name=3), 'name'),
                          (dict(input=['a']), 'not a sound model')):
        body = dict(arrays, **{'graph.json': np.frombuffer(json.dumps(head | change).encode(), np.uint8)})
        with open(p, 'wb') as f: np.savez(f, **body)
        with pytest.raises(CorruptModel, match=words): gr.load(p)
        n += 1
    with open(p, 'wb') as f: np.savez(f, **arrays)
    assert same(gr.load(p), graph)
    with open(p, 'wb') as f: np.savez(f, stranger=np.zeros(1), **arrays)
    with pytest.raises(CorruptModel, match='unknown.*stranger'): gr.load(p)
    done(n)


# --- what was accepted and crashed later ------------------------------------------------------------------------------
def one_op(kind, attrs, params=None, shapes=((4,), (4,)), zps=(0, 0)):
    "A graph of one operator, its input `x` and its output `y`."
    tensors = {n: gr.Tensor(n, tuple(s), 1., z) for n, s, z in zip('xy', shapes, zps)}
    return gr.Graph(tensors, [gr.Op(kind, 'op', ['x'], 'y', attrs, params or {})], 'x', 'y')

def weights(*shape, rows):
    return dict(weight=np.ones(shape, np.int8), bias=np.zeros(rows, np.int32), mult=np.ones(rows, np.int32))

QUANT = dict(shift=0, zp_in=0, zp_out=0)

def conv(h, w, k, pad=0, **window):
    attrs = dict(h=h, w=w, cin=1, cout=1, kh=k[0], kw=k[1], **square_window(pad=pad), **QUANT) | window
    return one_op('conv3x3', attrs, weights(1, *k, 1, rows=1), ((h, w, 1), (1,)))

def test_no_operator_at_all_is_refused():
    x = gr.Tensor('x', (4,), 1., 0)
    for graph in (gr.Graph({'x': x}, [], 'x', 'x'), gr.Graph({'x': x}, None, 'x', 'x'),
                  gr.Graph({'x': x}, (), 'x', 'x')):
        with pytest.raises(CorruptModel, match='at least one operator'): gr.check(graph)

@pytest.mark.parametrize('inputs', [{'x': 0}, ('x',), 'x', ['x', 'x'], [], [['x']], [3], None])
def test_inputs_are_a_list_of_names(inputs):
    graph = one_op('lut', dict(n=4), dict(table=np.zeros(256, np.int8)))
    gr.check(graph)
    graph.ops[0].inputs = inputs
    with pytest.raises(CorruptModel, match='op op.inputs'): gr.check(graph)

@pytest.mark.parametrize('field,value', [('output', ['y']), ('output', None), ('kind', ['lut']), ('kind', None),
                                         ('name', 7), ('attrs', [4]), ('attrs', None),
                                         ('params', None), ('params', [1])])
def test_a_field_of_another_type_is_named(field, value):
    graph = one_op('lut', dict(n=4), dict(table=np.zeros(256, np.int8)))
    setattr(graph.ops[0], field, value)
    with pytest.raises(CorruptModel, match='op '): gr.check(graph)

def pool(kind='maxpool', zp=0, mult=1, **change):
    a = dict(h=5, w=4, c=2, oh=3, ow=2, kh=3, kw=2, sh=2, sw=2, top=1, left=0, adaptive=0) | change
    if kind == 'avgpool2d': a = dict(count_pad=1, **QUANT) | a
    params = dict(mult=np.ones(mult, np.int32)) if kind == 'avgpool2d' else {}
    graph = one_op(kind, a, params, ((a['h'], a['w'], 2), (a['oh'], a['ow'], 2)))
    graph.tensors['y'].zero_point = zp
    return graph

@pytest.mark.parametrize('graph,words', [
    (pool(top=3), 'top: 3 is not below kh = 3'), (pool(left=2), 'left: 2 is not below kw = 2'),
    (pool(oh=4), 'oh: the last window lies outside the map'), (pool(ow=3), 'ow: the last window lies outside the map'),
    (pool(adaptive=1), 'adaptive: its windows follow from the sizes'), (pool(zp=1), 'one scale and zero point'),
    (pool(adaptive=2), 'adaptive: must be an integer from 0 to 1'), (pool(top=-1), 'top: must be an integer'),
    (pool('avgpool2d', mult=2), r'mult: must be int32 \(1,\)'),
    (pool('avgpool2d', count_pad=0), r'mult: must be int32 \(3,\)'),
    (pool('avgpool2d', kh=1, kw=1, sh=1, sw=1, top=0, adaptive=1), 'count_pad: an adaptive pool has no padding'),
    (pool('avgpool2d', oh=32767, ow=32767, count_pad=0), 'shape: holds')])
def test_a_pool_that_no_kernel_could_run_is_refused(graph, words):
    "The last one asks for a billion windows: their counts are never written down one by one."
    for kind in ('maxpool', 'avgpool2d'): gr.check(pool(kind))
    gr.check(pool('avgpool2d', mult=3, count_pad=0))
    with pytest.raises(CorruptModel, match=words): gr.check(graph)
    graph.tensors['y'].shape = (1,)
    with pytest.raises(CorruptModel): gr.check(graph)

@pytest.mark.parametrize('meta', [[], None, 'x', {1: 'x'}, {'a': (1, 2)}, {'a': {1, 2}}, {'a': np.float32(1)},
                                  {'a': np.zeros(2)}, {'a': float('nan')}, {'a': b'x'},
                                  {'dataset': 3}, {'dataset': '../x'}, {'dataset': '\x1b[2J'}])
def test_meta_is_what_json_can_hold(meta):
    graph = small()
    graph.meta = meta
    with pytest.raises(CorruptModel, match='meta'): gr.check(graph)

def test_a_window_larger_than_its_map_is_refused():
    "Two negative sides make a positive product."
    n = 0
    for h, w, k, pad in ((1, 1, (3, 3), 0), (2, 2, (5, 5), 1), (1, 9, (3, 3), 0), (9, 1, (1, 3), 0), (1, 1, (4, 4), 1)):
        with pytest.raises(CorruptModel, match='is larger than the map'): gr.check(conv(h, w, k, pad))
        n += 1
    for window in (dict(dh=2), dict(dw=2), dict(dh=2, bottom=1), dict(dw=2, left=1)):
        with pytest.raises(CorruptModel, match='is larger than the map'): gr.check(conv(3, 3, (3, 3), **window))
        n += 1
    gr.check(conv(3, 3, (3, 3), dh=2, dw=2, bottom=2, left=1, right=1))
    gr.check(conv(1, 1, (3, 3), 1))
    gr.check(conv(3, 3, (3, 3)))
    with pytest.raises(CorruptModel, match='more than 225 taps'): gr.check(conv(40, 40, (16, 15)))
    done(n)

def test_the_kernels_limits_are_those_of_the_check():
    "A size that C refuses is refused by name."
    def linear(pixels, cin, cout):
        attrs = dict(pixels=pixels, cin=cin, cout=cout, **QUANT)
        return one_op('linear', attrs, weights(cout, cin, rows=cout), ((pixels*cin,), (pixels*cout,)))
    gr.check(linear(32767, 2, 2))
    for sizes, name in (((32768, 1, 1), 'pixels'), ((1, 32768, 1), 'cin'), ((1, 1, 32768), 'cout')):
        with pytest.raises(CorruptModel, match=f'op op.{name}: must be an integer from 1 to 32767'):
            gr.check(linear(*sizes))

def moving(kind, attrs, sizes, out):
    "A graph of one operator that moves codes; its tensors agree until a test says otherwise."
    tensors = {n: gr.Tensor(n, (size,), .5, 3) for n, size in (*zip('xw', sizes), ('y', out))}
    ops = [gr.Op('const', 'w', [], 'w', dict(n=sizes[1]), dict(data=np.zeros(sizes[1], np.int8)))] if sizes[1:] else []
    return gr.Graph(tensors, [*ops, gr.Op(kind, 'op', ['x', 'w'][:len(sizes)], 'y', attrs)], 'x', 'y')

MOVES = {'concat': (dict(outer=2, a=3, b=1), (6, 2), 8), 'maxpool2x2': (dict(h=2, w=2, c=3), (12,), 3),
         'maxpool': (dict(h=2, w=2, c=3, oh=1, ow=1, kh=2, kw=2, sh=1, sw=1, top=0, left=0, adaptive=0), (12,), 3),
         'pad': (dict(h=1, w=2, c=3, top=1, bottom=0, left=0, right=0, gap_h=0, gap_w=0, value=0), (6,), 12),
         'copy': (operators.copy_attrs([2, 3], [3, -1], 2, 6), (6,), 6)}

def test_what_moves_codes_keeps_their_meaning():
    n = 0
    assert set(MOVES) == {kind for kind, op in operators.OPERATORS.items() if op.moves}
    for kind, case in MOVES.items():
        gr.check(moving(kind, *case))
        for name in set('xwy') & set(moving(kind, *case).tensors):
            for field, value in (('scale', .25), ('zero_point', 4)):
                graph = moving(kind, *case)
                setattr(graph.tensors[name], field, value)
                with pytest.raises(CorruptModel, match='op op: moves codes'): gr.check(graph)
                n += 1
    done(n)

def test_a_pool_of_two_by_two_needs_even_sizes():
    for h, w, c in ((3, 2, 4), (2, 3, 4)):
        with pytest.raises(CorruptModel, match='needs even sizes'):
            gr.check(moving('maxpool2x2', dict(h=h, w=w, c=c), (h*w*c,), h*w*c // 4))

@pytest.mark.parametrize('sizes,strides,base', [([2, 3], [3, 1], 1), ([7], [1], 0), ([2], [-1], 0), ([2], [6], 0)])
def test_a_copy_from_outside_its_input_is_refused(sizes, strides, base):
    attrs = operators.copy_attrs(sizes, strides, base, 6)
    with pytest.raises(CorruptModel, match='reads places .* of an input of 6 values'):
        gr.check(moving('copy', attrs, (6,), int(np.prod(sizes))))

def test_a_product_knows_its_zero_points():
    tensors = {n: gr.Tensor(n, (4,), .5, zp) for n, zp in (('x', 3), ('y', 0))}
    attrs = dict(outer=2, inner=2, b=0, zp_a=3, zp_b=3, zp_out=0, mult=1, shift=0)
    graph = gr.Graph(tensors, [gr.Op('mul', 'op', ['x', 'x'], 'y', attrs)], 'x', 'y')
    gr.check(graph)
    for name in ('zp_a', 'zp_b', 'zp_out'):
        wrong = replace(graph, ops=[replace(graph.ops[0], attrs=attrs | {name: 7})])
        with pytest.raises(CorruptModel, match=f'{name}: is 7, its .* has [03]'): gr.check(wrong)

def test_values_that_no_memory_holds_are_refused():
    "Each size is legal, their product has 31 bits and more."
    for shape in ((32767, 32767, 3), (2**23, 2), (2**12, 2**12)):
        with pytest.raises(CorruptModel, match='x.shape: holds .* values, more than'):
            gr.check(one_op('maxpool2x2', dict(h=2, w=2, c=1), shapes=(shape, (1,))))

def test_the_word_of_the_profile_is_no_name():
    graph = small()
    graph.ops[2].name = 'rest'
    with pytest.raises(CorruptModel, match='op rest.name: is a word of the profile'): gr.check(graph)

@pytest.mark.filterwarnings('ignore:Duplicate name')
def test_an_array_that_is_there_twice_is_refused(saved, tmp_path):
    _, path, _ = saved
    twice = tmp_path/'twice.tfm'
    with zipfile.ZipFile(path) as z, zipfile.ZipFile(twice, 'w') as out:
        for name in [*z.namelist(), z.namelist()[-1]]: out.writestr(zipfile.ZipInfo(name), z.read(name))
    with pytest.raises(CorruptModel, match='there twice'): gr.load(twice)


# --- small files that ask for much ------------------------------------------------------------------------------------
def file_of(path, attrs, arrays, name='l', kind='linear', tensors=()):
    "A file whose head says what it likes."
    ops = [dict(kind=kind, name=name, inputs=['x'], output='y', attrs=attrs, params=['weight', 'bias', 'mult'])]
    tensors = [dict(name=n, shape=list(s), scale=1., zero_point=0) for n, s in tensors]
    head = dict(format=gf.FORMAT, version=gf.VERSION, name='m', input='x', output='y', meta={}, tensors=tensors,
                ops=ops)
    with open(path, 'wb') as f:
        np.savez_compressed(f, **{'graph.json': np.frombuffer(json.dumps(head).encode(), np.uint8)}, **arrays)
    return path

def test_a_folded_array_is_not_unfolded_before_its_size_is_known(tmp_path):
    "One bit of the file stands for a byte of weights, and for sixteen of sums."
    cin, cout = 8192, 9000
    path = file_of(tmp_path/'wide.tfm', dict(pixels=1, cin=cin, cout=cout, **QUANT),
                   {'l/weight.bits': np.zeros((cout, cin//8), np.uint8), 'l/weight.kept': np.zeros(0, np.int8),
                    'l/bias': np.zeros(cout, np.int32),
                    'l/mult': np.zeros(cout, np.int32)}, tensors=(('x', (cin,)), ('y', (cout,))))
    assert path.stat().st_size < 20_000
    tracemalloc.start()
    with pytest.raises(CorruptModel, match='arrays take .* bytes, more than'): gr.load(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    print(f'{peak:,} bytes at most')
    assert peak < 64e6

def test_bits_of_another_shape_are_not_unfolded(tmp_path):
    path = file_of(tmp_path/'long.tfm', dict(pixels=1, cin=8, cout=2, **QUANT),
                   {'l/weight.bits': np.zeros((2**24, 1), np.uint8), 'l/weight.kept': np.zeros(0, np.int8),
                    'l/bias': np.zeros(2, np.int32),
                    'l/mult': np.zeros(2, np.int32)}, tensors=(('x', (8,)), ('y', (2,))))
    tracemalloc.start()
    with pytest.raises(CorruptModel, match='must be bits and the int8 weights'): gr.load(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 80e6

def test_a_head_of_any_length_is_not_read(saved, tmp_path, monkeypatch):
    _, path, _ = saved
    monkeypatch.setattr(gf, 'MAX_HEAD', 100)
    with pytest.raises(CorruptModel, match='graph.json: is longer than 100 bytes'): gr.load(path)

def test_work_is_done_in_parts_and_no_byte_depends_on_it(monkeypatch):
    "Images, rows of patches and heads: as many at a time as the memory allows."
    graph = gr.random_graph(2)
    x, sizes, real = inputs(graph, 9), [], gr._run
    want = gr.run(graph, x)
    monkeypatch.setattr(gr, '_run', lambda g, part: sizes.append(len(part)) or real(g, part))
    monkeypatch.setattr(gr, 'AT_ONCE', 4*max(t.nbytes for t in graph.tensors.values()))
    for module in ('windows', 'softmax'): monkeypatch.setattr(f'tinyformer.{module}.AT_ONCE', 500)
    assert np.array_equal(gr.run(graph, x), want) and sizes == [4, 4, 1]


def test_the_accumulator_bound_is_never_passed():
    n = 0
    for seed in range(6):
        graph = gr.random_graph(seed)
        for op in graph.ops:
            if 'weight' not in op.params or op.kind == 'depthwise3x3': continue
            w = op.params['weight'].reshape(len(op.params['weight']), -1).astype(int)
            ends = np.where(w > 0, 127, -128)
            for x in (ends, -1 - ends):
                acc = (op.params['bias'] + (w * x).sum(1)) << op.attrs['shift']
                assert np.abs(acc).max() <= gr.acc_bound(op)
                n += 1
    done(n)
