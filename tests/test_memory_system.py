"The model of memories: what the page does not show."
import numpy as np
import pytest

from tinyformer import emulator, memory_system as ms, simulator
from tinyformer.codegen import generate
from tinyformer.errors import BadInput, MissingTool
from tinyformer.graph import random_graph, run
from tinyformer.hardware import target, targets


def misses_of(cache, addresses):
    "Misses of loads in a list of sets, the slow and obvious way."
    held, misses = [[] for _ in range(cache.sets)], 0
    for a in addresses:
        line = a // cache.line
        row = held[line % cache.sets]
        misses += line not in row
        if line in row: row.remove(line)
        row.append(line)
        del row[:-cache.ways]
    return misses


@pytest.mark.parametrize('size,ways,line', [(64, 1, 32), (64, 2, 32), (4096, 4, 32), (16384, 2, 8), (128, 4, 32)])
def test_misses_equal_an_obvious_model(size, ways, line):
    cache, rng = ms.Cache('D', size, ways, line), np.random.default_rng(0)
    system = ms.MemorySystem('one cache', (ms.Place('SRAM', 0, 1 << 20, ms.AT_ONCE, 'D'),), (cache,))
    near = np.cumsum(rng.integers(-3 * size // 4, size, 3000) * (rng.random(3000) < .3)) % (1 << 20) & ~3
    counter = ms.AccessCounter(system)
    for a in near.tolist(): counter.access(a)
    seen = counter.counts()['rest', 'SRAM', 'load']
    assert seen == misses_of(cache, near.tolist())
    assert 100 < seen < 3000                                          # the trace both hits and misses


def test_code_and_data_may_share_a_cache():
    system = ms.MemorySystem('XIP', (ms.Place('flash', 0, 1 << 20, 'X', 'X'),), (ms.Cache('X', 64, 2, 8),))
    counter = ms.AccessCounter(system)
    counter.block(0, 16)
    counter.access(8)
    counter.access(16)
    assert {k[2]: n for k, n in counter.counts().items()} == dict(fetches=1, next=1, jump=1, loads=2, load=1)


@pytest.fixture(scope='module')
def built(tmp_path_factory):
    net = random_graph(seed=3, shape=(8, 8, 3), width=8, heads=2, sparsity=.7)
    firmware = generate(net, target('stm32f746'), tmp_path_factory.mktemp('memory')/'net')
    return net, firmware, simulator.build(firmware, 'zig')


def picture(net):
    shape = 1, *net.tensors[net.input].shape
    return np.random.default_rng(0).integers(-128, 128, shape).astype(np.int8)


def test_counting_in_c_equals_counting_in_python(built, monkeypatch):
    "Bytes, instructions by operator, blocks and jumps; the kernels hold loads under IT."
    net, firmware, image = built
    x, seen = picture(net), []
    for why, memory in (('no compiler', None), ('', None), ('', ms.SYSTEMS['stm32f746'])):
        monkeypatch.setattr(emulator, 'unavailable', lambda: why)
        emu = simulator._prepared(image, firmware)
        emu.memory = memory
        out = emu.invoke(x[0], net.tensors[net.output].nbytes, count=True)
        assert (emu.hook is not None) == bool(why)
        seen.append((out.tobytes(), emu.profile(), emu.hits, emu.jumps))
    assert seen[0] == seen[1] == seen[2] and seen[0][0] == run(net, x).tobytes()
    assert 100 < sum(emu.jumps.values()) < sum(emu.hits.values())


def test_every_access_is_counted(built):
    "As many loads and stores as a hook in Python sees."
    from unicorn import UC_HOOK_MEM_READ, UC_HOOK_MEM_WRITE
    net, firmware, image = built
    emu, seen = simulator._prepared(image, firmware), dict(loads=0, stores=0)
    emu.memory = ms.SYSTEMS['stm32f746']
    def see(uc, kind, address, size, value, _): seen['loads' if kind == 16 else 'stores'] += 1
    emu.uc.hook_add(UC_HOOK_MEM_READ | UC_HOOK_MEM_WRITE, see)
    emu.invoke(picture(net)[0], net.tensors[net.output].nbytes, count=True)
    counts = emu.counter.counts()
    assert {e: sum(n for (_, _, event), n in counts.items() if event == e) for e in seen} == seen
    assert seen['loads'] > seen['stores'] > 1000


def test_without_a_compiler_the_columns_say_so(built, monkeypatch):
    net, firmware, image = built
    def none(): raise MissingTool('no C compiler for host found')
    monkeypatch.setattr(ms, 'library', none)
    sim = simulator.simulate(image, firmware, picture(net), progress=False)
    assert (sim.stalls, sim.stall_cycles, sim.clock_cycles) == (None, None, None)
    assert sim.no_stalls == 'no C compiler for host found' and sim.instructions > 10_000


def test_systems_cover_the_memory_of_their_targets():
    "Flash and SRAM that a target's image is linked for lie in places of its model, without overlap."
    boards = {t.name: t for t in targets()}
    for name, system in ms.SYSTEMS.items():
        spans = sorted((p.first, p.first + p.size) for p in system.places)
        assert all(a[1] <= b[0] for a, b in zip(spans, spans[1:])), name
        for start, size in ((boards[name].flash_start, boards[name].flash_bytes),
                            (boards[name].sram_start, boards[name].sram_bytes)):
            for at in range(start, start + size, 4096): assert any(a <= at < b for a, b in spans), (name, hex(at))
        known = {c.name for c in system.caches} | {ms.AT_ONCE, ms.SLOW}
        assert {p.code for p in system.places} | {p.data for p in system.places} <= known


def test_a_written_back_line_counts_where_it_lies():
    "A load from flash throws a changed line of SRAM out of the cache that both share: SRAM is written."
    places = (ms.Place('flash', 0, 4096, ms.AT_ONCE, 'D'),
              ms.Place('SRAM', 4096, 4096, ms.AT_ONCE, 'D', keeps=True, allocates=True))
    counter = ms.AccessCounter(ms.MemorySystem('shared', places, (ms.Cache('D', 64, 1),)))
    counter.access(4096, 4, True)
    counter.access(0)
    back = [place for (_, place, event) in counter.counts() if event == 'back']
    assert back == ['SRAM'] and counter.counts()['rest', 'SRAM', 'back'] == 1


def test_a_chip_without_a_model_is_refused():
    assert ms.memory_of('rp2040').place('flash').load == ms.Cycles(40, 60, 90)
    with pytest.raises(BadInput, match='no model of the memories of samd21: there is one of stm32f746'):
        ms.memory_of('samd21')
