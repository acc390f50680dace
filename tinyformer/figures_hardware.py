"""The pictures of pages `01_hardware` and `01a_instructions`: boards as bars and as points, the memories of a chip, and
what a multiply-add costs.

Each function draws what it is given, returns its Axes and changes nothing else."""
import matplotlib.pyplot as plt

from .hardware import F746_MEMORY, targets
from .units import KB, format_bytes

NAMES_AT = {'stm32f746': (-52, 4), 'nrf52840': (-48, -9), 'stm32f407': (4, -10), 'rp2040': (4, -10),
            'stm32h743': (-39, -10), 'nrf5340': (-42, 3)}     # board → where its name has room, in points


def plot_boards(
    ax=None # matplotlib Axes, or None for a new one
):          # the Axes
    "Draw flash and SRAM of every target as bars; returns the Axes (pure function)."
    ax = ax or plt.subplots(figsize=(7, 4))[1]
    ts = targets()[::-1]
    for off, attr, color in ((.2, 'flash_bytes', 'tab:orange'), (-.2, 'sram_bytes', 'tab:blue')):
        ax.barh([i + off for i in range(len(ts))], [getattr(t, attr) / KB for t in ts], .38, color=color,
                label=attr[:-6])
    ax.set(xscale='log', xlabel='KB', yticks=range(len(ts)), yticklabels=[f'{t.name} ({t.core})' for t in ts],
           title='Memory of the known targets')
    ax.legend(loc='lower right')
    ax.figure.tight_layout()
    return ax


def plot_memory(
    regions=F746_MEMORY, # of `Region`
    ax=None              # matplotlib Axes, or None for a new one
):                       # the Axes
    "Draw regions as boxes in address order; returns the Axes (pure function)."
    ax = ax or plt.subplots(figsize=(7, 2.2))[1]
    x = 0
    for i, r in enumerate(regions):
        w = max(6, (r.size / KB) ** .5)
        ax.barh(0, w, 1, x, color=f'C{i}', alpha=.55, edgecolor='k')
        ax.text(x + w / 2, 0, f'{r.name}\n{format_bytes(r.size)}\n{r.start:#010x}', ha='center', va='center',
                fontsize=7, rotation=0 if w > 9 else 90)
        x += w
    ax.set(yticks=[], xticks=[], xlim=(0, x), ylim=(-.5, .5), title='Memories of the STM32F746, not to scale')
    return ax


def plot_fit(
    flash_kb: int, # flash the model needs, KB
    sram_kb: int   # SRAM the model needs, KB
):                 # the Axes
    "Draw the boards one can buy, and mark those that hold a model of this size; returns the Axes."
    ax = plt.subplots(figsize=(7, 3.4))[1]
    shown = [t for t in targets() if not t.machine]
    fits = [t.flash_bytes >= flash_kb * KB and t.sram_bytes >= sram_kb * KB for t in shown]
    for t, ok in zip(shown, fits):
        x, y = t.flash_bytes / KB, t.sram_bytes / KB
        ax.scatter(x, y, color='tab:green' if ok else 'lightgrey', edgecolor='k', zorder=3)
        ax.annotate(t.name, (x, y), xytext=NAMES_AT.get(t.name, (4, 4)), textcoords='offset points', fontsize=8)
    ax.axvspan(flash_kb, 2e5, color='tab:green', alpha=.08)
    ax.axhspan(sram_kb, 1e4, color='tab:green', alpha=.08)
    ax.set(xscale='log', yscale='log', xlim=(64, 2e5), ylim=(8, 1e4), xlabel='flash (KB)', ylabel='SRAM (KB)',
           title=f'{sum(fits)} of {len(fits)} targets hold {flash_kb} KB of flash and {sram_kb} KB of SRAM')
    ax.figure.tight_layout()
    return ax


def plot_per_mac(
    instructions: list, # per multiply-add, for 1, 2, .. pixels
    least: float        # what they tend to
):                      # the Axes
    "Draw what a multiply-add costs over the pixels that share unpacked weights; returns the Axes (pure function)."
    ax = plt.subplots(figsize=(5, 2.2))[1]
    ax.bar(range(1, len(instructions) + 1), instructions)
    ax.axhline(least, color='k', ls=':', lw=1)
    ax.set(xlabel='pixels that share unpacked weights', ylabel='instructions\nper multiply-add')
    return ax
