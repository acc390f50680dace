"""Measure kernels on the emulated Cortex-M7, each compared with its NumPy operator in the same run, and fit the cost table."""
import functools, math, struct
from pathlib import Path

import numpy as np

from tinyformer import graph as tg, kernels as tk, quantization as qz
from tinyformer.errors import BadInput, SimulationFailed
from tinyformer.files import write_json
from tinyformer.graph import Op
from tinyformer.hardware import target
from tinyformer.rle_encoding import BLOCKS, stream_bytes
from tinyformer.simulator import Emulator
from tinyformer.toolchain import compile_image, find_compiler

OPS = ('pointwise', 'linear', 'conv3x3', 'depthwise3x3', 'fully_connected', 'layernorm', 'add', 'avgpool', 'maxpool2x2', 'attention')
"Kinds of operator that `measure` knows."

KEYS = ('op', 'h', 'w', 'cin', 'cout', 'tokens', 'heads', 'stride', 'sparsity', 'block', 'kernel', 'macs', 'instructions', 'est_cycles',
        'weight_bytes', 'scratch_bytes', 'cc', 'flags', 'bytes_compared', 'bytes_different')
"Keys of a row, in order."


# ---- random operators

def block_number(
    block, # 0, 1, 2, 4, '1x1', '1x2' or '1x4'
)->int:
    "A block's size as a number; 0 stands for dense."
    n = BLOCKS.get(block, block)
    if n not in (0, 1, 2, 4): raise BadInput(f"no block {block!r}; choose {', '.join(BLOCKS)}")
    return n


def random_weights(
    rng,             # numpy Generator
    rows:int,        # output channels
    taps:int,        # kernel positions
    cin:int,         # input channels
    sparsity:float,  # share of blocks cleared, exact up to rounding
    block:int=4,     # block that is cleared as a whole
    low:int=-127,    # smallest weight
)->np.ndarray: # int8 [rows, taps, cin]; no zero in a kept block
    "Weights with an exact share of random blocks cleared."
    if not 0 <= sparsity <= 1: raise BadInput(f'sparsity {sparsity} is not between 0 and 1')
    n = -(-cin // block)
    keep = np.zeros(rows * taps * n, bool)
    keep[rng.permutation(keep.size)[:round(keep.size * (1 - sparsity))]] = True
    w = rng.integers(1, 128, (rows, taps, cin)) * rng.choice([-1, 1], (rows, taps, cin))
    return np.where(np.repeat(keep.reshape(rows, taps, n), block, 2)[:, :, :cin], w, 0).astype(np.int8)


def _quant(rng, w, zp_in):
    "Folded bias and multipliers that spread the output over int8, saturation included."
    spread = 74 * np.sqrt((w.astype(float)**2).sum(1)) + 300
    mult, shift = qz.requant_params(60 / spread * rng.uniform(0.3, 2, len(w)))
    bias = rng.normal(0, spread) - zp_in * w.sum(1, dtype=np.int64)
    return dict(bias=np.round(bias).astype(np.int32), mult=mult), shift


def _zero_point(rng): return int(rng.choice([-128, 127, 0, int(rng.integers(-128, 128))]))


def make_op(
    kind:str,           # one of `OPS`
    h:int=8,            # input height
    w:int=8,            # input width
    cin:int=16,         # input channels; channels of operators that keep them; width of attention
    cout:int=None,      # output channels; None = cin
    tokens:int=None,    # rows of linear, layernorm and attention; None = h * w
    heads:int=4,        # attention heads
    stride:int=1,       # of convolutions
    sparsity:float=0.,  # share of blocks cleared
    block=4,            # block that is cleared as a whole
    seed:int=0,         # of weights and constants
    k:int=3,            # kernel height and width of convolutions
    pad:int=None,       # padding; None = k // 2
)->Op: # inputs 'x0', 'x1', ..., output 'y'
    "An operator with random weights and constants."
    rng, cout, block = np.random.default_rng(seed), cout or cin, block_number(block) or 4
    pixels, pad, op = tokens or h*w, k//2 if pad is None else pad, Op(kind, kind, ['x0'], 'y', {})
    zp_in, zp_out = _zero_point(rng), _zero_point(rng)
    if kind in ('pointwise', 'linear', 'fully_connected', 'conv3x3'):
        conv, pixels = kind == 'conv3x3', 1 if kind == 'fully_connected' else pixels
        weight = random_weights(rng, cout, k*k if conv else 1, cin, sparsity, block)
        op.params, shift = _quant(rng, weight.reshape(cout, -1), zp_in)
        op.params['weight'] = weight.reshape(cout, k, k, cin) if conv else weight[:, 0]
        shape = dict(h=h, w=w, cin=cin, cout=cout, kh=k, kw=k, stride=stride, pad=pad) if conv else dict(pixels=pixels, cin=cin, cout=cout)
        op.attrs = dict(**shape, shift=shift, zp_in=zp_in, zp_out=zp_out)
    elif kind == 'depthwise3x3':
        weight = random_weights(rng, cin, 1, k*k, 0.)[:, 0]
        op.params, shift = _quant(rng, weight, zp_in)
        op.params['weight'] = weight.T.reshape(k, k, cin).copy()
        op.attrs = dict(h=h, w=w, c=cin, kh=k, kw=k, stride=stride, pad=pad, shift=shift, zp_in=zp_in, zp_out=zp_out)
    elif kind == 'add':
        op.inputs = ['x0', 'x1']
        s = rng.uniform(0.01, 0.1, 3)
        op.attrs = dict(n=pixels*cin, **qz.add_params(s[0], zp_in, s[1], _zero_point(rng), s[2], zp_out))
    elif kind == 'avgpool':
        mult, shift = qz.requant_params(rng.uniform(0.5, 3) / (h*w))
        op.attrs = dict(h=h, w=w, c=cin, bias=-h*w*zp_in, mult=int(mult), shift=shift, zp_out=zp_out)
    elif kind == 'maxpool2x2':
        op.attrs = dict(h=h, w=w, c=cin)
    elif kind == 'layernorm':
        p = qz.layernorm_params(rng.normal(1, .5, cin), rng.normal(0, .5, cin), 0.03, 1e-5, rng.uniform(0.01, 0.04), cin)
        op.attrs, op.params = dict(tokens=pixels, c=cin, zp_out=zp_out), dict(gamma=p.pop('gamma'), beta=p.pop('beta'))
        op.attrs.update(p)
    elif kind == 'attention':
        op.inputs, s = ['x0', 'x1', 'x2'], rng.uniform(0.02, 0.2)
        p = qz.attention_params(1/74, 1/74, 1., s, rng.uniform(0.3, 1.2), zp_out, cin, heads)
        op.params = dict(table=p.pop('table'))
        op.attrs = dict(tokens=pixels, dim=cin, heads=heads, **p)
    else: raise BadInput(f"no operator {kind!r} to measure; known: {', '.join(OPS)}")
    return op


def random_inputs(
    op:Op,   # any operator
    rng,     # numpy Generator
)->list: # int8 arrays of one image, flat
    "Inputs for an operator; now and then all at one end of the range."
    n, m = tg.op_sizes(op)[0], rng.integers(0, 8)
    low, high = {0: (127, 128), 1: (-128, -127)}.get(int(m), (-128, 128))
    return [rng.integers(low, high, n).astype(np.int8) for _ in op.inputs]


def expected(
    op:Op,  # any operator
    xs,     # its inputs, flat
)->np.ndarray: # int8, flat
    "What the NumPy operator gives."
    return tg.run_op(op, *(x[None] for x in xs)).ravel()


# ---- the emulated core

@functools.lru_cache(None)
def device(
    cc:str='auto',       # 'auto', 'zig' or 'gcc'
    optimize:str='-O2',  # optimisation level
    flags:tuple=(),      # more compiler flags
)->Emulator: # holds every kernel
    "An emulated Cortex-M7 with all kernels as functions that can be called by name."
    port = tk.FIRMWARE/'ports'/'cortex_m'
    return Emulator(compile_image([*tk.sources(), port/'memory.c'], port/'bare.ld', include=[tk.FIRMWARE/'include'], flags=flags,
                                  cc=cc, optimize=optimize))


def _device_struct(em, fields):
    "A structure in the emulated memory, by the ABI's rules: 64-bit fields on multiples of 8."
    data = b''
    for _, kind, v in fields:
        if kind == '%': data += b'\0' * (-len(data) % 8) + struct.pack('<q', int(v))
        else: data += struct.pack('<I', (em.alloc(np.ascontiguousarray(v)) if kind == '*' else int(v)) & 0xFFFFFFFF)
    return em.alloc(data)


def device_call(
    em:Emulator,       # from `device`
    kernel:tk.Kernel,  # which function
    op:Op,             # what it is to run
    *xs:np.ndarray,    # int8 inputs of one image, flat
    block:int=None,    # block of the stream; None = 4 for streams
    count:bool=False,  # count instructions: `em.instructions`
)->np.ndarray: # int8, flat
    "`kernels.call` on the emulated core: exact scratch, guards around it and around the output, inputs unchanged."
    em.free()
    block = tk.default_block(kernel) if block is None else block
    out, scratch = tk.guarded(tg.op_sizes(op)[1]), tk.guarded(tk.scratch_bytes(kernel, op))
    at, at_scratch, at_xs, words = em.alloc(out), em.alloc(scratch), [em.alloc(x) for x in xs], []
    for what, name, value in tk.arguments(kernel, op, block):
        words += {'out': lambda: [at + tk.GUARD], 'in': lambda: [at_xs[value]], 'array': lambda: [em.alloc(np.ascontiguousarray(value))],
                  'int': lambda: [value], 'struct': lambda: [_device_struct(em, value)],
                  'scratch': lambda: [at_scratch + tk.GUARD, len(scratch) - 2*tk.GUARD]}[what]()
    status = em.call(kernel.name, *words, count=count)
    if status: raise SimulationFailed(f'{kernel.name} on {op.name} returned {tk.STATUS.get(status, status)} on the emulated core')
    out, scratch = (np.frombuffer(em.read(a, len(b)), np.uint8) for a, b in ((at, out), (at_scratch, scratch)))
    same = all(em.read(a, x.size) == x.tobytes() for a, x in zip(at_xs, xs))
    if not (tk.guards_hold(out) and tk.guards_hold(scratch) and same):
        raise SimulationFailed(f'{kernel.name} on {op.name} wrote outside its output and scratch on the emulated core')
    return out[tk.GUARD:-tk.GUARD].view(np.int8)


# ---- rows

def _pick(op, kernel, block, board):
    "The choice that the caller names, or the engine's own."
    if kernel is None and block is None: return tk.choose(op, board, 'bytes')
    found = [c for c in tk.candidates(op, board) if (kernel is None or c.kernel.name == kernel) and (block is None or c.block == block)]
    if not found: raise BadInput(f"{op.kind} cannot be run by {kernel or 'any kernel'} with block {block}; "
                                 f"its kernels: {', '.join(k.name for k in tk.CATALOGUE if op.kind in k.kinds)}")
    return min(found, key=tk.OBJECTIVES['bytes'])


def measure(
    op_kind:str,          # one of `OPS`
    kernel:str=None,      # a C function of the catalogue; None = the engine's choice
    block=None,           # '1x1', '1x2', '1x4', or 0 for dense weights; None = the engine's choice
    cc:str='auto',        # 'auto', 'zig' or 'gcc'
    optimize:str='-O2',   # optimisation level
    flags:tuple=(),       # more compiler flags
    target_name:str='stm32f746', # the board that the engine chooses for
    **shape,              # h, w, cin, cout, tokens, heads, stride, sparsity, seed, k, pad: see `make_op`
)->dict: # a row with the keys `KEYS`
    "Run one operator with random weights on the emulated core: its instructions, its bytes, and the comparison with NumPy."
    block = None if block is None else block_number(block)
    op = make_op(op_kind, block=block or 4, **shape)
    return measure_op(op, _pick(op, kernel, block, target(target_name)), cc, optimize, flags, **{'block': block, **shape})


def measure_op(op, choice, cc='auto', optimize='-O2', flags=(), sparsity=0., seed=0, **shape):
    "A row for one operator run by one choice."
    em, xs = device(cc, optimize, tuple(flags)), random_inputs(op, np.random.default_rng(seed + 1))
    got, want = device_call(em, choice.kernel, op, *xs, block=choice.block, count=True), expected(op, xs)
    a, counted = op.attrs, em.instructions
    row = dict(op=op.kind, h=a.get('h', shape.get('h')), w=a.get('w', shape.get('w')), cin=a.get('cin', a.get('c', a.get('dim', shape.get('cin')))),
               cout=a.get('cout', a.get('c', a.get('dim', shape.get('cin')))), tokens=a.get('tokens', a.get('pixels')), heads=a.get('heads'),
               stride=a.get('stride'), sparsity=sparsity, block=f'1x{choice.block}' if choice.block else 'dense', kernel=choice.kernel.name,
               macs=tg.op_macs(op), instructions=counted, est_cycles=None, weight_bytes=choice.weight_bytes, scratch_bytes=choice.scratch_bytes,
               cc=str(find_compiler(cc, 'cortex-m7')), flags=' '.join([optimize, *flags]), bytes_compared=int(want.size),
               bytes_different=int((got != want).sum()))
    return {k: row[k] for k in KEYS}


def table_text(
    rows, # from `measure`
)->str:
    "Rows as a table for a terminal."
    def shape(r):
        size = f"{r['h']}x{r['w']}" if r['op'] not in ('linear', 'attention', 'layernorm', 'fully_connected') and r['h'] else f"{r['tokens']} tokens"
        return f"{size} {r['cin']}->{r['cout']}"
    head = ['op', 'shape', 'sparsity', 'block', 'kernel', 'MACs', 'instructions', 'per MAC', 'weights', 'scratch', 'different']
    body = [[r['op'], shape(r), f"{r['sparsity']:.0%}", r['block'], r['kernel'], f"{r['macs']:,}", f"{r['instructions']:,}",
             f"{r['instructions']/r['macs']:.2f}" if r['macs'] else '', f"{r['weight_bytes']:,}", f"{r['scratch_bytes']:,}",
             f"{r['bytes_different']} of {r['bytes_compared']}"] for r in rows]
    width = [max(len(l[i]) for l in [head, *body]) for i in range(len(head))]
    left = (0, 1, 3, 4)
    return '\n'.join('  '.join(c.ljust(n) if i in left else c.rjust(n) for i, (c, n) in enumerate(zip(l, width))).rstrip() for l in [head, *body])
