"A graph to look at: its table, its picture, the codes of one image, the sums of one layer, the bytes of its file."
import matplotlib.pyplot as plt
import numpy as np

from .operators import OPERATORS

COLUMNS = 'operator', 'kind', 'reads', 'output', 'scale', 'zero point', 'weights', 'MACs'


def graph_table(
    graph: object, # a `Graph`
) -> str:          # Markdown
    "One line above a table, and one row for each operator."
    zero = f'{graph.weight_sparsity():.0%}'
    rows = [f'**{graph.name}**: {graph.macs():,} MACs, prunable weights {zero} zero', '',
            f"| {' | '.join(COLUMNS)} |", '|---' * len(COLUMNS) + '|']
    for op in graph.ops:
        t, w = graph.tensors[op.output], op.params.get('weight')
        weights = '' if w is None else f'{w.size:,} ({(w == 0).mean():.0%} zero)'
        cells = (op.name, op.kind, ', '.join(op.inputs), 'x'.join(map(str, t.shape)), f'{t.scale:.3g}',
                 t.zero_point, weights, f'{OPERATORS[op.kind].macs(op.attrs):,}')
        rows.append(f"| {' | '.join(map(str, cells))} |")
    return '\n'.join(rows)


def plot_graph(
    graph: object, # a `Graph`
    ax=None,       # matplotlib Axes, or None for new ones
):                 # the Axes; one text per operator
    "Draw operators in order and who reads whom; returns the Axes (pure function)."
    ax = ax or plt.subplots(figsize=(7, 2.4))[1]
    at = {graph.input: -1} | {op.output: i for i, op in enumerate(graph.ops)}
    color = {k: f'C{i}' for i, k in enumerate(OPERATORS)}
    for i, op in enumerate(graph.ops):
        ax.text(i, -0.5, op.name, rotation=90, ha='center', va='top', fontsize=7)
        ax.plot(i, 0, 's', ms=8, color=color[op.kind])
        for j in (at[n] for n in op.inputs):
            t = np.linspace(0, np.pi, 30)
            ax.plot((i + j)/2 - (i - j)/2*np.cos(t), 0.35*(i - j - 1)*np.sin(t), color='0.5', lw=1, zorder=0)
    ax.set(xlim=(-1.5, len(graph.ops)), ylim=(-7, 3.2))
    ax.axis('off')
    return ax


def plot_step(
    graph: object, # a `Graph`
    live: dict,    # what `run(graph, x, keep=True)` returned
    step: int = 0, # operator, 0 to len(graph.ops) - 1
    ax=None,       # matplotlib Axes, or None for new ones
):                 # the Axes
    "Show the codes that one operator writes for the first image; returns the Axes (pure function)."
    ax = ax or plt.subplots(figsize=(4, 2.6))[1]
    op = graph.ops[step]
    codes = live[op.output][0].reshape(-1, graph.tensors[op.output].shape[-1])
    ax.imshow(codes, vmin=-128, vmax=127, cmap='coolwarm', aspect='auto', interpolation='nearest')
    ax.set(xlabel='channel', ylabel='position', title=f'{step}: {op.name.split(".")[-1]}\n{op.kind}')
    ax.title.set_fontsize(8)
    if len(codes) == 1: ax.set_yticks([0])
    return ax


def plot_sums(
    sums: np.ndarray, # accumulators of random inputs
    worst: int,       # the accumulator of the worst input
    bound: int,       # that none exceeds
    ax=None,          # matplotlib Axes, or None for new ones
):                    # the Axes
    "Draw how far the sums of a layer go, and the bound; returns the Axes (pure function)."
    ax = ax or plt.subplots(figsize=(6, 2.2), layout='constrained')[1]
    most = ax.hist(sums, 60, color='C0', label=f'{len(sums):,} random inputs')[0].max()
    ax.axvline(worst, color='C1', label='the worst input')
    for end in (-bound, bound): ax.axvline(end, color='0.3', ls='--')
    ax.set(xlabel='accumulator (dashed: the bound)', ylabel='inputs', ylim=(0, 1.25*most))
    ax.legend(fontsize=8, loc='upper center', ncol=2)
    return ax


def plot_flips(
    where: np.ndarray, # number of the byte that was changed, for each try
    seen: list,        # 'refused' or 'harmless' for each try
    starts: list,      # bytes at which an entry of the zip begins
    ax=None,           # matplotlib Axes, or None for new ones
):                     # the Axes
    "One dot for each changed byte of a file, a line where each entry begins; returns the Axes (pure function)."
    ax = ax or plt.subplots(figsize=(7, 1.4), layout='constrained')[1]
    for kind, y in (('refused', 1), ('harmless', 0)):
        at = [i for i, s in zip(where, seen) if s == kind]
        ax.plot(at, [y]*len(at), '.', ms=4, label=kind)
    for x in starts: ax.axvline(x, color='0.8', lw=1, zorder=0)
    ax.set(yticks=[0, 1], yticklabels=['harmless', 'refused'], xlabel='byte of the file', ylim=(-.5, 1.5))
    return ax
