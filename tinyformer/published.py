"""Four networks whose speed others have published (`peers.json`), in their exact forms, with random weights."""
import math
from dataclasses import dataclass
from typing import Callable

import torch
from torch import nn

from tinyformer.errors import BadInput
from tinyformer.graph import Graph
from tinyformer.lowering import lower
from tinyformer.pruning import prune_once
from tinyformer.quantization import quantize


# ---- layers, as Keras pads them

def same(
    size,   # of the input along one axis
    kernel, # taps
    stride, # positions from one window to the next
)->tuple: # zeros (before, after)
    "Padding of Keras' 'same': as many outputs as strides, the odd zero behind."
    total = max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def conv(
    size,         # (rows, columns) of the input
    cin,          # input channels
    cout,         # output channels
    kernel=(3, 3), # taps along rows and columns
    stride=1,     # along both
    act=None,     # module behind the batch norm
    depthwise=False, # each channel by itself
    norm=True,    # followed by a batch norm
)->list: # modules
    "A convolution with Keras' padding; zeros of its own module where the two sides differ."
    (top, bottom), (left, right) = (same(n, k, stride) for n, k in zip(size, kernel))
    even = top == bottom and left == right
    made = [] if even else [nn.ZeroPad2d((left, right, top, bottom))]
    made.append(nn.Conv2d(cin, cout, kernel, stride, (top, left) if even else 0, groups=cin if depthwise else 1))
    return made + [nn.BatchNorm2d(cout)] * norm + ([act] if act else [])


def half(size): return tuple(math.ceil(n / 2) for n in size)


class Residual(nn.Module):
    "The sum of a branch and of its input, or of a shortcut of it."
    def __init__(self, branch, shortcut=(), relu=False):
        super().__init__()
        self.branch, self.shortcut = nn.Sequential(*branch), nn.Sequential(*shortcut)
        self.act = nn.ReLU() if relu else nn.Identity()

    def forward(self, x): return self.act(self.branch(x) + self.shortcut(x))


def ends(channels, classes, window):
    "An average over the map, the classifier and its softmax."
    return nn.AvgPool2d(window), nn.Flatten(), nn.Linear(channels, classes), nn.Softmax(1)


# ---- networks

def resnet8():
    "MLPerf Tiny's image classifier: 32x32x3, three stacks of two 3x3 convolutions."
    size, c = (32, 32), 16
    made = conv(size, 3, c, act=nn.ReLU())
    for cout in (16, 32, 64):
        first = size if cout == c else half(size)
        stride = 1 if cout == c else 2
        branch = conv(size, c, cout, stride=stride, act=nn.ReLU()) + conv(first, cout, cout)
        shortcut = conv(size, c, cout, (1, 1), stride, norm=False) if stride == 2 else ()
        made.append(Residual(branch, shortcut, relu=True))
        size, c = first, cout
    return nn.Sequential(*made, *ends(c, 10, size))


def dscnn():
    "MLPerf Tiny's keyword spotter: 49x10 cepstral coefficients, a 10x4 convolution, four separable blocks."
    size, c = (49, 10), 64
    made = conv(size, 1, c, (10, 4), 2, act=nn.ReLU()) + [nn.Dropout(.2)]
    size = half(size)
    for _ in range(4):
        made += conv(size, c, c, act=nn.ReLU(), depthwise=True) + conv(size, c, c, (1, 1), act=nn.ReLU())
    return nn.Sequential(*made, nn.Dropout(.4), *ends(c, 12, (24, 5)))          # the last of the 25 rows is not read


def mobilenetv1():
    "MLPerf Tiny's visual wake words: MobileNetV1 x 0.25 on 96x96x3."
    size, c = (96, 96), 8
    made = conv(size, 3, c, stride=2, act=nn.ReLU())
    size = half(size)
    for stride, cout in [(1, 16), (2, 32), (1, 32), (2, 64), (1, 64), (2, 128), *[(1, 128)]*5, (2, 256), (1, 256)]:
        made += conv(size, c, c, stride=stride, act=nn.ReLU(), depthwise=True)
        size = half(size) if stride == 2 else size
        made += conv(size, c, cout, (1, 1), act=nn.ReLU())
        c = cout
    return nn.Sequential(*made, *ends(c, 2, size))


def divisible(x, by=8):
    "MobileNetV2's rule for widths: the nearest multiple, not more than 10 % below."
    n = max(by, int(x + by / 2) // by * by)
    return n + by if n < .9 * x else n


def mobilenetv2(width=.3, size=(80, 80), classes=1000):
    "MobileNetV2 x 0.30 on 80x80x3, the last convolution narrowed like the others so that it fits 1 MB of flash."
    c = divisible(32 * width)
    made = conv(size, 3, c, stride=2, act=nn.ReLU6())
    size = half(size)
    for t, cout, n, s in [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2),
                          (6, 320, 1, 1)]:
        cout = divisible(cout * width)
        for i in range(n):
            stride, wide = s if i == 0 else 1, t * c
            branch = conv(size, c, wide, (1, 1), act=nn.ReLU6()) if t > 1 else []
            branch += conv(size, wide, wide, stride=stride, act=nn.ReLU6(), depthwise=True)
            size = half(size) if stride == 2 else size
            branch += conv(size, wide, cout, (1, 1))
            made += [Residual(branch)] if stride == 1 and c == cout else branch
            c = cout
    last = divisible(1280 * width)
    return nn.Sequential(*made, *conv(size, c, last, (1, 1), act=nn.ReLU6()), *ends(last, classes, size))


@dataclass(frozen=True)
class Network:
    "A network that others have measured."
    title: str
    build: Callable # () -> module
    shape: tuple    # of one input: channels, rows, columns


NETWORKS = dict(
    resnet8=Network('ResNet-8, 32x32x3', resnet8, (3, 32, 32)),
    mobilenetv2=Network('MobileNetV2 x 0.30, 80x80x3', mobilenetv2, (3, 80, 80)),
    mobilenetv1=Network('MobileNetV1 x 0.25, 96x96x3', mobilenetv1, (3, 96, 96)),
    dscnn=Network('DS-CNN, 49x10', dscnn, (1, 49, 10)))


# ---- with weights

CALIBRATION = 16
"Random inputs that set the ranges."


@torch.no_grad()
def settle(
    net, # changed in place
    x,   # inputs
): # the network, for inference
    "Draw gains and offsets of the batch norms as training leaves them, and take their statistics from some inputs."
    norms = [m for m in net.modules() if isinstance(m, nn.BatchNorm2d)]
    for m in norms:
        nn.init.uniform_(m.weight, .5, 1.5)
        nn.init.uniform_(m.bias, -.3, .3)
        m.momentum = None                                  # the mean of all batches seen
    net.train()(x)
    return net.eval()


def prunable(
    net, # of `NETWORKS`
)->list: # names of its layers
    "Convolutions over four input channels or more, as `graph.prunable` has it: neither depthwise nor the classifier."
    return [n for n, m in net.named_modules() if isinstance(m, nn.Conv2d) and m.groups == 1 and m.in_channels >= 4]


def network(
    name,       # one of `NETWORKS`
    sparsity=0., # share of the blocks that go, of every prunable layer
    seed=0,     # of weights and inputs
)->tuple: # (module, inputs)
    "A network with random weights, and random inputs for it."
    if name not in NETWORKS: raise BadInput(f"no network {name!r}; there are {', '.join(NETWORKS)}")
    made = NETWORKS[name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net, x = made.build(), torch.rand(CALIBRATION, *made.shape)
        settle(net, x)
    if sparsity: prune_once(net, {n: ('1x4', sparsity) for n in prunable(net)})
    return net, x


def int8_model(
    name,       # one of `NETWORKS`
    sparsity=0., # share of the blocks that go, of every prunable layer
    seed=0,     # of weights and inputs
)->Graph:
    "Down the road of anybody's network: pruned, imported, quantised, lowered."
    net, x = network(name, sparsity, seed)
    return lower(quantize(net, x), name)
