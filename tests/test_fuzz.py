"Damaged files and streams: refused with the error that is meant for them, or as good as an undamaged one."
import copy, ctypes, functools, io, json, re, struct, subprocess, zipfile
from pathlib import Path

import numpy as np
import pytest
import sweep
from hypothesis import HealthCheck, given, settings, strategies as st

from tinyformer import bench, ccalls, graph as gr, graph_file, kernels as tk
from tinyformer.errors import CorruptModel
from tinyformer.rle_encoding import decode, encode, to_blocks
from tinyformer.toolchain import WARNINGS, compile_host

EDGES = [0, 1, -1, 2, 3, 7, 8, 20, 21, 31, 32, 64, 65, 127, 128, -128, -129, 225, 255, 1024, 1025, 32767, 32768, 65535,
         2**31 - 1, 2**31, -2**31, 2**62, 2**63, 10**30]
ODD = [None, True, False, 1.5, float('nan'), float('inf'), '', 'x', 'input', [], {}, [1], ['input'], 'a' * 200, '../x',
       'é\n']
values = st.one_of(st.sampled_from(EDGES), st.sampled_from(ODD), st.integers(-200, 200))
quick = settings(max_examples=250, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


@functools.lru_cache(None)
def model(seed):
    "(graph.json, arrays) of a small model's file."
    path = Path(gr.save(gr.random_graph(seed, (4, 4, 1), 4, 2, 3), Path(sweep.table_folder())/f'fuzz{seed}.tfm'))
    arrays = graph_file._read_arrays(path)
    return json.loads(arrays.pop('graph.json').tobytes()), arrays


def places(node, at=()):
    "Every path into a JSON tree."
    yield at
    for k, v in (node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()):
        yield from places(v, (*at, k))


def damage_head(data, head):
    "Another value, one value less, one twice, or a neighbour's value, somewhere in the tree."
    at = data.draw(st.sampled_from([p for p in places(head) if p]))
    *way, last = at
    node = functools.reduce(lambda n, k: n[k], way, head)
    how = data.draw(st.sampled_from('set near drop copy'.split()))
    if how == 'drop': del node[last]
    elif how == 'copy':
        other = data.draw(st.sampled_from(list(places(head))))
        node[last] = copy.deepcopy(functools.reduce(lambda n, k: n[k], other, head))
    elif how == 'near' and type(node[last]) is int: node[last] += data.draw(st.sampled_from([-4, -2, -1, 1, 2, 4, 256]))
    else: node[last] = data.draw(values)


def damage_array(data, arrays):
    "Another value, shape or type in one array, or one array less or more."
    name = data.draw(st.sampled_from(sorted(arrays)))
    a, how = arrays[name].copy(), data.draw(st.sampled_from('value value all shape type drop more'.split()))
    whole = np.iinfo(a.dtype) if a.dtype.kind in 'iu' else None
    if how == 'drop':
        del arrays[name]
        return
    if how == 'more': name = name + 'x'
    if how == 'value' and whole and a.size:
        at, value = data.draw(st.integers(0, a.size - 1)), data.draw(st.sampled_from(EDGES[:-4]))
        a.reshape(-1)[at] = np.clip(value, whole.min, whole.max)
    if how == 'all' and whole: a[...] = data.draw(st.sampled_from([whole.min, whole.max, 0, 1]))
    if how == 'shape':
        a = data.draw(st.sampled_from([a.reshape(-1), a[None], a[:0], a[..., :-1], a.T, np.concatenate([a, a])]))
    if how == 'type':
        a = a.astype(data.draw(st.sampled_from(['i1', 'i2', 'i4', 'i8', 'u1', 'f8', '?', '>i4', 'c8', 'U3'])))
    arrays[name] = a


def write(path, head, arrays, damage=lambda name, raw: raw):
    "A model file with sound checksums, whatever is in it."
    with zipfile.ZipFile(path, 'w') as z:
        for name, a in {'graph.json': np.frombuffer(json.dumps(head).encode(), np.uint8), **arrays}.items():
            buf = io.BytesIO()
            np.lib.format.write_array(buf, np.ascontiguousarray(a), version=(1, 0))
            z.writestr(zipfile.ZipInfo(f'{name}.npy'), damage(name, buf.getvalue()))


def load_or_refuse(path):
    "The graph, if the file is accepted: one that runs, with the same bytes from every kernel."
    try: g = gr.load(path)
    except CorruptModel as e:
        assert path.name in str(e) and len(str(e)) < 1000
        return None
    # sound, but not to be run here
    if sum(np.prod(t.shape, dtype=float) for t in g.tensors.values()) > 1e6: return g
    x = np.random.default_rng(0).integers(-128, 128, (1, *g.tensors[g.input].shape), dtype=np.int8)
    live = gr.run(g, x, keep=True)
    for op in g.ops:
        for k in (k for k in tk.CATALOGUE if op.kind in k.kinds):
            got = tk.call(k, op, *(live[n].ravel() for n in op.inputs))
            assert np.array_equal(got, live[op.output].ravel()), (k, op.attrs)
    return g


@quick
@given(st.data())
def test_a_damaged_model_is_refused_or_runs(data):
    head, arrays = copy.deepcopy(model(data.draw(st.integers(0, 3))))
    for _ in range(data.draw(st.integers(1, 3))):
        if data.draw(st.booleans()) and arrays: damage_array(data, arrays)
        elif isinstance(head, dict) and head: damage_head(data, head)
    path = sweep.table_folder()/'damaged.tfm'
    write(path, head, arrays)
    load_or_refuse(path)


@quick
@given(st.integers(0, 3), st.data())
def test_a_damaged_array_header_is_refused_or_runs(seed, data):
    "Bytes of an array's own header and values changed, below a checksum that holds."
    head, arrays = model(seed)
    names = ['graph.json', *arrays]
    victim, at, byte = data.draw(st.sampled_from(names)), data.draw(st.integers(0, 140)), data.draw(st.integers(0, 255))
    how = data.draw(st.sampled_from('set insert cut'.split()))
    def damage(name, raw):
        if name != victim: return raw
        return raw[:at] + (bytes([byte]) if how != 'cut' else b'') + raw[at + (how != 'insert'):]
    path = sweep.table_folder()/'damaged.tfm'
    write(path, head, arrays, damage)
    load_or_refuse(path)


def test_an_undamaged_model_is_accepted():
    for seed in range(4):
        path = sweep.table_folder()/'sound.tfm'
        write(path, *model(seed))
        assert load_or_refuse(path) is not None


# ---- weight streams

@st.composite
def damaged_streams(draw):
    "A stream, and what it is said to hold; sometimes it does."
    rows, taps, b = draw(st.integers(1, 9)), draw(st.sampled_from([1, 1, 4, 9])), draw(st.sampled_from([1, 2, 4]))
    cin = draw(st.sampled_from([1, 3, 4, 9, 130, 520]))
    w = bench.random_weights(np.random.default_rng(draw(st.integers(0, 99))), rows, taps, cin,
                             draw(st.sampled_from([0, .5, .9, .99, 1])), b)
    s = bytearray(encode(w, b))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(s)))
        how = draw(st.sampled_from('set insert cut end twice'.split()))
        if how == 'set' and at < len(s): s[at] = draw(st.integers(0, 255))
        if how == 'insert': s.insert(at, draw(st.sampled_from([0, 1, 119, 120, 127, 128, 247, 248, 254, 255])))
        if how == 'cut': del s[at:at + draw(st.integers(1, 5))]
        if how == 'end': del s[at:]
        if how == 'twice': s[at:at] = s[at:at + draw(st.integers(1, 5))]
    return bytes(s), rows, cin, taps, b


@settings(quick, max_examples=1000)
@given(damaged_streams())
def test_a_damaged_stream_is_refused_or_means_what_it_says(case):
    "Refused, by Python and C alike but for what C leaves to Python, or the stream of the weights that come back."
    s, rows, cin, taps, b = case
    buf = np.frombuffer(s or b'\0', np.uint8)
    rle = ccalls.TYPES['tfm_rle'](buf.ctypes.data, len(s), b)
    status = tk.host().tfm_rle_check(ctypes.byref(rle), rows, taps * -(-cin // b))
    try: w = decode(s, rows, cin, taps, b)
    except CorruptModel: return
    assert status == 0 and encode(w, b) == s and to_blocks(w, b).shape == (rows, taps * -(-cin // b), b)


@pytest.mark.needs('cc')
def test_the_command_of_the_fuzzer_names_every_file(root):
    "That of firmware/tests/README.md, linked with a `main` in place of the fuzzer."
    command = re.search(r'^clang (.*?)\nmkdir', (root/'firmware/tests/README.md').read_text(), re.M | re.S)[1]
    files = [f for word in command.split() if word.endswith('.c') for f in sorted(root.glob(word))]
    assert len(files) > 8
    compile_host(files, include=[tk.FIRMWARE/'include'], flags=('-O0', '-DFROM_FILE'), shared=False, cc='gcc')


@pytest.mark.needs('cc')
def test_the_fuzz_target_on_damaged_streams(tmp_path):
    "firmware/tests/fuzz_rle.c for longer runs; here, some thousand streams of its own format under a sanitizer."
    rng, records = np.random.default_rng(0), []
    for _ in range(4000):
        block, cin, rows = int(rng.integers(3)), int(rng.integers(1, 256)), int(rng.integers(1, 33))
        conv = rng.random() < .3
        sizes = [int(x) for x in rng.integers(0, 256, 3)]
        taps, channels = ((1 + sizes[2] % 3) * (1 + (sizes[2] >> 2) % 3), 1 + cin % 24) if conv else (1, cin)
        w = bench.random_weights(rng, rows, taps, channels, float(rng.choice([0, .5, .9, .99, 1])), 1 << block)
        s = bytearray(encode(w, 1 << block))
        for _ in range(int(rng.integers(0, 3))): s[int(rng.integers(len(s)))] = int(rng.integers(256))
        first = next(x for x in range(128 * conv, 128 * conv + 64) if x % 3 == block)
        records.append((bytes([first, cin - 1, rows - 1, *sizes]) + bytes(s))[:4096])
    (tmp_path/'records').write_bytes(b''.join(struct.pack('<i', len(r)) + r for r in records))
    sources = sorted({tk.FIRMWARE/s for k in tk.CATALOGUE if k.format == 'rle' for s in k.sources})
    program = compile_host([*sources, tk.FIRMWARE/'tests'/'fuzz_rle.c'], include=[tk.FIRMWARE/'include'],
                           flags=(*sweep.SANITIZE['gcc'], *WARNINGS, '-DFROM_FILE'),
                           shared=False, cc='gcc')
    r = subprocess.run([program, tmp_path/'records'], capture_output=True, text=True)
    print(r.stdout)
    assert r.returncode == 0, r.stderr[-2000:]
    accepted, of = map(int, r.stdout.split()[::3])
    assert of == 4000 and 1000 < accepted < 3500
