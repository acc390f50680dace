"""Numbers of bytes as people write them. Data sheets count memory in powers of two: 1 KB is 1024 bytes."""
from .errors import BadInput

KB, MB = 1024, 1024 * 1024
UNITS = {'': 1, 'b': 1, 'k': KB, 'kb': KB, 'kib': KB, 'm': MB, 'mb': MB, 'mib': MB}   # ending → bytes


def parse_bytes(
    size: int | str  # `32768`, `'32768'`, `'32KB'` or `'1.5 MB'`; 1 KB is 1024 bytes
) -> int:            # bytes
    "Read a number of bytes."
    if isinstance(size, int) and not isinstance(size, bool): return size
    text = str(size).strip().lower()
    number = text.rstrip('bikm ')
    try: value = float(number) * UNITS[text[len(number):].strip()]
    except (KeyError, ValueError): value = .5
    if value != value // 1:
        raise BadInput(f"{size!r} is not a number of bytes: write it like 32768, '32KB' or '1MB'")
    return int(value)


def format_bytes(
    n: int  # bytes
) -> str:   # `'17 B'`, `'1.5 KB'`, `'1 MB'`
    "A short form of a number of bytes, for people."
    for unit, name in ((MB, 'MB'), (KB, 'KB')):
        if abs(n) >= unit: return f'{round(n / unit, 2):g} {name}'
    return f'{n:g} B'
