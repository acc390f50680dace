"""Figures of the pages on costs and search spaces. Each function draws what it is given and changes nothing else."""
import matplotlib.pyplot as plt
import numpy as np

from tinyformer.arch import layers
from tinyformer.cost_model import price
from tinyformer.hardware import target
from tinyformer.path_costs import sample_costs
from tinyformer.search_space import cifar_space, digits_space

BUDGETS_KB = dict(small=(256, 64), middle=(512, 128), large=(1024, 320))
"Flash and SRAM, in KB, that each size of `cifar_space` is meant for."


# ---- 18 cost_model ---------------------------------------------------------------------------------------------------

def plot_live(
    live:dict, # step → bytes that are needed
    bound:int  # lower bound of the arena, bytes
)->plt.Axes:
    "The bytes that are needed at each step, and the most of them."
    ax = plt.subplots(figsize=(6, 2))[1]
    ax.step(list(live), list(live.values()), where='post')
    ax.axhline(bound, color='C3', ls='--', label=f'lower bound {bound:,} bytes')
    ax.set(xlabel='step (layer)', ylabel='live bytes')
    ax.legend()
    return ax


def plot_cores(
    arch:object, # a path
    boards:list  # of `Target`, two
)->plt.Axes:
    "Instructions of each layer on two boards."
    ax, specs = plt.subplots(figsize=(7, 2.6), layout='constrained')[1], layers(arch)
    for k, t in enumerate(boards):
        counts = [price(l, t).instructions/1e3 for l in specs]
        ax.bar(np.arange(len(specs)) + .4*(k - .5), counts, .4, label=f'{t.core}: {sum(counts):,.0f} thousand')
    ax.set_xticks(range(len(specs)), [l.name.removeprefix('blocks.') for l in specs], rotation=90, fontsize=6)
    ax.set(ylabel='thousand instructions', yscale='log')
    ax.legend(fontsize=7)
    return ax


# ---- 19a path_costs --------------------------------------------------------------------------------------------------

def plot_costs(
    scale:float=1.,  # factor on all widths of the digits family
    sparsity:float=.8, # of every prunable layer, 0 to below 1
    flash_kb:int=36, # budget
    sram_kb:int=16,  # budget
    n:int=200,       # paths to draw, at least 1
    board:str='stm32f746', # name of the target whose core sets the prices
)->plt.Axes:
    "Flash against arena for random paths, with a budget."
    def wide(*widths): return tuple(sorted({max(4, 4*round(scale*w/4)) for w in widths}))
    space = digits_space(stem=wide(8, 12, 16), width=wide(16, 24, 32), dim=wide(16, 24, 32),
                         ffn=wide(32, 64, 96), head=wide(32, 48, 64), sparsity=(sparsity,))
    costs, ax = sample_costs(space, n, 0, target(board)), plt.subplots(figsize=(4.5, 2.4))[1]
    kb = np.stack([costs.storage_bytes, costs.peak_bytes], 1)/1024
    fits = (kb <= (flash_kb, sram_kb)).all(1)
    ax.scatter(*kb.T, s=8, c=np.where(fits, 'C0', 'C3'))
    ax.plot([0, flash_kb, flash_kb], [sram_kb, sram_kb, 0], 'k--', lw=1)
    ax.set(xlabel='flash, KB', ylabel='arena, KB', xlim=(0, None), ylim=(0, None))
    ax.set_title(f'{fits.mean():.0%} of {n} paths within {flash_kb} KB and {sram_kb} KB')
    return ax


def plot_clouds(
    board:object, # a `Target`, whose core sets the prices
    n:int=5000,   # paths of each space
    seed:int=0    # of the draw
)->plt.Axes:
    "Flash against arena of random paths of the three CIFAR-10 spaces, each with its budget."
    ax = plt.subplots(figsize=(6, 3))[1]
    for k, (size, (flash, sram)) in enumerate(BUDGETS_KB.items()):
        c = sample_costs(cifar_space(size), n, seed, board)
        ax.scatter(c.storage_bytes/1024, c.peak_bytes/1024, s=2, color=f'C{k}', label=f'{size}: {flash} KB, {sram} KB')
        ax.plot([0, flash, flash], [sram, sram, 0], '--', color=f'C{k}', lw=1)
    ax.set(xlabel='flash, KB', ylabel='arena, KB', xlim=(0, None), ylim=(0, None))
    ax.legend(fontsize=8, markerscale=4)
    return ax


# ---- 19b supernet ----------------------------------------------------------------------------------------------------

def draw_corners(
    corners:dict # name of a path → (output channels, input channels), from the largest down
)->plt.Axes:
    "The corner of one shared matrix that each path reads."
    ax, (most_out, most_in) = plt.subplots(figsize=(3.5, 2.2))[1], next(iter(corners.values()))
    for name, (o, i) in corners.items():
        ax.add_patch(plt.Rectangle((0, 0), i, o, alpha=.35, fc='C0', ec='k'))
        ax.text(i - .3, o - .3, name, ha='right', va='bottom', fontsize=7)
    ax.set(xlim=(0, most_in), ylim=(most_out, 0), xlabel='input channels', ylabel='output channels')
    return ax


def draw_recalibrated(
    before:list, # accuracy of each path with the averages of the supernet
    after:list   # and with its own
)->plt.Axes:
    "Accuracy of paths before and after BatchNorm's averages were measured again."
    ax, at = plt.subplots(figsize=(4.5, 2))[1], np.arange(len(before))
    ax.bar(at - .2, before, .4, label='inherited statistics')
    ax.bar(at + .2, after, .4, label='recalibrated')
    ax.set(xlabel='path', ylabel='validation accuracy', ylim=(0, 1))
    ax.legend(fontsize=7)
    return ax
