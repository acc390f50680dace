"""How operators that only move data are lowered: sizes are copied, nothing is computed. Each function takes a node of a
`QuantNet`, its layer, the shapes of all values and the (scale, zero point) of its inputs and output, and gives the
attributes and arrays of an `Op`."""
import math

import numpy as np


def as_map(
    shape, # of a value, channels last
): # attributes h, w, c
    "Height, width and channels; tokens and vectors are maps one row high."
    *lead, c = shape
    h, w = lead if len(lead) == 2 else (1, math.prod(lead))
    return dict(h=h, w=w, c=c)


def windows(layer, shapes, node):
    "How the window of a pool moves."
    a, (oh, ow, _) = layer.attrs, node.shape
    keys = 'kh kw sh sw top left adaptive'.split()
    return as_map(shapes[node.inputs[0]]) | dict(oh=oh, ow=ow) | {k: a[k] for k in keys}


def lower_maxpool(node, layer, shapes, q_in, q_out):
    "A pool by the maximum, which moves codes."
    if node.kind == 'maxpool2x2': return as_map(shapes[node.inputs[0]]), {}
    return windows(layer, shapes, node), {}


def lower_const(node, layer, shapes, q_out):
    "The codes of a constant; what lies outside its range is cut."
    x = layer.params['data'].detach().double().numpy().reshape(-1)
    codes = np.clip(np.round(x / q_out[0]) + q_out[1], -128, 127).astype(np.int8)
    return dict(n=len(codes)), dict(data=codes)


def lower_concat(node, layer, shapes, *qs):
    "One value behind another, along one axis."
    axis, (a, b) = layer.attrs['axis'], (shapes[n] for n in node.inputs)
    return dict(outer=math.prod(a[:axis]), a=math.prod(a[axis:]), b=math.prod(b[axis:])), {}


def lower_copy(node, layer, shapes, q_in, q_out):
    "Values in another order, some of them again or not at all: six sizes and their strides."
    a = layer.attrs
    lead = 6 - len(a['dims'])
    sizes = {f'd{i}': int(d) for i, d in enumerate([1]*lead + list(a['dims']))}
    strides = {f's{i}': int(s) for i, s in enumerate([0]*lead + list(a['strides']))}
    n = math.prod(shapes[node.inputs[0]])
    return sizes | strides | dict(base=int(a['base']), n_in=n), {}


def lower_pad(node, layer, shapes, q_in, q_out):
    "A border of zeros, whose code is the zero point."
    keys = 'top bottom left right gap_h gap_w'.split()
    sides = {k: layer.attrs[k] for k in keys}
    return as_map(shapes[node.inputs[0]]) | sides | dict(value=q_in[1]), {}
