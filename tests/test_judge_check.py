"The judge beside float, small: the long run is `python -m tinyformer.judge_check`."
import json

import numpy as np, pytest, torch

from tinyformer import judge_check, provenance
from tinyformer.data import load, to_float
from tinyformer.search_space import digits_space
from tinyformer.supernet import recalibrate_bn
from tinyformer.sparsenas import PrunedSuperNet, train_supernet
from tinyformer.training import TrainConfig, rng_at

DATA = load('digits')
SPACE = digits_space('small', stem=(8, 12), early=(0,), width=(16, 24), expand=(3,), dim=(16, 24), ffn=(32, 48),
                     depth=(1,), convs=(True,), head=(32,))


@pytest.fixture(scope='module')
def net():
    torch.set_num_threads(1)
    return train_supernet(SPACE, DATA, TrainConfig(epochs=4, batch_size=64, lr=1e-2, seed=1), progress=False)


def test_integers_judge_as_float_does(net):
    "Over 5 seeds and 200 paths the farthest was 2.4 points; ranges by extremes alone are off by 30."
    rows = judge_check.check_many(net, DATA, 12, ways=('corrected',))
    s = judge_check.summary(rows, 'corrected')
    assert s['paths'] == 12 and s['worst'] < 6 and len({r['float'] for r in rows}) > 3


def test_all_ways_make_a_network_and_narrower_ranges_are_narrower(net):
    x = to_float(DATA.x_train[:64])
    model = recalibrate_bn(net.extract(SPACE.sample(rng_at(0, 0))), [x])
    made = {k: f(model, x).eval() for k, f in judge_check.WAYS.items()}
    spans = {k: sum(float(q.quantizer(n.name).hi) for n in q.nodes) for k, q in made.items()}
    assert spans['extremes'] == pytest.approx(spans['corrected'])
    assert spans['percentiles'] < spans['extremes'] >= spans['mse']
    with torch.no_grad(): assert all(made[k](x).isfinite().all() for k in made)


def test_equalised_layers_meet_at_equal_weights_and_compute_the_same(net):
    x = to_float(DATA.x_train[:16])
    model = recalibrate_bn(net.extract(SPACE.sample(rng_at(0, 0))), [x])
    qnet = judge_check.read(model, x)
    pairs = list(judge_check._neighbours(qnet))
    deep = [b.kind == 'conv' and b.attrs['groups'] > 1 for _, b in pairs]
    assert len(pairs) > 3 and any(deep) and not all(deep)
    before = [a.weight.clone() for a, _ in pairs]
    judge_check.equalized(qnet, 30)
    assert any((was != a.weight).any() for was, (a, _) in zip(before, pairs))
    with torch.no_grad(): want, got = model(x), judge_check.watch(qnet.eval())(x)
    torch.testing.assert_close(got, want, rtol=1e-3, atol=1e-3 * float(want.abs().max()))
    a, b = pairs[deep.index(True)]
    one, two = a.weight.abs().flatten(1).amax(1), b.weight.abs().flatten(1).amax(1)
    both = (one > 0) & (two > 0)
    assert both.any() and torch.allclose(one[both], two[both], rtol=.05)


def test_a_summary_counts_what_is_within_three_points():
    rows = [dict(float=.5, a=.5), dict(float=.5, a=.53), dict(float=.5, a=.4)]
    want = dict(way='a', paths=3, within_3=2/3, worst=10., mean=pytest.approx(13/3, abs=1e-3))
    assert judge_check.summary(rows, 'a') == want


def test_the_command_writes_rows_and_where_they_come_from(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(provenance, 'commit', lambda: 'c0ffee')
    monkeypatch.setattr(judge_check, 'commit', lambda: '')
    out = tmp_path/'judge.json'
    small = '--paths 1 --epochs 1 --images 64 --val 32 --calibration 32'
    assert judge_check.main(['digits', *small.split(), '--out', str(out)]) == 0
    file = json.loads(out.read_text())
    said = capsys.readouterr()
    assert '| corrected | 1 |' in said.out and 'no git checkout' in said.err and file['meta']['commit'] == 'c0ffee'
    assert file['meta']['command'].endswith(small)
    assert len(file['rows']) == 1 and np.isfinite(file['rows'][0]['corrected'])


def test_stored_runs_are_shown_one_way_a_line():
    run = dict(meta=dict(command='python -m tinyformer.judge_check digits'),
               summary=[dict(way='extremes', paths=20, within_3=.735, worst=30.04, mean=3.849),
                        dict(way='corrected', paths=20, within_3=1., worst=2.8, mean=.72)])
    lines = judge_check.stored_table(dict(digits=[run, run], cifar10=run)).splitlines()
    assert lines[2] == '| digits | extremes | 20 | 73.5% | 30.0 | 3.85 |'
    assert [o.split(' | ')[0] for o in lines[2:8]] == ['| digits']*4 + ['| cifar10']*2 and len(lines) == 2 + 6 + 1 + 3
    assert lines[-1] == '`python -m tinyformer.judge_check digits`'
