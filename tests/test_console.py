"""Options come from docments, and what is written can be shown by every terminal."""
import argparse, io, os, subprocess, sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pytest

from tinyformer import cli, console
from tinyformer.errors import BadInput

ROOT = Path(cli.__file__).parent.parent


def tinyformer(*words, env=(), **kw):
    "Run the command in a process of its own."
    env = os.environ | dict(PYTHONPATH=str(ROOT), PYTHONUTF8='0', PYTHONCOERCECLOCALE='0', LC_ALL='C') | dict(env)
    command = [sys.executable, '-m', 'tinyformer.cli', *map(str, words)]
    return subprocess.run(command, env=env, capture_output=True, **kw)


# ---- options

def example(
    file:Path, # what to read
    more:str = None, # what else to read
    *,
    often:Annotated[int, (1, 9)] = 3, # how often, 100 % of the time
    quick:bool = False, # do less
    shares:tuple[Annotated[float, (0., 1.)], ...] = None, # some shares
    names:list[str] = None, # may be given again
    to_file:Annotated[console.Output, 'rows'] = None, # where it goes
    _hidden:int = 0, # no option
):
    "An example."


@dataclass
class Record:
    "Some settings."
    colour: str = 'red' # of the car
    speed: int = 0 # in km/h


def parsed(*words):
    p = argparse.ArgumentParser(prog='x')
    console.add_options(p, example)
    console.add_options(p.add_argument_group('more'), Record, record=True)
    return p, vars(p.parse_args(list(words)))


def test_options_are_what_the_function_says():
    p, args = parsed('in', '--often', '4', '--shares', '.1', '.2', '--names', 'a', '--names', 'b', '--speed', '0')
    assert args == dict(file=Path('in'), more=None, often=4, quick=False, shares=[.1, .2], names=['a', 'b'],
                        to_file=None, speed=0)
    text = ' '.join(p.format_help().split())
    for words in ('what to read', '[MORE]', 'how often, 100 % of the time (default: 3)', '--to-file FILE where it goes',
                  '--quick do less', 'of the car (default: red)', 'in km/h (default: 0)'): assert words in text, words
    assert 'hidden' not in text and parsed('a', 'b')[1]['more'] == 'b'


@pytest.mark.parametrize('wrong, words', [
    (dict(often=0), '--often is 0'), (dict(often=10), 'from 1 to 9'),
    (dict(shares=[.5, float('nan')]), '--shares is nan'), (dict(shares=[-.1]), '--shares is -0.1'),
    (dict(to_file='.'), 'is a folder')])
def test_values_out_of_range_are_refused(wrong, words):
    with pytest.raises(BadInput, match=words): console.check_options(example, wrong)
    console.check_options(example, dict(often=1, shares=[0., 1.], to_file='-'))


@pytest.mark.parametrize('held, ours', [
    ('{"rows": 1}', True), ('[{"rows": 1}, {"rows": 2}]', True), ('{"a": 1}', False), ('[]', False),
    ('[{"rows": 1}, 3]', False), ('a thesis', False), ('', False)])
def test_only_an_earlier_result_is_replaced(tmp_path, held, ours):
    (tmp_path/'r.json').write_text(held)
    args = dict(to_file=console.Output(tmp_path/'r.json'))
    if ours: console.check_options(example, args)
    else:
        with pytest.raises(BadInput, match='would be lost'): console.check_options(example, args)
    with pytest.raises(BadInput, match='would replace what the command reads'):
        console.check_options(example, dict(args, file=tmp_path/'r.json'))


def test_every_option_of_every_command_says_what_it_is():
    "Nobody added one without a docment."
    from fastcore.docments import docments
    n = 0
    for f in cli.COMMANDS.values():
        for source in filter(None, [f, f.record and f.record()]):
            for name, d in docments(source, full=True, returns=False).items():
                assert d.docment or name.startswith('_') or d.kind is d.kind.VAR_KEYWORD, (f.__name__, name)
                n += 1
    assert n > 80


# ---- text

@pytest.mark.parametrize('raw, shown', [
    ('a\x1b[31mred', r'a\x1b[31mred'), ('\x1b]0;title\x07', r'\x1b]0;title\x07'), ('a\nb\tc', 'a\nb\tc'),
    ('a\rb', r'a\rb'), ('\x9b2J', r'\x9b2J'), ('abc\u202edcba', r'abc\u202edcba'), ('\x7f', r'\x7f'),
    ('\udcff', r'\udcff'), ('λ ≤ 1', 'λ ≤ 1')])
def test_control_characters_are_shown(raw, shown): assert console.visible(raw) == shown


@pytest.mark.parametrize('encoding, shown', [
    ('utf-8', 'λ ≤ 1 é 漢'), ('latin-1', 'lambda <= 1 é ?'), ('ascii', 'lambda <= 1 ? ?')])
def test_what_a_terminal_lacks_has_a_stand_in(encoding, shown):
    raw = io.BytesIO()
    stream = console.Console(io.TextIOWrapper(raw, encoding=encoding))
    print('λ ≤ 1 é 漢', file=stream, flush=True)
    assert raw.getvalue().decode(encoding) == shown + '\n' and stream.encoding == encoding


@pytest.mark.parametrize('encoding, words', [('ascii', ('demo', '--help')), ('latin-1', ('demo', '--lo', '2'))])
def test_no_terminal_is_too_poor_for_lambda(encoding, words, tmp_path):
    r = tinyformer(*words, env=dict(PYTHONIOENCODING=encoding), cwd=tmp_path)
    said = r.stdout + r.stderr
    assert b'lambda_lo' in said and b'unexpected' not in said and b'Traceback' not in said
    assert r.returncode == (words[1] == '--lo')


@pytest.mark.parametrize('words', [('--help',), ('targets',), ('targets', '--help')])
def test_a_reader_that_goes_away_is_no_error(words):
    "As `tinyformer zoo | head -0` does."
    read, write = os.pipe()
    os.close(read)
    env = os.environ | dict(PYTHONPATH=str(ROOT))
    command = [sys.executable, '-m', 'tinyformer.cli', *words]
    p = subprocess.run(command, env=env, stdout=write, stderr=subprocess.PIPE, text=True)
    os.close(write)
    assert (p.returncode, p.stderr) == (141, '')


def test_a_full_place_for_the_output_is_named():
    with open('/dev/full', 'w') as full:
        command, env = [sys.executable, '-m', 'tinyformer.cli', 'targets'], os.environ | dict(PYTHONPATH=str(ROOT))
        p = subprocess.run(command, env=env, stdout=full, stderr=subprocess.PIPE, text=True)
    assert p.returncode == 1 and 'No space left' in p.stderr and 'Traceback' not in p.stderr and 'bug' not in p.stderr


@pytest.mark.parametrize('name, words, said', [
    ('recipe', ['dance'], "no step 'dance'"), ('families', ['--paths', '0'], 'paths is 0'),
    ('random_networks', ['--target', 'abacus'], 'abacus')])
def test_a_module_of_its_own_names_an_error_in_a_line(name, words, said):
    command, env = [sys.executable, '-m', f'tinyformer.{name}', *words], os.environ | dict(PYTHONPATH=str(ROOT))
    p = subprocess.run(command, env=env, capture_output=True, text=True)
    assert p.returncode == 1 and p.stderr.startswith(f'{name}: ') and said in p.stderr and p.stderr.count('\n') == 1


def test_who_interrupts_is_told_how_to_go_on():
    def interrupted(): raise KeyboardInterrupt
    assert cli.standalone(interrupted, 'recipe') == 'recipe: interrupted; give the same command again to continue'
