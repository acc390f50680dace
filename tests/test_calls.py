"""Calls of kernels from Python: the parts of a call, output over input, some rows only, and what a person may type."""
import ctypes

import numpy as np
import pytest

from tinyformer import bench, call_text, ccalls, cost_tables, kernels as tk
from tinyformer.errors import BadInput
from tinyformer.graph import op_sizes, out_hw, random_graph, run
from tinyformer.hardware import target
from tinyformer.overrides import override, parse_overrides

M7 = target('stm32f746')


def test_structures_have_the_sizes_of_c():
    assert ctypes.sizeof(ccalls.struct_type('tfm_conv_dims')) == 14 * 4
    assert [name for name, _ in ccalls.TYPES['tfm_rle']._fields_] == ['stream', 'bytes', 'block', 'empty']


def test_scratch_is_two_arguments():
    op = bench.make_op('linear', tokens=1, cin=8, cout=1)
    x, k = np.zeros(8, np.int8), tk.kernel('tfm_linear_s8_rle_ref')
    values = ccalls.host_args(tk.arguments(k, op, 2), ccalls.guarded(1), [x], ccalls.guarded(0), [])
    assert len(values) == len(k.args) + 1 and values[-1].value == 0


def test_a_buffer_shows_a_write_on_either_side():
    for at in (tk.GUARD - 1, tk.GUARD + 3):
        buf = tk.guarded(3)
        assert tk.guards_hold(buf)
        buf[at] = 0
        assert not tk.guards_hold(buf)


# ---- output over input

def call_over(k, op, slot, *xs):
    "`call`, with the output at the address of input number `slot`."
    buf, scratch = tk.guarded(xs[slot].size), tk.guarded(tk.scratch_bytes(k, op))
    here = buf[tk.GUARD:-tk.GUARD].view(np.int8)
    here[:] = xs[slot]
    xs = [here if i == slot else x for i, x in enumerate(xs)]
    assert getattr(tk.host(), k.name)(*ccalls.host_args(tk.arguments(k, op), buf, xs, scratch, [])) == 0
    assert tk.guards_hold(buf) and tk.guards_hold(scratch)
    return here


def in_place_calls(graph, x):
    "Every kernel with every input that its output may be written over: (kernel, operator, position, inputs, bytes)."
    live = run(graph, x, keep=True)
    for op in graph.ops:
        for k in tk.CATALOGUE:
            if op.kind not in k.kinds or op_sizes(op)[0] != op_sizes(op)[1]: continue
            for slot in tk.may_overwrite(k, op):
                yield k, op, slot, [live[i][0].ravel() for i in op.inputs], live[op.output][0].ravel()


def test_an_output_over_its_input_is_the_same():
    graph = random_graph(1)
    x = np.random.default_rng(1).integers(-128, 128, (1, *graph.tensors['input'].shape)).astype(np.int8)
    cases = list(in_place_calls(graph, x))
    for k, op, slot, xs, want in cases: assert np.array_equal(call_over(k, op, slot, *xs), want), (k, op.name, slot)
    assert len(cases) > 8 and 'attention' in {op.kind for _, op, *_ in cases}
    assert all(slot == 0 for _, op, slot, *_ in cases if op.kind == 'attention')
    print(len(cases), 'calls in place agree')


# ---- some rows only

def one_band(k, op, held, y, end):
    "Rows y to end - 1 of the output, from a ring of input rows."
    rows = [('first', 'int32', y), ('end', 'int32', end), ('ring', 'int32', len(held))]
    args = [(what, n, rows if n == 'tfm_band' else v) for what, n, v in tk.arguments(k, op, tk.default_block(k))]
    out = tk.guarded((end - y) * op_sizes(op)[1] // out_hw(op.attrs)[0])
    scratch = tk.guarded(tk.scratch_bytes(k, op))
    assert getattr(tk.host(), k.name)(*ccalls.host_args(args, out, [held], scratch, [])) == 0
    assert tk.guards_hold(out) and tk.guards_hold(scratch)
    return out[tk.GUARD:-tk.GUARD].view(np.int8)


def in_bands(k, op, x, band, ring):
    "The whole output, `band` rows at a time, from a ring that holds only rows still needed."
    a, got, made, x = op.attrs, [], 0, x.reshape(op.attrs['h'], -1)
    held = np.zeros((ring, x.shape[1]), np.int8)
    for y in range(0, out_hw(a)[0], band):
        end = min(y + band, out_hw(a)[0])
        while made < min((end - 1)*a['sh'] - a['top'] + a['kh'], a['h']):
            held[made % ring] = x[made]
            made += 1
        got.append(one_band(k, op, held, y, end))
    return np.concatenate(got)


@pytest.mark.parametrize('stride, band, ring', [(1, 1, 3), (1, 2, 4), (1, 5, 7), (2, 1, 3), (2, 3, 7)])
@pytest.mark.parametrize('kind, cin, name', [
    ('depthwise3x3', 7, 'tfm_depthwise_s8_dsp'), ('conv3x3', 3, 'tfm_conv_s8_dsp'),
    ('conv3x3', 8, 'tfm_conv_s8_dsp'), ('conv3x3', 8, 'tfm_conv_s8_rle_dsp')])
def test_bands_from_a_ring_make_the_whole(kind, cin, name, stride, band, ring):
    op = bench.make_op(kind, h=11, w=6, cin=cin, stride=stride, seed=band)
    x = bench.random_inputs(op, np.random.default_rng(ring))[0]
    assert np.array_equal(in_bands(tk.by_rows(tk.kernel(name), op), op, x, band, ring), bench.expected(op, [x]))


# ---- tables of costs

def test_a_table_is_itself_only():
    toy = cost_tables.CostTable(code_bytes=6000)
    assert toy == toy and toy != cost_tables.CostTable(toy) and toy.note == ''     # even if their numbers agree
    assert len({toy: 1, cost_tables.CostTable(toy): 2}) == 2


def test_a_core_without_a_table_borrows_instructions_and_no_cycles():
    m7, m4 = tk.cost_table('cortex-m7'), tk.cost_table('cortex-m4')
    assert m7 is tk.load_cost_table() and tk.load_cost_table() is m7 and not m7.note
    assert m4 is tk.cost_table('cortex-m4') and 'measured on a cortex-m4' in m4.note
    assert ['cycles' in t['kernels']['tfm_add_s8_ref'] for t in (m7, m4)] == [True, False]
    assert 'of a riscv32' in tk.cost_table('wasm32').note
    with pytest.raises(BadInput, match='cannot read the cost table none.json'): tk.load_cost_table('none.json')


# ---- C text

def test_numbers_that_c_cannot_write_as_they_are():
    assert [call_text.c_int(v) for v in (-5, 2**40, -2**31, 2**31)] == ['-5', '1099511627776LL', '(-2147483647 - 1)',
                                                                       '2147483648LL']


def test_a_call_as_c_text():
    layer = bench.make_op('pointwise', h=8, w=8, cin=18, cout=24, sparsity=.8)
    classifier = bench.make_op('fully_connected', cin=64, cout=10)
    best, dense = tk.choose(layer, M7), tk.choose(classifier, M7)
    blob = tk.weights_blob(layer, best)
    assert set(blob) == {'stream', 'bias', 'mult'} and blob['stream'].nbytes == best.weight_bytes
    assert set(tk.weights_blob(classifier, dense)) == {'weight', 'bias', 'mult'}
    names = {r: f'w_{r}' for r in blob}
    *structs, line = tk.call_lines(layer, best, names, dict(x0='input', y='output'), 'arena')
    assert line == ('status = tfm_linear_s8_rle_dsp(output, input, &rle, &linear_dims, &quant, arena, '
                    f'{best.scratch_bytes});')
    assert all(s.startswith('static const tfm_') for s in structs) and '.stream = w_stream' in structs[0]
    varied = tk.call_lines(layer, best, names, dict(x0='in', y='out'), 'arena', dict(pixels='rows * 8'))
    assert varied[1].startswith('const tfm_linear_dims linear_dims = {.pixels = rows * 8,')
    assert varied[0].startswith('static')


# ---- choices that a person types, and names of `kernels`

def test_overrides_are_read():
    graph = random_graph(1)
    name = next(op.name for op in graph.ops if op.kind == 'pointwise')
    assert override(graph.ops[0], '', 'tfm_conv_s8_dsp', '', M7).block == 0
    mine = parse_overrides(graph, [f'{name}=tfm_linear_s8_rle_dsp:1x2'], M7)
    choice = tk.select(graph, M7, mine)[name]
    assert (choice.kernel.name, choice.block) == ('tfm_linear_s8_rle_dsp', 2)
    with pytest.raises(BadInput, match='no layer'): parse_overrides(graph, ['ghost=tfm_linear_s8_dsp'], M7)
    with pytest.raises(BadInput, match='can be run by'): parse_overrides(graph, [f'{name}=tfm_add_s8_dsp'], M7)
