"""The teacher of the long road: white patches, convolutions that begin as the identity, both sides of an image."""
import numpy as np
import pytest
import torch

from tinyformer.errors import BadInput
from tinyformer.teachers import HASTE, Look, Mirrored, Norm, Stage, Teacher, White, patch_directions
from tinyformer.training import TrainConfig, make_optimiser


def pictures(n=200, c=3):
    "Smooth random pictures, whose neighbours are alike."
    gen = torch.Generator().manual_seed(0)
    return torch.nn.functional.interpolate(torch.rand(n, c, 5, 5, generator=gen), (12, 12), mode='bilinear')


@pytest.mark.parametrize('channels', [1, 3])
@pytest.mark.parametrize('look, kept', [(Look(), (4, 12)), (Look(4, 2, 24), (16, 24))])
def test_patches_come_out_white(look, kept, channels):
    x, side = pictures(c=channels), look.side
    found = patch_directions(x, 0., look)
    assert found.shape == (kept[channels > 1], channels, side, side)
    out = torch.nn.functional.conv2d(x, found, stride=look.step).transpose(0, 1).flatten(1)
    raw = torch.nn.functional.unfold(x, side, stride=look.step).transpose(0, 1).flatten(1)
    assert (torch.cov(out) - torch.eye(len(out))).abs().max() < 1e-2
    spread = torch.linalg.eigvalsh(torch.cov(raw))
    assert spread[-1] > 50 * spread[0]                                      # they were anything but white


def test_first_layer_sees_each_direction_twice_and_is_not_learnt():
    x, white = pictures(), Teacher((8, 16, 16)).whiten
    before = white.weight.clone()
    assert white.see(x) is white and not torch.equal(before, white.weight) and not white.weight.requires_grad
    up, down = white(x).chunk(2, 1)
    assert torch.allclose(up, -down, atol=1e-4) and up[..., :-1, :-1].mean((0, 2, 3)).abs().max() < .05
    with pytest.raises(BadInput, match='1 images say nothing'): white.see(x[:1])


@pytest.mark.parametrize('look', [Look(), Look(4, 2, 24), Look(3, 2)])
@pytest.mark.parametrize('side, channels', [(32, 3), (28, 1)])
def test_every_step_of_pixels_makes_one_patch(side, channels, look):
    maps = White(channels, look)(torch.zeros(1, channels, side, side))
    assert maps.shape[1:] == (2 * look.kept(channels), side // look.step, side // look.step)


def test_convolutions_begin_as_the_identity():
    x = torch.rand(2, 4, 6, 6)
    for conv in Stage(4, 6).convs:
        n = min(conv.in_channels, 4)
        given = torch.cat([x, torch.zeros(2, conv.in_channels - 4, 6, 6)], 1)
        assert torch.equal(conv(given)[:, :n], x)


@pytest.mark.parametrize('momentum', [.85, .5])
def test_the_shift_of_a_norm_moves_haste_squared_times_as_far_as_a_plain_one_and_decays(momentum):
    torch.manual_seed(0)
    x, plain, ours = torch.randn(8, 3, 4, 4), torch.nn.BatchNorm2d(3), Norm(3)
    cfg = TrainConfig(momentum=momentum, lr=.01, weight_decay=.1)
    for net in (plain, ours):
        opt = make_optimiser(net, cfg)
        (net(x) * torch.arange(3.)[:, None, None]).sum().backward()
        opt.step()
    assert torch.allclose(HASTE * ours.shift.flatten(), HASTE**2 * plain.bias, rtol=1e-4)
    assert ours.shift in set(opt.param_groups[0]['params']) and opt.param_groups[0]['weight_decay'] == .1


@pytest.mark.parametrize('side, channels', [(32, 3), (28, 1)])
def test_shapes_and_a_mirror_image_makes_no_difference(side, channels):
    torch.manual_seed(0)
    net = Mirrored(Teacher((8, 16, 16), classes=7, channels=channels)).eval()
    x = torch.rand(3, channels, side, side)
    assert net(x).shape == (3, 7)
    assert torch.allclose(net(x), net(x.flip(3)), atol=1e-5) and not torch.allclose(net.net(x), net.net(x.flip(3)))
    assert np.isclose(net(x).detach(), (net.net(x) + net.net(x.flip(3))).detach() / 2).all()
