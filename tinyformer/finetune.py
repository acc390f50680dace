"""Training while weights go: every convolution gets a batch norm that changes nothing, the dense network is the
teacher, and in the end the norms are folded away."""
import copy

import numpy as np
import torch, torch.nn as nn, torch.nn.functional as F

from tinyformer import budget as bg
from tinyformer.augmentation import augment
from tinyformer.data import Dataset
from tinyformer.errors import BadInput
from tinyformer.pruning import Pruner, agp_sparsity
from tinyformer.quantization import QLayer, read, watch
from tinyformer.training import Checkpoint, Run as Training, TrainConfig, identity, loss_of, make_optimiser

KINDS = 'conv', 'scale'
"Layers that get a norm: those over maps, whose many places make a batch's mean a good one."
LR = 5e-3
"Peak learning rate where none is given."
SEEN = 2048
"Inputs at most that a norm's mean and variance are taken from."
PRUNING = .6
"Share of the steps after which all weights that go are gone."
AUGMENT = 'none', 'shift', 'flip'


# ---- batch norm, put in and folded away ------------------------------------------------------------------------------

class Normed(nn.Module):
    "A layer of a `QuantNet` with a batch norm behind its sums; the function is the same until one of both is trained."
    def __init__(self,
        layer, # QLayer; `fold` gives it back
    ):
        super().__init__()
        self.layer, self.norm = layer, nn.BatchNorm1d(len(layer.bias))
        self.norm.running_var.fill_(1 - self.norm.eps)
        with torch.no_grad(): self.norm.bias.copy_(layer.bias)

    @property
    def out(self): return self.layer.out

    def forward(self, xs, qs):
        "As the layer, in exact arithmetic."
        m = self.layer
        y = m.product(xs[0], m.weight * m.mask, torch.zeros_like(m.bias))
        rows = y.reshape(-1, y.shape[-1])
        self.norm.train(self.training and len(rows) > 1)
        return m.out(self.norm(rows).reshape(y.shape))

    @torch.no_grad()
    def centre(self,
        mean, # [cout] of the sums
        var,  # [cout]
    ):
        "Let the norm take out what the sums have, and put it back; all rows of the weights become alike in length."
        n, w = self.norm, self.layer.weight
        rows = w.flatten(1) if w.ndim > 1 else w[:, None]
        length = rows.norm(dim=1)
        k = torch.where(length > 0, 1 / length.clamp_min(1e-20), 1.)
        w.mul_(k.reshape(-1, *[1] * (w.ndim - 1)))
        n.running_mean.copy_(mean * k); n.running_var.copy_(var * k * k)
        n.weight.copy_((n.running_var + n.eps).sqrt() / k); n.bias.add_(mean)

    @torch.no_grad()
    def fold(self): # QLayer
        "The layer, with the norm inside its weights and bias."
        n, m = self.norm, self.layer
        k = n.weight / (n.running_var + n.eps).sqrt()
        m.weight.mul_(k.reshape(-1, *[1] * (m.weight.ndim - 1)))
        m.bias.copy_(n.bias - n.running_mean * k)
        return m


def normed(net): return [m for m in net.modules() if isinstance(m, Normed)]


def _answering(net):
    "Layers whose sums are outputs, maybe through views: their scale is part of the answer."
    names, found = [net.output], set()
    while names:
        name = names.pop()
        if name == 'input': continue
        found.add(net.layer(name))
        if net.layer(name).out is None: names += net.reads(name)
    return found


@torch.no_grad()
def insert(
    net, # QuantNet, changed in place
    x,   # float inputs as it reads them
): # the same
    "Put a batch norm behind every convolution, with the mean and variance that its sums have."
    last = _answering(net)
    for key, m in net.layers.items():
        free = isinstance(m, QLayer) and m.kind in KINDS and m.scales is None
        if free and m not in last: net.layers[key] = Normed(m)
    sums = {m: [] for m in normed(net)}
    def note(norm, args, m): sums[m].append(torch.stack([args[0].mean(0), args[0].square().mean(0)]))
    hooks = [m.norm.register_forward_pre_hook(lambda n, a, m=m: note(n, a, m)) for m in sums]
    for b in x[:: -(-len(x) // SEEN)].split(256): exactly(net.eval())(b)
    for h in hooks: h.remove()
    for m, parts in sums.items():
        mean, square = torch.stack(parts).mean(0)
        m.centre(mean, (square - mean.square()).clamp_min(0))
    return net


def exactly(net): return watch(net, note=False)


@torch.no_grad()
def refresh(
    net,  # QuantNet with norms, changed in place
    x,    # float inputs as it reads them
    size, # inputs of a batch, as in training
): # the same
    "Take the running means and variances anew, as the mean over batches: they lag behind weights that move."
    norms = [m.norm for m in normed(net)]
    if not norms: return net.eval()
    for n in norms: n.reset_running_stats(); n.momentum = None         # None: the plain mean of all batches
    for b in x[:: -(-len(x) // SEEN)].split(size): exactly(net.train())(b)
    for n in norms: n.momentum = .1
    return net.eval()


def fold(net):
    "Put every layer back, its norm folded in: the same function, and the network is as it was imported."
    for key, m in net.layers.items():
        if isinstance(m, Normed): net.layers[key] = m.fold()
    return net


# ---- inputs for the training loop ------------------------------------------------------------------------------------

class Bytes:
    "Inputs as bytes and back: what the training loop shuffles, and what the network reads."
    def __init__(self, x):
        flat = x.reshape(len(x), -1)
        self.shape, self.lo, self.hi = tuple(x.shape[1:]), float(flat.min()), float(flat.max())
        self.step = max((self.hi - self.lo) / 255, 1e-12)

    def encode(self, x):
        b = ((x - self.lo) / self.step).round().clamp(0, 255).to(torch.uint8).numpy()
        return b.reshape(len(b), 1, int(np.prod(self.shape)), 1)

    def decode(self, x):
        "[n, 1, values, 1] in [0, 1], as the loop gives them -> what the network reads."
        return (x * 255 * self.step + self.lo).reshape(len(x), *self.shape)


def check_augment(how, shape=(0, 0, 0)):
    "Refuse a change that there is not, or that inputs of this shape cannot take."
    if how not in AUGMENT: raise BadInput(f"--augment is {how!r}: it must be {', '.join(AUGMENT)}")
    if how == 'none' or len(shape) == 3: return
    raise BadInput(f'--augment {how} moves pictures (c, h, w), and the network reads {tuple(shape)}: leave it out')


def changed(
    x,   # float [n, ...] as the network reads it
    how, # 'none', 'shift' or 'flip'
):
    "Inputs as they might have been: moved by up to an eighth of the height, and half of them mirrored."
    if how == 'none': return x
    return augment(x, shift=max(1, x.shape[2] // 8), flip=how == 'flip')


# ---- the training ----------------------------------------------------------------------------------------------------

def joined(y):
    "Outputs side by side, [n, values]."
    return torch.cat([v.reshape(len(v), -1) for v in (y if isinstance(y, tuple) else (y,))], 1)


class Tuning(Training):
    "Training with the dense network as teacher; without labels its outputs are the only goal."
    form, augment, labels = None, 'none', True

    def loss(self, step, x, y):
        x = changed(self.form.decode(x), self.augment)
        with torch.no_grad(): want = joined(self.judge(x))
        got = joined(self.forward(self.model, x, step))
        if self.labels: return loss_of(got, y, self.cfg, want)
        return F.mse_loss(got, want) / want.square().mean().clamp_min(1e-12)


class NetPruner(Pruner):
    """A `Pruner` that knows how the shadow network holds its weights. Its masks are the layers' own, so that a weight
    which is gone has no gradient: behind a row of zeros a norm would make a huge one of it."""
    def step(self, step):
        if step < self.begin: return
        self.apply()
        t = self.last_change(step)
        if t != step and self.masks: return
        for name, (block, s) in self.plan.items():
            layer = self.model.get_submodule(name)
            self.masks[name] = bg.mask_for(layer.weight, block, agp_sparsity(t, self.begin, self.end, s))
            layer.mask.copy_(self.masks[name])
        self.apply()


def _names(net, plan):
    "Path of a layer in the network -> its name in the plan."
    paths = {id(m): path for path, m in net.named_modules()}
    return {paths[id(weighted(net, n))]: n for n in plan}


def weighted(net, name):
    "The layer that holds the weights, behind a norm or not."
    m = net.layer(name)
    return m.layer if isinstance(m, Normed) else m


def finetune(
    source, # float network, or what `importer.import_model` takes
    plan,   # layer -> (block shape, final sparsity)
    x,      # float inputs to train with, as the network reads them
    y,      # their labels, int64 [n]; None: the dense network's outputs are the goal
    judge,  # f(QuantNet in evaluation mode) -> figure of merit after each epoch, or None
    epochs, # passes over the inputs
    *,
    lr=LR, batch_size=64, seed=0,
    augment='none', # 'shift' moves pictures, 'flip' mirrors them as well
    checkpoint=None, # file to go on from
    progress=False,  # show a bar
): # (QuantNet that rounds, its ranges set; history)
    "Automated gradual pruning over the first 60 % of the steps, with batch norm and the dense network as teacher."
    check_augment(augment, x.shape[1:])
    net, form = read(source, x), Bytes(x)
    teacher = exactly(copy.deepcopy(net).eval())
    insert(net, x)
    labels = np.zeros(len(x), np.int64) if y is None else y
    none = form.encode(x[:0]), labels[:0]
    classes = tuple(map(str, range(1 + int(labels.max()))))
    data = Dataset('finetune', form.encode(x), labels, *none, *none, classes, 'finetune')
    cfg = TrainConfig(epochs=epochs, batch_size=batch_size, lr=lr, augment=False, seed=seed, label_smoothing=0.,
                      distill=.7, clip=1.)
    names = _names(net, plan)
    loop = Tuning(net, data, cfg, make_optimiser(net, cfg), None, teacher, lambda s, t, m: pruner.step(s))
    pruner = NetPruner(net, {path: plan[n] for path, n in names.items()}, 0, int(loop.total * PRUNING), 2)
    loop.form, loop.augment, loop.labels = form, augment, y is not None
    file = Checkpoint(checkpoint, identity(net, data, cfg) | dict(augment=augment)) if checkpoint else None
    hist = loop.train(lambda m: judge(exactly(m.eval())), file, dict(pruner=pruner), progress, 'pruning')
    fold(refresh(exactly(net), x, batch_size))
    return watch(net, False).eval(), hist
