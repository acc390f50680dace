"""Folders for other build systems: each is built with its own files, its example prints the answer, and the C in it is
that of `generate`."""
import configparser, json, re, subprocess
from pathlib import Path
from string import Template

import numpy as np
import pytest
import yaml

from conftest import ROOT
from test_cli import refused, say                          # noqa: F401, fixtures
from tinyformer import export as ex, sizes
from tinyformer.codegen import generate
from tinyformer.errors import BadInput, DoesNotFit
from tinyformer.graph import Graph, Op, Tensor, random_graph, run, save
from tinyformer.hardware import target
from tinyformer.simulator import Emulator, build
from tinyformer.toolchain import WARNINGS, compile_image, firmware_dir

BOARD, STAND_INS = target('stm32f746'), ROOT/'tests'/'exports'
CMAKE = {'cmake': '.', 'zephyr': 'samples/answer', 'esp-idf': 'examples/answer', 'cubemx': '.'}


@pytest.fixture(scope='module')
def graph():
    "A model of two operators: other people's build systems see few files, and the tests are quick."
    rng, sizes = np.random.default_rng(0), dict(pixels=1, cin=8, cout=5, shift=0, zp_in=0, zp_out=0)
    params = dict(weight=rng.integers(-127, 128, (5, 8), dtype=np.int8), bias=rng.integers(-99, 99, 5, dtype=np.int32),
                  mult=np.full(5, 1 << 24, np.int32))
    ops = [Op('maxpool2x2', 'pool', ['x'], 'p', dict(h=2, w=2, c=8)),
           Op('fully_connected', 'fc', ['p'], 'y', sizes, params)]
    shapes = dict(x=(2, 2, 8), p=(1, 1, 8), y=(5,))
    return Graph({n: Tensor(n, shape, .1, 0) for n, shape in shapes.items()}, ops, 'x', 'y', 'small')


@pytest.fixture(scope='module')
def plain(graph, tmp_path_factory):
    return generate(graph, BOARD, tmp_path_factory.mktemp('plain')/'fw', port='host')


@pytest.fixture(scope='module')
def folders(graph, tmp_path_factory):
    "Format -> folder."
    root = tmp_path_factory.mktemp('exports')
    return {name: (ex.export(graph, BOARD, name, root/f'my_{name}'), root/f'my_{name}')[1] for name in ex.FORMATS}


@pytest.fixture
def answer(graph, plain):
    "What every example has to print."
    from tinyformer.codegen import pick_example
    out = run(graph, pick_example(graph)[None])[0].reshape(-1)
    return f'answer {out.argmax()}, 0 bytes wrong\n'


def printed(*words, **how):
    r = subprocess.run(list(map(str, words)), capture_output=True, text=True, timeout=120, **how)
    assert r.returncode == 0, r.stdout + r.stderr
    return r.stdout


@pytest.mark.parametrize('name', ex.FORMATS)
def test_a_folder_holds_what_it_needs_and_no_more(name, folders, plain, graph):
    folder, form = folders[name], ex.layout(name, plain.prefix)
    assert (folder/'LICENSE').read_bytes() == (ROOT/'LICENSE').read_bytes()
    c = {p.name: p.read_bytes() for p in (folder/form.sources).glob('*.c')}
    assert c == {p.name: p.read_bytes() for p in plain.sources}                # used kernels, no others, unchanged
    h = {p.name: p.read_bytes() for p in (folder/form.headers).glob('*.h')}
    assert h == {p.name: p.read_bytes() for d in ('.', 'include') for p in (plain.folder/d).glob('*.h')}
    text = (folder/'README.md').read_text()
    assert [l[:3] for l in text.splitlines() if re.match(r'\d\. ', l)] == [f'{i}. ' for i in range(1, 6)]
    assert f'{plain.prefix}_invoke(input, output)' in text and f'{plain.weights_bytes:,}' in text
    own = [p for p in folder.rglob('*') if p.is_file() and p.suffix not in ('.c', '.h') and p.name != 'Makefile']
    odd = [p for p in own if '$' in p.read_text().replace('${', '').replace('$ENV{', '')]
    assert len(own) > 3 and not odd and not [p for p in own if '$name' in p.read_text()]


@pytest.mark.needs('make', 'cc')
@pytest.mark.parametrize('name', ex.FORMATS)
def test_its_own_makefile_runs_the_example(name, folders, answer):
    assert printed('make', '-s', '-C', folders[name], 'CFLAGS=-pedantic -Werror -Wconversion -O0').endswith(answer)


@pytest.mark.needs('cmake', 'cc')
@pytest.mark.parametrize('name', CMAKE)
def test_cmake_builds_and_runs_the_example(name, folders, answer, plain, tmp_path):
    "By real CMake; for all but the first with a stand-in for the system that the folder is for."
    source, more = folders[name]/CMAKE[name], []
    if name == 'zephyr': more = [f'-DZephyr_DIR={STAND_INS/name}']
    if name == 'cubemx':
        (tmp_path/'app').mkdir()
        (tmp_path/'app'/'Middlewares').symlink_to(folders[name]/'Middlewares')
        for p in (STAND_INS/name/'CMakeLists.txt', folders[name]/'tinyformer.cmake'):
            (tmp_path/'app'/p.name).write_bytes(p.read_bytes())
        main = Template((STAND_INS/name/'main.c.in').read_text())
        (tmp_path/'app'/'main.c').write_text(main.substitute(prefix=plain.prefix))
        source = tmp_path/'app'
    env = dict(PATH='/usr/bin:/bin', IDF_PATH=str(STAND_INS/'esp-idf'))
    printed('cmake', '-S', source, '-B', tmp_path/'build', '-DCMAKE_C_COMPILER_WORKS=1', *more, env=env)
    printed('cmake', '--build', tmp_path/'build')
    assert printed(tmp_path/'build'/('example' if name == 'cmake' else 'app')) == answer
    if name == 'cmake': assert '100% tests passed' in printed('ctest', '--test-dir', tmp_path/'build')


@pytest.mark.needs('cmake', 'cc')
def test_cmake_takes_the_folder_into_another_project(folders, plain, tmp_path):
    (tmp_path/'CMakeLists.txt').write_text(
        'cmake_minimum_required(VERSION 3.16)\nproject(mine LANGUAGES C)\n'
        f'add_subdirectory("{folders["cmake"]}" model)\nadd_executable(mine mine.c)\n'
        f'target_link_libraries(mine PRIVATE {plain.prefix})\n')
    (tmp_path/'mine.c').write_text('#include "model.h"\nint main(void) { return TFM_OUTPUT_BYTES; }\n')
    printed('cmake', '-S', tmp_path, '-B', tmp_path/'build')
    printed('cmake', '--build', tmp_path/'build')
    assert subprocess.run([tmp_path/'build'/'mine']).returncode == 5
    assert not list((tmp_path/'build').rglob('example'))


@pytest.mark.needs('cc')
def test_the_sketch_prints_the_answer(folders, answer, tmp_path):
    "Arduino compiles a sketch as C++ behind its own header, and the library's C with the C compiler."
    folder, sketch = folders['arduino'], folders['arduino']/'examples'/'Answer'
    printed('gcc', '-std=gnu11', '-O1', '-c', '-I', folder/'src', *(folder/'src').glob('*.c'), sketch/'answer.c',
            cwd=tmp_path)
    printed('g++', '-include', STAND_INS/'arduino'/'Arduino.h', '-I', folder/'src', '-x', 'c++', sketch/'Answer.ino',
            '-x', 'none', *tmp_path.glob('*.o'), '-o', 'sketch', cwd=tmp_path)
    assert printed(tmp_path/'sketch') == answer


@pytest.mark.needs('cc')
def test_platformio_finds_the_library_and_the_example(folders, answer, plain, tmp_path):
    folder = folders['platformio']
    ini = configparser.ConfigParser()
    ini.read(folder/'platformio.ini')
    library = folder/'lib'/plain.prefix
    told = json.loads((library/'library.json').read_text())
    assert ini['platformio']['default_envs'] == 'native' and ini['env:native']['platform'] == 'native'
    assert re.fullmatch(r'[a-zA-Z0-9_-]+', told['name'])
    assert told['headers'] == 'model.h' and told['license'] == 'Apache-2.0'
    build = told['build']
    c = [*(folder/'src').glob('*.c'), *(library/build['srcDir']).glob('*.c')]
    flags = ini['env:native']['build_flags'].split()
    printed('gcc', *flags, '-I', library/build['includeDir'], *c, '-o', tmp_path/'example')
    assert printed(tmp_path/'example') == answer


def test_the_files_of_other_systems_say_what_those_want(folders, plain):
    "The fields that the documentation of each system requires."
    lines = (folders['arduino']/'library.properties').read_text().splitlines()
    told = dict(l.split('=', 1) for l in lines)
    wanted = 'name', 'version', 'author', 'maintainer', 'sentence', 'paragraph', 'category', 'url', 'architectures'
    assert set(wanted) <= set(told)
    assert re.fullmatch(r'[A-Za-z0-9][\w .-]{0,62}', told['name']) and re.fullmatch(r'\d+\.\d+\.\d+', told['version'])
    assert told['category'] in ('Data Processing', 'Other') and told['includes'] == 'model.h'
    zephyr = folders['zephyr']
    module = yaml.safe_load((zephyr/'zephyr'/'module.yml').read_text())
    assert (zephyr/module['build']['kconfig']).is_file()
    assert (zephyr/module['build']['cmake']/'CMakeLists.txt').is_file()
    option = re.search(r'^config (\w+)$', (zephyr/'Kconfig').read_text(), re.M)[1]
    assert f'CONFIG_{option}=y' in (zephyr/'samples'/'answer'/'prj.conf').read_text()
    sample = yaml.safe_load((zephyr/'samples'/'answer'/'sample.yaml').read_text())
    test, = sample['tests'].values()
    assert re.search(test['harness_config']['regex'][0], 'answer 3, 0 bytes wrong')
    component = yaml.safe_load((folders['esp-idf']/'idf_component.yml').read_text())
    assert component['version'] == '1.0.0' and component['dependencies']['idf']


@pytest.mark.parametrize('cc', ['zig', pytest.param('gcc', marks=pytest.mark.needs('gcc'))])
def test_an_export_runs_on_the_emulated_core(cc, folders, graph, plain, tmp_path):
    folder, port = folders['zephyr'], firmware_dir()/'ports'/'cortex_m'
    bare = tmp_path/'main.c'
    bare.write_text((port/'main.c').read_text())
    c = [*(folder/'src').glob('*.c'), bare, port/'startup.c', port/'memory.c']
    script = generate(graph, BOARD, tmp_path/'fw').folder/'port'/'link.ld'
    elf = compile_image(c, script, tmp_path/'x.elf', [folder/'include', port], WARNINGS, cc)
    x = np.random.default_rng(0).integers(-128, 128, (2, 2, 8), dtype=np.int8)
    assert (Emulator(elf).invoke(x, 5) == run(graph, x[None])[0].reshape(-1)).all()


def test_what_cannot_be_exported_leaves_nothing(graph, tmp_path):
    with pytest.raises(BadInput, match="no format 'mbed'; choose cmake, platformio"):
        ex.export(graph, BOARD, 'mbed', tmp_path/'x')
    with pytest.raises(DoesNotFit): ex.export(graph, BOARD.with_budget(flash_bytes=50), 'cmake', tmp_path/'x')
    assert not list(tmp_path.iterdir())
    (tmp_path/'thesis').mkdir()
    (tmp_path/'thesis'/'a.txt').write_text('precious')
    with pytest.raises(BadInput, match='not generated here'): ex.export(graph, BOARD, 'cmake', tmp_path/'thesis')
    assert [p.name for p in (tmp_path/'thesis').iterdir()] == ['a.txt']


def test_the_command_exports_by_name_and_by_file(say, refused, tmp_path):
    code, out, _ = say('export', 'digits', '--format', 'esp-idf', '--no-check')
    assert code == 0 and 'ESP-IDF' in out and (tmp_path/'digits_esp_idf'/'idf_component.yml').is_file()
    save(random_graph(0, (4, 4, 2), 4, 1), tmp_path/'m.tfm')
    code, out, _ = say('export', 'm.tfm', '--prefix', 'kws', '--out', 'here')
    assert code == 0 and 'entry kws_invoke' in out and 'project(kws ' in (tmp_path/'here'/'CMakeLists.txt').read_text()
    refused('export', 'digits', '--format', 'mbed', words=['cmake', 'cubemx'])
    refused('export', 'nothing.tfm', words=['nothing.tfm'])


@pytest.mark.needs('make', 'cc')
@pytest.mark.parametrize('command', (['export', '--format', 'cmake'], ['compile', '--port', 'host', '--no-check']))
def test_with_integrity_a_damaged_folder_says_so(command, say, tmp_path):
    save(random_graph(0, (4, 4, 2), 4, 1), tmp_path/'m.tfm')
    assert say(command[0], 'm.tfm', *command[1:], '--integrity', '--out', 'here')[0] == 0
    def made(): return subprocess.run(['make', '-C', tmp_path/'here', 'CC=cc'], capture_output=True, text=True)
    assert not made().returncode
    file = next((tmp_path/'here').rglob('weights.c'))
    text = file.read_text()
    file.write_text(re.sub(r'\{\n    (-?\d+)', lambda m: f'{{\n    {int(m[1]) ^ 1}', text, count=1))
    done = made()
    assert file.read_text() != text and done.returncode and ('answer -6' in done.stdout or 'status 6' in done.stderr)


# ---- sizes -----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize('name, cc', [('stm32h743', 'zig'), ('rp2040', 'zig'),
                                      pytest.param('stm32f746', 'gcc', marks=pytest.mark.needs('gcc'))])
def test_sizes_add_up(name, cc, tmp_path):
    graph = random_graph(3, (4, 4, 2), 4, 1, 5)
    fw = generate(graph, target(name), tmp_path/'fw')
    image = build(fw, cc)
    d = sizes.of_image(fw, image)
    assert sum(d['flash'].values()) == d['flash_total'] == image.flash_bytes
    assert 0 <= d['flash']['rest'] < .03 * image.flash_bytes                   # padding
    assert d['flash']['weights'] + d['flash']['tables'] == fw.weights_bytes
    assert list(d['operators']) == [op.name for op in fw.graph.ops]
    assert all(r['code'] > 0 for r in d['operators'].values()) and d['flash']['kernels'] > 1000
    assert d['flash']['example'] == 32 + 5 and d['flash']['start-up and C library'] > 50
    assert d['sram']['arena'] == fw.arena_bytes and d['sram']['stack'] == 2048
    assert d['sram']['arena'] + d['sram']['variables'] == image.bss_bytes + image.data_bytes


def test_the_command_tells_sizes(say, graph, tmp_path):
    save(graph, tmp_path/'m.tfm')
    code, out, _ = say('size', 'm.tfm', '--flash', '64KB', '--sram', '16KB', '--json', 'sizes.json')
    d = json.loads((tmp_path/'sizes.json').read_text())
    left = d['flash_limit'] - d['flash_total']
    assert code == 0 and d['flash_limit'] == 65_536 and f"{d['flash_total']:,} of 65,536 bytes" in out
    assert f'{left:,} left' in out and '\nfc ' in out and 'stack of one inference: ' in out
    taken = sum(d['sram'].values())
    assert f'{taken:,} of 16,384 bytes' in out and f'{16_384 - taken:,} left' in out
