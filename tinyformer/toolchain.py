"""Find a C compiler, build host libraries and Cortex-M images with it, and read what the linker made."""
import functools, hashlib, os, platform, re, shutil, subprocess, sys, tempfile
from dataclasses import dataclass
from pathlib import Path

from tinyformer.errors import BadInput, BuildFailed, MissingTool
from tinyformer.files import atomic_path, cannot_write, digest
from tinyformer.hardware import core as find_core

WARNINGS = ('-Wall', '-Wextra', '-Wconversion', '-Werror')
"Flags that all firmware sources compile under, with both compilers."

IMAGE_FLAGS = ('-g', '-fomit-frame-pointer', '-fno-unwind-tables', '-fno-asynchronous-unwind-tables',
               '-ffunction-sections', '-fdata-sections', '-fno-unroll-loops', '-nostdlib', '-Wl,--gc-sections')
"Flags of every bare-metal image. Unrolling costs a quarter more flash and saves under 1 % of the instructions."

_INSTALL = {
    'zig': 'pip install ziglang',
    'gcc-host': {'Linux': 'sudo apt-get install gcc  (or your distribution\'s package of '
                          'gcc)', 'Darwin': 'xcode-select --install',
                 'Windows': 'winget install -e --id MSYS2.MSYS2'},
    'gcc-arm': {'Linux': 'sudo apt-get install gcc-arm-none-eabi', 'Darwin': 'brew install --cask gcc-arm-embedded',
                'Windows': 'winget install -e --id Arm.GnuArmEmbeddedToolchain'},
    'qemu': {'Linux': 'sudo apt-get install qemu-system-arm', 'Darwin': 'brew install qemu',
             'Windows': 'winget install -e --id SoftwareFreedomConservancy.QEMU'},
    'node': {'Linux': 'sudo apt-get install nodejs', 'Darwin': 'brew install node',
             'Windows': 'winget install -e --id OpenJS.NodeJS.LTS'},
    'llvm': {'Linux': 'sudo apt-get install llvm', 'Darwin': 'brew install llvm', 'Windows': 'winget install -e --id '
                                                                                             'LLVM.LLVM'},
}


def install_hint(
    tool:str, # 'zig', 'gcc-host', 'gcc-arm' or 'qemu'
)->str:       # the command that installs it on this system
    "How to install `tool` on this system."
    hint = _INSTALL[tool]
    return hint if isinstance(hint, str) else hint.get(platform.system(), hint['Linux'])


def firmware_dir()->Path: # folder with include/, kernels/ and ports/
    "The C sources: `firmware/` of a checkout, else the copy inside the installed package."
    here = Path(__file__).resolve().parent
    for folder in (here.parent/'firmware', here/'firmware'):
        if (folder/'include'/'tfm_kernels.h').is_file(): return folder
    raise MissingTool("the C sources (firmware/) are missing from this installation. Reinstall: pip install "
                      "--force-reinstall tinyformer")


CACHE_ADVICE = ('Compiled files are kept there: free some space, or name another folder by the environment variable '
                'TINYFORMER_CACHE.')


def cache_dir()->Path: # folder for compiled files, created
    "Where compiled files are kept: $TINYFORMER_CACHE, else ~/.cache/tinyformer."
    folder = Path(os.environ.get('TINYFORMER_CACHE') or Path.home()/'.cache'/'tinyformer')
    try: folder.mkdir(parents=True, exist_ok=True)
    except OSError as e: raise cannot_write(folder, e, CACHE_ADVICE) from e
    return folder


@dataclass(frozen=True)
class Compiler:
    "A C compiler that was found on this machine."
    name: str      # 'zig' or 'gcc'
    command: tuple # the words that start it
    version: str   # what it says about itself

    def __str__(self): return f'{self.name} {self.version}'


@functools.lru_cache(None)
def _version(command):
    text = dict(capture_output=True, encoding='utf-8', errors='replace')
    try: r = subprocess.run([*command, '--version'], timeout=60, **text)
    except (OSError, subprocess.TimeoutExpired): return None
    return r.stdout.strip().splitlines()[0] if r.returncode == 0 and r.stdout.strip() else None


def _zig():
    try: import ziglang
    except ImportError: return None
    command = (sys.executable, '-m', 'ziglang', 'cc')
    version = _version(command)
    if version is None: return None
    try:
        from importlib.metadata import version as dist_version
        zig = dist_version('ziglang')
    except Exception: zig = '?'
    return Compiler('zig', command, f'{zig} ({re.sub(r" *[(]http.*", "", version)})')


def _gcc(kind):
    name = 'gcc' if kind == 'host' else 'arm-none-eabi-gcc'
    path = shutil.which(name)
    version = path and _version((path,))
    return Compiler('gcc', (path,), version) if version else None


def find_compiler(
    cc:str='auto',   # 'auto', 'zig' or 'gcc'
    kind:str='host', # 'host', or the core, such as 'cortex-m7'
)->Compiler:
    "The compiler asked for; 'auto' is zig on the host; for a core arm-none-eabi-gcc if it is on the PATH, else zig."
    if cc not in ('auto', 'zig', 'gcc'): raise BadInput(f"no compiler {cc!r}; choose 'auto', 'zig' or 'gcc'")
    able = ('zig', 'gcc') if kind == 'host' else find_core(kind).compilers    # a core that is not known is refused
    if cc not in ('auto', *able): raise BadInput(f"{cc} does not build for {kind}; take cc='{able[0]}'")
    order = able if cc == 'auto' else [cc]
    for name in order:
        found = _zig() if name == 'zig' else _gcc(kind)
        if found: return found
    want = order[0] if cc != 'auto' else 'zig'
    hint = install_hint('zig' if want == 'zig' else 'gcc-host' if kind == 'host' else 'gcc-arm')
    raise MissingTool(f"no {'C compiler' if cc == 'auto' else want} for {kind} found. Install it: {hint}")


def find_qemu()->Path: # the program
    "`qemu-system-arm`, needed only for the second opinion on instruction counts."
    path = shutil.which('qemu-system-arm')
    if path is None: raise MissingTool(f"qemu-system-arm not found. Install it: {install_hint('qemu')}")
    return Path(path)


def find_node()->Path: # the program
    "`node`, which runs WebAssembly."
    path = shutil.which('node')
    if path is None: raise MissingTool(f"node not found. Install it: {install_hint('node')}")
    return Path(path)


def core_flags(
    name:str,              # 'zig' or 'gcc'
    core:str='cortex-m7',  # a key of `hardware.CORES`
)->list: # flags
    "Flags that make compiler `name` emit code for `core`, from the core's record."
    return list(find_core(core).flags(name))


def first_error(
    text:str, # what the compiler wrote
)->str:
    "The first line of `text` that reports an error."
    lines = [l.strip() for l in text.splitlines() if l.strip()]
    marks = ('error:', 'undefined symbol', 'undefined reference', 'overflowed', 'will not fit', 'FAILED')
    return next((l for l in lines if any(m in l for m in marks)), lines[0] if lines else 'no message')


def overflow(
    log:str, # what the linker wrote
)->str:      # words for a person; empty when the trouble is another
    "Which section is over which memory, and by how much; the words of both linkers are read."
    over = re.search(r"overflowed by (\d+) bytes", log)
    if not over: return ''
    region = re.search(r"region [`'](\w+)'", log)
    memory = dict(FLASH='flash', RAM='SRAM', FAST='the fast memory').get(region and region[1], 'memory')
    names = dict.fromkeys(re.findall(r"section [`']([^']+)' will not fit", log))
    return f"{', '.join(names) or 'the image'}: {over[1]} bytes too many for {memory}"


def _digest(compiler, words, sources, include, extra=()):
    "Hash of all that decides the output: compiler, flags, and the bytes of sources and headers."
    h = hashlib.sha256(repr((compiler.name, compiler.version, words, [Path(s).name for s in sources])).encode())
    folders = {Path(d) for d in include} | {Path(s).parent for s in sources}
    headers = {p for d in folders for p in d.glob('*.h')}
    for p in [*sources, *sorted(headers), *extra]:
        h.update(Path(p).name.encode()); h.update(Path(p).read_bytes())
    return h.hexdigest()[:24]


def _cached(stem, suffix):
    "The file in the cache made from the same input, or None; its name holds its checksum, so damage is noticed."
    for path in cache_dir().glob(f'{stem}.*{suffix}'):
        if path.name == f'{stem}.{digest(path)[:24]}{suffix}': return path


def _compile(compiler, words, sources, include, stem, suffix, libraries=()):
    "Run the compiler and put the output in the cache, whole or not at all."
    includes = [w for d in include for w in ('-I', str(d))]
    try:
        with tempfile.TemporaryDirectory(prefix='.part-', dir=cache_dir()) as tmp:
            out = Path(tmp)/'out'
            r = subprocess.run([*compiler.command, *words, *includes, *map(str, sources), *libraries, '-o',
                                str(out)],
                               capture_output=True, encoding='utf-8', errors='replace')
            if r.returncode:
                e = BuildFailed(f'{compiler.name}: {first_error(r.stderr)}')
                e.log = r.stderr
                raise e
            return out.rename(cache_dir()/f'{stem}.{digest(out)[:24]}{suffix}')
    except OSError as e: raise cannot_write(cache_dir(), e, CACHE_ADVICE) from e


def _deliver(cached, out):
    if out is None: return cached
    with atomic_path(out) as tmp: shutil.copy(cached, tmp)
    return Path(out)


def _check_sources(sources):
    sources = [Path(s) for s in sources]
    if not sources: raise BadInput('no C sources to compile')
    for s in sources:
        if not s.is_file(): raise BadInput(f'no such C source: {s.name} in {s.parent}')
    return sources


def compile_host(
    sources,          # paths of .c files
    out=None,         # path of the library or program; None keeps it in the cache only
    include=(),       # folders with headers
    flags=(),         # more compiler flags, such as ('-O1', '-fsanitize=address')
    shared:bool=True, # a shared library, else a program
    cc:str='auto',    # 'auto', 'zig' or 'gcc'
)->Path: # `out`, or its place in the cache
    "Compile for this machine; the same sources, headers, flags and compiler are compiled once. Raises `BuildFailed`."
    compiler, sources = find_compiler(cc, 'host'), _check_sources(sources)
    words = ['-std=gnu11', '-O2', *(['-shared', '-fPIC'] if shared else []), *flags]
    suffix = ('.dll' if os.name == 'nt' else '.so') if shared else '.exe' if os.name == 'nt' else ''
    stem = f'host-{_digest(compiler, words, sources, include)}'
    return _deliver(_cached(stem, suffix) or _compile(compiler, words, sources, include, stem, suffix), out)


def compile_image(
    sources,               # paths of .c files
    linker_script,         # path of the linker script
    out=None,              # path of the ELF file; None keeps it in the cache only
    include=(),            # folders with headers
    flags=(),              # more compiler flags
    cc:str='auto',         # 'auto', 'zig' or 'gcc'
    optimize:str='-O2',    # optimisation level
    core:str='cortex-m7',  # a key of `hardware.CORES`
)->Path: # `out`, or its place in the cache
    "Compile and link a bare-metal image; nothing but the sources is linked. Raises `BuildFailed` with the first error."
    compiler, sources = find_compiler(cc, core), _check_sources(sources)
    folder = firmware_dir()/'ports'/'cortex_m'
    include = [*include, *([folder] if folder not in include else [])]
    words = [*core_flags(compiler.name, core), '-std=gnu11', optimize, *IMAGE_FLAGS, *flags]
    extra = list(find_core(core).libraries(compiler.name))
    stem = f'image-{_digest(compiler, words + extra, sources, include, [linker_script])}'
    # paths in debug information would make the image differ from machine to machine
    words += [f'-ffile-prefix-map={p}=.' for p in (Path.cwd(), *(s.parent for s in sources[:1]))]
    words = [*words, '-T', str(linker_script)]
    return _deliver(_cached(stem, '.elf') or _compile(compiler, words, sources, include, stem, '.elf', extra), out)


def compile_wasm(
    sources,               # paths of .c files; functions with export_name are what the module offers
    out=None,              # path of the module; None keeps it in the cache only
    include=(),            # folders with headers
    flags=(),              # more compiler flags
    optimize:str='-O2',    # optimisation level
)->Path: # `out`, or its place in the cache
    "Compile a WebAssembly module that imports nothing. Raises `BuildFailed` with the first error."
    compiler, folder = find_compiler('zig', 'wasm32'), firmware_dir()/'ports'/'cortex_m'
    sources, include = _check_sources([*sources, folder/'memory.c']), [*include, folder]
    words = [*core_flags('zig', 'wasm32'), '-std=gnu11', optimize, '-fno-unroll-loops', '-nostdlib',
             '-Wl,--no-entry', '-Wl,--strip-all', '-Wl,--gc-sections', *flags]
    stem = f'wasm-{_digest(compiler, words, sources, include)}'
    return _deliver(_cached(stem, '.wasm') or _compile(compiler, words, sources, include, stem, '.wasm'), out)


def sections(
    elf, # path of an ELF file
)->dict: # flash, data and bss bytes, section sizes by name, symbols: name -> (address, bytes)
    """What the linker placed: bytes of flash (text, constants and initial data), of data, of zeroed memory, and every
    symbol. The room kept for the stack is not counted."""
    from elftools.elf.elffile import ELFFile
    sizes, symbols = {}, {}
    flash = data = bss = 0
    with open(elf, 'rb') as f:
        e = ELFFile(f)
        for s in e.iter_sections():
            takes_memory = s['sh_flags'] & 2                          # SHF_ALLOC
            if not takes_memory or not s['sh_size'] or s.name == '.stack': continue
            sizes[s.name] = s['sh_size']
            if s['sh_type'] == 'SHT_NOBITS': bss += s['sh_size']; continue
            flash += s['sh_size']
            if s['sh_flags'] & 1: data += s['sh_size']                # 1 = SHF_WRITE: copied to RAM at reset
        table = e.get_section_by_name('.symtab')
        for s in (table.iter_symbols() if table else ()):
            kind = s['st_info']['type']
            if kind not in ('STT_FUNC', 'STT_OBJECT', 'STT_NOTYPE') or not s.name or s.name.startswith('$'): continue
            symbols[s.name] = s['st_value'] & ~1 if kind == 'STT_FUNC' else s['st_value'], s['st_size']
    return dict(flash=flash, data=data, bss=bss, sizes=sizes, symbols=symbols)
