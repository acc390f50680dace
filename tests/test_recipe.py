"The long road for photographs, with tiny numbers: every step runs, goes on, and says what is missing."
import json

import numpy as np
import pytest

from tinyformer import recipe
from tinyformer.errors import RunFolderError
from tinyformer.graph import load as load_graph
from tinyformer.search_space import Arch


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    "A data set of 32x32 photographs that a network can tell apart, and a run folder beside it."
    out, rng = tmp_path_factory.mktemp('recipe'), np.random.default_rng(0)
    y = np.arange(160) % 10
    x = (rng.integers(0, 120, (160, 32, 32, 3)) + 12 * y[:, None, None, None]).astype(np.uint8)
    np.savez(out / 'tiny.npz', x_train=x[:120], y_train=y[:120], x_test=x[120:], y_test=y[120:])
    return out


def go(folder, *args): recipe.main([*args, '--out', str(folder / 'run'), '--dataset', 'tiny', '--size', 'small', '--quick'])


def test_every_step_in_order(folder, monkeypatch, capsys):
    monkeypatch.setenv('TINYFORMER_DATA', str(folder))
    run = folder / 'run'
    with pytest.raises(RunFolderError, match='first run .* supernet'): go(folder, 'search')
    for step in ('teacher', 'supernet', 'search'): go(folder, step)
    with pytest.raises(RunFolderError, match='another model'): recipe._restore(recipe.resnet18(4), run / 'teacher0.pt', 'teacher')
    go(folder, 'train'), go(folder, 'rank')
    trials = json.loads((run / 'search_small.json').read_text())['trials']
    assert len(trials) == recipe.QUICK['trials']
    found = json.loads((run / 'train_small.result.json').read_text())
    won = next(t for t in trials if t['number'] == found['candidate'])
    graph = load_graph(run / 'small' / 'model.tfm')
    assert tuple(graph.tensors[graph.input].shape) == (32, 32, 3) and graph.name == 'tiny-small'
    assert Arch.from_json(won['arch']).input == (32, 32, 3)
    assert 0 < found['sparsity'] < 1 and set(found['val_accuracy']) == {'float', 'pruned', 'int8'}
    assert json.loads((run / 'rank_small_0.result.json').read_text())['val_images'] == 12


def test_the_choice_is_the_largest_near_the_top():
    cands = [(dict(accuracy=a, cost=dict(params=p)), None) for a, p in ((.80, 10), (.799, 30), (.70, 99))]
    assert recipe.choose(cands, 1000)[0]['cost']['params'] == 30
    assert recipe.choose(cands, 10**8)[0]['cost']['params'] == 10
