"""The record of a run on the emulated core: output bytes, instructions, cycles and memory, as reports show them."""
from dataclasses import dataclass

import numpy as np

from tinyformer.chip_memories import SYSTEMS
from tinyformer.memory_system import Cycles, mean_stalls, total, unavailable


@dataclass(frozen=True, repr=False)
class Simulation:
    "What the emulated core returned, and what it took."
    outputs: np.ndarray       # int8 [n, ...]: every output byte
    instructions: int         # per inference, mean over the profiled images
    per_op: dict              # op name -> instructions, in the order they run
    rest: int                 # instructions outside every operator: the entry and its calls
    instructions_range: tuple # fewest and most over the profiled images
    stack_bytes: int          # deepest stack over all images
    arena_high_water: int     # bytes of the arena that were ever written
    images: int               # how many ran
    profiled: int             # how many of them were counted
    cycles: dict = None       # op name, and 'rest' -> estimated cycles, mean; None without llvm-mca
    stalls: dict = None       # the same -> {cause: `Cycles` spent waiting}; None: see `no_stalls`
    no_stalls: str = ''       # why the waiting is not known

    @property
    def est_cycles(self)->int: # None without llvm-mca
        "Estimated cycles of the core per inference."
        return None if self.cycles is None else sum(self.cycles.values())

    @property
    def stall_cycles(self)->Cycles: # a range; None where it is not known, see `no_stalls`
        "Cycles per inference spent waiting for memory."
        return None if self.stalls is None else sum(map(total, self.stalls.values()), Cycles())

    @property
    def clock_cycles(self)->int: # None where either is not known
        "Cycles per inference: the core's and the likely waiting."
        if None in (self.est_cycles, self.stall_cycles): return None
        return self.est_cycles + round(self.stall_cycles.likely)

    def columns(self)->dict: # est_cycles, stall_cycles, stall_causes, cycles; None: unknown
        "Cycles of an inference as reports keep them; of the waiting [at least, likely, at most]."
        def three(c): return [round(v) for v in c.three]
        causes = {}
        for waits in (self.stalls or {}).values():
            for cause, c in waits.items(): causes[cause] = causes.get(cause, Cycles()) + c
        waited = self.stalls is not None
        return dict(est_cycles=self.est_cycles, cycles=self.clock_cycles,
                    stall_cycles=three(self.stall_cycles) if waited else None,
                    stall_causes={k: three(c) for k, c in causes.items()} if waited else None)

    def cycles_by_operator(self)->dict: # op name, and 'rest' -> [core, waiting]
        "Estimated cycles of the core and likely waiting of each operator; None: unknown."
        def core(name): return None if self.cycles is None else self.cycles.get(name, 0)
        def wait(name): return None if self.stalls is None else round(total(self.stalls.get(name, {})).likely)
        return {k: [core(k), wait(k)] for k in (*self.per_op, 'rest')}

    def _repr_markdown_(self):
        n, called = self.instructions, dict(rest='entry and calls')
        def spent(name):
            return ' | '.join('unknown' if v is None else f'{v:,}' for v in self.cycles_by_operator()[name])
        rows = '\n'.join(f'| {called.get(name, name)} | {part:,} | {part / max(1, n):.1%} | {spent(name)} |'
                         for name, part in [*self.per_op.items(), ('rest', self.rest)])
        return (f'**{n:,} instructions per inference** (mean of {self.profiled}), {self.stack_bytes} '
                f'bytes of stack, {self.arena_high_water} bytes of arena, {self.images} images\n\n'
                '| operator | instructions | share | core cycles | waiting for memory |\n'
                f'|:--|--:|--:|--:|--:|\n{rows}')


def mean_profile(
    profiles:list, # of dicts: owner -> count
    names:list,    # owners, in the order that is wanted
)->dict:           # owner -> mean, rounded
    "The mean of some profiles, owner by owner."
    return {n: round(sum(p.get(n, 0) for p in profiles) / max(1, len(profiles))) for n in names}


def simulation_of(
    graph,              # the model
    outputs:np.ndarray, # int8 [n, ...]
    profiles:list,      # of each counted image: owner -> instructions
    cycles:list,        # of each: owner -> cycles; empty where they are not known
    waits:list,         # of each: owner -> {cause: `Cycles`}; empty where it is not known
    no_stalls:str,      # why it is not
    stack:int,          # bytes
    high:int,           # bytes of the arena
)->Simulation:
    "The record of a run from the counts of the profiled images."
    names, totals = [op.name for op in graph.ops], [sum(p.values()) for p in profiles]
    mean = mean_profile(profiles, [*names, 'rest'])
    return Simulation(outputs, sum(mean.values()), {n: mean[n] for n in names}, mean['rest'],
                      (min(totals, default=0), max(totals, default=0)), stack, high, len(outputs), len(profiles),
                      mean_profile(cycles, [*names, 'rest']) if cycles else None,
                      mean_stalls(waits) if waits else None, no_stalls)


def memory_for(
    target, # a `Target`
    wanted, # True: the target's own memories; False: none; or a `MemorySystem`
)->tuple:   # (memory system or None, why there is none)
    "The memories that a run is counted with."
    if wanted is False: return None, 'not asked for'
    if wanted is True and target.name not in SYSTEMS: return None, f'no model of {target.name}'
    why = unavailable()
    if why: return None, why
    return (SYSTEMS[target.name] if wanted is True else wanted), ''
