"Property sweeps of the arena planner against oracles that share no code with it."
import json, math, random
from pathlib import Path
from dataclasses import replace
from itertools import combinations, count

import pytest
from hypothesis import given, settings, strategies as st

from tinyformer import cli
from tinyformer.errors import BadInput, DoesNotFit
from tinyformer.memory_alloc import (BranchAndBound, Gap, Interval, Plan, aligned, bounded, deep_search, greedy,
                                     lifetimes, live_bytes, lower_bound, peak_of, pieces, plan, plot_plan, settled,
                                     validate)
from tinyformer.minimalloc import csv_text, read_csv
from tinyformer.pairs import forbidden

SWEEP = settings(deadline=None, max_examples=150, derandomize=True)


@st.composite
def intervals(draw, n=14, steps=9, size=40):
    "Up to `n` intervals of any life and size."
    lives = st.tuples(st.integers(0, steps), st.integers(1, steps), st.integers(0, size))
    return [Interval(f't{k}', a, a + length, s) for k, (a, length, s) in enumerate(draw(st.lists(lives, max_size=n)))]


def marks(i, at):
    "Oracle: every (step, byte) that a buffer at an offset has for itself."
    out = set()
    for t in range(i.start, i.stop):
        kept = [(g.low, g.high) for g in i.gaps if g.start <= t and t < g.stop]
        low, high = kept[0] if kept else (0, i.size)
        out |= {(t, at + b) for b in range(low, high)}
    return out


def bits(i):
    "The marks at offset 0 as one number, 256 bits for a step: shifted by an offset they are those of the offset."
    return sum(1 << (256 * (t + 8) + b) for t, b in marks(i, 0))


def owners(plan):
    "Oracle: mark every byte at every step with its owner; the first byte with two owners, or None."
    taken = {}
    for i in plan.intervals:
        for spot in marks(i, plan.offsets[i.name]):
            if taken.setdefault(spot, i.name) != i.name: return i.name, taken[spot]
    return None


def optimum(todo, align=1):
    "Oracle: the lowest height at which some choice of offsets works, by trying all; sizes count rounded up to `align`."
    rows = [(bits(i), aligned(i.size, align), math.lcm(i.align, align), i.fixed) for i in todo]
    def fits(rows, height, used):
        if not rows: return True
        (mine, size, step, fixed), *rest = rows
        places = (at for at in range(0, height - size + 1, step) if fixed in (None, at))
        return any(not mine << at & used and fits(rest, height, mine << at | used) for at in places)
    height = next(h for h in count(0, align) if fits(rows, h, 0))
    assert height < 256
    return height


def odd(rng, name, aligns=(1, 1, 2, 3, 4), windows=True, fixed=0.):
    "A small buffer with an alignment, often with gaps, in which it may keep some of its bytes, sometimes fixed."
    start, size, align, gaps, t = rng.randrange(5), rng.randint(0, 4), rng.choice(aligns), [], rng.randrange(-1, 4)
    for _ in range(rng.choice((0, 0, 1, 2))):
        low, high = sorted((rng.randint(0, size), rng.randint(0, size))) if windows and rng.random() < .6 else (0, 0)
        gaps.append(Gap(t, t + rng.randint(1, 2), low, high))
        t = gaps[-1].stop + rng.randrange(2)
    rng.shuffle(gaps)
    at = align * rng.randrange(3) if rng.random() < fixed else None
    return Interval(name, start, start + rng.randint(1, 4), size, align, tuple(gaps), at)


def crowded(scale=1, gap=1):
    "Eight intervals that fill 4 units at each step, but fit only into 5."
    rows = [('a', 0, 1, 2), ('b', 0, 2, 2), ('c', 1, 5, 1), ('d', 1, 3, 1), ('e', 2, 3, 1), ('f', 2, 5, 1),
            ('g', 3, 6, 2), ('h', 5, 6, 2)]
    return [Interval(n, a * gap, b * gap, s * scale) for n, a, b, s in rows]


@SWEEP
@given(intervals(), st.sampled_from([1, 4, 8, 32]))
def test_plans_are_valid_and_bounded(todo, align):
    p = plan(todo, align)
    validate(p)
    assert owners(p) is None
    assert all(p.offsets[i.name] % align == 0 for i in todo)
    assert p.lower_bound <= p.peak <= sum(aligned(i.size, align) for i in todo)
    assert p.proven or p.peak > p.lower_bound


@SWEEP
@given(intervals())
def test_lower_bound_is_the_fullest_step(todo):
    steps = range(max((i.stop for i in todo), default=0))
    live = [sum(aligned(i.size) for i in todo if i.start <= t < i.stop) for t in steps]
    assert lower_bound(todo) == max(live, default=0)
    changes = live_bytes(todo)
    assert all(live[t] == changes[max(c for c in changes if c <= t)] for t in steps if t >= min(changes))


@SWEEP
@given(intervals(n=6, steps=5, size=3), st.sampled_from([0, 2, 1000]))
def test_proven_means_optimal(todo, nodes):
    p, best = plan(todo, align=1, nodes=nodes), optimum(todo)
    assert p.peak == best if p.proven else p.peak >= best


def test_search_alone_finds_the_optimum_of_tight_instances():
    "Branch and bound without a greedy start, where every step is full: its rules may never cut the optimum off."
    rng, cases, above = random.Random(0), 0, 0
    while cases < 150:
        height, live, out = rng.randint(3, 5), [], []
        for t in range(rng.randint(3, 6)):
            live = [i for i in live if rng.random() > .4]
            for i in live: i[2] = t + 1
            while (free := height - sum(i[3] for i in live)) > 0:
                live.append([f't{len(out)}', t, t + 1, min(free, rng.randint(1, 3))])
                out.append(live[-1])
        if len(out) > 9: continue
        todo = [Interval(*i) for i in out]
        tree = BranchAndBound(todo, 1, best=99, goal=0, nodes=10**6)
        assert tree.complete and tree.best == optimum(todo)
        p = Plan(tuple(todo), tree.found, tree.best, lower_bound(todo, 1), True, 'tree', 0., 1)
        validate(p)
        cases += 1
    for scale in (1, 3):
        for gap in (1, 4):
            todo = crowded(scale, gap)
            assert (plan(todo, align=1).peak, plan(todo, align=1).proven) == (5 * scale, True)
            above += lower_bound(todo, 1) < 5 * scale
    print(f'{cases} tight instances, {above} with an optimum above the bound')
    assert cases == 150 and above == 4


def test_validate_agrees_with_the_byte_map():
    "Random offsets for a few small intervals: the quadratic check and the byte map must agree on each."
    rng, clean, clashes = random.Random(1), 0, 0
    for _ in range(2000):
        todo = [odd(rng, n, aligns=(1,)) for n in 'abcd'[:rng.randint(1, 4)]]
        p = Plan(tuple(todo), {i.name: rng.randrange(12) for i in todo}, 99, 0, False, 'random', 0., 1)
        if owners(p) is None:
            validate(p)
            clean += 1
        else:
            with pytest.raises(BadInput, match='overlap at step'): validate(p)
            clashes += 1
    print(f'{clean} clean plans, {clashes} with a clash')
    assert min(clean, clashes) > 300


def test_validate_names_each_fault():
    p = plan([Interval('x', 0, 2, 8), Interval('y', 1, 3, 8)])
    for offsets, text in [
            (dict(x=0), "'y' has no offset"), (dict(x=0, y=4), 'not at a multiple of 8'), (dict(x=-8, y=0), 'multiple'),
            (dict(x=0, y=16), 'above the peak'), (dict(x=0, y=0), "'x' at 0..8 and 'y' at 0..8 overlap at step 1")]:
        with pytest.raises(BadInput, match=text): validate(replace(p, offsets=offsets))
    x, y = p.intervals
    for other, text in [(replace(y, fixed=16), "'y' is at [08], but fixed at 16"),
                        (replace(y, align=16), "'y' is at 8, not at a multiple of 16")]:
        with pytest.raises(BadInput, match=text): validate(replace(p, intervals=(x, other), offsets=dict(x=0, y=8)))


@SWEEP
@given(st.lists(st.tuples(st.integers(0, 50), st.sets(st.integers(1, 6), max_size=3)), min_size=1, max_size=25))
def test_no_operator_finds_its_inputs_overwritten(shape):
    "Replay a random network in a real arena: each output is filled, each input must still hold its pattern."
    steps = [(f't{k}', size, [f't{k - d}' for d in sorted(back) if d <= k]) for k, (size, back) in enumerate(shape)]
    p, sizes = plan(lifetimes(steps)), {name: size for name, size, _ in steps}
    arena = bytearray(p.peak)
    for k, (name, size, inputs) in enumerate(steps):
        arena[p.offsets[name]:p.offsets[name] + size] = bytes([k + 1]) * size
        for i in inputs: assert arena[p.offsets[i]:p.offsets[i] + sizes[i]] == bytes([int(i[1:]) + 1]) * sizes[i]


def test_lifetimes_refuse_broken_networks():
    with pytest.raises(BadInput, match="reads 'b', which no earlier step writes"):
        lifetimes([('a', 8, []), ('c', 8, ['b'])])
    with pytest.raises(BadInput, match="'a' is written twice"): lifetimes([('a', 8, []), ('a', 8, ['a'])])
    with pytest.raises(BadInput, match='start < stop'): Interval('a', 2, 2, 8)
    with pytest.raises(BadInput, match='size >= 0'): Interval('a', 0, 1, -1)


def test_same_plan_every_time():
    "Generated firmware must not change from run to run: neither the clock nor the hash seed may decide."
    rng = random.Random(5)
    todo = [Interval(f't{k}', a := rng.randrange(12), a + rng.randint(1, 5), rng.randrange(500)) for k in range(30)]
    first = plan(todo)
    assert all(plan(todo).offsets == first.offsets for _ in range(3))


def test_capacity():
    todo = [Interval('big', 0, 3, 100), Interval('small', 1, 2, 10), Interval('later', 3, 4, 60)]
    assert plan(todo, capacity=120).peak == 120
    with pytest.raises(DoesNotFit) as e: plan(todo, capacity=119)
    text = str(e.value)
    assert 'needs 120 bytes, 1 more than the 119' in text and 'big (100), small (10)' in text and 'later' not in text
    assert 'No plan can fit' in text and '\n' not in text
    with pytest.raises(DoesNotFit, match='A plan may exist'): plan(crowded(), align=1, capacity=4, nodes=1)
    with pytest.raises(DoesNotFit, match='No plan can fit'): plan(crowded(), align=1, capacity=4)


def test_a_hundred_intervals_stay_quick():
    "The work is bounded by counts; the limit here is ten times what an idle machine needs."
    rng, slowest = random.Random(6), 0
    for _ in range(5):
        todo = [Interval(f't{k}', a := rng.randrange(60), a + rng.randint(1, 9), rng.randrange(4000))
                for k in range(100)]
        slowest = max(slowest, plan(todo).seconds)
    assert slowest < 2.


def test_plot_shows_what_is_live():
    p = plan([Interval('x', 0, 2, 8), Interval('y', 1, 3, 8), Interval('z', 2, 4, 8)])
    for t in range(4):
        bars = plot_plan(p, t).containers
        assert [bar[0].get_alpha() == .75 for bar in bars] == [i.start <= t < i.stop for i in p.intervals]
    assert '**Peak 16 bytes**, lower bound 16, proven optimal' in p._repr_markdown_()


# ---- MiniMalloc's public instances, where the files are at hand: beside the checkout, as the CI has them

PUZZLES = Path(__file__).resolve().parents[2]/'shared'/'data'/'minimalloc'


def jigsaw(seed, pieces=60, height=512):
    "A rectangle cut at random, the offsets thrown away: a plan of its height exists, and none is lower."
    rng, out = random.Random(seed), [(0, 80, 0, height)]
    def weight(k):
        a, b, low, top = out[k]
        return (b - a) * (top - low) * rng.random()
    while len(out) < pieces:
        a, b, low, top = out.pop(max(range(len(out)), key=weight))
        if b - a > 1 and (top - low < 16 or rng.random() < .5):
            out += [(a, t := rng.randrange(a + 1, b), low, top), (t, b, low, top)]
        else: out += [(a, b, low, y := rng.randrange(low + 1, top)), (a, b, y, top)]
    return [Interval(f't{k}', a, b, top - low) for k, (a, b, low, top) in enumerate(out)]


def public_puzzles():
    "The files where they are at hand; where their folder is, one that holds none is a fault."
    found = sorted(PUZZLES.glob('?.1048576.csv'))
    assert found or not PUZZLES.exists(), f'{PUZZLES} holds no instance'
    return found


def puzzle_name(p): return f'ours{p}' if isinstance(p, int) else p.name[0]


@pytest.mark.parametrize('puzzle', [0, 1, 2, 5, 6, 7, *public_puzzles()], ids=puzzle_name)
def test_puzzles_are_solved_at_their_capacity(puzzle):
    "Ours are always there. At most a few seconds each; steps are counted, not time."
    todo, height = (jigsaw(puzzle), 512) if isinstance(puzzle, int) else (read_csv(puzzle), 1048576)
    for seed in (1, 2, 3, 4):
        p = plan(todo, align=1, capacity=height, seed=seed, nodes=1_000_000)
        validate(p)
        assert p.peak <= height and p.proven == (p.peak == p.lower_bound)
    again = plan(todo, align=1, capacity=height, seed=4, nodes=1_000_000)
    assert again.offsets == p.offsets, 'the same seed must give the same plan'
    assert greedy(tuple(todo), 1).peak > height, 'too easy: nothing was searched'


@settings(deadline=None, max_examples=60, derandomize=True)
@given(intervals(n=9, steps=6, size=20))
def test_every_part_is_sound(ivs):
    "No part makes a plan higher, and none makes a wrong one."
    first = greedy(tuple(ivs), 1)
    for p in (bounded(first, 300), settled(first, 3000), plan(ivs, align=1, nodes=3000)):
        validate(p)
        assert owners(p) is None and lower_bound(ivs, 1) <= p.lower_bound <= p.peak <= first.peak


def test_deep_search_agrees_with_trying_everything():
    "A plan at the optimum, a certain no just below it: its bounds, splits and twins may never cut a plan off."
    rng, cases, above = random.Random(3), 0, 0
    while cases < 1500:
        todo = [Interval(f't{k}', a := rng.randrange(6), a + rng.randint(1, 4), rng.randint(0, 3))
                for k in range(rng.randint(1, 6))]
        if cases % 5 == 0:
            todo = [replace(i, size=i.size + (rng.random() < .1)) for i in crowded() if rng.random() > .1]
        best = optimum(todo)
        offsets, certain = deep_search(todo, best, align=1)
        assert certain and peak_of(todo, offsets, 1) <= best
        if best: assert deep_search(todo, best - 1, align=1) == (None, True)
        p = plan(todo, align=1)
        validate(p)
        assert p.proven and p.peak == best
        cases, above = cases + 1, above + (best > lower_bound(todo, 1))
    print(f'{cases} instances, {above} with an optimum above the bound')
    assert above > 50


def tight(rng):
    "Intervals that fill nearly every step; some leave a unit or two."
    height, live, out = rng.randint(6, 14), [], []
    for t in range(rng.randint(3, 8)):
        live = [i for i in live if rng.random() > .4]
        for i in live: i[2] = t + 1
        while (free := height - sum(i[3] for i in live)) > rng.choice((0, 0, 0, 1, 2)):
            live.append([f't{len(out)}', t, t + 1, min(free, rng.randint(1, 6))])
            out.append(live[-1])
    return [Interval(*i) for i in out]


def test_deep_search_agrees_with_branch_and_bound():
    "The two exact searches share no code; tight instances are where a bound that cuts too much would show."
    # needs a hole under a section stacked to the top
    rows = [(0, 2, 1), (0, 1, 4), (0, 4, 1), (1, 3, 2), (1, 5, 2), (3, 7, 3), (5, 7, 3)]
    known, rng, cases = [Interval(f't{k}', *r) for k, r in enumerate(rows)], random.Random(4), 0
    while cases < 3000:
        todo = tight(rng) if cases else known
        if len(todo) > 14: continue
        tree = BranchAndBound(todo, 1, best=99, goal=lower_bound(todo, 1), nodes=20000)
        if not tree.complete: continue
        offsets, certain = deep_search(todo, tree.best, align=1)
        assert certain and peak_of(todo, offsets, 1) == tree.best
        if tree.best > lower_bound(todo, 1): assert deep_search(todo, tree.best - 1, align=1) == (None, True)
        cases += 1
    print(f'{cases} tight instances')


def test_deep_search_takes_any_size():
    "Odd sizes, huge sizes, many intervals: never a crash, and never a plan that is wrong."
    todo = [Interval('x', 0, 2, 2**40), Interval('y', 1, 3, 2**40), Interval('z', 0, 3, 2**39)]
    assert plan(todo, align=1).peak == 2**41 + 2**39
    assert deep_search(todo, 2**41, align=1) == (None, True)
    assert deep_search([replace(i, size=i.size + 1) for i in todo], 2**42, align=1) == (None, False)  # over 2**29 units
    chain = [Interval(f't{k}', k, k + 2, 8 + k % 3) for k in range(1500)]
    assert deep_search(chain, 100) == (None, False)  # over 1024 intervals in one part
    apart = [replace(i, start=i.start + 9 * (k // 100), stop=i.stop + 9 * (k // 100)) for k, i in enumerate(chain)]
    offsets, certain = deep_search(apart, 32)
    assert certain and peak_of(apart, offsets) <= 32
    assert deep_search([], 0) == ({}, True) and plan([Interval('e', 0, 1, 0)]).peak == 0


@pytest.mark.parametrize('kind,most', [
    ('alignments and gaps', dict(windows=False)),
    ('alignments with a common factor', dict(windows=False, aligns=(3, 3, 6))),
    ('bytes kept in gaps', dict()), ('some are fixed', dict(fixed=.3))])
def test_other_compilers_buffers_against_trying_everything(kind, most):
    "Plan, bound and proof against all choices of offsets; the searches alone, with nothing known before, as well."
    rng, proven, above, refused, unsure, cases = random.Random(kind), 0, 0, 0, 0, 0
    while cases < 400:
        todo = [odd(rng, name, **most) for name in 'abcdef'[:rng.randint(1, 6)]]
        pinned = [marks(i, i.fixed) for i in todo if i.fixed is not None]
        if any(a & b for a, b in combinations(pinned, 2)):
            with pytest.raises(BadInput, match='on bytes of another fixed'): plan(todo, align=1)
            refused += 1
            continue
        best, p = optimum(todo), plan(todo, align=1)
        validate(p)
        assert owners(p) is None and all(p.offsets[i.name] % i.align == 0 for i in todo)
        assert all(i.fixed in (None, p.offsets[i.name]) for i in todo)
        assert p.peak == max((p.offsets[i.name] + i.size for i in todo), default=0)
        assert lower_bound(todo, 1) <= p.lower_bound <= best <= p.peak and (p.peak == best or not p.proven)
        hasty = plan(todo, align=1, nodes=rng.randrange(30))
        assert hasty.lower_bound <= best <= hasty.peak and (hasty.peak == best or not hasty.proven)
        unsure += not hasty.proven
        tall = replace(p, offsets={}, peak=best + 20, lower_bound=0, proven=False)
        alone = settled(tall, 10**6)
        assert alone.proven and alone.peak == best
        validate(alone)
        if not most.get('windows', True):
            offsets, certain = deep_search(tuple(todo), best, align=1)
            assert certain and offsets and peak_of(todo, offsets, 1) == best
            validate(replace(p, offsets=offsets, peak=best))
            if best: assert deep_search(tuple(todo), best - 1, align=1) == (None, True)
        cases, proven, above = cases + 1, proven + p.proven, above + (best > lower_bound(todo, 1))
    print(f'{kind}: {cases} instances, {proven} proven, {above} with an optimum above the bound, '
          f'{refused} contradictions, {unsure} hasty plans without a proof')
    assert cases == proven == 400 and above > 15 and unsure > 3 and (refused > 20) == ('fixed' in kind)


@pytest.mark.parametrize('align', [2, 4, 6])
def test_alignment_of_all_and_of_one(align):
    "An offset is a multiple of the common alignment and of the buffer's own; sizes count rounded to the common one."
    rng, cases = random.Random(align), 0
    for _ in range(150):
        todo = [odd(rng, name, aligns=(1, 2, 3, 4), windows=rng.random() < .5) for name in 'abcd'[:rng.randint(1, 4)]]
        p = plan(todo, align=align)
        validate(p)
        assert owners(p) is None and all(p.offsets[i.name] % math.lcm(align, i.align) == 0 for i in todo)
        best = optimum(todo, align)
        assert p.lower_bound <= best <= p.peak and (p.peak == best or not p.proven)
        cases += p.proven
    assert cases > 140


def test_a_column_of_equal_alignments_is_bounded_well():
    "Sizes count rounded up except on top, so the bound is reached and nothing has to be searched."
    todo = [Interval(f't{k}', 0, 5, 30, align=64) for k in range(300)]
    p = plan(todo, align=1)
    assert (p.peak, p.lower_bound, p.proven) == (299 * 64 + 30, 299 * 64 + 30, True)


def test_shapes_of_minimalloc():
    "Two of its own examples, in which buffers with gaps fit into each other like stairs."
    tetris = [Interval('a', 0, 10, 2, gaps=(Gap(0, 5, 0, 1),)), Interval('b', 0, 10, 2, gaps=(Gap(5, 10, 1, 2),))]
    rows = [(0, 108, 30, [(36, 72, 10, 30), (72, 108, 20, 30)]), (36, 144, 50, [(36, 72, 20, 30), (72, 108, 10, 40)]),
            (84, 144, 42, [(114, 129, 0, 28), (129, 144, 0, 14)]),
            (84, 129, 42, [(99, 114, 14, 42), (114, 129, 28, 42)]),
            (99, 144, 70, [(99, 114, 28, 42), (114, 129, 14, 56)]), (0, 144, 30, [(72, 108, 0, 20), (108, 144, 0, 10)])]
    stairs = [Interval(f't{k}', a, b, size, gaps=tuple(Gap(*g) for g in gaps))
              for k, (a, b, size, gaps) in enumerate(rows)]
    for todo, height in ((tetris, 3), (stairs, 144)):
        p = plan(todo, align=1, capacity=height)
        validate(p)
        assert p.peak == height and owners(p) is None
    with pytest.raises(BadInput, match='overlap'): validate(replace(plan(tetris, 1), offsets=dict(a=1, b=0)))


def test_gaps_cut_a_life():
    i = Interval('i', 2, 9, 8, gaps=(Gap(8, 20), Gap(0, 3), Gap(4, 6, 1, 5)))
    assert pieces(i) == [(3, 4, 0, 8), (4, 6, 1, 5), (6, 8, 0, 8)]
    assert pieces(replace(i, gaps=(Gap(0, 99),))) == [] and plan([replace(i, gaps=(Gap(0, 99),))]).peak == 8
    for wrong, text in [
            (dict(gaps=(Gap(3, 6), Gap(5, 8))), 'do not overlap'), (dict(gaps=(Gap(3, 6, 0, 9),)), 'its own 8 bytes'),
            (dict(align=0), 'alignment >= 1'), (dict(align=0, fixed=1), 'alignment >= 1|multiple'),
            (dict(align=4, fixed=2), 'multiple of 4')]:
        with pytest.raises(BadInput, match=text): replace(i, **wrong)


def test_bytes_kept_in_a_gap_count_where_they_lie():
    """By hand: the first of one and the last of another lie beside each other.

    Neither the bound nor a greedy order may see four bytes."""
    low, high = Interval('low', 0, 1, 4, gaps=(Gap(0, 1, 0, 1),)), Interval('high', 0, 1, 4, gaps=(Gap(0, 1, 3, 4),))
    assert lower_bound([low, high], 1) == plan([low, high], align=1).peak == 4
    under = [Interval('x', 0, 1, 2, fixed=2), Interval('y', 0, 2, 4, gaps=(Gap(0, 1, 0, 2),))]
    assert greedy(tuple(under), 1).offsets == dict(x=2, y=0)
    over = [Interval('x', 0, 1, 2, fixed=0), Interval('y', 0, 2, 4, gaps=(Gap(0, 1, 2, 4),))]
    assert greedy(tuple(over), 1).offsets == dict(x=0, y=0)
    # a distance of 1 is allowed
    assert forbidden([(0, 1, 0, 1), (1, 2, 2, 3)], [(0, 1, 0, 1), (1, 2, 0, 1)]) == [(-1, 1), (1, 3)]


def test_hints_are_tried():
    "A plan that greedy orders miss and a hint knows: it is found without any search."
    seeds = (s for s in count() if greedy(tuple(jigsaw(s, 12)), 1).peak > 512)
    todo = jigsaw(next(seeds), 12)
    known = plan(todo, align=1, nodes=10**6)
    assert known.peak == 512
    hinted = [replace(i, hint=known.offsets[i.name]) for i in todo]
    p = greedy(tuple(hinted), 1)
    assert p.proven and p.method == 'greedy by hint' and greedy(tuple(todo), 1).peak > 512


# ---- many buffers ----------------------------------------------------------------------------------------------------

def many(n, seed=0):
    "Lives of very different length, most of which meet."
    rng = random.Random(seed)
    return [Interval(f't{k}', a := rng.randrange(n), a + rng.randint(1, n), rng.randint(1, 5000)) for k in range(n)]


def test_more_than_a_thousand_buffers_that_meet():
    """No recursion, nothing that grows with the square in plain Python.

    The bound is not reached, so every part has its turn."""
    later = [replace(i, name=f'x{i.name}', start=i.start + 9000, stop=i.stop + 9000) for i in many(150, 1)]
    todo = [*many(1100), *later]
    p = plan(todo, align=1, nodes=20_000)
    validate(p)
    assert p.peak > p.lower_bound and not p.proven
    same = tuple(Interval(f't{k}', 0, 1, 1 + k % 7) for k in range(1100))
    tree = BranchAndBound(same, 1, best=10**9, goal=0, nodes=3000)
    assert tree.found and tree.best == sum(1 + k % 7 for k in range(1100))


def test_nodes_bound_the_greedy_part():
    todo, told = many(300), []
    for nodes, rounds in ((0, 1), (300, 1), (900, 3), (10**6, 40)):
        told.clear()
        p = greedy(tuple(todo), 1, nodes, lambda height, steps: told.append((height, steps)))
        assert [n for _, n in told] == list(range(1, len(told) + 1)) and {h for h, _ in told} == {lower_bound(todo, 1)}
        assert 300 <= len(told) <= 300 * rounds and len(told) % 300 == 0
        validate(p)


# ---- files and the command -------------------------------------------------------------------------------------------

def read(tmp_path, text):
    (tmp_path/'f.csv').write_text(text)
    return read_csv(tmp_path/'f.csv')


def test_every_column_of_the_format(tmp_path):
    full = Interval('a', 5, 10, 15, 4, (Gap(6, 8), Gap(8, 9, 2, 13)), 16, 32)
    for text in ('id,lower,upper,size,alignment,gaps,offset,hint\na,5,10,15,4,6-8 8-9@2:13,16,32\n',
                 'buffer,begin,end,size,alignment,gaps,offset,hint\na,5,9,15,4,6-7 8-8@2:13,16,32\n',
                 'size,hint,offset,upper,start,gaps,alignment,buffer_id\n15,32,16,10,5, 6-8  8-9@2:13 ,4,a\n',
                 '\ufeffID; Lower ;upper;size;alignment;gaps;offset;hint\r\n\r\na;5;10;15;4;6-8 8-9@2:13;16;32\r\n',
                 'id\tlower\tupper\tsize\talignment\tgaps\toffset\thint\na\t5\t10\t15\t4\t6-8 8-9@2:13\t16\t32'):
        assert read(tmp_path, text) == [full], text
    empty = read(tmp_path, 'id,lower,upper,size,alignment,gaps,offset,hint\na,5,10,15,,,,\nb,-5,10,15,1,,,-1\n')
    assert empty == [Interval('a', 5, 10, 15), Interval('b', -5, 10, 15)]
    assert read(tmp_path, 'id,start,end,size\na,3,3,8\n') == [Interval('a', 3, 4, 8)]


@pytest.mark.parametrize('text,error', [
    ('id,lower,upper,size,bank\na,0,3,8,1', "line 1: column 5 is 'bank'"),
    ('id,lower,upper,size,\na,0,3,8,', "column 5 is ''"),
    ('id,lower,start,upper,size\na,0,0,3,8', "'lower' and 'start' mean the same"),
    ('id,lower,upper,end,size\na,0,3,2,8', "'upper' and 'end' mean the same"),
    ('id,id,lower,upper,size\na,a,0,3,8', 'mean the same'),
    ('id,lower,size\na,0,3', 'missing: upper'),
    ('', 'missing: id, lower, upper, size'),
    ('id,lower,upper,size\n', 'no rows'),
    ('id,lower,upper,size\na,0,3', 'line 2: 3 cells under 4 columns'),
    ('id,lower,upper,size\na,0,3,8,64', '5 cells'),
    ('id,lower,upper,size\na,0,3,8\na,3,6,8', "line 3: a row above has the id 'a'"),
    ('id,lower,upper,size\na,3,3,8', 'needs start < stop'),
    ('id,lower,upper,size\na,0,3,8.0', "size must be a whole number, got '8.0'"),
    ('id,lower,upper,size\na,0,3,8_0', "'8_0'"),
    ('id,lower,upper,size\na,0,3,\u0668', 'whole'),
    ('id,lower,upper,size\na,0,3,99999999999999999999', 'whole'),
    ('id,lower,upper,size\na,0,3,', "got ''"),
    ('id,lower,upper,size\na,0,3,-8', 'size >= 0'),
    ('id,lower,upper,size,alignment\na,0,3,8,0', 'alignment >= 1, got 0'),
    ('id,lower,upper,size,alignment\na,0,3,8,x', "alignment must be a whole number, got 'x'"),
    ('id,lower,upper,size,gaps\na,0,9,8,1-2-3', "'1-2-3' is no gap"),
    ('id,lower,upper,size,gaps\na,0,9,8,A-B', "'A-B' is no gap"),
    ('id,lower,upper,size,gaps\na,0,9,8,5-5', 'start < stop'),
    ('id,lower,upper,size,gaps\na,0,9,8,2-5@4:9', 'its own 8 bytes'),
    ('id,lower,upper,size,gaps\na,0,9,8,2-5@6:4', 'low <= high'),
    ('id,lower,upper,size,gaps\na,0,9,8,2-5 4-6', 'do not overlap'),
    ('id,lower,upper,size,offset\na,0,9,8,-8', 'offset >= 0'),
    ('id,lower,upper,size,offset,alignment\na,0,9,8,6,4', 'multiple of 4, got 6'),
    ('id,lower,upper,size\n"a,0,3,8', 'line 2: unexpected end of data'),
])
def test_what_a_file_may_not_say(tmp_path, text, error):
    with pytest.raises(BadInput) as e: read(tmp_path, text)
    assert error in str(e.value) and str(tmp_path/'f.csv') in str(e.value) and '\n' not in str(e.value)


def test_a_plan_written_and_read_is_fixed(tmp_path):
    rng, cases = random.Random(8), 0
    for _ in range(100):
        todo = [odd(rng, name) for name in ['a', 'b, c', '"d"', '', 'e;f'][:rng.randint(1, 5)]]
        if rng.random() < .5: todo = [replace(i, hint=rng.choice((None, 4))) for i in todo]
        p = plan(todo, align=1)
        again = read(tmp_path, csv_text(p))
        assert again == [replace(i, fixed=p.offsets[i.name]) for i in todo]
        q = plan(again, align=1)
        assert (q.offsets, q.peak, q.proven, lower_bound(again, 1)) == (p.offsets, p.peak, True, p.peak)
        cases += 1
    assert cases == 100


def test_ctrl_c_leaves_no_file(tmp_path, capsys, monkeypatch):
    (tmp_path/'p.csv').write_text('id,lower,upper,size\na,0,1,8\nb,0,1,8\n')
    def stop(*words): raise KeyboardInterrupt
    monkeypatch.setattr(cli, '_searching', lambda: stop)
    assert cli.main(['plan', str(tmp_path/'p.csv')]) == 130 and 'interrupted' in capsys.readouterr().err
    assert [f.name for f in tmp_path.iterdir()] == ['p.csv']


def test_the_command(tmp_path, capsys, monkeypatch):
    "What `tinyformer plan` prints, writes and refuses."
    monkeypatch.chdir(tmp_path)
    file = tmp_path/'p.csv'
    file.write_text('id,lower,upper,size\n' + ''.join(f'{i.name},{i.start},{i.stop},{i.size}\n' for i in crowded(1000)))
    def say(*words):
        code = cli.main(['plan', str(file), *words])
        out, err = capsys.readouterr()
        return code, out, err
    code, out, _ = say()
    assert code == 0 and out.startswith('peak 5,000 bytes, lower bound 4,000, ') and ' s, proven yes (' in out
    rows = (tmp_path/'p.plan.csv').read_text().splitlines()
    assert rows[0] == 'id,lower,upper,size,offset' and len(rows) == 9
    code, out, _ = say('--json', '-', '--capacity', '5KB', '--out', str(tmp_path/'q.csv'))
    got = json.loads(out)
    assert got['peak'] == 5000 and got['proven'] and got['capacity'] == 5120
    assert set(got['offsets']) == set('abcdefgh') and (tmp_path/'q.csv').is_file()
    code, _, err = say('--capacity', '4500')
    assert code == 1 and '500 more than the 4500' in err and 'b (2000)' in err and 'No plan can fit' in err
    assert 'Traceback' not in err
    assert say('--capacity', '3000')[0] == 1 and say('--align', '0')[0] == 1
    before = file.read_text()
    for words in (('--nodes', '-1'), ('--out', str(file)), ('--json', 'p.csv')):
        code, _, err = say(*words)
        assert code == 1 and words[0] in err and file.read_text() == before
    file.write_text('id,start,end,size,alignment,offset\na,0,2,30,1,\nb,2,5,8,64,64\n')
    code, out, _ = say()
    assert code == 0 and out.startswith('peak 72 bytes') and '1 of 2 offsets are those of the column offset' in out
    assert (tmp_path/'p.plan.csv').read_text() == 'id,lower,upper,size,alignment,offset\na,0,3,30,1,0\nb,2,6,8,64,64\n'
    file.write_text('id,lower,upper,size\na,0,1,8\nb,1,x,8\n')
    assert 'line 3' in say()[2]
    file.unlink()
    assert 'No such file' in say()[2]


def test_long_searches_say_so(capsys, monkeypatch):
    clock = iter(range(0, 100, 3))
    monkeypatch.setattr('time.monotonic', lambda: next(clock))
    tell = cli._searching()
    tell(1024, 5000)
    assert capsys.readouterr().err == 'searching for a plan of 1,024 bytes: 5,000 steps, 3 s\n'
