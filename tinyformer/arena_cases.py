"""Networks and puzzles that the pages on the arena plan: a network is a list of (name, bytes, names of inputs)."""
from dataclasses import replace

from tinyformer.buffers import Interval, Plan


# ---- networks of two blocks ------------------------------------------------------------------------------------------

def add(steps, kind, size, *inputs):
    "Append a step, and give its name."
    steps.append((f'{kind}{len(steps)}', size, inputs))
    return steps[-1][0]


def inverted(s, x, side, cin, wide, cout, stride=1, shortcut=False):
    "An inverted residual: expand, filter, project, and maybe add."
    e = add(s, 'expand', side**2 * wide, x)
    d = add(s, 'filter', (side // stride)**2 * wide, e)
    y = add(s, 'project', (side // stride)**2 * cout, d)
    return add(s, 'add', side**2 * cout, y, x) if shortcut else y


def encoder(s, x, n, dim, ffn):
    "An encoder layer: attention and a feed-forward part, each with a shortcut."
    norm = add(s, 'norm', n * dim, x)
    q, k, v = (add(s, kind, n * dim, norm) for kind in 'qkv')
    out = add(s, 'out', n * dim, add(s, 'attend', n * dim, q, k, v))
    x = add(s, 'add', n * dim, out, x)
    wide = add(s, 'ffn', n * ffn, add(s, 'norm', n * dim, x))
    return add(s, 'add', n * dim, add(s, 'fc', n * dim, wide), x)


def convolutions(shortcut):
    "(steps, name of the last tensor) of a small convolutional network."
    s = []
    x = add(s, 'stem', 16 * 32**2, add(s, 'image', 3 * 32**2))
    x = inverted(s, x, 32, 16, 96, 24, stride=2)
    x = inverted(s, x, 16, 24, 144, 24, shortcut=shortcut)
    x = inverted(s, x, 16, 24, 144, 64, stride=2)
    return s, inverted(s, x, 8, 64, 384, 64, shortcut=shortcut)


def encoders(ffn):
    "Two encoder layers."
    s = []
    encoder(s, encoder(s, add(s, 'tokens', 64 * 64), 64, 64, ffn), 64, 64, ffn)
    return s


def hybrid():
    "Convolutions, then two encoder layers, and a head."
    s, x = convolutions(True)
    for _ in range(2): x = encoder(s, x, 64, 64, 256)
    add(s, 'logits', 10, add(s, 'pool', 256, add(s, 'head', 64 * 256, x)))
    return s


def networks():
    "Name → steps of five networks of the family that TinyFormer searches."
    return {'convolutions, no shortcut': convolutions(False)[0], 'convolutions with shortcuts': convolutions(True)[0],
            'two encoders, FFN 64': encoders(64), 'two encoders, FFN 256': encoders(256),
            'convolutions, then encoders': hybrid()}


def shortcuts(rng, n=30):
    "Random layers, each with the one before it and maybe an earlier one as inputs."
    def inputs(k): return sorted({f't{k - 1}', f't{rng.randrange(max(0, k - 6), k)}'}) if k else ()
    return [(f't{k}', rng.randrange(100, 4000), inputs(k)) for k in range(n)]


# ---- buffers without a network ---------------------------------------------------------------------------------------

def scattered(rng, n=None):
    "Intervals of any life and size."
    n, last = n or rng.randrange(1, 40), rng.randrange(1, 20)
    starts = [rng.randrange(last) for _ in range(n)]
    def stop(start): return start + 1 + min(int(rng.expovariate(.3)), last)
    return [Interval(f't{k}', s, stop(s), rng.randrange(0, 300)) for k, s in enumerate(starts)]


def tight(rng, height, steps, largest):
    "Intervals that fill every step up to `height`, to the last unit."
    live, out = [], []
    for t in range(steps):
        live = [i for i in live if t == 0 or rng.random() > .4]
        for i in live: i[2] = t + 1
        while (free := height - sum(i[3] for i in live)) > 0:
            live.append([f't{len(out)}', t, t + 1, min(free, rng.randint(1, largest))])
            out.append(live[-1])
    return [Interval(*i) for i in out]


def tight_by_8(rng): return [replace(i, size=8 * i.size) for i in tight(rng, 64, 20, 24)]


def cut_up(rng, pieces, steps=80, height=512):
    "A rectangle cut at random: a puzzle of which a plan without a hole is known to exist."
    out = [(0, steps, 0, height)]
    def area(k):
        a, b, low, top = out[k]
        return (b - a) * (top - low)
    while len(out) < pieces:
        a, b, low, top = out.pop(max(range(len(out)), key=lambda k: area(k) * rng.random()))
        upright = b - a > 1 and (top - low < 16 or rng.random() < .5)
        cut = rng.randrange(a + 1, b) if upright else rng.randrange(low + 1, top)
        out += ([(a, cut, low, top), (cut, b, low, top)] if upright else
                [(a, b, low, cut), (a, b, cut, top)])
    return [Interval(f't{k}', a, b, top - low) for k, (a, b, low, top) in enumerate(out)]


# ---- a network in a real arena ---------------------------------------------------------------------------------------

def replay(
    steps: list,      # (name, bytes, names of inputs)
    plan: Plan,       # of their lives
    over: tuple = (), # names of tensors that are written over an input
    home: dict = {}   # name → the interval in which a tensor lies, where it is not its own
):
    "Write a pattern for each tensor; `AssertionError` when a step finds an input overwritten."
    arena, size = bytearray(plan.peak), {name: n for name, n, _ in steps}
    pattern = {name: bytes([k % 255 + 1]) * n for k, (name, n, _) in enumerate(steps)}
    offset = {name: plan.offsets[home.get(name, name)] for name in pattern}
    for name, n, inputs in steps:
        at = offset[name]
        if name not in over: arena[at:at + n] = pattern[name]  # it may write while it still reads
        for i in inputs:
            assert arena[offset[i]:][:size[i]] == pattern[i], f'{name} finds {i} overwritten'
        arena[at:at + n] = pattern[name]
