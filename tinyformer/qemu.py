"""A second opinion: QEMU runs an image on an emulated board and counts the instructions by its own clock."""
import re, struct, subprocess, tempfile
from pathlib import Path

import numpy as np

from tinyformer.errors import BadInput, SimulationFailed
from tinyformer.hardware import Target, targets
from tinyformer.toolchain import find_qemu, sections

STARTS = 0, 0x1000_0000 # where QEMU's boards look for the stack's address and the first instruction


def qemu_tick(
    board:Target, # one of QEMU's
)->float:         # instructions
    "Instructions per tick of the board's timer, which runs at its clock: one is 1 ns."
    return 1e9 / board.clock_hz


def _loader(elf, folder):
    "QEMU's words for an image that begins elsewhere."
    symbols = sections(elf)['symbols']
    if symbols['tfm_vectors'][0] in STARTS: return []
    first = symbols['_stack_top'][0], symbols['Reset_Handler'][0] | 1
    (Path(folder)/'first').write_bytes(struct.pack('<2I', *first))
    return ['-device', f'loader,file={folder}/first,addr={STARTS[1]},force-raw=on']


def qemu(
    image,           # a `simulator.Image`, built from a folder whose port is a board of QEMU's
    timeout:int=600, # seconds
)->tuple:            # (int8 output of the built-in example, instructions to the nearest tick)
    "Run the image once under QEMU, which counts for itself."
    boards = {t.name: t for t in targets() if t.machine}
    if image.port not in boards:
        raise BadInput(f"QEMU runs images of these ports: {', '.join(boards)}")
    board = boards[image.port]
    cmd = [str(find_qemu()), '-M', board.machine, '-nographic', '-icount', 'shift=0', '-monitor',
           'none', '-semihosting-config', 'enable=on,target=native', '-kernel', str(image.elf)]
    how = dict(capture_output=True, encoding='utf-8', errors='replace', stdin=subprocess.DEVNULL)
    try:
        with tempfile.TemporaryDirectory() as tmp:
            done = subprocess.run(cmd + _loader(image.elf, tmp), timeout=timeout, **how)
    except subprocess.TimeoutExpired:
        raise SimulationFailed(f'QEMU did not finish within {timeout} s') from None
    said = dict(re.findall(r'(result|ticks|output) ([0-9a-f]+)', done.stdout + done.stderr))
    if len(said) < 3 or int(said['result'], 16):
        raise SimulationFailed('QEMU: the image reported '
                               f'{said or (done.stderr or done.stdout)[:200]}')
    ticks = int(said['ticks'], 16) * qemu_tick(board)
    return np.frombuffer(bytes.fromhex(said['output']), np.int8), round(ticks)
