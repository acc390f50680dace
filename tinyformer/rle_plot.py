"""How a weight stream is shown: a row of weights above the bytes that it becomes, and a layer as a line of a table."""
import matplotlib.pyplot as plt
import numpy as np


def walk_bytes(
    stream: bytes, # a stream
    b: int         # weights per block
) -> list:         # byte offsets
    "Where the headers of a stream are."
    at, out = 0, []
    while at < len(stream):
        out.append(at)
        at += 1 + b * (stream[at] & 127 < 120)   # larger ones stand alone
    return out


def plot_stream(
    row: np.ndarray, # int8 `[K]`, one row of weights, K a multiple of b
    b: int,          # weights per block
    stream: bytes,   # the row's bytes
    ax=None          # matplotlib Axes, or None for a new one
):                   # the Axes
    "Draw a row of weights above the bytes it becomes; returns the Axes (pure function)."
    ax = ax or plt.subplots(figsize=(7, 1.9))[1]
    def cell(x, y, text, colour):
        ax.add_patch(plt.Rectangle((x, y), 1, 1, fc=colour, ec='k', lw=.6))
        ax.text(x + .5, y + .5, text, ha='center', va='center', fontsize=8)
    headers = [(at, stream[at] & 127) for at in walk_bytes(stream, b)]
    kept = list(np.cumsum([gap + 1 for _, gap in headers if gap < 120]) - 1)  # 120: no block
    for i, v in enumerate(row): cell(i, 3, v, f'C{kept.index(i // b) % 10}' if i // b in kept else 'lightgrey')
    for at, _ in headers: cell(at, 0, f'{stream[at]:02x}', 'white')
    for k, at in enumerate(at for at, gap in headers if gap < 120):
        for j in range(at + 1, at + 1 + b): cell(j, 0, f'{stream[j]:02x}', f'C{k % 10}')
        ax.plot([kept[k] * b + b / 2, at + 1 + b / 2], [3, 1], color=f'C{k % 10}')
    ax.set(xlim=(-.2, max(len(row), len(stream)) + .2), ylim=(-.2, 4.2), aspect='equal')
    ax.axis('off')
    return ax


def stream_table(
    shape: tuple,  # of the layer
    block: str,    # name of its block shape
    stream: bytes  # its weights
) -> str:          # Markdown
    "A table of one line: what a layer takes, dense and as a stream."
    weights, head = int(np.prod(shape)), stream[:12].hex(' ') + (' …' if len(stream) > 12 else '')
    return (f'| shape | block | dense | stream | ratio | first bytes |\n|---|---|---|---|---|---|\n'
            f"| {' x '.join(map(str, shape))} | {block} | {weights} B | {len(stream)} B "
            f'| {weights / len(stream):.2f} | `{head}` |')


def draw_words(
    streams: dict, # title -> bytes of a stream
    heads: list,   # for each stream: the numbers of its bytes that are headers
    unused: list   # for each stream: the numbers of its bytes without a meaning
):                 # array of the Axes
    "Draw streams as words of memory, one a line; headers are dark, unused bytes are white (pure function)."
    fig, axs = plt.subplots(1, len(streams), figsize=(5, 3.4), layout='constrained')
    for ax, (title, stream), dark, rest in zip(axs, streams.items(), heads, unused):
        for i, byte in enumerate(stream):
            colour = 'C0' if i in dark else 'w' if i in rest else '0.85'
            ax.add_patch(plt.Rectangle((i % 4, -(i//4)), .94, -.9, facecolor=colour, edgecolor='0.7'))
            ax.text(i % 4 + .47, -(i//4) - .45, byte, ha='center', va='center', fontsize=8,
                    color='w' if i in dark else 'k')
        lines = max(map(len, streams.values())) / 4
        ax.set(xlim=(-.1, 4.1), ylim=(-lines - .1, .1), title=title, xticks=[], yticks=[])
    return axs
