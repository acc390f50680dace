"""How much stack a generated model can need at most, from the compiler's own account of frames and calls."""
import re, subprocess, tempfile
from pathlib import Path

from tinyformer.errors import BadInput, BuildFailed
from tinyformer.toolchain import IMAGE_FLAGS, find_compiler, core_flags

_NODE = re.compile(r'node: \{ title: "([^"]+)" label: "([^"]*)"')
_EDGE = re.compile(r'edge: \{ sourcename: "([^"]+)" targetname: "([^"]+)"')
_FRAME = re.compile(r'(\d+) bytes \((static|dynamic,bounded)\)')
_NAKED = re.compile(r'^(\w+):\n\t@ Naked Function.*?\.size\t\1,', re.M | re.S)     # in the compiler's assembly
_PUSH = re.compile(r'^\s*(?:\d+:)?\s*push\s*\{(.*?)\}', re.M)


def pushed(
    text:str, # assembly as arm-none-eabi-gcc writes it
)->dict: # function -> bytes
    "What functions that are all assembly push: the compiler counts no frame for them."
    def registers(some):
        first, _, last = some.strip().partition('-')
        return int(last[1:]) - int(first[1:]) + 1 if last else 1
    return {m[1]: 4 * sum(registers(r) for some in _PUSH.findall(m[0]) for r in some.split(','))
            for m in _NAKED.finditer(text)}


def call_graph(
    sources:list,           # C files
    include:list,           # header folders
    core:str='cortex-m7',   # what they are compiled for
    optimize:str='-O2',     # as the image is built
)->tuple: # ({function: bytes of its frame}, {function: functions it calls}); static functions as 'file:name'
    "Frames and calls of C files as arm-none-eabi-gcc compiles them. A frame whose size is not known is `BadInput`."
    cc, frames, calls = find_compiler('gcc', core), {}, {}
    flags = [f for f in IMAGE_FLAGS if not f.startswith('-Wl') and f not in ('-g', '-nostdlib')]
    with tempfile.TemporaryDirectory() as tmp:
        for i, path in enumerate(sources):
            words = [*cc.command, *core_flags('gcc', core), '-std=gnu11', optimize, *flags, '-fcallgraph-info=su',
                     *(f'-I{d}' for d in include), '-S', str(path),
                     '-o', f'{tmp}/{i}.s']
            done = subprocess.run(words, capture_output=True, encoding='utf-8', errors='replace')
            if done.returncode: raise BuildFailed(f'{Path(path).name}: {done.stderr[:500]}')
            text, own = Path(f'{tmp}/{i}.ci').read_text(), pushed(Path(f'{tmp}/{i}.s').read_text())
            for name, label in _NODE.findall(text):
                frame = _FRAME.search(label)
                if frame: frames[name] = int(frame[1]) + own.get(name.split(':')[-1], 0)
                elif 'bytes' in label: raise BadInput(f'the frame of {name} has no bound: {label}')
            for a, b in _EDGE.findall(text): calls.setdefault(a, set()).add(b)
    return frames, calls


def worst_case(
    frames:dict,    # function -> bytes
    calls:dict,     # function -> functions it calls
    entry:str,      # where it begins
    others:dict={}, # function without source here -> bytes, such as the compiler's own division
)->tuple: # (bytes, the chain of calls that needs them)
    "The deepest stack from `entry`. Recursion, a call through a pointer and an unknown function are `BadInput`."
    known, open_ = {}, []
    def deepest(f):
        if f in known: return known[f]
        if f in open_: raise BadInput(f"{f} calls itself through {', '.join(open_[open_.index(f):])}: no bound")
        if f not in frames:
            if f not in others: raise BadInput(f'{f} has no known frame: give it in others')
            return others[f], (f,)
        open_.append(f)
        below = max((deepest(g) for g in calls.get(f, ())), default=(0, ()))
        open_.pop()
        known[f] = frames[f] + below[0], (f, *below[1])
        return known[f]
    return deepest(entry)


def stack_bound(
    firmware, # a `codegen.Firmware`: a generated folder with a port
)->tuple: # (bytes, the chain of calls that needs them)
    "The most stack that one inference can need below its caller, as arm-none-eabi-gcc compiles the folder."
    f = Path(firmware.folder)
    sources = [f/'model.c', *sorted((f/'kernels').glob('*.c')), *sorted((f/'port').glob('memory.c'))]
    bound, way = worst_case(*call_graph(sources, [f/'include', f, f/'port'], firmware.target.core),
                            f'{firmware.prefix}_invoke')
    return bound, tuple(w.split(':')[-1] for w in way)
