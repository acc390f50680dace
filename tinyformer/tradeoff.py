"""The ways to compile a model: less memory against less time, as a curve from which a person picks."""
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tinyformer import schedule as sc
from tinyformer.codegen import STACK_BYTES, beside, constant_bytes, constants, generate, rooms_of
from tinyformer.cycles import milliseconds
from tinyformer.errors import DoesNotFit
from tinyformer.hardware import joined
from tinyformer.simulator import build, simulate

KERNELS = 'bytes', 'speed'
ROOMY = dict(flash_bytes=64 << 20, sram_bytes=16 << 20)
"Limits under which a model is built only to see what it takes."


@dataclass(frozen=True)
class Way:
    "One way to compile a model, and what it takes."
    kernels: str           # chosen for the smallest weights ('bytes') or for 'speed'
    memory: str            # see `schedule.choose_chains`
    arena: int             # bytes
    constants: int         # bytes of flash
    core: int              # cycles of the core
    waiting: int           # cycles of waiting for memory, as far as they are known
    measured: bool = False # run on the emulated core; else by the cost table and the plan
    flash: int = None      # bytes of the image, and of SRAM with what is kept for the stack; None: it was not built
    sram: int = None

    @property
    def cycles(self):
        "Cycles of an inference."
        return self.core + self.waiting

    @property
    def name(self):
        "What a person types for it."
        return f'--objective {self.kernels} --memory {self.memory}'


def _planned(graph, picked, chains, board, kernels, memory):
    "The way with these kernels and chains, by the cost table and the plan."
    port, wide = board.name if board.cpu.startup else 'host', beside(graph, board) * (kernels == 'speed')
    arena = sc.plan_arena(graph, picked, None, chains, rooms_of(port, replace(board, **ROOMY)), wide)
    steps, time = sc.steps_of(graph, picked), sc.prices(graph, picked)
    core = sum(c.time for c in picked.values()) + sum(sc.extra_time(steps, c, time) for c in chains)
    waiting = round(arena.placement.waiting) if arena.placement else 0
    return Way(kernels, memory, arena.size, constant_bytes(constants(graph, picked)), round(core), waiting)


def ways(
    graph, # int8 model
    board, # target with its budget
    kernels=KERNELS,  # to choose from, the preferred one first
    memory=sc.MEMORY, # the same of the bands
): # list of Way, predicted; of those that come out alike the first stands
    "Every choice of kernels with every choice of bands, each with the placement that waits least."
    found, seen = [], []
    for kind in kernels:
        picked, tried = sc.choose_kernels(graph, board, None, kind), []
        ordered = sc.reorder(graph, picked)
        for bands in memory:
            chains = sc.choose_chains(ordered, picked, bands)
            if chains in tried: continue
            tried.append(chains)
            way = _planned(ordered, picked, chains, board, kind, bands)
            made = picked, chains, way.arena, way.waiting    # for speed the same kernels may be placed otherwise
            if made not in seen: found.append(way)
            seen.append(made)
    return found


def preferred(one, of):
    "The same names with one of them first."
    return one, *(o for o in of if o != one)


def built(
    graph,       # int8 model
    board,       # target with its budget
    folder:Path, # where to put the C project
    cc='auto',   # compiler
    **how,       # as `generate` takes it
): # (Firmware, Image)
    """Build a model with room to spare. Where a board's memories are apart an arena for speed takes what room there is:
    there the budget is tried first."""
    roomy = replace(board, **ROOMY)
    tries = [roomy] if joined(board.memories) else [replace(roomy, sram_bytes=board.sram_bytes), roomy]
    for last, limits in enumerate(tries, 1 - len(tries)):
        try:
            fw = generate(graph, limits, folder, **how)
            return fw, build(fw, cc=cc)
        except DoesNotFit:
            if not last: raise


def measured(
    way,       # predicted
    graph,     # int8 model
    board,     # target with its budget
    cc='auto', # compiler
): # the same Way as the emulated core and its memory system have it
    "Build a model with room to spare, and run it once."
    with tempfile.TemporaryDirectory() as tmp:
        fw, image = built(graph, board, Path(tmp)/'way', cc, memory=way.memory, objective=way.kernels)
        x = np.zeros((1, *graph.tensors[graph.input].shape), np.int8)
        sim = simulate(image, fw, x, progress=False)
    sizes = dict(flash=image.flash_bytes, sram=image.data_bytes + image.bss_bytes + STACK_BYTES)
    return timed(replace(way, **sizes), sim.est_cycles, sim.stall_cycles and sim.stall_cycles.likely)


def timed(
    way,     # predicted
    core,    # cycles of the core that were measured, None where they are unknown
    waiting, # likely cycles of waiting, None where they are unknown
): # the same Way with these
    "A way with what was measured of it."
    if core is None: return way
    return replace(way, core=core, waiting=round(waiting or 0), measured=True)


def front(
    ways, # list of Way
): # list of Way: the smallest arena first, each faster than all before it
    "The curve: ways of which no other is both smaller and faster."
    out = []
    for w in sorted(ways, key=lambda w: (w.arena, w.cycles)):
        if not out or w.cycles < out[-1].cycles: out.append(w)
    return out


def fastest(
    ways,  # list of Way
    board, # target with its budget
): # Way
    "The way that takes least time of those whose image fits, or constants and arena where none was built."
    able = [w for w in ways
            if (w.flash or w.constants) <= board.flash_bytes and (w.sram or w.arena) <= board.sram_bytes]
    if able: return min(able, key=lambda w: (w.cycles, w.arena))
    least = min(ways, key=lambda w: w.arena)
    whole = least.sram and f', in all {least.sram:,} of SRAM and {least.flash:,} of flash'
    raise DoesNotFit(f'no way to compile it fits {board.name}: the smallest arena is {least.arena:,} bytes '
                     f'({least.name}, {least.constants:,} bytes of constants{whole or ""}); there are '
                     f'{board.sram_bytes:,} of SRAM and {board.flash_bytes:,} of flash')


def table(
    ways,   # list of Way
    board,  # target
    taken,  # the Way that was taken, or None
): # lines of a Markdown table
    "All ways by arena; those on the curve are marked, and the one that was taken is bold."
    curve = front(ways)
    rows = ['| kernels | bands | arena, bytes | constants, bytes | core, ms | waiting, ms | ms | on the curve |',
            '|---|---|--:|--:|--:|--:|--:|---|']
    for w in sorted(ways, key=lambda w: (w.arena, w.cycles)):
        cells = [w.kernels, w.memory, f'{w.arena:,}', f'{w.constants:,}', *(f'{milliseconds(c, board):.2f}' for c in
                 (w.core, w.waiting, w.cycles)), 'yes' if w in curve else '']
        rows.append('| ' + ' | '.join(f'**{c}**' if c and w == taken else c for c in cells) + ' |')
    return rows


def plot(
    ways,   # list of Way
    board,  # target
    taken,  # the Way that was taken, or None
): # matplotlib Figure
    "Draw arena against milliseconds (a pure function): the curve as a line, all ways as points."
    import matplotlib.pyplot as plt
    fig, ax = plt.subplots(figsize=(5.5, 3))
    curve = front(ways)
    at = {w: (w.arena / 1024, milliseconds(w.cycles, board)) for w in ways}
    ax.step(*zip(*(at[w] for w in curve)), where='post', color='C0', lw=1)
    for w in ways:
        look = dict(ms=11, mfc='C1') if w == taken else dict(ms=5)
        ax.plot(*at[w], 'o', color='C0' if w in curve else '.6', **look)
        ax.annotate(f'{w.kernels}, {w.memory}', at[w], xytext=(5, 5), textcoords='offset points', fontsize=7)
    ax.margins(.15)
    ax.set(xlabel='arena, KB', ylabel='ms per inference', title='measured' if ways[0].measured else 'predicted')
    return fig
