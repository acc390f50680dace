"""Run every notebook of `nbs/` in fresh processes, two at a time, and account for each: run, failed, or listed as not run.

A widget whose function raises fails the notebook too (Jupyter would only print the error inside the widget)."""
import argparse, os, sys, time
from multiprocessing import get_context
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NBS = ROOT/'nbs'
NOT_RUN = ROOT/'tests'/'notebooks_not_run.txt'


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


def strict_widgets():
    "Let an exception of an `interact` function reach the cell that shows the widget; turn every slider to both of its ends."
    import matplotlib.pyplot as plt
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
    cls.update, cls.__init__ = update, turn


def run_one(job):
    "Run one notebook; give its name, the seconds it took and the text of its error, if any."
    name, store = job
    os.environ.setdefault('OMP_NUM_THREADS', '1')
    os.environ['IN_TEST'] = '1'
    from execnb.shell import CaptureShell
    from nbdev.process import NBProcessor
    start, path, shell = time.time(), NBS/name, None
    err = ''
    try:
        os.chdir(path.parent)
        sys.path.insert(0, str(ROOT))
        nb = NBProcessor(path, rm_directives=False, process=True).nb
        def leave(cell):
            if cell.cell_type != 'code': return True
            d = getattr(cell, 'directives_', None) or {}
            return 'notest' in d or d.get('eval:', [''])[0].lower() == 'false'
        shell = CaptureShell(path)
        strict_widgets()
        shell.run_all(nb, exc_stop=True, preproc=leave)
        if store: save(path, nb)
    except BaseException as e:
        err = (shell.prettytb(fname=path) if shell is not None and shell.exc else '') or f'{type(e).__name__}: {e}'
    return name, time.time() - start, err


def smaller(png):
    "A picture with at most 256 colours: a third of the bytes, to the eye the same."
    import base64, io
    from PIL import Image
    out = io.BytesIO()
    Image.open(io.BytesIO(base64.b64decode(png))).convert('RGB').quantize(256, dither=Image.Dither.NONE).save(out, 'PNG', optimize=True)
    return min(base64.b64encode(out.getvalue()).decode(), png, key=len)


def save(path, nb):
    "Write a notebook back with its new outputs, cleaned; a widget's output holds a random id and no picture, so it is dropped."
    from execnb.nbio import write_nb
    from nbdev.clean import nbdev_clean
    for cell in nb.cells:
        for o in cell.get('outputs', []):
            if 'image/png' in o.get('data', {}): o['data']['image/png'] = smaller(o['data']['image/png'])
        if any('widget-view' in k for o in cell.get('outputs', []) for k in o.get('data', {})): cell['outputs'] = []
    write_nb(nb, path)
    nbdev_clean(str(path))


def main(argv=None):
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument('-k', default='', help='only notebooks whose name contains this (the count is then not checked)')
    p.add_argument('--workers', type=int, default=2, help='processes at a time (default: 2)')
    p.add_argument('--store', action='store_true', help='write the new outputs into the notebooks')
    a = p.parse_args(argv)

    names, skip = present(), not_run()
    jobs = [(o, a.store) for o in names if o not in skip and a.k in o]
    if not jobs: sys.exit('no notebook to run: that is a failure')
    start, failed, ran = time.time(), [], 0
    with get_context('spawn').Pool(a.workers, maxtasksperchild=1) as pool:
        for name, sec, err in pool.imap_unordered(run_one, jobs[::-1]):   # the later ones take longer: they start first
            ran += 1
            print(f"{'FAILED' if err else 'ok':>6} {sec:6.1f} s  {name}", flush=True)
            if err: failed.append(name); print(err, flush=True)
    for name, reason in skip.items(): print(f"not run: {name}: {reason}")
    took = time.time() - start
    if not a.k and ran != len(names) - len(skip):
        sys.exit(f"{ran} notebooks ran, but {len(names)} are present and {len(skip)} are listed as not run")
    print(f"notebooks: {ran - len(failed)} passed, {len(failed)} failed, {len(skip)} not run, of {len(names)} present, in {took:.0f} s")
    if failed: sys.exit(1)


if __name__ == '__main__': main()
