"""How a command reads what was typed and shows what it found.

The options of a command are the arguments of its function: their names, types, defaults and docments are all that
`--help` shows."""
import argparse, inspect, json, os, sys, unicodedata
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, get_args, get_origin

from fastcore.docments import docments

from tinyformer.errors import BadInput, check_number

METAVAR = {int: 'N', float: 'X', str: 'TEXT', Path: 'PATH'}


class Output(str):
    "A file that a command writes, - for the terminal. `Annotated[Output, 'field']`: an earlier result has the field."


# ---- options from docments -------------------------------------------------------------------------------------------

def _kind(anno):
    "(container or None, type, what `Annotated` adds) of an annotation."
    container, more = get_origin(anno), ()
    if container in (list, tuple): anno = get_args(anno)[0]
    if get_origin(anno) is Annotated: anno, *more = get_args(anno)
    return container if container in (list, tuple) else None, anno, more


def _help(text, default):
    "The docment, and the default where it says something."
    shown = '' if default in (None, '', (), inspect.Parameter.empty) or default is False else f' (default: {default})'
    return f'{text or ""}{shown}'.replace('%', '%%')


def add_options(
    p,             # parser or group
    f,             # function or dataclass: each argument or field is one option; _names are none
    record=False,  # `f` is a class: all fields are options, and what was not typed is not in the result
):
    "Add every argument of a function to a parser: those after a * are options, the others are positional."
    places = {n: q.kind for n, q in inspect.signature(f).parameters.items()}
    for name, d in docments(f, full=True, returns=False).items():
        if name.startswith('_') or places.get(name) is inspect.Parameter.VAR_KEYWORD: continue
        container, kind, _ = _kind(d.anno)
        words = dict(help=_help(d.docment, d.default))
        if kind is bool: words |= dict(action='store_true')
        else: words |= dict(type=kind, metavar=METAVAR.get(kind, 'FILE'))
        if container: words |= dict(action='append') if container is list else dict(nargs='+')
        default = None if d.default is inspect.Parameter.empty else d.default
        if record or places.get(name) is inspect.Parameter.KEYWORD_ONLY:
            p.add_argument(f"--{name.replace('_', '-')}", **words, default=argparse.SUPPRESS if record else default)
        else:
            if d.default is not inspect.Parameter.empty: words |= dict(nargs='?')
            p.add_argument(name, **words | dict(metavar=name.upper(), default=default))


def check_options(
    f,    # as in `add_options`
    args, # name -> value
):
    "Refuse numbers out of range and files that would be lost, before the command begins."
    for name, d in docments(f, full=True, returns=False).items():
        value, (_, kind, more) = args.get(name), _kind(d.anno)
        if value is None or not more: continue
        option = f"--{name.replace('_', '-')}"
        if kind in (int, float):
            for v in value if isinstance(value, (list, tuple)) else [value]: check_number(option, v, *more[0])
        if kind is Output and value != '-': check_output(option, value, more[0], args)


def _is_result(path, field):
    "Whether a file is JSON with this field, in all its rows if it has rows; lines of JSON or CSV that begin with it."
    try:
        text = Path(path).read_text(encoding='utf-8')
        first, _, more = text.partition('\n')
        if field in first.split(','): return True
        held = json.loads(first if more.startswith('{') else text)
    except (OSError, ValueError): return False
    rows = held if isinstance(held, list) else [held]
    return bool(rows) and all(isinstance(r, dict) and field in r for r in rows)


def check_output(
    option, # such as '--json'
    path,   # the file that will be written
    field,  # that an earlier result of the same command holds
    args=(), # name -> value of all that was typed: none of it is overwritten
):
    "Refuse a place where the result would replace something else than an earlier result, or cannot be written."
    to = Path(path)
    if to.is_dir(): raise BadInput(f'{option} {path} is a folder: name a file')
    if os.path.lexists(to):
        inputs = [v for v in dict(args).values() if isinstance(v, (str, Path)) and not isinstance(v, Output)]
        if any(os.path.exists(v) and os.path.samefile(v, to) for v in inputs if to.exists()):
            raise BadInput(f'{option} {path} would replace what the command reads: choose another name')
        if not _is_result(to, field):
            raise BadInput(f'{option} {path}: this file is no earlier result of the command and would be lost: choose '
                           'another name')
    folder = next(p for p in [to.absolute(), *to.absolute().parents] if p.exists())
    if not os.access(folder, os.W_OK):
        raise BadInput(f'{option} {path} cannot be written: choose a folder you can write to')


# ---- text that every terminal can show -------------------------------------------------------------------------------

PLAIN = {'λ': 'lambda', 'τ': 'tau', 'σ': 'sigma', '–': '-', '—': '-', '…': '...', '≤': '<=', '≥': '>=', '→': '->',
         '×': 'x', '·': '*', '°': ' degrees', '“': '"', '”': '"', '‘': "'", '’': "'"}
"What stands in for a character that a terminal lacks."


def visible(text, keep='\n\t'):
    "Text in which control characters are shown and not obeyed: a stranger's model may hold any."
    if text.isprintable(): return text
    hidden = ('Cc', 'Cf', 'Cs', 'Zl', 'Zp')
    def shown(c):
        if c in keep or unicodedata.category(c) not in hidden: return c
        return c.encode('unicode_escape').decode()
    return ''.join(map(shown, text))


def encodable(text, encoding):
    "Text with stand-ins for what an encoding lacks."
    try: text.encode(encoding)
    except UnicodeEncodeError: return ''.join(c if c.encode(encoding, 'ignore') else PLAIN.get(c, '?') for c in text)
    return text


class Console:
    "A stream that gets nothing but text, in characters that it has; when its reader has gone, the program ends."
    def __init__(self, stream, keep='\n\t'): self.stream, self.keep = stream, keep
    def __getattr__(self, name): return getattr(self.stream, name)

    def write(self, text):
        shown = encodable(visible(text, self.keep), getattr(self.stream, 'encoding', None) or 'utf-8')
        try: self.stream.write(shown)
        except BrokenPipeError: self._end()
        return len(text)

    def flush(self):
        try: self.stream.flush()
        except BrokenPipeError: self._end()

    def _end(self):
        os.dup2(os.open(os.devnull, os.O_WRONLY), self.stream.fileno())      # what is left goes nowhere
        raise SystemExit(READER_GONE)


READER_GONE = 141
"Exit status, as the shell gives it to a program that a closed pipe ends."


@contextmanager
def plain_streams():
    "Write to the terminal through `Console` inside the block; a bar may return to the start of its line."
    old = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = old[0] and Console(old[0]), old[1] and Console(old[1], '\n\t\r')
    try: yield
    finally: sys.stdout, sys.stderr = old


def typed(
    f,    # what the command does; its arguments are the options
    argv, # what was typed; None: what this process was given
    prog, # the command's name, for its help
    doc,  # its description
): # what `f` gives
    "Call a function with the options of a command line."
    p = argparse.ArgumentParser(prog=prog, description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(p, f)
    given = vars(p.parse_args(argv))
    check_options(f, given)
    return f(**given)


def quietly(
    main, # f() -> exit status
): # the same
    "Run a command with plain streams, all of whose text has arrived when it ends."
    with plain_streams():
        try: return main()
        finally:
            if sys.stdout: sys.stdout.flush()
