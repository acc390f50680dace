"""Exercises and questions of the course: each is asked on its page and answered in a notebook that runs, and a check
refuses wrong answers."""
import json, re
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from conftest import ROOT
from tinyformer import course
from tinyformer.arch import layers, reference_arch
from tinyformer.errors import BadInput
from tinyformer.float_graph import FloatGraph
from tinyformer.formula import Formula
from tinyformer.random_graphs import linear_graph
from tinyformer.search_space import digits_space

WRONG = {                                            # an answer that a person might give
    'hardware-1': {'stm32f746'}, 'hardware-2': 7.28, 'hardware-3': 2**31 // (127*127),
    'hardware-4': lambda x, w: 0, 'hardware-5': lambda side, cin, cout: (cin*cout, side*side*cin, 0),
    'rle-1': 120, 'rle-2': (501, 11),
    'rle-3': lambda rows, cin, block, sparsity: rows * cin // 8, 'rle-4': .75,
    'rle-5': lambda stream, rows, m, b: np.ones((rows, m), bool),
    'memory-1': dict(a=8, p=512, b=8, q=8, c=512, d=8), 'memory-2': lambda rows: sum(row[2] for row in rows),
    'memories-1': 320, 'memories-2': lambda live, room, wait: 0, 'softmax-1': lambda row, table: [-128]*len(row),
    'graph-1': None, 'graph-2': lambda graph: {},
    'graph-3': lambda graph: max(o.nbytes for o in graph.tensors.values()),
    'attention-1': 3*(12*12 + 12), 'attention-2': lambda q, k, v: q @ k.T @ v, 'attention-3': 256*256,
    'attention-4': lambda n: round(n**.5), 'afternoon-1': 24*24, 'afternoon-2': 6072,
    'operators-1': 0, 'operators-2': 0,
    'operators-3': lambda acc, mult, shift, zp: round(acc*mult*2.**(shift - 32)) + zp,
    'operators-4': lambda w, bias, zp: bias, 'windows-1': 8,
    'windows-2': lambda size, out, k, stride, pad: [k]*out, 'elementwise-1': (0, -15, 3, 1),
    'elementwise-2': lambda one, two: two[one], 'norms-1': 0, 'norms-2': lambda x: ([v - sum(x) for v in x], 0),
    'record-1': (3, 2, 2, 2), 'record-2': (5, 2), 'pruning-1': .225, 'pruning-2': {'1x1': .5, '1x2': .5, '1x4': .5},
    'pruning-3': lambda w, b, sparsity: abs(w) > np.quantile(abs(w), sparsity),
    'file-1': .25, 'file-2': lambda row: ([], row), 'file-3': lambda path: path.stat().st_size,
    'words-1': (960, 964), 'words-2': (5, 0), 'words-3': .5, 'calls-1': {'tfm_add_s8_ref'}, 'calls-2': 'TFM_OK',
    'calls-3': SimpleNamespace(tfm_linear_s8_ref=lambda *args: 0), 'kernels-1': b'', 'kernels-2': 39/32,
    'kernels-3': [15, -12, 16, 0], 'costs-1': ('call', 'call'), 'costs-2': .9,
    'costs-3': lambda coef, counts: sum(coef.values()), 'choice-1': 1, 'choice-2': lambda choices: choices[:1],
    'choice-3': .9, 'lifetimes-1': {'pool'}, 'lifetimes-2': 1600,
    'lifetimes-3': linear_graph(('a', 'x', 8), ('b', 'a', 8)), 'chains-1': {'input'}, 'chains-2': (3, 4),
    'chains-3': lambda n: n, 'schedule-1': {'pool'}, 'schedule-2': 0,
    'schedule-3': lambda buffers: sum(b.size for b in buffers), 'emit-1': (1, 2),
    'emit-2': lambda buffer, offset, row, ring, y: offset + row*y, 'emit-3': {0},
    'bands-1': [1, 2, 3], 'bands-2': 4, 'bands-3': lambda end, windows: end + len(windows),
    'codegen-1': 12, 'codegen-2': lambda files, name: re.findall(r'#include "(.*)"', files[name]),
    'codegen-3': lambda rows: [(a[0], b[0]) for a in rows for b in rows if a[0] < b[0] and a[1] < b[1] + b[2]],
    'waiting-1': 4, 'waiting-2': (18_000, 18_000, 18_000), 'waiting-3': lambda trace, sets, ways, line: len(trace),
    'emulator-1': 301, 'emulator-2': lambda ran, marks: Counter({marks.get(f, f): n for f, n in ran}),
    'emulator-3': bytes.fromhex('4018' '7047'), 'simulator-1': .324,
    'simulator-2': lambda counts, name, times: times, 'simulator-3': lambda frames, calls, name: sum(frames.values()),
    'data-1': 50_000*32*32, 'data-2': lambda p, n: 100*(p*(1 - p)/n)**.5,
    'data-3': lambda train, test: [i for i, x in enumerate(test) if (train == x).all((1, 2, 3)).any()],
    'augmentation-1': (0, 2), 'augmentation-2': lambda image, strength: image*strength,
    'augmentation-3': lambda image, right, down: np.roll(image, (down, right), (0, 1)),
    'optimisation-1': .004, 'optimisation-2': lambda logits, y, s: -logits[y],
    'optimisation-3': lambda seed, step, n, size: np.random.default_rng((seed, step)).permutation(n)[:size],
    'training-1': 12*1150, 'training-2': lambda grads, clip: [np.clip(g, -clip, clip) for g in grads],
    'training-3': lambda epochs, per, kills: epochs*per + sum(kills),
    'arch-1': 2*32*192, 'arch-2': reference_arch(), 'arch-3': lambda arch: max(l.out_bytes for l in layers(arch)),
    'blocks-1': 4*12*12 + 2*12*20, 'blocks-2': lambda w, gamma, beta, mean, var, eps: (w, beta),
    'steps-1': ((3, 4), (4, -1), 0), 'steps-2': Formula(), 'importer-1': .003,
    'places-1': ((2, 3), (3, 1), 0), 'places-2': lambda places: True,
    'patterns-1': (3, .5), 'patterns-2': lambda x, q, k, v: (q(x) @ k(x).mT).softmax(-1) @ v(x),
    'importer-2': (torch.nn.Linear(4, 4), torch.full((1, 4), 1e7)),
    'ranges-1': (.01, -51, 1.23), 'ranges-2': lambda ends: ends.max(1),
    'qlayers-1': (30, -127, 0, 15), 'qlayers-2': lambda w, bits: np.round(w*127/abs(w).max())*abs(w).max()/127,
    'quantization-1': 5, 'quantization-2': FloatGraph(),
    'qnet-1': .5, 'qnet-2': lambda f, lo, hi, step: (lo, hi), 'lowering-1': 600,
    'lowering-2': lambda f, s_in, z_in, s_out, z_out: np.int8(f(np.zeros(256))),
    'supernas-1': 34, 'supernas-2': lambda flash, sram, lo, hi: np.mean([lo < f < hi for f in flash]),
    'supernas-3': digits_space(), 'sparsenas-1': .954, 'sparsenas-2': sorted,
    'sparsenas-3': lambda good, rest, values: max(values, key=good.count),
    'cost-1': 32*64, 'cost-2': lambda steps: sum(size for *_, size in steps),
    'supernet-1': .25, 'oneshot-1': .8, 'oneshot-2': lambda a, b: float(np.corrcoef(a, b)[0, 1]), 'fronts-1': .6,
    'fronts-2': lambda points, most: sum((1 - t/most)*a for t, a in points),
    'space-1': 36, 'space-2': lambda space: space.largest(), 'evaluation-1': 20717,
    'evaluation-2': lambda share, sure: round(sure/share), 'zoo-1': .0021,
    'zoo-2': lambda cards, flash_kb, sram_kb: max(cards, key=lambda c: c['accuracy']['int8'])['name'],
    'quantization-3': lambda want, got: 10*np.log10((want**2).sum() / ((want - got)**2).mean()), 'lowering-3': -101,
    'cost-3': 16*16*32*9, 'pipeline-1': lambda stages, points: [n for n, a in stages.items() if a < 1 - points/100],
    'zoo-3': lambda data, card: len(data) == 9,
}


def text_of(path):
    return '\n'.join(''.join(c['source']) for c in json.loads(path.read_text(encoding='utf-8'))['cells'])


SOLUTIONS = '\n'.join(map(text_of, sorted((ROOT/'nbs'/'solutions').glob('*.ipynb'))))


@pytest.mark.parametrize('name', course.EXERCISES)
def test_an_exercise_is_asked_and_solved(name):
    "With its stars on the page that it names, open there, and solved in a notebook that runs."
    e = course.EXERCISES[name]
    page = text_of(ROOT/'nbs'/f'{e.page}.ipynb')
    assert f"**{name}** {'★' * e.stars} " in page
    assert f"answer = ...\ncourse.check('{name}', answer)" in page
    assert f"assert course.check('{name}', " in SOLUTIONS and f'## Exercise {name}\n' in SOLUTIONS


@pytest.mark.parametrize('name', course.EXERCISES)
def test_a_wrong_answer_gets_a_hint(name):
    verdict = course.check(name, WRONG[name])
    assert not verdict and 'not yet. ' in repr(verdict) and len(repr(verdict)) > 40
    assert not course.check(name, ...) and 'open' in repr(course.check(name, ...))
    assert not course.check(name, lambda: 1/0)                    # no traceback, whatever an answer is
    assert not course.check(name, float('nan'))


def test_what_is_no_exercise_is_refused():
    with pytest.raises(BadInput, match='known are hardware-1'): course.check('rle-99', 1)
    assert set(WRONG) == set(course.EXERCISES)


# ---- quizzes ---------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize('name', course.QUIZZES)
def test_a_quiz_stands_on_its_page_as_it_is(name):
    "Five questions with three answers, one of them right, each with a reason; the page stores what it shows today."
    quiz = course.QUIZZES[name]
    assert len(quiz.questions) == 5
    for q in quiz.questions:
        assert len(q.answers) == 3 and q.right in 'ABC' and len({o.text for o in q.answers}) == 3
        assert all(len(o.why) > 5 for o in q.answers) and q.text.endswith('?')
    cells = json.loads((ROOT/'nbs'/f'{quiz.page}.ipynb').read_text(encoding='utf-8'))['cells']
    shown, = (c for c in cells if ''.join(c['source']) == f"course.quiz('{name}')")
    stored, = shown['outputs']
    assert ''.join(stored['data']['text/markdown']) == course.quiz(name)._repr_markdown_()


def test_no_letter_is_a_good_guess():
    rights = Counter(q.right for quiz in course.QUIZZES.values() for q in quiz.questions)
    assert all(.2 < rights[o]/rights.total() < .5 for o in 'ABC')


def test_answers_with_digits_are_computed():
    "Where the right answer is a number, a cell of the solutions computes it."
    for name, quiz in course.QUIZZES.items():
        for i, q in enumerate(quiz.questions, 1):
            if re.search(r'\d', course.correct(name, i)):
                assert f"course.correct('{name}', {i})" in SOLUTIONS, (name, i)


def test_a_quiz_that_nobody_wrote_is_refused():
    with pytest.raises(BadInput, match='known are hardware'): course.quiz('no-chapter')
    for number in (0, 6):
        with pytest.raises(BadInput, match='has 1 to 5'): course.correct('rle', number)
