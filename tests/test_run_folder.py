"""A run folder: a step is done once, what somebody else wrote is left alone, and what is missing names its command."""
import json, shlex

import matplotlib
import pytest
import torch

from tinyformer import run_folder
from tinyformer.errors import BadInput, CorruptModel, RunFolderError
from tinyformer.files import finished, record, write_json, write_text
from tinyformer.run_config import RunConfig, settings
from tinyformer.run_folder import (FILES, LEFT, ROAD, STEPS, Run, command, do, forget, load_weights, maker, perform,
                                   result, save_figure, save_weights, step, untouched, walk, weights_of)
from tinyformer.search_space import cifar_space

matplotlib.use('Agg')
CFG = settings(RunConfig(), trials=5)


@pytest.fixture
def run(tmp_path): return Run(tmp_path/'first', CFG, progress=False)


@pytest.fixture
def steps(monkeypatch):
    "Steps that only say that they ran."
    monkeypatch.setattr(run_folder, 'STEPS', {})
    for name in ('train', 'prune'):
        def f(run): return dict(pretended=True)
        f.__name__ = f'step_{name}'
        assert step(f) is f and run_folder.STEPS[name] is f
    return run_folder.STEPS


def test_every_step_has_its_files_and_no_name_stands_for_two():
    written = sum(FILES.values(), []) + sum(LEFT.values(), [])
    assert set(FILES) == set(ROAD) and set(LEFT) <= set(ROAD) and len(written) == len(set(written))
    assert (len(ROAD), list(ROAD)[0], list(ROAD)[-1]) == (9, 'supernas', 'report') and STEPS is run_folder.STEPS


def test_a_folder_belongs_to_one_record_of_settings(run, tmp_path, capsys):
    Run(tmp_path/'first', CFG).say('a run that talks')
    run.say('a quiet one')
    assert capsys.readouterr().out == 'a run that talks\n'
    assert Run(run.folder).cfg == CFG
    with pytest.raises(RunFolderError, match='trials=5'): Run(run.folder, settings(CFG, trials=6))
    with pytest.raises(RunFolderError, match='not a run folder'): Run(tmp_path)


def test_nothing_is_written_for_settings_that_are_refused(tmp_path):
    write_json(tmp_path/'own.json', cifar_space('small', (24, 24, 1), 5).to_json())
    with pytest.raises(BadInput, match='those of digits are'):
        Run(tmp_path/'none', settings(CFG, space=str(tmp_path/'own.json')))
    assert not (tmp_path/'none').exists()


def test_settings_that_were_changed_are_refused(run):
    run.path('run.json').write_text('{"trials": "many"}')
    with pytest.raises(RunFolderError, match='not as TinyFormer wrote it'): Run(run.folder)
    record(run.folder, 'run.json')                                 # as if we had written it
    with pytest.raises(CorruptModel, match="trials is 'many'"): Run(run.folder)


def test_commands_are_named_as_they_are_typed(run):
    folder = shlex.quote(str(run.folder))
    assert command(run, 'prune', again=True) == f'tinyformer compress {folder} --again'
    assert command(run, 'supernas') == f'tinyformer search --out {folder} --trials 5'
    with pytest.raises(RunFolderError, match='first run  tinyformer train '): result(run, 'train')
    with pytest.raises(RunFolderError, match='search --out .* --trials 5'): result(run, 'supernas')


def test_a_step_is_done_once(run, steps):
    assert do(run, 'train')['pretended'] is True
    del steps['train']                        # the step is done: its file answers for it
    assert do(run, 'train')['pretended'] is True
    do(run, 'prune')
    assert finished(run.folder, 'prune.json')
    forget(run.folder, 'train')
    assert sorted(p.name for p in run.folder.iterdir()) == ['.tinyformer', 'run.json']


def test_what_somebody_else_wrote_is_no_result(run, steps):
    write_json(run.path('prune.json'), dict(accuracy=1.))
    with pytest.raises(RunFolderError, match='did not write: prune.json'): do(run, 'prune')
    with pytest.raises(RunFolderError, match='did not write: prune.json'): forget(run.folder, 'prune')
    assert json.loads(run.path('prune.json').read_text()) == dict(accuracy=1.)
    assert not finished(run.folder, 'prune.json')


def test_a_step_claims_its_names_and_writes_its_file_last(tmp_path):
    part = tmp_path/'part'
    def act():
        assert not finished(part, 'a.json')
        write_text(part/'a.txt', 'made')
        return dict(found=1)
    assert perform(part, ['a.json', 'a.txt'], [], act)['found'] == 1
    assert finished(part, 'a.json') and finished(part, 'a.txt')
    write_text(part/'b.json', 'mine')
    with pytest.raises(RunFolderError, match='did not write: b.json'): perform(part, ['b.json'], [], act)


def test_where_another_worker_was_faster_its_result_counts(tmp_path):
    def act():
        perform(tmp_path, ['a.json'], [], lambda: dict(found='theirs'))
        return dict(found='ours')
    assert perform(tmp_path, ['a.json'], [], act)['found'] == 'theirs'


def test_weights_come_back_and_damaged_ones_are_refused(run):
    a, b, again = torch.nn.Linear(3, 2), torch.nn.Linear(3, 2), 'run it again'
    save_weights(a, run.path('a.pt'))
    with pytest.raises(CorruptModel, match='not as TinyFormer wrote it: move it away and run it again'):
        untouched(run.folder, 'a.pt', again)
    record(run.folder, 'a.pt')
    assert torch.equal(load_weights(b, run.folder, 'a.pt', again).weight, a.weight) and not b.training
    with pytest.raises(CorruptModel, match='does not hold this model'):
        load_weights(torch.nn.Linear(4, 2), run.folder, 'a.pt', again)
    with pytest.raises(RunFolderError, match='b.pt is missing: run it again'):
        load_weights(b, run.folder, 'b.pt', again)


def test_missing_weights_name_the_command_that_makes_them(run):
    a = torch.nn.Linear(3, 2)
    with pytest.raises(RunFolderError, match='float.pt is missing: run  tinyformer train .* --again'):
        weights_of(run, 'float.pt', a)
    save_weights(a, run.path('float.pt'))
    with pytest.raises(CorruptModel, match='not as TinyFormer wrote it'): weights_of(run, 'float.pt', a)
    assert maker(run, 'model.tfm').startswith('run  tinyformer compress ')


def test_a_figure_is_written_and_closed(run):
    fig = matplotlib.pyplot.figure(figsize=(1, 1))
    save_figure(fig, run.path('x.png'))
    assert run.path('x.png').read_bytes().startswith(b'\x89PNG') and fig.number not in matplotlib.pyplot.get_fignums()


def test_a_walk_does_every_step_and_says_what_it_comes_to(tmp_path, steps, capsys):
    from tinyformer.hardware import target
    out = walk(Run(tmp_path/'walk', CFG), 'the digits', target('stm32f746'), ['train', 'prune'], do,
               lambda d: [('pretended', str(d['pretended']))])
    assert out['pretended'] and 'Report: ' in (said := capsys.readouterr().out) and 'pretended' in said
