"""What every image promises: nothing undefined or unused, no float, no heap, a stack that is enough, the same bytes
from two builds, sources that strict compilers and cppcheck accept."""
import re, shutil, subprocess
from dataclasses import replace

import numpy as np
import pytest
from elftools.elf.elffile import ELFFile

from tinyformer import codegen as cg, image_check as ic, toolchain as tc
from tinyformer.arch import Arch, Downsample, InvertedResidual, Transformer
from tinyformer.errors import BadInput, DoesNotFit
from tinyformer.graph import random_graph
from tinyformer.hardware import target, targets
from tinyformer.lowering import random_model
from tinyformer.simulator import build, simulate
from tinyformer.stack import stack_bound

GCC = pytest.param('gcc', marks=pytest.mark.needs('gcc'))
SLOW = pytest.param('zig', marks=pytest.mark.thorough)
SMALL = Arch((16, 16, 3), 5, (Downsample(8, 'conv_pool'), InvertedResidual(8, 3), Transformer(12, 3, 20, 1, 16, True),
                              Downsample(16, 'ir', 2)), 20)
MODELS = dict(banded=lambda: random_model(SMALL, 0, .7), every=lambda: random_graph(3, (8, 8, 3), 8, 2))
CORES = {t.core: t.name for t in reversed(targets()) if t.cpu.startup}                 # one board for each core
STRICT = ('-std=c99', '-pedantic', *tc.WARNINGS)


@pytest.fixture(scope='module')
def firmwares(tmp_path_factory):
    "The largest choice of code: every kind of operator, bands, streams, with the check of the constants."
    return {name: cg.generate(make(), target('stm32f746'), tmp_path_factory.mktemp('fw')/name, memory='least',
                              integrity=True) for name, make in MODELS.items()}


def compilers(board): return [cc for cc in ('gcc', 'zig') if cc in target(board).cpu.compilers]


LONG = re.compile(r'__aeabi_(u?ldivmod|lmul|u?idiv)|__(u?div|mul)[sd]i3')
"The compiler's own divisions and 64-bit products: a core with the DSP extension divides and multiplies by itself."


@pytest.mark.needs('gcc')
@pytest.mark.parametrize('core', CORES)
def test_no_image_of_any_core_holds_what_it_may_not(core, tmp_path):
    fw = cg.generate(MODELS['every'](), target(CORES[core]), tmp_path/'fw', integrity=True)
    dsp = fw.target.has('dsp')
    for cc in compilers(fw.target.name):
        for serial in {False, cg.serves(fw.port)}:
            elf = build(fw, cc=cc, serial=serial).elf
            need, way = ic.stack_need(elf)
            print(f"{core}, {cc}: at most {need} bytes of stack, {' > '.join(way)}")
            assert not dsp or not [n for n, *_ in ic.Code(elf).symbols if LONG.match(n)]
            assert not ic.faults(elf) and 0 < need <= cg.STACK_BYTES and way[0] == 'Reset_Handler' and 'main' in way[:3]


@pytest.mark.parametrize('cc', (GCC, SLOW))
@pytest.mark.parametrize('name', MODELS)
def test_the_bound_holds(name, cc, firmwares):
    "It is at least what a run touches, and at least what gcc says of its own frames."
    fw = firmwares[name]
    image = build(fw, cc=cc)
    x = np.random.default_rng(0).integers(-128, 128, (2, *fw.graph.tensors[fw.graph.input].shape), dtype=np.int8)
    run = simulate(image, fw, x, progress=False, memory=False)
    need = ic.stack_need(image.elf, f'{fw.prefix}_invoke')[0]
    assert 0 < run.stack_bytes <= need < 2 * run.stack_bytes
    if cc == 'gcc': assert stack_bound(fw)[0] <= need


@pytest.mark.parametrize('cc', (GCC, 'zig'))
def test_a_stack_that_is_too_small_is_refused_by_name(cc, firmwares, tmp_path):
    fw = replace(firmwares['every'], folder=tmp_path/'fw')
    shutil.copytree(firmwares['every'].folder, fw.folder)
    script, need = fw.folder/'port'/'link.ld', ic.stack_need(build(fw, cc=cc).elf)[0]
    text = script.read_text()
    for kept in (need, need - 1):
        script.write_text(text.replace(f'_stack_reserve = {cg.STACK_BYTES};', f'_stack_reserve = {kept};'))
        if kept == need: build(fw, cc=cc)
        else:
            says = f'can need {need} bytes of stack .*Reset_Handler > main'
            with pytest.raises(DoesNotFit, match=says): build(fw, cc=cc)


BAD = dict( # what it is -> (C, what is said)
    function=('float __aeabi_fmul(float, float); float __aeabi_fmul(float a, float b) { (void)b; return a; }\n'
              'int main(void) { return 1; }', '__aeabi_fmul does floating point'),
    instruction=('int main(void) { __asm__ volatile(FLOAT); return 1; }', 'main has a float instruction at'),
    heap=('void *malloc(unsigned n) { (void)n; return 0; }  int main(void) { return malloc(3) != 0; }',
          'malloc wants a heap'),
    pointer=('int g(void) { return 1; }  int (*volatile p)(void) = g;  int main(void) { return p() + 1; }',
             r'\* has no known frame'),
    recursion=('volatile int n;  int main(void) { return n-- ? main() + n * 3 : 0; }', 'main calls itself'),
    room=('volatile int n;  int main(void) { volatile char a[n]; a[n - 1] = 1; return a[0]; }',
          'main has no known frame'))
FLOATS = {'cortex-m7': '.inst.w 0xee300a00', 'riscv32': '.insn r 0x53, 0, 0, x0, x0, x0'}       # additions


@pytest.mark.parametrize('core', ('cortex-m7', 'riscv32'))
@pytest.mark.parametrize('case', BAD)
def test_what_an_image_may_not_hold_is_found(case, core, tmp_path):
    code, says = BAD[case]
    (tmp_path/'a.c').write_text(f'int main(void);\nvoid Reset_Handler(void);\n{code}\n'
                                'void Reset_Handler(void) { (void)main(); for (;;); }\n')
    script = tc.firmware_dir()/'ports'/'cortex_m'/'bare.ld'
    more = ['-fno-builtin', '-Wl,--no-gc-sections', f'-DFLOAT="{FLOATS[core]}"']
    elf = tc.compile_image([tmp_path/'a.c'], script, None, [], more, 'zig', core=core)
    if case in ('pointer', 'recursion', 'room'):
        assert not ic.faults(elf)
        with pytest.raises(BadInput, match=says): ic.stack_need(elf)
    else: assert any(re.match(says, f) for f in ic.faults(elf)) and ic.stack_need(elf)[0] < 64


# ---- nothing unused --------------------------------------------------------------------------------------------------

KEPT = {'main', 'Reset_Handler', 'tfm_vectors'}
"What the linker script or a core asks for."


def referenced(objects):
    "Names that relocations of some objects lead to; where one leads to a section, all names in it."
    names = set()
    for path in objects:
        with open(path, 'rb') as f:
            e, held = ELFFile(f), {}
            for s in e.get_section_by_name('.symtab').iter_symbols():
                held.setdefault(s['st_shndx'], set()).add(s.name)
            for s in e.iter_sections():
                if s['sh_type'] not in ('SHT_REL', 'SHT_RELA') or '.debug' in s.name: continue
                table = e.get_section(s['sh_link'])
                for r in s.iter_relocations():
                    symbol = table.get_symbol(r['r_info_sym'])
                    names |= held[symbol['st_shndx']] if symbol['st_info']['type'] == 'STT_SECTION' else {symbol.name}
    return names


def unused(fw, cc, folder):
    "Functions and variables of a model's image that nothing in its sources leads to."
    image, compiler = build(fw, cc=cc), tc.find_compiler(cc, fw.target.core)
    sources = [*fw.sources, *sorted((fw.folder/'port').glob('*.c'))]
    include = [f'-I{d}' for d in (fw.folder/'include', fw.folder, fw.folder/'port')]
    flags = ['-std=gnu11', '-O2', *(f for f in tc.IMAGE_FLAGS if not f.startswith('-Wl'))]
    words = [*compiler.command, *tc.core_flags(cc, fw.target.core), *flags, *include, '-c']
    for i, source in enumerate(sources): subprocess.run([*words, str(source), '-o', f'{folder}/{i}.o'], check=True)
    names = referenced(folder.glob('*.o')) | KEPT
    own = [n for n, _, size, kind, _ in ic.Code(image.elf).symbols if kind in ('STT_FUNC', 'STT_OBJECT') and size]
    assert len(own) > 60
    return [n for n in own if n not in names]


@pytest.mark.parametrize('cc', (GCC, SLOW))
def test_an_image_holds_nothing_that_is_not_used(cc, firmwares, tmp_path):
    fw = firmwares['every']
    assert unused(fw, cc, tmp_path) == []


# ---- the same bytes from two builds ----------------------------------------------------------------------------------

@pytest.mark.thorough
@pytest.mark.parametrize('cc', (GCC, SLOW))
def test_two_builds_give_the_same_bytes(cc, tmp_path, monkeypatch):
    "In two folders, from two working folders, each with a cache of its own: the whole file, with debug information."
    files = []
    for name in ('a', 'another/folder'):
        here = tmp_path/name
        here.mkdir(parents=True)
        monkeypatch.setenv('TINYFORMER_CACHE', str(here/'cache'))
        monkeypatch.chdir(here)
        fw = cg.generate(MODELS['every'](), target('stm32f746'), here/'fw')
        files.append([build(fw, cc=cc).elf.read_bytes(), build(fw, cc=cc, serial=True).elf.read_bytes()])
    assert files[0] == files[1] and len(files[0][0]) > 10_000


# ---- strict compilers ------------------------------------------------------------------------------------------------

def strict(cc, core, files, include, out):
    "What a compiler says to files as C99."
    kind = 'host' if core is None else core
    c = tc.find_compiler(cc, kind)
    port = [f"-I{tc.firmware_dir()}/ports/cortex_m"] * (core is not None and cc == 'zig')
    long = ['-Wno-overlength-strings'] * (c.name == 'zig')       # assembly, which Clang counts as a string
    own = [*(tc.core_flags(cc, core) if core else []), *STRICT, *long, '-O2', '-fomit-frame-pointer', '-r', '-nostdlib']
    words = [*c.command, *own, *(f'-I{d}' for d in include), *port, *map(str, files), '-o', str(out)]
    done = subprocess.run(words, capture_output=True, text=True)
    return done.stderr if done.returncode or done.stderr.strip() else ''


@pytest.mark.parametrize('cc, core', [
    pytest.param('gcc', 'cortex-m7', marks=pytest.mark.needs('gcc')),
    pytest.param('zig', None, marks=pytest.mark.thorough),
    pytest.param('gcc', 'cortex-m0plus', marks=[pytest.mark.needs('gcc'), pytest.mark.thorough]),
    pytest.param('gcc', None, marks=[pytest.mark.needs('cc'), pytest.mark.thorough]),
    pytest.param('zig', 'cortex-m7', marks=pytest.mark.thorough),
    pytest.param('zig', 'riscv32', marks=pytest.mark.thorough)])
def test_every_file_is_c99(cc, core, firmwares, tmp_path):
    "The kernels, what is generated, and the ports, with every warning an error."
    root, fw = tc.firmware_dir(), firmwares['every']
    files = [*sorted((root/'kernels').rglob('*.c')), fw.folder/'model.c', fw.folder/'weights.c']
    if core is None: files.append(fw.folder/'host'/'main.c')
    elif core == 'cortex-m7': files += (fw.folder/'port').glob('*.c')
    include = [root/'include', fw.folder, fw.folder/'port', fw.folder/'board']
    assert len(files) > 30 and strict(cc, core, files, include, tmp_path/'all.o') == ''
    if core == 'cortex-m7': assert strict(cc, core, (fw.folder/'board').glob('*.c'), include, tmp_path/'all.o') == ''
    (tmp_path/'bad.c').write_text('int f(int n);\nint f(int n) { int x = 0b1; return x + n; }')
    assert 'binary' in strict(cc, core, [tmp_path/'bad.c'], include, tmp_path/'all.o')


@pytest.mark.needs('cppcheck')
def test_cppcheck_finds_nothing(require_tool, firmwares, root, tmp_path):
    "What is let pass stands in firmware/cppcheck.txt, each with its reason; what no longer happens is an error too."
    fw, tree = firmwares['every'], tmp_path/'tree'
    shutil.copytree(root/'firmware', tree/'firmware')
    shutil.copytree(fw.folder, tree/'model')
    words = [require_tool('cppcheck'), '--std=c99', '--enable=warning,style,performance,portability,information',
             '--suppressions-list=firmware/cppcheck.txt', '--error-exitcode=1', '--quiet',
             '--template={file}:{line}: {id}: {message}',
             '-Ifirmware/include', '-Ifirmware/ports/board', '-Ifirmware/ports/cortex_m', '-Imodel', '-Imodel/board',
             '-D__arm__', '-D__ARM_FEATURE_DSP']
    def run(*what): return subprocess.run([*words, *what], cwd=tree, capture_output=True, text=True)
    done = run('firmware/kernels', 'firmware/ports', 'model/model.c')
    assert done.returncode == 0 and not done.stderr, done.stderr
    (tree/'bad.c').write_text('int f(void);\nint f(void) { int a[2] = {1, 2}; return a[2]; }\n')
    assert 'arrayIndexOutOfBounds' in run('bad.c').stderr
