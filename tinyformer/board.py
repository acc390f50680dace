"""Ask a board over its serial line: what it is, what its model answers. `firmware/ports/board/` is the other side."""
import json, struct, time, zlib
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from tinyformer.errors import BadInput, BoardFailed, MissingTool
from tinyformer.operators import CONTRACT_VERSION

PROTOCOL = 1
START, HEAD, END = b'TF', 10, 4
"How a frame begins, bytes of its head, and of the CRC at its end."
MOST = 1 << 24
"Bytes of the longest payload that is believed."
TRIES = 3
"How often a question is asked before the board counts as silent."
HUNGRY = 1.
"Seconds to wait after an error that is about something else: it may have swallowed the question."
REFUSED = {1: 'the CRC of the question was wrong', 2: 'the question has not the length of an input',
           3: 'it does not know the question', 4: 'the question stopped in the middle'}
SLOW = {0: '', 1: 'the regulator did not go into over-drive', 2: 'the flash did not take its wait states',
        3: 'the PLL did not lock', 4: 'the core did not change over to the PLL'}
"Why a board stayed at its slow clock, by `tfm_trouble` in firmware/ports/board/board.h."


# ---- frames ----------------------------------------------------------------------------------------------------------

@dataclass(frozen=True)
class Frame:
    "A message: firmware/ports/board/frame.h has its layout."
    kind: bytes    # one letter
    number: int    # 0 to 255
    payload: bytes


def pack(
    frame, # a `Frame`
)->bytes:  # as it goes over the line
    "The bytes of a frame."
    head = START + frame.kind + struct.pack('<BI', frame.number, len(frame.payload))
    check = struct.pack('<H', zlib.crc32(head) & 0xFFFF)
    return head + check + frame.payload + struct.pack('<I', zlib.crc32(frame.payload, zlib.crc32(head)))


class Frames:
    "Finds frames in a stream of bytes; passes over whatever is none."
    def __init__(self): self.held = bytearray()

    def length(self):
        "Bytes of the frame at the beginning of what is held; 0 where none begins."
        head = self.held[:HEAD]
        if not START.startswith(bytes(head[:2])): return 0
        if len(head) < HEAD: return HEAD + END
        size, check = struct.unpack('<IH', head[4:])
        return HEAD + size + END if check == zlib.crc32(head[:8]) & 0xFFFF and size <= MOST else 0

    def feed(self, data):
        "Take bytes; give the frames that are whole now."
        self.held += data
        found = []
        while self.held:
            n = self.length()
            if n > len(self.held): break
            frame = bytes(self.held[:n])
            good = n > 0 and struct.pack('<I', zlib.crc32(frame[HEAD:-END], zlib.crc32(frame[:8]))) == frame[-END:]
            if good: found.append(Frame(frame[2:3], frame[3], frame[HEAD:-END]))
            del self.held[:n if good else 1]               # one byte: the next frame may begin anywhere
        return found

    @property
    def missing(self):
        "How many bytes must come at least before a frame can be whole."
        return max(1, (self.length() or HEAD + END) - len(self.held))


# ---- the line --------------------------------------------------------------------------------------------------------

INSTALL = "the serial line needs the package pyserial. Install it: pip install 'tinyformer[board]'"


def connect(
    port:str, # such as /dev/ttyACM0, COM3 or socket://localhost:4444
    baud:int=115_200, # bits per second, as the firmware was built
): # with read, write, timeout, reset_input_buffer and close
    "Open a serial line."
    try: import serial
    except ImportError: raise MissingTool(INSTALL) from None
    from serial.tools.list_ports import comports
    try: return serial.serial_for_url(port, baudrate=baud, timeout=.1, write_timeout=10)
    except (OSError, ValueError) as e:                     # SerialException is an OSError
        seen = ', '.join(p.device for p in comports()) or 'none'
        raise BadInput(f'cannot open {port}: {e}. Serial lines of this machine: {seen}') from None


class Line:
    "Questions and answers over a serial line."
    def __init__(self,
        stream, # as `connect` gives
        seconds:float=30., # to wait for an answer
        baud:int=115_200, # bits per second, for the time that a question takes
    ):
        self.stream, self.seconds, self.baud, self.number = stream, seconds, baud, 0

    def _once(self, kind, payload):
        "(answer or None, why there is none)."
        self.number = (self.number + 1) % 256
        self.stream.reset_input_buffer()
        question = pack(Frame(kind, self.number, payload))
        self.stream.write(question)
        frames, deadline = Frames(), time.monotonic() + self.seconds + 20 * len(question) / self.baud
        while time.monotonic() < deadline:
            for f in frames.feed(self.stream.read(frames.missing)):
                if f.number == self.number and f.kind == kind.lower(): return f.payload, ''
                if f.kind != b'e': continue                # the answer to an earlier try
                code = int.from_bytes(f.payload, 'little')
                if f.number == self.number: return None, f"it says: {REFUSED.get(code, f'error {code}')}"
                deadline = min(deadline, time.monotonic() + HUNGRY)
        return None, f'it did not answer within {self.seconds:g} s'

    def ask(self,
        kind:bytes, # b'H' or b'I'
        payload:bytes=b'',
    )->bytes: # payload of the answer
        "Ask until there is an answer, three times at most; `BoardFailed` says what was wrong the last time."
        try:
            for _ in range(TRIES):
                answer, why = self._once(kind, payload)
                if answer is not None: return answer
        except OSError as e: why = f'the line failed ({e})'
        raise BoardFailed(f'no answer from the board: {why}. Check the cable, that this is the right port, that no '
                          'other program has it open, and that the image in its flash is board.elf')


# ---- what a board says -----------------------------------------------------------------------------------------------

@dataclass(frozen=True)
class About:
    "What a board says about itself."
    protocol: int
    contract: int     # version of the numeric contract
    input_bytes: int
    output_bytes: int
    arena_bytes: int
    clock_hz: int
    model_crc: int    # see `checksums.model_crc`
    trouble: int      # a key of `SLOW`
    wrong: int        # output bytes of the built-in example that were wrong; all ones: the model returned an error
    model: str
    board: str

    @property
    def slow(self)->str: # '' or a sentence
        "Why it is not at its full clock."
        why = SLOW.get(self.trouble, f'trouble {self.trouble}')
        return why and f'The board stayed at {self.clock_hz / 1e6:g} MHz: {why}.'

    @property
    def emulated(self)->bool:
        "Whether it is QEMU's board, whose cycles mean nothing."
        return self.board.startswith('QEMU')


def about(line)->About:
    "Ask a board what it is."
    said = line.ask(b'H')
    if said[:4] != PROTOCOL.to_bytes(4, 'little') or len(said) < 36:
        raise BoardFailed('the firmware of the board is of another version of TinyFormer: flash it again')
    model, _, board = said[36:].decode(errors='replace').partition('\n')
    return About(*struct.unpack('<9I', said[:36]), model, board)


def about_text(
    t:About,
)->str: # a few lines
    "What a board says about itself, for a person."
    right = f'{t.wrong} of {t.output_bytes} bytes wrong' if t.wrong < 2**32 - 1 else 'the model returned an error'
    lines = [f'{t.board} at {t.clock_hz / 1e6:g} MHz holds {t.model} (constants {t.model_crc:08x})',
             f'input {t.input_bytes:,} bytes, output {t.output_bytes:,}, arena {t.arena_bytes:,}',
             f'built-in example: {right}', *filter(None, [t.slow])]
    return '\n'.join(lines)


def check(
    told:About,
    graph, # the model that should be on the board
):
    "Refuse a board that holds another model, computes otherwise, or fails its own example."
    from tinyformer.codegen import model_crc
    if told.contract != CONTRACT_VERSION:
        raise BoardFailed(f'the firmware has version {told.contract} of the arithmetic, this package '
                          f'{CONTRACT_VERSION}: compile the model and flash it again')
    if told.model_crc != model_crc(graph):
        raise BadInput(f'the board holds another model than this one ({graph.name}): its own is called {told.model}. '
                       'Name that one, or flash the board.elf of this one')
    if told.wrong:
        what = f'{told.wrong} of {told.output_bytes} output bytes' if told.wrong < 2**32 - 1 else 'the whole run'
        raise BoardFailed(f'on the board the built-in example is wrong: {what}')


def infer(
    line,
    x:np.ndarray, # int8: one input
)->tuple: # (status, cycles, int8 output)
    "One inference on the board."
    said = line.ask(b'I', x.tobytes())
    if len(said) < 8: raise BoardFailed('the board answered with less than a status and a count')
    return *struct.unpack('<iI', said[:8]), np.frombuffer(said, np.int8, offset=8)


# ---- a log of many ---------------------------------------------------------------------------------------------------

LOG = 'tinyformer_board_log'
"Field of the first line of a log: its version."


def first_line(
    told:About,
    source:str, # where the inputs are from
    made:dict, # what made the log: commit, versions
)->dict:
    "What a log says before its rows."
    return {LOG: 1} | asdict(told) | dict(inputs=source) | made


def row(
    i:int, # number of the input
    said:tuple, # of `infer`
    want:np.ndarray, # int8: the reference's output
    label:int,
)->dict:
    "What a log says about one inference."
    status, cycles, got = said
    got = got.reshape(-1)
    n = int((got != want.reshape(-1)).sum()) if got.size == want.size else want.size
    return dict(input=i, status=status, cycles=cycles, different=n, bytes=want.size,
                answer=int(got.argmax()) if got.size else None, label=int(label), output=got.tobytes().hex())


def read_log(
    path, # of a file that `tinyformer board --log` wrote
)->list: # the first line and the rows
    "A log, or `BadInput`."
    try: lines = [json.loads(l) for l in Path(path).read_text(encoding='utf-8').splitlines() if l.strip()]
    except (OSError, ValueError) as e: raise BadInput(f'{path} is not a readable log of a board ({e})') from None
    fields = {'status', 'cycles', 'different', 'bytes', 'answer', 'label'}
    sound = all(isinstance(l, dict) for l in lines) and lines and lines[0].get(LOG) == 1
    sound = sound and set(About.__dataclass_fields__) <= set(lines[0]) and all(fields <= set(r) for r in lines[1:])
    if sound: return lines
    raise BadInput(f'{path} is no log of a board: tinyformer board PORT MODEL --log FILE writes one')


@dataclass(frozen=True)
class Summary:
    "What a log comes to."
    told: About
    images: int
    right: int
    bytes: int     # compared
    different: int
    failed: int    # inferences that returned an error
    cycles: tuple  # fewest, mean, most; () when there were none

    @property
    def ms(self)->float: # None when there were none
        "Milliseconds per inference at the board's clock."
        return self.cycles[1] / self.told.clock_hz * 1e3 if self.cycles else None


def summary(
    log:list, # of `read_log`
)->Summary:
    "Accuracy, bytes and cycles of a log."
    head, *rows = log
    told = About(**{k: head[k] for k in About.__dataclass_fields__})
    cycles = [r['cycles'] for r in rows]
    spread = (min(cycles), round(sum(cycles) / len(cycles)), max(cycles)) if cycles else ()
    return Summary(told, len(rows), sum(r['answer'] == r['label'] for r in rows), sum(r['bytes'] for r in rows),
                   sum(r['different'] for r in rows), sum(r['status'] != 0 for r in rows), spread)


def text(
    s:Summary,
)->str: # a few lines
    "What a person reads after a run."
    lines = [f'{s.told.model} on {s.told.board} at {s.told.clock_hz / 1e6:g} MHz']
    if s.told.slow: lines.append(s.told.slow)
    if not s.images: return '\n'.join([*lines, 'nothing was measured'])
    lines += [f'{s.right:,} of {s.images:,} right ({s.right / s.images:.2%})',
              f'bytes: {s.different:,} of {s.bytes:,} differ from the reference']
    if s.failed: lines.append(f'{s.failed} inferences returned an error')
    low, mean, high = s.cycles
    if s.told.emulated: return '\n'.join([*lines, 'cycles: an emulated board has none'])
    return '\n'.join([*lines, f'cycles per inference: {mean:,} ({low:,} to {high:,}), {s.ms:.2f} ms'])


NONE_YET = 'No board has been measured yet.'
HOW = ('To send a log: compile a model (tinyformer compile MODEL --port stm32f746), flash build/board.elf as '
       'firmware/ports/README.md says, run  tinyformer board PORT MODEL --log NAME.jsonl  and open a pull request that '
       'adds the file to nbs/experiments/results/boards/.')


def table(
    logs:list, # of `read_log`
)->str: # Markdown
    "Every log of a real board as a row; how to send one while there is none."
    found = [s for s in map(summary, logs) if s.images and not s.told.emulated]
    if not found: return f'**{NONE_YET}** {HOW}'
    head = ['model', 'board', 'MHz', 'inputs', 'right', 'bytes different', 'cycles', 'ms']
    rows = [[s.told.model, s.told.board, f'{s.told.clock_hz / 1e6:g}', f'{s.images:,}', f'{s.right / s.images:.2%}',
             f'{s.different:,} of {s.bytes:,}', f'{s.cycles[1]:,}', f'{s.ms:.2f}'] for s in found]
    marks = [':--', ':--', *['--:'] * 6]
    return '\n'.join('| ' + ' | '.join(r) + ' |' for r in (head, marks, *rows))
