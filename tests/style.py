"""The style probe: what the notebooks promise a reader, checked one at a time, and the lines of all Python files.

Run it to see a table of measures and the list of offences; `tests/test_repo.py` asserts that the list is empty.
Lines that are too long, comprehensions that are too deep, cells beyond the length of a page and runs of code without
prose are counted by file; `style_debts.json` has how many a file may still have. `--lower` writes the counts that
became less into it."""
import ast, io, json, re, statistics, sys, tokenize
from itertools import groupby
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NBS = ROOT/'nbs'
EXPORTED_LINES, HIDDEN_SHARE, HIDDEN_FREE, MAX_BYTES = 25, .06, 2, 500_000
RUN_SHARE, ASSERTED_SHARE = .80, .60
ASSERTION = re.compile(r'^\s*(assert\b|test_\w+\(|with (expect_fail|ExceptionExpected)|expect_fail\()'
                       r'|\b(test_eq|test_close|test_fail|validate)\(', re.M)
MACHINE_PATH = re.compile(r'(?<![\w.:/])/(?:work|root|home/\w+|Users/\w+|tmp|var/folders)/[\w.@-]+')
# their notebooks use modules and export none
FOLDERS = ('experiments', 'tutorials', 'lessons', 'solutions', 'assignments', 'appendix')
PAGES = ('index.ipynb', 'course.ipynb')          # what one finds where; no lessons
DEBTS = ROOT/'tests'/'style_debts.json'
QUOTED = ROOT/'tests'/'quoted_numbers.json'      # numbers in prose that no cell can compute, with the reason
COLUMNS = dict(ipynb=100, py=120)                # longest line; the site's column ends after 100
LOOPS = 2                                        # most `for` in one comprehension on one line
PAGE_CELLS, CODE_CELLS = 90, 4                   # most cells of a page, and most code cells without prose between them
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
DEFS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


class Cell:
    "One cell: its directives, its code without them, its syntax tree."
    def __init__(self, i, raw):
        self.i, self.kind, self.outputs, self.raw = i, raw['cell_type'], raw.get('outputs', []), raw
        self.source = ''.join(raw['source'])
        code = self.source if self.kind == 'code' else ''
        self.dirs = {d.rstrip(':') for d in re.findall(r'^#\|\s*(\S+)', code, flags=re.M)}
        self.code = re.sub(r'^#\|.*\n?', '', code, flags=re.M)
        self.lines = [o for o in self.code.splitlines() if o.strip()]
        self.tree = self._parse()
        self.exported = bool(self.dirs & {'export', 'exports', 'exporti'})
        self.hidden = bool(self.dirs & {'hide'})

    def _parse(self):
        try: return ast.parse(re.sub(r'^(\s*)[%!].*$', r'\1pass', self.code, flags=re.M)).body
        except SyntaxError: return []

    @property
    def defs(self): return [o for o in self.tree if isinstance(o, DEFS)]


def cells(path): return [Cell(i, c) for i, c in enumerate(json.loads(path.read_text(encoding='utf-8'))['cells'])]


# ---- single checks: each gives sentences -----------------------------------------------------------------------------

def title(cs):
    "The first cell holds the title and the claim, and nothing else (the site shows nothing else of it)."
    if not cs or cs[0].kind != 'markdown': return ['the first cell is not markdown']
    lines = [o for o in cs[0].source.splitlines() if o.strip()]
    out = []
    if not lines[0].startswith('# '): out.append('the first line is not `# title`')
    if sum(o.startswith('> ') for o in lines) != 1: out.append('the first cell needs one `> subtitle` line')
    odd = [o for o in lines[1:] if not re.match(r'> |- [\w-]+: ', o)]
    if odd: out.append(f'the first cell has more than title and subtitle, which the site drops: "{odd[0][:50]}"')
    more = [c.i for c in cs[1:] if c.kind == 'markdown' and re.search(r'^# ', strip_fences(c.source), flags=re.M)]
    if more: out.append(f'a second `# title` in cell {more[0]}')
    return out


def strip_fences(md): return re.sub(r'^(```|~~~).*?^\1', '', md, flags=re.M | re.S)


def sizes(cs, path):
    "Exported cells stay short; the file stays small."
    out = [f'cell {c.i}: exported cell of {len(c.lines)} lines (limit {EXPORTED_LINES}): {first_name(c)}'
           for c in cs if c.exported and len(c.lines) > EXPORTED_LINES]
    n = path.stat().st_size
    return out + ([f'{n:,} bytes (limit {MAX_BYTES:,})'] if n >= MAX_BYTES else [])


def first_name(c): return c.defs[0].name if c.defs else (c.lines[0][:40] if c.lines else '')


def stored(cs):
    "Outputs are clean: no counts, no errors, no warnings or progress bars, no path of one machine."
    out = []
    for c in cs:
        if any(o.get('execution_count') for o in [c.raw, *c.outputs]): out.append(f'cell {c.i}: execution count')
        for o in c.outputs:
            if o['output_type'] == 'error': out.append(f"cell {c.i}: stored error {o.get('ename')}")
            if 'Traceback (most recent' in output_text(o): out.append(f'cell {c.i}: stored traceback')
            if o.get('name') == 'stderr': out.append(f"cell {c.i}: stderr output: {''.join(o['text'])[:60]!r}")
            if any('widget' in k for k in o.get('data', {})): out.append(f'cell {c.i}: stored widget')
        text = c.source + ''.join(map(output_text, c.outputs))
        if m := MACHINE_PATH.search(text): out.append(f'cell {c.i}: path of one machine: {m.group(0)}')
    shows = [c for c in cs[2:] if c.kind == 'code' and not c.exported]
    if shows and not any(c.outputs for c in cs): out.append('no stored output at all')
    return out


def output_text(o):
    "What a stored output says, pictures left out."
    shown = [v for k, v in o.get('data', {}).items() if k.startswith('text')] or o.get('text', '')
    return json.dumps(shown, ensure_ascii=False)


def plain_markdown(cs):
    """What folds is HTML that Jupyter, GitHub and the site render; Quarto's blocks are text to the first two.
    A heading ends with its line."""
    long = [c.i for c in cs if c.kind == 'markdown' and re.search('^#+ .{100,}$', strip_fences(c.source), flags=re.M)]
    divs = [c.i for c in cs if c.kind == 'markdown' and re.search('^:::', strip_fences(c.source), flags=re.M)]
    return ([f'cell {i}: a heading of over 100 characters' for i in long]
            + [f'cell {i}: a `:::` block, which Jupyter shows as text: use <details>' for i in divs])


def imports(cs):
    "A cell with imports holds nothing else: the site runs such cells when it collects signatures."
    out = []
    for c in cs:
        if c.exported or c.kind != 'code' or 'hide' in c.dirs and not c.tree: continue
        has = any(isinstance(n, (ast.Import, ast.ImportFrom)) for t in c.tree for n in ast.walk(t))
        if has and any(not isinstance(t, (ast.Import, ast.ImportFrom)) for t in c.tree):
            out.append(f'cell {c.i}: imports beside other code (the docs build runs this cell alone and fails): '
                       + c.lines[0][:50])
    return out


def hidden(cs):
    "Few cells are hidden from the page."
    n = sum(c.hidden for c in cs if 'default_exp' not in c.dirs and c.raw.get('id') != 'colab')
    if n <= max(HIDDEN_FREE, HIDDEN_SHARE*len(cs)): return []
    return [f'{n} of {len(cs)} cells hidden (limit {HIDDEN_SHARE:.0%}, {HIDDEN_FREE} are free)']


def comments(code):
    "Line number -> column of its comment."
    try: tokens = list(tokenize.generate_tokens(io.StringIO(code).readline))
    except (tokenize.TokenError, IndentationError): return {}
    return {t.start[0]: t.start[1] for t in tokens if t.type == tokenize.COMMENT}


def documented(cs):
    "Public functions and classes: a docstring, and a comment (a docment) and a type for every argument or field."
    out = []
    for c in cs:
        if not (c.dirs & {'export', 'exports'}): continue
        marks = comments(c.code)
        for d in c.defs:
            if not d.name.startswith('_'): out += [f'cell {c.i}: {o}' for o in undocumented(d, marks)]
    return out


def undocumented(d, marks, owner=''):
    if d.name == 'forward': return []                  # its meaning is torch's; the class says the shapes
    name = owner + d.name
    out = [] if ast.get_docstring(d) or d.name.startswith('__') or is_property(d) else [f'{name} has no docstring']
    if isinstance(d, ast.ClassDef):
        if any('dataclass' in ast.dump(o) for o in d.decorator_list):
            fields = [o for o in d.body if isinstance(o, ast.AnnAssign)]
            bad = [o.target.id for o in fields if o.end_lineno not in marks and o.lineno not in marks]
            if bad: out.append(f"{name}: fields without a comment: {', '.join(bad)}")
        for m in d.body:
            public = isinstance(m, DEFS[:2]) and (not m.name.startswith('_') or m.name == '__init__')
            if public: out += undocumented(m, marks, d.name + '.')
        return out
    a = d.args
    args = a.posonlyargs + a.args + a.kwonlyargs + [o for o in [a.vararg] if o]
    if args and (args[0].arg in ('self', 'cls') or is_patch(d)): args = args[1:]
    ends = {o: max(o.end_lineno, 0) for o in args}
    last = {}
    for o in args: last[ends[o]] = o                 # the comment of a line belongs to its last argument
    bad = [o.arg for o in args if ends[o] not in marks or last[ends[o]] is not o]
    opt = a.args[len(a.args) - len(a.defaults):] + [o for o, v in zip(a.kwonlyargs, a.kw_defaults) if v is not None]
    bare = [o.arg for o in args if not o.annotation and o not in opt]      # a default shows the type
    if bad: out.append(f"{name}: arguments without a comment of their own: {', '.join(bad)}")
    if bare: out.append(f"{name}: arguments without a type: {', '.join(bare)}")
    return out


def is_patch(d): return any(isinstance(o, ast.Name) and o.id == 'patch' for o in getattr(d, 'decorator_list', []))


def is_property(d): return any('property' in ast.dump(o) for o in getattr(d, 'decorator_list', []))


def names(c):
    "What an exported cell defines, as words to look for in the cells below it."
    return [d.name for d in c.defs]


def owner(d):
    "The class that a `@patch` definition belongs to, or ''."
    return ast.unparse(d.args.args[0].annotation) if is_patch(d) and d.args.args and d.args.args[0].annotation else ''


def proof(cs):
    """(definitions, run before the next one, asserted before the next one, names not run, names not asserted).

    A class and the `@patch` methods that follow it are one story: what runs below the last of them counts for all."""
    at = [c.i for c in cs if c.exported and c.defs]
    n, idle, bare = 0, [], []
    for j, i in enumerate(at):
        story = {d.name for d in cs[i].defs if isinstance(d, ast.ClassDef)} | {owner(d) for d in cs[i].defs} - {''}
        k = j + 1
        while k < len(at) and story & {owner(d) for d in cs[at[k]].defs}: k += 1
        stop = at[k] if k < len(at) else len(cs)
        below = [c for c in cs[i+1:stop] if c.kind == 'code' and not c.exported]
        for name in names(cs[i]):
            n += 1
            word = re.compile(rf'\b{re.escape(name)}\b')
            # what Python calls by itself (`__len__`, `_repr_markdown_`) is run by any code below
            hits = below if name.startswith(('__', '_repr')) else [c for c in below if word.search(c.code)]
            if not hits: idle.append(name)
            if not hits or not any(ASSERTION.search(c.code) for c in below): bare.append(name)
    return n, n - len(idle), n - len(bare), idle, bare


def proven(cs):
    n, run, asserted, idle, bare = proof(cs)
    def few(count, what, least, names):
        if count >= least*n: return []
        return [f'{count} of {n} exported definitions are {what} before the next one (at least {least:.0%}); not: '
                + ', '.join(names)]
    return few(run, 'run', RUN_SHARE, idle) + few(asserted, 'asserted', ASSERTED_SHARE, bare)


def shape(cs, index, module=True):
    "A lesson has exercises; a notebook of the course exports a module; nothing is left unrun without a word."
    if index: return []
    prose = '\n'.join(c.source for c in cs if c.kind == 'markdown')
    out = [] if re.search(r'^#+ .*exercise', prose, flags=re.M | re.I) else ['no exercises']
    if module and not (cs[1:] and 'default_exp' in cs[1].dirs): out.append('the second cell is not `#| default_exp`')
    out += [f'cell {c.i}: `eval: false`' for c in cs if re.search(r'^#\|\s*eval:\s*false', c.source, flags=re.M)]
    return out


def onward(cs, path, chapters):
    "The last words of a chapter name the next one; chapters move, and such lines stay."
    if path.stem not in chapters[:-1]: return []
    after = chapters[chapters.index(path.stem) + 1]
    last = next((c.source for c in reversed(cs) if c.kind == 'markdown'), '')
    words = re.search(r'^Next\b.*', last, flags=re.M)
    if words and re.search(rf'\b{after}\b', words[0]): return []
    return [f'the last cell does not end with the chapter that follows: "Next, `{after}` ..."']


def chapters():
    "The numbered notebooks, in order."
    return sorted(o.stem for o in NBS.glob('*.ipynb') if o.stem[0].isdigit())


# ---- long lines, deep comprehensions, long pages, runs of code -------------------------------------------------------

def loops(node):
    "How deep the `for`s of comprehensions nest in an expression."
    own = len(node.generators) if isinstance(node, COMPREHENSIONS) else 0
    return own + max(map(loops, ast.iter_child_nodes(node)), default=0)


def deep(tree):
    "Comprehensions on one line with more loops than one reads without a pencil; those inside another are part of it."
    if isinstance(tree, COMPREHENSIONS) and tree.lineno == tree.end_lineno: return int(loops(tree) > LOOPS)
    return sum(map(deep, ast.iter_child_nodes(tree)))


def code_of(path):
    "The code of a notebook, cell by cell, or of a Python file."
    if path.suffix == '.ipynb': return [(c.code, ast.Module(c.tree, [])) for c in cells(path) if c.kind == 'code']
    text = path.read_text(encoding='utf-8')
    return [(text, ast.parse(text))]


def runs(path):
    "How many cells a page has beyond the limit, and how often more code cells than allowed follow each other."
    kinds = [c.kind for c in cells(path) if c.raw.get('id') != 'colab']      # that cell is in every page
    in_a_row = [len(list(group)) for kind, group in groupby(kinds) if kind == 'code']
    return max(0, len(kinds) - PAGE_CELLS), sum(n > CODE_CELLS for n in in_a_row)


def debts(path):
    "How many lines are too long, comprehensions too deep, cells too many, runs of code too long in one file."
    limit, code = COLUMNS[path.suffix[1:]], code_of(path)
    long = sum(len(line) > limit for text, _ in code for line in text.splitlines())
    return long, sum(deep(tree) for _, tree in code), *(runs(path) if path.suffix == '.ipynb' else (0, 0))


def code_files():
    "Every notebook, and every Python file that a person writes."
    folders = (ROOT, ROOT/'tinyformer', ROOT/'tests', ROOT/'docs', ROOT/'.ci')
    files = sorted(o for folder in folders for o in folder.glob('*.py') if o.name != '_modidx.py')
    return notebooks() + [o for o in files if '\n# AUTOGENERATED' not in o.read_text(encoding='utf-8')[:600]]


def all_debts():
    "Path in the repository -> its debts, for the files that have any."
    found = {o.relative_to(ROOT).as_posix(): debts(o) for o in code_files()}
    return {name: v for name, v in found.items() if any(v)}


def allowed():
    "Path in the repository -> the debts that it may have."
    return json.loads(DEBTS.read_text(encoding='utf-8'))


def lower():
    "Write down the counts that became less; none becomes more."
    old, new = allowed(), all_debts()
    least = {name: [min(pair) for pair in zip(v, new[name])] for name, v in old.items() if name in new}
    DEBTS.write_text(debts_text({name: v for name, v in least.items() if any(v)}), encoding='utf-8')


def debts_text(found):
    "One file a line."
    lines = ',\n'.join(f' {json.dumps(name)}: {list(v)}' for name, v in sorted(found.items()))
    return f'{{\n{lines}\n}}\n' if found else '{}\n'


# ---- numbers that nothing on the page computes -----------------------------------------------------------------------

SCALES = {'%': .01, 'KB': 1024, 'MB': 1 << 20, 'kHz': 1e3, 'MHz': 1e6, 'ms': 1e-3, 'µs': 1e-6, 'million': 1e6,
          'thousand': 1e3}
UNITS = [*SCALES, 'bytes?', 'B', 's', 'seconds?', 'minutes?', 'hours?', 'Hz', 'cycles?', 'instructions?', 'points?',
         'dB', 'times', 'images', 'weights']
CLAIM = re.compile(r'(?<![\w.,/^{\-–$=])(\d[\d,]*(?:\.\d+)?)(?:\s|-|\xa0)?(' + '|'.join(UNITS) + r')(?!\w)')
NUMBER = re.compile(r'(?<![\w.])(?:\d[\d_,]*\.?\d*|\.\d+)(?:e-?\d+)?')
TASK = re.compile(r'^#+ Exercise .*\(\d+ points?\)', re.M)
RESULT = re.compile(r'[\w/]*\w+\.json')


def figures(text):
    "The numbers that a text holds, as floats."
    plain = (o.replace('_', '').replace(',', '').rstrip('.') for o in NUMBER.findall(text))
    return {float(o) for o in plain if o}


def evidence(cs, path):
    "The numbers in code, in what it printed, and in the stored results that the code names."
    code = [c for c in cs if c.kind == 'code']
    texts = [c.code for c in code]
    texts += [output_text(o).replace('\\n', '\n') for c in code for o in c.outputs]
    files = {f for c in code for f in RESULT.findall(c.source)}
    results = [o for f in files for folder in (path.parent, path.parent/'results') if (o := folder/f).is_file()]
    return set().union(*map(figures, texts)), set().union(*(figures(o.read_text(encoding='utf-8')) for o in results))


def same(words, unit, known):
    "Whether a number of prose is one of those known, in its own unit or in the plain one, rounded as it is written."
    value, digits = float(words.replace(',', '')), len(words.partition('.')[2])
    if value in known or round(value*SCALES.get(unit, 1), 9) in known: return True
    if not digits and value < (10 if unit in SCALES and unit != '%' else 100): return False    # too easily met
    return any(round(v/SCALES.get(unit, 1), digits) == value for v in known)


def unproven(cs, path):
    "Numbers with a unit that no cell computes, asserts or loads: (cell, number and unit, the words around it)."
    computed, stored = evidence(cs, path)
    out = []
    for c in cs:
        if c.kind != 'markdown' or TASK.search(c.source): continue
        prose = re.sub(r'`[^`\n]*`', '`…`', strip_fences(c.source))         # what one types is no claim,
        prose = re.sub(r'^\*\*[\w-]+-\d+\*\* ★.*$', '', prose, flags=re.M)    # nor what an exercise gives
        for m in CLAIM.finditer(prose):
            if same(m[1], m[2], computed) or same(m[1], m[2], stored): continue
            out.append((c.raw.get('id', c.i), m[0], ' '.join(prose[max(0, m.start() - 40):m.end() + 20].split())))
    return out


# ---- all of a notebook -----------------------------------------------------------------------------------------------

def offences(path):
    "Every offence of one notebook, as sentences."
    cs, index = cells(path), path.name in PAGES
    module = path.parent.name not in FOLDERS
    return (title(cs) + onward(cs, path, chapters()) + shape(cs, index, module) + sizes(cs, path) + documented(cs)
            + proven(cs) + hidden(cs) + imports(cs) + plain_markdown(cs) + stored(cs))


def of_characters(cs):
    "Share of prose in the characters of a page, without the cell that every page has."
    counts = {kind: sum(len(''.join(c.raw['source'])) for c in cs if c.kind == kind and c.raw.get('id') != 'colab')
              for kind in ('markdown', 'code')}
    return counts['markdown'] / max(1, sum(counts.values()))


def measures(path):
    "A row of figures for the table."
    cs = cells(path)
    code, md = [c for c in cs if c.kind == 'code'], [c for c in cs if c.kind == 'markdown']
    exp = [len(c.lines) for c in cs if c.exported and c.defs] or [0]
    n, run, asserted, *_ = proof(cs)
    words, lines = sum(len(c.source.split()) for c in md), sum(len(c.lines) for c in code)
    pics = sum('image/png' in o.get('data', {}) for c in cs for o in c.outputs)
    checks, widgets = sum(len(ASSERTION.findall(c.code)) for c in cs), sum('interact(' in c.code for c in cs)
    return (len(cs), *debts(path), f'{len(md)/max(len(cs), 1):.0%}', f'{of_characters(cs):.0%}',
            f'{words/max(lines, 1):.1f}',
            f'{statistics.median(exp):.0f}/{max(exp)}', f'{run}/{n}', f'{asserted}/{n}', checks, pics, widgets,
            f'{path.stat().st_size/1000:.0f}')


def notebooks():
    return sorted(o for o in NBS.rglob('*.ipynb') if not any(p[0] in '._' for p in o.relative_to(NBS).parts))


def report():
    "The table and the offences, as text."
    head = ('notebook', 'cells', 'over 100', 'deep', 'over 90', 'runs', 'prose', 'by characters', 'words/line',
            'def lines', 'run', 'asserted', 'checks', 'pictures', 'widgets', 'KB', 'offences')
    found = {o: offences(o) for o in notebooks()}
    rows = [(o.relative_to(NBS).as_posix(), *measures(o), len(v)) for o, v in found.items()]
    wide = [max(len(str(r[i])) for r in [head] + rows) for i in range(len(head))]
    out = ['  '.join(str(v).ljust(w) for v, w in zip(r, wide)).rstrip() for r in [head] + rows]
    for o, v in found.items():
        if v: out += ['', o.relative_to(NBS).as_posix()] + [f'  {s}' for s in v]
    plain = {name: v for name, v in all_debts().items() if name.endswith('.py')}
    out += ['', 'Python files with lines over 120 columns or deep comprehensions']
    out += [f'  {name:<32} {long:>4} {nested:>3}' for name, (long, nested, *_) in plain.items()]
    out += ['', 'Numbers in prose that no cell computes, asserts or loads; tests/quoted_numbers.json says why']
    for o in found:
        alone = unproven(cells(o), o)
        out += [f'  {o.relative_to(NBS).as_posix():<32} {len(alone):>4}'] if alone else []
        out += [f'    {cell}: {number} in "{words}"' for cell, number, words in alone]
    return '\n'.join(out) + '\n', sum(map(len, found.values()))


if __name__ == '__main__':
    if '--lower' in sys.argv: lower()
    text, n = report()
    print(text)
    long, nested, more, rows = (sum(v[i] for v in all_debts().values()) for i in range(4))
    print(f'{n} offences in {len(notebooks())} notebooks; {long} lines too long, {nested} comprehensions too deep, '
          f'{more} cells beyond {PAGE_CELLS}, {rows} runs of more than {CODE_CELLS} code cells')
    sys.exit(bool(n))
