"Targets and budgets: every name, every refusal, and the DSP instructions against plain arithmetic."
import dataclasses
import matplotlib
matplotlib.use('agg')
import matplotlib.pyplot as plt
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from tinyformer.errors import BadInput, UnknownTarget
from tinyformer.hardware import (CORES, FEATURES, F746_MEMORY, KB, MB, Core, Target, core, format_bytes, parse_bytes,
                                 plot_boards, plot_fit, plot_memory, require_port, target, targets)
from tinyformer.instructions import milliseconds, pack16, signed, smlad, sxtb16

quick = settings(deadline=None, derandomize=True, max_examples=200)
word, half, byte = st.integers(0, 2**32 - 1), st.integers(-2**15, 2**15 - 1), st.integers(-128, 127)


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close('all')


def test_main_target_has_the_paper_figures():
    t = target('stm32f746')
    assert (t.flash_bytes, t.sram_bytes, t.clock_hz, t.core) == (1 * MB, 320 * KB, 216_000_000, 'cortex-m7')
    assert t.has('dsp') and not t.has('mve') and targets()[0] == t


def test_every_target_is_complete_and_found_by_its_name():
    assert len(targets()) >= 8
    for t in targets():
        assert target(t.name) is t and t.board and len(t.note) > 20
        assert set(t.features) <= set(FEATURES) and t.flash_bytes >= t.sram_bytes > 0
        assert t.name in t._repr_markdown_() and hash(t)
    assert {t.core for t in targets()} >= {'cortex-m0plus', 'cortex-m4', 'cortex-m7', 'cortex-m33', 'cortex-m55'}


def test_cores_without_dsp_do_not_claim_it():
    for t in targets(): assert t.has('dsp') == (t.core not in ('cortex-m0plus', 'riscv32'))


def test_the_list_cannot_be_changed_by_its_reader():
    targets().clear()
    assert targets()
    with pytest.raises(dataclasses.FrozenInstanceError): target('rp2040').sram_bytes = 1


@pytest.mark.parametrize('name, near', [('stm32f764', 'stm32f746'), ('STM32F746 ', 'stm32f746'), ('rp2041', 'rp2040'),
                                        ('mps2-an500', 'mps2_an500')])
def test_unknown_target_names_the_nearest_and_all(name, near):
    with pytest.raises(UnknownTarget) as e: target(name)
    assert f'Did you mean {near}?' in str(e.value)
    for t in targets(): assert t.name in str(e.value)


@pytest.mark.parametrize('name', ['', 'zzz', None, 3])
def test_unknown_target_without_a_near_one(name):
    with pytest.raises(UnknownTarget, match='Known targets: stm32f746'): target(name)


def test_sram_of_the_f746_is_one_piece():
    sram = [r for r in F746_MEMORY if r.start >= 0x2000_0000]
    assert all(a.start + a.size == b.start for a, b in zip(sram, sram[1:]))
    assert sum(r.size for r in sram) == target('stm32f746').sram_bytes


@pytest.mark.parametrize('text, size', [('32KB', 32768), ('32kb', 32768), (' 32 KB ', 32768), ('1MB', MB),
                                        ('0.5 MiB', MB // 2), ('17', 17), ('17B', 17), (17, 17), ('2k', 2048),
                                        ('1.5k', 1536), ('2MiB', 2 * MB), ('-1KB', -1024), ('320KB', 320 * KB)])
def test_parse_bytes(text, size): assert parse_bytes(text) == size


@pytest.mark.parametrize('text', ['', 'KB', '1 GB', '1.0001KB', 'nan', 'inf', '-inf', 'ten', None, True, 2.5, [],
                                  '1 2 KB', 'K1', '32 bananas', '0.3KB', 1.5])
def test_parse_bytes_refuses(text):
    with pytest.raises(BadInput, match='write it like'): parse_bytes(text)


SIZES = (17, '17 B'), (1024, '1 KB'), (1536, '1.5 KB'), (320 * KB, '320 KB'), (MB, '1 MB')


@pytest.mark.parametrize('size, text', SIZES)
def test_format_bytes(size, text): assert format_bytes(size) == text


@quick
@given(st.integers(0, MB // 256))
def test_quarter_kilobytes_survive_text(n): assert parse_bytes(format_bytes(n * 256)) == n * 256


def test_budget():
    t = target('stm32f746')
    tight = t.with_budget(flash_bytes='32KB', sram_bytes=16384)
    assert (tight.flash_bytes, tight.sram_bytes) == (32768, 16384)
    assert dataclasses.replace(tight, flash_bytes=t.flash_bytes, sram_bytes=t.sram_bytes) == t
    assert tight.with_budget('1MB', '320KB') == t and t.with_budget(sram_bytes=1).sram_bytes == 1


@pytest.mark.parametrize('budget', [dict(flash_bytes=0), dict(sram_bytes=-1), dict(sram_bytes='321KB'),
                                    dict(flash_bytes=MB + 1), dict(flash_bytes='x')])
def test_budget_refuses(budget):
    t = target('stm32f746').with_budget('32KB', '16KB')
    with pytest.raises(BadInput): t.with_budget(**budget)


def test_a_target_of_ones_own_is_its_own_limit():
    mine = Target('mine', 'b', 'cortex-m4', (), 64 * KB, 8 * KB, 10**6, 'n')
    assert mine.with_budget('64KB').flash_bytes == 64 * KB
    with pytest.raises(BadInput, match='choose 1 B to 64 KB'): mine.with_budget('65KB')


def test_feature_must_exist():
    with pytest.raises(BadInput, match='known are dsp'): target('rp2040').has('simd')


def test_milliseconds():
    t = target('stm32f746')
    assert milliseconds(216_000_000, t) == pytest.approx(1000) and milliseconds(432, t, 2) == pytest.approx(.001)


@quick
@given(half, half, half, half, st.integers(-2**31, 2**31 - 1))
def test_smlad_is_two_products(x0, x1, w0, w1, acc):
    exact = acc + x0 * w0 + x1 * w1
    assert smlad(pack16(x0, x1), pack16(w0, w1), acc) == (exact + 2**31) % 2**32 - 2**31


@quick
@given(st.lists(byte, min_size=4, max_size=4), st.lists(byte, min_size=4, max_size=4))
def test_four_products_from_bytes(w, x):
    reg = int(np.array(w, np.int8).view('<u4')[0])
    acc = smlad(pack16(x[0], x[2]), sxtb16(reg), 0)
    assert smlad(pack16(x[1], x[3]), sxtb16(reg, 8), acc) == sum(a * b for a, b in zip(w, x))


@quick
@given(word, st.sampled_from([8, 16, 32]))
def test_signed_is_twos_complement(v, bits):
    assert signed(v, bits) == int(np.array(v % 2**bits, f'u{bits // 8}').view(f'i{bits // 8}'))


def test_pictures_are_pure():
    assert len(plot_boards().patches) == 2 * len(targets()) and len(plot_memory().patches) == len(F746_MEMORY)
    before = plt.rcParams.copy()
    counts = [int(plot_fit(f, s).get_title().split()[0]) for f, s in ((1, 1), (1024, 320), (10**6, 1))]
    assert counts[0] == sum(not t.machine for t in targets()) > counts[1] > counts[2] == 0 and plt.rcParams == before


def test_every_core_has_one_record():
    "What the record names is there: the start-up code, the cost table, the emulator's model, the core it is built as."
    from tinyformer.simulator import FAMILIES
    from tinyformer.toolchain import firmware_dir
    used = {t.core for t in targets()}
    assert used <= set(CORES)
    for c in CORES.values():
        assert not c.startup or (firmware_dir()/'ports'/c.startup/'startup.c').is_file()
        assert not c.cost_table or (firmware_dir().parent/'tinyformer'/c.cost_table).is_file()
        assert not c.emulator or c.emulator in FAMILIES[c.family].models
        assert not c.built_as or c.built_as in CORES
    assert sum(bool(c.cost_table) for c in CORES.values()) >= 1 and CORES['cortex-m7'].startup


def test_how_compilers_are_asked_for_a_core():
    assert Core('cortex-m4').flags('gcc') == ('-mcpu=cortex-m4', '-mthumb', '-mfloat-abi=soft')
    assert Core('cortex-m55', built_as='cortex-m33').flags('gcc')[0] == '-mcpu=cortex-m33'
    for name in ('cortex-m4', 'cortex-m7'):
        assert ('-DTFM_ONE_ISSUE' in core(name).flags('gcc')) == (name == 'cortex-m4')
    assert '-mcpu=cortex_m4' in core('cortex-m4').flags('zig')
    assert '-mcpu=cortex_m33+dsp' in core('cortex-m33').flags('zig')
    assert core('cortex-m4').compilers == ('gcc', 'zig') and core('riscv32').compilers == ('zig',)
    assert 'riscv32-freestanding-none' in core('riscv32').flags('zig')
    assert core('cortex-m4').libraries('zig') == () and core('cortex-m0plus').libraries('zig') == ('-lcompiler_rt',)
    assert core('cortex-m0plus').libraries('gcc') == ('-lgcc',)


def test_which_model_stands_in_for_a_core():
    models = {c: core(c).emulated for c in ('cortex-m7', 'cortex-m0plus', 'cortex-m55', 'riscv32')}
    assert list(models.values()) == ['Cortex-M7', 'Cortex-M0', 'Cortex-M33', 'RV32IMC']
    assert Core('abacus').emulated == ''
    with pytest.raises(BadInput, match='known are cortex-m7'): core('cortex-m9')


def test_names_that_moved_are_found_where_they_were():
    from tinyformer import hardware, instructions
    for name in ('signed', 'pack16', 'smlad', 'sxtb16', 'milliseconds'):
        assert getattr(hardware, name) is getattr(instructions, name)
    with pytest.raises(AttributeError, match='smlda'): hardware.smlda


def test_the_memories_of_a_board_do_not_overlap():
    for t in targets():
        flash, sram = ((start, start + size) for start, size in ((t.flash_start, t.flash_bytes),
                                                                 (t.sram_start, t.sram_bytes)))
        assert flash[1] <= sram[0] or sram[1] <= flash[0], t.name
        assert t.flash_start % 4096 == t.sram_start % 4096 == 0 and max(flash[1], sram[1]) < 2**32


def test_a_board_without_a_port_is_refused_with_advice(monkeypatch):
    able = [t.name for t in targets()]
    assert [require_port(target(n)) for n in able] == able
    monkeypatch.setitem(CORES, 'abacus', Core('abacus'))
    t = dataclasses.replace(target('samd21'), name='wooden', core='abacus')
    with pytest.raises(BadInput) as e: require_port(t)
    assert all(word in str(e.value) for word in (t.name, t.core, *able, "port='host'", 'firmware/ports/README.md'))


def test_a_core_without_a_table_says_whose_prices_it_gives():
    from tinyformer import bench, kernels as tk
    op = bench.make_op('linear', tokens=16, cin=16, cout=8)
    for t in targets():
        table, best = tk.cost_table(t.core), tk.choose(op, t)
        if t.cpu.cost_table: assert not table.note and (best.cycles is not None) == bool(t.cpu.cycle_model)
        else: assert t.core in table.note and 'cortex-m7' in table.note and best.cycles is None and best.instructions
