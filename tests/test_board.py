"""A board over its serial line: the server's C under QEMU and under sanitizers, its start-up on the emulated core, and
the host's side of it."""
import contextlib, json, re, socket, struct, subprocess, sys, time, zlib

import numpy as np
import pytest

from test_cli import refused, say                          # noqa: F401, fixtures
from tinyformer import board as bd
from tinyformer.codegen import generate, model_crc
from tinyformer.errors import BadInput, BoardFailed, MissingTool
from tinyformer.graph import random_graph, run, save
from tinyformer.hardware import target
from tinyformer.simulator import Emulator, build
from tinyformer.toolchain import WARNINGS, compile_host, compile_image, find_qemu, firmware_dir

TESTS = firmware_dir()/'tests'
GOOD, LENGTH, KIND, SILENCE, CRC = 0, 2, 3, 4, 1          # `tfm_frame_status`
QUIET = 0xFFFF


@pytest.fixture(scope='module')
def graph(): return random_graph(3, (4, 4, 2), 4, 1, 5)


@pytest.fixture(scope='module')
def qemu_firmware(graph, tmp_path_factory):
    return generate(graph, target('stm32f746'), tmp_path_factory.mktemp('board')/'qemu', port='mps2_an500')


@pytest.fixture(scope='module')
def f746(graph, tmp_path_factory):
    return generate(graph, target('stm32f746'), tmp_path_factory.mktemp('board')/'f746')


@pytest.mark.needs('make', 'gcc')
def test_make_board_writes_the_binary_with_a_compiler_that_is_named(graph, tmp_path):
    fw = generate(graph, target('stm32f746'), tmp_path/'fw', port='mps2_an500')
    words = 'make', '-C', str(fw.folder), 'board', 'CC=arm-none-eabi-gcc'
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (fw.folder/'build'/'board.bin').stat().st_size > 1000


# ---- the server, frame by frame --------------------------------------------------------------------------------------

def served(
    tape:list, # bytes, and QUIET
    graph, # the model on the board
)->list: # of (kind, number, payload without the cycles)
    "What the board has to answer, written from the contract in frame.h and main.c."
    shape = graph.tensors[graph.input].shape
    window, answers, at, room = bytes(10), [], 0, int(np.prod(shape))
    def say(kind, number, payload=b''): answers.append((kind, number, payload))
    def take(n):
        nonlocal at
        part = tape[at:at + n]
        stop = part.index(QUIET) + 1 if QUIET in part else len(part)
        at += stop
        return None if QUIET in part or len(part) < n else bytes(part)
    while at < len(tape):
        e, at = tape[at], at + 1
        if e == QUIET: continue
        window = window[1:] + bytes([e])
        if window[:2] != b'TF' or zlib.crc32(window[:8]) & 0xFFFF != int.from_bytes(window[8:], 'little'): continue
        kind, number, size = struct.unpack('<cBI', window[2:8])
        head, window = window, bytes(10)
        if size > room: say(b'e', number, LENGTH); continue
        rest = take(size + 4)
        if rest is None: say(b'e', number, SILENCE); continue
        crc = zlib.crc32(rest[:size], zlib.crc32(head[:8]))
        if crc != int.from_bytes(rest[size:], 'little'): say(b'e', number, CRC)
        elif kind not in (b'H', b'I'): say(b'e', number, KIND)
        elif size != (room if kind == b'I' else 0): say(b'e', number, LENGTH)
        elif kind == b'H': say(b'h', number)
        else: say(b'i', number, run(graph, np.frombuffer(rest[:size], np.int8).reshape(1, *shape)).tobytes())
    return answers


def understood(
    data:bytes, # what the board sent
)->list: # as `served` gives
    "The answers in a stream, which holds nothing else."
    found = bd.Frames().feed(data)
    assert sum(len(bd.pack(f)) for f in found) == len(data)
    payload = {b'e': lambda p: int.from_bytes(p, 'little'), b'h': lambda p: b'', b'i': lambda p: p[8:]}
    return [(f.kind, f.number, payload[f.kind](f.payload)) for f in found]


def question(kind, number, payload=b''): return list(bd.pack(bd.Frame(kind, number, payload)))


def random_frame(rng, room):
    "A frame that is good, has a flipped bit, is cut, too long, of another kind, of a wrong length; or garbage."
    number, what = int(rng.integers(256)), rng.integers(9)
    if what == 0: return question(b'H', number)
    if what == 1: return question(b'I', number, rng.bytes(room))
    if what == 2: return list(rng.bytes(rng.integers(1, 60)))
    if what == 3: return question(b'I', number, rng.bytes(room + int(rng.integers(1, 60))))
    if what == 4: return question(rng.bytes(1), number, rng.bytes(rng.integers(0, room + 1)))
    if what == 5: return question(b'I', number, rng.bytes(rng.integers(0, room)))
    frame = question(b'IH'[rng.integers(2):][:1], number, rng.bytes(room))
    if what == 6: frame[rng.integers(len(frame))] ^= 1 << int(rng.integers(8))
    if what >= 7: frame = frame[:rng.integers(1, len(frame))] + [QUIET] * int(rng.integers(2))
    return frame


def random_tape(graph, n, seed=0):
    rng, room = np.random.default_rng(seed), graph.tensors[graph.input].nbytes
    return [e for _ in range(n) for e in random_frame(rng, room)] + [QUIET] + question(b'H', 77)


def on_host(fw, tape):
    "The server under sanitizers, fed from standard input."
    sources = [*fw.sources, *((fw.folder/'board'/n) for n in ('main.c', 'frame.c')), TESTS/'board_tape.c']
    include = [fw.folder/'include', fw.folder, fw.folder/'board']
    flags = (*WARNINGS, '-g', '-fsanitize=address,undefined', '-fno-sanitize-recover=all')
    program = compile_host(sources, None, include, flags, shared=False, cc='gcc')
    r = subprocess.run([program], input=np.uint16(tape).tobytes(), capture_output=True, timeout=120)
    assert r.returncode == 0, r.stderr.decode()
    return r.stdout


def on_qemu(fw, tape, folder):
    "The server on QEMU's Cortex-M7, fed from memory."
    port = fw.folder/'port'
    sources = [*fw.sources, *((fw.folder/'board'/n) for n in ('main.c', 'frame.c')), TESTS/'board_tape.c',
               port/'startup.c', port/'memory.c']
    include = [fw.folder/'include', fw.folder, fw.folder/'board', port]
    elf = compile_image(sources, fw.folder/'board'/'link.ld', folder/'tape.elf', include, WARNINGS)
    (folder/'tape').write_bytes(struct.pack('<I', len(tape)) + np.uint16(tape).tobytes())
    command = [str(find_qemu()), '-M', 'mps2-an500', '-nographic', '-semihosting-config', 'enable=on,target=native',
               '-kernel', str(elf), '-device', f"loader,file={folder/'tape'},addr=0x60000000,force-raw=on"]
    r = subprocess.run(command, cwd=folder, capture_output=True, timeout=120, stdin=subprocess.DEVNULL)
    assert r.returncode == 0, r.stderr.decode()
    return (folder/'answers').read_bytes()


CASES = {  # what the board is sent -> what it answers; the input has 32 bytes
    'good': (question(b'H', 1) + question(b'I', 2, bytes(32)), ['h1', 'i2']),
    'garbage, then good': ([*b'TFTFT', 0, 255, *b'FT'] + question(b'H', 3), ['h3']),
    'a head that is cut, then good': (question(b'H', 4)[:7] + question(b'H', 5), ['h5']),
    'cut, silence, then good': (question(b'I', 6, bytes(32))[:20] + [QUIET] + question(b'H', 7), ['e6 4', 'h7']),
    'cut, then good at once': (question(b'I', 6, bytes(32))[:20] + question(b'I', 7, bytes(32)) + question(b'H', 8),
                               ['e6 1', 'h8']),
    'wrong CRC': (question(b'I', 9, bytes(32))[:-1] + [0] + question(b'H', 10), ['e9 1', 'h10']),
    'wrong check of the head': (question(b'H', 11)[:8] + [0, 0, 0, 0, 0, 0] + question(b'H', 12), ['h12']),
    'wrong end of the check': (question(b'H', 11)[:9] + [question(b'H', 11)[9] ^ 1] + question(b'H', 11)[10:]
                               + question(b'H', 12), ['h12']),
    'oversized': (question(b'I', 13, bytes(33)) + question(b'H', 14), ['e13 2', 'h14']),
    'a length that nobody has': (question(b'I', 13)[:4] + [255] * 4, []),
    'too short': (question(b'I', 15, bytes(31)), ['e15 2']),
    'hello with a payload': (question(b'H', 15, bytes(3)), ['e15 2']),
    'unknown kind': (question(b'Z', 16, bytes(5)), ['e16 3']),
}


@pytest.mark.needs('cc')
@pytest.mark.parametrize('case', CASES)
def test_every_kind_of_frame(case, qemu_firmware, graph):
    assert graph.tensors[graph.input].nbytes == 32
    tape, want = CASES[case]
    got = understood(on_host(qemu_firmware, tape))
    assert [f'{k.decode()}{n}' + f' {p}' * (k == b'e') for k, n, p in got] == want
    assert got == served(tape, graph)


@pytest.mark.needs('cc')
def test_random_frames_under_sanitizers(qemu_firmware, graph):
    tape = random_tape(graph, 3_000, seed=1)
    got = understood(on_host(qemu_firmware, tape))
    print(f'3,000 random frames, {len(tape)} bytes, {len(got)} answers')
    assert got == served(tape, graph) and got[-1][:2] == (b'h', 77)
    assert {(k, p if k == b'e' else 0) for k, _, p in got} == {(b'h', 0), (b'i', 0), *((b'e', i) for i in (1, 2, 3, 4))}


@pytest.mark.needs('qemu')
def test_random_frames_under_qemu(qemu_firmware, graph, tmp_path):
    tape = random_tape(graph, 10_000, seed=2)
    got = understood(on_qemu(qemu_firmware, tape, tmp_path))
    print(f'10,000 random frames, {len(tape)} bytes, {len(got)} answers')
    assert got == served(tape, graph) and got[-1][:2] == (b'h', 77)


# ---- the image of QEMU's board, over its emulated serial line --------------------------------------------------------

@pytest.fixture
def qemu_line(qemu_firmware):
    "QEMU with the server's image; the name of its serial line."
    image = build(qemu_firmware, serial=True)
    command = [str(find_qemu()), '-M', 'mps2-an500', '-display', 'none', '-monitor', 'none', '-serial', 'pty',
               '-kernel', str(image.elf)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as q:
        try: yield re.search(r'/dev/\S+', q.stdout.readline())[0]
        finally: q.kill()


@pytest.mark.thorough
@pytest.mark.needs('qemu')
def test_the_serial_line_under_qemu(qemu_line, graph):
    line = bd.Line(bd.connect(qemu_line), seconds=20)
    told = bd.about(line)
    bd.check(told, graph)
    assert (told.board, told.model, told.clock_hz, told.wrong) == ('QEMU mps2-an500', graph.name, 25_000_000, 0)
    assert (told.input_bytes, told.output_bytes, told.slow) == (32, 5, '')
    rng = np.random.default_rng(4)
    for _ in range(20):                                    # bad frames between good ones; each good one is answered
        for _ in range(5): line.stream.write(bytes(e for e in random_frame(rng, 32) if e != QUIET))
        x = rng.integers(-128, 128, (4, 4, 2), dtype=np.int8)
        status, cycles, out = bd.infer(line, x)
        assert status == 0 and cycles > 0 and (out == run(graph, x[None])[0].reshape(-1)).all()


@pytest.mark.needs('qemu')
def test_the_command_under_qemu(qemu_line, graph, say, refused, tmp_path):
    save(graph, tmp_path/'m.tfm')
    x = np.random.default_rng(5).integers(0, 256, (6, 4, 4, 2), dtype=np.uint8)
    np.savez(tmp_path/'x.npz', x_test=x, y_test=run(graph, (x ^ 128).view(np.int8)).argmax(1))
    code, out, _ = say('board', qemu_line)
    assert code == 0 and f'QEMU mps2-an500 at 25 MHz holds {graph.name}' in out and '0 of 5 bytes wrong' in out
    code, out, err = say('board', qemu_line, 'm.tfm', '--data', 'x.npz', '--log', 'log.jsonl', '--progress')
    assert code == 0 and '6 of 6 right' in out and 'bytes: 0 of 30 differ' in out and 'board: 100%' in err
    log = bd.read_log('log.jsonl')
    assert len(log) == 7 and log[0]['inputs'] == 'x.npz' and len(log[0]['commit'].rstrip('+')) in (0, 40)
    code, again, _ = say('bench', '--board', 'log.jsonl')
    assert code == 0 and again == out
    assert bd.NONE_YET in bd.table([log])                  # an emulated board is none
    save(random_graph(4, (4, 4, 2), 4, 1, 5), tmp_path/'other.tfm')
    refused('board', qemu_line, 'other.tfm', '--data', 'x.npz', words=['another model', graph.name])
    (tmp_path/'mine.jsonl').write_text('{"precious": 1}\n{"precious": 2}\n')
    refused('board', qemu_line, 'm.tfm', '--data', 'x.npz', '--log', 'mine.jsonl', words=['would be lost'])


# ---- the start-up of the STM32F746, on the emulated core with modelled registers -------------------------------------

RCC_CR, PLLCFGR, CFGR, PWR_CR1, PWR_CSR1, FLASH_ACR = (0x40023800, 0x40023804, 0x40023808, 0x40007000, 0x40007004,
                                                      0x40023C00)
BRR, ISR, ICR, RDR, TDR = 0x4001100C, 0x4001101C, 0x40011020, 0x40011024, 0x40011028
MPU_CTRL, MPU_RNR, MPU_RBAR, MPU_RASR, CCR, CCSIDR, DCISW = (0xE000ED94, 0xE000ED98, 0xE000ED9C, 0xE000EDA0, 0xE000ED14,
                                                             0xE000ED80, 0xE000EF60)


class Chip:
    "The registers that the start-up code reads, as RM0385 describes them; `broken` never becomes ready."
    def __init__(self, emu, broken=''):
        from unicorn import UC_HOOK_MEM_READ, UC_HOOK_MEM_WRITE
        self.uc, self.broken, self.wrote, self.line, self.sent = emu.uc, broken, [], b'', bytearray()
        self.uc.mem_map(0x40000000, 0x30000)
        self.uc.mem_map(0xE0000000, 0x10000)
        self.put(PLLCFGR, 0x24003010), self.put(PWR_CR1, 0xC000), self.put(RCC_CR, 0x83), self.put(CCSIDR, 0xF003E019)
        self.uc.hook_add(UC_HOOK_MEM_READ, self.read, begin=0x40000000, end=0xE000FFFF)
        self.uc.hook_add(UC_HOOK_MEM_WRITE, self.write, begin=0x40000000, end=0xE000FFFF)

    def put(self, at, value): self.uc.mem_write(at, struct.pack('<I', value))
    def get(self, at): return int.from_bytes(self.uc.mem_read(at, 4), 'little')

    def read(self, uc, access, at, size, value, _):
        "What the hardware shows when it is asked."
        ready = {'over-drive': 1 << 16, 'switch of over-drive': 1 << 17}
        if at == PWR_CSR1: self.put(at, self.get(PWR_CR1) & sum(b for n, b in ready.items() if n != self.broken))
        if at == RCC_CR:
            on = self.get(at) & ~(1 << 25)
            self.put(at, on | (on >> 24 & 1 and self.broken != 'PLL') << 25)
        if at == CFGR and self.broken != 'switch': self.put(at, self.get(at) & ~0xC | (self.get(at) & 3) << 2)
        if at == FLASH_ACR and self.broken == 'flash': self.put(at, self.get(at) & ~0xF)
        if at == ISR: self.put(at, 0x80 | bool(self.line) << 5)
        if at == RDR:
            self.put(at, self.line[0])
            self.line = self.line[1:]

    def write(self, uc, access, at, size, value, _):
        self.wrote.append((at, value & 0xFFFFFFFF))
        if at == TDR: self.sent.append(value)

    def first(self, at, bits, want):
        "Which write was the first to put `want` into some bits."
        return next(i for i, (a, v) in enumerate(self.wrote) if a == at and v & bits == want)


def started(firmware, broken=''):
    "The chip after the start-up code, the clock that it says, and the trouble."
    emu = Emulator(build(firmware, serial=True).elf)
    chip, trouble = Chip(emu, broken), emu.alloc(bytes(4))
    return chip, emu.call('tfm_board_start', trouble), int.from_bytes(emu.read(trouble, 4), 'little')


def test_the_f746_starts_at_216_mhz(f746):
    chip, hz, trouble = started(f746)
    assert (hz, trouble) == (216_000_000, 0)
    pll = chip.get(PLLCFGR)
    m, n, p, hse, q = pll & 63, pll >> 6 & 511, 2 * (pll >> 16 & 3) + 2, pll >> 22 & 1, pll >> 24 & 15
    assert 16e6 / m * n / p == hz and not hse and 16e6 / m * n / q == 48e6
    assert 1e6 <= 16e6 / m <= 2e6 and 100e6 <= 16e6 / m * n <= 432e6                         # the manual's limits
    assert pll >> 28 == 2                                                                    # reserved bits stay
    assert chip.get(CFGR) & 0xFCF3 == 4 << 13 | 5 << 10 | 2                                  # 108 MHz, 54 MHz, PLL
    assert chip.get(FLASH_ACR) == 7 | 1 << 8 | 1 << 9
    steps = [(PWR_CR1, 3 << 14, 3 << 14), (RCC_CR, 1 << 24, 1 << 24), (PWR_CR1, 1 << 16, 1 << 16),
             (PWR_CR1, 1 << 17, 1 << 17), (FLASH_ACR, 15, 7), (CFGR, 3, 2)]
    order = [chip.first(*s) for s in steps]
    assert order == sorted(order) and chip.first(PLLCFGR, 0x7FC0, 216 << 6) < order[1]
    assert chip.get(BRR) == round(108e6 / 115_200) and chip.get(0x40011000) == 0xD


def test_the_f746_has_the_memories_of_the_model(f746):
    "Attributes of the MPU, address by address, and caches that were emptied before they were on."
    chip, _, _ = started(f746)
    regions = {}
    for at, value in chip.wrote:
        if at == MPU_RNR: now = value
        if at in (MPU_RBAR, MPU_RASR): regions.setdefault(now, {})[at] = value
    def attributes(address):
        for _, r in sorted(regions.items(), reverse=True):                                   # the highest region wins
            rasr, size = r[MPU_RASR], 2 << (r[MPU_RASR] >> 1 & 31)
            inside = rasr & 1 and 0 <= address - r[MPU_RBAR] < size and r[MPU_RBAR] % size == 0
            if inside and not rasr >> 8 >> (address - r[MPU_RBAR]) // (size // 8) & 1:
                kind = {2: 'write-through', 11: 'write-back', 8: 'uncached', 1: 'device'}[rasr >> 16 & 63]
                return kind, rasr >> 24 & 31
        return None
    code, data, no_code = 6, 3, 16
    assert len(regions) == 8 and chip.wrote[-1][0] != MPU_CTRL and chip.get(MPU_CTRL) == 1
    assert attributes(0x08000000) == attributes(0x080FFFFF) == ('write-through', code)
    assert attributes(0x20000000) == attributes(0x2000FFFF) == ('uncached', data | no_code)
    assert attributes(0x20010000) == attributes(0x2004FFFF) == ('write-back', data | no_code)
    assert attributes(0x40000000) == attributes(0x40023800) == ('device', data | no_code)
    assert [attributes(a) for a in (0, 0x07FFFFFF, 0x08100000, 0x20050000, 0x60000000, 0xC0000000)] == [None] * 6
    lines = {v for a, v in chip.wrote if a == DCISW}
    assert lines == {way << 30 | s << 5 for way in range(4) for s in range(32)}
    on = chip.first(CCR, 3 << 16, 3 << 16)
    assert max(i for i, (a, _) in enumerate(chip.wrote) if a == DCISW) < on


@pytest.mark.parametrize('broken, said', {'over-drive': 1, 'switch of over-drive': 1, 'flash': 2, 'PLL': 3,
                                          'switch': 4}.items())
def test_the_f746_stays_at_16_mhz_when_something_is_not_ready(f746, broken, said):
    chip, hz, trouble = started(f746, broken)
    assert (hz, trouble) == (16_000_000, said) and bd.SLOW[said]
    assert chip.get(CFGR) & 0xFCF3 == 0 and not chip.get(RCC_CR) >> 24 & 1 and chip.get(FLASH_ACR) & 0x30F == 0
    assert not chip.get(PWR_CR1) >> 16 & 3 and chip.get(BRR) == round(16e6 / 115_200)


def test_the_f746_answers_over_its_serial_line(f746, graph):
    "The whole server on the emulated core, with bytes through the registers of USART1."
    from unicorn import UcError
    emu = Emulator(build(f746, serial=True).elf)
    chip, x = Chip(emu), np.arange(32, dtype=np.int8).reshape(4, 4, 2)
    chip.line = bytes(question(b'H', 1) + question(b'I', 2, x.tobytes()))
    emu.uc.emu_start(emu.address('main') | 1, 0, count=3_000_000)
    hello, answer = bd.Frames().feed(chip.sent)
    assert hello.kind == b'h' and hello.payload.endswith(f'{graph.name}\nSTM32F746G-DISCO'.encode())
    assert struct.unpack('<9I', hello.payload[:36])[5:] == (216_000_000, model_crc(graph), 0, 0)
    assert answer.kind == b'i' and answer.payload[8:] == run(graph, x[None]).tobytes()


# ---- the host's side -------------------------------------------------------------------------------------------------

class Fake:
    "A serial line to a board that answers by a function of a frame."
    def __init__(self, answer): self.answer, self.held, self.asked = answer, b'', 0
    def write(self, data):
        for f in bd.Frames().feed(data):
            self.asked += 1
            self.held += self.answer(f)
    def read(self, n):
        part, self.held = self.held[:n], self.held[n:]
        if not part: time.sleep(.002)
        return part
    def reset_input_buffer(self): self.held = b''


def told(**other):
    "What a board might say about itself."
    fields = dict(protocol=1, contract=1, input_bytes=32, output_bytes=5, arena_bytes=9, clock_hz=216_000_000,
                  model_crc=7, trouble=0, wrong=0, model='m', board='B')
    return bd.About(**fields | other)


def answered(kind, payload): return lambda f: bd.pack(bd.Frame(kind, f.number, payload))


def test_frames_survive_garbage_between_them():
    rng = np.random.default_rng(0)
    frames = [bd.Frame(b'i', i, rng.bytes(rng.integers(0, 40))) for i in range(200)]
    stream = b''.join(rng.bytes(rng.integers(0, 30)) + b'T' * (i % 3) + bd.pack(f) for i, f in enumerate(frames))
    parser, found, at = bd.Frames(), [], 0
    while at < len(stream):
        n = int(rng.integers(1, 50))
        found += parser.feed(stream[at:at + n])
        at += n
    assert found == frames
    cut = bd.pack(frames[5])[:-3] + bd.pack(frames[6])     # the second lies in what the first still wants
    assert bd.Frames().feed(cut + bytes(60)) == [frames[6]]


def test_missing_is_what_a_frame_still_wants():
    parser, whole = bd.Frames(), bd.pack(bd.Frame(b'i', 1, bytes(20)))
    for i in range(len(whole) - 1):
        parser.feed(whole[i:i + 1])
        assert parser.missing == (14 if i < 9 else len(whole)) - i - 1, i


@pytest.mark.parametrize('answer, words', [
    (lambda f: b'', 'did not answer within 0.15 s'), (answered(b'e', bytes([1, 0, 0, 0])), 'the CRC of the question'),
    (answered(b'e', bytes([9, 0, 0, 0])), 'error 9'),
    (lambda f: bd.pack(bd.Frame(b'h', f.number ^ 1, b'late')), 'did not answer'),
    (lambda f: bd.pack(bd.Frame(b'h', f.number, b'x'))[:-1], 'did not answer')])
def test_three_tries_and_then_a_reason(answer, words):
    fake = Fake(answer)
    with pytest.raises(BoardFailed, match=words): bd.Line(fake, .15, 10**6).ask(b'H')
    assert fake.asked == 3


def test_a_second_try_may_be_answered():
    fake = Fake(lambda f: answered(b'h', b'well')(f) if f.number > 1 else b'noise')
    assert bd.Line(fake, .15, 10**6).ask(b'H') == b'well' and fake.asked == 2


def test_a_line_that_breaks_is_a_message():
    fake = Fake(answered(b'h', b''))
    fake.read = lambda n: (_ for _ in ()).throw(OSError('device disconnected'))
    with pytest.raises(BoardFailed, match='device disconnected.*Check the cable'): bd.Line(fake, .15).ask(b'H')


def test_an_old_firmware_or_another_model_is_refused(graph):
    old = Fake(answered(b'h', struct.pack('<9I', 2, *[0] * 8) + b'm'))
    with pytest.raises(BoardFailed, match='another version'): bd.about(bd.Line(old, .15, 10**6))
    right = dict(model_crc=model_crc(graph))
    bd.check(told(**right), graph)
    for other, error, words in ((dict(model_crc=1), BadInput, 'another model'),
                                (dict(contract=9), BoardFailed, 'version 9'), (dict(wrong=2), BoardFailed, '2 of 5'),
                                (dict(wrong=2**32 - 1), BoardFailed, 'whole run')):
        with pytest.raises(error, match=words): bd.check(told(**right | other), graph)


def test_a_board_at_its_slow_clock_says_so():
    slow = told(clock_hz=16_000_000, trouble=3)
    assert slow.slow == 'The board stayed at 16 MHz: the PLL did not lock.' and slow.slow in bd.about_text(slow)
    assert slow.slow in bd.text(bd.summary([bd.first_line(slow, 'x', {})])) and told().slow == ''


def log_of(about, cycles=(100, 300)):
    outs = [(0, c, np.int8([5, 1, 2, 3, 4])) for c in cycles]
    return [bd.first_line(about, 'x.npz', {}), *(bd.row(i, o, o[2], 0) for i, o in enumerate(outs))]


def test_a_log_comes_to_accuracy_bytes_and_time(tmp_path):
    log = log_of(told())
    (tmp_path/'log').write_text(''.join(json.dumps(l) + '\n' for l in log))
    s = bd.summary(bd.read_log(tmp_path/'log'))
    assert (s.images, s.right, s.bytes, s.different, s.cycles) == (2, 2, 10, 0, (100, 200, 300)) and s.ms == 200 / 216e3
    wrong = bd.row(2, (5, 1, np.int8([0, 1, 2, 3, 4])), np.int8([5, 1, 2, 3, 4]), 0)
    short = bd.row(3, (0, 1, np.int8([5])), np.int8([5, 1, 2, 3, 4]), 0)
    s = bd.summary([*log, wrong, short])
    assert (s.different, s.failed, s.right) == (6, 1, 3) and '6 of 20 differ' in bd.text(s)
    assert 'nothing was measured' in bd.text(bd.summary(log[:1]))
    for text in ('', 'no json', '{}', json.dumps(log), json.dumps(log[0]) + '\n{"input": 0}'):
        (tmp_path/'bad').write_text(text)
        with pytest.raises(BadInput, match='log of a board'): bd.read_log(tmp_path/'bad')


def test_the_table_holds_real_boards_only():
    assert bd.table([]).startswith(f'**{bd.NONE_YET}**') and 'tinyformer board PORT MODEL --log' in bd.table([])
    both = bd.table([log_of(told()), log_of(told(board='QEMU mps2-an500')), log_of(told(), ())])
    assert both.count('\n') == 2 and '| m | B | 216 | 2 | 100.00% | 0 of 10 | 200 | 0.00 |' in both


def test_without_pyserial_the_message_says_how_to_get_it(monkeypatch, refused):
    monkeypatch.setitem(sys.modules, 'serial', None)
    refused('board', '/dev/ttyACM0', words=["pip install 'tinyformer[board]'"])


def test_a_line_that_is_not_there_is_refused(refused):
    refused('board', '/dev/no_such_line', words=['cannot open /dev/no_such_line', 'Serial lines of this machine'])
    refused('board', 'socket://127.0.0.1:1', words=['cannot open socket'])


def test_a_board_over_tcp_that_fails_half_way(graph, refused, tmp_path):
    "pyserial's socket:// line. What was measured before the board went silent is in the log."
    import threading
    save(graph, tmp_path/'m.tfm')
    np.savez(tmp_path/'x.npz', x_test=np.zeros((4, 4, 4, 2), np.uint8), y_test=np.zeros(4, int))
    hello = struct.pack('<9I', *list(vars(told(model_crc=model_crc(graph))).values())[:9]) + b'm\nB'
    left = [2]
    def answer(f):
        if f.kind == b'H': return answered(b'h', hello)(f)
        left[0] -= 1
        return answered(b'i', struct.pack('<iI', 0, 50) + bytes(5))(f) if left[0] >= 0 else b''
    def serve(listener):
        with contextlib.suppress(OSError):
            c, parser = listener.accept()[0], bd.Frames()
            while data := c.recv(4096): c.sendall(b''.join(answer(f) for f in parser.feed(data)))
    with socket.create_server(('127.0.0.1', 0)) as listener:
        threading.Thread(target=serve, args=[listener], daemon=True).start()
        url = f'socket://127.0.0.1:{listener.getsockname()[1]}'
        refused('board', url, 'm.tfm', '--data', 'x.npz', '--seconds', '.5', '--log', 'log.jsonl',
                words=['did not answer within 0.5 s'])
    assert len(bd.read_log('log.jsonl')) == 3
