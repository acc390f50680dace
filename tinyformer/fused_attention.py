"""Attention with one head needs two layers less: the products of their weights are taken once, before the network runs.

Scores are (x Wq' + bq)(y Wk' + bk)'. What bk adds is the same for all keys of a query, and a softmax does not see it;
the rest is (x Wq' Wk + bq Wk) y', one layer and the keys y as they are. Rows of probabilities have the sum 1, so the
layer behind the attention can take the values' layer into its weights in the same way. With more heads each head would
need a matrix of its own as large as that, which costs more than it saves. After Jung et al., arXiv 2404.02945."""
import torch

from .float_graph import FloatGraph, Step

__all__ = ['fuse_attention']


def fuse_attention(
    graph:FloatGraph, # whose attention has one head somewhere; it is changed
)->FloatGraph: # itself
    "Leave out the layer of the keys, and that of the values, where this needs fewer products."
    for step in [s for s in graph.steps if s.kind == 'attention' and s.attrs['heads'] == 1]:
        for fuse in (_keys, _values): fuse(graph, step)
    return graph.prune()


def _alone(graph, value):
    "The linear layer that makes `value` for one reader, with weights that may change; else None."
    made = graph.makers().get(value)
    usable = made and made.kind == 'linear' and graph.readers()[value] == 1 and 'scales' not in made.params
    return made if usable and len(graph.shapes[made.inputs[0]]) == 2 else None


def _products(layer:Step, rows:int): return rows * int((layer.params['weight'] != 0).sum())


def _exact(step, name): return step.params[name].double()


def _set(layer, weight, bias): layer.params = {**layer.params, 'weight': weight.float(), 'bias': bias.float()}


def _pairs(step, queries, keys):
    "How many scores are computed."
    return queries*keys - step.attrs['causal']*queries*(queries - 1)//2


def _keys(graph, step):
    "Take the layer of the keys into that of the queries."
    query, key = _alone(graph, step.inputs[0]), _alone(graph, step.inputs[1])
    if not query or not key: return
    (t, wide), (s, d) = graph.shapes[query.inputs[0]], graph.shapes[key.inputs[0]]
    pairs, inner = _pairs(step, t, s), key.shape[1]
    if t*wide*d + pairs*d >= _products(query, t) + _products(key, s) + pairs*inner: return
    turn = _exact(key, 'weight').T
    _set(query, turn @ _exact(query, 'weight'), turn @ _exact(query, 'bias'))
    query.shape = graph.shapes[query.name] = (t, d)
    step.inputs = (step.inputs[0], key.inputs[0], step.inputs[2])
    graph.notes.append(f'{key.name} went into {query.name}')


def _values(graph, step):
    "Take the layer of the values into the one behind the attention."
    value = _alone(graph, step.inputs[2])
    after = [s for s in graph.steps if step.name in s.inputs]
    if not value or graph.readers()[step.name] != 1 or len(after) != 1: return
    out = after[0]
    if out.kind != 'linear' or 'scales' in out.params: return
    (t, inner), (s, d) = step.shape, graph.shapes[value.inputs[0]]
    pairs = _pairs(step, t, s)
    if t*d*out.shape[-1] + pairs*d >= _products(out, t) + _products(value, s) + pairs*inner: return
    weight = _exact(out, 'weight')
    _set(out, weight @ _exact(value, 'weight'), weight @ _exact(value, 'bias') + _exact(out, 'bias'))
    step.shape = graph.shapes[step.name] = (t, d)
    step.inputs = (*step.inputs[:2], value.inputs[0])
    graph.notes.append(f'{value.name} went into {out.name}')
