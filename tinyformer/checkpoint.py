"""Checkpoints: a file that holds a whole training run after its last finished epoch, and from which it continues.

The file is written under another name and renamed, so there is one whole checkpoint or none. It is read without running
code that may be in it, since it may come from a stranger."""
import json
from pathlib import Path

import torch
from torch import nn

from tinyformer.errors import CorruptModel, RunFolderError
from tinyformer.files import atomic_path


def read_checkpoint(
    path: Path,  # a file that `Checkpoint.save` wrote
) -> dict:  # run, history, parts
    "The content of a checkpoint; a damaged file raises `CorruptModel`."
    try:
        state = torch.load(path, weights_only=True, map_location='cpu')
        return {k: state[k] for k in ('run', 'history', 'parts')}
    except OSError as e:
        raise RunFolderError(f'cannot read checkpoint {path}: {e.strerror or e}.') from e
    except Exception as e:
        raise CorruptModel(f'{path} is not a whole checkpoint ({type(e).__name__}): '
                           'delete it to train from the start.') from e


class Checkpoint:
    "A file that holds a whole training run after its last finished epoch."
    def __init__(
        self,
        path: Path,  # where the file is or will be
        run: dict,  # what identifies the run: a different one is refused
    ):
        self.path, self.run = Path(path), json.loads(json.dumps(run))

    def save(
        self,
        history: list,  # one dict per finished epoch
        **parts: nn.Module,  # anything with `state_dict()`
    ):
        "Write the state of all parts in one step: the old file stays whole until the new one is."
        parts = {k: v.state_dict() for k, v in parts.items()}
        state = dict(run=self.run, history=history, parts=parts)
        with atomic_path(self.path) as tmp, open(tmp, 'wb') as f: torch.save(state, f)

    def load(
        self,
        **parts: nn.Module,  # the same names as were saved; changed in place
    ) -> list:  # history of the finished epochs; empty where there is no file
        "Put every part back as it was saved."
        if not self.path.exists(): return []
        state = read_checkpoint(self.path)
        was, now = state['run'], self.run
        diff = [f'{k} was {was.get(k)}, now {now.get(k)}' for k in sorted({*was, *now})
                if was.get(k) != now.get(k)]
        if diff:
            raise RunFolderError(f'{self.path} belongs to another training run ({"; ".join(diff)}): '
                                 'delete it or choose another folder.')
        try:
            for k, v in parts.items(): v.load_state_dict(state['parts'][k])
        except (KeyError, RuntimeError, ValueError) as e:
            raise CorruptModel(f'{self.path} holds another model: {str(e).splitlines()[0]}. '
                               'Delete it to train from the start.') from e
        return state['history']
