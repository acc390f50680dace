"""The networks of torchvision and timm: the script that sends them through the whole road, on two of the smallest and
on made-up ones, and what it has stored. All of them: `tests/networks.py` (about an hour)."""
import json
from pathlib import Path
from types import SimpleNamespace

import pytest, torch, torch.nn as nn

import networks
from networks import NETWORKS, Network, attempt, libraries, name_of, through

STORED = Path(__file__).parent.parent/'nbs/experiments/results/networks.json'


def small(num_classes): return nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(),
                                             nn.Linear(4 * 7 * 7, num_classes))


class Sequence(nn.Module):
    def __init__(self, num_classes): super().__init__(); self.lstm = nn.LSTM(16, num_classes, batch_first=True)
    def forward(self, x): return self.lstm(x[:, 0])[0][:, -1]


MADE_UP = dict(torchvision=SimpleNamespace(small=small, sequence=Sequence))
SMALL, SEQUENCE = (Network('torchvision', name, 16, 'made up') for name in ('small', 'sequence'))


@pytest.fixture
def made_up(monkeypatch):
    "Two networks in place of the list, and only one library."
    monkeypatch.setattr(networks, 'NETWORKS', [SMALL, SEQUENCE])
    monkeypatch.setattr(networks, 'libraries', lambda: MADE_UP)


@pytest.mark.parametrize('factory, least', [('shufflenet_v2_x0_5', 0), ('squeezenet1_1', 30)])
def test_two_of_the_smallest_go_the_whole_road(factory, least):
    "The first is random and deep: see experiments/networks for what that does to its answers."
    net = next(n for n in NETWORKS if n.factory == factory)
    row = attempt(net._replace(size=32), libraries(), through)
    assert row['result'] == 'ok' and row['bytes_compared'] >= 60, row
    assert row['snr'] > least and row['step_db'] > 30


def test_rows_are_kept_and_a_refused_network_is_one(made_up, tmp_path, capsys, monkeypatch):
    out = tmp_path/'networks.json'
    assert networks.main(['--out', str(out)]) == 0
    assert '1 of 2 networks run with their bytes right, 1 refused' in capsys.readouterr().out
    rows = json.loads(out.read_text())['rows']
    assert rows['torchvision small']['result'] == 'ok' and rows['torchvision sequence']['refused'] == ['LSTM']
    monkeypatch.setattr(networks, 'attempt', None)                     # nothing is made again
    assert networks.main(['--out', str(out)]) == 0


def test_wrong_bytes_are_a_failure(made_up, monkeypatch, capsys):
    real = networks.run
    monkeypatch.setattr(networks, 'run', lambda graph, x: real(graph, x) ^ 1)
    assert networks.main(['-k', 'small']) == 1
    assert '1 wrong' in capsys.readouterr().out


def test_a_library_that_is_missing_is_said(made_up, monkeypatch, capsys):
    monkeypatch.setattr(networks, 'NETWORKS', [SMALL._replace(library='timm')])
    assert networks.main([]) == 1
    assert networks.INSTALL in capsys.readouterr().out
    with pytest.raises(SystemExit, match='no network is named'): networks.main(['-k', 'nothing'])


def test_settled_networks_switch_nothing_off():
    torch.manual_seed(0)
    net = small(10)
    nn.init.zeros_(net[1].weight)
    net = networks.settle(net, networks.pictures(8, 16, 1))
    assert net[1].weight.min() > 0 and net[1].running_var.min() > 0 and not net.training


def test_the_stored_rows_are_whole():
    d = json.loads(STORED.read_text(encoding='utf-8'))
    assert {'command', 'commit', 'versions', 'machine', 'seconds'} <= set(d['meta'])
    assert set(d['rows']) <= set(map(name_of, NETWORKS)) and len(d['rows']) >= 30
    right = [r for r in d['rows'].values() if r['result'] == 'ok']
    assert len(right) >= 24 and not any(r['host_different'] or r['core_different'] for r in right)
