"""The training loop: exact resume after a kill, checkpoints that are whole or refused, and the pieces it is made of."""
import errno, math, os, re, signal
from unittest.mock import patch

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import nn
from tqdm import tqdm

from tinyformer.data import load
from tinyformer.errors import BadInput, CorruptModel, RunFolderError, TinyFormerError
from tinyformer.pace import pace_of
from tinyformer.quantization import Quantizer, quantize
from tinyformer.training import (LEAST, TICKS, Checkpoint, Machine, Run, TrainConfig, batches, evaluate, fastest, fit,
                                 loss_of, lr_at, make_optimiser, mixed, multiplies_bf16, read_checkpoint, rng_at,
                                 seeded)

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


def same(a, b):
    return all(torch.equal(u, v) for u, v in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


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
        for key in ('epoch', 'loss', 'val_accuracy'): assert a[key] == b[key]


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
    with pytest.raises(TinyFormerError, match='step 13 of 27'):
        fit(net(), data, CFG, forward=forward, checkpoint=path, progress=False)
    assert torch.load(path, weights_only=True)['history'][-1]['epoch'] == 0


def test_after_not_a_number_the_last_good_checkpoint_continues_to_the_same_bits(data, whole, tmp_path):
    path = tmp_path / 'run.pt'
    def spoilt(m, x, step): return m(x) * (math.inf if step == 20 else 1)
    with pytest.raises(TinyFormerError, match='step 20 of 27.*last good checkpoint is kept'):
        fit(net(), data, CFG, forward=spoilt, checkpoint=path, progress=False)
    m = net()
    fit(m, data, CFG, checkpoint=path, progress=False)
    assert same(m, whole[0])


def test_losses_of_an_epoch_are_checked_together_too(data):
    "The way of a GPU, where each step's own check would make it wait."
    run = Run(net(), data, CFG, make_optimiser(net(), CFG))
    with pytest.raises(TinyFormerError, match='became nan at step 7 of 27'):
        run.check([torch.tensor(v) for v in (1., math.nan, math.nan)], 6)


def test_a_full_disk_is_named_and_the_old_checkpoint_stays_whole(data, whole, tmp_path):
    "The kernel's own full device, in place of the temporary file, from the second epoch on."
    path, made = tmp_path / 'run.pt', []
    def full(to):
        made.append(tmp_path / f'{len(made)}.part')
        if len(made) > 1: made[-1].symlink_to('/dev/full')
        return made[-1]
    said = 'No space left on device.*Free some space'
    with patch('tinyformer.files._part', full), pytest.raises(RunFolderError, match=said):
        fit(net(), data, CFG, checkpoint=path, progress=False)
    assert [p.name for p in tmp_path.iterdir()] == ['run.pt'] and len(read_checkpoint(path)['history']) == 1
    m = net()
    fit(m, data, CFG, checkpoint=path, progress=False)
    assert same(m, whole[0])


@pytest.mark.parametrize('where', ['os.replace', 'os.chmod'])
def test_a_disk_that_fills_while_the_file_is_put_in_place(tmp_path, where):
    m, path = nn.Linear(2, 2), tmp_path / 'run.pt'
    Checkpoint(path, {}).save([1], model=m)
    before = path.read_bytes()
    def full(*_, **__): raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with patch(where, full), pytest.raises(RunFolderError, match='No space left'):
        Checkpoint(path, {}).save([1, 2], model=m)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


STRONG = TrainConfig(epochs=3, batch_size=256, seed=5, strong=True, mixup=.4, ema=.9, clip=.5, momentum=.9, lr=.1)


def test_the_average_of_the_weights_is_the_one_computed_by_hand(data):
    mean, cfg = [], TrainConfig(epochs=2, batch_size=256, ema=.8)
    def follow(step, total, m):
        now = {k: v.double().clone() for k, v in m.state_dict().items()}
        mean[:] = [{k: .8 * mean[0][k] + .2 * v for k, v in now.items()} if mean else now]
    m = net()
    fit(m, data, cfg, on_step=follow, progress=False)
    for k, v in m.state_dict().items():
        if v.is_floating_point(): torch.testing.assert_close(v.double(), mean[0][k], rtol=1e-4, atol=1e-5)


def test_a_resumed_run_with_everything_on_gives_the_same_bits(data, tmp_path):
    ref, m, path = net(), net(), tmp_path / 'run.pt'
    history = fit(ref, data, STRONG, progress=False)
    def stop(step, total, model):
        if step == 2 * 5 + 1: raise KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt): fit(net(), data, STRONG, on_step=stop, checkpoint=path, progress=False)
    assert 'ema' in read_checkpoint(path)['parts'] and len(read_checkpoint(path)['history']) == 2
    with torch.no_grad():
        for p in m.parameters(): p.fill_(7)
    resumed = fit(m, data, STRONG, checkpoint=path, progress=False)
    assert same(m, ref)
    assert [(h['loss'], h['val_accuracy']) for h in resumed] == [(h['loss'], h['val_accuracy']) for h in history]


def test_what_is_judged_each_epoch_is_the_average(data):
    "And the model that training leaves has just the accuracy of the last line."
    m = net()
    history = fit(m, data, STRONG, progress=False)
    assert evaluate(m, data.x_val, data.y_val) == history[-1]['val_accuracy']


def test_pruned_weights_stay_zero_in_the_average(data):
    m = net()
    def prune(step, total, model):
        if step >= 5: model[0].weight.data[:4] = 0
    fit(m, data, TrainConfig(epochs=2, batch_size=256, ema=.99), on_step=prune, progress=False)
    assert (m[0].weight[:4] == 0).all() and (m[0].weight[4:] != 0).all()


@settings(deadline=None, max_examples=30, derandomize=True)
@given(st.integers(1, 9), st.floats(0, 1), st.integers(0, 99))
def test_mixed_labels_are_probabilities(n, share, seed):
    rng = rng_at(seed)
    x, y = torch.rand(n, 1, 2, 2), torch.from_numpy(rng.integers(0, 10, n))
    mx, my = mixed(x, y, 10, share)
    soft = torch.nn.functional.one_hot(y, 10).float()
    assert torch.equal(mixed(x, soft, 10, share)[1], my)             # labels that are probabilities already
    torch.testing.assert_close(my.sum(1), torch.ones(n))
    assert my.min() >= 0 and mx.shape == x.shape
    for i in range(n):
        torch.testing.assert_close(mx[i], x[i] * (1 - share) + x[i - 1] * share)
        assert my[i, y[i]] >= 1 - share - 1e-6 and my[i, y[i - 1]] >= share - 1e-6


def test_the_last_epochs_are_plain(data):
    "They see what a run without strong distortions and mixup sees, and the others do not."
    def seen(cfg):
        images = []
        def forward(m, x, step):
            images.append(x.clone())
            return m(x)
        fit(net(), data, cfg, forward=forward, progress=False)
        return images
    strong = TrainConfig(epochs=3, batch_size=256, strong=True, mixup=.4, plain=1)
    gentle = TrainConfig(epochs=3, batch_size=256)
    same = [torch.equal(a, b) for a, b in zip(seen(strong), seen(gentle))]
    assert same == [False] * 10 + [True] * 5


def test_hard_labels_and_their_probabilities_cost_the_same():
    x, y = torch.randn(6, 10), torch.arange(6)
    cfg = TrainConfig(label_smoothing=.1)
    assert loss_of(x, y, cfg).item() == pytest.approx(loss_of(x, torch.eye(10)[y], cfg).item(), rel=1e-6)


def test_momentum_gives_sgd_that_takes_nesterovs_step():
    m = nn.Linear(1, 1, bias=False)
    opt = make_optimiser(m, TrainConfig(momentum=.9, lr=.1, weight_decay=0.))
    assert type(opt) is torch.optim.SGD and type(make_optimiser(m, TrainConfig())) is torch.optim.AdamW
    w, v = m.weight.item(), 0.
    for g in (1., -2., .5):
        m.weight.grad = torch.tensor([[g]])
        opt.step()
        v = .9 * v + g
        w -= .1 * (g + .9 * v)
        assert m.weight.item() == pytest.approx(w, rel=1e-5)


def test_clip_bounds_every_gradient_and_without_it_some_are_longer(data):
    def lengths(clip):
        seen = []
        fit(net(), data, TrainConfig(epochs=1, batch_size=128, clip=clip), progress=False,
            on_step=lambda s, t, m: seen.append(torch.stack([p.grad.norm() for p in m.parameters()]).norm().item()))
        return seen
    free, cut = lengths(0.), lengths(.3)
    assert len(cut) == 9 and max(cut) <= .3 * 1.00001 and max(free) > .6


@pytest.mark.parametrize('switches', [dict(bf16=True), dict(channels_last=True), dict(bf16=True, channels_last=True)],
                         ids=str)
def test_a_switch_of_the_machine_changes_rounding_only(data, whole, switches):
    if 'bf16' in switches and not multiplies_bf16():
        with pytest.raises(BadInput, match='no bfloat16 arithmetic'): Machine(**switches)
        return
    m, machine = net(), Machine(**switches)
    history = fit(m, data, CFG, machine=machine, progress=False)
    for a, b in zip(history, whole[1], strict=True):
        assert a['loss'] == pytest.approx(b['loss'], rel=.02) and abs(a['val_accuracy'] - b['val_accuracy']) < .05
    if machine.bf16: assert not same(m, whole[0])          # it did something
    assert all(p.dtype is torch.float32 for p in m.parameters())
    layout = torch.channels_last if machine.channels_last else torch.contiguous_format
    assert m[0].weight.is_contiguous(memory_format=layout)


def test_a_machine_that_is_not_there_is_named():
    with pytest.raises(BadInput, match="must be 'cpu' or 'cuda'"): Machine('mps')
    with patch('torch.cuda.is_available', lambda: False), pytest.raises(BadInput, match='no GPU'): Machine('cuda')
    with patch('torch.backends.mkldnn.is_available', lambda: False):
        with pytest.raises(BadInput, match='no bfloat16 arithmetic'): Machine(bf16=True)


def test_the_fastest_machine_is_the_one_with_the_best_rate_and_is_measured_once(data, tmp_path, monkeypatch):
    monkeypatch.delenv('OMP_NUM_THREADS', raising=False)
    made, file = [], tmp_path / 'machine.json'
    def paces(machines, *job):
        made.append(machines)
        return {m: 100. + 50 * m.channels_last - 20 * m.bf16 + 5 * m.threads for m in machines}
    cores = patch('os.cpu_count', lambda: 4)
    with cores, patch('tinyformer.pace.paces', paces), patch('torch.cuda.is_available', lambda: False):
        best = fastest(net(), data, CFG, file)
        assert best == Machine(channels_last=True, threads=4) and len(made) == 2
        assert fastest(net(), data, CFG, file) == best and len(made) == 2
        fastest(net(), data, TrainConfig(batch_size=32), file)
        assert len(made) == 4                                     # another batch size: another answer
        file.write_text('{"machine": 3}')
        assert fastest(net(), data, CFG, file) == best and len(made) == 6
        monkeypatch.setenv('OMP_NUM_THREADS', '1')                # a limit that a person set, which torch keeps to
        with patch('torch.get_num_threads', lambda: 1):
            assert {m.threads for m in (fastest(net(), data, CFG), *made[-1])} == {1}


# ---- a budget --------------------------------------------------------------------------------------------------------

def hurried(**kw): return TrainConfig(batch_size=64, **kw)


@pytest.fixture
def short_parts(monkeypatch): monkeypatch.setattr('tinyformer.training.PART', 400)


def test_a_budget_of_images_goes_on_to_the_same_bits(data, tmp_path, short_parts):
    cfg, path, seen = hurried(images=3000, ema=.99, strong=True, mixup=.2, plain=4), tmp_path / 'run.pt', []
    ref = net()
    history = fit(ref, data, cfg, progress=False)
    assert len(history) == 8 and 3000 <= history[-1]['spent'] < 3064    # parts of a third of an epoch
    def stop(step, total, model):
        seen.append(step)
        if len(seen) == 22: raise KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt): fit(net(), data, cfg, checkpoint=path, on_step=stop, progress=False)
    assert 1 < len(read_checkpoint(path)["history"]) < 8
    m = net()
    again = fit(m, data, cfg, checkpoint=path, progress=False)
    assert same(m, ref) and [h['loss'] for h in again] == [h['loss'] for h in history]
    with pytest.raises(RunFolderError, match='budget_images was 3000, now 4000'):
        fit(net(), data, hurried(images=4000, ema=.99, strong=True, mixup=.2, plain=4), checkpoint=path, progress=False)


class Watch:
    "A clock that shows `step` seconds more at each look."
    def __init__(self, step): self.now, self.step = 0., step

    def __call__(self):
        self.now += self.step
        return self.now


@pytest.mark.parametrize('minutes', [1, 10])
def test_every_budget_of_time_is_a_whole_schedule(data, minutes):
    "Warm-up, peak and a rate near zero at the end, whatever the clock allows."
    rates, ticks, cfg = [], [], hurried(minutes=minutes)
    def look(step, total, model): ticks.append(step), rates.append(lr_at(step, total, cfg))
    with patch('time.perf_counter', Watch(2.)):
        history = fit(STILL, data, cfg, on_step=look, validate=lambda m: None, progress=False)
    assert len(ticks) == pytest.approx(30 * minutes, rel=.15) and ticks == sorted(ticks) and ticks[-1] > .9 * TICKS
    assert max(rates) > .95 * cfg.lr and rates[-1] < .05 * cfg.lr
    assert 60 * minutes <= history[-1]['spent'] < 60 * minutes + 6


def test_timing_at_a_rate_that_diverges_gives_a_pace(data):
    deep = nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.Linear(64, 64), nn.Linear(64, 10))
    pace = pace_of(Machine(), deep, data, hurried(images=3000, lr=10., momentum=.9, warmup=0.))
    assert all(pace() > 0 for _ in range(30))


def test_a_bar_of_time_says_what_is_left_and_the_last_known_accuracy(data, monkeypatch, capsys):
    monkeypatch.setattr('tinyformer.meter.tqdm', lambda **how: tqdm(**dict(how, delay=0, mininterval=0)))
    found = iter([None, .5])
    with patch('time.perf_counter', Watch(2.)):
        fit(STILL, data, hurried(minutes=1), validate=lambda m: next(found, None), progress=True, desc='direct')
    shown = [line.strip() for line in re.split('[\r\n]+', capsys.readouterr().err) if line.strip()]
    assert shown[0].startswith('direct:   0%|') and '<?' in shown[0]
    assert re.fullmatch(r'direct: 100%\|█+\| [\d:]+<[\d:]+, loss=\d\.\d{3}, val=50\.00%', shown[-1]), shown[-1]
    assert not any('None' in line or re.search(r'\d\.\d{4}', line) for line in shown)


def test_the_time_that_a_killed_run_spent_stays_spent(data, tmp_path, short_parts):
    cfg, path, ticks = hurried(minutes=2), tmp_path / 'run.pt', []
    def stop(step, total, model):
        ticks.append(step)
        if len(ticks) == 20: raise KeyboardInterrupt
    how = dict(checkpoint=path, validate=lambda m: None, progress=False)
    with patch('time.perf_counter', Watch(2.)), pytest.raises(KeyboardInterrupt):
        fit(net(), data, cfg, on_step=stop, **how)
    spent = read_checkpoint(path)['history'][-1]['spent']
    assert 20 < spent < 60
    rest = []
    with patch('time.perf_counter', Watch(2.)): fit(net(), data, cfg, on_step=lambda s, t, m: rest.append(s), **how)
    assert rest[0] == pytest.approx(TICKS * spent / 120, rel=.1) and rest[-1] > .9 * TICKS
    assert len(rest) < 50


@pytest.mark.parametrize('seconds', [7., 61.])               # of a step, and of a look at the clock before the first
def test_a_time_too_short_for_a_schedule_says_the_least(data, tmp_path, seconds):
    took = seconds if seconds < 60 else 2 * seconds
    said = f'a step takes {re.escape(f"{took:.2g}")} s here: give {math.ceil(LEAST * took / 6) / 10} or more'
    with patch('time.perf_counter', Watch(seconds)), pytest.raises(BadInput, match=said):
        fit(net(), data, hurried(minutes=1), checkpoint=tmp_path / 'run.pt', progress=False)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('when', [1, 3, 20])
def test_a_machine_that_slept_does_not_end_a_run(data, when):
    "One step of 15 s is not the pace: in a minute there is room for many others."
    clock, steps = Watch(1.), []
    def sleep(step, total, model):
        steps.append(step)
        if len(steps) == when + 1: clock.now += 15
    with patch('time.perf_counter', clock):
        fit(STILL, data, hurried(minutes=1), on_step=sleep, validate=lambda m: None, progress=False)
    assert len(steps) > 30


def test_the_average_of_a_short_budget_forgets_how_it_began(data):
    "With a decay for thousands of steps it would keep the weights of the first."
    def first(**kw):
        start, m = net()[0].weight.clone(), net()
        fit(m, data, TrainConfig(batch_size=64, lr=1e-2, ema=.9999, **kw), progress=False)
        return (m[0].weight - start).norm().item()
    assert first(images=64 * 54) > 10 * first(epochs=3)


def test_a_hook_before_each_step_sees_where_the_schedule_is(data):
    pairs, seen = [], []
    fit(STILL, data, TrainConfig(epochs=2, batch_size=256), before=lambda s, t, m: seen.append((s, t)), progress=False,
        on_step=lambda s, t, m: pairs.append((s, t)))
    assert seen == pairs == [(s, 10) for s in range(10)]


def test_frozen_ranges_are_constants_through_training_and_leave_evaluation_alone(data):
    q = quantize(net().eval(), data.x_train[:64])
    x = torch.from_numpy(data.x_val[:50]).permute(0, 3, 1, 2) / 255
    with torch.no_grad(): before = q.eval()(x)
    assert q.freeze() is q
    with torch.no_grad(): assert torch.equal(q(x), before)
    ranges = lambda: [(z.lo.item(), z.hi.item(), z.qparams()) for z in q.modules() if isinstance(z, Quantizer)]
    was = ranges()
    fit(q, data, TrainConfig(epochs=1, batch_size=256), progress=False)
    assert ranges() == was and len(was) > 2
    loose = quantize(net().eval(), data.x_train[:64])
    fit(loose, data, TrainConfig(epochs=1, batch_size=256), progress=False)
    assert [z.hi.item() for z in loose.modules() if isinstance(z, Quantizer)] != [hi for _, hi, _ in was]


def test_a_frozen_net_with_an_average_is_judged_and_kept_with_the_same_ranges(data):
    "The average has ranges of its own; they come back into the frozen model."
    q = quantize(net().eval(), data.x_train[:64])
    def freeze(step, total, model):
        if step == 7: model.freeze()
    history = fit(q, data, TrainConfig(epochs=2, batch_size=256, ema=.9), on_step=freeze, progress=False)
    zs = [z for z in q.modules() if isinstance(z, Quantizer)]
    assert all(z.known for z in zs) and evaluate(q, data.x_val, data.y_val) == history[-1]['val_accuracy']
    again = quantize(net().eval(), data.x_train[:64])
    again.load_state_dict(q.state_dict())
    assert [z.qparams() for z in again.modules() if isinstance(z, Quantizer)] == [z.qparams() for z in zs]


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


@pytest.mark.parametrize('bad', [dict(epochs=0), dict(lr=0.), dict(warmup=1.), dict(label_smoothing=-.1),
                                 dict(distill=2.), dict(temperature=0.),
                                 dict(mixup=-.1), dict(ema=1.), dict(clip=-1.), dict(momentum=1.), dict(plain=-1),
                                 dict(minutes=-1.), dict(images=-1), dict(images=639)])
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
