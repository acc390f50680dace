"""The zoo: shipped files, their cards, evaluation in three places, and what a wrong kernel or file does to it."""
import json, shutil

import numpy as np
import pytest

from tinyformer import evaluation, graph as tg, zoo
from tinyformer.codegen import generate
from tinyformer.errors import BadInput, CorruptModel, SimulationFailed, UnknownModel, WrongBytes


@pytest.fixture(scope='module')
def toy():
    g = tg.random_graph(1, (6, 6, 3))
    g.name = 'toy'
    return g


@pytest.fixture(scope='module')
def pictures(): return np.random.default_rng(0).integers(0, 256, (20, 6, 6, 3), dtype=np.uint8)


@pytest.fixture(scope='module')
def card(toy, pictures):
    return zoo.report(toy, (pictures, np.zeros(20, int)), dict(copy='noise'), device_images=3, progress=False)


# ---- what is shipped

def test_something_is_shipped(): assert 'digits' in zoo.names()


@pytest.mark.parametrize('name', zoo.names())
def test_a_shipped_model_is_what_its_card_says(name, tmp_path):
    "Everything on the card that no compiler can change is computed again."
    model, path = zoo.load(name), zoo.shelf()/f'{name}.tfm'
    c = model.card
    assert c['name'] == name and path.stat().st_size == c['file_bytes'] <= zoo.MAX_FILE
    assert (model.macs(), model.weight_sparsity()) == (c['macs'], c['weight_sparsity'])
    fw = zoo.Setting(**c['setting']).firmware(model, tmp_path/'fw')
    assert (fw.weights_bytes, fw.arena_bytes) == (c['flash']['weights'] + c['flash']['constants'], c['sram']['arena'])
    assert c['flash']['total'] <= c['flash']['limit'] and c['sram']['total'] <= c['sram']['limit']
    assert c['sram']['total'] == c['sram']['data'] + c['sram']['bss'] + c['sram']['stack']
    assert all(v[1] == 0
               < v[0] for v in c['bytes'].values()) and list(c['profile'])[:-1] == [op.name for op in fw.graph.ops]
    measured = [c['accuracy'][k] for k in ('int8', 'device')]
    measured += [v for v in c['accuracy'].values() if v is not None]   # not every model has a float or a dense self
    assert all(0 < v <= 1 for v in measured) and c['trained']['commit'] and c['trained']['command']


def test_every_file_on_the_shelf_belongs_to_a_model():
    assert sorted(p.name for p in zoo.shelf().iterdir()) == sorted(f'{n}.{e}' for n in zoo.names() for e in ('tfm',
        'json'))


def test_digits_are_as_right_as_their_card_says():
    c = zoo.card_of('digits')
    r = zoo.evaluate(zoo.load('digits'), on='host', progress=False)
    assert (r['accuracy'], r['images'], [r['bytes_compared'], r['bytes_different']]) == (c['accuracy']['int8'],
        c['images']['int8'], c['bytes']['host'])


# ---- evaluation

@pytest.mark.parametrize('on', zoo.ON)
def test_accuracy_is_the_share_of_right_answers(on, toy, pictures):
    y = tg.predict(toy, pictures)
    y[::4] = (y[::4] + 1) % 10
    r = zoo.evaluate(toy, (pictures, y), on, progress=False)
    assert (r['accuracy'], r['right'], r['images'], r['bytes_different']) == (.75, 15, 20, 0)
    assert r['bytes_compared'] == (0 if on == 'reference'
                                   else 200) and (r['instructions_per_inference'] is None) == (on != 'device')


@pytest.mark.parametrize('compare', [0, 3, 20])
def test_only_the_images_asked_for_are_compared(toy, pictures, compare):
    r = zoo.evaluate(toy, (pictures, np.zeros(20, int)), 'host', compare=compare, progress=False)
    assert (r['compared_images'], r['bytes_compared'], r['images']) == (compare, compare * 10, 20)


def test_a_wrong_byte_is_seen(toy, pictures, monkeypatch):
    right = evaluation.run_host
    def wrong(fw, x, cc):
        out = right(fw, x, cc).copy()
        out[0, 0] ^= 1
        return out
    monkeypatch.setattr(evaluation, 'run_host', wrong)
    assert zoo.evaluate(toy, (pictures, np.zeros(20, int)), 'host', progress=False)['bytes_different'] == 1


@pytest.mark.parametrize('where', ['run_host', 'reference'])
def test_a_failure_in_one_part_ends_it(toy, pictures, monkeypatch, where):
    def fail(*args, **kw): raise SimulationFailed('status 3')
    if where == 'run_host': monkeypatch.setattr(evaluation, 'run_host', fail)
    else: monkeypatch.setattr(zoo.tg, 'run', fail)
    with pytest.raises(SimulationFailed, match='status 3'):
        zoo.evaluate(toy, (pictures, np.zeros(20, int)), 'host', progress=False)


def test_many_images_come_back_in_order(toy):
    x = np.random.default_rng(1).integers(0, 256, (601, 6, 6, 3), dtype=np.uint8)
    y = tg.predict(toy, x)
    for on in ('reference', 'host'): assert zoo.evaluate(toy, (x, y), on, progress=False)['accuracy'] == 1


@pytest.mark.parametrize('arrays, words', [
    (dict(x_test=np.zeros((2, 6, 6, 3))), 'has no y_test'), (dict(y_test=np.zeros(2, int)), 'has no x_test'),
    (dict(a=np.zeros(2)), 'has no x_test and no y_test'),
    (dict(x_test=np.zeros((2, 6, 6, 3), int), y_test=np.zeros(2, int)), 'must be uint8'),
    (dict(x_test=np.zeros((2, 6, 6, 3), np.uint8), y_test=np.zeros(3, int)), 'one per image'),
    (dict(x_test=np.zeros((2, 3, 6, 6), np.uint8), y_test=np.zeros(2, int)), 'channels must come last'),
    (dict(x_test=np.array([dict()], object), y_test=np.zeros(1, int)), 'not a readable .npz')])
def test_a_wrong_npz_is_named(toy, tmp_path, arrays, words):
    np.savez(tmp_path/'x.npz', **arrays)
    with pytest.raises(BadInput, match=f'x.npz.*{words}'): zoo.evaluate(toy, tmp_path/'x.npz', progress=False)


# ---- cards and the shelf

def test_a_report_has_all_that_a_card_needs(card):
    assert set(zoo.CARD) - set(card) == {'sha256', 'file_bytes'}
    assert card['accuracy']['float'] is None and card['accuracy']['int8'] is not None
    assert json.loads(json.dumps(card)) == card, 'a card is plain JSON'
    assert sum(card['flash'][k] for k in ('code', 'weights', 'constants')) == card['flash']['total']


def test_adding_and_loading_give_the_same_model(toy, card, tmp_path):
    (tmp_path/'report.json').write_text(json.dumps(card))
    tg.save(toy, tmp_path/'file.tfm')
    zoo.add(tmp_path/'file.tfm', 'a-1', tmp_path/'report.json', tmp_path/'shelf')
    back = zoo.load('a-1', tmp_path/'shelf')
    assert tg.equal(back, toy) and back.card['name'] == 'a-1' and len(zoo.list(tmp_path/'shelf')) == 1
    assert isinstance(generate(back, zoo.Setting().board(), tmp_path/'fw').graph, zoo.Model)


def test_a_card_is_not_renewed_where_a_byte_differs(toy, card, tmp_path, monkeypatch):
    zoo.add(toy, 'toy', card, tmp_path)
    was, right = (tmp_path/'toy.json').read_bytes(), zoo.tg.run
    monkeypatch.setattr(zoo.tg, 'run', lambda *args, **kw: right(*args, **kw) ^ 1)
    with pytest.raises(WrongBytes, match='toy: 20 of 20 output bytes differ'): zoo.renew('toy', 2, tmp_path, False)
    assert (tmp_path/'toy.json').read_bytes() == was


def test_a_file_over_the_limit_is_refused(toy, card, tmp_path, monkeypatch):
    monkeypatch.setattr(zoo, 'MAX_FILE', 1000)
    with pytest.raises(BadInput, match='more than a shipped model may have'): zoo.add(toy, 'big', card, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('damage, error', [('card', CorruptModel), ('field', CorruptModel), ('byte', CorruptModel),
                                           ('gone', UnknownModel)])
def test_damage_is_named(tmp_path, damage, error):
    for e in ('tfm', 'json'): shutil.copy(zoo.shelf()/f'digits.{e}', tmp_path)
    model, card = tmp_path/'digits.tfm', tmp_path/'digits.json'
    assert zoo.load('digits', tmp_path).card['name'] == 'digits'
    if damage == 'card': card.write_text(card.read_text()[:-50])
    if damage == 'field':
        card.write_text(json.dumps({k: v for k, v in json.loads(card.read_text()).items() if k != 'sha256'}))
    if damage == 'byte': raw = bytearray(model.read_bytes()); raw[len(raw) // 2] ^= 4; model.write_bytes(raw)
    if damage == 'gone': card.unlink()
    with pytest.raises(error, match='digits'): zoo.load('digits', tmp_path)


def test_pictures_are_made_up_only_where_the_data_set_is_not_at_hand(toy, pictures, monkeypatch, tmp_path):
    toy = zoo.Model(**vars(toy), card=dict(dataset=dict(name='six')))
    monkeypatch.delenv('TINYFORMER_DATA', raising=False)
    made, none = zoo.pictures(toy, 5)
    assert none is None and made.shape == (5, 6, 6, 3) and made.dtype == np.uint8 and made.std() > 20
    np.savez(tmp_path/'six.npz',
             **{f'{a}_{p}': v for p in ('train', 'test') for a, v in (('x', pictures), ('y', np.arange(20) % 10))})
    monkeypatch.setenv('TINYFORMER_DATA', str(tmp_path))
    real, y = zoo.pictures(toy, 5)
    assert (real == pictures[:5]).all() and y.tolist() == [0, 1, 2, 3, 4]
