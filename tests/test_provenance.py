"""A result names the processor, the libraries and the code that made it."""
import os, platform, shutil, subprocess, sys
from pathlib import Path

import pytest

from tinyformer import provenance


def test_versions_name_the_processor_and_its_instruction_set():
    import torch
    v = provenance.versions()
    assert v['torch'] == torch.__version__ and v['python'] == platform.python_version()
    assert v['processor'].endswith(f'({torch.backends.cpu.get_cpu_capability()})')
    assert len(v['processor'].split('(')[0].strip()) > 2 and v['processor'] in provenance.machine()


def test_another_instruction_set_gives_another_processor():
    "The same machine, told to use fewer instructions, is another processor as far as results go."
    code = 'from tinyformer.provenance import processor; print(processor())'
    env = os.environ | dict(ATEN_CPU_CAPABILITY='default', PYTHONPATH=str(Path(provenance.__file__).parent.parent))
    said = subprocess.run([sys.executable, '-c', code], env=env, capture_output=True, text=True).stdout.strip()
    assert said == f'{provenance.model_name()} (DEFAULT)'


@pytest.mark.parametrize('text, name', [
    ('model name\t: A  CPU @ 2 GHz\n', 'A CPU @ 2 GHz'), ('Model\t\t: Raspberry Pi 4\n', 'Raspberry Pi 4'),
    ('processor: 0\nmodel name:\n', None), (None, None)])
def test_the_name_is_read_or_the_architecture_stands_in(monkeypatch, text, name):
    def read(path, **kw):
        if text is None: raise FileNotFoundError(path)
        return text
    monkeypatch.setattr(provenance.Path, 'read_text', read)
    monkeypatch.setattr(provenance, '_said', lambda *words: '')
    provenance.model_name.cache_clear()
    assert provenance.model_name() == (name or platform.processor() or platform.machine())
    provenance.model_name.cache_clear()


@pytest.mark.needs('git')
def test_the_commit_is_that_of_the_checkout(root):
    said = subprocess.run(['git', 'rev-parse', 'HEAD'], cwd=root, capture_output=True, text=True).stdout.strip()
    assert provenance.commit().rstrip('+') == said


@pytest.mark.needs('git')
@pytest.mark.parametrize('place', ['clone', 'worktree', 'copy'])
def test_the_commit_in_a_clone_a_worktree_and_a_copy(tmp_path, root, place):
    "A result that is made in one of these names its commit; a copy without a history has none."
    first, here = tmp_path/'first', tmp_path/'here'
    me = ['-c', 'user.name=a', '-c', 'user.email=a@example.invalid']
    def git(*words): return subprocess.run(['git', *me, *words], check=True, capture_output=True, text=True).stdout
    (first/'tinyformer').mkdir(parents=True)
    for name in ('__init__.py', 'provenance.py'): shutil.copyfile(root/'tinyformer'/name, first/'tinyformer'/name)
    git('init', '-q', first), git('-C', first, 'add', '-A'), git('-C', first, 'commit', '-q', '-m', 'start')
    if place == 'clone': git('clone', '-q', first, here)
    elif place == 'worktree': git('-C', first, 'worktree', 'add', '-q', '-b', 'other', here)
    else: shutil.copytree(first, here, ignore=shutil.ignore_patterns('.git'))
    code = 'from tinyformer.provenance import commit; print(commit())'
    env = os.environ | dict(PYTHONPATH=str(here))
    def said(): return subprocess.run([sys.executable, '-c', code], env=env, cwd=tmp_path, capture_output=True,
                                      text=True).stdout.strip()
    head = git('-C', first, 'rev-parse', 'HEAD').strip() if place != 'copy' else ''
    assert said() == head
    (here/'tinyformer'/'__init__.py').write_text('changed = True\n')
    assert said() == (head and head + '+')
