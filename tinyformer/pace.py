"""The machine on which a network trains fastest here, found by trying.

Advice about number formats ages fast, and depends on processor and network. So a few steps of each setting are timed on
a copy of the network, in turns, because other work on the machine disturbs them. The least disturbed step counts."""
import copy, json, os, time
from dataclasses import asdict, replace
from pathlib import Path

import torch
from torch import nn

from tinyformer.data import to_float
from tinyformer.errors import BadInput
from tinyformer.files import write_json
from tinyformer.machine import Machine, multiplies_bf16, on_threads
from tinyformer.optimisation import LIMITS, TrainConfig, make_optimiser, seeded
from tinyformer.provenance import processor
from tinyformer.training import Run


def pace_of(
    machine: Machine,  # on which
    model: nn.Module,  # is copied, not trained
    data: object,  # a `Dataset`: one batch of it is used
    cfg: TrainConfig,  # batch size, distillation and so on
) -> object:  # f() → images per second of one step
    "A copy of the network in training, one step at each call."
    n = cfg.batch_size
    net = copy.deepcopy(model).to(machine.device, memory_format=machine.layout)
    few = replace(data, x_train=data.x_train[:n], y_train=data.y_train[:n])
    cfg = replace(cfg, minutes=0., images=0, ema=0., lr=LIMITS['lr'][0])  # the same batch again and again may diverge
    run = Run(net, few, cfg, make_optimiser(net, cfg), machine=machine)
    x = to_float(run.x)
    def pace():
        start = time.perf_counter()
        with on_threads(machine.threads): run.train_step(0, x, run.y)
        if machine.device == 'cuda': torch.cuda.synchronize()
        return len(x) / (time.perf_counter() - start)
    return pace


def paces(
    machines: list,  # of `Machine`
    *job: object,  # model, data and cfg, as for `pace_of`
    rounds: int = 4,  # steps of each; the first is slow
) -> dict:  # machine → images per second, without those that cannot
    "Time the machines in turns."
    kinds, found = {m: pace_of(m, *job) for m in machines}, {}
    for m in list(kinds) * rounds:
        try: found[m] = max(found.get(m, 0.), kinds[m]())
        except RuntimeError: kinds[m], found[m] = (lambda: 0.), 0.
    return {m: rate for m, rate in found.items() if rate}


def _settings(device):
    "The machines among which to choose first, and f(best) → those to try after them."
    halves = (False, True) if device == 'cuda' or multiplies_bf16() else (False,)
    first = [Machine(device, half, last) for half in halves for last in (False, True)]
    def then(best):
        if device == 'cuda': return [replace(best, compile=True)]
        cores = os.cpu_count() or 1
        if os.environ.get('OMP_NUM_THREADS'): cores = torch.get_num_threads()  # a person's limit
        counts = {1, max(1, cores // 2), cores, torch.get_num_threads()}
        return [replace(best, threads=n) for n in sorted(counts)]
    return first, then


def _found(file, here):
    "What an earlier measurement here found; None where there is none."
    if not file or not Path(file).exists(): return None
    try:
        held = json.loads(Path(file).read_text(encoding='utf-8'))
        Machine(**held['machine'])
    except (ValueError, KeyError, TypeError, BadInput): return None
    return held if here.items() <= held.items() else None


def _measured(device, model, data, cfg):
    "The fastest machine, its rate, and the rates of all that were tried."
    first, then = _settings(device)
    with seeded(cfg.seed):
        rates = paces(first, model, data, cfg)
        rates |= paces(then(max(rates, key=rates.get)), model, data, cfg)
    best = max(rates, key=rates.get)
    return dict(machine=asdict(best), images_per_second=round(rates[best], 1),
                tried={m.words(): round(r, 1) for m, r in rates.items()})


def fastest(
    model: nn.Module = None,  # to be trained; None: a guess, without measuring
    data: object = None,  # a `Dataset`
    cfg: TrainConfig = TrainConfig(),  # as it will be trained
    file: Path = None,  # JSON: what was found before, or will be now
    progress: bool = False,  # say it
) -> Machine:
    "The machine on which this network trains fastest here, by trying."
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    if model is None: return Machine(device, *[device == 'cuda'] * 3)
    size = sum(p.numel() for p in model.parameters())
    here = dict(processor=processor(), torch=torch.__version__, device=device, parameters=size,
                batch_size=cfg.batch_size, threads=torch.get_num_threads())
    if (known := _found(file, here)) is None:
        known = _measured(device, model, data, cfg)
        if file: write_json(file, here | known)
    best = Machine(**known['machine'])
    rate = f'{known["images_per_second"]:,.0f} images/s'
    if progress: print(f'fastest here: {best.words()}, {rate}', flush=True)
    return best
