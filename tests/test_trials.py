"""The record of a search lies in the run folder, whatever that is called; one that somebody changed is no bug."""
import sqlite3

import optuna
import pytest
from optuna.trial import TrialState

from tinyformer import trials
from tinyformer.errors import RunFolderError, StorageError

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
    made = [trials._create_or_load(tmp_path/'twice.db', 'demo') for _ in range(2)]
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
