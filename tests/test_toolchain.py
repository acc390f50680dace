"""Compilers are found or asked for by name, results are cached by content, and failures say what to do."""
import ctypes, os, stat, subprocess, sys

import pytest

from tinyformer import hardware, toolchain as tc
from tinyformer.errors import BadInput, BuildFailed, MissingTool, RunFolderError

CODE = '#include <stdint.h>\nint32_t twice(int32_t x) { return 2 * x; }\n'


@pytest.fixture
def source(tmp_path):
    path = tmp_path/'twice.c'
    path.write_text(CODE)
    return path


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv('TINYFORMER_CACHE', str(tmp_path/'cache'))
    return tmp_path/'cache'


def test_host_library_runs_and_is_cached(source, cache, tmp_path):
    lib = ctypes.CDLL(str(tc.compile_host([source], tmp_path/'out'/'a.so')))
    assert lib.twice(21) == 42
    made = list(cache.iterdir())
    assert len(made) == 1
    stamp = made[0].stat().st_mtime_ns
    assert tc.compile_host([source]) == made[0] and made[0].stat().st_mtime_ns == stamp


@pytest.mark.parametrize('change', ['source', 'flags', 'header'])
def test_any_change_compiles_again(source, cache, change):
    head = source.parent/'factor.h'
    head.write_text('#define FACTOR 2\n')
    source.write_text('#include <stdint.h>\n#include "factor.h"\n#ifndef EXTRA\n#define EXTRA 0\n#endif\n'
                      'int32_t twice(int32_t x) { return FACTOR * x + EXTRA; }\n')
    first = ctypes.CDLL(str(tc.compile_host([source]))).twice(10)
    flags = ()
    if change == 'source': source.write_text(source.read_text().replace('FACTOR *', '3 *'))
    if change == 'header': head.write_text('#define FACTOR 3\n')
    if change == 'flags': flags = ('-DEXTRA=10',)
    assert first == 20
    assert ctypes.CDLL(str(tc.compile_host([source], flags=flags))).twice(10) == 30
    assert len(list(cache.iterdir())) == 2


@pytest.mark.parametrize('harm', [lambda p: os.truncate(p, 0), lambda p: os.truncate(p, p.stat().st_size // 2),
                                  lambda p: p.write_bytes(p.read_bytes()[:-1] + b'?')])
def test_a_damaged_file_in_the_cache_is_compiled_again(source, cache, harm):
    "A truncated library would end the process with SIGBUS."
    made = tc.compile_host([source])
    whole = made.read_bytes()
    harm(made)
    again = tc.compile_host([source])
    assert again.read_bytes() == whole
    code = 'import ctypes, sys; print(ctypes.CDLL(sys.argv[1]).twice(21))'
    assert subprocess.run([sys.executable, '-c', code, again], capture_output=True, text=True).stdout == '42\n'


@pytest.mark.parametrize('place', ['file', 'proc'])
def test_a_cache_that_cannot_be_written_is_named_with_its_variable(source, tmp_path, monkeypatch, place):
    (tmp_path/'file').write_text('x')
    monkeypatch.setenv('TINYFORMER_CACHE', str(tmp_path/'file'/'cache') if place == 'file' else '/proc/cache')
    with pytest.raises(RunFolderError, match='cannot write .*cache.* TINYFORMER_CACHE'): tc.compile_host([source])


FULL = '''import resource, signal, sys
from tinyformer import toolchain
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
toolchain.find_compiler()
resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))
try: toolchain.compile_host([sys.argv[1]])
except Exception as e: print(type(e).__name__, e)'''


def test_a_full_cache_leaves_nothing(source, cache):
    p = subprocess.run([sys.executable, '-c', FULL, source], capture_output=True, text=True)
    assert p.stdout and list(cache.iterdir()) == [], p.stderr


def test_compiled_files_get_the_permissions_of_the_umask(source, cache, tmp_path):
    old = os.umask(0o077)
    try: made = tc.compile_host([source], tmp_path/'a.so')
    finally: os.umask(old)
    assert [stat.S_IMODE(p.stat().st_mode) & 0o077 for p in (made, *cache.iterdir())] == [0, 0]


def test_program(tmp_path, cache):
    path = tmp_path/'main.c'
    path.write_text('int main(void) { return 7; }\n')
    assert subprocess.run([tc.compile_host([path], shared=False)]).returncode == 7


def test_first_error_and_nothing_left(tmp_path, cache):
    path = tmp_path/'bad.c'
    path.write_text('int f(void) { return nothing; }\nint g(void) { return neither; }\n')
    with pytest.raises(BuildFailed, match="zig: .*bad.c:1:.*nothing") as e: tc.compile_host([path], tmp_path/'bad.so')
    assert 'neither' in e.value.log and 'neither' not in str(e.value)
    assert not (tmp_path/'bad.so').exists() and list(cache.iterdir()) == []


def test_linker_error_is_reported(tmp_path, cache):
    path = tmp_path/'open.c'
    path.write_text('int missing(void);\nint main(void) { return missing(); }\n')
    with pytest.raises(BuildFailed, match='missing'): tc.compile_host([path], shared=False)


def test_bad_requests(tmp_path, source):
    with pytest.raises(BadInput, match="'auto', 'zig' or 'gcc'"): tc.find_compiler('tcc')
    with pytest.raises(BadInput, match='cortex-m7'): tc.find_compiler('zig', 'avr')
    with pytest.raises(BadInput, match='no C sources'): tc.compile_host([])
    with pytest.raises(BadInput, match='none.c'): tc.compile_host([tmp_path/'none.c'])


@pytest.mark.parametrize('cc, kind, hint', [('gcc', 'cortex-m7', 'gcc-arm|arm-gcc|Gnu'),
                                            ('gcc', 'host', 'gcc|xcode|MSYS2')])
def test_missing_gcc_says_how_to_install(monkeypatch, cc, kind, hint):
    monkeypatch.setenv('PATH', '')
    with pytest.raises(MissingTool, match=hint): tc.find_compiler(cc, kind)


def test_missing_zig_says_how_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, 'ziglang', None)
    monkeypatch.setenv('PATH', '')
    for cc in ('zig', 'auto'):
        with pytest.raises(MissingTool, match='pip install ziglang'): tc.find_compiler(cc)


def test_missing_qemu_says_how_to_install(monkeypatch):
    monkeypatch.setenv('PATH', '')
    with pytest.raises(MissingTool, match='qemu'): tc.find_qemu()


def test_auto_prefers_zig_on_the_host_and_falls_back_to_it_for_a_core(monkeypatch):
    assert tc.find_compiler().name == 'zig'
    monkeypatch.setenv('PATH', '')
    assert tc.find_compiler('auto', 'cortex-m7').name == 'zig'


@pytest.mark.parametrize('cc', ['zig', pytest.param('gcc', marks=pytest.mark.needs('gcc'))])
def test_sections_of_a_bare_image(tmp_path, cc):
    path = tmp_path/'parts.c'
    path.write_text('#include <stdint.h>\nint32_t zeros[25];\nint32_t start[3] = {1, 2, 3};\nconst int32_t fixed[5] = '
                    '{9, 8, 7, 6, 5};\n'
                    'int32_t sum(void) { int32_t s = 0; for (int i = 0; i < 3; i++) s += start[i] + zeros[i] + '
                    'fixed[i]; return s; }\n')
    info = tc.sections(tc.compile_image([path], tc.firmware_dir()/'ports'/'cortex_m'/'bare.ld', cc=cc))
    assert (info['data'], info['bss']) == (12, 100)
    assert info['flash'] >= info['symbols']['sum'][1] + 20 + 12
    assert info['symbols']['zeros'][1] == 100 and info['symbols']['fixed'][0] // 0x01000000 == 8


BUILT = [pytest.param(c.name, cc, marks=[pytest.mark.needs('gcc')] * (cc == 'gcc'))
         for c in hardware.CORES.values() if c.family != 'wasm' for cc in c.compilers]


@pytest.mark.parametrize('core, cc', BUILT)
def test_every_core_has_flags(source, core, cc):
    assert tc.compile_image([source], tc.firmware_dir()/'ports'/'cortex_m'/'bare.ld', cc=cc, core=core).is_file()


def test_a_core_is_built_by_its_own_compilers(source):
    assert tc.find_compiler('auto', 'riscv32').name == tc.find_compiler('auto', 'wasm32').name == 'zig'
    for core in ('riscv32', 'wasm32'):
        with pytest.raises(BadInput, match=f"gcc does not build for {core}; take cc='zig'"):
            tc.find_compiler('gcc', core)


@pytest.mark.parametrize('log, words', [
    ("ld.lld: error: section '.text' will not fit in region 'FLASH': overflowed by 12 bytes",
     '.text: 12 bytes too many for flash'),
    ("section `.bss' will not fit in region `RAM'\nregion `RAM' overflowed by 8 bytes",
     '.bss: 8 bytes too many for SRAM'),
    ("region `FAST' overflowed by 4 bytes", 'the image: 4 bytes too many for the fast memory'),
    ('undefined symbol: sqrt', '')])
def test_words_of_both_linkers_become_one_sentence(log, words): assert tc.overflow(log) == words
