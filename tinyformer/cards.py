"""The card of a model: its fields, what is refused, what training knows, and the card as a table and as a picture.

Plumbing of `zoo`. A card is a JSON file beside the model. A figure that nobody measured is null."""
import json, shlex
from pathlib import Path

import matplotlib.pyplot as plt

from tinyformer import cycles
from tinyformer.data import one_line
from tinyformer.errors import BadInput, CorruptModel
from tinyformer.hardware import target as board_named
from tinyformer.provenance import commit, machine, versions
from tinyformer.run_config import typed
from tinyformer.run_folder import Run, result
from tinyformer.run_report import COLUMNS, cycle_rows


# kinds of a field
TEXT, NUMBER, MAYBE, PAIRS = (str,), (int, float), (int, float, type(None)), 'pairs'
TRIPLES, WAITS = 'triples', 'waits' # WAITS: None, or at least, likely and at most

CARD = dict( # field → its kind, or the kinds of the fields in it
    name=TEXT, about=TEXT, licence=TEXT, # in the zoo; one sentence for a person; of the weights
    dataset=dict(name=TEXT, copy=TEXT), # which copy of it: recompressed images are another data set
    accuracy=dict(float=MAYBE, pruned=MAYBE, int8=NUMBER, device=NUMBER), # shares of images right
    images=dict(int8=NUMBER, device=NUMBER), # how many they were measured on
    bytes=PAIRS, # host and device → output bytes compared with the reference, and how many differ
    weight_sparsity=NUMBER, weights=NUMBER, macs=NUMBER, # share of zeros; before pruning; dense
    flash=dict(total=NUMBER, code=NUMBER, weights=NUMBER, constants=NUMBER, limit=NUMBER), # bytes
    sram=dict(total=NUMBER, arena=NUMBER, data=NUMBER, bss=NUMBER, stack=NUMBER, limit=NUMBER),
    instructions=NUMBER, est_cycles=MAYBE, # per inference: counted; of the core, null if unknown
    stall_cycles=WAITS, stall_causes='causes', cycles=MAYBE, # waiting; core and waiting
    profile=TRIPLES, # operator → instructions, cycles of the core, likely waiting
    setting=dict(target=TEXT), compiler=TEXT, # what decided the C; of the image
    trained=dict(command=TEXT, commit=TEXT, seeds=(dict,), hours=MAYBE, machine=TEXT),
    measured=dict(command=TEXT, commit=TEXT),
    sha256=TEXT, file_bytes=NUMBER) # of the .tfm file
NOTES = dict(about='', dataset='', copy='', licence='Apache-2.0', accuracy_float=None,
             accuracy_pruned=None, command='', commit='', seeds={}, hours=None, machine='',
             versions={})
_WAITING = 'est_cycles', 'stall_cycles', 'stall_causes'


# ---- what a card is --------------------------------------------------------------------------------------------------

def of_now(
    card:dict, # what a JSON file held
)->dict: # with the columns of `CARD`
    "A card of before the waiting for memory was modelled, in the form of today: the waiting is unknown."
    if not isinstance(card, dict) or 'cycles' not in card or {*_WAITING} & {*card}: return card
    old = card.get('profile')
    longer = isinstance(old, dict) and all(isinstance(p, list) for p in old.values())
    profile = {op: [*p, None] for op, p in old.items()} if longer else old
    core = dict(est_cycles=card['cycles'], cycles=None, profile=profile)
    return card | dict.fromkeys(_WAITING) | core


def is_kind(
    value:object, # what a JSON file held
    kind:object, # of `CARD`
)->bool:
    "Whether a value is what a card holds in such a field."
    if isinstance(kind, dict):
        if not isinstance(value, dict): return False
        return all(is_kind(value.get(k, ...), v) for k, v in kind.items())
    if kind in (PAIRS, TRIPLES):
        rows, length = value.values() if isinstance(value, dict) else [None], 2 + (kind == TRIPLES)
        return all(isinstance(p, (list, tuple)) and len(p) == length and is_kind(p[0], NUMBER)
                   and all(is_kind(v, MAYBE) for v in p[1:]) for p in rows)
    if kind == WAITS:
        three = isinstance(value, (list, tuple)) and len(value) == 3
        return value is None or three and all(is_kind(v, NUMBER) for v in value)
    if kind == 'causes':
        return value is None or isinstance(value, dict) and all(
            is_kind(v, WAITS) for v in value.values())
    return isinstance(value, kind) and not isinstance(value, bool)


def check_card(
    card:dict, # what a JSON file held
    where:str='card', # named in errors
)->dict: # the card
    "Refuse a card that lacks a field, holds an unknown one, or holds a value of another kind."
    if not isinstance(card, dict): raise CorruptModel(f'{where}: a card is a JSON object')
    wrong = [f'no {k}' for k in CARD if k not in card]
    wrong += [f'unknown: {k}' for k in card if k not in CARD]
    wrong = wrong or [f'a wrong {k}' for k, kind in CARD.items() if not is_kind(card[k], kind)]
    if wrong: raise CorruptModel(f"{where}: {', '.join(wrong)}")
    return card


# ---- what training knows ---------------------------------------------------------------------------------------------

def _run_notes(run):
    "What a finished run says of itself. It does not keep its commit."
    d, c = result(run, 'report'), run.cfg
    about = (f"{d['dataset']}, searched and trained for {c.flash or 'all'} of flash and "
             f"{c.sram or 'all'} of SRAM")
    return dict(about=about, dataset=d['dataset'], accuracy_float=d['accuracy_float'],
                accuracy_pruned=d['accuracy_pruned'], command=f'tinyformer demo {typed(c)}'.strip(),
                seeds=dict(run=c.seed), hours=round(d['seconds'] / 3600, 3), versions=d['versions'])


def _given(source):
    "The notes that one source holds."
    if not isinstance(source, dict) and Path(source).is_dir(): return _run_notes(Run(source))
    if not isinstance(source, dict):
        try: source = json.loads(Path(source).read_text(encoding='utf-8'))
        except (OSError, ValueError) as e:
            raise BadInput(f'{source} is neither a run folder nor a JSON file of notes '
                           f'({one_line(e)})') from e
    if not isinstance(source, dict): raise BadInput('notes are a JSON object')
    for k, v in source.items():
        if k not in NOTES: raise BadInput(f"notes have no {k!r}; they have {', '.join(NOTES)}")
        kind = MAYBE if NOTES[k] is None else (type(NOTES[k]),)
        if not is_kind(v, kind): raise BadInput(f'the notes hold a wrong {k}: {v!r}')
    return source


def notes(
    *sources:object, # run folders, JSON files or dicts; a later one is right where two differ
)->dict: # the keys of `NOTES`
    "What training knows about a model."
    res = dict(NOTES)
    for s in sources: res |= _given(s)
    return res


def words(
    argv:object, # what was typed after `tinyformer`
)->str: # the command, without folders of one machine
    "A command as a card keeps it: an absolute path is cut to its last part."
    return shlex.join(['tinyformer', *(Path(w).name if Path(w).is_absolute() else w for w in argv)])


def made_by(
    command:str, # what was typed, or called
    seconds:float, # that it took
)->dict: # command, commit, versions, machine, seconds
    "Which command, code, libraries and kind of machine made a result."
    counted = dict(cycles=cycles.version() if cycles.available() else None)
    return dict(command=command, commit=commit(), versions=versions() | counted, machine=machine(),
                seconds=round(seconds, 1))


def costs(
    dev:dict, # of `evaluate` on the device
)->dict:
    "What a card says of a run on the device."
    stack, sram = dev['stack_bytes'], dev['sram']
    sram = sram | dict(stack=stack, total=sram['data'] + sram['bss'] + stack)
    return dict(flash=dev['flash'], sram=sram, instructions=dev['instructions_per_inference'],
                **{k: dev[k] for k in COLUMNS}, profile=dev['profile'], compiler=dev['compiler'])


def measured(
    graph:object, # the model
    host:dict, # of `evaluate` on the host
    dev:dict, # of `evaluate` on the device
)->dict:
    "What a card says of a model and of its two runs."
    weights = sum(o.params['weight'].size for o in graph.ops if 'weight' in o.params)
    return dict(
        images=dict(int8=host['images'], device=dev['images']),
        bytes={r['on']: [r['bytes_compared'], r['bytes_different']] for r in (host, dev)},
        weight_sparsity=graph.weight_sparsity(), weights=weights, macs=graph.macs(),
        **costs(dev))


# ---- a card for a person ---------------------------------------------------------------------------------------------

def milliseconds(
    card:dict, # see `CARD`
)->float: # None without cycles
    "Estimated time of one inference at the target's highest clock, as far as it is known."
    return cycles.milliseconds(cycles.three(card)[2], board_named(card['setting']['target']))


def _sizes(parts, of):
    "Bytes of an image's parts as text, after how many of how many they are together."
    each = ', '.join(f'{what} {n:,}' for what, n in parts)
    return f"{of['total']:,} of {of['limit']:,} bytes: {each}"


def _typed_at(made):
    "A command and its commit."
    return f"`{made['command'] or 'not said'}` at {made['commit'][:8] or 'no commit'}"


def _measured_by(m):
    "What measured a model, in words; what it costs may have been measured later."
    later = f"; flash, SRAM and counts by {_typed_at(m['costs'])}" if 'costs' in m else ''
    return _typed_at(m) + later


def _trained_by(t):
    "Who trained a model, in words."
    took = f", {t['hours']} h" if t['hours'] is not None else ''
    where = f", {t['machine']}" if t['machine'] else ''
    return f"{_typed_at(t)}, seeds {t['seeds']}{took}{where}"


def _time_rows(card):
    "Time, cycles and what the core waits for, as rows."
    return cycle_rows(card | dict(target=card['setting']['target']))


def card_table(
    card:dict, # see `CARD`
)->list: # of (what, text)
    "A card as rows for a person."
    a, n, f, s = card['accuracy'], card['images'], card['flash'], card['sram']
    pct = lambda stage: 'not measured' if a[stage] is None else f'{a[stage]:.2%}'
    different = [f'{where} {bad} of {every:,}' for where, (every, bad) in card['bytes'].items()]
    flash = [('code', f['code']), ('weights', f['weights']), ('other constants', f['constants'])]
    sram = [('arena', s['arena']), ('other bss', s['bss'] - s['arena']), ('data', s['data']),
            ('stack', s['stack'])]
    return [('data', card['dataset']['copy']),
            ('accuracy', f"float {pct('float')}, pruned {pct('pruned')}, int8 {pct('int8')} on "
             f"{n['int8']:,} test images, device {pct('device')} on {n['device']:,}"),
            ('bytes that differ from the reference', ', '.join(different)),
            ('sparsity', f"{card['weight_sparsity']:.1%} of the prunable weights; "
             f"{card['weights']:,} weights in all"),
            ('dense multiply-accumulates', f"{card['macs']:,}"),
            ('flash', _sizes(flash, f)), ('SRAM', _sizes(sram, s)),
            ('instructions per inference', f"{card['instructions']:,}"),
            *_time_rows(card),
            ('board, compiler', f"{card['setting']['target']}, {card['compiler']}"),
            ('trained by', _trained_by(card['trained'])),
            ('measured by', _measured_by(card['measured']))]


def card_markdown(
    card:dict, # see `CARD`
)->str: # markdown
    "A card as a table."
    rows = [f'| {k} | {v} |' for k, v in card_table(card)]
    return '\n'.join([f"**{card['name']}**: {card['about']}", '', '| | |', '|:--|:--|', *rows])


def _stack(ax, what, parts, limit):
    "Draw parts of a memory on top of each other; a pure function."
    low = 0
    for name, n in parts.items():
        ax.bar(0, n / 1024, bottom=low / 1024, label=name)
        low += n
    ax.set(title=f'{what}: {low / 1024:.1f} of {limit / 1024:.0f} KB', ylabel='KB', xticks=[],
           xlim=(-.5, 2))
    ax.legend(fontsize=7, loc='upper right', handlelength=1)


def plot_card(
    card:dict, # see `CARD`
    top:int=12, # operators shown, the most expensive ones
)->object: # matplotlib Figure
    "Draw where an image's flash, SRAM and instructions go (a pure function)."
    fig, axes = plt.subplots(1, 3, figsize=(9, 2.8), layout='constrained', width_ratios=(1, 1, 2.4))
    s, f = card['sram'], card['flash']
    flash = {'code': f['code'], 'weights': f['weights'], 'other\nconstants': f['constants']}
    sram = {'arena': s['arena'], 'other bss': s['bss'] - s['arena'], 'data': s['data'],
            'stack': s['stack']}
    _stack(axes[0], 'flash', flash, f['limit'])
    _stack(axes[1], 'SRAM', sram, s['limit'])
    ops = sorted(card['profile'].items(), key=lambda kv: -kv[1][0])[:top]
    axes[2].barh([k for k, _ in ops], [100 * n / card['instructions'] for _, (n, *_) in ops])
    axes[2].tick_params(axis='y', labelsize=7)
    axes[2].invert_yaxis()
    axes[2].set(xlabel='% of instructions', title=f"{card['instructions']:,} instructions")
    return fig


# ---- a card beside its model -----------------------------------------------------------------------------------------

def read_card(
    path:Path, # a card
    again:str # how to come by a good one
)->dict: # see `CARD`
    "A card file, with what a card must hold; the error says how to come by a good one."
    try: return check_card(of_now(json.loads(path.read_text(encoding='utf-8'))), path.name)
    except OSError as e: raise BadInput(f'{path} cannot be read: {e.strerror}') from e
    except (ValueError, CorruptModel) as e:
        raise CorruptModel(f'{path.name} is damaged ({one_line(e)}): {again}') from e


def report_of(
    card:object # a report, or the path of its JSON
)->dict:
    "A report, or the JSON file that holds it."
    if isinstance(card, dict): return of_now(card)
    try: held = json.loads(Path(card).read_text(encoding='utf-8'))
    except (OSError, ValueError) as e: raise BadInput(f'{card} is no report ({one_line(e)})') from e
    if isinstance(held, dict): return of_now(held)
    raise BadInput(f'{card} is no report: it holds no JSON object')


def belongs(
    graph:object, # a model
    card:dict # a report
)->bool:
    "Whether a report can be about this model: by its multiply-accumulates and its share of zero weights."
    zeros = card.get('weight_sparsity')
    return card.get('macs') == graph.macs() and is_kind(zeros, NUMBER) and \
           abs(zeros - graph.weight_sparsity()) < 1e-12


# ---- many cards ------------------------------------------------------------------------------------------------------

def shelf_row(
    card:dict # of a shipped model
)->tuple: # of texts
    "One text per column of `Shelf`."
    kb = lambda n: f'{n / 1024:.1f}'
    right = f"{card['accuracy']['int8']:.2%} of {card['images']['int8']:,}"
    ms = cycles.three_ms(card, board_named(card['setting']['target']))
    return (card['name'], card['dataset']['copy'], right, kb(card['flash']['total']), kb(card['sram']['total']),
            f"{card['instructions'] / 1e6:.2f}", *ms, kb(card['file_bytes']))


class Shelf(tuple):
    "Cards that show as a table."
    COLUMNS = ('model', 'data', 'int8 accuracy', 'flash KB', 'SRAM KB', 'M instructions', 'core ms',
               'waiting ms', 'est. ms', 'file KB')

    def rows(self):
        "One tuple of texts per card."
        return [shelf_row(c) for c in self]

    def __repr__(self):
        table = [self.COLUMNS, *self.rows()]
        wide = [max(len(r[i]) for r in table) for i in range(len(self.COLUMNS))]
        return '\n'.join('  '.join(v.ljust(w) for v, w in zip(r, wide)).rstrip() for r in table)

    def _repr_markdown_(self):
        rows = [self.COLUMNS, [':--'] * 2 + ['--:'] * 8, *self.rows()]
        return '\n'.join(f"| {' | '.join(r)} |" for r in rows)


def plot_fitting(
    cards:list, # of models
    flash_kb:float=1024, # limit
    sram_kb:float=320 # limit
)->plt.Axes:
    "Flash and SRAM of models against two limits; those that fit are green."
    ax = plt.subplots(figsize=(7, 3.4), layout='constrained')[1]
    for i, c in enumerate(sorted(cards, key=lambda c: c['flash']['total'])):
        flash, sram = c['flash']['total'] / 1024, c['sram']['total'] / 1024
        ok = flash <= flash_kb and sram <= sram_kb
        ax.scatter(flash, sram, color='tab:green' if ok else 'tab:red')
        va, ha = (('bottom', 'right'), ('bottom', 'left'), ('top', 'left'))[i % 3]  # neighbours on different sides
        ax.annotate(f"  {c['name']} {c['accuracy']['int8']:.1%}  ", (flash, sram), fontsize=7, va=va, ha=ha)
    ax.axvline(flash_kb, color='0.6')
    ax.axhline(sram_kb, color='0.6')
    ax.set(xlabel='flash, KB', ylabel='SRAM, KB', xscale='log', yscale='log', xlim=(6, 4200), ylim=(2, 700))
    return ax
