"""The site: what its checks see, and in a browser that it fits a phone, can be read, and finds chapters."""
import json, re, subprocess, sys

import pytest

from browser import browser
from conftest import ROOT

sys.path[:0] = [str(ROOT/'docs')]
import build, check, course, home, lean, road, searching, slides, tools

RIGHT = ('<!doctype html><html><head><meta name="description" content="x"></head><body><article><h1>T</h1>'
         '<h2 id="a">A</h2><p>words <a href="#a">up</a><img src="i.png" alt="a line"></p>{}</article></body></html>')


@pytest.mark.parametrize('html,fault', [
    ('', ''), ('<svg><path d=""/></svg><br>', ''), ('<a href="other.html#b">b</a><a href="https://x.y">x</a>', ''),
    ('<p><b>x</p></b>', '</p> closes nothing'), ('<div>', 'closes nothing'), ('<p id="a"></p>', 'a second id a'),
    ('<a href="gone.html">x</a>', 'leads nowhere: gone.html'), ('<a href="../up.html">x</a>', 'leads nowhere'),
    ('<a href="other.html#c">x</a>', 'no such place on the page: other.html#c'),
    ('<a href="#c">x</a>', 'no such place'),
    ('<img src="i.png" alt="">', 'a picture without words'), ('<img src="i.png" alt="_images/i.png">', 'without words'),
    ('<img src="j.png" alt="x">', 'leads nowhere: j.png'), ('<img src="https://x.y/i.png" alt="x">', 'fetches https'),
    ('<script src="//x.y/z.js"></script>', 'fetches //'), ('<h4>x</h4>', 'level 4 below one of level 2'),
    ('<p role="heading">x</p>', 'without its level'),
    ('<h1>x</h1>', '2 headings of the first'), ('<input type="text">', 'an input without a label'),
    ('<label>a <select></select><input type="range"></label>', ''),
    ('<p>see [x](other.html)</p>', 'a link that was not made: [x](other.html)'), ('<code>[x](y)</code>', ''),
    ('<a href="#a"> </a>', '<a> without words'), ('<button></button>', '<button> without words'),
    ('x'*check.WEIGHT, 'bytes (limit 400,000)')])
def test_the_check_of_pages_sees_each_fault(tmp_path, html, fault):
    (tmp_path/'page.html').write_text(RIGHT.format(html))
    (tmp_path/'other.html').write_text(RIGHT.format('<p id="b"></p>'))
    (tmp_path/'i.png').touch()
    found = check.faults(tmp_path)
    assert (fault in '\n'.join(found) and all(o.startswith('page.html') for o in found)) if fault else not found, found


def test_a_page_needs_a_description(tmp_path):
    (tmp_path/'page.html').write_text('<h1>T</h1>')
    assert check.faults(tmp_path) == ['page.html: no description']


def test_code_has_marks_only_where_a_colour_is_other():
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import PythonLexer
    code = 'def f(a, b): return a[0] + len(b)  # words\n'
    small, large = (highlight(code, PythonLexer(), o(nowrap=True)) for o in (lean.Lean, HtmlFormatter))
    assert '<span class="k">def</span>' in small and 'class="c1"' in small and '(a, b)' in small
    assert len(small) < .6*len(large)


def test_imports_alone_are_folded():
    assert build.only_imports('#| export\nimport os\nfrom sys import path')
    assert not any(map(build.only_imports, ('', '# words', 'import os\nx = 1', 'x = (')))


def test_a_long_default_is_left_out_of_a_signature():
    lines = f'    a:int=3, # {"words"*40}\n    b:Thing=Thing({"x=1, "*30}), # b\n) # c'
    short = f'    a:int=3, # {"words"*40}\n    b:Thing=..., # b\n) # c'
    assert re.sub(build.LONG_DEFAULT, r'\1=..., #', lines, flags=re.M) == short


SEARCHED = ('<article><div class="tools">Download</div><section id="t"><h1>Title<a class="headerlink">#</a></h1>'
            '<p>first <br/>words<img src="x"/></p><pre>code</pre><section id="s"><h2>Deeper</h2><p>zero point</p>'
            '<div class="api docutils container" id="p-f"><details class="api-entry"><summary><code>f</code> Says it.'
            '</summary><p>again</p><details class="source"><summary>source</summary></details></details></div>'
            '</section></section></article><p>footer</p>')


def test_the_search_knows_sections_and_names():
    assert searching.page(SEARCHED) == ([['t', 'Title', 'first words'], ['s', 'Deeper', 'zero point']],
                                        [['p-f', 'f', 'Says it.']])


def test_the_first_screen_shows_what_the_card_says():
    card = json.loads(home.CARD.read_text(encoding='utf-8'))
    html = home.hero('lessons/live')
    for o in (f"{card['flash']['total']:,} of {card['flash']['limit']:,} bytes", f"{card['sram']['total']:,} of",
              f"{100*card['accuracy']['int8']:.2f} %", f"of {card['images']['int8']:,} test images",
              card['dataset']['copy'], '"lessons/live.html"', 'make demo'):
        assert o in html, o
    segments = [float(o.split('"')[0]) for o in html.split(' width="')[1:]]
    assert abs(sum(segments[:3]) - home.WIDE*card['flash']['total']/card['flash']['limit']) < 1


def test_the_map_for_narrow_screens_has_every_box():
    tall = road.draw_tall()
    for part in course.parts():
        if part.numeral: assert all(f'<a href="{course.page(o)}.html">' in tall for o in part.notebooks)
    assert 'width="' + str(2*road.WIDE + 2*road.EDGE) not in tall          # as wide as the screen gives


def test_a_page_names_its_notebook():
    bar = tools.bar('tutorials/anomaly.ipynb', '../')
    assert 'href="../notebooks/tutorials/anomaly.ipynb"' in bar and '-k tutorials/anomaly<' in bar
    assert f"{tools.SETTINGS['git_url']}/blob/{tools.SETTINGS['branch']}/nbs/tutorials/anomaly.ipynb" in bar
    where = tools.SETTINGS['git_url'].removeprefix('https://github.com/')
    assert f'https://colab.research.google.com/github/{where}/blob/' in bar
    assert 'colab' not in tools.bar('solutions/costs.ipynb', '../')


def test_every_notebook_installs_the_package_in_colab():
    "The cell is in all of them, does nothing here, and in Colab fetches, installs and goes to the notebook's folder."
    assert not tools.stale(), 'run make prepare'
    from IPython.core.inputtransformer2 import TransformerManager
    code = TransformerManager().transform_cell(tools.colab_cell('tutorials/anomaly.ipynb'))
    def run(shell):
        done = []
        shell.system = done.append
        shell.run_line_magic = lambda name, line: done.append(f'{name} {line}')
        exec(code, dict(get_ipython=lambda: shell))
        return done
    class Shell: pass
    class Colab(Shell):
        def __str__(self): return '<google.colab._shell.Shell object at 0x1>'
    assert run(Shell()) == []
    url, name = tools.SETTINGS['git_url'], tools.SETTINGS['git_url'].rpartition('/')[2]
    assert run(Colab()) == [f'git clone -q --depth 1 {url} /content/{name}', f'pip install -q /content/{name}',
                            f'cd -q /content/{name}/nbs/tutorials']


def test_the_badge_opens_the_course():
    text = (ROOT/'README.md').read_text(encoding='utf-8')
    assert f"[![Open in Colab](nbs/images/colab.svg)]({tools.colab('course.ipynb')})" in text


def test_slides_have_no_fault(tmp_path):
    slides.build(tmp_path)
    assert list(tmp_path.glob('*.html')) and not check.faults(tmp_path)


# ---- in a browser ----------------------------------------------------------------------------------------------------

# What of the article passes the right edge of the screen, outside a box that scrolls or shows one of many pictures.
WIDER = """[...document.querySelectorAll('article *')].filter(e => {
  const r = e.getBoundingClientRect();
  if (!r.width || r.right <= innerWidth + 1) return false;
  for (let p = e.parentElement; p; p = p.parentElement)
    if (/auto|scroll/.test(getComputedStyle(p).overflowX) || p.matches('.frame')) return false;
  return true;
}).slice(0, 3).map(e => e.tagName + '.' + e.className + ' ' + Math.round(e.getBoundingClientRect().right))"""

# Text whose colour is too close to what lies behind it (WCAG 2: 4.5, 3 for large words); pictures are left out.
FAINT = r"""(() => {
  const numbers = c => c.match(/[\d.]+/g).map(Number);
  const rgba = c => [...numbers(c).slice(0, 3), numbers(c)[3] ?? 1];
  const over = (a, b) => a.slice(0, 3).map((v, i) => v*a[3] + b[i]*(1 - a[3])).concat(1);
  const behind = e => {
    const layers = [];
    for (; e && !(layers.length && layers.at(-1)[3] === 1); e = e.parentElement)
      layers.push(rgba(getComputedStyle(e).backgroundColor));
    return layers.reverse().reduce((under, c) => over(c, under), [255, 255, 255, 1]);
  };
  const linear = v => (v /= 255) <= .03928 ? v/12.92 : ((v + .055)/1.055)**2.4;
  const light = c => .2126*linear(c[0]) + .7152*linear(c[1]) + .0722*linear(c[2]);
  const found = new Map(), walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const e = walk.currentNode.parentElement;
    if (!walk.currentNode.data.trim() || e.closest('svg, script, style, noscript') || !e.checkVisibility()) continue;
    const s = getComputedStyle(e), back = behind(e), front = over(rgba(s.color), back);
    const [a, b] = [light(front), light(back)].sort((x, y) => y - x), size = parseFloat(s.fontSize);
    const least = size >= 24 || size >= 18.66 && s.fontWeight >= 700 ? 3 : 4.5;
    if ((a + .05)/(b + .05) < least - .05) {
      const what = e.tagName + '.' + e.className + ' in ' + e.parentElement.className;
      const words = ((a + .05)/(b + .05)).toFixed(2) + ' ' + walk.currentNode.data.trim().slice(0, 20);
      if (!found.has(what)) found.set(what, words);
    }
  }
  return [...found].slice(0, 12).map(o => o.join(': '));
})()"""
SHOWN = "document.querySelectorAll('.road svg')[{}].checkVisibility()"


@pytest.fixture(scope='module')
def site():
    p = subprocess.run([sys.executable, 'docs/build.py', '--workers', '1'], cwd=ROOT, capture_output=True, text=True)
    assert p.returncode == 0, p.stdout + p.stderr
    return ROOT/'_docs'


def found(tab, site, words):
    "Addresses that the search gives, best first."
    tab.open(f"{(site/'search.html').as_uri()}?q={words.replace(' ', '+')}")
    return tab.ask("[...document.querySelectorAll('#found li > a')].map(a => a.getAttribute('href').split('#')[0])")


@pytest.mark.thorough
@pytest.mark.needs('chromium')
def test_the_site_in_a_browser(site, require_tool):
    "One test, because the site is built once for it. Every page at three widths; the rest on some."
    pages, wrong = sorted(site.rglob('*.html')), []
    assert len(pages) > 40
    with browser(require_tool('chromium')) as tab:
        for page in pages:
            name = page.relative_to(site).as_posix()
            tab.open(page)
            for dark in (True, False):
                tab.view(1400, dark=dark)
                wrong += [f"{name}, {'dark' if dark else 'light'}: {o}" for o in tab.ask(FAINT)]
            for width in (1400, 1100, 390):
                tab.view(width)
                wide = tab.ask('document.documentElement.scrollWidth')
                if wide > width: wrong.append(f'{name} at {width}: {wide} pixels wide')
                wrong += [f'{name} at {width}: {o}' for o in tab.ask(WIDER)]
        tab.open(site/'index.html', 390)
        assert [tab.ask(SHOWN.format(i)) for i in (0, 1)] == [False, True]
        tab.open(site/'index.html', 1400)
        assert [tab.ask(SHOWN.format(i)) for i in (0, 1)] == [True, False]
        assert tab.ask("document.querySelector('.hero').getBoundingClientRect().bottom") < 900
        tab.open(f"{(site/'hardware.html').as_uri()}#hardware-targets")
        assert tab.ask("document.querySelector('#hardware-targets > details').open")
        assert found(tab, site, 'zero point')[0] in ('ranges.html', 'integers.html')
        assert found(tab, site, 'run-length')[0] == 'rle_encoding.html'
        assert found(tab, site, 'with_budget')[0] == 'hardware.html'
        assert found(tab, site, 'quantisation')[0] == found(tab, site, 'quantization')[0] == 'quantization.html'
        assert not found(tab, site, 'uantizatio') and not found(tab, site, 'zeropoint')
    assert not wrong, '\n'.join(wrong)
