"""The cost model beside the engine: a path gets random weights and becomes C, and then the figures are compared."""
import json, tempfile, time
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from .codegen import constants, generate
from .files import write_text
from .hardware import Target, target
from .bench import made_by
from .arch import Arch, layers
from .cost_model import code_bytes, cost, price
from .lowering import random_model
from .simulator import Emulator, build


def check(
    arch:Arch,        # one path
    seed:int=0,       # of the random weights
    count:bool=False, # run one image on the emulated core as well: instructions, and SRAM beside arena and buffers
    cc:str='gcc',     # compiler for that: 'auto', 'zig' or 'gcc', which the cost table was made with
    board:Target=target('stm32f746'), # whose core sets the prices
)->dict: # predicted and real figures; chains that run in bands, layers stored in another format than foretold
    "One path's costs as predicted, and as the engine makes them from random weights pruned in one shot."
    board = replace(board, flash_bytes=1 << 24, sram_bytes=1 << 22)     # no limit gets in the way
    c, prices = cost(arch, board), {l.name: price(l, board) for l in layers(arch)}
    graph = random_model(arch, seed)
    with tempfile.TemporaryDirectory() as folder:
        fw = generate(graph, board, Path(folder)/'c')
        other = [name for name, p in prices.items() if bool(p.choice.block) != bool(fw.choices[name].block)]
        blobs = constants(fw.graph, fw.choices).values()     # layers that never learnt have equal biases: count each
        each = sum(a.nbytes for blob in blobs for _, a in blob.values())
        row = dict(weights=c.storage_bytes - code_bytes(board), weights_real=each,
                   arena=c.peak_bytes, arena_real=fw.arena_bytes, arena_bound=fw.arena_lower_bound_bytes,
                   bands=len(fw.chains), instructions=c.instructions, other_format=len(other))
        if count:
            image = build(fw, cc, '-O2')
            emu = Emulator(image.elf)
            emu.paint()
            image_in = np.zeros(graph.tensors[graph.input].shape, np.int8)
            emu.invoke(image_in, graph.tensors[graph.output].nbytes, count=True)
            used = image.data_bytes + image.bss_bytes + emu.stack_used()
            row |= dict(instructions_real=emu.instructions, rest_real=used - fw.arena_bytes - c.io_bytes)
    return row


def check_many(
    jobs:list,      # of (space, number of paths, how many of them are counted on the emulated core)
    path:Path=None, # JSON file to write, None = none; rows that it has are kept, so a run that was cut off goes on
    command:str='', # said in the file
)->dict: # meta, rows
    "Check random paths of several spaces; path i of a space is `space.sample(i)`, its weights have seed i."
    start, old = time.time(), dict(meta=dict(seconds=0), rows=[])
    if path and Path(path).is_file(): old = json.loads(Path(path).read_text())
    have, rows = {(r['space'], r['seed']): r for r in old['rows']}, []
    for space, n, counted in jobs:
        for i in range(n):
            r = have.get((space.name, i))
            if not r or i < counted and 'instructions_real' not in r:
                r = dict(space=space.name, seed=i, **check(space.sample(i), i, i < counted))
            have[space.name, i] = r
            rows.append(r)
            if path and len(rows) % 10 == 0:
                _write(path, old['meta']['seconds'] + time.time() - start, command, list(have.values()))
    return _write(path, old['meta']['seconds'] + time.time() - start, command, rows)


def _write(path, seconds, command, rows):
    "The figures with where they come from, written to `path` if there is one."
    out = dict(meta=made_by(seconds, command), rows=rows)
    lines = ',\n'.join('  ' + json.dumps(r) for r in rows)
    if path: write_text(path, f'{{\n "meta": {json.dumps(out["meta"], indent=2)},\n "rows": [\n{lines}\n ]\n}}\n')
    return out


def plot_check(
    rows:list, # as `check_many` gives
)->plt.Figure:
    "Draw predicted against real: bytes of the weights, arena, instructions; a pure drawing."
    fig, axes = plt.subplots(1, 3, figsize=(9, 3), layout='constrained')
    for ax, (what, unit) in zip(axes, (('weights', 'KB'), ('arena', 'KB'), ('instructions', 'million'))):
        by = 1024 if unit == 'KB' else 1e6
        for k, space in enumerate(dict.fromkeys(r['space'] for r in rows)):
            some = [r for r in rows if r['space'] == space and f'{what}_real' in r]
            xy = np.array([(r[what], r[f'{what}_real']) for r in some]).reshape(-1, 2)/by
            if len(xy): ax.scatter(*xy.T, s=9, color=f'C{k}', label=space)
        ends = [f([r[what] for r in rows])/by for f in (min, max)]
        ax.plot(ends, ends, 'k', lw=.6, zorder=0)
        off = [abs(r[f'{what}_real']/r[what] - 1) for r in rows if f'{what}_real' in r]
        ax.set(xlabel=f'{what}, predicted, {unit}', ylabel=f'made by the engine, {unit}', xscale='log', yscale='log',
               title=f'{len(off)} models, at most {max(off):.2%} off')
    axes[0].legend(fontsize=7)
    return fig
