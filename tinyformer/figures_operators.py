"""The pictures of the pages `04_integers` to `04d_norms`: codes on a line, rounding, windows, tables, and bars of an
integer result beside the exact one.

Each function draws what it is given and changes nothing else. What a picture is computed from stands on the page."""
import matplotlib.pyplot as plt
import numpy as np

from .integers import qparams
from .windows import pool_ranges


# ---- shared ----------------------------------------------------------------------------------------------------------

def plot_beside(
    series: dict,          # label → as many numbers as the others
    xlabel: str,           # what stands below each group of bars
    ylabel: str,           # what the bars measure
    names=None,            # a name for each group; by default its number
    size: tuple = (5, 2),  # inches
    columns: int = 1,      # of the legend
    **axes                 # more for `Axes.set`, such as yscale
):                         # the Axes
    "Draw two series of bars side by side; returns the Axes (pure function)."
    ax = plt.subplots(figsize=size)[1]
    n = len(next(iter(series.values())))
    for off, (label, values) in zip((-.2, .2), series.items()): ax.bar(np.arange(n) + off, values, .4, label=label)
    ax.set(xlabel=xlabel, ylabel=ylabel, **axes)
    if names is not None: ax.set(xticks=range(n), xticklabels=names)
    ax.legend(fontsize=8, ncol=columns)
    return ax


# ---- 04 integers -----------------------------------------------------------------------------------------------------

def plot_number_line(
    scale:float, # real distance between codes
    zp:int, # code of the real 0
    bits:int=3, # 2 to 8
    ax=None, # matplotlib Axes, or None for a new one
): # the Axes
    "Draw every code above the real number that it stands for; returns the Axes (pure function)."
    ax = ax or plt.subplots(figsize=(7, 1.3))[1]
    codes = np.arange(-2**(bits-1), 2**(bits-1))
    real = scale * (codes - zp)
    ax.vlines(real, 0, 1, color=np.where(codes == zp, 'C3', 'C0'))
    for q, r in zip(codes, real):
        if bits < 6: ax.text(r, 1.1, q, ha='center', color='C3' if q == zp else 'C0')
    ax.axhline(0, color='k', lw=.8)
    ax.set(yticks=[], ylim=(-.1, 1.6), xlabel='real value', title=f'scale {scale:.3g}, zero point {zp}')
    ax.title.set_fontsize(9)
    for side in ('left', 'right', 'top'): ax.spines[side].set_visible(False)
    return ax


def plot_rounding(
    bits:int=4, # 2 to 8
    clip:float=2.5, # end of the symmetric range, > 0
    ax=None, # matplotlib Axes, or None for a new one
): # the Axes; its title ends with the mean absolute error
    "Draw values before and after they are stored, and what is lost; returns the Axes."
    ax = ax or plt.subplots(figsize=(6, 2.4))[1]
    x = np.sort(np.random.default_rng(0).normal(size=2000))
    s, _ = qparams(-clip, clip, 'symmetric', bits)
    y = s * np.clip(np.round(x / s), -2**(bits-1), 2**(bits-1) - 1)
    ax.plot(x, y, lw=1.2, label='stored')
    ax.fill_between(x, np.abs(y - x), color='C3', alpha=.6, label='error')
    ax.set(xlim=(-4, 4), ylim=(-4, 4), title=f'{bits} bits, clip {clip:g}: mean error {np.abs(y - x).mean():.3f}')
    ax.title.set_fontsize(8)
    ax.legend(fontsize=7)
    return ax


def plot_roundings(
    cases: list, # of (bits, clip)
): # the mean absolute errors, one a case
    "Draw some cases of `plot_rounding` side by side."
    axs = plt.subplots(1, len(cases), figsize=(6.4, 1.6), layout='constrained', sharey=True)[1]
    titles = [plot_rounding(*case, ax).get_title() for case, ax in zip(cases, axs)]
    return [float(title.split()[-1]) for title in titles]


def plot_requantized(
    acc:np.ndarray, # accumulators, neighbours in order
    codes:np.ndarray, # what each becomes
    ratio:float, # real codes for one step of the accumulator
    zp:int, # zero point of the output
    near:int, # how far the second picture reaches
): # the Figure
    "Draw codes over accumulators beside the straight line they follow, from far and from near."
    fig, axes = plt.subplots(1, 2, figsize=(7, 2.2), layout='constrained')
    for ax, some in zip(axes, (acc == acc, np.abs(acc) < near)):
        ax.plot(acc[some], ratio*acc[some] + zp, color='C7', lw=1, label='ratio * acc + zp')
        ax.step(acc[some], codes[some], where='mid', label='code')
        ax.set(xlabel='accumulator', ylabel='output')
    axes[0].legend(fontsize=7)
    return fig


# ---- 04a windows -----------------------------------------------------------------------------------------------------

def plot_taps(
    h:int, # rows of the map
    k:int, # taps of the window
    stride:int=1, # rows from one window to the next
    d:int=1, # dilation: rows from one tap to the next
    pad:int=0, # rows of padding on each side
    ax=None, # matplotlib Axes, or None for a new one
): # the Axes
    "Draw the rows that each window reads, one line for each row of the output; grey is padding."
    ax = ax or plt.subplots(figsize=(3, 2.4))[1]
    out = (h + 2*pad - (k - 1)*d - 1)//stride + 1
    for i in range(out):
        rows = i*stride - pad + d*np.arange(k)
        color = np.where((rows < 0) | (rows >= h), 'lightgray', f'C{i}')
        ax.scatter(rows, [i]*k, c=color, marker='s', s=60)
    ax.axvspan(-.5, h - .5, color='C0', alpha=.08)
    ax.set(xlabel='row of the map', ylabel='row of the output', yticks=range(out), xticks=range(-pad, h + pad),
           ylim=(out - .4, -.6), xlim=(-pad - .7, h + pad - .3))
    ax.set_title(f'stride {stride}, dilation {d}, padding {pad}', fontsize=8)
    return ax


def plot_windows(
    h:int, # rows of the map
    k:int, # taps of the window
    cases:list, # of keywords of `plot_taps`
): # the Axes
    "Draw some windows over the same map side by side."
    axes = plt.subplots(1, len(cases), figsize=(7, 2.4), layout='constrained')[1]
    return [plot_taps(h, k, ax=ax, **case) for ax, case in zip(axes, cases)]


def plot_pools(
    pools:dict, # title → attributes of a pool, as `pool_ranges` takes them
): # the Figure
    "Draw which rows of the input each row of some pools is made from."
    fig, axes = plt.subplots(1, len(pools), figsize=(7, 1.5), layout='constrained', sharex=True)
    for ax, (title, a) in zip(axes, pools.items()):
        for i, (first, end) in enumerate(pool_ranges(a)[0]): ax.plot((first, end), (i, i), lw=6)
        ax.set(title=title, xlabel='row of the input', yticks=range(a['oh']), ylabel='of the output',
               ylim=(a['oh'] - .5, -.5))
    return fig


# ---- 04b elementwise -------------------------------------------------------------------------------------------------

def plot_spread(
    forms:dict, # title → array that spreads over rows and columns
    shape:tuple, # (rows, columns)
): # the Figure
    "Draw which value of a second input meets each place of a first one."
    fig, axes = plt.subplots(1, len(forms), figsize=(7, 1.7), layout='constrained')
    for ax, (title, second) in zip(axes, forms.items()):
        grid = np.broadcast_to(second, shape)
        ax.imshow(grid, cmap='Blues', vmin=-4, vmax=14)
        for (i, j), v in np.ndenumerate(grid): ax.text(j, i, f'y{v}', ha='center', va='center')
        ax.set(title=title, xticks=[], yticks=[], xlabel='channels', ylabel='positions')
    return fig


def plot_table(
    tables:dict, # label → 256 entries; the label '' is not shown
    xlabel:str, # what an entry stands for
    ylabel:str, # what an entry is
    first:int=0, # what the first entry stands for
): # the Axes
    "Draw tables of 256 entries as steps."
    ax = plt.subplots(figsize=(5, 2.2))[1]
    for label, table in tables.items(): ax.step(first + np.arange(256), table, where='mid', label=label or None)
    ax.set(xlabel=xlabel, ylabel=ylabel)
    if any(tables): ax.legend(fontsize=8)
    return ax


def plot_order(
    places:list, # place in the input that each step reads
): # the Axes
    "Draw the order in which a copy reads a small input."
    ax, n = plt.subplots(figsize=(5, 1.5))[1], len(places)
    for place in range(n):
        box = dict(boxstyle='square', fc='#dfe8f5', ec='none')
        ax.text(place, -.6, f'{place}', ha='center', va='center', bbox=box)
    ax.plot(places, np.arange(1, n + 1), 'o-', color='C1', lw=1)
    ax.set(xlim=(-.6, n - .4), ylim=(-1.8, n + .8), xlabel='place in the input', ylabel='step', yticks=[1, n])
    return ax


def plot_gaps(
    marked:np.ndarray, # bool [rows, columns]: where the pixels of the input are
): # the Axes
    "Draw where the pixels of a padded map lie."
    ax = plt.subplots(figsize=(3.6, 2))[1]
    ax.imshow(marked, cmap='Blues', vmax=2)
    for i, j in np.argwhere(marked): ax.text(j, i, 'x', ha='center', va='center')
    rows, columns = marked.shape
    ax.set(xticks=range(columns), yticks=range(rows), xlabel='column of the output', ylabel='row')
    return ax


# ---- 04c softmax -----------------------------------------------------------------------------------------------------

def plot_masks(
    masks:list, # of bool [tokens, keys]
): # the Figure
    "Draw which keys each query sees; white is what it does not see."
    fig, axes = plt.subplots(1, len(masks), figsize=(5, 1.9), layout='constrained')
    for ax, mask in zip(axes, masks):
        ax.imshow(mask, cmap='Blues', vmin=0, vmax=2)
        tokens, keys = mask.shape
        ax.set(xticks=range(keys), yticks=range(tokens), xlabel='key', ylabel='query',
               title=f'{tokens} tokens, {keys} keys')
    return fig


# ---- 04d norms -------------------------------------------------------------------------------------------------------

def plot_errors(
    spreads:np.ndarray, # spread of the tokens, in codes
    series:dict, # label → mean error for each spread, in codes
): # the Axes
    "Draw errors over the spread of the tokens, on logarithmic axes."
    ax = plt.subplots(figsize=(5, 2.3))[1]
    for label, errors in series.items(): ax.loglog(spreads, errors, 'o-', label=label)
    ax.set(xlabel='spread of the token, in codes', ylabel='mean error, in codes')
    ax.legend(fontsize=8)
    return ax
