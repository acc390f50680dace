"""Buffers of an arena: when each lives, how many bytes it needs, a plan that gives it an address, and its picture.

Page `03_memory_alloc` uses buffers with a life and a size. Alignments, gaps, fixed offsets and hints come from the
files of other compilers; `nbs/appendix/hard_plans.ipynb` shows them."""
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import pairwise
from math import gcd, lcm

import matplotlib.pyplot as plt
import numpy as np

from tinyformer.errors import BadInput


@dataclass(frozen=True, order=True)
class Gap:
    "The steps `start <= t < stop` at which a buffer needs only its bytes `low <= b < high`."
    start: int  # first step of the gap
    stop: int  # first step after it, > start
    low: int = 0  # the first of its own bytes that it needs all the same
    high: int = 0  # the first byte after those; by default it needs none

    def __post_init__(self):
        if not (self.start < self.stop and 0 <= self.low <= self.high):
            raise BadInput(f"a gap needs start < stop and 0 <= low <= high, got steps "
                           f"{self.start}..{self.stop} and bytes {self.low}..{self.high}")


@dataclass(frozen=True)
class Interval:
    "A buffer of `size` bytes that must exist during the steps `start <= t < stop`."
    name: str  # unique within a plan
    start: int  # first step that needs the buffer
    stop: int  # first step that does not need it any more, > start
    size: int  # bytes, >= 0
    align: int = 1  # bytes: its offset is a multiple of it
    gaps: tuple = ()  # of Gap; what reaches out of the life does not count
    fixed: int = None  # bytes: the offset that it must have
    hint: int = None  # bytes: an offset worth a try

    def __post_init__(self):
        misplaced = self.fixed is not None and (self.fixed < 0 or self.fixed % max(1, self.align))
        overlap = any(b.start < a.stop for a, b in pairwise(sorted(self.gaps)))
        outside = any(g.high > self.size for g in self.gaps)
        for wrong, rule in [
            (self.start >= self.stop or self.size < 0, f"start < stop and size >= 0, "
             f"got steps {self.start}..{self.stop} and {self.size} bytes"),
            (self.align < 1, f"an alignment >= 1, got {self.align}"),
            (misplaced, f"an offset >= 0 and a multiple of {self.align}, got {self.fixed}"),
            (overlap, "gaps that do not overlap: join them"),
            (outside, f"gaps that keep some of its own {self.size} bytes")]:
            if wrong: raise BadInput(f"interval {self.name!r}: needs {rule}")

    def meets(self,
        other,  # another Interval
    ) -> bool:
        "Whether both are in use at some step."
        return any(start < stop2 and start2 < stop
                   for start, stop, *_ in pieces(self) for start2, stop2, *_ in pieces(other))


def pieces(
    i: Interval,  # any
) -> list:  # of (start, stop, low, high): at these steps it needs these of its own bytes
    "The life of an interval, cut where a gap starts or stops."
    out, at = [], i.start
    for g in sorted(i.gaps):
        start, stop = (min(max(t, i.start), i.stop) for t in (g.start, g.stop))
        out += [(at, start, 0, i.size), (start, stop, g.low, g.high)]
        at = stop
    out = [p for p in out if p[0] < p[1] and p[2] < p[3]]
    return [*out, (at, i.stop, 0, i.size)] if at < i.stop else out


def aligned(
    size: int,  # bytes
    align: int = 8,  # bytes, > 0
) -> int:  # bytes, a multiple of `align`
    "`size` rounded up to a multiple of `align`."
    return -(-size // align) * align


def stride(
    intervals: list,  # Intervals
    align: int = 8,  # bytes
) -> int:  # bytes
    "The largest number of which every piece's first address is a multiple, in every plan."
    lows = (low for i in intervals for _, _, low, _ in pieces(i))
    return gcd(*(lcm(align, i.align) for i in intervals), *lows) or align


def spare_bytes(
    intervals: list,  # Intervals
    align: int = 8,  # bytes
) -> dict:  # step -> bytes, as `live_bytes`
    "How much of the rounding the topmost piece does not need, at the most."
    unit, waiting, live, out = stride(intervals, align), [], [], {}
    for i in intervals:
        for start, stop, low, high in pieces(i):
            waiting.append((start, stop, aligned(high - low, unit) + low - aligned(i.size, align)))
    steps = sorted({t for start, stop, _ in waiting for t in (start, stop)})
    waiting.sort(reverse=True)
    for t in steps:
        while waiting and waiting[-1][0] <= t:
            _, stop, spare = waiting.pop()
            heappush(live, (-spare, stop))
        while live and live[0][1] <= t: heappop(live)
        out[t] = -live[0][0] if live else 0
    return out


class Placed:
    "The pieces placed so far, by their first address."
    def __init__(self,
        room: int,  # pieces at most
    ):
        self.n, self.rows = 0, np.empty((4, room), np.int64)  # start, stop, first, end address

    def near(self,
        i: Interval,  # still to be placed
    ) -> np.ndarray:  # (first, end) address ranges that keep `size` bytes of it away
        "What lies beside the pieces of an interval, as seen from its offset."
        out, (begin, stop, first, end) = [], self.rows[:, :self.n]
        for start2, stop2, low, high in pieces(i) if i.size else ():
            k = ((begin < stop2) & (stop > start2)).nonzero()[0]
            out.append(np.array((first[k] + (i.size - high), end[k] - low)).T)
        if len(out) == 1: return out[0]
        return np.concatenate(out) if out else np.empty((0, 2), np.int64)

    def add(self,
        i: Interval,  # not placed before
        at: int,  # its offset
    ) -> None:
        "Insert the pieces of an interval."
        for start, stop, low, high in pieces(i) if i.size else ():
            k, n = self.rows[2, :self.n].searchsorted(at + low), self.n
            self.rows[:, k + 1:n + 1] = self.rows[:, k:n]
            self.rows[:, k], self.n = (start, stop, at + low, at + high), n + 1


def peak_of(
    intervals: list,  # Intervals
    offsets: dict,  # name -> offset, bytes
    align: int = 8,  # bytes
) -> int:  # bytes
    "The height of the arena that these offsets need."
    return max((offsets[i.name] + aligned(i.size, align) for i in intervals), default=0)


@dataclass(frozen=True)
class Plan:
    "Where each interval lies in the arena, and how good that is."
    intervals: tuple  # Intervals
    offsets: dict  # name -> offset, bytes
    peak: int  # bytes: height of the arena
    lower_bound: int  # bytes: no plan can be lower
    proven: bool  # no plan has a lower peak
    method: str  # what found the plan
    seconds: float  # time it took
    align: int = 8  # bytes

    def _repr_markdown_(self) -> str:
        "A table of the intervals under one line with the verdict."
        verdict = 'proven optimal' if self.proven else 'not proven optimal'
        rows = [f'| {i.name} | {i.start}–{i.stop - 1} | {i.size:,} | {self.offsets[i.name]:,} |'
                for i in self.intervals]
        return '\n'.join([f'**Peak {self.peak:,} bytes**, lower bound {self.lower_bound:,}, '
                          f'{verdict} ({self.method})', '',
                          '| tensor | steps | bytes | offset |', '|:--|--:|--:|--:|', *rows])

    def plot(self,
        ax=None,  # matplotlib Axes; new ones by default
        time: int = None,  # step to point at
        scratch: tuple = (),  # names of intervals to draw in grey
        shared: tuple = (),  # names of intervals to hatch
    ):  # matplotlib Axes
        "Draw the plan over time, as `plot_plan` does."
        return plot_plan(self, time, ax, scratch, shared)


def plot_plan(
    plan: Plan,  # what to draw
    time: int = None,  # step to point at; what is not live then turns pale
    ax=None,  # matplotlib Axes; new ones by default
    scratch: tuple = (),  # names of intervals to draw in grey
    shared: tuple = (),  # names of intervals to hatch
):  # matplotlib Axes
    "Draw (a pure function) each interval over steps and addresses, with peak and lower bound."
    ax = ax or plt.subplots(figsize=(6, 2.6))[1]
    for k, i in enumerate(plan.intervals):
        at, color = plan.offsets[i.name], '.45' if i.name in scratch else f"C{'012345689'[k % 9]}"
        for start, stop, low, high in pieces(i):
            live = time is None or start <= time < stop
            ax.bar(start, high - low, stop - start, at + low, align='edge', edgecolor='white',
                   alpha=.75 if live else .15, color=color, hatch='//' * (i.name in shared))
        if len(plan.intervals) <= 24 and i.size > plan.peak / 30:
            x0, x1, low, high = max(pieces(i), key=lambda p: (p[1] - p[0]) * (p[3] - p[2]))
            ax.text((x0 + x1) / 2, at + (low + high) / 2, i.name, ha='center', va='center', size=7)
    ax.axhline(plan.peak, color='black', lw=1)
    ax.axhline(plan.lower_bound, color='red', lw=1, ls='--')
    if time is not None: ax.axvspan(time, time + 1, color='black', alpha=.08)
    ax.set(xlabel='step', ylabel='address (bytes)', ylim=(0, plan.peak * 1.08 or 1))
    title = f'peak {plan.peak:,} bytes (black), lower bound {plan.lower_bound:,} (red)'
    ax.set_title(title, fontsize=9)
    return ax


def in_use(
    i: Interval,  # any
    t: int,  # step
) -> tuple:  # (first, end) of its own bytes; equal when it needs none
    "What a step needs of an interval."
    if not i.start <= t < i.stop: return 0, 0
    return next(((g.low, g.high) for g in i.gaps if g.start <= t < g.stop), (0, i.size))


def changes(
    plan: Plan,  # with an offset for every interval
):  # yields (step, whether they come into use or go out of it, first address, end, name)
    "All events at which bytes come into use or go out of it."
    for i in plan.intervals:
        edges = sorted({i.start, i.stop, *(t for g in i.gaps for t in (g.start, g.stop))})
        for start, stop in pairwise(edges):
            low, high = (plan.offsets[i.name] + n for n in in_use(i, start))
            if low < high:
                yield start, True, low, high, i.name
                yield stop, False, low, high, i.name
