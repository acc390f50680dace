"""What flash and SRAM buy: accuracy over both limits, from trained networks.

    tinyformer map --data gtsrb --record nbs/experiments/results/map_gtsrb.json

SRAM decides how wide a network may be, flash how many of its weights stay. So each width is pruned to each limit of
flash, and every network is trained with the same number of images, pruned while it learns, and made int8. A pair of
limits gets the network that is most often right of those whose image fits. It is chosen by one half of the validation
images, and the map shows what it gets right on the other half. The test images are not read."""
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch

from tinyformer import pipeline as pl, provenance, run_record
from tinyformer.ablation import fitted, interval
from tinyformer.ablation_counts import built_and_run
from tinyformer.arch import Arch, residual_arch
from tinyformer.blocks import build
from tinyformer.data import Dataset, find_arrays, hold_out, to_int8
from tinyformer.errors import BadInput, check_number
from tinyformer.hardware import parse_bytes, target
from tinyformer.lowering import lower
from tinyformer.machine import Machine, multiplies_bf16
from tinyformer.quantization import quantize
from tinyformer.run_config import Stage
from tinyformer.training import TrainConfig, evaluate

BOARD = 'stm32f746'
SRAM = '12KB', '16KB', '20KB', '24KB'  # limits of the map
ROOM = .99         # share of the flash that the cost model may fill: what a stream takes, only its trained weights say
MOST = .95         # sparsity above which a network is not tried
CALIBRATION = 1000 # training images for the ranges


@dataclass(frozen=True)
class MapConfig:
    "What every network of a map shares."
    dataset:str='gtsrb'
    flash:tuple=('48KB', '64KB', '96KB') # limits
    widths:tuple=(8, 12, 16, 24)         # channels of the first of three stages
    images:int=60_000                    # shown in each training
    batch_size:int=128
    lr:float=.1                          # of SGD with Nesterov's momentum
    momentum:float=.9
    rise:tuple=(.1, .6)                  # shares of the training between which sparsity rises


# ---- the networks ----------------------------------------------------------------------------------------------------

def widened(
    arch:Arch,   # any
    times:float, # 2 doubles all channels
)->Arch:
    "The same network with more or fewer channels."
    def wider(b):
        sizes = {k: round(times * v) for k in ('cout', 'dim', 'ffn') if (v := getattr(b, k, None))}
        return replace(b, **sizes)
    return replace(arch, blocks=tuple(map(wider, arch.blocks)), head=round(times * arch.head))


def networks(
    cfg:MapConfig, # widths and limits of flash
    shape:tuple,   # height, width and channels of an image
    classes:int,   # number of classes
)->dict: # (width, limit of flash) -> Arch
    "What is trained: each width at each limit, where weights are left and no smaller limit gives the same network."
    board, first, found = target(BOARD), residual_arch('mini', shape, classes), {}
    for width in cfg.widths:
        wide = widened(first, width / first.blocks[0].cout)
        for flash in cfg.flash:
            arch = fitted(wide, ROOM * parse_bytes(flash), board)
            sparse = max([b.sparsity for b in arch.blocks] + [arch.head_sparsity])
            if sparse <= MOST and arch not in found.values(): found[width, flash] = arch
    return found


# ---- the images ------------------------------------------------------------------------------------------------------

def halves(
    y:np.ndarray,      # labels [n]
    groups:np.ndarray, # [n], or None: see `data.hold_out`
    seed:int=0,
)->tuple: # indices: train, those to choose by, those to show
    "Train and two parts of validation; no group is in two of them."
    train, val = hold_out(y, groups, .2, seed)
    first, second = hold_out(y[val], None if groups is None else groups[val], .5, seed)
    return train, val[first], val[second]


def parts(
    name:str, # see `data.load`
)->tuple: # (Dataset that validates on the first half, images and labels of the second)
    "A data set whose validation images are in two halves."
    a = find_arrays(name)
    if 'x_val' in a: raise BadInput(f'{name} brings its own validation images: a map needs to divide them itself.')
    x, y = a['x_train'], a['y_train']
    train, choose, show = halves(y, a.pop('group_train', None))
    a |= dict(x_train=x[train], y_train=y[train], x_val=x[choose], y_val=y[choose])
    return Dataset(name=name, **a), (x[show], y[show])


# ---- one network, one seed -------------------------------------------------------------------------------------------

def trained(
    arch:Arch,     # of `networks`
    data:Dataset,  # of `parts`
    cfg:MapConfig, # budget
    seed:int,      # of weights, order and distortions
    file:Path,     # checkpoint to continue from
): # QuantNet
    "Train and prune at once, in bfloat16 where the processor multiplies so; then int8 by calibration."
    how = TrainConfig(batch_size=cfg.batch_size, lr=cfg.lr, momentum=cfg.momentum, images=cfg.images, weight_decay=5e-4,
                      warmup=.2, ema=.99, seed=seed)
    torch.manual_seed(seed)
    net = build(arch)
    pl.train_stage(net, data, Stage(how, rise=cfg.rise, every=20), file, arch, looks=1, progress=False,
                   machine=Machine(bf16=multiplies_bf16(), channels_last=True))
    return quantize(net.eval(), data.x_train[:CALIBRATION])


def run_of(
    arch:Arch,     # of `networks`
    key:tuple,     # its (width, limit of flash)
    data:Dataset,  # of `parts`
    shown:tuple,   # images and labels of the second half
    cfg:MapConfig, # budget
    seed:int,      # see `trained`
    out:Path,      # folder of checkpoints
)->dict: # what the record keeps
    "One network with one seed: what it gets right on both halves, and what the engine makes of it."
    began, (width, flash) = time.process_time(), key
    Path(out).mkdir(parents=True, exist_ok=True)
    qnet = trained(arch, data, cfg, seed, Path(out)/f'{cfg.dataset}_{width}_{flash}_{seed}.ckpt')
    graph = lower(qnet, name=f'map{width}')
    sizes = built_and_run(graph, target(BOARD), dict(memory='least'), to_int8(data.x_val[:1]))
    kept = 'flash_bytes', 'sram_bytes', 'arena_bytes', 'instructions', 'cycles', 'compiler'
    return dict(width=width, flash=flash, seed=seed, chosen_by=evaluate(qnet, data.x_val, data.y_val),
                accuracy=evaluate(qnet, *shown), **{k: sizes[k] for k in kept},
                weight_sparsity=graph.weight_sparsity(), choose_images=len(data.y_val), shown_images=len(shown[1]),
                cpu_seconds=round(time.process_time() - began, 1), commit=provenance.commit())


def record(
    file:Path,        # JSON; what it holds already is kept
    cfg:MapConfig,    # what all networks share
    seeds:int=1,      # 0 .. seeds - 1
    out:Path='runs/map', # folder of checkpoints
    command:str='',   # that was typed
    told=print,       # f(text), after each run
)->dict: # meta, runs
    "Train every network with every seed that the record lacks; each is kept as soon as it is there."
    check_number('images', cfg.images, 10 * cfg.batch_size, 10**12)
    key = 'width', 'flash', 'seed'
    runs = run_record.read(file, cfg, key, (), 'a map')['runs']
    done = {tuple(r[k] for k in key) for r in runs}
    torch.set_num_threads(1)
    data, shown = parts(cfg.dataset)
    archs = networks(cfg, data.shape, len(data.classes))
    todo = [(*name, seed) for seed in range(seeds) for name in archs]
    for i, (width, flash, seed) in enumerate(todo, 1):
        if (width, flash, seed) in done: continue
        runs.append(r := run_of(archs[width, flash], (width, flash), data, shown, cfg, seed, out))
        run_record.write(file, runs, asdict(cfg), command)
        told(f"{i} of {len(todo)}: {width} channels, {flash}, seed {seed}: {r['accuracy']:.1%} right, "
             f"{r['flash_bytes']:,} and {r['sram_bytes']:,} bytes, {r['cpu_seconds']:.0f} s of CPU")
    return run_record.read(file, cfg, key, (), 'a map')


# ---- what the runs say -----------------------------------------------------------------------------------------------

def summed(
    runs:list, # of a record
)->list: # of dict: width, flash, seeds, chosen_by, accuracy, half, bytes
    "The seeds of each network together: mean accuracies, and the most bytes."
    found = []
    for name in dict.fromkeys((r['width'], r['flash']) for r in runs):
        mine = [r for r in runs if (r['width'], r['flash']) == name]
        mean, half = interval([r['accuracy'] for r in mine])
        found.append(dict(zip(('width', 'flash'), name)) | dict(
            seeds=len(mine), chosen_by=float(np.mean([r['chosen_by'] for r in mine])), accuracy=mean, half=half,
            **{k: max(r[k] for r in mine) for k in ('flash_bytes', 'sram_bytes', 'arena_bytes')},
            **{k: float(np.mean([r[k] for r in mine])) for k in ('instructions', 'weight_sparsity')}))
    return found


def winner(
    nets:list, # of `summed`
    flash:int, # bytes
    sram:int,  # bytes
)->dict: # of `summed`; None where nothing fits
    "The network that is most often right, on the images to choose by, of those that fit."
    fit = [n for n in nets if n['flash_bytes'] <= flash and n['sram_bytes'] <= sram]
    return max(fit, key=lambda n: n['chosen_by'], default=None)


def grid(
    runs:list,  # of a record
    flash:list, # limits, such as '64KB'
    sram:list,  # likewise
)->dict: # (limit of flash, limit of SRAM) -> winner
    "The winner of every pair of limits."
    nets = summed(runs)
    return {(f, s): winner(nets, parse_bytes(f), parse_bytes(s)) for f in flash for s in sram}


def _lines(head, rows):
    "A table in markdown, all columns to the right."
    return '\n'.join(f"| {' | '.join(map(str, line))} |" for line in [head, ['--:'] * len(head), *rows])


def nets_table(
    runs:list, # of a record
)->str: # markdown
    "Every network that was trained, the narrowest first."
    rows = []
    for n in summed(runs):
        right = f"{100 * n['accuracy']:.1f}" + (f" ± {100 * n['half']:.1f}" if n['half'] is not None else '')
        rows.append([n['width'], n['flash'], f"{n['flash_bytes']:,}", f"{n['sram_bytes']:,}", f"{n['arena_bytes']:,}",
                     f"{n['weight_sparsity']:.0%}", f"{n['instructions'] / 1e6:.1f}", f"{100 * n['chosen_by']:.1f}",
                     right, n['seeds']])
    return _lines(('channels', 'limit of flash', 'flash, B', 'SRAM, B', 'arena, B', 'zeros', 'M instructions',
                   'right, % (to choose)', 'right, % (shown)', 'seeds'), rows)


def map_table(
    runs:list,  # of a record
    flash:list, # limits
    sram:list=SRAM, # limits
)->str: # markdown
    "What the winner of each pair of limits gets right, and its width."
    cells, rows = grid(runs, flash, sram), []
    for f in flash:
        said = [f"{100 * n['accuracy']:.1f} ({n['width']})" if (n := cells[f, s]) else '-' for s in sram]
        rows.append([f, *said])
    return _lines(('flash', *(f'SRAM {s}' for s in sram)), rows)


def draw_map(
    runs:list,  # of a record
    flash:list, # limits
    sram:list=SRAM, # limits
): # matplotlib Figure
    "A heat map of accuracy over both limits; a pure drawing."
    import matplotlib.pyplot as plt
    cells = grid(runs, flash, sram)
    right = np.array([[100 * n['accuracy'] if (n := cells[f, s]) else np.nan for s in sram] for f in flash])
    fig, ax = plt.subplots(figsize=(1.2 * len(sram) + 1.4, .6 * len(flash) + 1.2), layout='constrained')
    image = ax.imshow(right, cmap='viridis', aspect='auto', origin='lower')
    middle = (np.nanmin(right) + np.nanmax(right)) / 2
    for i, f in enumerate(flash):
        for j, s in enumerate(sram):
            text = f"{right[i, j]:.1f}\n{cells[f, s]['width']} channels" if cells[f, s] else 'nothing'
            ax.text(j, i, text, ha='center', va='center', fontsize=8,
                    color='black' if right[i, j] > middle else 'white' if cells[f, s] else '0.4')
    ax.set(xticks=range(len(sram)), xticklabels=sram, yticks=range(len(flash)), yticklabels=flash,
           xlabel='limit of SRAM', ylabel='limit of flash')
    fig.colorbar(image, label='right, %')
    return fig
