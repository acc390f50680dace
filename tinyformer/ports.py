"""What a board adds to a model's C: start-up code, a linker script with the budget, and a server for a serial line.
The folders of `firmware/ports` hold the files; the addresses come from the board's record."""
import re
from dataclasses import replace
from pathlib import Path

from tinyformer.c_text import fill
from tinyformer.checksums import model_crc
from tinyformer.errors import BadInput
from tinyformer.graph import Graph
from tinyformer.hardware import Memory, Target, joined, target as board_named, targets
from tinyformer.memory_alloc import aligned
from tinyformer.operators import CONTRACT_VERSION
from tinyformer.toolchain import firmware_dir

STACK_BYTES = 2048 # that a linker script keeps for the stack
VARIABLES = 64     # bytes of `main` and of the server of a board beside input and output


def ports()->list: # names
    "Boards with start-up code, so that a whole image can be linked."
    return [t.name for t in targets() if t.cpu.startup]


def port_board(
    port:str,      # a name in `ports()`, or that of the target
    target:Target, # the image's
)->Target:         # whose addresses and start-up code the image gets
    "The board of a port; its core must be that of the target."
    board = target if port == target.name else board_named(port)
    if board.core == target.core: return board
    raise BadInput(f'an image for the {target.core} of {target.name} does not start on {port}, '
                   f'which has a {board.core}')


def port_of(
    name:str,      # the port that was asked for; None: the target's own, else 'host'
    target:Target, # the image's
)->str:            # a name in `ports()`, that of the target, or 'host'
    "The port of an image."
    name = name or (target.name if target.cpu.startup else 'host')
    if name in [*ports(), target.name]: port_board(name, target)
    if name in [*ports(), target.name, 'host']: return name
    raise BadInput(f"no port {name!r}; known: {', '.join([*ports(), 'host'])}")


def rooms_of(
    port:str,      # a name in `ports()`, that of the target, or 'host'
    target:Target, # with its budget
)->tuple:          # of Memory: what the planner may use
    "The memories of the port's board within the target's budget, without the stack's bytes."
    board = target if port == 'host' else port_board(port, target)
    fast, *slow = replace(board, sram_bytes=target.sram_bytes).rooms
    if not slow: return (fast,)
    return (Memory(fast.name, fast.start + STACK_BYTES, fast.size - STACK_BYTES, fast.wait), *slow)


def _regions(rooms, total, fast_bytes):
    "(fast region or None, main region, the one that holds the stack): (first address, bytes) each."
    if len(rooms) == 1: return None, (rooms[0].start, total), None
    first = rooms[0].start - STACK_BYTES
    if joined(rooms): return None, (first, total), 'RAM'
    fast = STACK_BYTES + aligned(fast_bytes)
    return (first, fast), (rooms[1].start, total - fast), 'FAST'


def linker_script(
    port:str,         # a name in `ports()`, or that of the target
    target:Target,    # its flash and SRAM become the lengths
    fast_bytes:int=0, # of the arena, in a fast memory that lies apart
)->str:               # text of link.ld
    "The addresses of the port's board with the target's budget."
    board, rooms = port_board(port, target), rooms_of(port, target)
    fast, ram, stack = _regions(rooms, target.sram_bytes, fast_bytes)
    bottom, keep = f'ORIGIN({stack})', fill('stack.ld', region=stack or 'RAM')
    region = f'    FAST (rw) : ORIGIN = 0x{fast[0]:08x}, LENGTH = {fast[1]}\n' if fast else ''
    return fill('link.ld', board=board.board, flash_start=f'0x{board.flash_start:08x}',
                flash_bytes=target.flash_bytes, fast=region, sram_start=f'0x{ram[0]:08x}',
                sram_bytes=ram[1], stack_bytes=STACK_BYTES, fast_region='FAST' if fast else 'RAM',
                fast_start=fast[0] if fast else ram[0], fast_bytes=fast[1] if fast else 0,
                stack_top=f'{bottom} + _stack_reserve' if stack else 'ORIGIN(RAM) + LENGTH(RAM)',
                stack_limit=bottom if stack else '_bss_end',
                first=keep if stack else '', last='' if stack else keep)


def beside(
    graph:Graph,   # the model
    target:Target, # with its budget
)->int:            # bytes, 0 where nothing is left
    "What a budget leaves to the arena beside stack, input, output and variables."
    ends = sum(aligned(graph.tensors[name].nbytes) for name in (graph.input, graph.output))
    return max(0, target.sram_bytes - STACK_BYTES - VARIABLES - ends)


def serves(
    port:str, # a name in `ports()`, that of the target, or 'host'
)->bool:      # whether there is an image that answers over a serial line
    "Whether a port says how bytes come and go."
    return (firmware_dir()/'ports'/port/'board.c').is_file()


def about_h(
    fw, # a `codegen.Firmware`: a model with its plan
)->str:          # C text
    "about.h: what a board says about itself."
    board = re.sub(r'[^ !#-\[\]-~]', '?', port_board(fw.port, fw.target).board)
    rows = dict(TFM_MODEL_NAME=f'"{fw.graph.name}"', TFM_BOARD_NAME=f'"{board}"',
                TFM_CONTRACT_VERSION=f'{CONTRACT_VERSION}u',
                TFM_MODEL_CRC=f'0x{model_crc(fw.graph):08x}u')
    head = '/* What the board says about itself. Generated. */\n'
    return head + ''.join(f'#define {k} {v}\n' for k, v in rows.items())


def port_texts(
    fw, # a `codegen.Firmware`: a model with its plan
)->dict:         # relative path -> text
    "Generated files of a port: the linker script, and what its server wants."
    if fw.port == 'host': return {}
    fast = sum(end - first for k, first, end in fw.arena.arrays if not k)
    texts = {'port/link.ld': linker_script(fw.port, fw.target, fast)}
    if not serves(fw.port): return texts
    whole = replace(fw.target, flash_bytes=board_named(fw.port).flash_bytes)
    return texts | {'board/about.h': about_h(fw),
                    'board/link.ld': linker_script(fw.port, whole, fast)}


def port_folders(
    board:Target, # a board, or None for the host
)->list:          # of firmware/ports
    "Where the files of a port come from; of two with the same name the later one is taken."
    if board is None: return []
    own = [board.cpu.startup] if board.cpu.startup != 'cortex_m' else []
    return ['cortex_m', *own, *(['qemu'] if board.machine else []), board.name]


def image_sources(
    fw,          # a `codegen.Firmware`: a generated folder
    serial:bool, # those of the image that answers over a serial line
)->tuple:        # (C files, folder with the linker script)
    "What an image is compiled from."
    f = Path(fw.folder)
    if not (f/'port').is_dir():
        raise BadInput(f'the folder has no start-up code for {fw.target.name}: generate it with port=None')
    start = sorted((f/'port').glob('*.c'))
    if not serial: return [*fw.sources, *start], f/'port'
    if not (f/'board').is_dir():
        able = ', '.join(p for p in ports() if serves(p))
        raise BadInput(f'no image for {fw.port} answers over a serial line, one for {able} does. '
                       'firmware/ports/README.md says what a board.c needs')
    start = [p for p in start if p.name != 'main.c']
    return [*fw.sources, *start, *sorted((f/'board').glob('*.c'))], f/'board'
