"""What made a result: the processor, the versions of what ran, and the commit of the code."""
import functools, os, platform, subprocess
from importlib import resources
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = 'tinyformer', 'torch', 'numpy', 'optuna', 'scikit-learn', 'unicorn', 'ziglang'


def _said(*command):
    "What a program prints, or '' where there is no such program or it fails."
    try: r = subprocess.run(command, capture_output=True, encoding='utf-8', errors='replace', timeout=60)
    except (OSError, subprocess.TimeoutExpired): return ''
    return r.stdout.strip() if r.returncode == 0 else ''


@functools.lru_cache(None)
def model_name()->str: # such as 'AMD EPYC 7B13'
    "What the processor calls itself; the architecture where it says nothing."
    try:
        for line in Path('/proc/cpuinfo').read_text(encoding='utf-8', errors='replace').splitlines():
            key, _, value = line.partition(':')
            if key.strip() in ('model name', 'Model', 'cpu model') and value.strip(): return ' '.join(value.split())
    except OSError: pass                                   # no Linux
    return _said('sysctl', '-n', 'machdep.cpu.brand_string') or platform.processor() or platform.machine()


def processor()->str: # such as 'AMD EPYC 7B13 (AVX2)'
    "The processor, and the instruction set that torch uses on it: both decide the last bits of a training."
    import torch
    return f'{model_name()} ({torch.backends.cpu.get_cpu_capability()})'


def versions()->dict: # package -> version; python, machine and processor as well
    "What a result depends on beside the code."
    def of(name):
        try: return version(name)
        except PackageNotFoundError: return 'not installed'
    machine = dict(python=platform.python_version(), machine=platform.machine(), processor=processor())
    return machine | {name: of(name) for name in PACKAGES}


def commit()->str: # 40 hex digits, with + when files are changed; '' outside of a checkout
    "The commit of the code that runs."
    git = functools.partial(_said, 'git', '-C', str(resources.files('tinyformer')))
    if not git('ls-files', '__init__.py'): return ''
    return git('rev-parse', 'HEAD') + '+' * bool(git('status', '--porcelain', '--untracked-files=no'))


def machine()->str: # such as 'Linux x86_64, AMD EPYC 7B13 (AVX2), 2 cores'
    "The kind of machine, without its name."
    return f'{platform.system()} {platform.machine()}, {processor()}, {os.cpu_count()} cores'
