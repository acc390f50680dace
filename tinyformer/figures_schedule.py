"Pictures of lifetimes, bands and rings; each draws plain numbers and returns its Axes."
import matplotlib.pyplot as plt
import numpy as np


def draw_lives(
    names: list, # of tensors, from the top
    lives: list, # (first, last) step of each
    steps: int,  # that are shown; longer lives are cut there
    ax=None,     # matplotlib Axes, or None for new ones
):               # the Axes
    "One bar for each tensor, from the step that makes it to the last one that reads it (pure function)."
    ax = ax or plt.subplots(figsize=(6, 2.6))[1]
    for name, (first, last) in zip(names, lives):
        ax.barh(name, min(last, steps) + 1 - first, left=first, color='C0')
    ax.invert_yaxis()
    ax.set(xlabel='step', xticks=np.arange(steps + 1), xlim=(0, steps + 1))
    return ax


def draw_live_bytes(
    apart: np.ndarray, # bytes at each step when nothing is written in place
    live: np.ndarray,  # bytes at each step
    ax=None,           # matplotlib Axes, or None for new ones
):                     # the Axes
    "Live bytes of each step, with and without writing in place (pure function)."
    ax = ax or plt.subplots(figsize=(6, 2.4))[1]
    ax.bar(range(len(live)), apart, color='0.8', label='nothing in place')
    ax.bar(range(len(live)), live, color='C0', label='in place')
    ax.set(xlabel='step', ylabel='live bytes', xticks=range(0, len(live), 2))
    ax.legend(fontsize=8)
    return ax


def band_grid(
    made: list,  # (first, end) of the rows that each band makes of a tensor
    oldest: list,# first row that is still needed in each band
    height: int, # rows of the tensor
) -> np.ndarray: # [rows, bands]: 0 absent, 1 kept from before, 2 made in this band
    "Which rows of a tensor exist in which band."
    grid = np.zeros((height, len(made)))
    for b, ((first, end), old) in enumerate(zip(made, oldest)):
        grid[old:first, b] = 1
        grid[first:end, b] = 2
    return grid


def draw_bands(
    grids: dict, # title -> as `band_grid` gives
):               # array of the Axes
    "Rows of each tensor against bands; dark ones are made, light ones are kept (pure function)."
    fig, axs = plt.subplots(1, len(grids), figsize=(6, 2.6), sharey=True, layout='constrained', squeeze=False)
    for ax, (title, grid) in zip(axs[0], grids.items()):
        ax.imshow(grid, cmap='Blues', aspect='auto', vmin=0, vmax=2)
        ax.set(title=title, xlabel='band')
    axs[0, 0].set_ylabel('row')
    return axs[0]


def draw_ring(
    rows: int,  # of the map
    slots: int, # rows that the ring holds
    ax=None,    # matplotlib Axes, or None for new ones
):              # the Axes
    "Which row each slot of a ring holds when a 3x3 window makes row y (pure function)."
    ax = ax or plt.subplots(figsize=(5, 1.5))[1]
    held = {}
    for y in range(rows):
        for made in range(min(y + 2, rows)): held[made % slots] = made
        for slot, row in held.items():
            ax.barh(slot, .9, .8, y, color='C0', alpha=.35 if abs(row - y) < 2 else .08)
            ax.text(y + .45, slot, f'row {row}', ha='center', va='center', fontsize=8)
    ax.set(xticks=[y + .45 for y in range(rows)], xticklabels=[f'y = {y}' for y in range(rows)],
           xlim=(0, rows - .1), yticks=range(slots), yticklabels=[f'slot {k}' for k in range(slots)],
           title='dark: read for row y')
    return ax


def draw_road(
    steps: list, # of (name, what it gives)
    ax=None,     # matplotlib Axes, or None for new ones
):               # the Axes
    "Steps from left to right, what each gives below it (pure function)."
    ax = ax or plt.subplots(figsize=(7, 1.2))[1]
    for i, (name, what) in enumerate(steps):
        ax.text(i, .2, name, ha='center', va='center', weight='bold',
                bbox=dict(boxstyle='round,pad=.6', fc='C0', alpha=.2))
        ax.text(i, -.45, what, ha='center', va='center', fontsize=7)
        if i: ax.annotate('', (i - .4, .2), (i - .6, .2), arrowprops=dict(arrowstyle='->'))
    ax.set(xlim=(-.5, len(steps) - .5), ylim=(-.6, .6))
    ax.axis('off')
    return ax
