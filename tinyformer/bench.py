"""Measure kernels on the emulated Cortex-M7, each compared with its NumPy operator in the same run, and fit the cost
table."""
import functools, itertools, json, math, platform, struct, sys, tempfile, time
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from tinyformer import codegen, cycles, graph as tg, kernels as tk, lowering, operators, provenance, simulator
from tinyformer.errors import BadInput, SimulationFailed
from tinyformer.files import write_json, write_text
from tinyformer.graph import Op
from tinyformer.hardware import target, targets
from tinyformer.memory_system import total
from tinyformer.operators import OPERATORS, random_instance, random_weights
from tinyformer.peers import SPARSITIES, beside, peers, ratio, times
from tinyformer.rle_encoding import BLOCKS, stream_bytes
from tinyformer.simulator import Emulator
from tinyformer.toolchain import WARNINGS, compile_image, find_compiler

OPS = tuple(OPERATORS)
"Kinds of operator that `measure` knows."

KEYS = ('op', 'h', 'w', 'cin', 'cout', 'tokens', 'heads', 'stride', 'sparsity', 'block', 'kernel', 'macs',
        'instructions', 'est_cycles', 'weight_bytes', 'scratch_bytes', 'cc', 'flags', 'bytes_compared',
        'bytes_different')
"Keys of a row, in order."


# ---- random operators

def block_number(
    block, # 0, 1, 2, 4, '1x1', '1x2' or '1x4'
)->int:
    "A block's size as a number; 0 stands for dense."
    n = BLOCKS.get(block, block)
    if n not in (0, 1, 2, 4): raise BadInput(f"no block {block!r}; choose {', '.join(BLOCKS)}")
    return n


def make_op(
    kind:str,      # one of `OPS`
    seed:int=0,    # of weights and constants
    block=None,    # block that is cleared as a whole, as `block_number` takes it; None or dense = 4
    **shape,       # sizes: the fields of `operators.Shape`
)->Op: # inputs 'x0', 'x1', ..., output 'y'
    "An operator with random weights and constants."
    attrs, params = random_instance(kind, np.random.default_rng(seed), block=block_number(block or 4) or 4, **shape)
    return Op(kind, kind, [f'x{i}' for i in range(OPERATORS[kind].inputs)], 'y', attrs, params)


def random_inputs(
    op:Op,   # any operator
    rng,     # numpy Generator
)->list: # int8 arrays of one image, flat
    "Inputs for an operator; now and then all at one end of the range."
    return operators.random_inputs(op.kind, op.attrs, rng)


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
    only:str=None,       # a C function of the catalogue; None = all of them
    core:str='cortex-m7',# a key of `hardware.CORES`
)->Emulator:
    "An emulated core with kernels as functions that can be called by name."
    port = tk.FIRMWARE/'ports'/'cortex_m'
    sources = tk.sources() if only is None else [tk.FIRMWARE/s for s in tk.kernel(only).sources]
    return Emulator(compile_image([*sources, port/'memory.c'], port/'bare.ld', include=[tk.FIRMWARE/'include'],
                                  flags=(*WARNINGS, *flags), cc=cc, optimize=optimize, core=core), core)


def _device_struct(em, fields):
    "A structure in the emulated memory, by the ABI's rules: 64-bit fields on multiples of 8."
    data = b''
    for _, kind, v in fields:
        if kind == 'int64': data += b'\0' * (-len(data) % 8) + struct.pack('<q', int(v))
        else: data += struct.pack('<I', (em.alloc(np.ascontiguousarray(v)) if kind == 'array' else int(v)) & 0xFFFFFFFF)
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
        words += {'out': lambda: [at + tk.GUARD], 'in': lambda: [at_xs[value]],
                  'array': lambda: [em.alloc(np.ascontiguousarray(value))],
                  'int': lambda: [value], 'struct': lambda: [_device_struct(em, value)],
                  'scratch': lambda: [at_scratch + tk.GUARD, len(scratch) - 2*tk.GUARD]}[what]()
    status = em.call(kernel.name, *words, count=count)
    if status:
        said = tk.STATUS.get(status, status)
        raise SimulationFailed(f'{kernel.name} on {op.name} returned {said} on the emulated core')
    out, scratch = (np.frombuffer(em.read(a, len(b)), np.uint8) for a, b in ((at, out), (at_scratch, scratch)))
    same = all(em.read(a, x.size) == x.tobytes() for a, x in zip(at_xs, xs))
    if not (tk.guards_hold(out) and tk.guards_hold(scratch) and same):
        raise SimulationFailed(f'{kernel.name} on {op.name} wrote outside its output and scratch on the emulated core')
    return out[tk.GUARD:-tk.GUARD].view(np.int8)


# ---- rows

def _pick(op, name, block, board, objective):
    "The choice that the caller names, though the cost table may not know it yet, or the engine's own."
    if name is None and block is None: return tk.choose(op, board, objective)
    runs, fast = [k for k in tk.CATALOGUE if op.kind in k.kinds], 'dsp' if board.has('dsp') else 'scalar'
    able, found = [k for k in runs if k.name == name or name is None and k.isa in ('c', fast)], []
    for k in sorted(able, key=lambda k: k.isa != fast):            # those made for the core come first
        if k.isa == 'dsp' and fast != 'dsp': continue
        for b, size, *_ in tk.weight_formats(k, op):
            if block in (None, b): found.append(tk.Choice(k, b, size, tk.scratch_bytes(k, op), 0))
    if not found:
        raise BadInput(f"{op.kind} cannot be run by {name or 'any kernel'} with block {block} on {board.name}; "
                       f"its kernels: {', '.join(k.name for k in runs)}")
    return found[0] if name is None else min(found, key=lambda c: c.weight_bytes)


def measure(
    op_kind:str,          # one of `OPS`
    kernel:str=None,      # a C function of the catalogue; None = the engine's choice
    block=None,           # '1x1', '1x2', '1x4', or 0 for dense weights; None = the engine's choice
    cc:str='auto',        # 'auto', 'zig' or 'gcc'
    optimize:str='-O2',   # optimisation level
    flags:tuple=(),       # more compiler flags
    target_name:str='stm32f746', # the board that the engine chooses for
    objective:str='speed', # of the engine's choice: 'speed', or 'bytes' of weights
    **shape,              # h, w, cin, cout, tokens, heads, stride, sparsity, seed, k, pad, window: see `make_op`
)->dict: # a row with the keys `KEYS`
    "Run one operator with random weights on the emulated core: its instructions, and its bytes beside NumPy's."
    block = None if block is None else block_number(block)
    op = make_op(op_kind, block=block or 4, **shape)
    board = target(target_name)
    return measure_op(op, _pick(op, kernel, block, board, objective), cc, optimize, flags, board.core,
                      **{'block': block, **shape})


def _shape(op, given):
    "The shape of an operator, in the words of a row."
    a, soft = op.attrs, op.kind == 'softmax'
    channels = a.get('c') or a.get('dim') or given.get('cin') or 16
    flat = op.kind in ('pointwise', 'add', 'lut') and not given.get('tokens')
    size = {k: a.get(k, given.get(k) or (8 if flat else None)) for k in 'hw'}
    tokens = a.get('tokens', a.get('pixels', a['n'] if soft else given.get('tokens')))
    heads = a.get('heads', given.get('heads', 4) if soft else None)
    return dict(**size, cin=a.get('cin', channels), cout=a.get('cout', channels), tokens=tokens, heads=heads,
                stride=a.get('sh'))


def _stored(choice): return f'1x{choice.block}' if choice.block else 'dense'


def measure_op(op, choice, cc='auto', optimize='-O2', flags=(), core='cortex-m7', sparsity=0., seed=0, **shape):
    "A row for one operator run by one choice."
    em = device(cc, optimize, tuple(flags), choice.kernel.name, core)
    xs = random_inputs(op, np.random.default_rng(seed + 1))
    got, want = device_call(em, choice.kernel, op, *xs, block=choice.block, count=True), expected(op, xs)
    row = dict(op=op.kind, **_shape(op, shape), sparsity=sparsity, block=_stored(choice), kernel=choice.kernel.name,
               macs=tg.op_macs(op), instructions=em.instructions, est_cycles=cycles.est_cycles(em),
               weight_bytes=choice.weight_bytes, scratch_bytes=choice.scratch_bytes,
               cc=str(find_compiler(cc, core)), flags=' '.join([optimize, *flags]),
               bytes_compared=int(want.size), bytes_different=int((got != want).sum()))
    return {k: row[k] for k in KEYS}


def suite(
    sparsities=SPARSITIES, # for layers with prunable weights; the others are measured once
)->list: # of (op, arguments of `make_op`)
    "Every layer that other engines were measured on."
    out = []
    for layer in peers()['layers']:
        op, shape = layer['op'], layer['shape']
        if tg.prunable(make_op(op, **shape)): out += [(op, dict(shape, sparsity=s)) for s in sparsities]
        else: out.append((op, dict(shape)))
    return out


def measure_suite(
    sparsities=SPARSITIES, # of layers with prunable weights; the others are measured once
    cc:str='auto',         # 'auto', 'zig' or 'gcc'
    optimize:str='-O3',    # optimisation level; the other engines' figures are at -O3
    after=None,            # called with the emulator after each layer; its dict joins the row
    **kw,                  # block, kernel, objective, ...: see `measure`
)->list: # of rows
    "Every layer that other engines were measured on, with a progress bar."
    rows, core = [], target(kw.get('target_name', 'stm32f746')).core
    for op, shape in tqdm(suite(sparsities), 'layers', unit='layer', disable=None, leave=False):
        row = measure(op, cc=cc, optimize=optimize, **shape, **kw)
        rows.append(row | (after(device(cc, optimize, (), row['kernel'], core)) if after else {}))
    return rows


# ---- whole networks

ROOM = 8 << 20
"Bytes of flash and of SRAM while a network is measured, so that one that fits no board can be measured as well."


def network(
    source:str,          # 'R', 'P', one of `published.NETWORKS`, or an `Arch` as a JSON file
    sparsity:float=None, # of every prunable layer; None = what the architecture says, 0 where it says nothing
    seed:int=0,          # of weights and images
)->tuple: # (name, Graph, sparsity of each operator that has one)
    "An int8 model with random weights."
    from tinyformer import published
    from tinyformer.arch import Arch, layers
    if source in published.NETWORKS:
        graph = published.int8_model(source, sparsity or 0., seed)
        return source, graph, {op.name: sparsity or 0. for op in graph.ops if tg.prunable(op)}
    try: arch = Arch.load(source)
    except BadInput as e: raise BadInput(f"{e} Or one that others publish: {', '.join(published.NETWORKS)}.") from None
    pruned = {l.name: l.sparsity if sparsity is None else sparsity for l in layers(arch) if l.prunable}
    return Path(source).stem, lowering.random_model(arch, seed, sparsity), pruned


def measure_network(
    source:str,             # see `network`
    sparsity:float=None,    # of every prunable layer, see `network`
    cc:str='auto',          # 'auto', 'zig' or 'gcc'
    optimize:str='-O3',     # optimisation level
    objective:str='speed',  # of the engine's choice of kernels
    seed:int=0,             # of weights and images
    images:int=4,           # random images whose output is compared; the first is counted
    target_name:str='stm32f746', # the board that the engine chooses for
    memory:str='low',       # how far layers are cut into bands, see `schedule.choose_chains`
)->list: # of rows: the whole network, op = 'network', then its operators in order
    "Build a whole network with random weights, run it on the emulated core and compare its output with the reference."
    (name, graph, pruned), board = network(source, sparsity, seed), target(target_name)
    with tempfile.TemporaryDirectory() as folder:
        choices = tk.select(graph, board, objective=objective)
        fw = codegen.generate(graph, replace(board, flash_bytes=ROOM, sram_bytes=ROOM), Path(folder)/'model',
                              choices=choices, memory=memory)
        image = simulator.build(fw, cc, optimize)
        x = np.random.default_rng(seed).integers(-128, 128, (images, *graph.tensors[graph.input].shape)).astype(np.int8)
        sim = simulator.simulate(image, fw, x, progress=sys.stderr.isatty())
    how = dict(cc=image.compiler, flags=optimize, memory=memory)
    return _network_rows(name, sparsity, pruned, fw, image, sim, how, x)


def _network_rows(name, sparsity, pruned, fw, image, sim, how, x):
    graph, want = fw.graph, tg.run(fw.graph, x)
    (h, w, c), classes = graph.tensors[graph.input].shape, math.prod(graph.tensors[graph.output].shape)
    whole = dict(
        op='network', h=h, w=w, cin=c, cout=classes, sparsity=sparsity, macs=sum(map(tg.op_macs, graph.ops)),
        instructions=sim.instructions, **sim.columns(), **how,
        weight_bytes=sum(c.weight_bytes for c in fw.choices.values()), bytes_compared=int(want.size),
        bytes_different=int((sim.outputs != want).sum()), network=name, arena_bytes=fw.arena_bytes,
        arena_lower_bound_bytes=fw.arena_lower_bound_bytes, flash_bytes=image.flash_bytes, stack_bytes=sim.stack_bytes,
        sram_bytes=image.data_bytes + image.bss_bytes + sim.stack_bytes, rest_instructions=sim.rest)
    rows = [dict.fromkeys(KEYS) | whole]
    for op in graph.ops:
        c, spent = fw.choices[op.name], sim.per_op[op.name]
        row = dict(
            op=op.kind, **_shape(op, _map(graph, op)), sparsity=pruned.get(op.name, 0.), block=_stored(c),
            kernel=c.kernel.name, macs=tg.op_macs(op), instructions=spent,
            est_cycles=sim.cycles and sim.cycles[op.name], weight_bytes=c.weight_bytes, scratch_bytes=c.scratch_bytes,
            **how, network=name, layer=op.name, share=spent / sim.instructions,
            stall_cycles=_waiting(sim.stalls and total(sim.stalls[op.name])))
        rows.append(dict.fromkeys(KEYS) | row)
    return rows


def _waiting(cycles):
    "Modelled cycles of waiting for memory, [at least, likely, at most]; None where they are not known."
    return cycles and [round(c) for c in cycles.three]


def _map(graph, op):
    "Height, width and channels of an operator's first input, or of its output where it has none."
    shape = graph.tensors[(*op.inputs, op.output)[0]].shape
    return dict(zip(('h', 'w', 'cin') if len(shape) == 3 else ('tokens', 'cin'), shape))


PUBLISHED_AT = 0., .8
"Sparsities at which the networks that others have published are measured."


def measure_published(
    names=None,               # of `published.NETWORKS`; None = all
    sparsities=PUBLISHED_AT,  # of every prunable layer
    memories=('low', 'least'), # see `schedule.choose_chains`
    **how,                    # cc, optimize, objective, images, ...: see `measure_network`
)->list: # of rows as `measure_network` gives them, one list for each network, sparsity and memory
    "The networks of `peers.published`, with a progress bar."
    from tinyformer import published
    todo = list(itertools.product(names or published.NETWORKS, sparsities, memories))
    bar = tqdm(todo, 'networks', unit='network', disable=None, leave=False)
    return [measure_network(n, s, memory=m, **how) for n, s, m in bar]


def _n(v): return 'unknown' if v is None else f'{v:,}'


def _columns(head, body, left):
    "Text in columns: those that `left` names begin together, the others end together."
    lines = [head, *body]
    width = [max(len(l[i]) for l in lines) for i in range(len(head))]
    def line(l): return '  '.join(c.ljust(n) if h in left else c.rjust(n) for h, c, n in zip(head, l, width)).rstrip()
    return '\n'.join(map(line, lines))


def _size(r):
    flat = r['op'] in ('linear', 'attention', 'layernorm', 'fully_connected', *tg.STEPS) or not r['h']
    both = r['cout'] != r['cin'] or 'conv' in (r['kernel'] or '') or r['weight_bytes']
    channels = f"{r['cin']}->{r['cout']}" if both else f"{r['cin']}"
    return f"{r['tokens']} tokens {channels}" if flat else f"{r['h']}x{r['w']} {channels}"


def table_text(
    rows, # from `measure`
    others=True, # other engines beside them; they ran on a Cortex-M7
)->str:
    """Rows as a table for a terminal; the last columns say how many times more dense CMSIS-NN takes.
    A layer alone has no place in memory, so its waiting is not known; `network_text` has it."""
    table = []
    for r in rows:
        per_mac = f"{r['instructions']/r['macs']:.2f}" if r['macs'] else ''
        table.append({
            'op': r['op'], 'shape': _size(r), 'sparsity': f"{r['sparsity']:.0%}", 'block': r['block'],
            'kernel': r['kernel'], 'MACs': f"{r['macs']:,}", 'instructions': f"{r['instructions']:,}",
            'core cycles': _n(r['est_cycles']), 'per MAC': per_mac, 'weights': f"{r['weight_bytes']:,}",
            'scratch': f"{r['scratch_bytes']:,}", 'different': f"{r['bytes_different']} of {r['bytes_compared']}",
            'CMSIS/instr': times(ratio(r, 'instructions')), 'CMSIS/cycles': times(ratio(r))})
    head = [h for h in table[0] if not h.startswith('CMSIS') or others and any(l[h] for l in table)]
    return _columns(head, [[l[h] for h in head] for l in table], ('op', 'shape', 'block', 'kernel'))


RATIOS = dict(instructions='instructions', est_cycles='cycles of the core', cycles='cycles with waiting')
"What two engines are compared by."


def network_text(
    rows, # from `measure_network`
    others=True, # other engines beside it; they ran on a Cortex-M7
)->str:
    "A network's operators with their share, and its totals, for a terminal."
    whole, table = rows[0], []
    for r in rows[1:]:
        share = f"{r['est_cycles']/whole['est_cycles']:.1%}" if whole['est_cycles'] else ''
        core, wait, both = map(_n, cycles.three(r))
        table.append({
            'layer': r['layer'], 'op': r['op'], 'shape': _size(r), 'sparsity': f"{r['sparsity']:.0%}",
            'block': r['block'], 'kernel': r['kernel'], 'MACs': f"{r['macs']:,}",
            'instructions': f"{r['instructions']:,}", 'share': f"{r['share']:.1%}", 'core cycles': core,
            'share of cycles': share, 'waiting': wait, 'cycles': both})
    core, wait, both = map(_n, cycles.three(whole))
    lines = [f"network {whole['network']}: {whole['instructions']:,} instructions, {whole['macs']:,} MACs",
             f'{core} estimated cycles of the core, {wait} of modelled waiting for memory, {both} in all',
             f"weights {whole['weight_bytes']:,} bytes, arena {whole['arena_bytes']:,} bytes "
             f"(no plan below {whole['arena_lower_bound_bytes']:,}), stack {whole['stack_bytes']:,}, "
             f"flash {whole['flash_bytes']:,}; "
             f"{whole['bytes_different']} of {whole['bytes_compared']} output bytes differ"]
    for name, engine in (('dense CMSIS-NN', 'cmsis_nn'), ("the authors' engine", 'authors')):
        for what, words in RATIOS.items():
            said = times(ratio(whole, what, engine))
            if said and others: lines.append(f'{name} {words}: {said}')
    body = [list(l.values()) for l in table]
    return '\n'.join([_columns(list(table[0]), body, ('layer', 'op', 'shape', 'block', 'kernel')), '', *lines])


def published_text(
    rows, # from `measure_published`
)->str:
    "Networks beside what others have published, for a terminal: ours are estimates, theirs were measured on chips."
    from tinyformer import published
    rows, parts = [r for r in rows if r['op'] == 'network'], []
    def said(v, form): return '' if v is None else f'{v:{form}}'
    for name in dict.fromkeys(r['network'] for r in rows):
        table = [{
            'engine': r['engine'], 'chip': r['chip'], 'core': r['core'], 'MHz': f"{r['mhz']:.0f}",
            'million cycles': said(r['cycles'] and r['cycles'] / 1e6, '.2f'),
            'core alone': said(r.get('core_cycles') and r['core_cycles'] / 1e6, '.2f'), 'ms': said(r['ms'], '.2f'),
            'RAM KiB': said(r.get('ram_kib'), '.1f'), 'flash KiB': said(r.get('flash_kib'), '.1f'),
            'accuracy': said(r.get('accuracy'), '.1%')} for r in beside(name, rows)]
        head = list(table[0])
        body = _columns(head, [list(l.values()) for l in table], ('engine', 'chip', 'core'))
        parts.append(f'{published.NETWORKS[name].title}\n{body}')
    sources = '\n'.join(f"{s['title']}: {s['url']}" for s in peers()['sources'].values())
    notes = ('TinyFormer: estimated on an emulated Cortex-M7 (core alone), with modelled waiting for the memories of '
             'the STM32F746, random weights. The others: measured on the chip that is named, cycles = time x clock.')
    return '\n\n'.join([*parts, notes, sources])


# ---- a record of everything, for the page that shows it

RECORD = 'nbs/experiments/results/benchmark.json'
"Where the recorded figures of this project live."

NETWORKS = (('R', 0.), ('R', .8), ('P', 0.), ('P', None))
"Whole networks that are recorded: name and sparsity, None for that of its file."


def made_by(
    seconds:float, # how long it took
    command:str,   # that makes it again
)->dict: # command, commit, versions, machine class, seconds
    "Where figures come from."
    versions = {n: version(n) for n in ('tinyformer', 'numpy', 'unicorn')} | dict(python=platform.python_version())
    return dict(command=command, commit=provenance.commit() or 'unknown', seed=0, seconds=round(seconds),
                machine=provenance.machine(),
                compiler=str(find_compiler('gcc', 'cortex-m7')), llvm_mca=cycles.version(), versions=versions)


def _refuse_differences(rows):
    "Figures of a kernel that returns wrong bytes are worth nothing."
    bad = [f"{r['op']} ({r['network'] if r['op'] == 'network' else r['kernel']}): {r['bytes_different']}"
           for r in rows if r['bytes_different']]
    if bad:
        raise SimulationFailed(f"output bytes differ from the NumPy reference, nothing was written: {', '.join(bad)}")


def _record_text(meta, rows, networks):
    "The record as JSON with one row a line."
    def lines(part): return ',\n'.join('  ' + json.dumps(r) for r in part)
    whole = ',\n'.join(f' [\n{lines(n)}\n ]' for n in networks)
    head = f' "meta": {json.dumps(meta, indent=2)},\n "rows": [\n{lines(rows)}\n ]'
    return f'{{\n{head},\n "networks": [\n{whole}\n ]\n}}\n'


def _store(path, start, command, rows, networks):
    "Write a record, unless bytes differ."
    _refuse_differences([*rows, *(w[0] for w in networks)])
    meta = made_by(time.time() - start, command)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    write_text(path, _record_text(meta, rows, networks))
    return dict(meta=meta, rows=rows, networks=networks)


def record_published(
    path,       # JSON file to write
    names=None, # of `published.NETWORKS`; None = all
)->dict: # meta, rows (none), networks
    "Measure the networks that others have published, at -O3 with gcc, and store them in the same form."
    start = time.time()
    networks = [n if n[0]['memory'] == 'low' else n[:1] for n in measure_published(names, cc='gcc')]
    return _store(path, start, f'tinyformer bench --suite published --record {path}', [], networks)


def record(
    path=RECORD,           # JSON file to write
    networks=NETWORKS,     # (name, sparsity)
    sparsities=SPARSITIES, # of layers with prunable weights
)->dict: # meta, rows, networks
    "Measure the suite and the networks at -O3 with gcc, and store them with all that is needed to make them again."
    start = time.time()
    rows = measure_suite(sparsities, cc='gcc',
                         after=lambda em: dict(est_cycles_free_it=cycles.est_cycles(em, free_it=True)))
    whole = [measure_network(n, s, cc='gcc') for n, s in networks]
    return _store(path, start, f'tinyformer bench --record {path}', rows, whole)


# ---- the cost table

_LINEAR = (8, 12, 20), (16, 32, 64), (16, 64, 48), (64, 16, 96), (64, 24, 33), (32, 96, 16), (64, 64, 128), (64, 256,
    32)
_ONE = (1, 64, 10), (1, 256, 10), (1, 96, 33)
_CONV = ((16, 1, 8), (24, 3, 16), (4, 16, 24), (8, 16, 12), (8, 24, 32), (6, 32, 8), (16, 16, 16), (8, 64, 16),
         (8, 20, 96), (16, 8, 48))
_OF_LINEAR = .9, .5, .7, .8, .9, .6, .75, .95, .8, .85, 0., .9, .7, .8, .95, .5, .9, .8, .7
_OF_CONV = .5, .7, .8, .9, .8, .9, .9, .8, .95, .6, .7, .5, .95, .7, .5, .95
_ATTENTION = (4, 16, 2), (16, 16, 4), (16, 24, 4), (16, 32, 4), (16, 48, 2), (64, 32, 4), (64, 64, 2), (32, 24, 3)
_CROSS = ((1, 64, 32, 32, 4, 0), (16, 64, 24, 24, 3, 0), (64, 16, 32, 32, 2, 0), (32, 32, 32, 16, 4, 0),
          (16, 16, 32, 32, 2, 1), (64, 64, 32, 32, 4, 1), (32, 48, 16, 24, 2, 1), (17, 17, 12, 12, 2, 0),
          (9, 30, 20, 20, 4, 0), (25, 25, 30, 24, 3, 0), (50, 50, 32, 32, 2, 0), (1, 65, 64, 64, 1, 0),
          (13, 13, 20, 20, 2, 1))

def _rows(words, *sizes): return [dict(zip(words, size)) for size in sizes]


def _sparse(shapes, shares): return [dict(shape, sparsity=s) for shape, s in zip(shapes, shares)]

_TOKENS, _MAP = ('tokens', 'cin', 'cout'), ('h', 'w', 'cin', 'cout')
_WINDOWS = [dict(h=8, w=8, cin=16, k=5), dict(h=16, w=16, cin=8, k=5, stride=2), dict(h=6, w=6, cin=32, k=7),
            dict(h=20, w=8, cin=24, stride=3), dict(h=8, w=8, cin=12, window=dict(dh=2, dw=2)),
            dict(h=32, w=1, cin=12, window=dict(kh=9, kw=1, top=4, bottom=4, left=0, right=0)),
            dict(h=1, w=40, cin=16, window=dict(kh=1, top=0, bottom=0))]
def _pool_shapes():
    "Windows as networks have them, on maps of several widths, adaptive ones and tails of channels among them."
    sizes, kinds = ((8, 8, 16), (7, 9, 24), (16, 16, 8), (5, 5, 65), (12, 4, 34), (9, 9, 3)), (
        dict(kh=3, kw=3, sh=2, sw=2), dict(kh=2, kw=2, sh=2, sw=2, top=0, left=0), dict(kh=5, kw=5),
        dict(adaptive=1, oh=3, ow=3), dict(kh=4, kw=1, sh=4, top=0, bottom=0, left=0, right=0))
    return [dict(h=h, w=w, cin=c, window=kind) for i, (h, w, c) in enumerate(sizes) for kind in kinds[i % 2::2]]


SHAPES = { # (kind, format) -> layers that a kernel is measured on: sizes as they occur in small networks
    ('linear', 'dense'): _rows(_TOKENS, *_ONE, *_LINEAR),
    ('linear', 'rle'): _sparse(_rows(_TOKENS, *_ONE, *_LINEAR, *_LINEAR), _OF_LINEAR),
    ('conv3x3', 'dense'): _rows(_MAP, *((h, h, i, o) for h, i, o in _CONV)),
    ('conv3x3', 'rle'): _sparse(_rows(_MAP, *((h, h, i, o) for h, i, o in _CONV[2:]*2)), _OF_CONV),
    ('depthwise3x3', 'dense'): _rows(('h', 'w', 'cin', 'stride'), (4, 4, 32, 1), (8, 8, 16, 1), (8, 8, 48, 2),
                                     (8, 8, 64, 1),
                                     (16, 16, 24, 1), (16, 16, 40, 2), (32, 32, 16, 1), (3, 3, 20, 1)) + _WINDOWS,
    **{(kind, 'dense'): _rows(('tokens', 'cin'), (4, 16), (16, 32), (16, 96), (64, 24), (64, 64), (1, 4096), (2, 1536))
       for kind in ('layernorm', 'rmsnorm')},
    **dict.fromkeys((('maxpool', 'dense'), ('avgpool2d', 'dense')), _pool_shapes()),
    **{(kind, 'dense'): [*_rows(('tokens', 'cin', 'heads'), *_ATTENTION),
                         *_rows(('tokens', 'keys', 'cin', 'vdim', 'heads', 'causal'), *_CROSS)]
       for kind in ('attention', *tg.STEPS)}}
ANY_SHAPES = _rows(('h', 'w', 'cin'), (2, 2, 8), (4, 4, 32), (4, 4, 96), (8, 8, 16), (8, 8, 64), (16, 16, 24))
"Layers that the other kernels are measured on."
# each of these has several forms, drawn at random
SHAPES |= {(kind, 'dense'): ANY_SHAPES[1:] * 4 for kind in ('mul', 'add_broadcast', 'copy', 'pad')}
SHAPES['concat', 'dense'] = _rows(_MAP, (1, 1, 64, 64), (1, 16, 32, 32), (4, 4, 32, 96), (8, 8, 16, 16), (8, 8, 5, 7),
                                  (4, 4, 31, 32), (8, 8, 64, 32), (16, 16, 24, 24), (16, 16, 12, 3))


def _measured(kernel):
    "(kind, names of features, shapes) that a kernel is fitted on."
    kind = 'linear' if 'linear' in kernel.kinds else kernel.kinds[0]
    costs = OPERATORS[kind].call.costs[kernel.isa, kernel.format]
    return kind, costs, SHAPES.get((kind, kernel.format), ANY_SHAPES)


def fit_kernel(
    name:str,            # a C function of the catalogue
    block:str=None,      # block of the stream; None for dense weights
    cc:str='auto',       # 'auto', 'zig' or 'gcc'
    optimize:str='-O2',  # optimisation level
    board=None,          # a Target with the core; None = the STM32F746
# coef and cycles: feature -> its cost; error, cycles_error: largest relative error; layers, rows: what was measured
)->dict:
    "Measure a kernel on a handful of layers and fit its instructions and its cycles."
    kernel, rows, feats = tk.kernel(name), [], []
    kind, names, shapes = _measured(kernel)
    for seed, shape in enumerate(shapes):
        row = measure(kind, kernel=name, block=block or 0, cc=cc, optimize=optimize, seed=seed,
                      target_name=board.name if board else 'stm32f746', **shape)
        if row['bytes_different']:
            raise SimulationFailed(f"{name} differs from NumPy in {row['bytes_different']} bytes on {kind} {shape}")
        op = make_op(kind, block=block or 4, seed=seed, **shape)
        kept, live = next((k, n) for b, _, k, n in tk.weight_formats(kernel, op) if b == block_number(block or 0))
        rows.append(row)
        feats.append([tk.features(op, kept, live)[f] for f in names])
    coef, error, predicted = _fit(names, feats, [r['instructions'] for r in rows])
    known = all(r['est_cycles'] is not None for r in rows)
    cyc = _fit(names, feats, [r['est_cycles'] for r in rows])[:2] if known else (None, None)
    return dict(coef=coef, error=error, cycles=cyc[0], cycles_error=cyc[1], layers=len(rows), rows=rows,
                predicted=predicted)


def _fit(names, feats, counts):
    "(coefficients, largest relative error, predictions): none below zero, relative errors weighed alike."
    from scipy.optimize import nnls
    y, a = np.array(counts, float), np.array(feats, float)
    coef, _ = nnls(a / y[:, None], np.ones(len(y)))
    error, predicted = np.abs(a @ coef / y - 1).max(), (a @ coef).round().astype(int).tolist()
    return {f: float(f'{c:.5g}') for f, c in zip(names, coef)}, float(f'{error:.3g}'), predicted


def measure_code_bytes(
    cc:str='auto', # 'auto', 'zig' or 'gcc'
    board=None,    # a Target; None = the STM32F746
)->int: # bytes
    "Flash of an image less its constants: kernels, start-up, calls of the largest network of the digits family."
    from tinyformer import search_space
    graph, board = lowering.random_model(search_space.digits_space().largest()), board or target('stm32f746')
    with tempfile.TemporaryDirectory() as folder:
        firmware = codegen.generate(graph, board, Path(folder)/'model')
        image = simulator.build(firmware, cc=cc)
    return image.flash_bytes - sum(a.nbytes for op in graph.ops for a in tk.weights_blob(op,
        firmware.choices[op.name]).values())


def _table_rows(kernel, cc, optimize, progress, board):
    "Rows of the cost table for one kernel: one, or one for each block of a stream."
    rows = {}
    for block in reversed(BLOCKS) if kernel.format == 'rle' else (None,):
        fit = fit_kernel(kernel.name, block, cc, optimize, board)
        key = f'{kernel.name}/{block}' if block else kernel.name
        rows[key] = {k: fit[k] for k in ('coef', 'error', 'cycles', 'cycles_error', 'layers') if fit[k] is not None}
        cycles_said = f", of cycles {fit['cycles_error']:.1%}" if fit['cycles'] else ''
        if progress: progress(f"{key}: {fit['layers']} layers, largest error {fit['error']:.1%}{cycles_said}")
    return rows


def fit_cost_table(
    path=None,           # where to write it; None = the core's table inside the package
    cc:str='auto',       # 'auto', 'zig' or 'gcc'
    optimize:str='-O2',  # optimisation level
    progress=None,       # called with a line per kernel, such as `print`
    only=None,           # C functions to measure; the other rows stay as they are. None = all
    board=None,          # a Target whose core is measured; None = the STM32F746
)->dict: # the table
    "Measure kernels of the catalogue, fit their costs and write the cost table."
    board = board or target('stm32f746')
    core, forms = board.core, ('c', 'dsp' if board.has('dsp') else 'scalar')
    if not board.cpu.cost_table:
        able = ', '.join(t.name for t in targets() if t.cpu.cost_table)
        raise BadInput(f'a {core} has no cost table of its own to fit; choose one of {able}')
    path = Path(path or Path(__file__).with_name(board.cpu.cost_table))
    old = dict(tk.cost_table(core)) if only else dict(code_bytes=0, kernels={})
    todo = [tk.kernel(name) for name in only] if only else [k for k in tk.CATALOGUE if k.isa in forms]
    kernels = dict(old['kernels'])
    for k in todo: kernels |= _table_rows(k, cc, optimize, progress, board)
    meta = dict(compiler=str(find_compiler(cc, core)), flags=optimize, core=f'{core}, emulated',
                unit='executed instructions',
                command='tinyformer bench --fit' + f' --target {board.name}' * (core != tk.MEASURED))
    table = old | dict(kernels=kernels) | ({} if only else dict(meta=meta))
    write_json(path, table)
    tk.load_cost_table.cache_clear()         # the image is generated with the new table
    if only: return table
    table['code_bytes'] = max(measure_code_bytes(c, board) for c in {cc, 'zig'})
    write_json(path, table)
    tk.load_cost_table.cache_clear()
    return table
