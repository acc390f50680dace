"""What a linked image may not hold, and the most stack that it can need, from its machine code: any compiler's, Thumb
or RISC-V."""
import bisect, re, struct

from elftools.elf.elffile import ELFFile

from tinyformer.errors import BadInput, DoesNotFit
from tinyformer.stack import worst_case

FLOAT = re.compile(r'__aeabi_(c?[fd](r?sub|add|mul|div|neg|cmp\w*|2\w+)|u?[il]2[fd])$|__\w+[sdt]f\d?(vfp)?$')
HEAP = re.compile(r'_?(malloc|calloc|realloc|free|sbrk)(_r)?$|_?v?\w{0,2}printf$')
ENTRY = 'Reset_Handler'


class Code:
    "Functions of an image and their instructions."
    def __init__(self, elf): # path of an ELF file
        with open(elf, 'rb') as f:
            e = ELFFile(f)
            self.thumb = {'EM_ARM': True, 'EM_RISCV': False}.get(e['e_machine'])
            if self.thumb is None: raise BadInput(f"{elf} is for {e['e_machine']}: only Arm and RISC-V are read")
            table = e.get_section_by_name('.symtab')
            self.symbols = [(s.name, s['st_value'], s['st_size'], s['st_info']['type'], s['st_shndx'])
                            for s in table.iter_symbols() if s.name]
            marks = sorted((at, name[:2]) for name, at, *_ in self.symbols if re.match(r'\$[tdxa]', name))
            self.pieces = [p for s in e.iter_sections() if s['sh_flags'] & 4 and s['sh_type'] == 'SHT_PROGBITS'
                           for p in _pieces(s['sh_addr'], s.data(), marks)]
        named = sorted((at & ~1, -size, name) for name, at, size, kind, where in self.symbols
                       if kind == 'STT_FUNC' and where != 'SHN_UNDEF')
        first = {at: (-size, name) for at, size, name in reversed(named)}        # of two names the one that has a size
        starts = [*first, max(first, default=0) + 4096]
        self.functions = [(at, at + first[at][0] if first[at][0] else after, first[at][1])
                          for at, after in zip(sorted(first), sorted(starts)[1:])]

    def function_at(self,
        at, # address
    ): # name; None where no function is
        i = bisect.bisect_right(self.functions, (at, 1 << 40)) - 1
        return self.functions[i][2] if i >= 0 and at < self.functions[i][1] else None

    def instructions(self):
        "(address, first half, whole instruction) one by one; a short one is its half."
        for at, data in self.pieces:
            i = 0
            while i + 2 <= len(data):
                half, = struct.unpack_from('<H', data, i)
                long = half >> 11 in (0b11101, 0b11110, 0b11111) if self.thumb else half & 3 == 3
                if long and i + 4 > len(data): break
                yield at + i, half, struct.unpack_from('<I', data, i)[0] if long else half
                i += 4 if long else 2


def _pieces(first, data, marks):
    "(address, bytes) of a section's instructions, without the constants between them."
    end = first + len(data)
    inside = [m for m in marks if first <= m[0] < end]
    if not inside: yield first, data
    for (at, kind), (stop, _) in zip(inside, [*inside[1:], (end, '')]):
        if kind != '$d' and stop > at: yield at, data[at - first:stop - first]


# ---- what an instruction does ----------------------------------------------------------------------------------------

def _signed(value, bits): return value - (1 << bits) if value >> bits - 1 else value


def _expand(i, imm3, imm8):
    "The constant of a 32-bit Thumb instruction."
    code = i << 11 | imm3 << 8 | imm8
    if code >> 10 == 0:
        return (imm8, imm8 * 0x00010001, imm8 * 0x01000100, imm8 * 0x01010101)[code >> 8]
    value, by = 0x80 | code & 0x7F, code >> 7
    return (value >> by | value << 32 - by) & 0xFFFFFFFF


class Thumb:
    "Instructions of Cortex-M: `half` is the first 16 bits, `w` has the second 16 bits on top."
    @staticmethod
    def floats(half, w): return half >> 10 in (0b111011, 0b111111) and w >> 25 & 7 == 5

    @staticmethod
    def grows(half, w):
        "By how many bytes the stack grows; -1: nobody knows."
        low = w >> 16
        if half >> 9 == 0b1011010: return 4 * (half & 0x1FF).bit_count()                  # push
        if half >> 7 == 0b101100001: return 4 * (half & 0x7F)                             # sub sp, #n
        if half == 0xE92D: return 4 * low.bit_count()                                     # push.w
        if half == 0xF84D and low >> 8 & 15 == 13: return low & 0xFF                      # str [sp, #-n]!
        if half == 0xE96D: return 4 * (low & 0xFF)                                        # strd [sp, #-n]!
        if half & 0xFBFF == 0xF1AD and low & 0x8F00 == 0x0D00:                            # sub.w sp, sp, #n
            return _expand(half >> 10 & 1, low >> 12 & 7, low & 0xFF)
        if half & 0xFBFF == 0xF2AD and low & 0x8F00 == 0x0D00:                            # subw sp, sp, #n
            return (half >> 10 & 1) << 11 | (low >> 12 & 7) << 8 | low & 0xFF
        by_register = half in (0xEBAD, 0xEB0D) and low >> 8 & 15 == 13
        return -1 if by_register or half & 0xFF87 in (0x4485, 0x4685) else 0              # add sp, r; mov sp, r

    @staticmethod
    def links(half, w):
        "Whether it is a call: one that goes to the beginning of its own function is no loop."
        return half >> 11 == 0b11110 and w >> 16 & 0xD000 == 0xD000

    @staticmethod
    def goes(at, half, w, before):
        "Where a branch or call goes: an address; None: no branch, or one that returns; -1: what a register says."
        low = w >> 16
        if half >> 11 == 0b11110 and low >> 15:
            s, i1, i2 = half >> 10 & 1, low >> 13 & 1, low >> 11 & 1
            if low >> 12 & 1:                                                             # bl, b.w
                i1, i2 = 1 - (i1 ^ s), 1 - (i2 ^ s)
                return at + 4 + _signed(s << 24 | i1 << 23 | i2 << 22 | (half & 0x3FF) << 12 | (low & 0x7FF) << 1, 25)
            if low >> 14 & 1 or half >> 7 & 7 == 7: return None                           # not a branch
            return at + 4 + _signed(s << 20 | i2 << 19 | i1 << 18 | (half & 0x3F) << 12 | (low & 0x7FF) << 1, 21)
        if half >> 11 == 0b11100: return at + 4 + _signed((half & 0x7FF) << 1, 12)        # b
        if half >> 12 == 0b1101 and half >> 8 & 15 < 14: return at + 4 + _signed((half & 0xFF) << 1, 9)
        if half & 0xFF80 == 0x4780: return -1                                             # blx
        return -1 if half & 0xFF80 == 0x4700 and half != 0x4770 else None                 # bx, but not bx lr


class RiscV:
    "Instructions of RV32IMC."
    @staticmethod
    def floats(half, w):
        if half & 3 == 3: return w & 0x7F in (0x07, 0x27, 0x43, 0x47, 0x4B, 0x4F, 0x53)
        return half & 3 in (0, 2) and half >> 13 in (1, 3, 5, 7)

    @staticmethod
    def grows(half, w):
        if w & 0xFFFFF == 0x10113 and half & 3 == 3: return max(0, -_signed(w >> 20, 12))            # addi sp, sp
        if half & 0xEF83 == 0x6101:                                                                  # c.addi16sp
            n = ((half >> 12 & 1) << 9 | (half >> 3 & 3) << 7 | (half >> 5 & 1) << 6 | (half >> 2 & 1) << 5
                 | (half >> 6 & 1) << 4)
            return max(0, -_signed(n, 10))
        if half & 0xEF83 == 0x0101: return max(0, -_signed((half >> 12 & 1) << 5 | half >> 2 & 31, 6))  # c.addi sp
        by_register = half & 3 == 3 and w & 0xFFF == 0x133
        return -1 if by_register or half & 0xEF83 == 0x8102 and half >> 2 & 31 else 0                # sub, c.mv, c.add

    @staticmethod
    def links(half, w): return w & 0xFFF in (0xEF, 0xE7) if half & 3 == 3 else half & 0xE003 == 0x2001

    @staticmethod
    def goes(at, half, w, before):
        "The same; auipc, the instruction `before`, may have set the register."
        if half & 3 == 3:
            if w & 0x7F == 0x67 and before[1] & 0x7F == 0x17 and before[1] >> 7 & 31 == w >> 15 & 31:
                return before[0] + _signed(before[1] >> 12, 20) * 4096 + _signed(w >> 20, 12)
            if w & 0x7F == 0x6F:                                                                     # jal
                n = (w >> 31) << 20 | (w >> 12 & 0xFF) << 12 | (w >> 20 & 1) << 11 | (w >> 21 & 0x3FF) << 1
                return at + _signed(n, 21)
            return -1 if w & 0x7F == 0x67 and w & 0xFFFFF != 0x8067 else None                        # jalr, but not ret
        if half & 3 == 1 and half >> 13 in (1, 5):                                                   # c.jal, c.j
            n = ((half >> 12 & 1) << 11 | (half >> 11 & 1) << 4 | (half >> 9 & 3) << 8 | (half >> 8 & 1) << 10
                 | (half >> 7 & 1) << 6 | (half >> 6 & 1) << 7 | (half >> 3 & 7) << 1 | (half >> 2 & 1) << 5)
            return at + _signed(n, 12)
        return -1 if half & 0xE07F == 0x8002 and half >> 7 & 31 and half != 0x8082 else None         # c.jr, c.jalr


# ---- the whole image -------------------------------------------------------------------------------------------------

def call_graph(
    elf, # path of a linked image
): # ({function: bytes that it pushes}, {function: functions it calls})
    """Frames and calls as `stack.worst_case` takes them. A frame is the sum of all that a function ever pushes, so
    never too small. A function whose stack grows by a register has no frame, a call through one goes to '*'."""
    code = elf if isinstance(elf, Code) else Code(elf)
    kind, frames, calls = Thumb if code.thumb else RiscV, {name: 0 for *_, name in code.functions}, {}
    unknown, place, before = set(), (0, 0, None), (0, 0)
    for at, half, w in code.instructions():
        if not place[0] <= at < place[1]:
            i = bisect.bisect_right(code.functions, (at, 1 << 40)) - 1
            place = code.functions[i] if i >= 0 and at < code.functions[i][1] else (at, at + 1, None)
        name = place[2]
        if name is None: continue
        more, to = kind.grows(half, w), kind.goes(at, half, w, before)
        before = at, w
        if more < 0: unknown.add(name)
        else: frames[name] += more
        if to is None or place[0] <= to < place[1] and not (to == place[0] and kind.links(half, w)): continue
        calls.setdefault(name, set()).add('*' if to < 0 else code.function_at(to) or f'0x{to:08x}')
    return {k: v for k, v in frames.items() if k not in unknown}, calls


def stack_need(
    elf, # path of a linked image
    entry:str=ENTRY, # where it begins
): # (bytes, the chain of calls that needs them)
    "The most stack from `entry` on. What has no bound is `BadInput`."
    return worst_case(*call_graph(elf), entry)


def check_stack(
    elf, # path of a linked image with start-up code
    name:str, # of the model, for the message
):
    "`DoesNotFit` when the image can need more stack than its linker script keeps. What has no bound passes."
    code = Code(elf)
    kept = next((at for n, at, *_ in code.symbols if n == '_stack_reserve'), None)
    if kept is None or ENTRY not in {n for *_, n in code.functions}: return
    try: need, way = stack_need(code)
    except BadInput: return
    if need > kept:
        raise DoesNotFit(f"{name} can need {need} bytes of stack ({' > '.join(way)}), and the linker script keeps "
                         f'{kept}: nothing would stop the stack from running into other memory. Make '
                         'ports.STACK_BYTES larger, or _stack_reserve in port/link.ld.')


def faults(
    elf, # path of a linked image
)->list: # of texts; empty when all is well
    "What no image of ours may hold: undefined symbols, floating point, a heap."
    code = Code(elf)
    res = [f'{name} is not defined' for name, *_, where in code.symbols if where == 'SHN_UNDEF']
    res += [f'{name} does floating point' for name, *_ in code.symbols if FLOAT.match(name)]
    res += [f'{name} wants a heap' for name, *_ in code.symbols if HEAP.match(name)]
    kind = Thumb if code.thumb else RiscV
    return res + [f'{code.function_at(at)} has a float instruction at 0x{at:08x}'
                  for at, half, w in code.instructions() if kind.floats(half, w) and code.function_at(at)]
