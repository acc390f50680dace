"""Networks that others have published: their exact forms, our figures for them, theirs, and the stored page."""
import itertools, json, math
from pathlib import Path

import pytest
import torch
from torch import nn

from tinyformer import bench, cli, graph as tg, peers, published

STORED = Path(__file__).parent.parent/'nbs/experiments/results/published.json'
# parameters of the Keras models, means and variances of batch norms included; multiply-accumulates
KERAS = dict(resnet8=(78_666, 12_501_632), mobilenetv1=(221_794, 7_489_664), dscnn=(24_908, 2_656_768))
SMALL = 'dscnn'


@pytest.fixture(scope='module')
def small(): return published.int8_model(SMALL, .8)


@pytest.mark.parametrize('name', KERAS)
def test_a_network_has_the_parameters_of_the_published_one(name):
    net = published.NETWORKS[name].build()
    held = [p for p in net.parameters()] + [b for n, b in net.named_buffers() if 'running' in n]
    assert sum(t.numel() for t in held) == KERAS[name][0]


def test_widths_of_mobilenetv2():
    net = published.mobilenetv2()
    convs = [m for m in net.modules() if isinstance(m, nn.Conv2d)]
    narrow = [c.out_channels for c in convs if c.groups == 1 and c.kernel_size == (1, 1)]
    assert convs[0].out_channels == 16 and narrow[0] == 8 and narrow[-2:] == [96, 384]
    assert set(narrow[2::2]) == {8, 16, 24, 32, 48, 96} and net(torch.rand(1, 3, 80, 80)).shape == (1, 1000)
    assert sum(isinstance(m, published.Residual) for m in net.modules()) == 10


@pytest.mark.parametrize('size,kernel,stride,want', [(32, 3, 2, (0, 1)), (49, 10, 2, (4, 5)), (10, 4, 2, (1, 1)),
                                                     (5, 3, 2, (1, 1)), (8, 3, 1, (1, 1)), (32, 1, 2, (0, 0))])
def test_padding_of_keras(size, kernel, stride, want):
    assert published.same(size, kernel, stride) == want
    assert (size + sum(want) - kernel) // stride + 1 == math.ceil(size / stride)


def test_padding_costs_no_operator_of_its_own(small):
    assert {op.kind for op in small.ops} == {'conv3x3', 'depthwise3x3', 'pointwise', 'avgpool2d', 'fully_connected',
                                             'softmax'}
    first = small.ops[0].attrs
    assert [first[k] for k in ('kh', 'kw', 'top', 'bottom', 'left', 'right')] == [10, 4, 4, 5, 1, 1]
    assert small.macs() == KERAS[SMALL][1]


def test_the_layers_that_lose_weights_are_those_of_the_graph(small):
    for op in small.ops:
        if 'weight' not in op.params: continue
        zeros = (op.params['weight'] == 0).mean()
        assert abs(zeros - .8) < .01 if tg.prunable(op) else zeros < .1, op.name


def test_weights_follow_from_the_seed():
    nets = [published.network(SMALL, .8, seed)[0].state_dict() for seed in (0, 0, 1)]
    same = [all(torch.equal(a, b) for a, b in zip(nets[0].values(), n.values())) for n in nets[1:]]
    assert same == [True, False]


def test_every_published_figure_has_a_source():
    d, cores = peers.peers(), {'cortex-m7', 'cortex-m4', 'cortex-m33'}
    assert len(d['published']) > 25 and {r['network'] for r in d['published']} == set(published.NETWORKS)
    for r in d['published']:
        assert r['source'] in d['sources'] and r['core'] in cores and r['mhz'] > 0
        assert ('ms' in r) != ('per_second' in r) and .8 < r.get('accuracy', .9) < .95
    assert {r['source'] for r in d['published']} == set(d['sources'])
    for s in d['sources'].values(): assert s['url'].startswith('https://') and s['title'] and s['note']


def test_cycles_of_a_published_figure():
    st, *_ = [r for r in peers.published('resnet8', 'cortex-m7') if r['engine'] == 'X-CUBE-AI 10.0.0']
    assert st['cycles'] == pytest.approx(11.468e6) and st['url'].endswith('resnetv1/README.md')
    hale, *_ = [r for r in peers.published(SMALL) if r['chip'] == 'STM32F746']
    assert hale['ms'] == pytest.approx(18.959, abs=.001) and hale['cycles'] == pytest.approx(4.095e6, rel=1e-3)
    assert hale['url'].endswith('DISCO_F746NG_int8/kws')


def fake(network='resnet8', sparsity=0., memory='low', cycles=8e6, waits=(1e6, 2e6, 4e6)):
    return dict(op='network', network=network, sparsity=sparsity, memory=memory, est_cycles=cycles, stall_cycles=waits,
                sram_bytes=40 << 10, flash_bytes=100 << 10)


def test_ours_stand_first_and_theirs_are_sorted():
    rows = peers.beside('resnet8', [fake(), fake(sparsity=.8, memory='least'), fake('dscnn')], 'cortex-m7')
    assert [r['engine'] for r in rows[:2]] == ['TinyFormer, dense', 'TinyFormer, 80% sparse, least RAM']
    assert rows[0]['ms'] == pytest.approx(10_000 / 216) and rows[0]['ram_kib'] == 40
    assert [rows[0][k] for k in ('core_cycles', 'cycles', 'range')] == [8e6, 10e6, (9e6, 12e6)]
    theirs = [r['cycles'] for r in rows[2:]]
    assert theirs == sorted(theirs) and len(theirs) == len(peers.published('resnet8', 'cortex-m7')) > 3
    assert peers.ours(fake(cycles=None))['ms'] is None and peers.ours(fake(waits=None))['cycles'] == 8e6


def test_table(monkeypatch, capsys):
    seen = []
    def measured(name, sparsity, memory, **how):
        seen.append((name, sparsity, memory, how['optimize']))
        return [dict.fromkeys(bench.KEYS) | fake(name, sparsity, memory) | dict(bytes_different=0)]
    monkeypatch.setattr(bench, 'measure_network', measured)
    assert cli.main(['bench', '--suite', 'published', '--sparsity', '0.8']) == 0
    out = capsys.readouterr().out
    assert seen == [(n, .8, m, '-O3') for n in published.NETWORKS for m in ('low', 'least')]
    for text in ('28.67', '69.7', 'TinyEngine', 'HALE', 'cortex-m33', 'estimated'): assert text in out
    assert peers.peers()['sources']['st']['url'] in out
    assert cli.main(['bench', '--suite', 'published', '--block', '1x4']) == 1
    assert cli.main(['bench', '--suite', 'others']) == 1
    assert 'one layer' in (err := capsys.readouterr().err) and 'published' in err


@pytest.mark.needs('gcc', 'llvm-mca')
def test_a_small_instance_comes_to_what_is_stored(tmp_path, monkeypatch):
    monkeypatch.setattr(bench.record_published, '__defaults__', ((SMALL,),))
    monkeypatch.setattr(bench.measure_published, '__defaults__', (None, (.8,), ('low',)))
    assert cli.main(['bench', '--suite', 'published', '--record', str(tmp_path/'r.json')]) == 0
    out = json.loads((tmp_path/'r.json').read_text())
    assert out['meta']['command'].startswith('tinyformer bench --suite published --record') and out['rows'] == []
    (whole, *ops), = out['networks']
    assert whole['bytes_different'] == 0 < whole['bytes_compared'] and len(ops) == 12
    before = next(n[0] for n in json.loads(STORED.read_text())['networks']
                  if [n[0][k] for k in ('network', 'sparsity', 'memory')] == [SMALL, .8, 'low'])
    for k in ('instructions', 'est_cycles'): assert whole[k] == pytest.approx(before[k], rel=.03)
    assert whole['arena_bytes'] == before['arena_bytes']


def test_the_stored_page_is_whole():
    d = json.loads(STORED.read_text())
    assert d['meta']['command'].startswith('tinyformer bench --suite published') and len(d['meta']['commit']) >= 40
    found = {tuple(n[0][k] for k in ('network', 'sparsity', 'memory')): n for n in d['networks']}
    assert set(found) == set(itertools.product(published.NETWORKS, bench.PUBLISHED_AT, ('low', 'least')))
    for (name, s, memory), (whole, *ops) in found.items():
        assert whole['bytes_different'] == 0 < whole['bytes_compared'] and whole['est_cycles'] > whole['macs'] * .1
        assert whole['sram_bytes'] >= whole['arena_bytes'] >= whole['arena_lower_bound_bytes']
        assert bool(ops) == (memory == 'low')
        low, likely, high = whole['stall_cycles']
        assert 0 < low < likely < high < whole['est_cycles']
        if ops: assert sum(o['instructions'] for o in ops) + whole['rest_instructions'] == whole['instructions']
        if name in KERAS: assert whole['macs'] == KERAS[name][1]


CEILINGS = dict(resnet8=(10.1, 3.8), mobilenetv2=(9.1, 5.7), mobilenetv1=(7.6, 4.1), dscnn=(2.6, 1.5))
"Million cycles, dense and at 80 %, of the nearest forms that were supported before: symmetric padding, square kernels."


@pytest.mark.parametrize('name', CEILINGS)
def test_the_exact_form_costs_little_more_than_the_nearest(name):
    for n in json.loads(STORED.read_text())['networks']:
        if (n[0]['network'], n[0]['memory']) != (name, 'low'): continue
        most = CEILINGS[name][n[0]['sparsity'] > 0]
        assert n[0]['est_cycles'] <= 1.03e6 * most
