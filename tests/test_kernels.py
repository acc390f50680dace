"""C against NumPy, bit for bit: seeded sweeps on the host, under sanitizers, and on the emulated Cortex-M7."""
import os, pickle, re, subprocess, sys, time
from pathlib import Path

import numpy as np
import pytest

from tinyformer import bench, graph as tg, kernels as tk, search_space as sp
from tinyformer.errors import BadInput, CorruptModel, SimulationFailed
from tinyformer.hardware import target
from tinyformer.quantization import softmax_s8, softmax_table
from tinyformer.rle_encoding import decode, encode
from tinyformer.toolchain import WARNINGS, compile_host, sections

ROOT = Path(__file__).resolve().parent.parent
BLOCKS = {'rle': (4, 2, 1), 'dense': (0,)}
KERNELS = [(k, b) for k in tk.CATALOGUE for b in (BLOCKS[k.format] if 'weight' in k.args or k.format == 'rle' else (0,))]
IDS = [f'{k.name}-{b}' for k, b in KERNELS]

PIXELS, CHANNELS, OUTS = (1, 2, 7, 8, 9, 15, 16, 17, 23), (1, 2, 3, 4, 5, 6, 7, 8, 12, 13, 29, 36), (1, 2, 3, 5, 10, 11, 19)
SPARSITIES = (0., 1., .3, .6, .8, .95)


# ---- operators: pairwise different sizes, so that a swapped one cannot hide

def draw_shape(rng, kind):
    "Sizes around the tile and the word, zero points at the ends of the range, every sparsity."
    while True:
        p, c, n = int(rng.choice(PIXELS)), int(rng.choice(CHANNELS)), int(rng.choice(OUTS))
        h, w = int(rng.integers(1, 8)), int(rng.integers(1, 8))
        if rng.random() < .03: c = int(rng.choice([508, 512, 520, 640]))    # rows of more than 127 blocks
        if len({p, c, n}) == 3 and (h != w or h == 1): break
    shape = dict(cin=c, cout=n, sparsity=float(rng.choice(SPARSITIES)), seed=int(rng.integers(1 << 30)))
    if kind in ('conv3x3', 'depthwise3x3'):
        k, pad = int(rng.choice([1, 2, 3, 3, 3, 5])), int(rng.choice([0, 1, 1, 2, 3]))
        if h + 2*pad < k or w + 2*pad < k: pad = k // 2 + 1
        return dict(shape, h=h, w=w, k=k, pad=pad, stride=int(rng.choice([1, 1, 2, 3])), cin=min(c, 60))
    if kind == 'maxpool2x2': return dict(shape, h=2*h, w=2*w)
    if kind == 'avgpool': return dict(shape, h=h, w=w)
    if kind in ('attention', *tg.STEPS):
        heads = int(rng.choice([1, 2, 3]))
        return dict(shape, tokens=p, heads=heads, cin=heads * int(rng.integers(1, 18)))
    return dict(shape, tokens=p)


def draw_op(rng, kind, block):
    "A random operator; now and then with empty channels, a pre-shift, or multipliers that saturate everything."
    op = bench.make_op(kind, block=block or 4, **draw_shape(rng, kind))
    p = op.params
    if 'weight' in p and kind != 'depthwise3x3':
        if rng.random() < .3: p['weight'][rng.random(len(p['weight'])) < .4] = 0
        if rng.random() < .2: p['weight'] = np.where(p['weight'] != 0, np.int8(rng.choice([-127, 127])), np.int8(0))
    if 'mult' in p and rng.random() < .2:
        op.attrs['shift'] = int(rng.integers(1, 4))
        p['mult'] = rng.integers(0, 1 << 30, len(p['mult'])).astype(np.int32) if rng.random() < .5 else p['mult'] >> 2
    if 'mult' in p and rng.random() < .1: p['mult'] = np.full_like(p['mult'], 2**31 - 1 if rng.random() < .5 else 0)
    return op


def cases(kernel, block, n, seed):
    "Operators with inputs and the NumPy operator's answer; operators that leave int32 are the compiler's to refuse, and are drawn again."
    rng = np.random.default_rng([seed, len(kernel.name), block])
    kinds = kernel.kinds
    while n:
        op = draw_op(rng, kinds[n % len(kinds)], block)
        xs = bench.random_inputs(op, rng)
        try: want = bench.expected(op, xs)
        except BadInput: continue
        n -= 1
        yield op, xs, want


def sweep(run, n, seed=0, kernels=KERNELS):
    "Run every kernel on `n` operators; the number of cases and of bytes compared."
    done = size = 0
    for kernel, block in kernels:
        for op, xs, want in cases(kernel, block, n, seed):
            got = run(kernel, op, *xs, block=block)
            assert np.array_equal(got, want), f'{kernel.name}, block {block}: {(got != want).sum()} of {want.size} bytes differ for {op.attrs}'
            done, size = done + 1, size + want.size
    return done, size


def report(what, done, size, started):
    print(f'{what}: {done} cases, {size} bytes compared, {time.time() - started:.1f} s')
    assert done > 0 and size > 0


# ---- host

@pytest.mark.parametrize('kernel,block', KERNELS, ids=IDS)
def test_host_sweep(kernel, block):
    t = time.time()
    done, size = sweep(tk.call, 60, kernels=[(kernel, block)])
    report(f'{kernel.name}, block {block}', done, size, t)
    assert done == 60


def test_softmax_of_flat_and_steep_tables():
    rng, n = np.random.default_rng(0), 0
    for rows, width in [(1, 1), (2, 3), (3, 64), (2, 1024), (5, 7)]:
        for scale in (1e-6, .01, .1, 3.):
            op = tg.Op('softmax', 's', ['x'], 'y', dict(rows=rows, n=width), dict(table=softmax_table(scale)))
            x = rng.integers(-128, 128, rows * width).astype(np.int8)
            for k in (k for k in tk.CATALOGUE if 'softmax' in k.kinds):
                assert np.array_equal(tk.call(k, op, x), softmax_s8(x.reshape(rows, width), op.params['table']).ravel()), (k, rows, width, scale)
                n += 1
    print(n, 'cases')
    assert n == 40


def test_a_broken_kernel_is_seen():
    "The sweep is able to fail: one byte changed after the call, or a byte written beside the output."
    k = tk.kernel('tfm_linear_s8_dsp')
    def flipped(kernel, op, *xs, block): return tk.call(kernel, op, *xs, block=block) ^ np.int8(1)
    with pytest.raises(AssertionError, match='bytes differ'): sweep(flipped, 1, kernels=[(k, 0)])
    op = bench.make_op('linear', tokens=3, cin=4, cout=5)
    class Beside:
        def __getattr__(self, name):
            def f(out, *rest):
                tk.ctypes.memset(out.value + 15, 7, 1)
                return 0
            return f
    with pytest.raises(SimulationFailed, match='around or into its output'): tk.call(k, op, np.zeros(12, np.int8), library=Beside())


def test_in_place_where_the_contract_allows_it():
    "The output may be the first input of add, LayerNorm, softmax and attention."
    rng, n = np.random.default_rng(7), 0
    for k in (k for k in tk.CATALOGUE if k.kinds[0] in ('add', 'layernorm', 'softmax', 'attention')):
        for op, xs, want in cases(k, 0, 20, 7):
            out, scratch = tk.guarded(want.size), tk.guarded(tk.scratch_bytes(k, op))
            out[tk.GUARD:-tk.GUARD] = xs[0].view(np.uint8)
            same = [out[tk.GUARD:-tk.GUARD].view(np.int8), *xs[1:]]
            assert getattr(tk.host(), k.name)(*tk._host_args(tk.arguments(k, op), out, same, scratch, [])) == 0
            assert np.array_equal(out[tk.GUARD:-tk.GUARD].view(np.int8), want) and tk.guards_hold(out) and tk.guards_hold(scratch), (k.name, op.attrs)
            n += 1
    print(n, 'cases')
    assert n == 20 * 8


# ---- sanitizers: a fault kills the process, so all of it runs in one of its own

UB = ('-fsanitize=undefined', '-fno-sanitize-recover=all', '-fsanitize=address', '-g')
TRAP = ('-fsanitize=undefined', '-fsanitize-trap=all')

def sanitized(folder, cc, flags, env=None, n=12):
    "Run the C test of error statuses and a sweep in a child process with instrumented kernels."
    todo = [(k.name, tk.arguments(k, op, b), xs, tk.scratch_bytes(k, op), want) for k, b in KERNELS for op, xs, want in cases(k, b, n, 2)]
    (folder/'cases').write_bytes(pickle.dumps((tk.STRUCTS, todo)))
    lib = compile_host([*tk.sources(), tk.FIRMWARE/'tests'/'test_status.c'], include=[tk.FIRMWARE/'include'], flags=(*flags, *WARNINGS), cc=cc)
    r = subprocess.run([sys.executable, ROOT/'tests'/'run_kernel_cases.py', lib, folder/'cases'], capture_output=True, text=True,
                       env={**os.environ, **(env or {})})
    print(r.stdout)
    assert r.returncode == 0, f'exit {r.returncode}: {r.stdout[-500:]} {r.stderr[-2000:]}'
    checks, done = re.search(r'(\d+) checks, 0 failures', r.stdout), re.search(r'(\d+) cases', r.stdout)
    assert checks and int(checks[1]) > 200 and done and int(done[1]) == n * len(KERNELS)


def test_undefined_behaviour_zig(tmp_path): sanitized(tmp_path, 'zig', TRAP)


@pytest.mark.needs('cc')
def test_address_and_undefined_behaviour_gcc(tmp_path):
    asan = subprocess.run(['gcc', '-print-file-name=libasan.so'], capture_output=True, text=True, check=True).stdout.strip()
    sanitized(tmp_path, 'gcc', UB, dict(LD_PRELOAD=asan, ASAN_OPTIONS='detect_leaks=0', PYTHONMALLOC='malloc'))


# ---- the emulated Cortex-M7

CCS = ['zig', pytest.param('gcc', marks=pytest.mark.needs('gcc'))]

@pytest.mark.parametrize('cc', CCS)
def test_device_sweep(cc):
    t, em = time.time(), bench.device(cc)
    done, size = sweep(lambda k, op, *xs, block: bench.device_call(em, k, op, *xs, block=block), 8, seed=1)
    report(f'emulated Cortex-M7, {cc}', done, size, t)
    assert done == 8 * len(KERNELS)


@pytest.mark.parametrize('cc', CCS)
def test_image_needs_no_library(cc):
    "No float, no allocation, no 64-bit division: nothing but our own functions is linked."
    names = set(sections(bench.device(cc).elf)['symbols'])
    assert {k.name for k in tk.CATALOGUE} <= names
    bad = [n for n in names if re.match(r'(__aeabi_[fdil]\d?[a-z]*(add|sub|mul|div|cmp|2)|__aeabi_u?l?divmod|__aeabi_ldivmod|__(u?divdi3|udivmod)|malloc|free|_sbrk|printf)', n)]
    assert not bad, bad


@pytest.mark.parametrize('cc', CCS)
def test_sparse_beats_dense(cc):
    "At the sparsities that pruning reaches, the stream kernel executes far fewer instructions than the dense one."
    def count(kernel, sparsity, block):
        return bench.measure('pointwise', h=8, w=8, cin=64, cout=96, sparsity=sparsity, kernel=kernel, block=block, cc=cc)['instructions']
    dense = count('tfm_linear_s8_dsp', 0., 0)
    at = {s: count('tfm_linear_s8_rle_dsp', s, '1x4') for s in (.8, .9)}
    print(cc, 'dense', dense, at)
    assert at[.8] < dense / 2.5 and at[.9] < dense / 3.3
    assert count('tfm_linear_s8_ref', 0., 0) > 3 * dense


# ---- streams

def test_stream_check_agrees_with_the_decoder():
    "The C check refuses only what the decoder refuses, and all of it but faults in the values of weights."
    rng, n, verdicts = np.random.default_rng(5), 0, {0: 0, 5: 0}
    check = tk.host().tfm_rle_check
    for _ in range(400):
        rows, cin, taps, b = int(rng.integers(1, 5)), int(rng.choice([1, 3, 4, 9, 520])), int(rng.choice([1, 9])), int(rng.choice([1, 2, 4]))
        w = bench.random_weights(rng, rows, taps, cin, float(rng.choice([0, .5, .9, .99, 1])), b)
        s = bytearray(encode(w, b))
        change = rng.integers(0, 4)
        if change == 1: s = s[:int(rng.integers(0, len(s)))]
        if change == 2: s[int(rng.integers(len(s)))] ^= 1 << int(rng.integers(8))
        if change == 3: s += bytes([int(rng.integers(256))])
        buf, row_blocks = np.frombuffer(bytes(s) or b'\0', np.uint8), taps * -(-cin // b)
        rle = tk._TYPES['tfm_rle'](buf.ctypes.data, len(s), b)
        status = check(tk.ctypes.byref(rle), rows, row_blocks)
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
        status = tk.host().tfm_rle_check(tk.ctypes.byref(tk._TYPES['tfm_rle'](s.ctypes.data, n, 4)), 7, 18)
        assert status == (0 if n == len(s) else 5)


# ---- one fact in one place

def test_scratch_formulas_match_the_c_functions():
    rng, n = np.random.default_rng(3), 0
    for key, formula in bench.SCRATCH.items():
        kind, format = key.split('/')
        name = bench._LAYER[key]
        for _ in range(40):
            op = bench.make_op(kind, **{**draw_shape(rng, kind), 'sparsity': 0.})
            c = op.attrs
            have = dict(const=1, kin=tg.math.prod((c.get('kh', 1), c.get('kw', 1), -(-c.get('cin', 1) // 4) * 4)), tokens=c.get('tokens', 0))
            asked = tk.scratch_bytes(tk.kernel(name), op)
            formula_bytes = sum(v * have[f] for f, v in formula.items())
            assert asked <= formula_bytes <= asked + 3, (key, c, asked, formula_bytes)
            n += 1
    print(n, 'cases')
    assert n == 40 * len(bench.SCRATCH)


def test_the_shipped_table_knows_every_kernel():
    table = sp.load_cost_table()
    known = {k.split('/')[0] for k in table['kernels']}
    assert known == {k.name for k in tk.CATALOGUE} and table['scratch'] == bench.SCRATCH
    assert all(v >= 0 for e in table['kernels'].values() for v in e['coef'].values()) and 2000 < table['code_bytes'] < 20000


def test_features_of_layer_and_operator_agree():
    "The search counts on layer specs, the engine on operators: the same numbers."
    space, rng, n = sp.digits_space(), np.random.default_rng(0), 0
    for _ in range(20):
        for l in sp.layers(space.sample(rng)):
            h, w, stride = l.h * l.stride, l.w * l.stride, l.stride
            if l.kind == 'avgpool': h, w = (int(tg.math.isqrt(l.taps)),) * 2
            op = bench.make_op(l.kind, h=h, w=w, cin=l.cin, cout=l.cout, tokens=None if '3x3' in l.kind or 'pool' in l.kind else l.tokens,
                               heads=l.heads or 1, stride=1 if 'pool' in l.kind else stride)
            mine, theirs = tk.features(op, l.kept_blocks), l.features()
            names = set(mine) & set(theirs) if l.kind != 'add' else {'call', 'elements', 'macs'}
            assert {f: mine[f] for f in names} == {f: theirs[f] for f in names}, (l, op.attrs)
            n += 1
    print(n, 'layers')
    assert n > 200


def test_files_follow_the_naming_rule():
    header = (tk.FIRMWARE/'include'/'tfm_kernels.h').read_text()
    for k in tk.CATALOGUE:
        assert Path(k.sources[0]).stem == k.name and f'int {k.name}(' in header
        assert k.scratch is None or f'int32_t {k.scratch}(' in header
    declared = set(re.findall(r'^int (tfm_\w+)\(', header, re.M))
    assert declared == {k.name for k in tk.CATALOGUE} | {'tfm_rle_check'}
    text = ''.join(p.read_text() for p in [*tk.sources(), *(tk.FIRMWARE/'include').glob('*.h')])
    assert not re.search(r'\b(float|double|malloc|calloc|free|printf)\b', re.sub(r'/\*.*?\*/', '', text, flags=re.S))


# ---- choices

def test_choices():
    m7, m0 = target('stm32f746'), next(t for t in __import__('tinyformer.hardware').hardware.targets() if not t.has('dsp'))
    op = bench.make_op('pointwise', h=8, w=8, cin=32, cout=48, sparsity=.8, block=4)
    best = tk.choose(op, m7)
    assert best.kernel.name == 'tfm_linear_s8_rle_dsp' and best.block == 4
    assert best.weight_bytes == len(encode(op.params['weight'], 4)) == min(c.weight_bytes for c in tk.candidates(op, m7))
    assert {c.kernel.isa for c in tk.candidates(op, m0)} == {'c'}
    dense = bench.make_op('pointwise', h=8, w=8, cin=32, cout=48)
    assert tk.choose(dense, m7).kernel.name == 'tfm_linear_s8_dsp'
    assert tk.choose(op, m7, 'speed').instructions == min(c.instructions for c in tk.candidates(op, m7))
    assert tk.choose(bench.make_op('fully_connected', cin=64, cout=10), m7).kernel.name == 'tfm_linear_s8_ref'
    with pytest.raises(BadInput, match="choose 'bytes' or 'speed'"): tk.choose(op, m7, 'cheap')
    with pytest.raises(BadInput, match='known: tfm_linear'): tk.kernel('tfm_linear_s8_mve')
    with pytest.raises(BadInput, match='does not run add'): tk.call(tk.kernel('tfm_linear_s8_ref'), bench.make_op('add'), np.zeros(1, np.int8))
    with pytest.raises(BadInput, match='a stream needs'): tk.call(tk.kernel('tfm_linear_s8_rle_dsp'), op, np.zeros(2048, np.int8), block=0)


def test_rows_have_the_fixed_keys():
    row = bench.measure('pointwise', h=2, w=4, cin=8, cout=6, sparsity=.5)
    assert list(row) == list(bench.KEYS) and row['bytes_different'] == 0 and row['bytes_compared'] == 48 and row['instructions'] > 0
    assert row['kernel'].startswith('tfm_') and bench.table_text([row]).count('\n') == 1


def test_search_and_engine_predict_the_same_network():
    "The search's cost of an architecture is the sum of the engine's choices, and the emulated core is near both."
    space, m7 = sp.digits_space(), target('stm32f746')
    for seed in (0, 1):
        arch = space.sample(np.random.default_rng(seed))
        chosen = tk.select(tg.random_model(arch, seed), m7)
        engine, search = sum(c.instructions for c in chosen.values()), sp.cost(arch).instructions
        print(seed, engine, search)
        assert abs(engine / search - 1) < .1
