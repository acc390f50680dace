"""SparseNAS: a search that survives kill -9, its constraints, its pick, and what it says when nothing fits."""
import json, os, random, select, shutil, signal, socket, sqlite3, subprocess, tempfile, time, traceback
from collections import Counter
from dataclasses import replace
from pathlib import Path

import matplotlib
import nbclient
import nbformat
import numpy as np
import optuna
import pytest
import scipy.stats
import torch

from tinyformer import cli, pipeline
from tinyformer.data import load
from tinyformer.errors import BadInput, NoFeasibleModel, RunFolderError, StorageError
from tinyformer.hardware import target
from tinyformer.pruning import sparsity_of
from tinyformer.arch import prune_plan
from tinyformer.cost_model import cost
from tinyformer.search_space import SIZES, SuperNet, cifar_space, digits_space
from tinyformer.sparsenas import (FINISHED, SAMPLERS, Candidate, LivePicture, PrunedSuperNet, candidates, closest_miss,
                                  compare_samplers, connect, excess,
                                  fingerprint, hypervolume, judge, kendall, open_study, pareto, pick, plot_budget,
                                  plot_search, rank_agreement, search,
                                  tightened, train_supernet)
from tinyformer.supernas import used
from tinyformer.training import TrainConfig, rng_at

matplotlib.use('Agg')
SPACE = digits_space('few', stem=(4, 8, 16), early=(0, 1), width=(16, 24, 32), expand=(4,), dim=(32,), ffn=(32, 64),
                     convs=(True,),
                     head=(32,), block=('1x4',), sparsity=(.7, .9))
SMALL = digits_space('small', stem=(4, 8), early=(0,), width=(8, 12), expand=(2,), dim=(8, 12), ffn=(16, 24),
                     depth=(1,), head=(16,))
TYPICAL = int(np.median([cost(SPACE.sample(rng_at(0, i)), target('stm32f746')).storage_bytes for i in range(50)]))
TIGHT = target('stm32f746').with_budget(TYPICAL, '8KB')   # about half of the paths fit
TRIALS = 20


@pytest.fixture(scope='module')
def data(): return load('digits')


def guess(arch): return .8 + cost(arch, target('stm32f746')).params / 1e6


def run(folder, data, limits=TIGHT, **kw):
    "A search with a made-up accuracy, so that only the search itself is under test."
    kw = dict(trials=TRIALS, run=folder, accuracy_of=guess, progress=False) | kw
    return search(SPACE, None, data, limits, **kw)


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


STARTED = set()      # pids of workers


@pytest.fixture(autouse=True)
def no_worker_is_left():
    "A test that fails takes its workers with it."
    yield
    for pid in STARTED:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    STARTED.clear()


def worker(folder, data, report=lambda n: None, pause=lambda n: .02, **kw):
    "Search in a process of its own; `report(n)` and `pause(n)` seconds come with its n-th judgement. Gives the pid."
    if pid := os.fork(): STARTED.add(pid); return pid
    code = 1
    try:
        judged = []
        def accuracy_of(arch):
            judged.append(arch)
            report(len(judged))
            time.sleep(pause(len(judged)))
            return guess(arch)
        run(folder, data, accuracy_of=accuracy_of, **kw)
        code = 0
    except BaseException: traceback.print_exc()
    finally: os._exit(code)


def heard(pipe, n=1):
    "Whether `n` judgements are reported within a minute."
    return all(select.select([pipe], [], [], 60)[0] and os.read(pipe, 1) for _ in range(n))


def ended(pid):
    "Exit code of a worker; it must end within a minute."
    end = time.time() + 60
    while not (found := os.waitpid(pid, os.WNOHANG))[0]:
        assert time.time() < end, 'the worker should have ended long ago'
        time.sleep(.01)
    STARTED.discard(pid)
    return os.waitstatus_to_exitcode(found[1])


def kill(pid):
    os.kill(pid, signal.SIGKILL)
    assert ended(pid) == -signal.SIGKILL, 'the search ended before it could be killed'


def killed_after(n, folder, data, rng):
    "Search in a process of its own; kill -9 it a random moment after it has judged `n` models."
    out, inp = os.pipe()
    pause = lambda k: .02 if k <= n else 60                    # the next one is in flight when the signal comes
    pid = worker(folder, data, lambda _: os.write(inp, b'.'), pause)
    os.close(inp)
    assert heard(out, n), 'the search ended before it could be killed'
    os.close(out)
    time.sleep(rng.uniform(0, .15))
    kill(pid)


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


def wait_until(true, seconds=60):
    end = time.time() + seconds
    while not (found := true()):
        assert time.time() < end, 'this should have happened long ago'
        time.sleep(.02)
    return found


@pytest.mark.thorough
def test_twenty_kills_among_two_workers_of_one_sqlite_file(data, tmp_path):
    """Both search in one run folder; one of them is killed and replaced, again and again.

    `trials` is no part of a search's identity."""
    rng, before, kills = random.Random(1), {}, 0
    some = dict(trials=10**6, grace=2)
    pids = [worker(tmp_path, data, **some) for _ in range(2)]
    wait_until(lambda: len(rows(tmp_path)) > 2)
    while kills < 20:
        time.sleep(rng.uniform(.02, .5))
        i = rng.randrange(2)
        kill(pids[i])
        kills += 1
        after = rows(tmp_path)
        assert before.items() <= after.items()
        before, pids[i] = after, worker(tmp_path, data, **some)
    for p in pids: kill(p)
    before, wanted = rows(tmp_path), len(rows(tmp_path)) + 6
    pids = [worker(tmp_path, data, trials=wanted, grace=2) for _ in range(2)]
    assert [ended(p) for p in pids] == [0, 0]
    print(f'{kills + 2} kills, {wanted} finished trials')
    after = rows(tmp_path)
    assert len(after) == wanted and before.items() <= after.items()
    r = run(tmp_path, data, trials=wanted)
    states = Counter(t.state.name for t in r.study.trials)
    assert len(r.trials) == wanted and states['RUNNING'] == 0
    assert len({t.number for t in r.study.trials}) == len(r.study.trials)


def test_a_slow_worker_is_not_taken_for_dead_and_a_dead_one_is(data, tmp_path):
    "The first judgement of one worker takes far longer than the grace; another worker dies in its first."
    out, inp = os.pipe()
    kw = dict(trials=4, grace=3, limits=target('stm32f746'))      # everything fits, so everything is judged
    dead = worker(tmp_path, data, lambda n: os.write(inp, b'.'), lambda n: 60, **kw)
    assert heard(out)
    slow = worker(tmp_path, data, lambda n: os.write(inp, b'.'), lambda n: 9 if n == 1 else 0, **kw)
    assert heard(out)
    kill(dead)
    assert run(tmp_path, data, **kw).trials and ended(slow) == 0
    trials = run(tmp_path, data, **kw).study.trials
    states = Counter(t.state.name for t in trials)
    assert states['COMPLETE'] + states['PRUNED'] == 4 and states['RUNNING'] == 0
    assert sum(t.state.name == 'FAIL' and 'arch' in t.user_attrs for t in trials) == 1         # what was judged in vain


@pytest.fixture(scope='module')
def postgres(require_tool):
    "A PostgreSQL server of this test's own, on a free port of the loopback; gives a URL with its password."
    programs, me = os.path.dirname(require_tool('postgres')), {}
    folder = tempfile.mkdtemp(prefix='tf-pg-')
    if os.getuid() == 0:              # the server refuses to run as root
        shutil.chown(folder, 'postgres', 'postgres')
        me = dict(user='postgres', group='postgres', extra_groups=[])
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        port = s.getsockname()[1]
    def do(*words): return subprocess.run([os.path.join(programs, words[0]), *words[1:]], check=True,
                                          stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                          stderr=subprocess.DEVNULL, cwd=folder, **me)
    with open(os.path.join(folder, 'password'), 'w') as f: f.write('s3cret')
    os.chmod(f.name, 0o644)
    do('initdb', '-D', f'{folder}/db', '-U', 'ann', '-A', 'scram-sha-256', f'--pwfile={f.name}', '--no-sync',
       '--no-locale', '-E', 'UTF8')
    options = f"-c listen_addresses=127.0.0.1 -p {port} -c unix_socket_directories='' -c fsync=off"
    do('pg_ctl', '-D', f'{folder}/db', '-w', '-l', f'{folder}/log', '-o', options, 'start')
    try: yield f'postgresql://ann:s3cret@127.0.0.1:{port}/postgres'
    finally:
        do('pg_ctl', '-D', f'{folder}/db', '-m', 'immediate', '-w', 'stop')
        shutil.rmtree(folder)


@pytest.mark.thorough
@pytest.mark.needs('postgres')
def test_two_workers_on_postgresql_one_of_them_killed(data, postgres, tmp_path):
    out, inp = os.pipe()
    kw = dict(storage=postgres, trials=30, grace=1.5)
    pause = lambda n: .02 if n < 3 else 60                     # it stays in its third judgement
    first = worker(tmp_path, data, lambda n: os.write(inp, b'.'), pause, **kw)
    assert heard(out, 1)
    second = worker(tmp_path, data, **kw)
    assert heard(out, 2)
    kill(first)
    assert ended(second) == 0 and run(tmp_path, data, **kw).trials
    study = run(tmp_path, data, **kw).study
    states = Counter(t.state.name for t in study.trials)
    print(dict(states))
    assert states['COMPLETE'] + states['PRUNED'] == 30 and states['RUNNING'] == 0 and states['FAIL'] >= 1
    assert sorted(t.number for t in study.trials) == list(range(len(study.trials)))
    being_judged = [t for t in study.trials if t.state.name == 'FAIL' and 'arch' in t.user_attrs]
    assert len(being_judged) == 1
    assert not any(tmp_path.iterdir())
    with pytest.raises(RunFolderError, match='another seed') as e: run(tmp_path, data, **kw, seed=1)
    assert 's3cret' not in str(e.value) and 'ann:***@' in str(e.value)
    other = dict(seed=1, study='of its own', trials=2, limits=target('stm32f746'))
    assert len(run(tmp_path, data, **kw | other).trials) == 2


@pytest.mark.needs('postgres')
def test_a_wrong_password_is_not_repeated(data, postgres, tmp_path):
    wrong = postgres.replace('s3cret', 'wr0ng')
    with pytest.raises(StorageError, match='password and database') as e: run(tmp_path, data, storage=wrong)
    assert 'wr0ng' not in str(e.value) and e.value.__cause__ is None


@pytest.mark.thorough
def test_a_server_that_does_not_answer_is_given_up_in_seconds(data, tmp_path):
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        port = s.getsockname()[1]
        for listens in (False, True):          # refused at once; connected, and then silence
            if listens: s.listen()
            url = f'postgresql://ann:s3cret@127.0.0.1:{port}/x'
            with pytest.raises(StorageError, match='Does the server run') as e: run(tmp_path, data, storage=url)
            assert 's3cret' not in str(e.value)


@pytest.mark.parametrize('server', ('postgresql', 'postgres', 'postgresql+psycopg', 'mysql+pymysql', 'mariadb+pymysql'))
def test_drivers_are_told_how_long_to_wait(monkeypatch, server):
    "A server that takes the call and then says nothing would be waited for without an end."
    told = []
    monkeypatch.setattr(optuna.storages, 'RDBStorage', lambda url, options: told.append(options['connect_args']))
    connect(f'{server}://ann:s3cret@127.0.0.1/x')
    assert told == [dict(connect_timeout=5)]


@pytest.mark.parametrize('url', ['nonsense', 'oracle+nothing://ann:s3cret@server/x',
                                 'postgresql://ann:s3cret@[server/x', 'sqlite:////proc/none/x.db'])
def test_a_url_that_is_none(data, tmp_path, url):
    with pytest.raises(StorageError) as e: run(tmp_path, data, storage=url)
    assert 's3cret' not in str(e.value)


def test_a_storage_that_goes_away_is_named(data, tmp_path):
    url = f'sqlite:///{tmp_path / "x.db"}'
    def accuracy_of(arch):
        with sqlite3.connect(tmp_path / 'x.db') as db: db.execute('drop table trials')
        return .5
    with pytest.raises(StorageError, match='same command continues'):
        run(tmp_path, data, storage=url, accuracy_of=accuracy_of)


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
    assert all(max(excess(cost(a, TIGHT), TIGHT).values()) <= 0 for a in judged) and len(judged) == len(set(judged))


def test_excess_counts_bytes_over_each_limit():
    c = cost(SPACE.largest(), TIGHT)
    over = excess(c, TIGHT)
    assert (over["flash"], over["sram"]) == tuple(u - b for u, b in zip(used(c), (TYPICAL, 8 * 1024)))


def test_no_feasible_model_names_the_closest_and_its_misses(data, tmp_path):
    with pytest.raises(NoFeasibleModel) as e:
        search(SPACE, None, data, TIGHT.with_budget('9KB', '16KB'), trials=5, run=tmp_path, accuracy_of=guess,
               progress=False)
    costs = [excess(c.cost, TIGHT.with_budget('9KB', '16KB')) for c in candidates(optuna.load_study(
        study_name=SPACE.name, storage=f'sqlite:///{tmp_path / "search.db"}'), TIGHT)]
    assert f'flash by {min(c["flash"] for c in costs)} bytes' in str(e.value) and 'bytes free' in str(e.value)
    assert 'no finished trial' in closest_miss([])


def test_another_space_budget_seed_or_supernet_is_refused(data, tmp_path):
    run(tmp_path, data, trials=2)
    with pytest.raises(RunFolderError, match='another seed'): run(tmp_path, data, seed=1)
    with pytest.raises(RunFolderError, match='another flash'):
        search(SPACE, None, data, TIGHT.with_budget(TYPICAL + 1, '8KB'), run=tmp_path, accuracy_of=guess,
               progress=False)
    other = replace(SPACE, head=(16, 32))
    with pytest.raises(RunFolderError, match='another space'):
        search(other, None, data, TIGHT, run=tmp_path, accuracy_of=guess, progress=False)
    with pytest.raises(RunFolderError, match='another supernet'): run_with(SuperNet(SPACE), data, tmp_path)


def run_with(net, data, folder): return search(SPACE, net, data, TIGHT, run=folder, accuracy_of=guess, progress=False)


def test_a_folder_that_cannot_hold_the_database_is_named(data, tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(RunFolderError, match='Choose a folder'): run(tmp_path / 'file', data)
    (tmp_path / 'search.db').write_bytes(b'not a database at all, but long enough to look at' * 40)
    with pytest.raises(RunFolderError, match='damaged'): run(tmp_path, data)


def test_another_search_does_not_join_a_running_one(data, tmp_path):
    def second(arch):
        with pytest.raises(RunFolderError, match='another seed'): run(tmp_path, data, seed=1)
        return .9
    assert len(run(tmp_path, data, trials=3, accuracy_of=second).trials) == 3


def test_other_images_are_another_search(data, tmp_path):
    run(tmp_path, data, trials=1)
    with pytest.raises(RunFolderError, match='another images'):
        run(tmp_path, replace(data, x_val=255 - data.x_val), trials=2)


@pytest.mark.parametrize('sampler', ['tpe', pytest.param('nsga2', marks=pytest.mark.thorough)])
def test_stopping_and_going_on_makes_the_same_choices(data, tmp_path, sampler):
    "More than a generation of the genetic algorithm."
    for n in (7, 28): a = run(tmp_path/'a', data, trials=n, sampler=sampler, limits=target('stm32f746'))
    b = run(tmp_path/'b', data, trials=28, sampler=sampler, limits=target('stm32f746'))
    assert [c.arch for c in a.trials] == [c.arch for c in b.trials]
    with pytest.raises(BadInput, match='no sampler'): run(tmp_path/'c', data, sampler='x' + sampler)


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
    c = cost(SPACE.largest(), TIGHT)
    judged = None if over > 0 else accuracy
    return Candidate(i, SPACE.largest(), replace(c, instructions=instructions), dict(flash=over, sram=0), judged)


def test_the_pick_breaks_near_ties_by_instructions():
    cs = [cand(0, .95, 900), cand(1, .949, 500), cand(2, .90, 100), cand(3, .99, 10, over=1)]
    assert pick(cs, 100).number == 1          # half a standard error is 0.011 with 100 images
    assert pick(cs, 10**6).number == 0        # and 0.0001 with a million


def test_the_front_holds_what_nothing_beats():
    rng = np.random.default_rng(0)
    cs = [cand(i, float(rng.integers(80, 100)) / 100, int(rng.integers(1, 50)), int(rng.integers(-1, 2)))
          for i in range(200)]
    front, ok = pareto(cs), [c for c in cs if c.feasible]
    better = lambda a, b: (a.accuracy >= b.accuracy and a.cost.instructions <= b.cost.instructions
                           and (a.accuracy, a.cost.instructions) != (b.accuracy, b.cost.instructions))
    assert front and not any(better(a, f) for a in ok for f in front)
    def equal(f, c): return (f.accuracy, f.cost.instructions) == (c.accuracy, c.cost.instructions)
    assert all(c in front or any(better(f, c) or equal(f, c) for f in front) for c in ok)


def test_the_picture_shows_every_trial(whole):
    a, b = plot_search(whole).axes
    assert sum(len(c.get_offsets()) for c in a.collections) == TRIALS
    assert len(b.collections[0].get_offsets()) == len(whole.feasible)
    region = a.patches[0]
    assert (region.get_width(), region.get_height()) == (TYPICAL / 1024, 8)
    matplotlib.pyplot.close('all')


LIVE = """from test_sparsenas import *
r = run(FOLDER, load('digits'), trials=3, limits=target('stm32f746'), live=(live := LivePicture(share=1e9)))
print(live.drawn)"""


@pytest.mark.thorough
def test_the_live_picture_is_one_picture_that_changes(tmp_path):
    "In a Jupyter kernel it is redrawn in place; elsewhere it can be a file."
    nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(LIVE.replace('FOLDER', repr(str(tmp_path))))])
    here = dict(metadata=dict(path=os.path.dirname(__file__)))
    nbclient.NotebookClient(nb, timeout=120, kernel_name='python3', resources=here).execute()
    outputs = nb.cells[0].outputs
    pictures = [o for o in outputs if 'image/png' in o.get('data', {})]
    assert len(pictures) == 1
    printed = [o.text for o in outputs if o.output_type == 'stream' and o.name == 'stdout']
    assert int(''.join(printed)) == 4                           # after each trial and at the end
    live = LivePicture(tmp_path/'live.png', share=1e9)
    run(tmp_path, load('digits'), trials=3, limits=target('stm32f746'), live=live)
    assert live.drawn == 1                                      # all was finished, so drawn once
    assert (tmp_path/'live.png').read_bytes()[:4] == b'\x89PNG'


def test_tighter_limits_only_take_away(whole):
    for flash in (TYPICAL, TYPICAL - 300, TYPICAL - 2000):
        t = tightened(whole, flash, TIGHT.sram_bytes)
        want = [c.number for c in whole.trials if c.cost.storage_bytes <= flash and c.feasible]
        assert [c.number for c in t.feasible] == want and (t.winner is None) == (not want)
        if want: assert t.winner == pick(t.trials, len(load('digits').y_val))
    nothing = plot_budget(whole, flash=.1)
    assert len(nothing.axes[1].collections[0].get_offsets()) == 0
    assert tightened(whole, TYPICAL // 10, 8192).winner is None
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


# ---- the command, on photographs -------------------------------------------------------------------------------------

QUICK = '--supernet-epochs 1 --batch-size 16 --trials 4'.split()


@pytest.fixture(scope='module')
def photos(tmp_path_factory):
    "A folder with a few made-up images of 32x32 pixels, and a small space for them."
    folder, rng = tmp_path_factory.mktemp('photos'), np.random.default_rng(0)
    def part(n):
        y = np.arange(n) % 10
        return dict(x=(rng.integers(0, 128, (n, 32, 32, 3)) + y[:, None, None, None] * 12).astype(np.uint8), y=y)
    parts = dict(train=part(60), test=part(10))
    np.savez(folder/'tiny.npz', **{f'{k}_{name}': v for name, o in parts.items() for k, v in o.items()})
    own = cifar_space('small', expand=(2,), repeat2=(1,), early=(0,), depth=(1,), cout1=(8,), repeat1=(1,), cout2=(16,),
                      dim2=(16, 24), ffn2=(32,), out=(16, 24), head=(32,))
    (folder/'own.json').write_text(json.dumps(own.to_json()))
    return folder


@pytest.fixture
def tinyformer(photos, capsys, monkeypatch, tmp_path):
    "Run the command where `--dataset tiny` is known; give exit code and what it said on stderr."
    monkeypatch.setenv('TINYFORMER_DATA', str(photos))
    monkeypatch.chdir(tmp_path)
    def do(*words):
        code = cli.main([str(w) for w in words])
        return code, capsys.readouterr().err
    return do


def test_images_of_32_pixels_get_the_three_sizes_and_the_whole_target(tinyformer):
    # nothing fits a fifth of the flash by chance
    assert tinyformer('search', '--dataset', 'tiny', '--hi', '0.2', '--out', 'run', *QUICK)[0] == 1
    c = json.loads(open('run/run.json').read())
    assert (c['flash'], c['sram'], c['space'], c['trials']) == ('', '', '', 4)
    assert pipeline.budget(pipeline.Run('run').cfg) == target('stm32f746')
    assert [s.name for s in pipeline.spaces_for(pipeline.Run('run').cfg, (32, 32, 3), 10)] == list(SIZES)


@pytest.mark.thorough
def test_two_workers_of_the_command_and_a_third_on_another_machine(tinyformer, photos):
    "The other machine has a copy of the run folder and the URL of the storage."
    words = ['search', '--dataset', 'tiny', '--space', photos/'own.json', *QUICK]
    assert tinyformer(*words, '--workers', 2, '--out', 'run')[0] == 0
    found = json.loads(open('run/sparsenas.json').read())
    assert found['trials'] == 4 and len(rows(Path('run'))) == 4 and open('run/search.png', 'rb').read(4) == b'\x89PNG'
    for f in ('sparsenas.json', 'search.db'): os.remove(f'run/{f}')
    shutil.copytree('run', 'copy')
    for folder in ('run', 'copy'):
        assert tinyformer(*words, '--storage', 'sqlite:///shared.db', '--out', folder)[0] == 0
    def found(folder): return json.loads(open(f'{folder}/sparsenas.json').read())['arch']
    assert found('copy') == found('run')
    assert not os.path.exists('run/search.db')
    assert len(optuna.load_study(study_name='small', storage='sqlite:///shared.db').trials) == 4


def test_a_supernet_of_another_space_is_refused(tinyformer, photos):
    words = ['search', '--dataset', 'tiny', '--space', photos/'own.json', *QUICK, '--out', 'run']
    assert tinyformer(*words)[0] == 0
    other = PrunedSuperNet(SMALL)
    torch.save(other.state_dict(), 'run/supernet.pt')
    os.remove('run/sparsenas.json')
    code, err = tinyformer(*words)
    assert code == 1 and 'supernet.pt is not as TinyFormer wrote it' in err and 'Traceback' not in err


@pytest.mark.parametrize('words, said', [
    (['--dataset', 'cifar11'], 'cifar11'),
    (['--dataset', 'tiny', '--target', 'stm32f747'], 'stm32f746'),
    (['--dataset', 'tiny', '--space', 'huge'], 'nor a file'),
    (['--dataset', 'tiny', '--space', 'tiny.npz'], 'does not hold a search space'),
    (['--space', 'own.json'], 'those of digits are (8, 8, 1)'),
    (['--dataset', 'tiny', '--space', 'own.json', '--flash', '9KB'], 'closest misses: flash over λ_hi by'),
    (['--workers', '0'], '--workers is 0'), (['--sampler', 'dice'], 'nsga2'),
    (['--storage', 'postgresql://ann:s3cret@127.0.0.1:1/x'], 'ann:***@127.0.0.1')])
def test_what_cannot_be_searched_is_said_in_one_line(tinyformer, photos, words, said):
    for f in ('tiny.npz', 'own.json'): shutil.copy(photos/f, f)
    code, err = tinyformer('search', *words, *QUICK, '--out', 'run')
    assert code == 1 and said in err.splitlines()[-1], err
    assert not any(w in err for w in ('Traceback', 'unexpected', 's3cret', 'supernet:')), err


def test_kendall_and_its_interval_against_scipy():
    rng, n = np.random.default_rng(0), 0
    for size in (3, 8, 30):
        for _ in range(20):
            a, b = rng.integers(0, 6, (2, size)) if size < 30 else rng.random((2, size))
            want = scipy.stats.kendalltau(a, b).statistic
            assert abs(kendall(a, b) - (0 if np.isnan(want) else want)) < 1e-12
            n += 1
    a = np.arange(8.)
    b = a + [0, 2.5, 0, 0, -3.6, 0, 1.5, 0]
    found, exact = rank_agreement(a, b), scipy.stats.kendalltau(a, b, alternative='greater', method='exact')
    assert abs(found.tau - exact.statistic) < 1e-12 and abs(found.p - exact.pvalue) < .01
    assert found.low < found.tau <= found.high
    assert n == 60 and found == rank_agreement(a, b)
    with pytest.raises(BadInput): rank_agreement(a, b[:7])


def test_hypervolume_is_the_share_of_beaten_points():
    "Against counting points of a grid."
    rng = np.random.default_rng(1)
    for _ in range(5):
        cs = [cand(i, round(float(rng.random()), 2), int(rng.integers(1, 100)), int(rng.integers(-1, 2)))
              for i in range(12)]
        ok = [c for c in cs if c.feasible]
        x, y = np.meshgrid(np.arange(100) + .5, (np.arange(100) + .5) / 100)
        beaten = np.any([(x > c.cost.instructions) & (y < c.accuracy) for c in ok], axis=0).mean() if ok else 0
        assert abs(hypervolume(cs, 100) - beaten) < 1e-9


def test_samplers_are_compared_on_the_same_trials(data):
    got = compare_samplers(SPACE, None, data, TIGHT, trials=6, seeds=(0, 1), accuracy_of=guess)
    assert [(r['sampler'], r['seed']) for r in got] == [(k, s) for s in (0, 1) for k in SAMPLERS]
    assert all(r['trials'] == 6 and 0 < r['feasible'] <= 6 and 0 < r['hypervolume'] < r['best'] for r in got)
