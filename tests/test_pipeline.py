"""The whole road on small settings: files, resuming after kill -9, and what a report holds."""
import json, os, random, shutil, signal, subprocess, sys, time

import pytest

from tinyformer import files, pipeline, run_steps
from tinyformer.cli import main
from tinyformer.errors import AccuracyDropped, BadInput, CorruptModel, RunFolderError, TooSlow
from tinyformer.graph import load
from tinyformer.machine import Machine

SMALL = dict(trials=5, supernet_epochs=2, float_epochs=4, prune_epochs=4, qat_epochs=2, max_drop=1.)
KEYS = '''target flash_limit_bytes sram_limit_bytes supernets_sampled acceptance_probability
acceptance_interval trials trials_feasible accuracy_float accuracy_pruned accuracy_int8
accuracy_device weight_sparsity flash_bytes weights_bytes weights_bytes_dense arena_bytes
arena_lower_bound_bytes stack_bytes sram_bytes instructions_per_inference bytes_compared
bytes_different device_images compiler seconds versions'''.split()


@pytest.fixture(scope='session')
def small_run(tmp_path_factory):
    "One finished run, shared by every test that reads one."
    folder = tmp_path_factory.mktemp('runs')/'small'
    pipeline.go(folder, pipeline.settings(pipeline.RunConfig(), **SMALL), progress=False)
    return folder


def test_report_has_every_key_and_agrees_with_itself(small_run):
    d = json.loads((small_run/'report.json').read_text())
    assert [k for k in KEYS if k not in d] == []
    assert d['bytes_different'] == 0 and d['bytes_compared'] == 10 * d['device_images'] == 3600
    assert d['accuracy_int8'] == d['accuracy_device']
    assert d['flash_bytes'] <= d['flash_limit_bytes'] and d['sram_bytes'] <= d['sram_limit_bytes']
    assert d['sram_bytes'] == d['data_bytes'] + d['bss_bytes'] + d['stack_bytes']
    assert d['bss_bytes'] >= d['arena_bytes'] >= d['arena_lower_bound_bytes']
    assert d['supernets_sampled'] >= 3 and d['trials'] == SMALL['trials'] >= d['trials_feasible'] > 0
    assert d['acceptance_interval'][0] > .9
    assert f"| trained on | {d['versions']['processor']} |" in (small_run/'report.md').read_text()
    for picture in 'supernas search accuracy memory instructions'.split():
        assert (small_run/f'{picture}.png').read_bytes()[:4] == b'\x89PNG'
        assert f'({picture}.png)' in (small_run/'report.md').read_text()


def test_model_weights_are_as_sparse_as_reported(small_run):
    d = json.loads((small_run/'report.json').read_text())
    arch = json.loads((small_run/'sparsenas.json').read_text())['arch']
    least = min(b['sparsity'] for b in arch['blocks'] if b['sparsity'])
    assert d['weight_sparsity'] >= least - .02
    assert load(small_run/'model.tfm').weight_sparsity() == d['weight_sparsity']


def test_every_truncation_of_the_model_is_refused(small_run, tmp_path):
    cut = tmp_path/'cut.tfm'
    cut.write_bytes((small_run/'model.tfm').read_bytes())
    size, refused = cut.stat().st_size, 0
    for n in reversed(range(size)):
        os.truncate(cut, n)
        with pytest.raises(CorruptModel): load(cut)
        refused += 1
    print(f'{refused} truncations refused')
    assert refused == size > 10_000


SCRIPT = 'import sys; from tinyformer.cli import main; sys.exit(main(sys.argv[1:]))'


def start(folder):
    words = [w for k, v in SMALL.items() for w in (f"--{k.replace('_', '-')}", str(v))]
    return subprocess.Popen([sys.executable, '-c', SCRIPT, 'demo', '--out', str(folder), *words],
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def wait_for(process, folder, done, more):
    "Until the step after `done` has run for `more` seconds, or the process ended."
    end = time.time() + 120
    while process.poll() is None and time.time() < end and not (folder/done).exists(): time.sleep(.02)
    time.sleep(more)


@pytest.mark.thorough
def test_killed_runs_continue_to_the_same_model(small_run, tmp_path):
    "kill -9 in supernet training, in the search, in pruning: the bytes of the model are those of an uninterrupted run."
    folder, rng, killed = tmp_path/'killed', random.Random(7), 0
    for done in ('supernas.json', 'supernet.json', 'train.json'):
        p = start(folder)
        wait_for(p, folder, done, rng.random() * .6)
        p.send_signal(signal.SIGKILL)
        killed += p.wait() == -signal.SIGKILL
        assert not (folder/'report.json').exists()
        for f in folder.glob('*.json'): json.loads(f.read_text())
    assert killed == 3
    p = start(folder)
    text = p.communicate(timeout=300)[0]
    assert p.returncode == 0, text
    assert (folder/'model.tfm').read_bytes() == (small_run/'model.tfm').read_bytes()
    a, b = (json.loads((f/'report.json').read_text()) for f in (folder, small_run))
    assert a['trials'] == b['trials'] == SMALL['trials']


def test_second_run_reuses_everything(small_run):
    before = {p.name: p.stat().st_mtime_ns for p in small_run.iterdir()}
    pipeline.go(small_run, pipeline.settings(pipeline.RunConfig(), **SMALL), progress=False)
    assert {p.name: p.stat().st_mtime_ns for p in small_run.iterdir()} == before


def test_again_forgets_later_steps(small_run, tmp_path):
    folder = shutil.copytree(small_run, tmp_path/'copy')
    pipeline.forget(folder, 'compile')
    run = pipeline.Run(folder, progress=False)
    with pytest.raises(RunFolderError, match='tinyformer compile'): pipeline.result(run, 'compile')
    assert not (folder/'simulate.json').exists() and not (folder/'report.json').exists()
    assert pipeline.do(run,
                       'compile')['flash_bytes'] == json.loads((small_run/'compile.json').read_text())['flash_bytes']


def test_every_step_runs_alone_from_the_files_of_the_folder(small_run, tmp_path, capsys):
    "After a search, the later commands one by one end in the report of the demo."
    from tinyformer import cli
    folder = shutil.copytree(small_run, tmp_path/'steps')
    pipeline.forget(folder, 'train')
    for command in 'train compress compile simulate report'.split():
        assert cli.main([command, str(folder)]) == 0, capsys.readouterr().err
    a, b = (json.loads((f/'report.json').read_text()) for f in (folder, small_run))
    assert {k: v for k, v in a.items() if 'seconds' not in k} == {k: v for k, v in b.items() if 'seconds' not in k}


BROKEN = ['', '{', '[]', 'null', '5', '{"trials": "many"}', '{"trials": null}', '{"colour": 1}', '{"dataset": 5}',
          '{"dataset": "../x"}', '{"lr": [1]}',
          '{"target": "none"}', '{"seed": -1}', '{"max_drop": NaN}', '\x00\xff']


@pytest.mark.parametrize('text, ours', [(t, True) for t in BROKEN] + [(BROKEN[5], False)])
def test_settings_that_somebody_changed_are_no_bug(tmp_path, capsys, text, ours):
    pipeline.Run(tmp_path/'run', pipeline.RunConfig(), progress=False)
    (tmp_path/'run'/'run.json').write_text(text, encoding='latin-1')
    if ours: files.record(tmp_path/'run', 'run.json')                    # damaged on the disk, as if by us
    card = ['evaluate', 'digits', '--notes', 'run', '--report', str(tmp_path/'c.json')]
    for argv in (['train', 'run'], ['demo', '--out', 'run'], ['rank', 'run'], card):
        words = [str(tmp_path/w) if w == 'run' else w for w in argv]
        assert main(words) == 1
        err = capsys.readouterr().err
        assert err.startswith('tinyformer: ') and 'unexpected' not in err, err
    assert (tmp_path/'run'/'run.json').read_text(encoding='latin-1') == text


def test_a_result_that_somebody_changed_is_named_with_the_command_that_helps(small_run, tmp_path, capsys):
    "Each result in turn is edited, and each file of weights; out of the way, the command that is named works."
    import re, shlex
    fails = {f'{step}.json': ['report'] for step in list(pipeline.ROAD)[:-1]}
    fails |= {'float.pt': ['compress'], 'pruned.pt': ['compress'], 'model.tfm': ['compile']}
    begins = {'float.pt': 'prune', 'pruned.pt': 'quantize', 'model.tfm': 'compile'}
    for name, argv in fails.items():
        folder = shutil.copytree(small_run, tmp_path/f'edited {name}')
        pipeline.forget(folder, begins.get(name, 'report'))
        with open(folder/name, 'ab') as f: f.write(b' ')
        assert main([*argv, str(folder)]) == 1
        err = capsys.readouterr().err
        assert name in err and 'is not as TinyFormer wrote it: move it away and run  tinyformer ' in err, err
        typed = shlex.split(re.search(r'run  (tinyformer .*)', err)[1])
        assert typed[1] in set(pipeline.COMMAND.values()) and str(folder) in typed
        assert '--fresh' not in typed and ('--again' in typed) == (typed[1] != 'search')
        if name == 'compile.json':
            (folder/name).unlink()
            assert main(typed[1:]) == 0, capsys.readouterr().err
        shutil.rmtree(folder)


def test_the_command_of_a_search_repeats_its_settings(tmp_path):
    cfg = pipeline.settings(pipeline.RunConfig(), trials=3, space='sizes', lr=.01)
    run = pipeline.Run(tmp_path/'my run', cfg, progress=False)
    words = "--space sizes --trials 3 --lr 0.01"
    assert pipeline.command(run, 'supernet') == f"tinyformer search --out '{tmp_path}/my run' {words}"
    from tinyformer import cli
    given = vars(cli.parser(['search']).parse_args(['search', *pipeline.typed(cfg).split()]))
    assert {k: given[k] for k in ('trials', 'space', 'lr')} == dict(trials=3, space='sizes', lr=.01)


@pytest.mark.thorough
def test_candidates_are_trained_like_the_winner(small_run, tmp_path, capsys):
    folder = tmp_path/'run'
    shutil.copytree(small_run, folder)
    assert main(['rank', str(folder), '--models', '3']) == 0
    d, out = json.loads((folder/'rank.json').read_text()), capsys.readouterr().out
    assert 'τ = ' in out and len(d['rows']) == 3 and (folder/'rank.png').read_bytes()[:4] == b'\x89PNG'
    trials = [r['trial'] for r in d['rows']]
    first = json.loads((folder/'rank'/str(trials[0])/'quantize.json').read_text())
    assert len(set(trials)) == 3 and first['stages']['int8'] == d['rows'][0]['int8']
    won = json.loads((folder/'sparsenas.json').read_text())['winner']
    if won in trials: assert (folder/'rank'/str(won)/'model.tfm').read_bytes() == (folder/'model.tfm').read_bytes()
    mark = folder/'rank'/str(trials[0])/'train.json'
    before = mark.stat().st_mtime_ns
    assert main(['rank', str(folder), '--models', '3']) == 0 and mark.stat().st_mtime_ns == before
    with open(mark.with_name('supernet.pt'), 'ab') as f: f.write(b'other')
    assert main(['rank', str(folder), '--models', '3']) == 1
    assert 'supernet.pt (changed)' in capsys.readouterr().err
    files.record(mark.parent, 'supernet.pt')                # as if we had written it, from another supernet
    assert main(['rank', str(folder), '--models', '3']) == 0 and mark.stat().st_mtime_ns > before
    assert json.loads((folder/'rank.json').read_text()) == d
    pipeline.forget(folder, 'train')
    assert mark.exists()
    pipeline.forget(folder, 'sparsenas')
    assert not (folder/'rank').exists() and (folder/'supernet.pt').exists()


def test_rank_says_what_it_needs(small_run, tmp_path, capsys):
    assert main(['rank', str(small_run), '--models', '2']) == 1 and 'from 3 to' in capsys.readouterr().err
    assert main(['rank', str(small_run), '--models', '99']) == 1 and 'ask for 2 to' in capsys.readouterr().err
    pipeline.Run(tmp_path/'new', pipeline.RunConfig())
    assert main(['rank', str(tmp_path/'new')]) == 1 and 'first run  tinyformer search' in capsys.readouterr().err


def test_the_fastest_machine_is_measured_once_for_each_training_in_float(small_run, tmp_path, monkeypatch):
    "What is found stands beside the checkpoint and goes with it; by default nothing is tried."
    asked = []
    def fastest(model, data, cfg, file, progress):
        asked.append(file.name)
        files.write_json(file, dict(images_per_second=1.))
        return Machine(channels_last=True)
    monkeypatch.setattr(run_steps, 'fastest', fastest)
    few = SMALL | dict(trials=1, float_epochs=2, prune_epochs=2, machine='fastest')
    run = pipeline.Run(tmp_path/'r', pipeline.settings(pipeline.RunConfig(), **few), progress=False)
    for name in list(pipeline.ROAD)[:5]: pipeline.do(run, name)
    left = lambda folder: sorted(p.name for p in folder.glob('*.machine.json'))
    assert asked == ['supernet.machine.json', 'train.machine.json', 'prune.machine.json']
    assert left(run.folder) == sorted(asked) and left(small_run) == []
    pipeline.forget(run.folder, 'prune')
    assert left(run.folder) == ['supernet.machine.json', 'train.machine.json']
    with pytest.raises(BadInput, match="no machine 'gpu'; there are plain, fastest"):
        pipeline.settings(pipeline.RunConfig(), machine='gpu')


def test_lost_accuracy_and_slowness_are_errors():
    with pytest.raises(AccuracyDropped, match='float 99.0%'): pipeline.check_drop(dict(float=.99, int8=.9), .05)
    with pytest.raises(TooSlow, match='dw'): pipeline.check_speed(1000, dict(dw=1000), 999)


@pytest.mark.needs('qemu')
@pytest.mark.parametrize('cc', ['zig', pytest.param('gcc', marks=pytest.mark.needs('gcc'))])
def test_qemu_agrees_with_unicorn(small_run, tmp_path, cc):
    d = pipeline.compare_qemu(pipeline.Run(shutil.copytree(small_run, tmp_path/'copy'), progress=False), cc)
    print(d)
    assert d['bytes_compared'] == 10 and d['bytes_different'] == 0
    assert abs(d['qemu_instructions'] - d['unicorn_instructions']) <= 2 * d['tick']
