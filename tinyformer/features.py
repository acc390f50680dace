"""What the cost of a kernel is counted in: how often each of its loops runs, as plain arithmetic on sizes.

The instructions of a kernel are close to a linear function of a few of these counts. `tinyformer bench --fit` measures
what each count is worth. No function branches on a size, so one call also serves columns of thousands of layers."""
import numpy as np


# ---- counts that every kernel may use --------------------------------------------------------------------------------

def unit_counts(
    pixels:int, # output pixels or tokens
    inputs:int, # values that one of them is made from
    cout:int,   # output channels
    macs:int,   # multiply-accumulates
    read:int,   # values read
)->dict: # feature -> count
    "Counts that mean something for every kernel."
    n = pixels*cout
    return dict(call=1, pixels=pixels, pixel_cin=pixels*inputs, outputs=n, elements=n, macs=macs,
                channels=cout, inputs=read)


# ---- weights ---------------------------------------------------------------------------------------------------------

def dense_counts(
    pixels:int, # outputs of one channel
    inputs:int, # that one output is made from
    cout:int,   # output channels
    taps:int=1, # kernel positions among the inputs
)->dict: # feature -> count
    """How often the loops over dense weights run.

    Four pixels go at a time, in tiles of sixteen, and inputs in eights. A single pixel has a path of its own."""
    quads, k8, one = -(-pixels // 4), 8 * -(-inputs // 8), (pixels == 1) & (taps == 1)
    many = 1 - one
    return dict(one_rows=one*cout, one_macs=one*inputs*cout, quad_cin=many*4*quads*k8,
                quad_rows=many*quads*cout, quad_macs=many*4*quads*cout*k8,
                row_cin=many * -(-pixels // 16)*cout*k8)


def stream_counts(
    pixels:int,  # outputs of one channel
    inputs:int,  # that one output is made from
    cout:int,    # output channels
    kept:float,  # blocks in the stream
    live:float,  # output channels that keep a block
)->dict: # feature -> count
    """How often the loops over a stream run.

    A stream is walked once for eight pixels. Channels that lost all their blocks do not take part: their outputs are
    filled in beforehand, in blocks of eight words or word by word. Fewer than eight pixels take the plain loop."""
    tiles, few, wide = -(-pixels // 8), pixels < 8, (cout % 4 == 0) & (cout >= 32)
    tiled = 1 - few
    fill = tiled*pixels*cout*(live < cout - .5)
    return dict(few_rows=few*cout, few_blocks=few*pixels*kept, few_outputs=few*pixels*cout,
                tile_rows=tiled*tiles*live, tile_blocks=tiled*tiles*kept,
                fill_blocks=fill*wide, fill_words=fill*(1 - wide),
                tile_cin=(few*pixels + 8*tiled*tiles)*inputs,
                pixel_blocks=pixels*kept, stream_blocks=kept)


def scalar_counts(
    pixels:int,  # outputs of one channel
    inputs:int,  # that one output is made from
    cout:int,    # output channels
    kept:float,  # blocks in the stream
    single:int=1,# 1: fewer than four pixels go one by one
)->dict: # feature -> count
    """How often the loops of cores without DSP instructions run.

    Four pixels share a weight; fewer pixels of a linear layer go one by one."""
    few = single*(pixels < 4)
    fours, alone = (1 - few) * -(-pixels // 4), few*pixels
    return dict(four_cin=fours*inputs, four_rows=fours*cout, four_macs=fours*cout*inputs,
                four_blocks=fours*kept, alone_rows=alone*cout, alone_macs=alone*cout*inputs,
                alone_blocks=alone*kept)


# ---- the rest --------------------------------------------------------------------------------------------------------

def head_counts(
    tokens:int, # rows of q
    keys:int,   # rows of k and v
    heads:int,  # divides both widths
    dim:int,    # width of q and k; 0: no scores are made
    vdim:int,   # width of v; 0: no values are mixed
    causal:int=0, # 1: a query does not see what comes after it
)->dict: # feature -> count
    """How often the loops of attention run.

    Two queries go at a time, and the keys and channels of a head in fours. `keys` and `words` are laid out once for
    each head. What is left over from fours, and from the eights of softmax, costs more: `rests` and `tails`."""
    two, fours = tokens + tokens % 2, 4 * -(-keys // 4)
    pairs = two*keys - causal*(tokens*(tokens - 1) // 2)
    qk, av = (4 * -(-n // (4*heads)) for n in (dim, vdim))
    hidden, plain = two*keys - pairs, 1 - causal         # a causal row may end anywhere
    rest = (plain*(keys % 4 > 0) + .75*causal)*(dim > 0) + (vdim // heads % 4 > 0)
    tail = plain*((keys % 8 + 3) // 4) + 1.25*causal
    counts = dict(rows=two, pairs=pairs, macs=(pairs + two*(fours - keys))*qk + two*fours*av,
                  keys=keys, words=keys*(qk + av), outputs=two*(qk + av), rests=two*rest,
                  tails=two*tail, hidden=hidden)
    return {f'head_{name}': heads*n for name, n in counts.items()}


def add_counts(
    n:int,        # elements
    shift:int=16, # of the addition; what training gives lies between 14 and 17
)->dict: # feature -> count
    "An addition has a faster loop for each of the usual shifts."
    usual = (14 <= shift) & (shift <= 17)
    return dict(usual_adds=n*usual, other_adds=n*(1 - usual))

def edge_pixels(
    h:int,    # rows of the output
    w:int,    # columns of the output
    taps:int, # kernel positions
)->int: # output pixels
    "Pixels in groups of four, along a row, that touch the border: top, bottom, ends of a row."
    edge = 2*w + 8*h
    return (edge + (h*w - edge)*(h*w < edge))*(taps > 1)


def taps_inside(
    size:int,   # rows of the map
    out:int,    # rows of the output
    k:int,      # taps of a window
    stride:int, # rows from one window to the next
    pad:int,    # rows of padding above
    d:int=1,    # rows from tap to tap
)->float: # taps of all windows that lie inside; with dilation about so many
    "Taps less those in the padding: the windows reach over by less and less, a stride at a time."
    def lost(over):
        n = np.minimum(out, -(-over // stride))
        return (n*over - stride*n*(n - 1)//2) / d
    return out*k - lost(pad) - lost(np.maximum(0, (out - 1)*stride + (k - 1)*d + 1 - size - pad))
