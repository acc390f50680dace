"""Does a network fit a board, and if not, what would make it: answered before anything is trained."""
import math, tempfile
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from tinyformer import budget as bg
from tinyformer.cycles import milliseconds, three_ms, why_unknown, with_waiting
from tinyformer.deploy import Needs, check, limits_of, measure, over
from tinyformer.errors import DoesNotFit, MissingTool
from tinyformer.evaluation import Setting, footprint
from tinyformer.hardware import target as board_named, targets
from tinyformer.lowering import lower
from tinyformer.pruning import prune_once
from tinyformer.quantization import quantize
from tinyformer.simulator import build


BOARDS = 3
"Other boards at most that are named."


@dataclass
class Change:
    "Something that a person could do, what the model then takes, and what it costs otherwise."
    what: str         # as it is typed, or in words
    target: str       # name of the board
    flash: int        # bytes, estimated
    sram: int         # bytes, estimated
    instructions: int # of one inference, estimated
    ms: float         # estimated, with the likely waiting where that is known; None where no cycles are known
    price: str        # in words
    fits: bool
    est_cycles: int = None    # of the core alone
    stall_cycles: list = None # spent waiting for memory: [at least, likely, at most]; None where that is unknown
    cycles: int = None        # both, as far as they are known


@dataclass
class Beside:
    "What an image takes beside constants and arena, and how far predictions of its time are off: measured once."
    code: int      # bytes of flash
    sram: int      # bytes of variables and stack
    cycles: float  # the core's, measured over predicted; None where they are unknown
    stalls: list   # [at least, likely, at most] cycles of waiting for each of the core; None where that is unknown
    instructions: float # measured over predicted


def beside(graph, cfg, memory, b):
    "Build the model and run it once, to know what no prediction has."
    n = measure(graph, cfg, memory)
    waits = n.est_cycles and n.stall_cycles and [w / n.est_cycles for w in n.stall_cycles]
    return Beside(n.flash - b.constants, n.sram - b.arena, n.est_cycles and n.est_cycles / max(1, b.time), waits,
                  n.instructions / max(1, b.instructions))


def _time(b, extra):
    "Predicted cycles: what `Needs` has of them."
    core = extra.cycles and round(b.time * extra.cycles)
    waits = extra.stalls and [round(core * w) for w in extra.stalls]
    return dict(cycles=with_waiting(core, waits), est_cycles=core, stall_cycles=waits)


def _row(what, b, board, cfg, price, extra):
    "A change with its bill."
    n = Needs(b.constants + extra.code, b.arena + extra.sram, round(b.instructions * extra.instructions), memory='',
              **_time(b, extra))
    return _change(what, n, board, price, not over(n, cfg))


def _change(what, n, board, price, fits=True):
    "A change with what the model needs then."
    return Change(what, board.name, n.flash, n.sram, n.instructions, milliseconds(n.cycles, board), price, fits,
                  n.est_cycles, n.stall_cycles, n.cycles)


def _at(b, layers, i):
    "The bill with every layer at one sparsity."
    a, z = bg.totals(layers, [0] * len(layers)), bg.totals(layers, [i] * len(layers))
    less = {k: a[k] - z[k] for k in ('flash', 'time', 'instructions')}
    return replace(b, constants=b.constants - less['flash'], time=b.time - less['time'],
                   instructions=b.instructions - less['instructions'])


def _sparsities(graph, qnet, board, cfg, bills, extra):
    "The least sparsity that fits, as an image was built with it; with bands only where it takes them."
    layers = bg.layers_of(graph, qnet, board, cfg.kernels)
    for memory, b in bills.items():
        for i in range(1, len(bg.LEVELS)):
            what = f'--sparsity {bg.LEVELS[i]:g}' + f' --memory {memory}' * (memory != 'low')
            less = _at(b, layers, i)
            if not _row(what, less, board, cfg, '', extra).fits: continue
            cut = bg.cut_graph(graph, qnet, layers, [i] * len(layers))
            n = measure(cut, cfg, memory)
            if not over(n, cfg):
                return [_change(what, n, board, 'accuracy, which --finetune wins back')]
            extra = replace(extra, code=max(extra.code, n.flash - less.constants))   # sparse kernels are code too
    return []


def _boards(graph, cfg, board):
    "Boards that hold the model as it is, the smallest first, as an image was built for each and run."
    rows = []
    for t in sorted(targets(), key=lambda t: (t.flash_bytes, t.sram_bytes)):
        if t.machine or t.name == board.name or cfg.max_ms and not t.cpu.cycle_model: continue
        b, other = bg.bill(graph, t, 'low', cfg.kernels), replace(cfg, target=t.name, flash='', sram='')
        if b.constants > t.flash_bytes or b.arena > t.sram_bytes: continue
        n = measure(graph, other, 'low')
        if over(n, other): continue
        rows.append(_change(f'--target {t.name}', n, t, f'{t.board}, {t.core} at {t.clock_hz / 1e6:.0f} MHz'))
        if len(rows) == BOARDS: break
    return rows


def _width(now, board, cfg, extra):
    "The width at which weights and maps would fit: both shrink with it."
    lim, code = limits_of(cfg), extra.code
    room = [math.sqrt(max(0, lim['flash'] - code) / max(1, now.constants)),
            (lim['sram'] - extra.sram) / max(1, now.arena)]
    if 'cycles' in lim: room.append(math.sqrt(lim['cycles'] / max(1, _time(now, extra)['cycles'])))
    if 'instructions' in lim: room.append(math.sqrt(lim['instructions'] / max(1,
                                                                              now.instructions * extra.instructions)))
    w = math.floor(20 * min(1., *room)) / 20
    if not .25 <= w < 1: return []
    less = replace(now, constants=int(now.constants * w * w), arena=int(now.arena * w), time=int(now.time * w * w),
                   instructions=int(now.instructions * w * w))
    return [_row(f'{w:g} of the width', less, board, cfg, 'a narrower network, trained anew', extra)]


def fit_report(
    net_or_graph, # nn.Module, or int8 graph
    x,            # float inputs as the network reads them, for the ranges
    cfg,          # deploy.Settings
): # (graph, Change as it is, list of Change that fit)
    "What a network takes on a board, and the changes that make it fit."
    check(replace(cfg, finetune=0))
    board, is_graph = cfg.board(), hasattr(net_or_graph, 'ops')
    qnet = None if is_graph else quantize(net_or_graph, x).eval()
    graph = net_or_graph if is_graph else lower(qnet, 'model')
    bills = {m: bg.bill(graph, board, m, cfg.kernels) for m in ('low', 'least', 'fast')}
    asked = 'low' if cfg.memory == 'auto' else cfg.memory
    extra = beside(graph, cfg, asked, bills[asked])
    def row(what, b, price): return _row(what, b, board, cfg, price, extra)
    now = row(f'as it is (--memory {asked})', bills[asked], '')
    if now.fits: return graph, now, []
    rows = [row(f'--memory {m}', b, _slower(b, bills[asked])) for m, b in bills.items() if m != asked]
    if cfg.kernels == 'bytes': rows.append(row('--objective speed', bg.bill(graph, board, asked, 'speed'), 'flash'))
    rows = [r for r in rows if r.fits]
    if not is_graph:
        rows += _sparsities(graph, qnet, board, cfg, {m: bills[m] for m in ('low', 'least')}, extra)
        rows += [r for r in _width(bills[asked], board, cfg, extra) if r.fits]
    return graph, now, rows + _boards(graph, cfg, board)


def _slower(b, than):
    more, what = b.time / max(1, than.time) - 1, 'time' if b.cycles else 'instructions'
    return f'{more:.1%} more {what}' if more > 5e-4 else f'no {what}'


def fit_text(name, cfg, now, rows):
    "What a person reads."
    b, lim = cfg.board(), limits_of(cfg)
    limit = [f"{lim['flash']:,} bytes of flash", f"{lim['sram']:,} of SRAM"]
    if cfg.max_ms: limit.append(f'{cfg.max_ms:g} ms')
    if cfg.max_instructions: limit.append(f'{cfg.max_instructions:,} instructions')
    head = f"{name} {'fits' if now.fits else 'does not fit'} {b.name} with {', '.join(limit)}"
    shown = [now, *rows]
    wide = max(len(r.what) for r in shown)
    titles = f"{'flash':>12}{'SRAM':>12}{'instructions':>15}{'core ms':>9}{'waiting':>9}{'est. ms':>9}  price"
    lines = [f"{'':<{wide}}{titles}"]
    for r in shown:
        times = ''.join(f'{t:>9}' for t in three_ms(vars(r), board_named(r.target)))
        lines.append(f'{r.what:<{wide}}{r.flash:>12,}{r.sram:>12,}{r.instructions:>15,}{times}  {r.price}')
    unknown = dict.fromkeys(why_unknown(board_named(r.target)) for r in shown if r.ms is None)
    lines += [f'time: {why}' for why in unknown]
    if any(r.stall_cycles for r in shown):
        lines.append('time: the estimate of the core, and the likely waiting for memory as it is modelled')
    if not now.fits: lines.insert(2, 'any one of these makes it fit:' if rows
                                  else 'nothing that is known here makes it fit')
    return '\n'.join([head, *lines])


def foresee(
    model: torch.nn.Module,  # as it begins; it is not changed
    plan: dict,  # of its pruning: module name → (block shape, sparsity)
    x: object,  # uint8 [n, h, w, c]: some images
    flash: str,  # limit, such as '100KB'
    sram: str,  # limit
) -> str:  # a line to print
    "What the C of a network will take once it is pruned. Its weights are random yet: how many are zero decides."
    net, how, asked = deepcopy(model).cpu(), Setting(flash=flash, sram=sram), f'{flash} of flash and {sram} of SRAM'
    with torch.random.fork_rng(devices=[]):
        for name in plan: torch.nn.init.normal_(net.get_submodule(name).weight)
    prune_once(net, plan)
    graph = lower(quantize(net.eval(), x), name='foreseen')
    with tempfile.TemporaryDirectory() as d:
        try:
            firmware = how.firmware(graph, Path(d))
            taken = footprint(firmware, build(firmware))
        except MissingTool as e: return f'whether it will fit {asked} is not known: {e}'
        except DoesNotFit as e: return f'it will be too large for {asked}, unless it is given more: {e}'
    return f"as C about {taken['flash']['total']:,} bytes of flash and {taken['sram']['bss']:,} of SRAM; fits {asked}"
