"""The emulated core returns the reference's bytes, counts exactly, and turns faults into errors."""
import numpy as np
import pytest
from unicorn.arm_const import UC_ARM_REG_R0
from unicorn.riscv_const import UC_RISCV_REG_A0

from tinyformer import emulator, qemu, simulator as sim
from tinyformer.codegen import generate
from tinyformer.errors import BadInput, DoesNotFit, SimulationFailed
from tinyformer.graph import Graph, Op, Tensor, random_graph, run
from tinyformer.hardware import CORES, WASM, Core, target, targets
from tinyformer.toolchain import compile_image, firmware_dir, sections

BOARD = target('stm32f746')
BOTH = pytest.mark.parametrize('cc', ['zig', pytest.param('gcc', marks=pytest.mark.needs('gcc'))])
PORTS = firmware_dir()/'ports'

CODE = r'''
#include <stdint.h>
#include <string.h>
int32_t counter = 5;
int32_t cleared[4];
/* 2 + 4 * n instructions, the one that IT skips included, and the return */
__attribute__((naked)) int32_t loop(int32_t n) {
    __asm__ volatile("movs r1, #0\n"
                     "1: adds r1, #3\n"
                     "subs r0, #1\n"
                     "nop.w\n"
                     "bne 1b\n"
                     "bx lr\n");
}
/* 5 instructions whether the condition holds or not */
__attribute__((naked)) int32_t choose(int32_t x) {
    __asm__ volatile("cmp r0, #0\n"
                     "ite lt\n"
                     "movlt r0, #11\n"
                     "movge r0, #22\n"
                     "bx lr\n");
}
int32_t bump(void) { return ++counter + cleared[2]; }
int32_t six(int32_t a, int32_t b, int32_t c, int32_t d, int32_t e, int32_t f) {
    return a + 10 * b + 100 * c + 1000 * d + 10000 * e + 100000 * f;
}
int32_t peek(const int32_t *p) { return *p; }
void poke(int32_t *p, int32_t v) { *p = v; }
int32_t spin(volatile int32_t *p) { while (*p == 0) {} return 1; }
int32_t deep(int32_t n) { volatile int32_t row[16]; row[n & 15] = n; return n == 0 ? 0 : deep(n - 1) + row[n & 15]; }
__attribute__((noinline)) int32_t inner(const int8_t *p, int32_t n) {
    int32_t s = 0;
    for (int32_t i = 0; i < n; i++) s += p[i];
    return s;
}
__attribute__((noinline)) int32_t first(const int8_t *p) { return inner(p, 10) + 1; }
__attribute__((noinline)) int32_t second(const int8_t *p) { return inner(p, 20) + 2; }
int32_t outer(const int8_t *p) { return 3 * first(p) + second(p); }
int32_t tfm_invoke(const int8_t *in, int8_t *out) { *out = *in; return 3; }
void copy_words(void *to, const void *from, uint32_t n) { memcpy(to, from, n); }
void clear(void *to, int value, uint32_t n) { memset(to, value, n); }
'''


@pytest.fixture(scope='module', params=['zig', pytest.param('gcc', marks=pytest.mark.needs('gcc'))])
def emu(request, tmp_path_factory):
    path = tmp_path_factory.mktemp('c')/'parts.c'
    path.write_text(CODE)
    return sim.Emulator(compile_image([path, PORTS/'cortex_m'/'memory.c'], PORTS/'cortex_m'/'bare.ld',
                                      cc=request.param))


def images(g, n, seed=0):
    return np.random.default_rng(seed).integers(-128, 128, (n, *g.tensors[g.input].shape), dtype=np.int8)


@pytest.fixture(scope='module')
def graph(): return random_graph(seed=5, shape=(4, 8, 3), width=8, heads=2, classes=7)


@pytest.fixture(scope='module')
def firmware(graph, tmp_path_factory): return generate(graph, BOARD, tmp_path_factory.mktemp('fw')/'f')


# ---- one function at a time

@pytest.mark.parametrize('n', [1, 2, 7, 1000])
def test_loop_count_is_exact(emu, n):
    emu.call('loop', n, count=True)
    assert emu.instructions == 2 + 4 * n


@pytest.mark.parametrize('x, y', [(-1, 11), (0, 22), (5, 22)])
def test_skipped_instructions_are_counted(emu, x, y):
    assert emu.call('choose', x, count=True) == y and emu.instructions == 5


def test_count_again_after_uncounted_calls(emu):
    for _ in range(3):
        emu.call('loop', 9, count=True)
        assert emu.instructions == 38
        emu.call('loop', 9)
        assert emu.instructions == 0


def test_profile_by_function(emu):
    a = emu.alloc(np.arange(20, dtype=np.int8))
    emu.marks = {'first': 'A', 'second': 'B', 'outer': 'rest'}
    assert emu.call('outer', a, count=True) == 3 * (45 + 1) + 190 + 2
    p = emu.profile()
    assert set(p) == {'A', 'B', 'rest'} and p['B'] > p['A'] > p['rest'] > 0
    assert sum(p.values()) == emu.instructions
    emu.marks = {}
    emu.call('outer', a, count=True)
    assert emu.profile() == {'rest': sum(p.values())}


def test_arguments_beyond_four(emu): assert emu.call('six', 1, 2, 3, 4, 5, -6) == 54321 - 600000


def test_variables_keep_their_values_until_reset(emu):
    emu.write(emu.address('counter'), np.int32([5]))
    emu.write(emu.address('cleared'), np.int32([0, 0, 100, 0]))
    assert [emu.call('bump') for _ in range(2)] == [106, 107]


@pytest.mark.parametrize('n', [0, 1, 3, 4, 5, 31, 64])
@pytest.mark.parametrize('shift', [0, 1, 2, 3])
def test_copy_and_clear(emu, n, shift):
    emu.free()
    data = bytes(range(1, 81))
    src, dst = emu.alloc(data), emu.alloc(b'\xEE' * 96)
    emu.call('copy_words', dst + 8 + shift, src + shift, n)
    assert emu.read(dst, 96) == b'\xEE' * (8 + shift) + data[shift:shift + n] + b'\xEE' * (88 - shift - n)
    emu.call('clear', dst + 8 + shift, 0x1C3, n)
    assert emu.read(dst, 96) == b'\xEE' * (8 + shift) + b'\xC3' * n + b'\xEE' * (88 - shift - n)


@pytest.mark.parametrize('call, words',
                         [(('peek', 0x4), r'peek faulted: read of 4 bytes at 0x00000004, pc 0x08\w+ in peek\+\d+'),
                                         (('poke', 0x08000000, 1), 'write of 4 bytes at 0x08000000'),
                                         (('peek', 0xE000E010), 'read of 4 bytes at 0xe000e010')])
def test_faults_name_the_place(emu, call, words):
    with pytest.raises(SimulationFailed, match=words): emu.call(*call)
    assert emu.call('choose', 3) == 22   # and the emulator is still good


def test_endless_loop_is_stopped(emu):
    with pytest.raises(SimulationFailed, match='did not return within 200 ms.*spin'):
        emu.call('spin', emu.alloc(bytes(4)), timeout_ms=200)


def test_an_image_without_a_model_cannot_be_invoked(tmp_path):
    (tmp_path/'none.c').write_text('int one(void) { return 1; }\n')
    bare = sim.Emulator(compile_image([tmp_path/'none.c'], PORTS/'cortex_m'/'bare.ld', cc='zig'))
    assert bare.call('one') == 1
    with pytest.raises(BadInput, match='holds 0 models'): bare.invoke(np.int8([1]), 1)


def test_registers_are_those_of_the_calling_convention():
    arm, riscv = sim.FAMILIES['arm'], sim.FAMILIES['riscv']
    assert (len(arm.args), len(riscv.args), arm.thumb, riscv.thumb) == (4, 8, 1, 0)
    assert arm.args[0] == UC_ARM_REG_R0 and riscv.args[0] == UC_RISCV_REG_A0


def test_status_becomes_an_error(emu):
    with pytest.raises(SimulationFailed, match='status 3'): emu.invoke(np.int8([1]), 1)


def test_bad_requests(emu):
    with pytest.raises(BadInput, match='nowhere'): emu.call('nowhere')
    with pytest.raises(BadInput, match='not all memory'): emu.read(0x10, 4)
    with pytest.raises(BadInput, match='not all memory'): emu.write(0x10, b'abcd')
    with pytest.raises(BadInput, match='do not fit'): emu.alloc(1 << 30)
    emu.free()


def test_stack_grows_with_depth(emu):
    used = []
    for depth in (0, 10, 20, 30):
        emu.paint()
        emu.call('deep', depth)
        used.append(emu.stack_used())
    steps = np.diff(used)
    assert used[0] >= 4 and (steps >= 500).all()


def test_decoder_knows_both_lengths():
    assert sim.count_instructions(b'') == 0
    for top in range(32):    # every value of the five bits that decide
        half = (top << 11).to_bytes(2, 'little')
        assert sim.count_instructions(half * 2) == (1 if top >= 0b11101 else 2)


# ---- whole models

@pytest.mark.parametrize('seed, cc', [(0, 'zig'), (1, 'zig'), pytest.param(1, 'gcc', marks=pytest.mark.needs('gcc'))])
def test_every_byte_equals_the_reference(tmp_path, seed, cc):
    g = random_graph(seed=seed, shape=(4, 8, 2 + seed), width=6 + 2 * seed, heads=2, classes=5 + seed,
                     sparsity=(.5, .95)[seed])
    fw, x = generate(g, BOARD, tmp_path/'fw'), images(g, 12, seed)
    res = sim.simulate(sim.build(fw, cc), fw, x, profile_images=1, progress=False)
    print(f'{res.outputs.size} bytes compared')
    assert res.outputs.shape == (12, 5 + seed) and res.outputs.size > 0
    assert (res.outputs == run(g, x)).all() and (sim.run_host(fw, x) == res.outputs).all()


@BOTH
def test_profile_adds_up(firmware, graph, cc):
    res = sim.simulate(sim.build(firmware, cc), firmware, images(graph, 3), profile_images=3, progress=False)
    assert list(res.per_op) == [o.name for o in graph.ops] and min(res.per_op.values()) > 0
    assert sum(res.per_op.values()) + res.rest == res.instructions and 0 < res.rest < 1000
    assert res.instructions_range[0] - len(graph.ops) <= res.instructions <= res.instructions_range[1] + len(graph.ops)
    assert res.images == res.profiled == 3


@BOTH
def test_high_water_marks(firmware, graph, cc):
    image = sim.build(firmware, cc)
    res = sim.simulate(image, firmware, images(graph, 2), progress=False)
    assert firmware.arena_bytes - firmware.plan.align < res.arena_high_water <= firmware.arena_bytes
    assert 64 < res.stack_bytes < 2048
    assert image.bss_bytes >= firmware.arena_bytes + images(graph, 1).nbytes
    assert image.flash_bytes > firmware.weights_bytes


def test_callers_arena(firmware, graph):
    emu, x = sim.Emulator(sim.build(firmware, 'zig').elf), images(graph, 1)
    i, o, arena = emu.alloc(x), emu.alloc(7), emu.alloc(b'\x77' * firmware.arena_bytes)
    before = emu.read(*emu.symbols[f'{emu.prefix}_arena'])
    assert emu.call(f'{emu.prefix}_invoke_with', arena, i, o) == 0
    assert emu.read(o, 7) == run(graph, x).tobytes() and emu.read(*emu.symbols[f'{emu.prefix}_arena']) == before
    assert emu.call(f'{emu.prefix}_invoke_with', arena + 4, i, o) == 4
    assert [emu.call(f'{emu.prefix}_invoke_with', *a) for a in ((0, i, o), (arena, 0, o), (arena, i, 0))] == [1, 1, 1]


@BOTH
def test_a_model_without_an_arena(tmp_path, cc):
    "One operator without scratch: the linker drops the array that nobody touches."
    g = Graph({'x': Tensor('x', (4, 6, 5), .1, 3), 'y': Tensor('y', (2, 3, 5), .1, 3)},
              [Op('maxpool2x2', 'pool', ['x'], 'y', dict(h=4, w=6, c=5))], 'x', 'y', 'pool')
    fw, x = generate(g, BOARD, tmp_path/'fw', check=True), images(g, 3)
    res = sim.simulate(sim.build(fw, cc), fw, x, progress=False)
    assert (res.outputs == run(g, x)).all() and res.arena_high_water == 0
    assert fw.arena_bytes == fw.plan.align and fw.plan.peak == 0


def test_reset_initialises_variables(firmware):
    emu = sim.Emulator(sim.build(firmware, 'zig').elf)
    assert emu.read(emu.address('tfm_result'), 4) == b'\xff' * 4 and emu.read(emu.address('tfm_cycles'), 4) == bytes(4)


@pytest.mark.parametrize('what, cc', [('flash', 'zig'), ('sram', 'zig'),
                                      pytest.param('flash', 'gcc', marks=pytest.mark.needs('gcc'))])
def test_linked_image_over_budget(tmp_path, graph, firmware, what, cc):
    budget = dict(flash_bytes=firmware.weights_bytes
                  + 200) if what == 'flash' else dict(sram_bytes=firmware.arena_bytes + 1000)
    fw = generate(graph, BOARD.with_budget(**budget), tmp_path/'fw')
    with pytest.raises(DoesNotFit, match=rf"\.\w+.*: \d+ bytes too many for {dict(flash='flash', sram='SRAM')[what]}"):
        sim.build(fw, cc)
    assert not list(fw.folder.glob('build/*'))


def test_wrong_images(firmware, graph):
    image = sim.build(firmware, 'zig')
    for bad in (images(graph, 2).astype(np.uint8), images(graph, 2)[:, 1:], images(graph, 0)):
        with pytest.raises(BadInput, match='int8 images of shape'): sim.simulate(image, firmware, bad, progress=False)
        with pytest.raises(BadInput, match='int8 images of shape'): sim.run_host(firmware, bad)


def test_no_port_no_image(tmp_path, graph):
    with pytest.raises(BadInput, match='no start-up code'):
        sim.build(generate(graph, BOARD, tmp_path/'fw', port='host'))


# ---- other cores

@pytest.mark.needs('gcc')
@pytest.mark.parametrize('name, emulated', [('rp2040', 'Cortex-M0'), ('nrf52840', 'Cortex-M4'),
                                            ('stm32u575', 'Cortex-M33'), ('stm32n657', 'Cortex-M33'),
                                            ('stm32h743', 'Cortex-M7'), ('esp32c3', 'RV32IMC')])
def test_every_core_returns_the_reference_bytes(tmp_path, graph, name, emulated):
    "One board of each core, from reset to the last byte; cycles are not those of another core."
    board = target(name)
    fw = generate(graph, board, tmp_path/'fw')
    image, x = sim.build(fw), images(graph, 3)
    s = sim.simulate(image, fw, x, progress=False)
    print(f'{s.outputs.size} bytes compared on a {board.cpu.emulated}, {s.instructions:,} instructions')
    assert (s.outputs == run(graph, x)).all() and s.stack_bytes > 0 and s.arena_high_water <= fw.arena_bytes
    assert board.cpu.emulated == emulated and (s.cycles is None) == (not board.cpu.cycle_model)
    assert bool(board.cpu.cycle_model) == (name in ('rp2040', 'nrf52840', 'stm32h743'))
    if board.cpu.cycle_model == 'manual': assert s.instructions < s.est_cycles < 2 * s.instructions
    symbols = sim.sections(image.elf)['symbols']
    assert (symbols['_flash_start'][0], symbols['_ram_start'][0]) == (board.flash_start, board.sram_start)
    assert all(c.cycles is None for c in fw.choices.values()) == (not (board.cpu.cost_table and board.cpu.cycle_model))


def test_code_of_another_core_is_refused_by_the_emulator(tmp_path, graph):
    "The model of the core is really used: a Cortex-M0 does not know the instructions of a Cortex-M4."
    fw = generate(graph, target('nrf52840'), tmp_path/'fw')
    elf = sim.build(fw, 'zig').elf
    assert sim.Emulator(elf, 'cortex-m4').prefix == fw.prefix
    with pytest.raises(SimulationFailed): sim.Emulator(elf, 'cortex-m0plus').invoke(images(graph, 1)[0], 7)


def test_a_core_without_a_model_is_refused(monkeypatch):
    monkeypatch.setitem(CORES, 'abacus', Core('abacus'))
    with pytest.raises(BadInput, match='no model of a abacus; it has models for cortex-m7'):
        sim.new_core('abacus')


# ---- QEMU, the second opinion

@pytest.mark.needs('qemu')
@BOTH
@pytest.mark.parametrize('name', [t.name for t in targets() if t.machine])
def test_qemu_agrees(tmp_path, graph, cc, name):
    "A Cortex-M7, M33 and M55: the same bytes and the same count."
    x, board = images(graph, 1, seed=9)[0], target(name)
    image = sim.build(generate(graph, board, tmp_path/'fw', example=x), cc)
    out, ticks = sim.qemu(image)
    emu = sim.Emulator(image.elf, board.core)
    assert (emu.invoke(x, 7, count=True) == out).all() and (out == run(graph, x[None])[0]).all()
    print(f'QEMU {ticks}, block hooks {emu.instructions}')
    assert abs(emu.instructions - ticks) <= 2 * sim.qemu_tick(board)


def test_qemu_wants_its_own_port(firmware):
    with pytest.raises(BadInput, match='mps2_an500'): sim.qemu(sim.build(firmware, 'zig'))


# ---- WebAssembly

@pytest.mark.needs('node')
def test_node_returns_the_reference_bytes(tmp_path, graph):
    fw, x = generate(graph, WASM, tmp_path/'fw'), images(graph, 3)
    module = sim.build_wasm(fw)
    assert (sim.run_wasm(module, fw, x) == run(graph, x)).all()
    text = (fw.folder/'model.c').read_text()
    (fw.folder/'model.c').write_text(text.replace('return TFM_OK;', 'return TFM_ERR_DIMS;'))
    with pytest.raises(SimulationFailed, match='in Node: status 2'): sim.run_wasm(sim.build_wasm(fw), fw, x)


def test_a_large_model_gets_the_time_that_a_slow_machine_needs(firmware, graph, monkeypatch):
    "The limit of a call grows with the instructions that the model is predicted to take."
    given, predicted = [], sum(c.instructions for c in firmware.choices.values())
    right = emulator.execute
    def seen(uc, start, until, ms, family):
        given.append(ms)
        return right(uc, start, until, ms, family)
    monkeypatch.setattr(emulator, 'execute', seen)
    monkeypatch.setattr(emulator, 'SLOWEST', 1e-3)
    sim.simulate(sim.build(firmware), firmware, images(graph, 2), progress=False)
    assert given[1:] and set(given[1:]) == {60_000 + predicted * 1000} and predicted > 1000


def test_qemu_is_told_where_an_image_begins(tmp_path, graph):
    "A Cortex-M55 begins at an address that is too small for a large model."
    assert qemu.qemu_tick(target('mps2_an500')) == 40
    far = sim.build(generate(graph, target('mps3_an547'), tmp_path/'far'), 'zig')
    assert qemu._loader(far.elf, tmp_path)[1].endswith('first,addr=268435456,force-raw=on')
    assert len((tmp_path/'first').read_bytes()) == 8
    near = sim.build(generate(graph, target('mps2_an500'), tmp_path/'near'), 'zig')
    assert qemu._loader(near.elf, tmp_path) == []
