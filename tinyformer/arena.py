"""The arena that the engine will plan, from shapes alone and for many networks of one structure at once.

`codegen` decides on a graph: outputs go over inputs that nobody reads any more (`graph.shares`), chains of operators run
band by band where that lowers the fullest step (`schedule.find_chains`, memory 'low'), and `memory_alloc.plan` places what
is left. The first two depend on the order of operators and on sizes only, and they never look beyond a *run*: operators of
which each is the only reader of the one before. So the arena is the largest peak of any run. The tests compare it with
the engine's, byte for byte.
"""
from collections import namedtuple
from functools import lru_cache
from math import prod

import numpy as np

WINDOWS = dict(maxpool2x2=(2, 2, 0), pointwise=(1, 1, 0), linear=(1, 1, 0), add=(1, 1, 0), layernorm=(1, 1, 0))  # rows, stride, padding
OVER = dict(add=(0, 1), layernorm=(0,), attention=(0,), depthwise3x3=(0,))  # inputs that the output may be written over
PREVIOUS = -1  # the output of the operator before, where others are numbers of tensors from outside

# One operator of a run. height: rows of its input, 0 where each pixel is a row; over: the tensor it is written over, or None
Step = namedtuple('Step', 'window height pixels_in pixels_out depthwise over')
# steps; for each tensor from outside that is live: the steps that read it, and the last step at which it is live
Run = namedtuple('Run', 'steps readers until')


def window(spec, format):
    "What a row of the output is made from, None where the chosen kernel cannot make some rows only."
    if spec.kind == 'conv3x3': return (3, spec.stride, 1) if format == 'dense' else None
    return (3, spec.stride, 1) if spec.kind == 'depthwise3x3' else WINDOWS.get(spec.kind)


def find_runs(specs, formats, x, first, last):
    "Runs of consecutive layers as (first, end, Run, names of the tensors from outside). `x` = (name, h, w, channels) is what they read; `first`, `last`: `x` and the result are the caller's."
    readers, made = {}, {s.name: i for i, s in enumerate(specs)}
    for i, s in enumerate(specs):
        for n in s.inputs: readers.setdefault(n, []).append(i)
    if not last: readers.setdefault(specs[-1].name, []).append(len(specs))
    windows = [window(s, f) for s, f in zip(specs, formats)]
    shape = {x[0]: x[1:3]} | {s.name: (s.h, s.w) for s in specs}
    joined = [readers[s.name] == [i + 1] and windows[i] is not None and windows[i + 1] is not None for i, s in enumerate(specs[:-1])]
    begins = [i for i in range(len(specs)) if i == 0 or not joined[i - 1]]
    for a, b in zip(begins, begins[1:] + [len(specs)]):
        outside = [n for n, at in [(x[0], -1), *made.items()] if at < a and readers.get(n, [-1])[-1] >= a and not (first and n == x[0])]
        steps = []
        for i in range(a, b):
            s = specs[i]
            h, w = shape[s.inputs[0]]
            dies = [n for k, n in enumerate(s.inputs) if k in OVER.get(s.kind, ()) and s.stride == 1 and readers[n][-1] == i and not (first and n == x[0])]
            over = None if not dies or last and i == len(specs) - 1 else PREVIOUS if made.get(dies[0], -1) >= a else outside.index(dies[0])
            steps.append(Step(windows[i], h if s.kind in ('conv3x3', 'depthwise3x3', 'maxpool2x2') else 0, h*w, s.h*s.w, s.kind == 'depthwise3x3', over))
        inside = [tuple(r - a for r in readers[n] if a <= r < b) for n in outside]
        yield a, b, Run(tuple(steps), tuple(inside), tuple(min(readers[n][-1], b - 1) - a for n in outside)), outside


def heights(steps):
    "Rows of a chain's input, then of each output."
    h = [next((s.height for s in steps if s.height), 0) or steps[0].pixels_in]
    for s in steps:
        k, stride, pad = s.window
        h.append((h[-1] + 2*pad - k)//stride + 1)
    return h


def schedule(steps, h, rows):
    "For each band the (first, end) of the rows that each operator makes."
    made, bands = [0]*len(steps), []
    while made[-1] < h[-1]:
        ends = [*made[:-1], min(made[-1] + rows, h[-1])]
        for i in range(len(steps) - 2, -1, -1):
            k, stride, pad = steps[i + 1].window
            ends[i] = max(made[i], min((ends[i + 1] - 1)*stride - pad + k, h[i]))
        bands.append(list(zip(made, ends)))
        made = ends
    return bands


def band_rows(steps, h):
    "Fewest rows at a time that cost next to no time; None where that is all of them."
    need, pixels = 1, steps[-1].pixels_out
    for i, s in enumerate(steps):
        if s.depthwise: need = max(need, 8//prod(o.window[1] for o in steps[i:]))
    need = max(need, -(-min(16, pixels)*h[-1]//pixels))
    return need if need < h[-1] else None


@lru_cache(None)
def chains(run):
    "Every chain of a run as (first, last, rows kept of each inner tensor, their heights, whether the last output goes over an outside tensor)."
    out = []
    for a in range(len(run.steps)):
        for b in range(a + 1, min(a + 8, len(run.steps))):
            steps = run.steps[a:b + 1]
            h = heights(steps)[1:]
            rows = band_rows(steps, h)
            if rows is None: continue
            bands, keep = schedule(steps, h, rows), []
            for i, after in enumerate(steps[1:]):
                k, stride, pad = after.window
                keep.append(max(t[i][1] - (t[i][0] if k == stride else max(0, t[i + 1][0]*stride - pad)) for t in bands))
            over = steps[-1].over
            late = over not in (None, PREVIOUS) and all(run.steps[r].window[0] == 1 and h[r - a] == h[-1] for r in run.readers[over] if a <= r <= b)
            out.append((a, b, tuple(keep), tuple(h), late))
    return out


def aligned(n): return -(-n//8)*8


def less(a, b):
    "Whether each row of `a` comes before the row of `b` in lexicographic order."
    d = a - b
    return d[np.arange(len(d)), (d != 0).argmax(1)] < 0


def fullest_first(live): return -np.sort(-live, axis=1)


def run_peak(
    run:Run,             # the structure
    outside:np.ndarray,  # [n, tensors from outside] bytes
    out:np.ndarray,      # [n, steps] bytes of each output; 0 where it is the caller's
    scratch:np.ndarray,  # [n, steps] bytes
)->np.ndarray: # [n] bytes
    "Peak of a run after the engine's choice of chains."
    ext, full, work = aligned(outside), aligned(out), aligned(scratch)
    here = np.array([[t <= u for t in range(len(run.steps))] for u in run.until], int).reshape(-1, len(run.steps))
    single = ext @ here + full + work
    single[:, 1:] += full[:, :-1]
    for i, s in enumerate(run.steps):
        if s.over is not None: single[:, i] -= full[:, i]
    ways = chains(run) if len(run.steps) > 1 else []
    if not ways: return single.max(1)
    together = np.empty((len(out), len(ways)), np.int64)
    for w, (a, b, keep, h, late) in enumerate(ways):
        inner = sum(aligned(k*(out[:, a + i]//h[i])) for i, k in enumerate(keep))
        before = full[:, a - 1] if a else 0
        together[:, w] = ext @ here[:, a] + before + inner + (0 if late else full[:, b]) + work[:, a:b + 1].max(1)
    return greedy(single, [w[:2] for w in ways], together)


@lru_cache(maxsize=65536)
def one_peak(run, outside, out, scratch):
    "`run_peak` of one network, its sizes as tuples."
    return int(run_peak(run, *(np.array([sizes], np.int64) for sizes in (outside, out, scratch)))[0])


def greedy(single, ways, together):
    "Lower the fullest step by the best chain through it, until none helps."
    n, T = single.shape
    live, chain, todo = single.copy(), np.full((n, T), -1), np.ones(n, bool)
    spans = np.array([[a, b] for a, b in ways] + [[T + 1, -1]])         # the last: no chain
    steps = np.arange(T)
    while todo.any():
        t, now = live.argmax(1), fullest_first(live)
        best, length, pick, best_live = np.full_like(now, np.iinfo(np.int64).max//2), np.full(n, T), np.full(n, -1), live.copy()
        for w, (a, b) in enumerate(ways):
            if not (mask := todo & (a <= t) & (t <= b)).any(): continue
            gone = (spans[chain, 0] <= b) & (spans[chain, 1] >= a)
            new = np.where((steps >= a) & (steps <= b), together[:, w:w + 1], np.where(gone, single, live))
            order = fullest_first(new)
            mask &= less(np.column_stack([order, np.full(n, b - a)]), np.column_stack([best, length]))
            best[mask], best_live[mask], length[mask], pick[mask] = order[mask], new[mask], b - a, w
        todo &= (pick >= 0) & less(best, now)
        ends = spans[pick]
        inside = todo[:, None] & (steps >= ends[:, :1]) & (steps <= ends[:, 1:])
        cut = todo[:, None] & ~inside & (spans[chain, 0] <= ends[:, 1:]) & (spans[chain, 1] >= ends[:, :1])
        chain = np.where(inside, pick[:, None], np.where(cut, -1, chain))
        live = np.where(todo[:, None], best_live, live)
    return live.max(1)
