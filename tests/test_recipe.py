"The long road for photographs, with tiny numbers: every step runs, goes on, and says what is missing."
import json, re
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from tinyformer import recipe, zoo
from tinyformer.errors import BadInput, CorruptModel, MissingTool, RunFolderError
from tinyformer.fitting import foresee
from tinyformer.graph import load as load_graph
from tinyformer.hardware import parse_bytes, target
from tinyformer.arch import Arch
from tinyformer.search_space import cifar_space
from tinyformer.teachers import Teacher
from tinyformer.training import loss_of


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    "A data set of 32x32 photographs that a network can tell apart, and a run folder beside it."
    out, rng = tmp_path_factory.mktemp('recipe'), np.random.default_rng(0)
    y = np.arange(160) % 10
    x = (rng.integers(0, 120, (160, 32, 32, 3)) + 12 * y[:, None, None, None]).astype(np.uint8)
    np.savez(out / 'tiny.npz', x_train=x[:120], y_train=y[:120], x_test=x[120:], y_test=y[120:])
    return out


def go(folder, *args):
    recipe.main([*args, '--out', str(folder / 'run'), '--dataset', 'tiny', '--size', 'small', '--quick'])


@pytest.mark.thorough
def test_every_step_in_order(folder, monkeypatch, capsys):
    monkeypatch.setenv('TINYFORMER_DATA', str(folder))
    run = folder / 'run'
    with pytest.raises(RunFolderError, match='first run .* supernet'): go(folder, 'search')
    for step in ('teacher', 'supernet', 'search'): go(folder, step)
    with pytest.raises(CorruptModel, match='does not hold this model'):
        recipe._weights(Teacher((4, 16, 16)), run, 'teacher0.pt', 'teacher')
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


@pytest.mark.thorough
def test_two_cores_take_the_cheap_winner_and_ask_the_teacher_once(folder, monkeypatch):
    monkeypatch.setenv('TINYFORMER_DATA', str(folder))
    run = folder / 'run'                                             # with what the steps above have left
    for name in ('float.ckpt', 'pruned.ckpt'): (run / 'small' / name).unlink()
    go(folder, 'train', '--cpu')
    found = json.loads((run / 'train_small.result.json').read_text())
    assert found['recipe']['thrifty'] and found['machine']['channels_last'] and found['recipe']['float_epochs'] == 1
    cands, images = recipe.feasible(run, 'small')
    assert found['candidate'] == recipe.choose(cands, images, thrifty=True)[0]['number']
    answers = (run / 'answers_of_1.pt').read_bytes()
    go(folder, 'notes', '--copy', 'made up')
    said = zoo.notes(run / 'small' / 'notes.json')
    assert said['copy'] == 'made up' and 0 <= said['accuracy_float'] <= 1
    taught = json.loads((run / 'teacher_0.result.json').read_text())['seconds']
    assert said['hours'] >= round(taught / 3600, 2) and said['versions']['torch']
    # every stage is there: nothing is trained, nobody is asked
    go(folder, 'train', '--cpu')
    assert (run / 'answers_of_1.pt').read_bytes() == answers
    go(folder, 'train', '--cpu', '--polish', '2', '1')               # goes on from there, in two stages
    more = json.loads((run / 'train_small.result.json').read_text())
    assert 0 < more['sparsity'] <= found['sparsity'] and [len(recipe.read_checkpoint(run / 'small'
        / f'polished{n}.ckpt')['history']) for n in ('', '2')] == [2, 1]
    with pytest.raises(RunFolderError, match='first run .* teacher --seed 1 '):
        go(folder, 'train', '--cpu', '--teachers', '2')
    go(folder, 'teacher', '--seed', '1')
    go(folder, 'train', '--cpu', '--polish', '2', '1', '--refine', '2', '--teachers', '2')
    last = recipe.read_checkpoint(run / 'small' / 'refined.ckpt')
    before = recipe.read_checkpoint(run / 'small' / 'polished.ckpt')['run']
    assert len(last['history']) == 2 and last['run']['strong'] and last['run']['mixup']
    assert last['run']['lr'] == 2 * before['lr']
    one, two = (torch.load(run / f'answers_of_{n}.pt', weights_only=True) for n in (1, 2))
    assert one.shape == two.shape and not torch.allclose(one, two)
    go(folder, 'notes')
    said = zoo.notes(run / 'small' / 'notes.json')
    assert 'train --cpu --teachers 2 --polish 2 1 --refine 2,' in said['command'] and '--size small' in said['command']
    data = recipe.load('digits')
    with pytest.raises(RunFolderError, match='other images'):
        recipe.ask_once(None, data, recipe.TrainConfig(), run / 'answers_of_1.pt')


@pytest.mark.thorough
def test_the_whole_road_within_a_minute(folder, monkeypatch, tmp_path, capsys):
    "Each step has its share, leaves what the next one needs and no checkpoint, and is not done twice."
    monkeypatch.setenv('TINYFORMER_DATA', str(folder))
    def road(minutes):
        typed = '--dataset', 'tiny', '--size', 'residual-mini', '--quick', '--minutes', minutes, '--seed', '1'
        recipe.main(['all', *typed, '--out', str(tmp_path)])
        return capsys.readouterr().out
    said = road('1')
    assert [line.split(':')[0] for line in said.splitlines() if line.split(':')[0] in recipe.ROAD] == list(recipe.ROAD)
    for step in recipe.ROAD:
        name = '0' if step == 'teacher' else 'residual-mini'
        found = json.loads((tmp_path / f'{step}_{name}.result.json').read_text())
        assert found['recipe']['minutes'] == recipe.ROAD[step] and found['recipe']['teachers'] == 1
    history = [e for f in (tmp_path / 'residual-mini').glob('*.ckpt') for e in recipe.read_checkpoint(f)['history']]
    assert 15 < sum(e['seconds'] for e in history) < 60
    assert not list(tmp_path.glob('*.ckpt')) and (tmp_path / 'residual-mini' / 'model.tfm').exists()
    assert len(torch.load(tmp_path / 'views_of_1.pt', weights_only=True)['history']) == 2
    assert road('1').count('done before') == 4
    with pytest.raises(RunFolderError, match=r'teacher_0.* other settings \(minutes\)'): road('2')
    with pytest.raises(BadInput, match='--teachers is 2: all trains one'): recipe.main(['all', '--teachers', '2'])


def test_a_network_by_hand_within_a_budget(folder, monkeypatch, tmp_path):
    "Taught by kept answers. Its sparsity is whole after ten steps, and its notes say how it was made."
    monkeypatch.setenv('TINYFORMER_DATA', str(folder))
    def hand(*typed): recipe.main([*typed, '--out', str(tmp_path), '--dataset', 'tiny', '--size', 'tiny', '--quick'])
    with pytest.raises(BadInput, match='images is 400: give 500 or more'): hand('direct', '--images', '400')
    with pytest.raises(RunFolderError, match='first run .* teacher --seed 0 '): hand('direct', '--views', '2')
    recipe.main(['teacher', '--out', str(tmp_path), '--dataset', 'tiny', '--quick'])
    hand('direct', '--images', '500', '--views', '2', '--strong')
    kept = recipe.read_checkpoint(tmp_path / 'views_of_1_strong_seed0.pt')['history']
    assert [tuple(a.shape) for a in kept] == [(118, 10)] * 2
    how = recipe.read_checkpoint(tmp_path / 'direct_tiny' / 'direct.ckpt')['run']
    assert (how['distill'], how['strong'], how['mixup'], how['momentum'], how['clip']) == (.9, True, .2, .9, 0.)
    alone = recipe.stages(recipe.Recipe())['direct'].cfg                # without a teacher
    assert (alone.momentum, alone.distill, alone.label_smoothing) == (.9, 0., .1)
    found = json.loads((tmp_path / 'direct_tiny.result.json').read_text())
    arch = recipe.residual_arch('tiny')
    plan = recipe.prune_plan(arch).values()
    assert min(s for _, s in plan) < found['sparsity'] < max(s for _, s in plan)
    net = recipe._weights(recipe.build(arch), tmp_path, 'direct_tiny/pruned.pt', 'direct')
    assert abs(recipe.sparsity_of(net, ['blocks.6.conv2']) - arch.blocks[6].sparsity) < .01
    assert len(load_graph(tmp_path / 'direct_tiny' / 'model.tfm').ops) > 20
    hand('notes', '--by-hand')
    said = zoo.notes(tmp_path / 'direct_tiny' / 'notes.json')
    typed = 'teacher --seed 0, then direct --teachers 1 --images 500 --views 2 --strong with --size tiny'
    assert typed in said['command']
    assert 'accuracy_float' in said
    with pytest.raises(BadInput, match='there are mini, tiny, small, middle, large'):
        recipe.main(['direct', '--out', str(tmp_path), '--size', 'huge'])


def test_a_network_goes_on_learning_in_another_folder(folder, monkeypatch, tmp_path):
    "It begins with the weights of the first training, and its notes tell of both."
    monkeypatch.setenv('TINYFORMER_DATA', str(folder))
    def hand(out, *typed):
        recipe.main([*typed, '--out', str(tmp_path / out), '--dataset', 'tiny', '--size', 'mini', '--quick'])
    more = 'direct', '--after', str(tmp_path / 'a'), '--images', '500', '--seed', '3'
    with pytest.raises(RunFolderError, match='first run .* direct --size mini --out .*/a'): hand('b', *more)
    hand('a', 'direct', '--images', '600')
    began = []
    monkeypatch.setattr(recipe, '_fit', lambda net, *a, **kw: began.append(net.state_dict()) or exit('killed'))
    with pytest.raises(SystemExit): hand('b', *more)
    assert (tmp_path / 'b/direct_mini/direct.before.json').exists()
    with pytest.raises(SystemExit): hand('b', 'direct')  # stopped before a checkpoint, so another beginning is free
    assert not (tmp_path / 'b/direct_mini/direct.before.json').exists()
    monkeypatch.undo()
    monkeypatch.setenv('TINYFORMER_DATA', str(folder))
    first = torch.load(tmp_path / 'a/direct_mini/pruned.pt', weights_only=True)
    assert first.keys() == began[0].keys() and all(torch.equal(v, began[0][k]) for k, v in first.items())
    hand('b', *more)
    with pytest.raises(RunFolderError, match='notes --by-hand --size mini --out .*/a'): hand('b', 'notes', '--by-hand')
    hand('a', 'notes', '--by-hand')
    hand('b', 'notes', '--by-hand')
    one, two = (zoo.notes(tmp_path / f / 'direct_mini' / 'notes.json') for f in 'ab')
    assert 'STEP = direct --after a --images 500 --seed 3 with --size mini' in two['command']
    assert two['command'].endswith(f'; before it, at commit {one["commit"]}, {one["command"]}')
    assert 'STEP = direct --images 600' in one['command'] and two['hours'] >= one['hours']
    hand('b', *more)                                    # done before, and with the same beginning
    with pytest.raises(RunFolderError, match='began with another network: give --after'): hand('b', 'direct')
    def after(folder, where): hand(folder, 'direct', '--after', f'{tmp_path}/{where}')
    with pytest.raises(RunFolderError, match='began anew: give --after'): after('a', 'b')
    with pytest.raises(BadInput, match='another --out'): after('a', 'b/../a')
    with pytest.raises(BadInput, match='only `direct` goes on'): hand('c', 'teacher', '--after', f'{tmp_path}/a')
    assert not (tmp_path / 'c').exists()


@pytest.mark.thorough
def test_a_teacher_is_pruned_until_a_board_can_hold_it(folder, monkeypatch, tmp_path):
    "Begun anew, gone on from a trained one, and gone on again; the notes tell the whole chain."
    monkeypatch.setenv('TINYFORMER_DATA', str(folder))
    def typed(out, *args): recipe.main([*args, '--out', str(tmp_path / out), '--dataset', 'tiny', '--quick'])
    def pruned(out, size, *more): typed(out, 'direct', '--network', 'teacher', '--size', size, '--images', '500', *more)
    with pytest.raises(BadInput, match='there are small, middle, large'): pruned('a', 'tiny')
    with pytest.raises(BadInput, match="no network 'vgg'; there are"): typed('a', 'direct', '--network', 'vgg')
    with pytest.raises(BadInput, match='only `direct` has a choice'): typed('a', 'supernet', '--network', 'teacher')
    trained = str(tmp_path / 'a/teacher0.pt')
    with pytest.raises(BadInput, match='goes on as --network teacher'): typed('b', 'direct', '--after', trained)
    with pytest.raises(RunFolderError, match='teacher --seed 0 '): pruned('b', 'middle', '--after', trained)
    typed('thin', 'teacher', '--images', '500')
    with pytest.raises(BadInput, match=r'have \(8, 32, 32\) channels.*: leave --after out'):
        pruned('b', 'middle', '--after', str(tmp_path / 'thin/teacher0.pt'))
    (tmp_path / 'thin/teacher0.pt').write_bytes(b'damaged')
    with pytest.raises((CorruptModel, RunFolderError), match='teacher --seed 0 '):
        pruned('b', 'middle', '--after', str(tmp_path / 'thin/teacher0.pt'))
    monkeypatch.setitem(recipe.QUICK, 'teacher_width', 64)
    typed('a', 'teacher', '--images', '500')
    made = json.loads((tmp_path / 'a/teacher_0.result.json').read_text())
    with pytest.raises(BadInput, match='choose --size middle or large'): pruned('b', 'small', '--after', trained)
    pruned('b', 'middle', '--after', trained)
    found = json.loads((tmp_path / 'b/direct_middle.result.json').read_text())
    assert .8 < found['sparsity'] < .83 and found['commit'] == made['commit'] == recipe.commit()
    assert len(load_graph(tmp_path / 'b/direct_middle/model.tfm').ops) == 19     # every norm is in a convolution
    before = torch.load(trained, weights_only=True)['whiten.weight']
    assert torch.equal(torch.load(tmp_path / 'b/direct_middle/pruned.pt', weights_only=True)['whiten.weight'], before)
    pruned('c', 'middle', '--after', str(tmp_path / 'b'))
    for name in 'bc': typed(name, 'notes', '--by-hand', '--size', 'middle')
    said = zoo.notes(tmp_path / 'c/direct_middle/notes.json')
    assert 'STEP = direct --network teacher --after b --images 500 with' in said['command']
    assert '--network teacher --after teacher0.pt --images 500 with' in said['command']
    first = f'at commit {made["commit"]}, python -m tinyformer.recipe teacher --seed 0 --images 500'
    assert said['command'].endswith(first)
    assert 'plain convolutions' in said['about']
    pruned('d', 'small')
    cfg = recipe.read_checkpoint(tmp_path / 'd/direct_small/direct.ckpt')['run']
    assert cfg['lr'] == 2 * recipe.read_checkpoint(tmp_path / 'b/direct_middle/direct.ckpt')['run']['lr']


@pytest.mark.thorough
@pytest.mark.parametrize('network, size', [(n, s) for n in recipe.BY_HAND for s in recipe.BY_HAND[n]])
def test_a_network_by_hand_fits_the_memories_of_its_size(network, size):
    "The linked image, with random weights; what is zero decides how long the streams are."
    torch.manual_seed(0)
    x, data = torch.rand(64, 3, 32, 32), SimpleNamespace(shape=(32, 32, 3), classes=range(10))
    net, plan = recipe._by_hand(recipe.Recipe(size=size, network=network), data)
    if network != 'residual': net.whiten.see(x)
    before = [w.clone() for w in net.parameters()]
    said = foresee(net, plan, x, *recipe.LIMITS[size])
    assert said.endswith('; fits {} of flash and {} of SRAM'.format(*recipe.LIMITS[size]))
    flash, sram = (int(n.replace(',', '')) for n in re.findall(r'[\d,]{4,}', said)[:2])
    most = [parse_bytes(limit) for limit in recipe.LIMITS[size]]
    assert .85 * most[0] < flash <= most[0] and sram <= most[1]
    assert all(torch.equal(a, b) for a, b in zip(before, net.parameters()))


def test_what_will_be_too_large_is_said_before_it_is_trained(folder, monkeypatch, tmp_path, capsys):
    "Once, before a training begins: more classes than fit, or a limit that is none; no compiler is no reason to stop."
    x = torch.rand(64, 3, 32, 32)
    data = SimpleNamespace(shape=(32, 32, 3), classes=range(99))
    net, plan = recipe._by_hand(recipe.Recipe(size='tiny', network='separable'), data)
    assert 'too large for 100KB of flash and 52KB of SRAM' in foresee(net, plan, x, '100KB', '52KB')
    monkeypatch.setenv('TINYFORMER_DATA', str(folder))
    monkeypatch.setitem(recipe.LIMITS, 'mini', ('4KB', '32KB'))
    args = ['direct', '--out', str(tmp_path), '--dataset', 'tiny', '--size', 'mini', '--quick']
    recipe.main(args)
    assert 'mini: it will be too large for 4KB of flash and 32KB of SRAM, unless' in capsys.readouterr().out
    recipe.main(args)
    assert 'too large' not in capsys.readouterr().out
    def missing(*args): raise MissingTool('no compiler: install one')
    monkeypatch.setattr('tinyformer.fitting.build', missing)
    assert 'is not known: no compiler: install one' in foresee(net, plan, x, '1MB', '52KB')


def test_a_separable_network_by_the_same_commands(folder, monkeypatch, tmp_path):
    "Trained, gone on with, told of; every byte of its C compared."
    monkeypatch.setenv('TINYFORMER_DATA', str(folder))
    def typed(out, step, *args):
        recipe.main([step, *args, '--out', str(tmp_path / out), '--dataset', 'tiny', '--size', 'tiny', '--quick'])
    typed('a', 'direct', '--network', 'separable')
    typed('b', 'direct', '--network', 'separable', '--after', str(tmp_path / 'a'))
    for name in 'ab': typed(name, 'notes', '--by-hand')
    said = zoo.notes(tmp_path / 'b/direct_tiny/notes.json')
    assert 'separable convolutions' in said['about'] and '--network separable --after a' in said['command']
    graph = load_graph(tmp_path / 'b/direct_tiny/model.tfm')
    assert not zoo.evaluate(graph, on='host', progress=False)['bytes_different']


STAND_INS = dict(cifar100=(100, (32, 32, 3)), svhn=(10, (32, 32, 3)), fashion_mnist=(10, (28, 28, 1)),
                 gtsrb=(43, (32, 32, 3)))


@pytest.mark.parametrize('name', STAND_INS)
def test_other_data_take_the_same_command(name, monkeypatch, tmp_path):
    "Noise in the shape of the data set: training, int8 and the file's figures, with as many classes as there are."
    classes, shape = STAND_INS[name]
    rng, y = np.random.default_rng(0), np.arange(max(60, 2 * classes)) % classes
    x = rng.integers(0, 256, (len(y), *shape), np.uint8)
    groups = dict(group_train=np.arange(len(y)) // 2) if name == 'gtsrb' else {}
    np.savez(tmp_path / f'{name}.npz', x_train=x, y_train=y, x_test=x[:9], y_test=y[:9], **groups)
    monkeypatch.setenv('TINYFORMER_DATA', str(tmp_path))
    recipe.main(['direct', '--out', str(tmp_path / 'run'), '--dataset', name, '--size', 'mini', '--quick'])
    graph = load_graph(tmp_path / 'run/direct_mini/model.tfm')
    assert tuple(graph.tensors[graph.input].shape) == shape and graph.name == f'{name}-mini'
    assert graph.tensors[graph.output].shape[-1] == classes
    assert zoo.labelled(graph)[2] == f'test images of {name}'
    assert not zoo.evaluate(graph, on='reference', progress=False)['bytes_different']


def test_a_teacher_is_what_its_seed_makes_it(folder, monkeypatch, tmp_path):
    "The same one again, whatever was drawn before; another seed gives another one."
    monkeypatch.setenv('TINYFORMER_DATA', str(folder))
    def made(name, seed):
        torch.manual_seed(len(name))
        go(tmp_path / name, 'teacher', '--seed', str(seed))
        weights = torch.load(tmp_path / name / 'run' / f'teacher{seed}.pt', weights_only=True)
        return torch.cat([v.flatten().float() for v in weights.values()])
    one = made('a', 0)
    assert torch.equal(one, made('bb', 0)) and not torch.equal(one, made('ccc', 1))


@pytest.mark.parametrize('typed', ['--minutes 0', '--images 0', '--views 0', '--polish 0', '--polish 3 0', '--refine 0',
                                   '--teachers 0', '--candidate 9'])
def test_a_number_that_makes_no_sense_is_named(typed, tmp_path):
    with pytest.raises(BadInput, match=f'{typed.split()[0]} is {typed[-1]}'):
        recipe.main(['train', '--out', str(tmp_path / 'run'), *typed.split()])
    assert not list(tmp_path.iterdir())


def test_what_somebody_else_put_into_the_folder_stays(folder, monkeypatch, tmp_path):
    monkeypatch.setenv('TINYFORMER_DATA', str(folder))
    names = dict(teacher='teacher0.pt', supernet='supernet_small.pt', train='small/model.tfm', notes='small/notes.json')
    for step, name in names.items():
        mine = tmp_path / step / name
        mine.parent.mkdir(parents=True)
        mine.write_text('precious')
        with pytest.raises(RunFolderError, match=f'did not write: {name}'):
            recipe.main([step, '--out', str(tmp_path / step), '--dataset', 'tiny', '--size', 'small', '--quick'])
        assert mine.read_text() == 'precious'


def test_soft_labels_are_what_the_teacher_says(tmp_path, monkeypatch):
    monkeypatch.setattr(recipe, 'multiplies_bf16', lambda: False)
    data = recipe.load('digits')
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
    cfg = recipe.TrainConfig(distill=.75, temperature=3.)
    got = torch.from_numpy(recipe.ask_once(net, data, cfg, tmp_path / 'answers.pt', progress=False).y_train)
    with torch.no_grad(): said = (net(recipe.to_float(data.x_train)) / 3).softmax(1)
    want = .75 * said + .25 * torch.eye(10)[data.y_train]
    assert torch.allclose(got, want, atol=1e-6) and torch.allclose(got.sum(1), torch.ones(len(got)), atol=1e-5)
    n = torch.arange(4)
    logits = torch.randn(4, 10)
    one = loss_of(logits, got[n], recipe.TrainConfig(label_smoothing=0.))
    assert one == pytest.approx(float(-(got[n] * logits.log_softmax(1)).sum(1).mean()), rel=1e-5)


def test_the_choice_is_the_largest_near_the_top():
    cands = [(dict(accuracy=a, cost=dict(params=p)), None) for a, p in ((.80, 10), (.799, 30), (.70, 99))]
    assert recipe.choose(cands, 1000)[0]['cost']['params'] == 30
    assert recipe.choose(cands, 10**8)[0]['cost']['params'] == 10


def test_the_thrifty_choice_is_the_cheapest_near_the_top():
    cands = [(dict(accuracy=a, cost=dict(params=1, macs=m)), None) for a, m in ((.80, 10), (.799, 3), (.70, 1))]
    assert recipe.choose(cands, 1000, thrifty=True)[0]['cost']['macs'] == 3


def test_blocks_come_back_where_the_flash_has_room():
    arch = cifar_space('small').sample(1)
    most = recipe.room(recipe.Recipe(size='small'))
    got = recipe.relax(arch, most)
    pairs = [(a.sparsity, b.sparsity) for a, b in zip(arch.blocks, got.blocks)] + [(arch.head_sparsity,
        got.head_sparsity)]
    assert all(b <= a for a, b in pairs) and any(b < a for a, b in pairs)
    before, after = (recipe.cost(a, target('stm32f746')).storage_bytes for a in (arch, got))
    assert before < after <= most
    assert [p.shape for p in recipe.build(arch).parameters()] == [p.shape for p in recipe.build(got).parameters()]
    assert recipe.relax(arch, 1) == arch
