"""Random small networks, sizes all alike, in every spelling: read rightly, or refused. Never a wrong number.

Channels, height, width and tokens are 8 wherever that can be, so that an axis guessed from a size is guessed wrongly.
The reader's second look (`_agree`) is switched off here, so that the reader itself is tested."""
import collections, math, operator

import numpy as np, pytest, torch, torch.nn as nn, torch.nn.functional as F

from tinyformer import quantization as qz
from tinyformer.blocks import AttentionCore, GlobalAvgPool, ToMap, ToTokens
from tinyformer.errors import TinyFormerError
from tinyformer.graph import encode, run
from tinyformer.lowering import lower

SIZE, NETWORKS = 8, 150


class Call(nn.Module):
    "A function of one tensor, with what it needs."
    def __init__(self, f, *layers): super().__init__(); self.f, self.layers = f, nn.ModuleList(layers)
    def forward(self, x): return self.f(x, *self.layers)


def norm(kind, c, affine=True):
    m = kind(c, affine=affine, momentum=None)
    m.running_mean.normal_(); m.running_var.uniform_(.3, 2)
    if affine: nn.init.uniform_(m.weight, -1.5, 1.5); nn.init.normal_(m.bias)
    return m


class Draw:
    "Draws calls that fit a shape (batch left out)."
    def __init__(self, seed): self.rng = np.random.default_rng(seed)

    def any(self, *choices):
        "One of them; the first, which is the usual one, half of the time."
        return choices[max(0, self.rng.integers(1 - len(choices), len(choices)))]

    def conv(self, c):
        any = self.any
        groups = any(1, c, 2)
        return nn.Conv2d(c, c, any(3, 1, 2, (3, 1)), padding=any(1, 0, (1, 0), 'valid', 'same'), groups=groups,
                         bias=any(True, False), dilation=any(1, 1, 1, 2),
                         padding_mode=any('zeros', 'zeros', 'zeros', 'reflect'))

    def strided(self, c): return nn.Conv2d(c, c, self.any(1, 2, 3), self.any(2, (2, 2), (1, 2)), self.any(0, 1))

    def pool(self, _):
        any = self.any
        how = dict(kernel_size=any(2, 2, (2, 2), 3, (1, 2)), stride=any(None, 2, (2, 2), 1, 3), padding=any(0, 0, 0, 1),
                   dilation=any(1, 1, 1, 2), ceil_mode=any(False, True))
        return nn.MaxPool2d(**how) if any(True, False) else Call(lambda x: F.max_pool2d(x, **how))

    def relu(self, _):
        return self.any(nn.ReLU(), nn.ReLU(inplace=True), nn.ReLU6(), Call(torch.relu), Call(F.relu6),
                        Call(lambda x: F.relu(x, inplace=True)), Call(lambda x: x.relu()), Call(lambda x: x.relu_()),
                        Call(lambda x: x.clamp(min=0)))

    def sum(self, c):
        m = nn.Linear(SIZE, SIZE) if len(c) < 3 else nn.Conv2d(c[0], c[0], 1)
        def late(x, m): y = m(x); z = y.add_(x); return y + z
        def twice(x, m): y = m(x); F.relu(y, inplace=True); return y + x
        def first(x, m): return m(x).add_(x)
        f = self.any(lambda x, m: x + m(x), lambda x, m: torch.add(m(x), x, alpha=2), lambda x, m: torch.add(x, m(x)),
                     lambda x, m: x + x, lambda x, m: m(x) + x.mean(0, keepdim=True), lambda x, m: m(x) + x[:1],
                     lambda x, m: x + 1,
                     lambda x, m: operator.iadd(m(x), x), lambda x, m: m(x).add(x, alpha=.5), lambda x, m: m(x) + m(x),
                     lambda x, m: x + x.mean(-1, keepdim=True), late, twice, first)
        return Call(f, m)

    def mean(self, shape):
        rank = len(shape) + 1
        axes = tuple(self.rng.choice(np.arange(-rank, rank), self.any(1, 2, 2, 3), replace=False).tolist())
        if self.any(True, False): axes = self.any((2, 3), (-1, -2), 1) if rank == 4 else 1
        keep = self.any(True, False)
        return Call(self.any(lambda x: x.mean(axes, keepdim=keep), lambda x: torch.mean(x, dim=axes, keepdim=keep)))

    def adaptive(self, _):
        size = self.any(1, (1, 1), 2, (1, None), None, (1, 8))
        return self.any(nn.AdaptiveAvgPool2d(size), Call(lambda x: F.adaptive_avg_pool2d(x, size)), GlobalAvgPool())

    def reshape(self, shape):
        total = math.prod(shape)
        return Call(self.any(
            lambda x: x.flatten(1), lambda x: x.view(x.size(0), -1), lambda x: x.reshape(-1, total), torch.squeeze,
            lambda x: x.reshape(len(x), *reversed(x.shape[1:])), lambda x: x.transpose(1, 2), lambda x: x.flatten(0, 1),
            lambda x: x.reshape(-1, SIZE), lambda x: x.view(*x.shape), lambda x: x.swapaxes(-1, -2),
            lambda x: x.flip(1), lambda x: torch.flatten(x, start_dim=2), lambda x: x.view(-1, x.shape[0])))

    def dropout(self, _):
        return self.any(nn.Dropout(.5), Call(lambda x: F.dropout(x, .5, False)), Call(lambda x: F.dropout(x, .9)),
                        nn.Identity())

    def attend(self, shape):
        q, k, v, core = (*(nn.Linear(SIZE, SIZE) for _ in range(3)), AttentionCore(self.any(1, 2)))
        f = self.any(lambda x, q, k, v, core: core(q(x), k(x), v(x)),
                     lambda x, q, k, v, core: x + core(q(x), k(x), v(x)),
                     lambda x, q, k, v, core: core(F.relu(q(x)), k(x), v(x)),
                     lambda x, q, k, v, core: core(q(x), q(x), v(x)),
                     lambda x, q, k, v, core: core(v(x), x, k(x)), lambda x, q, k, v, core: core(*[q(x)]*3) + k(x))
        return Call(f, q, k, v, core)

    def odd(self, _): return self.any(nn.LayerNorm(SIZE), nn.Softmax(self.any(1, 2, 3)), nn.Linear(SIZE, SIZE))

    def step(self, shape):
        c, maps, any = shape[0], len(shape) == 3, self.any
        if maps:
            own = [self.conv, self.strided, self.pool, self.relu, lambda _: self.sum(shape), lambda _: self.mean(shape),
                   self.adaptive, lambda _: self.reshape(shape), self.dropout, lambda _: ToTokens(),
                   lambda c: norm(nn.BatchNorm2d, c, any(True, False)), self.odd]
            return self.rng.choice(own, p=[.2, *[.075]*9, .1, .025])(c)
        width = shape[-1]
        own = [self.relu, self.dropout, lambda _: self.reshape(shape), lambda _: nn.LayerNorm(any(width, shape)),
               lambda _: nn.Linear(width, SIZE), lambda _: nn.Linear(width, SIZE, bias=False),
               lambda c: norm(nn.BatchNorm1d, c),
               lambda _: nn.Linear(width, SIZE)]
        if width == SIZE: own += [lambda _: self.sum(shape)]
        if len(shape) == 2: own += [lambda _: self.mean(shape), lambda _: ToMap(2, 4)]
        if len(shape) == 2 and width == SIZE: own += [self.attend] * 2
        return self.rng.choice(own)(c)

    def network(self):
        "One to five calls, of which each can follow the one before."
        shape, layers = self.any((8, 8, 8), (8, 2, 4)), []
        x = torch.rand(3, *shape)
        for _ in range(self.rng.integers(1, 6)):
            for _ in range(20):
                try: m = self.step(tuple(x.shape[1:])).eval(); y = m(x.clone())
                except (RuntimeError, IndexError, ValueError, TypeError): continue      # no network at all
                if y.ndim > 1 and len(y) == 3: break
            else: break
            x = y.detach(); layers.append(m)
        return nn.Sequential(*layers).eval(), torch.rand(24, *shape)


def db(want, got):
    want, got = np.asarray(want, float), np.asarray(got, float)
    return 10 * math.log10((want**2).sum() / max(1e-30, ((want - got)**2).sum())) if want.any() else math.inf


def outcome(net, x):
    "'refused', or the agreement in dB of the rounded network and of its integers with the network."
    with torch.no_grad(): want = net(x.clone())
    try:
        qnet = qz.quantize(net, x).eval()
        graph = lower(qnet)
    except TinyFormerError as e: return 'refused', str(e)
    with torch.no_grad(): soft = qnet(x.clone())
    assert soft.shape == want.shape
    codes = run(graph, encode(graph, qnet.source.inward(x).numpy()))
    t = graph.tensors[graph.output]
    hard = (codes.astype(float) - t.zero_point) * t.scale
    hard = qnet.targets[0].outward(torch.tensor(hard))
    return db(want, soft), db(want, hard)


@pytest.mark.thorough
def test_random_networks_are_right_or_refused(monkeypatch):
    monkeypatch.setattr(qz, '_agree', lambda *_: None)
    tried, wrong = collections.Counter(), []
    for seed in range(NETWORKS):
        torch.manual_seed(seed)
        net, x = Draw(seed).network()
        soft, hard = outcome(net, x)
        tried['refused' if soft == 'refused' else 'right'] += 1
        if soft != 'refused' and not min(soft, hard) > 20:
            wrong.append(f'seed {seed}: {soft:.1f} dB rounded, {hard:.1f} dB in integers\n{net}')
    print(dict(tried))
    assert not wrong, '\n'.join([f'{len(wrong)} networks are wrong', *wrong[:5]])
    assert tried['right'] > NETWORKS // 8 and tried['refused'] > NETWORKS // 8


def test_a_sum_in_place_changes_what_a_view_shows():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.tokens, self.fc, self.head = ToTokens(), nn.Linear(4, 4), nn.Linear(32, 3)
        def forward(self, x):
            y = self.fc(self.tokens(x))
            t = y.flatten(1)
            y += self.tokens(x)
            return self.head(t)
    torch.manual_seed(0)
    soft, hard = outcome(Net().eval(), torch.rand(8, 4, 2, 4))
    assert min(soft, hard) > 30
