"""Names that moved are found where they were (tinyformer/moved.py)."""
import importlib
from pathlib import Path

import pytest

from tinyformer.moved import passed_on

PACKAGE = Path(__file__).parent.parent/'tinyformer'
PASSING = sorted(o.stem for o in PACKAGE.glob('*.py') if '= passed_on(' in o.read_text())


def test_a_name_comes_from_its_owner_or_is_missed():
    found = passed_on('here', units='KB MB', errors='BadInput')
    assert found.owners == dict(KB='units', MB='units', BadInput='errors')
    assert found('KB') == 1024 and found('BadInput').__module__ == 'tinyformer.errors'
    with pytest.raises(AttributeError, match="module 'here' has no attribute 'GB'"): found('GB')


@pytest.mark.parametrize('name', PASSING)
def test_every_name_that_a_module_passes_on(name):
    module = importlib.import_module(f'tinyformer.{name}')
    for moved, owner in module.__getattr__.owners.items():
        assert moved not in vars(module), f'{name} has a {moved} of its own'
        assert getattr(module, moved) is getattr(importlib.import_module(f'tinyformer.{owner}'), moved)
    with pytest.raises(AttributeError, match=f'tinyformer.{name}'): module.not_a_name


def test_modules_pass_on(): assert {'graph', 'kernels', 'pipeline', 'search_space', 'sparsenas'} <= set(PASSING)


@pytest.mark.parametrize('owner', ['kernel_costs', 'kernel_choice'])
def test_kernels_knows_the_names_of_the_pages_behind_it(owner):
    kernels, there = (importlib.import_module(f'tinyformer.{o}') for o in ('kernels', owner))
    missing = [n for n in there.__all__ if not n.startswith('_') and not hasattr(kernels, n)]
    assert there.__all__ and not missing
