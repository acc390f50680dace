"""Graded assignments: the tasks of three notebooks, with points, and tests that run.

    from tinyformer import assignments
    assignments.points('bytes-1', storage)

A task gives all of its points or none. nbgrader reads the number that the last line of a cell shows, and
`docs/assignments.py` grades without it. Students can read this file; whoever wants a test that they cannot read
adds it to the notebook between `### BEGIN HIDDEN TESTS` and `### END HIDDEN TESTS`, which nbgrader takes out."""
from collections import namedtuple

import numpy as np

from .course import Wrong, number, same
from .errors import BadInput

Task = namedtuple('Task', 'name points kind test')   # kind: what an answer is; test: raises or not
TASKS = {}                                           # name → Task
EARNED = {}                                          # name → Points of the last answer in this session


class Points(float):
    "The points of one answer: a number to a grader, a sentence to its author."
    def __new__(cls, task, share, text):
        self = super().__new__(cls, task.points * share)
        self.task, self.text = task, text
        return self

    def __repr__(self): return f'{float(self):g}'

    def _repr_markdown_(self): return f'**{self.task.name}**: {self!r} of {self.task.points} points. {self.text}'


def task(
    name: str,   # assignment and number, such as 'bytes-1'
    points: int, # for a right answer
    kind: str    # what an answer is, such as 'a function f(x)'
):               # decorator of the function that tests an answer
    "Add a task; its test raises `Wrong` with a hint, or whatever the answer raised."
    def add(test):
        TASKS[name] = Task(name, points, kind, test)
        return test
    return add


def points(
    name: str,     # of a task, such as 'bytes-1'
    answer: object # as the task says
) -> Points:       # shows itself
    "Test an answer."
    if name not in TASKS: raise BadInput(f"no task {name!r}: known are {', '.join(TASKS)}")
    EARNED[name] = tested(TASKS[name], answer)
    return EARNED[name]


def tested(t, answer):
    "All points of a task, or none with a reason."
    try: t.test(answer)
    except NotImplementedError: return Points(t, 0, 'Not answered yet.')
    except Wrong as hint: return Points(t, 0, f'Not yet. {hint}.')
    except Exception as error: return Points(t, 0, f'With it comes {type(error).__name__}: {error}. It is {t.kind}.')
    return Points(t, 1, 'Right.')


def total(
    assignment: str # such as 'bytes'
) -> float:         # points of this session, without those that a person gives
    "The sum of the last answers."
    of = [t for t in TASKS.values() if t.name.startswith(f'{assignment}-')]
    if not of: raise BadInput(f"no assignment {assignment!r}: known are bytes, integers, model")
    return sum(float(EARNED.get(t.name, 0)) for t in of)


# ---- 1: bytes --------------------------------------------------------------------------------------------------------

LAYERS = [(16, 3, 9, '1x1', 0.), (64, 16, 1, '1x4', .8), (64, 64, 1, '1x4', .9), (32, 64, 9, '1x2', .7),
          (10, 32, 1, '1x1', .3)]                    # (rows, cin, taps, block, sparsity)


@task('bytes-1', 3, 'a function storage(layers) that gives bytes')
def _(storage):
    from .rle_sizes import layer_bytes
    for layers in (LAYERS, LAYERS[:1], LAYERS[2:4], []):
        want = sum(layer_bytes(*layer) + 8 * layer[0] for layer in layers)
        number(storage(layers), want, f'The layers {layers} take {want:.1f} bytes', within=1e-6)


@task('bytes-2', 4, 'a function least_sparsity(layers, limit) that gives a sparsity or None')
def _(least_sparsity):
    from .rle_sizes import layer_bytes
    def size(layers, s): return sum(layer_bytes(*layer[:4], s) + 8 * layer[0] for layer in layers)
    for limit in (30_000, 24_000, 12_000, 4_000, 1_900, 100):
        want = next((s for s in np.arange(20) / 20 if size(LAYERS, s) <= limit), None)
        got = least_sparsity(LAYERS, limit)
        if (want is None) != (got is None) or want is not None and abs(got - want) > 1e-9:
            raise Wrong(f'With a limit of {limit:,} bytes it is {want}')


@task('bytes-3', 4, 'a function encode_row(row, b) that gives bytes')
def _(encode_row):
    from .rle_encoding import encode
    rng = np.random.default_rng(11)
    for m, b, keep in [(4, 2, .5), (6, 4, .3), (100, 1, .02), (5, 4, 1.), (7, 1, .4)]:
        blocks = rng.integers(-100, 100, (m, b)) * (rng.random((m, 1)) < keep)
        blocks[rng.integers(m)] = [-7, 0, 7, 0][:b]          # kept, although a weight of it is 0
        row = blocks.ravel().astype(np.int8)
        want = encode(row[None], b)[:-1]
        if bytes(encode_row(row, b)) != want: raise Wrong(f'{row.tolist()} in blocks of {b} is {want.hex(" ")}')


@task('bytes-4', 3, 'a function most_live(steps) that gives bytes')
def _(most_live):
    from .memory_alloc import lifetimes, lower_bound
    chain = [('a', 96, []), ('b', 400, ['a']), ('c', 200, ['b']), ('d', 40, ['c'])]
    branch = [('a', 64, []), ('p', 800, ['a']), ('b', 16, ['p']), ('q', 640, ['a']), ('c', 16, ['q']),
              ('d', 8, ['b', 'c'])]
    odd = [('a', 13, []), ('b', 9, ['a'])]
    for steps in (chain, branch, chain[:1], [*chain, ('e', 40, ['d', 'a'])], odd):
        want = lower_bound(lifetimes(steps))
        number(most_live(steps), want, f'The steps {steps} need {want} bytes at once')


@task('bytes-5', 4, 'a function place(intervals) that gives a dict: name → offset')
def _(place):
    from .memory_alloc import Interval, lower_bound
    rng = np.random.default_rng(12)
    for n in (1, 5, 12, 20):
        intervals = [Interval(f't{i}', i, i + 2, 8 * int(rng.integers(1, 60))) for i in range(n)]
        offsets = place(intervals)
        same(set(offsets), {i.name for i in intervals}, 'Every interval needs an offset')
        for a in intervals:
            at = offsets[a.name]
            if at < 0 or at % 8: raise Wrong(f'{a.name} is at {at}: offsets are multiples of 8, from 0 on')
            for b in intervals:
                if a.name < b.name and a.meets(b) and at < offsets[b.name] + b.size and offsets[b.name] < at + a.size:
                    raise Wrong(f'{a.name} and {b.name} are live together and share bytes')
        peak, least = max(offsets[i.name] + i.size for i in intervals), lower_bound(intervals)
        if peak > least: raise Wrong(f'A chain of {n} tensors needs {least} bytes, and yours takes {peak}')


# ---- 2: integers -----------------------------------------------------------------------------------------------------

@task('integers-1', 3, 'a function to_codes(x, lo, hi) that gives (codes, scale, zero point)')
def _(to_codes):
    for lo, hi in [(-.5, 2.05), (-1., 1.), (0., 6.), (-8., 0.)]:
        x = np.concatenate([np.linspace(lo, hi, 101), [lo - 9, hi + 9, 0.]])
        codes, scale, zp = to_codes(x, lo, hi)
        codes = np.asarray(codes)
        if codes.dtype != np.int8: raise Wrong(f'Codes are int8, and yours are {codes.dtype}')
        number(scale, (hi - lo) / 255, f'The range {lo} to {hi} has 255 steps', within=1e-9)
        same((int(zp), int(codes[-1])), (int(zp), int(zp)), 'The number 0 gets the code of the zero point')
        back = scale * (codes.astype(float) - zp)
        off = abs(back[:101] - x[:101]) / scale              # in steps; the ends of the range may be cut by one
        if off.max() > 1.01 or off[1:100].max() > .51: raise Wrong(f'From {lo} to {hi} a code is not the nearest one')
        same(codes[101:103].tolist(), [-128, 127], 'What lies outside is cut to -128 and 127')


@task('integers-2', 4, 'a function fixed(ratio) that gives (multiplier, shift)')
def _(fixed):
    from .operators import requant_params
    for ratio in (.0123, .49, .5, .75, 1., 3.9, 1e-5, 200., .4999999999, 3.9999999999):
        mult, shift = requant_params(ratio)
        got = tuple(map(int, fixed(ratio)))
        same(got, (int(mult), shift), f'For {ratio} it is {(int(mult), shift)}: the smallest shift that brings the '
             'ratio below one half, then 32 bits of fraction')


@task('integers-3', 4, 'a function layer(x, weight, bias, zp_in, mult, shift, zp_out) that gives int8 [n, cout]')
def _(layer):
    from .operators import linear_s8
    rng = np.random.default_rng(13)
    for n, cin, cout, zp_in in [(4, 8, 3, -128), (1, 5, 7, 12), (9, 16, 2, 0)]:
        x = rng.integers(-128, 128, (n, cin)).astype(np.int8)
        w = rng.integers(-127, 128, (cout, cin)).astype(np.int8)
        bias, mult = rng.integers(-2000, 2000, cout), rng.integers(2**19, 2**22, cout)
        folded = bias - zp_in * w.astype(int).sum(1)
        want = linear_s8(x[None], w, folded, mult, 3, -5)[0]
        if not np.array_equal(layer(x, w, bias, zp_in, mult, 3, -5), want):
            raise Wrong(f'{cin} inputs with zero point {zp_in}: take it off, sum, shift, scale, round, saturate')


@task('integers-4', 4, 'a function softmax(scores, scale) that gives int8')
def _(softmax):
    from .operators import softmax_s8, softmax_table
    rng = np.random.default_rng(14)
    for n, scale in [(4, .1), (64, .02), (1, 1.), (300, .3)]:
        scores = rng.integers(-128, 128, n).astype(np.int8)
        want = softmax_s8(scores, softmax_table(scale))
        if not np.array_equal(softmax(scores, scale), want):
            raise Wrong(f'{n} scores of scale {scale}: table of 65535·exp(-scale·d), r = (2³² - 1) // sum, '
                        'then (e·r >> 23) + 1 >> 1, at most 255, minus 128')


@task('integers-5', 3, 'a function safe(weight, bias) that gives a bool array [cout]')
def _(safe):
    rng = np.random.default_rng(15)
    w = rng.integers(-127, 128, (7, 2000)).astype(np.int8)
    bias = np.array([0, 2**31 - 1, -2**31, 2**31 - 1 - 128 * 2000, 2**30, -2**30, 2**31 - 128 * 2000])
    w[[3, 6]] = np.where(w[[3, 6]] < 0, -1, 1)               # the last bias that is safe, and the first that is not
    room = 2**31 - 1 - 128 * np.abs(w.astype(np.int64)).sum(1)
    want = np.abs(bias) <= room
    got = np.asarray(safe(w, bias))
    if got.shape != want.shape or not np.array_equal(got, want):
        raise Wrong(f'For seven rows of the test it is {want.tolist()}: |bias| + 128·Σ|w| must stay below 2³¹')


# ---- 3: a model ------------------------------------------------------------------------------------------------------

@task('model-1', 3, 'a function pruned_at(step, last, final) that gives a share')
def _(pruned_at):
    from .pruning import agp_sparsity
    for step, last, final in [(0, 100, .8), (50, 100, .8), (25, 100, .9), (100, 100, .9), (7, 9, .5), (300, 100, .7)]:
        want = agp_sparsity(step, 0, last, final)
        if abs(pruned_at(step, last, final) - want) > 1e-9:
            raise Wrong(f'At step {step} of {last} on the way to {final:.0%} it is {want:.4f}')


@task('model-2', 4, 'a function row_mask(weights, b, sparsity) that gives a bool array like the weights')
def _(row_mask):
    from .rle_sizes import kept_blocks
    rng = np.random.default_rng(16)
    for rows, cin, b, sparsity in [(4, 8, 4, .5), (8, 8, 2, .75), (3, 6, 1, .5), (5, 20, 4, .8)]:
        w = rng.normal(size=(rows, cin))
        norms = np.linalg.norm(w.reshape(rows, -1, b), axis=2)
        k = kept_blocks(norms.shape[1], sparsity)
        least = np.sort(norms, axis=1)[:, [-k]]
        if not np.array_equal(row_mask(w, b, sparsity), np.repeat(norms >= least, b, axis=1)):
            raise Wrong(f'{rows}x{cin} weights in blocks of {b} at {sparsity:.0%}: each row keeps {k} blocks')


@task('model-3', 4, 'a function front(models) that gives a list of positions')
def _(front):
    rng = np.random.default_rng(17)
    for n in (1, 2, 9, 40):
        models = [(float(a), int(c)) for a, c in zip(rng.integers(50, 70, n) / 100, rng.integers(10, 30, n))]
        def beaten(m): return any(a >= m[0] and c <= m[1] and (a, c) != m for a, c in models)
        want = [i for i, m in enumerate(models) if not beaten(m)]
        same(sorted(map(int, front(models))), want, f'Of {models} these are beaten by none: {want}')


@task('model-4', 3, "a function verdict(hits, n) that gives 'accepted', 'rejected' or 'unclear'")
def _(verdict):
    from .supernas import wilson
    for hits, n in [(50, 50), (48, 50), (30, 50), (950, 1000), (880, 1000), (870, 1000), (900, 1000), (1, 1)]:
        low, high = wilson(hits, n)
        want = 'accepted' if low > .9 else 'rejected' if high < .9 else 'unclear'
        same(verdict(hits, n), want, f'{hits} of {n}: the interval is {low:.3f} to {high:.3f}, so it is {want}')


@task('model-5', 4, 'a function train() that gives a torch module')
def _(train):
    import torch
    from .data import load, to_float
    from .pruning import to_blocks
    model = train().eval()
    first = next(o for o in model.modules() if isinstance(o, torch.nn.Linear))
    empty = float((to_blocks(first.weight.detach(), '1x4') == 0).all(-1).float().mean())
    if empty < .7: raise Wrong(f'{empty:.0%} of the 1x4 blocks of the first linear layer are empty, and 70 % are asked')
    digits = load('digits')
    with torch.no_grad(): answers = model(to_float(digits.x_val)).argmax(1).numpy()
    right = float((answers == digits.y_val).mean())
    if right < .85: raise Wrong(f'{right:.1%} of the validation images are right, and 85 % are asked')
