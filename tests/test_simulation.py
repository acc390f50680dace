"""The record of a run: what reports take from it, also where cycles or waiting are not known."""
from dataclasses import replace

import numpy as np

from tinyformer import simulation
from tinyformer.chip_memories import SYSTEMS
from tinyformer.graph import random_graph
from tinyformer.hardware import target
from tinyformer.memory_system import Cycles
from tinyformer.simulation import Simulation, mean_profile, memory_for, simulation_of

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


def test_a_run_without_counts_is_a_record_without_figures():
    net = random_graph(seed=0)
    none = simulation_of(net, np.zeros((40, 10), np.int8), [], [], [], 'not counted', 0, 0)
    assert (none.instructions, none.instructions_range, none.images) == (0, (0, 0), 40)
    assert (none.est_cycles, none.stalls, none.no_stalls) == (None, None, 'not counted')
    assert list(none.per_op) == [op.name for op in net.ops]


def test_a_record_has_the_mean_of_its_images():
    net = random_graph(seed=0)
    first, last = net.ops[0].name, net.ops[-1].name
    two = simulation_of(net, np.zeros((3, 10), np.int8), [{first: 10, 'rest': 1}, {first: 20, last: 4}], [{first: 8}],
                        [{first: {'load, SRAM': Cycles(1, 2, 3)}}], '', 64, 100)
    assert (two.per_op[first], two.per_op[last], two.rest) == (15, 2, 0) and two.instructions_range == (11, 24)
    assert (two.est_cycles, two.stall_cycles.three, two.profiled, two.images) == (8, (1, 2, 3), 2, 3)


def test_why_the_waiting_is_not_known(monkeypatch):
    own, m7 = SYSTEMS['rp2040'], target('stm32f746')
    assert memory_for(m7, True) == (SYSTEMS['stm32f746'], '') and memory_for(m7, own) == (own, '')
    assert memory_for(m7, False) == (None, 'not asked for')
    assert memory_for(target('samd21'), True) == (None, 'no model of samd21')
    monkeypatch.setattr(simulation, 'unavailable', lambda: 'no compiler')
    assert memory_for(m7, True) == (None, 'no compiler')
