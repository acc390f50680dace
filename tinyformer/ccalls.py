"""What a C function of this machine needs from Python: structures and arguments as ctypes values, names of what it
returns, and buffers that show whether it wrote outside. Page 05d explains the guards; the rest is plumbing."""
import ctypes

import numpy as np

from tinyformer.operators import STRUCTS

STATUS = {0: 'TFM_OK', 1: 'TFM_ERR_NULL', 2: 'TFM_ERR_DIMS', 3: 'TFM_ERR_SCRATCH',
          4: 'TFM_ERR_ALIGN', 5: 'TFM_ERR_STREAM', 6: 'TFM_ERR_WEIGHTS'}
"Names of the numbers that kernels return."

GUARD = 64
"Bytes on each side of every buffer that a kernel writes."

C_TYPES = dict(array=ctypes.c_void_p, int32=ctypes.c_int32, int64=ctypes.c_int64)


def struct_type(
    name:str, # a structure of `operators.STRUCTS`
)->type: # a subclass of `ctypes.Structure`
    "The C structure as a ctypes class."
    fields = [(field, C_TYPES[type]) for field, type in STRUCTS[name]]
    return type(name, (ctypes.Structure,), {'_fields_': fields})


TYPES = {name: struct_type(name) for name in STRUCTS}
"Every structure that kernels take, as a ctypes class."


def guarded(
    n:int, # bytes that the kernel may write
)->np.ndarray: # uint8 [GUARD + n + GUARD], filled with 0xA5
    "A buffer that shows whether anything outside was written."
    return np.full(n + 2*GUARD, 0xA5, np.uint8)


def guards_hold(
    buf:np.ndarray, # from `guarded`
)->bool:
    "Whether both guards are as they were."
    return bool((buf[:GUARD] == 0xA5).all() and (buf[-GUARD:] == 0xA5).all())


def host_args(
    args:list,          # of (what, name, value), from `calls.arguments`
    out:np.ndarray,     # from `guarded`: where the output goes
    xs:list,            # int8 arrays: the inputs
    scratch:np.ndarray, # from `guarded`
    keep:list,          # gets what must stay alive during the call
)->list: # of ctypes values, in the order of C
    "A kernel's arguments as ctypes values. Scratch is two of them: its address and its bytes."
    def pointer(a):
        keep.append(a := np.ascontiguousarray(a))
        return a.ctypes.data
    def inner(buf): return ctypes.c_void_p(buf.ctypes.data + GUARD)
    values = []
    for what, name, value in args:
        if what == 'out': values.append(inner(out))
        elif what == 'in': values.append(ctypes.c_void_p(pointer(xs[value])))
        elif what == 'array': values.append(ctypes.c_void_p(pointer(value)))
        elif what == 'int': values.append(ctypes.c_int32(value))
        elif what == 'scratch': values += [inner(scratch), ctypes.c_int32(len(scratch) - 2*GUARD)]
        else:
            fields = [pointer(v) if type == 'array' else int(v) for _, type, v in value]
            keep.append(s := TYPES[name](*fields))
            values.append(ctypes.byref(s))
    return values
