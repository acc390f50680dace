"""Run stored kernel cases against an instrumented library: `run_kernel_cases.py LIBRARY CASES`.

Imports nothing of the package: this process runs under a sanitizer, which dislikes large libraries.
Output and scratch are allocated at exactly their size, so that a byte too far is seen."""
import ctypes, pickle, sys

import numpy as np


def values(args, types, out, xs, scratch, keep):
    "A kernel's arguments as ctypes values."
    def pointer(a):
        keep.append(a)
        return ctypes.c_void_p(a.ctypes.data if a.size else None)
    for what, name, value in args:
        if what == 'out': yield pointer(out)
        elif what == 'in': yield pointer(xs[value])
        elif what == 'array': yield pointer(value)
        elif what == 'int': yield ctypes.c_int32(value)
        elif what == 'scratch': yield from (pointer(scratch), ctypes.c_int32(scratch.size))
        else:
            keep.append(s := types[name](*(pointer(v) if k == '*' else int(v) for _, k, v in value)))
            yield ctypes.byref(s)


def main(library, cases):
    lib = ctypes.CDLL(library)
    if lib.main(): sys.exit('a kernel returned the wrong status')
    structs, todo = pickle.loads(open(cases, 'rb').read())
    kinds = {'*': ctypes.c_void_p, '%': ctypes.c_int64}
    types = {n: type(n, (ctypes.Structure,), {'_fields_': [(f.strip('*%'), kinds.get(f[0], ctypes.c_int32)) for f in fields.split()]})
             for n, fields in structs.items()}
    for name, args, xs, n_scratch, want in todo:
        out, keep = np.zeros(want.size, np.int8), []
        xs, args = [x.copy() for x in xs], [(w, n, v.copy() if isinstance(v, np.ndarray) else v) for w, n, v in args]
        status = getattr(lib, name)(*values(args, types, out, xs, np.zeros(n_scratch, np.uint8), keep))
        if status or not np.array_equal(out, want): sys.exit(f'{name}: status {status}, {(out != want).sum()} bytes differ')
    print(f'{len(todo)} cases, {sum(c[-1].size for c in todo)} bytes compared')


if __name__ == '__main__': main(*sys.argv[1:])
