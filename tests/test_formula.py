"""Functions of one number as data: they compute what torch computes, and what two have in common is computed once."""
import torch
import torch.nn.functional as F

from tinyformer.formula import Formula, Ref, as_tensor, joined, operation

X = torch.linspace(-5, 5, 101)
SIX = Formula().then('add.Tensor', Ref(0), 3).then('relu6.default', Ref(0))


def test_numbers_are_made_tensors_where_an_operation_needs_them():
    assert operation('maximum.default')(torch.tensor([-1., 2.]), 0).tolist() == [0, 2]
    assert as_tensor(2).item() == 2 and as_tensor(X) is X


def test_a_formula_is_data():
    assert torch.equal(SIX(torch.tensor([-4., -1., 9.])), torch.tensor([0., 2., 6.]))
    assert SIX == Formula(SIX.program) and hash(SIX) == hash(Formula(SIX.program)) and SIX != Formula()
    assert torch.equal(Formula()(X), X) and SIX(X.double()).dtype == torch.double


def test_what_two_formulas_share_is_computed_once():
    swish = joined('mul.Tensor', [Formula(), SIX], {}).then('div.Tensor', Ref(0), 6)
    assert torch.allclose(swish(X), F.hardswish(X)) and len(swish.program) == 4
    more = joined('sub.Tensor', [swish, SIX.then('neg.default', Ref(0))], {})
    assert len(more.program) == 4 + 2 and torch.allclose(more(X), F.hardswish(X) + F.relu6(X + 3))


def test_named_arguments_and_numbers_stay():
    f = joined('add.Tensor', [Formula(), 2], dict(alpha=3))
    assert torch.equal(f(X), X + 6)
