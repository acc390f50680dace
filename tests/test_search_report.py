"""What the search says: lines, tables and refusals of SuperNAS and SparseNAS (tinyformer/search_report.py)."""
from types import SimpleNamespace as Made

import pytest

from tinyformer.hardware import target
from tinyformer.search_report import (BUDGETS, acceptance_line, acceptance_table, closest_miss, front_report, nearest,
                                      table, trial_table)
from tinyformer.search_space import digits_space
from tinyformer.supernas import Acceptance

SPACE, M7 = digits_space(), target('stm32f746').with_budget('42KB', '16KB')


def made(flash, sram, lo=.65): return Acceptance(SPACE, M7, lo, flash=flash, sram=sram, params=(10,) * len(flash))


def test_a_table_has_a_head_and_rows():
    assert table(['a', 'b'], [':--', '--:'], [['x', 1]]) == '| a | b |\n|:--|--:|\n| x | 1 |'
    assert table(['a'], ['--:'], []).count('\n') == 1


def test_an_acceptance_names_the_budgets_that_fail():
    four = made((.1, .8, 2., 2.), (.5, .5, .5, 2.))
    assert 'flash under λ_lo: 1, flash over λ_hi: 2, SRAM over the limit: 1' in acceptance_line(four) == str(four)
    good = acceptance_line(made((.8,) * 60, (.5,) * 60))
    assert good.startswith('digits: accepted, probability 100.0%') and not any(o in good for o in BUDGETS.values())
    assert '| digits | 10 | 25.0% |' in acceptance_table([four], chosen='another')


@pytest.mark.parametrize('flash,sram,lo,want', [
    ((1.25,), (2.,), .65, dict(flash_high=42 * 256, sram=16 * 1024)),       # over two limits
    ((1.25, 1.5), (2., 1.25), .65, dict(flash_high=42 * 512, sram=4096)),   # the one whose worst miss is smaller
    ((.25,), (.5,), .5, dict(flash_low=42 * 256)), ((.8, 2.), (.5, 2.), .65, {})])
def test_the_nearest_sample(flash, sram, lo, want):
    assert nearest(made(flash, sram, lo)) == want == made(flash, sram, lo).closest


def candidate(number, accuracy, instructions, **excess):
    cost = Made(storage_bytes=30_000, peak_bytes=4096, instructions=instructions, params=12_345)
    return Made(number=number, accuracy=accuracy, cost=cost, excess=excess or dict(flash=0, sram=-10))


def test_the_front_is_shown_by_instructions_with_the_pick_in_bold():
    slow, fast, pick = candidate(0, .95, 900), candidate(1, .9, 100), candidate(2, .94, 500)
    found = Made(winner=pick, trials=(slow, fast, pick), feasible=(slow, fast, pick))
    lines = front_report(found, [slow, fast]).splitlines()                  # the pick is no point of this front
    assert lines[0] == '3 trials, 3 feasible; the Pareto front, the pick in bold.'
    assert [o.split(' | ')[0] for o in lines[4:]] == ['| 1', '| **2**', '| 0']
    assert len(trial_table(found, [slow, fast]).splitlines()) == 2 + 2
    assert '| 30,000 | 4,096 | 900 | 12,345 |' in trial_table(found, [slow])


def test_the_closest_miss_says_by_how_much():
    over = [candidate(i, None, 1, flash=flash, sram=-10) for i, flash in enumerate((900, 40, 300))]
    assert 'trial 1, misses flash by 40 bytes, sram by nothing (10 bytes free)' in closest_miss(over)
    assert 'no finished trial' in closest_miss([])
