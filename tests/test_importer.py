"""Random small networks of every form that the importer knows: the steps give what the network gives, or it is refused.

Sizes are alike wherever that can be, so that an axis guessed from a size is guessed wrongly.
The importer's own comparison is switched off here, so that the reading itself is tested."""
import collections, copy, math, random, types

import numpy as np, pytest, torch, torch.nn as nn, torch.nn.functional as F, torch.nn.utils.prune as mask

from test_reader import Call, Draw, SIZE, norm
from tinyformer import importer
from tinyformer.arch import Arch, Downsample, InvertedResidual, Residual, Transformer, layers
from tinyformer.blocks import Net, build
from tinyformer.errors import BadInput, TinyFormerError, UnsupportedOp
from tinyformer.graph import run
from tinyformer.importer import import_model
from tinyformer.lowering import lower
from tinyformer.quantization import quantize

NETWORKS = 24


def heads(x, n=2): return x.unflatten(-1, (n, -1)).transpose(1, 2)


class More(Draw):
    "Draws what the first importer did not know, too."
    def act(self, _):
        return self.any(nn.GELU(), nn.Hardswish(), nn.SiLU(), nn.LeakyReLU(.2), nn.ReLU6(), nn.Hardtanh(),
                        nn.ELU(), nn.Sigmoid(),
                        Call(lambda x: x * F.relu6(x + 3) / 6), Call(lambda x: x * torch.sigmoid(x)),
                        Call(lambda x: x.clamp(-1, 2)),
                        Call(lambda x: torch.maximum(x, torch.zeros(1))), Call(lambda x: torch.where(x > 0, x, .1 * x)),
                        Call(lambda x: .5 * x * (1 + torch.tanh(x))), Call(lambda x: x**2), Call(lambda x: 1 - x),
                        Call(lambda x: (x * 2 - 1).abs()), Call(lambda x: F.relu(x) + x))

    def constant(self, shape):
        full, last = torch.randn(shape), torch.randn(shape[-1])
        first = torch.randn(shape[0], *[1] * (len(shape) - 1))
        c = self.any(full, last, first, full[:1])
        return Call(self.any(lambda x: x + c, lambda x: x - c, lambda x: x * c, lambda x: c - x,
                             lambda x: x / (c.abs() + 1),
                             lambda x: (x - c) * 2, lambda x: x.masked_fill(c > 0, 0.), lambda x: (x + c).relu() * c))

    def two(self, shape):
        m = nn.Linear(SIZE, SIZE) if len(shape) < 3 else nn.Conv2d(shape[0], shape[0], 1)
        n = copy.deepcopy(m)
        nn.init.normal_(n.weight)
        pool = (lambda y: y.mean((2, 3), keepdim=True)) if len(shape) == 3 else (lambda y: y.mean(1, keepdim=True))
        return Call(self.any(
            lambda x, m, n: m(x) * n(x), lambda x, m, n: m(x) - n(x), lambda x, m, n: m(x) * torch.sigmoid(n(x)),
            lambda x, m, n: x * torch.sigmoid(pool(m(x))), lambda x, m, n: x + pool(m(x)),
            lambda x, m, n: x - x.mean(-1, keepdim=True),
            lambda x, m, n: torch.cat([m(x), n(x)], 1), lambda x, m, n: torch.cat([x, m(x).relu(), x], -1),
            lambda x, m, n: torch.cat([m(x).relu(), x], 1).chunk(2, 1)[1],
            lambda x, m, n: torch.stack([m(x), n(x)], 2).flatten(1, 2),
            lambda x, m, n: m(x).transpose(1, -1) + n(x).transpose(1, -1), lambda x, m, n: n(m(x).relu() * .5) + m(x),
            lambda x, m, n: m(x) + n(x).flip(-1), lambda x, m, n: (m(x) + 1) * 2 - x, lambda x, m, n: -m(x) - n(x),
            lambda x, m, n: m(x) / (1 + n(x).abs()), lambda x, m, n: torch.add(m(x), n(x), alpha=.5)), m, n)

    def moves(self, shape):
        return Call(self.any(
            lambda x: x.flip(1), lambda x: x.roll(1, -1), lambda x: x[:, 1:], lambda x: x[:, ::2],
            lambda x: x[..., 1:], lambda x: x[:, 0],
            lambda x: x.chunk(2, 1)[0], lambda x: torch.cat(x.chunk(2, 1)[::-1], 1),
            lambda x: x.transpose(1, -1), lambda x: x.repeat(1, *[2] + [1] * (x.ndim - 2)),
            lambda x: x.split(3, 1)[1], lambda x: x.unbind(1)[2],
            lambda x: x.unflatten(1, (2, -1)).transpose(1, 2).flatten(1, 2),
            lambda x: F.pad(x, (1, 0)), lambda x: F.pad(x, (0, -1)),
            lambda x: x.unsqueeze(1).expand(-1, 2, *[-1] * (x.ndim - 1)).flatten(1, 2)))

    def maps(self, shape):
        c = shape[0]
        any = self.any
        return any(
            nn.Conv2d(c, c, any(3, (1, 3), 2), any(1, 2, (2, 1)), any(0, 1, (1, 0), (0, 1)) if any(True,
            False) else 1, any(1, 1, 2)),
            nn.Conv2d(c, 2 * c, 3, padding=1, groups=c), nn.Conv2d(c, c, 3, groups=2),
            nn.ConvTranspose2d(c, c, any(2, 3, 4), 2, any(0, 1)),
            nn.ConvTranspose2d(c, c, 3, 1, 1), nn.ConvTranspose2d(c, c, 3, 2, 1, 1, groups=2),
            nn.MaxPool2d(3, any(1, 2), 1, ceil_mode=any(False, True)),
            nn.AvgPool2d(any(2, 3, (1, 2)), any(1, 2), any(0, 1) if any(True, False) else 0, ceil_mode=any(False,
            True), count_include_pad=any(True, False)),
            nn.AdaptiveAvgPool2d(any(2, 3, (1, None))), nn.AdaptiveMaxPool2d(any(1, 2, 3)),
            nn.Upsample(scale_factor=2), nn.PixelShuffle(2),
            nn.PixelUnshuffle(2), nn.ChannelShuffle(2), nn.GroupNorm(any(1, 2), c),
            nn.InstanceNorm2d(c, affine=True), nn.ZeroPad2d((0, 1, 0, 1)),
            Call(lambda x: F.max_pool2d(F.pad(x, (0, 1, 0, 1)), 2)), Call(lambda x: x[:, :, ::2, ::2]),
            nn.PReLU(c, .3), nn.Dropout2d(),
            Call(lambda x, m: m(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2),
            nn.LayerNorm(c)), Call(lambda x: F.glu(x, 1)),
            Call(lambda x, m: m(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2),
            nn.Linear(c, c)), Call(lambda x: x.amax((2, 3))),
            Call(lambda x: x.flatten(2).transpose(1, 2)), Call(lambda x: x.mean(3).mean(2)), Call(lambda x: x.sum(-1)))

    def attention(self, _):
        lin = lambda n=SIZE: nn.Linear(SIZE, n)
        causal = torch.full((SIZE, SIZE), -math.inf).triu(1)
        def mha(x, m): return m(x, x, x)[0]
        def timm(x, m):
            q, k, v = m(x).reshape(len(x), -1, 3, 2, SIZE // 2).permute(2, 0, 3, 1, 4)
            return ((q * .5) @ k.transpose(-2, -1)).softmax(-1).matmul(v).transpose(1, 2).flatten(2)
        def chunked(x, m):
            q, k, v = m(x).chunk(3, -1)
            return F.scaled_dot_product_attention(heads(q), heads(k), heads(v), is_causal=True).transpose(1,
2).flatten(2)
        def written(x, q, k, v): return ((q(x) @ k(x).mT / 3 + causal[:x.shape[1], :x.shape[1]]).softmax(2)) @ v(x)
        def filled(x, q, k, v):
            s = torch.bmm(q(x), k(x).transpose(1, 2)) * .3
            return torch.bmm(s.masked_fill(torch.ones(s.shape[1:], dtype=torch.bool).triu(1), -1e9).softmax(-1), v(x))
        def einsum(x, q, k, v):
            a, b, c = (t.unflatten(-1, (2, -1)) for t in (q(x), k(x), v(x)))
            return torch.einsum('bhts,bshd->bthd', torch.einsum('bthd,bshd->bhts', a, b).softmax(-1), c).flatten(2)
        def turned(x, q, k, v): return (v(x).mT @ (k(x) @ q(x).mT).softmax(1)).mT
        def cross(x, q, k, v):
            return ((q(torch.linspace(-1, 1, 3 * SIZE).reshape(1, 3, SIZE).expand(len(x), -1,
                                      -1)) @ k(x).mT * .4).softmax(-1)) @ v(x)
        def pooled(x, m): return (m(x).softmax(1).mT @ x).squeeze(1)
        three = lin(), lin(), lin()
        one = self.any((mha, nn.MultiheadAttention(SIZE, 2, batch_first=True)), (timm, lin(3 * SIZE)), (chunked,
                       lin(3 * SIZE)),
                       (written, *three), (filled, *three), (einsum, *three), (turned, *three), (cross, *three),
                       (pooled, lin(1)),
                       (lambda x, m: m(x), nn.TransformerEncoderLayer(SIZE, 2, 12, batch_first=True,
                       norm_first=self.any(True, False))))
        return Call(*one)

    def norms(self, shape):
        def rms(x): return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-3)
        def layer(x): c = x - x.mean(-1, keepdim=True); return c / torch.sqrt((c * c).mean(-1, keepdim=True) + 1e-3)
        return self.any(nn.LayerNorm(shape), nn.LayerNorm(shape[-1]), nn.RMSNorm(shape[-1]), Call(rms), Call(layer),
                        nn.LayerNorm(shape[-1], elementwise_affine=False))

    def lines(self, shape):
        c = shape[0]
        return self.any(nn.Conv1d(c, SIZE, 3, padding=1), nn.Conv1d(c, c, 3, groups=c), nn.MaxPool1d(2),
                                  nn.AvgPool1d(2), nn.AdaptiveAvgPool1d(1),
                        nn.ConvTranspose1d(c, SIZE, 2, 2), norm(nn.BatchNorm1d, c), nn.Upsample(scale_factor=2))

    def step(self, shape):
        own = [super().step, self.act, self.constant, self.moves]
        if shape[-1] == SIZE or len(shape) == 3: own += [self.two]
        if len(shape) == 3: own += [self.maps] * 4
        else: own += [self.norms]
        if len(shape) == 2: own += [self.lines]
        if len(shape) == 2 and shape[1] == SIZE: own += [self.attention] * 3
        return self.rng.choice(own)(shape)


def difference(net, x):
    "'refused' and why, or the largest difference between steps and network as a share of the largest value."
    with torch.no_grad(): want = net(x.clone())
    try: graph = import_model(net, x)
    except UnsupportedOp as e: return 'refused', str(e)
    with torch.no_grad(): again = net(x.flip(0).contiguous())
    worst = 0.
    for w, xs in ((want, x), (again, x.flip(0))):
        got = graph.run(xs)
        assert got.shape == w.shape
        worst = max(worst, float((got - w).abs().max() / w.abs().max().clamp_min(1e-6)))
    return worst, graph


def trials(seeds):
    "What came of random networks: Counter of 'right' and 'refused', those that are wrong, and why others were refused."
    tried, wrong, why = collections.Counter(), [], collections.Counter()
    for seed in seeds:
        torch.manual_seed(seed)
        net, x = More(seed).network()
        with torch.no_grad(): y = net(x.clone())
        if not y.numel() or not y.isfinite().all() or y.abs().max() < 1e-3: continue
        try: off, graph = difference(net, x)
        except TinyFormerError as e: off, graph = math.inf, e
        tried['refused' if off == 'refused' else 'right'] += 1
        if off == 'refused': why[graph] += 1
        elif off > 1e-3: wrong.append(f'seed {seed}: off by {off:.2%}\n{net}\n{graph}')
    return tried, wrong, why


def test_random_networks_are_read_rightly_or_refused(monkeypatch):
    monkeypatch.setattr(importer, 'check', lambda *_: None)
    tried, wrong, why = trials(range(NETWORKS))
    print(dict(tried))
    assert not wrong, '\n'.join([f'{len(wrong)} networks are wrong', *wrong[:5]])
    assert tried['right'] > NETWORKS * .6


T, BIAS = 6, torch.randn(2, 6, 6, generator=torch.Generator().manual_seed(3))


def joined(x): return x.transpose(1, 2).flatten(2)


def hiding(x, q, k, v): # the first two keys see nothing of the last two
    hidden = torch.zeros(T, T).index_put((torch.tensor([[0], [1]]), torch.tensor([[4, 5]])), torch.tensor(-math.inf))
    return (q(x) @ k(x).mT + hidden).softmax(-1) @ v(x)


def biased(x, q, k, v): return joined((heads(q(x)) @ heads(k(x)).mT * .5 + BIAS).softmax(-1) @ heads(v(x)))


def computed(x, q, k, v):
    q, k, v = (heads(m(x)) for m in (q, k, v))
    return joined(F.scaled_dot_product_attention(q, k, v, attn_mask=(x @ x.mT)[:, None]))


def windows(x, q, k, v): # two windows of three tokens, in the axis of the images, the second masked
    w, hidden = x.unflatten(1, (2, 3)).flatten(0, 1), torch.zeros(2, 3, 3)
    hidden[1, :, 2] = -100
    a = (heads(q(w)) @ heads(k(w)).mT + BIAS[:, :3, :3]).unflatten(0, (-1, 2)) + hidden[None, :, None]
    return joined(a.flatten(0, 1).softmax(-1) @ heads(v(w))).unflatten(0, (-1, 2)).flatten(1, 2)


def read_twice(x, q, k, v):
    p = (q(x) @ k(x).mT * .5).softmax(-1)
    return (p * .5 + .1) @ v(x) + p.sum(-2).unsqueeze(-1)


def gated(x, q, k, v): # a share of fixed probabilities, and rows of 1 again
    a = .7 * (q(x) @ k(x).mT).softmax(-1) + .3 * BIAS[0].softmax(-1)
    return (a / a.sum(-1, keepdim=True)) @ v(x)


def straight(x, q, k, v): return q(x).relu() @ (k(x).relu().mT @ v(x))


def between_channels(x, q, k, v): # of unit rows, as XCiT has it
    q, k = (F.normalize(heads(m(x)).mT, dim=-1) for m in (q, k))
    return joined(((q @ k.mT * 3).softmax(-1) @ heads(v(x)).mT).mT)


def over_all(x, q, k, v): # the norm of each channel beside the mean of all, as ConvNeXt V2 has it
    g = q(x).norm(dim=1, keepdim=True)
    return v(x) * (g / (g.mean(-1, keepdim=True) + 1e-6))


PRODUCTS = hiding, biased, computed, windows, read_twice, gated, straight, between_channels, over_all


@pytest.mark.parametrize('form', PRODUCTS, ids=lambda f: f.__name__)
def test_products_and_norms_of_any_form(form):
    "Masks, biases, windows, probabilities that others read, no softmax: the same values, and close to them in int8."
    torch.manual_seed(0)
    layers = [nn.Linear(SIZE, SIZE) for _ in range(3)]
    for m in layers: nn.init.normal_(m.weight, 0, .7)
    net, x = Call(form, *layers), 2 * torch.rand(24, T, SIZE) - 1
    off, graph = difference(net, x)
    assert off != 'refused' and off < 1e-3, graph
    qnet = quantize(graph, x)
    integers = lower(qnet, 'form')
    with torch.no_grad(): want, shadow = net(x), qnet(x)
    out = integers.tensors[integers.output]
    codes = (x / integers.tensors['input'].scale).round() + integers.tensors['input'].zero_point
    got = (run(integers, codes.clamp(-128, 127).numpy().astype(np.int8)) - float(out.zero_point)) * out.scale
    assert (want - shadow).square().sum() < want.square().sum() / 10**2.2        # 22 dB
    assert np.abs(got - shadow.numpy()).mean() < .5 * out.scale


def windows_of(x, size): # [n, h, w, c] -> [n * windows, size * size, c]
    x = x.unflatten(2, (-1, size)).unflatten(1, (-1, size)).transpose(2, 3)
    return x.flatten(3, 4).flatten(0, 2)


def map_of(w, size, side): # and back: [n, side, side, c]
    w = w.unflatten(1, (size, size)).unflatten(0, (-1, side // size, side // size))
    return w.transpose(2, 3).flatten(3, 4).flatten(1, 2)


def shifted(x, m): # as Swin has it: [n, c, 8, 8], windows of 4 moved by 2
    w = windows_of(x.permute(0, 2, 3, 1).roll((-2, -2), (1, 2)), 4)
    a = (w @ w.mT).softmax(-1) @ m(w)
    return map_of(a, 4, 8).roll((2, 2), (1, 2)).permute(0, 3, 1, 2) + x


def padded(x, m): # as TinyViT has it: 6x6 in windows of 4, so that zeros make it 8x8
    w = windows_of(F.pad(x[:, :, :6, :6].permute(0, 2, 3, 1), (0, 0, 0, 2, 0, 2)), 4)
    y = map_of(m(w), 4, 8)[:, :6, :6].permute(0, 3, 1, 2)
    return y.flatten(2) + x[:, :, :6, :6].flatten(2)


def inside_out(x, m): return F.pad(m(x.movedim(1, -1)).movedim(-1, 1), (1, 2, 3, 0), 'reflect').exp()


def between(x, m): return F.interpolate(m(x.movedim(1, -1)).movedim(-1, 1), scale_factor=2, mode='bilinear').relu()


@pytest.mark.parametrize('form', [shifted, padded, inside_out, between], ids=lambda f: f.__name__)
def test_moves_that_no_loops_count(form):
    torch.manual_seed(0)
    off, graph = difference(Call(form, nn.Linear(4, 4)), torch.randn(4, 4, 8, 8))
    assert off != 'refused' and off < 1e-3, graph


class Shaky(nn.Module):
    "Off by 0.2 % in one precision alone, as a network that enlarges its own rounding, or in both, as a wrong reading."
    def __init__(self, both): super().__init__(); self.both = both
    def forward(self, x): return x * 1.002 if self.both or x.dtype == torch.float32 else x * 1.


def test_a_network_that_is_unsure_of_itself_is_no_wrong_reading():
    steps = import_model(nn.Identity(), torch.rand(4, 8))
    reader = types.SimpleNamespace(images=2, kept=[True], left={}, narrow=False)
    importer.check(Shaky(False), steps, [torch.rand(4, 8)], reader)
    with pytest.raises(UnsupportedOp, match='off by 0.2%'):
        importer.check(Shaky(True), steps, [torch.rand(4, 8)], reader)


def test_hidden_keys_change_no_byte():
    torch.manual_seed(0)
    x, layers = torch.randn(24, T, SIZE), [nn.Linear(SIZE, SIZE) for _ in range(3)]
    integers = lower(quantize(Call(hiding, *layers), x), 'hiding')
    codes = np.random.default_rng(0).integers(-128, 128, (8, T, SIZE), dtype=np.int8)
    other = codes.copy()
    other[:, 4:] = other[:, 4:] // 2
    was, now = run(integers, codes), run(integers, other)
    assert (was[:, :2] == now[:, :2]).all() and (was[:, 2:4] != now[:, 2:4]).any()


def small():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1),
                         nn.Flatten(), nn.Linear(4, 5))


def pruned():
    net = small()
    mask.l1_unstructured(net[0], 'weight', .5)
    net(torch.rand(2, 3, 8, 8))                  # from here on deepcopy refuses it
    return net


def normed():
    net = small()
    nn.utils.parametrizations.weight_norm(net[0])
    return net


def inferred():
    with torch.inference_mode(): return small()


def exported(net, **how): return torch.export.export(net.eval(), (torch.rand(2, 3, 8, 8),), **how)


WRAPPED = dict(
    compiled=lambda: torch.compile(small()), parallel=lambda: nn.DataParallel(small()), half=lambda: small().half(),
    double=lambda: small().double(), training=lambda: small().train(), pruned=pruned, weight_norm=normed,
    inference=inferred, fx=lambda: torch.fx.symbolic_trace(small()), program=lambda: exported(small()),
    any_batch=lambda: exported(small(), dynamic_shapes={'input': {0: torch.export.Dim('n')}}))


@pytest.mark.parametrize('how', WRAPPED)
def test_wrapped_networks_are_read_and_left_as_they_are(how):
    net = WRAPPED[how]()
    before = getattr(net, 'training', None), {k: v.clone() for k, v in (net.state_dict() if how not in (
        'program', 'any_batch') else net.state_dict).items()}
    kinds = [s.kind for s in import_model(net, torch.rand(4, 3, 8, 8)).steps]
    assert kinds == ['conv', 'act', 'mean', 'view', 'linear']
    after = net.state_dict() if before[0] is not None else net.state_dict
    assert getattr(net, 'training', None) == before[0] and all(torch.equal(v, after[k]) for k, v in before[1].items())


class Counts(nn.Module):
    def __init__(self): super().__init__(); self.register_buffer('n', torch.zeros(1))
    def forward(self, x): self.n += 1; return x + self.n


def shuffled(x): return x[:, torch.randperm(4)]


def remembered(x, seen=[]):
    seen.append(0)
    return x * (1 + .1 * len(seen))


@pytest.mark.parametrize('net, says', [
    (torch.jit.script(nn.Linear(4, 2)), 'the module that it was made from'), (Counts(), 'a state that stays'),
    (Call(shuffled), 'chance'), (Call(remembered), 'escapes the trace'), (nn.GRU(4, 4), 'GRU'),
    (Call(lambda x: x if x.sum() > 0 else -x), 'must not branch')])
def test_what_cannot_be_read_is_refused(net, says, capfd):
    x = torch.rand(3, 5, 4) if says == 'GRU' else torch.rand(3, 4)
    with pytest.raises(UnsupportedOp, match=says): import_model(net, x)
    assert capfd.readouterr() == ('', '')


def random_arch(rng):
    "A path of our own blocks with every option left to chance."
    any = rng.choice
    blocks, width = [Downsample(any((4, 8)), any(('conv', 'conv_pool', 'ir')), 2)], None
    for _ in range(any((0, 1, 2))): blocks.append(InvertedResidual(any((None, 6)), 2, any((1, 2))))
    if any((0, 1)): blocks.append(Residual(any((None, 6))))
    size = (16, 24, any((1, 3)))
    for _ in range(any((1, 2))):
        convs = any((True, False))
        width = 12 if convs else Arch(size, 2, tuple(blocks)).shapes()[-1][2]
        how = dict(cout=any((None, 8)), convs=True) if convs else dict(convs=False)
        blocks.append(Transformer(width, any((1, 2)), any((5, 12)), any((1, 2)), **how))
    return Arch(size, 5, tuple(blocks), any((0, 7)))


def trained(arch, seed=0):
    "The network with statistics, gains and offsets that are not those it starts with."
    torch.manual_seed(seed)
    net = build(arch)
    for m in net.modules():
        if isinstance(m, (nn.BatchNorm2d, nn.LayerNorm)): nn.init.uniform_(m.weight, .5, 2), nn.init.normal_(m.bias)
        if isinstance(m, nn.BatchNorm2d): m.running_mean.normal_(), m.running_var.uniform_(.5, 2)
    h, w, c = arch.input
    return net.eval(), torch.rand(3, c, h, w)


def features(arch):
    "What a path has that another may lack."
    def of(b): return (b.kind, getattr(b, 'stride', None)) if not isinstance(b, Transformer) else (b.convs, b.depth)
    adds = {s.name.endswith('.add') for s in layers(arch)}
    return {*map(of, arch.blocks), ('head', arch.head > 0), ('add', True in adds), ('channels', arch.input[2])}


def same_graph(a, b):
    "Raise where two graphs differ in more than the rounding of their weights."
    def told(g): return [(s.kind, s.name, s.inputs, s.shape, s.attrs, {k: v.shape for k, v in s.params.items()})
                         for s in g.steps]
    assert told(a) == told(b)
    assert (a.shapes, a.inputs, a.outputs, a.notes) == (b.shapes, b.inputs, b.outputs, b.notes)
    for s, t in zip(a.steps, b.steps):
        for k, v in t.params.items(): assert torch.allclose(s.params[k], v, 1e-5, 1e-5), (s.name, k)


def exported_graph(net, x, monkeypatch):
    "What `torch.export` makes of a network that could be read without it."
    with monkeypatch.context() as m:
        m.setattr(importer, 'read_own', lambda *_: None)
        return import_model(net, x)


def not_exported(*_): raise AssertionError('this network went through torch.export')


@pytest.mark.thorough
def test_our_networks_are_read_as_after_an_export(monkeypatch):
    rng, seen = random.Random(1), set()
    for seed in range(10):
        arch = random_arch(rng)
        net, x = trained(arch, seed)
        with monkeypatch.context() as m:
            m.setattr(importer, 'export', not_exported)
            own = import_model(net, x)
        same_graph(own, exported_graph(net, x, monkeypatch))
        with torch.no_grad(): assert torch.allclose(own.run(x), net(x), 1e-4, 1e-4)
        seen |= features(arch)
    wanted = {('conv', None), ('conv_pool', None), ('ir', None), ('ir', 1), ('ir', 2), ('3x3', 1), ('head', True),
              ('head', False), ('add', True), ('add', False), ('channels', 1), ('channels', 3)}
    assert seen >= wanted | {(convs, depth) for convs in (True, False) for depth in (1, 2)}


class Doubled(Net):
    def forward(self, x): return 2 * super().forward(x)


def doubled(net): net.__class__ = Doubled
def masked(net): mask.l1_unstructured(net.blocks[1].expand, 'weight', .5)
def reparametrised(net): nn.utils.parametrizations.weight_norm(net.classifier)
def hooked(net): net.blocks[1].register_forward_hook(lambda m, x, y: y + 1)
def pre_hooked(net): net.classifier.register_forward_pre_hook(lambda m, x: (x[0] * 2,))
def another_act(net): net.blocks[0].relu = nn.SiLU()
def another_forward(net): net.classifier.forward = torch.sigmoid
def shared(net): net.head_relu = net.blocks[0].relu
def circular(net): net.blocks[0].conv.padding_mode = 'circular'
def another_pool(net): net.blocks[0].pool = nn.MaxPool2d(3, 2, 1)


@pytest.mark.parametrize('change', [doubled, masked, reparametrised, hooked, pre_hooked, another_act, another_forward,
                                    shared, circular, another_pool])
def test_a_network_that_was_changed_goes_through_export(change, monkeypatch):
    net, x = trained(Arch((8, 8, 3), 5, (Downsample(8), InvertedResidual()), 7))
    monkeypatch.setattr(importer, 'export', not_exported)
    monkeypatch.setattr(importer, 'check', lambda *_: None)     # not because its values differ
    import_model(net, x)
    change(net)
    with pytest.raises(AssertionError, match='went through'): import_model(net, x)


def test_our_networks_are_compared_with_their_steps(monkeypatch):
    net, x = trained(Arch((8, 8, 3), 5, (Downsample(8), InvertedResidual()), 7))
    forward = Net.forward
    monkeypatch.setattr(Net, 'forward', lambda self, x: 1.01 * forward(self, x))
    monkeypatch.setattr(importer, 'export', not_exported)
    with pytest.raises(AssertionError, match='went through'): import_model(net, x)


def test_a_mean_over_a_line_goes_through_export(monkeypatch):
    net, x = trained(Arch((8, 2, 3), 5, (Downsample(8),)))
    with torch.no_grad(): assert torch.allclose(import_model(net, x).run(x), net(x), 1e-4, 1e-4)
    monkeypatch.setattr(importer, 'export', not_exported)
    with pytest.raises(AssertionError, match='went through'): import_model(net, x)


class Causal(nn.Module):
    "Attention whose mask is a buffer with -inf."
    def __init__(self):
        super().__init__()
        self.qkv, self.head = nn.Linear(6, 24), nn.Linear(8, 3)
        self.register_buffer('mask', nn.Transformer.generate_square_subsequent_mask(5))

    def forward(self, x):
        q, k, v = self.qkv(x).chunk(3, -1)
        return self.head((q @ k.transpose(1, 2) * 8**-.5 + self.mask).softmax(-1) @ v)


@pytest.mark.parametrize('make', [lambda net, x: net, lambda net, x: torch.export.export(net, (x,))])
def test_a_mask_with_minus_infinity_may_be_a_buffer(make):
    torch.manual_seed(0)
    net, x = Causal().eval(), torch.randn(8, 5, 6)
    steps = import_model(make(net, x[:1]), x)
    assert [s.kind for s in steps.steps].count('attention') == 1
    with torch.no_grad(): assert torch.allclose(steps.run(x), net(x), 1e-4, 1e-4)
    net.mask[0, 1] = math.nan
    with pytest.raises(BadInput, match='not finite, in mask'): import_model(make(net, x[:1]), x)


class Queries(nn.Module):
    "Learned queries that attend to each other first: attention and dropout of what does not depend on the input."
    def __init__(self, **words):
        super().__init__()
        self.layer = nn.TransformerDecoderLayer(8, 2, 16, batch_first=True, **words)
        self.queries, self.head = nn.Parameter(torch.randn(1, 3, 8)), nn.Linear(8, 3)

    def forward(self, x): return self.head(self.layer(self.queries.expand(len(x), -1, -1), x).mean(1))


@pytest.mark.parametrize('words', [{}, dict(dropout=0., norm_first=True)])
def test_learned_queries_that_attend_to_each_other(words):
    torch.manual_seed(0)
    net, x = Queries(**words).eval(), torch.randn(8, 5, 8)
    steps = import_model(net, x)
    assert [s.kind for s in steps.steps].count('attention') == 1           # the other one is a constant
    with torch.no_grad(): assert torch.allclose(steps.run(x), net(x), 1e-4, 1e-4)


@pytest.mark.parametrize('draw', [lambda e: F.dropout(e, .5, True), torch.bernoulli, torch.rand_like])
def test_numbers_drawn_anew_are_refused(draw):
    class Net(nn.Module):
        def __init__(self): super().__init__(); self.fc, self.e = nn.Linear(4, 3), nn.Parameter(torch.rand(3))
        def forward(self, x): return self.fc(x) + draw(self.e)
    with pytest.raises(UnsupportedOp, match='chance'): import_model(Net().eval(), torch.rand(8, 4))
