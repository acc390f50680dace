"""The searches of the arena planner, for plans that greedy orders do not find: branch and bound, many short runs from
the floor up (`placement.c`), and the search by pairs (`pairs`).

`nbs/appendix/hard_plans.ipynb` explains them and runs each."""
import ctypes, random
from bisect import bisect_left
from dataclasses import replace
from functools import lru_cache
from importlib import resources
from itertools import chain, count, pairwise
from math import gcd, lcm
from pathlib import Path

import numpy as np

from tinyformer.buffers import Plan, aligned, peak_of, pieces
from tinyformer.errors import BadInput
from tinyformer.pairs import pair_search
from tinyformer.toolchain import compile_host


def checked(
    intervals: list,  # Intervals
    align: int = 8,  # bytes
) -> tuple:  # the same
    "Refuse what no planner could place."
    if align < 1: raise BadInput(f"align is {align}: give a number of bytes >= 1")
    if len({i.name for i in intervals}) < len(intervals):
        raise BadInput("two intervals have the same name")
    for i in intervals:
        if i.fixed and i.fixed % align:
            raise BadInput(f"{i.name!r} is fixed at {i.fixed}, not at a multiple of {align}")
    bytes_ = sum(i.size + lcm(align, i.align) for i in intervals)
    numbers = (n for i in intervals for n in (i.start, i.stop, i.fixed or 0))
    if bytes_ + max(map(abs, numbers), default=0) >= 2**62:
        raise BadInput("steps and the sum of bytes must stay below 2**62: use a larger unit")
    return tuple(intervals)


class BranchAndBound:
    "Search plans from the bottom up, for intervals of one alignment and without gaps."
    def __init__(self,
        intervals: list,  # Intervals
        align: int,  # bytes
        best: int,  # bytes: a peak already known; look only below it
        goal: int,  # bytes: stop when this peak is reached
        nodes: int,  # placements to try at most
    ):
        self.best, self.goal, self.nodes, self.offsets = best, goal, nodes, {}
        self.found, self.complete = None, True  # the best below `best`; there is no better one
        cuts = sorted({i.start for i in intervals})
        todo = [(bisect_left(cuts, i.start), bisect_left(cuts, i.stop),
                 aligned(i.size, align), i.name) for i in intervals]
        above = [sum(size for a, b, size, _ in todo if a <= t < b) for t in range(len(cuts))]
        branches = [iter([(todo, [0] * len(cuts), above)])]
        while branches and self.complete:
            state = next(branches[-1], None)
            if state is None: branches.pop()
            elif state[0]: branches.append(self.drops(*state))
            else: self.best, self.found = max(state[1], default=0), dict(self.offsets)

    def drops(self,
        todo: list,  # (first section, end section, bytes, name) still to place
        sky: list,  # per section: lowest address that is still open
        above: list,  # per section: bytes still to place
    ):  # yields the same three after each choice
        "Drop each waiting interval onto the skyline, the lowest first."
        spots = {(max(sky[a:b]), -size, a, b): name for a, b, size, name in todo}  # twins share a key
        under = min(at - minus for at, minus, _, _ in spots)
        for (at, minus, a, b), name in sorted(spots.items()):
            if at >= under and minus or self.best <= self.goal: return
            if self.nodes <= 0:
                self.complete = False
                return
            self.nodes -= 1
            sky2 = [at - minus if a <= t < b else max(y, at) for t, y in enumerate(sky)]
            above2 = [n + minus if a <= t < b else n for t, n in enumerate(above)]
            if max(y + n for y, n in zip(sky2, above2)) >= self.best: continue
            self.offsets[name] = at
            yield [x for x in todo if x[3] != name], sky2, above2


def sections(
    intervals: list,  # Intervals, each with at least one piece
) -> list:  # for each interval, of (first, end): the sections in which a piece of it lives
    "Cut time where the set of live pieces is largest: just before something stops."
    rows = [[(start, stop) for start, stop, *_ in pieces(i)] for i in intervals]
    stops = {stop for row in rows for _, stop in row}
    times = sorted(stops | {start for row in rows for start, _ in row})
    keep = [t for t, after in pairwise(times) if after in stops]
    return [[(bisect_left(keep, start), bisect_left(keep, stop)) for start, stop in row]
            for row in rows]


def parts(
    intervals: list,  # Intervals
) -> list:  # of lists of Intervals, by start
    "Groups in time: all of one stop before the first of the next starts."
    out, reach = [], float('-inf')
    for i in sorted(intervals, key=lambda i: (i.start, i.stop)):
        if i.start >= reach: out.append([])
        out[-1].append(i)
        reach = max(reach, i.stop)
    return out


@lru_cache(None)
def _placement():
    lib = ctypes.CDLL(str(compile_host([Path(str(resources.files('tinyformer')/'placement.c'))])))
    array, number, long = ctypes.c_void_p, ctypes.c_int32, ctypes.c_int64
    lib.tfm_place.argtypes = array, number, *[array] * 7, long, array, array
    return lib


class Runs:
    "One part in the form that the C program reads; each call is one run."
    def __init__(self,
        part: list,  # Intervals, at least one, each with a piece
        sizes: list,  # units, 1 to 2**29, one per interval
        limits: list,  # units, 0 to 2**29: where each interval may end; they differ by 1 at most
        steps: list,  # units, 1 to 2**29: each interval starts at a multiple
    ):
        rows = sections(part)
        self.steps, self.offset = np.zeros(1, np.int64), np.zeros(len(part), np.int32)
        self.piece = np.cumsum([0, *map(len, rows)], dtype=np.int32)
        self.first, self.end = (np.array(c, np.int32) for c in zip(*chain.from_iterable(rows)))
        self.size, self.step, self.limit = (np.array(c, np.int32) for c in (sizes, steps, limits))
        self.memory = np.empty(_placement().tfm_place_bytes(), np.uint8)

    def __call__(self,
        priority: np.ndarray,  # one number per interval; the highest is tried first
        patience: int,  # dead ends
    ) -> int:  # 1: `offset` holds a plan; 0: there is none; below 0: gave up
        "One run; its steps are added to `steps`."
        wish = np.array(priority, float)
        arrays = (self.memory, self.piece, self.first, self.end, self.size, self.step, self.limit, wish,
                  self.offset, self.steps)
        memory, *given, offset, steps = [x.ctypes.data for x in arrays]
        return _placement().tfm_place(memory, len(wish), *given, patience, offset, steps)

    def search(self,
        nodes: int,  # steps at most
        rng: random.Random,  # for the priorities
        tell=None,  # called with the steps so far, after each run
    ) -> int:  # as a call gives
        "Runs of changing order and patience, until one decides or the steps are used up."
        life = np.add.reduceat(self.end - self.first, self.piece[:-1])
        for n in count(1):
            rank = (life * self.size.astype(float) if n % 2 else life)
            if n > 2: rank = rank * [rng.uniform(1, 3) for _ in rank]
            found = self(rank, min(64 * luby(n), nodes))
            if tell: tell(int(self.steps[0]))
            if found != -1 or self.steps[0] >= nodes: return found


def luby(
    n: int,  # number of the run, 1 for the first
) -> int:  # how much more patience it gets than the first
    "The n-th of 1, 1, 2, 1, 1, 2, 4, …: every length gets about the same share of the time."
    while n & (n + 1): n -= 2 ** (n.bit_length() - 1) - 1
    return (n + 1) // 2


def scale(
    intervals: list,  # Intervals, at least one with a size
    align: int = 8,  # bytes
) -> tuple:  # (bytes of a unit, sizes in units, steps in units), one per interval
    "The largest unit in which a plan that was let fall down can be written."
    steps = [lcm(align, i.align) for i in intervals]
    sizes = [aligned(i.size, gcd(*steps)) for i in intervals]
    unit = gcd(*sizes)
    unit = gcd(unit, *(step for step in steps if unit % step))
    return unit, [s // unit for s in sizes], [lcm(step, unit) // unit for step in steps]


def deep_search(
    intervals: tuple,  # Intervals without `fixed`, whose gaps need no bytes; at most 1024 that meet
    height: int,  # bytes that the arena may have
    align: int = 8,  # bytes
    nodes: int = 1_000_000,  # steps at most; bounds the time alike on every machine
    seed: int = 1,  # of the random priorities
    tell=None,  # called with height and steps so far, every now and then
) -> tuple:  # (name -> offset, or None when no plan was found; whether that is certain)
    "Look for a plan of a given height."
    if max((aligned(i.size, align) for i in intervals), default=0) > height: return None, True
    offsets, rng, used = {i.name: 0 for i in intervals}, random.Random(seed), 0
    live = [i for i in intervals if i.size and pieces(i)]
    groups = parts(live)
    if max(map(len, groups), default=0) > 1024: return None, False
    unit, sizes, steps = scale(live, align)
    ends = [(height - aligned(i.size, align)) // unit + n for i, n in zip(live, sizes)]
    if max([*ends, *steps], default=0) > 2**29: return None, False
    units = {i.name: row for i, *row in zip(live, sizes, ends, steps)}
    for part in groups:
        runs = Runs(part, *zip(*(units[i.name] for i in part)))
        found = runs.search(nodes - used, rng, tell and (lambda n, u=used: tell(height, u + n)))
        if found != 1: return None, found == 0
        offsets |= {i.name: at * unit for i, at in zip(part, runs.offset.tolist())}
        used += int(runs.steps[0])
    return offsets, True


def lowered(
    best: Plan,  # so far
    height: int,  # bytes
    nodes: int,  # steps of the search
    seed: int = 1,  # of its random priorities
    tell=None,  # see `deep_search`
) -> Plan:  # not above `height`, or the same with what was learned
    "Try one height: a lower plan, or, where that is certain, a higher bound."
    if best.proven or not best.lower_bound <= height < best.peak: return best
    offsets, certain = deep_search(best.intervals, height, best.align, nodes, seed, tell)
    if offsets:
        peak = peak_of(best.intervals, offsets, best.align)
        best = replace(best, offsets=offsets, peak=peak, method='deep search')
    elif certain:
        live = [i for i in best.intervals if i.size]
        step = gcd(scale(live, best.align)[0], *(aligned(i.size, best.align) for i in live))
        best = replace(best, lower_bound=height // step * step + step)
    return replace(best, proven=best.peak == best.lower_bound)


def deepened(
    best: Plan,  # so far
    capacity: int = None,  # bytes: a plan that fits is enough
    nodes: int = 1_000_000,  # steps at the capacity; a small share of it at other heights
    seed: int = 1,  # of the random priorities
    tell=None,  # see `deep_search`
) -> Plan:
    "Deep searches at one height after the other, where nothing is proven yet."
    if capacity is not None: best = lowered(best, capacity, nodes, seed, tell)
    tried = -1
    if capacity is None or best.peak <= capacity:
        share, tried = nodes // (20 if capacity is None else 100), best.lower_bound
        best = lowered(best, tried, share, seed, tell)
    given_up = max(tried, best.lower_bound - 1)
    while (capacity is None and not best.proven
           and best.peak - given_up > max(best.align, given_up // 1000)):
        height = (given_up + best.peak) // 2
        best = lowered(best, height, nodes // 20, seed, tell)
        given_up = max(given_up, best.lower_bound - 1, height if best.peak > height else 0)
    return best


def bounded(
    best: Plan,  # so far; no gaps, one alignment
    nodes: int = 1000,  # placements at most
) -> Plan:
    "Branch and bound below the plan so far."
    tree = BranchAndBound(best.intervals, best.align, best.peak, best.lower_bound, nodes)
    if tree.found:
        best = replace(best, offsets=tree.found, peak=tree.best, method='branch and bound')
    return replace(best, proven=tree.complete)


def settled(
    best: Plan,  # so far; any intervals
    nodes: int = 100_000,  # pairs to look at, at most
) -> Plan:
    "The search by pairs below the plan so far."
    items = [(pieces(i), lcm(best.align, i.align), aligned(i.size, best.align), i.fixed)
             for i in best.intervals]
    found, complete = pair_search(items, best.peak, best.lower_bound, nodes)
    if found:
        offsets = dict(zip((i.name for i in best.intervals), found))
        peak = peak_of(best.intervals, offsets, best.align)
        best = replace(best, offsets=offsets, peak=peak, method='search by pairs')
    return replace(best, proven=complete or best.peak == best.lower_bound)
