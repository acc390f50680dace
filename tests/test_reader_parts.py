"""The parts of the reader, one by one: what waits, what is copied, what becomes one step, what is refused."""
import sys
from collections import Counter

import pytest, torch, torch.nn as nn, torch.nn.functional as F

from tinyformer.errors import UnsupportedOp
from tinyformer.float_graph import Formula
from tinyformer.places import Val, places_of
from tinyformer.program import export, quietly
from tinyformer.reader import NEAREST, USUAL, Reader, Refused, Scores, _double, _single, _smaller, line_formula

TABLE = torch.arange(24.).reshape(2, 12)


class Call(nn.Module):
    "A function of a tensor, as a network."
    def __init__(self, f): super().__init__(); self.f = f
    def forward(self, x): return self.f(x)


def reader_of(f, *shape):
    "A reader of a small network, before it reads."
    with quietly(): program, n = export(Call(f), [torch.rand(1, *shape)])
    return Reader(program, n, [(shape, (1, 2, 0) if len(shape) == 3 else tuple(range(len(shape))))])


def read(f, *shape):
    "The steps of a function of a tensor, as (kind, name)."
    return [(s.kind, s.attrs.get('name')) for s in reader_of(f, *shape).read().prune().steps]


def test_small_things():
    some = torch.linspace(-2, 2, 9)
    assert Refused('GRU', 'nn.Conv1d').hint == 'nn.Conv1d' and 'nn.Linear' in USUAL and 'LSTM' in NEAREST
    assert _single(torch.ones(2).half()).dtype == torch.float32 and _double(3).dtype == torch.float64
    assert torch.allclose(line_formula(2, 1)(some), 2*some + 1) and line_formula(1, 0) == Formula()
    q = Val('q', torch.arange(24).reshape(1, 2, 3, 4))
    assert Scores(q, q, (2, 3, 3), None).size == 18


def test_rows_and_columns_are_told_apart():
    rows = torch.arange(24).reshape(6, 4)
    assert _smaller(torch.ones(4, 1).expand(4, 3)*rows[0, :3])[1] == 'row'
    assert [_smaller(t)[1] for t in (rows[:, :1].expand(6, 4), rows)] == ['column', '']


def test_a_step_is_called_like_the_module_that_asked_for_it():
    r = reader_of(lambda x: x, 3, 4)
    node = r.program.graph.output_node()
    assert (r.stack(node), r.size(r.graph.add_input((2, 5)))) == (('', ''), 10) and r.maker('input') is None


def test_places_are_used_as_they_are_or_copied_or_a_layer_is_split():
    r = reader_of(lambda x: x, 3, 4)
    node, name = r.program.graph.output_node(), r.graph.add_input((5, 4))
    v = r.whole(name, [5, 4], (0, 1))
    half = v.moved(lambda t: t[:, :, :2])
    assert r.inside(half)[1].tolist() == [4, 5]
    assert r.get(name, torch.arange(20), (20,), node) == 'output.view'                # the same bytes
    assert r.fetch(v, (1, 0), (4, 5), node) == 'output.copy'                          # a transpose
    fc = r.graph.add_linear('fc', name, torch.rand(4, 4))
    assert r._channels(fc, torch.arange(10)) is None
    two = r.whole(fc, [5, 4], (0, 1)).moved(lambda t: t[..., 1:3])
    assert r.fetch(two, (0, 1), (5, 2), node) == 'fc.0' and r._split_rows(fc, torch.tensor([0]), (5, 1)) == 'fc.1'
    assert (r._once('a', int), r._ordered(v)) == (0, None)
    turned = v.moved(lambda t: t.transpose(0, 1))                                     # images second
    assert r.framed(turned, 1, lambda rows: rows).index.tolist() == turned.index.tolist()
    with pytest.raises(Refused, match='is not that of the images'): r.inside(turned)


@pytest.mark.parametrize('f, shape, steps', [
    (lambda x: x*F.relu6(x + 3)/6, (4,), [('act', 'hardswish')]), (lambda x: 2*x + 1, (4,), [('act', 'affine')]),
    (lambda x: x*torch.arange(1., 5) - 3, (6, 4), [('scale', None)]),
    (lambda x: x + TABLE, (2, 12), [('const', None), ('add', None)]),
    (lambda x: (x[:, 1:] - .5).relu(), (6, 4), [('copy', None), ('act', 'function')]),
    (lambda x: torch.where(x > 0, x, .1*x), (4,), [('act', 'function')]),
    (lambda x: x + x.transpose(1, 2), (4, 4), [('copy', None), ('add', None)]),
    (lambda x: x - x[:, :1], (6, 4), [('copy', None), ('add', None)])])
def test_functions_become_the_fewest_steps(f, shape, steps): assert read(f, *shape) == steps


def test_two_functions_of_one_tensor_are_one(): assert read(lambda x: x.exp() - x.sin(), 4)[-1] == ('act', 'function')


def test_what_waits_is_made_once_somebody_needs_it():
    r = reader_of(lambda x: x, 4)
    v = r.whole(r.graph.add_input((4,)), [4], (0,))
    r.now = r.program.graph.output_node()
    assert r._parts(v)[0].shape == (2, 4) and places_of(v) is v.index
    forced = r._all_forced([r._change(r.now, 'neg.default', v), 3])
    assert (forced[1], r.graph.steps[-1].attrs['k']) == (3, -1)
    assert r._later(forced[0]) is forced[0] and r.force(v) is v and r._full(v)


def called(f, *shape):
    "How often each function of the reader is called while a network is read."
    seen = Counter()
    def note(frame, event, _):
        where = frame.f_globals.get('__name__')
        if event == 'call' and where in ('tinyformer.places', 'tinyformer.program', 'tinyformer.reader'):
            seen[frame.f_code.co_name] += 1
    sys.setprofile(note)
    try:
        with quietly(): reader_of(f, *shape).read()
    except UnsupportedOp: seen['refused'] += 1
    finally: sys.setprofile(None)
    return seen


def test_every_part_is_needed_by_one_of_four_networks():
    last_first = torch.tensor([3, 0, 1, 2])                     # a roll, which no loops count
    gains = torch.tensor([1., 2, 3]).reshape(3, 1, 1)
    nets = [(lambda x: x.half().float().index_select(2, last_first).transpose(1, 2).flatten(1), 3, 4, 5),
            (lambda x: dict(a=F.hardswish(2*x - 1)*gains - x, b=x.exp() + torch.arange(5.)), 3, 4, 5),
            (lambda x: (x[:, :2] - x[:, 2:], x.relu() - x.sigmoid()), 4, 6), (lambda x: x.logcumsumexp(1), 6)]
    counts = [called(*net) for net in nets]
    parts = """export _plain label walk _refuse error operation _constant whole inside _ordered get fetch finish _labels
        natural one_value places_of bends grid _pieced _once _own move cast pointwise _alike _affine _new_parts _combine
        _sign _step_of_two _force_function _force_affine _affine_steps _constant_step""".split()
    assert set(parts) - set().union(*counts) == set() and [c['refused'] for c in counts] == [0, 0, 0, 1]
