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


@exercise('hardware-5', '01_hardware', 2, 'a function f(side, cin, cout) that gives a tuple of three numbers')
def _(answer):
    for side, cin, cout in [(32, 3, 16), (8, 16, 16), (5, 7, 2)]:
        want = 9*cin*cout, side*side*(cin + cout), 9*cin*cout*side*side
        same(tuple(answer(side, cin, cout)), want, f'f({side}, {cin}, {cout}) is {want}: each output channel has 9 '
             'weights for each input channel, and each pixel of the output uses all weights once')


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


@exercise('memory-2', '03_memory_alloc', 1, 'a function f(rows) that gives bytes')
def _(answer):
    from .buffers import Interval
    from .memory_alloc import lower_bound
    for rows in [[(0, 2, 64)], [(0, 2, 10), (1, 3, 20), (2, 4, 5)], [(0, 1, 7), (5, 9, 3), (6, 7, 3), (7, 8, 5)]]:
        want = lower_bound([Interval(f't{k}', *row) for k, row in enumerate(rows)], align=1)
        number(answer(rows), want, f'{rows} needs {want} bytes at its fullest step; at `stop` a buffer is not live')


# ---- 03a memories ----------------------------------------------------------------------------------------------------

@exercise('memories-1', '03a_memories', 1, 'a number of cycles')
def _(answer):
    number(answer, 160, 'Bytes moved for each of their own: a 20, b 10, c 25. The busiest two fill the fast memory')


@exercise('memories-2', '03a_memories', 2, 'a function f(live, room, wait) that gives cycles')
def _(answer):
    from .hardware import Memory
    from .memories import poured
    rng = np.random.default_rng(3)
    for _ in range(20):
        live = [tuple(map(int, rng.integers(1, 99, 2))) for _ in range(rng.integers(1, 6))]
        room, wait = int(rng.integers(1, 150)), float(rng.integers(1, 9)) / 4
        want = poured(live, (Memory('fast', 0, room), Memory('slow', room, 999, wait)))
        number(answer(live, room, wait), want, f'f({live}, {room}, {wait}) is {want:.2f}: a buffer may lie in both '
               'memories, and then waits for the part that lies in the slow one', within=1e-9)


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


# ---- 05a model file --------------------------------------------------------------------------------------------------

@exercise('file-1', '05a_graph_file', 1, 'a sparsity between 0 and 1')
def _(answer):
    number(answer, .125, 'Of n weights the bits take n/8 bytes, and the kept weights (1 - s)·n', within=.001)


@exercise('file-2', '05a_graph_file', 2, 'a function f(row) that gives a pair of lists')
def _(answer):
    rng = np.random.default_rng(9)
    for n in (9, 1, 8, 16, 21):
        row = (rng.integers(-9, 10, n) * (rng.random(n) < .4)).tolist()
        want = np.packbits(np.array(row) != 0).tolist(), [v for v in row if v]
        bits, kept = answer(row)
        if (list(bits), list(kept)) != want: raise Wrong(f'f({row}) is {want}: zero bits fill up the last byte')


@exercise('file-3', '05a_graph_file', 2, 'a function f(path) that gives bytes')
def _(answer):
    import tempfile
    import zipfile
    from pathlib import Path
    from .graph_file import save
    from .random_graphs import random_graph
    with tempfile.TemporaryDirectory() as folder:
        for seed in (0, 1):
            path = save(random_graph(seed), Path(folder)/f'{seed}.tfm')
            with zipfile.ZipFile(path) as z: want = sum(len(z.read(name)) for name in z.namelist())
            number(answer(path), want, f'`random_graph({seed})` unpacks to {want} bytes; `infolist()` knows')


# ---- 05c streams by words, 05d calls, 06 kernels, 06a costs ----------------------------------------------------------

@exercise('words-1', '05c_word_streams', 1, 'a pair of bytes')
def _(answer):
    same(tuple(answer), (961, 964), 'All 192 blocks are one run: five bytes for each, one for the end. By words, four '
         'headers are a word, the end included')


@exercise('words-2', '05c_word_streams', 2, 'a pair (words, unused bytes)')
def _(answer):
    same(tuple(answer), (6, 3), 'The header that ends the run is the fifth one, and begins a new word')


@exercise('words-3', '05c_word_streams', 2, 'a share between 0 and 1')
def _(answer):
    number(answer, 1/3, 'Each run is one block. How many bytes has it, with the header that ends it?', .01)


@exercise('calls-1', '05d_calls', 1, 'a set of names')
def _(answer):
    from .calls import CATALOGUE
    same(set(map(str, answer)), {k.name for k in CATALOGUE if k.isa != 'dsp'}, 'Look at the `isa` of each')


@exercise('calls-2', '05d_calls', 2, 'the name of a status')
def _(answer):
    same(answer, 'TFM_ERR_STREAM', 'The headers are read at the wrong places. `STATUS` has the names of the numbers')


@exercise('calls-3', '05d_calls', 3, 'an object with the method `tfm_linear_s8_ref`')
def _(answer):
    from .calls import call, kernel
    from .errors import SimulationFailed
    from .graph import Op
    params = dict(weight=np.ones((1, 8), np.int8), bias=np.zeros(1, np.int32), mult=np.full(1, 2**30, np.int32))
    op = Op('linear', 'one', ['x'], 'y', dict(pixels=1, cin=8, cout=1, shift=2, zp_in=0, zp_out=0), params)
    answer.tfm_linear_s8_ref
    try: call(kernel('tfm_linear_s8_ref'), op, np.arange(8, dtype=np.int8), library=answer)
    except SimulationFailed as error:
        if 'into its output' in str(error): return
        raise Wrong(f'It is refused for another reason: {error}')
    raise Wrong('The output of this layer is one byte long, and the guard behind it is still whole')


@exercise('kernels-1', '06_kernels', 1, 'the bytes of a stream')
def _(answer):
    from .rle_encoding import encode
    w = np.zeros((1, 800), np.int8)
    w[0, 760:764] = 1
    same(bytes(answer), bytes(encode(w, 4)), 'One header skips 119 blocks at most. A bridge is a block of four zeros')


@exercise('kernels-2', '06_kernels', 2, 'a number of instructions')
def _(answer):
    number(answer, (2*35 + 4) / 64, 'A 1x8 block makes 64 products: twice what four weights need, and one header', .005)


@exercise('kernels-3', '06_kernels', 2, 'a list of four sums')
def _(answer):
    same(list(answer), [15, -12, 0, 16], 'Group 0 has the weights 0, 0, 5, -3 and the inputs 1, 2, 3, 4')


@exercise('costs-1', '06a_kernel_costs', 1, 'a pair of names of features')
def _(answer):
    from .kernel_costs import account
    from .calls import kernel
    def largest(s):
        spent = account(kernel('tfm_linear_s8_rle_dsp'), (64, 64, 384), 4, s)
        return max(spent, key=spent.get)
    same(tuple(answer), (largest(.5), largest(.98)), 'Take `max(spent, key=spent.get)` of what `account` gives')


@exercise('costs-2', '06a_kernel_costs', 2, 'a sparsity between 0 and 1')
def _(answer):
    from .kernel_costs import variants
    def faster(s): return variants(12, 64, 96, s)['1x4'][1] < variants(12, 64, 96, s)['dense'][1]
    want = next(s / 100 for s in range(100) if faster(s / 100))
    if not abs(answer - want) < .006: raise Wrong('The second number of each variant is its instructions')


@exercise('costs-3', '06a_kernel_costs', 2, 'a function f(coef, counts) that gives instructions')
def _(answer):
    cases = (dict(call=10, outputs=3), dict(call=1, outputs=100, pixels=7)), (dict(call=1.6), dict(call=1))
    for coef, counts in cases:
        want = round(sum(c * counts[name] for name, c in coef.items()))
        number(answer(coef, counts), want, f'f({coef}, {counts}) is {want}')


# ---- 06c lifetimes ---------------------------------------------------------------------------------------------------

def _planned(graph):
    "Kernels for the STM32F746, and flow, bytes and scratch of a graph."
    from .hardware import target
    from .kernel_choice import choose_kernels
    from .lifetimes import columns
    choices = choose_kernels(graph, target('stm32f746'))
    return choices, *columns(graph, choices)


def _small_net():
    "The example of the pages 06c to 07d."
    from .random_graphs import random_graph
    return random_graph(seed=0, shape=(8, 8, 3), width=8, heads=2, sparsity=.7)


@exercise('lifetimes-1', '06c_lifetimes', 1, 'a set of names')
def _(answer):
    from .lifetimes import live_bytes
    net = _small_net()
    _, flow, sizes, scratch = _planned(net)
    t = live_bytes(flow, sizes, scratch)[0].argmax()
    names = [net.input, *(op.output for op in net.ops)]
    want = {names[i] for i, (first, last) in enumerate(flow.lives) if first <= t <= last and sizes[0, i]}
    same(set(answer), want, f'The highest bar is at step {t}. What does it read and make, and what is read later?')


@exercise('lifetimes-2', '06c_lifetimes', 2, 'a number of bytes')
def _(answer):
    number(answer, 1584, 'As given, three tensors of 800 bytes live at once. In the best order one does, and beside '
           'it the small results of branches that are done')


@exercise('lifetimes-3', '06c_lifetimes', 3, 'a `Graph`')
def _(answer):
    from .graph import check as checked
    from .lifetimes import _cost_after, best_order
    checked(answer)
    _, flow, sizes, scratch = _planned(answer)
    branch = [op.name[0] for op in answer.ops]
    if not {'a', 'b'} <= set(branch): raise Wrong('The layers of the branches have names that begin with a and with b')
    order = best_order(flow, sizes[0], scratch[0])
    seen = ''.join(branch[t] for t in order if branch[t] in 'ab')
    if not ('aba' in re.sub(r'(.)\1+', r'\1', seen) or 'bab' in re.sub(r'(.)\1+', r'\1', seen)):
        raise Wrong('The best order finishes one branch first. Let both read one large tensor: when is it free?')
    cost, steps = _cost_after(flow, sizes[0], scratch[0]), range(len(branch))
    def peak(order): return max(cost(sum(1 << t for t in order[:k]), t) for k, t in enumerate(order))
    inner = [t for t in steps if branch[t] in 'ab']
    starts, ends = list(steps[:inner[0]]), list(steps[inner[-1] + 1:])
    if len(starts) + len(inner) + len(ends) < len(branch): raise Wrong('Between the branches stand layers of neither')
    def one_first(name): return [*starts, *sorted(inner, key=lambda t: branch[t] != name), *ends]
    ways = [one_first('a'), one_first('b')]
    if peak(order) >= min(map(peak, ways)): raise Wrong('One branch after the other needs no more bytes here')


# ---- 06d chains, 07 schedule, 07d loops ------------------------------------------------------------------------------

@exercise('chains-1', '06d_chains', 1, 'a set of names')
def _(answer):
    from .chains import lowest_chains
    from .random_graphs import random_graph
    big = random_graph(seed=0, shape=(32, 32, 3), width=16, heads=2, sparsity=.2)
    choices, *_ = _planned(big)
    within = [t for c in lowest_chains(big, choices, 'least') for t in range(c.first, c.last)]
    same(set(answer), {big.ops[t].output for t in within},
         f'There are {len(within)}: what the steps of each chain make, but not what the last one makes')


@exercise('chains-2', '06d_chains', 2, 'a pair of numbers of rows')
def _(answer):
    from .chains import rows_kept
    from .lifetimes import Step
    steps = Step((0,), 1, (1, 1, 0, 0), True, 20), Step((1,), 2, (5, 1, 2, 2), True, 20, finds_rows=True)
    want = [rows_kept(steps, rows)[0] for rows in (1, 2)]
    same(list(answer), want, 'Row y is made from rows y - 2 to y + 2, and row y + 1 from one row more')


@exercise('chains-3', '06d_chains', 3, 'a function f(n) of whole numbers')
def _(answer):
    for n in (1, 2, 3, 6, 10):
        if answer(n) != 2**(n - 1):
            raise Wrong(f'f({n}) is {2**(n - 1)}: each of the places between two steps is a cut, or none')


@exercise('schedule-1', '07_schedule', 1, 'a set of labels')
def _(answer):
    from .schedule import plan_arena
    net = _small_net()
    choices, *_ = _planned(net)
    arena = plan_arena(net, choices)
    def there(t): return [b for b in arena.buffers if b.start <= t < b.stop]
    t = max(range(len(net.ops)), key=lambda t: sum(b.size for b in there(t)))
    same(set(answer), {b.label for b in there(t)}, f'The fullest step is {t}; scratch counts as well')


@exercise('schedule-2', '07_schedule', 2, 'a number of bytes')
def _(answer):
    from .memory_alloc import plan
    from .schedule import buffers
    net = _small_net()
    choices, *_ = _planned(net)
    apart, over = (plan([b.interval for b in buffers(net, choices, apart=a)]).peak for a in (True, False))
    number(answer, apart - over, 'Plan `[b.interval for b in buffers(net, picked, apart=...)]` both ways')


@exercise('schedule-3', '07_schedule', 2, 'a function f(buffers) that gives bytes')
def _(answer):
    from .schedule import Buffer
    rng = np.random.default_rng(8)
    for n in (0, 1, 5, 40):
        starts, spans, sizes = (rng.integers(lo, hi, n).tolist() for lo, hi in ((0, 12), (1, 6), (1, 100)))
        some = [Buffer((f't{k}',), False, a, a + w, b) for k, (a, w, b) in enumerate(zip(starts, spans, sizes))]
        at = [sum(-(-b.size // 8) * 8 for b in some if b.start <= t < b.stop) for t in range(18)]
        number(answer(some), max(at), f'Of {n} buffers the fullest step has {max(at)} bytes; `stop` is not included')


@exercise('bands-1', '07d_band_loops', 1, 'a list of three rows')
def _(answer):
    same(list(answer), [3, 1, 2], 'Row 2 reads rows 1, 2 and 3. Row y lies in slot y modulo 3')


@exercise('bands-2', '07d_band_loops', 2, 'a number of rows')
def _(answer):
    number(answer, 3, 'The map has four rows. Which rows do the first two read, and which the last two?')


@exercise('bands-3', '07d_band_loops', 3, 'a function f(end, windows) that gives a row')
def _(answer):
    for end, windows in [(1, [(3, 1, 1)]), (4, [(1, 1, 0), (3, 1, 1), (1, 1, 0)]), (3, [(3, 2, 1), (3, 2, 1)]),
                         (5, [(5, 1, 2), (2, 2, 0), (3, 1, 1)]), (2, [])]:
        want = end
        for k, stride, top in reversed(windows): want = (want - 1)*stride - top + k
        if answer(end, windows) != want:
            raise Wrong(f'f({end}, {windows}) is {want}: begin at the last operator and go back')


# ---- 06b kernel choice, 07c emit -------------------------------------------------------------------------------------

@exercise('choice-1', '06b_kernel_choice', 1, 'a ratio of two times')
def _(answer):
    from . import bench
    from .hardware import target
    from .kernel_choice import candidates
    able = candidates(bench.make_op('fully_connected', cin=64, cout=10), target('stm32f746'))
    want = min(c.time for c in able if c.block == 4) / min(c.time for c in able)
    number(answer, want, 'Compare the least `time` of the candidates with `block == 4` with the least of all', .005)


@exercise('choice-2', '06b_kernel_choice', 2, 'a function f(choices) that gives some of them')
def _(answer):
    from .kernel_choice import Choice
    rng = np.random.default_rng(11)
    for n in (1, 2, 12, 30):
        some = [Choice(None, 0, int(size), 0, int(time)) for size, time in rng.integers(1, 9, (n, 2))]
        def beaten(c): return any(o.weight_bytes <= c.weight_bytes and o.time <= c.time and
                                  (o.weight_bytes, o.time) != (c.weight_bytes, c.time) for o in some)
        want = sorted((c.weight_bytes, c.time) for c in some if not beaten(c))
        got = sorted((c.weight_bytes, c.time) for c in answer(some))
        if got != want: raise Wrong(f'Of {n} candidates these (bytes, time) remain: {want}; equal ones stay')


@exercise('choice-3', '06b_kernel_choice', 3, 'a sparsity between 0 and 1')
def _(answer):
    from . import bench
    from .hardware import target
    from .kernel_choice import choose
    def block(s):
        op = bench.make_op('pointwise', h=8, w=8, cin=64, cout=64, sparsity=s)
        return choose(op, target('stm32f746'), 'speed').block
    want = next(s / 100 for s in range(0, 100, 5) if block(s / 100))
    number(answer, want, 'Look for the first sparsity at which the `block` of the choice is not 0', within=.001)


@exercise('emit-1', '07c_emit', 1, 'a pair (stored, dense) in bytes')
def _(answer):
    from .emit import constant_bytes, constants, dense_bytes
    net = _small_net()
    choices, *_ = _planned(net)
    want = constant_bytes(constants(net, choices)), dense_bytes(net)
    same(tuple(answer), want, '`constant_bytes` sums what `constants` gives, `dense_bytes` the arrays of the graph')


@exercise('emit-2', '07c_emit', 2, 'a function f(buffer, offset, row, ring, y) that gives a byte')
def _(answer):
    for offset, row, ring in [(0, 0, 0), (16, 0, 0), (16, 72, 3), (0, 24, 0), (8, 5, 1)]:
        for y in (0, 1, 2, 3, 7):
            want = offset + row * (y % ring if ring else y)
            if answer('arena', offset, row, ring, y) != want:
                raise Wrong(f'offset {offset}, row {row}, ring {ring}: row {y} begins at {want}. 0 rows are no ring')


@exercise('emit-3', '07c_emit', 2, 'a set of numbers of operators')
def _(answer):
    from .emit import constants, op_function
    from .schedule import plan_arena
    net = _small_net()
    choices, *_ = _planned(net)
    arena, blobs = plan_arena(net, choices), constants(net, choices)
    def params(i, op): return op_function(net, i, choices[op.name], arena, blobs[op.name]).params
    want = {i for i, op in enumerate(net.ops) if params(i, op) == ('arena',)}
    same(set(answer), want, f'There are {len(want)}. Which operators read or write a buffer of the caller?')


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


@exercise('softmax-1', '04c_softmax', 2, 'a function f(row, table) that gives a list of codes')
def _(answer):
    from .operators import softmax_s8, softmax_table
    rng = np.random.default_rng(8)
    for n, scale in [(1, .1), (4, .03), (9, .1), (64, .01)]:
        row, table = rng.integers(-128, 128, n).astype(np.int8), softmax_table(scale)
        got, want = list(answer(row.tolist(), table.tolist())), softmax_s8(row, table).tolist()
        if got != want: raise Wrong(f'{n} scores, scale {scale}: the first code is {want[0]}; entries, their sum, one '
                                    'division, and for each entry a product that is rounded and shifted')


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


# ---- 08 codegen to 09 simulator --------------------------------------------------------------------------------------

@exercise('codegen-1', '08_codegen', 1, 'a number of bytes')
def _(answer):
    number(answer, 8*1 + 2*4 + 2*4, 'Eight weights of one byte; two biases and two multipliers of four bytes each')


@exercise('codegen-2', '08_codegen', 2, 'a function f(files, name) that gives a set of names')
def _(answer):
    files = {'a.c': '#include "b.h"\n#include <math.h>\n', 'b.h': '# include "c.h"\nint b;', 'c.h': '#include "b.h"\n',
             'd.c': 'int d;  /* #include of nothing */', 'e.c': '#include "d.h"\n#include "gone.h"', 'd.h': ''}
    for name, want in {'a.c': {'b.h', 'c.h'}, 'd.c': set(), 'e.c': {'d.h'}}.items():
        got = set(answer(files, name))
        if got != want:
            raise Wrong(f'{name} of {files} needs {want or "none"}: follow each header once, also in a circle; leave '
                        'out what is in `<>` or not among the files')


@exercise('codegen-3', '08_codegen', 3, 'a function f(buffers) that gives a set of pairs of names')
def _(answer):
    rows = [('a', 0, 64, 0, 3), ('b', 32, 64, 2, 5), ('c', 64, 32, 0, 2), ('d', 0, 32, 3, 9), ('e', 90, 10, 4, 6)]
    got = {tuple(sorted(o)) for o in answer(rows)}
    same(got, {('a', 'b'), ('b', 'e')}, f'In {rows} they are a with b, and b with e: c ends before b begins, and a '
         'before d; an end is not part of a range')


@exercise('waiting-1', '08a_memory_system', 1, 'a number of misses')
def _(answer):
    number(answer, 3, 'Four slots: lines 0, 1 and 2 each have a slot of their own')


@exercise('waiting-2', '08a_memory_system', 2, 'a tuple of three numbers of cycles')
def _(answer):
    from .chip_memories import SYSTEMS
    chip = SYSTEMS['stm32f746'].place
    want = (chip('flash').next * 1000 + chip('SRAM').load * 500).three
    same(tuple(answer), want, 'Each end of a range is multiplied and added on its own')


@exercise('waiting-3', '08a_memory_system', 3, 'a function f(trace, sets, ways, line) that gives a number of misses')
def _(answer):
    rng = np.random.default_rng(8)
    traces = [[0, 4, 32, 8, 64, 0, 36, 60], *rng.integers(0, 1024, (4, 60)).tolist()]
    for trace in traces:
        for sets, ways, line in ((2, 1, 32), (1, 2, 32), (4, 4, 16), (1, 8, 64)):
            want = cache_misses(trace, sets, ways, line)
            number(answer(trace, sets, ways, line), want, f'{trace} with {sets} sets of {ways} ways and lines of '
                   f'{line} bytes misses {want} times: line n lies in set n % sets; the one unused for longest goes')


def cache_misses(trace, sets, ways, line):
    "Misses of a cache in which the line unused for longest goes."
    held, missed = [[] for _ in range(sets)], 0
    for number in (address // line for address in trace):
        slots = held[number % sets]
        if number in slots: slots.remove(number)
        else: missed += 1
        held[number % sets] = [*slots, number][-ways:]
    return missed


@exercise('emulator-1', '08b_emulator', 1, 'a number of instructions')
def _(answer):
    number(answer, 1 + 3*100 + 1, 'One `movs`, three for each repetition, and `bx`')


@exercise('emulator-2', '08b_emulator', 2, 'a function f(ran, marks) that gives a dict: owner → instructions')
def _(answer):
    ran = [('start', 2), ('conv', 5), ('memcpy', 7), ('conv', 1), ('fc', 4), ('memcpy', 7), ('start', 3)]
    marks = dict(conv='layer 1', fc='layer 2', start='rest')
    want = {'rest': 5, 'layer 1': 13, 'layer 2': 11}
    for given in (ran, [('memcpy', 1), *ran]):
        expected = want if given is ran else want | dict(rest=6)
        same(dict(answer(given, marks)), expected, f'For {given} it is {expected}: a function without a mark is booked '
             "under the owner that was booked last, and under 'rest' before there was one")


@exercise('emulator-3', '08b_emulator', 3, 'bytes: a function in Thumb')
def _(answer):
    from unicorn import UC_ARCH_ARM, UC_MODE_THUMB, Uc
    from unicorn.arm_const import UC_ARM_REG_LR, UC_ARM_REG_R0
    for n in (1, 2, 7, 100):
        uc = Uc(UC_ARCH_ARM, UC_MODE_THUMB)
        uc.mem_map(0x1000, 8192)
        uc.mem_write(0x1000, bytes(answer))
        uc.reg_write(UC_ARM_REG_R0, n)
        uc.reg_write(UC_ARM_REG_LR, 0x2001)
        uc.emu_start(0x1001, 0x2000, count=1000)
        got = uc.reg_read(UC_ARM_REG_R0)
        if got != n*(n + 1)//2: raise Wrong(f'With r0 = {n} it leaves {got} in r0, and not {n*(n + 1)//2}')


@exercise('simulator-1', '09_simulator', 1, 'a number of milliseconds')
def _(answer):
    number(answer, 90_000/216e6*1e3, 'Core and waiting together, divided by the cycles of a second', within=.01)


@exercise('simulator-2', '09_simulator', 2, 'a function f(counts, name, times) that gives a number')
def _(answer):
    counts = dict(conv=600, attention=300, fc=100)
    for name, times in (('conv', 2), ('conv', 1e9), ('fc', 10), ('attention', 3)):
        want = 1000/(1000 - counts[name] + counts[name]/times)
        number(answer(counts, name, times), want, f'For {counts}, f(counts, {name!r}, {times:g}) is {want:.3f}: the '
               'other operators take as long as before', within=1e-3)


@exercise('simulator-3', '09_simulator', 3, 'a function f(frames, calls, name) that gives bytes')
def _(answer):
    frames = dict(main=16, invoke=24, conv=80, add=8, rows=40, copy=0)
    calls = dict(main=['invoke'], invoke=['conv', 'add'], conv=['copy', 'rows'], add=['copy'], rows=['copy'], copy=[])
    for name, want in dict(main=160, add=8, conv=120, copy=0).items():
        number(answer(frames, calls, name), want, f'From {name} on it is {want} bytes in {frames} with the calls '
               f'{calls}: a frame, and the deepest of those that it calls')


# ---- 10 data to 11 training ------------------------------------------------------------------------------------------

@exercise('data-1', '10_data', 1, 'a number of bytes')
def _(answer):
    number(answer, 50_000*32*32*3, 'One byte for each pixel and channel')


@exercise('data-2', '10_data', 2, 'a function f(accuracy, n) that gives a number of points')
def _(answer):
    for p, n in ((.97, 360), (.9, 10_000), (.5, 100)):
        want = 196*(p*(1 - p)/n)**.5
        number(answer(p, n), want, f'With {p:.0%} of {n} images it is {want:.2f} points to either side: 1.96 standard '
               'errors, and a share of 0.01 is one point', within=.03)


@exercise('data-3', '10_data', 3, 'a function f(train, test) that gives a list of indices')
def _(answer):
    rng = np.random.default_rng(10)
    train = rng.integers(0, 256, (40, 4, 5, 3), np.uint8)
    test = np.concatenate([train[7:9], rng.integers(0, 256, (5, 4, 5, 3), np.uint8), train[:1, :, ::-1]])
    if sorted(map(int, answer(train, test))) != [0, 1, 7]:
        raise Wrong('Images 0 and 1 of `test` are in `train` as they are, and image 7 is a mirrored one of them')


@exercise('augmentation-1', '10a_augmentation', 1, 'a pair (x, y)')
def _(answer):
    if not np.allclose(answer, (0, .5), atol=1e-3):
        raise Wrong('Put α = 90° and g = 2 into the matrix, and multiply it by the column (1, 0)')


@exercise('augmentation-2', '10a_augmentation', 2, 'a function f(image, strength) of a float array')
def _(answer):
    image = np.random.default_rng(11).random((3, 4, 5))
    for strength in (0., .5, 1., 3.):
        want = np.clip(image.mean() + (image - image.mean())*strength, 0, 1)
        if not np.allclose(answer(image, strength), want, atol=1e-5):
            raise Wrong(f'At strength {strength:g} each value keeps that share of its distance from the mean of the '
                        'image. Then it is clamped to 0 ... 1')


@exercise('augmentation-3', '10a_augmentation', 3, 'a function f(image, right, down) of an array [h, w]')
def _(answer):
    image = np.arange(1, 31).reshape(5, 6)
    for right, down in ((0, 0), (2, 0), (0, -1), (-3, 2), (9, 0)):
        padded = np.pad(image, 9)
        want = padded[9 - down:14 - down, 9 - right:15 - right]
        got = np.asarray(answer(image, right, down))
        if got.shape != want.shape or (got != want).any():
            raise Wrong(f'Moved by {right} to the right and {down} down it is {want.tolist()}: what comes in is 0')


@exercise('optimisation-1', '10b_optimisation', 1, 'a learning rate')
def _(answer):
    number(answer, .005, 'The warm-up ends at step 20. Step 60 is half way down the cosine', within=.01)


@exercise('optimisation-2', '10b_optimisation', 2, 'a function f(logits, y, smoothing) that gives a number')
def _(answer):
    rng = np.random.default_rng(12)
    for classes, smoothing in ((2, 0.), (10, .1), (3, .3)):
        logits, y = rng.normal(size=classes)*3, int(rng.integers(classes))
        logs = logits - np.log(np.exp(logits).sum())
        want = -(1 - smoothing)*logs[y] - smoothing*logs.mean()
        number(answer(logits, y, smoothing), want, f'For logits {logits.round(2).tolist()}, class {y} and smoothing '
               f'{smoothing:g} it is {want:.4f}: the right class has 1 - s of the weight, and all share s', within=1e-4)


@exercise('optimisation-3', '10b_optimisation', 3, 'a function f(seed, step, n, batch_size) that gives indices')
def _(answer):
    from .optimisation import TrainConfig, batches
    for seed, n, size in ((0, 129, 128), (3, 1150, 100)):
        cfg = TrainConfig(seed=seed, batch_size=size)
        every = [b.tolist() for epoch in range(3) for b in batches(n, cfg, epoch)]
        for step in (0, 1, len(every) - 1):
            got = [int(i) for i in answer(seed, step, n, size)]
            if got != every[step]:
                raise Wrong(f'Step {step} of {n} images in batches of {size} with seed {seed} reads other images: '
                            'which epoch is it in, and which batch of it?')


@exercise('training-1', '11_training', 1, 'a number of updates')
def _(answer):
    number(answer, 12*9, 'An epoch has ⌈1150 / 128⌉ steps')


@exercise('training-2', '11_training', 2, 'a function f(gradients, clip) that gives a list of arrays')
def _(answer):
    rng = np.random.default_rng(13)
    grads = [rng.normal(size=(3, 4)), rng.normal(size=5)]
    length = np.sqrt(sum((g**2).sum() for g in grads))
    for clip in (.01, length/2, 2*length):
        factor = min(1, clip/length)
        for got, g in zip(answer(grads, clip), grads, strict=True):
            if not np.allclose(got, g*factor, rtol=1e-3):
                raise Wrong(f'At a length of {length:.2f} and clip {clip:.2f} every array gets the factor {factor:.3f}')


@exercise('training-3', '11_training', 3, 'a function f(epochs, per_epoch, kills) that gives a number of steps')
def _(answer):
    for epochs, per, kills, want in ((12, 9, [], 108), (12, 9, [67], 112), (3, 9, [10, 3, 9], 31), (2, 5, [4, 4], 18)):
        number(answer(epochs, per, kills), want, f'f({epochs}, {per}, {kills}) is {want}: each start begins at the '
               'last whole epoch that was saved')


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


# ---- 13 to 17, the model ---------------------------------------------------------------------------------------------

@exercise('arch-1', '13_arch', 1, 'a number of weights')
def _(answer):
    number(answer, 32*192 + 9*192 + 192*32, 'Three layers: 32 to 192 channels, 9 weights for each of 192, and back')


@exercise('arch-2', '13_arch', 2, 'an `Arch`')
def _(answer):
    from .arch import Transformer, layers
    same((answer.input, answer.classes), ((32, 32, 3), 10), 'The images are (32, 32, 3), and there are 10 classes')
    same(sum(type(b) is Transformer for b in answer.blocks), 2, 'Two of its blocks are to be a `Transformer`')
    params = sum(l.params for l in layers(answer))
    if params >= 100_000: raise Wrong(f'It has {params:,} parameters. Fewer channels, or a smaller `ffn`, save most')


@exercise('arch-3', '13_arch', 3, 'a function f(arch) that gives bytes')
def _(answer):
    import math
    from .arch import layers, published_arch, reference_arch, residual_arch
    for arch in (reference_arch(), published_arch(), residual_arch('mini')):
        ls = layers(arch)
        size = {'input': math.prod(arch.input)} | {l.output: l.out_bytes for l in ls}
        most = max(l.out_bytes + sum(size[name] for name in set(l.inputs)) for l in ls)
        same(answer(arch), most, 'Add the bytes of all inputs of a layer, each once, and of its output')


@exercise('blocks-1', '14_blocks', 1, 'a number of parameters')
def _(answer):
    number(answer, 4*(12*12 + 12) + 12*20 + 20 + 20*12 + 12 + 2*2*12,
           'Four layers of 12 to 12, two of the feed-forward network, all with biases, and two norms')


@exercise('blocks-2', '14_blocks', 2, 'a function f(weight, gamma, beta, mean, var, eps) that gives (weight, bias)')
def _(answer):
    rng = np.random.default_rng(3)
    for cout, cin in ((4, 3), (1, 5)):
        w, x = rng.normal(size=(cout, cin)), rng.normal(size=cin)
        gamma, beta, mean = rng.normal(size=(3, cout))
        var = rng.uniform(.1, 2, cout)
        weight, bias = answer(w, gamma, beta, mean, var, 1e-3)
        want = gamma*(w @ x - mean)/np.sqrt(var + 1e-3) + beta
        if not np.allclose(np.asarray(weight) @ x + bias, want):
            raise Wrong('BatchNorm gives gamma·(y - mean)/√(var + eps) + beta: gather what multiplies y')


@exercise('steps-1', '14a_float_graph', 1, 'a tuple (sizes, strides, base)')
def _(answer):
    from .float_steps import copy_places
    want = np.arange(12).reshape(3, 4)[:, ::-1].ravel().tolist()
    same(copy_places(*answer).tolist(), want, 'The first value read is the last of the first row; write down the '
         'places of the first two rows, and see how far it is from one to the next')


@exercise('steps-2', '14a_float_graph', 2, 'a `Formula`')
def _(answer):
    import torch
    from .formula import Formula
    if not isinstance(answer, Formula): raise Wrong('A `Formula`, made by `then` and `joined`')
    x = torch.linspace(-4, 4, 33)
    if not torch.allclose(answer(x), x*torch.sigmoid(1.702*x), atol=1e-5):
        raise Wrong('It gives other values: the sigmoid of 1.702 times the argument, times the argument itself')


@exercise('places-1', '14b_places', 1, 'a tuple (sizes, steps, first place)')
def _(answer):
    from .float_steps import copy_places
    same(copy_places(*answer).tolist(), [0, 3, 1, 4, 2, 5], 'Write the places down; a column of the matrix has steps '
         'of 3, and the next column begins one place further')


@exercise('places-2', '14b_places', 2, 'a function f(places)')
def _(answer):
    import torch
    for places, one in (([0, 2, 4, 6], True), ([5, 3, 1], True), ([7, 7, 7], True), ([0, 1, 3], False),
                        ([0, 2, 4, 5], False), ([4], True), ([4, 9], True)):
        same(bool(answer(torch.tensor(places))), one, f'{places}: look at the differences between neighbours')


@exercise('patterns-1', '14c_patterns', 1, 'a pair (k, eps)')
def _(answer):
    k, eps = answer
    number(k, 3, 'For a large m the function times the root of m is k', within=.01)
    number(eps, .25, 'At 0 the function is k over the root of eps', within=.01)


@exercise('patterns-2', '14c_patterns', 2, 'a function f(x, q, k, v)')
def _(answer):
    import torch
    from torch import nn
    from .importer import import_model
    class Asked(nn.Module):
        def __init__(self):
            super().__init__()
            self.q, self.k, self.v = (nn.Linear(8, 8) for _ in range(3))
        def forward(self, x): return answer(x, self.q, self.k, self.v)
    steps = import_model(Asked().eval(), torch.rand(3, 6, 8)).steps
    same([s.kind for s in steps if s.kind in ('attention', 'matmul_qk', 'softmax')], ['attention'],
         f"Its steps are {', '.join(s.kind for s in steps)}")
    how, = (s.attrs for s in steps if s.kind == 'attention')
    same((how['heads'], bool(how['causal'])), (2, True),
         f"It has {how['heads']} head(s), and {'a' if how['causal'] else 'no'} causal mask")


@exercise('importer-1', '15_importer', 1, 'a share')
def _(answer):
    number(answer, .003/2, 'Take the largest difference, and divide by the largest value that the network gives',
           within=.01)


@exercise('importer-2', '15_importer', 3, 'a pair (nn.Module, input [1, 4])')
def _(answer):
    import torch
    from .importer import import_model
    net, x = answer
    same(tuple(x.shape), (1, 4), 'The input is to have the shape (1, 4)')
    graph = import_model(net, torch.rand(8, 4, generator=torch.Generator().manual_seed(7)))
    with torch.no_grad(): want, got = net.eval()(x), graph.run(x)
    if torch.allclose(want, got, rtol=1e-2):
        raise Wrong('The steps give the same for it. What could a network do only where neither the examples nor '
                    'random data of their range are?')


@exercise('ranges-1', '15a_ranges', 1, 'a tuple (scale, zero point, value)')
def _(answer):
    scale, zero, value = answer
    number(scale, .01, '255 steps cover the range', within=1e-6)
    number(zero, -77, 'The code -128 stands for the lower end, and each step is one code')
    number(value, 1.23, 'Count the whole steps in 1.234, and multiply by the scale again', within=1e-6)


@exercise('ranges-2', '15a_ranges', 2, 'a function f(ends) that gives (below, above)')
def _(answer):
    rng = np.random.default_rng(4)
    for n in (40, 10, 7, 1):
        ends = rng.uniform(0, 5, (2, n))
        want = [sorted(side)[n - 1 - n//10] for side in ends]
        if not np.allclose(answer(ends), want):
            raise Wrong(f'Of {n} images the {n//10} largest are left out on each side, and the next one is the end')


@exercise('qlayers-1', '15b_qlayers', 1, 'a tuple of four whole numbers')
def _(answer):
    *codes, steps = answer
    same(codes[:2], [30, -127], 'The largest weight gets the code -127 or 127, and so decides the scale')
    if codes[2] not in (0, 1): raise Wrong('The third weight is half a step')
    number(steps, 300, 'A step of the bias is the scale of the input times that of the weights')


@exercise('qlayers-2', '15b_qlayers', 2, 'a function f(weights, bits) that gives an array like the weights')
def _(answer):
    rng = np.random.default_rng(6)
    for bits in (8, 4, 2):
        w = rng.normal(size=(5, 9))*np.logspace(-2, 0, 5)[:, None]
        w[3] = 0
        top = 2**(bits - 1) - 1
        s = np.maximum(abs(w).max(1, keepdims=True), 1e-9)/top
        if not np.allclose(answer(w.copy(), bits), np.round(w/s)*s):
            raise Wrong(f'{bits} bits: the codes go from {-top} to {top}, and the largest weight of each row gets one '
                        'of these two')


@exercise('qnet-1', '15c_qnet', 1, 'a number')
def _(answer):
    number(answer, -.5, 'Round the constant to a whole number of steps; the bias takes back 50 times the difference',
           within=1e-6)


@exercise('qnet-2', '15c_qnet', 2, 'a function f(function, lo, hi, step) that gives (least, greatest)')
def _(answer):
    def logistic(x): return 1/(1 + np.exp(-x))
    for f, lo, hi, step in ((logistic, -60, 60, 1/255), (np.tanh, -3, 9, .01), (lambda x: x.clip(-1, 2), -4, 4, .1)):
        x = np.linspace(lo, hi, 1001)
        y = f(x)
        want = x[y >= y[0] + step/2].min(), x[y <= y[-1] - step/2].max()
        if not np.allclose(answer(f, lo, hi, step), want, atol=(hi - lo)/900):
            raise Wrong(f'From {lo} to {hi} with steps of {step:.3f} it is another part: compare with the value at '
                        'each end, and take the first and the last number that differ by half a step')


@exercise('quantization-1', '16_quantization', 1, 'a number of operators')
def _(answer):
    number(answer, 3, 'A clamp vanishes into the range of the layer before it, and activations in a row are one table')


@exercise('quantization-2', '16_quantization', 2, 'a `FloatGraph`')
def _(answer):
    from .qbuild import Builder
    kinds = [n.kind for n in Builder(answer, 0., 1.).run().nodes]
    same(kinds, ['pointwise', 'lut', 'add'], f"Its network has {', '.join(kinds)}. Who else must read the convolution, "
         'so that its range cannot end at 0?')


@exercise('quantization-3', '16_quantization', 2, 'a function f(want, got) that gives decibels')
def _(answer):
    want = np.array([[3., -4.], [0., 5.]])
    number(answer(want, want + .5), 10*np.log10(50), 'w = [[3, -4], [0, 5]] and w + 0.5: 50 over 1', 1e-6)
    number(answer(want, .9*want), 20, 'an error of a tenth of every value is 20 dB', 1e-6)
    if answer(want, want) != float('inf'): raise Wrong('without noise the ratio is infinite')


@exercise('lowering-1', '17_lowering', 1, 'a whole number')
def _(answer):
    number(answer, round(.3/(.05*.01)) + 10*(20 - 8 + 3),
           'A step of the bias is 0.05·0.01; the zero point times the sum of the codes is taken away')


@exercise('lowering-2', '17_lowering', 2, 'a function f(function, s_in, z_in, s_out, z_out) that gives int8 [256]')
def _(answer):
    from .elementwise import lut_table
    for f, how in ((np.tanh, (.03, -5, 1/127, 0)), (np.exp, (.05, 3, .25, -128)), (lambda x: x/2, (.5, 0, .5, 0))):
        got, want = np.asarray(answer(f, *how)), lut_table(f, *how)
        same((got.shape, got.dtype), ((256,), np.int8), 'One int8 for each code from -128 to 127')
        if (got != want).any():
            raise Wrong(f'The entry of code {int((got != want).argmax()) - 128} is another: a code minus its zero '
                        'point, times the scale, is a value; halves are rounded up; what lies outside is cut')


@exercise('lowering-3', '17_lowering', 2, 'a whole number')
def _(answer): number(answer, -100, 'One step of the output is 0.02, one of the sum 0.05 · 0.01; halves are rounded up')


# ---- 18 cost_model ---------------------------------------------------------------------------------------------------

@exercise('cost-1', '18_cost_model', 1, 'a number of multiply-accumulates')
def _(answer):
    number(answer, 16 * 16 * 32 * 64, 'Each pixel needs every weight once')


@exercise('cost-2', '18_cost_model', 2, 'a function f(steps) that gives a number of bytes')
def _(answer):
    for steps, want in [([(0, 2, 512), (1, 3, 1024), (2, 3, 100)], 1536), ([(0, 1, 7)], 7),
                        ([(0, 3, 1), (0, 1, 50), (1, 2, 60), (2, 3, 70)], 71), ([(0, 2, 5), (2, 4, 6)], 6)]:
        number(answer(steps), want, f'f({steps}) is {want}: add what is needed at each step, and take the largest sum')


@exercise('cost-3', '18_cost_model', 2, 'a number of multiply-accumulates')
def _(answer): number(answer, 18_432, 'The output has 8x8 values in each channel, and each is a sum of 9 products')


# ---- 19 search_space -------------------------------------------------------------------------------------------------

@exercise('space-1', '19_search_space', 1, 'a whole number')
def _(answer):
    number(answer, 43, 'Six different blocks. Add the fillings with none, with one and with two of them')


@exercise('space-2', '19_search_space', 2, 'a function f(space) that gives a path')
def _(answer):
    from .search_space import cifar_space, digits_space
    for space in digits_space(), cifar_space('small'):
        deepest, paths = len(space.largest().blocks), [answer(space) for _ in range(4)]
        for path in paths:
            if not space.contains(path): raise Wrong(f'{path} is no path of {space.name!r}')
            if len(path.blocks) != deepest: raise Wrong(f'A path has {len(path.blocks)} blocks; {deepest} are the most')
        if len(set(paths)) == 1: raise Wrong('Four calls give the same path; the other choices are to be drawn')


# ---- 19b supernet ----------------------------------------------------------------------------------------------------

@exercise('supernet-1', '19b_supernet', 1, 'a share between 0 and 1')
def _(answer):
    number(answer, 16 * 8 / (32 * 24), 'A corner of 16 by 8 channels, nine weights for each pair', within=.01)


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


# ---- 20a one_shot ----------------------------------------------------------------------------------------------------

@exercise('oneshot-1', '20a_one_shot', 1, 'a number between -1 and 1')
def _(answer):
    number(answer, .6, 'Of ten pairs, how many are in the same order? Those that are not are taken off', within=.01)


@exercise('oneshot-2', '20a_one_shot', 2, 'a function f(a, b) that gives a number between -1 and 1')
def _(answer):
    from .one_shot import kendall
    rng = np.random.default_rng(8)
    for a, b in [([1, 2, 3], [1, 3, 2]), ([1, 2], [2, 1]), *rng.random((5, 2, 7)).tolist()]:
        if abs(answer(a, b) - kendall(a, b)) > 1e-9: raise Wrong(f'Of {a} and {b} it is {kendall(a, b):.3f}')


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

# ---- 21a fronts ------------------------------------------------------------------------------------------------------

@exercise('fronts-1', '21a_fronts', 1, 'a share between 0 and 1')
def _(answer):
    number(answer, .75 * .8 + .5 * .1, 'Two strips: from 50 to 200 instructions, and from 100 to 200', within=.01)


@exercise('fronts-2', '21a_fronts', 2, 'a function f(points, most) that gives a share between 0 and 1')
def _(answer):
    for points, most, want in [([(100, .5)], 200, .25), ([(150, 1.), (100, .5)], 200, .375),
                               ([(100, .5), (150, 1.), (160, .9), (120, .5)], 200, .375), ([], 10, 0.)]:
        if abs(answer(list(points), most) - want) > 1e-9: raise Wrong(f'f({points}, {most}) is {want}')


# ---- 22 pipeline -----------------------------------------------------------------------------------------------------

@exercise('pipeline-1', '22_pipeline', 2, 'a function f(stages, points) that gives a list of names')
def _(answer):
    stages = {'float': .975, 'pruned': .961, 'int8': .958}
    for given, points, want in ((stages, 1, ['pruned']), (stages, .2, ['pruned', 'int8']), (stages, 2, []),
                                ({'a': .5, 'b': .75, 'c': .5}, 10, ['c']), ({'a': .9}, 0, [])):
        same(list(answer(dict(given), points)), want, f'f({given}, {points}) is {want}')


# ---- 22a evaluation, 23 zoo ------------------------------------------------------------------------------------------

@exercise('evaluation-1', '22a_evaluation', 1, 'a number of bytes')
def _(answer):
    number(answer, 22624 - 1907 - 2184, 'The image is code, weights and other constants')


@exercise('evaluation-2', '22a_evaluation', 2, 'a function f(share, sure) that gives a number of images')
def _(answer):
    for share, sure, want in [(.01, .95, 299), (.1, .95, 29), (.5, .9, 4), (.001, .5, 693)]:
        number(answer(share, sure), want, f'f({share}, {sure}) is {want}: n images are all right with probability '
               '(1 - share) to the power of n')


@exercise('zoo-1', '23_zoo', 1, 'a number')
def _(answer):
    number(abs(answer), (.9171 - .9150) / (.9171 * .0829 / 10_000)**.5,
           'The standard error is √(p · (1 - p) / n), with p = 0.9171', within=.03)


@exercise('zoo-2', '23_zoo', 2, 'a function f(cards, flash_kb, sram_kb) that gives a name or None')
def _(answer):
    from . import zoo
    cards = [zoo.card_of(name) for name in zoo.names()]
    for flash, sram in (1024, 320), (512, 128), (64, 16), (42, 8), (1, 1):
        fits = [c for c in cards if c['flash']['total'] <= 1024 * flash and c['sram']['total'] <= 1024 * sram]
        want = max(fits, key=lambda c: c['accuracy']['int8'])['name'] if fits else None
        same(answer(cards, flash, sram), want, f'With {flash} KB and {sram} KB it is {want}: compare the totals')


@exercise('zoo-3', '23_zoo', 2, 'a function f(data, card) that gives True or False')
def _(answer):
    import hashlib
    data = bytes(range(9))
    card = dict(name='x', sha256=hashlib.sha256(data).hexdigest())
    for given, want in ((data, True), (data[:-1], False), (bytes(9), False)):
        same(bool(answer(given, dict(card))), want, f'f({given!r}, card) is {want}: take hashlib.sha256')
