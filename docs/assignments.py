"""Assignments: the notebook of a student is the one in `nbs/solutions/` without its answers; a handed-in one is graded.

    python docs/assignments.py                  # writes nbs/assignments/ from nbs/solutions/assignment_*.ipynb
    python docs/assignments.py --check          # only compares
    python docs/assignments.py --grade FILE ... # runs handed-in notebooks and prints their points

The notebooks have nbgrader's format, so nbgrader can do the same. Grading runs the code of students: use a machine
or an account that has nothing to lose."""
import argparse, copy, json, os, re, sys
from multiprocessing import get_context
from pathlib import Path

import course

SOLUTIONS, STUDENTS = course.NBS/'solutions', course.NBS/'assignments'
REGION = re.compile(r'^([ \t]*)### BEGIN SOLUTION\n.*?^[ \t]*### END SOLUTION', re.M | re.S)
HIDDEN = re.compile(r'\n[ \t]*### BEGIN HIDDEN TESTS\n.*?### END HIDDEN TESTS', re.S)
STUB, TEXT = ('# YOUR CODE HERE', 'raise NotImplementedError()'), 'YOUR ANSWER HERE'   # as nbgrader writes them
SECONDS = 300                                            # that a handed-in notebook may take for a task


def graded(cell): return cell['metadata'].get('nbgrader', {})


def read(path): return json.loads(Path(path).read_text(encoding='utf-8'))


def student(notebook):
    "The notebook of the student: answers and hidden tests are taken out, and so is what they printed."
    nb = copy.deepcopy(notebook)
    for c in nb['cells']:
        text, mark = ''.join(c['source']), graded(c)
        if mark.get('solution'):
            text = TEXT if c['cell_type'] == 'markdown' else REGION.sub(stub, text)
        text = HIDDEN.sub('', text)
        if c['cell_type'] == 'code' and mark: c['outputs'] = []
        c['source'] = text.splitlines(True)
    return nb


def stub(match): return '\n'.join(match.group(1) + line for line in STUB)


def pairs():
    "Solution → the notebook of the student."
    return {o: STUDENTS/o.name for o in sorted(SOLUTIONS.glob('assignment_*.ipynb'))}


def same(nb, path):
    "Whether a notebook is stored there, whatever its cells printed."
    def told(nb): return [{k: v for k, v in c.items() if k != 'outputs'} for c in nb['cells']]
    return path.exists() and told(read(path)) == told(nb)


def old():
    "The notebooks of students that are not made from the solutions as they are."
    return [to for source, to in pairs().items() if not same(student(read(source)), to)]


# ---- grading ---------------------------------------------------------------------------------------------------------

def with_our_tests(handed_in, source):
    "The source's cells, with the student's answers in them: nobody changes a test."
    theirs = {graded(c).get('grade_id'): c for c in handed_in['cells'] if graded(c).get('solution')}
    cells = copy.deepcopy(source['cells'])
    for c in cells:
        mark = graded(c)
        if mark.get('solution'): c['source'] = theirs.get(mark['grade_id'], dict(source=[]))['source']
    return cells


def run(cells, pipe):
    "Run the cells in this process, errors or not, and send the points of each task that a program grades."
    from execnb.shell import CaptureShell
    os.chdir(SOLUTIONS)
    sys.path.insert(0, str(course.ROOT))
    shell = CaptureShell(SOLUTIONS)
    for c in cells:
        if c['cell_type'] != 'code': continue
        outputs = shell.run(''.join(c['source']))
        if graded(c).get('grade'): pipe.send((graded(c)['grade_id'], value(outputs)))
    pipe.send(None)


def value(outputs):
    "The number that a cell shows; 0 where it shows none."
    for o in outputs:
        try: return float(''.join(o['data']['text/plain']))
        except (KeyError, TypeError, ValueError): pass
    return 0.


def grade(path, seconds=SECONDS):
    "Task → (points, most points) of a handed-in notebook; points are None where a person gives them."
    handed_in = read(path)
    source = next((s for s in map(read, pairs()) if same_tasks(s, handed_in)), None)
    if source is None: raise ValueError('it has not the cells that show the points of one assignment')
    out = {graded(c)['grade_id']: [None if graded(c)['solution'] else 0., graded(c)['points']]
           for c in source['cells'] if graded(c).get('points')}
    context = get_context('spawn')
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=run, args=(with_our_tests(handed_in, source), theirs))
    process.start()
    theirs.close()
    try:
        while ours.poll(seconds) and (got := ours.recv()):
            if got[0] in out: out[got[0]][0] = min(got[1], out[got[0]][1])
    except EOFError: pass                                # it ended in the middle: what came counts
    process.kill()
    process.join()
    return {k: tuple(v) for k, v in out.items()}


def same_tasks(source, handed_in):
    "Whether both are one assignment."
    def names(nb): return {graded(c)['grade_id'] for c in nb['cells'] if graded(c).get('grade')}
    return names(source) == names(handed_in)


def report(path, seconds=SECONDS):
    "The points of one notebook as text; one that cannot be read does not stop the others."
    try: got = grade(path, seconds)
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as e:
        return f'{path}\n  not graded: {type(e).__name__}: {e}'
    rows = [f"  {name:<12} {'by hand' if p is None else f'{p:g}':>8} of {most:g}" for name, (p, most) in got.items()]
    sure = sum(p for p, _ in got.values() if p is not None)
    by_hand = sum(most for p, most in got.values() if p is None)
    return '\n'.join([str(path), *rows, f'  sum {sure:g}, and up to {by_hand:g} by hand'])


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument('--check', action='store_true', help='say which notebooks of students are not up to date')
    p.add_argument('--grade', nargs='+', metavar='FILE', help='handed-in notebooks')
    a = p.parse_args()
    if a.grade: return print('\n'.join(map(report, a.grade)))
    if a.check: return sys.exit(f"not up to date: {', '.join(o.name for o in old())}: run make prepare" if old() else 0)
    STUDENTS.mkdir(exist_ok=True)
    for source, to in pairs().items():
        nb = student(read(source))
        if not same(nb, to): to.write_text(json.dumps(nb, indent=1, ensure_ascii=False) + '\n', encoding='utf-8')


if __name__ == '__main__': main()
