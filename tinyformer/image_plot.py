"""Pictures of a firmware folder, of its image and of what the emulated core counted.

Each function is pure: it draws what it is given, on new axes, and gives them back."""
import matplotlib.pyplot as plt
import numpy as np


def draw_folder(
    files:dict, # where files come from -> their names
):              # matplotlib Axes
    "Draw the files of a folder, in one column for each origin."
    ax = plt.subplots(figsize=(6.5, 2.2))[1]
    for k, (kind, names) in enumerate(files.items()):
        ax.text(k, .6, kind, weight='bold', ha='center')
        for row, name in enumerate(names):
            ax.text(k, -row, name, ha='center', va='center', fontsize=8, family='monospace',
                    bbox=dict(boxstyle='round,pad=.35', fc=f'C{k}', alpha=.15, ec='none'))
    ax.set(xlim=(-.6, 1.6), ylim=(-5.6, 1.2))
    ax.axis('off')
    return ax


def draw_sram(
    rows:dict, # name of a layout -> list of (part, width); each row is 10 wide
):             # matplotlib Axes
    "Draw the parts of a memory from low to high addresses, not to scale."
    ax = plt.subplots(figsize=(7, 1.4))[1]
    for y, parts in enumerate(rows.values()):
        at = 0
        for name, wide in parts:
            ax.barh(y, wide, left=at, color='C1' if 'stack' in name else 'C0', alpha=.3, ec='w')
            ax.text(at + wide / 2, y, name, ha='center', va='center', fontsize=8)
            at += wide
    ax.set(yticks=range(len(rows)), yticklabels=rows, xticks=[], xlim=(0, 10))
    ax.set_xlabel('low addresses on the left, not to scale', fontsize=8)
    ax.invert_yaxis()
    return ax


def plot_step(
    fw,         # a `codegen.Firmware`
    step:int=0, # which operator runs
):              # matplotlib Axes
    "Draw the arena's plan with one operator's step marked and its kernel named."
    ax, op = fw.arena.plot(time=step), fw.graph.ops[step]
    live = sum(i.size for i in fw.plan.intervals if i.start <= step < i.stop)
    kernel = fw.choices[op.name].kernel.name
    ax.set_title(f'{step:02d} {op.name} runs {kernel}: {live:,} bytes live', fontsize=9)
    return ax


def draw_emulator(): # matplotlib Axes
    "Draw what the emulator holds and what Python does with it."
    ax = plt.subplots(figsize=(7, 2))[1]
    boxes = {(1, 1): 'registers\nr0 ... pc', (2.2, 1.45): 'flash\ncode, constants',
             (2.2, .55): 'SRAM\nvariables, stack', (0, 1): 'Python', (3.5, 1): 'holes\nevery access faults'}
    for k, ((x, y), words) in enumerate(boxes.items()):
        ax.text(x, y, words, ha='center', va='center', fontsize=8,
                bbox=dict(boxstyle='round,pad=.5', fc=f'C{k}', alpha=.2))
    for a, b, words in (((.25, 1), (.65, 1), 'call'), ((1.35, 1.1), (1.7, 1.4), ''), ((1.35, .9), (1.7, .6), '')):
        ax.annotate('', b, a, arrowprops=dict(arrowstyle='<->'))
        ax.text((a[0] + b[0]) / 2, 1.1, words, ha='center', fontsize=8)
    ax.set(xlim=(-.4, 4.2), ylim=(.1, 1.9))
    ax.axis('off')
    return ax


def plot_stack(
    emu,            # an `Emulator`: painted, then called
    rows:int=32,    # how many rows of 16 bytes below the top
    value:int=0xA5, # what `paint` wrote
):                  # matplotlib Axes
    "Draw which bytes below the top of the stack were written."
    top = emu.address('_stack_top')
    ram = np.frombuffer(emu.read(top - rows * 16, rows * 16), np.uint8)
    ram = ram.reshape(rows, 16)[::-1] != value
    ax = plt.subplots(figsize=(3.5, 3))[1]
    ax.imshow(ram, aspect='auto', cmap='Blues', vmin=-.2, vmax=1.2, extent=(0, 16, rows * 16, 0))
    ax.axhline(emu.stack_used(value), color='red', lw=1)
    ax.set(xlabel='byte in its row', ylabel='bytes below the top', title=f'{emu.stack_used(value)} bytes of stack')
    return ax


def draw_steps(
    steps:list, # of (name, what it finds out), from left to right
):              # matplotlib Axes
    "Draw steps from left to right, what each finds out below it."
    ax = plt.subplots(figsize=(7, 1.3))[1]
    for i, (name, what) in enumerate(steps):
        ax.text(i, .25, name, ha='center', va='center', weight='bold', fontsize=9,
                bbox=dict(boxstyle='round,pad=.5', fc='C0', alpha=.2))
        ax.text(i, -.4, what, ha='center', va='center', fontsize=7)
        if i: ax.annotate('', (i - .35, .25), (i - .6, .25), arrowprops=dict(arrowstyle='->'))
    ax.set(xlim=(-.5, len(steps) - .5), ylim=(-.7, .6))
    ax.axis('off')
    return ax


def plot_profile(
    result,              # a `Simulation` with at least one profiled image
    clock_mhz:float=216, # core clock
    cpi:float=1.,        # cycles per instruction, an assumption
):                       # matplotlib Axes
    "Draw each operator's time as bars, for an assumed number of cycles."
    ms = {name: n * cpi / clock_mhz / 1000 for name, n in result.per_op.items()}
    ax = plt.subplots(figsize=(7, 3.5))[1]
    ax.barh(range(len(ms)), ms.values())
    ax.set_yticks(range(len(ms)), ms, fontsize=6)
    ax.invert_yaxis()
    total = result.instructions * cpi / clock_mhz / 1000
    ax.set(xlabel='milliseconds',
           title=f'{total:.2f} ms per image at {clock_mhz:g} MHz and {cpi:g} cycles per instruction')
    return ax


def plot_trace(
    trace:list,  # addresses that are loaded, in order
    slots:int=2, # of the cache; a line may lie in one of them only
    line:int=32, # bytes
):               # matplotlib Axes
    "Draw which line lies in which slot after each load; a miss is red."
    ax = plt.subplots(figsize=(6, 1.6))[1]
    held, misses = [None] * slots, 0
    for x, address in enumerate(trace):
        n = address // line
        miss = held[n % slots] != n
        held[n % slots], misses = n, misses + miss
        for y, h in enumerate(held):
            ax.barh(y, .9, .8, x, color='tab:red' if miss and y == n % slots else 'lightgrey')
            ax.text(x + .45, y, '' if h is None else f'line {h}', ha='center', va='center', fontsize=8)
    ax.set(xticks=[x + .45 for x in range(len(trace))], xticklabels=trace, yticks=range(slots),
           yticklabels=[f'slot {y}' for y in range(slots)],
           xlabel='address that is loaded', title=f'{misses} misses (red) in {len(trace)} loads')
    return ax


def plot_stalls(
    stalls:dict,    # owner -> {cause: `Cycles`}
    core:dict=None, # owner -> cycles of the core; None leaves them out
    ax=None         # matplotlib Axes, or None for a new one
):                  # the Axes
    "Draw each owner's waiting by cause, and the range of the whole as a line."
    ax = ax or plt.subplots(figsize=(7, .28 * len(stalls) + 1))[1]
    causes = dict.fromkeys(c for waits in stalls.values() for c in waits)
    base = [(core or {}).get(o, 0) for o in stalls]
    if core: ax.barh(range(len(stalls)), base, color='lightgrey', label='core')
    left = np.array(base, float)
    for i, cause in enumerate(causes):
        wide = [waits[cause].likely if cause in waits else 0 for waits in stalls.values()]
        ax.barh(range(len(stalls)), wide, left=left, color=f'C{i}', label=cause)
        left += wide
    for y, waits in enumerate(stalls.values()):
        low, high = (sum(getattr(c, end) for c in waits.values()) for end in ('low', 'high'))
        ax.plot([base[y] + low, base[y] + high], [y, y], color='k', lw=1)
    ax.set(yticks=range(len(stalls)), xlabel='cycles per inference')
    ax.set_yticklabels(list(stalls), fontsize=6)
    ax.invert_yaxis()
    ax.legend(fontsize=6)
    return ax
