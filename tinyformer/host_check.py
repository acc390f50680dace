"""Run a generated folder on this machine, in a program of its own, and name the first operator that goes wrong."""
import subprocess, tempfile
from pathlib import Path

import numpy as np

from tinyformer import graph as tg
from tinyformer.band_loops import model_c
from tinyformer.emit import constants
from tinyformer.errors import BadInput, SimulationFailed, WrongBytes
from tinyformer.toolchain import WARNINGS, compile_host, firmware_dir

SLOWEST = 10**7    # multiply-accumulates in a second, on the slowest machine that is waited for


def check_images(
    firmware,     # a `codegen.Firmware`, which knows the input's shape
    x:np.ndarray, # what the caller gave
)->np.ndarray:    # int8 [n, ...], contiguous
    "Refuse a batch that the model cannot take."
    shape, x = tuple(firmware.graph.tensors[firmware.graph.input].shape), np.ascontiguousarray(x)
    if x.dtype != np.int8 or x.shape[1:] != shape or not len(x):
        raise BadInput(f'need int8 images of shape (n >= 1, {", ".join(map(str, shape))}), got '
                       f'{x.dtype} of shape {x.shape}')
    return x


def host_program(
    firmware,        # a `codegen.Firmware`: a generated folder
    main:Path,       # C file with `main`
    cc:str='auto',   # 'auto', 'zig' or 'gcc'
    model:Path=None, # in place of the folder's model.c
)->Path:             # the program
    "Compile the folder for this machine, all warnings as errors."
    own, *others = firmware.sources
    include = [Path(firmware.folder)/'include', firmware.folder]
    return compile_host([model or own, *others, main], None, include, WARNINGS, shared=False, cc=cc)


def run_host(
    firmware,      # a `codegen.Firmware`: a generated folder
    x:np.ndarray,  # int8 [n, ...]
    cc:str='auto', # 'auto', 'zig' or 'gcc'
)->np.ndarray:     # int8 [n, ...]
    "Compile the folder for this machine and run it on every image."
    g, x = firmware.graph, check_images(firmware, x)
    program = host_program(firmware, Path(firmware.folder)/'host'/'main.c', cc)
    seconds = 60 + len(x) * g.macs() / SLOWEST
    try: done = subprocess.run([program], input=x.tobytes(), capture_output=True, timeout=seconds)
    except subprocess.TimeoutExpired: how = f'did not finish within {seconds:.0f} s'
    else:
        how = done.stderr.decode(errors='replace').strip()
        if done.returncode < 0: how = f'crashed with signal {-done.returncode}'
        shape = g.tensors[g.output].shape
        if not done.returncode: return np.frombuffer(done.stdout, np.int8).reshape(len(x), *shape)
    raise SimulationFailed(f'{g.name} on this machine: {how}')


def traced(
    firmware,      # a `codegen.Firmware`: a generated folder
    x:np.ndarray,  # int8: one image
    cc:str='auto', # 'auto', 'zig' or 'gcc'
)->list: # of (operator, first byte, int8 array; or None when it begins, or the status that it met)
    "What each operator makes on this machine, in the order of events, up to a crash."
    fw, main = firmware, firmware_dir()/'ports'/'host'/'trace.c'
    blobs = constants(fw.graph, fw.choices, fw.prefix)
    with tempfile.TemporaryDirectory() as tmp:
        model = Path(tmp)/'model.c'
        model.write_text(model_c(fw.graph, fw.choices, fw.arena, blobs, fw.chains, True,
                                 fw.prefix))
        program = host_program(fw, main, cc, model)
    said, at, res = subprocess.run([program], input=x.tobytes(), capture_output=True).stdout, 0, []
    while at + 12 <= len(said):
        op, first, n = (int(v) for v in np.frombuffer(said, np.int32, 3, at))
        res.append((op, first, np.frombuffer(said, np.int8, n, at + 12) if n > 0 else -n or None))
        at += 12 + max(0, n)
    return res


def first_fault(
    firmware,      # a `codegen.Firmware`: a generated folder
    x:np.ndarray,  # int8: one image
    cc:str='auto', # 'auto', 'zig' or 'gcc'
)->str:            # words; empty when every byte of every operator is right
    "The first operator that differs from the reference on this machine, fails, or crashes."
    g, inside = firmware.graph, None
    want = tg.run(g, x[None], keep=True)
    def name(i):
        return f'{g.ops[i].name} ({g.ops[i].kind}, {firmware.choices[g.ops[i].name].kernel.name})'
    for op, first, made in traced(firmware, x, cc):
        if isinstance(made, int): return f'{name(op)} returned status {made}'
        if made is not None:
            right = want[g.ops[op].output][0].reshape(-1)[first:first + len(made)]
            if not np.array_equal(made, right):
                wrong = (made != right).sum()
                return f'{name(op)}: {wrong} of the {len(made)} bytes from byte {first} on'
        inside = op if made is None else None
    return '' if inside is None else f'{name(inside)} crashed'


def check_bytes(
    firmware,          # a `codegen.Firmware`: a generated folder
    x:np.ndarray=None, # int8 [n, ...]; None: one random image
    cc:str='auto',     # 'auto', 'zig' or 'gcc'
):
    "Run the folder's C on this machine: `WrongBytes` names the first operator that differs."
    g, shape = firmware.graph, firmware.graph.tensors[firmware.graph.input].shape
    if x is None: x = np.random.default_rng(0).integers(-128, 128, (1, *shape), dtype=np.int8)
    want, bad, x = tg.run(g, x), 0, check_images(firmware, x)
    try: got = run_host(firmware, x, cc)
    except SimulationFailed as e: how = str(e)
    else:
        if np.array_equal(got, want): return
        bad = int((got != want).reshape(len(x), -1).any(1).argmax())
        how = f'{(got != want).sum()} of {got.size} output bytes differ from the reference'
    first = first_fault(firmware, x[bad], cc)
    first = first or 'none when it is generated again, so a file of the folder was changed'
    raise WrongBytes(f"the C of {g.name} is wrong and must not be used: {how}. First wrong "
                     f"operator: {first}. Another memory plan or kernel may avoid it; please "
                     "report it with the model.")
