"""Candidates are spread evenly over a search; that they are trained like the winner is in `test_pipeline`."""
import pytest

from tinyformer.errors import BadInput
from tinyformer.ranking import agreement, evenly


def test_a_choice_is_spread_over_a_list():
    assert evenly(list('abcdefgh'), 3) == ['a', 'e', 'h'] and evenly([4, 5], 2) == [4, 5]
    with pytest.raises(BadInput, match='ask for 2 to 3'): evenly([1, 2, 3], 4)


def test_the_two_lists_of_an_agreement():
    two = [dict(trial=3, judged=.5, int8=.7), dict(trial=1, judged=.6, int8=.8)]
    assert agreement(dict(rows=two)) == ([.5, .6], [.7, .8])
