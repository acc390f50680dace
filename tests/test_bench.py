"""The bench: suites, ratios over other engines, whole networks."""
import json, math
from pathlib import Path

import pytest

from tinyformer import bench, cli, peers
from tinyformer.arch import Arch, Downsample, Transformer

ARCH = Arch((8, 8, 3), 4, (Downsample(8, 'conv_pool'), Transformer(8, 2, 16, convs=False)), 16)


def fake(op, sparsity, instructions, **shape):
    return dict.fromkeys(bench.KEYS) | dict(op=op, sparsity=sparsity, instructions=instructions,
                                            est_cycles=instructions, **shape)


def test_every_anchor_is_in_the_suite():
    todo = bench.suite()
    assert len(todo) > 60 and {op for op, _ in todo} == {l['op'] for l in peers.peers()['layers']}
    assert {s.get('sparsity') for op, s in todo if op == 'linear'} == set(peers.SPARSITIES)
    assert all('sparsity' not in s for op, s in todo if op in ('softmax', 'depthwise3x3', 'fully_connected'))
    assert sum(op == 'conv3x3' and s['cin'] == 3 for op, s in todo) == 1          # three input channels are not pruned


def test_the_anchors_file_is_whole():
    for l in peers.peers()['layers']:
        assert set(l) <= {'op', 'shape', 'cmsis_nn', 'authors', 'prototype'} and ('cmsis_nn' in l or 'authors' in l)
        for f in [l.get('cmsis_nn') or {}, *l.get('authors', {}).values(), *l.get('prototype', {}).values()]:
            assert not f or (f['instructions'] > 0 and f['est_cycles'] > 0)
    assert set(peers.peers()['networks']) == {'R', 'P'}


def test_ratios_and_means():
    rows = [fake('linear', .8, 1632346 / 8, tokens=64, cin=64, cout=192),
            fake('linear', .8, 544282 / 2, tokens=64, cin=64, cout=64),
            fake('linear', .8, 1, tokens=64, cin=64, cout=63)]
    assert peers.ratio(rows[0], 'instructions') == pytest.approx(8) and peers.ratio(rows[2]) is None
    mean, least, n = peers.means(rows, ('linear',), 'instructions')[.8]
    assert (n, least) == (2, pytest.approx(2)) and mean == pytest.approx(4)
    assert peers.ratio(rows[0], 'instructions', 'authors') > 8 and peers.ratio(rows[0], 'instructions', 'prototype') > 1
    assert peers.geomean([None]) is None and peers.geomean([2, None, 8]) == pytest.approx(4)
    assert peers.ratio(rows[0] | dict(est_cycles=None)) is None
    assert '80%' in peers.summary(rows) and peers.summary(rows[2:]) == ''
    assert peers.ratio(fake('network', .8, 53762843 / 4, network='R'), 'instructions') == pytest.approx(4)


def test_a_suite_has_a_row_for_each_layer(monkeypatch):
    monkeypatch.setattr(bench, 'suite', lambda s: [('linear', dict(tokens=8, cin=8, cout=4, sparsity=v)) for v in s])
    rows = bench.measure_suite((0., .5))
    assert [r['sparsity'] for r in rows] == [0., .5]
    assert all(tuple(r) == bench.KEYS and r['flags'] == '-O3' for r in rows)


@pytest.mark.parametrize('op', bench.OPS)
def test_every_operator_has_a_row(op):
    row = bench.measure(op, h=4, w=4, cin=8, cout=8, heads=2)
    assert tuple(row) == bench.KEYS and row['bytes_different'] == 0 < row['bytes_compared'] and row['cin'] == 8
    json.dumps(row)
    assert op in bench.table_text([row])


def test_network(tmp_path, capsys):
    path = ARCH.save(tmp_path/'small.json')
    assert cli.main(['bench', '--network', str(path), '--sparsity', '.5', '--json', '-']) == 0
    whole, *ops = json.loads(capsys.readouterr().out)
    assert [whole[k] for k in ('op', 'network', 'sparsity', 'scratch_bytes')] == ['network', 'small', .5, None]
    assert set(bench.KEYS) <= set(whole) and whole['arena_bytes'] >= whole['arena_lower_bound_bytes'] > 0
    assert whole['bytes_different'] == 0 and whole['bytes_compared'] >= 4 * 4
    assert sum(r['instructions'] for r in ops) + whole['rest_instructions'] == whole['instructions']
    assert math.isclose(sum(r['share'] for r in ops), 1, abs_tol=.02)
    assert {r['layer'] for r in ops} >= {'blocks.0.conv', 'blocks.1.encoder.0.attention', 'head', 'classifier'}
    for what in ('weight_bytes', 'macs'): assert whole[what] == sum(r[what] for r in ops)


def test_network_table(tmp_path, capsys):
    assert cli.main(['bench', '--network', str(ARCH.save(tmp_path/'small.json'))]) == 0
    out = capsys.readouterr().out
    assert 'blocks.1.encoder.0.fc1' in out and 'arena' in out and '0 of' in out


@pytest.mark.needs('gcc', 'llvm-mca')
def test_record(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(bench, 'suite',
                        lambda s: [('linear', dict(tokens=64, cin=64, cout=64, sparsity=v)) for v in (0., .8)])
    path = ARCH.save(tmp_path/'small.json')
    monkeypatch.setattr(bench.record, '__defaults__', (None, ((str(path), None),), peers.SPARSITIES))
    assert cli.main(['bench', '--record', str(tmp_path/'deep'/'r.json')]) == 0
    out = json.loads((tmp_path/'deep'/'r.json').read_text())
    assert out['meta']['command'].startswith('tinyformer bench --record') and out['meta']['llvm_mca'].startswith('LLVM')
    assert [r['sparsity'] for r in out['rows']] == [0, .8] and out['networks'][0][0]['network'] == 'small'
    assert all(0 < r['est_cycles_free_it'] <= r['est_cycles'] for r in out['rows'])
    assert '80%' in capsys.readouterr().out


@pytest.mark.parametrize('words,said', [(['--network', 'Q'], 'R or P'),
                                        (['--network', 'R', '--sparsity', '.5', '.8'], 'one sparsity'),
                                        (['--network', 'R', '--kernel', 'tfm_linear_s8_ref'], 'one layer'),
                                        (['--sparsity', '1.5'], '1.5'),
                                        (['--kernel', 'tfm_nothing'], 'tfm_nothing'),
                                        (['--op', 'add', '--block', '1x4'], 'add')])
def test_mistakes(words, said, capsys):
    assert cli.main(['bench', *words]) == 1
    assert said in capsys.readouterr().err


@pytest.mark.parametrize('board, block, kernel', [('stm32f746', '1x4', 'tfm_linear_s8_rle_dsp'),
                                                  ('stm32f746', 0, 'tfm_linear_s8_dsp'),
                                                  ('rp2040', '1x4', 'tfm_linear_s8_rle_scalar')])
def test_a_block_alone_is_run_by_the_kernel_made_for_the_core(board, block, kernel):
    row = bench.measure('linear', tokens=5, cin=8, cout=4, block=block, target_name=board, cc='zig')
    assert row['kernel'] == kernel and row['bytes_different'] == 0


def test_cycles_that_no_tool_would_tell_ask_for_none(capsys):
    words = ['bench', '--op', 'linear', '--tokens', '5', '--cin', '8', '--target', 'esp32c3']
    assert cli.main(words) == 0
    said = capsys.readouterr().out
    assert 'unknown' in said and 'llvm' not in said
    assert cli.main(['bench', '--fit', '--target', 'nrf52840']) == 1
    assert 'choose one of stm32f746' in capsys.readouterr().err


@pytest.mark.parametrize('board', ['stm32f746', 'rp2040'])
def test_ratios_over_other_engines_are_of_their_core_only(board, monkeypatch, capsys):
    layer = dict(tokens=64, cin=64, cout=64, target_name=board, cc='zig')
    monkeypatch.setattr(bench, 'measure_suite', lambda *_, **__: [bench.measure('linear', **layer)])
    assert cli.main(['bench', '--suite', 'anchors', '--target', board]) == 0
    said = capsys.readouterr().out
    assert ('CMSIS-NN' in said) == ('CMSIS/' in said) == (board == 'stm32f746')


def test_a_network_is_held_against_other_engines_on_their_core_only():
    stored = Path(bench.__file__).parents[1]/'nbs/experiments/results/benchmark.json'
    rows = next(n for n in json.loads(stored.read_text())['networks'] if n[0]['network'] == 'R')
    assert 'CMSIS-NN' in bench.network_text(rows) and 'CMSIS-NN' not in bench.network_text(rows, others=False)


def test_one_kernel_is_fitted_and_the_others_stay(tmp_path, capsys):
    "What a new operator needs of the cost table."
    path, shipped = tmp_path/'table.json', json.loads(Path(bench.__file__).with_name('cost_table.json').read_text())
    assert cli.main(['bench', '--fit', '--kernel', 'tfm_lut_s8_ref', '--cc', 'zig', '--json', str(path)]) == 0
    new = json.loads(path.read_text())
    assert 'tfm_lut_s8_ref: 6 layers' in capsys.readouterr().out
    assert abs(new['kernels']['tfm_lut_s8_ref']['coef']['elements'] - 5) < .5
    for table in (new, shipped): table['kernels'].pop('tfm_lut_s8_ref')
    assert new == shipped
    assert cli.main(['bench', '--fit', '--kernel', 'tfm_gelu_s8_ref']) == 1
    assert 'tfm_lut_s8_ref' in capsys.readouterr().err


def test_a_ratio_with_waiting_needs_it_on_both_sides():
    "The core's cycles and the likely waiting, over the same of CMSIS-NN; None where one side never counted it."
    theirs = peers.peers()['networks']['R']['cmsis_nn']
    row = fake('network', .8, theirs['est_cycles'] / 8, network='R') | dict(stall_cycles=[0, 100_000, 200_000])
    both = theirs['est_cycles'] + theirs['stall_cycles'][1]
    assert peers.ratio(row, 'cycles') == pytest.approx(both / (theirs['est_cycles'] / 8 + 100_000), rel=1e-6)
    assert peers.ratio(row | dict(stall_cycles=None), 'cycles') is None and peers.ratio(row) == pytest.approx(8)
    assert peers.ratio(row | dict(network='P'), 'cycles', 'authors') is None
