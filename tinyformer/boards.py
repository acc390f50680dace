"""The boards as data: for each what `hardware.Target` holds of it, with the maker's document in its note.

The figures were gathered from public summaries of these documents: read the document before you rely on one. Three
choices were made the same way for all boards.

* `sram_bytes` is the largest region with consecutive addresses, because the arena of a network is one array.
* `flash_bytes` is the flash on the chip. Chips without any (RP2040, RP2350, STM32N6) run from a serial flash chip on
  the board; then the size is that chip's.
* `flash_start` and `sram_start` are the first addresses of the two, which the linker script takes. SRAM begins at
  0x20000000 on most Cortex-M chips; a record says where it does not.

`memories` are a fast and a slow memory, each with its name, first address, bytes, and cycles of waiting for each byte
moved that the cache does not hold. `machine` is QEMU's name of a board that it emulates; such a board is no product."""
from .units import KB, MB

BOARDS = (
    dict(name='stm32f746', board='STM32F746G-DISCO', core='cortex-m7', features=('fpu_sp', 'cache'),
         flash_bytes=1 * MB, sram_bytes=320 * KB, clock_hz=216_000_000, flash_start=0x0800_0000,
         memories=(('DTCM', 0x2000_0000, 64 * KB), ('SRAM', 0x2001_0000, 256 * KB, 12 / 32)),
         note='ST STM32F746 data sheet (DS10916) and RM0385: SRAM is DTCM 64 KB + SRAM1 240 KB + SRAM2 16 KB, side by '
              'side; 16 KB ITCM not counted'),
    dict(name='stm32h743', board='NUCLEO-H743ZI', core='cortex-m7', features=('fpu_sp', 'fpu_dp', 'cache'),
         flash_bytes=2 * MB, sram_bytes=512 * KB, clock_hz=480_000_000, flash_start=0x0800_0000,
         sram_start=0x2400_0000,
         memories=(('DTCM', 0x2000_0000, 128 * KB), ('AXI SRAM', 0x2400_0000, 512 * KB, 16 / 32)),
         note='ST STM32H743 data sheet and RM0433: SRAM is the AXI SRAM; of 1 MB in all, 128 KB of DTCM are used in '
              'its place where that is faster, the rest lies elsewhere'),
    dict(name='nrf52840', board='nRF52840-DK', core='cortex-m4', features=('fpu_sp',),
         flash_bytes=1 * MB, sram_bytes=256 * KB, clock_hz=64_000_000,
         note='Nordic nRF52840 product specification'),
    dict(name='nrf5340', board='nRF5340-DK', core='cortex-m33', features=('dsp', 'fpu_sp'), flash_bytes=1 * MB,
         sram_bytes=512 * KB, clock_hz=128_000_000,
         note='Nordic nRF5340 product specification: the application core; the network core is not used'),
    dict(name='stm32u575', board='NUCLEO-U575ZI-Q', core='cortex-m33', features=('dsp', 'fpu_sp'),
         flash_bytes=2 * MB, sram_bytes=768 * KB, clock_hz=160_000_000, flash_start=0x0800_0000,
         note='ST STM32U575 data sheet and RM0456: SRAM1 192 KB + SRAM2 64 KB + SRAM3 512 KB, side by side; SRAM4 not '
              'counted'),
    dict(name='rp2350', board='Raspberry Pi Pico 2', core='cortex-m33', features=('dsp', 'fpu_sp'),
         flash_bytes=4 * MB, sram_bytes=520 * KB, clock_hz=150_000_000, flash_start=0x1000_0000,
         note='Raspberry Pi RP2350 and Pico 2 data sheets: flash is the QSPI chip on the board; one of two cores used'),
    dict(name='stm32f407', board='STM32F4DISCOVERY', core='cortex-m4', features=('fpu_sp',),
         flash_bytes=1 * MB, sram_bytes=128 * KB, clock_hz=168_000_000, flash_start=0x0800_0000,
         note='ST STM32F407 data sheet (DS8626) and RM0090: SRAM1 112 KB + SRAM2 16 KB, side by side; 64 KB of CCM '
              'elsewhere not counted'),
    dict(name='stm32n657', board='NUCLEO-N657X0-Q', core='cortex-m55', features=('fpu_sp', 'fpu_dp', 'cache'),
         flash_bytes=64 * MB, sram_bytes=4224 * KB, clock_hz=800_000_000, flash_start=0x7000_0000,
         sram_start=0x3400_0000,
         note='ST STM32N657 data sheet: no flash on the chip, 512 Mbit octo-SPI flash on the board; NPU not used; a '
              'first-stage loader maps the flash'),
    dict(name='rp2040', board='Raspberry Pi Pico', core='cortex-m0plus', features=(),
         flash_bytes=2 * MB, sram_bytes=264 * KB, clock_hz=133_000_000, flash_start=0x1000_0000,
         note='Raspberry Pi RP2040 and Pico data sheets: flash is the QSPI chip on the board; one of two cores used'),
    dict(name='samd21', board='Arduino Zero', core='cortex-m0plus', features=(),
         flash_bytes=256 * KB, sram_bytes=32 * KB, clock_hz=48_000_000,
         note='Microchip SAM D21/DA1 data sheet (DS40001882)'),
    dict(name='esp32c3', board='ESP32-C3-DevKitM-1', core='riscv32', features=(),
         flash_bytes=4 * MB, sram_bytes=384 * KB, clock_hz=160_000_000, flash_start=0x4200_0000,
         sram_start=0x3FC8_0000,
         note='Espressif ESP32-C3 data sheet and technical reference manual: flash is the chip on the module; 16 KB of '
              '400 KB of SRAM are the cache'),
    dict(name='mps2_an500', board='QEMU mps2-an500', core='cortex-m7', features=('fpu_sp',),
         flash_bytes=4 * MB, sram_bytes=4 * MB, clock_hz=25_000_000, machine='mps2-an500',
         note='Arm application note AN500 as emulated by QEMU: SSRAM1 at 0 serves as flash, SSRAM2 and 3 as SRAM'),
    dict(name='mps2_an505', board='QEMU mps2-an505', core='cortex-m33', features=('dsp', 'fpu_sp'),
         flash_bytes=4 * MB, sram_bytes=4 * MB, clock_hz=20_000_000, flash_start=0x1000_0000, sram_start=0x3800_0000,
         machine='mps2-an505',
         note='Arm application note AN505 as emulated by QEMU: SSRAM1 serves as flash, SSRAM2 and 3 as SRAM, at the '
              'addresses of the secure side'),
    dict(name='mps3_an547', board='QEMU mps3-an547', core='cortex-m55', features=(),
         flash_bytes=2 * MB, sram_bytes=512 * KB, clock_hz=32_000_000, flash_start=0x1100_0000, sram_start=0x3000_0000,
         machine='mps3-an547',
         note='Arm application note AN547 as emulated by QEMU: SRAM serves as flash, DTCM as SRAM, at the addresses of '
              'the secure side'))

# A WebAssembly module is no board: it has the memory that the page gives it and the clock of the computer.
BROWSER = dict(name='wasm32', board='Node or a browser', core='wasm32', features=(),
               flash_bytes=64 * MB, sram_bytes=64 * MB, clock_hz=1_000_000_000,
               note='no chip: sizes and clock are placeholders, and no time is derived from them')
