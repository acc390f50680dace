"""Where and how the arithmetic of a training runs: device, number format, layout in memory, threads."""
import contextlib
from dataclasses import dataclass

import torch
from torch import nn

from tinyformer.errors import BadInput


def device_of(
    model: nn.Module,  # any
) -> torch.device:
    "Where a model's weights are."
    return next(iter(model.parameters()), torch.empty(0)).device


def multiplies_bf16() -> bool:
    "Whether this CPU and this torch multiply in bfloat16 without imitating it."
    if not torch.backends.mkldnn.is_available(): return False
    return torch.ops.mkldnn._is_mkldnn_bf16_supported()


@contextlib.contextmanager
def on_threads(
    n: int,  # CPU threads of torch; 0: as they are
):
    "Let torch use `n` threads inside the block."
    was = torch.get_num_threads()
    torch.set_num_threads(n or was)
    try: yield
    finally: torch.set_num_threads(was)


@dataclass(frozen=True)
class Machine:
    "Where and how the arithmetic of training runs; results change by no more than rounding."
    device: str = 'cpu'  # 'cpu' or 'cuda'
    bf16: bool = False  # multiply in bfloat16 (autocast); weights and sums stay float32
    channels_last: bool = False  # keep the channels of a pixel together in memory
    compile: bool = False  # torch.compile: a minute at the start, faster steps after it
    threads: int = 0  # cores that share the work of a CPU; 0: as torch is set

    @property
    def layout(self): return torch.channels_last if self.channels_last else torch.preserve_format

    def __post_init__(self):
        if self.device not in ('cpu', 'cuda'):
            raise BadInput(f"Machine.device is {self.device!r}: it must be 'cpu' or 'cuda'.")
        if self.device == 'cuda' and not torch.cuda.is_available():
            raise BadInput("Machine.device is 'cuda', but torch sees no GPU here: take Machine().")
        if self.device == 'cpu' and self.bf16 and not multiplies_bf16():
            raise BadInput('Machine.bf16: this processor or this torch has no bfloat16 arithmetic: '
                           'leave it out, or take fastest().')
        if not 0 <= self.threads <= 256:
            raise BadInput(f'Machine.threads is {self.threads}: it must lie between 0 and 256.')

    def words(self) -> str:
        "The machine as a person says it."
        said = ['GPU' if self.device == 'cuda' else 'CPU', 'bfloat16' if self.bf16 else 'float32']
        said += ['channels last'] * self.channels_last + ['compiled'] * self.compile
        if self.threads: said.append(f'{self.threads} thread{"s" * (self.threads > 1)}')
        return ', '.join(said)
