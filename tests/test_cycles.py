"""Estimated cycles: blocks are cut where runs begin, IT and calls are rewritten, llvm-mca is asked once for a block."""
import pytest

from tinyformer import bench, cycles
from tinyformer.errors import BadInput, MissingTool, SimulationFailed
from tinyformer.hardware import target

LOOP = '0121 0022 013a fdd1 7047'.replace(' ', '')     # movs r1, #1; movs r2, #0; L: subs r2, #1; bne L; bx lr


def memory(code, at=0x1000):
    return lambda address, n: code[address - at:address - at + n]


def test_plain_rewrites_what_llvm_mca_refuses():
    refused = ('cmp r0, #0', 'ite lt', 'addlt.w r1, r1, #1', 'movge r1, r0', 'bl #12', 'blx r3', 'bls #4',
               'bic r0, r0, #1')
    taken = ('cmp r0, #0', 'nop', 'add.w r1, r1, #1', 'mov r1, r0', 'b #12', 'bx r3', 'bls #4',
             'bic r0, r0, #1')
    assert cycles.plain(refused) == taken


def test_time_in_words_or_why_there_is_none(monkeypatch):
    m7, m33 = target('stm32f746'), target('rp2350')
    none, core = dict(est_cycles=None, stall_cycles=[1, 2, 3]), dict(est_cycles=216_000)
    said = cycles.time_text(core | dict(stall_cycles=[54_000, 108_000, 216_000]), m7)
    assert said == '1.5 ms at 216 MHz (1.2 to 2.0), estimated: core 1.0, modelled waiting for memory 0.5'
    said = cycles.time_text(core | dict(stall_cycles=[108_000] * 3), m7)
    assert said == '1.5 ms at 216 MHz, estimated: core 1.0, modelled waiting for memory 0.5'
    alone = '1.0 ms at 216 MHz, estimated for the core alone: its waiting for memory is unknown'
    assert cycles.time_text(core, m7) == alone
    assert cycles.milliseconds(None, m33) is None
    assert cycles.time_text(none, m33) == 'unknown: no cycles are known for cortex-m33'
    assert cycles.time_text(none, m7) == 'unknown without llvm-mca'
    assert (cycles.three(none), cycles.three(core)) == ((None, 2, None), (216_000, None, 216_000))
    assert cycles.three_ms(core | dict(stall_cycles=[0, 216_000, 0]), m7) == ('1.0', '1.0', '2.0')
    assert cycles.three_ms(none, m7) == ('unknown', '0.0', 'unknown')
    monkeypatch.setattr(cycles, 'available', lambda: True)
    cycles.require_cycles(m7, '--max-ms')
    with pytest.raises(BadInput, match='--max-ms: .* no cycles are known for cortex-m33. .*--max-instructions'):
        cycles.require_cycles(m33, '--max-ms')
    monkeypatch.setattr(cycles, 'available', lambda: False)
    with pytest.raises(BadInput, match='without llvm-mca. Please install it'): cycles.require_cycles(m7, '--max-ms')


def test_a_program_may_say_what_is_no_text(tmp_path, monkeypatch):
    "A message in another encoding than ours, or cut in a letter, is shown as far as it goes."
    tool = tmp_path/'llvm-mc'
    tool.write_text("#!/bin/sh\nprintf 'caf\\351 \\316' >&2; exit 1\n")
    tool.chmod(0o755)
    monkeypatch.setattr(cycles, 'find_llvm', lambda name='': tool)
    with pytest.raises(SimulationFailed, match='caf\ufffd \ufffd'): cycles.disassemble([b'\x00\xbf'])


@pytest.mark.parametrize('text,flows', [
    ('bne #-4', 1), ('b.w #-4', 1), ('bl #8', 1), ('bx lr', 1), ('cbz r0, #4', 1), ('tbb [pc, r0]', 1),
    ('pop {r4, pc}', 1), ('pop.w {r4, r5, pc}', 1), ('ldr pc, [r3]', 1), ('bic r0, r0, #1', 0),
    ('bfi r0, r1, #0, #8', 0), ('ldr r0, [pc, #16]', 0), ('ldr.w r0, [pc, #16]', 0), ('push {r4, lr}', 0),
    ('adr r0, #8', 0)])
def test_flow(text, flows): assert bool(cycles._FLOW.match(text)) == bool(flows)


@pytest.mark.needs('llvm-mca')
def test_blocks_are_cut_where_a_run_begins():
    read = memory(bytes.fromhex(LOOP))
    hits = {('op', 0x1000, 8): 1, ('op', 0x1004, 4): 9, ('op', 0x1008, 2): 1}
    found = cycles.basic_blocks(hits, read)
    assert {at: times for (_, at), (times, _) in found.items()} == {0x1000: 1, 0x1004: 10, 0x1008: 1}
    assert [len(text) for _, text in found.values()] != [4, 2, 1]
    assert found['op', 0x1000][1] == ('movs r1, #1', 'movs r2, #0')


@pytest.mark.needs('llvm-mca')
def test_halves_of_a_block_are_joined_and_owners_kept_apart():
    read = memory(bytes.fromhex(LOOP))
    found = cycles.basic_blocks({('a', 0x1000, 2): 3, ('a', 0x1002, 6): 3, ('b', 0x1002, 6): 1}, read)
    assert {k: v[0] for k, v in found.items()} == {('a', 0x1000): 3, ('b', 0x1002): 1}
    assert len(found['a', 0x1000][1]) == 4 and len(found['b', 0x1002][1]) == 3


@pytest.mark.needs('llvm-mca')
def test_block_cycles():
    cost = cycles.block_cycles([('smlad r0, r1, r2, r0',), ('bl #100',), ('it eq', ), (),
                                ('ldr r1, [r3], #4', 'smlad r0, r1, r2, r0', 'dsb sy')])
    smlad, call, it, empty, loads = cost.values()
    assert 1 <= smlad < 3 and call < 5 and 0 < it < 5 and empty == 0 and loads > smlad


@pytest.mark.needs('llvm-mca')
def test_a_row_has_cycles_that_repeat():
    row, again = (bench.measure('linear', tokens=16, cin=16, cout=8) for _ in range(2))
    assert row['est_cycles'] == again['est_cycles'] and .3 < row['est_cycles'] / row['instructions'] < 3


def test_without_llvm(monkeypatch):
    monkeypatch.setenv('PATH', '')
    assert not cycles.available() and cycles.est_cycles(None) is None
    with pytest.raises(MissingTool, match='llvm'): cycles.find_llvm()


# ---- cores whose manual gives the cycles

@pytest.mark.parametrize('text, count', [                              # the first four: the manual's own examples
    ('ldr r0, [r1]; ldr r1, [r2]', 3), ('ldr r0, [r1, r2]; str r0, [r3, #20]', 3),
    ('ldr r0, [r1, r2]; str r1, [r3, r2]', 3), ('ldr r0, [r1, r5]; ldr r1, [r2]; ldr r2, [r3, #4]', 4),
    ('ldr r0, [r1]; ldr r2, [r0]', 4),                                 # the address is what was loaded
    ('adds r1, r2, r3; ldr r0, [r1]', 4), ('adds r4, r2, r3; ldr r0, [r1]', 3),   # or what was just computed
    ('str r0, [r1, #4]', 1), ('str r0, [r1, r2]', 2), ('ldrd r0, r1, [r2]', 3),
    ('ldm r0!, {r1, r2, r3}', 4), ('push.w {r4, r5, lr}', 4), ('vpush {s0, s1}', 3),
    ('mul r0, r1, r2', 1), ('mla r0, r1, r2, r3', 1), ('smlad r0, r1, r2, r3', 1), ('udiv r0, r1, r2', 6),
    ('vpush {d8, d9}', 5), ('vldr s0, [r1]', 2), ('vldr d0, [r1]', 3), ('vmov s0, r1', 2), ('vmov.f32 s0, s1', 1),
    ('cmp r0, #0; bne #-4', 2), ('tbb [pc, r0]', 2), ('mrs r0, primask', 2)])
def test_cycles_of_a_cortex_m4(text, count):
    assert cycles.manual_cycles(tuple(text.split('; ')), 'cortex-m4') == count


@pytest.mark.parametrize('text, count', [('ldr r0, [r1]; ldr r1, [r2]', 4), ('push {r4, lr}', 3),
                                         ('muls r0, r1, r0', 1), ('str r0, [r1]; adds r0, #1', 3)])
def test_cycles_of_a_cortex_m0plus(text, count):
    assert cycles.manual_cycles(tuple(text.split('; ')), 'cortex-m0plus') == count


def test_cycles_of_a_jump():
    said = {'b #4': (1, 1), 'bne #4': (1, 1), 'bl #8': (1, 2), 'bls #8': (1, 1), 'bx lr': (2, 1),
            'pop {r4, pc}': (2, 2)}
    for text, each in said.items():
        assert tuple(cycles.jump_cycles(text, c) for c in ('cortex-m4', 'cortex-m0plus')) == each
    for text, least in (('ldr pc, [r0, r1]', 5), ('tbb [pc, r0]', 6)):     # in all, by the manual
        assert cycles.manual_cycles((text,), 'cortex-m4') + cycles.jump_cycles(text, 'cortex-m4') == least


@pytest.mark.needs('llvm-mca')
def test_a_loop_on_a_cortex_m4_by_hand():
    "Ten times round: 2 + 10 * 2 instructions of a cycle, nine jumps back, and the return."
    class Ran:
        core, read = 'cortex-m4', staticmethod(memory(bytes.fromhex(LOOP)))
        hits = {('op', 0x1000, 8): 1, ('op', 0x1004, 4): 9, ('op', 0x1008, 2): 1}
        jumps = {('op', 0x1000, 8): 1, ('op', 0x1004, 4): 8, ('op', 0x1008, 2): 1}
    assert cycles.cycle_profile(Ran) == {'op': 2 + 20 + 1 + 9 * 1 + 2}
    wide = bytes.fromhex('0121 0022 00bf aff3 0080 fbe7'.replace(' ', ''))   # ..., nop, L: nop.w, b L
    Ran.read, Ran.hits = staticmethod(memory(wide)), {('op', 0x1000, 12): 1, ('op', 0x1006, 6): 4}
    Ran.jumps = {('op', 0x1000, 12): 1, ('op', 0x1006, 6): 3}
    assert cycles.cycle_profile(Ran) == {'op': 3 + 5 * 2 + 4 * 1 + 4 * 1}
