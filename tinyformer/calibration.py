"""What a user hands in to calibrate a network: pictures as bytes, arrays of floats with the channels first or last,
sequences, vectors, a loader with batches and labels. `as_features` turns it into one float tensor [n, ...], as the
network reads it. Two rules decide what the data mean.

What a number means: uint8 images become numbers from 0 to 1; floats are taken as they are. An array that looks like
bytes stored as floats is refused, since the network may have been trained on a 255th of it.

Where the channels are: a tensor is what the network reads. For an array of floats there are several readings, and the
network itself says which of them it can run on. If it can run on more than one, nobody can know, and it is refused."""
import math

import numpy as np
import torch, torch.nn as nn

from tinyformer import importer
from tinyformer.errors import BadInput, UnsupportedOp
from tinyformer.float_graph import FloatGraph
from tinyformer.ranges import reach
from tinyformer.program import still_copy

GIVE = ('give uint8 images [n, h, w, c], or floats that are exactly what the network reads: a tensor '
        '[n, c, h, w], [n, c, t], [n, t, c] or [n, c], or an array of these or with channels last')
MOST = 2**27 # values of a calibration set at most; a longer stream is cut there


# ---- what is in hand -------------------------------------------------------------------------------------------------

def item(
    x, # a batch: an array, a tensor, or a tuple (images, labels)
): # array or tensor, with at least one axis
    "What the network reads of a batch: the first of a tuple."
    while isinstance(x, (tuple, list)) and len(x): x = x[0]
    if isinstance(x, (np.ndarray, torch.Tensor)) and x.ndim: return x
    raise BadInput(f'calibration holds a {type(x).__name__}: {GIVE}')


def gather(
    x, # array, tensor, (images, labels), or an iterable of batches or images
): # list of arrays or of tensors
    "One array or tensor, or a list of batches from a loader."
    if isinstance(x, (np.ndarray, torch.Tensor)): return [x]
    labelled = isinstance(x, tuple) and len(x) == 2 and getattr(x[1], 'ndim', 9) <= 1
    if labelled: return [item(x)]
    if isinstance(x, (str, dict)) or not hasattr(x, '__iter__') and not hasattr(x, '__getitem__'):
        raise BadInput(f'calibration is a {type(x).__name__}: {GIVE}')
    items, values = [], 0
    for batch in x:
        items.append(item(batch))
        values += math.prod(items[-1].shape)
        if values > MOST: break
    if items: return items
    raise BadInput(f'calibration is empty: {GIVE}')


def real(
    x, # array or tensor
): # float32 tensor of the same shape
    "Floats as float32 and bytes as numbers from 0 to 1; anything else is refused."
    array = isinstance(x, np.ndarray)
    if 0 in x.shape: raise BadInput(f'calibration is empty, of shape {tuple(x.shape)}: {GIVE}')
    if array and x.dtype == np.uint8: return torch.from_numpy(np.array(x)).float() / 255
    if not (x.dtype.kind == 'f' if array else x.dtype.is_floating_point):
        raise BadInput(f'calibration is {x.dtype}, which may mean two things: {GIVE}')
    y = torch.from_numpy(np.array(x, np.float32)) if array else x.detach().float()
    if not y.isfinite().all(): raise BadInput('calibration holds values that are not finite')
    if array and y.min() >= 0 and 128 < y.max() <= 255:
        raise BadInput(f'calibration is {y.min():.3g} to {y.max():.3g} as an array of floats, '
                       'which may be bytes or what the network reads: give uint8 or a tensor')
    return y


# ---- where the channels are ------------------------------------------------------------------------------------------

def readings(
    x,        # float tensor
    pictures, # whether it was uint8
): # list of dicts name -> tensor [n, ...] channels first; the likeliest first
    "What a batch may be."
    n = x.ndim
    last = x.movedim(-1, 1) if n > 2 else x
    if n == 4: return [{'[n, c, h, w]': x, '[n, h, w, c]': last}]
    if n == 3:
        batches, grey = {'as it is': x, '[n, t, c]': last}, {'[n, h, w]': x[:, None]}
        one = {'one image [c, h, w]': x[None], 'one image [h, w, c]': x.movedim(-1, 0)[None]}
        return [grey, batches, one] if pictures else [batches, grey, one]
    if n == 2:
        one = {'one sequence [c, t]': x[None], 'one sequence [t, c]': x.T[None]}
        return [{'[n, c]': x}, {'one image [h, w]': x[None, None]}, one]
    return [{'one vector': x[None]} if n == 1 else {'as it is': x}]


def refuses(
    net, # reads [n, ...], gives [n, ...] or several of these
    x,   # a batch
): # '' where it takes it; else why not
    "Whether a network takes a batch: for two and for three of its rows it gives as many."
    for n in (2, 3):
        try:
            with torch.no_grad(): y = net(x[:1].expand(n, *x.shape[1:]).contiguous())
        except Exception as e: return (str(e) or type(e).__name__).splitlines()[0]
        while isinstance(y, (tuple, list, dict)): y = next(iter(y.values() if isinstance(y, dict) else y))
        if not getattr(y, 'ndim', 0) or len(y) != n: return f'gives {tuple(getattr(y, "shape", ()))} for {n} rows'
    return ''


def runnable(
    net, # module, FloatGraph or torch.export program
): # function of a batch
    "What can be called on a batch: a copy in float32 on the CPU, or one that knows the shape."
    if isinstance(net, FloatGraph): return net.run
    if not isinstance(net, torch.export.ExportedProgram): return still_copy(net, {})
    shape = next(iter(net.example_inputs[0])).shape[1:]
    def fits(x):
        if x.shape[1:] != shape: raise BadInput(f'the program reads {tuple(shape)}')
        return x
    return fits


def _one_reading(tier, array, pictures, net, why):
    "The reading of a tier that the network can run on; None if there is none."
    found = {}
    for name in sorted(tier, key=lambda name: pictures and name != '[n, h, w, c]'):
        why[name] = refuses(net, tier[name])
        if why[name]: continue
        if pictures or not array: return tier[name]           # the documented order, and as it is
        found[name] = tier[name]
    ys = list(found.values())
    if len(ys) > 1 and not (ys[0].shape == ys[1].shape and torch.equal(*ys)):
        raise BadInput(f'calibration of shape {tuple(ys[0].shape)} may be {" or ".join(found)}, '
                       'and the network runs on both: give a float tensor, which is taken as it is')
    return ys[0] if ys else None


def as_features(
    x,   # array, tensor, or an iterable of batches or of images, with or without labels
    net, # the network, which says what it can run on
): # float32 tensor [n, ...] as the network reads it
    "Calibration data as the float network reads them."
    raw, why = gather(x), {}
    array, pictures = isinstance(raw[0], np.ndarray), raw[0].dtype == np.uint8
    items = [real(i) for i in raw]
    forms = [torch.cat(items)] if len({i.shape[1:] for i in items}) == 1 else []
    if len(items) > 1 and len({i.shape for i in items}) == 1: forms.append(torch.stack(items))
    for tier in (tier for form in forms for tier in readings(form, pictures)):
        y = _one_reading(tier, array, pictures, net, why)
        if y is not None: return y.contiguous()
    shape = tuple(raw[0].shape)
    if not forms: raise BadInput(f'calibration holds unlike batches, the first {shape}: {GIVE}')
    reason = next(iter(why.values()))
    raise BadInput(f'the network cannot run on calibration of shape {shape}: {reason}; {GIVE}')


def input_range(
    x, # float tensor [n, ...] as the network reads it
): # (least, greatest) value that the input's codes stand for
    "0 to 1 for what looks like pictures, so that their bytes are the codes; else what all reach."
    ends = torch.aminmax(x.flatten(1), dim=1)
    lo, hi = float(ends.min.min()), float(ends.max.max())
    below, above = reach(torch.stack([-ends.min, ends.max]).clamp_min(0))
    return (0., 1.) if lo >= 0 and (.5 <= hi <= 1 or hi == 0) else (-below, above)


# ---- networks of several inputs --------------------------------------------------------------------------------------

def as_one_input(
    net, # what a user calls a network
    x,   # its calibration; for several inputs a tuple of them
): # (network, calibration); of one that reads several inputs, the one that reads a vector
    "A network that reads one input, and what it reads."
    names = importer.inputs_of(net)
    if len(names) < 2: return net, x
    if not isinstance(net, nn.Module):
        raise UnsupportedOp(f"the network reads {', '.join(names)}, and the device one vector: "
                            'give the module itself, and as calibration a tuple of its inputs')
    listed = isinstance(x, (tuple, list)) and all(hasattr(v, 'shape') for v in x)
    if not listed or len({len(v) for v in x}) != 1 or len(x) != len(names):
        raise BadInput(f"the network reads {', '.join(names)}: calibration is a tuple of "
                       f'{len(names)} tensors [n, ...], in this order and of one length')
    pictures = [v.dtype == np.uint8 and v.ndim == 4 for v in x]
    xs = [real(v).movedim(-1, 1) if p else real(v) for v, p in zip(x, pictures)]
    return importer.one_input(net, [v.shape[1:] for v in xs]), importer.beside(*xs)


def uneven(
    parts, # of dicts name, first, shape: where each input lies
    x,     # float tensor [n, values]
): # list of notes
    "Notes on inputs that reach much less far than all of them, whose range they share."
    ends = [p['first'] for p in parts[1:]]
    far = [float(v.abs().max()) for v in x.tensor_split(ends, 1)] if parts else []
    return [f"input {p['name']} reaches {f:.3g}, all inputs {max(far):.3g}, and they share the 256 codes of one "
            'range: scale them alike' for p, f in zip(parts, far) if 16*f < max(far)]
