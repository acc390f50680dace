"""SparseNAS: a search that survives kill -9, its constraints, its pick, and what it says when nothing fits."""
import os, random, signal, sqlite3, time
from collections import Counter
from dataclasses import replace

import matplotlib
import numpy as np
import optuna
import pytest
import torch

from tinyformer.data import load, to_float
from tinyformer.errors import BadInput, NoFeasibleModel, RunFolderError
from tinyformer.hardware import target
from tinyformer.pruning import sparsity_of
from tinyformer.search_space import SuperNet, cost, digits_space, prune_plan
from tinyformer.sparsenas import (FINISHED, Candidate, PrunedSuperNet, candidates, closest_miss, excess, fingerprint, judge, open_study,
                                  pareto, pick, plot_budget, plot_search, search, tightened, train_supernet)
from tinyformer.supernas import STACK_BYTES
from tinyformer.training import TrainConfig, rng_at

matplotlib.use('Agg')
SPACE = digits_space('few', stem=(4, 8, 16), early=(0, 1), width=(16, 24, 32), expand=(4,), dim=(32,), ffn=(32, 64), convs=(True,),
                     head=(32,), block=('1x4',), sparsity=(.7, .9))
SMALL = digits_space('small', stem=(4, 8), early=(0,), width=(8, 12), expand=(2,), dim=(8, 12), ffn=(16, 24), depth=(1,), head=(16,))
TYPICAL = int(np.median([cost(SPACE.sample(rng_at(0, i))).storage_bytes for i in range(50)]))
TIGHT = target('stm32f746').with_budget(TYPICAL, '8KB')   # about half of the paths fit
TRIALS = 16


@pytest.fixture(scope='module')
def data(): return load('digits')


def guess(arch): return .8 + cost(arch).params / 1e6


def run(folder, data, **kw):
    "A search with a made-up accuracy, so that only the search itself is under test."
    kw = dict(trials=TRIALS, run=folder, accuracy_of=guess, progress=False) | kw
    return search(SPACE, None, data, TIGHT, **kw)


@pytest.fixture(scope='module')
def whole(data, tmp_path_factory):
    "An uninterrupted search."
    return run(tmp_path_factory.mktemp('whole'), data)


def finished(study): return [t for t in study.trials if t.state in FINISHED]


def rows(folder):
    "Numbers and states of the finished trials, read from the file without Optuna."
    if not (folder / 'search.db').exists(): return {}
    with sqlite3.connect(folder / 'search.db', timeout=60) as db:
        if not db.execute("select 1 from sqlite_master where name = 'trials'").fetchone(): return {}
        return dict(db.execute("select number, state from trials where state in ('COMPLETE', 'PRUNED')").fetchall())


def killed_after(n, folder, data, rng):
    "Search in a process of its own; kill -9 it a random moment after it has judged `n` models."
    out, inp = os.pipe()
    if not (pid := os.fork()):
        judged = []
        def accuracy_of(arch):
            os.write(inp, b'.')
            judged.append(arch)
            time.sleep(.02 if len(judged) <= n else 60)      # the next one is in flight when the signal comes
            return guess(arch)
        try: run(folder, data, accuracy_of=accuracy_of)
        finally: os._exit(1)
    os.close(inp)
    assert all(os.read(out, 1) for _ in range(n)), 'the search ended before it could be killed'
    time.sleep(rng.uniform(0, .15))
    os.kill(pid, signal.SIGKILL)
    os.close(out)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL


def test_kill_9_loses_no_finished_trial_and_counts_none_twice(data, whole, tmp_path):
    rng, before, kills = random.Random(0), {}, 0
    for n in (1, 2, 3, 2):
        killed_after(n, tmp_path, data, rng)
        kills += 1
        after = rows(tmp_path)
        assert before.items() <= after.items() and len(after) > len(before)
        before = after
    r = run(tmp_path, data)
    states = Counter(t.state.name for t in r.study.trials)
    assert kills == 4 and len(r.trials) == TRIALS == states['COMPLETE'] + states['PRUNED']
    assert states['RUNNING'] == 0 and states['FAIL'] <= kills        # at most the trial in flight
    assert before.items() <= rows(tmp_path).items()
    assert [(t.params, t.values) for t in finished(r.study)] == [(t.params, t.values) for t in finished(whole.study)]
    assert r.best == whole.best


def test_a_finished_search_runs_nothing_and_can_be_extended(data, whole, tmp_path):
    calls = []
    def count(arch): calls.append(arch); return guess(arch)
    assert len(run(tmp_path, data, trials=6, accuracy_of=count).trials) == 6
    n = len(calls)
    run(tmp_path, data, trials=6, accuracy_of=count)
    assert len(calls) == n
    r = run(tmp_path, data, trials=9, accuracy_of=count)
    assert len(r.trials) == 9 and [c.arch for c in r.trials] == [c.arch for c in whole.trials[:9]]


def test_models_over_a_limit_are_never_judged(data, tmp_path):
    judged = []
    def accuracy_of(arch): judged.append(arch); return guess(arch)
    r = run(tmp_path, data, accuracy_of=accuracy_of)
    bad = [c for c in r.trials if not c.feasible]
    assert 0 < len(bad) < TRIALS and all(c.accuracy is None for c in bad)
    assert all(max(excess(cost(a), TIGHT).values()) <= 0 for a in judged) and len(judged) == len(set(judged))


def test_excess_counts_bytes_over_each_limit():
    c = cost(SPACE.largest())
    over = excess(c, TIGHT)
    assert over['flash'] == c.storage_bytes - TYPICAL and over['sram'] == c.peak_bytes + STACK_BYTES - 8 * 1024


def test_no_feasible_model_names_the_closest_and_its_misses(data, tmp_path):
    with pytest.raises(NoFeasibleModel) as e:
        search(SPACE, None, data, TIGHT.with_budget('9KB', '16KB'), trials=5, run=tmp_path, accuracy_of=guess, progress=False)
    costs = [excess(c.cost, TIGHT.with_budget('9KB', '16KB')) for c in candidates(optuna.load_study(
        study_name=SPACE.name, storage=f'sqlite:///{tmp_path / "search.db"}'), TIGHT)]
    assert f'flash by {min(c["flash"] for c in costs)} bytes' in str(e.value) and 'bytes free' in str(e.value)
    assert 'no finished trial' in closest_miss([])


def test_another_space_budget_seed_or_supernet_is_refused(data, tmp_path):
    run(tmp_path, data, trials=2)
    with pytest.raises(RunFolderError, match='another seed'): run(tmp_path, data, seed=1)
    with pytest.raises(RunFolderError, match='another flash'):
        search(SPACE, None, data, TIGHT.with_budget(TYPICAL + 1, '8KB'), run=tmp_path, accuracy_of=guess, progress=False)
    other = replace(SPACE, head=(16, 32))
    with pytest.raises(RunFolderError, match='another space'): search(other, None, data, TIGHT, run=tmp_path, accuracy_of=guess, progress=False)
    with pytest.raises(RunFolderError, match='another supernet'): run_with(SuperNet(SPACE), data, tmp_path)


def run_with(net, data, folder): return search(SPACE, net, data, TIGHT, run=folder, accuracy_of=guess, progress=False)


def test_a_folder_that_cannot_hold_the_database_is_named(data, tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(RunFolderError, match='Choose a folder'): run(tmp_path / 'file', data)
    (tmp_path / 'search.db').write_bytes(b'not a database at all, but long enough to look at' * 40)
    with pytest.raises(RunFolderError, match='damaged'): run(tmp_path, data)


def test_one_search_per_run_folder(data, tmp_path):
    def second(arch):
        with pytest.raises(RunFolderError, match='another search'): run(tmp_path, data)
        return .9
    assert len(run(tmp_path, data, trials=3, accuracy_of=second).trials) == 3


def test_an_error_while_judging_leaves_no_running_trial(data, tmp_path):
    def broken(arch): raise KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt): run(tmp_path, data, accuracy_of=broken)
    assert len(run(tmp_path, data).trials) == TRIALS


def test_another_storage_serves_as_well(data, tmp_path):
    url = f'sqlite:///{tmp_path / "elsewhere.sqlite"}'
    r = run(tmp_path / 'unused', data, storage=url, trials=4)
    assert len(r.trials) == 4 and not (tmp_path / 'unused').exists()


def test_trials_must_be_positive(data, tmp_path):
    with pytest.raises(BadInput, match='at least one'): run(tmp_path, data, trials=0)


def cand(i, accuracy, instructions, over=0):
    c = cost(SPACE.largest())
    return Candidate(i, SPACE.largest(), replace(c, instructions=instructions), dict(flash=over, sram=0), None if over > 0 else accuracy)


def test_the_pick_breaks_near_ties_by_instructions():
    cs = [cand(0, .95, 900), cand(1, .949, 500), cand(2, .90, 100), cand(3, .99, 10, over=1)]
    assert pick(cs, 100).number == 1          # half a standard error is 0.011 with 100 images
    assert pick(cs, 10**6).number == 0        # and 0.0001 with a million


def test_the_front_holds_what_nothing_beats():
    rng = np.random.default_rng(0)
    cs = [cand(i, float(rng.integers(80, 100)) / 100, int(rng.integers(1, 50)), int(rng.integers(-1, 2))) for i in range(200)]
    front, ok = pareto(cs), [c for c in cs if c.feasible]
    better = lambda a, b: (a.accuracy >= b.accuracy and a.cost.instructions <= b.cost.instructions
                           and (a.accuracy, a.cost.instructions) != (b.accuracy, b.cost.instructions))
    assert front and not any(better(a, f) for a in ok for f in front)
    assert all(c in front or any(better(f, c) or (f.accuracy, f.cost.instructions) == (c.accuracy, c.cost.instructions) for f in front) for c in ok)


def test_the_picture_shows_every_trial(whole):
    a, b = plot_search(whole).axes
    assert sum(len(c.get_offsets()) for c in a.collections) == TRIALS
    assert len(b.collections[0].get_offsets()) == len(whole.feasible)
    region = a.patches[0]
    assert (region.get_width(), region.get_height()) == (TYPICAL / 1024, 8)
    matplotlib.pyplot.close('all')


def test_tighter_limits_only_take_away(whole):
    for flash in (TYPICAL, TYPICAL - 300, TYPICAL - 2000):
        t = tightened(whole, flash, TIGHT.sram_bytes)
        want = [c.number for c in whole.trials if c.cost.storage_bytes <= flash and c.feasible]
        assert [c.number for c in t.feasible] == want and (t.winner is None) == (not want)
        if want: assert t.winner == pick(t.trials, len(load('digits').y_val))
    nothing = plot_budget(whole, flash=.1)
    assert len(nothing.axes[1].collections[0].get_offsets()) == 0 and tightened(whole, TYPICAL // 10, 8192).winner is None
    with pytest.raises(BadInput, match='search again'): tightened(whole, TYPICAL, TIGHT.sram_bytes + 1)
    matplotlib.pyplot.close('all')


def test_the_table_has_the_pick_in_bold(whole): assert f'**{whole.winner.number}**' in whole._repr_markdown_()


def test_pruned_supernet_masks_what_the_path_asks_for():
    torch.manual_seed(0)
    net, arch = PrunedSuperNet(SPACE), SPACE.sample(rng_at(4, 4))
    plan = prune_plan(arch)
    m = net.extract(arch)
    want = np.mean([s for _, s in plan.values()])
    assert abs(sparsity_of(m, plan) - want) < .05 and len(plan) > 3
    net.share = 0.
    dense, free = net.extract(arch), SuperNet(SPACE)
    free.load_state_dict(net.state_dict())
    x = torch.rand(4, 1, 8, 8)
    assert torch.equal(net.eval()(x, arch), free.eval()(x, arch)) and sparsity_of(dense, plan) == 0


def test_supernet_training_resumes_to_the_same_bits_and_judges(data, tmp_path):
    n = torch.get_num_threads()
    torch.set_num_threads(1)
    cfg, path = TrainConfig(epochs=3, batch_size=256, lr=1e-2), tmp_path / 'net.pt'
    ref = train_supernet(SMALL, data, cfg, progress=False)
    if not (pid := os.fork()):
        from tinyformer.training import Run
        step = Run.train_step
        def dying(self, i, x, y):
            if i == 7: os.kill(os.getpid(), signal.SIGKILL)
            return step(self, i, x, y)
        Run.train_step = dying
        try: train_supernet(SMALL, data, cfg, checkpoint=path, progress=False)
        finally: os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL and path.exists()
    net = train_supernet(SMALL, data, cfg, checkpoint=path, progress=False)
    torch.set_num_threads(n)
    assert fingerprint(net) == fingerprint(ref) and net.share == 1
    arch = SMALL.smallest()
    first = judge(net, arch, data)
    assert first == judge(net, arch, data) and 0 <= first <= 1
