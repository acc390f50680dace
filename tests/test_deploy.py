"""A person's own network to firmware: data, the choice of sparsities, whole deployments, what fits, every refusal."""
import inspect, json, re
from dataclasses import replace

import numpy as np
import pytest
import torch, torch.nn as nn

from tinyformer import budget as bg, cli, deploy, fitting, tradeoff as tr
from tinyformer.codegen import generate
from tinyformer.data import load
from tinyformer.deploy import Deployment, Needs, Settings, codes, do, go, score
from tinyformer.cycles import available
from tinyformer.errors import BadInput, CorruptModel, DoesNotFit, RunFolderError
from tinyformer.examples import as_read, made_up, read_examples
from tinyformer.finetune import Bytes
from tinyformer.graph import load as load_graph, random_graph
from tinyformer.hardware import target
from tinyformer.lowering import lower
from tinyformer.pipeline import kernel_section
from tinyformer.quantization import quantize
from tinyformer.zoo import load as load_model


# ---- data ------------------------------------------------------------------------------------------------------------

def npz(path, **arrays):
    np.savez(path, **arrays)
    return path


def test_pictures_and_floats_in_any_order():
    x = np.random.default_rng(0).integers(0, 256, (5, 6, 7, 3), dtype=np.uint8)
    want = torch.from_numpy(x).permute(0, 3, 1, 2).float() / 255
    for given in (x, x / 255., (x / 255.).transpose(0, 3, 1, 2)):
        torch.testing.assert_close(as_read(given, (3, 6, 7)), want)
    assert as_read(x[..., 0]).shape == (5, 1, 6, 7) and as_read(x[:, 0, 0] / 1.).shape == (5, 3)
    assert as_read(np.zeros((5, 126)), (3, 6, 7)).shape == (5, 3, 6, 7)


FACTORY = """
import torch.nn as nn
def grey(): return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
class Pair(nn.Module):
    def forward(self, picture, features): return picture.mean((2, 3)) + features
class Named(nn.Module):
    def __init__(self): super().__init__(); self.fc = nn.Linear(4, 3)
    def forward(self, x): return dict(logits=self.fc(x), again=(self.fc(x),))
def half(): return nn.Linear(4, 3).half()
def lazy(): return nn.LazyLinear(3)
"""


@pytest.mark.parametrize('way', [lambda x: x, lambda x: x[..., 0], lambda x: x.transpose(0, 3, 1, 2)])
def test_a_function_that_says_no_shape_is_asked(way, tmp_path):
    "Floats with the channels last, first or left out: the first order in which the network runs."
    (tmp_path/'net.py').write_text(FACTORY)
    x = np.random.default_rng(0).random((16, 7, 6, 1), dtype=np.float32)
    data = npz(tmp_path/'d.npz', x=way(x), x_test=way(x[:4]), y=np.zeros(16, int), y_test=np.zeros(4, int))
    ex = deploy.opened_with(Settings(f'{tmp_path}/net.py:grey', data=str(data)))[1]
    want = torch.from_numpy(x).permute(0, 3, 1, 2)
    assert torch.equal(ex.x, want) and torch.equal(ex.x_test, want[:4])


@pytest.mark.parametrize('function, outputs', [('Named', 6), ('half', 3)])
def test_outputs_by_name_and_half_weights(function, outputs, tmp_path):
    (tmp_path/'net.py').write_text(FACTORY)
    data = npz(tmp_path/'d.npz', x=np.random.default_rng(0).random((16, 4), dtype=np.float32))
    opened, ex = deploy.opened_with(Settings(f'{tmp_path}/net.py:{function}', data=str(data)))
    got = deploy.answers(opened.net, ex.x)
    assert got.shape == (12, outputs) and got.dtype == np.float64


@pytest.mark.parametrize('y, want, says', [
    (np.eye(4)[np.arange(16) % 4], np.arange(16) % 4, ''), (np.array(['a']*16), None, 'y of d.npz holds no whole'),
    (np.arange(16)/2, None, 'no whole numbers'),
    (np.arange(16) % 5, np.arange(16) % 5, 'labels go up to 4.* 4 values'),
    (None, None, '')])
def test_labels_that_count_and_labels_that_do_not(y, want, says, tmp_path):
    "Rows with a single 1 are classes; what is no class, or none of the network's, is said."
    x = np.arange(16, dtype=np.float32)[:, None]
    arrays = dict(x=x, x_test=x) if y is None else dict(x=x, x_test=x, y=y, y_test=y)
    ex = read_examples(npz(tmp_path/'d.npz', **arrays))
    assert ex.y_test is None if want is None else np.array_equal(ex.y_test, want)
    found = deploy.uncounted(ex, 4)
    assert re.search(says, found) if says else found == ''


@pytest.mark.parametrize('function, shape, says', [
    ('lazy', (16, 4), 'layers whose sizes are open'),
    ('grey', (16, 7, 6, 2), r'cannot run on calibration of shape \(8, 7, 6, 2\)'),
    ('Pair', (16, 3, 6, 6), 'reads picture, features and does not say their shapes.*input_shape')])
def test_data_on_which_the_network_cannot_run(function, shape, says, tmp_path):
    (tmp_path/'net.py').write_text(FACTORY)
    data = npz(tmp_path/'d.npz', x=np.zeros(shape, np.float32))
    cfg = Settings(f'{tmp_path}/net.py:{function}', data=str(data))
    with pytest.raises(BadInput, match=says): go(tmp_path/'o', cfg)
    assert not (tmp_path/'o').exists()


@pytest.mark.parametrize('arrays, words', [
    (dict(z=np.zeros(3)), 'it needs x'), (dict(x=np.zeros((9, 3), np.int64)), 'x is int64'),
    (dict(x=np.full((9, 3), np.nan)), 'not finite'), (dict(x=np.zeros(9)), 'shape'),
    (dict(x=np.zeros((9, 0))), 'shape'),
    (dict(x=np.zeros((9, 3)), y=np.zeros(8, int)), 'one label per input'),
    (dict(x=np.zeros((9, 3)), y=np.full(9, -1)), 'labels start at 0'), (dict(x=np.zeros((9, 5))), r'reads \(3,\)'),
    (dict(x=np.array([object()] * 9)), 'numpy.savez')])
def test_data_that_cannot_be_used(arrays, words, tmp_path):
    with pytest.raises(BadInput, match=words): read_examples(npz(tmp_path/'d.npz', **arrays), (3,))


def test_no_file_and_no_npz(tmp_path):
    with pytest.raises(BadInput, match='no file'): read_examples(tmp_path/'d.npz')
    (tmp_path/'d.npz').write_text('x')
    with pytest.raises(BadInput, match='numpy.savez'): read_examples(tmp_path/'d.npz')


def test_some_inputs_are_kept_for_testing(tmp_path):
    x = np.arange(40, dtype=np.float32)[:, None]
    ex = read_examples(npz(tmp_path/'d.npz', x=x, y=np.arange(40) % 4))
    both = torch.cat([ex.x, ex.x_test]).flatten().sort().values
    assert torch.equal(both, torch.arange(40.)) and len(ex.x_test) == 10 and ex.classes == 4
    assert np.array_equal(ex.y_test, ex.x_test.flatten().numpy() % 4)
    assert read_examples(npz(tmp_path/'d.npz', x=x, y=x)).y is None, 'numbers that are no classes are no labels'
    ex = read_examples(npz(tmp_path/'d.npz', x_train=x, x_test=x + 1, y_train=np.zeros(40, int),
                           y_test=np.ones(40, int)))
    assert torch.equal(ex.x + 1, ex.x_test) and set(ex.y_test) == {1}


def test_scores():
    y, want = np.array([0, 1, 1]), np.array([[1., 0], [0, 1], [1, 0]])
    assert score(want, want, y) == dict(snr=None, accuracy=pytest.approx(2/3))
    assert score(want + .1, want, None) == dict(snr=pytest.approx(10 * np.log10(3 / .06), abs=.01))
    assert 'accuracy' not in score(want, want, np.array([0, 1, 2])), 'a label that the network cannot give'


def test_a_score_over_few_inputs_says_so():
    "The device sees some of the test inputs, the others see all: the picture and the table say how many."
    d = dict(stages=dict(int8=dict(accuracy=.9), device=dict(accuracy=1.)), device_inputs=50, test_inputs=450)
    stages = deploy.named_stages(d)
    assert [t.get_text() for t in deploy.plot_stages(stages).axes[0].get_xticklabels()] == ['int8', 'device\n50 inputs']
    assert list(deploy.named_stages(d | dict(device_inputs=450))) == ['int8', 'device']


# ---- sparsities ------------------------------------------------------------------------------------------------------

def options(*rows): return [bg.Option(s, f, f, f, l) for s, f, l in rows]


@pytest.fixture
def layers():
    "One layer that hardly minds, and one that does."
    return [bg.Layer('a', '1x4', options((0, 100, 0), (.5, 60, .01), (.9, 20, .02)), 100),
            bg.Layer('b', '1x4', options((0, 100, 0), (.5, 60, .2), (.9, 20, .9)), 100)]


def test_the_layer_that_minds_least_loses_first(layers):
    assert bg.choose_sparsities(layers, bg.Limits()) == [0, 0]
    assert bg.choose_sparsities(layers, bg.Limits(flash=160)) == [1, 0]
    assert bg.choose_sparsities(layers, bg.Limits(flash=120)) == [2, 0]
    assert bg.choose_sparsities(layers, bg.Limits(flash=119)) == [2, 1]
    assert bg.choose_sparsities(layers, bg.Limits(kept=60)) == [2, 1]
    with pytest.raises(DoesNotFit, match='flash by 1'): bg.choose_sparsities(layers, bg.Limits(flash=39))


def test_the_choice_is_near_the_best(layers):
    "Against every combination, for 40 limits."
    import itertools
    def loss(c): return sum(l.options[i].loss for l, i in zip(layers, c))
    for flash in range(40, 200, 4):
        fit = [c for c in itertools.product(range(3), repeat=2) if bg.totals(layers, c)['flash'] <= flash]
        assert loss(bg.choose_sparsities(layers, bg.Limits(flash=flash))) <= 1.6 * min(map(loss, fit)) + 1e-9


@pytest.mark.parametrize('text', ['none', '-0.1', '0.99', 'nan', ''])
def test_a_sparsity_that_is_none(text):
    with pytest.raises(BadInput, match='auto'): bg.check_sparsity(text)


def network():
    return nn.Sequential(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 64, 3, 2, 1), nn.ReLU(),
                         nn.Conv2d(64, 48, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                         nn.Linear(48, 10)).eval()


def test_losses_grow_and_the_rest_makes_up_for_them():
    "Least squares at least halves the square error of the outputs, on inputs that it did not see."
    data, net = load('digits'), network()
    x, other = (torch.from_numpy(a).permute(0, 3, 1, 2).float() / 255 for a in (data.x_train[:200], data.x_test[:100]))
    qnet = quantize(net, x).eval()
    graph = lower(qnet)
    layers = bg.layers_of(graph, qnet, target('stm32f746'))
    bg.measure_losses(qnet, layers, x, graph.macs())
    for l in layers:
        losses = [o.loss for o in l.options]
        assert losses == sorted(losses) and losses[-1] > 0 and l.options[-1].flash < l.options[0].flash
    import copy
    chosen = [bg.LEVELS.index(.7)] * len(layers)
    cut = bg.prune_net(copy.deepcopy(qnet), layers, chosen)
    made = bg.make_up(qnet, copy.deepcopy(cut), [l.name for l in layers], x, graph.macs())
    def error(q):
        with torch.no_grad(): return float((q(other) - qnet(other)).square().mean())
    assert error(made) < error(cut) / 2
    for l in layers: assert torch.equal(made.layer(l.name).weight != 0,
                                        cut.layer(l.name).weight != 0), 'zeros stay zero'
    small = bg.cut_graph(graph, qnet, layers, chosen)
    for l, op in zip(layers, (o for o in small.ops if o.name in {l.name for l in layers})):
        assert (op.params['weight'] == 0).mean() >= .69, 'the model whose size is measured has the same zeros'


@pytest.fixture
def quick(monkeypatch):
    "Predict what an image takes in place of building it, for tests of what comes before and after."
    def predict(graph, cfg, memory):
        b = bg.bill(graph, cfg.board(), memory, cfg.objective)
        return Needs(b.constants + 11_000, b.arena + 700, b.instructions, b.time if b.cycles else None, memory)
    for module in (deploy, fitting): monkeypatch.setattr(module, 'measure', predict)


# ---- whole deployments -----------------------------------------------------------------------------------------------

@pytest.fixture(scope='module')
def place(tmp_path_factory):
    "A folder with net.onnx, net.py, w.pt, data with labels and without."
    place, data = tmp_path_factory.mktemp('net'), load('digits')
    net = network()
    torch.save(net.state_dict(), place/'w.pt')
    import warnings
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        torch.onnx.export(net, (torch.rand(1, 1, 8, 8),), place/'net.onnx', dynamo=False, verbose=False)
    npz(place/'d.npz', x=data.x_train[:160], y=data.y_train[:160])
    npz(place/'x.npz', x=data.x_train[:40])
    (place/'net.py').write_text(f'import torch, torch.nn as nn\n\n{inspect.getsource(network)}')
    return place


def stamp(folder): return {p.name: p.stat().st_mtime_ns for p in folder.iterdir() if p.is_file()
                           and p.name != '.tinyformer'}


def test_without_labels_to_a_budget(place, tmp_path):
    "An ONNX file and inputs alone go all the way; given again, nothing is done again."
    cfg = Settings(str(place/'net.onnx'), data=str(place/'x.npz'), flash='17KB', device_inputs=3)
    d = go(tmp_path/'out', cfg, progress=False)
    assert d['flash_bytes'] <= 17 * 1024 and d['weight_sparsity'] > .3 and d['bytes_different'] == 0
    assert d['stages']['int8']['snr'] > 25 and 'accuracy' not in d['stages']['device'] and d['plan']
    text = (tmp_path/'out'/'report.md').read_text()
    assert 'dB against float' in text and all((tmp_path/'out'/p).is_file()
                                              for p in ('memory.png', 'sparsity.png', 'stages.png'))
    assert json.loads((tmp_path/'out'/'report.json').read_text())['model'] == 'net'
    low, likely, high = d['stall_cycles']
    assert 0 < low <= likely <= high and abs(sum(c[1] for c in d['stall_causes'].values()) - likely) < 9
    if available():
        assert d['cycles'] == d['est_cycles'] + likely and d['est_ms'] == pytest.approx(d['cycles'] / 216e3)
        assert f"{likely:,} waiting for memory" in text and 'modelled waiting for memory' in text
    before = stamp(tmp_path/'out')
    go(tmp_path/'out', cfg, progress=False)
    assert stamp(tmp_path/'out') == before
    with pytest.raises(RunFolderError, match='other flash'):
        go(tmp_path/'out', Settings(cfg.model, data=cfg.data), progress=False)
    (tmp_path/'out'/'model.tfm').write_bytes(b'x')
    (tmp_path/'out'/'compile.json').unlink()
    with pytest.raises((CorruptModel, RunFolderError), match='--out'): go(tmp_path/'out', cfg, progress=False)


def test_with_labels_and_training(place, tmp_path, quick):
    cfg = Settings(f"{place/'net.py'}:network", str(place/'w.pt'), str(place/'d.npz'), sparsity='0.6', finetune=2)
    run = Deployment(tmp_path/'out', cfg, progress=False)
    assert 0 <= do(run, 'int8')['stages']['int8']['accuracy'] <= 1
    found = do(run, 'prune')
    plan, graph = found['plan'], load_graph(tmp_path/'out'/'model.tfm')
    kept = sum((1 - p['sparsity']) * p['weights'] for p in plan.values())
    assert kept <= .4 * sum(p['weights'] for p in plan.values()) and 0 <= found['history'][-1]['val_accuracy'] <= 1
    for op in graph.ops:
        if op.name in plan: assert (op.params['weight'] == 0).mean() >= plan[op.name]['sparsity'] - .05


def test_training_without_labels_follows_the_dense_network(place, tmp_path, quick):
    run = Deployment(tmp_path/'out', Settings(str(place/'net.onnx'), data=str(place/'x.npz'), sparsity='0.3',
                                              finetune=2), False)
    do(run, 'int8')
    history = do(run, 'prune')['history']
    assert history[-1]['val_accuracy'] > 3, 'dB'


def test_a_training_that_is_too_short_is_not_taken(place, tmp_path, quick, capsys):
    "One epoch at a tiny rate loses against least squares, and the result says so."
    cfg = Settings(str(place/'net.onnx'), data=str(place/'x.npz'), sparsity='0.8', finetune=1, lr=1e-6)
    run = Deployment(tmp_path/'out', cfg, True)
    do(run, 'int8'); do(run, 'prune')
    assert 'too short to win' in capsys.readouterr().out


def test_a_model_file_is_not_pruned(place, tmp_path, quick):
    from tinyformer.graph import save
    save(lower(quantize(network(), made_up((1, 8, 8)).x), 'm'), tmp_path/'m.tfm')
    run = Deployment(tmp_path/'out', Settings(str(tmp_path/'m.tfm')), progress=False)
    do(run, 'int8')
    assert not do(run, 'prune')['plan'] and (tmp_path/'out'/'model.tfm').is_file()
    for more, error, words in ((dict(flash='10KB'), DoesNotFit, 'float network'),
                               (dict(sparsity='0.5'), BadInput, 'no float network')):
        cfg = Settings(str(tmp_path/'m.tfm'), **more)
        with pytest.raises(error, match=words): go(tmp_path/words, cfg, progress=False)


def test_integers_of_an_onnx_file_reach_the_model(tmp_path):
    "QDQ: the weights of the int8 model are the file's, bit for bit, and so are the scales of its activations."
    from onnx import TensorProto as T, helper as oh, numpy_helper as nh, save as write
    rng = np.random.default_rng(0)
    q, scale = rng.integers(-90, 91, (6, 4, 3, 3)).astype(np.int8), (.01 + rng.random(6) / 50).astype(np.float32)
    held = dict(q=q, s=scale, z=np.zeros(6, np.int8), sx=np.float32(.02), sy=np.float32(.11), zx=np.int8(3))
    rows = [('QuantizeLinear', ['x', 'sx', 'zx'], 'a'), ('DequantizeLinear', ['a', 'sx', 'zx'], 'b'),
            ('DequantizeLinear', ['q', 's', 'z'], 'w'), ('Conv', ['b', 'w'], 'c'),
            ('QuantizeLinear', ['c', 'sy', 'zx'], 'd'), ('DequantizeLinear', ['d', 'sy', 'zx'], 'y')]
    nodes = [oh.make_node(k, i, [o], name=f'n_{o}', **({'axis': 0} if o == 'w' else {})) for k, i, o in rows]
    ends = [oh.make_tensor_value_info(n, T.FLOAT, [1, *s]) for n, s in (('x', (4, 8, 8)), ('y', (6, 6, 6)))]
    g = oh.make_graph(nodes, 'g', ends[:1], ends[1:], [nh.from_array(a, n) for n, a in held.items()])
    write(oh.make_model(g, opset_imports=[oh.make_opsetid('', 13)], ir_version=8), tmp_path/'q.onnx')
    npz(tmp_path/'x.npz', x=rng.normal(size=(16, 4, 8, 8)))
    graph, _ = deploy.graph_of(Settings(str(tmp_path/'q.onnx'), data=str(tmp_path/'x.npz')))
    assert np.array_equal(graph.ops[0].params['weight'], q.transpose(0, 2, 3, 1))
    ends = graph.tensors[graph.input], graph.tensors[graph.output]
    assert [t.scale for t in ends] == pytest.approx([.02, .11]) and [t.zero_point for t in ends] == [3, 3]


def test_codes_of_maps_tokens_and_vectors():
    x = made_up((1, 8, 8)).x
    graph = lower(quantize(network(), x))
    t = graph.tensors[graph.input]
    want = np.round(x.numpy().transpose(0, 2, 3, 1) / t.scale) + t.zero_point
    assert np.array_equal(codes(graph, x.numpy()), want.clip(-128, 127))


# ---- the command line ------------------------------------------------------------------------------------------------

@pytest.fixture
def say(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    def run(*words):
        code = cli.main([str(w) for w in words])
        return code, *capsys.readouterr()
    return run


def test_what_fit_promises_is_built(say, place):
    code, out, _ = say('fit', place/'net.onnx', '--flash', '17KB')
    row = next(l.split() for l in out.splitlines() if l.startswith('--sparsity'))
    assert code == 0 and .3 <= float(row[1]) <= .95 and int(row[2].replace(',', '')) <= 17 * 1024


def test_fit_says_what_would_help(say, place, quick):
    code, out, _ = say('fit', place/'net.onnx')
    assert code == 0 and 'fits stm32f746' in out and 'does not' not in out
    code, out, _ = say('fit', place/'net.onnx', '--flash', '17KB')
    assert code == 0 and 'does not fit' in out and '--sparsity' in out and 'of the width' in out and '--target' in out
    code, out, _ = say('fit', place/'net.onnx', '--sram', '3KB', '--json', 'fit.json')
    rows = json.loads(open('fit.json').read())
    assert code == 0 and not rows[0]['fits'] and all(r['fits'] for r in rows[1:])
    code, out, _ = say('fit', place/'net.onnx', '--max-instructions', 1000)
    assert code == 0 and 'nothing that is known here makes it fit' in out


@pytest.mark.parametrize('board, core', [('stm32u575', 'cortex-m33'), ('rp2350', 'cortex-m33'),
                                         ('stm32n657', 'cortex-m55')])
def test_a_core_without_cycles_has_no_time(say, place, quick, board, core):
    "fit and deploy say the same, and no other core's time stands in."
    why = f'unknown: no cycles are known for {core}'
    code, out, _ = say('fit', place/'net.onnx', '--target', board, '--json', 'fit.json')
    assert code == 0 and why in out and ' unknown  ' in out
    assert json.loads(open('fit.json').read())[0]['ms'] is None
    needs = Needs(1, 1, 1, None, 'low')
    assert why in deploy._needs_text(needs, target(board)) and 'ms' not in deploy._needs_text(needs, target(board))
    d = dict(target=board, kernels={}, est_cycles=None)
    assert f'no kernel was measured on a {core}' in kernel_section(d, {})[1]


def test_other_boards_are_built_and_their_time_is_their_own(say, place, monkeypatch):
    "Each board that is named was measured; one whose core has no cycles has no time, and no limit of time."
    asked = []
    def predict(graph, cfg, memory):
        asked.append(cfg.target)
        known = cfg.board().cpu.cycle_model
        flash = 10**9 if cfg.target in ('stm32f746', 'samd21') else 20_000
        return Needs(flash, 9_000, 1_000_000, 2_000_000 if known else None, memory)
    for module in (deploy, fitting): monkeypatch.setattr(module, 'measure', predict)
    monkeypatch.setattr(fitting, 'BOARDS', 9)
    code, _, _ = say('fit', place/'net.onnx', '--json', 'a.json')
    rows = {r['target']: r for r in json.loads(open('a.json').read()) if r['what'].startswith('--target')}
    assert code == 0 and set(rows) <= set(asked) and 'samd21' not in rows and rows['stm32u575']['ms'] is None
    say('fit', place/'net.onnx', '--max-ms', '50', '--json', 'b.json')
    rows = {r['target']: r for r in json.loads(open('b.json').read()) if r['what'].startswith('--target')}
    assert rows['stm32h743']['ms'] == pytest.approx(2e9 / 480e6) and rows['nrf52840']['ms'] == pytest.approx(31.25)
    assert set(rows) == {'stm32h743', 'nrf52840', 'stm32f407', 'rp2040'}


def test_compile_takes_a_float_network(say, place):
    code, out, _ = say('compile', place/'net.onnx', '--out', 'fw', '--no-check')
    assert code == 0 and 'not from your data' in out and 'bytes of flash' in out
    code, out, _ = say('compile', f"{place/'net.py'}:network", '--weights', place/'w.pt', '--data', place/'x.npz',
                       '--out', 'fw', '--no-check')
    assert code == 0 and 'not from your data' not in out


def test_labels_that_the_network_cannot_give(say, place, tmp_path, quick):
    "A label of 2^40 would ask for as many classes."
    with np.load(place/'d.npz') as f: arrays = {k: f[k] for k in f.files}
    far = arrays | {k: np.full(len(v), 2**40) for k, v in arrays.items() if k.startswith('y')}
    np.savez(tmp_path/'far.npz', **far)
    code, _, err = say('deploy', place/'net.onnx', '--data', tmp_path/'far.npz', '--finetune', 1, '--out', tmp_path/'o')
    assert code == 1 and 'has the label 1,099,511,627,776' in err and 'Traceback' not in err


def test_a_first_step_that_refuses_leaves_nothing(say, place, tmp_path, quick):
    "The next try has other settings and needs no --fresh; a folder that was there before stays, and so do its files."
    np.savez(tmp_path/'far.npz', x=np.zeros((9, 1, 8, 8)), y=np.full(9, 99))
    bad = 'deploy', place/'net.onnx', '--data', tmp_path/'far.npz', '--finetune', 1, '--out'
    assert say(*bad, tmp_path/'new')[0] == 1 and not (tmp_path/'new').exists()
    (tmp_path/'mine').mkdir(); (tmp_path/'mine'/'a.txt').write_text('mine')
    assert say(*bad, tmp_path/'mine')[0] == 1
    assert [p.name for p in (tmp_path/'mine').iterdir() if not p.name.startswith('.')] == ['a.txt']
    for folder in ('new', 'mine'):
        run = Deployment(tmp_path/folder, Settings(str(place/'net.onnx'), data=str(place/'x.npz')), False)
        assert do(run, 'int8')['inputs'] == 30


def test_a_later_step_that_refuses_keeps_what_was_done(say, place, tmp_path, quick):
    line = 'deploy', place/'net.onnx', '--flash', '1KB', '--out', tmp_path/'o'
    assert say(*line)[0] == 1 and (tmp_path/'o'/'int8.json').exists() and (tmp_path/'o'/'deploy.json').exists()


def test_a_sparsity_says_what_it_buys(place, tmp_path, quick, capsys):
    "Of flash and instructions, which fall less than the weights."
    run = Deployment(tmp_path/'o', Settings(str(place/'net.onnx'), data=str(place/'x.npz'), sparsity='0.8'), True)
    do(run, 'int8')
    found = do(run, 'prune')
    flash = 1 - found['needs']['flash'] / found['dense']['flash']
    assert 0 < flash < .8 and f'than dense: {flash:.0%} less flash, ' in capsys.readouterr().out
    assert deploy.saved_text(dict(flash=50, instructions=110), dict(flash=100, instructions=100)) == \
        '50% less flash, 10% more instructions'


NET = '{p}/net.onnx'


@pytest.mark.parametrize('line, words', [
    ('deploy {p}/none.onnx', 'no file'), ('deploy {p}/w.pt', 'onnx'), ('deploy {p}', 'is a folder'),
    ('deploy {p}/x.npz', 'not known'),
    ('deploy {p}/net.py:network', 'does not say what it reads'), ('deploy {p}/net.py', 'net.py:function'),
    (f'deploy {NET} --weights {{p}}/w.pt', '--weights is for'), (f'deploy {NET} --data {{p}}/none.npz', 'no file'),
    (f'deploy {NET} --data {{p}}/w.pt', 'it needs x'), (f'deploy {NET} --target stm32f747', 'stm32f746'),
    (f'deploy {NET} --sparsity 2', 'auto'), (f'deploy {NET} --sparsity some', 'auto'),
    (f'deploy {NET} --finetune 3', '--data'),
    (f'deploy {NET} --finetune -1', '--finetune'), (f'deploy {NET} --augment turn', 'none, shift, flip'),
    (f'deploy {NET} --memory all', 'least'),
    (f'deploy {NET} --objective x', 'speed'),
    (f'deploy {NET} --max-ms -1', '--max-ms'),
    (f'deploy {NET} --max-ms 5 --target rp2350', 'no cycles are known for cortex-m33'),
    (f'fit {NET} --max-ms 5 --target rp2350', '--max-instructions'), (f'deploy {NET} --flash 99XB', 'XB'),
    (f'deploy {NET} --flash 1KB', 'over its limits'),
    (f'deploy {NET} --sram 1KB', '--objective speed'), (f'deploy {NET} --max-instructions 9', 'over its limits'),
    (f'deploy {NET} --device-inputs 0', '--device-inputs'), (f'deploy {NET} --out {{p}}/net.onnx', 'folder'),
    ('fit {p}/none.pt2', 'no file'), (f'fit {NET} --sram x', 'x'),
    (f'fit {NET} --json {{p}}/w.pt', 'no earlier result'),
    ('compile {p}/w.pt', 'onnx'), ('compile {p}/none.onnx', 'neither a run folder nor a model'),
    ('evaluate {p}/w.pt', 'tinyformer deploy'), (f'evaluate {NET}', 'tinyformer deploy')])
def test_refusals_are_one_line(line, words, say, place, tmp_path, quick):
    code, out, err = say(*line.format(p=place).split())
    told = [l for l in err.splitlines() if l.startswith('tinyformer: ')]
    assert code == 1 and len(told) == 1 and words in told[0], err
    assert 'unexpected' not in told[0] and 'Traceback' not in err, err
    made = [p for p in tmp_path.rglob('*') if p.suffix in ('.tfm', '.c') and 'dense' not in p.name]
    assert not made, 'nothing half-written'


# ---- memory against time ---------------------------------------------------------------------------------------------

def test_ways_to_compile_are_what_generate_makes(tmp_path):
    "Arena and constants of each way; the curve falls; the fastest that fits is taken, else the smallest is named."
    graph = load_model('cifar10-1mb')
    board = target('stm32f746')
    ways = tr.ways(graph, board)
    assert len(ways) >= 3 and len({(w.kernels, w.memory) for w in ways}) == len(ways)
    for w in ways:
        fw = generate(graph, board, tmp_path/'fw', port='host', objective=w.kernels, memory=w.memory)
        assert (w.arena, w.constants) == (fw.arena_bytes, fw.weights_bytes)
    curve = tr.front(ways)
    assert all(a.arena < b.arena and a.cycles > b.cycles for a, b in zip(curve, curve[1:]))
    assert tr.fastest(ways, board) == min(ways, key=lambda w: (w.cycles, w.arena))
    least = min(ways, key=lambda w: w.arena)
    small = board.with_budget(sram_bytes=least.arena)
    assert tr.fastest(ways, small).arena <= least.arena
    with pytest.raises(DoesNotFit, match=f'smallest arena is {least.arena:,} bytes'):
        tr.fastest(ways, board.with_budget(sram_bytes=least.arena - 8))
    rows = tr.table(ways, board, ways[0])
    assert len(rows) == len(ways) + 2 and sum('**' in r for r in rows) == 1
    assert len(tr.plot(ways, board, ways[0]).axes[0].texts) == len(ways)


def test_a_way_whose_image_does_not_fit_is_not_taken():
    "Stack, input and output lie beside the arena, and code beside the constants."
    graph, board = random_graph(3, (8, 8, 2), 8, 2), target('stm32f746')
    way = tr.measured(tr.ways(graph, board)[0], graph, board)
    fw_sram = way.arena + 2048 + graph.tensors[graph.input].nbytes + graph.tensors[graph.output].nbytes
    assert 0 <= way.sram - fw_sram < 64 and way.flash > way.constants
    slow = replace(way, arena=way.arena - 8, sram=way.sram - 8, core=way.core + 9, flash=way.flash - 8)
    assert tr.fastest([slow, way], board) == way
    for tight in (dict(sram_bytes=way.sram - 1), dict(flash_bytes=way.flash - 1)):
        assert tr.fastest([slow, way], board.with_budget(**tight)) == slow
    with pytest.raises(DoesNotFit, match=f'in all {slow.sram:,} of SRAM'):
        tr.fastest([slow, way], board.with_budget(sram_bytes=slow.sram - 1))


@pytest.mark.needs('llvm-mca')
def test_the_objective_ms_takes_the_fastest_way(place, tmp_path):
    "Each way is run; the one that is taken is on the curve, and the report says what every way costs."
    cfg = Settings(str(place/'net.onnx'), data=str(place/'x.npz'), objective='ms', device_inputs=2)
    d = go(tmp_path/'out', cfg, progress=False)
    ways = [tr.Way(**w) for w in d['trade']]
    best = min(ways, key=lambda w: w.cycles)
    assert all(w.measured for w in ways) and (d['chosen_for'], d['memory']) == (best.kernels, best.memory)
    assert d['bytes_different'] == 0 and abs(d['cycles'] - best.cycles) < .02 * best.cycles
    text = (tmp_path/'out'/'report.md').read_text()
    assert '## Memory against time' in text and 'Each way was built and run once' in text
    assert (tmp_path/'out'/'trade.png').is_file()


@pytest.mark.needs('llvm-mca')
@pytest.mark.parametrize('objective, memory', [('bytes', 'auto'), ('speed', 'low'), ('ms', 'least')])
def test_the_way_that_is_taken_is_among_those_that_are_shown(objective, memory, place, tmp_path):
    "Of a network without bands all ways come out alike; the one that stands for them is the one that is taken."
    run = Deployment(tmp_path/'out', Settings(str(place/'net.onnx'), objective=objective, memory=memory), False)
    found = [do(run, step) for step in ('int8', 'prune')][-1]
    needs, trade = found['needs'], found['trade']
    assert (needs['kernels'], needs['memory']) in [(w['kernels'], w['memory']) for w in trade]
    assert objective != 'ms' or {w['memory'] for w in trade} == {memory}


def test_one_input_is_too_few_to_train_with(say, place, tmp_path):
    file = npz(tmp_path/'one.npz', x=np.load(place/'x.npz')['x'][:1])
    code, _, err = say('deploy', place/'net.onnx', '--data', file, '--finetune', '1', '--sparsity', '.5')
    assert code == 1 and '--finetune needs' in err and 'unexpected' not in err


def test_ms_is_refused_where_no_cycles_are_known(say, place):
    code, _, err = say('deploy', place/'net.onnx', '--target', 'rp2350', '--objective', 'ms')
    assert code == 1 and '--objective ms' in err and 'no cycles are known' in err
