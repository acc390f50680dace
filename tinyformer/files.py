"""Files that are either whole or absent: written under a temporary name, then renamed."""
import json, os, tempfile
from contextlib import contextmanager
from pathlib import Path

from tinyformer.errors import RunFolderError


@contextmanager
def atomic_path(path):
    "Give a temporary path beside `path`; rename it to `path` when the block ends well, delete it otherwise."
    path = Path(path)
    tmp = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fd, tmp = tempfile.mkstemp(prefix=f'.{path.name}.', suffix='.part', dir=path.parent)
        os.close(fd)
        yield Path(tmp)
        os.chmod(tmp, 0o644)
        os.replace(tmp, path)
        tmp = None
    except OSError as e:
        raise RunFolderError(f"cannot write {path}: {e.strerror or e}. "
                             "Free some space, or choose a folder you can write to.") from e
    finally:
        if tmp is not None: Path(tmp).unlink(missing_ok=True)


def write_text(path, text):
    "Write `text` to `path` in one step."
    with atomic_path(path) as tmp: tmp.write_text(text, encoding='utf-8')


def write_json(path, obj):
    "Write `obj` as JSON to `path` in one step."
    write_text(path, json.dumps(obj, indent=1, sort_keys=False) + '\n')
