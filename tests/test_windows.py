"""Pools over windows against torch: windows that do not divide the map, padding counted or not, adaptive sizes."""
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tinyformer.windows import POOL, avgpool2d_params, avgpool2d_s8, maxpool2x2_s8, maxpool_s8, out_hw, square_window

X = np.random.default_rng(6).integers(-128, 128, (2, 7, 5, 3), dtype=np.int8)
XT = torch.tensor(X.astype(float)).permute(0, 3, 1, 2)
SLIDING = dict(kh=3, kw=2, sh=2, sw=3, top=1, left=0, adaptive=0, oh=4, ow=2)
CASES = [(SLIDING, ((3, 2), (2, 3), (1, 0))), (SLIDING | dict(kw=3, left=1), ((3, 3), (2, 3), (1, 1))),
         (SLIDING | dict(kh=2, kw=2, sw=2, top=0, oh=3), ((2, 2), (2, 2), (0, 0)))]
ADAPTIVE = [(3, 7), (1, 1), (7, 5), (2, 3), (9, 4)]


def channels_last(t): return t.permute(0, 2, 3, 1).numpy()


def adaptive(size): return dict.fromkeys(POOL, 1) | dict(oh=size[0], ow=size[1], top=0, left=0)


def close_to(mean, got): assert np.abs(np.clip(mean*2 + 10, -128, 127) - got).max() <= .5 + 1e-6


@pytest.mark.parametrize('pool, args', CASES)
@pytest.mark.parametrize('counted', (0, 1))
def test_pools_over_windows(pool, args, counted):
    want = F.max_pool2d(F.pad(XT, (args[2][1],)*2 + (args[2][0],)*2, value=-999.), *args[:2])
    assert np.array_equal(maxpool_s8(X, **pool), channels_last(want))
    how = pool | dict(count_pad=counted)
    p = avgpool2d_params(how | dict(h=7, w=5), .02, .01)
    mean = F.avg_pool2d(XT + 7, *args, False, counted == 1)
    close_to(channels_last(mean), avgpool2d_s8(X, **p, zp_in=-7, zp_out=10, **how))


@pytest.mark.parametrize('size', ADAPTIVE)
def test_adaptive_pools(size):
    pool = adaptive(size)
    assert np.array_equal(maxpool_s8(X, **pool), channels_last(F.adaptive_max_pool2d(XT, size)))
    how = pool | dict(count_pad=0)
    p = avgpool2d_params(how | dict(h=7, w=5), .02, .01)
    close_to(channels_last(F.adaptive_avg_pool2d(XT + 7, size)), avgpool2d_s8(X, **p, zp_in=-7, zp_out=10, **how))


def test_a_pool_of_2x2_is_a_pool_over_windows():
    x = X[:, :6, :4]
    two = dict(oh=3, ow=2, kh=2, kw=2, sh=2, sw=2, top=0, left=0, adaptive=0)
    assert np.array_equal(maxpool_s8(x, **two), maxpool2x2_s8(x))


def test_a_window_that_does_not_fit_has_no_output():
    assert out_hw(dict(h=8, w=9, kh=3, kw=1, **square_window())) == (6, 9)
    assert out_hw(dict(h=1, w=1, kh=3, kw=3, **square_window())) == (-1, -1)
