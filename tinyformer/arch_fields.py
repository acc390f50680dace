"""What a field of an architecture may be, and how an architecture is read from a file: strictly, by name.

A wrong number is refused when a block is made, not when a network built from it fails an hour later. A file from a
stranger, or one that was cut, gives an error that names the field, never a network that is slightly different."""
import json
from dataclasses import asdict, fields
from importlib import resources
from pathlib import Path

from tinyformer.errors import BadInput, CorruptModel
from tinyformer.files import write_json
from tinyformer.rle_encoding import BLOCKS

RULES = dict(kind=('conv', 'conv_pool', 'ir'), block=tuple(BLOCKS), stride=(1, 2),
             convs=(True, False), act=('relu', 'gelu')) # the fields that have only a few values
ADDED = 'act',             # fields that older files lack; what they meant is the field's default
NETWORKS = 'R', 'P'  # shipped in `tinyformer/networks`
FILE = dict(format='tinyformer-arch', version=1)  # what a file says of itself


# ---- values ----------------------------------------------------------------------------------------------------------

def check(
    ok:bool, # what must hold
    message:str, # of the error
):
    "Raise `BadInput` with `message` unless `ok`."
    if not ok: raise BadInput(message)


def is_count(
    v:object, # any value
)->bool:
    "Whether a value is a whole number above 0; True is none."
    return type(v) is int and v > 0


def rule(
    name:str, # of a field
    kind:type, # as it is declared
)->tuple: # (test of a value, what the value must be)
    "What a field may be."
    if name in RULES:
        same = lambda v: any(type(v) is type(r) and v == r for r in RULES[name])
        return same, f'one of {RULES[name]}'
    if 'sparsity' in name:
        return lambda v: type(v) in (int, float) and 0 <= v < 1, 'a number from 0 to below 1'
    if name == 'cout' and kind is not int:
        return lambda v: v is None or is_count(v), 'a positive integer'
    return is_count, 'a positive integer'


def check_field(
    cls:str, # name of the class, for the error
    name:str, # of the field
    kind:type, # as it is declared
    v:object, # its value
):
    "Raise `BadInput` unless `v` may be the field `name` of `cls`."
    ok, wanted = rule(name, kind)
    check(ok(v), f'{cls}.{name} is {v!r}; it must be {wanted}.')


def check_ends(
    cls:str, # name of the class, for the error
    input:tuple, # (height, width, channels) of an image
    classes:int, # number of classes
    heads:list, # channels of the last convolution, one or several; 0 = none
    blocks:list, # block shapes of its weights
    sparsities:list, # shares of its pruned blocks
):
    "Raise `BadInput` unless image shape, classes and the head's values are what they must be."
    ok = type(input) is tuple and len(input) == 3 and all(type(v) is int and v > 0 for v in input)
    check(ok, f'{cls}.input is {input!r}; it must be (height, width, channels).')
    check_field(cls, 'classes', int, classes)
    for v in heads:
        ok = type(v) is int and v >= 0
        check(ok, f'{cls}.head is {v!r}; it must be 0 or a number of channels.')
    for v in blocks: check_field(cls, 'block', str, v)
    for v in sparsities: check_field(cls, 'head_sparsity', float, v)


class Checked:
    "What the blocks share: every field is checked when a block is made."
    def __post_init__(self):
        for f in fields(self):
            check_field(type(self).__name__, f.name, f.type, getattr(self, f.name))


# ---- files -----------------------------------------------------------------------------------------------------------

def read_fields(
    cls:type, # a dataclass
    d:dict, # a JSON object
    what:str, # is read, for the error
)->object: # of `cls`
    "Build a dataclass from a JSON object; refuse missing, unknown and wrong fields."
    if not isinstance(d, dict):
        raise CorruptModel(f'{what}: expected an object, found {type(d).__name__}.')
    names = [f.name for f in fields(cls)]
    d = {f.name: f.default for f in fields(cls) if f.name in ADDED} | d
    for n in names:
        if n not in d: raise CorruptModel(f'{what}: field {n!r} is missing.')
    for n in d:
        if n not in names:
            raise CorruptModel(f'{what}: unknown field {n!r}; known are {", ".join(names)}.')
    try: return cls(**d)
    except BadInput as e: raise CorruptModel(f'{what}: {e}') from e


def read_json(
    source:str, # a JSON file, or one of `NETWORKS`
)->tuple: # (file name, what the file holds)
    "A JSON file, or a network that travels with the package."
    shipped = resources.files('tinyformer')/'networks'
    path = shipped/f'{source}.json' if source in NETWORKS else Path(source)
    try: return path.name, json.loads(path.read_text(encoding='utf-8'))
    except OSError as e:
        raise BadInput(f"cannot read the architecture {source}: {e.strerror}. "
                       f"Give a JSON file, or {' or '.join(NETWORKS)}.") from None
    except (ValueError, RecursionError) as e:
        raise CorruptModel(f'{path.name} is not JSON: {e}'[:300]) from None


def read_block(
    kinds:dict, # name of a kind of block -> its class
    d:dict, # a JSON object
    what:str, # is read, for the error
)->object: # a block
    "Build one block from a JSON object."
    kind = d.get('type') if isinstance(d, dict) else None
    if not isinstance(kind, str) or kind not in kinds:
        raise CorruptModel(f'{what}: type is {kind!r}; known are {", ".join(kinds)}.')
    return read_fields(kinds[kind], {k: v for k, v in d.items() if k != 'type'}, what)


class Stored:
    "How an architecture becomes JSON and a table, and how it is read again. The class names its `kinds` of block."
    kinds = {}

    def named(self)->list: # (name of its kind, block)
        "The blocks in order."
        names = {v: k for k, v in self.kinds.items()}
        return [(names[type(b)], b) for b in self.blocks]

    def to_json(self)->dict: # only dicts, lists, strings and numbers
        "The architecture as a JSON object."
        return asdict(self) | dict(input=list(self.input), blocks=[dict(type=k, **asdict(b)) for k, b in self.named()])

    @classmethod
    def from_json(cls,
        d:dict, # what `to_json` gave, perhaps through a file
    )->object: # the same architecture
        "Read an architecture; damaged input raises `CorruptModel` naming the field."
        if not isinstance(d, dict): return read_fields(cls, d, 'architecture')
        for k in ('input', 'blocks'):
            if not isinstance(d.get(k), list): raise CorruptModel(f'architecture: field {k!r} must be a list.')
        blocks = [read_block(cls.kinds, b, f'architecture, block {i}') for i, b in enumerate(d['blocks'])]
        return read_fields(cls, d | dict(blocks=tuple(blocks), input=tuple(d['input'])), 'architecture')

    def save(self,
        path:Path, # where to write
    )->Path: # the path
        "Write the architecture as a JSON file."
        write_json(path, FILE | self.to_json())
        return Path(path)

    @classmethod
    def load(cls,
        source:str, # a JSON file, or one of `NETWORKS`
    )->object: # the architecture
        "Read a file; `BadInput` when there is none, `CorruptModel` naming the field when damaged."
        name, d = read_json(source)
        for k, v in FILE.items() if isinstance(d, dict) else ():
            if d.pop(k, v) != v: raise CorruptModel(f'{name}: this program reads files of {k} {v!r} only.')
        try: return cls.from_json(d)
        except CorruptModel as e: raise CorruptModel(f'{name}: {e}') from None

    def _repr_markdown_(self):
        "A table of blocks and the maps they give."
        rows = ['| block | fields | gives |', '|---|---|---|']
        for (kind, b), (h, w, c) in zip(self.named(), self.shapes()[1:]):
            given = ', '.join(f'{k}={v}' for k, v in asdict(b).items() if v is not None)
            rows.append(f'| {kind} | {given} | {h}x{w}x{c} |')
        head = f'cout={self.head}, block={self.head_block}, sparsity={self.head_sparsity}'
        return '\n'.join([*rows, f'| head | {head} | {self.classes} |'])
