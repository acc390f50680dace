"""Networks that `blocks` built become steps module by module, without a trace.

A search reads hundreds of them. Their modules and forwards are known, so one function for each type of module puts its
steps, in the order of `forward`. That takes a small part of the time of `torch.export`. What may do something else than
its type does is left to `torch.export`."""
import math

import torch, torch.nn as nn

from tinyformer import blocks
from tinyformer.float_graph import FloatGraph, Formula, Ref
from tinyformer.float_steps import registering
from tinyformer.reader import Refused


class Own:
    "Builds the steps of a network of `14_blocks`, module by module."
    BUILDS = {} # type of module -> function(self, path of the module, module, *values) -> value

    def __init__(self,
        net:nn.Module, # a `blocks.Net` in evaluation mode
        shape:tuple, # (c, h, w) of an image
    ):
        self.graph, self.names = FloatGraph(), {m: n for n, m in net.named_modules()}
        self.graph.add_output(self(net, self.graph.add_input(tuple(shape), (1, 2, 0))))

    def __call__(self,
        m:nn.Module, # a part of the network
        *xs:str, # values that it reads
    )->str: # the value that it makes
        "Put a module's steps."
        return self.BUILDS[type(m)](self, self.names[m], m, *xs)

    def chain(self,
        x:str, # value
        *modules:nn.Module, # one after another; None is left out
    )->str: # value
        "Put the steps of several modules."
        for m in modules: x = x if m is None else self(m, x)
        return x

    def rows(self,
        x:str, # value (h, w, c)
        m:nn.Linear, # that reads it
    )->str: # value (h*w, c)
        "A map as the rows that a linear layer reads."
        h, w, c = self.graph.shapes[x]
        return self.graph.add_view(f'{self.names[m]}.view', x, (h*w, c))


builds = registering(Own.BUILDS) # with types of module


def _as_built(m, **settings):
    "Raise where a setting is not as `14_blocks` has it."
    if all(getattr(m, k) == v for k, v in settings.items()): return
    raise Refused(f'other settings of {type(m).__name__}', 'those of blocks.Net')


def changed(
    m:nn.Module, # a part of a network
)->bool:
    "Whether a module may do something else than its type does."
    hooks = m._forward_hooks or m._forward_pre_hooks
    return type(m) not in Own.BUILDS or hooks or 'forward' in m.__dict__


# ---- layers ----------------------------------------------------------------------------------------------------------

@builds(nn.Conv2d)
def _build_conv(own, name, m, x):
    _as_built(m, padding_mode='zeros')
    (down, across), w = m.padding, m.weight.detach().permute(0, 2, 3, 1).contiguous()
    pad = down, down, across, across
    return own.graph.add_conv(name, x, w, m.bias, m.stride, m.dilation, pad, m.groups)


@builds(nn.BatchNorm2d)
def _build_batch_norm(own, name, m, x):
    w = (m.running_var.double() + m.eps).rsqrt() * m.weight.double()
    b = m.bias.double() - m.running_mean.double()*w
    return own.graph.add_scale(name, x, w.float(), b.float())


@builds(nn.Linear)
def _build_linear(own, name, m, x):
    return own.graph.add_linear(name, x, m.weight.detach(), m.bias.detach())


@builds(nn.LayerNorm)
def _build_layer_norm(own, name, m, x):
    return own.graph.add_layernorm(name, x, m.weight.detach(), m.bias.detach(), m.eps)


RELU = Formula().then('relu.default', Ref(0))


@builds(nn.ReLU)
def _build_relu(own, name, m, x): return own.graph.add_act(name, x, 'relu', RELU, 0., math.inf)


GELU = Formula().then('gelu.default', Ref(0))


@builds(nn.GELU)
def _build_gelu(own, name, m, x):
    _as_built(m, approximate='none')
    return own.graph.add_act(name, x, 'gelu', GELU)


@builds(nn.MaxPool2d)
def _build_pool(own, name, m, x):
    _as_built(m, kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)
    h, w, _ = own.graph.shapes[x]
    return own.graph.add_pool(name, x, 'maxpool', (h//2, w//2), (2, 2), (2, 2))


@builds(blocks.GlobalAvgPool)
def _build_mean(own, name, m, x):
    if 1 in own.graph.shapes[x][:2]: raise Refused('a mean over a line', 'a map')
    return own.graph.add_mean(name, x)


@builds(blocks.Add)
def _build_add(own, name, m, x, y): return own.graph.add_add(name, x, y)


@builds(blocks.AttentionCore)
def _build_attention(own, name, m, q, k, v):
    scale = torch.tensor((own.graph.shapes[q][1]//m.heads)**-.5).item() # float32, as in `forward`
    return own.graph.add_attention(name, q, k, v, m.heads, scale)


# ---- blocks ----------------------------------------------------------------------------------------------------------
#
# Tokens are the same bytes as their map, so `ToTokens` and `ToMap` put no step. Only a linear layer that reads a map
# asks for one, a view of it as rows.

@builds(blocks.ToTokens, blocks.ToMap)
def _build_same(own, name, m, x): return x


@builds(nn.Sequential)
def _build_sequence(own, name, m, x): return own.chain(x, *m)


@builds(blocks.ConvBlock)
def _build_conv_block(own, name, m, x): return own.chain(x, m.conv, m.bn, m.relu, m.pool)


@builds(blocks.InvertedResidualBlock)
def _build_residual(own, name, m, x):
    y = own.chain(x, m.expand, m.bn1, m.relu1, m.depthwise, m.bn2, m.relu2, m.project, m.bn3)
    return y if m.add is None else own(m.add, x, y)


@builds(blocks.ResidualBlock)
def _build_two(own, name, m, x):
    y = own.chain(x, m.conv1, m.bn1, m.relu1, m.conv2, m.bn2, m.relu2)
    return y if m.add is None else own(m.add, x, y)


@builds(blocks.BottleneckBlock)
def _build_bottleneck(own, name, m, x):
    y = own.chain(x, m.narrow, m.bn1, m.relu1, m.conv, m.bn2, m.relu2, m.widen, m.bn3, m.relu3)
    return y if m.add is None else own(m.add, x, y)


@builds(blocks.Encoder)
def _build_encoder(own, name, m, x):
    y = own.rows(own(m.norm1, x), m.q)
    y = own(m.attention, own(m.q, y), own(m.k, y), own(m.v, y))
    x = own(m.add1, x, own(m.proj, y))
    y = own.rows(own(m.norm2, x), m.fc1)
    return own(m.add2, x, own.chain(y, m.fc1, m.act, m.fc2))


@builds(blocks.TransformerBlock)
def _build_transformer(own, name, m, x):
    if m.convs: x = own.chain(x, m.local, m.bn1, m.relu1, m.embed, m.bn2)
    x = own.chain(x, m.tokens, m.encoder, m.map)
    return own.chain(x, m.fuse, m.bn3, m.relu3, m.out, m.bn4) if m.convs else x


@builds(blocks.Net)
def _build_net(own, name, m, x):
    head = (m.head, m.head_bn, m.head_relu) if m.has_head else ()
    return own.chain(x, m.blocks, *head, m.pool, m.classifier)
