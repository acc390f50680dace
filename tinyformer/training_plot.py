"""Pictures of images, of data sets and of a training.

Each function is pure: it draws what it is given and gives back the axes or the figure."""
import matplotlib.pyplot as plt
import numpy as np


def plot_images(
    x: np.ndarray,  # [n, h, w, c] or [n, h, w]; uint8, or float in 0..1
    titles=(),  # a text for each image
    columns: int = 10,  # images in a row
):  # matplotlib Figure
    "Draw images in a grid, with a text above each."
    x = np.asarray(x) / 255. if np.asarray(x).dtype == np.uint8 else np.asarray(x)
    n, h, w, c = (*x.shape, 1)[:4]
    rows, gap, top = -(-n // columns), max(1, w // 8), h // 2 if len(titles) else max(1, h // 8)
    sheet = np.ones((rows * columns, h + top, w + gap, c))
    sheet[:n, top:, :w] = x.reshape(n, h, w, c)
    sheet = sheet.reshape(rows, columns, h + top, w + gap, c).swapaxes(1, 2)
    sheet = sheet.reshape(rows * (h + top), -1, c)
    size = .55 * columns, .55 * columns * sheet.shape[0] / sheet.shape[1]
    fig, ax = plt.subplots(figsize=size, layout='constrained')
    ax.imshow(sheet.squeeze(), cmap='gray', vmin=0, vmax=1)
    for k, title in enumerate(titles):
        x, y = k % columns * (w + gap) + w / 2, k // columns * (h + top) + top / 2
        ax.text(x, y, title, ha='center', va='center', fontsize=8)
    ax.axis('off')
    return fig


def draw_line_up(
    classes: np.ndarray,  # labels [n], each 0 or 1, lined up by class
    held_out: np.ndarray,  # places in the line that are held out
):  # matplotlib Axes
    "Draw labels in a line; what is held out is orange."
    ax = plt.subplots(figsize=(7, .9), layout='constrained')[1]
    for place, label in enumerate(classes):
        ax.text(place, 0, label, ha='center', va='center', bbox=dict(
            boxstyle='round', fc='C1' if place in held_out else 'white', ec=f'C{2 * label}'))
    ax.set(xlim=(-1, len(classes)), ylim=(-.6, .6), title='held out: orange')
    ax.axis('off')
    return ax


def plot_shares(
    counts: dict,  # name of a part -> how many images of each class
):  # matplotlib Axes
    "Draw the share of each class in each part."
    ax = plt.subplots(figsize=(5, 2.2))[1]
    for k, (part, n) in enumerate(counts.items()):
        ax.bar(np.arange(len(n)) + .28 * (k - 1), n / n.sum(), .28, label=part)
    ax.set(xlabel='digit', ylabel='share', xticks=range(len(n)))
    ax.legend(fontsize=7, ncols=3, loc='lower right')
    return ax


def plot_conversions(): # the Axes of the float and of the int8 code
    "Draw what the float model and the device read, over the byte of a pixel."
    byte = np.arange(256)
    left = plt.subplots(figsize=(5, 2.2), layout='constrained')[1]
    left.plot(byte, byte / 255, color='C0')
    left.set(xlabel='byte b', ylabel='float: b / 255', ylim=(-.05, 1.05))
    right = left.twinx()
    right.plot(byte, byte - 128, color='C1', ls='--')
    right.set(ylabel='int8: b - 128', ylim=(-128 - .05 * 255, 127 + .05 * 255))
    return left, right


def plot_source(
    image: np.ndarray,  # uint8 [h, w]
    angle: float,  # radians
    grow: float,  # above 0; 2 shows everything twice as large
):  # matplotlib Axes; its line is the square
    "Draw an image and the square that a turned and enlarged copy reads from it."
    ax = plt.subplots(figsize=(2.6, 2.6), layout='constrained')[1]
    ax.imshow(image, cmap='gray', extent=(-1, 1, 1, -1))
    corners = np.array([[-1, 1, 1, -1, -1], [-1, -1, 1, 1, -1]])
    cos, sin = np.cos(angle) / grow, np.sin(angle) / grow
    ax.plot(*np.array([[cos, -sin], [sin, cos]]) @ corners, color='C1', lw=2)
    ax.set(xticks=[-1, 0, 1], yticks=[-1, 0, 1], xlim=(-1.2, 1.2), ylim=(1.2, -1.2))
    return ax


def plot_descent(
    paths: dict,  # title -> values of one weight, step after step
):  # matplotlib Figure
    "Draw the steps of a weight on the curve of its loss, w²/2; one pair of axes for each path."
    fig, axs = plt.subplots(1, len(paths), figsize=(7, 2), sharey=True, squeeze=False, layout='constrained')
    reach = 1.1 * max(np.abs(path).max() for path in paths.values())
    w = np.linspace(-reach, reach, 100)
    for ax, (title, path) in zip(axs[0], paths.items()):
        ax.plot(w, w**2 / 2, color='lightgrey')
        ax.plot(path, np.square(path) / 2, '.-', color='C0', lw=1)
        ax.set(title=title, xlabel='weight')
    axs[0][0].set_ylabel('loss')
    return fig


def plot_losses(
    p: np.ndarray,  # probabilities of the right class, 0 < p < 1
    losses: dict,  # label -> loss at each of them
):  # matplotlib Axes
    "Draw losses over the probability of the right class."
    ax = plt.subplots(figsize=(5, 2.4), layout='constrained')[1]
    for label, loss in losses.items(): ax.plot(p, loss, label=label)
    ax.set(xlabel='probability of the right class', ylabel='loss', ylim=(0, 5.5))
    ax.legend()
    return ax


def draw_restart(
    killed: float,  # epochs that the first start made
    epochs: int,  # of the whole run
):  # matplotlib Axes
    "Draw a run that is killed and started again, epoch by epoch; a cross marks the kill."
    ax = plt.subplots(figsize=(6, 1.6), layout='constrained')[1]
    for row, (first, last) in enumerate([(0, killed), (int(killed), epochs)]):
        ax.broken_barh([(first, last - first)], (-row - .3, .6), fc=f'C{row}')
    for epoch in range(1, epochs + 1): ax.axvline(epoch, color='white', lw=2)
    ax.plot(killed, 0, 'x', color='black', ms=12, mew=3)
    ax.set(yticks=[0, -1], yticklabels=['first start', 'second start'], xlim=(0, epochs), ylim=(-1.5, .5))
    ax.set(xlabel='epoch', xticks=range(epochs + 1))
    return ax


def plot_average(
    weight: list,  # value of one weight after each step
    average: list,  # its running average
    ema: float,  # share that the average keeps of itself
):  # matplotlib Axes
    "Draw a weight and its running average over the steps."
    ax = plt.subplots(figsize=(5, 2.2), layout='constrained')[1]
    ax.plot(weight, color='C7', lw=1, label='weight')
    ax.plot(average, color='C0', label=f'average, ema = {ema:g}')
    ax.set(xlabel='step', ylabel='value')
    ax.legend(loc='lower right')
    return ax


def plot_history(
    history: list,  # what `fit` returns
    ax=None,  # a matplotlib Axes, or a new one
):  # the Axes with the loss; its twin has the accuracy
    "Draw loss and validation accuracy per epoch."
    ax = ax or plt.subplots(figsize=(6, 3))[1]
    ep = [h['epoch'] + 1 for h in history]
    ax.plot(ep, [h['loss'] for h in history], color='C0', label='training loss')
    ax.set(xlabel='epoch', ylabel='training loss')
    twin = ax.twinx()
    known = [(e, h['val_accuracy']) for e, h in zip(ep, history) if h['val_accuracy'] is not None]
    if known: twin.plot(*zip(*known), color='C1', marker='.', label='validation accuracy')
    twin.set_ylabel('validation accuracy')
    ax.legend(handles=ax.lines[:] + twin.lines[:], loc='center right')
    return ax
