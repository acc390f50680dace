"""Count what passed and failed, from the closing lines of notebooks and tests in logs of commands.

    counts.py LOGS...                    prints two numbers
    counts.py --expect 1 1 LOG           fails unless LOG has one closing line of notebooks and one of tests,
                                         and no test was skipped, left out or expected to fail"""
import re, sys
from pathlib import Path

NOTEBOOKS = re.compile(r'^notebooks: (\d+) passed, (\d+) failed', re.M)
TESTS = re.compile(r'^=* ?((?:\d+ [a-z]+,? ?)+)in [\d.:]+s\b', re.M)          # pytest's closing line
OUT = ('skipped', 'deselected', 'xfailed', 'xpassed')


def closing_lines(text):
    "The counts of each closing line: those of notebooks, those of tests; each a dictionary word -> number."
    notebooks = [dict(passed=int(p), failed=int(f)) for p, f in NOTEBOOKS.findall(text)]
    tests = [{word: int(n) for n, word in re.findall(r'(\d+) ([a-z]+)', line)} for line in TESTS.findall(text)]
    return notebooks, [o for o in tests if set(o) & {'passed', 'failed', 'error', 'errors', *OUT}]


def totals(text):
    "(passed, failed) over all closing lines."
    lines = [o for part in closing_lines(text) for o in part]
    def total(*words): return sum(o.get(w, 0) for o in lines for w in words)
    return total('passed'), total('failed', 'error', 'errors')


def missing(text, notebooks, tests):
    "What a log lacks of these numbers of closing lines, or '' when every check ran."
    have = closing_lines(text)
    if (found := tuple(map(len, have))) != (notebooks, tests):
        return f'{found[0]} closing lines of notebooks and {found[1]} of tests, {notebooks} and {tests} are expected'
    if any(not o.get('passed') and not o.get('failed') for part in have for o in part): return 'a run without a check'
    out = {word: n for o in have[1] for word, n in o.items() if word in OUT}
    return f'tests that should have run here were left out: {out}' if out else ''


def main(argv):
    if argv[0] != '--expect': return print(*totals('\n'.join(Path(o).read_text(errors='replace') for o in argv)))
    text, notebooks, tests = Path(argv[3]).read_text(errors='replace'), int(argv[1]), int(argv[2])
    if why := missing(text, notebooks, tests): sys.exit(f'{argv[3]}: {why}')


if __name__ == '__main__': main(sys.argv[1:])
