"""Which layers lose weights so that a network meets a budget: what each layer costs at each sparsity, what its loss is,
and the cheapest combination."""
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from tinyformer.codegen import constant_bytes, constants
from tinyformer.errors import BadInput, DoesNotFit
from tinyformer.kernels import candidates, choose
from tinyformer.pruning import block_mask
from tinyformer.quantization import watch
from tinyformer.schedule import choose_chains, choose_kernels, plan_arena

LEVELS = 0., .1, .2, .3, .4, .5, .55, .6, .65, .7, .75, .8, .85, .9, .95
"Shares of a layer's blocks that may go."
MEASURED = .3, .5, .7, .8, .9, .95
"Shares at which the loss is measured; between them it is interpolated."
WORK = 6e10
"Multiply-accumulates that measuring the losses may take, in all."


@dataclass
class Option:
    "One layer at one sparsity."
    sparsity: float
    flash: int        # bytes of its weights
    time: int         # predicted cycles, or instructions where no cycles are known
    instructions: int # predicted
    loss: float = 0.  # mean square error of the network's outputs, over their mean square


@dataclass
class Layer:
    "A layer that may be pruned."
    name: str
    block: str
    options: list = field(default_factory=list)
    weights: int = 0


@dataclass
class Limits:
    "What may not be exceeded; None is no limit."
    flash: int = None        # bytes of weights of the layers that may be pruned
    time: int = None         # cycles of them
    instructions: int = None # instructions of them
    kept: int = None         # weights of them that may be kept


# ---- what a layer costs ----------------------------------------------------------------------------------------------

def block_of(op):
    "The block shape for a layer: four channels together, as far as it has them."
    cin = op.params['weight'].shape[-1]
    return '1x4' if cin % 4 == 0 or cin > 16 else '1x2' if cin % 2 == 0 else '1x1'


def mask_for(
    weight,   # [cout, cin] or [cout, kh, kw, cin], as a QuantNet holds it
    block,    # block shape
    sparsity, # share of the blocks that go
): # bool, of the weight's shape: True = kept
    "Which weights stay: those in the blocks with the largest norms, along the input channels."
    weight = weight.detach()
    if weight.ndim < 4: return block_mask(weight, block, sparsity)
    return block_mask(weight.movedim(-1, 1), block, sparsity).movedim(1, -1)


def cut(
    qnet,     # QuantNet that the operator was made from
    op,       # operator with weights [cout, kh, kw, cin] or [cout, cin]
    block,    # block shape
    sparsity, # 0 to 1
): # Op
    "The operator without the weights that go."
    w, mask = op.params['weight'], mask_for(qnet.layer(op.name).weight, block, sparsity)
    kept = mask.numpy().reshape(w.shape).astype(np.int8)
    return replace(op, params=op.params | dict(weight=np.ascontiguousarray(w * kept)))


def layers_of(
    graph,             # int8 model
    qnet,              # QuantNet that it was made from
    target,            # board
    objective='bytes', # see `kernels.choose`
): # list of Layer
    "Every layer whose zeros a kernel can leave out, with what it costs at each sparsity."
    found = []
    for op in graph.ops:
        if 'weight' not in op.params or not any(c.block for c in candidates(op, target)): continue
        layer = Layer(op.name, block_of(op), [], op.params['weight'].size)
        for s in LEVELS:
            c = choose(cut(qnet, op, layer.block, s) if s else op, target, objective)
            layer.options.append(Option(s, c.weight_bytes, c.time, c.instructions))
        found.append(layer)
    return found


def cut_graph(
    graph,  # int8 model
    qnet,   # QuantNet that it was made from
    layers, # of `layers_of`
    chosen, # index of each layer's option
): # Graph
    "The model without the chosen blocks: what an image of it takes is known before the rest makes up for them."
    plan = {l.name: (l.block, l.options[i].sparsity) for l, i in zip(layers, chosen) if i}
    return replace(graph, ops=[cut(qnet, op, *plan[op.name]) if op.name in plan else op for op in graph.ops])


@dataclass
class Bill:
    "What a whole model costs on a board, predicted; code and stack come on top."
    constants: int    # bytes of flash
    arena: int        # bytes
    time: int         # cycles, or instructions where no cycles are known
    instructions: int
    cycles: bool      # time is in cycles


def bill(
    graph,             # int8 model
    target,            # board
    memory='low',      # see `schedule.choose_chains`
    objective='bytes', # see `kernels.choose`
): # Bill
    "Predict constants, arena and time of a model without compiling it."
    picked = choose_kernels(graph, target, None, objective)
    held = constant_bytes(constants(graph, picked))
    arena = plan_arena(graph, picked, None, choose_chains(graph, picked, memory)).size
    cs = picked.values()
    return Bill(held, arena, sum(c.time for c in cs),
                sum(c.instructions for c in cs), all(c.cycles is not None for c in cs))


# ---- the network without them ----------------------------------------------------------------------------------------

def prune_net(
    qnet,   # QuantNet, changed in place
    layers, # of `layers_of`
    chosen, # index of each layer's option
):
    "Take the chosen blocks out."
    with torch.no_grad():
        for l, i in zip(layers, chosen):
            m = qnet.layer(l.name)
            m.weight.mul_(mask_for(m.weight, l.block, l.options[i].sparsity))
            m.mask.copy_(m.weight != 0)
    return qnet


def _inputs(qnet, names, x):
    "What some layers read, exactly, for some inputs."
    held, hooks = {}, []
    for n in names:
        def keep(module, args, n=n): held[n] = args[0][0].detach()
        hooks.append(qnet.layer(n).register_forward_pre_hook(keep))
    with torch.no_grad(): watch(qnet.eval())(x)
    watch(qnet, False)
    for h in hooks: h.remove()
    return held


STEPS = 20
"Steps of conjugate gradients for each layer."


def _least_squares(m, x, want):
    "Weights and bias of a layer that come nearest to some sums, by conjugate gradients; zeros stay zero."
    mask = m.mask
    def apply(w, b): return m.product(x, w * mask, b)
    def back(r):
        w, b = torch.zeros_like(m.weight, requires_grad=True), torch.zeros_like(m.bias, requires_grad=True)
        return torch.autograd.grad(apply(w, b), (w, b), r)
    w, b = m.weight.detach().clone(), m.bias.detach().clone()
    r = want - apply(w, b)
    g = back(r)
    p, power = g, sum(float(v.square().sum()) for v in g)
    for _ in range(STEPS):
        q = apply(*p)
        if not power or not float(q.square().sum()): break
        a = power / float(q.square().sum())
        w, b, r = w + a * p[0], b + a * p[1], r - a * q
        g = back(r)
        last, power = power, sum(float(v.square().sum()) for v in g)
        p = [v + power / last * u for v, u in zip(g, p)]
    return w * mask, b


def make_up(
    dense,  # QuantNet with all its weights
    pruned, # the same after `prune_net`; changed in place
    names,  # layers that lost weights, in the order in which they run
    x,      # float inputs as the network reads them
    macs,   # of one input
    tick=lambda: None, # called once per layer
):
    "Let the weights that stay make up for those that went: layer by layer the nearest sums, by least squares."
    n = int(np.clip(WORK / max(1, macs * (3 * STEPS + len(names))), 4, min(64, len(x))))
    x = x[:: max(1, len(x) // n)][:n]
    before = _inputs(dense, names, x)
    for name in names:
        d, m = dense.layer(name), pruned.layer(name)
        with torch.no_grad(): want = d.product(before.pop(name), d.weight * d.mask, d.bias)
        now = _inputs(pruned, [name], x)[name]
        with torch.enable_grad(): w, b = _least_squares(m, now, want)
        with torch.no_grad(): m.weight.copy_(w); m.bias.copy_(b)
        tick()
    return pruned


# ---- what a layer loses ----------------------------------------------------------------------------------------------

def measure_losses(
    qnet,     # QuantNet, ranges set
    layers,   # of `layers_of`; their losses are filled in
    x,        # float inputs as the network reads them
    macs,     # of one input
    tick=lambda: None, # called once per measurement
):
    "Prune one layer at a time and see how far the outputs move."
    n = int(np.clip(WORK / max(1, macs * len(layers) * len(MEASURED)), 8, min(128, len(x))))
    x = x[:: max(1, len(x) // n)][:n]
    qnet.eval()
    with torch.no_grad():
        want = qnet(x)
        power = float(want.square().mean()) + 1e-12
        for layer in layers:
            module, found, worst = qnet.layer(layer.name), [0.], 0.
            kept = module.weight.detach().clone()
            for share in MEASURED:                             # the largest blocks stay the largest
                module.weight.mul_(mask_for(module.weight, layer.block, share))
                worst = max(worst, float((qnet(x) - want).square().mean()) / power)
                found.append(worst)
                tick()
            module.weight.copy_(kept)
            for option in layer.options: option.loss = float(np.interp(option.sparsity, (0., *MEASURED), found))


# ---- the cheapest combination ----------------------------------------------------------------------------------------

MEASURES = dict(flash=lambda l, o: o.flash, time=lambda l, o: o.time, instructions=lambda l, o: o.instructions,
                kept=lambda l, o: (1 - o.sparsity) * l.weights)


def totals(layers, chosen):
    "What the layers cost together at the chosen options."
    pairs = list(zip(layers, chosen))
    return {k: sum(f(l, l.options[i]) for l, i in pairs) for k, f in MEASURES.items()}


def _over(sums, limits):
    "How far each limit is exceeded."
    return {k: sums[k] - v for k, v in vars(limits).items() if v is not None and sums[k] > v}


TRUSTED = .25
"Loss of one layer alone up to which it is a measure."


def prices(
    layer, # Layer with losses
): # list of floats, one per option
    """What each sparsity costs in a choice: the loss as far as it is small. Once the outputs are lost they cannot be
    lost again, and the measured loss stops growing. So from `TRUSTED` on it grows as fewer weights are left."""
    shares, losses = [o.sparsity for o in layer.options], [o.loss for o in layer.options]
    left = TRUSTED * (1 - float(np.interp(TRUSTED, losses, shares)))
    return [loss if loss <= TRUSTED else left / (1 - share) for share, loss in zip(shares, losses)]


def choose_sparsities(
    layers, # of `layers_of`, with losses
    limits, # Limits
): # list: index of each layer's option
    "Take the step that saves most of what is over for the least loss, until nothing is over."
    chosen, costs = [0] * len(layers), [prices(l) for l in layers]
    while over := _over(totals(layers, chosen), limits):
        best, step = 0., None
        for k, layer in enumerate(layers):
            now = layer.options[chosen[k]]
            for i in range(chosen[k] + 1, len(layer.options)):
                new = layer.options[i]
                saved = sum(min(1., (MEASURES[m](layer, now) - MEASURES[m](layer, new)) / v) for m, v in over.items())
                price = max(costs[k][i] - costs[k][chosen[k]], 1e-9)
                if saved > 0 and saved / price > best: best, step = saved / price, (k, i)
        if step is None:
            what = ', '.join(f'{k} by {v:,.0f}' for k, v in over.items())
            raise DoesNotFit(f'even with {LEVELS[-1]:.0%} of the weights gone the network is over its limits ({what}). '
                             'Choose a larger board, other limits, or a smaller network; tinyformer fit shows the '
                             'prices.')
        chosen[step[0]] = step[1]
    return chosen


def check_sparsity(text):
    "'auto', or a share between 0 and 0.95."
    if text == 'auto': return text
    try: share = float(text)
    except ValueError: share = -1.
    if 0 <= share <= LEVELS[-1]: return share
    raise BadInput(f"--sparsity is {text!r}: it must be auto, or a number from 0 to {LEVELS[-1]}")
