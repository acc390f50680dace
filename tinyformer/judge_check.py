"""The judge beside float: random paths of a supernet, in float and as integers: does rounding rank them anew?

    python -m tinyformer.judge_check digits --paths 200
    python -m tinyformer.judge_check small --dataset cifar10 --images 8000 --val 200 --epochs 4 --lr 4e-3 \\
        --calibration 64 --ways corrected --paths 200
"""
import argparse, json, math, sys, time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np, torch

from .data import load, to_float
from .files import write_text
from .operators import qparams
from .bench import made_by
from .provenance import commit
from .quantization import QLayer, QuantNet, Quantizer, quantize, read, watch
from .search_space import PRESETS, digits_space, preset
from .supernet import recalibrate_bn
from .one_shot import PrunedSuperNet, train_supernet
from .training import TrainConfig, evaluate, rng_at

SHARES = tuple(1 - .05 * k for k in range(13))    # of the extremes, 1 to 0.4


def values(qnet:QuantNet, x:torch.Tensor)->dict: # range -> what passes it, exactly, at most 100,000 values
    "Watch what every range sees."
    seen = {}
    def keep(q, ins, out): seen[q] = ins[0].detach().flatten()[::max(1, ins[0].numel() // 100_000)]
    hooks = [q.register_forward_hook(keep) for q in qnet.modules() if isinstance(q, Quantizer) and not q.fixed]
    with torch.no_grad(): watch(qnet.eval())(x)
    watch(qnet, False)
    for h in hooks: h.remove()
    return seen


def least_error(q:Quantizer, v:torch.Tensor)->tuple: # (least, greatest)
    "The share of the extremes that loses least by rounding and cutting, squared (MSE ranges)."
    lo, hi, v = float(q.lo), float(q.hi), q.clamp(v)
    def loss(share):
        scale, zp = qparams(share * lo, share * hi, q.kind)
        return float((((v / scale).round().clamp(-128 - zp, 127 - zp) * scale - v) ** 2).mean())
    share = min(SHARES, key=loss)
    return share * lo, share * hi


def percentile(q:Quantizer, v:torch.Tensor, share:float=.999)->tuple: # (least, greatest)
    "Leave out one value in a thousand at each end."
    v = v.sort().values
    return float(v[round((1 - share) * (len(v) - 1))]), float(v[round(share * (len(v) - 1))])


def narrowed(qnet:QuantNet, x:torch.Tensor, how)->QuantNet: # itself
    "Set every range anew, by `how(quantizer, values)`."
    for q, v in values(qnet, x).items():
        lo, hi = how(q, v)
        q.lo.fill_(lo); q.hi.fill_(hi)
    return qnet


def _neighbours(qnet):
    "Layers whose values one other layer alone reads, with nothing but a ReLU between: (first, second)."
    readers = Counter(i for node in qnet.nodes for i in node.inputs)
    for node in qnet.nodes:
        second, name = qnet.layer(node.name), node.inputs[0] if node.inputs else 'input'
        if name == 'input' or readers[name] > 1: continue
        first = qnet.layer(name)
        if not isinstance(first, QLayer) or not isinstance(second, QLayer): continue
        plain = math.isinf(first.out.most) and len(first.out.peers) == 1
        if plain and 'scale' not in (first.kind, second.kind): yield first, second


@torch.no_grad()
def equalized(qnet:QuantNet, rounds:int=10)->QuantNet: # itself, before its ranges are set
    "Cross-layer equalisation (arXiv 1906.04721): each channel's largest weight is the same in both layers that meet."
    for _ in range(rounds):
        for first, second in _neighbours(qnet):
            deep = second.kind == 'conv' and second.attrs['groups'] > 1
            theirs = second.weight if deep else second.weight.movedim(-1, 0)
            out, into = first.weight.abs().flatten(1).amax(1), theirs.abs().flatten(1).amax(1)
            s = torch.where((out > 0) & (into > 0), (out / into.clamp_min(1e-30)).sqrt(), 1.)
            first.weight.div_(s.reshape(-1, *[1] * (first.weight.dim() - 1)))
            first.bias.div_(s)
            theirs.mul_(s.reshape(-1, *[1] * (theirs.dim() - 1)))
    return qnet


def _equalized(net, x): return equalized(read(net, x)).calibrate(x).correct(x)

def _extremes(net, x): return read(net, x).calibrate(x)

WAYS = dict( # name -> how a float network and images [n, c, h, w] become a QuantNet
    extremes=_extremes,
    percentiles=lambda net, x: narrowed(_extremes(net, x), x, percentile),
    mse=lambda net, x: narrowed(_extremes(net, x), x, least_error),
    corrected=quantize,
    equalized=_equalized,
    mse_corrected=lambda net, x: narrowed(_extremes(net, x), x, least_error).correct(x))


def check(
    net:PrunedSuperNet,     # trained
    arch:object,            # one path of it
    data:object,            # a `Dataset`; the test split is never read
    calibration:int=512,    # training images for batch norm and ranges
    ways:tuple=('corrected',), # keys of `WAYS`
)->dict: # way -> validation accuracy, and `float`
    "One path's accuracy in float and as integers."
    x = to_float(data.x_train[:calibration])
    model = recalibrate_bn(net.extract(arch), [x])
    nets = dict(float=model) | {way: WAYS[way](model, x) for way in ways}
    return {way: round(evaluate(m, data.x_val, data.y_val), 5) for way, m in nets.items()}


def summary(rows:list, way:str)->dict: # points of accuracy, 0 to 100
    "How far a way is from float over all paths."
    off = 100 * np.array([r[way] - r['float'] for r in rows])
    far = np.abs(off)
    return dict(way=way, paths=len(rows), within_3=float((far <= 3 + 1e-9).mean()), worst=round(float(far.max()), 2),
                mean=round(float(far.mean()), 3))


def check_many(
    net:PrunedSuperNet,     # trained
    data:object,            # a `Dataset`
    paths:int,              # random paths of the supernet's space, path i drawn from (seed, i)
    seed:int=0,             # of the paths
    calibration:int=512,    # training images for batch norm and ranges
    ways:tuple=('corrected',), # keys of `WAYS`
    told=lambda i, row: None, # called after each path
)->list: # of `check`'s rows
    "Judge many random paths."
    rows = []
    for i in range(paths):
        rows.append(check(net, net.space.sample(rng_at(seed, i)), data, calibration, ways))
        told(i, rows)
    return rows


NUMBERS = (('paths', 200, 'random paths'), ('epochs', 8, 'of the supernet'),
           ('images', 10**9, 'training images at most'),
           ('val', 10**9, 'validation images at most'), ('calibration', 512, 'images for batch norm and ranges'),
           ('seed', 0, 'of training and paths'))


def said(argv:list)->str: # without folders and files, which differ between machines
    "The command that another person types."
    places = {i + k for i, word in enumerate(argv) if word in ('--out', '--data') for k in (0, 1)}
    return ' '.join(['python -m tinyformer.judge_check', *(word for i, word in enumerate(argv) if i not in places)])


def main(argv:list=None)->int:
    "Train a supernet briefly, judge random paths, and print and write how far int8 is from float."
    p = argparse.ArgumentParser(prog='python -m tinyformer.judge_check', description=main.__doc__)
    p.add_argument('space', choices=['digits', *PRESETS], help='family of networks')
    p.add_argument('--dataset', default='digits', help='as for tinyformer search')
    p.add_argument('--data', help='folder of data sets')
    for name, default, what in NUMBERS:
        p.add_argument(f'--{name}', type=int, default=default, help=f'{what} (default {default})')
    p.add_argument('--lr', type=float, default=1e-2, help='learning rate of the supernet')
    p.add_argument('--ways', nargs='+', choices=list(WAYS), default=['extremes', 'corrected'],
                   help='how ranges and biases are set')
    p.add_argument('--out', type=Path, help='JSON file for the rows')
    a, start = p.parse_args(argv), time.time()
    torch.set_num_threads(1)
    if a.out and not commit():
        print('This code lies in no git checkout: the file will not name a commit.', file=sys.stderr)
    data = load(a.dataset, a.data)
    data = replace(data, x_train=data.x_train[:a.images], y_train=data.y_train[:a.images],
                   x_val=data.x_val[:a.val], y_val=data.y_val[:a.val])
    space = digits_space() if a.space == 'digits' else preset(a.space)
    net = train_supernet(space, data, TrainConfig(epochs=a.epochs, batch_size=64, lr=a.lr, seed=a.seed))
    def told(i, rows):
        if i % 20 == 19 or i == a.paths - 1: print(_table(rows, a.ways), flush=True)
    rows = check_many(net, data, a.paths, a.seed, a.calibration, tuple(a.ways), told)
    if a.out:
        meta = made_by(time.time() - start, said(sys.argv[1:] if argv is None else argv))
        head = dict(meta=meta, summary=[summary(rows, w) for w in a.ways], rows=rows)
        write_text(a.out, json.dumps(head, indent=1) + '\n')
    return 0


def _table(rows, ways):
    "Markdown."
    lines = ['| way | paths | float | int8 | within 3 points | worst | mean |', '|:--|--:|--:|--:|--:|--:|--:|']
    for s in (summary(rows, w) for w in ways):
        mean = [100 * np.mean([r[k] for r in rows]) for k in ('float', s['way'])]
        far = f"{s['within_3']:.1%} | {s['worst']:.1f} | {s['mean']:.2f}"
        lines.append(f"| {s['way']} | {s['paths']} | {mean[0]:.1f} % | {mean[1]:.1f} % | {far} |")
    return '\n'.join(lines)


def stored_table(
    runs:dict, # name of the supernet -> what `--out` wrote, or a list of these
)->str: # Markdown, with the commands that made them
    "What several runs found, one way a line."
    lines = ['| supernet | ranges, biases | paths | within 3 points | farthest | mean, points |',
             '|:--|:--|--:|--:|--:|--:|']
    commands = []
    for name, some in runs.items():
        for run in some if isinstance(some, list) else [some]:
            commands.append(f"`{run['meta']['command']}`")
            for s in run['summary']:
                far = f"{s['within_3']:.1%} | {s['worst']:.1f} | {s['mean']:.2f}"
                lines.append(f"| {name} | {s['way']} | {s['paths']} | {far} |")
    return '\n'.join([*lines, '', *commands])


if __name__ == '__main__': raise SystemExit(main())
