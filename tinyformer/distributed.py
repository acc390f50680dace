"""Training by several processes that `torchrun` starts: each computes its share of a batch, all keep the same weights.

A lone process passes through every function here unchanged."""
import atexit, contextlib, os

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch.distributed.nn.functional import all_reduce
from torch.overrides import TorchFunctionMode

from tinyformer.errors import BadInput, RunFolderError


def start(device='cpu'):
    "Join the processes that torchrun started: nccl on GPUs, gloo on CPUs."
    if not dist.is_available() or not dist.is_torchelastic_launched() or dist.is_initialized(): return
    if device == 'cuda': torch.cuda.set_device(int(os.environ['LOCAL_RANK']))
    dist.init_process_group('nccl' if device == 'cuda' else 'gloo')
    atexit.register(lambda: dist.is_initialized() and dist.destroy_process_group())


def size():
    "How many processes train together."
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank():
    "Number of this process, from 0."
    return dist.get_rank() if size() > 1 else 0


def share(x, y):
    "This process's images and labels of a batch, and which part of the batch they are."
    if size() == 1: return x, y, 1.
    if len(x) < size():
        raise BadInput(f'a batch of {len(x)} images cannot be shared by {size()} processes: raise '
                       'TrainConfig.batch_size or start fewer processes.')
    mine = torch.tensor_split(x, size())[rank()]
    return mine, torch.tensor_split(y, size())[rank()], len(mine) / len(x)


def total(value):
    "Sum of a tensor over all processes; no gradient passes."
    if size() > 1: dist.all_reduce(value := value.clone())
    return value


def add_gradients(model):
    "Every process gets the sum of all gradients, in one message."
    grads = [p.grad for p in model.parameters() if p.grad is not None]
    if size() == 1 or not grads: return
    flat = total(torch.cat([g.flatten() for g in grads]))
    for g, part in zip(grads, flat.split([g.numel() for g in grads])): g.copy_(part.view_as(g))


def extremes(lo, hi):
    "Least and greatest over all processes."
    if size() > 1:
        dist.all_reduce(both := torch.stack([-lo, hi]), dist.ReduceOp.MAX)
        lo, hi = -both[0], both[1]
    return lo, hi


def agree(model, epochs):
    "Give every process the weights of process 0; all must have found the same checkpoint."
    if size() == 1: return
    dist.all_gather_object(found := [None] * size(), epochs)
    if len(set(found)) > 1:
        raise RunFolderError(f'the processes found checkpoints of {found} epochs: put the run folder on a disk that '
                             'all machines share.')
    for v in model.state_dict().values(): dist.broadcast(v, 0)


def batch_norm(x, running_mean, running_var, weight=None, bias=None, training=False, momentum=.1, eps=1e-5):
    "`F.batch_norm` with mean and variance over the images of all processes, through which the gradient flows."
    if not training: return F.batch_norm(x, running_mean, running_var, weight, bias, False, momentum, eps)
    out, x, dims = x.dtype, x.float(), [0, *range(2, x.ndim)]
    wide = lambda v: v.view(1, -1, *[1] * (x.ndim - 2))
    n = total(torch.tensor(float(x.numel() // x.shape[1]), device=x.device))
    mean = all_reduce(x.sum(dims)) / n
    x = x - wide(mean)
    var = all_reduce((x * x).sum(dims)) / n
    if running_mean is not None:
        with torch.no_grad(): running_mean.lerp_(mean, momentum); running_var.lerp_(var * n / (n - 1), momentum)
    x = x * wide((var + eps).rsqrt())
    return (x if weight is None else x * wide(weight) + wide(bias)).to(out)


class _WholeBatch(TorchFunctionMode):
    def __torch_function__(self, func, types, args=(), kwargs=None):
        return (batch_norm if func is F.batch_norm else func)(*args, **(kwargs or {}))


def whole_batch_norm():
    "Inside this block batch norm uses the statistics of the whole batch, though each process holds a share."
    return _WholeBatch() if size() > 1 else contextlib.nullcontext()
