"""A person's own network, all the way to firmware: import, int8, prune to the budget, C, the emulated core, report.

One folder holds a deployment. Each step writes its result once; the same command given again goes on where it was
stopped."""
import copy, json, math, tempfile
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch.utils._pytree import tree_leaves
from tqdm.auto import tqdm

from tinyformer import budget as bg, tradeoff as tr
from tinyformer.calibration import as_features, runnable
from tinyformer.codegen import generate
from tinyformer.cycles import require_cycles, time_text, with_waiting
from tinyformer.errors import BadInput, CorruptModel, DoesNotFit, RunFolderError, TinyFormerError, check_number
from tinyformer.examples import made_up, read_examples
from tinyformer.files import (MARKER, changed, claim, digest, record, remove, remove_folder, write_json,
                              write_text)
from tinyformer.finetune import LR, check_augment, finetune
from tinyformer.graph import load as load_graph, run as run_graph, save as save_graph
from tinyformer.hardware import parse_bytes, require_port, target as board_named, targets
from tinyformer.importer import inputs_of
from tinyformer.lowering import lower
from tinyformer.modelfile import open_model
from tinyformer.pipeline import check_speed
from tinyformer.provenance import versions
from tinyformer.quantization import CORRECTING, quantize
from tinyformer.run_folder import done_before, perform, save_figure, walk
from tinyformer.run_report import cycle_columns, cycle_rows, kernel_section, plot_profile
from tinyformer.run_steps import chosen_kernels
from tinyformer.schedule import MEMORY
from tinyformer.simulator import build, simulate
from tinyformer.training import plot_history

ROAD = dict(
    int8='import the network, fold it, calibrate it and turn it into int8', prune='prune it to the budget',
    compile='generate C and build the image', simulate='run it on the emulated core', report='tables and pictures')
FILES = dict(int8=['dense.tfm'], prune=['model.tfm', 'sparsity.png', 'train.png'], compile=['memory.png'],
             simulate=['instructions.png'], report=['stages.png', 'trade.png', 'report.md'])
LEFT = dict(prune=['train.ckpt'])
CALIBRATE = 512
"Inputs at most that set the ranges."
ATTEMPTS = 6
"How often the sparsities are chosen anew because the linked image came out larger than predicted."


@dataclass(frozen=True)
class Settings:
    "What decides a deployment."
    model: str                 # path, or module.py:function
    weights: str = ''          # file of a state_dict, for a function
    data: str = ''             # .npz; '' is random inputs
    target: str = 'stm32f746'  # board
    flash: str = ''            # tighter limit, such as 256KB
    sram: str = ''             # tighter limit, such as 64KB
    max_ms: float = 0.         # estimated milliseconds per inference; 0 is no limit
    max_instructions: int = 0  # per inference; 0 is no limit
    sparsity: str = 'auto'     # 'auto': as little as meets the limits; or a share, 0 to 0.95
    finetune: int = 0          # epochs of training while pruning
    memory: str = 'auto'       # 'fast', 'low', 'least'; 'auto': low, and least where low does not fit
    objective: str = 'bytes'   # kernels for the smallest weights, for 'speed', or 'ms': kernels and bands by time
    cc: str = 'auto'           # compiler
    device_inputs: int = 50    # test inputs that run on the emulated core
    augment: str = 'none'      # 'shift' moves pictures in training, 'flip' mirrors them as well
    lr: float = LR             # peak learning rate of the training
    batch_size: int = 64       # inputs per training step
    seed: int = 0              # of the training
    integrity: bool = False    # the image checks its constants at the start

    @property
    def kernels(self):
        "What kernels are chosen for while layers are pruned."
        return 'speed' if self.objective == 'ms' else self.objective

    def board(self):
        "The target with its limits."
        limit = lambda size: parse_bytes(size) if size else None
        return board_named(self.target).with_budget(flash_bytes=limit(self.flash), sram_bytes=limit(self.sram))


def check(cfg):
    "Refuse settings that no deployment can begin with."
    bg.check_sparsity(cfg.sparsity)
    check_number('--max-ms', float(cfg.max_ms), 0., 1e9)
    check_number('--finetune', cfg.finetune, 0, 100_000)
    if cfg.memory not in ('auto', 'fast', 'low', 'least'):
        raise BadInput(f'--memory is {cfg.memory!r}: it must be auto, fast, low or least')
    if cfg.objective not in ('bytes', 'speed', 'ms'):
        raise BadInput(f'--objective is {cfg.objective!r}: it must be bytes, speed or ms')
    require_port(cfg.board())
    if cfg.objective == 'ms': require_cycles(cfg.board(), '--objective ms')
    if cfg.max_ms: require_cycles(cfg.board(), '--max-ms')
    check_augment(cfg.augment)
    if cfg.finetune and not cfg.data: raise BadInput('--finetune needs --data FILE.npz: random inputs teach nothing')


# ---- the network and its inputs --------------------------------------------------------------------------------------

def opened_with(
    cfg, # Settings
): # (modelfile.Opened, examples.Examples)
    "Open the model and the data; each may say what the other leaves open."
    open_ = str(cfg.model).endswith('.onnx') and cfg.data
    shapes = (read_examples(cfg.data).shape,) if open_ else ()
    try: opened = open_model(cfg.model, cfg.weights or None)
    except BadInput as e:
        if not shapes or '--data' not in str(e): raise
        opened = open_model(cfg.model, cfg.weights or None, shapes)
    shape = opened.shapes[0] if opened.shapes else None
    if opened.graph is not None:
        s = tuple(opened.graph.tensors[opened.graph.input].shape)
        shape = s if len(s) != 3 else (s[2], s[0], s[1])
    if cfg.data: return opened, read_examples(cfg.data, shape or _found_shape(opened, cfg))
    if shape is not None: return opened, made_up(shape)
    raise BadInput(f'{cfg.model} does not say what it reads: give --data FILE.npz, or the network an attribute '
                   'input_shape, such as net.input_shape = (3, 32, 32)')


def _found_shape(opened, cfg):
    "What a network reads that does not say it: the first reading of the data that it can run on."
    names = inputs_of(opened.net)
    if len(names) > 1:
        raise BadInput(f"{cfg.model} reads {', '.join(names)} and does not say their shapes: give the network an "
                       'attribute input_shape with one for each, such as net.input_shape = ((3, 32, 32), (6,))')
    return tuple(as_features(read_examples(cfg.data).x[:8], runnable(opened.net)).shape[1:])


def some(x, most): return x[::-(-len(x) // most)]


def quantised(opened, ex):
    "The network as it rounds on the device, its ranges set."
    return quantize(opened.source, some(ex.x, CALIBRATE)).eval()


def graph_of(
    cfg, # Settings: model, weights and data
): # (int8 graph, whether its ranges are made up)
    "The int8 model of what a person has in hand."
    opened, ex = opened_with(cfg)
    if opened.graph is not None: return opened.graph, False
    return lower(quantised(opened, ex), opened.name), not ex.real


# ---- the folder ------------------------------------------------------------------------------------------------------

class Deployment:
    "A folder with the settings in `deploy.json`, and one JSON file per finished step."
    def __init__(self,
        folder,        # made, or continued
        cfg,           # Settings
        progress=True, # say what happens, with bars
    ):
        self.folder, self.cfg, self.progress = Path(folder), cfg, progress
        self.new = not self.folder.exists()
        check(cfg)
        file = self.path('deploy.json')
        if not file.exists(): return self._begin(file)
        if changed(self.folder, file.name): raise RunFolderError(f'{file} is not as TinyFormer wrote it: {self.other}')
        try: old = json.loads(file.read_text(encoding='utf-8'))
        except ValueError as e: raise CorruptModel(f'{file} is damaged ({e}): {self.other}') from e
        now = json.loads(json.dumps(self._about()))
        diff = [k for k in {**old, **now} if old.get(k) != now.get(k)]
        if diff:
            raise RunFolderError(f"{folder} holds another deployment (other {', '.join(diff)}): give the same ones, "
                                 'choose another folder with --out, or start over with --fresh.')

    other = 'choose another folder with --out, or start over with --fresh.'

    def path(self, name): return self.folder/name

    def say(self, text):
        if self.progress: print(text, flush=True)

    def _about(self):
        files = {f'{Path(f).name} (SHA-256)': digest(f) for f in (*self.opened.files,
                                                                  *([self.cfg.data] * bool(self.cfg.data)))}
        return asdict(self.cfg) | files

    def _begin(self, file):
        self.examples                                      # what cannot be read is refused before anything is written
        claim(self.folder, file.name)
        write_json(file, self._about())
        record(self.folder, file.name)

    # what the steps share, made when it is asked for

    @cached_property
    def _both(self): return opened_with(self.cfg)

    @property
    def opened(self): return self._both[0]

    @property
    def examples(self): return self._both[1]

    @cached_property
    def board(self): return self.cfg.board()

    def quantised(self): return quantised(self.opened, self.examples)


STEPS = {}


def step(f):
    "Register `step_NAME(run) -> dict`."
    STEPS[f.__name__.removeprefix('step_')] = f
    return f


def result(run, name):
    "What a finished step found."
    file = run.path(f'{name}.json')
    if changed(run.folder, file.name): raise CorruptModel(f'{file} is not as TinyFormer wrote it: {run.other}')
    try: return json.loads(file.read_text(encoding='utf-8'))
    except (OSError, ValueError) as e: raise CorruptModel(f'{file} cannot be read ({e}): {run.other}') from e


def model_of(run, name):
    "A model file as its step left it."
    if changed(run.folder, name): raise CorruptModel(f'{run.path(name)} is not as TinyFormer wrote it: {run.other}')
    return load_graph(run.path(name))


def do(run, name):
    "Run one step, or reuse what it left."
    if done_before(run, name, ROAD): return result(run, name)
    try: return perform(run.folder, [f'{name}.json', *FILES[name]], LEFT.get(name, []), lambda: STEPS[name](run))
    except TinyFormerError:
        if name == next(iter(ROAD)): leave(run)
        raise


def leave(run):
    "Take back what was written before the first step refused: the next try may have other settings."
    forget(run.folder)
    if run.new and [p.name for p in run.folder.iterdir()] == [MARKER]: remove_folder(run.folder)


def forget(folder):
    "Remove what a deployment wrote; nothing else in the folder is touched."
    names = [f for s in ROAD for f in (f'{s}.json', *FILES[s], *LEFT.get(s, []))]
    remove(folder, *names, 'deploy.json')


# ---- answers and scores ----------------------------------------------------------------------------------------------

@torch.no_grad()
def answers(net, x, size=64):
    "Outputs of a network, float [n, values], channels last."
    def flat(y): return (y.movedim(1, -1) if y.ndim == 4 else y).reshape(len(y), -1)
    def rows(y): return torch.cat([flat(v) for v in tree_leaves(y) if torch.is_tensor(v)], 1)
    return torch.cat([rows(net(b)) for b in x.split(size)]).numpy().astype(np.float64)


def codes(graph, x):
    "Inputs as the device reads them: int8, channels last."
    t = graph.tensors[graph.input]
    x, shape = np.asarray(x, np.float64), tuple(t.shape)
    last = np.moveaxis(x, 1, -1)
    x = last if x.ndim == 4 and last.shape[1:] == shape or x.shape[1:] != shape and last.size else x
    x = x.reshape(len(x), *shape)
    return np.clip(np.round(x / t.scale) + t.zero_point, -128, 127).astype(np.int8)


def real(graph, out):
    "The real numbers that output codes stand for, [n, values]."
    t = graph.tensors[graph.output]
    return (out.reshape(len(out), -1).astype(np.float64) - t.zero_point) * t.scale


def score(
    got,  # float [n, values]
    want, # the same of the float network
    y,    # labels, or None
): # dict: accuracy where there are labels, snr in dB
    "How good answers are: right by the labels, and close to the float network's."
    noise = float(np.square(got - want).sum())
    power = float(np.square(want).sum())
    out = dict(snr=round(10 * math.log10(power / noise), 2) if noise and power else None)
    if y is not None and got.shape[1] > y.max(): out['accuracy'] = float((got.argmax(1) == y).mean())
    return out


def uncounted(ex, outputs):
    "Why no accuracy is counted although labels were given; '' where it is, or where there are none."
    if ex.y_test is None or ex.y_test.max() < outputs: return ex.remark
    return f'labels go up to {ex.y_test.max()}, and the network gives {outputs} values'


def said(s):
    "A score in words."
    parts = [f"{s['accuracy']:.2%} right"] if 'accuracy' in s else []
    if s.get('snr') is not None: parts.append(f"{s['snr']:.1f} dB against float")
    return ', '.join(parts) or 'the same as float'


# ---- int8 ------------------------------------------------------------------------------------------------------------

def _check_training(run, outputs):
    "Refuse to train with one input, with labels that the network cannot give, or to move what is no picture."
    if not run.cfg.finetune: return
    check_augment(run.cfg.augment, run.examples.shape)
    if len(run.examples.x) < 2:
        raise BadInput(f'{run.cfg.data} has one input to train with: --finetune needs more, every fifth is held back')
    if run.examples.classes <= outputs: return
    raise BadInput(f'{run.cfg.data} has the label {run.examples.classes - 1:,}, and the network gives {outputs} '
                   f'values: --finetune needs labels from 0 to {outputs - 1}')


@step
def step_int8(run):
    "Import, fold, calibrate, lower."
    ex = run.examples
    if not ex.real: run.say('  no --data: ranges come from random inputs. Sizes and times are right, answers are not.')
    if run.opened.graph is not None: return _int8_file(run)
    qnet = run.quantised()
    graph = lower(qnet, run.opened.name)
    exact = answers(run.opened.net, ex.x_test)
    _check_training(run, exact.shape[1])
    save_graph(graph, run.path('dense.tfm'))
    now = answers(qnet, ex.x_test)
    stages = dict(float=score(exact, exact, ex.y_test), int8=score(now, exact, ex.y_test))
    run.say(f"  {len(graph.ops)} operators, {graph.macs():,} multiply-accumulates; {ex.source}, {len(ex.x)} inputs")
    for name, s in stages.items(): run.say(f'  {name}: {said(s)}')
    if why := uncounted(ex, exact.shape[1]): run.say(f'  no accuracy: {why}')
    return dict(name=graph.name, source=ex.source, inputs=len(ex.x), test_inputs=len(ex.x_test), macs=graph.macs(),
                operators=len(graph.ops), weights=_weights(graph), notes=list(getattr(qnet, 'notes', [])),
                stages=stages)


def _weights(graph): return sum(op.params['weight'].size for op in graph.ops if 'weight' in op.params)


def _zeros(graph):
    "Share of all weights that are zero."
    none = sum(int((op.params['weight'] == 0).sum()) for op in graph.ops if 'weight' in op.params)
    return none / max(1, _weights(graph))


def _int8_file(run):
    "A model file is int8 already."
    if run.cfg.finetune or run.cfg.sparsity != 'auto':
        raise BadInput('a model file (.tfm) has no float network to prune or train: leave --sparsity and --finetune '
                       'out, or give the network that it was made from')
    graph = run.opened.graph
    save_graph(graph, run.path('dense.tfm'))
    return dict(name=graph.name, source=run.examples.source, inputs=len(run.examples.x), macs=graph.macs(),
                test_inputs=len(run.examples.x_test), operators=len(graph.ops), weights=_weights(graph), notes=[],
                stages={})


# ---- what a model needs ----------------------------------------------------------------------------------------------

@dataclass
class Needs:
    "What a model takes on the board, measured on the linked image and the emulated core."
    flash: int
    sram: int         # data, arena and stack
    instructions: int
    cycles: int       # estimated, with the likely waiting where that is known; None where they are unknown
    memory: str
    est_cycles: int = None    # of the core alone; None: as `cycles`
    stall_cycles: list = None # spent waiting for memory: [at least, likely, at most]; None where that is unknown
    kernels: str = ''         # what they were chosen for; '' = what the settings say

    def __post_init__(self):
        if self.est_cycles is None: self.est_cycles = self.cycles


def measure(graph, cfg, memory, kernels=''):
    "Build a model with room to spare, and run it once."
    kernels = kernels or cfg.kernels
    with tempfile.TemporaryDirectory() as tmp:
        fw, image = tr.built(graph, cfg.board(), Path(tmp)/'try', cfg.cc, memory=memory, objective=kernels,
                             integrity=cfg.integrity)
        x = np.zeros((1, *graph.tensors[graph.input].shape), np.int8)
        sim = simulate(image, fw, x, progress=False)
    spent = {k: sim.columns()[k] for k in ('est_cycles', 'stall_cycles')}
    return Needs(image.flash_bytes, image.data_bytes + image.bss_bytes + sim.stack_bytes, sim.instructions,
                 with_waiting(**spent), memory, kernels=kernels, **spent)


def limits_of(cfg):
    "name -> limit of what a person may limit."
    b = cfg.board()
    out = dict(flash=b.flash_bytes, sram=b.sram_bytes)
    if cfg.max_ms: out['cycles'] = int(cfg.max_ms * b.clock_hz / 1000)
    if cfg.max_instructions: out['instructions'] = cfg.max_instructions
    return out


def over(needs, cfg):
    "name -> by how much a limit is exceeded."
    held = asdict(needs)
    return {k: held[k] - v for k, v in limits_of(cfg).items() if held[k] > v}


def fitting_memory(graph, cfg):
    "What a model needs with the memory setting, the tighter one where only that fits."
    needs = measure(graph, cfg, 'low' if cfg.memory == 'auto' else cfg.memory)
    if cfg.memory != 'auto' or 'sram' not in over(needs, cfg): return needs
    return measure(graph, cfg, 'least')


def check_sram(needs, graph, cfg):
    "A model that is over in SRAM is not saved by losing weights, which lie in flash."
    if 'sram' not in over(needs, cfg): return
    more = [t.name for t in targets() if t.sram_bytes >= needs.sram]
    larger = f"a board with more SRAM ({', '.join(more)})" if more else 'smaller layers'
    raise DoesNotFit(f'{graph.name} needs {needs.sram:,} bytes of SRAM with --memory {needs.memory}, '
                     f'{cfg.board().sram_bytes:,} are allowed, and pruning changes that little. Try --memory least or '
                     f'--objective speed (its kernels have other scratch), smaller inputs, or {larger}.')


# ---- prune to the budget ---------------------------------------------------------------------------------------------

def _limits(dense, needs, layers, cfg, spare):
    "Limits for the layers that may be pruned: what the rest of the model leaves them."
    sums, b = bg.totals(layers, [0] * len(layers)), bg.bill(dense, cfg.board(), needs.memory, cfg.kernels)
    lim, share = bg.Limits(), cfg.sparsity
    lim.flash = cfg.board().flash_bytes - (needs.flash - sums['flash']) - spare.get('flash', 0)
    if cfg.max_ms:
        per = needs.cycles / max(1, b.time)                              # measured over predicted
        lim.time = (limits_of(cfg)['cycles'] - spare.get('cycles', 0)) / per - (b.time - sums['time'])
    if cfg.max_instructions:
        per = needs.instructions / max(1, b.instructions)
        most = cfg.max_instructions - spare.get('instructions', 0)
        lim.instructions = most / per - (b.instructions - sums['instructions'])
    if share != 'auto': lim.kept = (1 - float(share)) * sum(l.weights for l in layers)
    return lim


def _pruned(qnet, layers, chosen, x, macs, progress):
    "A copy of the network with the chosen blocks gone, and the rest making up for them."
    net = bg.prune_net(copy.deepcopy(qnet), layers, chosen)
    names = [l.name for l, i in zip(layers, chosen) if i]
    with tqdm(total=len(names), desc='the rest makes up for it', unit='layer', delay=1, disable=not progress) as bar:
        bg.make_up(qnet, net, names, x, macs, bar.update)
    return net.calibrate(x).correct(x).eval()


@step
def step_prune(run):
    "The sparsity of each layer that meets the limits with the least loss."
    cfg, dense = run.cfg, model_of(run, 'dense.tfm')
    needs = fitting_memory(dense, cfg)
    check_sram(needs, dense, cfg)
    run.say(f'  dense: {_needs_text(needs, run.board)}')
    plan, hist, whole = {}, [], needs
    if cfg.sparsity == 'auto' and not over(needs, cfg):
        graph = dense
        run.say('  it fits as it is: nothing is pruned' + ', and nothing trained' * bool(cfg.finetune))
    elif run.opened.graph is not None: raise DoesNotFit(_over_text(dense, needs, cfg))
    else: graph, needs, plan, hist = _to_budget(run, dense, needs)
    save_graph(graph, run.path('model.tfm'))
    needs, trade = _traded(run, graph, needs)
    save_figure(plot_sparsity(plan), run.path('sparsity.png'))
    save_figure(plot_history(hist).figure if hist else _not_trained(), run.path('train.png'))
    return dict(plan=plan, needs=asdict(needs), dense=asdict(whole), weight_sparsity=_zeros(graph), history=hist,
                trade=[asdict(w) for w in trade])


def _traded(run, graph, needs):
    "(what the model needs in the way that is taken, all ways): with --objective ms each is run, and the fastest taken."
    cfg, board = run.cfg, run.board
    bands = tr.preferred(needs.memory, MEMORY)
    if cfg.objective == 'ms' and cfg.memory != 'auto': bands = cfg.memory,
    ways = tr.ways(graph, board, tr.preferred(needs.kernels or cfg.kernels, tr.KERNELS), bands)
    if cfg.objective != 'ms': return needs, ways
    run.say(f'  {len(ways)} ways to compile it are built and run once each')
    tried = [measure(graph, cfg, w.memory, w.kernels) for w in ways]
    ways = [tr.timed(w, n.est_cycles, n.stall_cycles and n.stall_cycles[1]) for w, n in zip(ways, tried)]
    able = [n for n in tried if not over(n, cfg)] or [needs]
    best = min(able, key=lambda n: (n.cycles, n.sram))
    run.say(f'  taken: kernels for {best.kernels}, bands {best.memory}')
    return best, ways


def _not_trained():
    "The picture of a training where there was none."
    import matplotlib.pyplot as plt
    fig, ax = plt.subplots(figsize=(5, .8))
    ax.text(.5, .5, 'nothing was trained; --finetune EPOCHS trains while it prunes', ha='center', va='center')
    ax.axis('off')
    return fig


def _needs_text(n, board):
    return (f'{n.flash:,} bytes of flash, {n.sram:,} of SRAM (--memory {n.memory}), {n.instructions:,} instructions, '
            f'time {time_text(asdict(n), board)}')


def saved_text(now, dense):
    "What pruning does to flash and time, which weights are only a part of."
    def part(key, less):
        share = 1 - now[key] / max(1, dense[key])
        return f"{abs(share):.0%} {less if share >= 0 else 'more'} {key}"
    return f"{part('flash', 'less')}, {part('instructions', 'fewer')}"


def _over_text(graph, needs, cfg):
    each = ', '.join(f'{k} by {v:,}' for k, v in over(needs, cfg).items())
    return (f'{graph.name} is over its limits ({each}): give the float network, so that it can be pruned, or see what '
            f'would help with  tinyformer fit')


def _to_budget(run, dense, needs):
    "Measure the layers, choose, prune, build; choose anew while the image is over."
    cfg, ex = run.cfg, run.examples
    qnet = run.quantised()
    layers = bg.layers_of(dense, qnet, run.board, cfg.kernels)
    if not layers: raise DoesNotFit(_over_text(dense, needs, cfg))
    with tqdm(total=len(layers) * len(bg.MEASURED), desc='loss of each layer', unit='try', delay=1,
              disable=not run.progress) as bar:
        bg.measure_losses(qnet, layers, ex.x, dense.macs(), bar.update)
    spare = {}
    for _ in range(ATTEMPTS):
        chosen = bg.choose_sparsities(layers, _limits(dense, needs, layers, cfg, spare))
        now = measure(bg.cut_graph(dense, qnet, layers, chosen), cfg, needs.memory)
        missed = over(now, cfg)
        if not missed: break
        for k, v in missed.items(): spare[k] = spare.get(k, 0) + v + 256
    else: raise DoesNotFit(_over_text(dense, now, cfg))
    plan = {l.name: dict(block=l.block, sparsity=l.options[i].sparsity, loss=l.options[i].loss, weights=l.weights)
            for l, i in zip(layers, chosen)}
    lost = sum(p['sparsity'] * p['weights'] for p in plan.values()) / sum(p['weights'] for p in plan.values())
    run.say(f'  pruned: {lost:.1%} of the weights of {len(layers)} layers go; {_needs_text(now, run.board)}')
    run.say(f'  than dense: {saved_text(asdict(now), asdict(needs))}')
    once, hist = _pruned(qnet, layers, chosen, some(ex.x, CORRECTING), dense.macs(), run.progress), []
    free = {n: (p['block'], p['sparsity']) for n, p in plan.items() if p['sparsity']}
    if cfg.finetune: once, hist = train(run, once, free)
    return lower(once.eval(), dense.name), now, plan, hist


# ---- training while pruning ------------------------------------------------------------------------------------------

def train(
    run,  # Deployment
    once, # QuantNet, pruned in one go without training
    plan, # layer -> (block shape, final sparsity)
): # (the better of the trained network and `once`, history)
    "Prune while training, and keep what that gives where it wins on inputs held back."
    cfg, ex = run.cfg, run.examples
    val = slice(0, None, 5)                                # every fifth input validates, the test inputs never do
    rest = np.setdiff1d(np.arange(len(ex.x)), np.arange(len(ex.x))[val])
    y, y_val = (None, None) if ex.y is None else (ex.y[rest], ex.y[val])
    held, goal = ex.x[val], answers(run.opened.net, ex.x[val])
    def judge(net):
        s = score(answers(net.eval(), held), goal, y_val)
        return s.get('accuracy', s['snr'])
    net, hist = finetune(run.opened.source, plan, ex.x[rest], y, judge, cfg.finetune, lr=cfg.lr,
                         batch_size=cfg.batch_size, seed=cfg.seed, augment=cfg.augment,
                         checkpoint=run.path('train.ckpt'), progress=run.progress)
    net.calibrate(some(ex.x, CALIBRATE)).correct(some(ex.x, CORRECTING)).eval()
    trained, untrained = judge(net), judge(once)
    unit = 'dB' if y is None else 'accuracy'
    run.say(f'  after {cfg.finetune} epochs: {trained:.4g} on inputs held back, without training {untrained:.4g} '
            f'({unit})')
    if trained >= untrained: return net, hist
    run.say('  the training was too short to win: the network without it is taken. Give --finetune more epochs.')
    return once, hist


# ---- C and the emulated core -----------------------------------------------------------------------------------------

def firmware(run, check=False):
    "The C project: the same bytes every time it is asked for."
    graph, needs = model_of(run, 'model.tfm'), result(run, 'prune')['needs']
    example = codes(graph, run.examples.x_test[:1].numpy())[0]
    return generate(graph, run.board, run.path('firmware'), port=require_port(run.board), example=example, check=check,
                    memory=needs['memory'], objective=needs['kernels'] or run.cfg.kernels, integrity=run.cfg.integrity)


@step
def step_compile(run):
    "Generate C, run it once on this machine, and link it for the target."
    fw = firmware(run, check=True)
    image = build(fw, cc=run.cfg.cc)
    save_figure(fw.arena.plot().figure, run.path('memory.png'))
    run.say(f'  {fw.folder}: {image.flash_bytes:,} bytes of flash, arena {fw.arena_bytes:,}, {image.compiler}')
    sizes = {k: getattr(image, k) for k in ('flash_bytes', 'data_bytes', 'bss_bytes')}
    sizes |= {k: getattr(fw, k) for k in ('weights_bytes', 'weights_bytes_dense', 'arena_bytes',
                                          'arena_lower_bound_bytes')}
    return dict(compiler=str(image.compiler), **sizes, kernels=chosen_kernels(fw))


@step
def step_simulate(run):
    "Run test inputs on the emulated core and compare every output byte."
    fw, ex, cfg = firmware(run), run.examples, run.cfg
    image, n = build(fw, cc=cfg.cc), max(1, min(cfg.device_inputs, len(ex.x_test)))
    x = codes(fw.graph, ex.x_test.numpy())
    sim, reference = simulate(image, fw, x[:n], progress=run.progress), run_graph(fw.graph, x)
    save_figure(plot_profile(sim.per_op), run.path('instructions.png'))
    got, y = real(fw.graph, reference), ex.y_test
    want = got if run.opened.net is None else answers(run.opened.net, ex.x_test)
    first = None if y is None else y[:n]
    last = 'pruned' if result(run, 'prune')['plan'] else 'int8 as C'
    stages = {last: score(got, want, y)} | dict(device=score(real(fw.graph, sim.outputs), want[:n], first))
    wrong = int((reference[:n] != sim.outputs).sum())
    check_speed(sim.instructions, sim.per_op, cfg.max_instructions)
    run.say(f'  {len(x)} inputs: {said(stages[last])}; {n} of them on the emulated core: {wrong} of '
            f'{reference[:n].size} bytes differ from the reference')
    return dict(stages=stages, device_inputs=n, bytes_compared=int(reference[:n].size), bytes_different=wrong,
                stack_bytes=sim.stack_bytes, instructions=sim.instructions, **sim.columns(),
                instructions_by_operator=sim.per_op, cycles_by_operator=sim.cycles_by_operator())


# ---- the report ------------------------------------------------------------------------------------------------------

def plot_sparsity(plan):
    "Draw what share of each layer's weights is zero (a pure function)."
    import matplotlib.pyplot as plt
    fig, ax = plt.subplots(figsize=(6.5, .8 + .19 * max(1, len(plan))))
    ax.barh(list(plan), [100 * p['sparsity'] for p in plan.values()])
    ax.set(xlabel='% of the weights that are zero', xlim=(0, 100), title='' if plan else 'nothing was pruned')
    ax.invert_yaxis()
    ax.tick_params(axis='y', labelsize=7)
    return fig


def named_stages(d):
    "Stage -> score; where the device saw some of the inputs only, its name says how many."
    few = f"device, {d['device_inputs']} inputs" if d['device_inputs'] < d['test_inputs'] else 'device'
    return {few if k == 'device' else k: s for k, s in d['stages'].items()}


def plot_stages(stages):
    "Draw accuracy, or the distance from the float network, after each stage (a pure function)."
    import matplotlib.pyplot as plt
    key = 'accuracy' if any('accuracy' in s for s in stages.values()) else 'snr'
    held = {k: s[key] for k, s in stages.items() if s.get(key) is not None}
    fig, ax = plt.subplots(figsize=(5, 2.6))
    scale = 100 if key == 'accuracy' else 1
    ax.bar([k.replace(', ', '\n') for k in held], [scale * v for v in held.values()], width=.6)
    for i, v in enumerate(held.values()): ax.text(i, scale * v, f'{scale * v:.2f}', ha='center', va='bottom')
    ax.margins(y=.15)     # room for the figures above the bars
    ax.set(ylabel='test inputs right, %' if key == 'accuracy' else 'dB against float')
    return fig


def report_data(run):
    "What report.json holds."
    r, cfg = {k: result(run, k) for k in list(ROAD)[:-1]}, run.cfg
    img, sim, b = r['compile'], r['simulate'], run.board
    return dict(
        model=r['int8']['name'], target=b.name, data=r['int8']['source'], random_inputs=not run.examples.real,
        stages={**r['int8']['stages'], **sim['stages']}, test_inputs=r['int8']['test_inputs'],
        device_inputs=sim['device_inputs'], macs=r['int8']['macs'], weights=r['int8']['weights'],
        notes=r['int8']['notes'], weight_sparsity=r['prune']['weight_sparsity'], plan=r['prune']['plan'],
        saved=saved_text(r['prune']['needs'], r['prune']['dense']), history=r['prune']['history'],
        memory=r['prune']['needs']['memory'], chosen_for=r['prune']['needs']['kernels'] or cfg.kernels,
        trade=r['prune']['trade'], flash_limit_bytes=b.flash_bytes, sram_limit_bytes=b.sram_bytes,
        **{k: v for k, v in img.items() if k.endswith('_bytes') or k == 'weights_bytes_dense'},
        stack_bytes=sim['stack_bytes'], sram_bytes=img['data_bytes'] + img['bss_bytes'] + sim['stack_bytes'],
        instructions_per_inference=sim['instructions'], **cycle_columns(sim, b), compiler=img['compiler'],
        bytes_compared=sim['bytes_compared'], bytes_different=sim['bytes_different'], kernels=img['kernels'],
        seconds=round(sum(v['seconds'] for v in r.values()), 1), versions=versions(), settings=asdict(cfg))


def closing_table(d):
    "The figures that a person wants first: (what, value)."
    use = lambda used, limit: f'{used:,} of {limit:,} bytes ({used / limit:.0%})'
    stages = [(f'{k}', said(s)) for k, s in named_stages(d).items()]
    saved = f"; {d['saved']} than dense" if d['plan'] else ''
    data = d['data'] + (': ranges and answers mean nothing, give --data' if d['random_inputs'] else '')
    return [('model', f"{d['model']}, {d['weights']:,} weights, {d['macs']:,} multiply-accumulates"),
            ('target', f"{d['target']}, {d['compiler']}"), ('data', data), *stages,
            ('weight sparsity', f"{d['weight_sparsity']:.1%} of the weights are zero" + saved),
            ('flash', use(d['flash_bytes'], d['flash_limit_bytes'])),
            ('constants', f"{d['weights_bytes']:,} bytes; dense {d['weights_bytes_dense']:,}"),
            ('SRAM', use(d['sram_bytes'], d['sram_limit_bytes'])),
            ('arena', f"{d['arena_bytes']:,} bytes (--memory {d['memory']}); stack {d['stack_bytes']:,}"),
            ('instructions per inference', f"{d['instructions_per_inference']:,}"),
            *cycle_rows(d),
            ('device against reference', f"{d['bytes_different']} of {d['bytes_compared']:,} output bytes differ, over "
                                         f"{d['device_inputs']} inputs")]


def _ways(d):
    "(ways to compile the model, the one that was taken) of a report."
    ways = [tr.Way(**w) for w in d['trade']]
    return ways, next((w for w in ways if (w.kernels, w.memory) == (d['chosen_for'], d['memory'])), None)


def trade_section(d):
    "Arena against time: a person picks another way from it."
    (ways, taken), board = _ways(d), board_named(d['target'])
    if not (ways[0].measured or board.cpu.cost_table): return []           # nothing predicts cycles of its core
    how = ('Each way was built and run once; waiting is that of the memory model.' if ways[0].measured else
           'Predicted by the cost table and the plan, for comparison; `--objective ms` measures each way and takes the '
           'fastest that fits.')
    pick = 'The line is the curve: no other way is smaller and faster. Take one of its ways with `--objective` (bytes '\
           'or speed) and `--memory`.'
    return ['## Memory against time', f'{how} {pick}', '![arena against milliseconds](trade.png)',
            '\n'.join(tr.table(ways, board, taken))]


def report_markdown(run, d):
    "The report for people."
    sim = result(run, 'simulate')
    notes = ['## Notes', '\n'.join(f'* {n}' for n in d['notes'])] if d['notes'] else []
    layers = ['| layer | block | sparsity | loss |', '|---|---|--:|--:|',
              *(f"| {k} | {p['block']} | {p['sparsity']:.0%} | {p['loss']:.2e} |" for k, p in d['plan'].items())]
    pruned = ['## Sparsity of each layer', 'The loss is what the layer alone changes of the outputs: mean square error '
              'over mean square.', '\n'.join(layers), '![sparsity](sparsity.png)'] if d['plan'] else []
    return '\n\n'.join([
        f"# {d['model']} on {d['target']}", '\n'.join(['| | |', '|---|---|',
                                                       *(f'| {k} | {v} |' for k, v in closing_table(d))]),
        *notes, '## After each stage', '![stages](stages.png)', *pruned, '## Memory over time',
        '![memory plan](memory.png)', *trade_section(d),
        '## Instructions by operator', '![instructions](instructions.png)', *kernel_section(d, sim)]) + '\n'


@step
def step_report(run):
    "Write report.json and report.md."
    d = report_data(run)
    save_figure(plot_stages(named_stages(d)), run.path('stages.png'))
    save_figure(tr.plot(_ways(d)[0], run.board, _ways(d)[1]), run.path('trade.png'))
    write_text(run.path('report.md'), report_markdown(run, d))
    return d


def go(
    folder,        # made, or continued
    cfg,           # Settings
    progress=True, # print steps and bars
): # dict: the report
    "Every step that is not done yet."
    run = Deployment(folder, cfg, progress)
    return walk(run, cfg.model, run.board, ROAD, do, closing_table)
