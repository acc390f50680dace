"""What a position of a search space must keep to, so that every path of the space can share one set of weights.

`search_space` calls these when a position or a space is made. A refusal is `BadInput` and says what to change."""
from dataclasses import MISSING, fields

from .arch import KINDS, _check, _check_field


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
