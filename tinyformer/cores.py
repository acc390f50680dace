"""Whole models on every core: the same bytes, and how many instructions an inference takes. Arm and RISC-V run in
Unicorn, which counts; boards that QEMU has run there as well; WebAssembly runs in Node, which does not count."""
import json, shutil, sys, tempfile, time
from dataclasses import replace
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from tinyformer import bench, codegen, graph as tg, kernels as tk, simulator, zoo
from tinyformer.errors import BadInput, SimulationFailed
from tinyformer.files import write_text
from tinyformer.hardware import WASM, target

ROWS = ('stm32f746', 'stm32f407', 'nrf52840', 'rp2040', 'stm32u575', 'nrf5340', 'mps3_an547', 'esp32c3', 'wasm32')
"Targets of the table, in order."

QEMU = dict(stm32f746='mps2_an500', stm32u575='mps2_an505', nrf5340='mps2_an505', mps3_an547='mps3_an547')
"Target -> the board of QEMU's with the same core."

NETWORKS = ('R', 0.), ('R', .8)
"Networks with random weights beside the models of the zoo: name and sparsity."

IMAGES = 2
"Random inputs of each model."


def models()->dict: # name -> Graph
    "What the table has a column for."
    shipped = {name: zoo.load(name) for name in ('digits', 'cifar10-256kb', 'cifar10-512kb', 'cifar10-1mb')}
    graphs = {name: getattr(model, 'graph', model) for name, model in shipped.items()}
    return graphs | {f'{n} {s:.0%}': bench.network(n, s)[1] for n, s in NETWORKS}


def board_of(
    name:str, # one of `ROWS`
):            # Target
    "The target, with room for a model that its board cannot hold; one of QEMU's as it is."
    board = WASM if name == 'wasm32' else target(name)
    return board if board.machine or board is WASM else replace(board, flash_bytes=bench.ROOM, sram_bytes=bench.ROOM)


def inputs(
    graph:tg.Graph, # any model
    seed:int=0,     # of the images
)->np.ndarray:      # int8 [IMAGES, ...]
    "Random images."
    shape = IMAGES, *graph.tensors[graph.input].shape
    return np.random.default_rng(seed).integers(-128, 128, shape).astype(np.int8)


def measure(
    name:str,            # one of `ROWS`
    model:str,           # what the column is called
    graph:tg.Graph,      # the model
    cc:str='auto',       # 'auto', or a compiler of the core
    optimize:str='-O3',  # optimisation level
)->dict: # a row
    "Build a model for a core, run it there, and compare every byte with the reference."
    board, x = board_of(name), inputs(graph)
    want = tg.run(graph, x)
    with tempfile.TemporaryDirectory() as folder:
        choices = tk.select(graph, board, objective='speed')
        fw = codegen.generate(graph, board, Path(folder)/'model', choices=choices, example=x[0])
        row = dict(target=name, core=board.core, model=model, flags=optimize, arena_bytes=fw.arena_bytes)
        if board is WASM: return row | _in_node(fw, optimize, x, want)
        image = simulator.build(fw, cc, optimize)
        sim = simulator.simulate(image, fw, x, progress=False, memory=False)
        row |= dict(compiler=image.compiler, ran='Unicorn', instructions=sim.instructions,
                    flash_bytes=image.flash_bytes, stack_bytes=sim.stack_bytes, **_compared(sim.outputs, want))
        return row | (_in_qemu(name, graph, choices, Path(folder)/'qemu', cc, optimize, x[0], want[0], row))


def _compared(got, want): return dict(bytes_compared=int(want.size), bytes_different=int((got != want).sum()))


def _in_node(fw, optimize, x, want):
    module = simulator.build_wasm(fw, optimize=optimize)
    got = simulator.run_wasm(module, fw, x)
    return dict(compiler=str(simulator.find_compiler('zig', 'wasm32')), ran='Node', instructions=None,
                flash_bytes=module.stat().st_size, stack_bytes=None, **_compared(got, want))


def _in_qemu(name, graph, choices, folder, cc, optimize, x, want, row):
    "What a run of the example under QEMU adds to a row."
    if name not in QEMU or not shutil.which('qemu-system-arm'): return {}
    fw = codegen.generate(graph, target(QEMU[name]), folder, choices=choices, example=x)
    got, count = simulator.qemu(simulator.build(fw, cc, optimize))
    seen = _compared(got.reshape(want.shape), want)
    return {k: row[k] + n for k, n in seen.items()} | dict(ran='Unicorn, QEMU', qemu_instructions=count)


def table(
    targets=None,        # of `ROWS`; None = all
    only=None,           # names of models; None = all
    cc:str='auto',       # 'auto': the first compiler of each core; 'all': each of them; or 'gcc' or 'zig'
    optimize:str='-O3',  # optimisation level
)->list: # of rows
    "Every model on every core, with a progress bar."
    graphs, todo = models(), []
    for what, asked, known in (('row', targets, ROWS), ('model', only, graphs)):
        if unknown := set(asked or ()) - set(known):
            raise BadInput(f"no {what} {min(unknown)!r}; there are {', '.join(known)}")
    for name in targets or ROWS:
        able = board_of(name).cpu.compilers
        wanted = dict(auto=able[:1], all=able).get(cc, [c for c in able if c == cc])
        todo += [(name, c, m) for c in wanted for m in only or graphs]
    bar = tqdm(todo, 'models', unit='model', disable=not sys.stderr.isatty(), leave=False)
    return [measure(name, m, graphs[m], c, optimize) for name, c, m in bar]


def text(
    rows, # of `table`
)->str:
    "For a terminal: million instructions of an inference, and the bytes."
    names, lines, head = list(dict.fromkeys(r['model'] for r in rows)), [], ()
    for key in dict.fromkeys((r['target'], r['compiler']) for r in rows):
        mine = {r['model']: r for r in rows if (r['target'], r['compiler']) == key}
        first = next(iter(mine.values()))
        cells = {'target': key[0], 'core': first['core'], 'compiler': short(key[1]), 'run by': first['ran']}
        cells |= {m: millions(mine.get(m)) for m in names}
        cells |= {'compared': f"{sum(r['bytes_compared'] for r in mine.values()):,}",
                  'different': f"{sum(r['bytes_different'] for r in mine.values()):,}"}
        head = list(cells)
        lines.append(list(cells.values()))
    note = ('Million instructions per inference; R: random weights at that sparsity. Node counts none. '
            'Sizes of memory are not those of the boards.')
    return bench._columns(head, lines, ('target', 'core', 'compiler', 'run by')) + f'\n\n{note}'


def short(
    compiler:str, # as a row names it, with its version
)->str: # gcc or zig
    "The name of a compiler in a table."
    return 'zig' if 'clang' in compiler else 'gcc'


def millions(
    row, # of `table`, or None
)->str: # million instructions of an inference; - where nothing counts them
    "A cell of the table."
    if row is None: return ''
    return '-' if row['instructions'] is None else f"{row['instructions'] / 1e6:.2f}"


def record(
    path, # JSON file to write
)->list: # of rows
    "Every model on every core with each of its compilers; nothing is written where a byte differs."
    start = time.time()
    rows = table(cc='all')
    bad = [f"{r['model']} on {r['target']}: {r['bytes_different']}" for r in rows if r['bytes_different']]
    if bad:
        raise SimulationFailed(f"output bytes differ from the reference, nothing was written: {', '.join(bad)}")
    meta = bench.made_by(time.time() - start, f'tinyformer bench --cores --record {path}')
    body = ',\n'.join('  ' + json.dumps(r) for r in rows)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    write_text(path, f'{{\n "meta": {json.dumps(meta, indent=2)},\n "rows": [\n{body}\n ]\n}}\n')
    return rows
