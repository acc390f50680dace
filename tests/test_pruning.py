"""Pruning: masks against a slow definition, the schedule, the pruner over a training and across an interruption."""
from dataclasses import replace
from itertools import product
from unittest.mock import patch

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings, strategies as st
from torch import nn

from tinyformer.data import load
from tinyformer.errors import BadInput
from tinyformer.pruning import (Pruner, agp_sparsity, block_mask, block_scores, norm_kept, plot_norm_kept,
                                plot_schedule, prune_once, sparsity_of, to_blocks)
from tinyformer.rle_encoding import BLOCKS, kept_blocks, stream_bytes
from tinyformer.arch import prune_plan
from tinyformer.blocks import build
from tinyformer.run_config import Stage
from tinyformer.run_steps import train_stage
from tinyformer.search_space import digits_space
from tinyformer.training import TrainConfig, fit

quick = settings(max_examples=40, deadline=None, derandomize=True)
shapes = st.one_of(st.tuples(st.integers(1, 9), st.integers(1, 17)),
                   st.tuples(st.integers(1, 5), st.integers(1, 11), st.sampled_from([1, 3]), st.sampled_from([1, 3])))


def slow_mask(w, b, sparsity):
    "The definition, one block at a time: (−norm, row, tap, block) sorted, the first ones stay."
    v = w.reshape(w.shape[0], w.shape[1], -1)
    at = product(range(v.shape[0]), range(v.shape[2]), range(0, v.shape[1], b))
    blocks = [(-v[o, i:i+b, t].norm().item(), o, t, i) for o, t, i in at]
    keep = max(round((1 - sparsity)*len(blocks)), 1 if sparsity < 1 else 0)
    out = torch.zeros_like(v, dtype=torch.bool)
    for _, o, t, i in sorted(blocks)[:keep]: out[o, i:i+b, t] = True
    return out.reshape(w.shape)


@quick
@given(shapes, st.sampled_from(list(BLOCKS)), st.floats(0, 1), st.integers(0, 999))
def test_mask_equals_its_definition(shape, block, sparsity, seed):
    w = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    m = block_mask(w, block, sparsity)
    assert m.dtype == torch.bool and m.shape == w.shape
    assert torch.equal(m, slow_mask(w, BLOCKS[block], sparsity))
    keep = max(kept_blocks(block_scores(w, block).numel(), sparsity), int(sparsity < 1))
    assert int(to_blocks(m.float(), block).amax(3).sum()) == keep


@quick
@given(shapes, st.sampled_from(list(BLOCKS)), st.floats(.05, .95), st.integers(0, 999))
def test_pruning_twice_changes_nothing(shape, block, sparsity, seed):
    w = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    m = block_mask(w, block, sparsity)
    assert torch.equal(block_mask(w*m, block, sparsity), m)
    assert norm_kept(w, block, sparsity) == pytest.approx(((w*m).norm()/w.norm()).item())


def test_equal_scores_and_extremes():
    w = torch.ones(3, 8)
    assert block_mask(w, '1x4', .5).flatten().tolist() == [True]*12 + [False]*12
    assert block_mask(torch.zeros(3, 8), '1x4', .5).sum() == 12
    assert block_mask(w, '1x4', 0.).all() and not block_mask(w, '1x4', 1.).any()
    assert block_mask(w, '1x4', .999).sum() == 4


@pytest.mark.parametrize('call, word', [
    (lambda: block_mask(torch.ones(2, 4), '1x4', -.1), 'not between'),
    (lambda: block_mask(torch.ones(2, 4), '1x4', float('nan')), 'not between'),
    (lambda: block_mask(torch.ones(2, 4), '2x2', .5), 'must be one of'),
    (lambda: block_scores(torch.ones(4), '1x4'), r'shape \(4,\)'),
    (lambda: sparsity_of(nn.Linear(2, 2), []), 'at least one'),
    (lambda: prune_once(nn.Sequential(nn.Linear(2, 2)), {'1': ('1x1', .5)}), "no layer '1'"),
    (lambda: Pruner(nn.Sequential(nn.Linear(2, 2)), {'0': ('1x1', .5)}, 3, 2), 'begin <= end'),
    (lambda: Pruner(nn.Sequential(nn.Linear(2, 2)), {'0': ('1x1', .5)}, 0, 2, every=0), 'every > 0')])
def test_wrong_calls_are_refused(call, word):
    with pytest.raises(BadInput, match=word): call()


def test_schedule():
    ss = [agp_sparsity(t, 20, 120, .9, .1) for t in range(200)]
    assert ss[:20] == [0.]*20 and ss[20] == pytest.approx(.1) and ss[120:] == [.9]*80
    assert all(a <= b for a, b in zip(ss, ss[1:]))
    steps = np.diff(ss[20:121])
    assert (np.diff(steps) < 0).all()                    # ever smaller bites
    assert agp_sparsity(70, 20, 120, .9, .1) == pytest.approx(.9 - .8/8)
    assert agp_sparsity(7, 7, 7, .5) == .5


def net0():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 6, 3, padding=1), nn.ReLU(), nn.Conv2d(6, 10, 3), nn.ReLU(),
                         nn.Flatten(), nn.Linear(360, 4))


PLAN = {'2': ('1x2', .6), '5': ('1x4', .8)}


def train(net, steps, on_step, first=0, opt=None):
    opt = opt or torch.optim.AdamW(net.parameters(), lr=1e-2)
    for t in range(first, steps):
        g = torch.Generator().manual_seed(t)
        x = torch.rand(8, 1, 8, 8, generator=g)
        y = (x.mean((1, 2, 3))*40).long() % 4
        loss = F.cross_entropy(net(x), y)
        opt.zero_grad(); loss.backward(); opt.step()
        on_step(t)
    return opt


def test_pruner_follows_the_schedule_and_blocks_never_return():
    net, seen = net0(), []
    p = Pruner(net, PLAN, begin=5, end=37, every=4)
    changes = []
    def follow(t):
        old = {n: m.clone() for n, m in p.masks.items()}
        p.step(t)
        if t < 5: assert not p.masks and p.sparsity() == 0
        else:
            for n in PLAN: assert (net.get_submodule(n).weight[~p.masks[n]] == 0).all()
            for n, m in old.items(): assert not (p.masks[n] & ~m).any()
            if any(not torch.equal(old[n], p.masks[n]) for n in old): changes.append(t)
        seen.append(p.sparsity())
    train(net, 60, follow)
    assert set(changes) <= {9, 13, 17, 21, 25, 29, 33, 37} and 37 in changes and len(changes) >= 6
    for n, (b, s) in PLAN.items(): assert sparsity_of(net, [n]) == pytest.approx(s, abs=.01)
    assert seen == sorted(seen) and seen[-1] > .7


def test_a_cut_run_ends_in_the_same_bits():
    whole = net0()
    train(whole, 50, Pruner(whole, PLAN, 5, 37, 4).step)
    for cut in (3, 5, 18, 37, 44):
        a = net0()
        p = Pruner(a, PLAN, 5, 37, 4)
        opt = train(a, cut, p.step)
        b = net0(); b.load_state_dict(a.state_dict())
        q = Pruner(b, PLAN, 5, 37, 4); q.load_state_dict(p.state_dict())
        opt2 = torch.optim.AdamW(b.parameters(), lr=1e-2); opt2.load_state_dict(opt.state_dict())
        train(b, 50, q.step, first=cut, opt=opt2)
        assert all(torch.equal(x, y) for x, y in zip(whole.state_dict().values(), b.state_dict().values())), cut
    other = Pruner(b, {'2': ('1x2', .6)}, 0, 1)
    with pytest.raises(BadInput, match='the plan names'): other.load_state_dict(p.state_dict())


def test_architecture_plan_is_carried_out():
    cases = 0
    for seed in range(6):
        arch = digits_space().sample(seed)
        net, plan = build(arch), prune_plan(arch)
        masks = prune_once(net, plan)
        for n, (block, s) in plan.items():
            w = net.get_submodule(n).weight
            assert torch.equal(w != 0, masks[n])
            blocks = to_blocks(masks[n].float(), block).amax(3)
            assert int(blocks.sum()) == kept_blocks(blocks.numel(), s)
            rows = w.detach().flatten(2).transpose(1, 2) if w.dim() == 4 else w.detach()
            assert stream_bytes((rows != 0).numpy().astype(np.int8), block) >= int(blocks.sum())*(1 + BLOCKS[block])
            cases += 1
        assert sparsity_of(net, plan) >= .69
    assert cases > 60


def test_pictures_show_what_they_say():
    ax = plot_schedule(begin=10, end=50, s_final=.9, every=5, steps=80)
    assert [l.get_ydata()[-1] for l in ax.lines] == [.9, .9]
    fig = plot_norm_kept({'w': torch.randn(8, 16, generator=torch.Generator().manual_seed(0))})
    for line in fig.axes[0].lines:
        y = line.get_ydata()
        assert y[0] == pytest.approx(1) and all(a >= b for a, b in zip(y, y[1:]))


@pytest.mark.parametrize('old', [False, True])
def test_fit_resumes_a_gradual_pruning(tmp_path, old):
    "Killed inside the third epoch, in the middle of the schedule: the continued run ends in the bits of the whole one."
    data, cfg = load('digits'), TrainConfig(epochs=5, batch_size=256)
    def run(checkpoint, stop=None):
        torch.manual_seed(0)
        net = nn.Sequential(nn.Flatten(), nn.Linear(64, 24), nn.ReLU(), nn.Linear(24, 10))
        p = Pruner(net, {'1': ('1x4', .75)}, begin=3, end=17, every=3)
        def on_step(step, total, model):
            if step == stop: raise KeyboardInterrupt
            p.step(step)
        fit(net, data, cfg, on_step=on_step, keep=dict(pruner=p), checkpoint=checkpoint, progress=False)
        return net, p
    whole, _ = run(tmp_path/'whole.ckpt')
    with pytest.raises(KeyboardInterrupt): run(tmp_path/'cut.ckpt', stop=12)
    if old:                                                         # a checkpoint of before this field was kept
        state = torch.load(tmp_path/'cut.ckpt', weights_only=True)
        assert state['parts']['pruner'].pop('at') == 9
        torch.save(state, tmp_path/'cut.ckpt')
    again, p = run(tmp_path/'cut.ckpt')
    assert all(torch.equal(a, b) for a, b in zip(whole.state_dict().values(), again.state_dict().values()))
    assert p.sparsity() == pytest.approx(.75, abs=.01)


def test_pruned_weights_take_no_part_in_clipping(tmp_path):
    "Behind rows that are gone, batch norm makes huge gradients; those that are left are as long as `clip` allows."
    data, arch = load('digits'), digits_space().smallest()
    arch = replace(arch, blocks=tuple(replace(b, sparsity=.9) if b.sparsity else b for b in arch.blocks))
    torch.manual_seed(0)
    net, plan, lengths = build(arch), prune_plan(arch), []
    def clip(parameters, most, **kw):
        lengths.append(torch.stack([p.grad.norm() for p in parameters]).norm().item())
        ws = {n: net.get_submodule(n).weight for n in plan}
        gone = sum(int((w.flatten(1) == 0).all(1).sum()) for w in ws.values())
        assert len(lengths) < 20 or gone > 5
        assert all(not w.grad[w == 0].any() for w in ws.values() if (w == 0).any())
    stage = Stage(TrainConfig(epochs=2, batch_size=64, clip=1., augment=False), rise=(0., .2))
    with patch('torch.nn.utils.clip_grad_norm_', clip):
        train_stage(net, data, stage, tmp_path/'a.ckpt', arch, progress=False)
    assert len(lengths) > 30 and max(lengths[20:]) < 10
