"""What is wrong with a matplotlib figure: words that overlap, axes that cut data, bars whose axis leaves out 0.

`tests/run_notebooks.py` asks of every figure that a page shows. What is meant so stands in `MEANT`, with its reason."""
import numpy as np

TOUCH = 2.                       # pixels that two words may share: an extent is a little larger than its ink
MEANT = {                        # (notebook, id of the cell) -> why its figure is right all the same
    ('12_pruning.ipynb', 'c029'): 'beyond one byte per weight a dense layer is smaller, and is taken',
}


# ---- words -----------------------------------------------------------------------------------------------------------

def shown(text):
    "Whether a text is drawn."
    return text.get_visible() and bool(text.get_text().strip()) and (text.axes is None or text.axes.get_visible())


def upright(text):
    "Whether the box of a text has the directions of the page; a slanted one is larger than its ink."
    return text.get_rotation() % 90 == 0


def ticks(axis, lo, hi):
    "The labels of an axis that lie within its limits: matplotlib keeps others in store."
    if not axis.get_visible(): return []
    drawn = axis.get_transform().transform                             # on a logarithmic axis, the logarithm
    lo, hi = sorted(drawn(np.array([lo, hi], float)))
    near = 1e-6*(hi - lo)
    at = drawn(np.array([*axis.get_majorticklocs(), *axis.get_minorticklocs()], float))
    labels = [*axis.get_majorticklabels(), *axis.get_minorticklabels()]
    return [o for place, o in zip(at, labels) if lo - near <= place <= hi + near]


def legend_words(ax):
    return [o for o in [ax.get_legend()] if o for o in o.get_texts()]


def words(ax):
    "All texts of one pair of axes."
    out = [*ax.texts, *legend_words(ax), ax.title, ax._left_title, ax._right_title]
    if ax.axison:
        out += [ax.xaxis.label, ax.yaxis.label, *ticks(ax.xaxis, *ax.get_xlim()), *ticks(ax.yaxis, *ax.get_ylim())]
    return [o for o in out if shown(o) and upright(o)]


def box(text, renderer):
    "(x0, y0, x1, y1) of a text, in pixels, with the frame around it."
    frame = text.get_bbox_patch()
    return np.array((frame or text).get_window_extent(renderer).extents)


def shared(a, b):
    "Pixels that two boxes share, across and up; below 0 is a gap."
    return np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])


def name(text):
    return repr(text.get_text().replace('\n', ' ')[:40])


def colliding(texts, boxes):
    "Pairs of words that lie on each other."
    out = []
    for i, a in enumerate(boxes):
        for j in range(i):
            if min(shared(a, boxes[j])) > TOUCH: out.append(f'{name(texts[j])} and {name(texts[i])} overlap')
    return out


def over_neighbours(texts, boxes, axes, renderer):
    "Words that run into the frame of axes that they do not belong to."
    out = []
    for ax in axes:
        frame = np.array(ax.get_window_extent(renderer).extents)
        for text, b in zip(texts, boxes):
            if text.axes in (None, ax) or same_place(text.axes, ax): continue
            if min(shared(b, frame)) > TOUCH: out.append(f'{name(text)} runs into the axes beside it')
    return out


def same_place(a, b):
    "Whether two axes share a frame, as twins do, or one lies within the other on purpose."
    return a in b.get_shared_x_axes().get_siblings(b) and np.allclose(a.bbox.extents, b.bbox.extents) \
        or np.allclose(a.bbox.extents, b.bbox.extents) or a in b.child_axes or b in a.child_axes


# ---- data and limits -------------------------------------------------------------------------------------------------

def points(ax):
    "(kind, points in data units) of all that is drawn in data units: lines, dots, bars, pictures."
    from matplotlib.collections import PathCollection
    for o in ax.lines:
        if not o.get_visible() or o.get_transform() != ax.transData: continue
        yield 'a line', np.column_stack(o.get_data(orig=False))
    for o in ax.collections:
        if o.get_visible() and isinstance(o, PathCollection) and o.get_offset_transform() == ax.transData:
            yield 'a dot', np.ma.filled(o.get_offsets(), np.nan)
    for o in ax.patches:
        if o.get_visible() and o.get_data_transform() == ax.transData: yield 'a box', box_of_patch(o)
    for o in ax.images:
        x0, x1, y0, y1 = o.get_extent()
        yield 'a picture', np.array([[x0, y0], [x1, y1]])


def box_of_patch(patch):
    "Corners of a patch in data units."
    path = patch.get_patch_transform().transform_path(patch.get_path())
    return path.get_extents().get_points()


def beyond(ax, xy):
    "How many pixels the farthest of these points lies outside the axes."
    xy = np.array(xy, float)
    for i, scale in enumerate((ax.get_xscale(), ax.get_yscale())):    # a bar on a logarithmic axis begins at 0
        if scale == 'log': xy[xy[:, i] <= 0, i] = (ax.get_xlim(), ax.get_ylim())[i][0]
    xy = xy[np.isfinite(xy).all(1)]
    if not len(xy): return 0.
    at = ax.transData.transform(xy)
    x0, y0, x1, y1 = ax.bbox.extents
    return float(max(x0 - at[:, 0].min(), at[:, 0].max() - x1, y0 - at[:, 1].min(), at[:, 1].max() - y1))


def cut(ax):
    "What the limits of the axes cut."
    found = sorted({f'{kind} is cut by the limits of the axes' for kind, xy in points(ax) if beyond(ax, xy) > TOUCH})
    return found + floating_bars(ax)


def floating_bars(ax):
    "A bar's length is its value only when its axis holds 0."
    from matplotlib.container import BarContainer
    out = []
    for bars in (o for o in ax.containers if isinstance(o, BarContainer)):
        up = bars.orientation == 'vertical'
        if (ax.get_yscale() if up else ax.get_xscale()) != 'linear': continue
        lo, hi = sorted(ax.get_ylim() if up else ax.get_xlim())
        if lo > 0 or hi < 0: out.append('bars whose axis leaves out 0')
    return sorted(set(out))


def faults(fig, renderer):
    "All that is wrong with a figure while it is drawn, as sentences."
    axes = [o for o in fig.axes if o.get_visible()]
    texts = [o for ax in axes for o in words(ax)] + [o for o in fig.texts if shown(o) and upright(o)]
    boxes = [box(o, renderer) for o in texts]
    plain = [o for o in axes if o.axison]
    limits = [o for ax in axes for o in cut(ax)]
    return colliding(texts, boxes) + over_neighbours(texts, boxes, plain, renderer) + limits


def watch(shell, found):
    "Have every figure that a shell shows looked at, in the size it is stored in; its faults go to the list `found`."
    from matplotlib.figure import Figure
    formatter = shell.display_formatter.formatters['image/png']
    draw = formatter.lookup_by_type(Figure)
    def look(fig):
        last = []
        def drawn(event):                                             # the last drawing is the one that is stored
            try: last[:] = faults(fig, event.renderer)
            except Exception as e: last[:] = [f'it cannot be looked at: {e!r}']    # the shell would only print it
        link = fig.canvas.mpl_connect('draw_event', drawn)
        out = draw(fig)
        fig.canvas.mpl_disconnect(link)
        found.extend(last)
        return out
    formatter.for_type(Figure, look)
