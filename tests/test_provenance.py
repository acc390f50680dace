"""A result names the processor, the libraries and the code that made it."""
import os, platform, subprocess, sys
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
