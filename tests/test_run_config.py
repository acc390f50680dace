"""Settings of a run: wrong ones are refused before anything is trained, and a budget is shared out to the trainings."""
from dataclasses import replace
from unittest import mock

import pytest

from tinyformer.errors import BadInput, UnknownDataset, check_number
from tinyformer.files import write_json
from tinyformer.hardware import CORES, Core, target
from tinyformer.run_config import (RANGES, RunConfig, Stage, budget, check_run, defaults, settings, share_out,
                                   spaces_for, stages, typed)
from tinyformer.search_space import SIZES, cifar_space
from tinyformer.training import TrainConfig

CFG = settings(RunConfig(), trials=5)


@pytest.fixture
def own(tmp_path):
    "A file with a search space for images of 24x24 pixels and 5 classes."
    write_json(tmp_path/'own.json', cifar_space('small', (24, 24, 1), 5).to_json())
    return tmp_path/'own.json'


def test_the_demo_is_the_default_and_other_data_get_the_whole_target():
    assert defaults('digits') == RunConfig() and (RunConfig().flash, RunConfig().trials) == ('42KB', 60)
    assert (defaults('cifar10').dataset, defaults('cifar10').flash) == ('cifar10', '')
    assert (budget(RunConfig()).flash_bytes, budget(RunConfig()).sram_bytes) == (43008, 16384)
    assert budget(defaults('cifar10')) == target('stm32f746')


def test_what_was_changed_can_be_typed():
    assert (typed(RunConfig()), typed(defaults('svhn'))) == ('', '--dataset svhn')
    cfg = replace(defaults('svhn'), flash='1MB', space='my space.json', max_drop=.1)
    assert typed(cfg) == "--dataset svhn --flash 1MB --space 'my space.json' --max-drop 0.1"


WRONG = dict(trials=(0, 2.5), seed=(-1,), threads=(100_000,), lr=('fast', 0), max_instructions=(-1,),
             max_drop=(float('nan'), 2))


@pytest.mark.parametrize('name,value', [(k, v) for k, values in WRONG.items() for v in values])
def test_a_number_out_of_its_range_is_named(name, value):
    with pytest.raises(BadInput, match=f'{name} is '): check_number(name, value, *RANGES[name])
    with pytest.raises(BadInput, match=f'{name} is '): settings(CFG, **{name: value})


@pytest.mark.parametrize('wrong,says', [
    (dict(trails=5), 'no setting'), (dict(trials=0), 'from 1 to'), (dict(lo=1.2), 'λ_lo'),
    (dict(hi=float('nan')), 'λ_lo'), (dict(dataset=5), 'a text'), (dict(sampler='dice'), 'nsga2'),
    (dict(flash='2MB'), 'flash'), (dict(momentum=.9), 'give lr as well'), (dict(minutes=0), 'minutes is 0: '),
    (dict(minutes=5, images=10**6), 'give one of the two'), (dict(images=90), 'images is 90: ')])
def test_a_wrong_setting_is_refused(wrong, says):
    with pytest.raises(BadInput, match=says): settings(CFG, **wrong)


def test_momentum_changes_rule_and_decay_of_the_trainings_in_float():
    fast, rounded = stages(settings(CFG, momentum=.9, lr=.1)), stages(CFG)['quantize']
    assert fast.pop('quantize') == rounded and rounded.cfg.lr == pytest.approx(5e-4)
    assert {s.cfg.momentum for s in fast.values()} == {.9} and {s.cfg.weight_decay for s in fast.values()} == {5e-4}
    assert [round(s.cfg.lr, 4) for s in fast.values()] == [.1, .1, .0667]
    assert {(s.cfg.momentum, s.cfg.weight_decay) for s in stages(CFG).values()} == {(0, .05)}


def test_a_copy_is_changed_and_not_the_record():
    assert (CFG.trials, RunConfig().trials) == (5, 60)


def test_a_budget_is_shared_out_as_the_epochs_are():
    two = dict(a=Stage(TrainConfig(epochs=3)), b=Stage(TrainConfig(epochs=1), rise=(0., .5)))
    assert [s.cfg.minutes for s in share_out(two, minutes=8.).values()] == [6., 2.]
    assert [s.cfg.images for s in share_out(two, images=10_000).values()] == [7500, 2500]
    assert share_out(two) == two
    with pytest.raises(BadInput, match='give 2560 or more'): share_out(two, images=2000)


def test_each_step_trains_as_the_settings_say():
    road = stages(RunConfig(supernet_epochs=2))
    assert (road['prune'].rise, road['supernet'].cfg.epochs) == ((0., .6), 2)
    short = stages(RunConfig(minutes=1.78))
    assert [round(s.cfg.minutes, 2) for s in short.values()] == [.8, .3, .6, .08]


def test_the_supernets_go_by_the_images_or_come_from_a_file(own):
    assert [s.name for s in spaces_for(defaults('cifar10'), (32, 32, 3), 10)] == list(SIZES)
    assert [s.name for s in spaces_for(settings(CFG, space='middle'), (32, 32, 3), 10)] == ['middle']
    assert len(spaces_for(RunConfig(), (8, 8, 1), 10)) == 10
    mine = settings(CFG, space=str(own))
    assert spaces_for(mine, (24, 24, 1), 5) == [cifar_space('small', (24, 24, 1), 5)]
    with pytest.raises(BadInput, match='those of digits are'): spaces_for(mine, (8, 8, 1), 10)
    with pytest.raises(BadInput, match='neither'): spaces_for(settings(CFG, space='huge'), (8, 8, 1), 10)
    own.write_text('[]')
    with pytest.raises(BadInput, match='does not hold a search space'): spaces_for(mine, (24, 24, 1), 5)


def test_what_no_run_can_begin_with_is_refused(own):
    check_run(CFG)
    with pytest.raises(UnknownDataset, match='did you mean'): check_run(settings(CFG, dataset='digit'))
    with pytest.raises(BadInput, match='those of digits are'): check_run(settings(CFG, space=str(own)))
    for board in ('rp2040', 'nrf52840'): check_run(settings(CFG, target=board))
    without = mock.patch.dict(CORES, {'cortex-m0plus': Core('cortex-m0plus')})   # no start-up code
    with without, pytest.raises(BadInput, match='no start-up code'): check_run(settings(CFG, target='rp2040'))
