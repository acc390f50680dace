"""Text of C: names of operators and models, arrays, and templates of `firmware/templates` that are filled in."""
import re
from string import Template

import numpy as np

from tinyformer.errors import BadInput
from tinyformer.toolchain import firmware_dir

C_TYPES = {'int8': 'int8_t', 'uint8': 'uint8_t', 'int16': 'int16_t', 'uint16': 'uint16_t', 'int32': 'int32_t'}


def c_name(
    index:int, # position of the operator in the graph
    name:str,  # its name in the model
)->str:        # identifier
    "A C identifier for an operator: its number keeps it unique, its name keeps it readable."
    return f"{index:02d}_{re.sub(r'[^A-Za-z0-9]+', '_', name).strip('_')}"


def prefix_of(
    name:str,       # the model's
    asked:str=None, # what a person typed, if anything
)->str:             # identifier
    "What a model's names in C begin with: what was asked for, else made from its own name."
    text = re.sub(r'[^a-z0-9]+', '_', name.lower()).strip('_')[:31]
    if asked is None: return text if text[:1].isalpha() else f'm_{text}'
    if re.fullmatch(r'[A-Za-z]\w{0,30}', asked, re.A): return asked
    raise BadInput(f'the prefix {asked!r} cannot begin the names of C: take a letter, then up to '
                   "30 letters, digits and underscores, such as 'kws'")


def c_array(
    name:str,          # identifier
    values:np.ndarray, # integers of a type in `C_TYPES`
)->str:                # a C definition
    "A constant array as C text, 20 numbers to a line."
    v = [str(x) for x in values.ravel().tolist()]
    rows = ',\n    '.join(', '.join(v[i:i + 20]) for i in range(0, len(v), 20))
    return f'const {C_TYPES[str(values.dtype)]} {name}[{len(v)}] TFM_ALIGNED = {{\n    {rows}}};\n'


def fill(
    template:str, # file in firmware/templates, without .in
    **values:str, # what replaces each $name
)->str:           # the text
    "A template with every `$name` replaced; a name without a value is an error."
    return Template((firmware_dir()/'templates'/f'{template}.in').read_text()).substitute(values)
