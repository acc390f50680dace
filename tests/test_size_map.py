"Accuracy over flash and SRAM, small: the long run is `tinyformer map`."
import json
from dataclasses import replace

import numpy as np, pytest

from tinyformer import cli, size_map as sm
from tinyformer.arch import residual_arch
from tinyformer.cost_model import cost
from tinyformer.errors import CorruptModel, RunFolderError
from tinyformer.hardware import target

SHAPE, CLASSES = (32, 32, 3), 43
TINY = sm.MapConfig(dataset='digits', flash=('48KB',), widths=(8,), images=1280)


def _run(width, flash, seed=0, **more):
    "A run of a record, as wide and as large as it says."
    sizes = dict(flash_bytes=900 * width, sram_bytes=100 * width, arena_bytes=90 * width, instructions=1e6, cycles=1)
    return dict(width=width, flash=flash, seed=seed, chosen_by=.5, accuracy=.5, weight_sparsity=.5, cpu_seconds=1.,
                commit='c') | sizes | more


def test_twice_the_channels():
    one, two = residual_arch('mini', SHAPE, CLASSES), sm.widened(residual_arch('mini', SHAPE, CLASSES), 2)
    assert [2 * c for *_, c in one.shapes()[1:]] == [c for *_, c in two.shapes()[1:]]
    assert [b.sparsity for b in one.blocks] == [b.sparsity for b in two.blocks]


def test_networks_fill_their_flash_and_none_is_trained_twice():
    cfg, board = sm.MapConfig(), target(sm.BOARD)
    found = sm.networks(cfg, SHAPE, CLASSES)
    assert len(found) >= len(cfg.flash) + len(cfg.widths) - 1 and len(set(found.values())) == len(found)
    for (width, flash), arch in found.items():
        limit, dense = sm.parse_bytes(flash), min(b.sparsity for b in arch.blocks[1:]) < .05
        assert arch.blocks[0].cout == width and max(b.sparsity for b in arch.blocks) <= sm.MOST
        assert cost(arch, board).storage_bytes <= sm.ROOM * limit
        assert dense or cost(arch, board).storage_bytes > .97 * limit


def test_no_group_is_in_two_parts():
    groups = np.arange(300) // 5
    y = groups % 4
    train, choose, show = found = sm.halves(y, groups)
    assert sorted(np.concatenate(found)) == list(range(300)) and len(choose) == len(show) == 30
    seen = [set(groups[part]) for part in found]
    assert not (seen[0] & seen[1] or seen[0] & seen[2] or seen[1] & seen[2])
    assert sum(map(len, sm.halves(y, None))) == 300


def test_a_winner_fits_and_is_chosen_by_the_other_half():
    "The narrow network is the better one to choose by, the wide one on the images that are shown."
    nets = sm.summed([_run(8, '48KB', chosen_by=.6, accuracy=.4), _run(16, '48KB', chosen_by=.5, accuracy=.7)])
    assert sm.winner(nets, 20_000, 2_000)['width'] == 8
    assert sm.winner(nets[1:], 20_000, 2_000)['width'] == 16
    assert sm.winner(nets[1:], 14_399, 2_000) is sm.winner(nets[1:], 20_000, 1_599) is None


def test_seeds_are_put_together():
    "Accuracies are means; an image of one seed that is too large keeps a network out."
    runs = [_run(8, '48KB', s, accuracy=a, flash_bytes=b) for s, (a, b) in enumerate(((.5, 100), (.7, 120)))]
    net, = sm.summed(runs)
    assert net['accuracy'] == pytest.approx(.6) and net['seeds'] == 2 and net['half'] > .1
    assert net['flash_bytes'] == 120 and sm.winner([net], 110, 10_000) is None


def test_a_map_says_where_nothing_fits():
    runs = [_run(8, '48KB'), _run(140, '128KB', accuracy=.9, chosen_by=.9)]
    text = sm.map_table(runs, ('48KB', '128KB'))
    assert text.splitlines()[2:] == ['| 48KB | 50.0 (8) | 50.0 (8) | 50.0 (8) | 50.0 (8) |',
                                     '| 128KB | 50.0 (8) | 90.0 (140) | 90.0 (140) | 90.0 (140) |']
    assert '| - |' in sm.map_table(runs[1:], ('48KB',)) and '| 140 | 128KB |' in sm.nets_table(runs)
    fig = sm.draw_map(runs[1:], ('48KB', '128KB'))
    words = [t.get_text() for t in fig.axes[0].texts]
    assert words.count('nothing') == 5 and words.count('90.0\n140 channels') == 3


def test_a_map_is_continued(tmp_path, monkeypatch):
    done, file = [], tmp_path/'m.json'
    def run_of(arch, key, data, shown, cfg, seed, out):
        if len(done) == 2: raise KeyboardInterrupt
        done.append((*key, seed))
        return _run(*key, seed)
    monkeypatch.setattr(sm, 'run_of', run_of)
    cfg = replace(TINY, widths=(8, 12))
    names = [('8', '48KB'), ('12', '48KB')]
    ask = lambda seeds, cfg=cfg: sm.record(file, cfg, seeds, tmp_path, told=lambda _: None)
    with pytest.raises(KeyboardInterrupt): ask(2)
    first, done[:] = list(done), []
    assert [(str(w), f) for w, f, s in first] == names and len(json.loads(file.read_text())['runs']) == 2
    assert len(ask(2)['runs']) == 4 and done == [(w, f, 1) for w, f, _ in first]
    with pytest.raises(RunFolderError, match=r'other settings \(images\)'): ask(2, replace(cfg, images=6400))
    file.write_text('{}')
    with pytest.raises(CorruptModel, match='no record of a map'): ask(2)


@pytest.mark.thorough
def test_one_network_is_trained_and_measured(tmp_path):
    held = sm.record(tmp_path/'m.json', TINY, 1, tmp_path, 'map', told=lambda _: None)
    run, = held['runs']
    assert .02 < run['accuracy'] <= 1 and run['choose_images'] + run['shown_images'] == 287
    assert run['arena_bytes'] < run['sram_bytes'] < 12 * 1024 and 30_000 < run['flash_bytes'] <= 48 * 1024
    assert held['meta']['settings']['widths'] == [8] and held['meta']['command'] == 'map'


@pytest.mark.parametrize('words,said', [('--data mnist', "no data set 'mnist'"), ('--images 100', 'images'),
                                        ('--seeds 0', '--seeds'), ('--record .', 'is a folder')])
def test_bad_settings(words, said, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(['map', *words.split()]) == 1
    assert said in capsys.readouterr().err and not list(tmp_path.iterdir())
