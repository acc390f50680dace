"""The files of a firmware folder: which are copied as they are, and the texts of those that are generated.

`codegen.generate` writes them. Everywhere here `fw` is a `codegen.Firmware`: a model with its plan."""
import json, re
from pathlib import Path

import numpy as np

from tinyformer.band_loops import model_c
from tinyformer.c_files import example_h, model_h, weights_files
from tinyformer.c_text import fill
from tinyformer.checksums import weights_crc
from tinyformer.plan_file import plan_dict
from tinyformer.ports import port_board, port_folders, port_texts
from tinyformer.toolchain import IMAGE_FLAGS, WARNINGS, core_flags, firmware_dir


def kernel_sources(
    choices:dict, # op name -> Choice
)->list:          # paths, sorted
    "The C files that the chosen kernels need, each once."
    return sorted({firmware_dir()/s for c in choices.values() for s in c.kernel.sources})


def headers_of(
    sources:list, # paths of C files
    include:Path, # folder that holds the headers
)->list:          # paths, sorted
    "Every header that the sources include, directly or through another header."
    todo, found = list(sources), set()
    while todo:
        for name in re.findall(r'^\s*#\s*include\s+"([^"]+)"', todo.pop().read_text(), re.M):
            path = Path(include)/name
            if path.is_file() and path not in found:
                found.add(path)
                todo.append(path)
    return sorted(found)


def copied_files(
    fw,    # a model with its plan
)->dict:   # relative path -> source file
    "Every file that is copied as it is."
    root, sources = firmware_dir(), kernel_sources(fw.choices)
    if fw.integrity: sources.append(root/'kernels'/'crc'/'tfm_crc32.c')
    headers, folders = headers_of(sources, root/'include'), root/'ports'
    board = None if fw.port == 'host' else port_board(fw.port, fw.target)
    startup = {p.name: p for folder in port_folders(board) for p in (folders/folder).glob('*.[ch]')}
    line = startup.pop('board.c', None)
    server = [line, *(folders/'board').glob('*.[ch]')] if line else []
    return ({f'kernels/{p.name}': p for p in sources} | {f'include/{p.name}': p for p in headers}
            | {'host/main.c': folders/'host'/'main.c'}
            | {f'port/{name}': p for name, p in startup.items()}
            | {f'board/{p.name}': p for p in server})


def text_files(
    fw,           # a model with its plan
    blobs:dict,   # as `emit.constants` gives
    x:np.ndarray, # int8: the example
)->dict:          # relative path -> text
    "Every generated file."
    (w_h, w_c), t, host = weights_files(blobs, fw.prefix), fw.target, fw.port == 'host'
    readme = fill('README.md', name=fw.graph.name, board=t.board, core=t.core, port=fw.port,
                  prefix=fw.prefix, PREFIX=fw.prefix.upper(),
                  weights=fw.weights_bytes, dense=fw.weights_bytes_dense, flash=t.flash_bytes,
                  sram=t.sram_bytes, arena=fw.arena_bytes, bound=fw.arena_lower_bound_bytes)
    flags = {f'{cc}_flags': ' '.join(core_flags(cc, t.core)) for cc in ('zig', 'gcc')}
    flags |= {f'{cc}_libs': ' '.join(t.cpu.libraries(cc)) for cc in ('zig', 'gcc')}
    cc = 'arm-none-eabi-gcc' if 'gcc' in t.cpu.compilers else 'python3 -m ziglang cc'
    make = fill('Makefile', cc=cc, core=t.core, warnings=' '.join(WARNINGS), **flags,
                image_flags=' '.join(IMAGE_FLAGS), default='host' if host else 'build/model.elf')
    model = model_c(fw.graph, fw.choices, fw.arena, blobs, fw.chains, False, fw.prefix, fw.integrity)
    head = model_h(fw.graph, fw.arena, fw.prefix, weights_crc(blobs) if fw.integrity else None)
    files = {'model.h': head, 'model.c': model, 'weights.h': w_h, 'weights.c': w_c,
             'example.h': example_h(fw.graph, x, fw.prefix), 'Makefile': make, 'README.md': readme,
             'plan.json': json.dumps(plan_dict(fw), indent=1) + '\n'}
    return files | port_texts(fw)


def contents(
    fw,    # a model whose folder is written
)->str:    # Markdown
    "What the model takes, and the files of its folder with their sizes."
    files = [(str(p.relative_to(fw.folder)), p.stat().st_size)
             for p in sorted(fw.folder.rglob('*')) if p.is_file()]
    rows = '\n'.join(f'| {name} | {size:,} |' for name, size in files)
    return (f'**{fw.graph.name}** for {fw.target.name}: constants {fw.weights_bytes:,} of '
            f'{fw.target.flash_bytes:,} bytes of flash (dense {fw.weights_bytes_dense:,}), arena {fw.arena_bytes:,} of '
            f'{fw.target.sram_bytes:,} bytes of SRAM (no plan below {fw.arena_lower_bound_bytes:,})\n\n'
            f'| file | bytes |\n|:--|--:|\n{rows}')
