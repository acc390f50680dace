"""A network comes out of its wrappers, is copied, and becomes one list of operations without calls in place."""
import copy, warnings

import pytest, torch, torch.nn as nn, torch.nn.functional as F, torch.nn.utils.prune as mask

from tinyformer.errors import BadInput, UnsupportedOp
from tinyformer.program import (_exported, _images, _memory, _plain, _twin, export, first_line, quietly, still_copy,
                                unwrap)


class Call(nn.Module):
    "A function of a tensor, as a network."
    def __init__(self, f): super().__init__(); self.f = f
    def forward(self, x): return self.f(x)


def test_a_network_with_masks_is_copied_where_deepcopy_refuses():
    pruned = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4)).half()
    mask.random_unstructured(pruned[0], 'weight', .5)
    pruned[0](torch.rand(2, 4).half())
    with pytest.raises(RuntimeError, match='deepcopy'): copy.deepcopy(pruned)
    still = still_copy(pruned, {})
    assert pruned.training and not still[1].training and still[0].weight_orig.dtype == torch.float32


def test_wrappers_are_taken_off_and_scripts_refused():
    plain = nn.Sequential(nn.Linear(4, 2))
    assert unwrap(torch.compile(nn.DataParallel(plain))) is plain
    with warnings.catch_warnings(action='ignore'): scripted = torch.jit.script(plain)
    with pytest.raises(UnsupportedOp, match='give the module that it was made from'): unwrap(scripted)
    with pytest.raises(BadInput, match='give an nn.Module'): unwrap(lambda x: x)


def test_quiet_is_quiet_and_ends(recwarn):
    with quietly(): warnings.warn('nobody sees this')
    assert torch.is_grad_enabled() and not recwarn.list


def test_an_error_says_its_first_line():
    assert first_line(ValueError('one\ntwo')) == 'one' and first_line(ValueError()) == 'ValueError'


def test_operations_have_names():
    with quietly(): program = _exported(nn.ReLU(), [torch.rand(2, 3)])
    assert [n.name for n in program.graph.nodes] == ['input', 'relu', 'output']


def test_a_call_in_place_that_a_view_sees_is_rewritten_by_torch():
    def late(x):
        y = x * 2
        t = y.flatten(1)
        y += 1                          # t sees it, too
        return t
    with quietly(): program, n = export(Call(late), [torch.rand(1, 3, 2)])
    x = torch.rand(2, 3, 2)
    assert torch.equal(program.module()(x), late(x)) and n == 2


def test_a_call_in_place_that_nobody_sees_becomes_its_plain_twin():
    with quietly(): program = _exported(Call(lambda x: F.dropout(x*2, .5, False).relu_()), [torch.rand(2, 3)])
    old = {n.name: n for n in program.graph.nodes}
    assert _memory(old['relu_']) is old['mul']
    assert (str(_twin(old['relu_'])), _images(program)) == ('aten.relu.default', 2)
    assert _plain(program) is program                            # its calls in place were replaced


def test_a_branch_on_data_and_a_wrong_shape_are_two_errors():
    with quietly(), pytest.raises(UnsupportedOp, match='must not branch'):
        export(Call(lambda x: x if x.sum() > 0 else -x), [torch.rand(1, 3)])
    with quietly(), pytest.raises(BadInput, match=r'cannot run on inputs of shape \(5,\)'):
        export(nn.Linear(4, 2), [torch.rand(1, 5)])
