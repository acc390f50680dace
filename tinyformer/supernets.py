"""Supernets to choose from: families whose widths are drawn at different scales.

Plumbing of `supernas`. The scales are spread evenly over their range on a logarithmic axis, each in one slice of it (a
Latin hypercube)."""
from dataclasses import replace

import numpy as np

from tinyformer.errors import BadInput
from tinyformer.search_space import SearchSpace, cifar_space, digits_space
from tinyformer.training import rng_at


def widths(
    scale: float,  # above 0
    *base: int,  # channels at scale 1
) -> tuple:  # multiples of 4, at least 4, rising
    "Channel counts at another scale."
    return tuple(sorted({max(4, 4 * round(b * scale / 4)) for b in base}))


def sample_supernet(
    label: str,  # start of the name
    early: float,  # scale of the layers at 8x8
    late: float,  # scale of the layers at 4x4
    rng: np.random.Generator,  # draws depth and expansion
) -> SearchSpace:
    "One supernet of the digits family; its name says stem and late widths and the deepest encoder."
    depth = ((1,), (1, 2), (2, 3))[rng.integers(3)]
    expand = ((2, 3, 4), (3, 4, 6))[rng.integers(2)]
    stem, wide = widths(early, 8, 12, 16), widths(late, 16, 24, 32)
    name = f'{label} {stem[0]}-{stem[-1]}/{wide[0]}-{wide[-1]}/x{depth[-1]}'
    return digits_space(name, stem=stem, width=wide, dim=wide, ffn=widths(late, 32, 64, 96),
                        head=widths(late, 32, 48, 64), depth=depth, expand=expand)


def _spread(rng, n, low, high):
    "`n` scales in random order, one in each of `n` equal slices of the range, logarithmically."
    return low * (high / low) ** ((rng.permutation(n) + rng.random(n)) / n)


def sample_supernets(
    n: int = 6,  # how many, 1 or more
    seed: int = 0,  # of the draw
) -> list:  # of `SearchSpace`
    "Draw supernets of the digits family; early and late scales are each spread over 0.5 to 3."
    rng = rng_at(seed)
    early, late = (_spread(rng, n, 0.5, 3.) for _ in range(2))
    return [sample_supernet(f'S{i+1}', e, l, rng) for i, (e, l) in enumerate(zip(early, late))]


def _scaled(early, late):
    "Ranges of the large CIFAR-10 space with the widths of its two stages at other scales."
    base = dict(cout1=(64, 96, 128), dim1=(44, 64, 96), ffn1=(128, 256), cout2=(128, 160, 192),
                dim2=(128, 160, 192), ffn2=(128, 256, 384), out=(192, 256), head=(512, 768))
    return {name: widths(early if name.endswith('1') else late, *channels)
            for name, channels in base.items()}


def cifar_supernets(
    n: int = 12,  # how many, 1 or more
    seed: int = 0,  # of the draw
    low: float = .12,  # least scale
    high: float = 1.3,  # most; 1 is the large space of `cifar_space`
) -> list:  # of `SearchSpace`
    "Draw supernets of the CIFAR-10 family; the scales of its two stages are each spread evenly."
    if n < 1 or not 0 < low < high:
        raise BadInput(f'cifar_supernets got n = {n}, low = {low}, high = {high}: '
                       'it needs n ≥ 1 and 0 < low < high.')
    rng, out = rng_at(seed), []
    for i, scales in enumerate(zip(*(_spread(rng, n, low, high) for _ in range(2)))):
        ranges = _scaled(*scales)
        one, two = ranges['cout1'], ranges['cout2']
        name = f'C{i+1} {one[0]}-{one[-1]}/{two[0]}-{two[-1]}'
        out.append(replace(cifar_space('large', **ranges), name=name))
    return out
