"""Knobs that need no kernel. `tests/run_notebooks.py --store` turns the knobs of an `interact` cell and keeps a picture
or the text of each position with the notebook; the site shows them under the same knobs (`_static/frames.js`).

A cell with many knobs names those to keep, and their values: `#| frames: begin=0,50,100 end=60,110`."""
import base64, html, io, json
from contextlib import redirect_stdout
from itertools import product
from math import prod

import numpy as np

MIME = 'application/vnd.tinyformer.frames+json'
MOST = 40                                         # positions of a cell that names none
DPI, COLOURS, WIDEST = 90, 32, 12_000             # of the picture; pixels of all positions side by side
MARGIN = .6                                       # inches around a figure in which words may stand
PICTURES = {}                                     # file name -> bytes, of the site that is being built


# ---- the knobs of a cell ---------------------------------------------------------------------------------------------

def values_of(widget):
    "(what a knob may be set to, how it is shown), in order; None for one that cannot be turned."
    if hasattr(widget, 'options'):
        v, shown = list(widget._options_values), map(str, widget._options_labels)
        return (v, [f'{o:g}' if isinstance(o, float) else s for o, s in zip(v, shown)]) if v[1:] else None
    if isinstance(widget.value, bool): return [False, True], ['no', 'yes']
    if not hasattr(widget, 'step'): return None
    n = int((widget.max - widget.min)/widget.step + 1e-6)
    v = [type(widget.value)(round(widget.min + i*widget.step, 10)) for i in range(n + 1)]
    return v, [f'{o:g}' for o in v]


def spread(n, k, start):
    "k of n places, evenly, the first and the last and `start` among them."
    at = sorted({round(i) for i in np.linspace(0, n - 1, k)})
    inner = range(1, len(at) - 1) or range(len(at))
    if start not in at: at[min(inner, key=lambda i: abs(at[i] - start))] = start
    return sorted(at)


def shares(sizes):
    "How many places of each knob are kept: the one with most gives up first."
    keep = list(sizes)
    while prod(keep) > MOST: keep[keep.index(max(keep))] -= 1
    return keep


def nearest(values, wanted):
    "The index of a value, or of the number that is nearest to it."
    if wanted in values: return values.index(wanted)
    return min(range(len(values)), key=lambda i: abs(values[i] - wanted))


def knobs(widgets, named=()):
    "The knobs that turn, each with its kept values; `named` is what a cell says: 'begin=0,50,100'."
    wanted = {k: v.split(',') for k, _, v in (o.partition('=') for o in named)}
    turning = [(w, *values_of(w)) for w in widgets if values_of(w) and (not wanted or w._kwarg in wanted)]
    unknown = set(wanted) - {w._kwarg for w, _, _ in turning}
    if unknown: raise ValueError(f"the frames of this cell name {', '.join(unknown)}, which is no knob that turns")
    out = []
    for (w, v, shown), k in zip(turning, shares([len(v) for _, v, _ in turning])):
        start = nearest(v, w.value)
        at = [shown.index(o) for o in wanted[w._kwarg]] if wanted else spread(len(v), k, start)
        out.append(dict(name=w._kwarg, values=[v[i] for i in at], shown=[shown[i] for i in at],
                        start=nearest(at, start), choice=not hasattr(w, 'step')))
    return out


# ---- a picture of every position -------------------------------------------------------------------------------------

def shot(fig):
    "A figure as pixels, with a margin."
    from matplotlib.transforms import Bbox
    from PIL import Image
    w, h = fig.get_size_inches()
    out = io.BytesIO()
    fig.savefig(out, format='png', dpi=DPI, facecolor='white',
                bbox_inches=Bbox([[-MARGIN, -MARGIN], [w + MARGIN, h + MARGIN]]))
    return np.asarray(Image.open(out).convert('RGB'))


def ink(pictures):
    "(top, bottom, left, right) of what any of them shows."
    shown = (np.stack(pictures) < 250).any((0, 3))
    rows, columns = np.flatnonzero(shown.any(1)), np.flatnonzero(shown.any(0))
    return max(0, rows[0] - 4), rows[-1] + 5, max(0, columns[0] - 4), columns[-1] + 5


def sheet(pictures):
    "All pictures side by side in one file: neighbours are alike, so it takes little more than one."
    from PIL import Image
    size = np.max([p.shape for p in pictures], 0)
    pictures = [np.pad(p, [(0, a - b) for a, b in zip(size, p.shape)], constant_values=255) for p in pictures]
    top, bottom, left, right = ink(pictures)
    pictures = [p[top:bottom, left:right] for p in pictures]
    h, w = pictures[0].shape[:2]
    down = -(-len(pictures)//(WIDEST//w))
    across = -(-len(pictures)//down)
    blank = [np.full_like(pictures[0], 255)]*(across*down - len(pictures))
    rows = np.stack(pictures + blank).reshape(down, across, h, w, 3)
    whole = Image.fromarray(rows.transpose(0, 2, 1, 3, 4).reshape(down*h, across*w, 3))
    out = io.BytesIO()
    few = whole.quantize(COLOURS, dither=Image.Dither.NONE).convert('RGB')
    few.save(out, 'WEBP', lossless=True, quality=100, method=4)
    picture = base64.b64encode(out.getvalue()).decode()
    return dict(picture=picture, width=int(w), height=int(h), across=across, down=down)


def one(f, words):
    "What a position shows: pixels, or text."
    import matplotlib.pyplot as plt
    plt.close('all')
    said = io.StringIO()
    with redirect_stdout(said): result = f(**words)
    figures = plt.get_fignums()
    if figures: return shot(plt.figure(figures[-1]))
    if hasattr(result, 'data') and type(result).__name__ == 'Markdown': return dict(markdown=result.data)
    if said.getvalue(): return dict(text=said.getvalue())
    raise ValueError('an interact cell shows neither a figure nor a text')


def frames(f, widgets, named=()):
    "What a notebook keeps of an `interact` cell."
    import matplotlib.pyplot as plt
    turning = knobs(widgets, named)
    start = {w._kwarg: w.get_interact_value() for w in widgets}
    positions = product(*(k['values'] for k in turning))
    shown = [one(f, start | dict(zip([k['name'] for k in turning], p))) for p in positions]
    plt.close('all')
    told = [dict(name=k['name'], shown=k['shown'], start=k['start'], choice=k['choice']) for k in turning]
    if isinstance(shown[0], dict): return dict(knobs=told, texts=shown)
    return dict(knobs=told, **sheet(shown))


# ---- the same on the site --------------------------------------------------------------------------------------------

def control(knob):
    "A knob as HTML: a slider, or a list to choose from."
    name, shown, start = html.escape(knob['name']), knob['shown'], knob['start']
    if knob['choice']:
        options = ''.join(f'<option{" selected" if i == start else ""}>{html.escape(o)}</option>'
                          for i, o in enumerate(shown))
        return f'<label><span>{name}</span><select>{options}</select></label>'
    return (f'<label><span>{name}</span><input type="range" min="0" max="{len(shown) - 1}" value="{start}" '
            f'data-shown="{html.escape(json.dumps(shown))}"><output>{html.escape(shown[start])}</output></label>')


def index_of(at, sizes):
    "The number of a position, the last knob turning fastest."
    n = 0
    for a, size in zip(at, sizes): n = n*size + a
    return n


def view(told, first, file, words):
    "The pictures, or the texts, with the first position in view."
    if 'texts' in told:
        from markdown_it import MarkdownIt
        bodies = [MarkdownIt().render(o['markdown']) if 'markdown' in o else f"<pre>{html.escape(o['text'])}</pre>"
                  for o in told['texts']]
        return ''.join(f'<div class="frame"{"" if i == first else " hidden"}>{o}</div>' for i, o in enumerate(bodies))
    across, down, w, h = (told[k] for k in ('across', 'down', 'width', 'height'))
    x, y = 100*(first % across)/across, 100*(first//across)/down
    return (f'<div class="frame" style="aspect-ratio:{w}/{h};max-width:{w}px" data-across="{across}" '
            f'data-down="{down}"><img loading="lazy" alt="Figure: {html.escape(words)}" src="{file}" '
            f'style="width:{100*across}%;transform:translate(-{x:.4f}%,-{y:.4f}%)"></div>')


def figure(told, name, up, words):
    "A stored cell as HTML; its picture becomes a file of the site. `up` leads to the top of the site."
    sizes = [len(k['shown']) for k in told['knobs']]
    first = index_of([k['start'] for k in told['knobs']], sizes)
    file = f"{name.replace('/', '-')}.webp"
    if 'picture' in told: PICTURES[file] = base64.b64decode(told['picture'])
    controls = ''.join(map(control, told['knobs']))
    return (f'<link rel="stylesheet" href="{up}_static/frames.css"><script src="{up}_static/frames.js" defer></script>'
            f'<div class="frames"><div class="frames-knobs">{controls}</div>'
            f'{view(told, first, f"{up}_static/frames/{file}", words)}'
            f'<p class="frames-note">{prod(sizes)} positions, computed before. In the notebook every value can be '
            'set.</p></div>')


def write(folder):
    "Write the pictures of all pages."
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in PICTURES.items(): (folder/name).write_bytes(data)
