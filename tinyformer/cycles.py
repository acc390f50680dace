"""Estimated cycles of a counted run: cycles of every basic block, times how often it ran.

A Cortex-M7 starts two instructions in a cycle: its blocks are priced by `llvm-mca`. A Cortex-M4 and M0+ start one, and
Arm's manuals give the cycles of each instruction (`MANUALS`)."""
import bisect, json, re, shutil, subprocess
from collections import Counter
from pathlib import Path

from tinyformer.errors import BadInput, MissingTool, SimulationFailed
from tinyformer.hardware import CORES
from tinyformer.toolchain import install_hint

CORE = ('-triple=thumbv7em-none-eabi', '-mcpu=cortex-m7')
ITERATIONS = 100
"How often `llvm-mca` repeats a block: its cycles are those of all repetitions, divided by this."

_OPPOSITE = dict(eq='ne', ne='eq', hs='lo', lo='hs', mi='pl', pl='mi', vs='vc', vc='vs', hi='ls', ls='hi', ge='lt',
                 lt='ge', gt='le', le='gt')
_BRANCH = rf"(b|bl|bx|blx|cbn?z|tb[bh]|b({'|'.join(_OPPOSITE)}))(\.[nw])?\s"
_TO_PC = r'(pop|ldm|ldr|mov|add)\S*\s.*\bpc\b(?!,\s*(#|r\d|lsl))(?!\])'
_FLOW = re.compile(f'{_BRANCH}|{_TO_PC}')
_CALL = re.compile(r'bl(\.[nw])?\s+')
_COST = {}        # what llvm-mca was asked -> cycles of one execution
_TEXT = dict(capture_output=True, encoding='utf-8', errors='replace')    # what a program says, in any locale


def find_llvm(
    tool:str='llvm-mca', # or 'llvm-mc'
)->Path:
    "A program of LLVM. Raises `MissingTool` with the command that installs it."
    path = shutil.which(tool) or shutil.which(f'{tool}-14')
    if path is None:
        raise MissingTool(f"{tool} not found, so cycles cannot be estimated. Install it: {install_hint('llvm')}")
    return Path(path)


def available()->bool:
    "Whether cycles can be estimated on this machine."
    return all(shutil.which(t) or shutil.which(f'{t}-14') for t in ('llvm-mca', 'llvm-mc'))


def version()->str: # such as 'LLVM 14.0.6'
    "The version of `llvm-mca`: another one may hold another model of the core."
    said = subprocess.run([find_llvm(), '--version'], **_TEXT).stdout
    return 'LLVM ' + (re.search(r'version (\S+)', said) or ['', '?'])[1]


# ---- what is known of a board

def why_unknown(
    board, # hardware.Target
)->str:
    "Why the cycles of a run on a board, and so its time, are not known."
    if not board.cpu.cycle_model: return f'unknown: no cycles are known for {board.core}'
    return 'unknown without llvm-mca'


def require_cycles(
    board, # hardware.Target
    what,  # that needs them, as it is typed
):
    "Refuse a limit of time where no time will be known."
    if board.cpu.cycle_model and available(): return
    help = f'install it: {install_hint("llvm")}; or limit' if board.cpu.cycle_model else 'limit'
    raise BadInput(f'{what}: the time on {board.name} is {why_unknown(board)}. Please {help} the instructions with '
                   '--max-instructions')


def milliseconds(
    cycles, # of an inference, None where they are unknown
    board,  # hardware.Target
): # float, None where the cycles are unknown
    "Estimated time at the board's highest clock."
    return None if cycles is None else 1000 * cycles / board.clock_hz


def with_waiting(
    est_cycles,       # of the core, None where they are unknown
    stall_cycles=None, # [at least, likely, at most] spent waiting for memory, None where that is unknown
): # int, None where the core's are unknown
    "Cycles of an inference as far as they are known: the core's and the likely waiting."
    return est_cycles and est_cycles + round((stall_cycles or (0, 0))[1])


def time_text(
    columns, # dict as `Simulation.columns` gives it; est_cycles and stall_cycles are read
    board,   # hardware.Target
)->str:
    "The estimated time in words with what it is made of, or why there is none."
    core, waits = columns['est_cycles'], columns.get('stall_cycles')
    if core is None: return why_unknown(board)
    def ms(n): return f'{milliseconds(n, board):.1f}'
    clock = f'ms at {board.clock_hz / 1e6:.0f} MHz'
    if waits is None: return f'{ms(core)} {clock}, estimated for the core alone: its waiting for memory is unknown'
    low, likely, high = (core + w for w in waits)
    between = f' ({ms(low)} to {ms(high)})' if ms(low) != ms(high) else ''
    return f'{ms(likely)} {clock}{between}, estimated: core {ms(core)}, modelled waiting for memory {ms(waits[1])}'


def three(
    columns, # see `time_text`
)->tuple: # cycles of the core, likely waiting, both as far as they are known; None: unknown
    "The three columns of cycles in a table."
    core, waits = columns['est_cycles'], columns.get('stall_cycles')
    return core, waits and waits[1], with_waiting(core, waits)


def three_ms(
    columns, # see `time_text`
    board,   # hardware.Target
)->tuple: # of texts
    "The same in milliseconds."
    return tuple('unknown' if v is None else f'{milliseconds(v, board):.1f}' for v in three(columns))


# ---- from executed blocks to basic blocks

def lengths(
    code:bytes, # Thumb instructions
)->list: # bytes of each, 2 or 4
    "How long every instruction is."
    at, out = 0, []
    while at < len(code):
        out.append(4 if code[at + 1] >> 3 in (0b11101, 0b11110, 0b11111) else 2)
        at += out[-1]
    return out


def disassemble(
    codes:list, # of bytes: Thumb code of one block each
)->list: # of lists of (length, text)
    "The instructions of every block, as text that an assembler reads back."
    gap = 4                    # an IT instruction that ends a block must not reach into the next
    lines = []
    for code in codes:
        at = 0
        for n in lengths(code):
            lines.append('[' + ','.join(f'0x{b:02x}' for b in code[at:at + n]) + ']')
            at += n
        lines += ['[0x00,0xbf]'] * gap
    done = subprocess.run([find_llvm('llvm-mc'), '-disassemble', *CORE], input='\n'.join(lines), **_TEXT)
    text = [l.strip().replace('\t', ' ') for l in done.stdout.splitlines() if l.strip()
            and not l.strip().startswith('.')]
    if done.returncode or len(text) != len(lines):
        raise SimulationFailed(f'llvm-mc does not know an instruction of the image: {done.stderr[:200]}')
    out, at = [], 0
    for code in codes:
        n = lengths(code)
        out.append(list(zip(n, text[at:at + len(n)])))
        at += len(n) + gap
    return out


def basic_blocks(
    hits:dict,  # (owner, address, bytes) -> executions: what an emulator ran, from an entry point to the next branch
    read,       # (address, bytes) -> code
)->dict: # (owner, address) -> (executions, tuple of instructions as text)
    """Cut what ran into basic blocks: a new one starts wherever a run was entered.
    Where the emulator itself cut, at the end of a page of memory, the halves are joined again."""
    spans = list({(at, size) for _, at, size in hits})
    texts = dict(zip(spans, disassemble([read(*s) for s in spans])))
    entries, runs, pieces = {at for at, _ in spans}, Counter(), {}
    for (owner, at, size), times in hits.items():
        start = at
        for n, text in texts[at, size]:
            if at in entries and at != start: start = at
            if start == at: runs[owner, start] += times
            pieces.setdefault(start, {})[at] = text
            at += n
            pieces[start]['end'] = at
    return _join({k: [v, pieces[k[1]]] for k, v in runs.items()})


def _join(blocks):
    "Join a block with the one behind it when it ends without a branch and both ran equally often."
    out = {}
    for (owner, at), (times, piece) in sorted(blocks.items(), key=lambda b: -b[0][1]):
        end, text = piece['end'], tuple(piece[a] for a in sorted(piece.keys() - {'end'}))
        if (owner, end) in out and out[owner, end][0] == times and not _FLOW.match(text[-1]):
            text += out.pop((owner, end))[1]
        out[owner, at] = times, text
    return out


# ---- what a block costs

def plain(
    text:tuple,         # instructions of a block
    free_it:bool=False, # leave IT out, as if the core hid it; else it counts as NOP, about two cycles
)->tuple: # instructions that llvm-mca takes
    """What `llvm-mca` cannot read, in words that it can: IT becomes NOP and the instructions under it run always;
    a call becomes a branch, because each would be charged 100 cycles."""
    out, conditions = [], []
    for t in text:
        name, _, rest = t.partition(' ')
        if re.fullmatch('it[te]{0,3}', name):
            conditions = [rest if c == 't' else _OPPOSITE[rest] for c in 't' + name[2:]]
            if not free_it: out.append('nop')
            continue
        if conditions:
            head, dot, width = name.partition('.')
            name = head.removesuffix(conditions.pop(0)) + dot + width
        out.append(f'bx {rest}' if name == 'blx' else _CALL.sub('b ', f'{name} {rest}'))
    return tuple(out)


def block_cycles(
    blocks,             # of tuples of instructions as text
    free_it:bool=False, # see `plain`
)->dict: # block -> cycles of one execution when it repeats for ever
    "Ask `llvm-mca` for every block that it was not asked for yet."
    asked = {b: plain(b, free_it) for b in blocks}
    new = list(dict.fromkeys(p for p in asked.values() if p and p not in _COST))
    _COST.update(zip(new, _mca(new)))
    return {b: _COST[p] if p else 0. for b, p in asked.items()}


def _mca(blocks):
    if not blocks: return []
    text = '.syntax unified\n.thumb\n' + ''.join(f'# LLVM-MCA-BEGIN b{i}\n' + '\n'.join(b)
                                                 + '\n# LLVM-MCA-END\n' for i, b in enumerate(blocks))
    done = subprocess.run([find_llvm(), f'-mtriple={CORE[0].partition("=")[2]}', CORE[1], f'-iterations={ITERATIONS}',
                           '-json', '-'], input=text, **_TEXT)
    if done.returncode:
        if len(blocks) > 1: return _mca(blocks[:len(blocks)//2]) + _mca(blocks[len(blocks)//2:])
        # one by one: what it knows of this block
        if len(blocks[0]) > 1: return [sum(_mca([(t,) for t in blocks[0]]))]
        # a system instruction that it has no figures for
        return [1.]
    regions = json.loads(done.stdout)['CodeRegions']
    cycles = {r['Name']: r['SummaryView']['TotalCycles'] / ITERATIONS for r in regions}
    return [cycles[f'b{i}'] for i in range(len(blocks))]


# ---- cores whose manual gives the cycles of each instruction

DIVISION = 6
"Cycles of a division on a Cortex-M4: 2 to 12, by its operands."

MANUALS = {
    'cortex-m4': dict(
        source='Arm DDI 0439D, Cortex-M4 TRM: tables 3-1, 3-2 and 7-1, Load/store timings',
        # instruction -> cycles, and cycles more for each register of a list; what is not listed takes 1
        rows=((r'(ldm|stm|push|pop|vldm|vstm|vpush|vpop)', 1, 1), (r'(ldrd|strd|v(ldr|str) d)', 3, 0),
              (r'(vldr|vstr|ldr)', 2, 0), (r'(tb[bh]|mrs|msr)', 2, 0), (r'[us]div', DIVISION, 0),
              (r'vmov .*\b(r\d|ip|lr)', 2, 0), (r'v(fn?m|n?ml)[as]', 3, 0), (r'v(div|sqrt)', 14, 0)),
        overlaps=True,  # neighbouring loads; an address that was just computed is waited for
        # last instruction -> cycles to refill the pipeline when it jumps: the manual says 1 to 3, which of them was
        # chosen by what programs took on a chip (page 08a); with a load it says at least 5 cycles in all, TBB 6
        jumps=((r'tb', 4), (r'ldr', 3), (r'(blx|bx|pop|ldm|mov|add)', 2), (r'', 1)),
        wide_target=1), # more where it goes to a long instruction that does not begin on a word
    'cortex-m0plus': dict(
        source='Arm DDI 0484C, Cortex-M0+ TRM: table 3-1, with the multiplier of one cycle',
        rows=((r'(ldm|stm|push|pop)', 1, 1), (r'(ldr|str)', 2, 0), (r'(mrs|msr|dmb|isb|dsb)', 3, 0)),
        overlaps=False, jumps=((r'(pop|bl )', 2), (r'', 1)), wide_target=0)}

_REGISTER = re.compile(r'\b(?:r\d+|ip|sp|lr)\b')


def _listed(
    operands, # of an instruction, as text
)->int:
    "How many words the registers in braces have."
    n = 0
    for part in operands[operands.find('{') + 1:].rstrip('}').split(','):
        first, _, last = part.strip().partition('-')
        n += int(last[1:]) - int(first[1:]) + 1 if last else 1
    return 2 * n if '{d' in operands else n


def _overlapped(text):
    "Cycles that a Cortex-M4 saves between the instructions of a block, less those it waits for an address."
    saved, written, loaded = 0, None, None
    for t in text:
        name, _, operands = t.partition(' ')
        load, store = re.match(r'v?ldr(?!d)', name), re.match(r'v?str(?!d)', name)
        used = _REGISTER.findall(operands.partition('[')[2])
        by_register = bool(store) and len(used) > 1
        saved -= by_register + bool((load or store) and written in used)
        saved += bool(loaded and loaded not in used and (load or by_register))
        first = _REGISTER.match(operands)
        loaded = (first[0] if first else '-') if load else None
        computes = first and not (load or store or name.startswith(('cmp', 'cmn', 'tst', 'push', 'stm')))
        written = first[0] if computes else None
    return saved


def manual_cycles(
    text,      # instructions of a block, as `plain` gives them
    core:str,  # a key of `MANUALS`
)->int: # cycles when the core goes on behind it
    "Cycles of a block by the tables of its core's manual."
    manual, cycles = MANUALS[core], 0
    for t in text:
        base, each = next(((c, e) for pattern, c, e in manual['rows'] if re.match(pattern, t)), (1, 0))
        cycles += base + (each and each * _listed(t))
    return cycles - (_overlapped(text) if manual['overlaps'] else 0)


def jump_cycles(
    last,     # instruction of a block
    core:str, # a key of `MANUALS`
)->int:
    "Cycles that a jump costs beside the instruction itself."
    return next(c for pattern, c in MANUALS[core]['jumps'] if re.match(pattern, last))


def _wide_targets(em):
    "owner -> jumps to a long instruction that does not begin on a word."
    arrived = Counter()
    for (owner, at, size), times in em.hits.items():
        arrived[owner, at] += times
        arrived[owner, at + size] -= times - em.jumps.get((owner, at, size), 0)
    total = Counter()
    for (owner, at), times in arrived.items():
        if times > 0 and at % 4 and lengths(em.read(at, 2)) == [4]: total[owner] += times
    return total


def _by_manual(em, blocks):
    "owner -> cycles: straight code, jumps, and where they go. An IT is folded into the instruction before it."
    starts, ends, manual = sorted(at for _, at in blocks), {}, MANUALS[em.core]
    total = Counter({owner: times * manual['wide_target'] for owner, times in _wide_targets(em).items()})
    for (owner, at), (times, text) in blocks.items():
        total[owner] += times * manual_cycles(plain(text, free_it=True), em.core)
        ends[at] = text[-1]
    for (owner, at, size), times in em.jumps.items():
        last = ends[starts[bisect.bisect_right(starts, at + size - 1) - 1]]
        total[owner] += times * jump_cycles(last, em.core)
    return total


# ---- a counted run

def cycle_profile(
    em,                 # an `Emulator` after a counted call
    free_it:bool=False, # see `plain`
)->Counter: # owner -> cycles
    "Estimated cycles of the last counted call by owner."
    blocks, total = basic_blocks(em.hits, em.read), Counter()
    if em.core in MANUALS: return _by_manual(em, blocks)
    cost = block_cycles([text for _, text in blocks.values()], free_it)
    for (owner, _), (times, text) in blocks.items(): total[owner] += times * cost[text]
    return total


def est_cycles(
    em,                 # an `Emulator` after a counted call
    free_it:bool=False, # see `plain`
)->int: # cycles, None without llvm-mca
    "Estimated cycles of the last counted call."
    known = available() and CORES[em.core].cycle_model
    return round(sum(cycle_profile(em, free_it).values())) if known else None
