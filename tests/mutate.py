"""Mutation testing: small faults, put in one at a time, and the tests that must notice.

    .venv/bin/python tests/mutate.py --count 220 --out mutants.json     resumes where it was stopped
    .venv/bin/python tests/mutate.py --out mutants.json --again         runs only those again that survived
    .venv/bin/python tests/mutate.py --list                             shows the faults and runs nothing

Faults are drawn by seed from the files of `TARGETS`: a comparison gets or loses its equality, plus becomes minus, a
number is one off, `min` becomes `max`, a name becomes its neighbour, a statement is dropped. Each is put into a copy of
the project, and the target's tests run there, the quick ones first, until one fails. A fault that changes no result is
equivalent; those that a person looked at stand with a reason in `equivalent_mutants.json` and do not count."""
import argparse, ast, importlib, io, json, os, re, shutil, signal, subprocess, sys, tempfile, time, tokenize
from dataclasses import dataclass
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
EQUIVALENT = Path(__file__).with_name('equivalent_mutants.json')
HEAVY = ('numpy', 'torch', 'matplotlib.pyplot', 'unicorn', 'elftools.elf.elffile', 'fastcore.basics', 'tqdm.auto',
         'pytest')    # loaded once, before the forks


@dataclass(frozen=True)
class Target:
    "Where faults are put, and what is to notice them."
    files:tuple      # relative to the project
    share:float      # of all faults
    tests:tuple      # see `run_test`, the quick ones first
    skip:str = '$^'  # definitions that are left alone, as a regular expression


_DRAWING = r'plot_.*|random_.*|_repr_markdown_|__repr__|draw.*'
TARGETS = (
    Target(tuple(f'tinyformer/{o}.py' for o in (
               'integers', 'windows', 'elementwise', 'softmax', 'norms', 'ops_layers', 'ops_pools', 'ops_elementwise',
               'ops_attention', 'ops_norms', 'operators')), .3,
           ('pytest tests/test_golden.py::test_numpy', 'pytest tests/test_ops.py',
            'pytest tests/test_foreign_oracle.py', 'networks 40 0', 'pytest tests/test_graph.py',
            'pytest tests/test_quantization.py', 'kernels', 'pytest tests/test_search_space.py'),
           _DRAWING + r'|.*_counts'),
    Target(('tinyformer/lifetimes.py', 'tinyformer/chains.py', 'tinyformer/schedule.py'), .2,
           ('networks 60 0', 'pytest tests/test_schedule.py', 'pytest tests/test_codegen.py',
            'pytest tests/test_graph.py', 'pytest tests/test_search_space.py', 'networks 400 0'), _DRAWING),
    Target(('tinyformer/codegen.py', 'tinyformer/folder_files.py', 'tinyformer/band_loops.py',
            'tinyformer/emit.py'), .2,
           ('networks 60 0', 'pytest tests/test_codegen.py', 'pytest tests/test_host_check.py',
            'pytest tests/test_simulator.py', 'pytest tests/test_schedule.py', 'networks 400 0'), _DRAWING),
    Target(('firmware/kernels/conv/tfm_conv_s8_dsp.c', 'firmware/include/tfm_patch.h'), .1,
           ('sweep conv 800 host', 'sweep conv 800 m7-gcc', 'pytest tests/test_kernels.py -k gathered_once',
            'pytest tests/test_kernels.py -k no_tile_follows',
            'sweep conv 6000 host m7-gcc')),
    Target(('firmware/kernels/tile/tfm_tile_rows_rle.c', 'firmware/include/tfm_tile_rows.h'), .1,
           ('sweep linear 1500 m7-gcc', 'sweep linear 1500 host', 'pytest tests/test_kernels.py -k whole_words',
            'sweep linear 12000 host m7-gcc',
            'sweep conv 6000 host m7-gcc')),
    Target(('firmware/kernels/depthwise/tfm_depthwise3x3.c', 'firmware/include/tfm_depthwise.h'), .1,
           ('sweep depthwise 600 m7-gcc', 'sweep depthwise 600 host', 'pytest tests/test_elementwise.py',
            'sweep depthwise 8000 host m7-gcc')))


# ---- faults

@dataclass(frozen=True)
class Fault:
    "One edit of one file."
    file:str  # relative to the project
    start:int # character
    end:int   # character
    old:str   # what stands there
    new:str   # what is put there
    where:str # definition that it is in
    line:str  # the whole line, as it was
    nth:int   # among equal edits of equal lines of that definition

    @property
    def id(self):
        nth = f' #{self.nth}' if self.nth else ''
        return f'{self.file}: {self.where}: {self.line.strip()} | {self.old} -> {self.new}{nth}'


def _both_ways(pairs): return dict(pairs) | {b: a for a, b in pairs}


SWAPS = _both_ways([('<', '<='), ('>', '>='), ('==', '!='), ('+', '-'), ('<<', '>>'), ('&', '|'), ('+=', '-='),
                    ('stride', 'pad'), ('sh', 'sw'), ('dh', 'dw'), ('top', 'bottom'), ('h', 'w'),
                    ('kh', 'kw'), ('first', 'last')]) | {'*': '+', '%': '+'}
PYTHON = SWAPS | _both_ways([('and', 'or'), ('min', 'max'), ('any', 'all'), ('True', 'False')])
PYTHON |= {'//': '*', 'in': 'not in', 'continue': 'pass'}
ASSEMBLY = {'smlad': 'smlsd', 'smlabt': 'smlabb', 'smlatb': 'smlatt', 'ssat': 'usat'}
C = SWAPS | _both_ways([('&&', '||')]) | {'/': '*'} | ASSEMBLY


def edits_of(token, swaps):
    "What may be put in a token's place."
    if token in swaps: yield swaps[token]
    if re.fullmatch(r'\d+', token): yield from {str(int(token) + 1), str(max(0, int(token) - 1))} - {token}


def line_starts(text): return np.cumsum([0] + [len(l) for l in text.splitlines(keepends=True)])


def span(node, starts):
    "First character and end of a node of the syntax tree."
    return int(starts[node.lineno - 1] + node.col_offset), int(starts[node.end_lineno - 1] + node.end_col_offset)


def python_tokens(text):
    "(start, end, token) of code: no comments, no strings, no annotations, no messages of errors."
    starts = line_starts(text)
    tree, hidden = ast.parse(text), []
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef): some = [node.returns]
        elif isinstance(node, (ast.arg, ast.AnnAssign)): some = [node.annotation]
        elif isinstance(node, (ast.Import, ast.ImportFrom, ast.Raise)): some = [node]
        else: continue
        hidden += [span(n, starts) for n in some if n is not None]
    for t in tokenize.generate_tokens(io.StringIO(text).readline):
        if t.type not in (tokenize.OP, tokenize.NAME, tokenize.NUMBER): continue
        start, end = int(starts[t.start[0] - 1] + t.start[1]), int(starts[t.end[0] - 1] + t.end[1])
        before, line = text[max(0, start - 1):start], text[text.rfind('\n', 0, start) + 1:start]
        unpacks = t.string == '*' and before in '(,[{ ' and text[end:end + 1] != ' '
        loops = t.string == 'in' and re.search(r'\bfor\b[^:]*$', line)
        if t.string in ('h', 'w') or unpacks or loops or before == '.': continue
        if not any(a <= start < b for a, b in hidden): yield start, end, t.string


def python_quoted(text):
    "(start, end, word) of keys in quotes that have a neighbour: 'sh', 'h', ..."
    for m in re.finditer(r"(?<=')(sh|sw|dh|dw|top|bottom|kh|kw|h|w)(?=')", text): yield m.start(), m.end(), m[0]


NO_CODE = re.compile(r'/\*.*?\*/|^#\s*(?:include|if|ifndef|endif|else|error)[^\n]*', re.S | re.M)
C_TOKEN = re.compile(r'[A-Za-z_]\w*|\d+(?![\w.])|<<=|>>=|[-+*/%&|<>=!]=|&&|\|\||<<|>>|->|\+\+|--|[-+*/%<>&|]')
POINTER = re.compile(r'(int\d+_t|const|void|\w+_dims|\w+_quant|\w*band|lane|\w+_walk|\w+_layer) $')


def c_tokens(text):
    "(start, end, token) of C without comments, strings and #if; of assembly, some words and the numbers."
    blank = NO_CODE.sub(lambda m: re.sub(r'[^\n]', ' ', m[0]), text)
    quoted = [m.span() for m in re.finditer(r'"[^"\n]*"', blank)]
    for m in C_TOKEN.finditer(blank):
        token, before = m[0], blank[max(0, m.start() - 40):m.start()]
        if any(a <= m.start() < b for a, b in quoted):
            if token not in ASSEMBLY and not (token.isdigit() and before[-1] == '#'): continue
        elif token in ASSEMBLY: continue
        if token in ('*', '&') and (not re.search(r'[\w)\]] $', before) or POINTER.search(before)): continue
        yield m.start(), m.end(), token


def scopes(text, python):
    "[(start, name)] of definitions, by position."
    in_python = r'^(?:def|class)\s+(\w+)|^\s+def\s+(\w+)|^(OPERATORS\[.\w+.\]|[A-Z_]{3,}) ?='
    in_c = r'^(?!typedef|#|\s)[^\n;]*?\b(\w+)\([^;{]*\)\s*\{|^#define\s+(\w+)|^typedef (\w+)'
    pattern = in_python if python else in_c
    return [(m.start(), next(filter(None, m.groups()))) for m in re.finditer(pattern, text, re.M)]


def statements(text):
    "(start, end) of statements of Python that can be dropped."
    starts, idle = line_starts(text), (ast.Constant, ast.Yield, ast.YieldFrom)
    for node in ast.walk(ast.parse(text)):
        calls = isinstance(node, ast.Expr) and not isinstance(node.value, idle)
        if (calls or isinstance(node, ast.AugAssign)) and node.col_offset: yield span(node, starts)
        if isinstance(node, ast.If) and not node.orelse and len(node.body) == 1: yield span(node.test, starts)


def faults(file, root=ROOT, skip='$^'):
    "Every fault of a file."
    text, python = (Path(root)/file).read_text(encoding='utf-8'), file.endswith('.py')
    tokens = [*python_tokens(text), *python_quoted(text)] if python else list(c_tokens(text))
    places = []
    for a, b, old in tokens: places += [(a, b, old, new) for new in edits_of(old, PYTHON if python else C)]
    for a, b in statements(text) if python else ():
        places.append((a, b, text[a:b], 'False' if text[:a].endswith('if ') else 'pass'))
    defs, seen, res = scopes(text, python), {}, []
    for a, b, old, new in sorted(places):
        where = next((name for at, name in reversed(defs) if at <= a), 'module')
        outer = next((name for at, name in reversed(defs) if at <= a and text[at] != ' '), 'module')
        line = text[text.rfind('\n', 0, a) + 1:text.find('\n', a)]
        left_alone = re.fullmatch(skip, where) or re.fullmatch(skip, outer) or python and outer == 'module'
        if left_alone or line.strip().startswith('@'): continue
        key = where, line, old, new
        seen[key] = seen.get(key, -1) + 1
        res.append(Fault(file, a, b, old, new, where, line, seen[key]))
    return res


def sound(fault, target):
    "Whether the compiler takes the file, so that there is something for tests to notice."
    text = (ROOT/fault.file).read_text(encoding='utf-8')
    text = text[:fault.start] + fault.new + text[fault.end:]
    if fault.file.endswith('.py'):
        try: compile(text, fault.file, 'exec')
        except SyntaxError: return False
        return True
    from tinyformer.toolchain import WARNINGS, core_flags, find_compiler
    cc = find_compiler('auto', 'cortex-m7')
    with tempfile.TemporaryDirectory() as folder:
        include, unit = Path(folder)/'include', Path(folder)/Path(target.files[0]).name
        shutil.copytree(ROOT/'firmware/include', include)
        shutil.copyfile(ROOT/target.files[0], unit)
        (unit if fault.file.endswith('.c') else include/Path(fault.file).name).write_text(text, encoding='utf-8')
        flags = [*core_flags(cc.name, 'cortex-m7'), '-std=gnu11', '-O1', *WARNINGS, '-I', str(include)]
        words = [*cc.command, *flags, '-c', str(unit), '-o', os.devnull]
        return subprocess.run(words, capture_output=True).returncode == 0


def draw(count, seed, only=''):
    "(target, fault) of the whole run, each target with its share."
    rng, res = np.random.default_rng(seed), []
    for t in TARGETS:
        each, some = [f for file in t.files for f in faults(file, skip=t.skip)], []
        for i in rng.permutation(len(each)):
            if len(some) == round(count * t.share): break
            if sound(each[i], t): some.append(each[i])
        res += [(t, f) for f in sorted(some, key=lambda f: (f.file, f.start)) if re.search(only, f.id)]
    return res


# ---- what must notice: run in a child process, in a copy of the project

def run_test(what):
    "One entry of a target's tests. 0 when all is well."
    words = what.split()
    if words[0] == 'networks':
        from tinyformer import random_networks as rn
        r = rn.sweep(int(words[1]), seed=17, device_share=float(words[2]), batch=int(words[1]), most=1)
        return len(r.failures)
    if words[0] == 'sweep':
        import sweep
        sweep.sweep(words[1], int(words[2]), places=words[3:], seed=5)
        return 0
    if words[0] == 'kernels': words = ['pytest', 'tests/test_kernels.py', '-k', 'not sweep']
    import pytest
    return int(pytest.main(['-q', '-x', '-p', 'no:cacheprovider', '--no-header', *words[1:]]))


def child(root, tests):
    "Never returns. Its exit status: 0 nobody noticed, 1 somebody did."
    os.setsid()
    os.chdir(root)
    sys.path[:0] = [str(root), str(root/'tests')]
    os.environ['PYTHONPATH'] = str(root)
    for name in [n for n in sys.modules if n.split('.')[0] == 'tinyformer']: del sys.modules[name]    # the parent's
    log = os.open(root/'log', os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for fd in (1, 2): os.dup2(log, fd)
    import tinyformer
    assert Path(tinyformer.__file__).is_relative_to(root)
    for i, what in enumerate(tests):
        try: code = run_test(what)
        except BaseException: code = 1
        if code:
            (root/'noticed').write_text(what)
            os._exit(1)
    os._exit(0)


def noticed(root, tests, limit):
    "(whether somebody noticed, who)."
    (root/'noticed').unlink(missing_ok=True)
    pid, started = os.fork(), time.time()
    if pid == 0: child(root, tests)
    while time.time() - started < limit:
        done, status = os.waitpid(pid, os.WNOHANG)
        if not done:
            time.sleep(.1)
            continue
        if status == 0: return False, ''
        return True, (root/'noticed').read_text() if (root/'noticed').is_file() else 'a crash'
    os.killpg(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return True, f'no end within {limit} s'


def copy_of(folder):
    "A copy of what the tests need."
    root = Path(folder)/'project'
    for name in ('tinyformer', 'firmware', 'tests', 'nbs'):
        shutil.copytree(ROOT/name, root/name, ignore=shutil.ignore_patterns('__pycache__'))
    for name in ('settings.ini', 'pyproject.toml'): shutil.copyfile(ROOT/name, root/name)
    return root


def spoil(root, fault):
    "Put a fault in; gives the text as it was."
    path = root/fault.file
    text = path.read_text(encoding='utf-8')
    assert text[fault.start:fault.end] == fault.old, fault.id
    path.write_text(text[:fault.start] + fault.new + text[fault.end:], encoding='utf-8')
    return text


def run_one(root, target, fault, limit):
    "(whether it was noticed, by what, seconds)."
    started, text = time.time(), spoil(root, fault)
    try: seen, by = noticed(root, target.tests, limit)
    finally: (root/fault.file).write_text(text, encoding='utf-8')
    return dict(killed=seen, by=by, seconds=round(time.time() - started, 1))


# ---- the run

def known_equivalent(): return json.loads(EQUIVALENT.read_text()) if EQUIVALENT.is_file() else {}


def report(done, ids):
    "Lines: by file, then all that survived."
    same = known_equivalent()
    rows = [(i, done[i]) for i in ids if i in done]
    files = dict.fromkeys(i.split(':')[0] for i, _ in rows)
    for file in [*files, '']:
        some = [(i, r) for i, r in rows if i.startswith(file)]
        killed, equal = sum(r['killed'] for _, r in some), sum(not r['killed'] and i in same for i, r in some)
        share = killed / max(1, len(some) - equal)
        yield f"{file or 'all'}: {killed} of {len(some) - equal} noticed ({share:.1%}), {equal} equivalent"
    for i, r in rows:
        if not r['killed']: yield f'equivalent: {i}\n    {same[i]}' if i in same else f'SURVIVED: {i}'
    yield f"{sum(r['seconds'] for _, r in rows):.0f} s"


def main(argv=None):
    p = argparse.ArgumentParser(description='Mutation testing.')
    p.add_argument('--count', type=int, default=220, help='faults')
    p.add_argument('--seed', type=int, default=1)
    p.add_argument('--only', default='', help='only faults whose line holds this, a regular expression')
    p.add_argument('--out', type=Path, default=Path('mutants.json'), help='what is known so far')
    p.add_argument('--again', action='store_true', help='run those again that survived')
    p.add_argument('--limit', type=int, default=900, help='seconds for one fault')
    p.add_argument('--list', action='store_true', help='show the faults')
    a = p.parse_args(argv)
    chosen = draw(a.count, a.seed, a.only)
    if a.list: return print('\n'.join(f.id for _, f in chosen))
    done = json.loads(a.out.read_text()) if a.out.is_file() else {}
    same = known_equivalent()
    def wanted(f): return f.id not in same and (f.id not in done or a.again and not done[f.id]['killed'])
    todo = [(t, f) for t, f in chosen if wanted(f)]
    np.random.default_rng(a.seed).shuffle(todo)     # so that a part of the run speaks for all files
    for name in HEAVY: importlib.import_module(name)
    with tempfile.TemporaryDirectory(prefix='tinyformer-mutants-') as folder:
        os.environ['TINYFORMER_CACHE'] = f'{folder}/cache'
        root = copy_of(folder)
        seen, by = noticed(root, list(dict.fromkeys(w for t, _ in todo for w in t.tests)), 7200)
        if seen: sys.exit(f"without any fault, {by} fails: see\n{(root/'log').read_text()[-2000:]}")
        for n, (t, f) in enumerate(todo):
            done[f.id] = run_one(root, t, f, a.limit)
            said = ('noticed by ' + done[f.id]['by']) if done[f.id]['killed'] else 'SURVIVED'
            print(f"{n + 1} of {len(todo)}, {done[f.id]['seconds']} s, {said}: {f.id}", flush=True)
            a.out.write_text(json.dumps(done, indent=1) + '\n')
    for f in same: done.setdefault(f, dict(killed=False, by='', seconds=0))
    print('\n'.join(report(done, [f.id for _, f in chosen])))


if __name__ == '__main__': main()
