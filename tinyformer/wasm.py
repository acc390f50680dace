"""A generated folder as a WebAssembly module, for a browser or for Node."""
import subprocess, tempfile
from pathlib import Path

import numpy as np

from tinyformer.errors import SimulationFailed
from tinyformer.host_check import check_images
from tinyformer.toolchain import WARNINGS, compile_wasm, find_node, firmware_dir, first_error


def build_wasm(
    firmware,            # a `codegen.Firmware`: a generated folder, for instance of the target `WASM`
    out:Path=None,       # the module; None: `build/model.wasm` in the folder
    optimize:str='-O2',  # optimisation level
    main:Path=None,      # C file with the functions it offers; None: `ports/wasm/module.c`
)->Path:                 # the module
    "Compile the folder's C as a WebAssembly module."
    f, main = Path(firmware.folder), main or firmware_dir()/'ports'/'wasm'/'module.c'
    (f/'build').mkdir(exist_ok=True)
    return compile_wasm([*firmware.sources, main], out or f/'build'/'model.wasm', [f/'include', f],
                        WARNINGS, optimize)


def run_wasm(
    module:Path,       # of `build_wasm`
    firmware,          # the folder it was built from
    x:np.ndarray,      # int8 [n, ...]
)->np.ndarray:         # int8 [n, ...]
    "Run the module in Node on every image."
    g, x, node = firmware.graph, check_images(firmware, x), find_node()
    out, script = g.tensors[g.output], firmware_dir()/'ports'/'wasm'/'run.cjs'
    with tempfile.TemporaryDirectory() as tmp:
        (Path(tmp)/'in').write_bytes(x.tobytes())
        words = node, script, module, Path(tmp)/'in', Path(tmp)/'out', x[0].size, out.nbytes
        done = subprocess.run([*map(str, words)], capture_output=True, encoding='utf-8')
        if done.returncode:
            raise SimulationFailed(f'{g.name} in Node: {first_error(done.stderr)}')
        made = (Path(tmp)/'out').read_bytes()
    return np.frombuffer(made, np.int8).reshape(len(x), *out.shape)
