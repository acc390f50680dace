"""Run every notebook of `nbs/`, each in a fresh process, and account for each: passed, failed, or listed as not run.

A widget whose function raises fails the notebook too (Jupyter would only print the error inside the widget)."""
import argparse, base64, io, json, os, sys, time, traceback
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

import figures

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT/'docs'))
import frames
NBS = ROOT/'nbs'
NOT_RUN = ROOT/'tests'/'notebooks_not_run.txt'
SITE = 'application/vnd.tinyformer.'               # what a notebook stores for the site alone
PRELOAD = ['torch._dynamo', 'optuna', 'matplotlib.pyplot', 'ipywidgets', 'nbdev.process', 'execnb.shell']
SHOWN_LINES = 4                                   # of a cell that failed
Result = namedtuple('Result', 'name seconds cpu cell error')   # cell and error are '' where all went well


def present():
    "Every notebook that the course holds, as paths inside `nbs/`."
    files = (o.relative_to(NBS) for o in NBS.rglob('*.ipynb'))
    return sorted(o.as_posix() for o in files if not any(p[0] in '._' for p in o.parts))


def not_run():
    "The notebooks left out on purpose: name -> reason."
    out = {}
    for line in NOT_RUN.read_text(encoding='utf-8').splitlines():
        if not line.strip() or line.startswith('#'): continue
        name, _, reason = (o.strip() for o in line.partition(':'))
        if not reason: raise SystemExit(f"{NOT_RUN.name}: '{line}' gives no reason")
        if name not in present(): raise SystemExit(f"{NOT_RUN.name}: there is no notebook {name}")
        out[name] = reason
    return out


# ---- what is changed for a run, in its own process only --------------------------------------------------------------

def strict_widgets(keep=None):
    """Let an exception of an `interact` function reach the cell that shows it; turn every slider to both of its ends.
    With `keep`, a function that gives what a cell says of its frames, show them, so that they are stored."""
    import matplotlib.pyplot as plt
    from IPython.display import display
    from ipywidgets.widgets import interaction
    cls, init = interaction.interactive, interaction.interactive.__init__
    def update(self, *args):
        self.kwargs = {w._kwarg: w.get_interact_value() for w in self.kwargs_widgets}
        self.result = self.f(**self.kwargs)
        interaction.show_inline_matplotlib_plots()
    def turn(self, *args, **kwargs):
        init(self, *args, **kwargs)
        if self.manual: self.update()
        for w in self.kwargs_widgets:
            start = w.value
            for end in ('min', 'max'):
                if not isinstance(start, tuple) and hasattr(w, end): w.value = getattr(w, end)
            w.value = start
        plt.close('all')
        if not keep: return
        told = frames.frames(self.f, self.kwargs_widgets, keep())
        display({frames.MIME: told, 'text/plain': 'run the cell to turn the knobs'}, raw=True)
    cls.update, cls.__init__ = update, turn


def shift_seeds(by):
    """Every training starts from other weights and sees its images in another order: `by` is added to its seed.

    Weights are drawn after `torch.manual_seed(seed)`; order and augmentation come from `training.rng_at` and
    `training.seeded`, whose keys are (seed, step). Single numbers, which draw a page's examples, stay."""
    import numpy as np
    import torch
    manual, rng, sequence = torch.manual_seed, np.random.default_rng, np.random.SeedSequence
    def other(key): return (key[0] + by, *key[1:]) if isinstance(key, tuple) and len(key) > 1 else key
    torch.manual_seed = lambda seed: manual(seed + by)
    np.random.default_rng = lambda key=None: rng(other(key))
    np.random.SeedSequence = lambda key=None, **kw: sequence(other(key), **kw)


def fix_threads(n):
    "Let torch compute with `n` threads, whatever a page asks for."
    import torch
    torch.set_num_threads(n)
    torch.set_num_threads = lambda _: None


# ---- one notebook ----------------------------------------------------------------------------------------------------

def page_lines(error):
    "A traceback without the frames of the machinery that ran the cell."
    frames = traceback.extract_tb(error.__traceback__)
    first = next((i for i, f in enumerate(frames) if f.filename.startswith('<ipython-input')), 0)
    return ''.join(traceback.format_list(frames[first:]) + traceback.format_exception_only(error)).rstrip()


def left_out(cell):
    "Whether a cell is not run: prose, or code that says so."
    if cell.cell_type != 'code': return True
    d = getattr(cell, 'directives_', None) or {}
    return 'notest' in d or d.get('eval:', [''])[0].lower() == 'false'


def run_cells(path, store=False, shift=0, threads=0, tell=lambda cell: None):
    "Run one notebook in this process; `tell` hears of each cell before it runs. Gives the text of the error, or ''."
    os.environ.setdefault('OMP_NUM_THREADS', '1')
    os.environ['IN_TEST'] = '1'
    from execnb.shell import CaptureShell
    from nbdev.process import NBProcessor
    try:
        os.chdir(path.parent)
        sys.path.insert(0, str(ROOT))
        nb = NBProcessor(path, rm_directives=False, process=True).nb
        shell, odd = CaptureShell(path), []
        strict_widgets((lambda: named) if store else None)
        figures.watch(shell, odd)
        if shift: shift_seeds(shift)
        if threads: fix_threads(threads)
        for cell in nb.cells:
            if left_out(cell): continue
            tell(cell)
            named = cell.directives_.get('frames:', ())
            if cell.cell_type == 'code': cell['outputs'] = []     # the shell leaves the old ones where none is new
            shell.cell(cell)
            if shell.exc: return page_lines(shell.exc)
            if odd and (path.name, cell.id) not in figures.MEANT: return 'the figure: ' + '; '.join(odd)
            odd.clear()
        if store: save(path, nb)
        return ''
    except BaseException as e: return f'{type(e).__name__}: {e}'


def child(pipe, path, options):
    "The process of one notebook: it sends each cell before it runs, and the error, or '', at the end."
    def tell(cell): pipe.send(('cell', f'cell {cell.id}:\n{head(cell.source)}'))
    text = run_cells(path, **options, tell=tell)
    pipe.send(('cpu', sum(os.times()[:4])))                        # its own seconds and its programs', user and system
    pipe.send(('end', text))


def head(source):
    "The first lines of a cell, indented."
    lines = [o for o in source.splitlines() if o.strip() and not o.startswith('#|')]
    if len(lines) > SHOWN_LINES: lines = [*lines[:SHOWN_LINES], '...']
    return '\n'.join(f'    {o}' for o in lines)


def fresh():
    """What starts a process for each notebook. On Linux it is the fork of one that has imported torch and the rest, and
    has run nothing: two seconds less for each page. It keeps the environment that it was started in."""
    if not sys.platform.startswith('linux'): return get_context('spawn')
    context = get_context('forkserver')
    context.set_forkserver_preload(PRELOAD)
    return context


def run_one(name, folder=NBS, **options):
    "Run one notebook in a process of its own; one that dies fails in the cell that it had begun."
    began, cpu, cell = time.time(), 0., 'before the first cell'
    context = fresh()
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=child, args=(theirs, folder/name, options))
    process.start()
    theirs.close()
    try:
        while True:
            kind, what = ours.recv()
            if kind == 'end': break
            if kind == 'cpu': cpu = what
            else: cell = what
        text = what
    except EOFError:
        process.join()
        text = f'the process ended with status {process.exitcode} (a negative number is a signal)'
    process.join()
    return Result(name, time.time() - began, cpu, cell if text else '', text)


def smaller(png):
    "A picture with at most 256 colours: a third of the bytes, to the eye the same."
    from PIL import Image
    out, image = io.BytesIO(), Image.open(io.BytesIO(base64.b64decode(png))).convert('RGB')
    image.quantize(256, dither=Image.Dither.NONE).save(out, 'PNG', optimize=True)
    return min(base64.b64encode(out.getvalue()).decode(), png, key=len)


def kept(outputs):
    "The outputs of a cell without its widgets, which hold a random id; what the site shows in their place stays."
    if not any('widget-view' in kind for o in outputs for kind in o.get('data', {})): return outputs
    told = [o for o in outputs if any(kind.startswith(SITE) for kind in o.get('data', {}))]
    for o in told: o['data'] = {kind: v for kind, v in o['data'].items() if 'widget-view' not in kind}
    return told


def save(path, nb):
    "Write a notebook back with its new outputs, cleaned."
    from execnb.nbio import write_nb
    from nbdev.clean import nbdev_clean
    for cell in nb.cells:
        if 'outputs' in cell: cell['outputs'] = kept(cell['outputs'])
        for data in (o.get('data', {}) for o in cell.get('outputs', [])):
            if 'image/png' in data: data['image/png'] = smaller(data['image/png'])
    write_nb(nb, path)
    nbdev_clean(str(path))


# ---- all of them -----------------------------------------------------------------------------------------------------

def say_now(text): print(text, flush=True)


def run_many(names, workers=2, say=say_now, **options):
    "Run these notebooks and say how each went; gives the results. Later pages take longer, so they start first."
    results = []
    with ThreadPoolExecutor(workers) as pool:
        for job in as_completed([pool.submit(run_one, o, **options) for o in sorted(names, reverse=True)]):
            r = job.result()
            say(f"{'FAILED' if r.error else 'ok':>6} {r.seconds:6.1f} s  {r.name}{', ' + r.cell if r.error else ''}")
            if r.error: say(r.error + '\n')
            results.append(r)
    return results


def closing(results, started):
    "The closing line of a run."
    failed, skip = sum(bool(r.error) for r in results), not_run()
    count = f'{len(results) - failed} passed, {failed} failed, {len(skip)} not run, of {len(present())} present'
    return f'notebooks: {count}, in {time.time() - started:.0f} s'


def write_times(file, results):
    "Store what each page takes, with what made it; figures of pages that did not run this time stay."
    sys.path.insert(0, str(ROOT))
    from tinyformer.provenance import commit, machine
    old = json.loads(file.read_text(encoding='utf-8'))['cpu_seconds'] if file.exists() else {}
    new = {o: s for o, s in old.items() if o in present()} | {r.name: round(r.cpu, 1) for r in results if not r.error}
    command = f'python tests/run_notebooks.py --times {file.relative_to(ROOT).as_posix()}'
    row = dict(command=command, commit=commit(), machine=machine(), cpu_seconds=dict(sorted(new.items())))
    file.write_text(json.dumps(row, indent=1) + '\n', encoding='utf-8')


def main(argv=None):
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument('-k', default='', help='only notebooks whose name contains this (the count is then not checked)')
    p.add_argument('--workers', type=int, default=2, help='processes at a time (default: 2)')
    p.add_argument('--store', action='store_true', help='write the new outputs into the notebooks')
    p.add_argument('--seed-shift', type=int, default=0, help='add this to the seed of every training')
    p.add_argument('--threads', type=int, default=0, help='threads of torch, whatever the pages ask for')
    p.add_argument('--times', type=Path, help='write the seconds of CPU of each page that passed into this JSON file')
    a = p.parse_args(argv)

    skip = not_run()
    names = [o for o in present() if o not in skip and a.k in o]
    if not names: sys.exit('no notebook to run: that is a failure')
    started = time.time()
    results = run_many(names, a.workers, store=a.store, shift=a.seed_shift, threads=a.threads)
    if a.times: write_times(a.times.resolve(), results)
    for name, reason in skip.items(): print(f'not run: {name}: {reason}')
    if not a.k and len(results) != len(present()) - len(skip):
        sys.exit(f'{len(results)} notebooks ran, but {len(present())} are present and {len(skip)} listed as not run')
    for r in results:
        if r.error: print(f'FAILED {r.name}, {r.cell}\n    {r.error.splitlines()[-1]}')
    print(closing(results, started))
    if any(r.error for r in results): sys.exit(1)


if __name__ == '__main__': main()
