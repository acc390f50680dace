"""The record of a search that several workers share: where the trials are kept, who works on which, and who has died.

Plumbing of `sparsenas`. On one machine the record is an SQLite file in the run folder.
Many machines share any database that Optuna knows."""
import contextlib, json, random, sqlite3, threading, time, warnings
from pathlib import Path

import optuna
import sqlalchemy
from optuna.trial import TrialState

from tinyformer.arch import Arch
from tinyformer.errors import RunFolderError, StorageError, TinyFormerError
from tinyformer.files import cannot_write
from tinyformer.training import fingerprint as crc

FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)
TURN = 60      # seconds for one's turn to write an SQLite file
WAIT = dict(postgresql='connect_timeout', mysql='connect_timeout', mariadb='connect_timeout')
"What drivers call the seconds to wait for a server."


# ---- where the trials are kept ---------------------------------------------------------------------------------------

@contextlib.contextmanager
def quiet_optuna():
    "Silence Optuna's log lines and its notices on experimental interfaces inside the block."
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore', optuna.exceptions.ExperimentalWarning)
            yield
    finally: optuna.logging.set_verbosity(level)


def local_storage(
    path: Path,  # SQLite file; any name will do, for it is never part of a URL
) -> optuna.storages.RDBStorage:
    "SQLite with a write-ahead log: a killed process loses nothing, and a commit does not wait for the disk."
    def connection(): return sqlite3.connect(path, timeout=TURN, check_same_thread=False)
    with contextlib.closing(connection()) as db: db.execute('pragma journal_mode = wal')
    storage = optuna.storages.RDBStorage('sqlite://', dict(creator=connection, poolclass=sqlalchemy.pool.QueuePool))
    sqlalchemy.event.listen(storage.engine, 'connect', lambda db, _: db.execute('pragma synchronous = normal'))
    storage.engine.dispose()  # what connected before the line above connects again
    return storage


def public_name(
    storage: object,  # URL, path or Optuna storage
) -> str:  # for a message
    "How to name a storage without its password."
    if not isinstance(storage, str): return str(storage) if isinstance(storage, Path) else type(storage).__name__
    try: return sqlalchemy.make_url(storage).set(query={}).render_as_string(hide_password=True)
    except Exception: return f'{storage.partition(":")[0]}:…'  # nobody can tell where its password is


def connect(
    storage: object,  # Path of an SQLite file, a URL that Optuna knows, or an Optuna storage
    patience: int = 5,  # seconds to wait for a server
) -> optuna.storages.BaseStorage:
    "Open the place where the trials are kept."
    if not isinstance(storage, (str, Path)): return storage
    if isinstance(storage, Path): return local_storage(storage)
    url = sqlalchemy.make_url(storage)
    kind = url.get_backend_name()
    if kind == 'sqlite' and url.database not in (None, '', ':memory:'): return local_storage(Path(url.database))
    if url.drivername in ('postgresql', 'postgres'): url, kind = url.set(drivername='postgresql+psycopg'), 'postgresql'
    if kind not in WAIT: return optuna.storages.get_storage(storage)
    wait = dict(pool_pre_ping=True, connect_args={WAIT[kind]: patience})
    braces = {'{': '{{', '}': '}}'}                        # Optuna takes the URL for a format string
    return optuna.storages.RDBStorage(url.render_as_string(hide_password=False).translate(str.maketrans(braces)), wait)


def _create_or_load(storage, name, aims):
    "The study, and whether this call made it; workers that make the tables in the same moment try again."
    for left in reversed(range(5)):
        try:
            db = connect(storage)
            try: return optuna.create_study(storage=db, study_name=name, directions=aims), True
            except optuna.exceptions.DuplicatedStudyError: return optuna.load_study(study_name=name, storage=db), False
        except Exception as e:
            text = f'{e} {e.__cause__}'.lower()
            if not left or not any(w in text for w in ('already exists', 'duplicate', 'unique', 'locked')): raise
            time.sleep(random.uniform(.1, .5))


def same_search(
    study: optuna.Study,  # just opened
    identity: dict,  # what is to be searched
    where: str,  # for the message
) -> optuna.Study:  # the same
    "Raise `RunFolderError` when the study's note says that it searches something else."
    for _ in range(30):
        if (old := study.user_attrs.get('identity')) is not None: break
        time.sleep(.1)  # its maker is about to write the note
    else: study.set_user_attr('identity', old := identity)  # its maker died
    if not isinstance(old, dict): old = {}
    if diff := sorted(k for k in {*identity, *old} if identity.get(k) != old.get(k)):
        raise RunFolderError(f"{where} holds a search {study.study_name!r} with another {', '.join(diff)}: delete it, "
                             'or choose another run folder or another name for the study.')
    return study


def _cannot_open(storage, e):
    "What to tell a person when a storage does not open."
    name = public_name(storage)
    if isinstance(storage, Path):
        return RunFolderError(f'cannot open the search database {name} ({type(e).__name__}): '
                              'choose a folder you can write to, or move the database away when it is damaged.')
    if isinstance(e, ImportError):
        return StorageError(f"no driver for {name}: install it, for PostgreSQL with  pip install 'psycopg[binary]'")
    return StorageError(f'cannot open the storage {name} ({type(e).__name__}). Does the server run and take '
                        'connections from here, do user, password and database exist, is the URL of the form '
                        'postgresql://user:password@server/database?')


def open_study(
    storage: object,  # a URL, the Path of an SQLite file, or an Optuna storage
    name: str,  # of the study
    identity: dict,  # what the study searches: another one is refused
    aims: tuple = ('maximize', 'minimize'),  # of each value: accuracy, instructions
) -> optuna.Study:
    "Create the study, or open the one that another worker or a killed search made."
    identity = json.loads(json.dumps(identity))
    try: study, new = _create_or_load(storage, name, list(aims))
    except Exception as e: raise _cannot_open(storage, e) from None  # the driver's own message may hold the password
    if new: study.set_user_attr('identity', identity)
    return same_search(study, identity, public_name(storage))


def run_file(
    run: Path,  # run folder
) -> Path:  # the database in it
    "Make the run folder and say where its database is."
    try: Path(run).mkdir(parents=True, exist_ok=True)
    except OSError as e: raise cannot_write(run, e) from e
    return Path(run) / 'search.db'


@contextlib.contextmanager
def storage_errors(
    storage: object,  # URL or Optuna storage; None stands for the run folder
):
    "Turn the database's errors inside the block into one that says what to do."
    try: yield
    except (optuna.exceptions.StorageInternalError, sqlalchemy.exc.SQLAlchemyError) as e:
        what = 'the database of the run folder cannot be written'
        if storage: what = f'the storage {public_name(storage)} does not answer any more'
        kind = StorageError if storage else RunFolderError
        raise kind(f'{what} ({type(e).__name__}). Finished trials are kept: when it is back, or has space again, '
                   'the same command continues.') from None


def check_storage(
    storage: object,  # Optuna storage or its URL; None stands for the run folder
):
    "Raise `StorageError` now when a storage cannot be opened, and not after the training of the supernet."
    if storage is None: return
    with quiet_optuna():
        try: db = connect(storage)
        except Exception as e: raise _cannot_open(storage, e) from None  # the driver's message may hold the password
    if isinstance(storage, (str, Path)) and hasattr(db, 'engine'): db.engine.dispose()


# ---- who works on which trial ----------------------------------------------------------------------------------------

def damaged(
    what: str,  # such as 'trial 7 of the search'
    e: Exception,  # what was found
) -> RunFolderError:  # to be raised
    "What to tell a person when a record of the search was changed from outside."
    return RunFolderError(f'{what} cannot be read ({type(e).__name__}: {e}): the database was changed by somebody '
                          'else. Start the search over, with --fresh or under another name.')


def trials_of(
    study: optuna.Study,  # of one or more workers
    *states: TrialState,  # those wanted
) -> list:  # of Optuna's trials
    "The trials in some states."
    try: return study.get_trials(deepcopy=False, states=states)
    except (ValueError, TypeError, KeyError, AttributeError) as e: raise damaged('the record of the search', e) from e


def counted(
    study: optuna.Study,  # of one or more workers
) -> list:  # of Optuna's trials
    "The trials that have finished or that somebody works on; failed ones do not count."
    return trials_of(study, *FINISHED, TrialState.RUNNING)


def place(
    study: optuna.Study,  # of one or more workers
    number: int,  # of a trial
) -> int:  # 0 for the first
    "How many trials before this one count."
    return sum(t.number < number for t in counted(study))


@contextlib.contextmanager
def heartbeat(
    trial: optuna.Trial,  # running
    every: float = 5.,  # seconds
):
    "Count upwards in the trial's row while the block runs, so that others see that somebody is at it."
    stop = threading.Event()
    def beat():
        n = 0
        while not stop.wait(every):
            with contextlib.suppress(Exception): trial.set_user_attr('beat', n := n + 1)  # a beat may be lost
    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try: yield
    finally:
        stop.set()
        thread.join()


def fail(
    study: optuna.Study,  # holds the trial
    number: int,  # of the trial
):
    "Mark a trial as failed, unless it has finished in the meantime."
    with contextlib.suppress(optuna.exceptions.UpdateFinishedTrialError):
        study.tell(number, state=TrialState.FAIL, skip_if_finished=True)


def running(
    study: optuna.Study,  # of one or more workers
) -> list:  # of Optuna's trials
    "The trials that somebody works on, or worked on when he died."
    return trials_of(study, TrialState.RUNNING)


def fail_all(
    study: optuna.Study,  # without a living worker
):
    "Mark what the dead left running as failed."
    for t in running(study): fail(study, t.number)


class Watch:
    "Marks trials whose heartbeat stands still as failed."
    def __init__(
        self,
        study: optuna.Study,  # shared with other workers
        grace: float = 60.,  # seconds without a beat after which a worker counts as dead
    ): self.study, self.grace, self.seen = study, grace, {}

    def bury(
        self,
        trials: list,  # the running ones, none of one's own
    ) -> int:  # trials marked
        "Look at the running trials once; call it again and again."
        now, dead = time.monotonic(), 0
        for t in trials:
            beat = t.user_attrs.get('beat', 0)
            last, since = self.seen.get(t.number, (None, now))
            if beat != last: self.seen[t.number] = beat, now
            elif now - since >= self.grace: fail(self.study, t.number); dead += 1
        return dead


@contextlib.contextmanager
def join(
    folder: Path,  # run folder
    if_alone: object,  # f(), called when no other worker is in the folder
):
    "Be one of the workers of a run folder; a lock that goes away with the process tells whether there are others."
    try:
        import fcntl
    except ImportError:  # no such lock on this system: heartbeats tell
        yield; return
    with open(folder / 'search.lock', 'a') as f:
        try: fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError: pass
        else: if_alone()
        fcntl.flock(f, fcntl.LOCK_SH)
        yield


def reserve(
    study: optuna.Study,  # of one or more workers
    trials: int,  # finished trials wanted in all
) -> optuna.Trial:  # to run, or None when all that are wanted are finished or in work
    "Ask for one more trial, and give it back when it is one too many, however many workers ask at once."
    trial = study.ask()
    if place(study, trial.number) < trials: return trial
    fail(study, trial.number)


@contextlib.contextmanager
def opened(
    storage: object,  # Optuna storage or its URL; None: SQLite in the run folder
    run: Path,  # run folder
    name: str,  # of the study
    about: dict,  # what the search is about, see `identity_of`
    sampler: object,  # Optuna's, which proposes the paths
) -> optuna.Study:
    "The study of one worker, who counts as one of those in the run folder until the block ends."
    with quiet_optuna(), storage_errors(storage):
        study = open_study(storage or run_file(run), name, about)
        study.sampler = sampler
        here = contextlib.nullcontext() if storage else join(Path(run), lambda: fail_all(study))
        with here: yield study


# ---- what a search is about ------------------------------------------------------------------------------------------

def fingerprint(
    net: object,  # a `SuperNet`, trained
) -> int:  # CRC-32 of its weights
    "A number that changes with the weights, to notice when a search goes on with others."
    return crc(*net.state_dict().values())


def identity_of(
    space: object,  # a `SearchSpace`
    net: object,  # a `SuperNet`; None where accuracies come from elsewhere
    data: object,  # a `Dataset`
    target: object,  # a `Target`: limits in bytes
    seed: int,  # of the search
    sampler: str,  # key of `sparsenas.SAMPLERS`
) -> dict:  # only numbers, strings and JSON
    "What decides the outcome of a search; images that differ by a bit do not compare."
    images = crc(data.x_val, data.y_val, data.x_train)
    return dict(space=space.to_json(), supernet=fingerprint(net) if net else 0, images=images,
                core=target.core, flash=target.flash_bytes, sram=target.sram_bytes, seed=seed, sampler=sampler)


# ---- what was judged before ------------------------------------------------------------------------------------------

def arch_of(
    trial: object,  # Optuna's, finished
) -> Arch:  # the path that was tried
    "The path of a trial; a record that was changed from outside is refused."
    try: return Arch.from_json(trial.user_attrs['arch'])
    except (KeyError, TypeError, ValueError, AttributeError, TinyFormerError) as e:
        raise damaged(f'trial {trial.number} of the search', e) from e


class Remember:
    "The judge with a memory: what any worker of the study has judged is looked up."
    def __init__(
        self,
        accuracy_of: object,  # f(arch) → validation accuracy
    ): self.accuracy_of, self.known, self.read = accuracy_of, {}, set()

    def learn(
        self,
        trials: list,  # Optuna's; the complete ones are read, each once
    ):
        "Note what has been judged."
        for t in trials:
            if t.state not in FINISHED or t.number in self.read: continue
            if t.state is TrialState.COMPLETE: self.known[arch_of(t)] = t.values[0]
            self.read.add(t.number)

    def __call__(
        self,
        arch: Arch,  # a path that fits
    ) -> float:  # validation accuracy
        "Look the path up, or judge it."
        return self.known[arch] if arch in self.known else self.accuracy_of(arch)
