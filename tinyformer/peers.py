"""What other engines take for the same layers and networks (`peers.json`), and how our rows compare with them."""
import functools, json, math
from pathlib import Path

from tinyformer.cycles import three
from tinyformer.hardware import target

SPARSITIES = (0., .5, .7, .8, .9, .95)
"Sparsities at which layers with prunable weights are measured."

GROUPS = {'pointwise and linear': ('pointwise', 'linear'), '3x3 convolution': ('conv3x3',),
          'depthwise': ('depthwise3x3',)}
"Operators whose ratios are averaged together."


@functools.lru_cache(None)
def peers()->dict: # layers, networks, and how they were measured
    "The figures of the other engines."
    return json.loads(Path(__file__).with_name('peers.json').read_text(encoding='utf-8'))


def peer(
    row:dict, # from `bench.measure`
)->dict: # the layer's entry in `peers`, or None
    "The figures of others for a row's layer."
    return next((l for l in peers()['layers'] if l['op'] == row['op']
                 and all(row.get(k) == v for k, v in l['shape'].items())), None)


def published(
    network:str,    # one of `published.NETWORKS`
    core:str=None,  # such as 'cortex-m7'; None = all
)->list: # of dicts: engine, chip, core, mhz, ms, cycles (in that time), url; where known ram_kib, flash_kib, accuracy
    "What others measured on a chip and published for a network, each with its source."
    found = [r for r in peers()['published'] if r['network'] == network and core in (None, r['core'])]
    def full(r):
        ms = r['ms'] if 'ms' in r else 1000 / r['per_second']
        url = peers()['sources'][r['source']]['url'] + ('/' + r['at'] if 'at' in r else '')
        return r | dict(ms=ms, cycles=ms * r['mhz'] * 1000, url=url)
    return [full(r) for r in found]


def ours(
    row:dict, # a whole network, from `bench.measure_network`
)->dict: # the keys of `published`; cycles and ms are estimates, None without llvm-mca; range: cycles at least, at most
    "Our figures for a network: the core's cycles and the likely waiting for memory, at the clock of the STM32F746."
    share = f"{row['sparsity']:.0%} sparse" if row['sparsity'] else 'dense'
    mhz, core, waits = target('stm32f746').clock_hz / 1e6, row['est_cycles'], row['stall_cycles'] or (0, 0, 0)
    low, likely, high = (core and core + w for w in waits)
    return dict(network=row['network'], engine=f"TinyFormer, {share}" + ', least RAM' * (row['memory'] == 'least'),
                chip='emulated', core='cortex-m7', mhz=mhz, cycles=likely, core_cycles=core, range=(low, high),
                ms=likely and likely / mhz / 1000, ram_kib=row['sram_bytes'] / 1024,
                flash_kib=row['flash_bytes'] / 1024)


def beside(
    network:str,   # one of `published.NETWORKS`
    rows,          # whole networks, from `bench.measure_network`
    core:str=None, # such as 'cortex-m7'; None = all
)->list: # of dicts, as `published` and `ours` give them
    "Our rows for a network, then what others have published, the fewest cycles first."
    mine = [ours(r) for r in rows if r.get('network') == network]
    return mine + sorted(published(network, core), key=lambda r: r['cycles'])


def ratio(
    row:dict,                # from `bench.measure` or `bench.measure_network`
    what:str='est_cycles',   # of the core; or 'instructions', or 'cycles': with the likely waiting on both sides
    engine:str='cmsis_nn',   # 'cmsis_nn' (always dense), 'authors' or 'prototype' (at the row's sparsity)
)->float: # how many times less we take; None where a figure is missing
    "Another engine's figure over ours."
    entry = (peers()['networks'].get(row.get('network')) if row['op'] == 'network' else peer(row)) or {}
    theirs = entry.get(engine) or {}
    if engine != 'cmsis_nn' and row['op'] != 'network': theirs = theirs.get(f"{row['sparsity'] or 0:g}") or {}
    a, b = _figure(theirs, what), _figure(row, what)
    return a / b if a and b else None


def _figure(entry, what):
    "An engine's figure; None where it is not known."
    if what != 'cycles': return entry.get(what)
    return three(entry)[2] if entry.get('stall_cycles') else None


def geomean(
    values, # numbers, None among them left out
)->float: # None when nothing is left
    "Geometric mean."
    v = [x for x in values if x is not None]
    return math.exp(sum(map(math.log, v)) / len(v)) if v else None


def means(
    rows,                  # from `bench.measure`
    kinds,                 # operators that count
    what:str='est_cycles', # or 'instructions'
    engine:str='cmsis_nn', # see `ratio`
)->dict: # sparsity -> (geometric mean, smallest, how many layers)
    "Ratios of some operators, averaged by sparsity."
    by = {}
    for r in rows:
        if r['op'] in kinds and (v := ratio(r, what, engine)): by.setdefault(r['sparsity'], []).append(v)
    return {s: (geomean(v), min(v), len(v)) for s, v in sorted(by.items())}


def times(
    v, # a ratio or None
)->str:
    "A ratio as people write it."
    return '' if v is None else f'{v:.2f}x'


def summary(
    rows, # from `bench.measure`
)->str: # lines for a terminal; empty when no row is a layer of the anchors
    "Geometric means over dense CMSIS-NN by sparsity."
    lines = []
    for name, kinds in GROUPS.items():
        cycles, count = means(rows, kinds), means(rows, kinds, 'instructions')
        for s, (mean, least, n) in count.items():
            c = cycles.get(s)
            of_cycles = f'{times(c and c[0]):>12}{times(c and c[1]):>10}'
            lines.append(f'{name:<22}{s:>5.0%}{n:>8}{of_cycles}{times(mean):>15}{times(least):>10}')
    if not lines: return ''
    head = f"{'over dense CMSIS-NN':<27}{'layers':>8}{'cycles':>12}{'least':>10}{'instructions':>15}{'least':>10}"
    return '\n'.join([head, *lines])

