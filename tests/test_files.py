"""Nothing that TinyFormer did not write is ever replaced or removed, and nothing is half-written, kill or no kill."""
import os, signal, stat, subprocess, sys
from pathlib import Path

import pytest

from tinyformer import files
from tinyformer.errors import BadInput, RunFolderError


def fill(folder, *, keep=(), **texts):
    "Write a folder of text files; `a__b` stands for a/b."
    with files.owned_folder(folder, keep) as new:
        for name, text in texts.items():
            path = new/name.replace('__', '/')
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)


def held(folder):
    ours = [n for n in files.files_in(folder) if n != files.MARKER and not n.endswith('/')]
    return {n: (folder/n).read_text() for n in ours}


# ---- one file

@pytest.mark.parametrize('mask', [0o022, 0o077, 0o007])
def test_a_new_file_gets_the_permissions_of_the_umask(tmp_path, mask):
    old = os.umask(mask)
    try:
        files.write_text(tmp_path/'a', 'x')
        fill(tmp_path/'folder', a='x')
    finally: os.umask(old)
    for path, all_of_it in ((tmp_path/'a', 0o666), (tmp_path/'folder', 0o777), (tmp_path/'folder'/'a', 0o666)):
        assert stat.S_IMODE(path.stat().st_mode) == all_of_it & ~mask, path


def test_a_replaced_file_keeps_its_permissions(tmp_path):
    (tmp_path/'secret').write_text('x')
    (tmp_path/'secret').chmod(0o600)
    files.write_text(tmp_path/'secret', 'y')
    assert stat.S_IMODE((tmp_path/'secret').stat().st_mode) == 0o600


def test_a_link_stays_a_link(tmp_path):
    (tmp_path/'real').write_text('x')
    (tmp_path/'link').symlink_to('real')
    files.write_text(tmp_path/'link', 'y')
    assert (tmp_path/'link').is_symlink() and (tmp_path/'real').read_text() == 'y'


def test_what_is_no_plain_file_is_not_replaced(tmp_path):
    os.mkfifo(tmp_path/'pipe')
    (tmp_path/'folder').mkdir()
    for name in ('pipe', 'folder'):
        with pytest.raises(RunFolderError, match='no plain file'): files.write_text(tmp_path/name, 'x')
    assert stat.S_ISFIFO((tmp_path/'pipe').stat().st_mode) and (tmp_path/'folder').is_dir()
    assert sorted(os.listdir(tmp_path)) == ['folder', 'pipe']


def test_a_long_name_can_be_written(tmp_path):
    files.write_text(tmp_path/('x' * 255), 'y')
    with pytest.raises(RunFolderError, match='shorter name'): files.write_text(tmp_path/('x' * 256), 'y')
    assert os.listdir(tmp_path) == ['x' * 255]


def test_a_block_that_fails_leaves_the_file_as_it_was(tmp_path):
    files.write_text(tmp_path/'a', 'old')
    with pytest.raises(ZeroDivisionError):
        with files.atomic_path(tmp_path/'a') as tmp:
            tmp.write_text('half')
            1 / 0
    assert (tmp_path/'a').read_text() == 'old' and os.listdir(tmp_path) == ['a']


# ---- a folder that is replaced

def test_an_own_folder_is_replaced_whole(tmp_path):
    out = tmp_path/'a'/'fw'
    fill(out, one='1', sub__two='2')
    assert held(out) == {'one': '1', 'sub/two': '2'}
    fill(out, one='11', three='3')
    assert held(out) == {'one': '11', 'three': '3'} and os.listdir(out.parent) == ['fw']


def test_an_empty_folder_is_filled(tmp_path):
    (tmp_path/'fw').mkdir()
    fill(tmp_path/'fw', one='1')
    assert held(tmp_path/'fw') == {'one': '1'}


@pytest.mark.parametrize('harm, named', [
    (lambda f: (f/'mine.txt').write_text('precious'), 'mine.txt'),
    (lambda f: (f/'sub'/'mine.txt').write_text('precious'), 'sub/mine.txt'),
    (lambda f: (f/'one').write_text('edited'), r'one \(changed\)'), (lambda f: (f/'empty').mkdir(), 'empty/'),
    (lambda f: (f/'link').symlink_to('one'), 'link'), (lambda f: (f/'build').write_text('a file'), 'build')])
def test_a_stranger_in_the_folder_is_named_and_stays(tmp_path, harm, named):
    fill(tmp_path/'fw', one='1', sub__two='2')
    harm(tmp_path/'fw')
    before, names = held(tmp_path/'fw'), files.files_in(tmp_path/'fw')
    for act in (lambda: fill(tmp_path/'fw', one='new', keep=('build',)), lambda: files.remove_folder(tmp_path/'fw')):
        with pytest.raises(BadInput, match=f'fw holds what was not generated here: {named}.*Move it away'): act()
        assert held(tmp_path/'fw') == before and files.files_in(tmp_path/'fw') == names
        assert os.listdir(tmp_path) == ['fw']


@pytest.mark.parametrize('marker', [None, '', 'not JSON', '[]', '{"files": []}', '{"files": {"a": 1}}',
                                    '{"about": "another tool"}'])
def test_a_folder_without_our_marker_is_refused(tmp_path, marker):
    (tmp_path/'mine').mkdir()
    (tmp_path/'mine'/'plan.json').write_text('{}')
    if marker is not None: (tmp_path/'mine'/files.MARKER).write_text(marker)
    before = files.files_in(tmp_path/'mine')
    for act in (lambda: fill(tmp_path/'mine', a='1'), lambda: files.remove_folder(tmp_path/'mine')):
        with pytest.raises(BadInput, match='not generated here'): act()
    assert files.files_in(tmp_path/'mine') == before


def test_a_file_in_the_place_of_the_folder_stays(tmp_path):
    (tmp_path/'my.tfm').write_text('model')
    with pytest.raises(BadInput, match='my.tfm is a file'): fill(tmp_path/'my.tfm', a='1')
    (tmp_path/'link').symlink_to('my.tfm')
    with pytest.raises(BadInput, match='link is a file'): fill(tmp_path/'link', a='1')
    assert (tmp_path/'my.tfm').read_text() == 'model' and (tmp_path/'link').is_symlink()


def test_a_link_to_a_folder_stays(tmp_path):
    fill(tmp_path/'real', a='1')
    (tmp_path/'link').symlink_to('real')
    fill(tmp_path/'link', a='2')
    assert (tmp_path/'link').is_symlink() and held(tmp_path/'real') == {'a': '2'}


def test_the_folder_that_one_is_in_is_refused(tmp_path, monkeypatch):
    fill(tmp_path/'fw', a='1', sub__b='2')
    for where in ('fw', 'fw/sub'):
        monkeypatch.chdir(tmp_path/where)
        with pytest.raises(BadInput, match='you are in'): fill(tmp_path/'fw', a='2')
    monkeypatch.chdir(tmp_path)
    fill(Path('fw'), a='2')
    assert held(tmp_path/'fw') == {'a': '2'}


def test_what_was_built_in_the_folder_stays(tmp_path):
    fill(tmp_path/'fw', a='1')
    (tmp_path/'fw'/'build').mkdir()
    (tmp_path/'fw'/'build'/'mine.o').write_text('object')
    fill(tmp_path/'fw', a='2', keep=('build',))
    assert held(tmp_path/'fw') == {'a': '2', 'build/mine.o': 'object'}
    with pytest.raises(BadInput, match='build/mine.o'): fill(tmp_path/'fw', a='3')


@pytest.mark.parametrize('exchange', [True, False])
def test_a_failure_while_filling_leaves_the_folder_as_it_was(tmp_path, monkeypatch, exchange):
    if not exchange: monkeypatch.setattr(files, '_exchange', lambda a, b: False)
    fill(tmp_path/'fw', a='1')
    with pytest.raises(RunFolderError, match='cannot write .*fw'):
        with files.owned_folder(tmp_path/'fw') as new: (new/'no such folder'/'x').write_text('x')
    assert held(tmp_path/'fw') == {'a': '1'} and os.listdir(tmp_path) == ['fw']
    fill(tmp_path/'fw', a='2')
    assert held(tmp_path/'fw') == {'a': '2'} and os.listdir(tmp_path) == ['fw']


KILLED = '''
import os, signal, sys
from pathlib import Path
from tinyformer import files
folder, way, at = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
calls, names = 0, ('rename', 'replace', 'rmdir', 'unlink', 'mkdir', 'open')
if way == 'renames': files._exchange = lambda a, b: False
def watched(f):
    def g(*args, **kw):
        global calls
        calls += 1
        if calls == at: os.kill(os.getpid(), signal.SIGKILL)
        return f(*args, **kw)
    return g
for n in names: setattr(os, n, watched(getattr(os, n)))
files._exchange = watched(files._exchange)
with files.owned_folder(folder, ('build',)) as new: (new/'a').write_text('new')
print(calls)
'''


@pytest.mark.parametrize('way', ['exchange', 'renames'])
def test_a_kill_at_any_moment_loses_nothing(tmp_path, way):
    "kill -9 before every call that changes the disk: the old or new folder is there, at once or after the next call."
    env, at, there = os.environ | dict(PYTHONPATH=str(files.Path(files.__file__).parent.parent)), 0, 0
    while True:
        at += 1
        out = tmp_path/f'{at}'/'fw'
        fill(out, a='old')
        (out/'build').mkdir()
        (out/'build'/'o').write_text('mine')
        command = [sys.executable, '-c', KILLED, str(out), way, str(at)]
        p = subprocess.run(command, env=env, capture_output=True, text=True)
        if out.exists(): assert held(out)['a'] in ('old', 'new') and held(out)['build/o'] == 'mine'
        else: assert way == 'renames'
        there += out.exists()
        if p.returncode == 0: break
        assert p.returncode == -signal.SIGKILL, p.stderr
        fill(out, a='next', keep=('build',))
        assert held(out) == {'a': 'next', 'build/o': 'mine'}
    print(f'{at - 1} kills, the folder was there after {there - 1}')
    assert at > 8 and there >= at - 1 - (way == 'renames')


# ---- a folder that is filled file by file

def test_claimed_files_are_ours_until_somebody_changes_them(tmp_path):
    run = tmp_path/'run'
    files.claim(run, 'a.json', 'a.ckpt')
    assert not files.finished(run, 'a.json')
    for name in ('a.json', 'a.ckpt'): (run/name).write_text('ours')
    files.claim(run, 'a.json', 'a.ckpt')                                # a killed step begins again
    files.record(run, 'a.json')
    (run/'a.ckpt').write_text('goes on changing')
    assert files.finished(run, 'a.json') and not files.finished(run, 'a.ckpt') and not files.changed(run, 'a.ckpt')
    (run/'a.json').rename(run/'away')
    assert not files.finished(run, 'a.json') and not files.changed(run, 'a.json')
    (run/'a.json').write_text('edited')
    assert files.changed(run, 'a.json') and not files.finished(run, 'a.json')
    for act in (files.claim, files.remove):
        with pytest.raises(RunFolderError, match=r'a.json \(changed\)'): act(run, 'a.ckpt', 'a.json')
    assert (run/'a.ckpt').exists() and (run/'a.json').read_text() == 'edited'


def test_a_file_of_somebody_else_is_neither_claimed_nor_removed(tmp_path):
    (tmp_path/'train.json').write_text('mine')
    for act in (files.claim, files.remove):
        with pytest.raises(RunFolderError, match='did not write: train.json'): act(tmp_path, 'other', 'train.json')
    assert (tmp_path/'train.json').read_text() == 'mine' and not files.finished(tmp_path, 'train.json')
    files.claim(tmp_path, 'other')                                      # beside it there is room


def test_removed_files_are_forgotten(tmp_path):
    files.claim(tmp_path, 'a', 'b')
    (tmp_path/'a').write_text('x')
    files.record(tmp_path, 'a')
    files.remove(tmp_path, 'a', 'never there')
    assert not (tmp_path/'a').exists() and set(files.read_marker(tmp_path)) == {'b'}
    (tmp_path/'a').write_text('of somebody else')
    with pytest.raises(RunFolderError): files.remove(tmp_path, 'a')
    files.remove(tmp_path/'nowhere', 'a')


def test_many_processes_may_claim_at_once(tmp_path):
    code = ('import sys; from tinyformer import files\n'
            'for i in range(20): files.claim(sys.argv[1], f"{sys.argv[2]}-{i}")')
    env = os.environ | dict(PYTHONPATH=str(Path(files.__file__).parent.parent))
    ps = [subprocess.Popen([sys.executable, '-c', code, str(tmp_path/'run'), str(k)], env=env) for k in range(4)]
    assert [p.wait() for p in ps] == [0] * 4
    assert len(files.read_marker(tmp_path/'run')) == 80
