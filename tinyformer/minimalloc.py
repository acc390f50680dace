"""Buffers to place and their plan as CSV files in the format of MiniMalloc, a planner for accelerators.

Columns, in any order: `id` (or `buffer`, `buffer_id`), `lower` (`begin`, `start`), `upper`, or `end` which is one
less, `size`, and if wanted `alignment`, `gaps`, `hint`, `offset`, and `moved`: the bytes that its readers and writers
move, which decide who lies in the fastest of several memories. Every column is honoured, any other is refused."""
import csv, io, re
from pathlib import Path

from tinyformer.errors import BadInput
from tinyformer.buffers import Gap, Interval

SAME = dict(buffer='id', buffer_id='id', begin='lower', start='lower', end='upper')  # other names of a column
NEEDED, OPTIONAL = ('id', 'lower', 'upper', 'size'), ('alignment', 'hint', 'gaps', 'offset', 'moved')
GAP = re.compile(r'(-?\d+)-(-?\d+)(?:@(\d+):(\d+))?', re.ASCII)


def _read_text(path):
    try: return Path(path).read_text(encoding='utf-8-sig')
    except (OSError, UnicodeDecodeError) as e:
        raise BadInput(f"cannot read {path}: {getattr(e, 'strerror', None) or 'not a text file'}") from e


def _columns(names):
    "Index of each column by the name that we use, and what to add to times that are the last step of a life."
    at = {}
    for k, name in enumerate(names):
        column = SAME.get(name, name)
        if column not in NEEDED + OPTIONAL:
            raise BadInput(f"column {k + 1} is {name!r}, which means nothing here, and a plan without it could be "
                           "wrong: delete the column, or give it one of the names "
                           f"{', '.join((*NEEDED, *SAME, *OPTIONAL))}")
        if column in at:
            raise BadInput(f"the columns {names[at[column]]!r} and {name!r} mean the same: keep one of them")
        at[column] = k
    missing = [c for c in NEEDED if c not in at]
    if missing:
        raise BadInput(f"the first line must name the columns {','.join(NEEDED)}; missing: {', '.join(missing)}")
    return at, int('end' in names)


def _whole(text, column):
    if not re.fullmatch(r'[+-]?\d{1,19}', text, re.ASCII):
        raise BadInput(f"{column} must be a whole number, got {text!r}")
    return int(text)


def _gap(text, last):
    "A gap such as 2-8, or 2-8@0:16 where the bytes 0 to 15 are needed all the same."
    m = GAP.fullmatch(text)
    if not m:
        raise BadInput(f"{text!r} is no gap: write LOWER-UPPER, or LOWER-UPPER@FIRST:END for bytes that stay in use")
    start, stop, low, high = (int(n or 0) for n in m.groups())
    return Gap(start, stop + last, low, high)


def _interval(cell, last):
    "The interval of one row; `cell` gives the text of a column, '' where there is none."
    lower, upper, size = (_whole(cell(c), c) for c in NEEDED[1:])
    hint = _whole(cell('hint') or '-1', 'hint')
    return Interval(cell('id'), lower, upper + last, size, align=_whole(cell('alignment') or '1', 'alignment'),
                    gaps=tuple(_gap(g, last) for g in cell('gaps').split()), hint=hint if hint >= 0 else None,
                    fixed=_whole(cell('offset'), 'offset') if cell('offset') else None)


def read_csv(
    path,       # of a CSV file whose first line names the columns; separated by commas, semicolons or tabs
    moved=None, # dict that is filled: name -> bytes moved; without that column each byte counts once
):              # list of Intervals
    "Intervals of a file in MiniMalloc's format. Raises `BadInput` that names the line."
    text = _read_text(path)
    head, out = text.partition('\n')[0], {}
    rows = csv.reader(io.StringIO(text, newline=''), delimiter=max(',;\t', key=head.count),
                      skipinitialspace=True, strict=True)
    try:
        names = [name.strip().lower() for name in next(rows, [])]
        at, last = _columns(names)
        for row in rows:
            if not row: continue
            if len(row) != len(names): raise BadInput(f"{len(row)} cells under {len(names)} columns")
            def cell(column): return row[at[column]].strip() if column in at else ''
            i = _interval(cell, last)
            if i.name in out: raise BadInput(f"a row above has the id {i.name!r} already")
            out[i.name], n = i, _whole(cell('moved') or str(i.size), 'moved')
            if n < 0: raise BadInput(f'moved must not be negative, got {n}')
            if moved is not None: moved[i.name] = n
    except (BadInput, csv.Error) as e: raise BadInput(f"{path}, line {max(rows.line_num, 1)}: {e}") from None
    if not out: raise BadInput(f"{path}: no rows after the first line")
    return list(out.values())


def csv_text(
    plan,           # any Plan
    placement=None, # of it in several memories: a column says which, and offsets count from where each begins
):                  # text of a CSV file
    "The rows with their offsets, always with `lower` and `upper`, and with the other columns where a row needs them."
    def gap(g): return f'{g.start}-{g.stop}' + (f'@{g.low}:{g.high}' if g.high else '')
    columns = dict(id=lambda i: i.name, lower=lambda i: i.start, upper=lambda i: i.stop, size=lambda i: i.size)
    if any(i.align != 1 for i in plan.intervals): columns['alignment'] = lambda i: i.align
    if any(i.hint is not None for i in plan.intervals): columns['hint'] = lambda i: -1 if i.hint is None else i.hint
    if any(i.gaps for i in plan.intervals): columns['gaps'] = lambda i: ' '.join(map(gap, i.gaps))
    columns['offset'] = lambda i: plan.offsets[i.name]
    if placement:
        columns['offset'] = lambda i: placement.place_of(i.name)[1]
        columns['memory'] = lambda i: placement.memories[placement.place_of(i.name)[0]].name
    out = io.StringIO()
    rows = [[f(i) for f in columns.values()] for i in plan.intervals]
    csv.writer(out, lineterminator='\n').writerows([columns, *rows])
    return out.getvalue()
