"""What a teacher says to the training images, asked once and kept in a file.

A good teacher looks at what its student sees: the same crop, the same mirror image, the same mixture (Beyer et al.,
2021). So every image has a few views, each a draw of chance that depends on the seed and on its number alone. The
teacher sees each view once, and the epochs of the student take the views in turn, in whatever batches."""
import zlib
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from tqdm import tqdm

from tinyformer.augmentation import NUMBERS, augment, augmentation
from tinyformer.checkpoint import Checkpoint
from tinyformer.data import to_float
from tinyformer.errors import TinyFormerError
from tinyformer.machine import Machine, device_of


@lru_cache(2)
def view_of(
    number: int,  # 0 and up
    n: int,  # images
    cfg: object,  # a `TrainConfig`: seed and mixup
) -> tuple:  # numbers [NUMBERS, n] for `augment`, partner [n], its share [n]
    "The chance of one view of all images."
    rng = np.random.default_rng((cfg.seed, number, n))
    numbers = torch.from_numpy(rng.random((NUMBERS, n), dtype=np.float32))
    partner = torch.from_numpy(rng.permutation(n))
    share = rng.beta(cfg.mixup, cfg.mixup, n) if cfg.mixup else np.zeros(n)
    return numbers, partner, torch.from_numpy(share).float()


def fingerprint(
    *tensors: torch.Tensor,  # any
) -> int:  # CRC-32
    "A number that changes when one of the values does."
    crc = 0
    for t in tensors: crc = zlib.crc32(np.ascontiguousarray(torch.as_tensor(t).cpu()).data, crc)
    return crc


class Answers(nn.Module):
    "What a teacher says to the views of every training image; `fit` takes it as a teacher."
    def __init__(
        self,
        data: object,  # a `Dataset`; its training split
        cfg: object,  # a `TrainConfig`: seed, distortions, mixup; weight and temperature of the answers
        views: int,  # of each image, 1 or more
        mirrored: bool = False,  # the teacher says the same to a mirror image: show each view from both sides
    ):
        super().__init__()
        self.mirrored = mirrored
        self.x, self.y = map(torch.as_tensor, (data.x_train, data.y_train))
        self.cfg, self.views, self.classes = cfg, views, len(data.classes)
        self.how, self.logits = augmentation(data, cfg.strong) if cfg.augment else dict(shift=0), []

    def images(
        self,
        idx: torch.Tensor,  # int64: which of them
        view: int,  # 0 .. views-1
    ) -> torch.Tensor:  # float [n, c, h, w]
        "Some images as they look in a view."
        numbers, partner, share = view_of(view, len(self.x), self.cfg)
        def seen(i): return augment(to_float(self.x[i]), numbers=numbers[:, i], **self.how)
        if not self.cfg.mixup: return seen(idx)
        return torch.lerp(seen(idx), seen(partner[idx]), share[idx][:, None, None, None])

    @torch.no_grad()
    def ask(
        self,
        teacher: nn.Module,  # in evaluation mode
        file: Path,  # where the answers are, or will be
        progress: bool = False,  # show a bar
        machine: Machine = Machine(),  # number format and layout
    ) -> 'Answers':  # the same, with answers
        "Ask the teacher for what the file does not hold yet."
        owner = dict(teacher=fingerprint(*teacher.state_dict().values()), seed=self.cfg.seed,
                     images_of=fingerprint(self.x), distortions=self.how, mixup=self.cfg.mixup)
        kept, place = Checkpoint(file, owner), device_of(teacher.to(memory_format=machine.layout))
        half = torch.autocast(place.type, torch.bfloat16, enabled=machine.bf16)
        self.logits = kept.load()
        for view in tqdm(range(len(self.logits), self.views), 'ask', disable=not progress):
            parts = torch.arange(len(self.x)).split(500)
            shown = (self.images(i, view).to(place, memory_format=machine.layout) for i in parts)
            with half: said = torch.cat([teacher(x).float().cpu() for x in shown])
            if not said.isfinite().all(): raise TinyFormerError('the teacher answers with no number.')
            self.logits.append(said.half())
            kept.save(self.logits)
        return self

    def batch(
        self,
        idx: torch.Tensor,  # int64: which images
        epoch: int,  # 0 and up
    ) -> tuple:  # float [n, c, h, w], probabilities [n, classes]
        "The images of a step in the view of an epoch, and what is to be learnt of them."
        view, cfg = epoch % self.views, self.cfg
        _, partner, share = view_of(view, len(self.x), cfg)
        def label(i): return F.one_hot(self.y[i], self.classes).float()
        hard = torch.lerp(label(idx), label(partner[idx]), share[idx][:, None])
        soft = (self.logits[view][idx].float() / cfg.temperature).softmax(1)
        x, turned = self.images(idx, view), self.mirrored and epoch // self.views % 2
        return x.flip(3) if turned else x, torch.lerp(hard, soft, cfg.distill)
