"""The index of the site's search: the prose of every section and the names that a page defines, from the built pages.

`docs/_static/find.js` searches it in the browser: whole words only, and a page counts by its best section."""
import json, re
from html.parser import HTMLParser

SILENT = {'script', 'style', 'svg', 'math', 'pre', 'button'}
LEFT_OUT = {'headerlink', 'tools', 'source', 'hero', 'toctree-wrapper'}
HEADINGS = {f'h{i}' for i in range(1, 7)}
VOID = {'area', 'base', 'br', 'col', 'embed', 'hr', 'img', 'input', 'link', 'meta', 'source', 'track', 'wbr'}


class Prose(HTMLParser):
    "Sections of a page in order: [anchor, heading, words]; the first is the page itself."
    def __init__(self):
        super().__init__()
        self.open, self.sections, self.article = [], [], None
        self.names = []                                   # [anchor, name, first sentence]

    def handle_starttag(self, tag, attrs):
        if tag in VOID: return
        at = dict(attrs)
        self.open.append((tag, at))
        if tag == 'article': self.article = len(self.open)
        if tag == 'section' and self.article: self.sections.append([at.get('id', ''), '', ''])
        if tag == 'div' and 'api' in (at.get('class') or '').split(): self.names.append([at.get('id', ''), '', ''])

    def handle_endtag(self, tag):
        if tag in VOID: return
        while self.open:
            if self.open.pop()[0] == tag: break
        if self.article and len(self.open) < self.article: self.article = None

    def within(self, *tags): return any(o[0] in tags for o in self.open)

    def handle_data(self, text):
        if not self.article or not self.sections or self.within(*SILENT): return
        classes = [o[1].get('class') or '' for o in self.open]
        if any(o.split() and o.split()[-1] in LEFT_OUT for o in classes): return
        if any('api' in o.split() for o in classes):
            if self.within('summary') or any(o == 'api-name' for o in classes):
                self.names[-1][1 if self.within('code') else 2] += text
        elif self.within(*HEADINGS): self.sections[-1][1] += text
        else: self.sections[-1][2] += text


def page(html):
    "What the search knows of one page: its sections and its names."
    p = Prose()
    p.feed(html)
    def tidy(rows): return [[re.sub(r'\s+', ' ', o).strip() for o in row] for row in rows]
    return tidy(p.sections), tidy(p.names)


def write(built, listed):
    "Write the index of the pages `listed` (addresses inside `built`) as a script: pages on a disk cannot read data."
    rows = []
    for url in listed:
        sections, names = page((built/url).read_text(encoding='utf-8'))
        names = [o for o in names if o[1]]
        if sections: rows.append(dict(url=url, title=sections[0][1], sections=sections, names=names))
    text = 'window.SEARCH_INDEX = ' + json.dumps(rows, ensure_ascii=False, separators=(',', ':')) + ';\n'
    (built/'_static'/'find-index.js').write_text(text, encoding='utf-8')
