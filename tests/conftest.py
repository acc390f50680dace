"""What every test shares: system tools that are either used, or reported as absent, never skipped in silence."""
import glob, os, shutil, sys
from pathlib import Path

import pytest

os.environ.setdefault('OMP_NUM_THREADS', '1')
os.environ.setdefault('MPLBACKEND', 'agg')

ROOT = Path(__file__).resolve().parent.parent

# name in a test -> (program that must be on the PATH, how to get it)
TOOLS = {'gcc':      (('arm-none-eabi-gcc',), 'apt install gcc-arm-none-eabi libnewlib-arm-none-eabi'),
         'qemu':     (('qemu-system-arm',), 'apt install qemu-system-arm'),
         'node':     (('node',), 'apt install nodejs'),
         'cc':       (('gcc',), 'apt install gcc libc6-dev'),
         'make':     (('make',), 'apt install make'),
         'cmake':    (('cmake',), 'apt install cmake'),
         'git':      (('git',), 'apt install git'),
         'llvm-mca': (('llvm-mca', 'llvm-mca-14'), 'apt install llvm'),
         'cppcheck': (('cppcheck',), 'apt install cppcheck'),
         'postgres': (('pg_ctl',), 'apt install postgresql'),
         'chromium': (('chromium', 'chromium-browser', 'google-chrome'), 'apt install chromium')}


def find_tool(name):
    "Path of the system tool `name`, or None."
    debian = sorted(glob.glob('/usr/lib/postgresql/*/bin'))            # not on the PATH
    path = os.pathsep.join([os.environ.get('PATH', os.defpath), *debian])
    return next((p for n in TOOLS[name][0] if (p := shutil.which(n, path=path))), None)


def known(names, where):
    "The names of tools, as a set; one that is not in the table is a mistake."
    if unknown := sorted(set(names) - set(TOOLS)):
        raise pytest.UsageError(f"{where} names {', '.join(unknown)}; known tools: {', '.join(TOOLS)}")
    return set(names)


def required_tools():
    "Tools whose absence is a failure: those named in TINYFORMER_REQUIRE, separated by commas."
    names = [o.strip() for o in os.environ.get('TINYFORMER_REQUIRE', '').split(',')]
    return known(filter(None, names), 'TINYFORMER_REQUIRE')


def pytest_configure(config):
    config.addinivalue_line('markers', 'needs(*tools): uses these system tools (see tests/README.md)')
    config.addinivalue_line('markers', 'thorough: slow; left out unless TINYFORMER_THOROUGH=1, as .ci/run sets it')
    config.left_out, config.slow = [], []


def draw_from(seed):
    "Let torch and NumPy draw from `seed`, where they were imported."
    if 'torch' in sys.modules: sys.modules['torch'].manual_seed(seed)
    if 'numpy' in sys.modules: sys.modules['numpy'].random.seed(seed)


# Whatever ran before, in whatever process, a test draws the same numbers; TINYFORMER_TEST_SEED asks for others.
SEED = int(os.environ.get('TINYFORMER_TEST_SEED', 0))


def pytest_collectstart(collector):
    if isinstance(collector, pytest.Module): draw_from(SEED)


@pytest.fixture(autouse=True)
def seeded(): draw_from(SEED)


def pytest_collection_modifyitems(config, items):
    "Leave out tests whose tools are absent and not required; the closing section says which and why."
    required, keep, whole = required_tools(), [], os.environ.get('TINYFORMER_THOROUGH') == '1'
    for item in items:
        if item.get_closest_marker('thorough') and not whole: config.slow.append(item); continue
        tools = known((t for m in item.iter_markers('needs') for t in m.args), item.nodeid)
        absent = [t for t in tools if not find_tool(t)]
        if absent and not set(absent) & required: config.left_out.append((item, absent))
        else: keep.append(item)
    out = config.slow + [i for i, _ in config.left_out]
    if out:
        config.hook.pytest_deselected(items=out)
        items[:] = keep


def pytest_runtest_setup(item):
    "A required tool that is absent fails the test with the install hint."
    for t in (t for m in item.iter_markers('needs') for t in m.args):
        if not find_tool(t):
            pytest.fail(f"{TOOLS[t][0][0]} is required here and is not on the PATH: {TOOLS[t][1]}", pytrace=False)


def pytest_terminal_summary(terminalreporter, config):
    if config.slow:
        terminalreporter.section('left out because they are slow')
        for item in config.slow: terminalreporter.line(f'  {item.nodeid}')
        terminalreporter.line('TINYFORMER_THOROUGH=1 runs them, as .ci/run does.')
    if not config.left_out: return
    terminalreporter.section('left out for want of a system tool')
    for name in TOOLS:
        ids = [i.nodeid for i, absent in config.left_out if name in absent]
        if not ids: continue
        terminalreporter.line(f"{len(ids)} test(s) need {TOOLS[name][0][0]} ({TOOLS[name][1]}):")
        for o in ids: terminalreporter.line(f"  {o}")
    terminalreporter.line('Set TINYFORMER_REQUIRE to a list of tools (as .ci/run does): then absence is a failure.')


def lines_run(f):
    "Lines of Python that a call runs: how much it does by itself and leaves not to NumPy, without a clock."
    count, before = 0, sys.gettrace()
    def trace(frame, event, arg):
        nonlocal count
        count += event == 'line'
        return trace
    sys.settrace(trace)
    try: f()
    finally: sys.settrace(before)
    return count


@pytest.fixture(scope='session')
def require_tool():
    "`require_tool('qemu')` gives the program's path, or fails with the install command."
    def _find(name):
        path = find_tool(name)
        if not path: pytest.fail(f"{TOOLS[name][0][0]} is not on the PATH: {TOOLS[name][1]}", pytrace=False)
        return path
    return _find


@pytest.fixture(scope='session')
def root():
    "The repository's folder."
    return ROOT
