"""Lectures as slides: `docs/lectures/*.md` with the figures that the notebooks stored, one HTML file each.

    python docs/slides.py FOLDER    # `make docs` writes them to _docs/lectures/

A line of `---` begins a slide. `![words](02_rle_encoding#c008)` is the stored picture or table of a cell,
a fence of the language `cell` holds the name of a cell whose code is shown, and a paragraph that begins with `Notes:`
is for the speaker. A file needs nothing else: no script from elsewhere, no network, no server."""
import html, json, re, sys
from pathlib import Path

from latex2mathml.converter import convert
from markdown_it import MarkdownIt
from mdit_py_plugins.dollarmath import dollarmath_plugin
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

import course

LECTURES = Path(__file__).resolve().parent/'lectures'
FIGURE = re.compile(r'^!\[([^\]]*)\]\(([\w/]+)#(\w+)\)$', re.M)
CODE = re.compile(r'^```cell\n([\w/]+)#(\w+)\n```$', re.M)


def lectures(): return sorted(LECTURES.glob('*.md'))


def cell(notebook, name):
    "A cell of a notebook by its id."
    for c in json.loads((course.NBS/f'{notebook}.ipynb').read_text(encoding='utf-8'))['cells']:
        if c['id'] == name: return c
    raise SystemExit(f'docs/lectures: {notebook} has no cell {name}')


def math(tex, options): return convert(tex.strip(), display='block' if options['display_mode'] else 'inline')


def markdown():
    "The dialect of the slides: tables and formulas."
    return MarkdownIt('commonmark', {'html': True}).enable('table').use(dollarmath_plugin, renderer=math)


def figure(match):
    "The stored picture or table of a cell."
    words, notebook, name = match.groups()
    if not words: raise SystemExit(f'docs/lectures: the figure {notebook}#{name} has no words')
    data = [o['data'] for o in cell(notebook, name).get('outputs', []) if 'data' in o]
    for d in data:
        if 'image/png' in d:
            png = ''.join(d['image/png']).replace('\n', '')
            return f'<figure><img alt="{html.escape(words)}" src="data:image/png;base64,{png}"></figure>\n'
    for d in data:
        if 'text/markdown' in d: return markdown().render(''.join(d['text/markdown']))
    raise SystemExit(f'docs/lectures: {notebook}#{name} has no picture and no table')


def code(match):
    "The code of a cell, without its directives."
    text = re.sub(r'^#\|.*\n', '', ''.join(cell(*match.groups())['source']), flags=re.M).strip()
    marked = highlight(text, PythonLexer(), HtmlFormatter(cssclass='code'))
    return re.sub(r'\n(?=\n)', '\n<!-- -->', marked)            # an empty line would end the HTML in Markdown


def slide(text):
    "One slide as HTML; what is said to the speaker stands apart."
    body, _, notes = text.partition('\nNotes:')
    body = markdown().render(CODE.sub(code, FIGURE.sub(figure, body.strip())))
    aside = f'<aside>{markdown().render(notes.strip())}</aside>' if notes else ''
    return f'<section>\n<div>{body}</div>\n{aside}</section>'


def title(path): return re.search(r'^# (.*)$', path.read_text(encoding='utf-8'), flags=re.M)[1]


def page(path):
    "A lecture as one HTML file."
    slides = [slide(o) for o in re.split(r'^---$', path.read_text(encoding='utf-8'), flags=re.M)]
    text = (LECTURES/'template.html').read_text(encoding='utf-8')
    parts = dict(TITLE=html.escape(title(path)), CODE=HtmlFormatter(cssclass='code').get_style_defs('.code'),
                 SLIDES='\n'.join(slides))
    return re.sub(r'\{\{(\w+)\}\}', lambda m: parts[m[1]], text)


def build(folder):
    "Write every lecture."
    folder.mkdir(parents=True, exist_ok=True)
    for o in lectures(): (folder/f'{o.stem}.html').write_text(page(o), encoding='utf-8')


if __name__ == '__main__': build(Path(sys.argv[1]))
