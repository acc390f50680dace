"""The generated C beside `model.c`: `model.h` for an application, the constants, and an example with its output."""
import numpy as np

from tinyformer import graph as tg
from tinyformer.band_loops import arena_params
from tinyformer.c_text import C_TYPES, c_array, c_name, fill
from tinyformer.emit import shape_text, written_once
from tinyformer.errors import BadInput
from tinyformer.graph import Graph
from tinyformer.schedule import Arena

SHORT = ('tfm_invoke', 'tfm_invoke_with', 'tfm_check', 'tfm_example_input', 'tfm_example_output',
         'TFM_INPUT_BYTES', 'TFM_INPUT_ZERO', 'TFM_INPUT_SCALE', 'TFM_OUTPUT_BYTES',
         'TFM_OUTPUT_ZERO', 'TFM_OUTPUT_SCALE', 'TFM_ARENA_BYTES', 'TFM_ARENA2_BYTES',
         'TFM_ARENA_ALIGN')
ALIGNED = '#define TFM_ALIGNED __attribute__((aligned(4)))\n'
CONSTANTS = '/* Constants of the model. Generated. */\n'
CPP = '#ifdef __cplusplus\nextern "C" {\n#endif\n', '#ifdef __cplusplus\n}\n#endif\n'


def long_name(
    short:str,  # one of SHORT
    prefix:str, # of the model
)->str:         # identifier
    "The name that a model has for it: macros in capitals."
    return (prefix if short.islower() else prefix.upper()) + short[3:]


def short_names(
    prefix:str,    # of the model
    two:bool=True, # whether its arena is two arrays
)->tuple:          # (lines that take them away, lines that make them)
    "Macros of short names; a model with the prefix `tfm` needs none."
    make = [f'#define {n} {long_name(n, prefix)}' for n in SHORT
            if prefix != 'tfm' and (two or n != 'TFM_ARENA2_BYTES')]
    return ('\n'.join(f'#undef {n}' for n in SHORT),
            '\n'.join([*(['#define TFM_SHORT_NAMES'] if make else []), *make]))


def parts_h(
    graph:Graph, # the model
    what:str,    # 'inputs' or 'outputs'
    prefix:str='tfm', # of its names
)->str:          # lines of C, '' where there is one
    "Where each of several inputs or outputs begins."
    lines = []
    for i, p in enumerate(graph.meta.get(what, [])):
        begin = f"{prefix}_{what[:-1]}_{c_name(i, p['name'])}".upper()
        shape = 'x'.join(map(str, p['shape']))
        lines.append(f"#define {begin} {p['first']}   /* the first of {shape} values */\n")
    return ''.join(lines)


def model_h(
    graph:Graph, # the model
    arena:Arena, # where its tensors lie
    prefix:str='tfm', # of its names
    crc:int=None, # of its constants; None: nobody asks for it
)->str:          # C text
    "model.h: the entry points and the sizes that a caller needs."
    i, o, plan = graph.tensors[graph.input], graph.tensors[graph.output], arena.plan
    sizes = [end - first for _, first, end in arena.arrays]
    undo, make = short_names(prefix, len(sizes) > 1)
    check = fill('unchecked.h' if crc is None else 'checked.h', prefix=prefix,
                 PREFIX=prefix.upper(), crc=f'0x{crc or 0:08x}u')
    note = f'no plan can need less than {plan.lower_bound}'
    if sizes[1:]: note = f'in the fast memory; in both together {note}'
    second = [f'#define {prefix.upper()}_ARENA2_BYTES {n}   /* in the slow memory */\n'
              for n in sizes[1:]]
    return fill('model.h', title=f'Model {graph.name}', prefix=prefix, PREFIX=prefix.upper(),
                undo=undo, make=make, input_bytes=i.nbytes, output_bytes=o.nbytes,
                input_shape=shape_text(i), output_shape=shape_text(o),
                input_zero=i.zero_point, output_zero=o.zero_point,
                input_scale=f'{i.scale:.8e}f', output_scale=f'{o.scale:.8e}f',
                inputs=parts_h(graph, 'inputs', prefix),
                outputs=parts_h(graph, 'outputs', prefix),
                arena_bytes=sizes[0], arena_note=note, arena2=''.join(second),
                params=', '.join(arena_params(arena).values()), align=plan.align, check=check)


def weights_files(
    blobs:dict, # as `constants` gives
    prefix:str='tfm', # of the model's macros
)->tuple:       # (text of weights.h, text of weights.c)
    "Declarations and definitions of every constant."
    arrays = [named for blob in written_once(blobs).values() for named in blob.values()]
    declared = [f'extern const {C_TYPES[str(a.dtype)]} {name}[{a.size}];\n' for name, a in arrays]
    guard = f'{prefix.upper()}_WEIGHTS_H'
    defined = '\n'.join(c_array(name, a) for name, a in arrays)
    return (f"{CONSTANTS}#ifndef {guard}\n#define {guard}\n#include <stdint.h>\n\n"
            f"{CPP[0]}{''.join(declared)}{CPP[1]}#endif\n",
            fill('weights.c', constants=CONSTANTS, PREFIX=prefix.upper(), defined=defined))


def pick_example(
    graph:Graph,             # the model
    example:np.ndarray=None, # int8 of the input's shape
)->np.ndarray:               # int8
    "The example to embed: the one given, else a fixed pattern that visits all of int8."
    shape = tuple(graph.tensors[graph.input].shape)
    if example is None:
        return (np.arange(np.prod(shape)) * 37 % 256 - 128).astype(np.int8).reshape(shape)
    x = np.asarray(example)
    if x.dtype != np.int8 or x.shape != shape:
        raise BadInput(f'the example must be int8 of shape {shape}, got {x.dtype} of shape '
                       f'{x.shape}')
    return x


def example_h(
    graph:Graph,  # the model
    x:np.ndarray, # int8 of the input's shape
    prefix:str='tfm', # of its names
)->str:           # C text
    "example.h: one input and the output that the reference computes for it."
    y = tg.run(graph, x[None])[0]
    parts = ''.join('static ' + c_array(f'{prefix}_example_{n}', v)
                    for n, v in (('input', x), ('output', y)))
    head = '/* One input and its expected output. Generated. */\n#ifndef {0}\n#define {0}\n'
    return (head.format(f'{prefix.upper()}_EXAMPLE_H')
            + f'#include <stdint.h>\n\n{ALIGNED}\n{parts}#endif\n')
