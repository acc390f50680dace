"""The memories of chips, as `memory_system` models them.

The page `08a_memory_system` gives the source of each number."""
from tinyformer.errors import BadInput
from tinyformer.memory_system import AT_ONCE, SLOW, STM32F746, Cache, Cycles, MemorySystem, Place, exactly

M7 = dict(odd_load=STM32F746.odd_load, multiple=STM32F746.multiple)        # costs of the core, a Cortex-M7
M4 = dict(odd_load=Cycles(1, 1, 2))

H7_FLASH, H7_SRAM = Cycles(16, 24, 34), Cycles(8, 16, 24)                  # of a missing line

STM32H743 = MemorySystem(
    'STM32H743 at 480 MHz, caches on', **M7,
    caches=(Cache('I', 16384, 2), Cache('D', 16384, 4)),
    places=(Place('ITCM', 0x0000_0000, 64 << 10, AT_ONCE, AT_ONCE),
            Place('flash', 0x0800_0000, 2 << 20, 'I', 'D', next=H7_FLASH, jump=H7_FLASH, load=H7_FLASH),
            Place('DTCM', 0x2000_0000, 128 << 10, AT_ONCE, AT_ONCE),
            Place('AXI SRAM', 0x2400_0000, 512 << 10, 'I', 'D', next=H7_SRAM, jump=H7_SRAM,
                  load=H7_SRAM, store=Cycles(0, 16, 24), back=Cycles(0, 0, 16), keeps=True, allocates=True)),
    about=('ST RM0433 and data sheet: buses at 240 MHz, 4 wait states; Arm DDI 0489',
           'cycles of a missing line are assumed, with their range'))

XIP = Cycles(40, 60, 90)

RP2040 = MemorySystem(
    'RP2040 at 133 MHz, flash at half of it', caches=(Cache('XIP', 16384, 2, line=8),),
    places=(Place('flash', 0x1000_0000, 2 << 20, 'XIP', 'XIP', next=XIP, jump=XIP, load=XIP),
            Place('SRAM', 0x2000_0000, 264 << 10, AT_ONCE, AT_ONCE)),
    about=('RP2040 data sheet: one cache for code and data, 16 KB in two ways, lines of 8 bytes',
           'a missing line: 8 clocks of address, 4 to 6 of waiting and 16 of data on the QSPI bus, '
           'two cycles each; assumed, with its range'))

STM32F407 = MemorySystem(
    'STM32F407 at 168 MHz, ART accelerator on', **M4,
    caches=(Cache('code', 1024, 64, line=16), Cache('constants', 128, 8, line=16)),
    places=(Place('flash', 0x0800_0000, 1 << 20, 'code', 'constants', next=Cycles(0, 1, 5),
                  jump=exactly(5), load=exactly(5)),
            Place('CCM', 0x1000_0000, 64 << 10, AT_ONCE, AT_ONCE),
            Place('SRAM', 0x2000_0000, 128 << 10, AT_ONCE, AT_ONCE)),
    about=('ST RM0090 rev 21, 3.5; Arm DDI 0439D, Load/store timings',
           'what reading ahead hides is assumed, with its range'))

NRF_LINE = Cycles(3, 3, 12)

NRF52840 = MemorySystem(
    'nRF52840 at 64 MHz, cache on', **M4, caches=(Cache('I', 2048, 2, line=16),),
    places=(Place('flash', 0, 1 << 20, 'I', SLOW, next=NRF_LINE, jump=NRF_LINE, load=exactly(2)),
            Place('SRAM', 0x2000_0000, 256 << 10, AT_ONCE, AT_ONCE)),
    about=('wait states of flash: Nordic product specification, from memory, not checked',
           'size, ways and lines of the cache are assumed; Arm DDI 0439D, Load/store timings'))

SYSTEMS = dict(stm32f746=STM32F746, stm32h743=STM32H743, stm32f407=STM32F407, nrf52840=NRF52840,
               rp2040=RP2040)                                              # target -> its memories


def memory_of(
    target:str # a name of `hardware.targets`
)->MemorySystem:
    "The memories of a target; `BadInput` names the targets that have a model."
    if target in SYSTEMS: return SYSTEMS[target]
    raise BadInput(f"no model of the memories of {target}: there is one of {', '.join(SYSTEMS)}")
