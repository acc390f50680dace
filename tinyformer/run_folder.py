"""A run folder: each step leaves one JSON file with what it found, written last, which marks the step as done.

Plumbing of `pipeline`, `recipe` and `deploy`. The folder keeps a list of what was written into it (`files.claim`,
`files.record`): a file that is not on it, or has changed since, counts for nothing. It is never replaced or removed."""
import json, shlex, time
from dataclasses import asdict
from pathlib import Path

import torch

from tinyformer.errors import CorruptModel, RunFolderError, TinyFormerError
from tinyformer.files import (atomic_path, changed, claim, finished, read_marker, record, remove, remove_folder,
                              write_json)
from tinyformer.run_config import RunConfig, check_run, settings, typed


ROAD = dict(
    supernas='SuperNAS: choose a supernet that suits the budget',
    supernet='train the supernet, one random path per step',
    sparsenas='SparseNAS: search it for the best sparse int8 path',
    train='train the winner in float', prune='prune it in blocks (AGP)',
    quantize='quantise it to int8 (QAT)', compile='generate C and build the image',
    simulate='run every test image on the emulated core', report='tables and pictures')
COMMAND = dict(supernas='search', supernet='search', sparsenas='search', train='train',
               prune='compress', quantize='compress', compile='compile', simulate='simulate',
               report='report')
FILES = dict(  # step → what it leaves in the run folder beside its JSON file
    supernas=['supernas.png'], supernet=['supernet.pt'], sparsenas=[],
    train=['train.png', 'float.pt'], prune=['prune.png', 'pruned.pt'],
    quantize=['qat.png', 'model.tfm'], compile=['memory.png'],
    simulate=['instructions.png'], report=['accuracy.png', 'report.md'])
LEFT = dict(  # step → files that change while it works, and may go on changing
    supernet=['supernet.ckpt', 'supernet.machine.json'], train=['train.ckpt', 'train.machine.json'],
    prune=['prune.ckpt', 'prune.machine.json'], quantize=['qat.ckpt'],
    sparsenas=['search.db', 'search.db-wal', 'search.db-shm', 'search.lock', 'search.png', 'short.machine.json'])
WRITTEN_BY = {'supernet.pt': 'supernet', 'float.pt': 'train', 'pruned.pt': 'prune', 'model.tfm': 'quantize'}
STEPS = {}  # name → f(run) → dict, filled in by `step`


# ---- the folder ------------------------------------------------------------------------------------------------------

def _read_config(file):
    "The settings that a run was started with."
    if changed(file.parent, file.name):
        raise RunFolderError(f'{file} is not as TinyFormer wrote it: bring back what it held, '
                             'or choose another folder with --out.')
    try: return settings(RunConfig(), **json.loads(file.read_text(encoding='utf-8')))
    except (ValueError, TypeError, TinyFormerError) as e:
        raise CorruptModel(f'{file} is damaged ({e}): choose another folder with --out.') from e


class Run:
    "A run folder: settings in `run.json`, and one JSON file per finished step."
    def __init__(
        self,
        folder: Path,  # created when `cfg` is given
        cfg: RunConfig = None,  # None opens an existing run
        progress: bool = True,  # say what happens, with bars
    ):
        self.folder, self.progress = Path(folder), progress
        file = self.path('run.json')
        old = _read_config(file) if file.exists() else None
        if old is None and cfg is None:
            raise RunFolderError(f'{folder} is not a run folder (no run.json). '
                                 f'Start one: tinyformer search --out {shlex.quote(str(folder))}')
        self.cfg = cfg or old
        if old is None: self._begin(file)
        elif diff := [k for k, v in asdict(old).items() if v != asdict(self.cfg)[k]]:
            held = ', '.join(f'{k}={getattr(old, k)!r}' for k in diff)
            raise RunFolderError(f'{folder} holds a run with other settings ({held}): '
                                 'use the same ones, choose another folder with --out, '
                                 'or start over with --fresh.')

    def path(
        self,
        name: str,  # of a file in the folder
    ) -> Path:
        "Where a file of this run is or will be."
        return self.folder/name

    def _begin(self, file):
        "Check the settings, then write them down."
        check_run(self.cfg)
        claim(self.folder, file.name)
        write_json(file, asdict(self.cfg))
        record(self.folder, file.name)

    def say(
        self,
        text: str,  # for the person who waits
    ):
        "Print, unless the run is to be quiet."
        if self.progress: print(text, flush=True)


# ---- steps -----------------------------------------------------------------------------------------------------------

def command(
    run: Run,  # an open run
    step: str,  # a key of ROAD
    again: bool = False,  # to do it once more
) -> str:  # as it is typed
    "The command that does a step of a run."
    folder = shlex.quote(str(run.folder))
    if COMMAND[step] != 'search': return f'tinyformer {COMMAND[step]} {folder}' + ' --again' * again
    words = 'tinyformer search', f'--out {folder}', typed(run.cfg), '--fresh' * again
    return ' '.join(filter(None, words))


def result(
    run: Run,  # an open run
    step: str,  # a key of ROAD
) -> dict:  # what the step wrote
    "What a finished step found; a file that is not as the step wrote it is refused."
    file = run.path(f'{step}.json')
    if not file.exists():
        raise RunFolderError(f'{run.folder} has no {file.name}: first run  {command(run, step)}')
    again = f"move it away and run  {command(run, step, again=COMMAND[step] != 'search')}"
    if changed(run.folder, file.name):
        raise CorruptModel(f'{file} is not as TinyFormer wrote it: {again}')
    try: return json.loads(file.read_text(encoding='utf-8'))
    except ValueError as e: raise CorruptModel(f'{file} is damaged ({e}): {again}') from e


def step(
    f: object,  # function named step_<key of ROAD>
) -> object:  # the same function
    "Register `f(run) -> dict` as the step of its name."
    STEPS[f.__name__.removeprefix('step_')] = f
    return f


def perform(
    folder: Path,  # run folder
    leaves: list,  # names of files that are finished with the step, its result first
    changing: list,  # names of files that it works with and that may go on changing
    act: object,  # f() → dict, the step itself
) -> dict:  # what the step found
    "Run a step and write what it found; where another worker was faster, what that one wrote."
    claim(folder, *leaves, *changing)
    file, again, start = Path(folder)/leaves[0], finished(folder, leaves[0]), time.perf_counter()
    out = act()
    if finished(folder, file.name) and not again: return json.loads(file.read_text('utf-8'))
    out['seconds'] = round(out.get('seconds', 0) + time.perf_counter() - start, 2)
    write_json(file, out)
    record(folder, *leaves)
    return out


def done_before(
    run: object,  # of a road: `folder` and `say`
    name: str,  # a key of `road`
    road: dict,  # step -> what it does, in order
) -> bool:  # whether there is nothing left to do
    "Say which step comes, and whether it was done before."
    done = finished(run.folder, f'{name}.json')
    run.say(f'[{list(road).index(name) + 1}/{len(road)}] {road[name]}' + ': done before' * done)
    return done


def do(
    run: Run,  # an open run
    name: str,  # a key of ROAD
    **kw: object,  # for the step, such as `cc` for compile
) -> dict:  # what the step found
    "Run one step, or reuse what it left."
    if done_before(run, name, ROAD): return result(run, name)
    torch.set_num_threads(run.cfg.threads)
    act = lambda: STEPS[name](run, **kw)
    return perform(run.folder, [f'{name}.json', *FILES[name]], LEFT.get(name, []), act)


def _of_search(folder):
    "The folders of candidates that `rank` made, or a judge that trains."
    found = [*Path(folder, 'rank').glob('*'), *Path(folder, 'short').glob('*')]
    return [p for p in sorted(found) if read_marker(p) is not None]


def forget(
    folder: Path,  # run folder
    name: str = 'supernas',  # first step to do again; the first of all forgets the settings too
):
    "Remove what a step and all after it wrote; of anything else in the folder nothing is touched."
    later = list(ROAD)[list(ROAD).index(name):]
    gone = [f for s in later for f in (f'{s}.json', *FILES[s], *LEFT.get(s, []))]
    if 'sparsenas' in later: gone += ['rank.json', 'rank.png']
    if name == 'supernas': gone.append('run.json')
    remove(folder, *gone)
    if 'sparsenas' in later:
        for part in _of_search(folder): remove_folder(part)
        for parts in Path(folder, 'rank'), Path(folder, 'short'):
            if parts.is_dir() and not any(parts.iterdir()): parts.rmdir()


def walk(
    run: object,  # an open run
    what: str,  # goes to the board
    board: object,  # `Target` with its limits
    road: dict,  # name of each step → what it does
    do: object,  # f(run, name of a step) → what it found
    table: object,  # f(report) → the closing table's (what, value) strings
) -> dict:  # the report
    "Do every step of a road that is not done yet, and say what it comes to."
    run.say(f'{what} on {board.name}: at most {board.flash_bytes:,} bytes of flash and '
            f'{board.sram_bytes:,} of SRAM; folder {shlex.quote(str(run.folder))}')
    for name in road: out = do(run, name)
    run.say('\n' + '\n'.join(f'{k:<28} {v}' for k, v in table(out)))
    run.say(f'\nReport: {run.path("report.md")}')
    return out


# ---- files of a step -------------------------------------------------------------------------------------------------

def save_figure(
    fig: object,  # matplotlib Figure
    path: Path,  # PNG to write
):
    "Write a figure in one step and close it."
    import matplotlib.pyplot as plt
    with atomic_path(path) as tmp: fig.savefig(tmp, format='png', dpi=110, bbox_inches='tight')
    plt.close(fig)


def save_weights(
    model: torch.nn.Module,  # its state is written
    path: Path,  # file of tensors, read back without pickle
):
    "Write a model's state in one step."
    with atomic_path(path) as tmp: torch.save(model.state_dict(), tmp)


def untouched(
    folder: Path,  # run folder
    name: str,  # of a file that a step left there
    again: str,  # what makes it again, as a person is told
) -> Path:  # where it is
    "A file as its step left it, or `CorruptModel`."
    file = Path(folder)/name
    if not changed(folder, name): return file
    raise CorruptModel(f'{file} is not as TinyFormer wrote it: move it away and {again}')


def load_weights(
    model: torch.nn.Module,  # changed in place
    folder: Path,  # run folder
    name: str,  # what `save_weights` wrote there
    again: str,  # what makes it again, as a person is told
) -> torch.nn.Module:  # the same model, in evaluation mode
    "Read a model's state; a missing, damaged or foreign file is refused."
    file = untouched(folder, name, again)
    try: model.load_state_dict(torch.load(file, weights_only=True, map_location='cpu'))
    except FileNotFoundError as e: raise RunFolderError(f'{file} is missing: {again}') from e
    except Exception as e:
        raise CorruptModel(f'{file} does not hold this model ({type(e).__name__}): '
                           f'move it away and {again}') from e
    return model.eval()


def maker(
    run: Run,  # an open run
    name: str,  # a key of WRITTEN_BY
) -> str:  # what a person is told
    "Which command makes a file of the run again."
    return f'run  {command(run, WRITTEN_BY[name], again=True)}'



def weights_of(
    run: Run,  # an open run
    name: str,  # a key of WRITTEN_BY
    model: torch.nn.Module,  # changed in place
) -> torch.nn.Module:  # the same model, in evaluation mode
    "The weights that a step of the run left."
    return load_weights(model, run.folder, name, maker(run, name))
