"""Pictures of pruned weights and of the schedule. Each function is pure: it draws what it is given."""
import matplotlib.pyplot as plt
import numpy as np

from tinyformer.pruning import agp_sparsity, norm_kept
from tinyformer.rle_encoding import BLOCKS


def plot_masks(
    masks:dict, # title -> bool tensor [cout, cin], True = kept
    w=None,     # weights to show where they are kept; None = show the mask
):              # matplotlib Figure
    "Draw masks side by side, pruned weights white."
    fig, axs = plt.subplots(1, len(masks), figsize=(7, 1.9), squeeze=False)
    for ax, (title, m) in zip(axs[0], masks.items()):
        m = m.numpy()
        v = np.ones(m.shape) if w is None else w.detach().abs().numpy()
        ax.imshow(np.where(m, v, np.nan), cmap='viridis', vmin=0, vmax=float(v.max()))
        ax.set(title=title, xticks=[], yticks=[], xlabel='input channels')
    axs[0][0].set_ylabel('outputs')
    return fig


def plot_norm_kept(
    matrices:dict, # title -> weights
):                 # matplotlib Figure
    "Draw the norm that is kept, against sparsity and against stored bytes."
    ss = np.linspace(0, .95, 20)
    fig, axs = plt.subplots(1, 2*len(matrices), figsize=(7, 2.4), sharey=True, squeeze=False)
    for i, (title, w) in enumerate(matrices.items()):
        for block, b in BLOCKS.items():
            y = [norm_kept(w, block, s) for s in ss]
            axs[0][2*i].plot(ss, y, label=block)
            axs[0][2*i+1].plot((1 - ss)*(1 + b)/b, y)
        axs[0][2*i].set(title=title, xlabel='sparsity')
        axs[0][2*i+1].set(title=title, xlabel='bytes per weight', xlim=(0, 1))
    axs[0][0].set_ylabel('norm kept'); axs[0][0].legend(fontsize=7)
    fig.tight_layout()
    return fig


def plot_schedule(
    begin:int=20,     # first step that prunes
    end:int=140,      # step from which the final sparsity holds
    s_final:float=.8, # final sparsity
    every:int=10,     # steps between new masks
    steps:int=200,    # steps of the training
):                    # matplotlib Axes
    "Draw the cubic schedule and the stairs that a `Pruner` follows."
    ax, t, end = plt.subplots(figsize=(5, 2.4))[1], np.arange(steps), max(begin, end)
    held = [x if x < begin or x >= end else x - (x - begin) % every for x in t]
    ax.plot(t, [agp_sparsity(x, begin, end, s_final) for x in t], lw=1, label='schedule')
    ax.step(t, [agp_sparsity(x, begin, end, s_final) for x in held], where='post', lw=1,
            label=f'new masks every {every} steps')
    ax.set(xlabel='training step', ylabel='sparsity', ylim=(0, 1))
    ax.legend(loc='lower right', fontsize=7)
    return ax


def plot_measured(
    sparsities:list, # share of zero weights after each step
):                   # matplotlib Axes
    "Draw the measured sparsity of a network over its training."
    ax = plt.subplots(figsize=(5, 2.2))[1]
    ax.plot(sparsities)
    ax.set(xlabel='training step', ylabel='measured sparsity', ylim=(0, 1))
    return ax
