"""What the roads of `pipeline` and `recipe` share: a training with or without pruning, a supernet, a model of integers.
"""
import math
from pathlib import Path

import torch

from tinyformer.arch import Arch, prune_plan
from tinyformer.errors import AccuracyDropped, TooSlow
from tinyformer.graph import Graph, save as save_graph
from tinyformer.lowering import lower
from tinyformer.machine import Machine
from tinyformer.one_shot import train_supernet
from tinyformer.pace import fastest
from tinyformer.pruning import Pruner
from tinyformer.run_config import Stage
from tinyformer.run_folder import save_weights
from tinyformer.search_space import SearchSpace
from tinyformer.training import TICKS, TrainConfig, evaluate, fit


def machine_of(
    kind: str,  # of `run_config.MACHINES`
    model: torch.nn.Module,  # to be trained
    data: object,  # a `Dataset`
    cfg: TrainConfig,  # as it will be trained
    file: Path,  # what was measured, kept beside the checkpoint
    progress: bool = False,  # say what is fastest
) -> Machine:
    "Where a training in float runs. What is fastest here is measured once."
    return Machine() if kind == 'plain' else fastest(model, data, cfg, file, progress)


def train_stage(
    model: torch.nn.Module,  # trained in place
    data: object,  # a `Dataset`; the test split is never read
    stage: Stage,  # how
    file: Path,  # checkpoint to write and to continue from
    arch: Arch = None,  # path whose sparsities are reached, where they rise
    plan: dict = None,  # of the pruning, where there is no path: module name → (block shape, sparsity)
    **kw: object,  # for `fit`: teacher, validate, machine, progress
) -> list:  # history, one dict per epoch
    "Train through one stage. Masks are part of the checkpoint, so a killed run goes on to the same bits."
    c = stage.cfg
    if stage.rise:
        steps, every = c.epochs * math.ceil(len(data.x_train) / c.batch_size), stage.every
        if c.minutes or c.images: steps, every = TICKS, TICKS // 100
        begin, end = (int(share * steps) for share in stage.rise)
        pruner = Pruner(model, plan or prune_plan(arch), begin=begin, end=end, every=every)
        kw |= dict(keep=dict(pruner=pruner), on_step=lambda step, total, m: pruner.step(step),
                   on_gradient=lambda m: pruner.mask_gradients())
    return fit(model, data, c, checkpoint=file, desc=file.stem, **kw)


def make_supernet(
    space: SearchSpace,  # its choices
    data: object,  # a `Dataset`
    stage: Stage,  # how it trains
    file: Path,  # its weights; the checkpoint is beside it
    **kw: object,  # for `train_supernet`
) -> dict:  # what to keep of it
    "Train a supernet, one uniformly drawn path per step, and write its weights."
    net = train_supernet(space, data, stage.cfg, checkpoint=file.with_suffix('.ckpt'), **kw)
    save_weights(net, file)
    return dict(parameters=sum(p.numel() for p in net.parameters()))


def make_model(
    qnet: torch.nn.Module,  # `QuantNet`, its ranges set
    name: str,  # of the model
    file: Path,  # model file to write
    dataset: str = None,  # that it was made for; None: its name is that of the model
) -> Graph:  # of integers
    "Lower a network that rounds to the integers that the device computes with, and write them."
    graph = lower(qnet, name=name)
    if dataset: graph.meta['dataset'] = dataset
    save_graph(graph, file)
    return graph


def unseen_accuracies(
    data: object,  # a `Dataset`, whose test split is read here
    **nets: object,  # stage → trained network
) -> dict:  # accuracy_<stage> → 0 to 1
    "Accuracy of stages that have no integers yet, on the test images."
    return {f'accuracy_{k}': evaluate(net, data.x_test, data.y_test) for k, net in nets.items()}


def chosen_kernels(
    fw: object,  # `Firmware`
) -> dict:  # operator → its kernel, bytes and predictions
    "What to keep of each operator's kernel."
    return {name: dict(kernel=c.kernel.name, block=c.block, weight_bytes=c.weight_bytes,
                       scratch_bytes=c.scratch_bytes, predicted_instructions=c.instructions,
                       predicted_cycles=c.cycles) for name, c in fw.choices.items()}


# ---- limits on what was measured -------------------------------------------------------------------------------------

def check_drop(
    stages: dict,  # stage → validation accuracy, in order
    limit: float,  # most that may be lost between the first and the last
) -> dict:  # the same stages
    "Raise `AccuracyDropped` when the last stage is more than `limit` below the first."
    first, *_, last = stages.values()
    if first - last > limit:
        each = ', '.join(f'{k} {v:.1%}' for k, v in stages.items())
        raise AccuracyDropped(f'{first - last:.1%} of validation accuracy is lost, {limit:.1%} is allowed ({each}). '
                              'Allow lower sparsity, train longer (prune_epochs, qat_epochs) or raise max_drop.')
    return stages


def check_speed(
    instructions: float,  # per inference, measured
    per_op: dict,  # operator → instructions
    limit: int,  # most allowed; 0 means no limit
):
    "Raise `TooSlow` with the largest operators when an inference takes more than `limit`."
    if not limit or instructions <= limit: return
    top = sorted(per_op.items(), key=lambda kv: -kv[1])[:5]
    most = ', '.join(f'{n} ({v:,.0f})' for n, v in top)
    raise TooSlow(f'{instructions:,.0f} instructions per inference, {limit:,} are allowed. '
                  f'Most are in {most}. Search with a smaller supernet or raise max_instructions.')
