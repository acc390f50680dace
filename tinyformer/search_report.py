"""What the search says of its findings: the lines, tables and refusals of SuperNAS and of SparseNAS.

Plumbing of `supernas` and `sparsenas`. An acceptance is an `Acceptance` of the one, a candidate a `Candidate` of the
other."""
import math

import numpy as np

BUDGETS = dict(flash_low='flash under λ_lo', flash_high='flash over λ_hi', sram='SRAM over the limit')
ADVICE = dict(flash_low='lower λ_lo or sample larger supernets',
              flash_high='raise λ_hi, give more flash or sample smaller supernets',
              sram='give more SRAM or sample narrower supernets')


def table(
    head: list,  # names of the columns
    align: list,  # ':--' or '--:' for each column
    rows: list,  # of lists of cells
) -> str:  # markdown
    "A table of Markdown."
    def line(cells): return f'| {" | ".join(map(str, cells))} |'
    return '\n'.join([line(head), f'|{"|".join(align)}|', *map(line, rows)])


# ---- SuperNAS --------------------------------------------------------------------------------------------------------

def acceptance_line(
    acc: object,  # an acceptance
) -> str:  # one line
    "Verdict, probability, interval, and how many samples fail each budget."
    lo, hi = acc.interval
    details = [f'{acc.confidence:.0%} interval {lo:.1%} to {hi:.1%}, {acc.samples} samples']
    bad = ', '.join(f'{BUDGETS[k]}: {n}' for k, n in acc.failures.items() if n)
    if bad: details.append(bad)
    return f'{acc.space.name}: {acc.verdict}, probability {acc.probability:.1%} ({"; ".join(details)})'


def acceptance_table(
    accs: list,  # of acceptances
    chosen: str = '',  # name of the supernet to mark
) -> str:  # markdown
    "One row per supernet: capacity, probability, interval, failures and verdict."
    rows = []
    for a in accs:
        name, (lo, hi) = a.space.name, a.interval
        rows.append([f'**{name}**' if name == chosen else name, f'{a.capacity:,.0f}', f'{a.probability:.1%}',
                     f'{lo:.1%} – {hi:.1%}', a.samples, *a.failures.values(), a.verdict])
    return table(['supernet', 'mean parameters', 'probability', 'interval', 'samples', *BUDGETS.values(), 'verdict'],
                 [':--', '--:', '--:', ':--', '--:', *['--:'] * len(BUDGETS), ':--'], rows)


def nearest(
    acc: object,  # an acceptance
) -> dict:  # key of `BUDGETS` → bytes beyond it; empty when one fits
    "How far the closest sample misses each budget: the one with the smallest worst miss."
    flash, sram = np.array(acc.flash), np.array(acc.sram)
    over = np.stack([acc.lo - flash, flash - acc.hi, sram - 1]).clip(0)   # shares of the limits
    best = over[:, over.max(0).argmin()]
    limits = acc.target.flash_bytes, acc.target.flash_bytes, acc.target.sram_bytes
    missed = {name: x * limit for name, x, limit in zip(BUDGETS, best.tolist(), limits) if x > 0}
    return {name: math.ceil(round(n, 3)) for name, n in missed.items()}


def rejection(
    acc: object,  # an acceptance that is not accepted
    more: object,  # the same with more samples, for the distance of the closest
) -> str:  # sentences
    "Why a supernet is not taken, and what would help."
    worst, t = max(acc.failures, key=acc.failures.get), acc.target
    far = '; '.join(f'{BUDGETS[k]} by {n:,} bytes' for k, n in more.closest.items())
    far = f' Not one of {more.samples} samples fits; the closest misses: {far}.' if far else ''
    return (f'{acc} on {t.name} with {t.flash_bytes} B flash and {t.sram_bytes} B SRAM: '
            f'more than {acc.threshold:.0%} is needed.{far} '
            f'Most often it fails by {BUDGETS[worst]}: {ADVICE[worst]}.')


# ---- SparseNAS -------------------------------------------------------------------------------------------------------

def closest_miss(
    cands: list,  # of candidates, none feasible
) -> str:  # one line
    "Say which candidate came closest to the limits and by how much it misses each."
    if not cands: return 'the search has no finished trial: raise `trials`.'
    c = min(cands, key=lambda c: sum(max(0, v) for v in c.excess.values()))
    def miss(v): return f'{v} bytes' if v > 0 else f'nothing ({-v} bytes free)'
    by = ', '.join(f'{limit} by {miss(v)}' for limit, v in c.excess.items())
    return (f'none of the {len(cands)} candidates fits; the closest, trial {c.number}, misses {by}. '
            'Raise the budget, search a smaller supernet or allow more sparsity.')


def trial_table(
    result: object,  # a `sparsenas.SearchResult`
    cands: list,  # of candidates: the rows
) -> str:  # markdown
    "One row per candidate; the pick is bold."
    rows = []
    for c in cands:
        b, x = '**' if c == result.winner else '', c.cost
        rows.append([f'{b}{c.number}{b}', f'{c.accuracy:.3f}', f'{x.storage_bytes:,.0f}', f'{x.peak_bytes:,}',
                     f'{x.instructions:,.0f}', f'{x.params:,}'])
    return table(['trial', 'validation accuracy', 'storage', 'peak SRAM', 'instructions', 'parameters'],
                 ['--:'] * 6, rows)


def front_report(
    result: object,  # a `sparsenas.SearchResult`
    front: list,  # its candidates on the Pareto front
) -> str:  # markdown
    "How many trials fit, and a table of the front with the pick."
    rows = list(front)
    if result.winner and result.winner not in rows: rows.append(result.winner)
    rows.sort(key=lambda c: c.cost.instructions)
    return (f'{len(result.trials)} trials, {len(result.feasible)} feasible; the Pareto front, the pick in bold.'
            f'\n\n{trial_table(result, rows)}')
