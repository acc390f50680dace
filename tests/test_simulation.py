"""The record of a run: what reports take from it, also where cycles or waiting are not known."""
from dataclasses import replace

import numpy as np

from tinyformer.memory_system import Cycles
from tinyformer.simulation import Simulation, mean_profile

TWO = {'load, SRAM': Cycles(1, 2, 4), 'code, flash': Cycles(5, 5, 5)}
RUN = Simulation(np.zeros((1, 2), np.int8), 10, dict(fc=9), 1, (10, 10), 64, 100, 1, 1, dict(fc=7, rest=1),
                 dict(fc=TWO, rest={'load, SRAM': Cycles(1, 1, 1)}))
UNKNOWN = replace(RUN, cycles=None, stalls=None)


def test_columns_add_up_over_operators_and_causes():
    assert RUN.columns() == dict(est_cycles=8, cycles=16, stall_cycles=[7, 8, 10],
                                 stall_causes={'load, SRAM': [2, 3, 5], 'code, flash': [5, 5, 5]})
    assert RUN.cycles_by_operator() == dict(fc=[7, 7], rest=[1, 1])


def test_what_is_not_known_is_none():
    assert set(UNKNOWN.columns().values()) == {None}
    assert UNKNOWN.cycles_by_operator() == dict(fc=[None, None], rest=[None, None])
    assert (UNKNOWN.est_cycles, UNKNOWN.stall_cycles, UNKNOWN.clock_cycles) == (None, None, None)
    assert replace(RUN, stalls=None).clock_cycles is None and replace(RUN, stalls={}).clock_cycles == 8


def test_the_table_has_a_row_for_each_operator_and_for_the_rest():
    text = UNKNOWN._repr_markdown_()
    assert '| fc | 9 | 90.0% | unknown | unknown |' in text and '| entry and calls | 1 | 10.0% |' in text
    assert '| fc | 9 | 90.0% | 7 | 7 |' in RUN._repr_markdown_()
    assert '| fc | 9 | 90.0% | 7 | 0 |' in replace(RUN, stalls={})._repr_markdown_()


def test_a_mean_is_over_all_profiles_in_the_order_wanted():
    assert mean_profile([dict(a=1, b=4), dict(a=2)], ['b', 'a']) == dict(b=2, a=2)
    assert list(mean_profile([dict(a=1, b=4)], ['b', 'a'])) == ['b', 'a'] and mean_profile([], ['a']) == dict(a=0)
