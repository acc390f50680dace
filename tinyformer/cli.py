"""The command `tinyformer`: every step of the pipeline, and what helps around it.

A command is a function `cmd_NAME`: its docstring, its arguments, their defaults and docments are what `--help`
shows."""
import argparse, contextlib, errno, json, os, shlex, subprocess, sys
from pathlib import Path
from typing import Annotated

from tinyformer import __version__
from tinyformer.console import Output, add_options, check_options, check_output, quietly, visible
from tinyformer.errors import BadInput, TinyFormerError

COMMANDS = {}
MANY = 10**9


def command(record=None):
    """Register `cmd_NAME` as a command; the fields of the class that `record()` gives are options too, and come as
    keywords when typed."""
    def register(f):
        COMMANDS[f.__name__.removeprefix('cmd_')] = f
        f.record = record
        return f
    return register


def _run_settings():
    from tinyformer.pipeline import RunConfig
    return RunConfig


def _c_settings():
    from tinyformer.zoo import Setting
    return Setting


# ---- a person's own network ------------------------------------------------------------------------------------------

Share = Annotated[float, (0., 1e9)]


@command()
def cmd_deploy(
    # an ONNX file (.onnx), a torch.export program (.pt2), a model file (.tfm), or module.py:function, a function
    # without arguments that gives the network
    model:str,
    *,
    weights:str = '', # for a function: file of torch.save(net.state_dict(), FILE); read without running code
    # FILE.npz with x (uint8 pictures [n, h, w, c], or floats as the network reads them; of several inputs the values
    # side by side [n, values], each channels last) and, where there are labels, y; or x_train, x_test, y_train, y_test
    # (default: random inputs, which show sizes and times and no answers)
    data:str = '',
    target:str = 'stm32f746', # board, see `tinyformer targets`
    flash:str = '', # tighter flash limit, such as 256KB (default: what the target has)
    sram:str = '', # tighter SRAM limit, such as 64KB (default: what the target has)
    max_ms:Share = 0., # limit of the estimated time per inference, milliseconds; 0 is none
    max_instructions:Annotated[int, (0, 10**15)] = 0, # limit per inference; 0 is none
    # auto: as few weights go as the limits ask for, from the layers where it hurts least; or the share that goes, 0 to
    # 0.95
    sparsity:str = 'auto',
    finetune:Annotated[int, (0, 100_000)] = 0, # epochs of training while pruning, with the dense network as teacher
    # layers in bands: fast never, low where that is cheap, least wherever it saves; auto: as it fits
    memory:str = 'auto',
    # kernels are chosen for the smallest weights (bytes), or for speed; ms: kernels and bands together, the fastest
    # that fits of all ways to compile the model, each built and run once
    objective:str = 'bytes',
    cc:str = 'auto', # compiler: auto, zig or gcc
    device_inputs:Annotated[int, (1, 1_000_000)] = 50, # test inputs that run on the emulated core
    # change pictures in training: none; shift (up to an eighth of the height, any way); flip (shift, and half of them
    # mirrored left to right)
    augment:str = 'none',
    lr:Annotated[float, (1e-9, 10.)] = 5e-3, # peak learning rate of the training
    batch_size:Annotated[int, (1, 1_000_000)] = 64, # inputs per training step
    seed:Annotated[int, (0, 2**32 - 1)] = 0, # of the training
    integrity:bool = False, # with a checksum of the constants, CRC-32, which the image compares at its start
    out:Path = None, # folder of the results (default: runs/NAME of the model)
    fresh:bool = False, # forget what the folder holds and start over
):
    """Your own network as firmware that fits: import, int8, prune to the budget, C, run on the emulated core, report.
    A killed run continues when the same command is given again."""
    from tinyformer import deploy
    from tinyformer.modelfile import safe_name
    given = {k: v for k, v in locals().items() if k in deploy.Settings.__dataclass_fields__}
    cfg = deploy.Settings(**given)
    folder = out or Path('runs')/safe_name(Path(model.rpartition(':')[2] if '.py:' in model else model).stem)
    deploy.check(cfg)
    if fresh: deploy.forget(folder)
    deploy.go(folder, cfg)


@command()
def cmd_fit(
    model:str, # as for `tinyformer deploy`
    *,
    weights:str = '', # for a function: file of torch.save(net.state_dict(), FILE)
    data:str = '', # FILE.npz as for `tinyformer deploy` (default: random inputs; sizes and times are the same)
    target:str = 'stm32f746', # board, see `tinyformer targets`
    flash:str = '', # tighter flash limit, such as 256KB (default: what the target has)
    sram:str = '', # tighter SRAM limit, such as 64KB (default: what the target has)
    max_ms:Share = 0., # limit of the estimated time per inference, milliseconds; 0 is none
    max_instructions:Annotated[int, (0, 10**15)] = 0, # limit per inference; 0 is none
    memory:str = 'auto', # layers in bands: fast, low or least
    # kernels for the smallest weights (bytes), or for speed; ms counts those for speed, and `tinyformer deploy` then
    # takes the fastest way
    objective:str = 'bytes',
    cc:str = 'auto', # compiler: auto, zig or gcc
    json:Annotated[Output, 'fits'] = None, # write the rows as JSON; - prints them
):
    "Does a network fit a board, and if not, what would make it: flash, SRAM and time, before anything is trained."
    from dataclasses import asdict
    from tinyformer import deploy, fitting
    from tinyformer.files import write_text
    given = {k: v for k, v in locals().items() if k in deploy.Settings.__dataclass_fields__}
    cfg = deploy.Settings(**given)
    deploy.check(cfg)
    opened, examples = deploy.opened_with(cfg)
    _, now, rows = fitting.fit_report(opened.net or opened.graph, examples.x, cfg)
    text = _json([asdict(r) for r in (now, *rows)])
    if json not in (None, '-'): write_text(json, text + '\n')
    print(text if json == '-' else fitting.fit_text(opened.name, cfg, now, rows))


# ---- the road --------------------------------------------------------------------------------------------------------

def _begin(folder, fresh, given):
    "The settings of a run that is about to begin, checked before anything is forgotten or written."
    from tinyformer import pipeline
    cfg = pipeline.settings(pipeline.defaults(given.get('dataset', 'digits')), **given)
    pipeline.check_run(cfg)
    if fresh: pipeline.forget(folder)
    return cfg


def _steps(run, *names, again=False, **kw):
    "Do some steps of a run; `kw` goes to the last."
    from tinyformer import pipeline
    if again: pipeline.forget(run.folder, names[0])
    for n in names: pipeline.do(run, n, **(kw if n == names[-1] else {}))


@command(record=_run_settings)
def cmd_demo(
    *,
    out:Path = Path('runs/demo'), # run folder
    fresh:bool = False, # forget what the run folder holds and start over
    **given, # settings of the run
):
    """The whole pipeline: search, train, compress, compile, run on the emulated core, report. A killed run continues
    when the same command is given again."""
    from tinyformer import pipeline
    pipeline.go(out, _begin(out, fresh, given))


def _one_prepares(run):
    """Hold the run's settings file while the supernet is chosen and trained; whoever comes meanwhile waits and finds
    it done."""
    try: import fcntl
    except ImportError: return contextlib.nullcontext()
    f = open(run.path('run.json'))
    try: fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        run.say(f'another process is preparing {run.folder}: waiting for its supernet')
        fcntl.flock(f, fcntl.LOCK_EX)
    return f


def _more_workers(workers, argv):
    "Start the same command `workers` - 1 times more; give the processes."
    alone = [w for w in argv if w != '--fresh'] + ['--workers', '1']
    one = [sys.executable, '-m', 'tinyformer.cli', *alone]
    return [subprocess.Popen(one, stdout=subprocess.DEVNULL) for _ in range(workers - 1)]


@command()
def cmd_ablate(
    *,
    data:str = 'digits', # digits or gtsrb; cifar10 for the counts alone
    only:str = '', # one row and those that it is compared with, or counts (default: all)
    seeds:Annotated[int, (1, 1000)] = 3, # how many times, each with another seed
    images:Annotated[int, (1, 10**12)] = None, # budget of a row's trainings, as `tinyformer demo` takes it
    trials:Annotated[int, (1, 1_000_000)] = None, # candidates of each search
    out:Path = Path('runs/ablate'), # folder of the runs
    record:Annotated[Output, 'runs'] = None, # JSON file of the results; what it holds already is not run again
    _argv:list = (), # what was typed
):
    """What each part of the road is worth: the road with one step changed, at the same budget, with several seeds. A
    killed command continues when it is given again."""
    from tinyformer import ablation
    from tinyformer.zoo import words
    file = Path(record or out/f'{data}.json')
    held = ablation.record(file, data, only, seeds, out, images, trials, words(_argv))
    if held['runs']: print(f'\n{ablation.table(held["runs"], data)}')
    if held['counts']: print(f'\n{ablation.ways_table(held["counts"])}\n\n{ablation.steps_table(held["counts"])}')
    print(f'\n{file}')


@command()
def cmd_map(
    *,
    data:str = 'gtsrb', # data set of small images, see `tinyformer search --help`
    images:Annotated[int, (1, 10**12)] = None, # shown in each training (default: 60000)
    seeds:Annotated[int, (1, 1000)] = 1, # how many times, each with another seed
    out:Path = Path('runs/map'), # folder of the checkpoints
    record:Annotated[Output, 'runs'] = None, # JSON file of the results; what it holds already is not run again
    _argv:list = (), # what was typed
):
    """Accuracy over limits of flash and SRAM: networks of one family, trained with the same number of images. A killed
    command continues when it is given again."""
    from tinyformer import size_map
    from tinyformer.zoo import words
    given = dict(dataset=data) | (dict(images=images) if images else {})
    cfg, file = size_map.MapConfig(**given), Path(record or out/f'{data}.json')
    held = size_map.record(file, cfg, seeds, out, words(_argv))
    print(f'\n{size_map.nets_table(held["runs"])}\n\n{size_map.map_table(held["runs"], cfg.flash)}\n\n{file}')


@command(record=_run_settings)
def cmd_search(
    *,
    out:Path = Path('runs/search'), # run folder
    fresh:bool = False, # forget what the run folder holds and start over
    # processes that search on this machine; the same command given once more joins as well
    workers:Annotated[int, (1, 1000)] = 1,
    # URL of a database for workers on several machines, such as postgresql://user@server/database; each machine needs
    # a copy of the run folder (default: $TINYFORMER_STORAGE, or SQLite in the run folder)
    storage:str = None,
    study:str = None, # name of the search in the storage (default: the supernet's name)
    _argv:list = (), # what was typed
    **given, # settings of the run
):
    """SuperNAS and SparseNAS: find the best path for a target. A killed run continues when the same command is given
    again."""
    from tinyformer import pipeline
    from tinyformer.sparsenas import check_storage
    storage = storage or os.environ.get('TINYFORMER_STORAGE')
    check_storage(storage)
    run = pipeline.Run(out, _begin(out, fresh, given))
    with _one_prepares(run): _steps(run, 'supernas', 'supernet')
    more = _more_workers(workers, _argv)
    try: _steps(run, 'sparsenas', storage=storage, study=study)
    finally: failed = sum(p.wait() != 0 for p in more)
    if failed:
        print(f'tinyformer: {failed} of {workers} workers ended early; the others did their trials', file=sys.stderr)


@command()
def cmd_train(
    run:Path, # run folder made by `tinyformer search` or `tinyformer demo`
    *,
    again:bool = False, # do the step again, and forget the results of later steps
):
    "Train the winner of a search in float."
    from tinyformer.pipeline import Run
    _steps(Run(run), 'train', again=again)


@command()
def cmd_compress(
    run:Path, # run folder made by `tinyformer search` or `tinyformer demo`
    *,
    again:bool = False, # do the step again, and forget the results of later steps
):
    "Prune the trained winner in blocks and quantise it to int8."
    from tinyformer.pipeline import Run
    _steps(Run(run), 'prune', 'quantize', again=again)


def _only_cc(what, **given):
    "The compiler for a run folder, whose settings decide all else."
    odd = [f"--{k.replace('_', '-')}" for k, v in given.items() if k != 'cc' and v]
    if odd: raise BadInput(f'{odd[0]} is for a model file; {what} is a run folder, whose settings decide')
    return given.get('cc', 'auto')


def _no_step(what, **given):
    "Refuse what only the steps of a run folder can do."
    odd = [f'--{k}' for k, v in given.items() if v]
    if odd: raise BadInput(f'{odd[0]} is for a run folder; {what} is a model file')


RANDOM = ('ranges come from random inputs, not from your data: sizes and times are right, answers are not. Give --data '
          'FILE.npz before you trust one.')


def _graph_of(what, data, weights):
    "The int8 graph of a model file, or of a float network with the ranges of some data."
    from tinyformer.graph import load
    if str(what).endswith('.tfm'):
        if data: raise BadInput('a model file (.tfm) has its ranges inside: --data is for a float network')
        return load(what)
    from tinyformer.deploy import Settings, graph_of
    graph, made_up = graph_of(Settings(str(what), weights or '', data or ''))
    if made_up: print(f'{graph.name}: {RANDOM}')
    return graph


def _model_firmware(what, out, kernel, setting, data=None, weights=None, **kw):
    "Firmware of a model in a folder of its own; `kw` as `generate` takes it."
    from tinyformer.codegen import generate
    from tinyformer.overrides import parse_overrides
    from tinyformer.zoo import Setting
    path, how = Path(what.partition(':')[0]), Setting(**setting)
    if not path.is_file():
        raise BadInput(f'{path} is neither a run folder nor a model (.tfm, .onnx, .pt2 or module.py:function). Make '
                       'one with: tinyformer demo')
    board, graph = how.board(), _graph_of(what, data, weights)
    folder = out or path.with_name(f'{path.stem}_firmware')
    if how.objective == 'ms': how = _fastest(graph, how, kernel, 'memory' in setting)
    return generate(graph, board, folder, choices=parse_overrides(graph, kernel or (), board), objective=how.objective,
                    memory=how.memory, **kw)


def _fastest(graph, how, kernel, only):
    "The settings of the fastest way to compile a model, after a run of each; with `only` no other bands than asked."
    from dataclasses import replace
    from tinyformer import tradeoff as tr
    from tinyformer.cycles import milliseconds, require_cycles
    if kernel: raise BadInput('--objective ms chooses all kernels: leave --kernel out, or take --objective speed')
    board = how.board()
    require_cycles(board, '--objective ms')
    bands = dict(memory=(how.memory,)) if only else {}
    ways = [tr.measured(w, graph, board, how.cc) for w in tr.ways(graph, board, **bands)]
    best = tr.fastest(ways, board)
    for w in tr.front(ways):
        took = f'{milliseconds(w.cycles, board):>9.2f} ms'
        print(f'{w.arena:>9,} bytes of arena {took}  {w.name}' + '  (taken)' * (w == best))
    return replace(how, objective=best.kernels, memory=best.memory)


def _kernel_lines(fw):
    "One line per operator: its kernel, its bytes, what it is predicted to cost."
    width = max(map(len, fw.choices))
    for name, c in fw.choices.items():
        stored = f'1x{c.block}' if c.block else 'dense'
        cycles = '' if c.cycles is None else f', {c.cycles:,} cycles'
        yield (f'  {name:<{width}}  {c.kernel.name:<24} {stored:<6}{c.weight_bytes:>8,} bytes of weights, '
               f'predicted {c.instructions:,} instructions{cycles}')


def _server(fw, what, setting):
    "Link the image that answers over a serial line, and say what it is for."
    from tinyformer.errors import DoesNotFit
    from tinyformer.simulator import build
    try: image = build(fw, cc=setting.get('cc', 'auto'), serial=True)
    except DoesNotFit as e: return print(f'  no image that answers over a serial line: {e}')
    print(f'  {image.elf} answers over a serial line when it is in the flash of {fw.port}: tinyformer board PORT '
          f'{what}')


@command(record=_c_settings)
def cmd_compile(
    what:str, # run folder, or a model: .tfm, .onnx, .pt2 or module.py:function
    *,
    again:bool = False, # run folder: do the step again, and forget the results of later steps
    out:Path = None, # model: firmware folder (default: beside the model)
    data:str = None, # float model: FILE.npz that sets the ranges, as for `tinyformer deploy` (default: random inputs)
    weights:str = None, # module.py:function: file of torch.save(net.state_dict(), FILE)
    # model: LAYER=FUNCTION[:BLOCK], another kernel than the chosen one, such as head=tfm_linear_s8_rle_dsp:1x4;
    # may be given again
    kernel:list[str] = None,
    # model: do not run the C on this machine and compare it with the reference before it is written
    no_check:bool = False,
    # model file: board whose start-up code and addresses the image gets, or host for C without them, for a project of
    # your own (default: the target's)
    port:str = None,
    # model file: what the names of functions, constants and macros begin with, such as kws; two models in one firmware
    # need two (default: from the model's name)
    prefix:str = None,
    # model: with a checksum of the constants, CRC-32, which the image compares at its start
    integrity:bool = False,
    **setting, # what decides the C
):
    "Generate C for a run or a model file, run it once on this machine, and link it."
    from tinyformer.kernels import cost_table
    from tinyformer.pipeline import Run, result
    from tinyformer.simulator import build
    if Path(what).is_dir():
        own = dict(out=out, kernel=kernel, port=port, prefix=prefix, data=data, weights=weights, no_check=no_check,
                   integrity=integrity)
        run, cc = Run(what), _only_cc(what, **own, **setting)
        other = run.path('compile.json').exists() and result(run, 'compile')['cc'] != cc
        return _steps(run, 'compile', again=again or other, cc=cc)
    _no_step(what, again=again)
    fw = _model_firmware(what, out, kernel, setting, data, weights, check=not no_check, port=port, prefix=prefix,
                         integrity=integrity)
    image = fw.port != 'host' and build(fw, cc=setting.get('cc', 'auto'))
    for line in _kernel_lines(fw): print(line)
    if note := cost_table(fw.target.core).note: print(f'  {note}')
    if (fw.folder/'board').is_dir(): _server(fw, what, setting)
    linked, by = f'{fw.weights_bytes:,} bytes of constants, not linked', ''
    if image: linked, by = f'{image.flash_bytes:,} bytes of flash', f', {image.compiler}'
    print(f'{fw.folder}: {linked}, arena {fw.arena_bytes:,} bytes{by}; entry {fw.prefix}_invoke')


def _any_graph(what, data, weights):
    "The int8 graph of a shipped model, a model file or a float network."
    from tinyformer import zoo
    return zoo.load(what) if what in zoo.names() else _graph_of(what, data, weights)


@command(record=_c_settings)
def cmd_export(
    what:str, # a shipped model, or a model: .tfm, .onnx, .pt2 or module.py:function
    *,
    format:str = 'cmake', # cmake, platformio, arduino, zephyr, esp-idf or cubemx
    out:Path = None, # folder (default: NAME_FORMAT of the model, here)
    data:str = None, # float model: FILE.npz that sets the ranges, as for `tinyformer deploy` (default: random inputs)
    weights:str = None, # module.py:function: file of torch.save(net.state_dict(), FILE)
    prefix:str = None, # what the names of functions, constants and macros begin with (default: from the model's name)
    no_check:bool = False, # do not run the C on this machine and compare it with the reference before it is written
    integrity:bool = False, # with a checksum of the constants, CRC-32, which the example compares before it runs
    **setting, # what decides the C
):
    """A model as a folder for somebody else's build system: C99, the kernels that it uses and no others, licence, five
    steps, and an example that prints the answer for a stored input."""
    from tinyformer.export import FORMATS, export
    from tinyformer.zoo import Setting
    graph, how = _any_graph(what, data, weights), Setting(**setting)
    folder = out or Path(f"{graph.name}_{format.replace('-', '_')}")
    fw = export(graph, how.board(), format, folder, prefix, objective=how.objective, memory=how.memory,
                check=not no_check, integrity=integrity)
    print(f'{folder}: {FORMATS[format].title}, {fw.weights_bytes:,} bytes of constants, arena {fw.arena_bytes:,} '
          f'bytes; entry {fw.prefix}_invoke. README.md has the five steps.')


@command(record=_c_settings)
def cmd_size(
    what:str, # a shipped model, or a model: .tfm, .onnx, .pt2 or module.py:function
    *,
    data:str = None, # float model: FILE.npz that sets the ranges (default: random inputs; the sizes are the same)
    weights:str = None, # module.py:function: file of torch.save(net.state_dict(), FILE)
    json:Annotated[Output, 'operators'] = None, # write the sizes as JSON; - prints them instead of the tables
    **setting, # what decides the C
):
    """Where the bytes of a model's image go: flash by operator, weights, tables and code, SRAM by arena, variables and
    stack, and how far each limit is."""
    import tempfile
    from tinyformer import sizes
    from tinyformer.codegen import generate
    from tinyformer.files import write_json
    from tinyformer.simulator import build
    from tinyformer.zoo import Setting
    graph, how = _any_graph(what, data, weights), Setting(**setting)
    with tempfile.TemporaryDirectory() as tmp:
        fw = generate(graph, how.board(), Path(tmp)/'fw', objective=how.objective, memory=how.memory)
        found = sizes.of_image(fw, build(fw, cc=how.cc))
    if json not in (None, '-'): write_json(json, found)
    print(_json(found) if json == '-' else sizes.text(found))


@command(record=_c_settings)
def cmd_simulate(
    what:str, # run folder, or a model file (.tfm)
    *,
    again:bool = False, # run folder: do the step again, and forget the results of later steps
    qemu:bool = False, # run folder: also run one image under qemu-system-arm and compare bytes and instructions
    out:Path = None, # model file: firmware folder (default: beside the model)
    # model file: another kernel for a layer, see `tinyformer compile --help`; may be given again
    kernel:list[str] = None,
    dataset:str = 'digits', # model file: whose test images
    images:Annotated[int, (0, MANY)] = 0, # model file: how many images; 0 is all
    **setting, # what decides the C
):
    "Run test images on the emulated core and compare every output byte with the reference."
    from tinyformer.pipeline import Run
    if not Path(what).is_dir():
        _no_step(what, again=again, qemu=qemu)
        return _simulate_model(_model_firmware(what, out, kernel, setting), dataset, images, setting)
    own = dict(out=out, kernel=kernel, images=images, dataset=dataset != 'digits')
    run, cc = Run(what), _only_cc(what, **own, **setting)
    _steps(run, 'simulate', again=again)
    if qemu: _qemu(run, cc)


def _simulate_model(fw, dataset, images, setting):
    "Accuracy, agreement and instructions of a model file on the test images of a data set."
    from tinyformer.cycles import time_text
    from tinyformer.graph import encode, run as reference
    from tinyformer.simulator import build, simulate
    from tinyformer.zoo import labelled
    x, y, source = labelled(fw.graph, dataset, images or None)
    x = encode(fw.graph, x)
    sim, ref = simulate(build(fw, cc=setting.get('cc', 'auto')), fw, x), reference(fw.graph, x)
    print(f'{len(x)} {source}: {(sim.outputs.argmax(1) == y).mean():.2%} right; '
          f'{(sim.outputs != ref).sum()} of {ref.size} bytes '
          f'differ from the reference; {sim.instructions:,.0f} instructions per inference; stack {sim.stack_bytes} '
          f'bytes; time per inference {time_text(sim.columns(), fw.target)}')


def _qemu(run, cc):
    from tinyformer.pipeline import compare_qemu
    d = compare_qemu(run, cc=cc)
    counts = d['qemu_instructions'], d['unicorn_instructions']
    print(f"QEMU and Unicorn on one image ({d['compiler']}): {d['bytes_different']} of {d['bytes_compared']} output "
          "bytes differ; "
          f'{counts[0]:,} and {counts[1]:,} instructions')
    if d['bytes_different'] or abs(counts[0] - counts[1]) > 2 * d['tick']:
        raise TinyFormerError('QEMU and Unicorn disagree: at least one of them is wrong about this image. Please '
                              'report it with the model file.')


@command()
def cmd_rank(
    run:Path, # run folder made by `tinyformer search` or `tinyformer demo`
    *,
    models:Annotated[int, (3, 10_000)] = 8, # candidates, spread over the accuracies of the search
    storage:str = None, # as the search was given (default: $TINYFORMER_STORAGE, or SQLite in the run folder)
    study:str = None, # as the search was given
):
    """Train candidates of a finished search as its winner is trained, to see whether the search's order survives
    (Kendall's tau). A killed run continues."""
    from tinyformer.one_shot import rank_agreement
    from tinyformer.ranking import agreement, rank
    from tinyformer.run_folder import Run
    run = Run(run)
    d = rank(run, models, storage or os.environ.get('TINYFORMER_STORAGE'), study)
    stages = 'judged', 'float', 'pruned', 'int8'
    print(f"{'trial':>5}" + ''.join(f'{s:>10}' for s in stages))
    for r in d['rows']: print(f"{r['trial']:>5}" + ''.join(f'{r[s]:>10.1%}' for s in stages))
    print(f"{rank_agreement(*agreement(d))}, on {d['val_images']} validation images; "
          f"{run.path('rank.json')}, {run.path('rank.png')}")


@command()
def cmd_report(
    run:Path, # run folder made by `tinyformer search` or `tinyformer demo`
    *,
    again:bool = False, # write it again
):
    "Write report.json and report.md of a finished run."
    from tinyformer import pipeline
    run = pipeline.Run(run)
    _steps(run, 'report', again=again)
    for what, value in pipeline.closing_table(pipeline.result(run, 'report')): print(f'{what:<28} {value}')


# ---- measuring -------------------------------------------------------------------------------------------------------

Size = Annotated[int, (1, 32_767)]                         # what the kernels take


def _check_layer(shape):
    "Refuse a layer whose tensors no board could hold, before anything as large is made."
    size = dict(h=8, w=8, cin=16) | shape
    channels = max(size['cin'], size.get('cout', 1))
    positions = max(size['h'] * size['w'], size.get('tokens', 1))
    most = channels * max(positions, 9 * size['cin'])
    if most > 1 << 24: raise BadInput(f'a tensor of this layer has {most:,} bytes: at most {1 << 24:,} can be measured')


def _bench_rows(network, suite, op, sparsity, block, kernel, optimize, shape, how):
    "Rows of what was asked for: a network, a suite, or one layer at each sparsity."
    from tinyformer import bench
    if op not in bench.OPS: raise BadInput(f"no operator {op!r}; there are {', '.join(bench.OPS)}")
    if network:
        if sparsity and len(sparsity) > 1:
            raise BadInput('a network is measured at one sparsity at a time: give --sparsity one number')
        if kernel or block:
            raise BadInput('--kernel and --block are for one layer; a network takes the block shapes of its file')
        seed = {k: v for k, v in shape.items() if k == 'seed'}
        return bench.measure_network(network, sparsity and sparsity[0], optimize=optimize or '-O3', **how, **seed)
    if suite == 'published':
        if kernel or block: raise BadInput('--kernel and --block are for one layer, not for whole networks')
        how = dict(how, optimize=optimize or '-O3', seed=shape.get('seed', 0))
        measured = bench.measure_published(sparsities=sparsity or bench.PUBLISHED_AT, **how)
        return [r for n in measured for r in n]
    block = 0 if block == 'dense' else block
    if suite:
        how = dict(how, optimize=optimize or '-O3', block=block, kernel=kernel)
        return bench.measure_suite(sparsity or bench.SPARSITIES, **how)
    _check_layer(shape)
    how = dict(how, optimize=optimize or '-O2', block=block, kernel=kernel, **shape)
    return [bench.measure(op, sparsity=s, **how) for s in sparsity or [0.]]


def _bench_text(rows, network, suite, board):
    "What a person reads: a table, and what it comes to."
    from tinyformer import bench, cycles, peers
    from tinyformer.kernels import MEASURED
    others = board.core == MEASURED                             # other engines ran on that core
    if suite == 'published': parts = [bench.published_text(rows)]
    else: parts = [(bench.network_text if network else bench.table_text)(rows, others)]
    if suite == 'anchors' and others: parts.append(peers.summary(rows))
    if any(r['est_cycles'] is None for r in rows):
        help = f" Install it: {cycles.install_hint('llvm')}" if board.cpu.cycle_model else ''
        parts.append(f'Cycles are {cycles.why_unknown(board)}.{help}')
    return '\n\n'.join(parts)


@command()
def cmd_bench(
    *,
    op:str = 'pointwise', # one layer: its operator; a wrong one lists all
    # anchors: every layer that other engines were measured on, with ratios over dense CMSIS-NN; published: four
    # networks beside what others measured on chips
    suite:str = None,
    # a whole network: R or P, which come with the package, one of the suite published (resnet8, mobilenetv2,
    # mobilenetv1, dscnn), or an architecture as a JSON file
    network:str = None,
    # measure every kernel, or --kernel alone, and write the cost table that choices for the core of --target are made
    # by (minutes), to --json
    fit:bool = False,
    target:str = 'stm32f746', # board whose core runs a layer or a network, or is fitted
    # digits, the CIFAR-10 models of the zoo and network R on every core that something here runs (minutes):
    # instructions of an inference, bytes compared, bytes different
    cores:bool = False,
    # the suite and networks R and P with arm-none-eabi-gcc at -O3, as the JSON file of the benchmark page; with
    # --suite published its networks, as that of the page on peers; with --cores every core with each of its compilers
    record:Annotated[Output, 'rows'] = None,
    h:Size = None, # input height, pixels (default: 8)
    w:Size = None, # input width, pixels (default: 8)
    cin:Size = None, # input channels (default: 16)
    cout:Size = None, # output channels (default: as many as cin)
    tokens:Size = None, # rows of linear, layernorm, attention and its steps (default: h*w)
    heads:Annotated[int, (1, 256)] = None, # attention heads (default: 4)
    keys:Annotated[int, (1, 1024)] = None, # rows of k and v of attention (default: tokens)
    vdim:Size = None, # width of v of attention (default: cin)
    causal:bool = False, # attention that sees no later token
    stride:Annotated[int, (1, 255)] = None, # stride of a convolution (default: 1)
    seed:Annotated[int, (0, 2**32 - 1)] = None, # seed of weights and inputs (default: 0)
    block:str = None, # block shape of the stream: 1x1, 1x2, 1x4 or dense (default: the engine's choice)
    kernel:str = None, # C function (default: the engine's choice)
    # share of blocks that are zero, 0 to 1; several give a row each (default: 0; suite anchors: 0 0.5 0.7 0.8 0.9 0.95;
    # suite published: 0 0.8; network: what its file says)
    sparsity:tuple[Annotated[float, (0., 1.)], ...] = None,
    objective:str = 'speed', # what the engine's own choice goes by: speed (fewest cycles) or bytes (smallest weights)
    cc:str = 'auto', # compiler: auto, zig or gcc
    # optimisation level, as --optimize=-O3 (default: -O2, as images are built; suite and network: -O3, as the other
    # engines were)
    optimize:str = None,
    json:Annotated[Output, 'kernel'] = None, # write the rows as JSON; - prints them instead of the table
    board:list[Path] = None, # instead, show a log of `tinyformer board`; may be given again
):
    """Count the instructions and estimate the cycles of a layer, a suite or a network on an emulated core, and
    compare its bytes with NumPy. Weights and inputs are random. Cycles need llvm-mca."""
    from tinyformer import bench, board as boards, hardware, peers
    from tinyformer.files import write_text
    if board: return print('\n\n'.join(boards.text(boards.summary(boards.read_log(f))) for f in board))
    if suite not in (None, 'anchors', 'published'):
        raise BadInput(f"no suite {suite!r}; there are 'anchors' and 'published'")
    if cores:
        given = [o for o, v in dict(fit=fit, suite=suite, network=network, kernel=kernel, block=block).items() if v]
        if given: raise BadInput(f"--cores measures every model on every core: leave out --{', --'.join(given)}")
        return _bench_cores(record, cc, optimize or '-O3', json)
    if fit:
        only = kernel and [kernel]
        bench.fit_cost_table(json if json != '-' else None, cc, optimize or '-O2', progress=print, only=only,
                             board=hardware.target(target))
        return
    if record:
        others = suite == 'published'
        out = (bench.record_published if others else bench.record)(record)
        seconds, layers, networks = out['meta']['seconds'], len(out['rows']), out['networks']
        found = bench.published_text([n[0] for n in networks]) if others else peers.summary(out['rows'])
        return print(f"{record}: {layers} layers, {len(networks)} networks, {seconds} s\n\n{found}")
    shape = dict(h=h, w=w, cin=cin, cout=cout, tokens=tokens, heads=heads, keys=keys, vdim=vdim,
                 causal=int(causal) or None, stride=stride, seed=seed)
    shape = {k: v for k, v in shape.items() if v is not None}
    how = dict(cc=cc, objective=objective, target_name=hardware.target(target).name)
    rows = _bench_rows(network, suite, op, sparsity, block, kernel, optimize, shape, how)
    text = _json(rows)
    print(text if json == '-' else _bench_text(rows, network, suite, hardware.target(target)))
    if json not in (None, '-'): write_text(json, text + '\n')
    if bad := sum(r['bytes_different'] or 0 for r in rows):
        raise TinyFormerError(f'{bad} output bytes differ from the NumPy reference: a kernel is wrong.')


def _bench_cores(record, cc, optimize, out):
    "Every model on every core: a table, and a file of it where one is asked for."
    from tinyformer import cores
    from tinyformer.files import write_text
    rows = cores.record(record) if record else cores.table(cc=cc, optimize=optimize)
    if out and out != '-': write_text(out, _json(rows) + '\n')
    print(_json(rows) if out == '-' else cores.text(rows))
    if bad := sum(r['bytes_different'] for r in rows):
        raise TinyFormerError(f'{bad} output bytes differ from the NumPy reference: a kernel or a compiler is wrong.')


def _json(found): return json.dumps(found, indent=1)


def _searching():
    "For a search that takes long: a line on stderr every few seconds."
    import time
    began = last = time.monotonic()
    def tell(height, steps):
        nonlocal last
        now = time.monotonic()
        if now - last < 2: return
        last = now
        print(f'searching for a plan of {height:,} bytes: {steps:,} steps, {now - began:.0f} '
              's', file=sys.stderr, flush=True)
    return tell


@command()
def cmd_plan(
    # FILE.csv: rows of id,lower,upper,size; a buffer lives from lower up to, not including, upper (or to the last
    # step in a column end). Columns alignment, gaps, hint and offset are honoured, any other is refused
    file:Path,
    *,
    # bytes there are, such as 1048576 or 1MB: the search stops at a plan that fits, and none is an error (default: as
    # low as can be); or NAME=BYTES, once for each of several memories, the fast one first
    capacity:list[str] = None,
    # board whose memories are meant, with what a byte moved costs there; --capacity NAME=BYTES then takes less of one
    target:str = None,
    align:Annotated[int, (1, 2**30)] = 1, # every offset is a multiple of it
    # steps of each part of the search at most; it never looks at the clock, so every machine makes the same plan
    nodes:Annotated[int, (0, MANY)] = 1_000_000,
    seed:Annotated[int, (0, 2**32 - 1)] = 1, # of the orders that the search tries
    # where the rows with their offsets go (default: FILE.plan.csv, in the current folder if that of FILE is read-
    # only)
    out:Path = None,
    # write peak, lower bound, seconds, proven and offsets as JSON; - prints them
    json:Annotated[Output, 'lower_bound'] = None,
):
    """Place buffers of fixed life and size in one arena, or in several memories: a CSV of id,lower,upper,size
    (MiniMalloc's format, and a column moved) gets an offset column."""
    from tinyformer.files import write_text
    from tinyformer.memory_alloc import plan, validate
    from tinyformer.minimalloc import csv_text, read_csv
    limit, memories, moved = *_memories(capacity or [], target), {}
    beside = file.with_suffix('.plan.csv')
    out = out or (beside if os.access(beside.parent, os.W_OK) else Path(beside.name))
    check_output('--out', out, 'offset', dict(file=file))
    found, spots = plan(read_csv(file, moved), align, limit, nodes, seed, _searching()), None
    if memories:
        from tinyformer.memories import plan_memories
        spots = plan_memories(found, moved, memories, spare=sum(m.size for m in memories))
        found = spots.plan
    validate(found)
    write_text(out, csv_text(found, spots))
    if json:
        row = dict(peak=found.peak, lower_bound=found.lower_bound, seconds=round(found.seconds, 3), proven=found.proven,
                   method=found.method, capacity=limit, seed=seed, offsets=found.offsets) | _spots_row(spots)
        if json == '-': return print(_json(row))
        write_text(json, _json(row) + '\n')
    fixed = sum(i.fixed is not None for i in found.intervals)
    print(f"peak {found.peak:,} bytes, lower bound {found.lower_bound:,}, {found.seconds:.2f} s, "
          f"proven {'yes' if found.proven else 'no'} ({found.method})\n"
          + f'{fixed} of {len(found.intervals)} offsets are those of the column '
            'offset\n' * bool(fixed) + _spots_text(spots) + f'offsets: {out}')


def _memories(typed, target):
    "(bytes of one arena or None, the memories or ()) that a person asked for."
    from dataclasses import replace
    from tinyformer.hardware import Memory, parse_bytes, target as board_named
    if not target and len(typed) < 2 and not any('=' in t for t in typed):
        limit = parse_bytes(typed[0]) if typed else None
        if limit is not None and limit < 1: raise BadInput(f'--capacity {typed[0]}: a memory needs at least a byte')
        return limit, ()
    asked = {}
    for text in typed:
        name, equals, size = text.partition('=')
        if not equals or not name:
            raise BadInput(f'--capacity {text}: of several memories each needs a name, such as DTCM=64KB')
        if name in asked: raise BadInput(f'--capacity names {name} twice')
        asked[name] = parse_bytes(size)
        if asked[name] < 1: raise BadInput(f'--capacity {text}: a memory needs at least a byte')
    if not target: return None, tuple(Memory(n, k << 40, size, float(k)) for k, (n, size) in enumerate(asked.items()))
    rooms = {m.name: m for m in board_named(target).rooms}
    for name, size in asked.items():
        if name not in rooms: raise BadInput(f'--capacity: {target} has no memory {name!r}; it has {", ".join(rooms)}')
        if size > rooms[name].size:
            raise BadInput(f'--capacity {name}={size}: {target} has {rooms[name].size} bytes of it')
    return None, tuple(replace(m, size=asked.get(name, m.size)) for name, m in rooms.items())


def _spots_row(spots):
    "What JSON says of several memories."
    if not spots: return {}
    rows = [dict(name=m.name, capacity=m.size, peak=spots.peaks[m.name], wait_per_byte=m.wait) for m in spots.memories]
    where = {i.name: spots.memories[spots.place_of(i.name)[0]].name for i in spots.plan.intervals}
    return dict(memories=rows, waiting=spots.waiting, waiting_bound=spots.bound, waiting_proven=spots.proven,
                memory=where, offsets={name: spots.place_of(name)[1] for name in where})


def _spots_text(spots):
    "One line for each of several memories, and one for the waiting."
    if not spots: return ''
    used = ''.join(f'{m.name}: {spots.peaks[m.name]:,} of {m.size:,} bytes\n' for m in spots.memories)
    return used + (f'waiting {spots.waiting:,.0f}, at least {spots.bound:,.0f}: bytes moved times the cost of a byte '
                   'in their memory\n')


# ---- a board on a desk -----------------------------------------------------------------------------------------------

def _ask_all(line, graph, x, y, show):
    "Rows of a log: every input on the board, its output beside the reference's. An error of the board ends it early."
    from tqdm.auto import tqdm
    from tinyformer import board
    from tinyformer.graph import encode, run as reference
    codes, rows = encode(graph, x), []
    bar = tqdm(zip(codes, y), 'board', len(codes), unit='input', disable=not show)
    try:
        for i, (one, label) in enumerate(bar):
            rows.append(board.row(i, board.infer(line, one), reference(graph, one[None]), label))
    except (TinyFormerError, KeyboardInterrupt) as e: return rows, e
    return rows, None


@command()
def cmd_board(
    port:str, # serial line, such as /dev/ttyACM0, COM3 or socket://localhost:4444
    what:str = None, # the model on the board: shipped, or a model file (.tfm) (default: only ask what the board is)
    *,
    # FILE.npz with x_test (uint8 [n, h, w, c]) and y_test, or the name of a data set (default: the model's own data
    # set)
    data:str = None,
    images:Annotated[int, (1, MANY)] = None, # the first N images (default: all)
    baud:Annotated[int, (1, 100_000_000)] = 115_200, # bits per second, as the image was built
    seconds:Annotated[float, (.01, 1e6)] = 30., # how long to wait for an answer
    # write every inference as a line of JSON, for  tinyformer bench --board FILE; what was measured before an error is
    # kept
    log:Annotated[Output, 'tinyformer_board_log'] = None,
    progress:bool = False, # show the bar even when the output is no terminal
):
    """Run test images on a real board over its serial line: accuracy, cycles by the core's own counter, every output
    byte compared. The board runs board.elf of `tinyformer compile`. Needs pyserial."""
    from tinyformer import board, provenance, zoo
    from tinyformer.files import write_text
    line = board.Line(board.connect(port, baud), seconds, baud)
    told = board.about(line)
    if not what: return print(board.about_text(told))
    _needs_tfm(what)
    graph = zoo.load(what)
    board.check(told, graph)
    x, y, source = zoo.labelled(graph, data, images)
    rows, failed = _ask_all(line, graph, x, y, progress or sys.stderr.isatty())
    made = dict(commit=provenance.commit(), versions=provenance.versions())
    lines = [board.first_line(told, source, made), *rows]
    if log: write_text(log, ''.join(json.dumps(l) + '\n' for l in lines))
    print(board.text(board.summary(lines)))
    if failed: raise failed
    if any(r['different'] or r['status'] for r in rows):
        raise TinyFormerError('the board does not return the bytes of the reference. Please report it with the model '
                              'file and the log.')


@command()
def cmd_mirror(
    what:str, # a shipped model, or a model file (.tfm); one image in, scores of classes out
    *,
    out:Path = None, # model file to write (default: NAME_mirror.tfm, here)
):
    """Write a model that answers with the mean for an image and its mirror image, with the same weights in flash, in
    twice the time. It is right more often where both mean the same, as photographs of things do, and wrong for digits,
    letters and arrows; `tinyformer evaluate` says by how much."""
    from tinyformer import zoo
    from tinyformer.graph_file import save
    from tinyformer.mirror import mirrored
    _needs_tfm(what)
    graph = mirrored(zoo.load(what))
    out = out or Path(f'{graph.name}_mirror.tfm')
    if out.exists() and Path(what).exists() and out.samefile(what):
        raise BadInput(f'--out {out} is the model that is read: give the new one another name.')
    save(graph, out)
    print(f'{out}: {len(graph.ops)} operators. Next: tinyformer evaluate {out}')


# ---- models that come with the package -------------------------------------------------------------------------------

@command(record=_c_settings)
def cmd_evaluate(
    what:str, # a shipped model, see `tinyformer zoo`, or a model file (.tfm)
    *,
    # FILE.npz with x_test (uint8 [n, h, w, c]) and y_test, or the name of a data set (default: the model's own data
    # set)
    data:str = None,
    # reference (NumPy operators), host (the C compiled for this machine) or device (the C on the emulated core)
    on:str = 'reference',
    images:Annotated[int, (1, MANY)] = None, # the first N images (default: all)
    # compare the bytes of the first N images only; the reference takes about 2 s per 10 G MACs (default: all)
    compare:Annotated[int, (0, MANY)] = None,
    json:Annotated[Output, 'bytes_compared'] = None, # write the result as JSON; - prints it instead of the text
    progress:bool = False, # show the bar even when the output is no terminal
    # measure on host (all images) and device, with memory, instructions and cycles, and write a card for the zoo
    report:Annotated[Output, 'weight_sparsity'] = None,
    device_images:Annotated[int, (1, MANY)] = 200, # images for the device in a report
    # what training knows, for a card: a finished run folder, or JSON with about, dataset, copy, licence,
    # accuracy_float, accuracy_pruned, command, commit, seeds, hours, machine, versions; may be given again
    notes:list[str] = None,
    _argv:list = (), # what was typed
    **setting, # what decides the C
):
    """Accuracy of any model on any images, by the reference, on this machine or on the emulated core, with every
    output byte compared."""
    from tinyformer import zoo
    from tinyformer.files import write_json
    how, quiet = zoo.Setting(**setting), not sys.stderr.isatty() and not progress
    _needs_tfm(what)
    graph = zoo.load(what)
    if report:
        typed, told = zoo.words(_argv), tuple(notes or ())
        card = zoo.report(graph, data, told, images, device_images, compare, how, not quiet, typed)
        write_json(report, card)
        _print_card(card)
        print(f'\nwritten to {report}')
        bad = sum(v[1] for v in card['bytes'].values())
    else:
        r = zoo.evaluate(graph, data, on, images, compare, how, not quiet)
        print(_json(r) if json == '-' else zoo.evaluation_text(r))
        if json not in (None, '-'): write_json(json, r)
        bad = r['bytes_different']
    if bad:
        raise TinyFormerError(f'{bad} output bytes differ from the reference: a kernel or a compiler is wrong. Please '
                              'report it with the model file.')


def _needs_tfm(what):
    "Refuse a float network where an int8 model is asked for."
    from tinyformer.modelfile import REFUSED
    end = Path(what).suffix.lower()
    if end in (*REFUSED, '.onnx', '.pt2') or '.py:' in what:
        raise BadInput(f'{what}: a model file (.tfm) or the name of a shipped model is asked about. '
                       'tinyformer deploy MODEL --data FILE.npz makes model.tfm of a float network and says how good '
                       'it is')


def _print_card(card):
    from tinyformer import zoo
    for what, value in zoo.card_table(card): print(f'{what:<38} {value}')


@command()
def cmd_zoo(
    what:str = None, # show the card of this model
    *,
    add:str = None, # FILE.tfm: put a model on the shelf
    name:str = None, # under this name: letters, digits, - and _
    card:str = None, # FILE.json: what `tinyformer evaluate FILE.tfm --report FILE.json` wrote
    again:bool = False, # replace a model of that name
    renew:bool = False, # measure again what WHAT costs: flash, SRAM, instructions, cycles; its accuracies stay
    images:Annotated[int, (1, MANY)] = 20, # for --renew: how many run on the emulated core
    folder:Path = None, # folder of models and cards (default: the package's own)
):
    "List the shipped models, show the card of one, add one, or renew what one costs."
    from tinyformer import zoo
    if renew:
        if not what or add: raise BadInput('--renew needs the name of one model: tinyformer zoo NAME --renew')
        typed = zoo.words(['zoo', what, '--renew', '--images', str(images)])
        return print(f"{zoo.renew(what, images, folder, sys.stderr.isatty(), typed)}: renewed")
    if add:
        if not name or not card:
            raise BadInput('--add needs --name NAME and --card FILE.json, which tinyformer evaluate FILE --report '
                           'FILE.json writes')
        return print(f'{zoo.add(add, name, card, folder, again)}: in the zoo as {name}')
    if not what: return print(zoo.list(folder))
    print(what)
    _print_card(zoo.load(what, folder).card)


@command()
def cmd_targets():
    """List the known boards with core, flash, SRAM and clock, and which core the emulator runs their images on. Images
    can be built for all boards of which that is known."""
    from tinyformer.hardware import targets
    print(f"{'name':<12}{'core':<15}{'flash':>9}{'SRAM':>9}{'MHz':>5}  {'emulated as':<13}{'cycles':<11}board")
    for t in targets():
        runs = t.cpu.emulated if t.cpu.startup else ''
        print(f'{t.name:<12}{t.core:<15}{t.flash_bytes // 1024:>6} KB{t.sram_bytes // 1024:>6} KB'
              f"{t.clock_hz // 10**6:>5}  {runs or 'not built':<13}"
              f"{'estimated' if t.cpu.cycle_model else 'not known':<11}{t.board}")
    print('None of the images was run on a real board: every output byte is compared on the emulated core.')


# ---- what was typed --------------------------------------------------------------------------------------------------

def _other_defaults():
    "How the defaults differ for other data sets than the digits."
    from tinyformer.pipeline import OTHERS
    typed = shlex.join(w for name, value in OTHERS.items() for w in (f'--{name}', str(value)))
    return f"For other data than digits the defaults are {typed} ('' is all that the target has)."


def _add_command(sub, name, f, whole):
    "Add a command to the parser; its options, which may need torch, only where they are asked for."
    p = sub.add_parser(name, help=f.__doc__.split('. ')[0].rstrip('.'), description=f.__doc__)
    p.set_defaults(_command=f)
    if not whole: return
    add_options(p, f)
    if not f.record: return
    record = f.record()
    add_options(p.add_argument_group(record.__doc__.rstrip('.')), record, record=True)
    if f.record is _run_settings: p.epilog = _other_defaults()


def parser(argv):
    "Everything that can be typed after `tinyformer`."
    p = argparse.ArgumentParser(prog='tinyformer', description='Search, train, compress, compile and run sparse int8 '
                                                               'transformers for microcontrollers.')
    p.add_argument('--version', action='version', version=f'tinyformer {__version__}')
    p.add_argument('--debug', action='store_true', help='show the traceback of an error')
    sub = p.add_subparsers(required=True, metavar='command')
    for name, f in COMMANDS.items(): _add_command(sub, name, f, whole=name in argv)
    return p


def run(argv):
    "Parse what was typed and call the command."
    given = vars(parser(argv).parse_args(argv))
    f = given.pop('_command')
    given.pop('debug')
    check_options(f, given)
    if '_argv' in (f.__kwdefaults__ or {}): given['_argv'] = argv
    f(**given)


UNUSABLE = {errno.ENOSPC: 'Free some space.', errno.EDQUOT: 'Free some space.', errno.EFBIG: 'Free some space.',
            errno.EROFS: 'Choose a folder you can write to, with --out.',
            errno.EACCES: 'Choose a file that you may read, or a folder that you may write to.',
            errno.EPERM: 'Choose a file that you may read, or a folder that you may write to.',
            errno.ENOMEM: 'This needs more memory than there is.'}


def explain(e):
    "One line for a person, or None when the error is not one that we foresaw."
    if isinstance(e, TinyFormerError): return str(e)
    if isinstance(e, KeyboardInterrupt): return 'interrupted; give the same command again to continue'
    if isinstance(e, MemoryError):
        return 'this needs more memory than there is: choose a smaller model, fewer images or smaller settings'
    if isinstance(e, OSError) and (e.filename or e.errno in UNUSABLE):
        advice = UNUSABLE.get(e.errno, 'Choose another file or folder.')
        return f"cannot use {e.filename or 'a file'}: {e.strerror}. {advice}"
    if type(e).__module__.partition('.')[0] in ('sqlalchemy', 'optuna'):
        return (f'the search database cannot be used ({str(e).splitlines()[0]}). Free some space, or choose another '
                'folder with --out.')
    if isinstance(e, RuntimeError) and ('PytorchStreamWriter' in str(e) or 'unexpected pos' in str(e)):
        return 'cannot write a checkpoint: the disk is full. Free some space and give the same command again.'


def _say_error(e):
    bug = f'unexpected {type(e).__name__}: {e}. This is a bug: the same command with --debug shows where.'
    known = explain(e) or bug
    print('tinyformer: ' + visible(known, keep=''), file=sys.stderr)


def standalone(main, name):
    "Run a command that has a module of its own, `python -m tinyformer.NAME`: its status, or the line of its error."
    def act():
        try: return main()
        except (Exception, KeyboardInterrupt) as e:
            if not explain(e): raise
            return f'{name}: {visible(explain(e), keep="")}'
    return quietly(act)


def _main(argv):
    debug = '--debug' in argv
    argv = ['--debug'] * debug + [a for a in argv if a != '--debug']
    try:
        run(argv)
        if sys.stdout: sys.stdout.flush()
    except (Exception, KeyboardInterrupt) as e:
        if debug: raise
        _say_error(e)
        return 130 if isinstance(e, KeyboardInterrupt) else 1
    return 0


def main(argv=None):
    "Parse the command line and run it; errors become one line unless --debug is given."
    argv = list(sys.argv[1:] if argv is None else argv)
    return quietly(lambda: _main(argv))


if __name__ == '__main__': sys.exit(main())
