"""The registers of each family of cores, as numbers of the emulator (Unicorn)."""
from dataclasses import dataclass, field

from unicorn import UC_ARCH_ARM, UC_ARCH_RISCV, UC_MODE_RISCV32, UC_MODE_THUMB, arm_const, riscv_const


@dataclass(frozen=True)
class Family:
    "What cores of a family have in common, in Unicorn's numbers."
    arch: int    # of Unicorn
    mode: int    # of Unicorn
    models: dict = field(repr=False) # name of a model -> number
    pc: int      # the program counter
    sp: int      # the stack pointer
    link: int    # the address to return to
    args: tuple  # arguments of a call, the first one is its result, too
    thumb: int   # lowest bit of an address of code


def _numbers(module, family, *names): return [getattr(module, f'UC_{family}_REG_{name}') for name in names]


_ARM = _numbers(arm_const, 'ARM', 'PC', 'SP', 'LR', 'R0', 'R1', 'R2', 'R3')
_RISCV = _numbers(riscv_const, 'RISCV', 'PC', 'SP', 'RA', *(f'A{i}' for i in range(8)))

FAMILIES = dict(
    arm=Family(UC_ARCH_ARM, UC_MODE_THUMB, vars(arm_const), *_ARM[:3], tuple(_ARM[3:]), 1),
    riscv=Family(UC_ARCH_RISCV, UC_MODE_RISCV32, vars(riscv_const), *_RISCV[:3], tuple(_RISCV[3:]), 0))
