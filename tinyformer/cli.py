"""The command `tinyformer`: every step of the pipeline, and what helps around it."""
import argparse, errno, sys
from dataclasses import fields
from pathlib import Path

from tinyformer import __version__
from tinyformer.errors import BadInput, RunFolderError, TinyFormerError

SETTINGS = dict(  # RunConfig field -> help; types and defaults come from RunConfig
    dataset='data set: digits needs nothing; cifar10, cifar100, svhn, fashion_mnist, or an .npz in $TINYFORMER_DATA',
    target='target, see `tinyformer targets`', flash='flash limit for code and weights, such as 32KB or 1MB (1 KB = 1024 bytes)',
    sram='SRAM limit for arena, variables and stack, such as 16KB', space="supernets to choose from: digits, small, middle, large, sizes (these three), or one's own FILE.json", lo='λ_lo: least share of the flash a path should use, 0 to 1',
    hi='λ_hi: largest share of the flash a path may use', supernets='candidate supernets to sample', trials='candidates of the search', sampler='what proposes them: tpe, nsga2 or random',
    seed='seed of everything random', supernet_epochs='epochs of the one-shot supernet', float_epochs='epochs of the winner in float',
    prune_epochs='epochs of gradual pruning and recovery', qat_epochs='epochs of int8 fine-tuning',
    max_drop='validation accuracy that pruning and int8 may lose together, 0 to 1', max_instructions='limit per inference; 0 is no limit',
    batch_size='images per training step', lr='peak learning rate', threads='CPU threads of torch; the result depends on their number')


EMPTY = dict(space='by the size of the images', max_instructions='0')


def _other(others, name):
    "How a default differs for other data sets than the digits."
    return f"; other data than digits: {others[name] or ('0' if name == 'lo' else 'all that the target has')}" if name in others else ''


def _add_settings(p):
    from tinyformer.pipeline import OTHERS, RunConfig
    g = p.add_argument_group('settings of the run')
    for f in fields(RunConfig):
        kind = {'str': str, 'int': int, 'float': float}[f.type if isinstance(f.type, str) else f.type.__name__]
        g.add_argument(f"--{f.name.replace('_', '-')}", type=kind, default=None, metavar=kind.__name__.upper(),
                       help=f"{SETTINGS[f.name]} (default: {EMPTY.get(f.name, f.default)}){_other(OTHERS, f.name)}".replace('%', '%%'))


def _settings(args, base=None):
    from tinyformer.pipeline import RunConfig, defaults, settings
    given = {f.name: getattr(args, f.name) for f in fields(RunConfig) if getattr(args, f.name) is not None}
    return settings(base or defaults(given.get('dataset', 'digits')), **given)


def _steps(run, *names, again=False, **kw):
    "Do some steps of a run; `kw` goes to the last."
    from tinyformer import pipeline
    if again: pipeline.forget(run.folder, names[0])
    for n in names: pipeline.do(run, n, **(kw if n == names[-1] else {}))


def cmd_demo(a):
    from tinyformer import pipeline
    if a.fresh: pipeline.forget(a.out)
    pipeline.go(a.out, _settings(a))


def _one_prepares(run):
    "Hold the run's settings file while the supernet is chosen and trained; whoever comes meanwhile waits and finds it done."
    import contextlib
    try:
        import fcntl
    except ImportError: return contextlib.nullcontext()
    f = open(run.path('run.json'))
    try: fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        run.say(f'another process is preparing {run.folder}: waiting for its supernet')
        fcntl.flock(f, fcntl.LOCK_EX)
    return f


def _more_workers(a):
    "Start the same command `--workers` - 1 times more; give the processes."
    import subprocess
    alone = [w for w in a.argv if w != '--fresh'] + ['--workers', '1']
    return [subprocess.Popen([sys.executable, '-m', 'tinyformer.cli', *alone], stdout=subprocess.DEVNULL) for _ in range(a.workers - 1)]


def cmd_search(a):
    from tinyformer import pipeline
    from tinyformer.sparsenas import check_storage
    if a.workers < 1: raise BadInput(f'--workers is {a.workers}: ask for at least one.')
    if a.fresh: pipeline.forget(a.out)
    run = pipeline.Run(a.out, _settings(a))
    check_storage(a.storage)
    with _one_prepares(run): _steps(run, 'supernas', 'supernet')
    more = _more_workers(a)
    try: _steps(run, 'sparsenas', storage=a.storage, study=a.study)
    finally:
        failed = sum(p.wait() != 0 for p in more)
    if failed: print(f'tinyformer: {failed} of {a.workers} workers ended early; the others did their trials', file=sys.stderr)


def cmd_train(a):
    from tinyformer.pipeline import Run
    _steps(Run(a.run), 'train', again=a.again)


def cmd_compress(a):
    from tinyformer.pipeline import Run
    _steps(Run(a.run), 'prune', 'quantize', again=a.again)


def cmd_rank(a):
    from tinyformer import pipeline
    from tinyformer.sparsenas import rank_agreement
    run = pipeline.Run(a.run)
    d = pipeline.rank(run, a.models, a.storage, a.study)
    print(f"{'trial':>5}{'one-shot':>10}{'float':>8}{'pruned':>8}{'int8':>8}")
    for r in d['rows']: print(f"{r['trial']:>5}{r['one_shot']:>10.1%}{r['float']:>8.1%}{r['pruned']:>8.1%}{r['int8']:>8.1%}")
    print(f"{rank_agreement(*pipeline.agreement(d))}, on {d['val_images']} validation images; {run.path('rank.json')}, {run.path('rank.png')}")


def cmd_report(a):
    from tinyformer import pipeline
    run = pipeline.Run(a.run)
    _steps(run, 'report', again=a.again)
    print('\n'.join(f'{k:<28} {v}' for k, v in pipeline.closing_table(pipeline.result(run, 'report'))))


def _model_firmware(a, port=None):
    "Firmware of a model file in a folder of its own."
    from tinyformer.codegen import generate
    from tinyformer.graph import load
    from tinyformer.hardware import parse_bytes, target
    from tinyformer.kernels import parse_overrides
    t = target(a.target).with_budget(flash_bytes=a.flash and parse_bytes(a.flash), sram_bytes=a.sram and parse_bytes(a.sram))
    path = Path(a.what)
    if not path.is_file(): raise BadInput(f'{path} is neither a run folder nor a model file (.tfm). Make one with: tinyformer demo')
    graph = load(path)
    return generate(graph, t, a.out or path.with_name(f'{path.stem}_firmware'), port=port, choices=parse_overrides(graph, a.kernel or (), t),
                    objective=a.objective, memory=a.memory)


def cmd_compile(a):
    from tinyformer.pipeline import Run, result
    from tinyformer.simulator import build
    if Path(a.what).is_dir():
        run = Run(a.what)
        other = run.path('compile.json').exists() and result(run, 'compile')['cc'] != a.cc
        return _steps(run, 'compile', again=a.again or other, cc=a.cc)
    fw = _model_firmware(a)
    image = build(fw, cc=a.cc)
    width = max(map(len, fw.choices))
    for name, c in fw.choices.items():
        cycles = '' if c.cycles is None else f', {c.cycles:,} cycles'
        print(f"  {name:<{width}}  {c.kernel.name:<24} {f'1x{c.block}' if c.block else 'dense':<6}{c.weight_bytes:>8,} bytes of weights, predicted {c.instructions:,} instructions{cycles}")
    print(f'{fw.folder}: {image.flash_bytes:,} bytes of flash, arena {fw.arena_bytes:,} bytes, {image.compiler}')


def cmd_simulate(a):
    from tinyformer.pipeline import Run
    if Path(a.what).is_dir():
        run = Run(a.what)
        _steps(run, 'simulate', again=a.again)
        return _qemu(run, a.cc) if a.qemu else None
    _simulate_model(a)


def _simulate_model(a):
    "Accuracy, agreement and instructions of a model file on the test images of a data set."
    from tinyformer.data import load, to_int8
    from tinyformer.graph import run as reference
    from tinyformer.simulator import build, simulate
    fw, data = _model_firmware(a), load(a.dataset)
    x, y = to_int8(data.x_test[:a.images or None]), data.y_test[:a.images or None]
    sim, ref = simulate(build(fw, cc=a.cc), fw, x), reference(fw.graph, x)
    print(f'{len(x)} images of {data.name}: {(sim.outputs.argmax(1) == y).mean():.2%} right; {(sim.outputs != ref).sum()} of {ref.size} bytes '
          f'differ from the reference; {sim.instructions:,.0f} instructions per inference; stack {sim.stack_bytes} bytes')


def _qemu(run, cc):
    from tinyformer.pipeline import compare_qemu
    d = compare_qemu(run, cc=cc)
    print(f"QEMU and Unicorn on one image ({d['compiler']}): {d['bytes_different']} of {d['bytes_compared']} output bytes differ; "
          f"{d['qemu_instructions']:,} and {d['unicorn_instructions']:,} instructions")
    if d['bytes_different'] or abs(d['qemu_instructions'] - d['unicorn_instructions']) > 2 * d['tick']:
        raise TinyFormerError('QEMU and Unicorn disagree: at least one of them is wrong about this image. Please report it with the model file.')


def _bench_rows(a):
    "Rows of what was asked for: a network, a suite, or one layer at each sparsity."
    from tinyformer import bench
    shape = {k: v for k in 'h w cin cout tokens heads stride seed'.split() if (v := getattr(a, k)) is not None}
    block, how = 0 if a.block == 'dense' else a.block, dict(cc=a.cc, objective=a.objective)
    if a.network:
        if a.sparsity and len(a.sparsity) > 1: raise BadInput('a network is measured at one sparsity at a time: give --sparsity one number')
        if a.kernel or a.block: raise BadInput('--kernel and --block are for one layer; a network takes the block shapes of its file')
        return bench.measure_network(a.network, a.sparsity and a.sparsity[0], optimize=a.optimize or '-O3', **how, **{k: v for k, v in shape.items() if k == 'seed'})
    if a.suite: return bench.measure_suite(a.sparsity or bench.SPARSITIES, optimize=a.optimize or '-O3', block=block, kernel=a.kernel, **how)
    return [bench.measure(a.op, kernel=a.kernel, block=block, optimize=a.optimize or '-O2', sparsity=s, **how, **shape) for s in a.sparsity or [0.]]


def _bench_text(a, rows):
    "What a person reads: a table, and what it comes to."
    from tinyformer import bench, cycles, peers
    parts = [bench.network_text(rows) if a.network else bench.table_text(rows)]
    if a.suite: parts.append(peers.summary(rows))
    if any(r['est_cycles'] is None for r in rows): parts.append(f"Cycles are unknown without llvm-mca. Install it: {cycles.install_hint('llvm')}")
    return '\n\n'.join(parts)


def cmd_bench(a):
    import json
    from tinyformer import bench, peers
    from tinyformer.files import write_text
    if a.fit: return bench.fit_cost_table(a.json if a.json not in (None, '-') else None, cc=a.cc, optimize=a.optimize or '-O2', progress=print) and None
    if a.record:
        out = bench.record(a.record)
        print(f"{a.record}: {len(out['rows'])} layers, {len(out['networks'])} networks, {out['meta']['seconds']} s\n\n{peers.summary(out['rows'])}")
        return
    rows = _bench_rows(a)
    text = json.dumps(rows, indent=1)
    print(text if a.json == '-' else _bench_text(a, rows))
    if a.json not in (None, '-'): write_text(a.json, text + '\n')
    if bad := sum(r['bytes_different'] or 0 for r in rows): raise TinyFormerError(f'{bad} output bytes differ from the NumPy reference: a kernel is wrong.')


def _searching():
    "For a search that takes long: a line on stderr every few seconds."
    import time
    began = last = time.monotonic()
    def tell(height, steps):
        nonlocal last
        now = time.monotonic()
        if now - last < 2: return
        last = now
        print(f'searching for a plan of {height:,} bytes: {steps:,} steps, {now - began:.0f} s', file=sys.stderr, flush=True)
    return tell


def cmd_plan(a):
    import json, os
    from tinyformer.files import write_text
    from tinyformer.hardware import parse_bytes
    from tinyformer.memory_alloc import plan, validate
    from tinyformer.minimalloc import csv_text, read_csv
    capacity = None if a.capacity is None else parse_bytes(a.capacity)
    if a.nodes < 0: raise BadInput(f'--nodes is {a.nodes}: give 0 or more.')
    beside = a.file.with_suffix('.plan.csv')
    out = a.out or (beside if os.access(beside.parent, os.W_OK) else Path(beside.name))
    for option, path in (('--out', out), ('--json', a.json)):
        if path and Path(path).resolve() == a.file.resolve(): raise BadInput(f'{option} would replace {a.file}: give another name.')
    found = plan(read_csv(a.file), a.align, capacity, a.nodes, a.seed, _searching())
    validate(found)
    write_text(out, csv_text(found))
    if a.json:
        row = dict(peak=found.peak, lower_bound=found.lower_bound, seconds=round(found.seconds, 3), proven=found.proven, method=found.method,
                   capacity=capacity, seed=a.seed, offsets=found.offsets)
        if a.json == '-': return print(json.dumps(row, indent=1))
        write_text(a.json, json.dumps(row, indent=1) + '\n')
    fixed = sum(i.fixed is not None for i in found.intervals)
    print(f"peak {found.peak:,} bytes, lower bound {found.lower_bound:,}, {found.seconds:.2f} s, proven {'yes' if found.proven else 'no'} ({found.method})\n"
          + f'{fixed} of {len(found.intervals)} offsets are those of the column offset\n' * bool(fixed) + f'offsets: {out}')


def cmd_evaluate(a):
    import json
    from tinyformer import zoo
    from tinyformer.files import write_json
    how = zoo.Setting(target=a.target, flash=a.flash, sram=a.sram, cc=a.cc, objective=a.objective, memory=a.memory)
    graph, quiet = zoo.load(a.what), not sys.stderr.isatty() and not a.progress
    if a.report:
        card = zoo.report(graph, a.data, tuple(a.notes or ()), a.images, a.device_images, a.compare, how, not quiet, zoo.words(a.argv))
        write_json(a.report, card)
        print('\n'.join(f'{k:<38} {v}' for k, v in zoo.card_table(card)) + f'\n\nwritten to {a.report}')
        r = dict(bytes_different=sum(v[1] for v in card['bytes'].values()))
    else:
        r = zoo.evaluate(graph, a.data, a.on, a.images, a.compare, how, not quiet)
        print(json.dumps(r, indent=1) if a.json == '-' else zoo.evaluation_text(r))
        if a.json not in (None, '-'): write_json(a.json, r)
    if r['bytes_different']: raise TinyFormerError(f"{r['bytes_different']} output bytes differ from the reference: a kernel or a compiler is wrong. Please report it with the model file.")


def cmd_zoo(a):
    from tinyformer import zoo
    if a.add:
        if not a.name or not a.card: raise BadInput('--add needs --name NAME and --card FILE.json, which tinyformer evaluate FILE --report FILE.json writes')
        return print(f'{zoo.add(a.add, a.name, a.card, a.folder, a.again)}: in the zoo as {a.name}')
    if a.what: return print(f'{a.what}\n' + '\n'.join(f'{k:<38} {v}' for k, v in zoo.card_table(zoo.load(a.what, a.folder).card)))
    print(zoo.list(a.folder))


def cmd_targets(a):
    from tinyformer.hardware import targets
    print(f"{'name':<16}{'core':<14}{'flash':>10}{'SRAM':>10}{'MHz':>6}  board")
    for t in targets():
        print(f'{t.name:<16}{t.core:<14}{t.flash_bytes // 1024:>7} KB{t.sram_bytes // 1024:>7} KB{t.clock_hz // 10**6:>6}  {t.board}')


def _step_parser(sub, name, what, fn):
    p = sub.add_parser(name, help=what, description=what)
    p.add_argument('run', type=Path, help='run folder made by `tinyformer search` or `tinyformer demo`')
    p.add_argument('--again', action='store_true', help='do the step again, and forget the results of later steps')
    p.set_defaults(fn=fn)


def _model_parser(sub, name, what, fn):
    p = sub.add_parser(name, help=what, description=what)
    p.add_argument('what', help='run folder, or a model file (.tfm)')
    p.add_argument('--cc', default='auto', choices=['auto', 'zig', 'gcc'], help='compiler: auto takes arm-none-eabi-gcc when it is on the PATH, else zig (default: auto)')
    p.add_argument('--again', action='store_true', help='run folder: do the step again, and forget the results of later steps')
    g = p.add_argument_group('for a model file')
    g.add_argument('--target', default='stm32f746', help='see `tinyformer targets` (default: stm32f746)')
    g.add_argument('--flash', help='tighter flash limit, such as 32KB (default: what the target has)')
    g.add_argument('--sram', help='tighter SRAM limit, such as 16KB (default: what the target has)')
    g.add_argument('--out', type=Path, help='firmware folder (default: beside the model)')
    g.add_argument('--objective', default='bytes', choices=['bytes', 'speed'], help='kernels are chosen by the cost table for the smallest weights or for speed (default: bytes)')
    g.add_argument('--kernel', action='append', metavar='LAYER=FUNCTION[:BLOCK]', help='another kernel than the chosen one for a layer, such as head=tfm_linear_s8_rle_dsp:1x4; may be given again')
    g.add_argument('--memory', default='low', choices=['fast', 'low', 'least'], help='chains of layers run band by band: never, where that lowers the arena at little cost, or wherever it lowers it (default: low)')
    p.set_defaults(fn=fn)
    return p


def parser(argv):
    "Everything that can be typed after `tinyformer`; the settings, which need torch, only where `argv` asks for them."
    p = argparse.ArgumentParser(prog='tinyformer', description='Search, train, compress, compile and run sparse int8 transformers for microcontrollers.')
    p.add_argument('--version', action='version', version=f'tinyformer {__version__}')
    p.add_argument('--debug', action='store_true', help='show the traceback of an error')
    sub = p.add_subparsers(required=True, metavar='command')
    for name, what, fn, out in [('demo', 'the whole pipeline: search, train, compress, compile, run on the emulated core, report', cmd_demo, 'runs/demo'),
                                ('search', 'SuperNAS and SparseNAS: find the best path for a target', cmd_search, 'runs/search')]:
        d = sub.add_parser(name, help=what, description=f'{what[0].upper()}{what[1:]}. A killed run continues when the same command is given again.')
        d.add_argument('--out', type=Path, default=Path(out), help=f'run folder (default: {out})')
        d.add_argument('--fresh', action='store_true', help='forget what the run folder holds and start over')
        if name in argv: _add_settings(d)
        if name == 'search': _search_parser(d)
        d.set_defaults(fn=fn, argv=argv)
    _step_parser(sub, 'train', 'train the winner of a search in float', cmd_train)
    _step_parser(sub, 'compress', 'prune the trained winner in blocks and quantise it to int8', cmd_compress)
    _model_parser(sub, 'compile', 'generate C for a run or a model file and link it', cmd_compile)
    s = _model_parser(sub, 'simulate', 'run test images on the emulated core and compare every output byte with the reference', cmd_simulate)
    s.add_argument('--dataset', default='digits', help='for a model file: whose test images (default: digits)')
    s.add_argument('--images', type=int, default=0, help='for a model file: how many images (default: all)')
    s.add_argument('--qemu', action='store_true', help='run folder: also run one image under qemu-system-arm and compare bytes and instructions')
    what = "train candidates of a finished search as its winner is trained, to see whether the search's order survives (Kendall's tau)"
    r = sub.add_parser('rank', help=what, description=f'{what[0].upper()}{what[1:]}. A killed run continues.')
    r.add_argument('run', type=Path, help='run folder made by `tinyformer search` or `tinyformer demo`')
    r.add_argument('--models', type=int, default=8, metavar='N', help='candidates, spread over the accuracies of the search (default: 8)')
    _storage(r)
    r.set_defaults(fn=cmd_rank)
    _step_parser(sub, 'report', 'write report.json and report.md of a finished run', cmd_report)
    _bench_parser(sub)
    what = 'place buffers of fixed life and size in one arena'
    q = sub.add_parser('plan', help=what, description=f'{what[0].upper()}{what[1:]}: a CSV of id,lower,upper,size (MiniMalloc\'s format) gets an offset column.')
    q.add_argument('file', type=Path, metavar='FILE.csv', help='rows of id,lower,upper,size; a buffer lives from lower up to, not including, upper (or to the last step in a column end). '
                   'Columns alignment, gaps, hint and offset are honoured, any other is refused')
    q.add_argument('--capacity', metavar='N', help='bytes there are, such as 1048576 or 1MB: the search stops at a plan that fits, and none is an error (default: as low as can be)')
    q.add_argument('--align', type=int, default=1, metavar='N', help='every offset is a multiple of it (default: 1)')
    q.add_argument('--nodes', type=int, default=1_000_000, metavar='N', help='steps of each part of the search at most; it never looks at the clock, so every machine makes the same plan (default: %(default)s)')
    q.add_argument('--seed', type=int, default=1, metavar='N', help='of the orders that the search tries (default: 1)')
    q.add_argument('--out', type=Path, metavar='FILE', help='where the rows with their offsets go (default: FILE.plan.csv, in the current folder if that of FILE is read-only)')
    q.add_argument('--json', metavar='FILE', help='write peak, lower bound, seconds, proven and offsets as JSON; - prints them')
    q.set_defaults(fn=cmd_plan)
    _zoo_parsers(sub, argv)
    sub.add_parser('targets', help='list the known boards', description='List the known boards with core, flash, SRAM and clock.').set_defaults(fn=cmd_targets)
    return p


def _zoo_parsers(sub, argv):
    what = 'accuracy of any model on any images, by the reference, on this machine or on the emulated core, with every output byte compared'
    p = sub.add_parser('evaluate', help=what, description=f'{what[0].upper()}{what[1:]}.')
    p.add_argument('what', metavar='NAME|FILE', help='a shipped model, see `tinyformer zoo`, or a model file (.tfm)')
    p.add_argument('--data', metavar='FILE.npz', help="x_test (uint8 [n, h, w, c]) and y_test, or the name of a data set (default: the model's own data set)")
    p.add_argument('--on', default='reference', choices=['reference', 'host', 'device'], help='NumPy operators, the C compiled for this machine, or the C on the emulated core (default: reference)')
    p.add_argument('--images', type=int, metavar='N', help='the first N images (default: all)')
    p.add_argument('--compare', type=int, metavar='N', help='compare the bytes of the first N images only; the reference takes about 2 s per 10 G MACs (default: all)')
    p.add_argument('--json', metavar='FILE', help='write the result as JSON; - prints it instead of the text')
    p.add_argument('--progress', action='store_true', help='show the bar even when the output is no terminal')
    g = p.add_argument_group('what decides the C')
    g.add_argument('--target', default='stm32f746', help='see `tinyformer targets` (default: stm32f746)')
    g.add_argument('--flash', default='', metavar='SIZE', help='tighter flash limit, such as 512KB (default: what the target has)')
    g.add_argument('--sram', default='', metavar='SIZE', help='tighter SRAM limit, such as 128KB (default: what the target has)')
    g.add_argument('--cc', default='auto', choices=['auto', 'zig', 'gcc'], help='compiler (default: auto)')
    g.add_argument('--objective', default='bytes', choices=['bytes', 'speed'], help='kernels for the smallest weights or for speed (default: bytes)')
    g.add_argument('--memory', default='low', choices=['fast', 'low', 'least'], help='see `tinyformer compile --help` (default: low)')
    g = p.add_argument_group('a card for the zoo')
    g.add_argument('--report', metavar='FILE.json', help='measure on host (all images) and device, with memory, instructions and cycles, and write a card')
    g.add_argument('--device-images', type=int, default=200, metavar='N', help='images for the device in a report (default: %(default)s)')
    g.add_argument('--notes', action='append', metavar='RUN|FILE.json', help='what training knows: a finished run folder, or JSON with ' + 'about, dataset, copy, licence, accuracy_float, accuracy_pruned, command, commit, seeds, hours, machine, versions; may be given again')
    p.set_defaults(fn=cmd_evaluate, argv=argv)
    what = 'list the shipped models, show the card of one, or add one'
    p = sub.add_parser('zoo', help=what, description=f'{what[0].upper()}{what[1:]}.')
    p.add_argument('what', nargs='?', metavar='NAME', help='show the card of this model')
    p.add_argument('--add', metavar='FILE.tfm', help='put a model on the shelf')
    p.add_argument('--name', help='under this name: letters, digits, - and _')
    p.add_argument('--card', metavar='FILE.json', help='what `tinyformer evaluate FILE.tfm --report FILE.json` wrote')
    p.add_argument('--again', action='store_true', help='replace a model of that name')
    p.add_argument('--folder', type=Path, help="folder of models and cards (default: the package's own)")
    p.set_defaults(fn=cmd_zoo)


def _storage(g):
    import os
    g.add_argument('--storage', default=os.environ.get('TINYFORMER_STORAGE'), metavar='URL', help='where the trials are kept, for workers on several machines, such as '
                   'postgresql://user@server/database; every machine needs a copy of the run folder (default: $TINYFORMER_STORAGE, or SQLite in the run folder)')
    g.add_argument('--study', metavar='NAME', help="name of the search in the storage (default: the supernet's name)")


def _search_parser(p):
    g = p.add_argument_group('many workers')
    g.add_argument('--workers', type=int, default=1, metavar='N', help='processes that search on this machine (default: %(default)s); the same command given once more joins as well')
    _storage(g)


OPS = ('pointwise', 'linear', 'conv3x3', 'depthwise3x3', 'fully_connected', 'layernorm', 'add', 'avgpool', 'maxpool2x2', 'attention',
       'matmul_qk', 'softmax', 'matmul_av')


def _bench_parser(sub):
    what = 'count the instructions and estimate the cycles of a layer, a suite or a network on the emulated Cortex-M7, and compare its bytes with NumPy'
    p = sub.add_parser('bench', help=what, description=f'{what[0].upper()}{what[1:]}. Weights and inputs are random. Cycles need llvm-mca.')
    g = p.add_argument_group('what to measure')
    g.add_argument('--op', default='pointwise', choices=OPS, help='one layer: its operator (default: pointwise)')
    g.add_argument('--suite', choices=['anchors'], help='every layer that other engines were measured on, with ratios over dense CMSIS-NN')
    g.add_argument('--network', metavar='FILE', help='a whole network: R or P, which come with the package, or an architecture as a JSON file')
    g.add_argument('--fit', action='store_true', help='measure every kernel and write the cost table that choices are made by (minutes)')
    g.add_argument('--record', metavar='FILE', help='the suite and networks R and P with arm-none-eabi-gcc at -O3, as the JSON file of the benchmark page')
    g = p.add_argument_group('one layer')
    for name, text in dict(h='input height, pixels (default: 8)', w='input width, pixels (default: 8)', cin='input channels (default: 16)',
                           cout='output channels (default: as many as cin)', tokens='rows of linear, layernorm, attention and its steps (default: h*w)',
                           heads='attention heads (default: 4)', stride='stride of a convolution (default: 1)', seed='seed of weights and inputs (default: 0)').items():
        g.add_argument(f'--{name}', type=int, default=None, metavar='N', help=text)
    g.add_argument('--block', choices=['1x1', '1x2', '1x4', 'dense'], help="block shape of the stream (default: the engine's choice)")
    g.add_argument('--kernel', help="C function (default: the engine's choice)")
    g = p.add_argument_group('how')
    g.add_argument('--sparsity', type=float, nargs='+', metavar='S', help='share of blocks that are zero, 0 to 1; several give a row each '
                   '(default: 0; suite: 0 0.5 0.7 0.8 0.9 0.95; network: what its file says)')
    g.add_argument('--objective', default='speed', choices=['speed', 'bytes'], help="what the engine's own choice goes by: fewest cycles or smallest weights (default: speed)")
    g.add_argument('--cc', default='auto', choices=['auto', 'zig', 'gcc'], help='compiler (default: auto)')
    g.add_argument('--optimize', help='optimisation level, as --optimize=-O3 (default: -O2, as images are built; suite and network: -O3, as the other engines were)')
    g.add_argument('--json', metavar='FILE', help='write the rows as JSON; - prints them instead of the table')
    p.set_defaults(fn=cmd_bench)


def explain(e):
    "One line for a person, or None when the error is not one that we foresaw."
    text = f'{type(e).__name__}: {e}'
    if isinstance(e, TinyFormerError): return str(e)
    if isinstance(e, KeyboardInterrupt): return 'interrupted; give the same command again to continue'
    if isinstance(e, OSError) and e.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM):
        return f'cannot write {e.filename or "a file"}: {e.strerror}. Free some space, or choose a folder you can write to with --out.'
    if 'sqlalchemy' in type(e).__module__ or 'optuna' in type(e).__module__:
        return f'the search database cannot be used ({str(e).splitlines()[0]}). Free some space, or choose another folder with --out.'
    if isinstance(e, RuntimeError) and 'PytorchStreamWriter' in text or 'unexpected pos' in text:
        return 'cannot write a checkpoint: the disk is full. Free some space and give the same command again.'


def main(argv=None):
    "Parse the command line and run it; errors become one line unless --debug is given."
    argv = list(sys.argv[1:] if argv is None else argv)
    debug = '--debug' in argv
    if debug: argv = ['--debug'] + [a for a in argv if a != '--debug']
    try:
        args = parser(argv).parse_args(argv)
        args.fn(args)
    except (Exception, KeyboardInterrupt) as e:
        if debug: raise
        print(f'tinyformer: {explain(e) or f"unexpected {type(e).__name__}: {e}. This is a bug: the same command with --debug shows where."}', file=sys.stderr)
        return 130 if isinstance(e, KeyboardInterrupt) else 1
    return 0


if __name__ == '__main__': sys.exit(main())
