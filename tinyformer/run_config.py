"""The settings of a run: what a person may choose, what is refused, and which supernets and trainings follow from it.

Plumbing of `pipeline`. `tinyformer demo` and `tinyformer search` have an option for every field of `RunConfig`."""
import json, math, shlex
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from tinyformer.data import load as load_data
from tinyformer.errors import BadInput, TinyFormerError, check_number
from tinyformer.hardware import parse_bytes, require_port, target
from tinyformer.search_space import PRESETS, RESIDUAL_SIZES, SIZES, SearchSpace, preset
from tinyformer.sparsenas import SAMPLERS
from tinyformer.supernas import LAMBDA_LO
from tinyformer.supernets import sample_supernets
from tinyformer.training import LEAST, TrainConfig


@dataclass(frozen=True)
class RunConfig:
    "Every setting of a run; a run folder belongs to exactly one of these."
    dataset: str = 'digits'  # digits, cifar10, cifar100, svhn, fashion_mnist, or a name of your own
    target: str = 'stm32f746'  # board, see `tinyformer targets`
    flash: str = '42KB'  # limit for code and weights (1 KB = 1024 bytes); '' is all
    sram: str = '16KB'  # limit for arena, variables and stack, as 16KB; '' is all
    # digits; small, middle, large or sizes (all 3); residual-mini, -tiny, -small, -middle, -large or residual (all 5);
    # FILE.json; '' goes by the images
    space: str = ''
    lo: float = LAMBDA_LO  # λ_lo: least share of the flash a path should use, 0 to 1
    hi: float = 1.0  # λ_hi: largest share of the flash a path may use, 0 to 1
    supernets: int = 10  # candidate supernets to sample
    trials: int = 60  # candidates of the search
    sampler: str = 'tpe'  # what proposes them: tpe, nsga2 or random
    judge: str = 'one-shot'  # one-shot asks the supernet; short trains a candidate, and the best ones longer
    judge_images: int = 10_000  # short: images of the first training; each further one makes it 3 times as much in all
    judge_rungs: int = 3  # short: trainings of the best; 1 gives every candidate the same
    seed: int = 0  # of everything random
    supernet_epochs: int = 80  # epochs of the one-shot supernet
    float_epochs: int = 30  # epochs of the winner in float
    prune_epochs: int = 60  # epochs of gradual pruning and recovery
    qat_epochs: int = 8  # epochs of int8 fine-tuning
    max_drop: float = 0.05  # validation accuracy that pruning and int8 may lose together, 0 to 1
    max_instructions: int = 0  # limit per inference; 0 is no limit
    batch_size: int = 128  # images per training step
    lr: float = 6e-3  # peak learning rate; pruning takes 2/3 of it, int8 fine-tuning 1/12
    momentum: float = 0.0  # 0: AdamW; 0.9: SGD with Nesterov's momentum and a rate of about 0.1, but for int8
    threads: int = 1  # CPU threads of torch; the result depends on their number
    machine: str = 'plain'  # of float trainings: plain (float32 on the CPU), or fastest (tries GPU, bfloat16, threads)
    minutes: float = None  # budget of all four trainings, shared out as their epochs are
    images: int = None  # the same, as a number of images that are shown


OTHERS = dict(flash='', sram='', lo=0., trials=300)  # where these differ from the demo's
JUDGES = 'one-shot', 'short'
MACHINES = 'plain', 'fastest'
RANGES = dict(  # setting → least and most
    supernets=(1, 10_000), trials=(1, 1_000_000), judge_images=(1, 10**9), judge_rungs=(1, 9),
    seed=(0, 2**32 - 1), max_drop=(0., 1.),
    supernet_epochs=(1, 100_000), float_epochs=(1, 100_000), prune_epochs=(1, 100_000), qat_epochs=(1, 100_000),
    max_instructions=(0, 10**15), batch_size=(1, 1_000_000), lr=(1e-9, 10.), momentum=(0., .999),
    threads=(1, 256), minutes=(.1, 1e6), images=(1, 10**12))


def defaults(
    dataset: str,  # name known to `data.load`
) -> RunConfig:
    "The settings before a person changes any: the demo's for digits, the whole target for others."
    if dataset == 'digits': return RunConfig()
    return replace(RunConfig(), dataset=dataset, **OTHERS)


def typed(
    cfg: RunConfig,  # of a run
) -> str:  # such as '--trials 20 --sram 8KB'; '' when nothing was changed
    "The settings that a person changed, as they are typed."
    usual, words = asdict(replace(defaults(cfg.dataset), dataset='digits')), []
    for name, value in asdict(cfg).items():
        if value != usual[name]: words += [f"--{name.replace('_', '-')}", str(value)]
    return shlex.join(words)


def budget(
    cfg: RunConfig,  # names the target and its limits
) -> object:  # hardware.Target
    "The target of a run with its tightened budget."
    size = lambda s: parse_bytes(s) if s else None
    return target(cfg.target).with_budget(flash_bytes=size(cfg.flash), sram_bytes=size(cfg.sram))


# ---- trainings -------------------------------------------------------------------------------------------------------

@dataclass(frozen=True)
class Stage:
    "One training of a road."
    cfg: TrainConfig  # its numbers
    rise: tuple = None  # shares of the steps between which sparsity rises; None: it stays
    every: int = 5  # steps between two choices of the blocks that go
    machine: str = 'plain'  # where it runs: of `MACHINES`


def share_out(
    stages: dict,  # name → Stage
    minutes: float = None,  # for all of them together
    images: int = None,  # the same as a number of images
) -> dict:  # name → Stage with its part
    "Share a budget out to stages, as their epochs are."
    if minutes is None and images is None: return stages
    if minutes is not None: check_number('minutes', minutes, *RANGES['minutes'])
    whole = sum(s.cfg.epochs for s in stages.values())
    least = max(math.ceil(LEAST * s.cfg.batch_size * whole / s.cfg.epochs) for s in stages.values())
    if images is not None and not images >= least:
        raise BadInput(f'images is {images}: give {least} or more, {LEAST} steps for each training.')
    def part(s):
        share = s.cfg.epochs / whole
        return replace(s.cfg, minutes=(minutes or 0) * share, images=round((images or 0) * share))
    return {name: replace(s, cfg=part(s)) for name, s in stages.items()}


def stages(
    c: RunConfig,  # of a run
) -> dict:  # step → Stage
    "How each step of a run trains."
    decay = 5e-4 if c.momentum else .05  # AdamW's is apart from the gradient, so it is larger
    one = TrainConfig(batch_size=c.batch_size, lr=c.lr, momentum=c.momentum, weight_decay=decay, seed=c.seed)
    rounded = replace(one, lr=RunConfig.lr, momentum=0., weight_decay=.05) if c.momentum else one  # SGD may diverge
    road = dict(supernet=Stage(replace(one, epochs=c.supernet_epochs), machine=c.machine),
                train=Stage(replace(one, epochs=c.float_epochs), machine=c.machine),
                prune=Stage(replace(one, epochs=c.prune_epochs, lr=c.lr * 2/3), rise=(0., .6), machine=c.machine),
                quantize=Stage(replace(rounded, epochs=c.qat_epochs, lr=rounded.lr / 12)))  # rounding: always plain
    return share_out(road, c.minutes, c.images)


# ---- what is refused -------------------------------------------------------------------------------------------------

def settings(
    cfg: RunConfig,  # what was asked for
    **kw: object,  # other settings
) -> RunConfig:
    "A copy of `cfg` with `kw` changed; unknown names and impossible values are refused at once."
    known = [f.name for f in fields(RunConfig)]
    if bad := sorted(set(kw) - set(known)):
        raise BadInput(f"no setting {bad[0]!r}; the settings are {', '.join(known)}.")
    cfg = replace(cfg, **kw)
    for f in fields(RunConfig):
        value = getattr(cfg, f.name)
        if value is None and f.default is None: continue
        if f.name in RANGES: check_number(f.name, value, *RANGES[f.name])
        elif isinstance(f.default, str) and not isinstance(value, str):
            raise BadInput(f'{f.name} is {value!r}: it must be a text.')
    if not 0 <= cfg.lo < cfg.hi <= 1:
        raise BadInput(f'λ_lo = {cfg.lo} and λ_hi = {cfg.hi}: 0 ≤ λ_lo < λ_hi ≤ 1 is needed.')
    if cfg.sampler not in SAMPLERS: raise BadInput(f"no sampler {cfg.sampler!r}; there are {', '.join(SAMPLERS)}.")
    if cfg.judge not in JUDGES: raise BadInput(f"no judge {cfg.judge!r}; there are {', '.join(JUDGES)}.")
    if cfg.machine not in MACHINES: raise BadInput(f"no machine {cfg.machine!r}; there are {', '.join(MACHINES)}.")
    if cfg.momentum and cfg.lr == RunConfig.lr:
        raise BadInput(f"momentum is {cfg.momentum:g}, and lr is still AdamW's {cfg.lr:g}: give lr as well, about 0.1.")
    least = LEAST * cfg.batch_size
    if cfg.judge == 'short' and cfg.judge_images < least:
        raise BadInput(f'judge_images is {cfg.judge_images}: give {least} or more, {LEAST} steps of it.')
    if cfg.minutes or cfg.images: stages(cfg)
    budget(cfg)
    return cfg


def _own_space(name):
    "A space from a JSON file."
    try: return SearchSpace.from_json(json.loads(Path(name).read_text(encoding='utf-8')))
    except OSError as e:
        raise BadInput(f"space {name!r} is neither digits, sizes, residual, {', '.join(PRESETS)} nor a file "
                       f'that can be read ({e.strerror}).') from e
    except (ValueError, KeyError, TypeError, AttributeError, TinyFormerError) as e:
        raise BadInput(f'{name} does not hold a search space ({e}): write one with SearchSpace.to_json.') from e


def spaces_for(
    cfg: RunConfig,  # may name a family or a file
    shape: tuple,  # height, width, channels of an image
    classes: int,  # number of classes
) -> list:  # of `SearchSpace`
    "The supernets to choose from: the digits family up to 8x8 pixels, three sizes above, or a person's own file."
    kind, shape = cfg.space or ('digits' if max(shape[:2]) <= 8 else 'sizes'), tuple(shape)
    if kind == 'digits':
        drawn = sample_supernets(cfg.supernets, seed=cfg.seed)
        return [replace(s, input=shape, classes=classes) for s in drawn]
    families = dict(sizes=SIZES, residual=[f'residual-{size}' for size in RESIDUAL_SIZES])
    if kind in families or kind in PRESETS: return [preset(s, shape, classes) for s in families.get(kind, [kind])]
    own = _own_space(kind)
    if (tuple(own.input), own.classes) != (shape, classes):
        raise BadInput(f'{kind} is a space for images of {tuple(own.input)} and {own.classes} classes; those of '
                       f'{cfg.dataset} are {shape} with {classes}.')
    return [own]


def check_run(
    cfg: RunConfig,  # what was asked for
):
    "Refuse what no run can begin with: an unknown data set, other images, a board without a port."
    require_port(budget(cfg))
    data = load_data(settings(cfg).dataset, seed=0)
    spaces_for(cfg, data.shape, len(data.classes))
