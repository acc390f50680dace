"""Other people's builds: some of the matrix of `tests/builds.py`, and everything as C++."""
import subprocess

import pytest

import builds
from tinyformer import toolchain as tc

SOME = [('gcc', 'm4 softfp', '-O3'), ('gcc', 'm33 r9 reserved, frame pointers', '-Os'),
        ('gcc', 'm7 frame pointers', '-O0'), ('zig', 'm7 frame pointers', '-O2')]


@pytest.fixture(scope='module')
def model(tmp_path_factory):
    "A generated model, and the files that hold assembly."
    folder = tmp_path_factory.mktemp('builds')/'model'
    return folder, builds.sources(folder, assembly=True)


@pytest.mark.parametrize('cc, project, level', [pytest.param(*c, marks=pytest.mark.needs('gcc')) if c[0] == 'gcc' else c
                                                for c in SOME])
def test_the_flags_of_a_project(model, cc, project, level):
    folder, files = model
    assert len(files) > 10
    said = builds.build(builds.words(tc.find_compiler(cc, builds.PROJECTS[project][0]), project, level), files, folder)
    assert not said, said


@pytest.mark.needs('cc')
def test_every_source_compiles_as_cpp(model, tmp_path):
    "Kernels, a generated model, and a program that includes all headers."
    folder, _ = model
    names = sorted(p.name for p in (tc.firmware_dir()/'include').glob('*.h'))
    (tmp_path/'all.cpp').write_text(''.join(f'#include "{n}"\n' for n in ['model.h', 'weights.h', 'example.h', *names]))
    files = [folder/'model.c', folder/'weights.c', folder/'host'/'main.c',
             *sorted((tc.firmware_dir()/'kernels').rglob('*.c')), tmp_path/'all.cpp']
    words = ['g++', '-std=c++17', '-x', 'c++', '-Wall', '-Wextra', '-Werror', '-Wno-unused-function',
             '-I', str(tc.firmware_dir()/'include'), '-I', str(folder)]
    done = subprocess.run([*words, *map(str, files), '-o', str(tmp_path/'program')], capture_output=True, text=True)
    assert not done.returncode and not done.stderr, done.stderr
    done = subprocess.run([tmp_path/'program'], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode == 0 and ', 0 different' in done.stdout
