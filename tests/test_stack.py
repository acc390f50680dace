"""The stack that a generated model can need at most, by the compiler's own account: a bound from frames and calls,
above what a run touches. `test_image_check.py` has the bound from the linked image."""
import re
from itertools import takewhile

import numpy as np
import pytest

from tinyformer import codegen as cg, toolchain as tc
from tinyformer.errors import BadInput
from tinyformer.graph import random_graph
from tinyformer.lowering import random_model
from tinyformer.hardware import target
from tinyformer.arch import Arch, Downsample, InvertedResidual, Transformer
from tinyformer.simulator import build, simulate
from tinyformer.stack import call_graph, stack_bound, worst_case

BOARD = target('stm32f746')
SMALL = Arch((16, 16, 3), 5, (Downsample(8, 'conv_pool'), InvertedResidual(8, 3), Transformer(12, 3, 20, 1, 16, True),
                              Downsample(16, 'ir', 2)), 20)


@pytest.fixture(scope='module')
def firmwares(tmp_path_factory):
    "A model with chains of layers and sparse weights, and one that holds every kind of operator."
    models = dict(banded=random_model(SMALL, 0, .7), every=random_graph(3, (8, 8, 3), 8, 2))
    return {n: cg.generate(g, BOARD, tmp_path_factory.mktemp('fw')/n, memory='least') for n, g in models.items()}


@pytest.mark.needs('gcc')
@pytest.mark.parametrize('name', ('banded', 'every'))
def test_the_bound_is_at_least_what_a_run_touches(firmwares, name):
    fw = firmwares[name]
    shape = (2, *fw.graph.tensors[fw.graph.input].shape)
    x = np.random.default_rng(0).integers(-128, 128, shape, dtype=np.int8)
    run = simulate(build(fw, cc='gcc'), fw, x, progress=False)
    bound, way = stack_bound(fw)
    print(f'{name}: at most {bound} bytes of stack, {run.stack_bytes} touched; deepest: {" > ".join(way)}')
    assert 0 < run.stack_bytes <= bound < 2048
    assert way[0] == f'{fw.prefix}_invoke'


def straight(body):
    "The instructions of assembly in C before the first label or branch."
    lines = re.findall(r'"\s*([^"]*?)\s*(?:\\n)?"', body)
    return list(takewhile(lambda line: not re.match(r'\d+:|b\w{0,2} |cb', line), lines))


def test_assembly_keeps_to_the_frames_of_its_function():
    "The compiler counts no push of inline assembly: only functions that are all assembly push, where they begin."
    pushes = 0
    for path in [*(tc.firmware_dir()/'kernels').rglob('*.c'), *(tc.firmware_dir()/'include').glob('*.h')]:
        text = path.read_text()
        naked = re.findall(r'TFM_NAKED static [^;{]*\{[\s\\]*(?:/\*[^*]*\*/[\s\\]*)?'
                           r'__asm volatile\((.*?)\);', text, re.S)
        first = [line for body in naked for line in straight(body) if line.startswith('push')]
        moves = (r'"\s*(?:\d+:)?\s*((?:push|vpush|bl|blx|sub sp|stm\w* sp!|str\w* [^"]*\[sp, #-)'
                 r'\b[^"]*)"')                                 # what moves the stack pointer
        lines = re.findall(moves, text)
        assert len(lines) == len(first) and all(l.startswith('push') for l in lines), (path.name, lines)
        pushes += len(lines)
    print(f'{pushes} pushes')
    assert pushes > 5


@pytest.mark.needs('gcc')
def test_what_assembly_pushes_is_in_the_frames(tmp_path):
    (tmp_path/'a.c').write_text('''
__attribute__((naked, noinline)) static int g(int n) { __asm volatile("push {r4-r6, r8, lr}\\n mov r0, #3\\n"
                                                                      "pop {r4-r6, r8, pc}"); }
int f(int n) { return g(n) + 1; }''')
    frames, calls = call_graph([tmp_path/'a.c'], [])
    assert worst_case(frames, calls, 'f')[0] == frames['f'] + 20


def test_the_deepest_way_by_hand():
    frames, calls = dict(a=8, b=100, c=16, d=24), dict(a={'b', 'c'}, c={'d'}, b={'d'})
    assert worst_case(frames, calls, 'a') == (132, ('a', 'b', 'd'))
    with pytest.raises(BadInput, match='e has no known frame'): worst_case(frames, dict(a={'e'}), 'a')
    assert worst_case(frames, dict(a={'e'}), 'a', dict(e=40)) == (48, ('a', 'e'))
    with pytest.raises(BadInput, match='calls itself'): worst_case(frames, dict(a={'b'}, b={'a'}), 'a')


@pytest.mark.needs('gcc')
@pytest.mark.parametrize('code, words', [
    ('int f(int n) { return n ? f(n - 1) + n * 3 : 0; } int (*g)(int) = f;', 'calls itself'),
    ('int f(int (*g)(int)) { return g(3) + 1; }', 'no known frame'),
    ('#include <string.h>\nvoid h(char *); void f(int n) { char a[n]; h(a); }', 'has no bound')])
def test_code_without_a_bound_is_refused(tmp_path, code, words):
    (tmp_path/'a.c').write_text(code)
    with pytest.raises(BadInput, match=words): worst_case(*call_graph([tmp_path/'a.c'], [], optimize='-O1'), 'f')
