"""Quantizers: what they watch, follow, cut, share and freeze."""
import copy
import math

import pytest
import torch

from tinyformer.ranges import Quantizer, Scaled, reach

BELOW, ABOVE = torch.linspace(0, 1, 20), torch.linspace(1, 3, 20)


def with_one(lo, hi): return reach(torch.cat([torch.stack([BELOW, ABOVE]), torch.tensor([[lo], [hi]])], 1))


@pytest.mark.parametrize('lo, hi, taken', [
    (4.5, 0., (4.5, 3)), (50., 60., (1, 3)), (0., 6.5, (1, 6.5)), (0., 9., (1, 3))])
def test_only_an_image_that_alone_doubles_the_range_is_cut(lo, hi, taken): assert with_one(lo, hi) == taken


def test_among_few_images_nobody_is_wild():
    assert reach(torch.tensor([[0., 0.], [1., 60.]])) == (0, 60)
    assert math.isnan(with_one(0., math.nan)[1])


def test_a_range_never_goes_beyond_its_clip():
    six = Quantizer(hi=9.)
    six.clip(0., 6.)
    assert six.clamp(torch.tensor([-1., 7.])).tolist() == [0, 6] and (six.kind, six.qparams()[1]) == ('relu', -128)
    for _ in range(200): six.train()(torch.tensor([-9., 9.]))
    assert (float(six.lo), float(six.hi)) == pytest.approx((0, 6), abs=.01)
    assert six.qparams() == pytest.approx((6/255, -128), rel=1e-3)


def test_peers_have_one_scale_and_a_copy_has_copies_as_peers():
    one, two = Quantizer(lo=-1., hi=.2), Quantizer(hi=1.55)
    one.join(two)
    assert one.qparams() == two.qparams() == pytest.approx((.01, -28), abs=1e-6)
    assert copy.deepcopy(one).peers[0] is not one


def watched():
    q = Quantizer()
    q.watching = True
    for batch in torch.tensor([[[-.5], [.3]], [[.1], [2.05]]]): assert torch.equal(q(batch), batch)
    return q


def test_what_is_watched_without_noting_moves_nothing():
    q = watched().settle()
    assert q.qparams() == pytest.approx((.01, -78), abs=1e-6)
    q.noting = False
    assert q(torch.tensor([99.])) == 99
    assert q.settle().qparams() == pytest.approx((.01, -78), abs=1e-6)


def test_evaluation_moves_nothing_and_training_a_twentieth():
    q = watched().settle()
    q.watching = False
    q.eval()(torch.tensor([9.]))
    assert float(q.hi) == pytest.approx(2.05)
    q.train()(torch.tensor([0., 4.05]))
    assert float(q.hi) == pytest.approx(2.15)


def test_a_frozen_range_from_a_file_is_frozen_at_that_one():
    q = watched().settle().freeze()
    q.load_state_dict(Quantizer(lo=0., hi=2.55).state_dict())
    assert q.qparams() == pytest.approx((.01, -128), abs=1e-6)


def test_scales_of_the_author_stay():
    q = Quantizer()
    q.give(.02, -100)
    assert q.freeze().qparams() == (.02, -100)
    q.watching = True
    assert q(torch.tensor([.031])).item() == pytest.approx(.04, abs=1e-6)            # rounds while it watches


def test_codes_that_cannot_hold_zero_get_a_range_of_their_own():
    assert Scaled(Quantizer(hi=1.), 1., 1.).qparams() == pytest.approx((2/255, -128), abs=1e-6)      # 1 to 2
