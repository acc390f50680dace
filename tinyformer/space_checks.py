"""What a search space must keep to, so that every path of it can share one set of weights; and a space as JSON.

`search_space` calls these when a position or a space is made, written or read. A refusal is `BadInput` and says what to
change; a file that is no space is `CorruptModel` and names the field."""
from dataclasses import MISSING, fields

from .arch import KINDS, _check, _check_ends, _check_field, _read
from .errors import CorruptModel

HEAD = 'head', 'head_block', 'head_sparsity'  # the choices behind the last position


# ---- a position ------------------------------------------------------------------------------------------------------

def check_repeat(
    repeat: tuple  # how many blocks of a position may follow
):
    "Refuse what are no counts."
    counts = repeat and all(type(r) is int and r >= 0 for r in repeat)
    _check(counts, f'repeat is {repeat}; it must list counts from 0.')



def frozen(
    choices: dict  # name of a field → its values; pairs are taken too
) -> tuple:        # hashable: of (name, tuple of values)
    "Choices that cannot change."
    pairs = choices.items() if isinstance(choices, dict) else choices
    return tuple((name, tuple(values)) for name, values in pairs)


def check_choices(
    kind: str,     # a key of `arch.KINDS`
    choices: dict  # name of a field → tuple of its values
):
    "Refuse choices that are no values of the fields of a block of this kind."
    known = {f.name: f.type for f in fields(KINDS[kind])}
    for n, values in choices.items():
        what, single = f'{kind}.{n}', len(values) == 1
        _check(n in known, f'{kind} has no field {n!r}; known are {", ".join(known)}.')
        _check(0 < len(values) == len(set(values)), f'{what} lists {values}; it must list different values.')
        _check(single or n not in ('kind', 'stride'),
               f'{what} changes which modules exist: one value per position.')
        _check(single or None not in values, f'{what} mixes None with numbers.')
        for v in values: _check_field(kind, n, known[n], v)
    given = {*choices} | ({'dim'} if choices.get('convs') == (False,) else set())
    needed = [f.name for f in fields(KINDS[kind]) if f.default is MISSING]
    lack = [n for n in needed if n not in given]
    _check(not lack, f'{kind} needs choices for {", ".join(lack)}.')


def check_bare(
    i: int,         # number of the position, for the error
    choices: dict,  # of a transformer
    cin: int        # channels that come in, at most
):
    "Refuse a transformer that may leave its convolutions out, but then would be wider than the largest path."
    if False not in choices.get('convs', (True,)): return
    _check(choices.get('cout', (None,)) == (None,), f'position {i}: with convs=False allowed, cout must stay None.')
    _check(True not in choices['convs'] or max(choices['dim']) >= cin,
           f'position {i}: up to {cin} channels come in, so dim must reach {cin} when convs may be False.')


# ---- a space ---------------------------------------------------------------------------------------------------------

def check_space(
    space: object  # a `SearchSpace`
):
    "Refuse a space that is not complete, or whose paths may lack a transformer block."
    _check(isinstance(space.name, str), f'SearchSpace.name is {space.name!r}; it must be text.')
    some = space.head and space.head_block and space.head_sparsity
    _check(some, 'SearchSpace: the head needs at least one value of each kind.')
    _check_ends('SearchSpace', space.input, space.classes, space.head, space.head_block, space.head_sparsity)
    always = [p for p in space.positions if p.kind == 'transformer' and min(p.repeat) > 0]
    _check(always, f'space {space.name!r}: every path needs a transformer block that cannot be skipped.')


def check_widths(
    space: object  # a `SearchSpace`
):
    "Refuse a space of which a path could be wider somewhere than the largest path, whose weights all share."
    have = [channels for _, _, channels in space.largest().shapes()]
    k, widest = 0, space.input[2]                        # most channels that can arrive
    for i, p in enumerate(space.positions):
        choices, out = dict(p.choices), widest
        for _ in range(max(p.repeat)):
            _check(have[k] >= out, f'position {i}: up to {out} channels can come in, but only '
                   f'{have[k]} on the largest path; allow a wider cout before it.')
            if p.kind == 'transformer': check_bare(i, choices, out)
            out, k = max(v or out for v in choices.get('cout', (None,))), k + 1
        widest = max(widest, out) if 0 in p.repeat else out
    _check(have[k] >= widest, f'up to {widest} channels can reach the head, but only {have[k]} on the largest path.')
    bare = 0 in space.head and 0 < max(space.head) < widest
    _check(not bare, f'up to {widest} channels can reach the classifier without a head, so a head '
           f'of at least {widest} must be among {space.head}.')


# ---- as JSON ---------------------------------------------------------------------------------------------------------

def position_to_json(
    p: object  # a `Position`
) -> dict:     # only dicts, lists, strings and numbers
    "A position as a JSON object."
    return dict(kind=p.kind, choices={name: list(values) for name, values in p.choices}, repeat=list(p.repeat))


def space_to_json(
    space: object  # a `SearchSpace`
) -> dict:         # only dicts, lists, strings and numbers
    "A space as a JSON object."
    out = {f.name: getattr(space, f.name) for f in fields(space)}
    for name in ('input', *HEAD): out[name] = list(out[name])
    return out | dict(positions=[position_to_json(p) for p in space.positions])


def space_from_json(
    d: dict,        # what `space_to_json` gave
    space: type,    # `SearchSpace`
    position: type  # `Position`
) -> object:        # the same space
    "Read a space; damaged input raises `CorruptModel` naming the field."
    if not isinstance(d, dict) or not isinstance(d.get('positions'), list):
        raise CorruptModel("search space: field 'positions' must be a list.")
    read, what = [], 'search space'
    try:
        for i, p in enumerate(d['positions']): read.append(_read(position, p, f'{what}, position {i}'))
        return _read(space, d | dict(positions=tuple(read)), what)
    except (TypeError, ValueError) as e:
        raise CorruptModel(f'{what}: a field has the wrong type: {e}.') from e
