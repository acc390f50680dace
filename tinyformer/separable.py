"""A network of separable convolutions behind white patches, for boards with little flash and few cycles to spare.

A 3x3 convolution from c to c channels has 9c² weights. A depthwise one with 9c and a pointwise one with c² weights see
as far together, at about a ninth of the cost (Howard et al. 2017, *MobileNets*, arXiv 1704.04861). So as many weights
and cycles make more layers. The first layer, the norms and the way to learn are those of a teacher
(`tinyformer.teachers`). ReLU takes the place of GELU: the board cuts off below zero while it rounds, at no cost."""
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from tinyformer.teachers import COOL, Look, Norm, White


@dataclass(frozen=True)
class Shape:
    "The sizes of a network, and what pruning does to its pointwise convolutions."
    widths: tuple   # channels of the three stages, each of half the side of the one before
    depths: tuple   # blocks of each stage that add to their input
    shares: tuple   # of zeros: first convolution, blocks of the first stage, step to the second, its blocks, and so on
    look: Look      # at the image


SHAPES = dict(tiny=Shape((64, 128, 192), (1, 4, 2), (.4, .5, .6, .78, .85, .88), Look(4, 2, 24)))


class Block(nn.Module):
    "A depthwise 3x3 and a pointwise convolution, a norm after each; the input is added where shapes agree."
    def __init__(
        self,
        cin: int, # channels in
        cout: int, # channels out
        step: int = 1, # 2: maps of half the side come out
    ):
        super().__init__()
        self.depthwise = nn.Conv2d(cin, cin, 3, step, 1, groups=cin, bias=False)
        self.pointwise = nn.Conv2d(cin, cout, 1, bias=False)
        self.norms = nn.ModuleList(map(Norm, (cin, cout)))
        self.adds = cin == cout and step == 1
        nn.init.dirac_(self.depthwise.weight, cin)
        nn.init.dirac_(self.pointwise.weight[:cin])
        with torch.no_grad(): self.depthwise.weight.add_(.1 * torch.randn_like(self.depthwise.weight))

    def forward(self, x):
        y = self.norms[1](self.pointwise(F.relu(self.norms[0](self.depthwise(x)))))
        return F.relu(x + y if self.adds else y)


class Separable(nn.Module):
    "White patches, a pointwise convolution, three stages of blocks, the maximum of every channel, and a linear layer."
    def __init__(
        self,
        shape: Shape = SHAPES['tiny'], # its sizes
        classes: int = 10,
        channels: int = 3, # of the images
    ):
        super().__init__()
        self.whiten = White(channels, shape.look)
        self.first = nn.Conv2d(self.whiten.out_channels, shape.widths[0], 1, bias=False)
        self.norm = Norm(shape.widths[0])
        blocks, before = [], None
        for width, depth in zip(shape.widths, shape.depths):
            if before: blocks.append(Block(before, width, 2))
            blocks += [Block(width, width) for _ in range(depth)]
            before = width
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(before, classes, bias=False)

    def forward(self, x):
        x = F.relu(self.norm(self.first(F.relu(self.whiten(x)))))
        return COOL * self.head(self.blocks(x).amax((2, 3)))


def pruning_plan(
    shape: Shape, # of the network
) -> dict: # module name -> (block shape, sparsity), as `Pruner` takes it
    "What pruning does to its pointwise convolutions. Depthwise ones have few weights, and keep them."
    first, *shares = shape.shares
    each = [share for depth, share in zip(shape.depths, shares[::2]) for share in [share] * depth]
    for at, share in zip((shape.depths[0], sum(shape.depths[:2]) + 1), shares[1::2]): each.insert(at, share)
    return {'first': ('1x4', first)} | {f'blocks.{i}.pointwise': ('1x4', share) for i, share in enumerate(each)}
