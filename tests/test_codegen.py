"""A generated folder builds by itself, is whole or absent, and says why when it cannot be made."""
import ctypes, json, re, subprocess, sys
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from tinyformer import codegen as cg, graph as tg, schedule as sch, toolchain as tc
from tinyformer.errors import BadInput, BuildFailed, CorruptModel, DoesNotFit, RunFolderError, UnsupportedOp
from tinyformer.graph import Op, random_graph, run
from tinyformer.lowering import random_model
from tinyformer.hardware import CORES, Core, target
from tinyformer.memory_alloc import validate
from tinyformer.arch import Arch, Downsample, InvertedResidual, Transformer
from tinyformer.simulator import Emulator, run_host

BOARD = target('stm32f746')


@pytest.fixture(scope='module')
def graph(): return random_graph(seed=3, shape=(4, 8, 3), width=8, heads=2)


def images(graph, n, seed=0):
    return np.random.default_rng(seed).integers(-128, 128, (n, *graph.tensors[graph.input].shape), dtype=np.int8)


def tree(folder): return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob('*')) if p.is_file()}


@pytest.mark.parametrize('seed', range(3))
def test_host_returns_the_reference_bytes(tmp_path, seed):
    rng = np.random.default_rng(seed)
    g = random_graph(seed=seed, shape=(4, 4 * int(rng.integers(1, 3)), int(rng.integers(1, 4))), width=6,
                     heads=int(rng.choice([1, 2, 3])),
                     classes=int(rng.integers(2, 9)), sparsity=(0, .9, 1)[seed])
    x = images(g, 16, seed)
    out = run_host(cg.generate(g, BOARD, tmp_path/'fw'), x)
    print(f'{out.size} bytes compared')
    assert out.size > 0 and (out == run(g, x)).all()


BANDED = Arch((17, 12, 3), 7, (Downsample(16, 'conv'), Downsample(12, 'ir', 4), InvertedResidual(12, 5),
                               Transformer(8, 2, 20, 1, 16, True), Downsample(16, 'ir', 3)), 24)


@pytest.mark.parametrize('memory', sch.MEMORY)
@pytest.mark.parametrize('sparsity', (0., .8))
def test_bands_change_no_byte(tmp_path, memory, sparsity):
    "Odd heights, both strides, additions, layers over tokens: the arena shrinks, the bytes stay."
    g = random_model(BANDED, 1, sparsity)
    fw, x = cg.generate(g, BOARD, tmp_path/'fw', memory=memory), images(g, 6)
    validate(fw.plan)
    out, whole = run_host(fw, x), cg.generate(g, BOARD, tmp_path/'whole', memory='fast')
    print(f'{out.size} bytes compared, arena {fw.arena_bytes} of {whole.arena_bytes}, {len(fw.chains)} chains')
    assert (out == run(g, x)).all()
    assert (fw.arena_bytes < whole.arena_bytes and fw.chains) if memory != 'fast' else not fw.chains
    told = json.loads((fw.folder/'plan.json').read_text())['bands']
    names = [op.name for op in fw.graph.ops]
    assert [b['operators'] for b in told] == [names[c.first:c.last + 1] for c in fw.chains]


def test_every_row_of_a_chain_is_made_once_and_in_time():
    "What a band reads has been made and is still kept, for every chain and every number of rows at a time."
    g, n = random_model(BANDED, 1), 0
    flow, *_ = sch.columns(g, sch.choose_kernels(g, BOARD))
    spans = [ab for first, last in sch.pieces(flow) for ab in combinations(range(first, last + 1), 2)]
    for steps in (flow.steps[a:b + 1] for a, b in spans):
        h = sch.heights(steps)[1:]
        for rows in range(1, h[-1] + 1):
            kept, made = sch.rows_kept(steps, rows), [0]*len(steps)
            for band in sch.bands(steps, rows):
                for i, (start, end) in enumerate(band):
                    assert start == made[i] <= end <= h[i]
                    if i and end > start:
                        k, s, p, _ = steps[i].window
                        low, high = max(0, start*s - p), min((end - 1)*s - p + k, h[i - 1])
                        assert high <= made[i - 1] and low >= made[i - 1] - kept[i - 1]
                    made[i] = end
                    n += 1
            assert made[-1] == h[-1]
    print(f'{n} steps')
    assert n > 1000


def test_same_input_same_folder_and_replaced_whole(tmp_path, graph):
    cg.generate(graph, BOARD, tmp_path/'a')
    first = tree(tmp_path/'a')
    cg.write_folder(tmp_path/'a', {'stale.txt': 'of an older version'}, {})
    cg.generate(graph, BOARD, tmp_path/'a')
    assert tree(tmp_path/'a') == first
    assert [p.name for p in tmp_path.iterdir()] == ['a']


def test_edits_in_a_generated_folder_are_left_alone(tmp_path, graph):
    cg.generate(graph, BOARD, tmp_path/'a')
    with open(tmp_path/'a'/'model.c', 'a') as f: f.write('/* mine */')
    (tmp_path/'a'/'build').mkdir()
    (tmp_path/'a'/'build'/'mine.o').write_bytes(b'object')
    before = tree(tmp_path/'a')
    with pytest.raises(BadInput, match=r'model.c \(changed\).*Move it away'): cg.generate(graph, BOARD, tmp_path/'a')
    assert tree(tmp_path/'a') == before
    cg.generate(graph, BOARD, tmp_path/'b')
    (tmp_path/'a'/'model.c').write_bytes((tmp_path/'b'/'model.c').read_bytes())
    cg.generate(graph, BOARD, tmp_path/'a')
    assert tree(tmp_path/'a') == tree(tmp_path/'b') | {'build/mine.o': b'object'}


def test_foreign_folder_is_left_alone(tmp_path, graph):
    (tmp_path/'mine').mkdir()
    (tmp_path/'mine'/'thesis.txt').write_text('precious')
    with pytest.raises(BadInput, match='not empty'): cg.generate(graph, BOARD, tmp_path/'mine')
    assert tree(tmp_path/'mine') == {'thesis.txt': b'precious'}


def test_unwritable_place(tmp_path, graph):
    (tmp_path/'file').write_text('x')
    with pytest.raises(RunFolderError, match='A file stands where a folder is needed'):
        cg.generate(graph, BOARD, tmp_path/'file'/'fw')


def test_interrupted_write_leaves_nothing(tmp_path, graph, monkeypatch):
    def full(*_): raise OSError(28, 'No space left on device')
    monkeypatch.setattr(cg.shutil, 'copyfile', full)
    with pytest.raises(RunFolderError, match='No space left'): cg.generate(graph, BOARD, tmp_path/'fw')
    assert list(tmp_path.iterdir()) == []


def test_over_flash_names_the_largest_layers(tmp_path, graph):
    with pytest.raises(DoesNotFit, match=r'flash, \d+ more than the 1024 .* Largest: \w+') as e:
        cg.generate(graph, BOARD.with_budget(flash_bytes=1024), tmp_path/'fw')
    need, over = map(int, re.search(r'need (\d+) bytes of flash, (\d+) more', str(e.value)).groups())
    assert need - over == 1024 and list(tmp_path.iterdir()) == []


def test_over_sram_names_the_live_tensors(tmp_path, graph):
    fw = cg.generate(graph, BOARD, tmp_path/'fw')
    with pytest.raises(DoesNotFit, match=r'live: \w+'):
        cg.generate(graph, BOARD.with_budget(sram_bytes=fw.arena_bytes - 1), tmp_path/'small')
    cg.generate(graph, BOARD.with_budget(sram_bytes=fw.arena_bytes), tmp_path/'exact')
    assert sorted(p.name for p in tmp_path.iterdir()) == ['exact', 'fw']


def test_operator_without_kernel(graph):
    strange = replace(graph, ops=[Op('gelu', 'block.act', [graph.input], graph.output, {})])
    with pytest.raises(UnsupportedOp, match='block.act.*gelu'): sch.choose_kernels(strange, BOARD)


def test_names_cannot_smuggle_code(tmp_path, graph):
    evil = replace(graph, ops=[replace(graph.ops[0], name='*/ int x; /*'), *graph.ops[1:]])
    with pytest.raises(CorruptModel): cg.generate(evil, BOARD, tmp_path/'fw')
    assert list(tmp_path.iterdir()) == []


def test_plan_is_sound_and_written_down(tmp_path, graph):
    fw = cg.generate(graph, BOARD, tmp_path/'fw')
    validate(fw.plan)
    told = json.loads((fw.folder/'plan.json').read_text())
    assert told['arena_bytes'] == fw.arena_bytes >= fw.arena_lower_bound_bytes > 0
    assert {t['name']: t['offset'] for t in told['tensors']} == fw.plan.offsets
    code, at = (fw.folder/'model.c').read_text(), fw.arena.tensors
    assert set(at) == set(graph.tensors) - {graph.input, graph.output}
    where = {name: f'@{offset}' for name, offset in at.items()} | {graph.input: 'input', graph.output: 'output'}
    work = {name: f'@{offset}' for name, offset in fw.arena.scratch.items()}
    for op, row in zip(graph.ops, told['operators'], strict=True):
        comment = re.search(rf"/\* \d\d {re.escape(op.name)}: (.*) \*/\nstatic TFM_NOINLINE int {row['function']}\(",
                            code)
        places = [where[n] for n in (*op.inputs, op.output)] + [at for name, at in work.items() if name == op.name]
        assert comment and re.findall(r'@\d+|\binput\b|\boutput\b', comment[1]) == places, op.name
    assert 0 < fw.weights_bytes < fw.weights_bytes_dense


def test_weights_bytes_are_what_is_linked(tmp_path, graph):
    fw = cg.generate(graph, BOARD, tmp_path/'fw')
    text = (fw.folder/'weights.h').read_text()
    size = {'int8_t': 1, 'uint8_t': 1, 'int16_t': 2, 'uint16_t': 2, 'int32_t': 4}
    assert sum(size[t] * int(n) for t, n in re.findall(r'extern const (\w+) \w+\[(\d+)\];', text)) == fw.weights_bytes


@pytest.mark.parametrize('dtype', cg.C_TYPES)
def test_arrays_keep_every_value(tmp_path, dtype):
    info = np.iinfo(dtype)
    v = np.array([info.min, info.min + 1, 0, 1, info.max - 1, info.max] * 9, dtype)
    (tmp_path/'a.c').write_text('#include <stdint.h>\n' + cg.ALIGNED + cg.c_array('values', v))
    lib = ctypes.CDLL(str(tc.compile_host([tmp_path/'a.c'], flags=tc.WARNINGS)))
    got = np.ctypeslib.as_array((np.ctypeslib.as_ctypes_type(v.dtype) * v.size).in_dll(lib, 'values'))
    assert (got == v).all()


def test_example_must_fit_the_model(tmp_path, graph):
    for bad in (np.zeros((4, 8, 3), np.uint8), np.zeros((4, 8), np.int8)):
        with pytest.raises(BadInput, match='int8 of shape'): cg.generate(graph, BOARD, tmp_path/'fw', example=bad)
    assert list(tmp_path.iterdir()) == []


def test_unknown_port_lists_the_known_ones(tmp_path, graph):
    with pytest.raises(BadInput, match='stm32f746.*mps2_an500.*host'):
        cg.generate(graph, BOARD, tmp_path/'fw', port='toaster')
    with pytest.raises(BadInput, match='does not start on rp2040, which has a cortex-m0plus'):
        cg.generate(graph, BOARD, tmp_path/'fw', port='rp2040')
    assert not (tmp_path/'fw').exists()


def test_a_core_without_start_up_code_gets_portable_c(tmp_path, graph, monkeypatch):
    monkeypatch.setitem(CORES, 'abacus', Core('abacus'))
    fw = cg.generate(graph, replace(target('rp2040'), name='wooden', core='abacus'), tmp_path/'fw')
    assert fw.port == 'host' and not (fw.folder/'port').exists()
    assert (run_host(fw, images(graph, 2)) == run(graph, images(graph, 2))).all()


def test_a_new_board_is_one_record(tmp_path, graph):
    own = replace(target('nrf52840'), name='mine', board='home made', flash_start=0x0040_0000, sram_start=0x3000_0000)
    fw = cg.generate(graph, own, tmp_path/'fw')
    text = (fw.folder/'port'/'link.ld').read_text()
    assert fw.port == 'mine' and 'home made' in text
    assert '0x00400000, LENGTH = 1048576' in text and '0x30000000, LENGTH = 262144' in text
    assert {p.name for p in (fw.folder/'port').iterdir()} == {'counter.h', 'link.ld', 'main.c', 'memory.c', 'startup.c',
                                                                  'string.h'}


# ---- two models in one firmware

MAIN = """
#include "{0}/model.h"
#include "{0}/example.h"
{short}
#include "{1}/model.h"
#include "{1}/example.h"
int both(void) {{
    static int8_t a[WAKE_OUTPUT_BYTES], b[WORD_OUTPUT_BYTES];
    if (wake_invoke(wake_example_input, a) || word_invoke(word_example_input, b)) return -1;
    int wrong = 0;
    for (int i = 0; i < WAKE_OUTPUT_BYTES; i++) wrong += a[i] != wake_example_output[i];
    for (int i = 0; i < WORD_OUTPUT_BYTES; i++) wrong += b[i] != word_example_output[i];
    return wrong;
}}
"""
SHORT = 'int one(int8_t *out) { return tfm_invoke(tfm_example_input, out) + TFM_OUTPUT_BYTES; }'


@pytest.fixture(scope='module')
def pair(tmp_path_factory, graph):
    other = random_graph(seed=4, shape=(8, 4, 2), width=6, heads=3)
    folder = tmp_path_factory.mktemp('pair')
    fws = [cg.generate(g, BOARD, folder/p, prefix=p, example=images(g, 1)[0])
           for g, p in ((graph, 'wake'), (other, 'word'))]
    kernels = {p.name: p for fw in fws for p in (fw.folder/'kernels').glob('*.c')}
    main = folder/'main.c'
    main.write_text(MAIN.format(*(fw.folder for fw in fws), short=SHORT))
    own = [fw.folder/name for fw in fws for name in ('model.c', 'weights.c')]
    return fws, [*own, *kernels.values(), main], [fw.folder/'include' for fw in fws]


def test_two_models_run_in_one_image(pair):
    "One copy of each kernel, no symbol twice, both models right on the emulated core."
    _, sources, include = pair
    port = tc.firmware_dir()/'ports'/'cortex_m'
    elf = tc.compile_image([*sources, port/'memory.c'], port/'bare.ld', include=include, flags=tc.WARNINGS, cc='zig')
    emu = Emulator(elf)
    assert emu.call('both') == 0
    own = [name for name, (_, size) in emu.symbols.items() if size and name.startswith(('wake_', 'word_'))]
    assert {'wake_invoke', 'word_invoke', 'wake_arena', 'word_arena'} <= set(own) and len(own) > 40
    with pytest.raises(BadInput, match='holds 2 models'): emu.invoke(b'', 1)


def test_short_names_are_gone_where_two_models_are_known(pair, tmp_path):
    fws, sources, include = pair
    (tmp_path/'late.c').write_text(MAIN.format(*(fw.folder for fw in fws), short='') + SHORT)
    with pytest.raises(BuildFailed, match='tfm_invoke'):
        tc.compile_host([*sources[:-1], tmp_path/'late.c'], None, include, tc.WARNINGS)


MEANS = """#include "model.h"
double input_means(int code) { return (float)(code - TFM_INPUT_ZERO) * TFM_INPUT_SCALE; }
double output_means(int code) { return (float)(code - TFM_OUTPUT_ZERO) * TFM_OUTPUT_SCALE; }
"""


@pytest.mark.parametrize('scale, zero', [(1., -128), (2**-20, 127), (3.7e8, 0)])
def test_the_header_says_what_codes_mean(tmp_path, graph, scale, zero):
    arena = cg.generate(graph, BOARD, tmp_path/'fw', port='host').arena
    ends = {n: replace(graph.tensors[n], scale=scale, zero_point=zero) for n in (graph.input, graph.output)}
    g = replace(graph, tensors=graph.tensors | ends)
    (tmp_path/'model.h').write_text(cg.model_h(g, arena, 'kws'))
    (tmp_path/'means.c').write_text(MEANS)
    lib = ctypes.CDLL(str(tc.compile_host([tmp_path/'means.c'], None, [tmp_path], tc.WARNINGS)))
    for f, t in ((lib.input_means, g.tensors[g.input]), (lib.output_means, g.tensors[g.output])):
        f.restype = ctypes.c_double
        for code in (-128, 0, 127): assert f(code) == pytest.approx((code - t.zero_point) * t.scale, rel=1e-6)


def test_models_of_different_names_link_without_an_option(tmp_path, graph):
    fws = [cg.generate(replace(graph, name=n), BOARD, tmp_path/n, port='host') for n in ('first', 'second')]
    sources = {p.name if p.parent.name == 'kernels' else str(p): p for fw in fws for p in fw.sources}
    lib = ctypes.CDLL(str(tc.compile_host(list(sources.values()), None, [fws[0].folder/'include'], tc.WARNINGS)))
    assert lib.first_invoke and lib.second_invoke
    for bad in ('', '2nd', 'a-b', 'x' * 32):
        with pytest.raises(BadInput, match='cannot begin the names'):
            cg.generate(graph, BOARD, tmp_path/'no', prefix=bad)
    assert not (tmp_path/'no').exists()


@pytest.mark.parametrize('macro, weights, arena', [('TFM', True, True), ('WAKE', True, True), ('WORD', False, False)])
def test_arena_and_weights_go_to_the_sections_that_the_build_names(pair, tmp_path, macro, weights, arena):
    (fw, _), _, include = pair
    flags = [f'-D{macro}_ARENA_SECTION=".dtcm"', f'-D{macro}_WEIGHTS_SECTION=".ext_flash"', *tc.WARNINGS]
    cc, objects = tc.find_compiler('zig'), []
    for name in ('model', 'weights'):
        folders = [w for d in (include[0], tc.firmware_dir()/'ports'/'cortex_m') for w in ('-I', str(d))]
        words = [*cc.command, *tc.core_flags('zig'), '-std=gnu11', '-O2', *flags, *folders, '-c',
                 str(fw.folder/f'{name}.c'), '-o', str(tmp_path/f'{name}.o')]
        subprocess.run(words, check=True)
        objects.append(tc.sections(tmp_path/f'{name}.o')['sizes'])
    assert (objects[0].get('.dtcm') == fw.arena_bytes) == arena
    assert (objects[1].get('.ext_flash', 0) >= fw.weights_bytes) == weights


@pytest.mark.needs('make')
def test_folder_builds_by_itself(tmp_path, graph):
    fw = cg.generate(graph, BOARD, tmp_path/'fw', example=images(graph, 1)[0])
    zig = f'{sys.executable} -m ziglang cc'
    done = subprocess.run(['make', '-C', str(fw.folder), f'CC={zig}', f'HOSTCC={zig}', 'all', 'host'],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert '10 bytes compared with the expected output, 0 different' in done.stdout
    assert tc.sections(fw.folder/'build'/'model.elf')['symbols'][f'{fw.prefix}_arena'][1] == fw.arena_bytes


@pytest.mark.needs('cc')
@pytest.mark.parametrize('banded', (False, True))
def test_no_memory_error_under_sanitizers(tmp_path, graph, banded):
    graph = random_model(BANDED, 1, .5) if banded else graph
    fw, x = cg.generate(graph, BOARD, tmp_path/'fw', memory='least'), images(graph, 8)
    assert bool(fw.chains) == banded
    f = fw.folder
    program = tc.compile_host([f/'model.c', f/'weights.c', *sorted((f/'kernels').glob('*.c')), f/'host'/'main.c'], None,
                              [f/'include', f],
                              ('-O1', '-g', '-fsanitize=address,undefined', '-fno-sanitize-recover=all'), shared=False,
                              cc='gcc')
    done = subprocess.run([program], input=x.tobytes(), capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout == run(graph, x).tobytes() and len(done.stdout) == 8 * graph.tensors[graph.output].nbytes


def test_host_program_reports_a_wrong_byte(tmp_path, graph):
    fw = cg.generate(graph, BOARD, tmp_path/'fw')
    f, h = fw.folder, fw.folder/'example.h'
    head, tail = h.read_text().split('_example_output[10] TFM_ALIGNED = {\n    ')
    first, rest = tail.split(',', 1)
    h.write_text(f'{head}_example_output[10] TFM_ALIGNED = {{\n    {int(first) ^ 1},{rest}')
    program = tc.compile_host([f/'model.c', f/'weights.c', *sorted((f/'kernels').glob('*.c')), f/'host'/'main.c'], None,
                              [f/'include', f], shared=False)
    done = subprocess.run([program], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode == 1 and '1 different' in done.stdout


def test_an_example_that_no_flash_holds_is_refused_before_its_text_is_made(tmp_path):
    "A model file of some hundred bytes, and an input of eight million."
    x, y = (tg.Tensor(n, shape, 1., 0) for n, shape in (('x', (2048, 2048, 2)), ('y', (1024, 1024, 2))))
    graph = tg.Graph(dict(x=x, y=y), [tg.Op('maxpool2x2', 'pool', ['x'], 'y', dict(h=2048, w=2048, c=2))], 'x', 'y')
    assert tg.save(graph, tmp_path/'wide.tfm').stat().st_size < 1000
    with pytest.raises(DoesNotFit, match='holds as an example, need 10485760 bytes'):
        cg.generate(graph, target('stm32f746'), tmp_path/'out')
    assert not (tmp_path/'out').exists()


ASKED = """#include "model.h"
#ifdef TFM_ARENA2_BYTES
int slow_bytes(void) { return TFM_ARENA2_BYTES; }
#else
int slow_bytes(void) { return 0; }
#endif
"""


def test_a_program_can_ask_whether_there_is_a_second_arena(tmp_path, graph):
    h743 = target('stm32h743')
    fast, slow = h743.memories
    small = replace(h743, memories=(replace(fast, size=cg.STACK_BYTES + 256), slow))
    for name, board, objective in (('one', BOARD, 'bytes'), ('two', small, 'speed')):
        fw = cg.generate(graph, board, tmp_path/name, port='host', prefix='kws', objective=objective)
        sizes = [end - first for _, first, end in fw.arena.arrays]
        (tmp_path/f'{name}.c').write_text(ASKED)
        lib = ctypes.CDLL(str(tc.compile_host([tmp_path/f'{name}.c'], None, [fw.folder], tc.WARNINGS)))
        assert lib.slow_bytes() == sum(sizes[1:]) and (len(sizes) == 2) == (name == 'two')
