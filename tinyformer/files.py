"""Files that are either whole or absent, and folders that remember which of their files are ours.

A folder that TinyFormer fills holds a marker, `.tinyformer`: the names of the files that it wrote and the SHA-256 of
each. Nothing else in the folder is ever replaced or removed, and neither is a file that has changed since."""
import ctypes, errno, hashlib, json, os, secrets, shutil, tempfile
from contextlib import contextmanager
from pathlib import Path

from tinyformer.errors import BadInput, RunFolderError

MARKER = '.tinyformer'
ABOUT = 'TinyFormer wrote the files below. It replaces and removes no others, and none that has changed since.'
ADVICE = {errno.ENAMETOOLONG: 'Choose a shorter name.', errno.EROFS: 'Choose a folder you can write to.',
          errno.ENOTDIR: 'A file stands where a folder is needed. Choose a folder you can write to.',
          errno.EEXIST: 'A file stands where a folder is needed. Choose a folder you can write to.',
          errno.EACCES: 'Choose a folder you can write to.', errno.EPERM: 'Choose a folder you can write to.'}


def cannot_write(
    path, # file or folder
    e,    # the OSError
    advice='', # what to do; by default what helps against this error
): # RunFolderError, to be raised
    "What to tell a person when the system refuses to write."
    advice = advice or ADVICE.get(e.errno, 'Free some space, or choose a folder you can write to.')
    return RunFolderError(f'cannot write {path}: {e.strerror or e}. {advice}')


# ---- one file --------------------------------------------------------------------------------------------------------

def _part(path):
    "Create an empty file beside `path`, with the permissions that a new file gets here."
    path.parent.mkdir(parents=True, exist_ok=True)
    tmp = path.with_name(f'.{path.name[:50]}.{secrets.token_hex(4)}.part')
    os.close(os.open(tmp, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    return tmp


@contextmanager
def atomic_path(
    path,      # file to write
    advice='', # what to do when it cannot be written; by default what helps against the error
):
    "Give a temporary path beside `path`; rename it to `path` when the block ends well, delete it otherwise."
    to, tmp = Path(os.path.realpath(path)), None          # a link stays, and what it points to is replaced
    try:
        if to.exists() and not to.is_file(): raise RunFolderError(f'{path} is no plain file: choose another name')
        tmp = _part(to)
        yield tmp
        if to.exists(): shutil.copymode(to, tmp)          # what somebody may read stays as he wanted it
        os.replace(tmp, to)
        tmp = None
    except OSError as e: raise cannot_write(path, e, advice) from e
    finally:
        if tmp is not None: tmp.unlink(missing_ok=True)


def write_text(path, text):
    "Write `text` to `path` in one step."
    with atomic_path(path) as tmp: tmp.write_text(text, encoding='utf-8')


def write_json(path, obj):
    "Write `obj` as JSON to `path` in one step."
    write_text(path, json.dumps(obj, indent=1, sort_keys=False) + '\n')


# ---- which files of a folder are ours --------------------------------------------------------------------------------

def digest(path):
    "SHA-256 of a file; of the name that it points to, for a link."
    path = Path(path)
    return hashlib.sha256(os.fsencode(os.readlink(path)) if path.is_symlink() else path.read_bytes()).hexdigest()


def read_marker(folder):
    "Path inside a folder -> SHA-256 of what we wrote there, '' for a file that may change; None without a marker."
    try: files = json.loads((Path(folder)/MARKER).read_text(encoding='utf-8'))['files']
    except (OSError, ValueError, TypeError, KeyError): return None
    sound = isinstance(files, dict) and all(isinstance(v, str) for v in files.values())
    return files if sound else None


def _write_marker(folder, files): write_json(Path(folder)/MARKER, dict(about=ABOUT, files=files))


def files_in(folder):
    "Every file and link below `folder`, and every empty folder with a / at its end, as paths inside it."
    found = []
    for root, folders, files in os.walk(folder):
        links = [d for d in folders if os.path.islink(os.path.join(root, d))]
        found += [os.path.join(root, f) for f in files + links]
        if not files and not folders and root != str(folder): found.append(root + '/')
    return sorted(Path(f).relative_to(folder).as_posix() + '/' * f.endswith('/') for f in found)


def _as_written(folder, name, ours):
    "Whether a file is one that we wrote and nobody changed."
    return name in ours and (not ours[name] or digest(Path(folder)/name) == ours[name])


def strangers(
    folder,  # with or without a marker
    keep=(), # names of sub-folders that are not looked into
): # list of texts
    "What a folder holds beside our files, and which of those have changed."
    ours = read_marker(folder) or {}
    names = [n for n in files_in(folder) if n != MARKER and not n.startswith(tuple(f'{k}/' for k in keep))]
    return [n + ' (changed)' * (n in ours) for n in names if not _as_written(folder, n, ours)]


def some(names):
    "The first three names, and how many more there are."
    return ', '.join(names[:3]) + (f' and {len(names) - 3} more' if len(names) > 3 else '')


# ---- a folder that is replaced as a whole ----------------------------------------------------------------------------

def _check_replaceable(folder, keep):
    "Refuse to replace or remove anything that is not wholly ours."
    to = Path(os.path.realpath(folder))
    if to.exists() and not to.is_dir(): raise BadInput(f'{folder} is a file; choose another name for the folder')
    if not to.exists(): return
    if Path.cwd().is_relative_to(to): raise BadInput(f'{folder} is the folder you are in; choose another folder')
    if not any(to.iterdir()): return
    if read_marker(to) is None:
        raise BadInput(f'{folder} is not empty and was not generated here; choose another folder')
    if other := strangers(to, keep):
        raise BadInput(f'{folder} holds what was not generated here: {some(other)}. Move it away, or choose another '
                       'folder')


def _exchange(a, b):
    "Swap two folders in one step, where the system can do that (Linux); say whether it did."
    try: call = ctypes.CDLL(None).renameat2
    except (AttributeError, OSError, TypeError): return False
    here, swap = -100, 2                                   # AT_FDCWD, RENAME_EXCHANGE
    return call(here, os.fsencode(a), here, os.fsencode(b), swap) == 0


def _old(to): return to.with_name(f'.{to.name}.old')


def _repair(to, keep):
    "Finish what a kill between the two renames of `_put` left."
    old = _old(to)
    if read_marker(old) is None: return
    if not to.exists(): old.rename(to)
    elif not strangers(old, keep): shutil.rmtree(old)


def _put(new, to):
    "Put the folder `new` into the place of `to`."
    if not to.exists() or not any(to.iterdir()): return os.rename(new, to)
    if _exchange(new, to): return
    to.rename(_old(to))
    new.rename(to)
    shutil.rmtree(_old(to))


@contextmanager
def owned_folder(
    folder,  # made, or replaced if all in it is as we wrote it
    keep=(), # names of sub-folders that stay as they are, such as `build`
):
    "Give an empty folder to fill; when the block ends well it takes the place of `folder`, which is whole always."
    to = Path(os.path.realpath(folder))
    try:
        _repair(to, keep)
        _check_replaceable(folder, keep)
        to.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f'.{to.name[:50]}.', dir=to.parent, ignore_cleanup_errors=True) as tmp:
            new = Path(tmp)/'new'
            new.mkdir()
            yield new
            _write_marker(new, {n: digest(new/n) for n in files_in(new) if not n.endswith('/')})
            for name in keep:
                if (to/name).is_dir(): shutil.copytree(to/name, new/name, symlinks=True)
            if to.is_dir(): shutil.copymode(to, new)
            _put(new, to)
    except OSError as e: raise cannot_write(folder, e) from e


def remove_folder(
    folder, # one that `owned_folder` or `claim` made; absent is fine
):
    "Remove a folder in which everything is ours, or raise `BadInput` that names what is not."
    try:
        _check_replaceable(folder, ())
        if Path(folder).exists(): shutil.rmtree(folder)
    except OSError as e: raise cannot_write(folder, e) from e


# ---- a folder that is filled file by file ----------------------------------------------------------------------------

@contextmanager
def _marker(folder):
    "The marker's table to change, while other processes wait for their turn."
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    try: import fcntl
    except ImportError: fcntl = None                       # this system has no such lock
    fd = os.open(folder, os.O_RDONLY) if fcntl else None
    try:
        if fcntl: fcntl.flock(fd, fcntl.LOCK_EX)
        files = read_marker(folder) or {}
        before = dict(files)
        yield files
        if files != before or not (folder/MARKER).exists(): _write_marker(folder, files)
    finally:
        if fcntl: os.close(fd)


def _refuse_foreign(folder, names, ours):
    there = [n for n in names if os.path.lexists(Path(folder)/n)]
    bad = [n + ' (changed)' * (n in ours) for n in there if not _as_written(folder, n, ours)]
    if bad:
        raise RunFolderError(f'{folder} holds what TinyFormer did not write: {some(bad)}. Move it away, or choose '
                             'another folder with --out.')


def claim(folder, *names):
    "Say that we are about to write these files; raise `RunFolderError` when one is there that is not as we wrote it."
    try:
        if os.path.lexists(Path(folder)/MARKER) and read_marker(folder) is None:
            raise RunFolderError(f'{Path(folder)/MARKER} is damaged, so nobody knows which files are ours: choose '
                                 'another folder with --out.')
        with _marker(folder) as ours:
            _refuse_foreign(folder, names, ours)
            ours.update(dict.fromkeys(names, ''))
    except OSError as e: raise cannot_write(folder, e) from e


def record(folder, *names):
    "Say that these files are finished: whoever changes one now makes it his own."
    with _marker(folder) as ours: ours.update({n: digest(Path(folder)/n) for n in names if (Path(folder)/n).is_file()})


def finished(folder, name):
    "Whether a file is there, was recorded and has not changed since."
    ours = (read_marker(folder) or {}).get(name)
    return bool(ours) and os.path.lexists(Path(folder)/name) and digest(Path(folder)/name) == ours


def changed(folder, name):
    "Whether a file is there that is not as we wrote it."
    return os.path.lexists(Path(folder)/name) and not _as_written(folder, name, read_marker(folder) or {})


def remove(folder, *names):
    "Remove files of ours; raise `RunFolderError` when one is not as we wrote it, before any is removed."
    if not Path(folder).is_dir(): return
    try:
        with _marker(folder) as ours:
            _refuse_foreign(folder, names, ours)
            for n in names:
                (Path(folder)/n).unlink(missing_ok=True)
                ours.pop(n, None)
    except OSError as e: raise cannot_write(folder, e) from e
