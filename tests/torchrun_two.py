"""What `tests/test_distributed.py` starts with torchrun, twice: argument 1 is a folder."""
import json, sys
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from tinyformer import distributed
from tinyformer.data import load, to_float
from tinyformer.errors import TinyFormerError
from tinyformer.quantization import quantize
from tinyformer.training import Checkpoint, TrainConfig, fit

DATA = load('digits')
CFG = TrainConfig(epochs=2, batch_size=125, seed=3, mixup=.2, ema=.9, clip=1., strong=True)
QAT = TrainConfig(epochs=1, batch_size=125, lr=1e-3)


def net(seed=0):
    "Without a bias before the norm: its gradient would be rounding alone, which AdamW scales up to full steps."
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(1, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2),
                         nn.Flatten(), nn.Linear(128, 10))


def qat():
    "A quantised network whose ranges move while it trains."
    q = quantize(net().eval(), DATA.x_train[:64])
    return q, fit(q, DATA, QAT, progress=False)


def flat(model): return torch.cat([v.double().flatten() for v in model.state_dict().values()]).tolist()


def logits(model): return model(to_float(DATA.x_val)).flatten().tolist()


def stopped(**kw):
    "The message of a run that fails."
    try: fit(net(), DATA, CFG, progress=False, **kw)
    except TinyFormerError as e: return str(e)


def norms():
    "Batch norm of five images, three here and two there, beside that of all five in one process."
    gen = torch.Generator().manual_seed(0)
    x, up = (torch.randn(5, 4, 3, 3, generator=gen) * 3 + 40 for _ in range(2))
    out = []
    for whole in (True, False):
        bn = nn.BatchNorm2d(4)
        with torch.no_grad(): bn.weight.copy_(torch.arange(1., 5))
        a = (x if whole else distributed.share(x, x)[0]).clone().requires_grad_()
        with torch.enable_grad() if whole else distributed.whole_batch_norm(): y = bn(a)
        (y.sin() * (up if whole else distributed.share(up, up)[0])).sum().backward()
        if not whole: distributed.add_gradients(bn)
        pick = (lambda v: distributed.share(v, v)[0]) if whole else (lambda v: v)
        out.append([pick(y.detach()), pick(a.grad), bn.weight.grad, bn.bias.grad, bn.running_mean, bn.running_var])
    return [float((a - b).abs().max() / a.abs().max()) for a, b in zip(*out)]


def main(folder):
    distributed.start()
    me, saves, save = distributed.rank(), [], Checkpoint.save
    Checkpoint.save = lambda self, *a, **k: (saves.append(1), save(self, *a, **k))
    model = net(seed=me)                       # process 1 starts elsewhere, and must be given the weights of process 0
    out = dict(size=distributed.size(), norms=norms(),
               history=fit(model, DATA, CFG, checkpoint=folder/'run.pt', progress=True),
               weights=flat(model), logits=logits(model), saves=len(saves))
    def last(step, total, m):
        if step == 15: raise KeyboardInterrupt
    try: fit(net(), DATA, CFG, checkpoint=folder/'cut.pt', on_step=last, progress=False)
    except KeyboardInterrupt: pass
    model = net(seed=7)
    fit(model, DATA, CFG, checkpoint=folder/'cut.pt', progress=False)
    out |= dict(resumed=flat(model) == out['weights'])
    q, history = qat()
    out |= dict(qat=history, qat_weights=flat(q), qat_logits=logits(q.eval()))
    out |= dict(nan=stopped(forward=lambda m, x, step: m(x) * (float('nan') if step == 12 and me == 1 else 1)))
    out |= dict(apart=stopped(checkpoint=folder/f'{"cut" if me else "absent"}.pt'))
    (folder/f'{me}.json').write_text(json.dumps(out))


if __name__ == '__main__': main(Path(sys.argv[1]))
