"""The record of a search lies in the run folder, whatever that is called; one that somebody changed is no bug."""
import sqlite3, time
from dataclasses import replace

import optuna
import pytest
import torch
from optuna.trial import TrialState

from tinyformer import trials
from tinyformer.data import load
from tinyformer.errors import RunFolderError, StorageError
from tinyformer.hardware import target
from tinyformer.search_space import digits_space
from tinyformer.supernet import SuperNet

ODD = ['a?b', 'a#b', '100%', 'a%20b', 'a?mode=memory', '{x}', 'a{SCHEMA_VERSION}', 'with space', 'é漢', "quote'",
       'a&b=c', 'a:b@c', 'file:x']


@pytest.fixture(autouse=True)
def quiet():
    with trials.quiet_optuna(): yield


def finished(study, n=1):
    "Add finished trials."
    for k in range(n):
        t = study.ask()
        t.set_user_attr('arch', dict(n=k))
        study.tell(t, (.5, 1.))


@pytest.mark.parametrize('name', ODD)
def test_the_database_lies_in_the_run_folder(tmp_path, name, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = tmp_path/name
    finished(trials.open_study(trials.run_file(run), 'demo', dict(flash=1)), 3)
    assert {p.name for p in run.iterdir()} <= {'search.db', 'search.db-wal', 'search.db-shm'}
    assert (run/'search.db').stat().st_size > 10_000
    assert [p.name for p in tmp_path.iterdir()] == [name]
    with sqlite3.connect(run/'search.db') as db:
        assert db.execute('select count(*) from trials').fetchone() == (3,)
        assert db.execute('pragma journal_mode').fetchone() == ('wal',)
    again = trials.open_study(trials.run_file(run), 'demo', dict(flash=1))
    assert len(trials.counted(again)) == 3
    with pytest.raises(RunFolderError, match='another flash'):
        trials.open_study(trials.run_file(run), 'demo', dict(flash=2))


def test_a_relative_folder_and_many_threads(tmp_path, monkeypatch):
    from concurrent.futures import ThreadPoolExecutor
    monkeypatch.chdir(tmp_path)
    study = trials.open_study(trials.run_file('run?1'), 'demo', {})
    with ThreadPoolExecutor(4) as pool: list(pool.map(lambda _: finished(study), range(12)))
    again = trials.open_study(trials.run_file(tmp_path/'run?1'), 'demo', {})
    assert len(trials.counted(again)) == 12


def test_a_url_keeps_its_meaning(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    finished(trials.open_study('sqlite:///here.db', 'demo', {}))
    assert (tmp_path/'here.db').exists()
    trials.open_study('sqlite:///:memory:', 'demo', {})
    assert not (tmp_path/':memory:').exists()
    for url in ('sqlite:////proc/none/x.db', 'nonsense', 'nonsense://x', 'postgresql://ann:sec{ret@127.0.0.1:1/x'):
        with pytest.raises(StorageError) as e: trials.open_study(url, 'demo', {})
        assert 'sec{ret' not in str(e.value)


def test_two_openers_share_a_study(tmp_path):
    made = [trials._create_or_load(tmp_path/'twice.db', 'demo', ['maximize']) for _ in range(2)]
    assert [new for _, new in made] == [True, False]


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path/'file').write_text('')
    with pytest.raises(RunFolderError, match='cannot write .*file.*Choose a folder'):
        trials.run_file(tmp_path/'file'/'run')


@pytest.mark.parametrize('note', [5, 'text', [], {}, None])
def test_a_note_that_somebody_changed_is_another_search(tmp_path, note, monkeypatch):
    monkeypatch.setattr(trials.time, 'sleep', lambda s: None)
    study = trials.open_study(tmp_path/'x.db', 'demo', dict(flash=1))
    study.set_user_attr('identity', note)
    if note is None: assert trials.same_search(study, dict(flash=1), 'here') is study     # never written: written now
    else:
        with pytest.raises(RunFolderError, match='another flash'): trials.same_search(study, dict(flash=1), 'here')


def test_a_record_that_somebody_changed_is_named(tmp_path):
    finished(trials.open_study(tmp_path/'x.db', 'demo', {}), 2)
    with sqlite3.connect(tmp_path/'x.db') as db:
        db.execute("update trial_user_attributes set value_json = '{broken'")
    db.close()
    study = trials.open_study(tmp_path/'x.db', 'demo', {})
    with pytest.raises(RunFolderError, match='the record of the search cannot be read .* somebody else.*--fresh'):
        trials.counted(study)


@pytest.mark.parametrize('harm', [lambda raw: raw[:5000], lambda raw: b'not a database' * 1000,
                                  lambda raw: raw[:100] + b'\xff' * 4000 + raw[4100:]])
def test_a_damaged_database_is_named_and_stays(tmp_path, harm):
    finished(trials.open_study(tmp_path/'x.db', 'demo', {}), 3)
    with sqlite3.connect(tmp_path/'x.db') as db: db.execute('pragma wal_checkpoint(truncate)')
    db.close()
    bad = harm((tmp_path/'x.db').read_bytes())
    for f in tmp_path.iterdir(): f.unlink()
    (tmp_path/'x.db').write_bytes(bad)
    with pytest.raises(RunFolderError) as e, trials.storage_errors(None):
        trials.counted(trials.open_study(tmp_path/'x.db', 'demo', {}))
    assert 'database' in str(e.value) and (tmp_path/'x.db').exists()


def test_a_worker_that_stands_still_is_buried_and_one_that_beats_is_not(monkeypatch):
    now = [0.]
    monkeypatch.setattr(trials.time, 'monotonic', lambda: now[0])
    study = optuna.create_study(directions=['maximize', 'minimize'])
    dead, alive = study.ask(), study.ask()
    watch = trials.Watch(study, grace=60.)
    assert watch.bury(trials.running(study)) == 0
    now[0] = 59.
    alive.set_user_attr('beat', 1)
    assert watch.bury(trials.running(study)) == 0
    now[0] = 61.
    assert watch.bury(trials.running(study)) == 1
    assert [t.number for t in trials.running(study)] == [alive.number]
    assert study.trials[dead.number].state is TrialState.FAIL


# ---- what a page shows in part ---------------------------------------------------------------------------------------

def test_optuna_is_quiet_inside_the_block_only():
    level = optuna.logging.get_verbosity()
    with trials.quiet_optuna(): assert optuna.logging.get_verbosity() == optuna.logging.WARNING
    assert optuna.logging.get_verbosity() == level


def test_a_commit_does_not_wait_for_the_disk(tmp_path):
    with trials.connect(tmp_path/'x.db').engine.connect() as db:
        modes = [db.exec_driver_sql(f'pragma {k}').scalar() for k in ('journal_mode', 'synchronous')]
    assert modes == ['wal', 1]


def test_a_storage_is_taken_as_it_is_and_a_url_opens_its_file(tmp_path):
    storage = optuna.storages.InMemoryStorage()
    assert trials.connect(storage) is storage
    trials.connect(f'sqlite:///{tmp_path}/url.db')
    assert (tmp_path/'url.db').exists()


@pytest.mark.parametrize('url', ['postgresql://ann:secret@server/x', 'postgresql://server/x?password=secret',
                                 'postgresql://ann:secret@[server', 'sec:ret'])
def test_no_message_shows_a_password(url):
    assert 'secret' not in trials.public_name(url) and 'sec:ret' != trials.public_name(url)
    assert trials.public_name('postgresql://ann:secret@server/x') == 'postgresql://ann:***@server/x'


def test_a_server_that_is_not_there_is_named_without_its_password(tmp_path):
    url = 'postgresql://ann:secret@127.0.0.1:1/x'
    with pytest.raises(StorageError, match=r'ann:\*\*\*@127.0.0.1.*Does the server run'):
        trials.open_study(url, 'demo', {})
    with pytest.raises(StorageError, match='Does the server run'): trials.check_storage(url)
    trials.check_storage(f'sqlite:///{tmp_path}/x.db')
    trials.check_storage(None)


def test_a_storage_that_stops_answering_can_be_joined_again():
    with pytest.raises(StorageError, match='same command'), trials.storage_errors('postgresql://ann:secret@server/x'):
        raise optuna.exceptions.StorageInternalError


def test_a_heart_beats_while_the_block_runs_and_not_after():
    study = optuna.create_study(directions=['maximize', 'minimize'])
    trial = study.ask()
    with trials.heartbeat(trial, every=.01):
        end = time.monotonic() + 30
        while trial.user_attrs.get('beat', 0) < 2 and time.monotonic() < end: time.sleep(.01)
    beats = trial.user_attrs['beat']
    time.sleep(.05)
    assert trial.user_attrs['beat'] == beats >= 2


def test_what_the_dead_left_is_marked_as_failed():
    study = optuna.create_study(directions=['maximize', 'minimize'])
    first, _ = study.ask(), study.ask()
    assert len(trials.running(study)) == 2
    trials.fail(study, first.number)
    trials.fail_all(study)
    trials.fail(study, first.number)                          # it has failed already
    assert trials.running(study) == [] and trials.counted(study) == [] and trials.place(study, 100) == 0


def test_only_a_worker_that_is_alone_cleans_up(tmp_path):
    calls = []
    def join(who): return trials.join(tmp_path, lambda: calls.append(who))
    with join('first'), join('second'): pass
    with join('third'): pass
    assert calls == ['first', 'third']


def test_a_trial_too_many_is_given_back():
    study = optuna.create_study(directions=['maximize', 'minimize'])
    finished(study, 3)
    wanted = len(trials.counted(study)) + 1
    assert trials.reserve(study, wanted) is not None and trials.reserve(study, wanted) is None
    assert len(trials.counted(study)) == wanted


# ---- what a search is about, and what was judged ---------------------------------------------------------------------

SPACE = digits_space('small', stem=(4, 8), early=(0,), width=(8, 12), expand=(2,), dim=(8, 12), ffn=(16, 24),
                     depth=(1,), head=(16,))


def complete(study, arch, accuracy):
    t = study.ask()
    t.set_user_attr('arch', arch)
    study.tell(t, (accuracy, 1.))


def test_a_judge_with_a_memory_asks_once(tmp_path):
    study, asked = trials.open_study(tmp_path/'s.db', 'demo', {}), []
    known, other = SPACE.smallest(), SPACE.largest()
    complete(study, known.to_json(), .5)
    memory = trials.Remember(lambda arch: asked.append(arch) or .25)
    memory.learn(study.trials)
    memory.learn(study.trials)
    assert (memory(known), memory(other), asked, memory.read) == (.5, .25, [other], {0})


@pytest.mark.parametrize('record', [{}, dict(arch='a path'), dict(arch=[]), dict(arch=dict(blocks=5))])
def test_a_row_that_was_changed_is_named(record):
    changed = optuna.trial.create_trial(values=[.5, 1.], user_attrs=record)
    with pytest.raises(RunFolderError, match='was changed by somebody else'): trials.arch_of(changed)


def test_a_search_is_about_weights_images_limits_and_core():
    torch.manual_seed(0)
    board = target('stm32f746').with_budget('1MB', '64KB')
    one, other, data = SuperNet(SPACE), SuperNet(SPACE), load('digits')
    same = trials.identity_of(SPACE, one, data, board, 0, 'tpe')
    assert same == trials.identity_of(SPACE, one, data, board, 0, 'tpe')
    def changed(*args): return [k for k, v in trials.identity_of(*args).items() if v != same[k]]
    assert changed(SPACE, other, data, board, 1, 'tpe') == ['supernet', 'seed']
    assert changed(SPACE, None, data, board, 0, 'nsga2') == ['supernet', 'sampler']
    pico = target('rp2040').with_budget(board.flash_bytes, board.sram_bytes)
    assert changed(SPACE, one, data, pico, 0, 'tpe') == ['core']              # the same limits, other prices
    assert changed(SPACE, one, replace(data, x_val=255 - data.x_val), board, 0, 'tpe') == ['images']


def test_one_worker_opens_the_study_of_the_run_folder(tmp_path):
    sampler = optuna.samplers.RandomSampler(seed=0)
    with trials.opened(None, tmp_path/'run', 'demo', dict(flash=1), sampler) as study:
        assert study.study_name == 'demo' and study.sampler is sampler
    assert (tmp_path/'run'/'search.db').exists()
