"""One kernel call as C text: the constant arrays that it reads, its structures, and the line that calls it."""
from tinyformer.calls import arguments
from tinyformer.graph import Op


def weights_blob(
    op:Op,          # any operator
    choice:object,  # a `kernel_choice.Choice`: its kernel and format
)->dict: # role -> array to be emitted as a constant
    "The constant arrays that a kernel reads: stream or dense weights, bias, multipliers, tables."
    blob = {}
    for what, name, value in arguments(choice.kernel, op, choice.block):
        if what == 'array': blob[name] = value
        if what == 'struct': blob |= {field: v for field, type, v in value if type == 'array'}
    return blob


def c_int(
    v:int, # that fits 64 bits
)->str:
    "An integer as C text: the most negative int cannot be written as one number, and a long one needs a suffix."
    if v == -2**31: return '(-2147483647 - 1)'
    return f'{v}LL' if abs(v) >= 2**31 else str(v)


def c_struct(
    name:str,    # a structure of `operators.STRUCTS`
    fields:list, # of (name, type, value)
    arrays:dict, # role -> C identifier of the constant array
    vary:dict,   # field -> C expression, for what is not a constant
)->str:
    "C that defines a structure: constant data unless one of its fields varies."
    values = []
    for field, type, v in fields:
        text = arrays[field] if type == 'array' else vary.get(field) or c_int(int(v))
        values.append(f'.{field} = {text}')
    static = '' if any(field in vary for field, _, _ in fields) else 'static '
    return f"{static}const {name} {name.removeprefix('tfm_')} = {{{', '.join(values)}}};"


def call_lines(
    op:Op,         # any operator
    choice:object, # a `kernel_choice.Choice`: its kernel and format
    arrays:dict,   # role -> C identifier of the constant array
    tensors:dict,  # tensor name -> C expression of its address
    scratch:str,   # C expression of the scratch's address
    vary:dict=None,# integer -> C expression, for what is not a constant
)->list: # of lines of C
    "The constants of one call, and the call, as C: the last line sets `status`."
    lines, words, vary = [], [], vary or {}
    for what, name, value in arguments(choice.kernel, op, choice.block):
        if what == 'struct':
            lines.append(c_struct(name, value, arrays, vary))
            words.append(f"&{name.removeprefix('tfm_')}")
        elif what == 'out': words.append(tensors[op.output])
        elif what == 'in': words.append(tensors[op.inputs[value]])
        elif what == 'array': words.append(arrays[name])
        elif what == 'int': words.append(vary.get(name) or c_int(int(value)))
        else: words += [scratch, str(choice.scratch_bytes)]
    return [*lines, f"status = {choice.kernel.name}({', '.join(words)});"]
