"""Random operators, run by every kernel of the catalogue, compared with NumPy byte for byte: on the host under
sanitizers, on the emulated Cortex-M7, and under QEMU.

    .venv/bin/python tests/sweep.py                                   every operator, 10,000 cases each
    .venv/bin/python tests/sweep.py --op linear --kernels rle_dsp --cases 1000000 --on host m7-gcc --processes 2

A case is one call of one kernel: its weights, its constants, its inputs, exact scratch, nothing mapped (or a
sanitizer's red zone) on either side of every array. Python draws operators and packs them;
firmware/tests/run_cases.c runs them."""
import argparse, atexit, functools, os, re, shutil, struct, subprocess, sys, tempfile, time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import numpy as np

from tinyformer import bench, graph as tg, kernels as tk, operators
from tinyformer.codegen import linker_script
from tinyformer.errors import BadInput, SimulationFailed
from tinyformer.hardware import target
from tinyformer.simulator import Emulator
from tinyformer.toolchain import WARNINGS, compile_host, compile_image, find_qemu

RUNNER = tk.FIRMWARE/'tests'/'run_cases.c'

OPERATORS = {}      # what the C functions of some kinds are named after -> its kernels
for _k in tk.CATALOGUE: OPERATORS.setdefault(operators.OPERATORS[_k.kinds[0]].call.name, []).append(_k)

# the forms that make some rows of the output
BY_ROWS = {k.name: tk.by_rows(k, bench.make_op(k.kinds[0])) for k in tk.CATALOGUE if k.rows}
NARROW = {name: form for name, (form, _) in tk.NARROW.items()}
NARROW_BY_ROWS = [tk.by_rows(k, bench.make_op(k.kinds[0])) for k in NARROW.values() if k.rows]
TABLE = [*tk.CATALOGUE, *BY_ROWS.values(), *NARROW.values(), *NARROW_BY_ROWS]
NUMBER = {k.name: i for i, k in enumerate(TABLE)}


# ---- random operators: pairwise different sizes, so that a swapped one cannot hide

PIXELS, CHANNELS, OUTS = (1, 2, 7, 8, 9, 15, 16, 17, 23), (1, 2, 3, 4, 5, 6, 7, 8, 12, 13, 29, 36), \
    (1, 2, 3, 5, 10, 11, 19)
SPARSITIES = (0., 1., .3, .6, .8, .95)
LONG = (508, 512, 520, 640, 1023)   # rows of more than 127 blocks
LONG_NORMS = (1024, 1025, 1500, 2049)
# blocks skipped, around what one header can say
GAPS = 0, 1, 3, 118, 119, 120, 121, 126, 127, 128, 239, 240, 241, 360


def draw_shape(rng, kind):
    "Sizes around the tile and the word, every sparsity. Few cases are large: small ones have the corners."
    while True:
        shape = _draw_shape(rng, kind)
        attrs = operators.OPERATORS[kind].attrs
        window = shape.get('window', {})
        taps = window.get('kh', 1) * window.get('kw', 1)
        work = (shape.get('tokens') or shape['h'] * shape['w']) * shape['cin'] * taps
        if 'cout' in attrs: work *= shape['cout']
        if 'heads' in attrs: work = shape['tokens'] * shape['keys'] * (shape['cin'] + shape['vdim'])
        if work < 4000 or rng.random() < 1000 / work: return shape


def _draw_shape(rng, kind):
    while True:
        p, c, n = int(rng.choice(PIXELS)), int(rng.choice(CHANNELS)), int(rng.choice(OUTS))
        h, w = int(rng.integers(1, 8)), int(rng.integers(1, 8) if rng.random() < .9 else rng.integers(8, 20))
        if rng.random() < .05: c, n = int(rng.choice(LONG)), min(n, 3)
        if len({p, c, n}) == 3 and (h != w or h == 1): break
    shape = dict(cin=c, cout=n, sparsity=float(rng.choice(SPARSITIES)), seed=int(rng.integers(1 << 30)))
    attrs = operators.OPERATORS[kind].attrs
    if 'kh' in attrs:
        window = draw_window(rng, h, w)
        if 'adaptive' in attrs and rng.random() < .3:
            window = dict(adaptive=1, oh=int(rng.integers(1, 9)), ow=int(rng.integers(1, 9)))
        return dict(shape, h=h, w=w, window=window, cin=min(c, 60))
    if kind == 'maxpool2x2': return dict(shape, h=2*h, w=2*w)
    if kind == 'pad': c = min(c, 60)
    if 'h' in attrs: return dict(shape, h=h, w=w, cin=c)
    if kind in ('layernorm', 'rmsnorm') and rng.random() < .03: c, p = int(rng.choice(LONG_NORMS)), min(p, 2)
    if 'heads' in attrs:
        heads, keys = int(rng.choice([1, 2, 3])), p if rng.random() < .3 else int(rng.integers(1, 24))
        shape |= dict(tokens=p, keys=keys, heads=heads, causal=int(keys >= p and rng.random() < .5))
        cin, vdim = heads * rng.integers(1, 18, 2)
        return dict(shape, cin=int(cin), vdim=int(cin if rng.random() < .3 else vdim))
    return dict(shape, tokens=p)


def draw_window(rng, h, w):
    "Square windows, asymmetric padding of a 3x3 window, or anything that fits the map."
    k, pad, stride = (int(rng.choice(v)) for v in ((1, 2, 3, 3, 3, 5), (0, 1, 1, 2, 3), (1, 1, 2, 3)))
    if h + 2*pad < k or w + 2*pad < k: pad = k // 2 + 1
    how, kind = dict(kh=k, kw=k, **operators.square_window(stride, pad)), rng.random()
    if kind < .3: return how
    if kind < .5: how |= dict(kh=3, kw=3, sh=min(stride, 2), sw=min(stride, 2))
    else:
        for name, most in dict(kh=6, kw=6, sh=4, sw=4, dh=4, dw=4).items(): how[name] = int(rng.integers(1, most))
    for side in operators.WINDOW[4:]: how[side] = int(rng.integers(0, 2 if kind < .5 else 4))
    for size, taps, step, far in ((h, 'kh', 'dh', 'bottom'), (w, 'kw', 'dw', 'right')):
        near = how['top' if far == 'bottom' else 'left']
        how[far] = max(how[far], (how[taps] - 1)*how[step] + 1 - size - near)
    return how


def far_apart(rng, w, block):
    "Keep few blocks of each row, so far apart that the stream has to escape; gaps around each escape's length."
    rows = w.reshape(len(w), -1)
    for row in rows:
        at, kept = 0, np.zeros(row.size, bool)
        while (at := at + int(rng.choice(GAPS))*block) < row.size:
            kept[at:at+block] = True
            at += block
        row[~kept] = 0
    return rows.reshape(w.shape)


def draw_op(rng, kind, block):
    "A random operator; now and then with empty channels, long gaps, a pre-shift, no bias, multipliers at their ends."
    op = bench.make_op(kind, block=block, **draw_shape(rng, kind))
    p, a = op.params, op.attrs
    if 'cout' in a:
        if p['weight'][0].size > 126 and rng.random() < .7: p['weight'] = far_apart(rng, p['weight'], block)
        if rng.random() < .3: p['weight'][rng.random(len(p['weight'])) < .4] = 0
        if rng.random() < .2: p['weight'] = np.where(p['weight'] != 0, np.int8(rng.choice([-127, 127])), np.int8(0))
    if 'mult' in p and rng.random() < .2:
        a['shift'] = int(rng.integers(1, 4))
        p['mult'] = rng.integers(0, 1 << 30, len(p['mult'])).astype(np.int32) if rng.random() < .5 else p['mult'] >> 2
    if 'mult' in p and rng.random() < .1: p['mult'] = np.full_like(p['mult'], 2**31 - 1 if rng.random() < .5 else 0)
    if 'bias' in p and rng.random() < .1: p['bias'] = np.zeros_like(p['bias'])
    return op


def draw(rng, kinds, images):
    "(operator, inputs int8 [images, ...] each, NumPy's answer). What leaves int32 is drawn again: `check` refuses it."
    while True:
        op = draw_op(rng, str(rng.choice(kinds)), int(rng.choice([1, 2, 4])))
        xs = [np.stack(x) for x in zip(*(bench.random_inputs(op, rng) for _ in range(images)))]
        try: y = tg.run_op(op, *xs)
        except BadInput: continue
        return op, xs, np.ascontiguousarray(np.broadcast_to(y.reshape(len(y), -1), (images, tg.op_sizes(op)[1])))


def band(rng, op, xs, want):
    "The same operator for some rows of its output: its input a ring of enough rows or more, noise in the rest of it."
    a = op.attrs
    oh, _ = operators.out_hw(a)
    first = int(rng.integers(oh))
    end = int(rng.integers(first, oh)) + 1
    span, stride, top, _ = operators.OPERATORS[op.kind].window(a)
    rows = range(max(0, first*stride - top), min(a['h'], (end - 1)*stride - top + span))
    ring = int(rng.integers(min(a['h'], max(1, len(rows))), a['h'] + 1))
    x = xs[0].reshape(len(want), a['h'], -1)
    held = rng.integers(-128, 128, (len(want), ring, x.shape[2])).astype(np.int8)
    for r in rows: held[:, r % ring] = x[:, r]
    part = tg.Op(op.kind, op.name, op.inputs, op.output, {**a, 'ring': ring, 'first': first, 'end': end}, op.params)
    return part, [held], np.ascontiguousarray(want.reshape(len(want), oh, -1)[:, first:end].reshape(len(want), -1))


def jobs(rng, kernels, kinds, images):
    "A drawn operator with the kernels that are to run it, and bands of it for those that have a form for that."
    op, xs, want = draw(rng, kinds, images)
    if 'weight' in op.params: op.attrs['empty'] = int(rng.integers(2))    # of a stream, whether that is so or not
    forms = [form for k in kernels for form, fits in [tk.NARROW.get(k.name, (None, None))] if form and fits(op.attrs)]
    kernels = [*kernels, *forms]
    yield op, xs, want, kernels
    for k in kernels:
        form = tk.by_rows(k, op) if op.kind in k.kinds else None
        if form: yield *band(rng, op, xs, want), [form]


# ---- cases as bytes, for run_cases.c

INT, ARRAY, OPTIONAL, INPUT, OUTPUT, SCRATCH, SCRATCH_BYTES, NOTHING, STRUCT = range(9)
# what run_cases.c knows of a number: which values it can not have
_COUNTS = (*'pixels cin cout h w c n tokens keys dim vdim heads rows kh kw sh sw dh dw oh ow block ring end'.split(),
           *'outer inner a n_in'.split(), *(f'd{i}' for i in range(operators.AXES)))
SIZES = {**dict.fromkeys(_COUNTS, 1), **dict.fromkeys(('shift', 'shift_qk', 'shift_av'), 2),
         **dict.fromkeys(('top', 'bottom', 'left', 'right', 'gap_h', 'gap_w', 'first', 'b', 'base'), 3),
         'bytes': 4, 'causal': 5, ('concat', 'b'): 1, ('add', 'shift'): 0}


def _words(kernel, op, block):
    "(tag, value, more, kind) of each argument, a structure's fields behind it; an array stands for its offset."
    def number(name, v):
        role = SIZES.get((op.kind, name), SIZES.get(name, 0))
        return INT, *struct.unpack('<ii', struct.pack('<q', int(v))), role
    def array(name, v):
        if name == 'bias' and not v.any(): return NOTHING, 0, 0, 0
        return OPTIONAL if name == 'bias' else ARRAY, np.ascontiguousarray(v), v.nbytes, v.itemsize
    for what, name, value in tk.arguments(kernel, op, block):
        if what == 'out': yield OUTPUT, 0, 0, 0
        elif what == 'in': yield INPUT, value, 0, 0
        elif what == 'scratch': yield from ((SCRATCH, 0, 0, 0), (SCRATCH_BYTES, 0, 0, 0))
        elif what == 'array': yield array(name, value)
        elif what == 'int': yield number(name, value)
        else:
            yield STRUCT, 0, 0, 0
            for field, type, v in value:
                yield array(field, v) if type == 'array' else number(field, op.attrs.get(field, v))


def calls(kernels, op):
    "(kernel, block of its stream, input that the output lies on or -1) of every way to run the operator."
    for k in kernels:
        if op.kind not in k.kinds: continue
        for block in (1, 2, 4) if k.format == 'rle' else (0,):
            for alias in (-1, *tk.may_overwrite(k, op)): yield k, block, alias


def pack(op, xs, want, kernels, check):
    "One chunk: an operator, its images, and the calls that are to give the expected bytes."
    head, data, todo = [], bytearray(), list(calls(kernels, op))
    words, seen = [], {}
    for k, block, alias in todo:
        if (k.name, block) not in seen: seen[k.name, block] = list(_words(k, op, block))
        words.append(seen[k.name, block])
    start = 64 + sum(16 + 16*len(w) for w in words)
    offsets = {}
    def place(a):
        "Equal arrays are stored once."
        raw = a.tobytes()
        if raw not in offsets:
            data.extend(b'\0' * (-len(data) % 8))
            offsets[raw] = start + len(data)
            data.extend(raw)
        return offsets[raw]
    body = b''.join(struct.pack('<4i', NUMBER[k.name], alias, len(w), 0)
                    + b''.join(struct.pack('<4i', t, place(v) if isinstance(v, np.ndarray) else v, m,
                                           r) for t, v, m, r in w)
                    for (k, _, alias), w in zip(todo, words))
    at = start + len(data)
    data.extend(np.concatenate([x.reshape(len(want), -1).view(np.int8) for x in (*xs, want)], 1).tobytes())
    data.extend(b'\0' * (-len(data) % 8))
    sizes = [x[0].size for x in xs] + [0] * (4 - len(xs))
    return struct.pack('<16i', start + len(data), len(want), len(xs), want[0].size, *sizes, at, len(todo), int(check),
                       0, 0, 0, 0, 0) + body + bytes(data)


# ---- the table of kernels, written from the catalogue

def _c_value(i, type):
    "Argument number i as C: a pointer, or a number of its width."
    return f'a[{i}].p' if type == 'array' else f'a[{i}].i' if type == 'int64' else f'(int32_t)a[{i}].i'


def _c_arguments(k):
    "(structure -> (its pointer, its definition), argument list) of one kernel: a structure's fields follow its a[n]."
    structs, words, n = {}, [], 0
    for what, name in k.args:
        if what == 'struct':
            fields = [_c_value(n + 1 + i, type) for i, (_, type) in enumerate(operators.STRUCTS[name])]
            structs[name] = f'a[{n}].p ? &s{n} : NULL', f"const {name} s{n} = {{{', '.join(fields)}}};"
            words.append(structs[name][0])
            n += 1 + len(fields)
        elif what == 'scratch':
            words += [_c_value(n, 'array'), _c_value(n + 1, 'int32')]
            n += 2
        else:
            words.append(_c_value(n, 'int32' if what == 'int' else 'array'))
            n += 1
    return structs, ', '.join(words)


def _c_call(k):
    "C that calls kernel k."
    structs, words = _c_arguments(k)
    return [*(made for _, made in structs.values()), f'return {k.name}({words});']


def _c_need(k):
    "C that asks how much scratch kernel k needs."
    if not k.scratch: return ['return 0;']
    pointer, made = _c_arguments(k)[0][k.dims]
    return [made, f'return {k.scratch}({pointer});']


def _c_function(head, lines):
    "A C function that does what `lines` says for the kernel whose number it is given."
    cases = []
    for i, k in enumerate(TABLE): cases += [f'    case {i}: {{', *(f'        {line}' for line in lines(k)), '    }']
    return '\n'.join([f'{head} {{', '    (void)a;', '    switch (kernel) {', *cases, '    default: return -1;', '    }',
                      '}'])


def table():
    "kernel_table.h: C for each kernel of the catalogue, so that a new one needs no hand."
    return '\n\n'.join([f'#define TABLE_KERNELS {len(TABLE)}',
                        _c_function('static int call_kernel(int32_t kernel, const arg *a)', _c_call),
                        _c_function('static int32_t need_kernel(int32_t kernel, const arg *a)', _c_need)]) + '\n'


@functools.lru_cache(None)
def table_folder():
    "A folder that holds kernel_table.h."
    folder = Path(tempfile.mkdtemp(prefix='tinyformer-sweep-'))
    (folder/'kernel_table.h').write_text(table())
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


# ---- where cases run

SANITIZE = dict(gcc=('-fsanitize=undefined', '-fno-sanitize-recover=all', '-fsanitize=address', '-g'),
                zig=('-fsanitize=undefined', '-fsanitize-trap=all'))
ROOMS, ROOM_BYTES, ROOM_AT, ROOM_STEP = 16, 256 << 10, 0x70000000, 0x45000
_HEAD = 'failures chunk call image kernel at got want statuses unused'.split()


def program(cc):
    "run_cases as a program of this machine, instrumented."
    return compile_host([*tk.sources(), RUNNER], include=[tk.FIRMWARE/'include', table_folder()],
                        flags=(*SANITIZE[cc], *WARNINGS), shared=False, cc=cc)


def image(cc):
    "run_cases with all kernels for a Cortex-M7."
    port = tk.FIRMWARE/'ports'/'cortex_m'
    return compile_image([*tk.sources(), RUNNER, port/'memory.c'], port/'bare.ld',
                         include=[tk.FIRMWARE/'include', table_folder()],
                         flags=(*WARNINGS, '-DROOMS_ARE_GIVEN'), cc=cc)


def board():
    "run_cases for QEMU's board with a Cortex-M7, which has rules of alignment that the other emulator lacks."
    port, script = tk.FIRMWARE/'ports'/'cortex_m', table_folder()/'mps2_an500.ld'
    script.write_text(linker_script('mps2_an500', target('mps2_an500')))
    return compile_image([*tk.sources(), RUNNER, port/'memory.c', port/'startup.c'], script,
                         include=[tk.FIRMWARE/'include', table_folder()],
                         flags=(*WARNINGS, '-DROOMS_ARE_GIVEN', '-DON_BOARD'), cc='gcc')


def _results(numbers, why):
    n = len(_HEAD)
    return dict(zip(_HEAD, numbers), why=why, cases=numbers[n::2], compared=numbers[n+1::2])


def run_host(cc, blob, folder):
    "Results of the sanitized program."
    (folder/'blob').write_bytes(blob)
    r = subprocess.run([program(cc), folder/'blob'], capture_output=True, text=True,
                       env={**os.environ, 'ASAN_OPTIONS': 'detect_leaks=1'})
    return _said(r.stdout, r.returncode, r.stderr)


def _said(text, code, trouble):
    "Results as a program prints them; one that is stopped half-way has failed where it was."
    lines = text.splitlines()
    if not lines: raise SimulationFailed(f'run_cases said nothing, exit {code}: {trouble[-1500:]}')
    res = _results([int(x) for x in lines[0].split()], lines[1] if len(lines) > 1 else '')
    if code and not res['failures']: res.update(failures=1, why=f'exit {code}: {trouble[:1500]}')
    return res


@functools.lru_cache(None)
def core(cc):
    "An emulated core with rooms: pages with nothing on either side."
    em = Emulator(image(cc))
    for i in range(ROOMS): em.uc.mem_map(ROOM_AT + i*ROOM_STEP, ROOM_BYTES)
    for name, value in (('room_start', ROOM_AT), ('room_step', ROOM_STEP), ('room_bytes', ROOM_BYTES)):
        em.write(em.address(name), struct.pack('<I', value))
    return em


def run_device(cc, blob, folder=None):
    "Results of the emulated core."
    em, n = core(cc), len(_HEAD)
    em.free()
    at, res = em.alloc(blob), em.alloc(4*n + 40 + 8*len(TABLE))
    trouble = ''
    try: em.call('run_cases', at, len(blob), res, timeout_ms=1_000_000)
    except SimulationFailed as e: trouble = str(e)
    raw = em.read(res, 4*n + 40 + 8*len(TABLE))
    head, counts = struct.unpack(f'<{n}i', raw[:4*n]), struct.unpack(f'<{2*len(TABLE)}i', raw[4*n+40:])
    both = [x for pair in zip(counts[:len(TABLE)], counts[len(TABLE):]) for x in pair]
    got = _results([*head, *both], raw[4*n:4*n+40].split(b'\0')[0].decode())
    if trouble: got.update(failures=max(1, got['failures']), why=trouble)
    return got


def run_qemu(blob, folder, timeout=60):
    "Results of the program under QEMU."
    (folder/'blob').write_bytes(struct.pack('<ii', len(blob), 0) + blob)
    command = [str(find_qemu()), '-M', 'mps2-an500', '-nographic', '-semihosting-config', 'enable=on,target=native',
               '-kernel', str(board()),
               '-device', f"loader,file={folder/'blob'},addr=0x60000000,force-raw=on"]
    try: r = subprocess.run(command, capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired as e:
        raise SimulationFailed(f'QEMU did not finish within {timeout} s: {e.stdout!r:.300}') from None
    return _said(r.stdout + r.stderr, r.returncode, r.stderr)


PLACES = {'host': functools.partial(run_host, 'gcc'), 'host-zig': functools.partial(run_host, 'zig'),
          'm7-gcc': functools.partial(run_device, 'gcc'), 'm7-zig': functools.partial(run_device, 'zig'),
          'qemu': run_qemu}
USUAL = 'host', 'host-zig', 'm7-gcc', 'm7-zig'


# ---- sweeps

def describe(res, todo):
    "The first failure in words."
    op, _, _, kernels = todo[res['chunk']]
    k, block, alias = list(calls(kernels, op))[res['call']]
    of_bytes = res['why'] in ('byte differs', 'changed an input')
    what, kind = ('byte', '') if of_bytes else ('argument', 'status ')
    place = f"{what} {res['at']}: {kind}{res['got']} instead of {res['want']}"
    over = f', output on input {alias}' if alias >= 0 else ''
    return f"{k.name}, block {block}{over}, image {res['image']}: {res['why']} ({place}); {op.kind} {op.attrs}"


def _build(place):
    "Compile what a place needs."
    if place == 'qemu': return board()
    return (program if place.startswith('host') else image)('zig' if place.endswith('zig') else 'gcc')


def prepare(places):
    "Compile what the places need, once, two at a time."
    table_folder()
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(_build, places))


def sweep(name, cases=10_000, images=4, places=USUAL, seed=0, kernels=None, ops_per_blob=125, progress=None):
    "Run at least `cases` cases of an operator in every place: (operators drawn, place -> what was done)."
    kernels = OPERATORS[name] if kernels is None else kernels
    kinds = sorted({kind for k in kernels for kind in k.kinds})
    rng = np.random.default_rng([seed, *name.encode()])
    done = {p: dict(cases=np.zeros(len(TABLE), int), compared=0, statuses=0, seconds=0.) for p in places}
    drawn = 0
    with tempfile.TemporaryDirectory() as folder:
        while any(d['cases'].sum() < cases for d in done.values()):
            each = images * len(list(calls(kernels, bench.make_op(kinds[0]))))
            n = min(ops_per_blob, max(1, -(-(cases - min(d['cases'].sum() for d in done.values())) // each)))
            todo = [job for _ in range(n) for job in jobs(rng, kernels, kinds, images)]
            blob = b''.join(pack(*job, check=i % 8 == 0) for i, job in enumerate(todo))
            for p in places:
                t = time.time()
                res = PLACES[p](blob, Path(folder))
                if res['failures']: raise AssertionError(f"{p}, seed {seed}: {describe(res, todo)}")
                d = done[p]
                d['cases'] += res['cases']
                d['compared'] += sum(res['compared'])
                d['statuses'] += res['statuses']
                d['seconds'] += time.time() - t
            drawn += n
            if progress: progress(f"{name}: {drawn} operators, {done[places[0]]['cases'].sum()} cases")
    return drawn, done


def _job(name, share, images, places, seed, names):
    return sweep(name, share, images, places, seed, [k for k in OPERATORS[name] if k.name in names])


def main(argv=None):
    parser = argparse.ArgumentParser(description='Random cases, every kernel against NumPy, byte for byte.')
    parser.add_argument('--op', nargs='*', default=list(OPERATORS), choices=list(OPERATORS), help='operators')
    parser.add_argument('--kernels', default='', help='only kernels whose name contains this, such as rle or dsp')
    parser.add_argument('--cases', type=int, default=10_000, help='of each operator, in each place')
    parser.add_argument('--images', type=int, default=4, help='inputs for each operator')
    parser.add_argument('--on', nargs='*', default=list(USUAL), choices=list(PLACES), help='where')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--processes', type=int, default=1)
    args = parser.parse_args(argv)
    prepare(args.on)
    jobs, n = [], max(1, args.processes)
    for name in args.op:
        names = [k.name for k in OPERATORS[name] if args.kernels in k.name]
        jobs += [(name, -(-args.cases // n), args.images, tuple(args.on), args.seed + 1000*i,
                  names) for i in range(n) if names]
    started, total = time.time(), {}
    with ProcessPoolExecutor(n) as pool:
        for job, result in zip(jobs, pool.map(_job, *zip(*jobs))):
            drawn, done = result
            for p, d in done.items():
                key = total.setdefault((job[0], p), [0, {}, 0, 0, 0.])
                key[0] += drawn; key[2] += d['compared']; key[3] += d['statuses']; key[4] += d['seconds']
                for k, c in zip(TABLE, d['cases']):
                    if c: key[1][k.name] = key[1].get(k.name, 0) + int(c)
    for (name, p), (drawn, by, size, statuses, seconds) in total.items():
        print(f'{name} on {p}: {drawn} operators, {sum(by.values())} cases, {size} bytes compared, 0 different; '
              f'{statuses} refusals; {seconds:.1f} s')
        for k, c in by.items(): print(f'    {k}: {c}')
    print(f'{sum(sum(t[1].values()) for t in total.values())} cases in {time.time() - started:.0f} s')


if __name__ == '__main__': main()
