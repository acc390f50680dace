"""What each part of the road is worth: the road of `pipeline` with one step changed, at the same budget, seed by seed.

    tinyformer ablate --data digits --seeds 5 --record nbs/experiments/results/ablations_digits.json

A row is the road with some steps changed. What comes before the first changed step is taken over from the row that it
is compared with, with the same seed: the two differ in what was changed and in nothing else."""
import functools, math, shutil, tempfile, time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from tinyformer import ablation_counts, pipeline as pl, provenance, run_record, tradeoff, zoo
from tinyformer.arch import Arch, InvertedResidual, Residual, Transformer, prune_plan, residual_arch
from tinyformer.blocks import build
from tinyformer.cost_model import cost
from tinyformer.data import load, to_int8
from tinyformer.errors import BadInput, NoFeasibleModel
from tinyformer.files import finished
from tinyformer.graph import load as load_graph, run as run_graph
from tinyformer.lowering import random_model
from tinyformer.pruning import sparsity_of
from tinyformer.quantization import QAttention, quantize
from tinyformer.search_space import Position, SearchSpace
from tinyformer.simulator import simulate
from tinyformer.sparsenas import PrunedSuperNet, search
from tinyformer.training import evaluate, read_checkpoint, rng_at

PART = tuple(pl.ROAD)[:6]   # the steps up to integers
DISTILL = .7                # weight of the teacher's answers, as `finetune` has it
DENSE_AT = '1x4', .8        # block and sparsity that a dense search counts with
START = dict(               # data -> settings of the road
    cifar10=pl.RunConfig(dataset='cifar10'),   # for what is counted only
    digits=pl.RunConfig(images=60_000, batch_size=64, lr=4e-3, trials=30, max_drop=1.),
    gtsrb=pl.RunConfig(dataset='gtsrb', flash='64KB', sram='32KB', lo=0., images=100_000, batch_size=64,
                       lr=.1, momentum=.9, machine='fastest', trials=1, max_drop=1.))
EVERY = dict(digits=1, gtsrb=4)  # every how many test images are asked
COUNTED = dict(digits='digits', gtsrb='gtsrb-64kb', cifar10='cifar10-256kb')  # data -> model of the zoo that is counted
COUNTS = 'counts'           # what `only` says for these


@dataclass(frozen=True)
class Row:
    "A row of the table: the road with some steps changed."
    what: str                                   # in words
    steps: dict                                 # step of the road -> f(run, base) -> what it found
    beside: str = 'whole'                       # the row that it is compared with; '' for none
    settings: dict = field(default_factory=dict)  # of `RunConfig` that differ from those of that row
    model: object = None                        # f(base) -> network that is asked in place of the integers


# ---- what steps are made of ------------------------------------------------------------------------------------------

@functools.lru_cache(2)
def _data(name): return load(name, seed=0)


def arch_of(
    run,  # `Run` with a finished search
)->Arch:
    "The network that a run trains."
    return Arch.from_json(pl.result(run, 'sparsenas')['arch'])


def _storage(arch, run): return cost(arch, pl.budget(run.cfg)).storage_bytes


def scaled(
    arch:Arch,   # any
    share:float, # of the kept blocks that stays; above 1 more are kept
)->Arch:
    "Every sparsity changed in the same measure; what is dense stays dense."
    def new(s): return float(np.clip(round(1 - (1 - s) * share, 4), .02, .98)) if s else s
    blocks = tuple(replace(b, sparsity=new(b.sparsity)) for b in arch.blocks)
    return replace(arch, blocks=blocks, head_sparsity=new(arch.head_sparsity))


def fitted(
    arch:Arch,     # any
    storage:float, # bytes of flash, as `cost` counts them
    target,        # whose core sets the formats
)->Arch:
    "The same network with as many blocks as so much flash holds."
    low, high = .02, 10.
    for _ in range(24):
        share = math.sqrt(low * high)
        if cost(scaled(arch, share), target).storage_bytes <= storage: low = share
        else: high = share
    return scaled(arch, low)


def with_block(
    arch:Arch,  # any
    block:str,  # '1x1', '1x2' or '1x4'
)->Arch:
    "Every layer in one block shape."
    return replace(arch, blocks=tuple(replace(b, block=block) for b in arch.blocks), head_block=block)


def convolutions(
    b:Transformer, # to be replaced
    cin:int,       # channels that come in
)->list: # of tuples of blocks
    "Convolution blocks that could stand in the place of a transformer."
    found = []
    for s in (.2, .35, .5, .6, .7, .8, .9):
        same = dict(cout=b.cout or cin, block=b.block, sparsity=s)
        found += [(Residual(**same),), (Residual(**same),) * 2]
        found += [(InvertedResidual(expand=e, **same),) * n for e in (1, 2, 3, 4, 6, 8, 12, 16) for n in (1, 2)]
    return found


def image_bytes(
    arch:Arch, # any
    board,     # target
)->int:
    "Flash of an image of this network, with random weights."
    with tempfile.TemporaryDirectory() as tmp:
        return tradeoff.built(random_model(arch), board, Path(tmp)/'model')[1].flash_bytes


def as_convolution(
    arch:Arch, # with one transformer
    board,     # target
)->Arch:
    """The transformer replaced by the convolution blocks of the same flash and most nearly the same instructions. The
    code that attention takes is left to weights."""
    at, = [i for i, b in enumerate(arch.blocks) if isinstance(b, Transformer)]
    def put(blocks): return replace(arch, blocks=(*arch.blocks[:at], *blocks, *arch.blocks[at + 1:]))
    able = [put(blocks) for blocks in convolutions(arch.blocks[at], arch.shapes()[at][2])]
    was, image = cost(arch, board), image_bytes(arch, board)
    room = was.storage_bytes
    for _ in range(4):                               # the cost model has one figure for the code of all networks
        other = fitted(_nearest(able, room, was.instructions, board), room, board)
        room += image - image_bytes(other, board)
    return other


def _nearest(archs, storage, instructions, board):
    "Of networks of this flash the one with most nearly these instructions."
    def far(a, what, of): return abs(math.log(getattr(cost(a, board), what) / of))
    archs = sorted(archs, key=lambda a: far(a, 'storage_bytes', storage))
    near = [a for a in archs if far(a, 'storage_bytes', storage) < .05] or archs[:1]
    return min(near, key=lambda a: far(a, 'instructions', instructions))


def _trained(run, net, step, name, more=0, rise=None, **kw):
    "Train through a step's stage, with more images, another ramp or a teacher."
    stage = pl.stages(run.cfg)[step]
    stage = replace(stage, cfg=replace(stage.cfg, images=stage.cfg.images + more), rise=rise or stage.rise)
    if 'teacher' in kw: stage = replace(stage, cfg=replace(stage.cfg, distill=DISTILL))
    data = _data(run.cfg.dataset)
    machine = pl.machine_of(stage.machine, net, data, stage.cfg, run.path(f'{name}.machine.json'))
    if 'teacher' in kw: kw['teacher'].to(machine.device)
    hist = pl.train_stage(net, data, stage, run.path(f'{name}.ckpt'), arch_of(run), machine=machine, progress=False,
                          **kw)
    net.cpu()
    return dict(val_accuracy=hist[-1]['val_accuracy'], history=hist)


def _floats(run, net, more=0):
    "Float training, and its weights."
    out = _trained(run, net, 'train', 'train', more)
    pl.save_weights(net, run.path('float.pt'))
    return out


def _images(run, step): return pl.stages(run.cfg)[step].cfg.images


# ---- the steps that are changed --------------------------------------------------------------------------------------

def _space_named(run, base, name):
    "One of the supernets that the whole road looked at, whatever the verdict was."
    data = _data(run.cfg.dataset)
    spaces = {s.name: s for s in pl.spaces_for(run.cfg, data.shape, len(data.classes))}
    verdict, = [s for s in pl.result(base, 'supernas')['supernets'] if s['name'] == name]
    return dict(space=spaces[name].to_json(), accepted=verdict, supernets=[verdict])


def random_supernet(run, base):
    "One of the supernets, by chance."
    names = [s['name'] for s in pl.result(base, 'supernas')['supernets']]
    return _space_named(run, base, names[rng_at(run.cfg.seed, 16).integers(len(names))])


def largest_supernet(run, base):
    "The supernet with the most parameters."
    found = pl.result(base, 'supernas')['supernets']
    return _space_named(run, base, max(found, key=lambda s: s['mean_parameters'])['name'])


def rejected_supernet(run, base):
    "The best of the supernets that were rejected."
    found = [s for s in pl.result(base, 'supernas')['supernets'] if s['verdict'] == 'rejected']
    return _space_named(run, base, max(found, key=lambda s: s['probability'])['name'])


def plain_space(
    space:SearchSpace, # any
)->SearchSpace:
    "A space in which block shape and sparsity are no choice."
    block, sparsity = DENSE_AT
    def plain(p):
        one = dict(p.choices)
        if 'sparsity' in one: one |= dict(block=(block,), sparsity=(sparsity,))
        return Position(p.kind, one, p.repeat)
    positions = tuple(map(plain, space.positions))
    return replace(space, positions=positions, head_block=(block,), head_sparsity=(sparsity,))


def dense_space(run, base):
    "The accepted supernet, without the choices that pruning makes."
    was = pl.result(base, 'supernas')
    return dict(was, space=plain_space(SearchSpace.from_json(was['space'])).to_json())


def _own_space(run): return SearchSpace.from_json(pl.result(run, 'supernas')['space'])


def dense_supernet(run, base):
    "A supernet that is never pruned."
    return pl.make_supernet(_own_space(run), _data(run.cfg.dataset), pl.stages(run.cfg)['supernet'],
                            run.path('supernet.pt'), ramp=(2., 3.), progress=False)


def unpruned(
    run:pl.Run, # with a supernet
)->PrunedSuperNet: # whose paths run dense
    "The supernet of a run."
    net = pl.weights_of(run, 'supernet.pt', PrunedSuperNet(_own_space(run)))
    net.share = 0.
    return net


def dense_search(run, base):
    "Candidates judged dense; the winner is pruned evenly, to the flash of the whole road's winner."
    c, data = run.cfg, _data(run.cfg.dataset)
    found = search(_own_space(run), unpruned(run), data, pl.budget(c), trials=c.trials, run=run.folder, seed=c.seed,
                   progress=False)
    arch = fitted(found.best, _storage(arch_of(base), base), pl.budget(run.cfg))
    return dict(arch=arch.to_json(), searched=found.best.to_json(), trials=len(found.trials),
                trials_feasible=len(found.feasible))


def dense_train(run, base):
    "Float training from the dense supernet's weights."
    return _floats(run, unpruned(run).extract(Arch.from_json(pl.result(run, 'sparsenas')['searched'])))


def _other(change):
    "A step that changes the network and not its flash."
    def act(run, base):
        arch, board = arch_of(base), pl.budget(run.cfg)
        return dict(arch=fitted(change(arch), _storage(arch, run), board).to_json())
    return act


def convolution_search(run, base):
    "The winner with a convolution block in the place of its transformer."
    return dict(arch=as_convolution(arch_of(base), pl.budget(run.cfg)).to_json())


def nothing(run, base):
    "A step that is left out."
    return {}


def given(run, base):
    "The small network of plain residuals, no search."
    data, board = _data(run.cfg.dataset), pl.budget(run.cfg)
    arch = residual_arch('mini', data.shape, len(data.classes))
    return dict(arch=fitted(arch, board.flash_bytes, board).to_json())


def fresh_train(run, base):
    "Float training from random weights, with the supernet's images as well."
    torch.manual_seed(run.cfg.seed)
    return _floats(run, build(arch_of(run)), more=_images(run, 'supernet'))


def _pruning(**how):
    "A step that prunes in another way."
    def act(run, base):
        net = pl.weights_of(run, 'float.pt', build(arch_of(run))).train()
        more = _images(run, 'quantize') * how.get('longer', 0)
        out = _trained(run, net, 'prune', 'prune', more, how.get('rise'), **_teacher(run, how))
        pl.save_weights(net, run.path('pruned.pt'))
        return dict(out, sparsity=sparsity_of(net, prune_plan(arch_of(run))))
    return act


def _teacher(run, how):
    if not how.get('taught'): return {}
    return dict(teacher=pl.weights_of(run, 'float.pt', build(arch_of(run))))


def _quantizing(**how):
    "A step that makes integers, with training or without."
    def act(run, base):
        data = _data(run.cfg.dataset)
        net = quantize(pl.weights_of(run, 'pruned.pt', build(arch_of(run))), data.x_train[:512])
        out = _trained(run, net, 'quantize', 'qat', **_teacher(run, how)) if how['train'] else {}
        pl.make_model(net, run.cfg.dataset, run.path('model.tfm'))
        return out
    return act


def _own(name): return lambda run, base: pl.STEPS[name](run)


def taken(
    name:str, # of a step
): # f(run, base) -> what it found
    "A step taken over from the row that this one is compared with."
    def act(run, base):
        for file in pl.FILES[name]:
            if base.path(file).exists(): shutil.copyfile(base.path(file), run.path(file))
        return pl.result(base, name)
    return act


def _in_blocks(block):
    "The steps of a row in which every layer has one block shape."
    return dict(sparsenas=_other(lambda arch: with_block(arch, block)), train=taken('train'))


def float_steps(base):
    "The trained network with LayerNorm and softmax in float, scores and probabilities unrounded."
    net = quantize(pl.weights_of(base, 'pruned.pt', build(arch_of(base))), _data(base.cfg.dataset).x_train[:512])
    net.load_state_dict(read_checkpoint(base.path('qat.ckpt'))['parts']['model'])
    for layer in net.modules():
        if isinstance(layer, QAttention): layer.score = layer.prob = nn.Identity()
    return net.eval()


TRAINED = dict(
    whole=Row('the whole road', {}, beside=''),
    fresh=Row('no weights from the supernet', dict(train=fresh_train)),
    supernet_random=Row('no SuperNAS: one of its supernets by chance', dict(supernas=random_supernet)),
    supernet_largest=Row('no SuperNAS: the largest supernet', dict(supernas=largest_supernet)),
    search_random=Row('no SparseNAS: random search', dict(sparsenas=_own('sparsenas')),
                      settings=dict(sampler='random')),
    search_dense=Row('no SparseNAS: dense search, then even pruning',
                     dict(supernas=dense_space, supernet=dense_supernet, sparsenas=dense_search, train=dense_train)),
    block_1x1=Row('blocks of 1x1', _in_blocks('1x1')),
    block_1x2=Row('blocks of 1x2', _in_blocks('1x2')),
    block_1x4=Row('blocks of 1x4', _in_blocks('1x4')),
    one_shot=Row('pruned at once, not gradually', dict(prune=_pruning(rise=(0., 0.)))),
    calibrated=Row('int8 by calibration, no QAT', dict(prune=_pruning(longer=1), quantize=_quantizing(train=False))),
    taught=Row('the dense network teaches', dict(prune=_pruning(taught=True),
                                                 quantize=_quantizing(train=True, taught=True))),
    convolution=Row('a convolution block for the transformer', dict(sparsenas=convolution_search, train=fresh_train),
                    beside='fresh'),
    float_steps=Row('LayerNorm and softmax in float', {}, model=float_steps))
GIVEN = dict(TRAINED, whole=Row('a given network, trained, pruned, int8', dict(
    supernas=nothing, supernet=nothing, sparsenas=given, train=fresh_train), beside=''),
    convolution=replace(TRAINED['convolution'], beside='whole'))
LEFT_OUT = 'fresh', 'supernet_random', 'supernet_largest', 'search_random', 'search_dense', 'block_1x4'
SEARCHED = {k: replace(TRAINED[k], beside='searched') for k in ('fresh', 'search_random', 'search_dense')} | dict(
    supernet_rejected=Row('no SuperNAS: the best supernet that it rejected', dict(supernas=rejected_supernet),
                          beside='searched'))
ROWS = dict(cifar10={}, digits=TRAINED, gtsrb={k: r for k, r in GIVEN.items() if k not in LEFT_OUT} | dict(
    searched=Row('a search among plain residuals', {}, beside='', settings=dict(space='residual', trials=30)),
    **SEARCHED))


# ---- one row, one seed -----------------------------------------------------------------------------------------------

def folder_of(
    out:Path,  # folder of all runs
    data:str,  # a key of `START`
    name:str,  # a key of `ROWS[data]`
    seed:int,  # of everything random
)->Path:
    "Where the run of a row lies."
    return Path(out)/data/f'seed{seed}'/name


def travel(
    out:Path,         # folder of all runs
    cfg:pl.RunConfig, # of the whole road, with the seed
    name:str,         # a key of `ROWS[cfg.dataset]`
)->pl.Run: # walked down to integers
    "Walk the road of a row as far as it was not walked before, and first that of the row it is compared with."
    row = ROWS[cfg.dataset][name]
    base = travel(out, cfg, row.beside) if row.beside else None
    cfg = replace(base.cfg if base else cfg, **row.settings)
    run = pl.Run(folder_of(out, cfg.dataset, name, cfg.seed), cfg, progress=False)
    own = not base
    for step in PART:
        own |= step in row.steps
        act = row.steps.get(step, _own(step) if own else taken(step))
        if finished(run.folder, f'{step}.json'): continue
        pl.perform(run.folder, [f'{step}.json', *pl.FILES[step]], pl.LEFT.get(step, []), lambda: act(run, base))
    return run


def _right(logits, y): return float((logits.argmax(1) == y).mean())


def measured(
    run:pl.Run,        # walked down to integers
    model:object=None, # f(run) -> network to ask in place of the integers
)->dict: # accuracy 0 to 1, bytes, cycles
    "What a row's model gets right on the test images, and what its image costs."
    every, data = EVERY[run.cfg.dataset], _data(run.cfg.dataset)
    x, y = data.x_test[::every], data.y_test[::every]
    graph = load_graph(run.path('model.tfm'))
    right = evaluate(model(run), x, y) if model else _right(run_graph(graph, to_int8(x)), y)
    out = dict(accuracy=right, test_images=len(y))
    with tempfile.TemporaryDirectory() as tmp:
        fw, image = tradeoff.built(graph, pl.budget(run.cfg), Path(tmp)/'model')
        sim = simulate(image, fw, to_int8(x[:1]), progress=False)
    out |= dict(flash_bytes=image.flash_bytes, arena_bytes=fw.arena_bytes, instructions=sim.instructions,
                cycles=sim.clock_cycles, weight_sparsity=graph.weight_sparsity())
    return out


def row_of(
    out:Path,         # folder of all runs
    cfg:pl.RunConfig, # of the whole road, with the seed
    name:str,         # a key of `ROWS[cfg.dataset]`
)->dict: # what the record keeps
    "One row with one seed; a search in which nothing fits is a result too."
    began = time.process_time()
    said, row = dict(row=name, seed=cfg.seed), ROWS[cfg.dataset][name]
    try: said |= dict(fits=True, **measured(travel(out, cfg, row.beside if row.model else name), row.model))
    except NoFeasibleModel as e: said |= dict(fits=False, why=str(e))
    return said | dict(cpu_seconds=round(time.process_time() - began, 1), commit=provenance.commit())


# ---- the record ------------------------------------------------------------------------------------------------------

def settings_of(
    data:str,        # a key of `START`
    images:int=None, # budget of all trainings of a row; None: that of `START`
    trials:int=None, # of a search, likewise
)->pl.RunConfig:
    "The whole road's settings, checked."
    if data not in START: raise BadInput(f"no ablations on {data!r}; there are {', '.join(START)}")
    more = {k: v for k, v in dict(images=images, trials=trials).items() if v is not None}
    return pl.settings(START[data], **more)


def chosen(
    data:str, # a key of `START`
    only:str, # a row; '' is all
)->list: # names, each after the row that it is compared with
    "The rows to measure."
    rows = ROWS[data]
    if not only: return list(rows)
    if only == COUNTS: return []
    if only not in rows: raise BadInput(f"no row {only!r} for {data}; there are {', '.join([*rows, COUNTS])}")
    names = [only]
    while rows[names[0]].beside: names.insert(0, rows[names[0]].beside)
    return names


def read_record(
    file:Path,        # may be missing
    cfg:pl.RunConfig, # that it must have been made with
)->dict: # meta, runs, counts
    "What is known already."
    return run_record.read(file, cfg, ('row', 'seed'), ('counts',), 'ablations')


def _write(file, cfg, runs, counts, command, was=None):
    run_record.write(file, runs, asdict(cfg), command, was, counts=counts)


def record(
    file:Path,             # JSON; what it holds already is kept
    data:str='digits',     # a key of `START`
    only:str='',           # one row and those that it is compared with, or `COUNTS`; '' is all
    seeds:int=3,           # 0 .. seeds - 1
    out:Path='runs/ablate',# folder of all runs
    images:int=None,       # see `settings_of`
    trials:int=None,       # likewise
    command:str='',        # that was typed
    told=print,            # f(text), after each run
)->dict: # meta, runs, counts
    "Run every row with every seed that the record lacks, seed by seed; each is kept as soon as it is there."
    cfg = settings_of(data, images, trials)
    todo = [(seed, name) for seed in range(seeds) for name in chosen(data, only)]
    held = read_record(file, cfg)
    runs, counts, done = held['runs'], held['counts'], {(r['row'], r['seed']) for r in held['runs']}
    stale = not counts or counts.get('sha256') != zoo.card_of(COUNTED[data])['sha256']   # of another model, or none
    if stale and only in ('', COUNTS):
        counts = ablation_counts.counted(COUNTED[data]) | dict(commit=provenance.commit(), command=command)
        _write(file, cfg, runs, counts, command, runs and held['meta'])
        told(f"counted {len(counts['ways'])} ways to build {COUNTED[data]}")
    torch.set_num_threads(cfg.threads)
    for i, (seed, name) in enumerate(todo, 1):
        if (name, seed) in done: continue
        runs.append(found := row_of(out, replace(cfg, seed=seed), name))
        _write(file, cfg, runs, counts, command)
        said = f"{found['accuracy']:.1%} right" if found['fits'] else 'nothing fits'
        told(f"{i} of {len(todo)}: {data}, seed {seed}, {name}: {said}, {found['cpu_seconds']:.0f} s of CPU")
    return read_record(file, cfg)


# ---- what the runs say -----------------------------------------------------------------------------------------------

def interval(
    values:list, # one per seed
    confidence:float=.95,
)->tuple: # (mean, half the width); the width is None for fewer than two
    "Mean and Student's t interval over seeds."
    from scipy.stats import t
    n, mean = len(values), float(np.mean(values))
    if n < 2: return mean, None
    return mean, float(t.ppf(.5 + confidence / 2, n - 1) * np.std(values, ddof=1) / math.sqrt(n))


def values_of(
    runs:list, # of a record
    name:str,  # a row
    what:str,  # a field, such as 'accuracy'
)->dict: # seed -> value, where something fitted
    "One number of a row, seed by seed."
    return {r['seed']: r[what] for r in runs if r['row'] == name and r['fits']}


def difference(
    runs:list, # of a record
    name:str,  # a row
    beside:str, # the row that it is compared with
    what:str='accuracy', # a field
)->tuple: # (mean, half the width, seeds)
    "Mean difference with the same seeds, and its interval."
    a, b = (values_of(runs, n, what) for n in (name, beside))
    both = sorted(set(a) & set(b))
    if not both: return None, None, 0
    return *interval([a[s] - b[s] for s in both]), len(both)


def differs(
    mean:float, # of a difference; None where there is none
    half:float, # half the width of its interval
)->bool:
    "Whether an interval leaves zero out."
    return half is not None and abs(mean) > half


def _pm(mean, half, form): return f'{mean:{form}}' + (f' ± {half:{form.lstrip("+")}}' if half is not None else '')


def line_of(
    runs:list, # of a record
    data:str,  # a key of `ROWS`
    name:str,  # a row
)->list: # of texts
    "A row of the table."
    row, mine = ROWS[data][name], [r for r in runs if r['row'] == name]
    fits = [r for r in mine if r['fits']]
    if not fits: return [row.what, f'nothing fits in {len(mine)} of {len(mine)} seeds', *[''] * 5]
    right = _pm(*interval([100 * v for v in values_of(runs, name, 'accuracy').values()]), '.1f')
    mean, half, n = difference(runs, name, row.beside) if row.beside else (None, None, 0)
    change = '' if mean is None else _pm(100 * mean, half and 100 * half, '+.1f')
    size, cycles = (np.mean([r[k] for r in fits]) for k in ('flash_bytes', 'instructions'))
    seeds = f'{len(fits)} of {len(mine)}' if len(fits) < len(mine) else str(len(fits))
    verdict = '' if half is None else 'yes' if differs(mean, half) else 'no'
    return [row.what, right, change, verdict,
            f'{size:,.0f}', f'{cycles / 1e3:,.0f}', seeds]


HEAD = 'row', 'right, %', 'difference', 'differs', 'flash, B', 'thousand instructions', 'seeds'


def _lines(head, left, rows):
    "A table in markdown; the first `left` columns hold text."
    rule = ['---'] * left + ['--:'] * (len(head) - left)
    return '\n'.join(f"| {' | '.join(map(str, line))} |" for line in [head, rule, *rows])


def table(
    runs:list, # of a record
    data:str,  # a key of `ROWS`
)->str: # markdown
    "Every row: accuracy, difference with the same seeds, 95 % intervals, flash and instructions."
    known = {r['row'] for r in runs}
    rows = [line_of(runs, data, name) for name in ROWS[data] if name in known]
    return _lines(HEAD, 1, rows)


def _times(n, of): return f'{n / of - 1:+.1%}' if n and of else ''


def ways_table(
    counts:dict, # of a record
)->str: # markdown
    "Every way to build the model, and how far it is from the usual one."
    usual, rows = counts['ways'][0], []
    for w in counts['ways']:
        cells = [[f'{w[k]:,}', _times(w[k], usual[k])] for k in ('flash_bytes', 'arena_bytes', 'instructions', 'cycles')
                 if w[k] is not None]
        rows.append([w['what'], *sum(cells, [])])
    head = counts['model'], *(c for k in ('flash, B', 'arena, B', 'instructions', 'cycles') for c in (k, ''))
    return _lines(head, 1, rows)


def steps_table(
    counts:dict, # of a record
)->str: # markdown
    "Each step in integers and in float."
    rows = []
    for s in counts['steps']:
        size = f"{s['tokens']} tokens, " + (f"{s['heads']} heads" if 'heads' in s else f"{s['cin']} channels")
        known = s['est_cycles'] and s['float_est_cycles']
        times = f"{s['float_est_cycles'] / s['est_cycles']:.1f}" if known else ''
        rows.append([s['step'], size, f"{s['instructions']:,}", f"{s['float_instructions']:,}", s['est_cycles'],
                     s['float_est_cycles'], times, f"{s['bytes_apart']} of {s['bytes_compared']}"])
    head = 'step', 'size', 'instructions', 'in float', 'core cycles', 'in float', 'times', 'bytes that differ'
    return _lines(head, 2, rows)
