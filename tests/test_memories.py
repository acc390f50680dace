"""Two memories: placements are valid, never higher or slower than before, and the C that follows them returns the
reference's bytes. How many bytes a buffer moves is held against a count of every access."""
import json, random
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from tinyformer import cli, codegen as cg, graph as tg, memories as me, memory_system as ms, random_networks as rn
from tinyformer import schedule as sch, tradeoff as tr, zoo
from tinyformer.arch import Arch
from tinyformer.errors import BadInput, DoesNotFit
from tinyformer.graph import random_graph
from tinyformer.hardware import Memory, joined, target, targets
from tinyformer.lowering import random_model
from tinyformer.memory_alloc import Interval, fullest, plan, validate
from tinyformer.memory_checks import check_memories, no_room
from tinyformer.operators import OPERATORS
from tinyformer.simulator import Emulator, build, simulate

F746, H743 = target('stm32f746'), target('stm32h743')


def crowd(rng, n):
    starts = [rng.randrange(12) for _ in range(n)]
    some = [Interval(f'b{k}', t, t + rng.randint(1, 5), rng.randint(1, 60)) for k, t in enumerate(starts)]
    return some, {i.name: rng.randint(1, 5000) for i in some}


def test_placements_of_random_buffers():
    "Side by side and apart: valid, as low as one arena, no slower than it, not below the bound."
    rng, faster, apart = random.Random(0), 0, 0
    for _ in range(60):
        some, moved = crowd(rng, rng.randint(2, 20))
        line, first = plan(some), rng.randint(1, 20) * 8
        rooms = Memory('fast', 0, first), Memory('slow', rng.choice([first, 1 << 20]), 1 << 16, .5)
        got = me.plan_memories(line, moved, rooms)
        validate(got.plan)
        assert got.plan.peak <= line.peak and got.bound <= got.waiting + 1e-6
        assert sum(got.peaks.values()) == got.plan.peak and got.peaks['fast'] <= first
        if joined(rooms):
            before = sum(me.waits(line, moved, rooms, me.reach(rooms)).values())
            assert got.waiting <= before
            faster += got.waiting < before
        else:
            k = [got.place_of(i.name)[0] for i in some]
            ends = (got.ends[0], got.ends[1])
            assert all(got.plan.offsets[i.name] + i.size <= ends[m] for i, m in zip(some, k))
            wide = me.plan_memories(line, moved, rooms, spare=1 << 16)
            validate(wide.plan)
            assert wide.waiting <= got.waiting
            apart += wide.waiting < got.waiting
    assert faster > 10 and apart > 5


def test_a_network_that_no_single_memory_holds_is_spread():
    some = [Interval('a', 0, 2, 80), Interval('b', 1, 3, 80)]
    rooms = Memory('fast', 0, 96), Memory('slow', 1 << 20, 96, .5)
    got = me.plan_memories(plan(some), dict(a=100, b=60), rooms)
    assert (got.peaks, got.waiting) == (dict(fast=80, slow=80), 30)
    with pytest.raises(DoesNotFit, match='the arena needs 160 bytes, 10 more than the 150'):
        me.plan_memories(plan(some), dict(a=100, b=60), rooms, most=150)
    with pytest.raises(DoesNotFit, match='a buffer cannot lie in two memories'):
        me.plan_memories(plan([*some, Interval('c', 1, 2, 32)]), dict(a=1, b=1, c=1), rooms)


TOY = [Interval('image', 0, 2, 64), Interval('map', 1, 3, 48)]
FAST, SLOW = Memory('fast', 0, 64), Memory('slow', 64, 512, .5)


@pytest.mark.parametrize('memories, error, what', [
    ((), BadInput, 'need a name each: none is given'),
    ((FAST, FAST), BadInput, r"need a name each: \['fast', 'fast'\]"),
    ((SLOW, FAST), BadInput, 'slow is slower than fast: give the fast memory first'),
    ((replace(FAST, size=0),), BadInput, 'fast has 0 bytes'),
    ((Memory('a', 0, 60), Memory('b', 99, 60)), DoesNotFit,
     'image needs 64 bytes in one piece; of a, b none has more than 60')])
def test_memories_that_nothing_can_be_placed_in(memories, error, what):
    with pytest.raises(error, match=what): check_memories(TOY, dict(image=1, map=1), memories)


def test_buffers_of_which_something_is_not_known():
    check_memories(TOY, dict(image=1, map=1), (FAST, SLOW))
    with pytest.raises(BadInput, match="nothing says how many bytes 'map' moves"):
        check_memories(TOY, dict(image=1), (FAST, SLOW))
    fixed = [replace(TOY[0], fixed=8)]
    check_memories(fixed, dict(image=1), (FAST, SLOW))
    with pytest.raises(BadInput, match='image has a fixed offset: that needs one arena'):
        check_memories(fixed, dict(image=1), (FAST, replace(SLOW, start=4096)))


def test_what_is_said_when_there_is_no_room():
    found = plan(TOY)
    def said(plan, capacity, live=None): return str(no_room(plan, capacity, 1, live or fullest(TOY)[1]))
    assert 'the arena needs 112 bytes, 12 more than the 100 there are. At step 1 these tensors are live: ' \
           'image (64), map (48). No plan can fit' in said(found, 100)
    assert 'needs at least 112 bytes' in said(replace(found, proven=False, peak=120), 100)
    assert 'A plan may exist' in said(replace(found, proven=False, peak=120), 115)
    assert 'and 2 smaller ones' in said(found, 100, TOY[:1] * 10)


def today(graph, target, memory='low'):
    "The plan without any knowledge of memories."
    picked = sch.choose_kernels(graph, target)
    graph = sch.reorder(graph, picked)
    return sch.plan_arena(graph, picked, None, sch.choose_chains(graph, picked, memory))


@pytest.mark.parametrize('board', [t.name for t in targets() if not t.memories])
def test_a_board_with_one_memory_keeps_its_plan(board, tmp_path):
    graph, board = random_graph(3, (12, 12, 3), 16, 2), target(board)
    fw = cg.generate(graph, board, tmp_path/'fw')
    assert fw.plan.offsets == today(graph, board).plan.offsets and fw.arena.placement is None
    texts = (fw.folder/'model.c').read_text(), (fw.folder/'port'/'link.ld').read_text()
    assert cg.FAST not in texts[0] and '_stack_top = ORIGIN(RAM) + LENGTH(RAM);' in texts[1]
    assert 'FAST (rw)' not in texts[1] and '_stack_limit = _bss_end;' in texts[1]


def test_a_budget_that_the_fast_memory_holds_lies_there_whole(tmp_path):
    graph = random_graph(3, (12, 12, 3), 16, 2)
    for board in (F746, H743):
        fw = cg.generate(graph, board.with_budget(sram_bytes='64KB'), tmp_path/board.name)
        assert fw.arena.placement is None and fw.plan.offsets == today(graph, board).plan.offsets
        assert 'RAM (rw) : ORIGIN = 0x20000000, LENGTH = 65536' in (fw.folder/'port'/'link.ld').read_text()


def small_dtcm(board, size):
    "The board with a smaller fast memory, so that small networks reach over its end."
    fast, slow = board.memories
    start = fast.start + size if joined(board.memories) else slow.start
    return replace(board, memories=(replace(fast, size=size), replace(slow, start=start)))


@pytest.mark.parametrize('board', [F746, H743])
def test_random_networks_in_two_memories_return_the_reference_bytes(board, tmp_path):
    "Whole images on the emulated core: one arena over both memories, or an array in each."
    ran = Counter()
    for number in range(60):
        net = rn.draw(5, number)
        if net.memory == 'forced': continue
        here = small_dtcm(board, cg.STACK_BYTES + 256)
        fw = cg.generate(net.graph, here, tmp_path/str(number), objective='speed', memory=net.memory)
        if fw.plan.peak <= 256 or not joined(board.memories) and len(fw.arena.arrays) < 2: continue
        image = build(fw)
        got = simulate(image, fw, net.inputs[:2], profile_images=0, progress=False, memory=False)
        assert np.array_equal(got.outputs, tg.run(net.graph, net.inputs[:2])), net
        assert got.arena_high_water <= fw.arena_bytes and 0 < got.stack_bytes < cg.STACK_BYTES
        symbols = Emulator(image.elf).symbols
        at, size = symbols[f'{fw.prefix}_arena']
        assert at == board.memories[0].start + cg.STACK_BYTES and size == fw.arena.arrays[0][2]
        assert symbols['_stack_top'][0] == at and symbols['_stack_limit'][0] == board.memories[0].start
        if len(fw.arena.arrays) == 2: assert symbols[f'{fw.prefix}_arena2'][0] >= board.memories[1].start
        ran[len(fw.arena.arrays)] += 1
        if sum(ran.values()) == 3: break
    print(ran)
    assert ran[1 if joined(board.memories) else 2] == 3


def test_an_arena_for_speed_leaves_room_for_stack_and_buffers(tmp_path):
    "A budget that holds the fastest arena, but not what an image has beside it: a lower one is taken, and it fits."
    net, here = rn.draw(5, 2), small_dtcm(H743, cg.STACK_BYTES + 1024)
    how = dict(objective='speed', memory=net.memory)
    wide = cg.generate(net.graph, here, tmp_path/'wide', **how)
    tight = replace(here, sram_bytes=wide.arena_bytes + cg.STACK_BYTES)
    fw = cg.generate(net.graph, tight, tmp_path/'tight', **how)
    image = build(fw)
    assert image.data_bytes + image.bss_bytes + cg.STACK_BYTES <= tight.sram_bytes and fw.arena_bytes < wide.arena_bytes
    tried, _ = tr.built(net.graph, tight, tmp_path/'tried', **how)
    assert tried.arena_bytes == fw.arena_bytes          # what deploy measures is what the budget gets
    told = {(w.kernels, w.memory): w.arena for w in tr.ways(net.graph, tight)}
    assert told['speed', net.memory] == fw.arena_bytes


def counted(fw, image, x):
    "(operator, buffer) -> (loads, stores) of one inference, and operator -> instructions."
    emu, out, ops = Emulator(image.elf), {}, Counter()
    base, n = emu.address(f'{fw.prefix}_arena'), fw.graph.tensors[fw.graph.output].nbytes
    emu.marks = {**fw.functions, f'{fw.prefix}_invoke': 'rest', f'{fw.prefix}_invoke_with': 'rest'}
    for t, op in enumerate(fw.graph.ops):
        mine = [b for b in fw.arena.buffers if b.start <= t < b.stop and b.size]
        where = [ms.Place(b.label, base + fw.plan.offsets[b.label], b.size, ms.AT_ONCE, ms.AT_ONCE) for b in mine]
        rest = ms.Place('rest', 0xF0000000, 4096, ms.AT_ONCE, ms.AT_ONCE)
        emu.memory = ms.MemorySystem('buffers', (*where, rest))
        emu.invoke(x, n, count=True)
        seen = emu.counter.counts()
        for b in mine: out[op.name, b.label] = [seen.get((op.name, b.label, e), 0) for e in ('loads', 'stores')]
        ops[op.name] = emu.profile()[op.name]
    return out, ops


@pytest.mark.parametrize('sparsity', [0., .7])
def test_bytes_moved_are_those_that_are_counted(sparsity, tmp_path):
    """Each operator on its tensors: a load moves one to four bytes, and so does a store. Scratch is an estimate for all
    kernels together; small layers do most of their work outside of it."""
    graph = random_graph(1, (12, 12, 8), 16, 2, sparsity=sparsity)
    fw = cg.generate(graph, F746, tmp_path/'fw', memory='fast')
    seen, spent = counted(fw, build(fw), np.zeros(graph.tensors[graph.input].shape, np.int8))
    tensors, scratch = 0, np.zeros(2)
    for op in fw.graph.ops:
        for b in fw.arena.buffers:
            if (op.name, b.label) not in seen: continue
            loads, stores = seen[op.name, b.label]
            if b.scratch and op.name in b.holds:
                scratch += np.array([sch.SCRATCH_WORDS * spent[op.name], loads + stores])
            if b.scratch: continue
            read = sum(graph.tensors[n].nbytes for n in op.inputs if n in b.holds)
            read *= OPERATORS[op.kind].reads(op.attrs)
            made = graph.tensors[op.output].nbytes * (op.output in b.holds)
            assert .6 * read / 4 <= loads <= max(4 * read, made), (op.name, op.kind, read, loads)
            assert made / 4 <= stores <= 2 * made, (op.name, op.kind, made, stores)
            tensors += read > 0 or made > 0
    print(f'{tensors} tensors; words of scratch, estimated and counted: {scratch}')
    assert tensors > 25 and .4 < scratch[0] / scratch[1] < 4


def test_waiting_in_the_model_follows_the_placement(tmp_path):
    "Two placements of one network with a fast memory of 4 KB: the estimate and the count rank them alike."
    graph, x = random_graph(1, (24, 24, 3), 24, 2), np.zeros((1, 24, 24, 3), np.int8)
    fw = cg.generate(graph, F746, tmp_path/'fw', memory='fast')
    rooms = Memory('fast', 0x20000000 + cg.STACK_BYTES, 4096), Memory('slow', 0x20001800, 256 << 10, 12 / 32)
    spots = me.plan_memories(fw.plan, sch.bytes_moved(fw.graph, fw.choices, fw.arena.buffers), rooms)
    worst = replace(spots, plan=me.upside_down(spots.plan))
    places = [replace(p, size=4096 + cg.STACK_BYTES) if p.name == 'DTCM' else
              replace(p, first=0x20001800) if p.name == 'SRAM' else p for p in ms.STM32F746.places]
    system, cost = replace(ms.STM32F746, places=tuple(places)), []
    for n, spot in enumerate((spots, worst)):
        arena = sch.arena_of(fw.arena.buffers, spot.plan, spot)
        moved = replace(fw, folder=tmp_path/str(n), arena=arena)
        blobs = cg.constants(fw.graph, fw.choices, fw.prefix)
        cg.write_folder(moved.folder, cg.text_files(moved, blobs, x[0]), cg.copied_files(moved))
        sim = simulate(build(moved), moved, x, progress=False, memory=system)
        waits = sum(w.likely for of in sim.stalls.values() for cause, w in of.items() if 'SRAM' in cause)
        cost.append((spot.waiting, waits))
    print(cost)
    assert cost[0][0] < .7 * cost[1][0] and cost[0][1] < .85 * cost[1][1]


def test_costs_of_a_memory_are_those_of_the_memory_system():
    "One number in the board's record, from the same source as the account of every access."
    for t in targets():
        if t.name not in ms.SYSTEMS or not t.memories: continue
        for m in t.memories:
            p = ms.SYSTEMS[t.name].place(m.name)
            assert (p.first, p.size) == (m.start, m.size)
            line = next((c.line for c in ms.SYSTEMS[t.name].caches if c.name == p.data), 1)
            assert m.wait == p.load.likely / line
    assert [m.name for m in F746.memories] == ['DTCM', 'SRAM'] and joined(F746.memories) and not joined(H743.memories)


def test_planning_is_little_work(monkeypatch):
    "Shipped networks and the paper's largest: so many placements of one buffer at the most, in each memory mode."
    done = Counter()
    right = me.place, me.fill
    monkeypatch.setattr(me, 'place', lambda order, *a: (done.update(n=len(order)), right[0](order, *a))[1])
    monkeypatch.setattr(me, 'fill', lambda order, *a: (done.update(n=len(order)), right[1](order, *a))[1])
    graphs = [zoo.load(n) for n in zoo.names()] + [random_model(Arch.load('P'))]
    for graph in graphs:
        picked = sch.choose_kernels(graph, F746)
        for board in (F746, H743):
            for memory in sch.MEMORY:
                chains, done['n'] = sch.choose_chains(graph, picked, memory), 0
                sch.plan_arena(graph, picked, None, chains, cg.rooms_of(board.name, board), 1 << 20)
                assert done['n'] <= 5 * 8 * len(graph.ops) * 2, (graph.name, board.name, memory, done['n'])
    assert len(graphs) >= 5


def test_the_command_with_several_memories(tmp_path, capsys, monkeypatch):
    "`tinyformer plan --capacity NAME=BYTES`: what it prints and writes, and what it refuses by name."
    monkeypatch.chdir(tmp_path)
    file = tmp_path/'p.csv'
    file.write_text('id,lower,upper,size,moved\nimage,0,2,64,64\nscratch,1,2,16,1000\nmap,1,3,48,96\nout,2,4,16,32\n')
    def say(*words):
        code = cli.main(['plan', str(file), '--align', '8', *words])
        out, err = capsys.readouterr()
        return code, out, err
    two = '--capacity', 'fast=64', '--capacity', 'slow=1KB'
    code, out, _ = say(*two)
    assert code == 0 and 'fast: 64 of 64 bytes\nslow: 64 of 1,024 bytes\nwaiting 64, at least 64' in out
    assert (tmp_path/'p.plan.csv').read_text() == ('id,lower,upper,size,offset,memory\nimage,0,2,64,0,slow\n'
                                                   'scratch,1,2,16,0,fast\nmap,1,3,48,16,fast\nout,2,4,16,0,fast\n')
    got = json.loads(say(*two, '--json', '-')[1])
    assert [m['peak'] for m in got['memories']] == [64, 64] and got['memory']['image'] == 'slow'
    assert got['waiting'] == got['waiting_bound'] == 64 and got['waiting_proven'] and got['offsets']['map'] == 16
    code, out, _ = say('--target', 'stm32h743', '--capacity', 'DTCM=64')
    assert code == 0 and 'DTCM: 64 of 64 bytes\nAXI SRAM: 64 of 524,288 bytes\nwaiting 32, at least 32' in out
    two, h743 = ('--capacity', 'a=64', '--capacity'), ('--target', 'stm32h743', '--capacity')
    for words, part in (((*two, 'a=64'), 'names a twice'),
                        (('--capacity', '64', '--capacity', 'a=64'), 'each needs a name'),
                        ((*two, 'b=0'), 'needs at least a byte'),
                        (('--capacity', 'a=x'), 'not a number of bytes'),
                        (('--capacity', '-5'), 'needs at least a byte'), (('--capacity', '0'), 'needs at least a byte'),
                        (('--capacity', 'a=48', '--capacity', 'b=60'),
                         'image needs 64 bytes in one piece; of a, b none'),
                        ((*two, 'b=63'), 'the arena needs 128 bytes, 1 more than the 127'),
                        ((*h743, 'SRAM9=1KB'), "no memory 'SRAM9'; it has DTCM, AXI SRAM"),
                        ((*h743, 'DTCM=1MB'), 'stm32h743 has 131072 bytes of it'),
                        (('--target', 'stm32f7'), 'Did you mean stm32f746')):
        code, out, err = say(*words)
        assert code == 1 and part in err and 'Traceback' not in err, (words, err)
    file.write_text('id,lower,upper,size,moved\na,0,1,8,-1\n')
    assert 'moved must not be negative' in say()[2]
