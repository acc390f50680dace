"""Build the site into `_docs/`: nbdev adds the reference entries, this script turns its pages into MyST notebooks, and
Sphinx renders them.

No notebook is run (stored outputs are shown), nothing is fetched, and a warning or a fault that `check` finds is an
error."""
import argparse, ast, base64, html, json, os, re, shutil, subprocess, sys
from pathlib import Path

import yaml

import check, course, frames, home, road, searching, slides, tools

ROOT = course.ROOT
sys.path.insert(0, str(ROOT))
from tinyformer import live
SRC, BUILT, OUT = ROOT/'_build'/'docs', ROOT/'_build'/'html', ROOT/'_docs'
ENTRY = re.compile(r"^show_doc\((\[')?([\w.]+)", re.M)        # a method of several classes has a list of names
LIVE = 'lessons/live.ipynb'                            # the page on which a model runs in the browser
LONG_DEFAULT = r'^(    \w+(?::[^=#]+)?)=.{90,}, #'         # an object that says everything of itself
SITE_FILES = {'CONTRIBUTING.md': 'contributing', 'CHANGELOG.md': 'changelog', 'tests/README.md': 'tests'}


def settings():
    from nbdev.config import get_config
    return get_config()


# ---- what the notebooks define -------------------------------------------------------------------------------------

def defined(code):
    "Names of the functions and classes that a cell defines, methods by `@patch` as `Class.method`."
    from nbdev.doclinks import patch_name
    try: tree = ast.parse(re.sub(r'^\s*[%!].*$', '', code, flags=re.M))
    except SyntaxError: return []
    names = (patch_name(o) for o in tree.body if isinstance(o, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)))
    return [n for o in names for n in (o if isinstance(o, list) else [o])]


def directives(code): return dict(re.findall(r'^#\|\s*([\w-]+):?[ \t]*(.*?)\s*$', code, flags=re.M))


def bare(code): return re.sub(r'^#\|.*\n?', '', code, flags=re.M).strip('\n')


def sources(notebook):
    "Name -> source of the exported cell that defines it."
    out = {}
    for c in course.read(notebook):
        if c['cell_type'] != 'code' or not directives(c['source']).keys() & {'export', 'exports'}: continue
        for n in defined(c['source']): out[n] = bare(c['source'])
    return out


def only_imports(code):
    "Whether a cell holds imports and nothing else."
    try: tree = ast.parse(bare(code)).body
    except SyntaxError: return False
    return bool(tree) and all(isinstance(o, (ast.Import, ast.ImportFrom)) for o in tree)


def fence(code): return f'```python\n{code}\n```'


def target(page, name):
    "Anchor of a reference entry; `Plan` and `plan` are two."
    return f"{page}-{'class-' if name[:1].isupper() else ''}{name.lower()}"


# ---- one page ------------------------------------------------------------------------------------------------------

def shows_entry(source):
    "Whether a cell is one that nbdev added to show a reference entry."
    return source.lstrip().startswith('show_doc') or 'show_doc(' in source.split('\n')[-1]


def folded_source(source):
    "The source of an entry, folded away, or nothing."
    if not source: return ''
    return f'\n\n<details class="source"><summary>source</summary>\n\n{fence(source)}\n\n</details>'


class Page:
    "A notebook as nbdev processed it, turned into a MyST notebook."
    def __init__(self, notebook, entries):
        self.notebook, self.name, self.entries = notebook, course.page(notebook), entries
        self.sources, self.level, self.cells, self.last_heading = sources(notebook), 1, [], 1
        self.said = titles(notebook)                    # the words above a figure, for those who cannot see it
        self.up = '../'*self.name.count('/')            # from a page in a folder back to the top of the site

    def build(self):
        raw = json.loads((ROOT/'_proc'/self.notebook).read_text(encoding='utf-8'))
        cells = raw['cells']
        for c in cells: c['source'] = ''.join(c['source'])
        for i, c in enumerate(cells):
            if c['cell_type'] == 'raw': self.front(yaml.safe_load(c['source'].strip().strip('-')) or {})
            elif c['cell_type'] == 'markdown': self.markdown(c['source'])
            elif shows_entry(c['source']): self.entry(c, cells[i+1:i+2])
            else: self.code(c)
        kernel = dict(display_name='python3', language='python', name='python3')
        meta = dict(kernelspec=kernel, language_info=dict(name='python'))
        nb = dict(cells=self.cells, metadata=meta, nbformat=4, nbformat_minor=5)
        dst = SRC/f'{self.name}.ipynb'
        dst.parent.mkdir(parents=True, exist_ok=True)
        dst.write_text(json.dumps(nb), encoding='utf-8')

    def add(self, kind, text, tags=(), outputs=None):
        c = dict(cell_type=kind, id=f'c{len(self.cells)}', metadata=dict(tags=list(tags)) if tags else {}, source=text)
        if kind == 'code': c.update(execution_count=None, outputs=outputs or [])
        if 'hide-input' in tags and only_imports(text):
            c['metadata']['mystnb'] = dict(code_prompt_show='Imports', code_prompt_hide='Imports')
        if any('image/png' in o.get('data', {}) for o in outputs or ()):
            c['metadata']['mystnb'] = dict(image=dict(alt=f'Figure: {self.said}'))
        self.cells.append(c)

    def front(self, meta):
        title, lead = meta.get('title', self.name), meta.get('description')
        lead = f'\n\n:::{{container}} lead\n{lead}\n:::' if lead else ''
        top = home.hero(course.page(LIVE)) if self.name == 'index' else tools.bar(self.notebook, self.up)
        self.add('markdown', f'# {title}{lead}\n\n{top}')

    def markdown(self, text):
        if text.startswith('<!-- WARNING'): return
        self.said = spoken(text) or self.said
        if self.name == 'index' and 'images/road.svg' in text:
            drawing = f'<div class="road">\n{road.draw(link=True)}{road.draw_tall()}</div>\n'
            text = re.sub(r'!\[[^\]]*\]\([^)]*road\.svg\)', lambda m: drawing, text)
        self.add('markdown', self.links(self.headings(text)))

    def headings(self, text):
        "Keep heading levels without gaps, which Sphinx asks for."
        out, fence = [], False
        for line in text.split('\n'):
            if line.lstrip().startswith(('```', '~~~')): fence = not fence
            m = None if fence else re.match(r'(#{1,6})\s', line)
            if m:
                self.level = min(max(2, len(m.group(1))), self.level + 1)
                line = '#'*self.level + line[len(m.group(1)):]
            out.append(line)
        return '\n'.join(out)

    def entry(self, c, after):
        "A reference entry, folded: name and first sentence, then signature with its comments, docstring and source."
        several, name = ENTRY.search(c['source']).groups()
        shown = [] if several else c.get('outputs', [])
        md = ''.join(t for o in shown for t in o.get('data', {}).get('text/markdown', ''))
        md = re.sub(r'\[source\]\([^)]*\)\{[^}]*\}\s*', '', re.sub(r'^---\s*', '', md))
        md = re.sub(r'^#+ .*$', '', md, count=1, flags=re.M).strip()
        md = re.sub(LONG_DEFAULT, r'\1=..., #', md, flags=re.M)
        if name.rpartition('.')[2][0].isupper(): md = md.replace('```python\ndef ', '```python\nclass ', 1)
        source = self.sources.get(name, '')
        below = bool(after) and name in defined(after[0].get('source', ''))     # `#| exports`: the cell below shows it
        if below: body = f'<p class="api-name"><code>{name}</code></p>'
        else:
            said = re.sub(r'\[([^\]]*)\]\([^)]*\)', r'\1', re.sub(r'```.*?```', '', md, flags=re.S))
            said = re.sub('[*`]', '', said).strip().split('\n')[0]
            fields = re.search(r'^@dataclass', source, flags=re.M)    # they say more than a signature
            inside = fence(source) if fields else self.links(md) + folded_source(source)
            summary = f'<summary><code>{name}</code> {html.escape(said)}</summary>'
            body = f'<details class="api-entry">{summary}\n\n{inside}\n\n</details>'
        self.add('markdown', f'::::{{container}} api\n:name: {target(self.name, name)}\n\n{body}\n::::')

    def code(self, c):
        d, tags = directives(c['source']), []
        if d.get('include') == 'false' or not bare(c['source']): return
        if d.get('echo') == 'false': tags.append('remove-input')
        if d.get('output') == 'false': tags.append('remove-output')
        if d.get('code-fold') == 'true' or only_imports(c['source']): tags.append('hide-input')
        outs = [self.output(o, c.get('id', len(self.cells))) for o in c.get('outputs', [])]
        self.add('code', bare(c['source']), tags, [o for o in outs if o])

    def moving(self, data, cell):
        "HTML for what a reader of the site turns and clicks, or None for another output."
        if frames.MIME in data: return frames.figure(data[frames.MIME], f'{self.name}-{cell}', self.up, self.said)
        if live.MIME not in data: return None
        first = data[live.MIME]['models']
        folder = f'{self.up}_static/live/'
        return (f'<link rel="stylesheet" href="{folder}live.css"><script src="{folder}live.js" defer></script>'
                + live.container(list(dict.fromkeys([*first, *live.MODELS])), folder))

    def output(self, o, cell):
        "A stored output, without widgets and with one form where the notebook stored several."
        if o['output_type'] == 'stream': return o
        data = o.get('data', {})
        if moving := self.moving(data, cell): return dict(o, data={'text/html': moving})
        if any('widget' in k for k in data): return None
        for k in ('text/markdown', 'image/svg+xml', 'image/png', 'text/html', 'text/plain'):
            if k in data:
                v = data[k]
                if k == 'text/markdown': v = self.links(''.join(v))
                return dict(o, data={k: v})
        return None

    def links(self, text):
        "Words in backticks lead to their reference entries and pages; links between notebooks lead to pages."
        base = re.escape(settings().doc_host + settings().doc_baseurl)
        text = re.sub(rf'\[(`[^`]+`)\]\({base}/[^)]*\)', r'\1', text)      # nbdev's own: made again below
        out, fence = [], False
        for line in text.split('\n'):
            if line.lstrip().startswith(('```', '~~~')): fence = not fence
            if not fence and not line.startswith(('    ', '(', '#')):
                line = re.sub(r'(?<![\[`])`([^`\s]+?)`(?![`\]])', self.symbol, line)
                line = re.sub(r'\]\(([^)\s]+?)(#[^)]*)?\)', self.link, line)
            out.append(line)
        return '\n'.join(out)

    def symbol(self, m):
        "A link for one backticked word, or the word as it was."
        word = m.group(1).removesuffix('()')
        key = course.page(word) if word in {Path(o).stem for o in course.present()} else word
        if key in self.entries and key != self.name: return f'[`{m.group(1)}`]({self.up}{key}.ipynb)'
        mod, _, name = word.removeprefix('tinyformer.').partition('.')
        if name and mod in self.entries and name in self.entries[mod]: return f'[`{m.group(1)}`](#{target(mod, name)})'
        plain = word.isalpha() and word.islower() and not m.group(1).endswith('()')   # may mean no other page's
        for page in [self.name] + [o for o in self.entries if o != self.name and not plain]:
            if word in self.entries.get(page, ()): return f'[`{m.group(1)}`](#{target(page, word)})'
        return m.group(0)

    def link(self, m):
        where, anchor = m.group(1), m.group(2) or ''
        if '://' in where or where.startswith(('#', 'mailto:')): return m.group(0)
        path = os.path.normpath(os.path.join('nbs', os.path.dirname(self.notebook), where))
        to = site_link(path)
        return f"]({to if '://' in to else self.up + to}{anchor if path.endswith('.ipynb') else ''})"


def site_link(path):
    "Where a file of the repository is on the site, or in the repository's own pages when it has no page."
    if path.startswith('nbs/') and path.endswith('.ipynb'): return course.page(path[4:]) + '.ipynb'
    if path in SITE_FILES: return SITE_FILES[path] + '.md'
    if path.startswith('docs/lectures/'): return 'lecture:' + Path(path).stem
    if path.startswith('nbs/images/'): return path[4:]
    return f"{settings().git_url}/blob/{settings().branch}/{path}"


# ---- the whole site ------------------------------------------------------------------------------------------------

def toctree(caption, rows):
    "One group of pages in the sidebar."
    return f'```{{toctree}}\n:hidden:\n:caption: {caption}\n\n' + '\n'.join(rows) + '\n```'


def toctrees(listed):
    "The sidebar: one group of pages per part of the course, then the project's own."
    out = []
    for p in course.parts():
        rows = [f"{course.number(o)} {titles(o)} <{course.page(o)}>".strip() for o in p.notebooks if o in listed]
        if rows: out.append(toctree(f'{p.numeral}. {p.name}' if p.numeral else p.name, rows))
    out.append(toctree('The project', ['gallery'] + [page for f, page in SITE_FILES.items() if (ROOT/f).exists()]))
    return '\n\n'.join(out)


def titles(notebook):
    "A notebook's title, from its first cell."
    m = re.search(r'^#\s+(.*)$', course.read(notebook)[0]['source'], flags=re.M)
    return m.group(1).strip() if m else course.page(notebook)


def spoken(text):
    "The last sentences of a piece of prose, without marks: they describe a figure below it; '' where there are none."
    text = re.sub(r'^(```|~~~).*?^\1|^[|].*$|\$\$.*?\$\$|<[^>]+>', '', text, flags=re.M | re.S)
    last = ([o for o in text.split('\n') if o.strip()] or [''])[-1]
    plain = re.sub(r'\[([^\]]*)\]\([^)]*\)', r'\1', last)
    return re.sub(r'^[#*\-\d. ]+|[`*_$\\]', '', plain).strip()[-240:]


def gallery(listed):
    "A page with the fullest figure of each notebook; each leads to its page."
    cards = ''.join(map(picture_card, listed))
    lead = ':::{container} lead\nOne figure of each page; each leads to the page that draws it\n:::'
    text = f'# Gallery\n\n{lead}\n\n<div class="gallery">{cards}</div>\n'
    (SRC/'gallery.md').write_text(text, encoding='utf-8')


def picture_card(notebook):
    "One picture of the gallery as HTML; '' for a notebook without figures."
    best, words, heading = '', '', ''
    for c in course.read(notebook):
        if c['cell_type'] == 'markdown':
            heads = re.findall(r'^##+ (.*)$', c['source'], flags=re.M)
            heading = re.sub('[`*$]', '', heads[-1]) if heads else heading
        for o in c.get('outputs', []):
            png = ''.join(o.get('data', {}).get('image/png', ''))
            if len(png) > len(best): best, words = png, heading
    if not best: return ''
    page = course.page(notebook)
    file = SRC/'gallery'/f'{page.replace("/", "-")}.png'
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(base64.b64decode(best))
    name = html.escape(f'{course.number(notebook)} {titles(notebook)}'.strip())
    return (f'<a href="{page}.html"><img src="gallery/{file.name}" alt="Figure of {name}: {html.escape(words)}" '
            f'loading="lazy"><b>{name}</b><span>{html.escape(words)}</span></a>')


def plain_page(file, name):
    "A markdown file of the repository as a page."
    here = os.path.dirname(file)
    def sub(m):
        where = m.group(1)
        if '://' in where or where.startswith(('#', 'mailto:')): return m.group(0)
        return f"]({site_link(os.path.normpath(os.path.join(here, where)))})"
    text = re.sub(r'\]\(([^)\s]+)\)', sub, (ROOT/file).read_text(encoding='utf-8'))
    (SRC/f'{name}.md').write_text(text, encoding='utf-8')


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument('--partial', action='store_true', help='build with the notebooks that exist, and let warnings pass')
    p.add_argument('--workers', type=int, default=2, help='processes that prepare pages (default: 2)')
    a = p.parse_args()
    os.chdir(ROOT)
    present, listed = course.present(), ['index.ipynb'] + [o for p in course.parts() for o in p.notebooks]
    odd = [f'{o} is not in nbs/sidebar.yml' for o in present if o not in listed]
    odd += [f'nbs/sidebar.yml lists {o}, which does not exist' for o in listed if o not in present]
    if odd and not a.partial: sys.exit('\n'.join(odd))
    listed = [o for o in listed if o in present]

    from nbdev.serve import proc_nbs
    try: proc_nbs(str(ROOT/'nbs'), n_workers=a.workers, force=True)
    except Exception as e:
        sys.exit(f'{e}\n\n{type(e.__cause__ or e).__name__}: nbdev runs cells that import or export when it collects '
                 'signatures. Keep imports in cells of their own.')
    shutil.rmtree(SRC, ignore_errors=True)
    SRC.mkdir(parents=True)
    if (course.NBS/'images').is_dir(): shutil.copytree(course.NBS/'images', SRC/'images')
    pages = {course.page(o): shown_entries(o) for o in listed}
    for o in listed: Page(o, pages).build()
    gallery(listed)
    index = json.loads((SRC/'index.ipynb').read_text(encoding='utf-8'))
    index['cells'].append(dict(cell_type='markdown', id='toc', metadata={}, source=toctrees(listed)))
    (SRC/'index.ipynb').write_text(json.dumps(index), encoding='utf-8')
    for f, name in SITE_FILES.items():
        if (ROOT/f).exists(): plain_page(f, name)

    shutil.rmtree(BUILT, ignore_errors=True)
    strict = [] if a.partial else ['-W', '--keep-going']
    cmd = [sys.executable, '-m', 'sphinx', '-q', *strict, '-b', 'html', '-c', str(ROOT/'docs'),
           '-d', str(ROOT/'_build'/'doctrees'), str(SRC), str(BUILT)]
    if subprocess.run(cmd).returncode: sys.exit('the site was not built: see the warnings above')
    weight = live.write(BUILT/'_static'/'live')
    frames.write(BUILT/'_static'/'frames')
    slides.build(BUILT/'lectures')
    shutil.copytree(SRC/'gallery', BUILT/'gallery')
    searching.write(BUILT, [f'{o}.html' for o in [*pages, *SITE_FILES.values()]])
    for o in ('searchindex.js', '_static/searchtools.js', '_static/language_data.js'): (BUILT/o).unlink()   # Sphinx's
    for o in listed:
        (BUILT/'notebooks'/o).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(course.NBS/o, BUILT/'notebooks'/o)
    found = check.faults(BUILT)
    if found and not a.partial: sys.exit('\n'.join(found))
    shutil.rmtree(OUT, ignore_errors=True)
    BUILT.rename(OUT)                                          # a failed build leaves the last good site
    entries, rest = sum(map(len, pages.values())), '' if a.partial else ', no warnings'
    print(f'site: {len(listed)} notebooks, {entries} reference entries{rest}, '
          f'live page of {weight:,} bytes: {OUT.name}/index.html')


def shown_entries(notebook):
    "Symbols that have a reference entry on a notebook's page."
    raw = json.loads((ROOT/'_proc'/notebook).read_text(encoding='utf-8'))
    code = '\n'.join(''.join(c['source']) for c in raw['cells'] if c['cell_type'] == 'code')
    return {name for _, name in ENTRY.findall(code)}


if __name__ == '__main__': main()
