"""SuperNAS: the interval, the early stop, which budget fails, and the choice among supernets."""
import json
from dataclasses import replace
from pathlib import Path
from statistics import NormalDist

import matplotlib
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from tinyformer.errors import BadInput, SearchSpaceRejected
from tinyformer.hardware import target
from tinyformer.cost_model import cost
from tinyformer.search_space import RESIDUAL_SIZES, SIZES, cifar_space, digits_space, residual_space
from tinyformer.supernas import (_chunk, BUDGETS, CHUNK, STACK_BYTES, Acceptance, acceptance, acceptance_table,
                                 cifar_supernets, misses, plot_acceptances, plot_window, ratios,
                                 require_accepted, sample_chunk, sample_supernets, supernas, used, wilson, widths)
from tinyformer.supernets import _scaled, _spread, sample_supernet
from tinyformer.training import rng_at

matplotlib.use('Agg')
M7 = target('stm32f746').with_budget('42KB', '16KB')
SPACE = digits_space()


def made(p, n=400, threshold=.9, sram=0.):
    "An acceptance with a share `p` of fitting samples; the others are over the flash limit."
    k = round(p * n)
    return Acceptance(SPACE, M7, flash=(.8,) * k + (1.5,) * (n - k), sram=(sram,) * n, params=(1000,) * n,
                      threshold=threshold)


@settings(deadline=None, max_examples=200, derandomize=True)
@given(st.integers(1, 3000), st.data(), st.sampled_from([.8, .95, .99]))
def test_wilson_solves_its_defining_equation(n, data, confidence):
    hits = data.draw(st.integers(0, n))
    z, p = NormalDist().inv_cdf(.5 + confidence / 2), hits / n
    lo, hi = wilson(hits, n, confidence)
    assert 0 <= lo <= p <= hi <= 1
    for q in (lo, hi):   # at both ends the observation is z standard errors away
        if 1e-9 < q < 1 - 1e-9: assert (p - q) ** 2 == pytest.approx(z * z * q * (1 - q) / n, rel=1e-6, abs=1e-12)


def test_wilson_covers_as_often_as_it_says():
    rng, cases, covered = np.random.default_rng(0), 0, 0
    for p in (.5, .8, .9, .97):
        for hits in rng.binomial(200, p, 500):
            lo, hi = wilson(int(hits), 200)
            covered += lo <= p <= hi
            cases += 1
    assert cases == 2000 and .93 < covered / cases < .97


def test_wilson_refuses_more_hits_than_trials():
    for hits, n in [(3, 2), (-1, 2), (0, 0)]:
        with pytest.raises(BadInput): wilson(hits, n)


@settings(deadline=None, max_examples=100, derandomize=True)
@given(st.floats(0, 3), st.floats(0, 3), st.floats(0, 1), st.floats(0, 1))
def test_each_budget_is_missed_on_its_own(flash, sram, lo, width):
    hi = lo + width
    m = misses(flash, sram, lo, hi)
    assert ('flash_low' in m) == (flash < lo) and ('flash_high' in m) == (flash > hi) and ('sram' in m) == (sram > 1)
    assert set(m) <= set(BUDGETS)


def test_ratios_are_shares_of_the_limits():
    c = cost(SPACE.largest(), M7)
    flash, sram = ratios(c, M7)
    assert flash * M7.flash_bytes == pytest.approx(c.storage_bytes)
    # arena, image, scores, the rest
    assert sram * M7.sram_bytes == pytest.approx(c.peak_bytes + 64 + 10 + STACK_BYTES)
    assert used(c) == (c.storage_bytes, c.peak_bytes + 74 + STACK_BYTES)


@pytest.mark.parametrize('p,want', [(.99, 'accepted'), (.8, 'rejected'), (.9, 'undecided')])
def test_verdict_follows_the_interval(p, want): assert made(p).verdict == want


def test_sampling_stops_as_soon_as_the_interval_clears_the_threshold():
    roomy, tight = M7.with_budget('1MB', '320KB'), M7.with_budget('42KB', '3KB')
    for acc, want in [(acceptance(SPACE, roomy, lo=0), 'accepted'), (acceptance(SPACE, tight), 'rejected')]:
        assert acc.verdict == want and acc.samples <= 100
        before = replace(acc, flash=acc.flash[:-50], sram=acc.sram[:-50], params=acc.params[:-50])
        assert acc.samples == 50 or before.verdict == 'undecided'


def test_sampling_goes_on_to_the_end_when_nothing_is_clear():
    flash = sorted(ratios(sample_chunk(SPACE, M7, 0, 0), M7)[0][:600].tolist())
    acc = acceptance(SPACE, M7, lo=0, hi=flash[540], n_max=600)   # nine in ten pass
    assert acc.samples == 600 and acc.verdict == 'undecided'


def test_samples_do_not_depend_on_the_step():
    a, b = (acceptance(SPACE, M7, n_max=120, step=s, threshold=.97) for s in (7, 50))
    n = min(a.samples, b.samples)
    assert n >= 30 and a.flash[:n] == b.flash[:n] and a.sram[:n] == b.sram[:n]


def test_samples_go_on_from_chunk_to_chunk():
    acc = Acceptance(SPACE, M7).extend(CHUNK + 30, seed=3)
    assert acc == Acceptance(SPACE, M7).extend(CHUNK - 5, seed=3).extend(35, seed=3)
    for i in (0, CHUNK - 1, CHUNK, CHUNK + 29):
        c = cost(sample_chunk(SPACE, M7, 3, i // CHUNK).arch(i % CHUNK), M7)
        assert (acc.flash[i], acc.sram[i], acc.params[i]) == (*ratios(c, M7), c.params)
    assert Acceptance(SPACE, M7).extend(50, seed=4).flash != acc.flash[:50]


def test_another_limit_draws_no_new_samples():
    acceptance(SPACE, M7)
    before = _chunk.cache_info().misses
    for kb in (30, 40, 50, 60): acceptance(SPACE, M7.with_budget(f'{kb}KB', '16KB'), lo=.3)
    assert _chunk.cache_info().misses == before


def test_another_core_is_sampled_and_priced_anew():
    "A board without the DSP extension: the same paths, other scratch, and less code of kernels."
    pico = target('rp2040').with_budget(M7.flash_bytes, M7.sram_bytes)
    here, there = (Acceptance(SPACE, board).extend(200) for board in (M7, pico))
    assert here.params == there.params and here.sram != there.sram
    assert all(a > b for a, b in zip(here.flash, there.flash))
    assert there.sram[3] == ratios(cost(sample_chunk(SPACE, pico, 0, 0).arch(3), pico), pico)[1]


def test_failures_count_each_budget():
    acc = Acceptance(SPACE, M7, lo=.3, hi=1., flash=(.1, .5, 2., 2.), sram=(.5, .5, .5, 2.), params=(10, 10, 10, 10))
    assert acc.failures == dict(flash_low=1, flash_high=2, sram=1)
    assert acc.probability == .25 and acc.capacity == pytest.approx(10)


def test_rejection_says_how_likely_and_why():
    with pytest.raises(SearchSpaceRejected) as e: require_accepted(made(.62))
    for part in ('62.0%', '95% interval', 'flash over λ_hi: 152', 'more than 90%', 'raise λ_hi', '43008 B flash'):
        assert part in str(e.value)
    with pytest.raises(SearchSpaceRejected, match='give more SRAM'): require_accepted(made(1., sram=2.))
    with pytest.raises(SearchSpaceRejected, match='undecided'): require_accepted(made(.9))
    assert require_accepted(made(.99)).verdict == 'accepted'


@pytest.mark.parametrize('flash,sram,lo,word', [('42KB', '2KB', 0., 'SRAM over the limit by'),
                                                ('24KB', '16KB', 0., 'flash over λ_hi by'),
                                                ('1MB', '320KB', .5, 'flash under λ_lo by')])
def test_no_feasible_path_says_which_budget_and_by_how_much(flash, sram, lo, word):
    board = M7.with_budget(flash, sram)
    with pytest.raises(SearchSpaceRejected, match=f'Not one of {CHUNK} samples fits; the closest misses: {word}') as e:
        supernas([SPACE], board, lo=lo, progress=False)
    c = sample_chunk(SPACE, M7, 0, 0)
    f, s = used(c)
    least = dict(flash=f.min() - board.flash_bytes, flash_low=lo * board.flash_bytes - f.max(),
                 sram=s.min() - board.sram_bytes)
    assert f"{max(int(v) for v in least.values()):,} bytes" in str(e.value)
    assert acceptance(SPACE, board, lo=lo).closest and not acceptance(SPACE, M7, lo=0.).closest


def test_a_budget_nobody_can_meet():
    with pytest.raises(SearchSpaceRejected, match='SRAM over the limit'):
        supernas(sample_supernets(3), M7.with_budget('42KB', '2KB'), progress=False)


def test_plain_residuals_are_accepted_for_the_limits_that_their_size_is_meant_for():
    "And the largest of five that fits wins; 384 channels do not fit 100 KB."
    spaces = [residual_space(size) for size in RESIDUAL_SIZES]
    found = supernas(spaces, M7.with_budget('100KB', '52KB'), lo=0., n_max=200, progress=False)
    assert [a.verdict for a in found.acceptances[:2]] == ['accepted']*2 and found.space == spaces[1]
    assert found.acceptances[-1].verdict == 'rejected'
    assert acceptance(spaces[2], M7.with_budget('256KB', '64KB'), lo=0.).verdict == 'accepted'


@pytest.mark.parametrize('lo,hi', [(1., 1.), (.5, .2), (-.1, 1.)])
def test_an_empty_window_is_refused(lo, hi):
    with pytest.raises(BadInput, match='λ_lo'): acceptance(SPACE, M7, lo, hi)


def test_no_supernet_is_refused():
    with pytest.raises(BadInput, match='at least one'): supernas([], M7)


def test_the_largest_accepted_supernet_wins():
    r = supernas(sample_supernets(), M7, progress=False)
    ok = [a for a in r.acceptances if a.verdict == 'accepted']
    assert r.acceptance in ok and r.acceptance.capacity == max(a.capacity for a in ok)
    assert r.acceptance.interval[0] > .9 and r.space == r.acceptance.space


def test_the_default_supernets_fail_in_different_ways():
    r = supernas(sample_supernets(), M7.with_budget('48KB', '16KB'), progress=False)
    missed = {limit for a in r.acceptances for limit, n in a.failures.items() if n}
    assert missed == {'flash_low', 'flash_high', 'sram'}
    assert {a.verdict for a in r.acceptances} == {'accepted', 'rejected'}


def test_sampled_supernets_are_seeded_and_differ():
    a, b, c = sample_supernets(8, 0), sample_supernets(8, 0), sample_supernets(8, 1)
    assert a == b != c and len({s.name for s in a}) == len({s.to_json().__repr__() for s in a}) == 8
    assert all(s.contains(s.sample(rng_at(0, i))) for i, s in enumerate(a))


def test_widths_are_multiples_of_four_that_rise():
    assert widths(1, 8, 12, 16) == (8, 12, 16) and widths(.1, 8, 12, 16) == (4,)
    assert widths(1.5, 8, 12, 16) == (12, 16, 24) and _scaled(1., .5)['head'] == (256, 384)


def test_scales_fall_into_different_slices_and_decide_the_size():
    slices = np.floor(6 * np.log(_spread(rng_at(0), 6, .5, 3.) / .5) / np.log(6)).astype(int)
    assert sorted(slices) == list(range(6))
    slim, wide = (sample_supernet('A', 1., s, rng_at(0)) for s in (.5, 2.))
    assert cost(slim.largest(), M7).params < cost(wide.largest(), M7).params


@pytest.mark.thorough
def test_supernets_for_photographs_are_seeded_and_differ():
    a = cifar_supernets(5, 0)
    assert a == cifar_supernets(5, 0) != cifar_supernets(5, 1) and len({s.name for s in a}) == 5
    assert all(s.input == (32, 32, 3) and s.contains(sample_chunk(s, M7, 0, 0).arch(3)) for s in a)
    sizes = [sample_chunk(s, M7, 0, 0).storage_bytes.mean() for s in cifar_supernets(2, low=.2, high=.3)
             + cifar_supernets(2, low=1., high=1.5)]
    assert max(sizes[:2]) < min(sizes[2:])
    for wrong in (dict(n=0), dict(low=0), dict(low=2., high=1.)):
        with pytest.raises(BadInput, match='cifar_supernets'): cifar_supernets(**wrong)


def test_the_stored_experiments_are_whole():
    d = json.loads((Path(__file__).parent.parent/'nbs/experiments/results/supernas.json').read_text())
    assert {'command', 'commit', 'seed', 'versions', 'machine', 'seconds'} <= set(d['meta']) and {'sweep', 'guided',
        'random', 'grid'} <= set(d)
    for size in SIZES:
        counts = np.array(d['sweep'][size])
        assert counts.min() >= 0 and counts.max() <= d['sweep']['n']
        assert (np.diff(counts, axis=0) <= 0).all() and (np.diff(counts, axis=1) >= 0).all()
        paths = [r['paths'] for r in d['guided'][size]]
        assert paths == sorted(paths, reverse=True) and paths[0] == cifar_space(size).cardinality()
        assert all(0 <= r['hits'] <= d['guided']['n'] for r in d['guided'][size])
        ends = [order[-1] for order in d['random'][size]]           # one path is left, accepted or not
        assert len(ends) >= 20 and all(paths == 1 and hits in (0, d['random']['n']) for paths, hits in ends)
    g = d['grid']
    for win, hits, most in zip(g['win'], g['hits'], g['most']):
        assert len(win) == len(hits) == len(most) == 9
        for k, h, m in zip(win, hits, most): assert (k is None) == (h is None) and (h is None or h <= m <= g['n'])


def test_every_path_has_a_transformer():
    n = 0
    for s in sample_supernets(8, 3):
        for i in range(20): n += any(type(b).__name__ == 'Transformer' for b in s.sample(rng_at(1, i)).blocks)
    assert n == 160


def test_widths_are_multiples_of_four():
    assert widths(1, 8, 12, 16) == (8, 12, 16) and widths(.1, 8, 12) == (4,)


def test_plots_show_what_they_are_given():
    acc = made(.62)
    ax = plot_window(acc, .3, 1.)
    assert [len(c.get_offsets()) for c in ax.collections] == [248, 152] and '62.0%' in ax.get_title()
    assert '100.0%' in plot_window(acc, .3, 2.).get_title()
    ax = plot_acceptances([made(.99), made(.5)])
    assert [l.get_color() for l in ax.lines[:4]] == ['C2', 'C2', 'C3', 'C3']
    matplotlib.pyplot.close('all')


def test_table_marks_the_choice():
    t = acceptance_table([made(.99)], SPACE.name)
    assert f'**{SPACE.name}**' in t and 'accepted' in t and len(t.splitlines()) == 3
