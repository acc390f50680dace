"""Bands and rings: every window in a chain returns the reference's bytes; nothing that is wanted is overwritten."""
import itertools, time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tinyformer import codegen as cg, kernels as tk, operators as ops8, random_networks as rn, schedule as sch, zoo
from tinyformer.arch import Arch
from tinyformer.graph import Graph, Op, Tensor, check, load, out_hw, random_graph, run, run_op
from tinyformer.hardware import target
from tinyformer.lowering import random_model
from tinyformer.memory_alloc import validate
from tinyformer.simulator import run_host

BOARD = replace(target('stm32f746'), flash_bytes=1 << 24, sram_bytes=1 << 22)
UNLIKE = dict(sh=2, sw=1, dh=2, dw=1, top=0, bottom=2, left=1, right=0)
WINDOWS = [(kh, kw, ops8.square_window(stride, pad)) for kh, kw in ((1, 1), (2, 1), (2, 2), (3, 2), (3, 3))
           for stride in (1, 2, 3, 5) for pad in (0, 1, 2)]
WINDOWS += [(3, 3, UNLIKE), (2, 3, UNLIKE | dict(sh=1, top=3)), (3, 1, UNLIKE | dict(sh=5)),
            (1, 3, UNLIKE | dict(bottom=0)), (3, 3, UNLIKE | dict(dh=1, sw=2, bottom=1))]


class Net:
    "Builds a graph operator by operator; eight random images run along to keep the codes spread."
    def __init__(self, shape, seed=0):
        self.rng = np.random.default_rng(seed)
        self.tensors, self.ops = {'input': Tensor('input', shape, .05, 3)}, []
        self.live = {'input': self.rng.integers(-128, 128, (8, *shape), dtype=np.int8)}

    def put(self, kind, inputs, shape, attrs, params=None):
        name = f'{kind}_{len(self.ops)}'
        self.tensors[name] = Tensor(name, shape, .05, attrs.get('zp_out', 3))
        self.ops.append(Op(kind, name, list(inputs), name, attrs, params or {}))
        self.live[name] = run_op(self.ops[-1], *(self.live[n] for n in inputs)).reshape(8, *shape)
        return name

    def scaled(self, channels, taps, shape):
        mult, shift = ops8.requant_params(np.full(channels, 40 / (5000 * taps**.5)))
        return dict(weight=self.rng.integers(-127, 128, shape, dtype=np.int8), bias=np.zeros(channels, np.int32),
                    mult=mult), shift

    def linear(self, x, shape, kind='pointwise', pixels=None):
        pixels = pixels or int(np.prod(shape[:-1]))
        cin, cout = self.tensors[x].nbytes // pixels, int(np.prod(shape)) // pixels
        params, shift = self.scaled(cout, cin, (cout, cin))
        return self.put(kind, [x], shape, dict(pixels=pixels, cin=cin, cout=cout, shift=shift,
                                               zp_in=self.tensors[x].zero_point, zp_out=3), params)

    def conv(self, x, window, cout=None):
        "A convolution of any kernel, stride and padding; depthwise without `cout`."
        (h, w, c), (kh, kw, how) = self.tensors[x].shape, window
        params, shift = self.scaled(cout or c, kh * kw * (c if cout else 1), (cout, kh, kw, c) if cout else (kh, kw, c))
        sizes = dict(cin=c, cout=cout) if cout else dict(c=c)
        attrs = dict(h=h, w=w, **sizes, kh=kh, kw=kw, **how, shift=shift,
                     zp_in=self.tensors[x].zero_point, zp_out=3)
        return self.put('conv3x3' if cout else 'depthwise3x3', [x], (*out_hw(attrs), cout or c), attrs, params)

    def add(self, a, b):
        return self.put('add', [a, b], self.tensors[a].shape,
                        dict(n=self.tensors[a].nbytes, **ops8.add_params(.05, 3, .05, 3, .05, 3)))

    def total(self, x):
        "Sum of a map with a gain at which one wrong row shows."
        (h, w, c), sums = self.tensors[x].shape, self.live[x].reshape(8, -1, self.tensors[x].shape[-1]).sum(1)
        mult, shift = ops8.requant_params(min(.4, 40 / (1 + sums.std())))
        return self.put('avgpool', [x], (c,), dict(h=h, w=w, c=c, bias=-int(sums.mean()), mult=int(mult), shift=shift,
                                                   zp_out=3))

    def graph(self, output):
        graph = Graph(self.tensors, self.ops, 'input', output, 'net')
        check(graph)
        return graph


def forced(graph, chains, folder):
    "The model with these chains, whether they help or not."
    # for a few taps plain C may be cheaper, but it makes no single rows
    deep = [op for op in graph.ops if op.kind == 'depthwise3x3']
    rows = {op.name: next(c for c in tk.candidates(op, BOARD) if c.kernel.rows) for op in deep}
    picked = sch.choose_kernels(graph, BOARD, rows)
    arena, blobs = sch.plan_arena(graph, picked, chains=chains), cg.constants(graph, picked)
    fw = cg.Firmware(folder, graph, BOARD, 'host', arena, picked, cg.constant_bytes(blobs), cg.dense_bytes(graph),
                     chains)
    cg.write_folder(folder, cg.text_files(fw, blobs, cg.pick_example(graph)), cg.copied_files(fw))
    return fw


def compare(fw, graph, n=4, seed=1):
    x = np.random.default_rng(seed).integers(-128, 128, (n, *graph.tensors[graph.input].shape), dtype=np.int8)
    got, want = run_host(fw, x), run(graph, x)
    print(f'{got.size} bytes compared')
    assert got.size and (got == want).all(), f'{(got != want).sum()} of {got.size} bytes differ'


@pytest.mark.parametrize('first', (False, True))
def test_every_window_in_a_chain(tmp_path, first):
    "Kernels under, at and over the stride, padded or not, not square, depthwise; at the head of a chain and inside."
    net, sums, chains = Net((13, 9, 4)), [], []
    for window in WINDOWS:
        for cout in (4, None):
            start, rows = len(net.ops), 1 + len(sums) % 3
            y = net.conv('input' if first else net.linear('input', (13, 9, 4)), window, cout)
            h, w, _ = net.tensors[y].shape
            # a window whose output goes into a strip before a ring
            y = net.conv(net.linear(y, (h, w, 5)), (3, 3, ops8.square_window(1, 1)), 4)
            if net.tensors[y].shape[0] > rows: chains.append(sch.Chain(start, len(net.ops) - 1, rows))
            sums.append(net.total(y))
    for name in sums[1:]: sums[0] = net.add(sums[0], name)
    graph = net.graph(sums[0])
    print(f'{len(chains)} chains')
    assert len(chains) > 50
    compare(forced(graph, tuple(chains), tmp_path/'fw'), graph)


def test_a_pool_behind_a_ring_in_a_chain(tmp_path):
    "The ring must hold two rows for each row of a stretch that ends in a pool."
    net = Net((16, 8, 4))
    y = net.conv(net.linear('input', (16, 8, 5)), (3, 3, ops8.square_window(1, 1)), 4)
    y = net.put('maxpool2x2', [y], (8, 4, 4), dict(h=16, w=8, c=4))
    graph = net.graph(net.total(y))
    for rows in (1, 2, 3): compare(forced(graph, (sch.Chain(0, 2, rows),), tmp_path/f'{rows}'), graph)


def test_an_addition_at_the_end_of_a_chain_takes_the_place_of_what_it_adds():
    "Its input is read by steps that look at their own row only, so rows that are written are wanted no more."
    point = 1, 1, 0, 0    # kernel, stride, padding above and below
    one = sch.Step((1,), 2, point, True, 8)
    def over(window):
        first, last = sch.Step((0,), 1, point, True, 8), sch.Step((3,), 4, point, True, 8)
        makes = sch.Step((1, 2), 3, point, True, 8, in_place=(0, 1))
        steps = first, replace(one, window=window), makes, last
        return sch.inside(sch.flow(steps), sch.Chain(1, 2, 2)).over
    assert over(point) == 1 and over((3, 1, 1, 1)) is None
    lower = (sch.Step((0,), 1, point, True, 4), sch.Step((0,), 2, point, True, 8),
             sch.Step((2,), 3, (2, 2, 0, 0), True, 8), sch.Step((1, 3), 4, point, True, 4, in_place=(0, 1)),
             sch.Step((4,), 5, point, True, 4))
    assert sch.inside(sch.flow(lower), sch.Chain(1, 3, 2)).over == 1    # whatever the heights on the way


def test_a_chain_has_at_most_eight_steps_and_wide_rows_run_one_by_one():
    def row(width):
        "Twelve steps over a map of eight rows."
        return tuple(sch.Step((t,), t + 1, (1, 1, 0, 0), True, 8, 8*width) for t in range(12))
    ways = sch.chains_of(sch.flow(row(16)), 'least')
    assert {chain.last - chain.first + 1 for chain, _ in ways} == set(range(2, 9))
    assert [sch.fewest_rows(row(width), 'least') for width in (32, 16, 8, 1)] == [1, 1, 2, None]


def test_of_chains_that_cost_as_much_the_shortest_is_taken():
    ways = [(sch.Chain(first, 3, 1), 7) for first in (0, 1, 2)]
    for order in (ways, ways[::-1]):
        assert sch.quickest([True, True, False, False], order) == (sch.Chain(2, 3, 1),)


def test_peaks_of_a_mode_that_saves_memory_are_never_higher():
    "Random sizes in one structure of widening, depthwise and narrowing layers."
    rng = np.random.default_rng(0)
    shape = dict(is_map=True, count=48, positions=48*48)
    deep = dict(window=(3, 1, 1, 1), finds_rows=True, at_once=8)
    steps = [sch.Step((t,), t + 1, **(deep if t % 3 == 1 else dict(window=(1, 1, 0, 0))), **shape) for t in range(12)]
    flow = sch.flow(tuple(steps), callers=(0, 12))
    sizes, scratch = 48*48*rng.integers(4, 64, (500, 13)), rng.integers(0, 9000, (500, 12))
    sizes[:, [0, 12]] = 0
    fast, low, least = (sch.peak(flow, sizes, scratch, memory) for memory in sch.MEMORY)
    assert (low <= fast).all() and (least <= low).all() and (least < low).sum() > 400 and (low < fast).sum() > 400


def arena_of(graph, picked, memory):
    return sch.plan_arena(graph, picked, chains=sch.choose_chains(graph, picked, memory)).size


def in_order(graph, picked):
    "Bytes of each mode, which may not rise from one to the next."
    graph = sch.reorder(graph, picked)
    sizes = [arena_of(graph, picked, memory) for memory in sch.MEMORY]
    assert sizes == sorted(sizes, reverse=True), (graph.name, dict(zip(sch.MEMORY, sizes)))
    return sizes


def test_a_mode_that_saves_memory_never_needs_more():
    "Random networks as the sweep draws them, with its kernels and with the engine's."
    lower = 0
    for number in range(40):
        net = rn.draw(5, number)
        for choices in (net.choices, {}):
            fast, low, least = in_order(net.graph, sch.choose_kernels(net.graph, BOARD, choices, net.objective))
            lower += (low < fast) + (least < low)
    print(f'{lower} of 160 steps are lower')
    assert lower > 5


TUTORIALS = Path(__file__).parents[1]/'nbs'/'tutorials'/'results'


@pytest.mark.parametrize('name', [*zoo.names(), 'R', 'P', *sorted(p.name for p in TUTORIALS.glob('*.tfm'))])
def test_modes_and_seconds_of_known_networks(name):
    "The zoo, two networks of random weights, what the tutorials end with; each mode is planned in the time allowed."
    if name in 'RP': graph = random_model(Arch.load(name))
    elif name.endswith('.tfm'): graph = load(TUTORIALS/name)
    else: graph = zoo.load(name)
    picked, start = sch.choose_kernels(graph, BOARD), time.process_time()
    fast, low, least = in_order(graph, picked)
    took = time.process_time() - start
    print(f'{name}: {fast}, {low}, {least} bytes in {took:.2f} s')
    assert took < (5 if name == 'P' else 2)


def test_the_drawing_hatches_what_takes_over_memory():
    net = Net((4, 4, 9))
    x = net.linear('input', (4, 4, 9))
    graph = net.graph(net.linear(net.add(x, net.linear(x, (4, 4, 9))), (4, 4, 2)))
    arena = sch.plan_arena(graph, sch.choose_kernels(graph, BOARD))
    over = [b for b in arena.buffers if len(b.holds) > 1 and not b.scratch]
    drawn = [bar.get_hatch() for bar in arena.plot().patches]
    assert len(over) == 1 and sum(h == '//' for h in drawn) == 1 < len(arena.buffers)


def test_output_over_an_input_that_a_padded_window_reads(tmp_path):
    "A 1x1 convolution with padding makes rows from rows above: the sum may not yet be written over them."
    net = Net((4, 4, 9))
    x = net.linear('input', (4, 4, 9))
    y = net.add(net.conv(x, (1, 1, ops8.square_window(1, 1)), 4), x)
    graph = net.graph(net.linear(y, (6, 6, 2)))
    compare(forced(graph, (sch.Chain(1, 2, 1),), tmp_path/'fw'), graph)


@pytest.mark.parametrize('memory', ('low', 'least'))
def test_tokens_that_are_not_rows_of_the_map_before(tmp_path, memory):
    "The same bytes as 4x5 pixels of 60 and as 30 tokens of 40: a row does not hold whole tokens."
    net = Net((4, 5, 3))
    graph = net.graph(net.linear(net.conv('input', (3, 3, ops8.square_window(1, 1)), 60), (30, 2), 'linear'))
    fw = cg.generate(graph, BOARD, tmp_path/'fw', memory=memory)
    assert not any(c.first == 0 for c in fw.chains)
    compare(fw, graph)


def test_two_additions_in_a_row(tmp_path):
    "A chain may begin with operators that do not know what a row is, or hold nothing else."
    net = Net((12, 6, 4))
    a, x = net.linear('input', (12, 6, 40)), net.linear('input', (12, 6, 40))
    y = net.add(net.add(net.linear(x, (12, 6, 40)), a), x)
    graph = net.graph(net.total(net.linear(y, (12, 6, 4))))
    for memory in sch.MEMORY: compare(cg.generate(graph, BOARD, tmp_path/memory, memory=memory), graph)
    at = next(t for t, (p, q) in enumerate(zip(graph.ops, graph.ops[1:])) if p.kind == q.kind == 'add')
    compare(forced(graph, (sch.Chain(at, at + 1, 5),), tmp_path/'adds'), graph)


# ---- lifetimes, order, sharing

def test_every_tensor_lives_from_its_maker_to_its_last_reader():
    graph = random_graph(3)
    picked = sch.choose_kernels(graph, BOARD)
    last = {n: t for t, op in enumerate(graph.ops) for n in op.inputs}
    apart = {b.holds[0]: b for b in sch.buffers(graph, picked, apart=True) if not b.scratch}
    assert set(apart) == set(graph.tensors) - {graph.input, graph.output}
    for t, op in enumerate(graph.ops[:-1]):
        assert (apart[op.output].start, apart[op.output].stop) == (t, last[op.output] + 1)


def dag(rng, n=6):
    "Steps and sizes of a random branching network: additions of equal tensors, and layers to any size."
    steps, sizes = [], [0]
    for t in range(n):
        i = int(rng.integers(max(0, len(sizes) - 3), len(sizes)))
        same = [k for k in range(1, len(sizes)) if sizes[k] == sizes[i]]
        if len(same) > 1 and rng.random() < .5:
            steps.append(sch.Step(tuple(int(k) for k in rng.choice(same, 2)), t + 1, in_place=(0, 1)))
            sizes.append(sizes[i])
        else:
            steps.append(sch.Step((i,), t + 1))
            sizes.append(int(rng.choice([8, 16, 64])))
    sizes[-1] = 0
    return tuple(steps), np.array(sizes), rng.choice([0, 24], n)


def peak_in_order(steps, sizes, scratch, order):
    flow = sch.flow([steps[t] for t in order], callers=(0, len(steps)))
    return sch.live_bytes(flow, sizes[None], scratch[None, list(order)]).max()


def test_the_best_order_is_the_best_of_all_orders():
    rng, better, n = np.random.default_rng(0), 0, 0
    for _ in range(60):
        steps, sizes, scratch = dag(rng)
        given = tuple(range(len(steps)))
        def valid(order): return all(i == 0 or i - 1 in order[:k] for k, t in enumerate(order) for i in steps[t].reads)
        peaks = {o: peak_in_order(steps, sizes, scratch, o) for o in itertools.permutations(given) if valid(o)}
        flow = sch.flow(steps, callers=(0, len(steps)))
        found = sch.best_order(flow, sizes, scratch)
        assert peaks[found] == min(peaks.values())
        if peaks[found] < peaks[given]: better += 1
        else: assert found == given
        assert sch.best_order(flow, sizes, scratch, sets=0) == given
        n += len(peaks)
    print(f'{n} orders, {better} of 60 networks got lighter')
    assert better > 5


def test_memory_is_shared_only_where_nobody_looks_any_more():
    rng, n = np.random.default_rng(1), 0
    for _ in range(100):
        steps, sizes, _ = dag(rng, 9)
        flow = sch.flow(steps, callers=(0, len(steps)))
        taken = [over for over in flow.over if over is not None]
        assert len(set(taken)) == len(taken) and 0 not in taken and flow.over[-1] is None
        for t, over in enumerate(flow.over):
            if over is None: continue
            assert over in steps[t].reads and not any(over in s.reads for s in steps[t
                + 1:]) and sizes[over] == sizes[t + 1]
            n += 1
    print(f'{n} outputs over inputs')
    assert n > 50


def test_many_networks_at_once_are_each_planned_as_alone():
    "Columns of sizes, with and without a piece taken apart, in every memory mode."
    graph, rng, n = random_graph(2, (32, 32, 3), 16, 2, sparsity=.2), np.random.default_rng(0), 0
    flow, sizes, scratch = sch.columns(graph, sch.choose_kernels(graph, BOARD))
    sizes = sizes * rng.integers(1, 6, (12, 1)) * np.where(rng.random((12, sizes.shape[1])) < .2, 2, 1)
    scratch = np.repeat(scratch, 12, 0) * rng.integers(0, 3, scratch.shape)
    for memory in sch.MEMORY:
        together = sch.peak(flow, sizes, scratch, memory)
        pieces = [(sch.part(flow, a, b), a, b) for a, b in sch.pieces(flow)]
        apart = [sch.peak(f, sizes[:, tensors], scratch[:, a:b + 1], memory) for (f, tensors), a, b in pieces]
        assert np.array_equal(np.max(apart, 0), together)
        for i in range(12):
            assert sch.peak(flow, sizes[i:i + 1], scratch[i:i + 1], memory) == together[i]
            n += 1
    print(f'{n} networks')


def test_low_addresses_for_small_buffers_cost_no_byte():
    "Of random sets of buffers: the plan is valid and never higher; some are moved, some would grow and stay."
    rng, moved, kept = np.random.default_rng(0), 0, 0
    for _ in range(60):
        starts = rng.integers(0, 12, 9)
        crowd = [sch.Buffer((f'b{i}',), bool(rng.random() < .4), int(t), int(t + rng.integers(1, 5)),
                            int(rng.integers(1, 40)) * 8) for i, t in enumerate(starts)]
        before = sch.plan_memory([b.interval for b in crowd])
        after = sch.hot_first(before, crowd)
        validate(after)
        assert after.peak <= before.peak
        moved, kept = moved + (after is not before), kept + (after is before)
    assert moved > 5 and kept > 5


# ---- chains by hand

def all_sets(spans, single, together):
    "The lowest peak by trying every set of chains that do not overlap."
    def peak_of(picked):
        live = single.copy()
        for w in picked: live[spans[w][0]:spans[w][1] + 1] = together[w]
        return live.max()
    def apart(picked):
        pairs = itertools.combinations([spans[w] for w in picked], 2)
        return all(a[1] < b[0] or b[1] < a[0] for a, b in pairs)
    sets = (s for n in range(4) for s in itertools.combinations(range(len(spans)), n) if apart(s))
    return min(map(peak_of, sets))


def test_the_lowest_peak_is_that_of_all_sets_of_chains():
    rng = np.random.default_rng(0)
    spans = [(a, b) for a in range(6) for b in range(a + 1, 6)]        # three chains at most
    single, together = rng.integers(0, 99, (20, 6)), rng.integers(0, 99, (20, len(spans)))
    assert sch.lowest(spans, single, together).tolist() == [all_sets(spans, s, t) for s, t in zip(single, together)]


def test_what_the_last_output_of_a_chain_may_be_written_over():
    "Only a tensor from outside of which nobody in the chain needs a row that is gone."
    pixel = sch.Step((0,), 1, (1, 1, 0, 0), count=4)
    second = replace(pixel, reads=(1,), makes=2)
    steps = (pixel, second, replace(pixel, reads=(2, 1), makes=3, in_place=(0, 1)), sch.Step((3,), 4))
    within = sch.flow(steps)                                   # the sum is written over tensor 2, which is inside
    outside = replace(within, over=(None, None, 1, None))
    def over(*changed): return sch.inside(replace(outside, steps=changed), sch.Chain(1, 2, 1)).over
    assert sch.inside(within, sch.Chain(1, 2, 1)).over is None and over(*steps) == 1
    looks_back = replace(second, window=(3, 1, 1, 1), finds_rows=True)
    assert over(pixel, looks_back, *steps[2:]) is None
    padded = replace(second, window=(1, 1, 1, 1), finds_rows=True)
    assert over(pixel, padded, replace(steps[2], count=6), steps[3]) is None
    reads_all = replace(second, reads=(0, 1), whole=(1,))              # every row reads all of tensor 1
    assert over(pixel, reads_all, *steps[2:]) is None


def test_a_model_of_one_layer_has_an_arena_of_its_scratch():
    op = Op('fully_connected', 'fc', ['x'], 'y', dict(pixels=1, cin=4, cout=2, shift=0, zp_in=0, zp_out=0),
            dict(weight=np.int8([[1, 2, 3, 4], [-1, 0, 0, 1]]), bias=np.int32([0, 10]), mult=np.int32([2**30]*2)))
    tiny = Graph({'x': Tensor('x', (4,), .5, 0), 'y': Tensor('y', (2,), .5, 0)}, [op], 'x', 'y', 'tiny')
    choices = sch.choose_kernels(tiny, BOARD)
    assert sch.plan_arena(tiny, choices).size == max(8, choices['fc'].scratch_bytes)
    held = replace(tiny, ops=[Op('const', 'bias', [], 'k', dict(n=2), dict(data=np.int8([1, 2]))), op],
                   tensors=tiny.tensors | {'k': Tensor('k', (2,), .5, 0)})
    assert sch.elsewhere(held, sch.choose_kernels(held, BOARD)) == {'y', 'k'}


def test_of_sets_of_chains_with_the_same_peak_the_cheapest_is_taken():
    left, right, both, long = sch.Chain(0, 1, 1), sch.Chain(2, 3, 1), sch.Chain(1, 2, 1), sch.Chain(0, 3, 1)
    assert sch.quickest([False]*4, [(left, 5), (right, 5), (long, 10)]) == (left, right)
    assert sch.quickest([True, False, True, True], [(left, 5), (both, 5)]) == (left,)


def test_some_rows_are_a_layer_of_its_own():
    "A window without padding, fewer positions, fewer values."
    net = random_graph(seed=0, shape=(8, 8, 3), width=8, heads=2, sparsity=.7)
    pool, linear, deep, add = (net.ops[t] for t in (1, 2, 3, 5))
    assert sch.some_rows(pool, 8, 4).attrs['h'] == 16
    assert sch.some_rows(linear, 1, 4).attrs['pixels'] == 4
    few = sch.some_rows(deep, 2, 4).attrs
    assert (few['h'], few['top'], few['bottom']) == (4, 0, 0)
    assert sch.some_rows(add, 3, 4).attrs['n'] == add.attrs['n'] * 3 // 4
    time = sch.prices(net, tk.choose_kernels(net, target('stm32f746')))
    assert time(2, 1, 4) < time(2, 4, 4) < 4 * time(2, 1, 4)


def test_a_tensor_that_is_read_after_the_last_step_lives_to_the_end():
    flow = sch.flow((sch.Step((0,), 1), sch.Step((1,), 2, in_place=(0,))), later=(1, 2))
    assert (flow.lives, flow.over) == (((0, 0), (0, 1), (1, 1)), (None, None))
    assert sch.flow(flow.steps).over == (None, 1)
