"""Exercises of the course: what each asks, how hard it is, and a check of an answer that runs.

    from tinyformer import course
    course.check('hardware-1', {'stm32f746', 'nrf52840'})

A check knows the task, and an answer that is wrong gets a hint. Solutions are in `nbs/solutions/`.
`course.quiz('rle')` shows five questions whose answers say why they are right or wrong."""
import html, re
from collections import namedtuple

import numpy as np

from .errors import BadInput
from .quizzes import QUIZZES

Exercise = namedtuple('Exercise', 'name page stars kind test')   # kind: what an answer is; test: raises or not
EXERCISES = {}                                                   # name → Exercise


class Verdict:
    "What a check says of an answer; true only for a right one."
    def __init__(self,
        exercise: Exercise,     # that was answered
        right: bool,            # whether the answer passed
        text: str               # what to show
    ):
        self.exercise, self.right, self.text = exercise, right, text

    def __bool__(self): return self.right

    def __repr__(self): return f"{self.exercise.name} {'★' * self.exercise.stars}: {self.text}"


def exercise(
    name: str,   # page and number, such as 'rle-2'
    page: str,   # notebook that asks, without its suffix
    stars: int,  # 1 to 3
    kind: str    # what an answer is: 'a number', 'a function f(x)'
):               # decorator of the function that tests an answer
    "Add an exercise; its test raises `Wrong` with a hint, or whatever the answer raised."
    def add(test):
        EXERCISES[name] = Exercise(name, page, stars, kind, test)
        return test
    return add


class Wrong(Exception):
    "An answer is not right; the text is a hint."


def check(
    name: str,       # of an exercise, such as 'rle-2'
    answer: object   # what you found: a number, a set, a function, as the exercise says
) -> Verdict:        # prints itself; true for a right answer
    "Say whether an answer is right, and if not, where to look."
    if name not in EXERCISES: raise BadInput(f"no exercise {name!r}: known are {', '.join(EXERCISES)}")
    e = EXERCISES[name]
    if answer is ...: return Verdict(e, False, f'open. Put your answer, {e.kind}, in place of `...`')
    try: e.test(answer)
    except Wrong as hint: return Verdict(e, False, f'not yet. {hint}')
    except Exception as error:
        return Verdict(e, False, f'not yet. With it comes {type(error).__name__}: {error}. An answer is {e.kind}')
    return Verdict(e, True, 'right')


def number(answer, want, hint, within=0.):
    "Refuse a number that is further than `within`, a share, from what is wanted."
    if not abs(float(answer) - want) <= within * abs(want): raise Wrong(hint)     # so that nan is refused


def same(answer, want, hint):
    "Refuse what is not equal to what is wanted."
    if answer != want: raise Wrong(hint)


# ---- quizzes ---------------------------------------------------------------------------------------------------------

class Shown:
    "A quiz as a page shows it: every answer opens by itself, in Jupyter, on GitHub and on the site, without a script."
    def __init__(self, questions): self.questions = questions

    def __repr__(self): return f'{len(self.questions)} questions; Jupyter and the site show them'

    def _repr_markdown_(self):
        return '\n\n'.join(block for i, q in enumerate(self.questions, 1) for block in asked(i, q))


def asked(i, question):
    "A question and its answers as blocks of Markdown; an answer is folded, and its reason is inside."
    out = [f'**{i}.** {question.text}']
    for letter, answer in zip('ABC', question.answers):
        head = re.sub(r'`([^`]+)`', r'<code>\1</code>', html.escape(answer.text))
        verdict = 'Right.' if letter == question.right else 'No.'
        out.append(f'<details><summary>{letter}. {head}</summary>\n\n**{verdict}** {answer.why}\n\n</details>')
    return out


def quiz(
    name: str  # of a chapter, such as 'rle'
) -> Shown:    # shows itself
    "Five questions on a chapter."
    if name not in QUIZZES: raise BadInput(f"no quiz {name!r}: known are {', '.join(QUIZZES)}")
    return Shown(QUIZZES[name].questions)


def correct(
    name: str,  # of a quiz, such as 'rle'
    number: int # of the question, from 1
) -> str:       # as the quiz words it
    "The right answer of a question."
    questions = quiz(name).questions
    if number not in range(1, len(questions) + 1):
        raise BadInput(f'no question {number}: the quiz {name!r} has 1 to {len(questions)}')
    question = questions[number - 1]
    return question.answers['ABC'.index(question.right)].text


# ---- 01 hardware -----------------------------------------------------------------------------------------------------

@exercise('hardware-1', '01_hardware', 1, 'a set of names')
def _(answer):
    from .hardware import KB, targets
    holds = {t.name for t in targets() if t.flash_bytes >= 180 * KB and t.sram_bytes >= 40 * KB}
    same(set(answer), holds, 'Compare both `flash_bytes` and `sram_bytes` of every one of `targets()`; 1 KB is 1024')


@exercise('hardware-2', '01a_instructions', 1, 'a number of milliseconds')
def _(answer):
    from .hardware import target
    from .instructions import milliseconds
    want = milliseconds(64 * 64 * 384 // 2, target('stm32f746'))
    number(answer, want, 'One SMLAD does two multiply-adds, and the clock is 216 MHz', within=.01)


@exercise('hardware-3', '01a_instructions', 2, 'a whole number')
def _(answer):
    number(answer, (2**31 - 1) // (128 * 127), 'The largest product is 128 · 127; the accumulator ends at 2³¹ - 1')


@exercise('hardware-4', '01a_instructions', 3, 'a function of two registers that gives four products')
def _(answer):
    rng = np.random.default_rng(0)
    for x, w in [*rng.integers(-128, 128, (50, 2, 4)).tolist(), [[-128] * 4, [-128] * 4]]:
        xs, ws = (int.from_bytes(bytes(v & 255 for v in o), 'little') for o in (x, w))
        want = sum(a * b for a, b in zip(x, w))
        if answer(xs, ws) != want: raise Wrong(f'{x} times {w} is {want}; unpack both registers with `sxtb16`')


# ---- 02 run-length encoding ------------------------------------------------------------------------------------------

@exercise('rle-1', '02_rle_encoding', 1, 'a number of columns')
def _(answer):
    number(answer, 121, 'One header skips 119 blocks. From which gap on does it no longer do?')


@exercise('rle-2', '02_rle_encoding', 1, 'a pair (longest, shortest) in bytes')
def _(answer):
    from .rle_encoding import stream_bytes
    dense, empty = np.ones((10, 40)), np.zeros((10, 40))
    want = stream_bytes(dense, '1x4'), stream_bytes(empty, '1x4')
    same(tuple(answer), want, 'Longest: nothing is pruned. Shortest: count the headers of ten empty rows, and the end')


@exercise('rle-3', '02a_rle_sizes', 2, 'a function f(rows, cin, block, sparsity) that gives bytes')
def _(answer):
    from .rle_encoding import block_size, blocks_per_row
    from .rle_sizes import kept_blocks
    cases = (64, 256, '1x4', .75), (64, 256, '1x4', .9), (3, 5, '1x2', .5), (1, 1, '1x1', 0)
    for rows, cin, block, sparsity in cases:
        m = blocks_per_row(cin, 1, block)
        want = rows * -(-m // 8) + kept_blocks(rows * m, sparsity) * block_size(block)
        number(answer(rows, cin, block, sparsity), want, f'{rows} rows of {m} blocks {block} at {sparsity:.0%} take '
               f'{want} bytes: a bit per block, each row padded to whole bytes, then the weights of the kept blocks')


@exercise('rle-4', '02a_rle_sizes', 2, 'a sparsity between 0 and 1')
def _(answer):
    number(answer, .875, 'Set k bytes of headers equal to N/8 bytes of bits; k = (1 - s) · N', within=.015)


@exercise('rle-5', '02_rle_encoding', 3, 'a function f(stream, rows, m, b) that gives a bool array [rows, m]')
def _(answer):
    from .rle_encoding import bridged, encode, to_blocks
    rng = np.random.default_rng(1)
    for rows, m, b, keep in [(3, 4, 2, .5), (9, 5, 4, .1), (20, 3, 1, 0.), (2, 300, 1, .01), (5, 7, 1, 1.)]:
        mask = rng.random((rows, m)) < keep
        weights = np.repeat(mask, b, 1).astype(np.int8)
        want = bridged(to_blocks(weights, b).any(2))
        got = np.asarray(answer(encode(weights, b), rows, m, b))
        if got.shape != want.shape or (got != want).any():
            raise Wrong(f'{rows} rows of {m} blocks of {b}: {int(want.sum())} blocks are kept, bridges included')


# ---- 03 memory -------------------------------------------------------------------------------------------------------

@exercise('memory-1', '03_memory_alloc', 2, 'a dict of bytes with the keys a, p, b, q, c, d')
def _(answer):
    from .memory_alloc import lifetimes, plan
    made = dict(p=['a'], b=['p'], q=['a'], c=['q'])
    def peak(order):
        steps = [(o, answer[o], made.get(o, [])) for o in 'a' + order]
        return plan(lifetimes([*steps, ('d', answer['d'], ['b', 'c'])])).peak
    first, second = peak('pbqc'), peak('qcpb')
    if second < first: return
    raise Wrong(f'`b` first needs {first} bytes, `c` first {second}: let `c` be small and `a` large')


# ---- 05 graph --------------------------------------------------------------------------------------------------------

@exercise('graph-1', '05_graph', 1, 'a `Graph` that takes four numbers and adds its input to itself')
def _(answer):
    from .graph import check as checked, run
    checked(answer)
    every = np.arange(-128, 128, dtype=np.int8).reshape(64, 4)
    if [op.kind for op in answer.ops] != ['add']: raise Wrong('It has one operator, an `add`')
    if not np.array_equal(run(answer, every), every): raise Wrong('The output scale decides: (x + x) / 2 = x')


@exercise('graph-2', '05_graph', 2, 'a function f(graph) that gives a dict: layer → its channels of zeros')
def _(answer):
    from .graph import random_graph
    for seed in range(3):
        g = random_graph(seed)
        weighted = [op for op in g.ops if 'weight' in op.params]
        for op in weighted[::2]: op.params['weight'][[0, -1]] = 0
        def dead(op):
            w = op.params['weight']
            return np.flatnonzero(~w.reshape(len(w), -1).any(1)).tolist()
        want = {op.name: dead(op) for op in weighted if dead(op)}
        got = {k: sorted(map(int, v)) for k, v in answer(g).items() if len(v)}
        if got != want: raise Wrong(f'In `random_graph({seed})` with rows set to zero, they are {want}')


@exercise('graph-3', '05_graph', 2, 'a function f(graph) that gives bytes')
def _(answer):
    from .graph import random_graph
    for seed in range(3):
        g = random_graph(seed)
        want = max(sum(np.prod(g.tensors[o].shape) for o in {*op.inputs, op.output}) for op in g.ops)
        number(answer(g), want, f'In `random_graph({seed})` the largest sum is {want} bytes, the output included')


# ---- lesson: attention -----------------------------------------------------------------------------------------------

@exercise('attention-1', 'lessons/attention', 1, 'a number of parameters')
def _(answer):
    number(answer, 4 * (12 * 12 + 12), 'Four square layers with bias: q, k, v and the projection. Do heads add any?')


@exercise('attention-2', 'lessons/attention', 2, 'a function f(q, k, v) of float arrays [tokens, d]')
def _(answer):
    rng = np.random.default_rng(2)
    for tokens, d in [(3, 2), (5, 8), (1, 1)]:
        q, k, v = rng.normal(size=(3, tokens, d))
        scores = q @ k.T / np.sqrt(d)
        share = np.exp(scores - scores.max(1, keepdims=True))
        want = share / share.sum(1, keepdims=True) @ v
        got = np.asarray(answer(q, k, v))
        if got.shape != want.shape: raise Wrong(f'{tokens} tokens of {d} numbers go in, and as many come out')
        if not np.allclose(got, want): raise Wrong('Scores are q·k/√d; each row of the softmax sums to 1')


@exercise('attention-3', 'lessons/attention', 2, 'a number of bytes')
def _(answer):
    number(answer, 4 * 256 * 256, 'One byte for each score: heads times queries times keys')


@exercise('attention-4', 'lessons/attention', 3, 'a function f(n) that gives the whole square root, without floats')
def _(answer):
    for n in [0, 1, 2, 3, 4, 15, 16, 17, 255, 256, 2**31, 2**40 - 1, 3**40]:
        root = answer(n)
        if not isinstance(root, (int, np.integer)): raise Wrong('It gives a whole number')
        if not root * root <= n < (root + 1)**2: raise Wrong(f'For {n} it gives {root}')


# ---- lesson: one afternoon -------------------------------------------------------------------------------------------

@exercise('afternoon-1', 'lessons/one_afternoon', 1, 'a number of bytes')
def _(answer):
    number(answer, 24 * 24 * 3, 'One byte for each pixel and colour')


@exercise('afternoon-2', 'lessons/one_afternoon', 2, 'a number of bytes')
def _(answer):
    weights, channels = 9 * (3*8 + 8*16 + 16*32) + 32*3, 8 + 16 + 32 + 3
    number(answer, weights + 8 * channels, f'There are {weights:,} weights and {channels} output channels')


# ---- 04 integers -----------------------------------------------------------------------------------------------------

@exercise('operators-1', '04_integers', 1, 'a code')
def _(answer):
    from .operators import requantize
    want = int(requantize(-1, 2**31 - 1, 1, 0))
    number(answer, want, 'The ratio is a little below 1, so -1 becomes a little above -1')


@exercise('operators-2', '04c_softmax', 1, 'a code')
def _(answer):
    number(answer, -128, 'Each share is 1/1024, and a step is 1/256. What does a quarter of a step round to?')


@exercise('operators-3', '04_integers', 2, 'a function f(acc, mult, shift, zp) of whole numbers')
def _(answer):
    from .operators import requantize
    rng = np.random.default_rng(3)
    drawn = zip(rng.integers(-2**24, 2**24, 300), rng.integers(0, 2**31, 300), rng.integers(0, 7, 300),
                rng.integers(-128, 128, 300))
    for case in [(-1, 2**31, 0, 0), (1, 2**31, 0, 0), *drawn]:
        acc, mult, shift, zp = map(int, case)
        want = int(requantize(acc, mult, shift, zp))
        if answer(acc, mult, shift, zp) != want:
            raise Wrong(f'f({acc}, {mult}, {shift}, {zp}) is {want}: a half goes up, and codes end at -128 and 127')


@exercise('operators-4', '04_integers', 3, 'a function f(weights, bias, zp) that gives int32 [cout]')
def _(answer):
    rng = np.random.default_rng(4)
    for cout, cin, zp in [(3, 5, -128), (4, 1, 7), (1, 8, 0)]:
        w, bias = rng.integers(-127, 128, (cout, cin)), rng.integers(-1000, 1000, cout)
        x = rng.integers(-128, 128, cin)
        want = w @ (x - zp) + bias
        got = w @ x + np.asarray(answer(w, bias, zp))
        if not np.array_equal(got, want): raise Wrong('w · (x - zp) + bias = w · x + ?; one number for each output')


# ---- 04a to 04e, the operators ---------------------------------------------------------------------------------------

@exercise('windows-1', '04a_windows', 1, 'a number of rows')
def _(answer):
    from .operators import out_hw, square_window
    window = dict(kh=5, kw=1, **square_window(3) | dict(dh=2))
    number(answer, out_hw(dict(h=28, w=28, **window))[0], 'From its first tap to its last a window reaches over 9 rows')


@exercise('windows-2', '04a_windows', 2, 'a function f(size, out, k, stride, pad) that gives a list')
def _(answer):
    from .operators import POOL, pool_ranges
    for size, out, k, stride, pad in [(7, 4, 3, 2, 1), (6, 3, 2, 2, 0), (5, 3, 4, 2, 2), (8, 2, 3, 3, 0)]:
        a = dict.fromkeys(POOL, 1) | dict(h=size, w=1, oh=out, ow=1, kh=k, sh=stride, top=pad, left=0, adaptive=0)
        want = [end - first for first, end in pool_ranges(a)[0]]
        if list(answer(size, out, k, stride, pad)) != want:
            raise Wrong(f'f({size}, {out}, {k}, {stride}, {pad}) is {want}: what lies outside the map does not count')


@exercise('elementwise-1', '04b_elementwise', 1, 'a tuple of four numbers')
def _(answer):
    from .operators import copy_index
    base, *strides = answer
    x = np.arange(4*5*3).reshape(4, 5, 3)
    if not np.array_equal(copy_index([4, 5, 3], strides, base), x[::-1]):
        raise Wrong('A row has 15 values. The copy begins at the last row, and each step to the next row goes back')


@exercise('elementwise-2', '04b_elementwise', 2, 'a function f(table1, table2) that gives int8 [256]')
def _(answer):
    from .operators import lut_s8
    rng, every = np.random.default_rng(6), np.arange(-128, 128).astype(np.int8)
    for _ in range(3):
        one, two = rng.integers(-128, 128, (2, 256)).astype(np.int8)
        if not np.array_equal(lut_s8(every, np.asarray(answer(one, two))), lut_s8(lut_s8(every, one), two)):
            raise Wrong('An entry of the first table is a code of the second: code -128 is its entry 0')


@exercise('norms-1', '04d_norms', 1, 'a code')
def _(answer):
    number(answer, -7, 'All centred values are 0. Which code stands for 0?')


@exercise('norms-2', '04d_norms', 2, 'a function f(x) that gives (d, v)')
def _(answer):
    for x in [[4, 5, 5, 4, 5, 5, 5, 6], [-128, 127], [7], [0, 0, 9]]:
        want = [len(x)*v - sum(x) for v in x]
        d, v = answer(x)
        if list(d) != want or v != sum(n*n for n in want):
            raise Wrong(f'f({x}) is {want}, {sum(n*n for n in want)}: d is the count times a value less the sum')


@exercise('record-1', '04e_record', 1, 'a tuple of four numbers')
def _(answer):
    if tuple(answer) != (5, 2, 2, 2): raise Wrong('Rows of the window, stride, rows of padding above and below')


@exercise('record-2', '04e_record', 3, 'an `Operator`')
def _(answer):
    from .operators import Operator, Shape
    if not isinstance(answer, Operator): raise Wrong('It is an `Operator`, as `negate` is')
    a, p = answer.draw(np.random.default_rng(7), Shape(h=2, w=3, cin=4, zp_in=6))
    if set(a) != {'n', 'zp'} or set(answer.attrs) != set(a): raise Wrong('Its attributes are n and zp, also when drawn')
    if answer.sizes(a) != ((a['n'],), a['n']): raise Wrong('It reads n values and gives n')
    x, zp = np.arange(-128, 128).astype(np.int8), 6
    got = answer.reference(dict(n=256, zp=zp), p, x[None])
    want = zp + (x.astype(int) - zp) // 2
    if not np.array_equal(np.ravel(got), want): raise Wrong('Code q becomes zp + (q - zp) // 2')


# ---- 12 pruning ------------------------------------------------------------------------------------------------------

@exercise('pruning-1', '12_pruning', 1, 'a share between 0 and 1')
def _(answer):
    number(answer, .9 * (1 - .75**3), 'Put a quarter of the way into the cubic schedule, from 0', within=.01)


@exercise('pruning-2', '12_pruning', 2, "a dict with the keys '1x1', '1x2' and '1x4'")
def _(answer):
    from .rle_encoding import BLOCKS
    for name, b in BLOCKS.items():
        number(answer[name], 1 / (1 + b), f'{name}: a kept block takes {1 + b} bytes, a dense one {b}', within=.01)


@exercise('pruning-3', '12_pruning', 3, 'a function f(weights, b, sparsity) that gives a bool array like the weights')
def _(answer):
    from .rle_sizes import kept_blocks
    rng = np.random.default_rng(5)
    for rows, cin, b, sparsity in [(4, 8, 4, .5), (8, 8, 2, .9), (6, 6, 1, .25), (5, 12, 4, .8)]:
        w = rng.normal(size=(rows, cin))
        norms = np.linalg.norm(w.reshape(rows, -1, b), axis=2)
        least = np.sort(norms.ravel())[-kept_blocks(norms.size, sparsity)]
        got = np.asarray(answer(w, b, sparsity))
        if not np.array_equal(got, np.repeat(norms >= least, b, axis=1)):
            raise Wrong(f'{rows}x{cin} weights in blocks of {b} at {sparsity:.0%}: '
                        f'{kept_blocks(norms.size, sparsity)} blocks of the largest norms stay')


# ---- 20 supernas -----------------------------------------------------------------------------------------------------

@exercise('supernas-1', '20_supernas', 1, 'a whole number of paths')
def _(answer):
    number(answer, 35, 'n / (n + z²) > 0.9 says n > 9 · z²; z is 1.96')


@exercise('supernas-2', '20_supernas', 2, 'a function f(flash, sram, lo, hi) that gives a share between 0 and 1')
def _(answer):
    for flash, sram, lo, hi, want in [
            ([.5, .8, 1., 1.2], [.5, 1., .2, .3], .65, 1., .5), ([.7, .7], [2., .1], 0., 1., .5),
            ([.6, .9], [.1, .1], .5, .8, .5), ([2., 2., .5], [2., .1, .1], .65, 1., 0.)]:
        number(answer(flash, sram, lo, hi), want, f'f({flash}, {sram}, {lo}, {hi}) is {want}: a path fits when its '
               'flash is from lo to hi, both included, and its SRAM at most 1')


@exercise('supernas-3', '20_supernas', 3, 'a `SearchSpace`')
def _(answer):
    from .hardware import target
    from .supernas import acceptance
    found = acceptance(answer, target('stm32f746').with_budget('36KB', '8KB'), lo=.85)
    if answer.cardinality() < 1000: raise Wrong(f'It has {answer.cardinality():,} paths')
    if found.verdict != 'accepted': raise Wrong(f'{found}')


# ---- 21 sparsenas ----------------------------------------------------------------------------------------------------

@exercise('sparsenas-1', '21_sparsenas', 1, 'a share between 0 and 1')
def _(answer):
    number(answer, .96 - .5 * (.96 * .04 / 1000)**.5, 'Half a standard error below the best: √(p · (1 - p) / n) / 2',
           within=2e-4)


@exercise('sparsenas-2', '21_sparsenas', 2, 'a function f(points) that gives a list of (instructions, accuracy)')
def _(answer):
    for points, want in [
            ([(900, .95), (500, .946), (100, .9), (600, .94)], [(100, .9), (500, .946), (900, .95)]),
            ([(2, .5), (1, .5)], [(1, .5)]), ([(1, .4), (1, .6)], [(1, .6)]),
            ([(3, .1), (3, .1)], [(3, .1)]), ([], [])]:
        same([tuple(o) for o in answer(list(points))], want, f'Of {points} the front is {want}')


@exercise('sparsenas-3', '21_sparsenas', 3, 'a function f(good, rest, values) that gives one of the values')
def _(answer):
    for good, rest, values, want in [([24, 24, 24, 16], [16] * 15 + [24] * 5, (16, 24), 24),
                                     ([8], [8] * 9 + [16], (8, 12, 16), 12), ([4] * 9 + [8], [4] * 40, (4, 8), 8)]:
        same(answer(list(good), list(rest), values), want,
             f'f({good}, {rest}, {values}) is {want}: compare (k + 1) / (n + m) of both groups')
