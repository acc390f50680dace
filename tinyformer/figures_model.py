"""Figures of the pages on the model (13 to 17): each function draws what it is given, and computes nothing else.

A page keeps one line that draws and the sentence that says what is seen. The words of a figure are arguments, so the
page decides them."""
import matplotlib.pyplot as plt
import numpy as np

from tinyformer.boxes import draw_boxes


def draw_chains(
    rows:list, # one chain of labels a row
    width:float=7.5, # of the figure, inches
)->list: # one pair of axes a row
    "Chains of boxes below each other."
    axes = plt.subplots(len(rows), 1, figsize=(width, .25 + .7*len(rows)), squeeze=False)[1][:, 0]
    for ax, row in zip(axes, rows): draw_boxes([[label] for label in row], [0]*len(row), ax)
    return list(axes)


def block_label(
    block:object, # one of `arch.KINDS`
)->str:
    "A block in two words."
    if hasattr(block, 'depth'): return f'transformer\n{block.depth} x dim {block.dim}'
    return {'ir': 'inverted\nresidual', '3x3': 'residual'}.get(block.kind, block.kind)


def plot_path(
    arch:object, # one path, an `Arch`
    ax:plt.Axes=None, # None = a new figure
)->plt.Axes:
    "Draw a path as a chain of boxes with their maps; a pure drawing."
    maps = ['x'.join(map(str, s)) for s in arch.shapes()]
    blocks = [f'{block_label(b)}\n→ {m}' for b, m in zip(arch.blocks, maps[1:])]
    boxes = [f'image\n{maps[0]}', *blocks, f'head {arch.head}\n→ {arch.classes}']
    return draw_boxes([[box] for box in boxes], [0]*len(boxes), ax)


def draw_bars(
    rows:dict, # label of the axis -> one value a bar
    xlabel:str, # below the last row
)->list: # one pair of axes a row
    "Rows of bars over one common axis."
    axes = plt.subplots(len(rows), 1, figsize=(6, 1.3*len(rows)), sharex=True, squeeze=False,
                        layout='constrained')[1][:, 0]
    for ax, (label, values) in zip(axes, rows.items()):
        ax.bar(range(len(values)), values)
        ax.set_ylabel(label, fontsize=8)
    axes[-1].set_xlabel(xlabel)
    return list(axes)


def draw_numbers(
    ax:plt.Axes, # where
    values:np.ndarray, # [rows, columns]
    form:str='.0f', # of a number
    **how:object, # for `imshow`: limits of the colours
)->plt.Axes:
    "A table of numbers, each in a cell whose colour says how large it is."
    values = np.asarray(values, float)
    ax.imshow(values, cmap='Blues', **how)
    for (i, j), v in np.ndenumerate(values): ax.text(j, i, f'{v:{form}}', ha='center', va='center')
    ax.set(xticks=[], yticks=[])
    return ax


def draw_tokens(
    channel:np.ndarray, # [h, w], one channel of a map
)->list: # two pairs of axes
    "One channel as a map, and the same numbers token by token."
    h, w = channel.shape
    axes = plt.subplots(1, 2, figsize=(6, 1.3), width_ratios=(w, h*w), layout='constrained')[1]
    for ax, title, shape in zip(axes, ('map', 'tokens'), ((h, w), (1, h*w))):
        draw_numbers(ax, np.asarray(channel).reshape(shape), vmax=2*h*w).set_title(title)
    return list(axes)


def draw_mixture(
    weights:np.ndarray, # [tokens that ask, tokens that are asked]
    asked:list, # label of each column
)->plt.Axes:
    "The weights of attention, with a row for each token that asks."
    ax = draw_numbers(plt.subplots(figsize=(2.6, 2))[1], weights, '.3f', vmin=0, vmax=1)
    rows = [f'token {i}' for i in range(len(weights))]
    ax.set(xticks=range(len(asked)), xticklabels=asked, yticks=range(len(rows)), yticklabels=rows,
           title='weights of the mixture')
    return ax


def draw_rewriting(
    rows:list, # (what was written, what is left of it; '' = nothing)
)->plt.Axes:
    "What a person wrote, left, and the steps that remain, right."
    ax = plt.subplots(figsize=(7, .45*len(rows) + .3))[1]
    for y, (wrote, step) in enumerate(rows):
        for x, text, color in ((0, wrote, '#dfe8f5'), (1, step, '#e6f2df' if step else '#f2f2f2')):
            box = dict(boxstyle='round', fc=color, ec='none')
            ax.text(x, -y, text or 'nothing', ha='center', va='center', fontsize=9, bbox=box)
        ax.annotate('', (.72, -y), (.3, -y), arrowprops=dict(arrowstyle='->', color='gray'))
    ax.set(xlim=(-.5, 1.5), ylim=(.6 - len(rows), .5))
    ax.axis('off')
    return ax


def draw_curves(
    x:np.ndarray, # [n]
    curves:dict, # label -> values [n]
    xlabel:str='x', # below
    ylabel:str='f(x)', # beside
)->plt.Axes:
    "Several functions of one number; the first is wide, so that one that equals it can be seen on it."
    ax = plt.subplots(figsize=(5, 2.4), layout='constrained')[1]
    for i, (label, y) in enumerate(curves.items()):
        style = dict(lw=5, alpha=.4) if i == 0 else dict(ls=('--', ':')[(i - 1) % 2])
        ax.plot(x, y, label=label, **style)
    ax.set(xlabel=xlabel, ylabel=ylabel)
    ax.legend()
    return ax


def draw_against(
    pairs:dict, # title -> (values across, values up)
    xlabel:str, # of the values across
    ylabel:str, # of the values up
)->list: # one pair of axes for each
    "Dots of two results of the same thing beside the diagonal, on which they are equal."
    axes = plt.subplots(1, len(pairs), figsize=(3*len(pairs), 2.8), sharex=True, squeeze=False,
                        layout='constrained')[1][0]
    for ax, (title, (x, y)) in zip(axes, pairs.items()):
        ax.plot(np.ravel(x), np.ravel(y), '.')
        ax.axline((0, 0), slope=1, color='grey', lw=1)
        ax.set(xlabel=xlabel, ylabel=ylabel, title=title)
    return list(axes)


def draw_matrices(
    matrices:dict, # title -> [rows, columns]
    size:tuple=(7, 2.6), # of the figure, inches
    xlabel:str='', # below each
    ylabel:str='', # beside each
    **how:object, # for `imshow`: limits of the colours
)->list: # one pair of axes for each
    "Matrices beside each other as pictures, darker for larger values."
    axes = plt.subplots(1, len(matrices), figsize=size, squeeze=False, layout='constrained')[1][0]
    for ax, (title, values) in zip(axes, matrices.items()):
        ax.imshow(values, cmap='Blues', **how)
        ax.set(title=title, xlabel=xlabel, ylabel=ylabel, xticks=[], yticks=[])
    return list(axes)


def draw_places(
    matrices:dict, # title -> places [rows, columns]
    widths:list, # of the pictures, relative
    size:tuple=(7, 2.2), # of the figure, inches
)->list: # one pair of axes for each
    "Matrices of places as numbers on grids, darker for later places."
    axes = plt.subplots(1, len(matrices), figsize=size, squeeze=False, layout='constrained',
                        gridspec_kw=dict(width_ratios=widths))[1][0]
    for ax, (title, places) in zip(axes, matrices.items()):
        draw_numbers(ax, places, vmin=-4, vmax=16).set_title(title)
    return list(axes)


def draw_guesses(
    m:np.ndarray, # [n], above 0
    functions:dict, # label -> (values [n], values of the guess [n] or None)
)->plt.Axes:
    "Functions on logarithmic axes, each below the guess for it, if there is one."
    ax = plt.subplots(figsize=(5, 2.6), layout='constrained')[1]
    for label, (values, guess) in functions.items():
        line, = ax.loglog(m, values, lw=4, alpha=.4, label=label)
        if guess is not None: ax.loglog(m, guess, color=line.get_color(), ls='--', label='the guess for it')
    ax.set(xlabel='m', ylabel='f(m)', ylim=(.05, 8))
    ax.legend()
    return ax


def draw_rounding(
    x:np.ndarray, # [n] values
    y:np.ndarray, # [n] what rounding gives
)->list: # two pairs of axes
    "Values and their codes as values, above; the error of the rounding, below."
    up, low = plt.subplots(2, 1, figsize=(5, 2.8), sharex=True, layout='constrained')[1]
    up.plot(x, x, color='0.7', label='value')
    up.plot(x, y, label='rounded')
    up.legend(fontsize=8)
    low.plot(x, y - x)
    low.set(xlabel='value', ylabel='error')
    return [up, low]


def draw_reach(
    sets:dict, # title -> (ends [2, n] below and above 0 of each image, (below, above) of the range taken)
)->list: # one pair of axes for each
    "What each image reaches, as bars around 0, and the range that is taken, as a band."
    axes = plt.subplots(1, len(sets), figsize=(7, 2.2), sharey=True, squeeze=False, layout='constrained')[1][0]
    for ax, (title, (ends, (below, above))) in zip(axes, sets.items()):
        ends = np.asarray(ends)
        ax.bar(range(ends.shape[1]), ends.sum(0), bottom=-ends[0], width=.5)
        ax.axhspan(-below, above, color='C1', alpha=.2)
        ax.set(xlabel='image', title=title)
    axes[0].set_ylabel('values')
    return list(axes)


def draw_pairs(
    groups:dict, # label -> one value for each channel
    xlabel:str, # below
    ylabel:str, # beside
)->plt.Axes:
    "Two bars for each channel, side by side."
    ax = plt.subplots(figsize=(5, 2), layout='constrained')[1]
    for shift, (label, values) in zip((-.2, .2), groups.items()):
        ax.bar(np.arange(len(values)) + shift, values, .4, label=label)
    ax.set(xlabel=xlabel, ylabel=ylabel)
    ax.legend(fontsize=8)
    return ax


def draw_ends(
    x:np.ndarray, # [n]
    functions:dict, # name -> (values [n], levels at which the function ends)
)->list: # one pair of axes for each
    "Functions of one number, with dashed lines where they end."
    axes = plt.subplots(1, len(functions), figsize=(7, 1.8), squeeze=False, layout='constrained')[1][0]
    for ax, (name, (y, levels)) in zip(axes, functions.items()):
        ax.plot(x, y)
        for level in levels: ax.axhline(level, color='0.6', ls='--')
        ax.set(title=name)
    return list(axes)


def draw_useful(
    x:np.ndarray, # [n]
    y:np.ndarray, # [n] a function of it
    band:tuple, # (from, to): what is worth a code
    ylabel:str, # beside
)->plt.Axes:
    "A function, and the part of its argument that is worth a code."
    ax = plt.subplots(figsize=(5, 2), layout='constrained')[1]
    ax.plot(x, y)
    ax.axvspan(*band, color='C1', alpha=.2, label='worth a code')
    ax.set(xlabel='value read', ylabel=ylabel)
    ax.legend(fontsize=8)
    return ax


def draw_right(
    right:np.ndarray, # [n] what should come out
    given:dict, # label -> [n] what comes out
)->plt.Axes:
    "Values that are given against the right ones, beside the diagonal."
    ax = plt.subplots(figsize=(5, 2.2), layout='constrained')[1]
    for label, y in given.items(): ax.plot(np.ravel(right), np.ravel(y), '.', label=label)
    ax.plot([0, 1], [0, 1], color='0.7', zorder=0)
    ax.set(xlabel='right value', ylabel='value given')
    ax.legend(fontsize=8)
    return ax
