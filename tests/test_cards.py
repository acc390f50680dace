"""The card of a model: fields that are missing, unknown or of another kind are refused, and nothing is made up."""
import json
from pathlib import Path

import matplotlib
import pytest

from tinyformer import cards
from tinyformer.cards import (MAYBE, NUMBER, Shelf, belongs, card_markdown, card_table, check_card, is_kind, made_by,
                              milliseconds, notes, of_now, plot_card, plot_fitting, read_card, report_of, shelf_row,
                              words)
from tinyformer.errors import BadInput, CorruptModel
from tinyformer.files import record, write_json
from tinyformer.provenance import commit
from tinyformer.run_config import RunConfig
from tinyformer.run_folder import Run

matplotlib.use('Agg')
DIGITS = Path(cards.__file__).parent/'models'/'digits.json'
CORE = dict(est_cycles=216_000, stall_cycles=None)


@pytest.fixture
def good(): return of_now(json.loads(DIGITS.read_text(encoding='utf-8')))


def test_an_early_card_is_read_as_what_it_says():
    early = dict(name='toy', cycles=7, profile=dict(conv=[9, 6]))
    now = dict(name='toy', est_cycles=7, stall_cycles=None, stall_causes=None, cycles=None,
               profile=dict(conv=[9, 6, None]))
    assert of_now(early) == now == of_now(of_now(early))
    assert (of_now(dict(name='toy')), of_now([])) == (dict(name='toy'), [])


def test_a_shipped_card_is_one_and_none_may_lack_a_field(good):
    assert check_card(good) is good
    with pytest.raises(CorruptModel, match='no name'): check_card({k: v for k, v in good.items() if k != 'name'})
    with pytest.raises(CorruptModel, match='unknown: colour'): check_card(good | dict(colour=1))
    with pytest.raises(CorruptModel, match='a JSON object'): check_card([])


@pytest.mark.parametrize('field,value', dict(name=5, macs='many', flash={}, bytes=[1], profile=dict(a=[1]),
                                             accuracy=0).items())
def test_a_value_of_another_kind_is_named(good, field, value):
    with pytest.raises(CorruptModel, match=f'a wrong {field}'): check_card(good | {field: value})
    assert (is_kind(None, MAYBE), is_kind(True, NUMBER)) == (True, False)


def test_notes_of_a_finished_run(tmp_path):
    run = Run(tmp_path/'run', RunConfig(sram='8KB'), progress=False)
    write_json(run.path('report.json'), dict(dataset='digits', accuracy_float=.99, accuracy_pruned=.98, seconds=90,
                                             versions={}))
    record(run.folder, 'report.json')
    said = notes(tmp_path/'run')
    assert (said['command'], said['accuracy_float'], said['hours']) == ('tinyformer demo --sram 8KB', .99, .025)


def test_later_notes_count_and_unknown_ones_are_refused(tmp_path):
    assert notes(dict(copy='as published', commit='a'), dict(commit='b'))['commit'] == 'b'
    assert notes()['accuracy_float'] is None
    with pytest.raises(BadInput, match="notes have no 'acuracy'"): notes(dict(acuracy=1))
    with pytest.raises(BadInput, match='neither a run folder'): notes(tmp_path/'nothing')
    with pytest.raises(BadInput, match='a wrong accuracy_float'): notes(dict(accuracy_float='high'))


def test_a_command_keeps_no_folder_of_this_machine(tmp_path):
    assert words(['evaluate', str(tmp_path/'m.tfm'), '--on', 'my board']) == "tinyformer evaluate m.tfm --on 'my board'"
    assert list(made_by('by hand', 1.23)) == ['command', 'commit', 'versions', 'machine', 'seconds']
    assert len(commit()) in (0, 40, 41)


def test_time_is_said_as_far_as_it_is_known(good):
    assert milliseconds(good | CORE) == pytest.approx(1)
    assert milliseconds(good | CORE | dict(stall_cycles=[0, 108_000, 216_000])) == pytest.approx(1.5)
    assert milliseconds(good | dict(est_cycles=None)) is None
    alone = '1.0 ms at 216 MHz, estimated for the core alone: its waiting for memory is unknown'
    assert cards._time_rows(good | CORE | dict(stall_causes=None)) == [
        ('time per inference', alone), ('estimated cycles', '216,000 in the core')]


def test_a_card_as_a_table(good):
    bare = good | dict(name='toy', about='random weights', accuracy=dict(good['accuracy'], float=None),
                       bytes=dict(host=[400, 0]), trained=dict(command='', commit='', seeds={}, hours=None, machine=''))
    rows = dict(card_table(bare))
    assert rows['bytes that differ from the reference'] == 'host 0 of 400'
    assert rows['accuracy'].startswith('float not measured')
    assert rows['trained by'] == '`not said` at no commit, seeds {}'
    assert card_markdown(bare).startswith('**toy**: random weights')
    parts = cards._sizes([('code', 1000), ('rest', 5)], dict(total=1005, limit=2000))
    assert parts == '1,005 of 2,000 bytes: code 1,000, rest 5'


def test_a_card_as_a_picture(good):
    fig = plot_card(good)
    assert [len(ax.patches) for ax in fig.axes] == [3, 4, min(12, len(good['profile']))]
    matplotlib.pyplot.close(fig)
    ax = matplotlib.pyplot.subplots()[1]
    cards._stack(ax, 'flash', dict(code=1024, weights=512), 4096)
    assert ax.get_title() == 'flash: 1.5 of 4 KB'
    matplotlib.pyplot.close()


# ---- a card beside its model, and many -------------------------------------------------------------------------------

def test_a_damaged_card_says_how_to_come_by_a_good_one(tmp_path, good):
    file = tmp_path/'mine.json'
    write_json(file, good)
    assert read_card(file, 'measure it') == good
    file.write_text('{')
    with pytest.raises(CorruptModel, match='mine.json is damaged .*: measure it'): read_card(file, 'measure it')
    with pytest.raises(BadInput, match='cannot be read'): read_card(tmp_path/'none.json', '')


def test_a_report_is_a_dict_or_the_path_of_its_json(tmp_path, good):
    write_json(tmp_path/'r.json', good)
    assert report_of(tmp_path/'r.json') == report_of(good) == good
    for name, text in dict(words='no JSON', number='5').items():
        (tmp_path/name).write_text(text)
        with pytest.raises(BadInput, match='is no report'): report_of(tmp_path/name)


def test_a_report_belongs_to_the_model_with_its_sums_and_zeros(good):
    class Model:
        def macs(self): return good['macs']
        def weight_sparsity(self): return good['weight_sparsity']
    assert belongs(Model(), good)
    for other in dict(macs=good['macs'] + 1), dict(weight_sparsity=.5), dict(weight_sparsity=None):
        assert not belongs(Model(), good | other)


def test_a_shelf_is_a_table(good):
    three = Shelf([good | dict(file_bytes=2048)] * 3)
    assert len(three.rows()) == 3 and repr(three).count('\n') == 3
    assert shelf_row(three[0])[:2] == ('digits', good['dataset']['copy']) and shelf_row(three[0])[-1] == '2.0'
    assert three._repr_markdown_().splitlines()[1].count('--') == len(Shelf.COLUMNS)


def test_models_that_fit_are_green(good):
    flash, sram = good['flash']['total'] / 1024, good['sram']['total'] / 1024
    for less_flash, less_sram, colour in (0, 0, 'tab:green'), (1, 0, 'tab:red'), (0, 1, 'tab:red'):
        ax = plot_fitting([good], flash - less_flash, sram - less_sram)
        assert matplotlib.colors.same_color(ax.collections[0].get_facecolor()[0], colour)
    matplotlib.pyplot.close('all')
