"What each part is worth, small: the long runs are `tinyformer ablate`."
import json
from dataclasses import replace

import numpy as np, pytest, scipy.stats, torch

from tinyformer import ablation as ab, ablation_counts as ac, cli, pipeline as pl
from tinyformer.arch import Transformer, residual_arch
from tinyformer.cost_model import cost
from tinyformer.errors import CorruptModel, RunFolderError
from tinyformer.files import write_json
from tinyformer.hardware import target
from tinyformer.operators import softmax_table
from tinyformer.search_space import digits_space

BOARD = target('stm32f746')
SPACE = digits_space('small', stem=(8,), early=(0,), width=(16,), expand=(3,), dim=(16, 24), ffn=(32, 48), depth=(1,),
                     convs=(True,), head=(32,))
GIVEN = 'whole', 'block_1x2', 'calibrated'
SLOW = 'whole', 'fresh', 'search_dense', 'block_1x1', 'one_shot', 'calibrated', 'taught', 'convolution', 'float_steps'


@pytest.fixture(scope='module')
def tiny(tmp_path_factory):
    "Settings with a budget of some steps and a space of one supernet that fits."
    file = tmp_path_factory.mktemp('space')/'space.json'
    write_json(file, SPACE.to_json())
    return replace(ab.START['digits'], space=str(file), lo=0., images=1_450, batch_size=6, trials=2)


@pytest.fixture(scope='module')
def rows(tiny, tmp_path_factory):
    "Rows of the whole road with one seed, in one folder: (folder, row -> what the record keeps)."
    out = tmp_path_factory.mktemp('runs')
    torch.set_num_threads(1)
    return out, {name: ab.row_of(out, tiny, name) for name in SLOW}


def _run(rows, name): return pl.Run(ab.folder_of(rows[0], 'digits', name, 0), progress=False)


@pytest.mark.thorough
def test_each_row_ends_in_a_model_of_the_same_flash(rows):
    found = rows[1]
    assert all(r['fits'] and 0 < r['accuracy'] <= 1 for r in found.values())
    for name in ('one_shot', 'calibrated', 'taught', 'block_1x1', 'convolution', 'search_dense'):
        assert abs(found[name]['flash_bytes'] - found['whole']['flash_bytes']) < 1500, name
    assert found['float_steps']['flash_bytes'] == found['whole']['flash_bytes']


@pytest.mark.thorough
def test_rows_share_what_comes_before_the_change_and_nothing_after_it(rows):
    weights = lambda name, file: _run(rows, name).path(file).read_bytes()
    for name in ('block_1x1', 'one_shot', 'calibrated', 'taught'):
        assert weights(name, 'float.pt') == weights('whole', 'float.pt')
        assert weights(name, 'pruned.pt') != weights('whole', 'pruned.pt')
    assert weights('fresh', 'supernet.pt') == weights('whole', 'supernet.pt') != weights('search_dense', 'supernet.pt')
    assert weights('fresh', 'float.pt') != weights('whole', 'float.pt')


def _shown(run):
    "Images that the trainings of a run have shown, as their histories have it."
    return {s: h[-1]['spent'] for s in ('train', 'prune', 'quantize') if (h := pl.result(run, s).get('history'))}


@pytest.mark.thorough
def test_every_row_shows_as_many_images(rows):
    whole = _shown(_run(rows, 'whole'))
    slack = 3 * 6                                                          # a step of each training
    for name in ('block_1x1', 'one_shot', 'calibrated', 'taught'):
        assert abs(sum(_shown(_run(rows, name)).values()) - sum(whole.values())) <= slack, name
    more = sum(_shown(_run(rows, 'fresh')).values()) - sum(whole.values())
    assert abs(more - pl.stages(_run(rows, 'whole').cfg)['supernet'].cfg.images) <= slack
    assert 'quantize' not in _shown(_run(rows, 'calibrated'))


@pytest.mark.thorough
def test_what_is_changed_is_changed(rows):
    archs = {name: ab.arch_of(_run(rows, name)) for name in SLOW if name != 'float_steps'}
    assert {b.block for b in archs['block_1x1'].blocks} | {archs['block_1x1'].head_block} <= {'1x1', '1x4'}
    assert archs['block_1x1'].head_block == '1x1'
    dense = archs['search_dense']
    assert len({b.sparsity for b in dense.blocks if b.sparsity} | {dense.head_sparsity}) == 1
    kinds = [type(b) for b in archs['convolution'].blocks]
    assert Transformer not in kinds and Transformer in [type(b) for b in archs['fresh'].blocks]


@pytest.mark.thorough
def test_a_dense_supernet_is_judged_dense(rows, tiny):
    net = ab.unpruned(_run(rows, 'search_dense'))
    expand = net.state_of(net.space.largest())['blocks.1.expand.weight']
    assert (expand != 0).all()
    net.share = 1.
    pruned = net.state_of(net.space.largest())['blocks.1.expand.weight']
    assert (pruned == 0).float().mean() == pytest.approx(.8, abs=.02)


@pytest.mark.thorough
def test_the_steps_in_float_answer_almost_as_the_integers_do(rows):
    "The network that rounds everywhere is close to the integers; with float steps it still is the same network."
    assert abs(rows[1]['float_steps']['accuracy'] - rows[1]['whole']['accuracy']) < .1


@pytest.mark.thorough
def test_rows_without_a_search(tiny, tmp_path, monkeypatch):
    "A given network: the rows share its float weights, show as many images, and differ in what they say they change."
    torch.set_num_threads(1)
    monkeypatch.setitem(ab.ROWS, 'digits', ab.GIVEN)
    found = {name: ab.row_of(tmp_path, tiny, name) for name in GIVEN}
    assert all(r['fits'] and r['accuracy'] > 0 and r['test_images'] == 360 for r in found.values())
    runs = {name: pl.Run(ab.folder_of(tmp_path, 'digits', name, 0), progress=False) for name in GIVEN}
    shown, whole = {name: sum(_shown(run).values()) for name, run in runs.items()}, runs['whole'].path
    assert max(shown.values()) - min(shown.values()) <= 3 * 6
    for run in list(runs.values())[1:]:
        assert run.path('float.pt').read_bytes() == whole('float.pt').read_bytes()
        assert run.path('pruned.pt').read_bytes() != whole('pruned.pt').read_bytes()
    assert {b.block for b in ab.arch_of(runs['block_1x2']).blocks} == {'1x2'}
    monkeypatch.setattr(pl, 'perform', None)                               # what is there is not done again
    assert ab.row_of(tmp_path, tiny, 'calibrated')['accuracy'] == found['calibrated']['accuracy']


@pytest.mark.thorough
def test_rows_beside_a_search(tiny, tmp_path, monkeypatch):
    "They have its settings and their own, and take over what comes before their change."
    torch.set_num_threads(1)
    searched = replace(ab.ROWS['gtsrb']['searched'], settings=dict(trials=3, space='', lo=.65))
    monkeypatch.setitem(ab.ROWS, 'digits', dict(searched=searched, **ab.SEARCHED))
    monkeypatch.setattr(ab, 'PART', ab.PART[:3])                           # up to the search
    runs = {name: ab.travel(tmp_path, tiny, name) for name in ('searched', 'search_random', 'supernet_rejected')}
    assert tiny.trials != 3 and {r.cfg.trials for r in runs.values()} == {3}
    assert [r.cfg.sampler for r in runs.values()] == ['tpe', 'random', 'tpe']
    supernet = {name: run.path('supernet.pt').read_bytes() for name, run in runs.items()}
    assert supernet['searched'] == supernet['search_random'] != supernet['supernet_rejected']
    first, other = (pl.result(runs[name], 'supernas') for name in ('searched', 'supernet_rejected'))
    assert other['accepted']['verdict'] == 'rejected'
    assert other['accepted']['probability'] == max(s['probability'] for s in first['supernets']
                                                   if s['verdict'] == 'rejected')


def test_supernets_and_block_shapes_for_all_rows_of_the_table(tiny, tmp_path):
    assert {*SLOW, *GIVEN} < set(ab.ROWS['digits'])
    assert set(ab.ROWS['gtsrb']) == (set(ab.ROWS['digits']) - {*ab.LEFT_OUT}) | {'searched', *ab.SEARCHED}
    for rows in ab.ROWS.values():
        assert all(r.beside in rows for r in rows.values() if r.beside)


def test_as_many_blocks_as_the_flash_holds():
    arch = residual_arch('mini')
    whole = cost(arch, BOARD).storage_bytes
    less = ab.fitted(arch, .8 * whole, BOARD)
    assert .78 * whole < cost(less, BOARD).storage_bytes <= .8 * whole
    assert less.blocks[0].sparsity == arch.blocks[0].sparsity == 0
    assert all(a.sparsity < b.sparsity for a, b in zip(arch.blocks, less.blocks) if a.sparsity)


def test_a_convolution_of_equal_cost():
    arch = residual_arch('mini')
    other, was = ab.as_convolution(arch, BOARD), cost(arch, BOARD)
    got = cost(other, BOARD)
    assert not [b for b in other.blocks if isinstance(b, Transformer)] and other.shapes()[-1] == arch.shapes()[-1]
    assert got.storage_bytes > was.storage_bytes and abs(got.instructions / was.instructions - 1) < .3
    assert abs(ab.image_bytes(other, BOARD) - ab.image_bytes(arch, BOARD)) < 500


# ---- the record

FAKE = [dict(row=row, seed=s, fits=True, accuracy=a, flash_bytes=40_000, instructions=1e6, cpu_seconds=1., commit='c')
        for row, values in dict(whole=(.9, .8, .85), one_shot=(.88, .79, .85), taught=(.95, .86, .9)).items()
        for s, a in enumerate(values)]


def test_intervals_are_those_of_students_t():
    values = [.1, .3, .2, .5]
    mean, half = ab.interval(values)
    low, high = scipy.stats.ttest_1samp(values, 0).confidence_interval(.95)
    assert (mean - half, mean + half) == pytest.approx((low, high))
    assert ab.interval([.4]) == (.4, None)


def test_differences_are_taken_seed_by_seed():
    mean, half, n = ab.difference(FAKE, 'taught', 'whole')
    assert n == 3 and mean == pytest.approx(np.mean([.05, .06, .05])) and ab.differs(mean, half)
    assert not ab.differs(*ab.difference(FAKE, 'one_shot', 'whole')[:2])
    assert ab.difference(FAKE[:4], 'one_shot', 'whole')[2] == 1
    assert ab.difference(FAKE, 'fresh', 'whole') == (None, None, 0) and not ab.differs(None, None)


def test_the_table_says_where_nothing_fits():
    nothing = [dict(row='supernet_largest', seed=s, fits=False, why='') for s in (0, 1)]
    text = ab.table(FAKE + nothing, 'digits')
    assert 'nothing fits in 2 of 2 seeds' in text and '85.0 ± 12.4' in text and '+5.3 ± 1.4 | yes' in text
    assert len({line.count('|') for line in text.splitlines()}) == 1


def test_one_seed_has_no_verdict():
    one = [r for r in FAKE if r['seed'] == 0]
    assert ab.line_of(one, 'digits', 'taught')[1:4] == ['95.0', '+5.0', '']
    assert ab.line_of(FAKE, 'digits', 'one_shot')[3] == 'no'


def test_a_record_is_continued(tiny, tmp_path, monkeypatch):
    done, file = [], tmp_path/'r.json'
    def row_of(out, cfg, name):
        if len(done) == 3: raise KeyboardInterrupt
        done.append((name, cfg.seed))
        return dict(row=name, seed=cfg.seed, fits=True, accuracy=.5, cpu_seconds=1., commit='c')
    monkeypatch.setattr(ab, 'row_of', row_of)
    monkeypatch.setattr(ab, 'settings_of', lambda *_: tiny)
    ask = lambda seeds: ab.record(file, 'digits', 'convolution', seeds, tmp_path, told=lambda _: None)
    with pytest.raises(KeyboardInterrupt): ask(2)
    assert [(r['row'], r['seed']) for r in json.loads(file.read_text())['runs']] == done
    assert done == [('whole', 0), ('fresh', 0), ('convolution', 0)]
    first, done[:] = list(done), []
    held = ask(2)
    assert done == [(name, 1) for name, _ in first] and len(held['runs']) == 6
    assert held['meta']['commits'] == ['c'] and held['meta']['cpu_minutes'] == .1
    older = json.loads(file.read_text())                     # a setting that came later had its default
    del older['meta']['settings']['judge'], older['meta']['settings']['judge_rungs']
    file.write_text(json.dumps(older))
    assert ask(2)['runs'] == held['runs']
    monkeypatch.setattr(ab, 'settings_of', lambda *_: replace(tiny, judge='short'))
    with pytest.raises(RunFolderError, match=r'other settings \(judge\)'): ask(2)
    monkeypatch.setattr(ab, 'settings_of', lambda *_: replace(tiny, trials=4))
    with pytest.raises(RunFolderError, match=r'other settings \(trials\)'): ask(3)
    for text in ('{"meta": 1}', 'nothing', '[]'):
        file.write_text(text)
        with pytest.raises(CorruptModel, match='no record of ablations'): ask(2)


@pytest.mark.parametrize('words,said', [
    ('--data mnist', "no ablations on 'mnist'"), ('--only qat', "no row 'qat' for digits"),
    ('--data gtsrb --only block_1x4', "no row 'block_1x4' for gtsrb"), ('--seeds 0', '--seeds'),
    ('--images 100', 'images is 100'), ('--trials 0', '--trials'), ('--record .', 'is a folder')])
def test_bad_settings(words, said, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(['ablate', *words.split()]) == 1
    assert said in capsys.readouterr().err and not list(tmp_path.iterdir())


# ---- what is counted

def test_a_model_that_changed_is_counted_again(tmp_path, monkeypatch):
    from tinyformer import zoo
    made, file = [], tmp_path / 'a.json'
    def counted(name):
        made.append(name)
        return dict(model=name, sha256=zoo.card_of(name)['sha256'], ways=[], steps=[], cpu_seconds=1.)
    monkeypatch.setattr(ab.ablation_counts, 'counted', counted)
    ask = lambda: ab.record(file, 'digits', ab.COUNTS, told=lambda _: None, command='count')['counts']
    assert ask() == ask() and made == ['digits']
    held = json.loads(file.read_text())
    held['runs'] = [dict(row='whole', seed=0, fits=True, accuracy=.5, cpu_seconds=60., commit='c')]
    held['meta'] |= dict(command='train', machine='another one')
    held['counts']['sha256'] = '0' * 64
    file.write_text(json.dumps(held))
    assert ask()['sha256'] == zoo.card_of('digits')['sha256'] and made == ['digits'] * 2
    now = json.loads(file.read_text())                      # what made the runs is not what counted
    assert (now['meta']['command'], now['meta']['machine']) == ('train', 'another one')
    assert now['counts']['command'] == 'count' and now['meta']['cpu_minutes'] == 1.


def test_a_table_tells_its_scale():
    for scale in (.01, .05, .3): assert ac.table_scale(softmax_table(scale)) == pytest.approx(scale, rel=2e-3)


@pytest.mark.needs('gcc')
@pytest.mark.parametrize('kind,sizes', [('layernorm', dict(tokens=5, cin=24)), ('softmax', dict(tokens=7, heads=2))])
def test_steps_in_float_give_nearly_the_same_bytes(kind, sizes):
    row = ac.step_row(kind, sizes)
    assert row['most_apart'] <= 1 and row['bytes_apart'] < .1 * row['bytes_compared']
    assert row['float_instructions'] > row['instructions'] > 0


def test_dense_kernels_read_no_stream():
    from tinyformer import graph as tg, zoo
    graph = zoo.load('digits')
    found = ac.dense_choices(graph, BOARD)
    assert found and not any(c.block for c in found.values())
    assert {op.name for op in graph.ops if tg.prunable(op)} == set(found)
    assert list(ac.ways(graph))[0] == 'usual'


def test_the_slow_memory_is_slower():
    from tinyformer import zoo
    graph = zoo.load('digits')
    x, all_ways = np.zeros((1, 8, 8, 1), np.int8), ac.ways(graph)
    usual, slow = (ac.built_and_run(graph, board, how, x, 'zig')
                   for _, board, how in (all_ways['usual'], all_ways['slow_memory']))
    assert slow['instructions'] == usual['instructions'] and slow['stall_cycles'][1] > usual['stall_cycles'][1]
