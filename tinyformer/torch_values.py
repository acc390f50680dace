"""Handlers of the reader for what is left: operations that do nothing in a trained network, constants of a tensor's
shape, activations with weights, and rounding that the author has set. Each is a method of `Reader`."""
import torch
from fastcore.basics import patch
from torch import fx

from tinyformer.places import Val, one_value, places_of
from tinyformer.reader import Reader, Refused, reads


# ---- nothing, and constants ------------------------------------------------------------------------------------------

@patch
@reads('dropout', 'feature_dropout', 'alpha_dropout', 'feature_alpha_dropout', 'native_dropout')
def _read_dropout(self:Reader, node, input, p, train=None, **_):
    "Nothing, if it is told that nobody trains."
    if train and p:
        raise Refused('dropout that is always on', 'nn.Dropout, or training=self.training')
    return [input, None] if 'native' in node.target._schema.name else input


@patch
@reads('_assert_tensor_metadata', '_assert_async', '_assert_scalar', 'sym_constrain_range',
       'sym_constrain_range_for_size')
def _read_nothing(self:Reader, node, **_):
    "Checks, which torch.export has made."


@patch
@reads('zeros_like', 'ones_like', 'full_like', 'new_zeros', 'new_ones', 'new_full', 'empty_like')
def _read_like(self:Reader, node, input, **words):
    "Constants of a tensor's shape."
    args = fx.node.map_arg(node.args[1:], lambda n: self.env[n.name])
    return node.target(torch.zeros(input.index.shape), *args, **node.kwargs)


@patch
@reads('sym_size', 'size')
def _read_size(self:Reader, node, input, dim=None, **_):
    "Sizes, which are known."
    return [*input.index.shape] if dim is None else input.index.shape[dim]


# ---- activations -----------------------------------------------------------------------------------------------------

@patch
@reads('prelu', '_prelu_kernel')
def _read_prelu(self:Reader, node, input, weight, **_):
    "nn.PReLU."
    if one_value(weight):
        slope = float(weight.flatten()[0])
        return self._later(self._change(node, 'leaky_relu.default', input, slope))
    v = self.force(input)
    up, down = self._change(node, 'relu.default', v), self._change(node, 'clamp_max.default', v, 0.)
    sloped = self.channelwise(node, self.force(down), weight.flatten(), None)
    return self._step_of_two(node, 'add', up, sloped, alpha=1, beta=1)


@patch
@reads('glu')
def _read_glu(self:Reader, node, input, dim=-1, **_):
    "F.glu: one half times the sigmoid of the other."
    a, b = (input.moved(lambda t: t.chunk(2, dim)[i]) for i in (0, 1))
    return self._step_of_two(node, 'mul', a, self._change(node, 'sigmoid.default', b))


# ---- sums and rounding -----------------------------------------------------------------------------------------------

@patch
@reads('addcmul')
def _read_addcmul(self:Reader, node, input, tensor1, tensor2, value=1, **_):
    "input + value * tensor1 * tensor2."
    y = self._of_two(node, 'mul', tensor1, tensor2)
    if value != 1: y = self._of_two(node, 'mul', y, torch.tensor(float(value)))
    return self._of_two(node, 'add', input, y)


@patch
def _of_two(self:Reader, node, name, a, b):
    "A sum or product of two tensors, of which one may be constant."
    if not isinstance(a, Val) and not isinstance(b, Val): return getattr(torch, name)(a, b)
    shape = torch.broadcast_shapes(places_of(a).shape, places_of(b).shape)
    a, b = (t.moved(lambda i: i.expand(shape)) if isinstance(t, Val) else t for t in (a, b))
    two = isinstance(a, Val) and isinstance(b, Val)
    return (self._combine if two else self._affine)(node, name, [a, b], {})


@patch
@reads('fake_quantize_per_tensor_affine')
def _read_fake_quantize(self:Reader, node, input, scale, zero_point, quant_min, quant_max, **_):
    "Rounding that the model's author has set."
    v = self._own(self.force(input))
    if (quant_min, quant_max) not in ((-128, 127), (0, 255)):
        raise Refused(f'codes {quant_min} to {quant_max}', 'int8 codes')
    zero = int(zero_point) - (quant_min + 128)
    name = self.graph.add_fake_quantize(self.label(node), v.source, float(scale), zero)
    return Val(name, v.index)
