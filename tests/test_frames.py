"""Knobs of the site that need no kernel: what is kept of an `interact` cell, and that each position shows its frame."""
import base64, io, json, shutil, sys
from itertools import product

import matplotlib.pyplot as plt
import numpy as np
import pytest
from IPython.display import Markdown
from ipywidgets import fixed, interactive
from PIL import Image

from browser import browser
from conftest import ROOT, find_tool

sys.path.insert(0, str(ROOT/'docs'))
import frames
import run_notebooks

NOTEBOOKS = sorted(o for o in (ROOT/'nbs').rglob('*.ipynb') if not any(p[0] in '._' for p in o.parts))


def widgets(**knobs):
    "The widgets that `interact` makes of its arguments."
    return interactive(lambda **words: None, **knobs).kwargs_widgets


# ---- which positions -------------------------------------------------------------------------------------------------

def test_a_slider_a_list_and_a_switch():
    got = frames.knobs(widgets(a=(0, 4), b=['x', 'y'], c=True, d=fixed(3), e=[None]))
    assert [k['name'] for k in got] == ['a', 'b', 'c']
    assert [k['values'] for k in got] == [[0, 1, 2, 3, 4], ['x', 'y'], [False, True]]
    assert [k['shown'][k['start']] for k in got] == ['2', 'x', 'yes'] and [k['choice'] for k in got] == [0, 1, 1]


def test_a_number_of_a_list_is_short():
    assert frames.knobs(widgets(a=[.5, 181.01933598375618]))[0]['shown'] == ['0.5', '181.019']


def test_many_positions_are_spread():
    "Ends and start are kept, and no more positions than there may be."
    got = frames.knobs(widgets(a=(0., 1., .01), b=(10, 500, 10)))
    sizes = [len(k['values']) for k in got]
    assert 25 < np.prod(sizes) <= frames.MOST
    assert got[0]['values'][0] == 0 and got[0]['values'][-1] == 1 and got[0]['values'][got[0]['start']] == .5
    assert got[1]['values'][0] == 10 and got[1]['values'][-1] == 500 and got[1]['shown'][got[1]['start']] == '250'


@pytest.mark.parametrize('n,k', [(n, k) for n in (1, 2, 3, 7, 50) for k in (1, 2, 3, 5) if k <= n])
def test_spread_holds_the_start(n, k):
    for start in range(n):
        got = frames.spread(n, k, start)
        assert start in got and len(got) <= k and got == sorted(set(got)) and 0 <= got[0] and got[-1] < n


def test_a_cell_names_its_knobs():
    got = frames.knobs(widgets(a=(0., 1., .05), b=(0, 9), c=(0, 9)), ['a=0,0.15,1', 'c=3,4'])
    assert [(k['name'], k['shown']) for k in got] == [('a', ['0', '0.15', '1']), ('c', ['3', '4'])]
    assert got[0]['values'] == [0., .15, 1.]
    with pytest.raises(ValueError, match='name z, which is no knob'): frames.knobs(widgets(a=(0, 3)), ['z=1'])


# ---- what they show --------------------------------------------------------------------------------------------------

def square(i, n):
    "A figure whose colour says what it was drawn for."
    fig = plt.figure(figsize=(1, 1))
    fig.patches.append(plt.Rectangle((0, 0), 1, 1, color=(i/10, n/10, .2), transform=fig.transFigure))


def colour(i, n): return np.array([round(25.5*i), round(25.5*n), 51])


def test_each_position_has_its_picture():
    told = frames.frames(square, widgets(i=(0, 4), n=(0, 2)))
    whole = np.asarray(Image.open(io.BytesIO(base64.b64decode(told['picture']))).convert('RGB')).astype(int)
    assert [len(k['shown']) for k in told['knobs']] == [5, 3] and told['across'] * told['down'] >= 15
    for j, (i, n) in enumerate(product(range(5), range(3))):
        y, x = (j//told['across'] + .5)*told['height'], (j % told['across'] + .5)*told['width']
        assert abs(whole[int(y), int(x)] - colour(i, n)).max() < 8, (i, n)
    assert not plt.get_fignums()


def test_pictures_of_several_sizes_are_padded():
    pictures = [np.zeros((h, w, 3), np.uint8) for h, w in ((20, 30), (25, 10))]
    told = frames.sheet(pictures)
    assert (told['height'], told['width'], told['across']) == (25, 30, 2)


def test_texts():
    told = frames.frames(lambda a: Markdown(f'* **{a}**'), widgets(a=['x', 'y']))
    assert told['texts'] == [dict(markdown='* **x**'), dict(markdown='* **y**')]
    html = frames.figure(told, 'page-c1', '', '')
    assert '<div class="frame"><ul>' in html and html.count(' hidden>') == 1 and '<strong>y</strong>' in html
    assert frames.frames(lambda a: print(a), widgets(a=(1, 2)))['texts'] == [dict(text='1\n'), dict(text='2\n')]
    with pytest.raises(ValueError, match='neither a figure nor a text'): frames.frames(lambda a: a, widgets(a=(1, 2)))


# ---- on the site -----------------------------------------------------------------------------------------------------

@pytest.mark.needs('chromium')
def test_turning_a_knob_shows_its_frame(tmp_path):
    "In a browser, without a kernel: the pixel in view has the colour of the position."
    told = frames.frames(square, widgets(i=(0, 4), n=(0, 2)))
    (tmp_path/'_static').mkdir()
    for name in ('frames.js', 'frames.css'): shutil.copy(ROOT/'docs'/'_static'/name, tmp_path/'_static')
    page = tmp_path/'page.html'
    page.write_text('<!doctype html><meta charset="utf-8">' + frames.figure(told, 'page-c1', '', 'squares'))
    frames.write(tmp_path/'_static'/'frames')
    set_to = '''(async at => { await document.querySelector(".frame img").decode();
        document.querySelectorAll(".frames input").forEach((k, j) => {
          k.value = at[j]; k.dispatchEvent(new Event("input")); });
        const r = document.querySelector(".frame").getBoundingClientRect();
        return [r.x + r.width/2, r.y + r.height/2, document.querySelector("output").value]; })'''
    with browser(find_tool('chromium')) as tab:
        tab.open(page)
        for i, n in ((2, 1), (0, 0), (4, 2), (3, 0)):
            x, y, word = tab.ask(f'{set_to}([{i}, {n}])')
            tab.shot(tmp_path/'shot.png')
            seen = np.asarray(Image.open(tmp_path/'shot.png').convert('RGB')).astype(int)[int(y), int(x)]
            assert abs(seen - colour(i, n)).max() < 8 and word == str(i)


def test_no_knob_is_dead_on_the_site():
    "Every `interact` of a notebook has stored its frames."
    turned, dead = 0, []
    for o in NOTEBOOKS:
        for c in json.loads(o.read_text('utf-8'))['cells']:
            if c['cell_type'] != 'code' or not any(line.startswith('interact(') for line in c['source']): continue
            turned += 1
            if not any(frames.MIME in out.get('data', {}) for out in c['outputs']): dead.append(f'{o.stem} {c["id"]}')
    assert turned > 20 and not dead, f'tests/run_notebooks.py --store has not seen {", ".join(dead)}'


def test_the_runner_stores_frames_in_place_of_a_widget():
    view, told = {'application/vnd.jupyter.widget-view+json': {}}, {frames.MIME: {}}
    one = lambda *data: [dict(data=dict(d)) for d in data]
    assert run_notebooks.kept(one(view, told, {'text/plain': 'x'})) == one(told)
    assert run_notebooks.kept(one(view | told)) == one(told)
    assert run_notebooks.kept(one({'text/plain': 'x'})) == one({'text/plain': 'x'})
    assert run_notebooks.kept(one(view)) == []


def test_a_page_with_a_knob(tmp_path):
    "Run with `--store`, a notebook keeps frames of the knobs that its cell names."
    cells = ['from ipywidgets import interact', '#| frames: k=1,3\ndef f(k): print(k)\ninteract(f, k=(0, 5));']
    nb = dict(cells=[dict(cell_type='code', id=f'c{i}', metadata={}, source=c, outputs=[], execution_count=None)
                     for i, c in enumerate(cells)], nbformat=4, nbformat_minor=5,
              metadata=dict(kernelspec=dict(display_name='python3', language='python', name='python3')))
    (tmp_path/'w.ipynb').write_text(json.dumps(nb))
    assert run_notebooks.run_one('w.ipynb', tmp_path, store=True).error == ''
    outputs = json.loads((tmp_path/'w.ipynb').read_text())['cells'][1]['outputs']
    assert [o['data'][frames.MIME]['texts'] for o in outputs] == [[dict(text='1\n'), dict(text='3\n')]]
