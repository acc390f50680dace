"""Figures of the pages on the search. Each function draws what it is given and changes nothing else."""
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np

from tinyformer.fronts import tightened
from tinyformer.one_shot import rank_agreement
from tinyformer.redrawn import Redrawn
from tinyformer.sparsenas import SearchResult, pareto
from tinyformer.supernas import LAMBDA_HI, LAMBDA_LO, Acceptance, used, wilson

VERDICT_COLOUR = dict(accepted='C2', rejected='C3', undecided='C1')


# ---- 20 supernas -----------------------------------------------------------------------------------------------------

def plot_window(
    acc: Acceptance,  # its samples are judged again, not drawn again
    lo: float = LAMBDA_LO,  # λ_lo
    hi: float = LAMBDA_HI,  # λ_hi
    ax: plt.Axes = None,  # or a new one
) -> plt.Axes:
    "Every sample's flash and SRAM share, and the window λ_lo .. λ_hi."
    ax = ax or plt.subplots(figsize=(6, 3.2))[1]
    acc = replace(acc, lo=lo, hi=hi)
    f, s = np.array(acc.flash), np.array(acc.sram)
    ok = ~np.any(list(acc.failed.values()), axis=0)
    ax.axvspan(lo, hi, color='C2', alpha=.12)
    ax.axhline(1, color='gray', lw=.8, ls='--')
    ax.scatter(f[ok], s[ok], s=6, color='C2', label=f'accepted: {ok.sum()}')
    ax.scatter(f[~ok], s[~ok], s=6, color='C3', label=f'fails a budget: {(~ok).sum()}')
    a, b = acc.interval
    ax.set(xlabel='storage / flash limit', ylabel='SRAM / limit',
           title=f'{acc.space.name}: {acc.probability:.1%} ({a:.1%} – {b:.1%}), {acc.verdict}')
    ax.legend(fontsize=8)
    return ax


def plot_acceptances(
    accs: list,  # of `Acceptance`
    ax: plt.Axes = None,  # or a new one
) -> plt.Axes:
    "Each supernet's acceptance probability and its interval."
    ax = ax or plt.subplots(figsize=(6, min(3.5, .35 * len(accs) + 1)), layout='constrained')[1]
    for i, a in enumerate(accs):
        ax.plot(a.interval, [i, i], color=VERDICT_COLOUR[a.verdict], lw=3, solid_capstyle='butt')
        ax.plot(a.probability, i, 'o', color=VERDICT_COLOUR[a.verdict])
    ax.axvline(accs[0].threshold, color='gray', ls='--', lw=.8)
    ax.set(yticks=range(len(accs)), yticklabels=[a.space.name for a in accs],
           xlabel='acceptance probability', xlim=(-.02, 1.02))
    ax.invert_yaxis()
    return ax


def draw_wilson(
    hits: int,  # 0 .. n
    n: int,  # trials
    z: float = 1.96,  # standard errors
) -> plt.Axes:
    "How far each true share is from the observed one, and how far it may be; the ends are Wilson's."
    q, p = np.linspace(.5, 1, 501), hits / n
    ax = plt.subplots(figsize=(5, 2.6), layout='constrained')[1]
    ax.plot(q, abs(p - q), label='distance from the observed share')
    ax.plot(q, z * np.sqrt(q * (1 - q) / n), label=f'{z} standard errors')
    ends = wilson(hits, n)
    ax.plot(ends, [abs(p - end) for end in ends], 'ko', label="the ends of Wilson's interval")
    ax.set(xlabel='true share q', ylim=(0, None))
    ax.legend(fontsize=8, loc='upper right')
    return ax


def draw_looks(
    accs: list,  # of `Acceptance`: one supernet after more and more samples
) -> plt.Axes:
    "The interval at each look, until it lies beside the threshold."
    ax = plt.subplots(figsize=(5, 2.6), layout='constrained')[1]
    for a in accs: ax.plot([a.samples] * 2, a.interval, color=VERDICT_COLOUR[a.verdict], lw=3, solid_capstyle='butt')
    ax.plot([a.samples for a in accs], [a.probability for a in accs], 'k.')
    ax.axhline(accs[0].threshold, color='gray', ls='--', lw=.8)
    ax.set(xlabel='samples', ylabel='acceptance probability')
    return ax


def draw_slices(
    early: np.ndarray,  # [n] scales of the early layers
    late: np.ndarray,  # [n] scales of the late layers
    low: float = .5,  # least scale
    high: float = 3.,  # most
) -> plt.Axes:
    "Two scales of n supernets on a grid of n slices each."
    n, ax = len(early), plt.subplots(figsize=(3.4, 3), layout='constrained')[1]
    for edge in low * (high / low) ** (np.arange(n + 1) / n):
        ax.axvline(edge, color='0.85', lw=.8, zorder=0)
        ax.axhline(edge, color='0.85', lw=.8, zorder=0)
    ax.plot(early, late, 'o')
    ax.set(xscale='log', yscale='log', xlabel='scale of the early layers', ylabel='scale of the late layers')
    for axis in (ax.xaxis, ax.yaxis): axis.set_ticks([.5, 1, 2, 3], labels=['0.5', '1', '2', '3'])
    ax.minorticks_off()
    return ax


# ---- 20a one_shot ----------------------------------------------------------------------------------------------------

def plot_agreement(
    judged: list,  # accuracies by the judge, one per model
    final: list,  # accuracies after full training
    title: str = '',  # what they are
) -> plt.Axes:
    "Accuracy after full training against that by the judge, a dot per model, with τ."
    ax = plt.subplots(figsize=(4.4, 3.4), layout='constrained')[1]
    ax.scatter(judged, final, color='C0')
    ax.set(xlabel='accuracy by the judge', ylabel='accuracy after full training')
    ax.set_title('\n'.join(filter(None, [title, str(rank_agreement(judged, final))])), fontsize=8)
    return ax


# ---- 21 sparsenas ----------------------------------------------------------------------------------------------------

def draw_tie(
    instructions: list,  # of each candidate
    accuracy: list,  # of each candidate
    tie: float,  # least accuracy that counts as a tie with the best
) -> plt.Axes:
    "Candidates, and the range of accuracies that tie with the best."
    ax = plt.subplots(figsize=(4.4, 2.2), layout='constrained')[1]
    ax.axhspan(tie, max(accuracy), color='C2', alpha=.2, label='a tie with the best')
    ax.plot(instructions, accuracy, 'o')
    ax.set(xlabel='instructions', ylabel='accuracy', xlim=(0, 1000), ylim=(.88, .97))
    ax.legend(loc='lower right')
    return ax


def plot_search(
    result: SearchResult,  # of `search`
) -> plt.Figure:  # memory on the left, merit on the right
    "Every trial against the limits, and the Pareto front of those that fit."
    fig, (a, b) = plt.subplots(1, 2, figsize=(7, 3.2), layout='constrained')
    ok, bad, t = result.feasible, [c for c in result.trials if not c.feasible], result.target
    def kb(cs): return np.array([used(c.cost) for c in cs]).reshape(-1, 2).T / 1024
    def merit(cs): return [c.cost.instructions / 1e6 for c in cs], [c.accuracy for c in cs]
    a.add_patch(plt.Rectangle((0, 0), t.flash_bytes / 1024, t.sram_bytes / 1024, color='C2', alpha=.12,
                              label='feasible region'))
    a.scatter(*kb(ok), s=12, color='C2', label=f'fits: {len(ok)}')
    a.scatter(*kb(bad), s=14, color='C3', marker='x', label=f'over a limit: {len(bad)}')
    a.set(xlabel='storage, KB', ylabel='SRAM, KB', xlim=(0, None), ylim=(0, None))
    b.scatter(*merit(ok), s=12, color='C2')
    b.step(*merit(pareto(ok)), where='post', color='C0', label='Pareto front')
    if result.winner: b.plot(*merit([result.winner]), '*', ms=12, color='C1', label='the pick')
    b.set(xlabel='predicted instructions, millions', ylabel='validation accuracy')
    b.locator_params(axis='x', nbins=3)                # labels have six digits where all paths cost nearly the same
    for ax in (a, b): ax.legend(fontsize=7)
    return fig


class LivePicture(Redrawn):
    "The picture of a running search, redrawn in place in a notebook, and in a PNG file."
    def figure(
        self,
        result: SearchResult,  # so far
    ) -> plt.Figure:
        "What is drawn."
        return plot_search(result)


# ---- 21a fronts ------------------------------------------------------------------------------------------------------

def draw_area(
    front: list,  # of (instructions, accuracy), from the fewest instructions up
    most: float,  # instructions at the right edge
) -> plt.Axes:  # its patches are the strips
    "A front, and the strip that each of its models adds to the area."
    ax, low = plt.subplots(figsize=(4.4, 2.4), layout='constrained')[1], 0.
    for i, (ins, acc) in enumerate(front):
        ax.barh((low + acc) / 2, most - ins, left=ins, height=acc - low, color=f'C{i}', alpha=.3)
        ax.plot(ins, acc, 'o', color=f'C{i}')
        low = acc
    ax.set(xlabel='instructions', ylabel='accuracy', xlim=(0, most), ylim=(0, 1.05))
    return ax


def plot_budget(
    result: SearchResult,  # of a search
    flash: float = 1.0,  # share of the flash limit that is left, to 1
    sram: float = 1.0,  # share of the SRAM limit that is left, to 1
) -> plt.Figure:
    "The search as it would look under tighter limits."
    limits = result.target
    return plot_search(tightened(result, int(flash * limits.flash_bytes), int(sram * limits.sram_bytes)))


def draw_volumes(
    volume: dict,  # name of an optimiser → hypervolume of each seed
    trials: int,  # of each search
) -> plt.Axes:
    "Hypervolumes of several optimisers, a dot for each seed."
    ax = plt.subplots(figsize=(4.5, 2.4), layout='constrained')[1]
    for i, (name, found) in enumerate(volume.items()): ax.plot(found, [i] * len(found), 'o', color=f'C{i}')
    ax.set(yticks=range(len(volume)), yticklabels=list(volume), ylim=(-.5, len(volume) - .5),
           xlabel=f'hypervolume after {trials} trials, one dot per seed')
    return ax
