"""Two families of networks side by side: random paths of each, trained alike, and what they cost.

    python -m tinyformer.families --dataset digits --images 60000 --record families_digits.json
    python -m tinyformer.families --dataset cifar10 --size small --minutes 10 --record families_cifar10.json

A path is drawn at random from those that keep the limits of the size, and trained from random weights with every seed:
a third of a budget of images or of minutes in float, the rest while it is pruned, then int8. The accuracy is that on
the validation images; the test images are not read. What is in the record already is not done again, and a training
that was killed goes on."""
import itertools, sys, time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch

from tinyformer import provenance, run_record
from tinyformer.arch import layers
from tinyformer.blocks import build
from tinyformer.console import typed
from tinyformer.cost_model import cost, price
from tinyformer.data import load
from tinyformer.errors import BadInput
from tinyformer.hardware import parse_bytes, target
from tinyformer.machine import Machine, multiplies_bf16
from tinyformer.quantization import quantize
from tinyformer.recipe import LIMITS
from tinyformer.run_config import Stage, share_out
from tinyformer.run_steps import train_stage
from tinyformer.search_space import digits_space, preset, residual_space
from tinyformer.supernas import used
from tinyformer.training import TrainConfig, evaluate, rng_at

BOARD = target('stm32f746')
FAMILIES = dict(paper='inverted residuals', residual='plain residuals')
DRAWS = 200        # paths that are drawn until enough of them keep the limits
COSTS = dict(flash='flash, KB', sram='SRAM, KB', cycles='modelled cycles, millions')


@dataclass(frozen=True)
class Settings:
    "What every network of a record shares."
    dataset:str='digits'
    size:str='small'        # for images above 8x8: of both families, with its limits; digits have limits of their own
    images:int=None         # shown in each training; or
    minutes:float=None      # of each training
    batch_size:int=64
    lr:float=4e-3
    calibration:int=512     # training images for the ranges

    def __post_init__(self): self.stages(0)

    def stages(self, seed): # of one network: name -> Stage
        "How a network is trained: dense, then pruned while it goes on, at shares of the budget as 1 to 2."
        if (self.images is None) == (self.minutes is None):
            raise BadInput('give --images or --minutes, one of the two.')
        cfg = TrainConfig(epochs=1, batch_size=self.batch_size, lr=self.lr, weight_decay=.03, clip=1., seed=seed)
        pruned = replace(cfg, epochs=2, lr=self.lr * 2/3)
        return share_out(dict(float=Stage(cfg), pruned=Stage(pruned, rise=(0., .6))), self.minutes, self.images)

    def limits(self): # (flash, SRAM) in bytes
        "What a path must keep to."
        return tuple(map(parse_bytes, ('42KB', '16KB') if self.dataset == 'digits' else LIMITS[self.size]))

    def spaces(self, data): # key of `FAMILIES` -> SearchSpace
        "Both families for these images."
        shape, classes = data.shape, len(data.classes)
        if max(shape[:2]) > 8:
            names = dict(paper=self.size, residual=f'residual-{self.size}')
            return {family: preset(name, shape, classes) for family, name in names.items()}
        width, share = ((8, 12, 16), (16, 24, 32)), ((.5, .65, .75), (.65, .75, .85))
        repeat = ((0, 1), (0, 1), (1,)), ((0, 1), (0, 1), (0,))
        return dict(paper=replace(digits_space(), input=shape, classes=classes),
                    residual=residual_space('mini', shape, classes, width, share, repeat))


def paths(
    space,        # `SearchSpace`
    limits:tuple, # (flash, SRAM) in bytes
    n:int,        # how many
)->list: # of Arch
    "The first random paths that keep the limits."
    found = []
    for i in range(DRAWS):
        arch = space.sample(rng_at(0, i))
        fits = all(have <= most for have, most in zip(used(cost(arch, BOARD)), limits))
        if fits and arch not in found: found.append(arch)
        if len(found) == n: return found
    raise BadInput(f'{len(found)} of {DRAWS} random paths of {space.name} keep the limits: ask for fewer than {n}.')


def _machine(data):
    "Photographs train faster in bfloat16 where the processor multiplies so; 8x8 images are too small for that."
    return Machine(bf16=multiplies_bf16(), channels_last=True) if max(data.shape[:2]) > 8 else Machine()


def trained(cfg:Settings, data, arch, seed:int, name:Path)->float: # validation accuracy, 0 to 1
    "Train one path; right answers of its integers."
    torch.manual_seed(seed)
    net = build(arch)
    for stage, how in cfg.stages(seed).items():
        train_stage(net, data, how, Path(f'{name}_{stage}.ckpt'), arch, validate=lambda m: None, progress=False,
                    machine=_machine(data))
    return evaluate(quantize(net.eval(), data.x_train[:cfg.calibration]), data.x_val, data.y_val)


def row_of(cfg:Settings, data, family:str, number:int, arch, seed:int, out:Path)->dict:
    "One line of the record."
    start = time.process_time()
    name = out/f'{family}_{number}_{seed}'
    right, (flash, sram) = trained(cfg, data, arch, seed, name), used(cost(arch, BOARD))
    for stage in cfg.stages(seed): Path(f'{name}_{stage}.ckpt').unlink()
    choices = [price(l, BOARD).choice for l in layers(arch)]
    return dict(family=family, path=number, seed=seed, accuracy=round(right, 5), val_images=len(data.y_val),
                flash=int(flash), sram=int(sram), cycles=sum(c.time for c in choices),
                macs=int(cost(arch, BOARD).macs), arch=arch.to_json(), commit=provenance.commit() or 'unknown',
                cpu_seconds=round(time.process_time() - start, 1))


def fill(file:Path, cfg:Settings, n:int, seeds:int, out:Path, command:str='', told=print)->dict: # meta, runs
    "Train what the record lacks, seed by seed; each network is kept as soon as it is there."
    data, key = load(cfg.dataset, seed=0), ('family', 'path', 'seed')
    drawn = {family: paths(space, cfg.limits(), n) for family, space in cfg.spaces(data).items()}
    runs = run_record.read(file, cfg, key, what='families')['runs']
    done = {tuple(r[k] for k in key) for r in runs}
    wanted = ((f, i, s) for s, i, f in itertools.product(range(seeds), range(n), FAMILIES))
    todo = [one for one in wanted if one not in done]
    Path(out).mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    for k, (family, i, seed) in enumerate(todo, 1):
        runs.append(r := row_of(cfg, data, family, i, drawn[family][i], seed, Path(out)))
        run_record.write(file, runs, asdict(cfg), command)
        told(f"{k} of {len(todo)}: {family} {i}, seed {seed}: {r['accuracy']:.1%} of the validation images right, "
             f"{r['flash']:,} bytes of flash, {r['cpu_seconds']:.0f} s of CPU")
    return run_record.read(file, cfg, key, what='families')


# ---- what the record says --------------------------------------------------------------------------------------------

def means(
    runs:list, # of a record
)->list: # one dict a path: family, path, accuracy (mean), low, high, seeds, flash, sram, cycles
    "Every path over its seeds; low and high are the least and the most accurate seed."
    found = {}
    for r in runs: found.setdefault((r['family'], r['path']), []).append(r)
    def one(rs):
        right = [r['accuracy'] for r in rs]
        kept = {k: rs[0][k] for k in ('family', 'path', *COSTS)}
        return kept | dict(accuracy=float(np.mean(right)), low=min(right), high=max(right), seeds=len(rs))
    return list(map(one, found.values()))


def front(
    points:list, # of `means`
    what:str,    # key of `COSTS`
)->list: # from the cheapest up
    "The paths that no other one of the list beats in both accuracy and this cost."
    best = []
    for p in sorted(points, key=lambda p: (p[what], -p['accuracy'])):
        if not best or p['accuracy'] > best[-1]['accuracy']: best.append(p)
    return best


def plot_fronts(
    runs:list, # of a record
)->object: # matplotlib Figure
    "Accuracy over each cost, a colour for each family: every path with its seeds, and the front of the means."
    import matplotlib.pyplot as plt
    fig, axes = plt.subplots(1, len(COSTS), figsize=(8, 3), sharey=True, layout='constrained')
    points, unit = means(runs), dict(flash=1024, sram=1024, cycles=1e6)
    for ax, (what, label) in zip(axes, COSTS.items()):
        for colour, (family, name) in zip(('C0', 'C1'), FAMILIES.items()):
            own = [p for p in points if p['family'] == family]
            at = [p[what]/unit[what] for p in own]
            ax.vlines(at, [100*p['low'] for p in own], [100*p['high'] for p in own], color=colour, lw=.8)
            ax.scatter(at, [100*p['accuracy'] for p in own], s=12, color=colour, label=name)
            best = front(own, what)
            ax.step([p[what]/unit[what] for p in best], [100*p['accuracy'] for p in best], where='post', color=colour)
        ax.set_xlabel(label)
    axes[0].set_ylabel('right, % of the validation images')
    axes[0].legend(fontsize=7)
    return fig


def run(
    *,
    record:Path = Path('families.json'), # JSON of the results; what it holds already is kept
    out:Path = Path('runs/families'), # folder of checkpoints
    dataset:str = 'digits', # see `tinyformer search --help`
    size:str = 'small', # of both families, for images above 8x8: small, middle or large
    images:int = None, # shown in each training
    minutes:float = None, # of each training, in place of images
    paths:int = 6, # of each family
    seeds:int = 3, # 0 to N-1
):
    "Train random paths of both families that the record lacks."
    for name, value in dict(paths=paths, seeds=seeds).items():
        if value < 1: raise BadInput(f'{name} is {value}: ask for at least one.')
    cfg = Settings(dataset, size, images, minutes)
    options = dict(dataset=dataset, size=size, images=images, minutes=minutes, paths=paths, seeds=seeds)
    said = ' '.join(f'--{k} {v}' for k, v in options.items() if v is not None)
    fill(record, cfg, paths, seeds, out, f'python -m tinyformer.families {said}')


def main(argv=None):
    "Run what was typed after `python -m tinyformer.families`."
    typed(run, argv, 'python -m tinyformer.families', __doc__)


if __name__ == '__main__':
    from tinyformer.cli import standalone
    sys.exit(standalone(main, 'families'))
