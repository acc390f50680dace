"""Random bit flips on the emulated core: in the weights, in the arena while the model runs, and in the input.

A flip may change the answer. It must not make the model write outside its arena, its stack and its output, and it must
not keep it from ending."""
from collections import Counter
from dataclasses import dataclass

import numpy as np
import pytest
from unicorn import UC_HOOK_MEM_WRITE, UcError
from unicorn.arm_const import UC_ARM_REG_LR, UC_ARM_REG_PC, UC_ARM_REG_R0, UC_ARM_REG_R1, UC_ARM_REG_SP

from tinyformer import codegen as cg
from tinyformer.arch import Arch, Downsample, InvertedResidual, Transformer
from tinyformer.graph import random_graph
from tinyformer.hardware import target
from tinyformer.lowering import random_model
from tinyformer.simulator import HEAP, HEAP_BYTES, RETURN_TO, Emulator, build

SMALL = Arch((16, 16, 3), 5, (Downsample(8, 'conv_pool'), InvertedResidual(8, 3), Transformer(12, 3, 20, 1, 16, True),
                              Downsample(16, 'ir', 2)), 20)
MODELS = dict(banded=lambda: random_model(SMALL, 0, .7), every=lambda: random_graph(3, (8, 8, 3), 8, 2))


class Board:
    "An emulated board on which single bits can be flipped; it starts each run as it was."
    def __init__(self, fw, stack, cc='auto'):
        self.fw, self.emu = fw, Emulator(build(fw, cc=cc).elf, fw.target.core)
        g, emu = fw.graph, self.emu
        x = np.random.default_rng(0).integers(-128, 128, g.tensors[g.input].shape, dtype=np.int8)
        size = g.tensors[g.output].nbytes
        self.right = emu.invoke(x, size, count=True).tobytes()
        self.instructions = emu.instructions
        emu._watch(False)
        emu.free()
        self.x, self.out = emu.alloc(x), emu.alloc(bytes(size))
        self.n_in, self.n_out = x.nbytes, size
        self.top = emu.address('_stack_top')
        self.arena = [emu.symbols[n] for n in (f'{fw.prefix}_{a}' for a in cg.ARENAS) if n in emu.symbols]
        self.constants = [emu.symbols[name] for blob in cg.constants(g, fw.choices, fw.prefix).values()
                          for name, _ in blob.values()]
        self.forbid([*self.arena, (self.out, size), (self.top - stack, stack)])

    def forbid(self, allowed):
        "Note every write outside `allowed`, ranges as (first address, bytes)."
        self.outside, emu = [], self.emu
        def note(uc, access, address, size, value, _): self.outside.append(address)
        at = lambda name: emu.symbols.get(name, (0, 0))[0]
        for first, size in ((at('_ram_start'), at('_ram_bytes')), (at('_fast_start'), at('_fast_bytes')),
                            (HEAP, HEAP_BYTES)):
            end, begin = first + size, first
            for a, n in [*sorted(r for r in allowed if first <= r[0] < end), (end, 0)]:
                if a > begin: emu.uc.hook_add(UC_HOOK_MEM_WRITE, note, begin=begin, end=a - 1)
                begin = a + n

    def flip(self, address, bit):
        self.emu.write(address, bytes([self.emu.read(address, 1)[0] ^ 1 << bit]))

    def go(self, start, most):
        self.emu.uc.emu_start(start | 1, RETURN_TO, count=most)
        return self.emu.uc.reg_read(UC_ARM_REG_PC)

    def run(self, during=None):
        """One inference: 'right', 'other answer', 'status', 'refused access', or what must not be: 'wrote outside',
        'no end'.
        during: (after how many instructions, address, bit)."""
        emu, uc = self.emu, self.emu.uc
        self.outside.clear()
        for reg, v in ((UC_ARM_REG_SP, self.top), (UC_ARM_REG_LR, RETURN_TO | 1), (UC_ARM_REG_R0, self.x),
                       (UC_ARM_REG_R1, self.out)): uc.reg_write(reg, v)
        pc = emu.address(f'{self.fw.prefix}_invoke')
        try:
            if during:
                pc = self.go(pc, during[0])
                self.flip(*during[1:])
            pc = self.go(pc, 4 * self.instructions)
        except UcError as e:
            return 'wrote outside' if 'WRITE' in str(e) or self.outside else 'refused access'
        if self.outside: return 'wrote outside'
        if pc != RETURN_TO: return 'no end'
        if uc.reg_read(UC_ARM_REG_R0): return 'status'
        return 'right' if emu.read(self.out, self.n_out) == self.right else 'other answer'


def somewhere(rng, ranges):
    "(address, bit) of one of the bits in `ranges`, each as likely."
    n = rng.integers(sum(size for _, size in ranges))
    for first, size in ranges:
        if n < size: return first + int(n), int(rng.integers(8))
        n -= size


def flips(board, where, n, rng):
    "Outcomes of n runs, each with one flipped bit."
    seen = Counter()
    for _ in range(n):
        if where == 'arena':
            seen[board.run((int(rng.integers(1, board.instructions)), *somewhere(rng, board.arena)))] += 1
            continue
        spot = somewhere(rng, dict(weights=board.constants, input=[(board.x, board.n_in)])[where])
        board.flip(*spot)
        seen[board.run()] += 1
        board.flip(*spot)
    assert board.run() == 'right'                      # nothing is left of the flips
    return seen


ALLOWED = {'right', 'other answer', 'status', 'refused access'}
"What a flip may do. A refused access reads where no memory is: on a board the core stops in its fault handler."
WHERE = 'weights', 'arena', 'input'


def flipped(name, where, n, tmp_path, cc='auto'):
    "Outcomes of flips in a new build of a model."
    fw = cg.generate(MODELS[name](), target('stm32f746'), tmp_path/'fw')
    board = Board(fw, 2048, cc)
    seen = flips(board, where, n, np.random.default_rng([n, *where.encode()]))
    print(f"{name}, {n} flips in {where}: {', '.join(f'{k} {v}' for k, v in seen.most_common())}")
    assert sum(seen.values()) == n and set(seen) <= ALLOWED, seen
    return seen


@pytest.mark.parametrize('where', WHERE)
def test_a_few_flips(where, tmp_path):
    assert flipped('every', where, 40, tmp_path)['right'] < 40        # some change the answer: the flips are real


@pytest.mark.thorough
@pytest.mark.parametrize('where', WHERE)
@pytest.mark.parametrize('cc', (pytest.param('gcc', marks=pytest.mark.needs('gcc')), 'zig'))
@pytest.mark.parametrize('name', MODELS)
def test_a_thousand_flips(name, cc, where, tmp_path): flipped(name, where, 1000, tmp_path, cc)


def test_a_damaged_stream_makes_no_more_rows(tmp_path):
    "Every bit of every header of a stream, one at a time: headers say where rows begin and where the stream ends."
    fw = cg.generate(MODELS['every'](), target('stm32f746'), tmp_path/'fw')
    board, seen = Board(fw, 2048), Counter()
    for name, c in fw.choices.items():
        if not c.block: continue
        symbol, stream = cg.constants(fw.graph, fw.choices, fw.prefix)[name]['stream']
        at = board.emu.address(symbol)
        for i in headers(stream, c.block):
            for bit in range(8):
                board.flip(at + i, bit)
                seen[board.run()] += 1
                board.flip(at + i, bit)
    print(dict(seen))
    assert sum(seen.values()) > 200 and set(seen) <= ALLOWED and board.run() == 'right'


@pytest.mark.parametrize('cc', (pytest.param('gcc', marks=pytest.mark.needs('gcc')), 'zig'))
def test_with_integrity_a_flipped_weight_is_reported(cc, tmp_path):
    "By the check itself, and by the `main` of the port, which then does not run the model."
    fw = cg.generate(MODELS['every'](), target('stm32f746'), tmp_path/'fw', integrity=True)
    board, rng = Board(fw, 2048, cc), np.random.default_rng(3)
    emu, check = board.emu, f'{fw.prefix}_check'
    emu.uc.mem_map(0xE0000000, 0x10000)                                    # registers of the core: the cycle counter
    def at_start():
        "What `main` leaves for a debugger in tfm_result."
        emu.write(emu.address('tfm_result'), b'\xff' * 4)
        emu.uc.reg_write(UC_ARM_REG_SP, board.top)
        emu.uc.emu_start(emu.address('main') | 1, 0, count=8 * board.instructions)      # then it waits for ever
        return int.from_bytes(emu.read(emu.address('tfm_result'), 4), 'little', signed=True)
    assert (emu.call(check), at_start()) == (0, 0)
    for i in range(40):
        spot = somewhere(rng, board.constants)
        board.flip(*spot)
        assert emu.call(check) == 6, spot
        assert i > 4 or at_start() == 6
        board.flip(*spot)
    assert (emu.call(check), at_start()) == (0, 0)


def headers(stream, block):
    "Where the headers of a stream lie, as the dsp kernels want it: one before each block; of blocks of four, four."
    i = 0
    while i < len(stream):
        some = stream[i:i + 4].tolist() if block == 4 else stream[i:i + 1].tolist()
        yield from range(i, i + len(some))
        i += len(some) + block * sum(header < 0xF8 for header in some)


def test_a_write_outside_and_a_run_without_end_are_noticed(tmp_path):
    "With a part of the arena forbidden, or few instructions, the same run is one that must not be."
    fw = cg.generate(MODELS['every'](), target('stm32f746'), tmp_path/'fw')
    board = Board(fw, 2048)
    assert board.run() == 'right'
    board.instructions //= 8
    assert board.run() == 'no end'
    board.instructions *= 8
    board.forbid([(board.top - 2048, 2048), (board.out, board.n_out)])
    assert board.run() == 'wrote outside'
