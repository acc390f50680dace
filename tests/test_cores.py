"""Every core that something here runs: the table of `tinyformer bench --cores`, on a small model."""
import json

import pytest

from tinyformer import bench, cli, cores
from tinyformer.errors import BadInput
from tinyformer.graph import random_graph


@pytest.fixture
def small(monkeypatch):
    "One model in place of those of the zoo."
    monkeypatch.setattr(cores, 'models', lambda: {'small': random_graph(0, (6, 6, 4), 8, 2, sparsity=.5)})


@pytest.mark.thorough
@pytest.mark.needs('gcc', 'qemu', 'node')
def test_every_row_returns_the_reference_bytes(small):
    rows = cores.table(optimize='-O2')
    assert [r['target'] for r in rows] == list(cores.ROWS) and all(r['bytes_different'] == 0 for r in rows)
    assert {r['target']: r['ran'] for r in rows} == {
        **dict.fromkeys(cores.ROWS, 'Unicorn'), **dict.fromkeys(cores.QEMU, 'Unicorn, QEMU'), 'wasm32': 'Node'}
    for r in rows:
        assert (r['instructions'] is None) == (r['target'] == 'wasm32')
        if 'qemu_instructions' in r: assert r['qemu_instructions'] == pytest.approx(r['instructions'], rel=.02)
    said = cores.text(rows).splitlines()
    assert len(said) == 1 + len(rows) + 2 and said[0].split()[-2:] == ['compared', 'different']


def test_the_command_makes_a_record_or_nothing(small, monkeypatch, tmp_path, capsys):
    out, right = tmp_path/'cores.json', cores._compared
    monkeypatch.setattr(cores, 'ROWS', ('esp32c3',))
    monkeypatch.setattr(bench, 'made_by', lambda seconds, command: dict(command=command))
    monkeypatch.setattr(cores, '_compared', lambda got, want: right(got, want) | dict(bytes_different=3))
    assert cli.main(['bench', '--cores', '--record', str(out)]) == 1
    assert 'small on esp32c3: 3' in capsys.readouterr().err and not out.exists()
    monkeypatch.setattr(cores, '_compared', right)
    assert cli.main(['bench', '--cores', '--record', str(out)]) in (0, None)
    assert cli.main(['bench', '--cores', '--record', str(out)]) in (0, None)         # and renews it
    kept = json.loads(out.read_text())
    assert kept['rows'][0]['bytes_compared'] == 10*cores.IMAGES and '--cores' in kept['meta']['command']


def test_wrong_names_are_refused(small):
    with pytest.raises(BadInput, match="no row 'abacus'; there are stm32f746"): cores.table(('abacus',))
    with pytest.raises(BadInput, match="no model 'large'; there are small"): cores.table(only=['large'])


def test_what_the_table_does_not_heed_is_refused(capsys):
    for option in (['--network', 'R'], ['--kernel', 'tfm_linear_s8_dsp'], ['--fit']):
        assert cli.main(['bench', '--cores', *option]) == 1
        assert f'leave out {option[0]}' in capsys.readouterr().err
