"""The pictures of page `02a_rle_sizes`: how the length of a stream is spread, and how it falls with the sparsity.

Each function draws what it is given, returns its Axes and changes nothing else. A stream itself is drawn by
`rle_plot`."""
import matplotlib.pyplot as plt
import numpy as np

from .rle_encoding import BLOCKS
from .rle_sizes import bound_bytes, crossover, dense_bytes, expected_bytes, layer_bytes


def plot_lengths(
    lengths: list # bytes of some streams
):                # the Axes
    "Draw how many streams have each length; returns the Axes (pure function)."
    ax = plt.subplots(figsize=(5, 2))[1]
    ax.hist(lengths, bins=range(min(lengths), max(lengths) + 2))
    ax.set(xlabel='bytes of the stream', ylabel='masks', ylim=(0, None))
    return ax


def plot_sizes(
    block: str = '1x4',      # block shape of the thick line
    sparsity: float = .75,   # where to read off the sizes
    rows: int = 64,          # output channels
    cin: int = 64,           # input channels
    taps: int = 1            # kernel positions
):                           # the Axes
    "Draw layer size against sparsity for all block shapes; returns the Axes (pure function)."
    ax = plt.subplots(figsize=(7, 3.4))[1]
    s, args = np.linspace(0, 1, 101), (rows, cin, taps)
    for i, name in enumerate(BLOCKS):
        sizes, width = [expected_bytes(*args, name, x) for x in s], 3 if name == block else 1
        ax.plot(s, sizes, color=f'C{i}', lw=width, label=f'{name} stream')
    ax.plot(s, [bound_bytes(*args, block, x) for x in s], 'k:', lw=1, label=f'{block} bound')
    ax.axhline(dense_bytes(*args), color='grey', ls='--', label='dense')
    ax.axvline(crossover(*args, block), color='grey', lw=.5)
    ax.plot(sparsity, expected_bytes(*args, block, sparsity), 'ko', zorder=5)
    ax.set(xlabel='sparsity (share of blocks pruned)', ylabel='bytes', xlim=(0, 1), ylim=(0, None),
           title=f'{block} at {sparsity:.0%}: {layer_bytes(*args, block, sparsity):.0f} of {dense_bytes(*args)} bytes')
    ax.legend(fontsize=8)
    return ax


def mark_sizes(
    ax,           # Axes of `plot_sizes`
    measured: list # of (name of a block shape, sparsity, bytes of a stream)
):                # the Axes
    "Mark streams that were encoded, as crosses in the colour of their block shape."
    for name, sparsity, size in measured: ax.plot(sparsity, size, 'x', color=f'C{list(BLOCKS).index(name)}')
    return ax
