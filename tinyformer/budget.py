"""Which layers lose weights so that a network meets a budget: what each layer costs at each sparsity, what its loss is,
and the cheapest combination."""
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from tinyformer.codegen import constant_bytes, constants
from tinyformer.errors import BadInput, DoesNotFit
from tinyformer.graph import prunable
from tinyformer.kernels import choose
from tinyformer.pruning import block_mask
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


def _torch_layout(w): return torch.from_numpy(w.astype(np.float32)).movedim(-1, 1) if w.ndim == 4 else \
    torch.from_numpy(w.astype(np.float32))


def pruned_op(
    op,       # operator with weights [cout, kh, kw, cin] or [cout, cin]
    block,    # block shape
    sparsity, # 0 to 1
): # Op
    "The operator with its smallest blocks set to zero."
    w = op.params['weight']
    mask = block_mask(_torch_layout(w), block, sparsity)
    mask = mask.movedim(1, -1) if w.ndim == 4 else mask
    return replace(op, params=op.params | dict(weight=np.ascontiguousarray(w * mask.numpy().astype(np.int8))))


def layers_of(
    graph,             # int8 model
    target,            # board
    objective='bytes', # see `kernels.choose`
    levels=LEVELS,     # shares that may go
): # list of Layer
    "Every layer that may be pruned, with what it costs at each sparsity."
    found = []
    for op in graph.ops:
        if 'weight' not in op.params or not prunable(op): continue
        layer = Layer(op.name, block_of(op), [], op.params['weight'].size)
        for s in levels:
            c = choose(pruned_op(op, layer.block, s) if s else op, target, objective)
            layer.options.append(Option(s, c.weight_bytes, c.time, c.instructions))
        found.append(layer)
    return found


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
            for share in MEASURED:
                module.weight.copy_(kept * block_mask(kept, layer.block, share))
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


def choose_sparsities(
    layers, # of `layers_of`, with losses
    limits, # Limits
): # list: index of each layer's option
    "Take the step that saves most of what is over for the least loss, until nothing is over."
    chosen = [0] * len(layers)
    while over := _over(totals(layers, chosen), limits):
        best, step = 0., None
        for k, layer in enumerate(layers):
            now = layer.options[chosen[k]]
            for i in range(chosen[k] + 1, len(layer.options)):
                new = layer.options[i]
                saved = sum(min(1., (MEASURES[m](layer, now) - MEASURES[m](layer, new)) / v) for m, v in over.items())
                price = max(new.loss - now.loss, 1e-9)
                if saved > 0 and saved / price > best: best, step = saved / price, (k, i)
        if step is None:
            what = ', '.join(f'{k} by {v:,.0f}' for k, v in over.items())
            raise DoesNotFit(f'even with {LEVELS[-1]:.0%} of the weights gone the network is over its limits ({what}). '
                             'Choose a larger board, other limits, or a smaller network; tinyformer fit shows the prices.')
        chosen[step[0]] = step[1]
    return chosen


def uniform(
    layers, # of `layers_of`
    limits, # Limits
): # the smallest level at which all layers together meet the limits, or None
    "One sparsity for all layers: what can be said before any loss is measured."
    for i in range(len(LEVELS)):
        if not _over(totals(layers, [i] * len(layers)), limits): return i
    return None


def check_sparsity(text):
    "'auto', or a share between 0 and 0.95."
    if text == 'auto': return text
    try: share = float(text)
    except ValueError: share = -1.
    if 0 <= share <= LEVELS[-1]: return share
    raise BadInput(f"--sparsity is {text!r}: it must be auto, or a number from 0 to {LEVELS[-1]}")
