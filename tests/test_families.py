"""Two families side by side: which paths, one small training of each, a record that goes on, and its fronts."""
import json

import matplotlib
import matplotlib.pyplot as plt
import pytest

from tinyformer import families as F
from tinyformer.data import load
from tinyformer.errors import BadInput, RunFolderError
from tinyformer.cost_model import cost
from tinyformer.supernas import used

matplotlib.use('Agg')


def test_both_families_keep_the_same_limits():
    cfg, data = F.Settings(images=1920), load('digits')
    for space in cfg.spaces(data).values():
        found = F.paths(space, cfg.limits(), 4)
        assert len(set(found)) == 4 and all(space.contains(a) for a in found)
        assert all(used(cost(a, F.BOARD))[0] <= 42*1024 and used(cost(a, F.BOARD))[1] <= 16*1024 for a in found)
    with pytest.raises(BadInput, match='of 200 random paths'): F.paths(space, (20_000, 16_384), 4)
    photos = F.Settings('cifar10', 'small', minutes=10)
    assert photos.limits() == (256*1024, 64*1024)
    assert [s.cfg.minutes for s in photos.stages(0).values()] == pytest.approx([10/3, 20/3])


@pytest.mark.parametrize('budget, said', [({}, 'one of the two'), (dict(images=9, minutes=1), 'one of the two'),
                                          (dict(images=100), 'images is 100'), (dict(minutes=0), 'minutes is 0')])
def test_a_budget_is_one_of_two_and_not_too_small(budget, said):
    with pytest.raises(BadInput, match=said): F.Settings(**budget)


def test_a_record_goes_on_and_refuses_other_settings(tmp_path, monkeypatch):
    "The trainings themselves are short; what was trained is not trained again."
    seen, train = [], F.trained
    def noted(cfg, data, arch, seed, name):
        seen.append((name.name, seed))
        return train(cfg, data, arch, seed, name)
    monkeypatch.setattr(F, 'trained', noted)
    file, words = tmp_path/'families.json', ['--images', '1920', '--out', str(tmp_path/'run'), '--paths', '1']
    F.main([*words, '--record', str(file), '--seeds', '1'])
    held = json.loads(file.read_text())
    assert seen == [('paper_0_0', 0), ('residual_0_0', 0)] and not list((tmp_path/'run').iterdir())
    assert [r['family'] for r in held['runs']] == ['paper', 'residual'] and '--images 1920' in held['meta']['command']
    assert all(0 < r['accuracy'] <= 1 and r['cycles'] > r['macs']/8 and r['sram'] < 16_384 for r in held['runs'])
    F.main([*words, '--record', str(file), '--seeds', '1'])
    assert len(seen) == 2
    other = ['--images', '2000', '--record', str(file), '--paths', '1']
    with pytest.raises(RunFolderError, match='images'): F.main(other)
    with pytest.raises(BadInput, match='paths is 0'): F.main(['--images', '1920', '--paths', '0'])


RUNS = [dict(family='paper', path=0, seed=0, accuracy=.8, flash=100, sram=10, cycles=5),
        dict(family='paper', path=0, seed=1, accuracy=.9, flash=100, sram=10, cycles=5),
        dict(family='paper', path=1, seed=0, accuracy=.7, flash=120, sram=8, cycles=4),
        dict(family='residual', path=0, seed=0, accuracy=.95, flash=90, sram=20, cycles=9)]


def test_a_front_holds_what_nothing_beats():
    points = F.means(RUNS)
    named = [(p['family'], p['path'], p['seeds']) for p in points]
    assert named == [('paper', 0, 2), ('paper', 1, 1), ('residual', 0, 1)]
    assert (points[0]['low'], points[0]['accuracy'], points[0]['high']) == (.8, pytest.approx(.85), .9)
    own = [p for p in points if p['family'] == 'paper']
    assert [p['path'] for p in F.front(own, 'flash')] == [0] and [p['path'] for p in F.front(own, 'sram')] == [1, 0]
    fig = F.plot_fronts(RUNS)
    assert [ax.get_xlabel() for ax in fig.axes] == list(F.COSTS.values())
    plt.close(fig)
