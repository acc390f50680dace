"""What is asked of the weights of a network that comes in: are they numbers, and what were their author's integers?

Weights that are not numbers would be noticed late, so they are refused at the door, by the name of the layer. Weights
that were integers in the author's file come with the scale of each output channel, as a buffer `weight_scale` of their
layer (`onnx_net` leaves it there); a step keeps the scales, and `quantize` rounds to these integers again."""
import math

import torch
from torch import nn

from tinyformer.errors import BadInput
from tinyformer.float_graph import FloatGraph


def check_finite(
    net:object, # nn.Module, or a program of torch.export
):
    "Raise unless all weights are numbers; a buffer may hold -inf, as masks of attention do."
    program = isinstance(net, torch.export.ExportedProgram)
    state = net.state_dict if program else net.state_dict()
    masks = {*net.graph_signature.buffers} if program else {n for n, _ in net.named_buffers()}
    for name, v in state.items():
        if not isinstance(v, torch.Tensor): continue
        if name in masks: v = v[v != -math.inf]
        if not v.isfinite().all():
            raise BadInput(f'the network holds weights that are not finite, in {name}: load '
                           'weights of a training that did not diverge')


def keep_scales(
    graph:FloatGraph, # steps of a network; changed
    net:object, # the network, or a program of torch.export
)->FloatGraph: # the same graph
    "Give steps whose weights are still multiples of their author's scales these scales, as `scales`."
    if not isinstance(net, nn.Module): return graph
    scales = {n.rpartition('.')[0]: s for n, s in net.named_buffers() if n.endswith('weight_scale')}
    for step in graph.steps:
        w, s = step.params.get('weight'), scales.get(step.name)
        if w is None or s is None or len(w) != len(s): continue
        codes = w / s.reshape(-1, *[1]*(w.ndim - 1))
        if (codes - codes.round()).abs().max() < 1e-2: step.params['scales'] = s.clone()
    return graph
