"""What parts of the engine are worth, counted on the emulated core: sparse kernels, bands, placement, integer steps.

Nothing is trained. A model of the zoo is built in several ways, each is run once, and every output byte is compared."""
import math, tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from tinyformer import bench, cycles, graph as tg, kernels as tk, tradeoff, zoo
from tinyformer.codegen import STACK_BYTES
from tinyformer.errors import SimulationFailed
from tinyformer.hardware import target
from tinyformer.simulator import Emulator, simulate
from tinyformer.toolchain import compile_image

BOARD = 'stm32f746'
FPU = '-mfpu=fpv5-sp-d16', '-mfloat-abi=softfp', '-fno-math-errno'  # of gcc, for the float steps


def dense_choices(
    graph, # int8 model
    board, # target
)->dict: # operator -> Choice
    "The fastest kernel with dense weights for every operator that could have a stream."
    found = {}
    for op in graph.ops:
        able = [c for c in tk.candidates(op, board) if not c.block]
        if tg.prunable(op): found[op.name] = tk.narrow(op, min(able, key=lambda c: c.time))
    return found


def ways(
    graph, # int8 model
)->dict: # name -> (what it is, board, how `generate` is asked)
    "The ways to build a model; the first is the usual one."
    board = target(BOARD)
    fast, slow = board.memories
    return dict(
        usual=('as it is built', board, {}),
        dense_kernels=('dense kernels', board, dict(choices=dense_choices(graph, board))),
        no_bands=('no bands', board, dict(memory='fast')),
        most_bands=('bands wherever they save', board, dict(memory='least')),
        one_arena=('placed as if all memory were alike', replace(board, memories=()), {}),
        slow_memory=('everything in the slow memory',
                     replace(board, memories=(), sram_start=slow.start, sram_bytes=slow.size), {}))


def built_and_run(
    graph,  # int8 model
    board,  # target
    how,    # of `generate`
    x,      # int8 [n, h, w, c]: images whose bytes are compared; the first is counted
    cc='auto', # compiler
)->dict: # bytes and cycles
    "What one way takes."
    with tempfile.TemporaryDirectory() as tmp:
        fw, image = tradeoff.built(graph, board, Path(tmp)/'model', cc, **how)
        sim = simulate(image, fw, x, progress=False)
    if wrong := int((sim.outputs != tg.run(graph, x)).sum()):
        raise SimulationFailed(f'{wrong} output bytes of {graph.name} differ from the NumPy reference: a kernel is '
                               'wrong. Run make test.')
    return dict(flash_bytes=image.flash_bytes, sram_bytes=image.data_bytes + image.bss_bytes + STACK_BYTES,
                arena_bytes=fw.arena_bytes, instructions=sim.instructions, **sim.columns(),
                compiler=str(image.compiler), bytes_compared=sim.outputs.size)


def steps_of(
    graph, # int8 model
)->list: # of (kind, sizes of `bench.make_op`)
    "The norms and softmaxes of a model, each size once; of attention, the softmax over its scores."
    found = []
    for op in graph.ops:
        a = op.attrs
        if op.kind == 'layernorm': found.append((op.kind, dict(tokens=a['tokens'], cin=a['c'])))
        if op.kind == 'attention': found.append(('softmax', dict(tokens=a['keys'], heads=a['heads'])))
    return [step for i, step in enumerate(found) if step not in found[:i]]


def float_core()->Emulator:
    "The float steps on the emulated core; its floating-point unit is gcc's to name."
    port, source = tk.FIRMWARE/'ports'/'cortex_m', tk.FIRMWARE/'tests'/'float_steps.c'
    image = compile_image([source, port/'memory.c'], port/'bare.ld', flags=FPU, cc='gcc')
    return Emulator(image, target(BOARD).core)


def table_scale(
    table:np.ndarray, # uint16 [256], see `operators.softmax_table`
)->float: # of the scores
    "The scale that a table of exponentials was made for."
    far = int((table > 100).sum()) - 1                 # where rounding still counts for little
    return math.log(65535 / table[far]) / far


def run_float(
    em, # from `float_core`
    op, # layernorm or softmax
    x,  # int8, flat
)->np.ndarray: # int8, flat
    "One step in float on the emulated core, counted."
    em.free()
    a, p, out = op.attrs, op.params, em.alloc(x.size)
    def put(values): return em.alloc(np.asarray(values, np.float32))
    if op.kind == 'layernorm':
        unit, c = a['mult'] * 2.**(a['shift'] - 32), a['c']     # of the output's codes
        numbers = put(p['gamma'] * unit * 2**10), put(p['beta'] * unit), put([a['eps_q'] / c**3])
        em.call('float_layernorm', out, em.alloc(x), a['tokens'], c, *numbers, a['zp_out'], count=True)
    else:
        numbers = put([table_scale(p['table'])]), em.alloc(4 * a['n'])
        em.call('float_softmax', out, em.alloc(x), a['rows'], a['n'], *numbers, count=True)
    return np.frombuffer(em.read(out, x.size), np.int8)


def step_row(
    kind:str,   # layernorm or softmax
    sizes:dict, # of `bench.make_op`
    seed:int=0, # of constants and inputs
)->dict: # instructions and cycles of both, and how many bytes differ
    "One step in integers and in float, with random constants."
    whole = bench.measure(kind, cc='gcc', seed=seed, **sizes)
    op, em = bench.make_op(kind, seed, **sizes), float_core()
    x, = bench.random_inputs(op, np.random.default_rng(seed + 1))
    apart = run_float(em, op, x).astype(int) - bench.expected(op, [x])
    return dict(step=kind, **sizes, kernel=whole['kernel'], instructions=whole['instructions'],
                est_cycles=whole['est_cycles'], float_instructions=em.instructions,
                float_est_cycles=cycles.est_cycles(em), bytes_compared=apart.size,
                bytes_apart=int((apart != 0).sum()), most_apart=int(np.abs(apart).max()))


def counted(
    name:str,       # of a model in the zoo
    images:int=2,   # random images whose bytes are compared
    cc:str='auto',  # compiler of the whole models
)->dict: # ways and steps
    "Everything that is counted for one model."
    graph = zoo.load(name)
    x = np.random.default_rng(0).integers(-128, 128, (images, *graph.tensors[graph.input].shape)).astype(np.int8)
    rows = [dict(way=way, what=what, **built_and_run(graph, board, how, x, cc))
            for way, (what, board, how) in ways(graph).items()]
    steps = [step_row(kind, sizes) for kind, sizes in steps_of(graph)]
    return dict(model=name, sha256=zoo.card_of(name)['sha256'], ways=rows, steps=steps)
