"""The training loop: exact resume after a kill, checkpoints that are whole or refused, and the pieces it is made of."""
import os, signal

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import nn

from tinyformer.data import load
from tinyformer.errors import BadInput, CorruptModel, RunFolderError, TinyFormerError
from tinyformer.training import Checkpoint, TrainConfig, batches, evaluate, fit, loss_of, lr_at, make_optimiser, rng_at, seeded

CFG = TrainConfig(epochs=3, batch_size=128, seed=5)
STILL = nn.Sequential(nn.Flatten(), nn.Dropout(.5), nn.Linear(64, 10))


@pytest.fixture(scope='module', autouse=True)
def one_thread():
    "A forked process has none of its parent's worker threads."
    n = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n)


@pytest.fixture(scope='module')
def data(): return load('digits')


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(.2),
                         nn.MaxPool2d(2), nn.Flatten(), nn.Linear(128, 10))


def same(a, b): return all(torch.equal(u, v) for u, v in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


@pytest.fixture(scope='module')
def whole(data):
    "An uninterrupted run."
    m = net()
    return m, fit(m, data, CFG, progress=False)


def kill_at(step, path, data):
    "Train in a process of its own and kill -9 it after `step`; return the steps it made."
    out, inp = os.pipe()
    if not (pid := os.fork()):
        def on_step(s, total, model):
            os.write(inp, bytes([s]))
            if s == step: signal.pause()
        try: fit(net(), data, CFG, checkpoint=path, on_step=on_step, progress=False)
        finally: os._exit(1)
    os.close(inp)
    seen = []
    while (b := os.read(out, 1)):
        seen.append(b[0])
        if seen[-1] == step: os.kill(pid, signal.SIGKILL)
    os.close(out)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    return seen


def test_kill_9_and_resume_gives_the_same_bits(data, whole, tmp_path):
    path = tmp_path / 'run.pt'
    assert kill_at(12, path, data) == list(range(13))           # nine steps per epoch: killed in the second
    assert kill_at(20, path, data) == list(range(9, 21))        # continues after the first, killed in the third
    m = net()
    with torch.no_grad():
        for p in m.parameters(): p.fill_(7)
    history = fit(m, data, CFG, checkpoint=path, progress=False)
    ref, ref_history = whole
    assert same(m, ref)
    for a, b in zip(history, ref_history, strict=True):
        assert {k: a[k] for k in ('epoch', 'loss', 'val_accuracy')} == {k: b[k] for k in ('epoch', 'loss', 'val_accuracy')}


def test_a_finished_run_is_not_trained_again(data, whole, tmp_path):
    path, steps = tmp_path / 'run.pt', []
    fit(net(), data, CFG, checkpoint=path, progress=False, on_step=lambda s, t, m: steps.append(s))
    assert len(steps) == 27
    m = net()
    fit(m, data, CFG, checkpoint=path, progress=False, on_step=lambda s, t, m: steps.append(s))
    assert len(steps) == 27 and same(m, whole[0])


def test_the_callers_generators_are_left_alone(data):
    torch.manual_seed(3); np.random.seed(3)
    want = torch.rand(1), np.random.rand()
    torch.manual_seed(3); np.random.seed(3)
    with seeded(1, 2): torch.rand(5); np.random.rand(5)
    fit(STILL, data, TrainConfig(epochs=1, batch_size=1150), progress=False)
    assert (torch.rand(1), np.random.rand()) == want


def test_each_epoch_has_dice_of_its_own(data):
    drawn = []
    def forward(m, x, step):
        drawn.append((float(torch.rand(1)), float(np.random.rand()), float(x.sum())))
        return m(x)
    fit(net(), data, TrainConfig(epochs=3, batch_size=1150), forward=forward, progress=False)
    for column in zip(*drawn): assert len(set(column)) == 3


def test_kept_objects_travel_in_the_checkpoint(data, tmp_path):
    class Counter:
        n = 0
        def state_dict(self): return dict(n=self.n)
        def load_state_dict(self, d): self.n = d['n']
    a, b, path = Counter(), Counter(), tmp_path / 'run.pt'
    def count(s, t, m): a.n += 1
    fit(net(), data, CFG, checkpoint=path, keep=dict(counter=a), on_step=count, progress=False)
    fit(net(), data, CFG, checkpoint=path, keep=dict(counter=b), progress=False)
    assert b.n == a.n == 27


def test_not_a_number_stops_at_its_step_and_keeps_the_last_good_checkpoint(data, tmp_path):
    path = tmp_path / 'run.pt'
    def forward(m, x, step): return m(x) * (float('nan') if step == 13 else 1)
    with pytest.raises(TinyFormerError, match='step 13 of 27'): fit(net(), data, CFG, forward=forward, checkpoint=path, progress=False)
    assert torch.load(path, weights_only=True)['history'][-1]['epoch'] == 0


def test_a_checkpoint_of_another_run_is_refused_by_name(data, tmp_path):
    path = tmp_path / 'run.pt'
    one = TrainConfig(epochs=1, batch_size=512)
    fit(net(), data, one, checkpoint=path, progress=False)
    with pytest.raises(RunFolderError, match='lr was 0.003, now 0.01'):
        fit(net(), data, TrainConfig(epochs=1, batch_size=512, lr=.01), checkpoint=path, progress=False)
    other = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    with pytest.raises(RunFolderError, match='parameters'): fit(other, data, one, checkpoint=path, progress=False)


def test_every_damaged_checkpoint_is_refused_cleanly(tmp_path):
    m, path = nn.Linear(2, 2), tmp_path / 'run.pt'
    Checkpoint(path, dict(a=1)).save([], model=m)
    whole = path.read_bytes()
    cuts = [*range(0, 64), *range(64, len(whole), 97), len(whole) - 1]
    for n in cuts:
        path.write_bytes(whole[:n])
        with pytest.raises(CorruptModel, match='delete it'): Checkpoint(path, dict(a=1)).load(model=m)
    torch.save(dict(run=dict(a=1), history=[], parts=dict(model=dict(foreign=torch.ones(1)))), path)
    with pytest.raises(CorruptModel, match='another model'): Checkpoint(path, dict(a=1)).load(model=m)
    assert len(cuts) > 64


def test_a_folder_that_cannot_be_written_is_named(data, tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(RunFolderError, match='cannot write'):
        fit(net(), data, TrainConfig(epochs=1, batch_size=512), checkpoint=tmp_path / 'file' / 'run.pt', progress=False)


@settings(deadline=None, max_examples=40, derandomize=True)
@given(st.integers(1, 300), st.integers(1, 64), st.integers(0, 9))
def test_batches_cover_every_image_once(n, size, epoch):
    bs = batches(n, TrainConfig(batch_size=size), epoch)
    assert sorted(torch.cat(bs).tolist()) == list(range(n))
    sizes = [len(b) for b in bs]
    assert max(sizes) <= size and max(sizes) - min(sizes) <= 1


@settings(deadline=None, max_examples=40, derandomize=True)
@given(st.integers(1, 500), st.floats(0, .99))
def test_the_rate_stays_below_its_peak_and_ends_low(total, warmup):
    cfg = TrainConfig(warmup=warmup)
    rates = [lr_at(s, total, cfg) for s in range(total)]
    assert all(0 < r <= cfg.lr for r in rates)
    top = rates.index(max(rates))
    assert rates[:top + 1] == sorted(rates[:top + 1]) and rates[top:] == sorted(rates[top:], reverse=True)


def test_distillation_pulls_towards_the_teacher():
    y, soft = torch.tensor([0, 1]), torch.tensor([[0., 4.], [4., 0.]])
    cfg = TrainConfig(distill=1., temperature=3.)
    assert loss_of(soft.clone(), y, cfg, soft) == pytest.approx(0., abs=1e-6)
    assert loss_of(-soft, y, cfg, soft) > 1
    assert loss_of(-soft, y, TrainConfig(), soft) == loss_of(-soft, y, TrainConfig())


def test_decay_reaches_matrices_only():
    groups = make_optimiser(net(), TrainConfig(weight_decay=.1)).param_groups
    assert [g['weight_decay'] for g in groups] == [.1, 0.]
    assert [len(g['params']) for g in groups] == [2, 4]


def test_evaluate_counts_and_puts_the_mode_back(data):
    m = net().train()
    acc = evaluate(m, data.x_val, data.y_val, batch_size=100)
    assert m.training and acc * len(data.y_val) == pytest.approx(round(acc * len(data.y_val)))
    with pytest.raises(BadInput, match='0 images'): evaluate(m, data.x_val[:0], data.y_val[:0])


@pytest.mark.parametrize('bad', [dict(epochs=0), dict(lr=0.), dict(warmup=1.), dict(label_smoothing=-.1), dict(distill=2.), dict(temperature=0.)])
def test_a_number_out_of_range_is_named(bad):
    with pytest.raises(BadInput, match=f'TrainConfig.{next(iter(bad))} is'): TrainConfig(**bad)


def test_the_test_split_is_never_read(data, whole):
    class NoTest:
        name, shape = data.name, data.shape
        def __getattr__(self, k):
            if 'test' in k: raise AssertionError(f'{k} was read')
            return getattr(data, k)
    m = net()
    fit(m, NoTest(), CFG, progress=False)
    assert same(m, whole[0])
