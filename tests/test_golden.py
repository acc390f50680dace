"""Golden vectors: what NumPy, the C kernels and the emulated core return is what was stored (see golden.py)."""
import json, shutil
from collections import Counter

import golden
import numpy as np
import pytest

from tinyformer import bench, graph as tg, kernels as tk, random_networks as rn, schedule as sc
from tinyformer.errors import BadInput

OPERATORS, MODELS = list(golden.operators()), list(golden.models())
CCS = ['zig', pytest.param('gcc', marks=pytest.mark.needs('gcc'))]


def calls():
    "(operator, image by image inputs and expected bytes, kernel, block) of every way to run the stored cases."
    for op, xs, want in OPERATORS:
        for k in tk.CATALOGUE:
            if op.kind not in k.kinds: continue
            images = [([x[i] for x in xs], y) for i, y in enumerate(want)]
            for block in (1, 2, 4) if k.format == 'rle' else (0,): yield op, images, k, block


def wrong_calls(call, spoil=False):
    "(kernels that ran, cases to which one gave other bytes); `spoil` changes one stored byte of each case."
    ran, wrong = Counter(), []
    for op, images, k, block in calls():
        for i, (xs, want) in enumerate(images):
            want = want ^ (np.arange(want.size) == 0) if spoil and i == 0 else want
            ran[k.name] += 1
            same = np.array_equal(call(k, op, *xs, block=block), want)
            if not same: wrong.append(f'{k.name}, block {block}: {op.attrs}')
    return ran, wrong


def wrong_models(run, folder, spoil=False):
    "Models, each in every memory mode, that give other bytes."
    nets, wants = [], {}
    for g, x, want in MODELS:
        for memory in sc.MEMORY:
            number = len(nets)
            nets.append(rn.Network(number, rn.named(g, f'n{number}'), memory, 'bytes', 'auto', {}, x, None))
            wants[number] = want.reshape(len(x), -1) ^ (1 if spoil else 0)
    made = [(n, rn.generate(n, folder/f'n{n.number}')) for n in nets]
    assert any(fw.chains for _, fw in made) and len(made) == 3*len(MODELS)
    return [n for n, (trouble, y) in run(made, folder).items() if trouble or not np.array_equal(y, wants[n])]


def test_every_kind_and_every_edge_is_stored():
    by = Counter(op.kind for op, *_ in OPERATORS)
    assert set(by) == set(tg.KINDS), f'no cases for {sorted(set(tg.KINDS) - set(by))}: run tests/golden.py --write'
    assert min(by.values()) >= golden.CASES and len(MODELS) == 3 + len(golden.ADDED)
    assert sum(p.stat().st_size for p in golden.FOLDER.iterdir()) < 400_000
    seen = {(op.kind, e) for op, *_ in OPERATORS for e in golden.edges(op)}
    for kind in ('pointwise', 'linear', 'fully_connected', 'conv3x3', 'depthwise3x3'):
        assert {(kind, e) for e in ('zp_in -128', 'zp_in 127', 'zp_out -128', 'zp_out 127', 'shift over 0')} <= seen
    assert all(golden.telling(want) for *_, want in OPERATORS)
    assert {op.kind for g, *_ in MODELS for op in g.ops} == set(tg.KINDS)


def test_numpy():
    assert golden.differences() == []
    for g, *_ in MODELS: tg.check(g)


def test_kernels_on_this_machine():
    ran, wrong = wrong_calls(tk.call)
    print(f'{sum(ran.values())} calls, {ran}')
    assert not wrong and set(ran) == {k.name for k in tk.CATALOGUE} and min(ran.values()) >= 2*golden.CASES


@pytest.mark.parametrize('cc', CCS)
def test_kernels_on_the_core(cc):
    em = bench.device(cc)
    ran, wrong = wrong_calls(lambda *a, **k: bench.device_call(em, *a, **k))
    print(f'{sum(ran.values())} calls')
    assert not wrong and set(ran) == {k.name for k in tk.CATALOGUE}


def test_models_on_this_machine_and_on_the_core(tmp_path):
    assert wrong_models(lambda made, f: rn.run_host(made, f, 'zig'), tmp_path/'host') == []
    assert wrong_models(lambda made, f: rn.run_device(made, f, 'zig'), tmp_path/'core') == []


@pytest.mark.thorough
def test_a_changed_byte_is_noticed(tmp_path):
    "In every place, for every kernel and every model; in an output, in a weight, in an input."
    em = bench.device('zig')
    for call in (tk.call, lambda *a, **k: bench.device_call(em, *a, **k)):
        ran, wrong = wrong_calls(call, spoil=True)
        assert len(wrong) == sum(ran.values()) // golden.IMAGES
    for run in (lambda made, f: rn.run_host(made, f, 'zig'), lambda made, f: rn.run_device(made, f, 'zig')):
        assert len(wrong_models(run, tmp_path/'models', spoil=True)) == 3*len(MODELS)
        shutil.rmtree(tmp_path/'models')
    for where in ('output', 'input', 'weight'):
        shutil.copytree(golden.FOLDER, tmp_path/where)
        file = golden.path('operators', tmp_path/where)
        cases = json.loads(file.read_text())
        case = next(c for c in cases if c['op']['kind'] == 'linear')
        at = dict(output=case, input=case['inputs'], weight=case['op']['params'])[where]
        key = 0 if where == 'input' else where
        a = golden.unpack(at[key]).copy()
        a.flat[0] += 50 if a.flat[0] < 0 else -50
        at[key] = golden.pack(a)
        file.write_text(golden.text_of(cases))
        assert len(golden.differences(tmp_path/where)) == 1
        assert golden.main(['--folder', str(tmp_path/where)]) == 1


def test_new_files_are_drawn_the_same_way_and_stored_ones_stay(tmp_path):
    for kind in ('conv3x3', 'add', 'softmax'): assert golden.draw_cases(kind) == golden.draw_cases(kind)
    shutil.copytree(golden.FOLDER, tmp_path, dirs_exist_ok=True)
    file = golden.path('operators', tmp_path)
    file.write_text(golden.text_of(c for c in golden.load('operators') if c['op']['kind'] != 'add'))
    assert golden.main(['--write', '--folder', str(tmp_path)]) == 0
    assert Counter(op.kind for op, *_ in golden.operators(tmp_path)) == Counter(op.kind for op, *_ in OPERATORS)
    old, new = ([c for c in golden.load('operators', f) if c['op']['kind'] != 'add'] for f in (golden.FOLDER, tmp_path))
    assert old == new
    assert golden.path('models', tmp_path).read_bytes() == golden.path('models').read_bytes()
    with pytest.raises(BadInput, match='--write'): golden.load('operators', tmp_path/'absent')
