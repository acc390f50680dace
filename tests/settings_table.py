"""Run the notebooks, and with `--tests` the tests, under other instruction sets, threads and seeds, and print a table.

A library that computes a sum in another order gives another last bit, and a training ends in another network. What the
notebooks and tests assert must hold for all of them. With `--out FILE` every finished row is kept there, and a run that
was stopped goes on with the next one."""
import argparse, json, os, subprocess, sys, tempfile, time
from collections import namedtuple
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from hashlib import sha256
from multiprocessing import get_context
from pathlib import Path
from xml.etree import ElementTree

import run_notebooks
from run_notebooks import ROOT
from tinyformer.files import write_json
from tinyformer.provenance import commit

# environment: variables for the libraries; options: of `run_notebooks.run_many`
Setting = namedtuple('Setting', 'name environment options', defaults=({}, {}))


def forced(variable, value): return Setting(f'{variable}={value}', {variable: value})


PLAIN = Setting('nothing forced')
THREE = [forced('ATEN_CPU_CAPABILITY', 'default'), forced('ONEDNN_MAX_CPU_ISA', 'SSE41'),
         forced('MKL_CBWR', 'COMPATIBLE')]
AVX512 = forced('ONEDNN_MAX_CPU_ISA', 'AVX512_CORE')            # without bfloat16
TWO_THREADS = Setting('two threads', dict(OMP_NUM_THREADS='2'), dict(threads=2))
FORCED = [*THREE, forced('ATEN_CPU_CAPABILITY', 'avx2'), forced('ONEDNN_MAX_CPU_ISA', 'AVX2'), AVX512,
          forced('MKL_CBWR', 'AVX2'), TWO_THREADS]
# every library at one level at once, as on an older processor: half the rows of FORCED
SSE = dict(ATEN_CPU_CAPABILITY='default', ONEDNN_MAX_CPU_ISA='SSE41', MKL_CBWR='COMPATIBLE')
AVX2 = dict(ATEN_CPU_CAPABILITY='avx2', ONEDNN_MAX_CPU_ISA='AVX2', MKL_CBWR='AVX2')
TOGETHER = [Setting('as with SSE4.1', SSE), Setting('as with AVX2', AVX2), AVX512, TWO_THREADS]
SEEDS = [Setting(f'seeds + {k}', {}, dict(shift=k)) for k in range(1, 5)]


@contextmanager
def environment(variables):
    "These variables are set inside the block, for every process that starts there."
    before = dict(os.environ)
    os.environ.update(variables)
    try: yield
    finally: os.environ.clear(); os.environ.update(before)


def last_bits():
    "A digest of a convolution, a product of matrices and a softmax, forward and backward, on numbers without a draw."
    import torch
    x = torch.sin(torch.arange(8*16*12*12.)).view(8, 16, 12, 12).requires_grad_()
    w = torch.cos(torch.arange(32*16*9.)).view(32, 16, 3, 3).requires_grad_()
    y = torch.tanh(torch.conv2d(x, w, padding=1)).flatten(1)
    out = torch.softmax(y @ y.T / y.shape[1], 1)
    out.log().square().mean().backward()
    return sha256(b''.join(t.detach().numpy().tobytes() for t in (y, out, x.grad, w.grad))).hexdigest()


def in_new_process(f, *args, **kwargs):
    "What `f(*args, **kwargs)` gives in a process that reads the environment anew, as all that it starts do."
    with ProcessPoolExecutor(1, mp_context=get_context('spawn')) as pool:
        return pool.submit(f, *args, **kwargs).result()


def notebooks():
    "The notebooks that compute what they show; those of the experiments plot stored results."
    return [o for o in run_notebooks.present() if not o.startswith('experiments/') and o not in run_notebooks.not_run()]


def run_tests(workers):
    "Run the tests; gives how many passed and the names of those that failed."
    with tempfile.TemporaryDirectory() as folder:
        xml = Path(folder)/'tests.xml'
        cmd = [sys.executable, '-m', 'pytest', '-q', '-n', str(workers), '--dist', 'worksteal', f'--junitxml={xml}']
        done = subprocess.run([*cmd, 'tests'], cwd=ROOT, capture_output=True, text=True)
        if not xml.exists(): return 0, ['pytest itself: ' + done.stdout[-300:] + done.stderr[-300:]]
        cases = list(ElementTree.parse(xml).iter('testcase'))
    failed = [o for o in cases if o.find('failure') is not None or o.find('error') is not None]
    return len(cases) - len(failed), [f"{o.get('classname')}::{o.get('name')}" for o in failed]


def run(setting, names, workers, tests, plain_bits):
    "One row of the table, and what failed."
    print(f'\n== {setting.name} ==', flush=True)
    began = time.time()
    with environment(setting.environment):
        other = 'yes' if in_new_process(last_bits) != plain_bits else 'no'
        results = in_new_process(run_notebooks.run_many, names, workers, **setting.options)
        passed, failed = run_tests(workers) if tests and 'shift' not in setting.options else (None, [])
    bad = [f'{r.name}, {r.cell.splitlines()[0]} {r.error.splitlines()[-1]}' for r in results if r.error]
    count = f'{len(results) - len(bad)} passed, {len(bad)} failed'
    print(f'notebooks: {count} with {setting.name}, in {time.time() - began:.0f} s', flush=True)
    of_tests = '' if passed is None else f'{passed} passed, {len(failed)} failed'
    return (setting.name, '' if setting.options else other, count, of_tests), bad + failed


def finished_rows(file, about):
    "setting -> [row, what failed] of an earlier run of the same code with the same options."
    if file is None or not file.exists(): return {}
    said = json.loads(file.read_text(encoding='utf-8'))
    if said['about'] != about: sys.exit(f'{file} holds rows of other code or options: move it away.')
    return said['rows']


def main(argv=None):
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument('--all', action='store_true', help='every setting and seeds + 1 to 4, not three alone')
    p.add_argument('--together', action='store_true', help='with --all: each level for all libraries at once')
    p.add_argument('--tests', action='store_true', help='the tests of tests/ too')
    p.add_argument('--only', default='', help='only settings whose name contains this')
    p.add_argument('-k', default='', help='only notebooks whose name contains this')
    p.add_argument('--workers', type=int, default=2, help='processes at a time (default: 2)')
    p.add_argument('--out', type=Path, help='JSON file of finished rows, to go on with after a stop')
    a = p.parse_args(argv)
    every = [PLAIN, *(TOGETHER if a.together else FORCED), *SEEDS]
    settings = [o for o in (every if a.all else THREE) if a.only in o.name]
    names = [o for o in notebooks() if a.k in o]
    if not settings or not names: sys.exit('no setting or no notebook to run: that is a failure')

    plain_bits, rows, failures = in_new_process(last_bits), [], []
    about = dict(commit=commit(), bits=plain_bits, tests=a.tests, notebooks=names)
    done = finished_rows(a.out, about)
    for o in settings:
        if o.name not in done: done[o.name] = run(o, names, a.workers, a.tests, plain_bits)
        if a.out: write_json(a.out, dict(about=about, rows=done))
        row, bad = done[o.name]
        rows.append(tuple(row))
        failures += [f'{o.name}: {b}' for b in bad]
    print('\n| setting | other last bits | notebooks | tests |\n|---|---|---|---|')
    for row in rows: print(f"| {' | '.join(row)} |")
    if failures: print('\n' + '\n'.join(failures))
    effect = any(row[1] == 'yes' for row in rows)
    if settings == THREE and not effect: print('no setting changed a bit on this machine: nothing was tested')
    if failures or settings == THREE and not effect: sys.exit(1)


if __name__ == '__main__': main()
