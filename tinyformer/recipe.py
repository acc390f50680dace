"""The long road for photographs: teachers, supernet, search, winner. The digits take `tinyformer demo`; CIFAR-10 this.
Any other data set of small images goes the same way (`--dataset`).

    python -m tinyformer.recipe teacher  --out runs/cifar10 --seed 0          # and 1, 2
    python -m tinyformer.recipe supernet --out runs/cifar10
    python -m tinyformer.recipe search   --out runs/cifar10
    python -m tinyformer.recipe train    --out runs/cifar10
    python -m tinyformer.recipe notes    --out runs/cifar10                   # for `tinyformer evaluate --notes`
    python -m tinyformer.recipe rank     --out runs/cifar10 --candidate 0     # 0 to 7

A network chosen by hand, of plain 3x3 residuals, needs no search:

    python -m tinyformer.recipe direct   --out runs/cifar10 --size tiny --images 6000000
    python -m tinyformer.recipe notes    --out runs/cifar10 --size tiny --by-hand
    python -m tinyformer.recipe direct   --out runs/gtsrb --dataset gtsrb --size small --minutes 20

Its network can go on learning another day, with a budget of its own and other distortions:

    python -m tinyformer.recipe direct   --out runs/more --after runs/cifar10 --size tiny --strong --minutes 120

A teacher learns faster than those networks, and pruning hardly makes it worse. So the network can be one too, pruned
while it learns; and one that has learnt already, as a teacher, goes on from there:

    python -m tinyformer.recipe direct   --out runs/cifar10 --network teacher --size small --minutes 60
    python -m tinyformer.recipe direct   --out runs/pruned --network teacher --after runs/cifar10/teacher0.pt \
                                         --size middle --minutes 60

For a small board, depthwise and pointwise convolutions make more of the same weights and cycles:

    python -m tinyformer.recipe direct   --out runs/cifar10 --network separable --size tiny --minutes 60

It learns more from a teacher, which answers beforehand for some distorted views of each image:

    python -m tinyformer.recipe teacher  --out runs/cifar10 --images 820000
    python -m tinyformer.recipe direct   --out runs/cifar10 --size small --teachers 1 --views 8 --minutes 60

`--minutes N` or `--images N` give any training step a budget in place of its epochs, and every schedule follows the
share of it that is spent. The whole road within a budget, with one teacher, is one command:

    python -m tinyformer.recipe all      --out runs/cifar10 --size small --minutes 60

The numbers are for one GPU. Add `--cpu` to `train` for those of a processor core and some hours: a winner that costs
little arithmetic, gentle distortions, and the teacher asked once for every image instead of at every step.

Every step goes on where it was killed. The test images are read at the very end: by `notes`, for the float and the
pruned network, and by `tinyformer evaluate`, for the model.tfm that `train` leaves."""
import json, platform, re, sys, time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from tqdm import tqdm

from tinyformer import separable
from tinyformer.augmentation import augmentation
from tinyformer.console import typed
from tinyformer.data import load, to_float
from tinyformer.errors import BadInput, CorruptModel, RunFolderError
from tinyformer.files import atomic_path, digest, finished, remove, write_json
from tinyformer.hardware import parse_bytes, target
from tinyformer.machine import Machine, device_of, multiplies_bf16
from tinyformer.provenance import commit, versions
from tinyformer.pruning import sparsity_of
from tinyformer.quantization import quantize
from tinyformer.arch import Arch, prune_plan, residual_arch
from tinyformer.blocks import build
from tinyformer.cost_model import cost
from tinyformer.fitting import foresee
from tinyformer.search_space import PRESETS, preset, size_of
from tinyformer.one_shot import PrunedSuperNet
from tinyformer.pace import fastest
from tinyformer.ranking import evenly
from tinyformer.run_config import Stage, share_out
from tinyformer.run_folder import load_weights, perform, save_weights
from tinyformer.run_steps import make_model, make_supernet, train_stage, unseen_accuracies
from tinyformer.sparsenas import search
from tinyformer.teachers import PRUNED, Mirrored, Teacher, pruning_plan
from tinyformer.training import Answers, TrainConfig, evaluate, read_checkpoint

# flash and SRAM that a size is meant for
LIMITS = dict(small=('256KB', '64KB'), middle=('512KB', '128KB'), large=('1MB', '320KB'), tiny=('100KB', '52KB'),
              mini=('64KB', '32KB'))
# steps of `all` and their shares of its budget; the rest is for asking the teacher and for rounding
ROAD = dict(teacher=.25, supernet=.2, search=.1, train=.35)
AT_ONCE = 8     # candidates between two looks at the clock
BY_HAND = dict(residual=('mini', 'tiny', 'small', 'middle', 'large'), separable=tuple(separable.SHAPES),
               teacher=tuple(PRUNED))  # networks and their sizes


@dataclass(frozen=True)
class Recipe:
    "Every number of the road; `--quick` makes all of them tiny, to see that it works."
    dataset: str = 'cifar10'       # name known to `data.load`
    size: str = 'large'            # key of `search_space.PRESETS`; of `direct`: see `BY_HAND`
    seed: int = 0                  # of everything random
    teachers: int = 3              # how many `train` learns from
    teacher_epochs: int = 40
    teacher_width: int = 64        # channels of the first stage; the others have four times as many
    supernet_epochs: int = 36
    trials: int = 320
    calibration: int = 1000        # training images for batch norm and ranges
    float_epochs: int = 50
    prune_epochs: int = 225        # half of them raise the sparsity
    polish_epochs: tuple = ()      # after them, stages at half the rate: blocks come back where the flash has room
    refine_epochs: tuple = ()      # then stages at the full rate with strong distortions and mixup until the last fifth
    lr: float = 3e-3               # of `train`
    strong: bool = True            # of `train`: turn, resize, tint and cover as well
    mixup: float = .2              # of `train`: 0 = never
    temperature: float = 1.        # above 1 softens the teachers' answers, which smoothed labels have made soft already
    thrifty: bool = False          # take the near-best candidate of fewest MACs, and ask the teachers once per image
    rank_epochs: int = 3
    rank_images: int = 5_000      # of the training split, so that a CPU can do it
    batch_size: int = 1000
    direct_epochs: int = 120       # of `direct`
    direct_strong: bool = False    # of `direct`: strong distortions and mixup until the last fifth
    minutes: float = None          # budget of a step's trainings together, in place of their epochs
    images: int = None             # the same as a number of images
    views: int = 0                 # distorted copies of each image that the teachers are asked about beforehand
    network: str = 'residual'      # of `direct`: a key of `BY_HAND`
    after: str = None              # of `direct`: run folder whose network it goes on from, or file of a teacher


# presets: what differs on a processor core, and where everything is tiny
CPU = dict(teachers=1, float_epochs=3, prune_epochs=13, lr=2e-3, strong=False, mixup=0., thrifty=True, batch_size=128)
QUICK = dict(teachers=1, teacher_epochs=1, teacher_width=8, supernet_epochs=1, trials=2, calibration=64, float_epochs=1,
             prune_epochs=2, rank_epochs=1, direct_epochs=1, batch_size=50)


class Ensemble(nn.Module):
    "The mean of the teachers' log-probabilities."
    def __init__(self, nets):
        super().__init__()
        self.nets = nn.ModuleList(nets)

    def forward(self, x): return sum(F.log_softmax(n(x).float(), 1) for n in self.nets) / len(self.nets)


def _weights(model, out, name, step):
    "A model with the weights that an earlier step left in the run folder."
    return load_weights(model, out, name, f'first run  python -m tinyformer.recipe {step} --out {out}')


def _fit(net, data, stage, file, machine, progress=True, **kw):
    """`train_stage` with ten validations where it is long, on the fastest machine unless one is given; which one it
    was is kept beside the checkpoint."""
    machine = machine or fastest(net, data, stage.cfg, file.with_suffix('.machine.json'), progress)
    looks = 10 if stage.cfg.epochs >= 50 or stage.cfg.minutes or stage.cfg.images else 0
    return train_stage(net, data, stage, file, looks=looks, machine=machine, progress=progress, **kw)


# ---- every training, as data

def _stage(name, i):
    "What the files of the stage number `i`, from 0, of its kind are called."
    return f'{name}{i + 1}' if i else name


def taught(r):
    "The stages of the winner, in order: name -> Stage. The teachers' answers are nine tenths of what it learns."
    cfg = TrainConfig(batch_size=r.batch_size, lr=r.lr, weight_decay=.03, warmup=.05, label_smoothing=0.,
                      strong=r.strong, mixup=r.mixup, clip=1., distill=.9, temperature=r.temperature, seed=r.seed)
    res = dict(float=Stage(replace(cfg, epochs=r.float_epochs)),
               pruned=Stage(replace(cfg, epochs=r.prune_epochs), rise=(.02, .5), every=20))
    for i, epochs in enumerate(r.polish_epochs):
        slow = replace(cfg, epochs=epochs, lr=r.lr / 2)
        res[_stage('polished', i)] = Stage(slow, rise=(.1, .4), every=20)
    for i, epochs in enumerate(r.refine_epochs):
        hard = replace(cfg, epochs=epochs, strong=True, mixup=.2, plain=round(epochs / 5), seed=r.seed + 1 + i)
        res[_stage('refined', i)] = Stage(hard, rise=(.1, .4), every=20)
    return res


def stages(r):
    "The stages of everything else: name -> Stage."
    half, eighth = max(1, r.batch_size // 2), max(1, r.batch_size // 8)
    few, many = min(128, r.batch_size), min(512, r.batch_size)  # fewer images a step: a lower rate, a longer average
    teacher = TrainConfig(epochs=r.teacher_epochs, batch_size=many, lr=.73 * many / 512, momentum=.85,
                          weight_decay=1.4e-3, warmup=.2, label_smoothing=.1, ema=.99**(many / 512), seed=r.seed)
    supernet = TrainConfig(epochs=r.supernet_epochs, batch_size=half, lr=4e-3, weight_decay=.05, label_smoothing=.1,
                           clip=1., seed=r.seed)
    rank = TrainConfig(epochs=r.rank_epochs, batch_size=eighth, lr=1.5e-3, weight_decay=.03, warmup=.05, clip=1.,
                       seed=r.seed)
    direct = TrainConfig(epochs=r.direct_epochs, batch_size=few, lr=.1 * few / 128, momentum=.9, weight_decay=5e-4,
                         warmup=.2, label_smoothing=.1, ema=.999, seed=r.seed)
    if r.network != Recipe.network:  # one that goes on from another takes smaller steps
        direct = replace(teacher, epochs=r.direct_epochs)
        if r.network == 'separable':  # so few weights learn more from twice the steps
            some = min(256, r.batch_size)
            direct = replace(direct, batch_size=some, lr=.5 * some / 256, ema=.99**(some / 512))
        if r.after: direct = replace(direct, lr=direct.lr / 2)
    if r.direct_strong: direct = replace(direct, strong=True, mixup=.2, plain=round(r.direct_epochs / 5))
    if r.views: direct = replace(direct, label_smoothing=0., distill=.9, temperature=r.temperature)
    return dict(teacher=Stage(teacher), supernet=Stage(supernet), rank=Stage(rank, rise=(0., 0.), every=20),
                direct=Stage(direct, rise=(.1, .6), every=20))


def budgeted(r, stages):
    "Stages with their parts of the budget, where there is one."
    return share_out(stages, r.minutes, r.images)


def stage(r, name):
    "The only stage of a step."
    return budgeted(r, {name: stages(r)[name]})[name]


# ---- the steps: which data, which stages, which files

def _teacher_net(r, data):
    widths = r.teacher_width, 4 * r.teacher_width, 4 * r.teacher_width
    return Teacher(widths, len(data.classes), data.shape[2])


def _two_sided(data):
    "Whether a mirror image of these means the same."
    return bool(augmentation(data).get('flip'))


def _asked(net, data):
    "A teacher as it answers: where images may be mirrored, it sees both sides."
    return Mirrored(net) if _two_sided(data) else net


def teacher(r, out, machine, progress=True):
    "Train one teacher; give several seeds to have several."
    data = load(r.dataset, val_fraction=.02)
    torch.manual_seed(r.seed)                       # of the weights that it begins with
    net, file = _teacher_net(r, data), out / f'teacher{r.seed}.pt'
    net.whiten.see(to_float(data.x_train[:5000]))
    hist = _fit(net, data, stage(r, 'teacher'), file.with_suffix('.ckpt'), machine=machine, progress=progress)
    save_weights(net, file)
    right = evaluate(_asked(net, data), data.x_val, data.y_val)
    return dict(val_images=len(data.y_val), one_side=hist[-1]['val_accuracy'], val_accuracy=right)


def _space(r, data): return preset(r.size, data.shape, len(data.classes))


def supernet(r, out, machine, progress=True):
    "Train the supernet, one uniformly drawn path per step, pruned as far as the schedule says."
    data = load(r.dataset, val_fraction=.1)
    return make_supernet(_space(r, data), data, stage(r, 'supernet'), out / f'supernet_{r.size}.pt',
                         machine=replace(machine or fastest(), compile=False), progress=progress)


def _supernet(r, out, data): return _weights(PrunedSuperNet(_space(r, data)), out, f'supernet_{r.size}.pt', 'supernet')


def room(r):
    "Bytes of flash that a path may be expected to take: less than there are, because its storage is an expected value."
    return int(.97 * parse_bytes(LIMITS[size_of(r.size)][0]))


def find(r, out, machine, progress=True, storage=None):
    "SparseNAS over the supernet, within 97 % of the flash. Several processes may run it at once."
    data, board = load(r.dataset, val_fraction=.1), target('stm32f746')
    flash, sram = room(r), parse_bytes(LIMITS[size_of(r.size)][1])
    net = _supernet(r, out, data).to((machine or fastest()).device)
    def searched(trials):
        return search(net.space, net, data, board.with_budget(flash, sram), trials=trials, storage=storage,
                      run=out / f'search_{r.size}', seed=r.seed, progress=progress)
    end, trials = time.monotonic() + 60 * (r.minutes or 0), min(r.trials, AT_ONCE) if r.minutes else r.trials
    found = searched(trials)
    while r.minutes and trials < r.trials and time.monotonic() < end: found = searched(trials := trials + AT_ONCE)
    rows = [dict(number=c.number, accuracy=c.accuracy, excess=c.excess, cost=asdict(c.cost), arch=c.arch.to_json())
            for c in found.trials]
    write_json(out / f'search_{r.size}.json', dict(images=len(data.y_val), trials=rows))
    return dict(trials=len(rows), feasible=len(found.feasible), best=max(c.accuracy for c in found.feasible))


def feasible(out, size):
    "(row, path) of every judged candidate of a search, and the images behind each accuracy."
    file = out / f'search_{size}.json'
    if not file.exists():
        raise RunFolderError(f'{file} is missing: first run  python -m tinyformer.recipe search --out {out}')
    d = json.loads(file.read_text())
    return [(t, Arch.from_json(t['arch'])) for t in d['trials'] if t['accuracy'] is not None], d['images']


def choose(cands, images, thrifty=False):
    """Of the candidates within half a standard error of the best: the one with the most parameters, which a long
    training fills, or the one of fewest MACs, which trains fast."""
    top = max(row['accuracy'] for row, _ in cands)
    tie = top - .5 * (top * (1 - top) / images)**.5
    merit = lambda cost: -cost['macs'] if thrifty else cost['params']
    return max((c for c in cands if c[0]['accuracy'] >= tie), key=lambda c: merit(c[0]['cost']))


def relax(arch, flash):
    """The path with the lowest ceiling on all its sparsities whose expected storage is at most `flash` bytes: zeros
    save flash and time on the board, but none while training."""
    for ceiling in np.arange(0, 1, .05).round(2):
        lower = lambda s: min(s, float(ceiling))
        blocks = tuple(replace(b, sparsity=lower(b.sparsity)) for b in arch.blocks)
        a = replace(arch, blocks=blocks, head_sparsity=lower(arch.head_sparsity))
        if cost(a, target('stm32f746')).storage_bytes <= flash: return a
    return arch


def ask_once(teachers, data, cfg, file, progress=True):
    """The data with labels [n, classes] that hold the teachers' softened answers to the undistorted images, a share
    `cfg.distill` of them; the answers are kept in `file`."""
    if not file.exists():
        how = _asking(teachers)
        place = device_of(teachers.to(memory_format=how.layout))
        with torch.no_grad(), torch.autocast(place.type, torch.bfloat16, enabled=how.bf16):
            shown = tqdm(torch.from_numpy(data.x_train).split(256), 'ask the teachers', disable=not progress)
            parts = [teachers(to_float(x).to(place, memory_format=how.layout)).float().cpu() for x in shown]
        with atomic_path(file) as tmp: torch.save(torch.cat(parts), tmp)
    soft = torch.load(file, weights_only=True)
    if soft.shape != (len(data.y_train), len(data.classes)):
        raise RunFolderError(f'{file} holds the answers to other images: delete it, or choose another folder.')
    hard = F.one_hot(torch.as_tensor(data.y_train), len(data.classes))
    return replace(data, y_train=torch.lerp(hard.float(), (soft / cfg.temperature).softmax(1), cfg.distill).numpy())


def _teachers(r, out, data):
    "The mean of the teachers of a run."
    nets = [_weights(_teacher_net(r, data), out, f'teacher{i}.pt', f'teacher --seed {i}') for i in range(r.teachers)]
    return Ensemble([_asked(net, data) for net in nets]).eval()


def _answers(r, data, cfg):
    "Room for the teachers' answers, each of which holds for a mirror image too where `_asked` shows both sides."
    return Answers(data, cfg, r.views, mirrored=_two_sided(data))


def _shared(r):
    "The file of the answers that `direct` learns from, whatever its size."
    return f'views_of_{r.teachers}_{"strong" if r.direct_strong else "gentle"}_seed{r.seed}.pt'


def _asking(teachers):
    "Where and how the teachers answer: in bfloat16 where this processor multiplies in it."
    device = device_of(teachers).type
    return Machine(device, device == 'cuda' or multiplies_bf16(), channels_last=True)


def train(r, out, machine, progress=True):
    """Take the winner's slice of the supernet through float and pruning, taught by the teachers; then int8,
    calibrated, as `model.tfm`."""
    data, work = load(r.dataset, val_fraction=.02), out / r.size
    row, arch = choose(*feasible(out, r.size), r.thrifty)
    teachers, chain, right = _teachers(r, out, data), budgeted(r, taught(r)), {}
    if r.views:
        file = out / f'views_of_{r.teachers}.pt'
        teachers = _answers(r, data, chain['float'].cfg).ask(teachers, file, progress, _asking(teachers))
    elif r.thrifty:
        answers = out / f'answers_of_{r.teachers}.pt'
        data, teachers = ask_once(teachers, data, chain['float'].cfg, answers, progress), None
    model = _supernet(r, out, data).extract(arch)
    for name, stage in chain.items():
        if name not in ('float', 'pruned'): arch = relax(arch, room(r))
        hist = _fit(model, data, stage, work / f'{name}.ckpt', arch=arch, teacher=teachers, machine=machine,
                    progress=progress)
        right['float' if name == 'float' else 'pruned'] = hist[-1]['val_accuracy']
        save_weights(model, work / ('float.pt' if name == 'float' else 'pruned.pt'))
    int8 = quantize(model.cpu().eval(), data.x_train[:2 * r.calibration])
    make_model(int8, f'{r.dataset}-{r.size}', work / 'model.tfm', r.dataset)
    right['int8'] = evaluate(int8, data.x_val, data.y_val)
    return dict(candidate=row['number'], one_shot=row['accuracy'], sparsity=sparsity_of(model, prune_plan(arch)),
                val_images=len(data.y_val), val_accuracy=right)


def _by_hand(r, data):
    "(network of `direct`, plan of its pruning)."
    shape, classes = data.shape, len(data.classes)
    if r.network == 'teacher': return Teacher(PRUNED[r.size][0], classes, shape[2]), pruning_plan(r.size)
    if r.network == 'separable':
        how = separable.SHAPES[r.size]
        return separable.Separable(how, classes, shape[2]), separable.pruning_plan(how)
    arch = residual_arch(r.size, shape, classes)
    return build(arch), prune_plan(arch)


def _of_network(name):
    "The option that asks `direct` for a network, as it is typed."
    return f' --network {name}' if name != Recipe.network else ''


TEACHER = r'teacher(\d+)\.pt'  # what `teacher` calls its weights


def _teacher_of(file):
    "The number of the teacher whose weights are in a file; None where it is another file, or a folder."
    found = re.fullmatch(TEACHER, Path(file).name)
    return found and int(found[1])


def _check_widths(file, size):
    "Refuse a teacher that is not the network of a size."
    want = PRUNED[size][0]
    try: state = torch.load(file, weights_only=True, map_location='cpu')
    except Exception: return                            # damaged: the caller says so
    has = tuple(len(state.get(f'stages.{i}.convs.1.weight', ())) for i in range(len(want)))
    if has == want or not all(has): return              # or it has the layers of another version
    fit = [name for name, (widths, _) in PRUNED.items() if widths == has]
    raise BadInput(f'--after {file}: its stages have {has} channels, and those of --size {size} {want}: '
                   f'{"choose --size " + " or ".join(fit) if fit else "leave --after out"}.')


def _begin(r, net, work):
    "Load the weights to go on from, where there are any. A training that was stopped keeps those that it began with."
    kept, now = work / 'direct.before.json', None
    if r.after:
        number, after = _teacher_of(r.after), Path(r.after)
        step = f'teacher --seed {number}' if number is not None else f'direct{_of_network(r.network)} --size {r.size}'
        folder, name = (after, f'direct_{r.size}/pruned.pt') if number is None else (after.parent, after.name)
        try: _weights(net, folder, name, step)
        except CorruptModel:
            if number is not None: _check_widths(folder / name, r.size)
            raise
        now = digest(folder / name)
    was = json.loads(kept.read_text())['sha256'] if kept.exists() else None
    if (work / 'direct.ckpt').exists() and was != now:
        raise RunFolderError(f'{work / "direct.ckpt"} began {"with another network" if was else "anew"}: give --after '
                             'as it was given then, or choose another folder with --out.')
    if now: write_json(kept, dict(sha256=now))
    else: kept.unlink(missing_ok=True)               # of one that was stopped before its first checkpoint


def direct(r, out, machine, progress=True):
    "Train a network that was chosen by hand, pruned while it learns; then int8, calibrated, as `model.tfm`."
    data, work = load(r.dataset, val_fraction=.02), out / f'direct_{r.size}'
    how, answers = stage(r, 'direct'), None
    if r.views:
        teachers = _teachers(r, out, data)
        answers = _answers(r, data, how.cfg).ask(teachers, out / _shared(r), progress, _asking(teachers))
    torch.manual_seed(r.seed)                       # of the weights that it begins with
    model, plan = _by_hand(r, data)
    if r.network != Recipe.network: model.whiten.see(to_float(data.x_train[:5000]))
    _begin(r, model, work)
    if progress and not (work / 'direct.ckpt').exists():
        print(f'{r.size}: {foresee(model, plan, data.x_train[:64], *LIMITS[r.size])}', flush=True)
    hist = _fit(model, data, how, work / 'direct.ckpt', plan=plan, teacher=answers, machine=machine, progress=progress)
    save_weights(model, work / 'pruned.pt')
    int8 = quantize(model.cpu().eval(), data.x_train[:2 * r.calibration])
    make_model(int8, f'{r.dataset}-{r.size}', work / 'model.tfm', r.dataset)
    right = dict(pruned=hist[-1]['val_accuracy'], int8=evaluate(int8, data.x_val, data.y_val))
    return dict(sparsity=sparsity_of(model, plan), val_images=len(data.y_val), val_accuracy=right)


def _budget(r):
    "The budget and the views that a result was made with, as they were typed."
    said = ''.join(f' --{name} {r[name]}' for name in ('minutes', 'images', 'views') if r.get(name))
    return said + ' --strong' * r.get('direct_strong', False)


def _typed(r):
    "The options of `train` that made a result, as they were typed."
    stages = {name: ' '.join(map(str, r[f'{name}_epochs'])) for name in ('polish', 'refine')}
    stages = [f' --{name} {epochs}' for name, epochs in stages.items() if epochs]
    usual = CPU['teachers'] if r['thrifty'] else Recipe.teachers
    teachers = f' --teachers {r["teachers"]}' * (r['teachers'] != usual)
    return ' --cpu' * r['thrifty'] + teachers + ''.join(stages) + _budget(r)


def _of_search(r, out):
    "(folder, result, networks by stage, command) of the winner that `train` left."
    was = _result(out, 'train', r.size)
    arch = next(a for row, a in feasible(out, r.size)[0] if row['number'] == was['candidate'])
    nets = {stage: _weights(build(arch), out, f'{r.size}/{stage}.pt', 'train') for stage in ('float', 'pruned')}
    return out / r.size, was, nets, f'STEP = teacher, supernet, search, train{_typed(was["recipe"])}, each'


def _earlier(made):
    "Notes of the training that one went on from; None for one that began anew."
    if not made.get('after'): return None
    if (number := _teacher_of(made['after'])) is not None:
        was = _result(Path(made['after']).parent, 'teacher', number)
        typed = f'python -m tinyformer.recipe teacher --seed {number}{_budget(was["recipe"])}'
        return dict(hours=was['seconds'] / 3600, commit=was.get('commit', 'unknown'), command=typed)
    file = Path(made['after']) / f'direct_{made["size"]}' / 'notes.json'
    if file.exists(): return json.loads(file.read_text())
    raise RunFolderError(f'{file} is missing: first run  python -m tinyformer.recipe notes --by-hand --size '
                         f'{made["size"]} --out {made["after"]}')


def _of_hand(r, out):
    "The same of the network that `direct` left, which never was a dense one."
    was, data = _result(out, 'direct', r.size), load(r.dataset, val_fraction=.02)
    made, steps = was['recipe'], ''
    net, _ = _by_hand(replace(r, network=made.get('network', Recipe.network)), data)
    net = _weights(net, out, f'direct_{r.size}/pruned.pt', 'direct')
    if made['views']:
        taught = [f'teacher --seed {i}{_budget(_result(out, "teacher", i)["recipe"])}' for i in range(made['teachers'])]
        steps = ', '.join(taught) + f', then direct --teachers {made["teachers"]}'
    seed = f' --seed {made["seed"]}' if made['seed'] else ''
    went_on = f' --after {Path(made["after"]).name}' if made.get('after') else ''
    network = _of_network(made.get('network', Recipe.network))
    how = f'STEP = {steps or "direct"}{network}{went_on}{_budget(made)}{seed}'
    return out / f'direct_{r.size}', was, dict(pruned=net), how


def _result(out, step, of):
    "What a step found, of a size or of a seed."
    file = out / f'{step}_{of}.result.json'
    if not file.exists():
        raise RunFolderError(f'{file} is missing: first run  python -m tinyformer.recipe {step} --out {out}')
    return json.loads(file.read_text())


def notes(r, out, machine, progress=True, copy='', by_hand=False):
    """Ask the float and the pruned network about the test images, and write down what a card wants to know of the
    training."""
    data = load(r.dataset, val_fraction=.02)
    work, was, nets, how = (_of_hand if by_hand else _of_search)(r, out)
    hours = sum(e['seconds'] for file in work.glob('*.ckpt') for e in read_checkpoint(file)['history']) / 3600
    if was['recipe']['views'] or not by_hand:        # `direct` alone may do without a teacher
        hours += sum(_result(out, 'teacher', i)['seconds'] for i in range(was['recipe']['teachers'])) / 3600
    command = f'python -m tinyformer.recipe STEP --out {out.name}, {how} with --size {r.size} --dataset {r.dataset}'
    if before := _earlier(was['recipe']):
        hours += before['hours']
        command += f'; before it, at commit {before["commit"]}, {before["command"]}'
    flash, sram = LIMITS[size_of(r.size)]
    kinds = dict(residual='plain residuals with an encoder layer', separable='separable convolutions',
                 teacher='plain convolutions')
    what = kinds[was['recipe'].get('network', Recipe.network)] if by_hand else f'hybrid of the {r.size} space'
    said = dict(about=f'{r.dataset} {what}, for {flash} of flash and {sram} of SRAM', dataset=r.dataset, copy=copy,
                **unseen_accuracies(data, **nets), commit=commit(),
                seeds=dict(run=was['recipe']['seed']), hours=round(hours, 2), command=command,
                machine=platform.machine(), versions=versions())
    write_json(work / 'notes.json', said)
    return {k: said[k] for k in ('accuracy_float', 'accuracy_pruned', 'hours') if k in said}


def rank(r, out, machine, progress=True, candidate=0, of=8):
    """Train one of `of` candidates, spread evenly over the search's accuracies, to see whether one-shot accuracy ranks
    them as training does."""
    data = load(r.dataset, val_fraction=.1)
    data = replace(data, x_train=data.x_train[:r.rank_images], y_train=data.y_train[:r.rank_images])
    distinct = {arch: (row, arch) for row, arch in feasible(out, r.size)[0]}
    cands = sorted(distinct.values(), key=lambda c: c[0]['accuracy'])
    picked = evenly(cands, min(of, len(cands)))
    if candidate >= len(picked):
        raise BadInput(f'--candidate is {candidate}; the search has only {len(picked)} different candidates.')
    row, arch = picked[candidate]
    model = _supernet(r, out, data).extract(arch)
    hist = _fit(model, data, stage(r, 'rank'), out / f'rank_{r.size}_{candidate}.ckpt', arch=arch,
                machine=machine, progress=progress)
    int8 = quantize(model.cpu().eval(), data.x_train[:r.calibration // 2])
    return dict(candidate=row['number'], one_shot=row['accuracy'], pruned=hist[-1]['val_accuracy'],
                final=evaluate(int8, data.x_val, data.y_val), val_images=len(data.y_val))


STEPS = dict(teacher=teacher, supernet=supernet, search=find, train=train, notes=notes, rank=rank, direct=direct)


def _trainings(*stems):
    "The checkpoint of each training, and which machine it chose."
    return [f'{stem}.{end}' for stem in stems for end in ('ckpt', 'machine.json')]


def written(step, r, candidate=0, by_hand=False):
    "What a step writes into the run folder: its result, weights and model; and files that go on changing."
    name = dict(teacher=f'teacher_{r.seed}', rank=f'rank_{r.size}_{candidate}').get(step, f'{step}_{r.size}')
    if by_hand: name = f'{step}_direct_{r.size}'
    hand, kept = f'direct_{r.size}', 'views' if r.views else 'answers'
    done = dict(teacher=[f'teacher{r.seed}.pt'], supernet=[f'supernet_{r.size}.pt'], search=[f'search_{r.size}.json'],
                train=[f'{r.size}/{f}' for f in ('float.pt', 'pruned.pt', 'model.tfm')],
                notes=[f'{hand if by_hand else r.size}/notes.json'], direct=[f'{hand}/pruned.pt', f'{hand}/model.tfm'])
    more = dict(teacher=_trainings(f'teacher{r.seed}'), supernet=[f'supernet_{r.size}.ckpt'], rank=_trainings(name),
                search=[f'search_{r.size}/search.{e}' for e in ('db', 'db-wal', 'db-shm', 'lock')],
                train=_trainings(*(f'{r.size}/{s}' for s in taught(r))) + [f'{kept}_of_{r.teachers}.pt'],
                direct=_trainings(f'{hand}/direct') + [f'{hand}/direct.before.json', _shared(r)])
    return [f'{name}.result.json', *done.get(step, [])], more.get(step, [])


def whole(
    r:Recipe,  # with the budget of all steps together, where there is one
    out:Path,  # run folder
    act:object, # f(step, recipe): does one step
):
    "Every step of the road with its share of the budget. What is done is not done again, and keeps no checkpoint."
    for step, share in ROAD.items():
        seed = 0 if step == 'teacher' else r.seed               # the first teacher has the number 0
        minutes, images = r.minutes and share * r.minutes, r.images and round(share * r.images)
        part = replace(r, minutes=minutes, images=images, seed=seed)
        (file, *_), changing = written(step, part)
        (asked, usual), done = (json.loads(json.dumps(asdict(x))) for x in (part, Recipe())), finished(out, file)
        was = usual | json.loads((out / file).read_text())['recipe'] if done else asked  # one unknown then: as usual
        if differ := [k for k in asked if was[k] != asked[k]]:
            raise RunFolderError(f'{out / file} was made with other settings ({", ".join(differ)}): give the same '
                                 'ones, or choose another folder with --out.')
        print(f'{step}: done before' if done else f'{step}:', flush=True)
        if not done: act(step, part)
        if step in ('teacher', 'supernet'): remove(out, *[name for name in changing if name.endswith('.ckpt')])


Epochs = Annotated[int, (1, 100_000)]


def run(
    step:str, # teacher, supernet, search, train, notes, rank or direct; all: the first four
    *,
    out:Path = Path('runs/cifar10'), # run folder
    quick:bool = False, # tiny numbers everywhere: minutes on a CPU, to see that it works
    cpu:bool = False, # train: numbers for a processor core
    # train: N more epochs at the end, in which blocks come back where the flash has room, and as many such stages as
    # numbers (default: none); a finished training goes on with them
    polish:tuple[Epochs, ...] = (),
    # train: after those, stages of N epochs at the full rate with strong distortions and mixup, which rest in the
    # last fifth (default: none)
    refine:tuple[Epochs, ...] = (),
    # train, direct: learn from the first N teachers (default: 3; with --cpu or --quick 1); all has one
    teachers:Annotated[int, (1, 100)] = None,
    # a budget of time for the step's trainings, in place of their epochs; search: for its candidates
    minutes:Annotated[float, (.1, 1e6)] = None,
    images:Annotated[int, (1, 10**12)] = None, # a budget of images shown, in place of the epochs
    # train, direct, all: ask the teachers about N distorted views of each image beforehand, and learn from their
    # answers (default: train asks at every step, or once per image with --cpu; direct has no teacher; all: 2)
    views:Annotated[int, (1, 1000)] = None,
    # direct: strong distortions and mixup until the last fifth, for trainings of a hundred epochs and more
    strong:bool = False,
    # direct: residual, plain 3x3 residuals with an encoder layer; separable, depthwise and pointwise convolutions; or
    # teacher, the convolutions of a teacher
    network:str = 'residual',
    # direct: go on from the network that an earlier `direct` of this size left in another run folder, as a new
    # training with its own budget; with --network teacher also from a teacher's file, such as runs/a/teacher0.pt
    # (default: begin anew)
    after:Path = None,
    # the search space: small, middle or large, or residual-mini, -tiny, -small, -middle or -large; direct: mini, tiny,
    # small, middle or large, of which a teacher has the last three, and a separable network has tiny
    size:str = 'large',
    by_hand:bool = False, # notes: of the network that `direct` left
    dataset:str = 'cifar10', # see `tinyformer search --help`
    seed:Annotated[int, (0, 2**32 - 1)] = 0, # of everything random
    candidate:Annotated[int, (0, 7)] = 0, # rank: which of the 8
    storage:str = None, # search: an Optuna storage URL (default: SQLite in the run folder)
    copy:str = '', # notes: which copy of the data set it was, such as "CIFAR-10, JPEG q75 copy"
):
    "Run one step and write what it found beside its files."
    if step not in (*STEPS, 'all'): raise BadInput(f"no step {step!r}; there are {', '.join(STEPS)} and all")
    if after and step != 'direct': raise BadInput(f'--after {after}: only `direct` goes on from an earlier training.')
    if after and after.resolve() == out.resolve():
        raise BadInput(f'--after {after}: the new training needs a folder of its own, so give another --out.')
    if network not in BY_HAND: raise BadInput(f"no network {network!r}; there are {', '.join(BY_HAND)}")
    if network != Recipe.network and step != 'direct':
        raise BadInput(f'--network {network}: only `direct` has a choice of networks.')
    if after and network != 'teacher' and _teacher_of(after) is not None:
        raise BadInput(f'--after {after}: a teacher goes on as --network teacher.')
    sizes = BY_HAND[network] if step == 'direct' or by_hand else PRESETS
    if size not in sizes: raise BadInput(f"no size {size!r}; there are {', '.join(sizes)}")
    preset = (CPU if cpu else {}) | (QUICK if quick else {}) | (dict(teachers=teachers) if teachers else {})
    if step == 'all':
        if teachers not in (None, 1): raise BadInput(f'--teachers is {teachers}: all trains one, so leave it out.')
        preset, views = preset | dict(teachers=1), views or 2
    stages = dict(polish_epochs=tuple(polish), refine_epochs=tuple(refine))
    r = replace(Recipe(), **stages, size=size, dataset=dataset, seed=seed, minutes=minutes, images=images,
                views=views or 0, direct_strong=strong, network=network, after=after and str(after), **preset)
    machine = Machine(channels_last=True) if cpu else Machine() if quick else None
    more = dict(search=dict(storage=storage), notes=dict(copy=copy, by_hand=by_hand), rank=dict(candidate=candidate))
    def one(step, r):
        leaves, changing = written(step, r, candidate, by_hand)
        said = dict(recipe=asdict(r), commit=commit(),
                    machine=machine and asdict(machine))             # None: see the *.machine.json
        found = perform(out, leaves, changing, lambda: STEPS[step](r, out, machine, **more.get(step, {})) | said)
        print({k: v for k, v in found.items() if k not in said}, flush=True)
    if step == 'all': whole(r, out, one)
    else: one(step, r)


def main(argv=None):
    "Run what was typed after `python -m tinyformer.recipe`."
    typed(run, argv, 'python -m tinyformer.recipe', __doc__)


if __name__ == '__main__':
    from tinyformer.cli import standalone
    sys.exit(standalone(main, 'recipe'))
