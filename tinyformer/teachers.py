"""The teacher: a convolutional network that no board has to hold, and that learns fast on whatever trains it.

Its shape and its tricks are those of Jordan's *94 % on CIFAR-10 in 3.29 seconds* (arXiv 2404.00498). The first layer is
not learnt: its filters are the main directions of the 2x2 patches of the training images, each divided by its spread,
so that what comes out is *white*: of equal strength and uncorrelated. The other convolutions begin as the identity. A
maximum pool follows the first convolution of each stage at once, before the costly part. It is trained by Nesterov's
momentum at a high rate, and answers with the mean of what it says to an image and to its mirror image.

A board can hold one as well, once most of its weights are zero: `PRUNED` says how many for which size."""
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from tinyformer.errors import BadInput

HASTE = 8  # by how much the shifts of the norms are magnified
COOL = 1 / 9  # what the answers are multiplied by, so that a high rate does not make them certain at once


@dataclass(frozen=True)
class Look:
    "How a network looks at an image first: through patches of it."
    side: int = 2           # of a patch, in pixels
    step: int = 1           # from one patch to the next; the maps are as much smaller than the image
    directions: int = None  # how many are kept, the strongest; None: all of them

    def kept(
        self,
        channels: int, # of the images
    ) -> int: # directions
        "How many directions there are to look in."
        return min(self.directions or channels * self.side**2, channels * self.side**2)

    def frame(
        self,
        x: torch.Tensor, # float [n, c, h, w]
    ) -> torch.Tensor: # with so many zeros around that every `step` pixels make one patch
        "Add the frame that the patches at the border need."
        before, both = (self.side - self.step) // 2, self.side - self.step
        return F.pad(x, (before, both - before) * 2)


# one that a board shall hold: channels of the stages, and shares of zeros of the six convolutions, by size
PRUNED = dict(small=((48, 176, 176), (.3, .5, .75, .835, .835, .835)),
              middle=((64, 256, 256), (.3, .5, .75, .83, .83, .83)),
              large=((64, 256, 256), (.1, .3, .5, .62, .62, .62)))


def patch_directions(
    x: torch.Tensor, # float [n, c, h, w]: images
    eps: float = 5e-4, # added to the variances, so that noise is not blown up
    look: Look = Look(), # which patches, and how many directions
) -> torch.Tensor: # float [d, c, side, side], the strongest direction first
    "Filters whose answers to patches of these images are uncorrelated and of variance about one."
    c = x.shape[1]
    patches = F.unfold(x, look.side, stride=look.step).transpose(1, 2).reshape(-1, c * look.side**2)
    values, vectors = torch.linalg.eigh(torch.cov(patches.T.double()))
    found = (vectors / (values.clamp(0) + eps).sqrt()).T.flip(0)[:look.kept(c)]
    return found.float().reshape(-1, c, look.side, look.side)


class White(nn.Conv2d):
    "A first layer that is not learnt: white patches, each direction and its negative."
    def __init__(
        self,
        channels: int = 3, # of the images
        look: Look = Look(), # at them
    ):
        super().__init__(channels, 2 * look.kept(channels), look.side, look.step)
        self.look = look
        self.weight.requires_grad_(False)

    @torch.no_grad()
    def see(
        self,
        x: torch.Tensor, # float [n, c, h, w]: training images, some thousand
    ) -> 'White': # itself
        "Take the filters from these images."
        if len(x) < 2: raise BadInput(f'{len(x)} images say nothing of how their patches spread: give some thousand.')
        found = patch_directions(x, look=self.look)
        self.weight.copy_(torch.cat([found, -found]))
        self.bias.copy_(-(self.weight * x.mean((0, 2, 3))[:, None, None]).sum((1, 2, 3)))
        return self

    def forward(self, x): return super().forward(self.look.frame(x))


class Norm(nn.BatchNorm2d):
    """Batch norm without a scale, whose shift counts `HASTE`-fold: with plain gradients it learns HASTE² times as fast.
    The shift has as many axes as a map, so it decays as the kernels do."""
    def __init__(self, channels):
        super().__init__(channels, affine=False, momentum=.4)
        self.shift = nn.Parameter(torch.zeros(channels, 1, 1))

    def forward(self, x):
        shift = HASTE * self.shift.flatten()
        return F.batch_norm(x, self.running_mean, self.running_var, torch.ones_like(shift), shift, self.training,
                            self.momentum, self.eps)


class Stage(nn.Module):
    "A 3x3 convolution and a pool to half the size, then another 3x3 convolution; norm and GELU after each."
    def __init__(self, cin, cout):
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(c, cout, 3, padding=1, bias=False) for c in (cin, cout))
        self.norms = nn.ModuleList(Norm(cout) for _ in self.convs)
        for conv in self.convs: nn.init.dirac_(conv.weight[:conv.in_channels])

    def forward(self, x):
        (first, second), (one, two) = self.convs, self.norms
        return F.gelu(two(second(F.gelu(one(F.max_pool2d(first(x), 2))))))


class Teacher(nn.Module):
    "White patches, three stages, the maximum of every channel, and a linear layer."
    def __init__(
        self,
        widths: tuple = (64, 256, 256), # channels of the stages
        classes: int = 10,
        channels: int = 3, # of the images
    ):
        super().__init__()
        self.whiten = White(channels)
        ends = zip((self.whiten.out_channels, *widths), widths)
        self.stages = nn.Sequential(*(Stage(i, o) for i, o in ends))
        self.head = nn.Linear(widths[-1], classes, bias=False)

    def forward(self, x): return COOL * self.head(self.stages(F.gelu(self.whiten(x))).amax((2, 3)))


def pruning_plan(
    size: str, # a key of `PRUNED`
) -> dict: # module name -> (block shape, sparsity), as `Pruner` takes it
    "What pruning does to a teacher of a size."
    return {f'stages.{i // 2}.convs.{i % 2}': ('1x4', share) for i, share in enumerate(PRUNED[size][1])}


class Mirrored(nn.Module):
    "The mean of what a network says to an image and to its mirror image."
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x): return (self.net(x) + self.net(x.flip(3))) / 2
