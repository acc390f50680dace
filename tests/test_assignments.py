"""Graded assignments: students' notebooks hold no answer, wrong answers earn nothing, and a forged test neither."""
import json, re, sys

import numpy as np
import pytest

from conftest import ROOT
from tinyformer import assignments
from tinyformer.errors import BadInput
from tinyformer.memory_alloc import lifetimes

sys.path.insert(0, str(ROOT/'docs'))
import assignments as tool

WRONG = {                                            # answers that a person might give
    'bytes-1': lambda layers: sum(rows*cin*taps + 8*rows for rows, cin, taps, *_ in layers),
    'bytes-2': lambda layers, limit: .5, 'bytes-3': lambda row, b: row.tobytes(),
    'bytes-4': lambda steps: sum(size for _, size, _ in steps),
    'bytes-5': lambda intervals: {i.name: 0 for i in intervals},
    'integers-1': lambda x, lo, hi: (np.round(x*127/hi).astype(np.int8), hi/127, 0),
    'integers-2': lambda ratio: (round(ratio*2**32), 0),
    'integers-3': lambda x, w, bias, zp_in, mult, shift, zp: np.zeros((len(x), len(w)), np.int8),
    'integers-4': lambda scores, scale: scores, 'integers-5': lambda w, bias: abs(w).sum(1) < 2**31,
    'model-1': lambda step, last, final: final*step/last, 'model-2': lambda w, b, sparsity: np.ones_like(w, bool),
    'model-3': lambda models: range(len(models)), 'model-4': lambda hits, n: 'accepted' if hits/n > .9 else 'rejected',
    'model-5': None}


def row_of(kept, raw):                               # an encoder with its own idea of what is kept, and of bytes
    def encode_row(row, b):
        out, last = b'', -1
        for i, block in enumerate(row.reshape(-1, b)):
            if not kept(block): continue
            out += bytes([(0 if out else 128) | i - last - 1]) + raw(block)
            last = i
        return out
    return encode_row


def most_live(steps):                                # sizes as they are, not rounded up
    lives = lifetimes(steps)
    return max(sum(i.size for i in lives if i.start <= t < i.stop) for t in range(len(steps)))


def floored(x, lo, hi):
    scale = (hi - lo)/255
    zp = round(-128 - lo/scale)
    return np.clip(np.floor(x/scale) + zp, -128, 127).astype(np.int8), scale, zp


def uncut(ratio):
    shift = 0
    while ratio/2**shift >= .5: shift += 1
    return round(ratio/2**shift*2**32), shift


NEARLY = [('bytes-3', row_of(np.all, np.ndarray.tobytes)), ('bytes-3', row_of(np.any, lambda o: bytes(o.tolist()))),
          ('bytes-4', most_live), ('integers-1', floored), ('integers-2', uncut),
          ('integers-5', lambda w, bias: abs(bias) + 127*abs(w.astype(int)).sum(1) < 2**31)]


@pytest.mark.parametrize('name, answer', NEARLY)
def test_an_answer_that_misses_one_sentence_of_the_task_earns_nothing(name, answer):
    assert assignments.points(name, answer) == 0


def test_an_encoder_that_is_right_in_both_points_passes():
    assert assignments.points('bytes-3', row_of(np.any, np.ndarray.tobytes)) == 4


@pytest.mark.parametrize('name', assignments.TASKS)
def test_a_wrong_answer_earns_nothing_and_gets_a_hint(name):
    def nothing(*_): raise NotImplementedError
    for answer in (WRONG[name], nothing, None):
        got = assignments.points(name, answer)
        assert got == 0 and repr(got) == '0' and len(got.text) > 15
    assert 'Not answered' in assignments.points(name, nothing).text
    assert set(WRONG) == set(assignments.TASKS)


def test_what_is_no_task_is_refused():
    with pytest.raises(BadInput, match='known are bytes-1'): assignments.points('bytes-99', 1)
    with pytest.raises(BadInput, match='known are bytes'): assignments.total('nothing')


def marked(nb): return {tool.graded(c)['grade_id']: c for c in nb['cells'] if tool.graded(c)}


def test_students_get_no_answer():
    "Three notebooks of twenty points, as they follow from the solutions, without a line of an answer."
    assert len(tool.pairs()) == 3 and not tool.old()
    for source, to in tool.pairs().items():
        text = to.read_text(encoding='utf-8')
        assert 'SOLUTION' not in text and 'HIDDEN' not in text and tool.STUB[1] in text
        mine = marked(tool.read(source))
        assert sum(tool.graded(c).get('points', 0) for c in mine.values()) == 20
        for name, c in mine.items():
            if not tool.graded(c)['grade'] or name.endswith('-total') or c['cell_type'] == 'markdown': continue
            assert tool.graded(c)['points'] == assignments.TASKS[name].points
            assert re.fullmatch(rf"assignments\.points\('{name}', \w+\)", ''.join(c['source']))


def test_an_old_notebook_of_students_is_noticed(tmp_path):
    source, to = next(iter(tool.pairs().items()))
    nb = tool.student(tool.read(source))
    other = tmp_path/'other.ipynb'
    nb['cells'][2]['source'] = ['changed']
    other.write_text(json.dumps(nb))
    assert tool.same(tool.student(tool.read(source)), to) and not tool.same(tool.student(tool.read(source)), other)


def test_grading_runs_our_tests_and_not_theirs(tmp_path):
    "Two right answers, one forged test, one answer that ends the process: what came before it counts."
    source, to = next(iter(tool.pairs().items()))
    handed_in, right = tool.read(to), marked(tool.read(source))
    theirs = marked(handed_in)
    for name in ('bytes-1', 'bytes-3'): theirs[f'{name}-answer']['source'] = right[f'{name}-answer']['source']
    theirs['bytes-2']['source'] = ['4.0']
    theirs['bytes-4-answer']['source'] = ['import os\n', 'os._exit(0)']
    path = tmp_path/'ann.ipynb'
    path.write_text(json.dumps(handed_in))
    got = tool.grade(path)
    assert got == {'bytes-1': (3, 3), 'bytes-2': (0, 4), 'bytes-3': (4, 4), 'bytes-4': (0, 3), 'bytes-5': (0, 4),
                   'bytes-6': (None, 2)}


def test_a_notebook_that_cannot_be_graded_is_named_and_stops_nobody(tmp_path):
    (tmp_path/'torn.ipynb').write_text('{', encoding='utf-8')
    (tmp_path/'other.ipynb').write_text('{"cells": []}', encoding='utf-8')
    for name, text in (('torn', 'not graded: JSONDecodeError'), ('other', 'not the cells that show'),
                       ('none', 'not graded: FileNotFoundError')):
        assert text in tool.report(tmp_path/f'{name}.ipynb')
