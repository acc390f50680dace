"""The pictures of pages `03_memory_alloc` and `03a_memories`, beside `buffers.plot_plan`: lives of buffers, how the
busiest bytes fill a memory, and a plan in more than one memory, drawn and as a table.

Each function draws what it is given and changes nothing else."""
import matplotlib.pyplot as plt

from .buffers import pieces, plot_plan
from .memory_alloc import live_bytes, lower_bound


def plot_lifetimes(
    intervals: list,  # Intervals
    align: int = 8,  # bytes
):  # matplotlib Figure
    "Draw (a pure function) the life of each interval above the bytes live at each step."
    fig, (top, low) = plt.subplots(2, 1, figsize=(5, 2.8), sharex=True, height_ratios=(3, 2))
    for k, i in enumerate(intervals):
        for start, stop, *_ in pieces(i):
            top.barh(k, stop - start, left=start, align='center', color=f'C{k % 10}')
    labels = [f'{i.name} ({i.size})' for i in intervals]
    top.set(yticks=range(len(intervals)), yticklabels=labels)
    top.invert_yaxis()
    live = live_bytes(intervals, align)
    low.stairs(list(live.values())[:-1], list(live), fill=True, color='lightgrey')
    low.axhline(lower_bound(intervals, align), color='red', ls='--', lw=1)
    low.set(xlabel='step', ylabel='live bytes')
    return fig


def plot_poured(
    live: list,  # of (name, bytes moved, size in bytes)
    room: int,  # bytes of the fast memory
):  # matplotlib Axes
    "Draw (a pure function) the live bytes, busiest first, and where the fast memory ends."
    ax, at = plt.subplots(figsize=(6.5, 1.8))[1], 0
    for k, (name, n, size) in enumerate(sorted(live, key=lambda b: -b[1] / b[2])):
        ax.bar(at, n / size, size, align='edge', color=f'C{k}', alpha=.5)
        ax.text(at + size / 2, n / size * 1.3, name, ha='center', fontsize=8)
        at += size
    ax.axvline(room, color='k', ls=':')
    ax.set(yscale='log', ylim=(.5, 300), xlim=(0, at), xlabel='bytes, the busiest first', ylabel='moved for each',
           title=f'fast memory: the first {room} bytes')
    return ax


def plot_placement(
    placement,  # a `memories.Placement`
    ax=None,  # matplotlib Axes; new ones by default
    time: int = None,  # step to point at
    scratch: tuple = (),  # names of intervals to draw in grey
    shared: tuple = (),  # names of intervals to hatch
):  # matplotlib Axes
    "Draw (a pure function) all memories over time, one above the other."
    p = placement
    ax = plot_plan(p.plan, time, ax, scratch, shared)
    if len(p.memories) == 1: return ax
    for m, low, end in zip(p.memories, (0, *p.ends), p.ends):
        if low: ax.axhline(low, color='tab:blue', lw=1.5, ls=':')
        if end > low:
            ax.text(1.01, (low + end) / 2, m.name, rotation=90, va='center', fontsize=7,
                    transform=ax.get_yaxis_transform(), color='tab:blue')
    left = f'{p.waiting:,.0f} cycles of waiting, at least {p.bound:,.0f}'
    ax.set_title(f'{ax.get_title()}\n{left}', fontsize=8)
    return ax


def placement_table(
    placement,  # a `memories.Placement`
) -> str:  # Markdown
    "A table of the memories under one line with the verdict."
    p = placement
    least = 'proven least' if p.proven else f'no placement waits less than {p.bound:,.0f}'
    rows = [f'| {m.name} | {p.peaks[m.name]:,} | {m.size:,} | {m.wait:g} |' for m in p.memories]
    return '\n'.join([f'**{p.plan.peak:,} bytes** (no plan below {p.plan.lower_bound:,}), '
                      f'waiting {p.waiting:,.0f} cycles, {least}', '',
                      '| memory | bytes used | room | cycles a byte |', '|:--|--:|--:|--:|', *rows])
