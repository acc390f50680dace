"""The package that a person installs: a real wheel, unpacked elsewhere, without the checkout."""
import os, subprocess, sys, zipfile
from pathlib import Path

import pytest

from conftest import ROOT


@pytest.fixture(scope='module')
def wheel(tmp_path_factory):
    "A wheel built from a copy of the tree, so that no build folder is left here."
    import shutil
    src, out = tmp_path_factory.mktemp('src')/'tinyformer', tmp_path_factory.mktemp('wheel')
    src.mkdir()
    for o in ('setup.py', 'pyproject.toml', 'settings.ini', 'MANIFEST.in', 'README.md', 'LICENSE'):
        shutil.copy(ROOT/o, src)
    for o in ('tinyformer', 'firmware'): shutil.copytree(ROOT/o, src/o, ignore=shutil.ignore_patterns('__pycache__'))
    pip = [sys.executable, '-m', 'pip', 'wheel', '-q', '--no-deps', '--no-build-isolation']
    subprocess.run([*pip, '-w', str(out), str(src)], check=True)
    return next(out.glob('*.whl'))


def test_wheel_holds_sources_and_data(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    want = {f'tinyformer/{o.relative_to(ROOT).as_posix()}' for o in (ROOT/'firmware').rglob('*')
            if o.suffix in ('.c', '.h', '.s', '.S', '.ld', '.in') or o.name == 'Makefile' and o.is_file()}
    want |= {f'tinyformer/{o.name}' for o in (ROOT/'tinyformer').glob('*.py')}
    want |= {f'tinyformer/{o}' for o in ('LICENSE', 'cost_table.json', 'networks/R.json', 'networks/P.json',
                                         'models/digits.tfm', 'models/digits.json',
                                         'web/live.js', 'web/live.css')}
    assert len(want) > 20 and not want - names, sorted(want - names)
    assert not [o for o in names if o.startswith(('tests/', 'nbs/', 'firmware/', 'docs/'))]


def test_installed_package_stands_alone(wheel, tmp_path):
    "Unpacked elsewhere and run from an empty folder, it finds its C sources and cost table, and the command answers."
    zipfile.ZipFile(wheel).extractall(tmp_path/'site')
    run = ("import tinyformer, tinyformer.toolchain as t; from tinyformer.kernels import load_cost_table;"
           "from tinyformer import zoo; assert zoo.load('digits').card['name'] == 'digits';"
           "print(tinyformer.__file__); print(t.firmware_dir()); print(len(load_cost_table()['kernels']))")
    empty = tmp_path/'empty'; empty.mkdir()
    env = dict(os.environ, PYTHONPATH=str(tmp_path/'site'))
    p = subprocess.run([sys.executable, '-c', run], cwd=empty, env=env, capture_output=True, text=True)
    assert p.returncode == 0, p.stderr
    file, firmware, kinds = p.stdout.split()
    package = tmp_path/'site'/'tinyformer'
    assert Path(file).parent == package and Path(firmware) == package/'firmware' and int(kinds) > 5
    command = [sys.executable, '-m', 'tinyformer.cli', '--help']
    p = subprocess.run(command, cwd=empty, env=env, capture_output=True, text=True)
    assert p.returncode == 0 and 'demo' in p.stdout, p.stderr
    assert not list(empty.iterdir())


@pytest.mark.parametrize('name', ['errors', 'files', 'toolchain', 'hardware', 'rle_encoding', 'memory_alloc', 'cli'])
def test_light_modules_load_without_torch(name):
    "What costs nothing to compute costs nothing to import: `tinyformer targets` answers at once."
    run = f"import sys, tinyformer.{name}; sys.exit('torch' in sys.modules)"
    p = subprocess.run([sys.executable, '-c', run], capture_output=True, text=True)
    assert p.returncode == 0, p.stderr or f'{name} imports torch'
