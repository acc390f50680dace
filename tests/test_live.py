"""The live page: the firmware as WebAssembly gives the bytes of the reference, in Node and in a headless browser where
one draws and clicks."""
import json, re, subprocess
from pathlib import Path

import numpy as np
import pytest

from browser import browser
from conftest import find_tool
from tinyformer import live, zoo
from tinyformer.codegen import run_host
from tinyformer.errors import BadInput
from tinyformer.graph import run
from tinyformer.operators import matmul_qk_s8, softmax_s8

MOST = 2_000_000                                       # bytes that the page may weigh
THREE = [[(.25, .2), (.5, .1), (.72, .25), (.5, .47)], [(.5, .47), (.75, .7), (.5, .9), (.24, .78)]]


@pytest.fixture(scope='module')
def firmware(tmp_path_factory):
    model = zoo.load('digits')
    return zoo.Setting(**model.card['setting']).firmware(model, tmp_path_factory.mktemp('digits')/'c')


def told(name):
    "What a model's file hands to the page."
    return json.loads(live.bundle(name).removeprefix('tinyformerModel(').rstrip().removesuffix(');'))


def page_of(folder, names):
    "A page with its files beside it, as the site has it."
    weight = live.write(folder/'live', names)
    (folder/'page.html').write_text(
        '<!doctype html><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        '<link rel="stylesheet" href="live/live.css"><script src="live/live.js" defer></script>'
        f"<body>{live.container(names, 'live/')}", encoding='utf-8')
    return folder/'page.html', weight


def test_a_bundle_says_what_the_card_and_the_plan_say(firmware):
    m, card = told('digits'), zoo.load('digits').card
    assert [o['name'] for o in m['operators']] == [o.name for o in firmware.graph.ops]
    assert sum(o['instructions'] for o in m['operators']) + card['profile']['rest'][0] == card['instructions']
    assert max(b['at'] + b['bytes'] for b in m['buffers']) == m['arena'] == firmware.arena_bytes
    assert [s['label'] for s in m['samples']] == list('0123456789') and m['attentions'][0]['side'] == 4


def test_a_model_that_the_page_cannot_show_is_refused(monkeypatch):
    monkeypatch.delitem(live.CLASSES, 'cifar10')
    with pytest.raises(BadInput, match='does not show networks for cifar10: it draws'): live.bundle('cifar10-512kb')


def test_the_module_with_and_without_calls_that_tell(firmware):
    "The page's copy asks for one function; without it the same C asks for nothing."
    assert b'tfm_trace' in live.wasm(firmware).read_bytes()
    assert b'tfm_trace' not in live.wasm(firmware, trace=False).read_bytes()


IN_A_BROWSER = pytest.mark.needs('chromium')


@pytest.fixture(scope='module')
def tab():
    with browser(find_tool('chromium')) as b: yield b


def state(tab, more='null'):
    "What the page holds, once it rests."
    return tab.ask(f'''tinyformerPages[0].busy.then(() => {{
        const s = tinyformerPages[0].state, r = s.run;
        return {{model: s.model, op: s.op, asks: s.asks, look: s.look, alive: s.alive, selfTest: s.selfTest, ms: r.ms,
                 input: Array.from(r.input), logits: Array.from(r.logits), made: r.made.map(a => Array.from(a)),
                 more: {more}}}; }})''')


def place(tab, where, x=.5, y=.5):
    "The middle of an element, or another point of it, in view."
    tab.ask(f'document.querySelector({json.dumps(where)}).scrollIntoView({{block: "center"}})')
    r = tab.ask(f'(r => [r.x, r.y, r.width, r.height])(document.querySelector({json.dumps(where)})'
                '.getBoundingClientRect())')
    return dict(x=r[0] + x*r[2], y=r[1] + y*r[3])


def mouse(tab, kind, at): tab.send('Input.dispatchMouseEvent', type=kind, button='left', buttons=1, clickCount=1, **at)


def click(tab, where):
    at = place(tab, where)
    mouse(tab, 'mousePressed', at)
    mouse(tab, 'mouseReleased', at)


def draw(tab, strokes):
    "Draw on the sheet with the mouse."
    for stroke in strokes:
        points = [place(tab, '.tf-sheet', *p) for p in stroke]
        mouse(tab, 'mousePressed', points[0])
        for a, b in zip(points, points[1:]):
            for t in (.25, .5, .75, 1.): mouse(tab, 'mouseMoved', {k: a[k] + t*(b[k] - a[k]) for k in 'xy'})
        mouse(tab, 'mouseReleased', points[-1])
    tab.ask('new Promise(done => setTimeout(done, 150))')              # the page reads the sheet a moment later


def drop(tab, strokes, paper='#fff'):
    "Drop a picture of dark strokes on paper, as a photograph of a sheet is, and then a file that is none."
    tab.ask(f'''(async strokes => {{
        const c = document.createElement("canvas"), g = c.getContext("2d");
        c.width = 300; c.height = 200; g.fillStyle = "{paper}"; g.fillRect(0, 0, 300, 200); g.lineWidth = 16;
        for (const s of strokes) {{ g.beginPath(); s.forEach(p => g.lineTo(300*p[0], 200*p[1])); g.stroke(); }}
        const blob = await new Promise(done => c.toBlob(done));
        await tinyformerPages[0].drop(new File([blob], "sheet.png"));
        await tinyformerPages[0].drop(new File(["no picture"], "note.txt")); }})({json.dumps(strokes)})''')


def agree(model, s):
    "Every byte that the page shows is the reference's: logits, activations, the attention of each head."
    graph = zoo.load(model)
    x = np.array(s['input'], np.int8).reshape(1, *graph.tensors[graph.input].shape)
    want = run(graph, x, keep=True)
    order = [o['name'] for o in told(model)['operators']]
    by_name = {o.name: o for o in graph.ops}
    assert s['logits'] == want[graph.output][0].tolist()
    for name, made in zip(order, s['made']): assert made == want[by_name[name].output][0].reshape(-1).tolist(), name
    op = next(o for o in graph.ops if o.kind == 'attention')
    a, (q, k) = op.attrs, (want[n].reshape(1, op.attrs['tokens'], -1) for n in op.inputs[:2])
    p = softmax_s8(matmul_qk_s8(q, k, a['heads'], a['mult_qk'], a['shift_qk']), op.params['table'])
    assert s['look'] == (p[0, :, s['asks']].astype(int) + 128).tolist()
    assert s['selfTest'] == 0 and s['model'] == model
    return x


@IN_A_BROWSER
def test_draw_a_digit_and_click(tab, tmp_path, firmware):
    "A sample, a drawing and clicks on operators, the arena and a token; bytes as in NumPy and in host C."
    page, _ = page_of(tmp_path, ['digits'])
    tab.open(page, 390)
    first = state(tab, 'document.documentElement.scrollWidth')
    agree('digits', first)
    assert first['more'] == 390 and np.argmax(first['logits']) == 3
    click(tab, '[data-sample="7"]')
    assert np.argmax(state(tab)['logits']) == 7
    draw(tab, THREE)
    click(tab, '.tf-grid button:nth-of-type(7)')
    click(tab, '.tf-op:nth-of-type(9)')
    s = state(tab)
    x = agree('digits', s)
    assert s['asks'] == 6 and s['op'] == 8 and np.argmax(s['logits']) == 3 and s['input'] != first['input']
    assert s['logits'] == run_host(firmware, x)[0].tolist()
    assert set(s['input']) <= {round(n*255/16) - 128 for n in range(17)}      # the values of the data set
    plan = firmware.plan
    assert s['alive'] == sum(i.size for i in plan.intervals if i.start <= 8 < i.stop)
    click(tab, '.tf-clear')
    draw(tab, [[(.5, .1), (.5, .9)]])
    assert np.argmax(state(tab)['logits']) == 1
    for paper in ('#fff', 'transparent'):
        drop(tab, [[(.5, .2), (.35, .6), (.72, .6)], [(.62, .35), (.62, .9)]], paper)
        s = state(tab, 'document.querySelector(".tf-said").textContent')
        assert np.argmax(s['logits']) == 4 and s['more'] == 'note.txt is no picture that this browser reads.'
        agree('digits', s)
        click(tab, '[data-sample="7"]')


@IN_A_BROWSER
@pytest.mark.thorough
def test_a_picture_on_the_large_network(tab, tmp_path):
    "The whole page of the site: what it weighs, how long it takes, a drawing and a stroke of the brush."
    page, weight = page_of(tmp_path, list(live.MODELS))
    assert weight < MOST
    tab.open(page)
    assert state(tab, 'performance.now()')['more'] < 2000
    click(tab, '[data-model="cifar10-1mb"]')
    s = state(tab)
    agree('cifar10-1mb', s)
    draw(tab, [[(.1, .3), (.9, .5)]])
    painted = state(tab)
    agree('cifar10-1mb', painted)
    assert painted['input'] != s['input']
    tab.ask('tinyformerPages[0].choose("cifar10-256kb"), tinyformerPages[0].choose("digits"), 0')   # the last one wins
    tab.ask('new Promise(done => setTimeout(done, 1000))')
    agree('digits', state(tab))


@IN_A_BROWSER
def test_the_page_of_a_notebook_is_one_document(tab, tmp_path):
    "As a widget it has nothing beside it."
    (tmp_path/'one.html').write_text(live.page(), encoding='utf-8')
    assert not re.search(r'(src|href)="', re.sub(r'<script>.*?</script>', '', live.page(), flags=re.S))
    tab.open(tmp_path/'one.html')
    agree('digits', state(tab))
    data = live.show('digits')._repr_mimebundle_()
    assert data[live.MIME] == {'models': ['digits']} and 'application/vnd.jupyter.widget-view+json' in data
