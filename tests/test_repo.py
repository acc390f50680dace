"""The repository keeps its promises: notebooks equal modules, links lead somewhere, quoted commands exist."""
import ast, json, os, re, subprocess, sys
from pathlib import Path

import pytest

import run_notebooks, settings_table, style
from conftest import ROOT

sys.path[:0] = [str(ROOT/'docs'), str(ROOT/'.ci')]
import counts, course, readme, road

NOTEBOOKS = sorted(o.relative_to(ROOT/'nbs').as_posix() for o in style.notebooks())
MODULES = [o for o in NOTEBOOKS if o not in style.PAGES and not o.startswith(tuple(f'{f}/' for f in style.FOLDERS))]
TEXT = set('.py .md .ipynb .ini .toml .c .h .yml .css .ld .s .S .json .txt .svg .in'.split()) | {''}
BUILT = set('.git .venv _docs _proc _build build runs __pycache__ .pytest_cache .hypothesis'.split())


def tracked():
    "Files that git tracks, or would track: everything not ignored."
    cmd = ['git', 'ls-files', '-z', '--cached', '--others', '--exclude-standard']
    try: out = subprocess.run(cmd, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):      # an unpacked archive without git
        files = [o for o in ROOT.rglob('*') if not set(o.relative_to(ROOT).parts) & BUILT]
    else: files = [ROOT/o for o in out.split('\0') if o]
    return [o for o in files if o.is_file()]


def texts(): return [o for o in tracked() if o.suffix in TEXT and o.name != 'LICENSE']


# ---- notebooks -------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize('name', NOTEBOOKS)
def test_style(name):
    found = style.offences(ROOT/'nbs'/name)
    assert not found, f'{name}:\n  ' + '\n  '.join(found)


def test_probe_sees_offences(tmp_path):
    "The probe itself: a notebook with one offence of each kind is caught at each."
    def cell(kind, src):
        extra = dict(outputs=[], execution_count=None) if kind == 'code' else {}
        return dict(cell_type=kind, id='x', metadata={}, source=src, **extra)
    def stream(name, text): return dict(output_type='stream', name=name, text=[text])
    long = '#| export\ndef big(a, b:int): # b\n' + '\n'.join(f'    x{i} = {i}' for i in range(26))
    code = ['#| export\nimport os', long, '#| hide\n1', '#| hide\n2', '#| hide\n3', 'import os\nx = 1']
    bad = [cell('markdown', '# Title\n> one\nand more that the site drops'), *(cell('code', o) for o in code),
           cell('markdown', '::: {.callout-note}\n:::'), cell('markdown', '## Runs on' + ' and on'*15)]
    bad[3]['outputs'] = [dict(output_type='error', ename='E', evalue='', traceback=[]), stream('stderr', 'w')]
    bad[4]['outputs'] = [stream('stdout', '/home/' + 'someone/x'),
                         stream('stdout', 'Traceback (most recent call last)')]
    bad[5].update(outputs=[], execution_count=3)
    path = tmp_path/'01_bad.ipynb'
    path.write_text(json.dumps(dict(cells=bad, metadata={}, nbformat=4, nbformat_minor=5)))
    found = '\n'.join(style.offences(path))
    for sign in ('more than title', 'no exercises', 'default_exp', 'exported cell of 27', 'no docstring',
                 'without a comment', 'without a type', 'are run before', 'are asserted before', 'hidden',
                 'imports beside', ':::', 'a heading of', 'stored error', 'stored traceback', 'stderr',
                 'path of one machine',
                  'execution count'):
        assert sign in found, f'{sign!r} not caught in:\n{found}'


def test_probe_sees_a_chapter_that_names_a_wrong_next_one(tmp_path):
    def found(text):
        cell = dict(cell_type='markdown', id='x', metadata={}, source=text)
        (tmp_path/'02_b.ipynb').write_text(json.dumps(dict(cells=[cell])))
        return style.onward(style.cells(tmp_path/'02_b.ipynb'), tmp_path/'02_b.ipynb', ['01_a', '02_b', '03_c'])
    assert not found('## Summary\n\nNext, `03_c`: more.')
    assert all(map(found, ['Next, `01_a`.', 'Next, `c`.', 'This is the last chapter, before `03_c`.']))
    assert not style.onward([], tmp_path/'03_c.ipynb', ['02_b', '03_c'])


def test_probe_counts_long_lines_and_deep_comprehensions(tmp_path):
    path = tmp_path/'x.py'
    three = '[[[i for i in a] for j in b] for k in c]'
    shallow = ['[[i + j for i in a] for j in b]', '[i for i in a for j in b\n for k in c]']
    path.write_text('\n'.join(['x'*120, 'x'*121, *shallow, three, 'f({i: [j for j in i for k in j] for i in a})']))
    assert style.debts(path) == (1, 2, 0, 0)
    nb_file(tmp_path/'x.ipynb', 'x'*100, '#| export\n' + 'x'*101, three)
    assert style.debts(tmp_path/'x.ipynb') == (1, 1, 0, 0)


@pytest.mark.parametrize('kinds, found', [
    ('c'*4, (0, 0)), ('c'*5, (0, 1)), ('cccmcc', (0, 0)), ('c'*5 + 'm' + 'c'*9, (0, 2)), ('cm'*45, (0, 0)),
    ('cm'*46, (2, 0)), ('m'*86 + 'c'*5, (1, 1))])
def test_probe_counts_cells_and_runs_of_code(tmp_path, kinds, found):
    kind = dict(c='code', m='markdown')
    cells = [dict(cell_type=kind[k], id=f'c{i}', metadata={}, source='1') for i, k in enumerate(kinds)]
    colab = dict(cell_type='code', id='colab', metadata={}, source='1')
    (tmp_path/'x.ipynb').write_text(json.dumps(dict(cells=[*cells, colab])))
    assert style.runs(tmp_path/'x.ipynb') == found


def test_debts_become_fewer():
    "Long lines, deep comprehensions, long pages, code without prose: none but those counted when a rule began."
    limits, found = style.allowed(), style.all_debts()
    gone = set(limits) - {o.relative_to(ROOT).as_posix() for o in style.code_files()}
    assert not gone, f'tests/style_debts.json names files that are gone: {gone}'
    def worse(name): return any(have > may for have, may in zip(found[name], limits.get(name, (0, 0, 0, 0))))
    more = {name: v for name, v in found.items() if worse(name)}
    assert not more, (
        f'(long lines, deep comprehensions, cells beyond {style.PAGE_CELLS}, runs of more than {style.CODE_CELLS} '
        f'code cells) by file, more than tests/style_debts.json allows: {more}')


def test_probe_sees_numbers_that_nothing_computes(tmp_path):
    def claims(prose, *codes, result='{"accuracy": 0.9171}'):
        (tmp_path/'results').mkdir(exist_ok=True)
        (tmp_path/'results'/'r.json').write_text(result)
        nb_file(tmp_path/'x.ipynb', *codes)
        nb = json.loads((tmp_path/'x.ipynb').read_text())
        nb['cells'].append(dict(cell_type='markdown', id='m', metadata={}, source=prose))
        (tmp_path/'x.ipynb').write_text(json.dumps(nb))
        return [o[1] for o in style.unproven(style.cells(tmp_path/'x.ipynb'), tmp_path/'x.ipynb')]
    assert claims('It takes 87.5 % and 1,280 bytes, 12 ms.') == ['87.5 %', '1,280 bytes', '12 ms']
    assert not claims('It takes 87.5 % and 1,280 bytes, 12 ms.', 'assert x == .875', 'test_eq((a, b), (1_280, 12))')
    assert claims('32 KB, 216 MHz, 91.71 %', "read('results/r.json')") == ['32 KB', '216 MHz']
    assert not claims('32 KB, 216 MHz', 'sram, clock = 32768, 216e6') and claims('91.71 %') == ['91.71 %']
    assert not claims('`--flash 64KB`, layer 12, 3x3, C99, 2e3\n\n**rle-1** ★ A model of 7 KB\n```\n9 ms\n```')


def test_numbers_in_prose_are_computed_beside_it():
    "Every number with a unit stands in a cell, in what it printed or in a result that it loads, or is quoted."
    quoted = json.loads(style.QUOTED.read_text(encoding='utf-8'))
    found = {o.relative_to(ROOT/'nbs').as_posix(): style.unproven(style.cells(o), o) for o in style.notebooks()}
    found = {f'{page} {number}': words for page, rows in found.items() for _, number, words in rows}
    assert not found.keys() - quoted.keys(), {k: v for k, v in found.items() if k not in quoted}
    prose = {page: '\n'.join(c['source'] for c in course.read(page)) for page in {o.partition(' ')[0] for o in quoted}}
    gone = [o for o in quoted if o.partition(' ')[2] not in prose[o.partition(' ')[0]]]
    assert not gone, f'no page says these any more: {gone}'
    assert all(quoted.values()), 'each quoted number has its reason'


def wide(words, size, bold):
    "Pixels that words take in the widest of the usual fonts."
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath
    font = FontProperties(family='DejaVu Sans', weight='bold' if bold else 'normal')
    return TextPath((0, 0), words, size=size, prop=font).get_extents().width


def test_words_stay_within_their_column_of_the_road():
    for takes, gives in road.TAKES_GIVES.values():
        assert wide(f'takes {takes}', 12.5, False) < road.WIDE - 26, takes
        assert wide('gives ', 12.5, False) + wide(gives, 12.5, True) < road.WIDE - 26, gives
    assert wide('gives ', 12.5, False) + wide('bytes, budgets, a plan', 12.5, True) > road.WIDE - 26


@pytest.fixture(scope='module')
def exported(tmp_path_factory):
    "All notebooks exported into a temporary package."
    from nbdev.export import nb_export
    dst = tmp_path_factory.mktemp('export')/'tinyformer'
    dst.mkdir()
    for name in MODULES: nb_export(ROOT/'nbs'/name, lib_path=dst)
    return dst


@pytest.mark.parametrize('name', MODULES)
def test_module_equals_notebook(name, exported):
    text = '\n'.join(c['source'] for c in course.read(name))
    mod = re.search(r'^#\|\s*default_exp\s+(\S+)', text, flags=re.M).group(1)
    assert mod == course.page(name), f'{name} exports {mod}'
    file = f"{mod.replace('.', '/')}.py"
    def code(p):
        return [o for o in p.read_text(encoding='utf-8').splitlines() if not o.startswith(('# %%', '# AUTOGENERATED'))]
    same = code(ROOT/'tinyformer'/file) == code(exported/file)
    assert same, f'tinyformer/{file} is not what nbs/{name} exports: run make prepare'


# Every module of the package: one imports only from those before it, in this order, wherever the import stands.
ROOMS = """
    errors moved files pairs provenance units processors boards hardware instructions toolchain rle_checks rle_plot
    rle_encoding rle_sizes buffers arena_search arena_cases memory_alloc memories minimalloc integers windows
    elementwise softmax norms record features structs instances ops_layers ops_pools ops_elementwise ops_attention
    ops_norms operators graph_check graph graph_file random_graphs ccalls word_streams calls kernels cost_tables
    kernel_costs call_text kernel_choice overrides lifetimes chains schedule c_text checksums emit band_loops
    c_files ports plan_file host_check codegen cycles memory_system stack image_check registers emulator qemu wasm
    simulation simulator board datafiles downloads data augmentation distributed meter optimisation machine
    checkpoint answers training pace pruning boxes arch_fields arch blocks float_steps float_graph places program
    reader torch_layers torch_means torch_products torch_values patterns own_networks importer onnx_ops onnx_net
    ranges qlayers qnet calibration qbuild quantization lower_moves lowering cost_model space_checks search_space
    supernets path_costs supernet search_report supernas one_shot trials redrawn sparsenas fronts figures_search peers
    published bench
    cost_check judge_check export sizes run_config run_folder run_steps run_report pipeline ranking model_data
    evaluation cards zoo cores live modelfile examples budget finetune tradeoff deploy fitting ablation_counts
    ablation console cli recipe random_networks quizzes course assignments""".split()


def imports(text):
    "The modules of the package that a module's text imports, at its top or inside a function."
    tree, used = ast.parse(text), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            used |= {o.name.split('.')[1] for o in node.names if o.name.startswith('tinyformer.')}
        if isinstance(node, ast.ImportFrom):
            path = (['tinyformer'] if node.level else []) + (node.module or '').split('.')
            path = [o for o in path if o]
            if path[0] == 'tinyformer': used |= {path[1]} if path[1:] else {o.name for o in node.names}
    return used - {'__version__'}


def not_above(name, text, order=ROOMS):
    "What a module imports that does not stand above it."
    return sorted(o for o in imports(text) if o not in order[:order.index(name)])


@pytest.mark.parametrize('code', [
    'from .late import f', 'from . import late', 'from tinyformer.late import f', 'from tinyformer import early, late',
    'import tinyformer.late', 'import tinyformer.late as x', 'def f():\n    from .late.part import g',
    'from .unknown import f', 'from .here import f'])
def test_probe_sees_every_import(code):
    "The probe itself: an import from below is seen in every form; one from above is not an offence."
    order = ['early', 'here', 'late']
    assert not_above('here', f'import json, tinyformer\nfrom .early import f\n{code}', order)
    assert not not_above('here', re.sub('late|unknown|here', 'early', code), order)


@pytest.mark.parametrize('name', ROOMS)
def test_imports_only_from_above(name):
    wrong = not_above(name, (ROOT/'tinyformer'/f'{name}.py').read_text(encoding='utf-8'))
    assert not wrong, f'{name} imports {wrong}, which do not stand above it'


def test_every_module_can_be_imported():
    "Each in the order of the rooms, in a fresh process: a name that moved is missed here, if by no test of its own."
    code = f'import importlib\nfor name in {ROOMS}: importlib.import_module("tinyformer." + name)'
    p = subprocess.run([sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True)
    assert p.returncode == 0, p.stderr


@pytest.mark.parametrize('name', ROOMS)
def test_what_a_program_says_is_read_the_same_everywhere(name):
    "No output is decoded by the locale of the terminal, where one byte of another encoding would end the run."
    assert not re.search(r'\btext=True|universal_newlines', (ROOT/'tinyformer'/f'{name}.py').read_text('utf-8'))


def test_every_module_has_its_room():
    "The list is complete, and the notebooks stand in it as they are numbered and listed."
    assert sorted(ROOMS) == sorted(o.stem for o in (ROOT/'tinyformer').glob('*.py') if not o.stem.startswith('_'))
    course_order = [course.page(o) for p in course.parts() for o in p.notebooks if o in MODULES]
    assert [o for o in ROOMS if o in course_order] == course_order


def test_sidebar_lists_every_notebook():
    listed = ['index.ipynb'] + [o for p in course.parts() for o in p.notebooks]
    assert sorted(listed) == sorted(NOTEBOOKS), 'nbs/sidebar.yml and nbs/ differ'
    names = [p.name for p in course.parts() if p.numeral]
    assert names == ['What it costs', 'The engine', 'The model', 'The search', 'The road']


def test_a_starred_entry_lists_what_is_there(tmp_path, monkeypatch):
    "A tutorial that is added, or is not there yet, needs no line of its own in the sidebar."
    monkeypatch.setattr(course, 'NBS', tmp_path)
    contents = [dict(section='Tutorials', contents=['tutorials/*.ipynb', 'more.ipynb'])]
    (tmp_path/'sidebar.yml').write_text(json.dumps(dict(website=dict(sidebar=dict(contents=contents)))))
    assert course.parts()[0].notebooks == ['more.ipynb']
    (tmp_path/'tutorials').mkdir()
    for name in ('b', 'a'): nb_file(tmp_path/'tutorials'/f'{name}.ipynb', 'x = 1')
    assert course.parts()[0].notebooks == ['tutorials/a.ipynb', 'tutorials/b.ipynb', 'more.ipynb']


def test_runner_accounts_for_every_notebook():
    skip = run_notebooks.not_run()
    assert len(run_notebooks.present()) == len(NOTEBOOKS) > 0
    assert set(skip) <= set(NOTEBOOKS) and all(skip.values())


def nb_file(path, *codes):
    cells = [dict(cell_type='code', id=f'c{i}', metadata={}, source=c, outputs=[], execution_count=None)
             for i, c in enumerate(codes)]
    kernel = dict(display_name='python3', language='python', name='python3')
    path.write_text(json.dumps(dict(cells=cells, nbformat=4, nbformat_minor=5, metadata=dict(kernelspec=kernel))))


@pytest.mark.parametrize('code,error', [
    ('def f(k): pass\ninteract(f, k=(0, 2, 1));', ''),
    ('def f(k): assert k < 0, "at the start"\ninteract(f, k=(0, 2, 1));', 'at the start'),
    ('def f(k): assert k < 2, "at the end"\ninteract(f, k=(0, 2, 1));', 'at the end')])
def test_broken_widget_fails_the_notebook(tmp_path, code, error):
    "nbdev's own runner passes these; ours turns each knob to both ends."
    nb_file(tmp_path/'w.ipynb', 'from ipywidgets import interact', code)
    result = run_notebooks.run_one('w.ipynb', tmp_path)
    assert error in result.error and bool(result.error) == bool(error)


@pytest.mark.parametrize('code,error', [
    ('x = 1\nassert x == 2, "not two"', 'AssertionError: not two'),
    ('def f(:', 'SyntaxError: invalid syntax'),
    ('import sys; sys.exit(0)', 'SystemExit: 0'),
    ('import os; os._exit(0)', 'the process ended with status 0'),
    ('import os, signal; os.kill(os.getpid(), signal.SIGSEGV)', 'the process ended with status -11')])
def test_failing_notebook_is_named_with_its_cell(tmp_path, code, error):
    "However a page stops, the result says in which cell, with its first lines; a page that ends early has failed too."
    nb_file(tmp_path/'bad.ipynb', 'y = 1', '#| hide\n' + code, 'print(y)')
    result = run_notebooks.run_one('bad.ipynb', tmp_path)
    assert result.name == 'bad.ipynb' and result.cell.startswith('cell c1:\n    ' + code.splitlines()[0])
    assert error in result.error.splitlines()[-1] and 'execnb' not in result.error


def test_a_cell_that_shows_nothing_keeps_no_old_output(tmp_path):
    nb_file(tmp_path/'o.ipynb', 'print("new")', 'x = 1')
    nb = json.loads((tmp_path/'o.ipynb').read_text())
    for c in nb['cells']: c['outputs'] = [dict(output_type='stream', name='stdout', text=['old'])]
    (tmp_path/'o.ipynb').write_text(json.dumps(nb))
    assert run_notebooks.run_one('o.ipynb', tmp_path, store=True).error == ''
    shown = [''.join(o['text']) for c in json.loads((tmp_path/'o.ipynb').read_text())['cells'] for o in c['outputs']]
    assert shown == ['new\n']


def test_a_table_of_settings_goes_on_where_it_was_stopped(tmp_path, monkeypatch, capsys):
    "Finished rows are kept with what failed in them; rows of other options are not mixed in."
    asked, out = [], tmp_path/'rows.json'
    def run(setting, *rest):
        asked.append(setting.name)
        if len(asked) == 2: raise KeyboardInterrupt
        return (setting.name, 'yes', '1 passed', ''), ['a failure'] * (len(asked) == 1)
    monkeypatch.setattr(settings_table, 'run', run)
    monkeypatch.setattr(settings_table, 'in_new_process', lambda f: 'bits')
    with pytest.raises(KeyboardInterrupt): settings_table.main(['--out', str(out)])
    with pytest.raises(SystemExit) as end: settings_table.main(['--out', str(out)])
    names = [o.name for o in settings_table.THREE]
    assert end.value.code == 1 and asked == [names[0], names[1], *names[1:]]
    said = capsys.readouterr().out
    assert f'{names[0]}: a failure' in said and all(f'| {n} | yes | 1 passed |' in said for n in names)
    with pytest.raises(SystemExit, match='other code or options'): settings_table.main(['--out', str(out), '--tests'])


def test_cells_are_shown_by_their_first_lines():
    assert run_notebooks.head('#| hide\na = 1\n\nb = 2') == '    a = 1\n    b = 2'
    assert run_notebooks.head('\n'.join('abcdef')).splitlines()[-2:] == ['    d', '    ...']


def test_seeds_of_trainings_can_be_shifted(tmp_path):
    "A shift reaches weights, order and the global generators, in every module; a page's examples stay."
    nb_file(tmp_path/'s.ipynb',
            'import json, numpy as np, torch',
            'from tinyformer.sparsenas import rng_at\nfrom tinyformer.training import seeded',
            'def draws(s):\n    torch.manual_seed(s)\n    first = torch.rand(1).item(), rng_at(s, 3).random()\n'
            '    with seeded(s, 3): return *first, torch.rand(1).item(), np.random.rand()',
            'json.dump([draws(5), draws(6), np.random.default_rng(5).random()], open("draws.json", "w"))')
    def drawn(by):
        assert run_notebooks.run_one('s.ipynb', tmp_path, shift=by).error == ''
        return json.loads((tmp_path/'draws.json').read_text())
    plain, moved = drawn(0), drawn(1)
    assert plain[1] == moved[0] and len({*plain[0], *plain[1], *moved[1]}) == 12 and plain[2] == moved[2]


@pytest.mark.thorough
def test_threads_can_be_fixed(tmp_path):
    nb_file(tmp_path/'t.ipynb', 'import torch', 'torch.set_num_threads(1)', 'assert torch.get_num_threads() == 2')
    assert run_notebooks.run_one('t.ipynb', tmp_path, threads=2).error == ''
    assert run_notebooks.run_one('t.ipynb', tmp_path).cell.startswith('cell c2')


def test_notebooks_are_as_nbdev_clean_leaves_them():
    "Also the order of the fields: `nbdev_clean` would otherwise change a file that nobody edited."
    from execnb.nbio import nb2str, read_nb
    from nbdev.clean import clean_nb
    def cleaned(path):
        nb = read_nb(path)
        clean_nb(nb, allowed_cell_metadata_keys=['nbgrader'], clean_ids=False)
        return nb2str(nb)
    files = {o: ROOT/'nbs'/o for o in run_notebooks.present()}
    odd = [o for o, p in files.items() if cleaned(p) != p.read_text(encoding='utf-8')]
    assert not odd, f"run make prepare: {', '.join(odd)}"


# ---- the rest of the repository --------------------------------------------------------------------------------------

def test_readme_is_made_from_index():
    assert (ROOT/'README.md').read_text(encoding='utf-8') == readme.render(), 'run make readme'
    assert road.FILE.read_text(encoding='utf-8') == road.draw(), 'run make readme'


def readme_commands():
    blocks = re.findall(r'^```sh\n(.*?)^```', (ROOT/'README.md').read_text(encoding='utf-8'), flags=re.M | re.S)
    return [o for b in blocks for o in b.splitlines() if o.strip()]


def test_readme_commands_are_the_ones_ci_runs():
    cmds, ci = readme_commands(), (ROOT/'.ci'/'run').read_text(encoding='utf-8')
    assert 'make demo' in cmds and 'make test' in cmds
    assert 'readme_commands' in ci, '.ci/run no longer checks README against what it ran'


@pytest.mark.parametrize('file', ['README.md', 'CONTRIBUTING.md', 'tests/README.md', 'CHANGELOG.md'])
def test_links_and_commands(file):
    "Relative links lead to files; quoted make targets and scripts exist."
    text = (ROOT/file).read_text(encoding='utf-8')
    links = [o for o in re.findall(r'\]\(([^)\s#]+)', re.sub('`[^`\n]*`', '', text)) if '://' not in o]
    dead = [o for o in links if not (ROOT/file).parent.joinpath(o).exists()]
    assert not dead, f'{file}: dead links {dead}'
    targets = set(re.findall(r'^([a-z-]+):', (ROOT/'Makefile').read_text(encoding='utf-8'), flags=re.M))
    quoted = set(re.findall(r'(?:`|^)make ([a-z-]+)', text, flags=re.M))
    assert quoted <= targets, f'{file}: no such targets: {quoted - targets}'
    scripts = set(re.findall(r'\.venv/bin/python (\S+\.py)', text))
    assert all((ROOT/o).exists() for o in scripts), scripts
    tools = set(re.findall(r'\.venv/bin/(?!python|pip|jupyter)([\w-]+)', text))
    assert all((Path(sys.executable).parent/o).exists() for o in tools), tools


@pytest.mark.needs('make')
def test_makefile_lists_itself(require_tool):
    p = subprocess.run([require_tool('make')], cwd=ROOT, capture_output=True, text=True, check=True)
    targets = set(re.findall(r'^([a-z-]+):.*## ', (ROOT/'Makefile').read_text(encoding='utf-8'), flags=re.M))
    shown = set(re.findall(r'^\s*make (\S+)', p.stdout, flags=re.M))
    assert shown == targets and {'help', 'venv', 'demo', 'test', 'docs', 'prepare', 'nb', 'clean'} <= shown


@pytest.mark.needs('make')
@pytest.mark.parametrize('python,hint', [
    ('no-such-python', 'Python 3.10'), ('old', 'Python 3.10'), ('bare', 'python3-venv')])
def test_makefile_says_what_is_missing(tmp_path, python, hint, require_tool):
    "No Python, an old one, or one without venv: one line says what to install, and nothing is left behind."
    for f in ('Makefile', 'settings.ini', 'setup.py', 'pyproject.toml'): (tmp_path/f).write_bytes((ROOT/f).read_bytes())
    fakes = {'old': '#!/bin/sh\nexit 1\n', 'bare': '#!/bin/sh\ncase "$2" in *venv*) exit 1;; esac\nexit 0\n'}
    for name, body in fakes.items():
        (tmp_path/name).write_text(body); (tmp_path/name).chmod(0o755)
    cmd = str(tmp_path/python) if python in fakes else python
    p = subprocess.run([require_tool('make'), 'venv', f'PYTHON={cmd}'], cwd=tmp_path, capture_output=True, text=True)
    assert p.returncode and hint in p.stderr and not (tmp_path/'.venv').exists(), p.stderr


NOTEBOOKS_CLOSE = 'notebooks: 21 passed, 1 failed, 0 not run, of 22 present, in 9 s\n'
TESTS_CLOSE = '600 passed in 300.12s (0:05:00)\n'


@pytest.mark.parametrize('log,total,why', [
    (NOTEBOOKS_CLOSE + TESTS_CLOSE, (621, 1), ''),
    (NOTEBOOKS_CLOSE + '==== 2 failed, 598 passed, 1 error in 9.1s ====\n', (619, 4), ''),
    (NOTEBOOKS_CLOSE, (21, 1), '0 of tests'),
    (TESTS_CLOSE, (600, 0), '0 closing lines of notebooks'),
    (NOTEBOOKS_CLOSE + '599 passed, 1 skipped in 300.12s\n', (620, 1), 'left out'),
    (NOTEBOOKS_CLOSE + '590 passed, 10 deselected in 300.12s\n', (611, 1), 'left out'),
    (NOTEBOOKS_CLOSE + '599 passed, 1 xfailed in 300.12s\n', (620, 1), 'left out'),
    (NOTEBOOKS_CLOSE + 'no tests ran in 0.1s\n', (21, 1), '0 of tests'),
    ('notebooks: 0 passed, 0 failed, 3 not run\n' + TESTS_CLOSE, (600, 0), 'without a check'),
    ('4 workers started in 3.1s\n' + NOTEBOOKS_CLOSE + TESTS_CLOSE, (621, 1), '')])
def test_ci_sees_what_did_not_run(log, total, why):
    assert counts.totals(log) == total
    assert (why in counts.missing(log, 1, 1)) if why else counts.missing(log, 1, 1) == ''


@pytest.mark.needs('make')
@pytest.mark.parametrize('notebooks', ('passed', 'FAILED'))
@pytest.mark.parametrize('tests', ('passed', 'FAILED'))
def test_make_test_goes_on(tmp_path, notebooks, tests, require_tool):
    "Failing notebooks do not keep the tests from running; the closing line has both, the status says if one failed."
    for f in ('Makefile', 'settings.ini', 'setup.py'): (tmp_path/f).write_bytes((ROOT/f).read_bytes())
    fake = tmp_path/'.venv'/'bin'/'python'
    fake.parent.mkdir(parents=True)
    fake.write_text('#!/bin/sh\necho ran $*\n'
                    'case "$*" in *run_notebooks*) exit $NOTEBOOKS;; *pytest*) exit $TESTS;; esac\n')
    fake.chmod(0o755)
    (tmp_path/'.venv'/'.installed').touch()
    outside = {k: v for k, v in os.environ.items() if k not in ('MAKEFLAGS', 'MAKELEVEL')}  # not this make
    env = dict(outside, NOTEBOOKS=str(int(notebooks == 'FAILED')), TESTS=str(int(tests == 'FAILED')))
    p = subprocess.run([require_tool('make'), 'test'], cwd=tmp_path, env=env, capture_output=True, text=True)
    lines = p.stdout.splitlines()
    assert 'run_notebooks' in lines[0] and 'pytest' in lines[1], p.stdout
    assert lines[2] == f'make test: notebooks {notebooks}, tests {tests}'
    assert (p.returncode == 0) == (notebooks == tests == 'passed')


def test_settings_reach_the_package():
    "Every field of the package comes from settings.ini; the committed pyproject.toml is the one nbdev writes."
    from importlib.metadata import metadata
    import configparser, tinyformer
    cfg = configparser.ConfigParser(delimiters=['=']); cfg.read(ROOT/'settings.ini'); cfg = cfg['DEFAULT']
    assert tinyformer.__version__ == cfg['version']
    cmd = [sys.executable, 'setup.py', '-q', '--name', '--version', '--license', '--author']
    p = subprocess.run(cmd, cwd=ROOT, capture_output=True, text=True)
    told = [cfg['lib_name'], cfg['version'], 'Apache-2.0', cfg['author']]
    assert p.stdout.split('\n')[-5:-1] == told, p.stdout + p.stderr
    text = (ROOT/'pyproject.toml').read_text()
    assert f'name="{cfg["lib_name"]}"' in text and f'requires-python=">={cfg["min_python"]}"' in text
    import nbdev.config as c
    want = c.pyproj_tmpl.replace('name = "FILL_IN"', f'name="{cfg["lib_name"]}"')
    want = re.sub(r'requires-python=.*', f'requires-python=">={cfg["min_python"]}"', want)
    assert text.startswith(want.rstrip('\n'))


def test_the_citation_is_of_this_version():
    import configparser, yaml
    cfg = configparser.ConfigParser(delimiters=['=']); cfg.read(ROOT/'settings.ini'); cfg = cfg['DEFAULT']
    cited = yaml.safe_load((ROOT/'CITATION.cff').read_text(encoding='utf-8'))
    assert cited['version'] == cfg['version'] and cited['repository-code'] == cfg['git_url']
    assert cited['license'] == 'Apache-2.0' and cited['references'][0]['url'].endswith('2311.01759')


def test_oldest_python():
    "Nothing in the package is newer than the oldest Python that settings.ini allows."
    new = re.compile(r'\b(tomllib|StrEnum|ExceptionGroup|TaskGroup|datetime\.UTC|max_tasks_per_child'
                     r'|sys\.exception\(|add_note\(|typing import .*\b(Self|assert_never|LiteralString|override)'
                     r'|itertools\.batched|import .*\bbatched|contextlib\.chdir|import chdir)')
    files = [o for o in tracked() if o.suffix == '.py']
    assert len(files) > 30
    for o in files:
        text = o.read_text(encoding='utf-8')
        ast.parse(text, feature_version=(3, 10))
        m = None if o.name == 'test_repo.py' else new.search(text)
        assert not m, f'{o.relative_to(ROOT)}: {m.group(0)} is newer than Python 3.10'


@pytest.mark.needs('git')
def test_ignored_folders(require_tool):
    git = require_tool('git')
    for o in '.venv/x _docs/x _proc/x _build/x runs/demo/report.json tinyformer/__pycache__/x a.elf'.split():
        assert subprocess.run([git, 'check-ignore', '-q', o], cwd=ROOT).returncode == 0, f'{o} is not ignored'


def test_no_machine_no_registry():
    "No file names one machine's folders or a package registry's host."
    hosts = [o.replace(' ', '.') for o in ('pypi org', 'pythonhosted org', 'registry npmjs org', 'conda anaconda org',
                                           'download pytorch org', 'static crates io', 'proxy golang org')]
    files, bad = texts(), []
    assert len(files) > 50
    for o in files:
        text = o.read_text(encoding='utf-8', errors='replace')
        bad += [f'{o.relative_to(ROOT)}: {h}' for h in hosts if h in text]
        if m := style.MACHINE_PATH.search(text):
            if not m.group(0).startswith('/tmp/'): bad.append(f'{o.relative_to(ROOT)}: {m.group(0)}')
    assert not bad, '\n'.join(bad)


def test_files_are_small():
    models = ROOT/'tinyformer'/'models', ROOT/'nbs'/'tutorials'/'results'          # these hold weights
    limit = lambda o: 2**20 if o.parent in models else 500_000
    big = [(o.relative_to(ROOT).as_posix(), o.stat().st_size) for o in tracked() if o.stat().st_size > limit(o)]
    assert not big, big


def test_no_package_is_tracked():
    "A wheel or an archive that was fetched for a look stays out of the repository."
    assert not [o.name for o in tracked() if o.suffix in ('.whl', '.egg', '.zip', '.gz', '.tar', '.deb')]


@pytest.mark.needs('git')
def test_git_hooks_merge_notebooks(tmp_path, require_tool):
    "In a clone: the hooks install without changing a file, and two people may change the same notebook."
    git, clone = require_tool('git'), tmp_path/'clone'
    env = dict(os.environ, HOME=str(tmp_path), PATH=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    for who in ('AUTHOR', 'COMMITTER'): env |= {f'GIT_{who}_NAME': 'a', f'GIT_{who}_EMAIL': 'a@example.invalid'}
    env.pop('IN_TEST', None)
    def run(*cmd, ok=True):
        p = subprocess.run(cmd, cwd=clone, env=env, capture_output=True, text=True)
        assert not ok or p.returncode == 0, f'{cmd}: {p.stdout}{p.stderr}'
        return p.stdout
    clone.mkdir()
    run(git, 'init', '-q', '-b', 'main')
    for f in ('.gitattributes', '.gitconfig', 'settings.ini', '.gitignore'):
        (clone/f).write_bytes((ROOT/f).read_bytes())
    (clone/'nbs').mkdir()
    nb = clone/'nbs'/'a.ipynb'
    def write(code, out):
        nb_file(nb, 'x = 1', code)
        d = json.loads(nb.read_text())
        d['cells'][1]['outputs'] = [dict(output_type='stream', name='stdout', text=[out])]
        nb.write_text(json.dumps(d, indent=1) + '\n')
    def commit(msg): run(git, 'add', '-A'); run(git, 'commit', '-q', '-m', msg)
    write('print(x)', 'one\n'); commit('start')
    run('nbdev_install_hooks')
    assert run(git, 'status', '--porcelain') == '', 'installing the hooks changed a tracked file'
    run(git, 'checkout', '-q', '-b', 'other'); write('print(x)', 'theirs\n'); commit('theirs')
    run(git, 'checkout', '-q', 'main'); write('print(x)', 'ours\n'); commit('ours')
    run(git, 'merge', '-q', 'other', '-m', 'merge')                 # outputs collide: git alone would stop here
    d = json.loads(nb.read_text())
    assert len(d['cells']) == 2 and '<<<<' not in nb.read_text()
