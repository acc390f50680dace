"""Where the bytes of an image go: flash by operator, weights, tables and code; SRAM by arena, variables and stack."""
from elftools.elf.elffile import ELFFile

from tinyformer.codegen import constants
from tinyformer.emit import written_once
from tinyformer.errors import BadInput
from tinyformer.image_check import stack_need
from tinyformer.toolchain import sections

WEIGHTS = 'weight', 'stream'
PORT = {'Reset_Handler', 'Fault_Handler', 'main', 'memcpy', 'memset', 'copy', 'fill', 'tfm_vectors'}
"What start-up code, `main` and the two functions of the C library are called; the compiler's own begin with __."


def _group(symbol, fw, own):
    "What a symbol in flash belongs to."
    if symbol in own: return 'operators'
    if symbol.startswith(f'{fw.prefix}_example'): return 'example'
    if symbol.startswith('__') or symbol in PORT: return 'start-up and C library'
    return 'kernels'


def _in_flash(elf, first, size):
    "(name, bytes) of everything in flash; of two names for one address the first."
    with open(elf, 'rb') as f:
        table = ELFFile(f).get_section_by_name('.symtab')
        known = {s['st_value'] & ~(s['st_info']['type'] == 'STT_FUNC'): (s.name, s['st_size'])
                 for s in reversed(list(table.iter_symbols())) if s['st_size']}
    return [o for at, o in known.items() if first <= at < first + size]


def _stack(fw, image):
    "(bytes or None, why not)."
    try: return stack_need(image.elf, f'{fw.prefix}_invoke')[0], ''
    except BadInput as e: return None, str(e)


def of_image(
    fw, # a `codegen.Firmware` with a port
    image, # the `simulator.Image` built from it
)->dict: # operators, flash, sram, limits; all bytes
    "Every byte of an image under one name; what no symbol holds is `rest`."
    blobs, own = written_once(constants(fw.graph, fw.choices, fw.prefix)), {name: f for f, name in fw.functions.items()}
    found, info = {}, sections(image.elf)
    placed = _in_flash(image.elf, *(info['symbols'][f'_flash_{n}'][0] for n in ('start', 'bytes')))
    code = dict(placed)
    for op in fw.graph.ops:
        arrays = {role: a.nbytes for role, (_, a) in blobs[op.name].items()}
        weights = sum(b for role, b in arrays.items() if role in WEIGHTS)
        found[op.name] = dict(kind=op.kind, kernel=fw.choices[op.name].kernel.name, weights=weights,
                              tables=sum(arrays.values()) - weights, code=code.get(own.get(op.name), 0))
    arrays = {name for blob in blobs.values() for name, _ in blob.values()}
    groups = dict.fromkeys(('kernels', 'start-up and C library', 'example'), 0)
    for name, b in placed:
        group = _group(name, fw, set(own.values()))
        if name not in arrays and group in groups: groups[group] += b
    flash = {what: sum(r[what] for r in found.values()) for what in ('weights', 'tables', 'code')} | groups
    flash['initial values'] = image.data_bytes
    flash['rest'] = image.flash_bytes - sum(flash.values())
    arena = sum(b for n, (_, b) in info['symbols'].items() if n.startswith(f'{fw.prefix}_arena'))
    stack, why = _stack(fw, image)
    reserve = info['symbols']['_stack_reserve'][0]
    return dict(model=fw.graph.name, target=fw.target.name, compiler=image.compiler, operators=found, flash=flash,
                flash_total=image.flash_bytes, flash_limit=fw.target.flash_bytes,
                sram=dict(arena=arena, variables=image.data_bytes + image.bss_bytes - arena, stack=reserve),
                sram_limit=fw.target.sram_bytes, stack_bound=stack, stack_unknown=why)


def _row(name, *cells): return f'{name:<28}' + ''.join(f'{c:>12,}' if isinstance(c, int) else f'{c:>12}' for c in cells)


def _left(total, limit):
    "How far a limit is."
    return f'{total:,} of {limit:,} bytes ({total / limit:.1%}), {limit - total:,} left'


def text(
    d:dict, # of `of_image`
)->str: # two tables
    "What a person reads."
    lines = [f"{d['model']} on {d['target']}, {d['compiler']}", '', _row('flash', 'weights', 'tables', 'code')]
    lines += [_row(n[:27], r['weights'], r['tables'], r['code']) for n, r in d['operators'].items()]
    flash = d['flash']
    lines.append(_row('all operators', flash['weights'], flash['tables'], flash['code']))
    lines += [_row(what, '', '', flash[what]) for what in list(flash)[3:]]
    lines += [f"flash: {_left(d['flash_total'], d['flash_limit'])}", '', _row('SRAM', 'bytes')]
    lines += [_row(what + ', kept' * (what == 'stack'), b) for what, b in d['sram'].items()]
    lines.append(f"SRAM: {_left(sum(d['sram'].values()), d['sram_limit'])}")
    bound = d['stack_bound']
    known = f"{bound:,} bytes at most" if bound is not None else f"not known ({d['stack_unknown']})"
    return '\n'.join([*lines, f'stack of one inference: {known}'])
