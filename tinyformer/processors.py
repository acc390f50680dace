"""Processor cores as records: what each can do, how compilers are asked for it, and what this project has for it.

Boards are many, cores are few. `CORES` is the table; a new core is a new record."""
from dataclasses import dataclass

from .errors import BadInput

# What a core or a chip can do beyond plain integer arithmetic. Only `dsp` changes which kernels are taken.
FEATURES = {
    'dsp': 'DSP extension: two 16-bit multiply-adds per instruction (SMLAD), byte unpacking (SXTB16)',
    'mve': 'Helium: 128-bit vectors',
    'fpu_sp': 'single-precision floating-point unit',
    'fpu_dp': 'double-precision floating-point unit',
    'dual_issue': 'two instructions may start in one clock tick',
    'cache': 'instruction and data caches before the slow memories'}

_OTHERS = dict(   # family → flags of zig
    riscv=('-target', 'riscv32-freestanding-none', '-mcpu=generic_rv32+m+c'),
    wasm=('-target', 'wasm32-freestanding'))


@dataclass(frozen=True)
class Core:
    "A processor core: its instructions, and what this project has for it."
    name: str              # as compilers know it, for example 'cortex-m7'
    features: tuple = ()   # keys of `FEATURES` that every chip with this core has
    emulator: str = ''     # the emulator's (Unicorn's) name of the model; '' = none
    cost_table: str = ''   # measured costs of the kernels, a file of the package; '' = none
    startup: str = ''      # folder of firmware/ports with start-up code; '' = none
    cycle_model: str = ''  # 'llvm-mca' or 'manual' prices its code; '' = only counts are known
    built_as: str = ''     # the core whose instructions images are limited to; '' = its own
    helpers: bool = False  # it lacks division and long products: compilers call functions
    family: str = 'arm'    # 'arm', 'riscv' or 'wasm'
    priced_as: str = ''    # the core whose costs stand in where it has none; '' = the Cortex-M7

    @property
    def compilers(self) -> tuple:
        "What builds for it: 'gcc' (arm-none-eabi-gcc) and 'zig', the first choice first."
        return ('gcc', 'zig') if self.family == 'arm' else ('zig',)

    def flags(self,
        compiler: str  # one of `compilers`
    ) -> tuple:        # flags
        "Code for this core without its floating-point unit; memcpy is inlined."
        name = self.built_as or self.name
        if self.family != 'arm': return *_OTHERS[self.family], '-fhosted', '-fbuiltin'
        order = ('-DTFM_ONE_ISSUE',) if self.features == ('dsp',) else ()             # of loops
        if compiler == 'gcc': return f'-mcpu={name}', '-mthumb', '-mfloat-abi=soft', *order
        cpu = f"-mcpu={name.replace('-', '_')}" + '+dsp' * (name == 'cortex-m33')     # gcc adds it
        abi = '-target', 'thumb-freestanding-eabi', '-mfloat-abi=soft'
        return *abi, cpu, '-fhosted', '-fbuiltin', *order

    def libraries(self,
        compiler: str  # 'gcc' or 'zig'
    ) -> tuple:        # linker flags
        "The compiler's own functions."
        if compiler == 'gcc': return ('-lgcc',)
        return ('-lcompiler_rt',) if self.helpers else ()

    @property
    def emulated(self) -> str:
        "Which model stands in for this core when an image runs, such as 'Cortex-M7'; '' = none."
        if self.family == 'riscv': return 'RV32IMC'
        return self.emulator.removeprefix('UC_CPU_ARM_').replace('_', '-').title()


# A Cortex-M0+ has the instructions of a Cortex-M0 and runs on its model. Unicorn has no Cortex-M55: its images hold the
# instructions of a Cortex-M33 only, which a Cortex-M55 has too. On a Cortex-M33 the DSP extension is a choice of the
# chip's maker, so there the board says it; compilers take it as given, and a chip without it needs a record of its own.
CORES = {c.name: c for c in (   # name → Core
    Core('cortex-m7', ('dsp', 'dual_issue'), 'UC_CPU_ARM_CORTEX_M7', 'cost_table.json', 'cortex_m', 'llvm-mca'),
    Core('cortex-m0plus', (), 'UC_CPU_ARM_CORTEX_M0', 'cost_table_m0plus.json', 'cortex_m', 'manual', helpers=True),
    Core('cortex-m3', (), 'UC_CPU_ARM_CORTEX_M3', startup='cortex_m', priced_as='riscv32'),
    Core('cortex-m4', ('dsp',), 'UC_CPU_ARM_CORTEX_M4', startup='cortex_m', cycle_model='manual'),
    Core('cortex-m33', (), 'UC_CPU_ARM_CORTEX_M33', startup='cortex_m'),
    Core('cortex-m55', ('dsp', 'mve'), 'UC_CPU_ARM_CORTEX_M33', startup='cortex_m', built_as='cortex-m33'),
    Core('riscv32', (), 'UC_CPU_RISCV32_SIFIVE_E31', 'cost_table_riscv32.json', 'riscv', family='riscv'),
    Core('wasm32', (), family='wasm', priced_as='riscv32'))}


def core(
    name: str  # a key of `CORES`
) -> Core:     # its record
    "Find a core by name."
    if name in CORES: return CORES[name]
    raise BadInput(f"unknown core {name!r}: known are {', '.join(CORES)}")
