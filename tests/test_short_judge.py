"""A judge that trains: rungs, what stops, and a judge that was killed."""
from dataclasses import replace

import pytest

from tinyformer import short_judge as S
from tinyformer.cost_model import cost
from tinyformer.data import load
from tinyformer.errors import BadInput, RunFolderError
from tinyformer.hardware import target
from tinyformer.one_shot import PrunedSuperNet, judge
from tinyformer.run_config import RunConfig, settings
from tinyformer.run_folder import forget
from tinyformer.search_space import residual_space
from tinyformer.sparsenas import search
from tinyformer.supernas import used
from tinyformer.training import TrainConfig, rng_at

STAGE = ((0, 1), (0, 1), (1,))               # residuals, bottlenecks, transformers
SPACE = residual_space('mini', (8, 8, 1), 10, width=((8, 12),), sparsity=((.5, .7),), repeat=(STAGE,))
SHORT = S.Short(200, TrainConfig(batch_size=20, lr=1e-2), rungs=2, calibration=50)
BOARD = target('stm32f746')


@pytest.fixture(scope='module')
def data():
    d = load('digits')
    return replace(d, x_train=d.x_train[:200], y_train=d.y_train[:200], x_val=d.x_val[:100], y_val=d.y_val[:100])


@pytest.fixture(scope='module')
def net(): return PrunedSuperNet(SPACE)


def made(net, data, run, short=SHORT): return S.ShortJudge(net, data, short, run)


@pytest.fixture
def told(monkeypatch):
    "A judge without trainings: each candidate's accuracy is looked up, and each rung is noted."
    seen = []
    def climb(self, model, arch, rung, work):
        seen.append((arch, rung))
        return self.known[arch] + .01*rung
    monkeypatch.setattr(S.ShortJudge, '_climb', climb)
    return seen


def test_the_images_of_a_rung_are_counted_from_the_beginning():
    assert [SHORT.spent(rung) for rung in (-1, 0, 1, 2)] == [0, 200, 600, 1800]
    assert [SHORT.stage(rung).cfg.images for rung in (0, 1)] == [200, 400]
    assert [SHORT.stage(rung).rise for rung in (0, 1)] == [(.1, .6), (0., 0.)]
    with pytest.raises(BadInput, match='images is 199: give 200'): S.Short(199, SHORT.cfg)
    with pytest.raises(BadInput, match='rungs is 0'): S.Short(200, SHORT.cfg, rungs=0)


def test_only_the_best_third_goes_on(net, data, tmp_path, told):
    "The first is the best so far; of six candidates that get worse and worse it alone, and the second of nothing."
    judge_ = made(net, data, tmp_path)
    archs = list({SPACE.sample(rng_at(0, i)): None for i in range(40)})[:6]
    judge_.known = {a: .9 - .1*i for i, a in enumerate(archs)}
    got = [judge_(a) for a in archs]
    assert got == pytest.approx([.91, .8, .7, .6, .5, .4])
    assert judge_.rungs() == {200: 6, 600: 1} and len(told) == 7
    better = list({SPACE.sample(rng_at(1, i)): None for i in range(40) if SPACE.sample(rng_at(1, i)) not in archs})[0]
    judge_.known[better] = .95
    assert judge_(better) == pytest.approx(.96) and judge_.rungs() == {200: 7, 600: 2}
    assert judge_(archs[1]) == pytest.approx(.8) and len(told) == 9              # known: not trained again


def test_a_killed_judge_goes_on_and_gives_the_same_accuracy(net, data, tmp_path, monkeypatch):
    arch, steps = SPACE.largest(), []
    whole = made(net, data, tmp_path/'whole')(arch)
    train = S.train_stage
    def killed(model, d, stage, file, *args, **kw):
        if file.name == 'rung1.ckpt': raise KeyboardInterrupt
        return train(model, d, stage, file, *args, **kw)
    monkeypatch.setattr(S, 'train_stage', killed)
    with pytest.raises(KeyboardInterrupt): made(net, data, tmp_path/'killed')(arch)
    assert len(list((tmp_path/'killed'/'short').glob('*/rung0.ckpt'))) == 1
    def noted(model, d, stage, file, *args, **kw):
        steps.append((file.name, file.exists()))
        return train(model, d, stage, file, *args, **kw)
    monkeypatch.setattr(S, 'train_stage', noted)
    again = made(net, data, tmp_path/'killed')
    assert again(arch) == whole and steps == [('rung0.ckpt', True), ('rung1.ckpt', False)]
    assert again.rungs() == {200: 1, 600: 1} and not list((tmp_path/'killed'/'short').glob('*'))


def test_training_makes_better_what_the_supernet_cannot(net, data, tmp_path):
    "The supernet of this test is untrained; a short training of a path is not."
    arch, longer = SPACE.largest(), replace(SHORT, images=2000, rungs=1)
    assert made(net, data, tmp_path, longer)(arch) > judge(net, arch, data, 50) + .2


def test_sparsenas_over_plain_residuals_with_the_judge_that_trains(net, data, tmp_path):
    fits = sorted(sum(used(cost(SPACE.sample(rng_at(0, i)), BOARD))) for i in range(9))[4]
    board, how = BOARD.with_budget(fits, '32KB'), dict(trials=3, run=tmp_path, progress=False)
    def find(short): return search(SPACE, net, data, board, accuracy_of=made(net, data, tmp_path, short), **how)
    found = find(SHORT)
    assert len(found.trials) == 3 and found.winner.feasible and 0 <= found.winner.accuracy <= 1
    assert [c.accuracy for c in find(SHORT).trials] == [c.accuracy for c in found.trials]    # nothing is left to do
    with pytest.raises(RunFolderError, match='another'): find(replace(SHORT, images=300))
    with pytest.raises(RunFolderError, match='with another judge'): search(SPACE, net, data, board, **how)


def test_settings_name_the_judge(net, data, tmp_path):
    cfg = settings(RunConfig(), judge='short', batch_size=20)
    assert S.judging(RunConfig(), None, None, '.') == {}
    def rungs(run, **kw): return S.judging(replace(cfg, **kw), net, data, run)['accuracy_of'].short.rungs
    for name in 'ab': (tmp_path/name).mkdir()
    assert (rungs(tmp_path/'a'), rungs(tmp_path/'b', judge_rungs=1)) == (3, 1)
    with pytest.raises(BadInput, match='judge_rungs is 0'): settings(cfg, judge_rungs=0)
    with pytest.raises(BadInput, match='judge_images is 100: give 200'): settings(cfg, judge_images=100)
    with pytest.raises(BadInput, match="no judge 'long'; there are one-shot, short"): settings(cfg, judge='long')


def test_what_a_killed_judge_left_is_forgotten_with_the_search(tmp_path):
    S.claim(tmp_path/'short'/'0a', 'rung0.ckpt')
    (tmp_path/'short'/'0a'/'rung0.ckpt').write_text('weights')
    (tmp_path/'short'/'mine').mkdir()
    forget(tmp_path, 'sparsenas')
    assert [p.name for p in (tmp_path/'short').iterdir()] == ['mine']
