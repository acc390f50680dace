"""The kernels and a generated model under the flags of other people's projects: float ABIs, frame pointers, a reserved
r9, every level of optimisation, link-time optimisation, C++.

    .venv/bin/python tests/builds.py            # the whole matrix, with both compilers (some minutes)
    .venv/bin/python tests/builds.py -k m33     # some of it
"""
import argparse, subprocess, sys, tempfile
from itertools import product
from pathlib import Path

from tinyformer import codegen as cg, toolchain as tc
from tinyformer.graph import random_graph
from tinyformer.hardware import target

LEVELS = '-O0', '-Og', '-O1', '-Os', '-O2', '-O3', '-O2 -flto'
PROJECTS = {  # name -> (core, flags of arm-none-eabi-gcc)
    'm7 soft': ('cortex-m7', '-mfloat-abi=soft'),
    'm7 hard float': ('cortex-m7', '-mfpu=fpv5-sp-d16 -mfloat-abi=hard'),
    'm4 hard float': ('cortex-m4', '-mfpu=fpv4-sp-d16 -mfloat-abi=hard'),
    'm4 softfp': ('cortex-m4', '-mfpu=fpv4-sp-d16 -mfloat-abi=softfp'),
    'm33 hard float': ('cortex-m33', '-mfpu=fpv5-sp-d16 -mfloat-abi=hard'),
    'm7 frame pointers': ('cortex-m7', '-mfloat-abi=soft -fno-omit-frame-pointer'),
    'm4 frame pointers': ('cortex-m4', '-mfloat-abi=soft -fno-omit-frame-pointer'),
    'm7 r9 reserved': ('cortex-m7', '-mfloat-abi=soft -ffixed-r9'),
    'm33 r9 reserved, frame pointers': ('cortex-m33', '-mfloat-abi=soft -ffixed-r9 -fno-omit-frame-pointer'),
    'm0+': ('cortex-m0plus', '-mfloat-abi=soft'),
}


def words(
    compiler, # a `toolchain.Compiler`
    project:str, # a key of PROJECTS
    level:str, # one of LEVELS
)->list:
    "The command without sources."
    core, flags = PROJECTS[project]
    own = ['-mthumb', f'-mcpu={core}'] if compiler.name == 'gcc' else [
        '-target', 'thumb-freestanding-eabi' + 'hf' * ('=hard' in flags), '-fhosted',
        *(f for f in tc.core_flags('zig', core) if f.startswith('-mcpu'))]
    if compiler.name == 'zig': flags = flags.replace('-mfpu=fpv4-sp-d16 ', '').replace('-mfpu=fpv5-sp-d16 ', '')
    include = ['-I', str(tc.firmware_dir()/'ports'/'cortex_m')] * (compiler.name == 'zig')
    return [*compiler.command, *own, *flags.split(), *level.split(), '-std=gnu11', '-ffunction-sections', *include]


def sources(
    folder:Path, # made: a generated model
    assembly:bool=False, # only files that hold assembly, theirs or their headers'
)->list: # paths
    "Every kernel, and the C of a model that uses most of them."
    fw = cg.generate(random_graph(1), target('stm32f746'), folder, port='host', objective='speed')
    files = sorted((tc.firmware_dir()/'kernels').rglob('*.c'))
    if not assembly: return [fw.folder/'model.c', fw.folder/'weights.c', *files]
    dsp = {'tfm_dsp.h'}
    return [f for f in files if dsp & {h.name for h in cg.headers_of([f], tc.firmware_dir()/'include')}]


def build(
    command:list, # as `words` gives
    files:list, # C files
    model:Path, # folder of the generated model
)->str: # what the compiler said; empty when all is well
    "Compile every file; with -flto also link them, which is when code is made."
    include = ['-I', str(tc.firmware_dir()/'include'), '-I', str(model)]
    with tempfile.TemporaryDirectory() as tmp:
        done = subprocess.run([*command, *include, '-c', *map(str, files)], cwd=tmp, capture_output=True, text=True)
        if done.returncode or '-flto' not in command: return done.stderr
        own = ['-flinker-output=nolto-rel', '-flto-partition=one']               # one part: gcc warns of two
        link = ['-r', '-nostdlib', *(own if 'ziglang' not in command else [])]
        objects = [str(p) for p in Path(tmp).glob('*.o')]
        linked = subprocess.run([*command, *link, *objects, '-o', 'all.elf'], cwd=tmp, capture_output=True, text=True)
        return linked.stderr


def main(argv=None):
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument('-k', default='', help='only combinations whose name holds this text')
    p.add_argument('--cc', choices=('gcc', 'zig'), help='only this compiler')
    args, bad, n = p.parse_args(argv), 0, 0
    with tempfile.TemporaryDirectory() as tmp:
        files = sources(Path(tmp)/'model')
        for cc, project, level in product([args.cc] if args.cc else ['gcc', 'zig'], PROJECTS, LEVELS):
            name = f'{cc} {project} {level}'
            if args.k not in name: continue
            said = build(words(tc.find_compiler(cc, PROJECTS[project][0]), project, level), files, Path(tmp)/'model')
            n, bad = n + 1, bad + bool(said)
            print(f'{name:<48}{tc.first_error(said) if said else "ok"}', flush=True)
    print(f'{n - bad} of {n} builds, {len(files)} files each')
    return bad > 0


if __name__ == '__main__': sys.exit(main())
