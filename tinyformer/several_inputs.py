"""A network of several inputs is given one vector: its inputs side by side, each channels last.

The device reads one vector, and so does everything from calibration to the emulated core. The parts have one range in
int8, so they should reach about equally far (`calibration.uneven` says when they do not)."""
import copy, inspect, math

import torch
from torch import nn

from tinyformer.float_graph import FloatGraph


def beside(
    *xs:torch.Tensor, # inputs [n, ...] as the network reads them
)->torch.Tensor: # [n, values]
    "Inputs side by side in one vector, each channels last."
    return torch.cat([(x.movedim(1, -1) if x.ndim == 4 else x).reshape(len(x), -1) for x in xs], 1)


def apart(
    x:torch.Tensor, # [n, values], of `beside`
    shapes:list, # of each input per image, as the network reads it
)->list: # of tensors [n, ...]
    "The inputs that lie side by side in a vector."
    def shaped(part, s):
        if len(s) == 3: return part.unflatten(1, (*s[1:], s[0])).movedim(-1, 1)
        return part.unflatten(1, s) if len(s) > 1 else part
    return [shaped(p, s) for p, s in zip(x.split([math.prod(s) for s in shapes], 1), shapes)]


def inputs_of(
    net:object, # nn.Module, program of torch.export, or FloatGraph
)->list: # names
    "What a network must be given."
    if isinstance(net, FloatGraph): return [p.name for p in net.inputs]
    if isinstance(net, torch.export.ExportedProgram): return [*net.graph_signature.user_inputs]
    words = inspect.signature(type(net).forward).parameters.values()
    if any(p.kind is p.VAR_POSITIONAL for p in words): return list(getattr(net, 'shapes', ()))
    return [p.name for p in list(words)[1:] if p.default is p.empty and p.kind is not p.VAR_KEYWORD]


def one_input(
    net:nn.Module, # reads several inputs; left as it is
    shapes:list, # of each, per image, as the network reads it
)->nn.Module: # the same network; `parts` says where each input lies
    "A network that reads its inputs from one vector, see `beside`."
    kind, shapes, first, parts = type(net), [tuple(s) for s in shapes], 0, []
    for name, s in zip(inputs_of(net), shapes, strict=True):
        memory = [*s[1:], s[0]] if len(s) == 3 else [*s]
        parts.append(dict(name=name, first=first, shape=memory))
        first += math.prod(s)
    def forward(self, x): return kind.forward(self, *apart(x, shapes))
    out = copy.copy(net)
    out.__class__ = type(kind.__name__, (kind,), dict(forward=forward))
    out.parts = parts
    return out
