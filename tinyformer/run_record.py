"""A file of results that a command fills, run by run, and continues when it was stopped."""
import json
from dataclasses import MISSING, asdict, fields
from pathlib import Path

from tinyformer import provenance
from tinyformer.errors import CorruptModel, RunFolderError
from tinyformer.files import write_text


def read(
    file:Path,      # JSON; may be missing
    cfg:object,     # a dataclass: the settings that it must have been made with; one unknown then had its default
    key:tuple,      # fields of a run that together are its name
    others:tuple=(), # further parts that it holds
    what:str='runs', # that it is a record of, for errors
)->dict: # meta, runs and the other parts
    "What is known already."
    if not Path(file).exists(): return dict(meta={}, runs=[], **dict.fromkeys(others))
    try:
        held = json.loads(Path(file).read_text(encoding='utf-8'))
        was, runs = held['meta']['settings'], held['runs']
        for name in others: held[name]
        known = [tuple(r[k] for k in key) for r in runs]
    except (OSError, ValueError, KeyError, TypeError) as e:
        raise CorruptModel(f'{file} is no record of {what} ({type(e).__name__}): choose another file.') from e
    if len(set(known)) < len(known): raise CorruptModel(f'{file} holds a run twice: choose another file.')
    usual = {f.name: f.default for f in fields(cfg) if f.default is not MISSING}
    usual, settings = (json.loads(json.dumps(d)) for d in (usual, asdict(cfg)))
    if diff := [k for k, v in settings.items() if (usual | was).get(k) != v]:
        raise RunFolderError(f'{file} was made with other settings ({", ".join(diff)}): use the same ones, or choose '
                             'another file with --record.')
    return held


def write(
    file:Path,      # JSON
    runs:list,      # of dicts with cpu_seconds and commit
    settings:dict,  # that they were made with
    command:str,    # that was typed
    was:dict=None,  # meta of the record as it is, where no run is new: what made the runs stays
    **others:object, # further parts; one that was computed on its own has a commit too
):
    "Write what there is, a run a line, with what made it."
    commits = sorted({r['commit'] for r in [*runs, *filter(None, others.values())]})
    made = was or dict(command=command, machine=provenance.machine(), versions=provenance.versions())
    meta = dict(command=made['command'], commits=commits,
                cpu_minutes=round(sum(r['cpu_seconds'] for r in runs) / 60, 1), machine=made['machine'],
                versions=made['versions'], settings=settings)
    body = ',\n'.join('  ' + json.dumps(r) for r in runs)
    parts = dict(meta=json.dumps(meta, indent=2), runs=f'[\n{body}\n ]')
    parts |= {name: json.dumps(part, indent=1) for name, part in others.items()}
    write_text(file, '{\n ' + ',\n '.join(f'"{name}": {text}' for name, text in parts.items()) + '\n}\n')
