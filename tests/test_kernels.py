"""C against NumPy, bit for bit: seeded sweeps (see sweep.py) on the host under sanitizers and on the emulated core."""
import ctypes, re, shutil, struct, subprocess
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import sweep
from unicorn import arm_const

from tinyformer import (bench, ccalls, codegen, cost_check, cost_model as sp, graph as tg, kernels as tk, lowering,
                        operators, simulator)
from tinyformer.errors import BadInput, CorruptModel, SimulationFailed
from tinyformer.hardware import target
from tinyformer.search_space import digits_space
from tinyformer.operators import OPERATORS, random_instance, softmax_s8, softmax_table
from tinyformer.rle_encoding import decode, encode
from tinyformer.toolchain import WARNINGS, compile_host, compile_image, sections

CASES = 10_000    # of every operator, in every place
NEEDS = {'host': ('cc',), 'host-zig': (), 'm7-gcc': ('gcc',), 'm7-zig': (), 'qemu': ('gcc', 'qemu')}
PROGRAMS = dict(cc='gcc', gcc='arm-none-eabi-gcc', qemu='qemu-system-arm')


def where(*places):
    "A parameter for each place, marked with the system programs it needs."
    return [pytest.param(p, marks=pytest.mark.needs(*NEEDS[p])) if NEEDS[p] else p for p in places]


# ---- every operator, every kernel, everywhere

@pytest.fixture(scope='session')
def sweeps():
    "operator -> (operators drawn, place -> what was done), by two processes in the order asked for."
    places = [p for p in sweep.USUAL if all(shutil.which(PROGRAMS[t]) for t in NEEDS[p])]
    sweep.prepare(places)
    with ProcessPoolExecutor(2) as pool:
        yield {name: pool.submit(sweep.sweep, name, CASES, places=places) for name in sweep.OPERATORS}
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize('place', where(*sweep.USUAL))
@pytest.mark.parametrize('name', sweep.OPERATORS)
def test_sweep(sweeps, name, place):
    drawn, done = sweeps[name].result()
    d, kernels = done[place], sweep.OPERATORS[name]
    by = {k.name: int(n) for k, n in zip(sweep.TABLE, d['cases']) if n}
    print(f"{name} on {place}: {drawn} operators, {sum(by.values())} cases, {d['compared']} bytes compared, "
          f"{d['statuses']} calls refused, {d['seconds']:.1f} s; {by}")
    assert sum(by.values()) >= CASES and min(by.values()) > 500
    every = [*kernels, *(tk.NARROW[k.name][0] for k in kernels if k.name in tk.NARROW)]
    assert set(by) == {k.name for k in every} | {k.rows for k in every if k.rows}
    assert d['compared'] > CASES and d['statuses'] > 100


def test_every_kernel_is_swept():
    assert sorted(k.name for ks in sweep.OPERATORS.values() for k in ks) == sorted(k.name for k in tk.CATALOGUE)


@pytest.mark.parametrize('name', sweep.OPERATORS)
@pytest.mark.needs('gcc', 'qemu')
def test_sweep_under_qemu(name):
    "QEMU refuses what a real core refuses and the other emulator lets pass: double and multiple words off a boundary."
    drawn, done = sweep.sweep(name, 400, places=['qemu'], seed=3)
    print(f"{name}: {done['qemu']['cases'].sum()} cases, {done['qemu']['compared']} bytes compared")
    assert done['qemu']['cases'].sum() >= 400


def lying_chunks():
    "(what is wrong, chunk, what the runner must say): a record that lies, so that a sound kernel looks broken."
    op = bench.make_op('linear', tokens=3, cin=6, cout=5)
    xs = [np.arange(-9, 9, dtype=np.int8)[None]]
    want = tg.run_op(op, *xs).reshape(1, -1)
    for name in ('tfm_linear_s8_ref', 'tfm_linear_s8_dsp'):
        kernels = [tk.kernel(name)]
        chunk = lambda: bytearray(sweep.pack(op, xs, want, kernels, check=False))
        last = chunk()
        at, = struct.unpack_from('<i', last, 8*4)      # where inputs and expected bytes lie
        yield 'sound', chunk(), kernels, None
        last[at + 18 + 14] ^= 1
        yield 'a byte differs', last, kernels, 'byte differs'
        short = chunk()
        struct.pack_into('<i', short, 3*4, 14)         # the output's last byte is said not to be there
        yield 'output too short', short, kernels, 'any'
        weights = chunk()
        struct.pack_into('<i', weights, 64 + 16 + 2*16 + 8, 29)
        yield 'weights too short', weights, kernels, 'any'


@pytest.mark.parametrize('place', where('host', 'm7-gcc', 'm7-zig'))
def test_a_broken_kernel_is_seen(place, tmp_path):
    "The runner is able to fail: at a different byte, one written beside the output, one read beside the weights."
    n = 0
    for what, chunk, kernels, why in lying_chunks():
        res = sweep.PLACES[place](bytes(chunk), tmp_path)
        assert bool(res['failures']) == (why is not None), (what, kernels, res)
        assert why in (None, 'any') or res['why'] == why
        n += 1
    print(n, 'chunks')
    assert n == 8


def few(kernel, n=3, seed=0):
    "Some operators of one kernel: (operator, block, inputs, expected)."
    rng = np.random.default_rng([seed, *kernel.name.encode()])
    for i in range(n):
        op, xs, want = sweep.draw(rng, kernel.kinds, 1)
        yield op, ((1, 2, 4)[i % 3] if kernel.format == 'rle' else 0), [x[0] for x in xs], want[0]


@pytest.mark.parametrize('cc', ['zig', pytest.param('gcc', marks=pytest.mark.needs('gcc'))])
def test_calls_from_python(cc):
    "The two ways of calling a kernel from Python agree; on the core it leaves the caller's registers and stack alone."
    em, n = bench.device(cc), 0
    saved = [getattr(arm_const, f'UC_ARM_REG_R{i}') for i in range(4, 12)]
    for k in tk.CATALOGUE:
        for op, block, xs, want in few(k):
            for i, r in enumerate(saved): em.uc.reg_write(r, 0xC0DE0000 + i)
            for got in (tk.call(k, op, *xs, block=block), bench.device_call(em, k, op, *xs, block=block)):
                assert np.array_equal(got, want), (k, op.attrs)
            kept = [em.uc.reg_read(r) - 0xC0DE0000 for r in saved]
            assert kept == list(range(len(saved))), f'{k.name} spoils registers'
            used = em.address('_stack_top') - em.uc.reg_read(arm_const.UC_ARM_REG_SP)
            assert 0 <= used <= 40, f'{k.name} moves the stack'
            n += 1
    print(n, 'cases')
    assert n == 3 * len(tk.CATALOGUE)


def test_a_call_checks_its_guards():
    op = bench.make_op('linear', tokens=3, cin=4, cout=5)
    class Beside:
        def __getattr__(self, name):
            def f(out, *rest):
                ctypes.memset(out.value + 15, 7, 1)
                return 0
            return f
    with pytest.raises(SimulationFailed, match='around or into its output'):
        tk.call(tk.kernel('tfm_linear_s8_dsp'), op, np.zeros(12, np.int8), library=Beside())


@pytest.mark.parametrize('place', where('host', 'host-zig'))
def test_statuses(place):
    "The C test of error statuses, instrumented; the sweeps spoil every argument of every kernel in turn."
    cc = 'zig' if place == 'host-zig' else 'gcc'
    program = compile_host([*tk.sources(), tk.FIRMWARE/'tests'/'test_status.c'], include=[tk.FIRMWARE/'include'],
                           flags=(*sweep.SANITIZE[cc], *WARNINGS, '-O0'),
                           shared=False, cc=cc)
    r = subprocess.run([program], capture_output=True, text=True)
    print(r.stdout)
    checks = re.search(r'(\d+) checks, 0 failures', r.stdout)
    said = f'exit {r.returncode}: {r.stdout[-500:]} {r.stderr[-2000:]}'
    assert r.returncode == 0 and checks and int(checks[1]) > 200, said


def test_softmax_of_flat_and_steep_tables():
    rng, n = np.random.default_rng(0), 0
    for rows, width in [(1, 1), (2, 3), (3, 64), (2, 1024), (5, 7)]:
        for scale in (1e-6, .01, .1, 3.):
            op = tg.Op('softmax', 's', ['x'], 'y', dict(rows=rows, n=width), dict(table=softmax_table(scale)))
            x = rng.integers(-128, 128, rows * width).astype(np.int8)
            for k in (k for k in tk.CATALOGUE if 'softmax' in k.kinds):
                want = softmax_s8(x.reshape(rows, width), op.params['table']).ravel()
                assert np.array_equal(tk.call(k, op, x), want), (k, rows, width, scale)
                n += 1
    print(n, 'cases')
    assert n == 40


# ---- the emulated Cortex-M7

CCS = ['zig', pytest.param('gcc', marks=pytest.mark.needs('gcc'))]

@pytest.mark.parametrize('cc', CCS)
def test_image_needs_no_library(cc):
    "No float, no allocation, no 64-bit division: nothing but our own functions is linked."
    names = set(sections(bench.device(cc).elf)['symbols'])
    assert {k.name for k in tk.CATALOGUE} <= names
    library = (r'__aeabi_[fdil]\d?[a-z]*(add|sub|mul|div|cmp|2)', '__aeabi_u?l?divmod', '__aeabi_ldivmod',
               '__(u?divdi3|udivmod)',
               'malloc', 'free', '_sbrk', 'printf')
    bad = [n for n in names if any(re.match(word, n) for word in library)]
    assert not bad, bad


@pytest.mark.needs('gcc')
@pytest.mark.parametrize('optimize', ['-O0', '-Os'])
def test_kernels_compile_in_a_build_of_ones_own(optimize, tmp_path):
    "No flag but the core and the level: assembly that takes all registers gives way where a compiler keeps some."
    r = subprocess.run(['arm-none-eabi-gcc', '-mcpu=cortex-m7', '-mthumb', '-std=gnu11', optimize, *WARNINGS, '-I',
                        str(tk.FIRMWARE/'include'), '-c', *map(str, tk.sources())],
                       capture_output=True, text=True, cwd=tmp_path)
    assert r.returncode == 0, r.stderr[-2000:]
    assert len(list(tmp_path.glob('*.o'))) == len(tk.sources())


@pytest.mark.parametrize('cc', CCS)
def test_sparse_beats_dense(cc):
    "At the sparsities that pruning reaches, the stream kernel executes far fewer instructions than the dense one."
    def count(kernel, sparsity, block):
        return bench.measure('pointwise', h=8, w=8, cin=64, cout=96, sparsity=sparsity, kernel=kernel, block=block,
                             cc=cc)['instructions']
    dense = count('tfm_linear_s8_dsp', 0., 0)
    at = {s: count('tfm_linear_s8_rle_dsp', s, '1x4') for s in (.8, .9)}
    print(cc, 'dense', dense, at)
    assert at[.8] < dense / 2.5 and at[.9] < dense / 3.3
    assert count('tfm_linear_s8_ref', 0., 0) > 3 * dense


def instructions(kernel, kind, cc, **shape):
    "Of one call; its bytes are compared as well."
    em, op = bench.device(cc), bench.make_op(kind, **shape)
    xs = bench.random_inputs(op, np.random.default_rng(0))
    assert np.array_equal(bench.device_call(em, tk.kernel(kernel), op, *xs, count=True), bench.expected(op, xs))
    return em.instructions


@pytest.mark.parametrize('cc', CCS)
def test_patches_inside_a_row_are_gathered_once(cc):
    "96 pixels in long rows take fewer instructions than in rows of three, whose groups of four go round a corner."
    def count(**map): return instructions('tfm_conv_s8_dsp', 'conv3x3', cc, cin=3, cout=2, pad=0, **map)
    assert count(h=5, w=34) < .9*count(h=34, w=5)


@pytest.mark.parametrize('cc', CCS)
def test_no_tile_follows_the_last(cc):
    "The last four of the sixteen pixels of a tile cost what the four before cost."
    eight, twelve, sixteen = (instructions('tfm_conv_s8_dsp', 'conv3x3', cc, h=1, w=w, cin=32, cout=8, k=1)
                              for w in (8, 12, 16))
    assert sixteen - twelve < 1.1*(twelve - eight)


@pytest.mark.parametrize('cc', CCS)
def test_empty_rows_are_filled_by_whole_words(cc):
    "36 outputs of 16 pixels are copied 32 bytes at a time, 33 are not."
    def count(cout):
        return instructions('tfm_linear_s8_rle_dsp', 'linear', cc, tokens=16, cin=8, cout=cout, sparsity=1.)
    assert count(36) < .9*count(33)


# ---- streams

def test_stream_check_agrees_with_the_decoder():
    "The C check refuses only what the decoder refuses, and all of it but faults in the values of weights."
    rng, n, verdicts = np.random.default_rng(5), 0, {0: 0, 5: 0}
    check = tk.host().tfm_rle_check
    for _ in range(400):
        rows, cin = int(rng.integers(1, 5)), int(rng.choice([1, 3, 4, 9, 520]))
        taps, b = int(rng.choice([1, 9])), int(rng.choice([1, 2, 4]))
        w = bench.random_weights(rng, rows, taps, cin, float(rng.choice([0, .5, .9, .99, 1])), b)
        s = bytearray(encode(w, b))
        change = rng.integers(0, 4)
        if change == 1: s = s[:int(rng.integers(0, len(s)))]
        if change == 2: s[int(rng.integers(len(s)))] ^= 1 << int(rng.integers(8))
        if change == 3: s += bytes([int(rng.integers(256))])
        buf, row_blocks = np.frombuffer(bytes(s) or b'\0', np.uint8), taps * -(-cin // b)
        rle = ccalls.TYPES['tfm_rle'](buf.ctypes.data, len(s), b)
        status = check(ctypes.byref(rle), rows, row_blocks)
        try: decode(bytes(s), rows, cin, taps, b); message = ''
        except CorruptModel as e: message = str(e)
        assert status in verdicts and (status == 0 or message), (status, message)
        assert status == 5 or not message or any(m in message for m in ('all zero', '-128', 'padding')), message
        verdicts[status], n = verdicts[status] + 1, n + 1
    print(n, 'cases', verdicts)
    assert n == 400 and min(verdicts.values()) > 100


def test_every_truncation_is_refused():
    w = bench.random_weights(np.random.default_rng(0), 7, 9, 6, .7, 4)
    s = np.frombuffer(encode(w, 4), np.uint8).copy()
    for n in range(len(s) + 1):
        status = tk.host().tfm_rle_check(ctypes.byref(ccalls.TYPES['tfm_rle'](s.ctypes.data, n, 4)), 7, 18)
        assert status == (0 if n == len(s) else 5)


# ---- the cost table

@pytest.mark.parametrize('board', ['stm32f746', 'rp2040', 'esp32c3'])
def test_the_shipped_tables_know_every_kernel(board):
    "Every kernel that a core is offered."
    table, fast = tk.cost_table(target(board).core), 'dsp' if target(board).has('dsp') else 'scalar'
    known = {k.split('/')[0] for k in table['kernels']}
    assert known == {k.name for k in tk.CATALOGUE if k.isa in ('c', fast)}
    assert set(table) == {'code_bytes', 'meta', 'kernels'} and not table.note
    assert all(v >= 0 for e in table['kernels'].values() for v in e['coef'].values())
    assert 2000 < table['code_bytes'] < 28000


def test_files_follow_the_naming_rule():
    header = (tk.FIRMWARE/'include'/'tfm_kernels.h').read_text()
    for k in tk.CATALOGUE:
        assert Path(k.sources[0]).stem == k.name and f'int {k.name}(' in header
        assert k.scratch is None or f'int32_t {k.scratch}(' in header
    declared = set(re.findall(r'^int (tfm_\w+)\(', header, re.M))
    assert declared == {k.name for k in sweep.TABLE} | {'tfm_rle_check'}
    text = ''.join(p.read_text() for p in [*tk.sources(), *(tk.FIRMWARE/'include').glob('*.h')])
    assert not re.search(r'\b(float|double|malloc|calloc|free|printf)\b', re.sub(r'/\*.*?\*/', '', text, flags=re.S))


# ---- what a record says of its operator

MAPS = [k for k, o in OPERATORS.items() if o.rows == 'h']


def changed_rows(rng, op, rows):
    "[8, rows]: whether a change of an input row is seen in an output row, in any of 16 images."
    x = rng.integers(-128, 128, (16, 8, 6, op.attrs.get('c', op.attrs.get('cin'))), dtype=np.int8)
    before, res = tg.run_op(op, x), []
    for r in range(8):
        other = x.copy()
        other[:, r] = rng.permutation(x[:, r])
        res.append((tg.run_op(op, other) != before).reshape(16, rows, -1).any((0, 2)))
    return np.array(res)


@pytest.mark.parametrize('kind', MAPS)
def test_a_window_is_what_the_reference_reads(kind):
    "Change one row of the input: the rows of the output that change are those whose window holds it."
    rng, wanted = np.random.default_rng(0), 0
    for k, stride, pad in ((3, 1, 1), (3, 2, 0), (2, 2, 0), (2, 1, 0)):
        changed = False
        for _ in range(8):                        # zero points may hide a change
            attrs, params = random_instance(kind, rng, h=8, w=6, cin=4, k=k, stride=stride, pad=pad)
            op, window = tg.Op(kind, kind, ['x'], 'y', attrs, params), OPERATORS[kind].window(attrs)
            changed = changed | changed_rows(rng, op, 8 // window[1] if 'kh' not in attrs else tg.out_hw(attrs)[0])
        starts = np.arange(changed.shape[1]) * window[1] - window[2]
        reads = [(starts <= r) & (r < starts + window[0]) for r in range(8)]
        assert (changed == reads).all(), attrs
        wanted += changed.sum()
    assert wanted >= 32 and len(MAPS) > 2


SHIFTED = [k for k, o in OPERATORS.items() if o.bound and 'shift' in o.attrs and k[:3] != 'add']    # inputs are shifted


@pytest.mark.parametrize('kind', SHIFTED)
def test_a_bound_is_shifted_with_the_sum(kind):
    attrs, params = random_instance(kind, np.random.default_rng(0), h=4, w=4, cin=8)
    low, high = (OPERATORS[kind].bound(attrs | dict(shift=s), params) for s in (0, 5))
    assert 0 < low == high >> 5 and high == low << 5


def test_a_bound_grows_with_the_terms_of_a_sum():
    "Mixing adds a product of a byte and an unsigned byte for every token."
    rng = np.random.default_rng(0)
    some = [random_instance('matmul_av', rng, tokens=n, cin=8)[0] | dict(shift=0) for n in (5, 10)]
    assert [OPERATORS['matmul_av'].bound(a, {}) for a in some] == [5 * 128 * 255, 10 * 128 * 255]


def test_a_bound_holds_whatever_adds_to_the_sum():
    "A pool: each pixel and the bias. A LayerNorm: the largest normalised value times its gain, and the offset."
    assert OPERATORS['avgpool'].bound(dict(h=3, w=5, bias=-7, shift=0), {}) == 128*3*5 + 7
    gains, offsets, none = np.array([2047, -2047], np.int16), np.array([-900, 30], np.int32), np.zeros(2, np.int32)
    def bound(gamma, beta): return OPERATORS['layernorm'].bound(dict(c=2, shift=0), dict(gamma=gamma, beta=beta))
    assert bound(gains, offsets) == bound(gains, none) + 900 and bound(gains, none) >= 2047*2**10


@pytest.mark.parametrize('name,kind', [(k.name, kind) for k in tk.CATALOGUE if k.rows for kind in k.kinds])
def test_the_rows_are_all_of_them_when_no_band_is_named(name, kind):
    "A map that is no square: as many rows as it has, not as many as it has columns."
    kernel, op = tk.kernel(name), bench.make_op(kind, h=7, w=4, cin=5, cout=3)
    xs = bench.random_inputs(op, np.random.default_rng(0))
    assert np.array_equal(tk.call(tk.by_rows(kernel, op), op, *xs), bench.expected(op, xs))


def test_limits_are_those_of_the_header():
    text = (tk.FIRMWARE/'include'/'tfm_kernels.h').read_text()
    def most(name): return int(re.search(rf'#define TFM_MAX_{name} (\d+)', text)[1])
    assert (operators.SIZE, operators.TOKENS, operators.TAPS) == ((1, most('DIM')), (1, most('TOKENS')), most('TAPS'))
    assert '#define TFM_MAX_VALUES (1 << 30)' in text and operators.VALUES == (1, 1 << 30)


def test_pixels_at_an_edge():
    "Both outer rows, and four pixels at each end of every row; never more than there are, none for one tap."
    assert operators.edge_pixels(28, 20, 9) == 2*20 + 2*4*28
    assert (operators.edge_pixels(3, 5, 9), operators.edge_pixels(28, 20, 1)) == (15, 0)


# ---- choices

def test_choices():
    m7, m0 = target('stm32f746'), target('rp2040')
    op = bench.make_op('pointwise', h=8, w=8, cin=32, cout=48, sparsity=.8, block=4)
    best = tk.choose(op, m7)
    assert best.kernel.name == 'tfm_linear_s8_rle_dsp' and best.block == 4
    assert best.weight_bytes == tk.words_bytes(op.params['weight']) < len(encode(op.params['weight'], 4)) + 20
    assert best.weight_bytes == min(c.weight_bytes for c in tk.candidates(op, m7) if c.kernel.isa == 'dsp')
    assert {c.kernel.isa for c in tk.candidates(op, m0)} == {'c', 'scalar'}
    assert {c.kernel.isa for c in tk.candidates(op, m7)} == {'c', 'dsp'}
    dense = bench.make_op('pointwise', h=8, w=8, cin=32, cout=48)
    assert tk.choose(dense, m7).kernel.name == 'tfm_linear_s8_dsp'
    assert tk.choose(op, m7, 'speed').instructions == min(c.instructions for c in tk.candidates(op, m7))
    assert tk.choose(bench.make_op('fully_connected', cin=64, cout=10), m7).kernel.name == 'tfm_linear_s8_dsp'
    with pytest.raises(BadInput, match="choose 'bytes' or 'speed'"): tk.choose(op, m7, 'cheap')
    with pytest.raises(BadInput, match='known: tfm_linear'): tk.kernel('tfm_linear_s8_mve')
    with pytest.raises(BadInput, match='does not run add'):
        tk.call(tk.kernel('tfm_linear_s8_ref'), bench.make_op('add'), np.zeros(1, np.int8))
    with pytest.raises(BadInput, match='a stream needs'):
        tk.call(tk.kernel('tfm_linear_s8_rle_dsp'), op, np.zeros(2048, np.int8), block=0)


def test_rows_have_the_fixed_keys():
    row = bench.measure('pointwise', h=2, w=4, cin=8, cout=6, sparsity=.5)
    assert list(row) == list(bench.KEYS) and row['instructions'] > 0
    assert (row['bytes_different'], row['bytes_compared']) == (0, 48)
    assert row['kernel'].startswith('tfm_') and bench.table_text([row]).count('\n') == 1


def test_search_and_engine_predict_the_same_network():
    "The search's cost of an architecture is the sum of the engine's choices, and the emulated core is near both."
    space, m7 = digits_space(), target('stm32f746')
    for seed in (0, 1):
        arch = space.sample(np.random.default_rng(seed))
        chosen = tk.select(lowering.random_model(arch, seed), m7)
        engine, search = sum(c.instructions for c in chosen.values()), sp.cost(arch, m7).instructions
        core = cost_check.check(arch, seed, count=True, cc='auto')['instructions_real']
        print(f'seed {seed}: search {search:,}, engine {engine:,}, counted on the emulated core {core:,}')
        assert abs(engine / search - 1) < .05 and abs(core / search - 1) < .08       # measured: 1.6 % and 5.1 % at most


def _called(elf): return [s for s in sections(elf)['symbols'] if re.search('lmul|muldi3|idiv|divsi3|divmod|ldiv', s)]


@pytest.mark.needs('gcc')
def test_no_long_product_and_no_division_is_called_on_a_cortex_m0plus():
    "Of all kernels that the core is offered: the compiler would call functions for both."
    kernels = [k for k in tk.CATALOGUE if k.isa in ('c', 'scalar')]
    sources = sorted({tk.FIRMWARE/s for k in kernels for s in k.sources})
    port = tk.FIRMWARE/'ports'/'cortex_m'
    def image(*more):
        return compile_image([*sources, *more, port/'memory.c'], port/'bare.ld', include=[tk.FIRMWARE/'include'],
                             cc='gcc', core='cortex-m0plus')
    elf = image()
    assert {k.name for k in kernels} <= set(sections(elf)['symbols']) and _called(elf) == []
    assert '__aeabi_idiv' in _called(image(tk.FIRMWARE/'kernels'/'depthwise'/'tfm_depthwise_s8_dsp.c',
                                           tk.FIRMWARE/'kernels'/'depthwise'/'tfm_depthwise3x3.c'))


def test_nor_in_an_image_that_zig_links(tmp_path):
    graph = tg.random_graph(0, (8, 8, 3), 8, 2, sparsity=.5)
    fw = codegen.generate(graph, target('rp2040'), tmp_path/'fw')
    assert {c.kernel.isa for c in fw.choices.values()} == {'c', 'scalar'}
    assert _called(simulator.build(fw, 'zig').elf) == []
