"""A model as a folder for somebody else's build: CMake, PlatformIO, Arduino, Zephyr, ESP-IDF, STM32CubeMX."""
import re, tempfile
from dataclasses import dataclass
from pathlib import Path

from tinyformer.codegen import fill, generate, prefix_of, write_folder
from tinyformer.errors import BadInput
from tinyformer.toolchain import firmware_dir


@dataclass(frozen=True)
class Format:
    "Where the files of a format lie. `$name` stands for what the model's names begin with."
    title:str
    sources:str   # folder of the C files
    headers:str   # folder of the headers
    answer:str    # folder of the example
    own:tuple     # (template in firmware/templates/export, path in the folder)


MAIN = 'main.c', '{answer}/main.c'
FORMATS = { # what is typed -> its layout
    'cmake': Format('CMake', 'src', 'include', 'example', (MAIN, ('cmake/CMakeLists.txt', 'CMakeLists.txt'))),
    'platformio': Format('PlatformIO', 'lib/{name}/src', 'lib/{name}/include', 'src', (
        MAIN, ('platformio/platformio.ini', 'platformio.ini'), ('platformio/library.json', 'lib/{name}/library.json'))),
    'arduino': Format('Arduino', 'src', 'src', 'examples/Answer', (
        ('arduino/Answer.ino', '{answer}/Answer.ino'), ('arduino/library.properties', 'library.properties'))),
    'zephyr': Format('Zephyr', 'src', 'include', 'samples/answer/src', (
        MAIN, ('zephyr/module.yml', 'zephyr/module.yml'), ('zephyr/CMakeLists.txt', 'CMakeLists.txt'),
        ('zephyr/Kconfig', 'Kconfig'), ('zephyr/sample.cmake', 'samples/answer/CMakeLists.txt'),
        ('zephyr/prj.conf', 'samples/answer/prj.conf'), ('zephyr/sample.yaml', 'samples/answer/sample.yaml'))),
    'esp-idf': Format('ESP-IDF', 'src', 'include', 'examples/answer/main', (
        ('esp-idf/app_main.c', '{answer}/main.c'), ('esp-idf/CMakeLists.txt', 'CMakeLists.txt'),
        ('esp-idf/idf_component.yml', 'idf_component.yml'),
        ('esp-idf/project.cmake', 'examples/answer/CMakeLists.txt'),
        ('esp-idf/main.cmake', '{answer}/CMakeLists.txt'))),
    'cubemx': Format('STM32CubeMX', 'Middlewares/TinyFormer/Src', 'Middlewares/TinyFormer/Inc',
                     'Middlewares/TinyFormer/Example', (('cubemx/tinyformer.cmake', 'tinyformer.cmake'),)),
}


def layout(
    name:str, # a key of FORMATS
    prefix:str, # of the model's names
)->Format: # with every path filled in
    "The paths of a format for a model."
    if name not in FORMATS: raise BadInput(f"no format {name!r}; choose {', '.join(FORMATS)}")
    f = FORMATS[name]
    sources, headers, answer = (p.format(name=prefix) for p in (f.sources, f.headers, f.answer))
    own = tuple((template, path.format(name=prefix, answer=answer)) for template, path in f.own)
    return Format(f.title, sources, headers, answer, own)


def _texts(fw, form, name, folder):
    "Generated files of an export: relative path -> text."
    title = re.sub(r'[^ !#-\[\]-~]', '?', fw.graph.name)
    g, used = fw.graph, dict(title=title, prefix=fw.prefix, PREFIX=fw.prefix.upper(), component=Path(folder).name)
    used['about'] = f'The int8 model {title} as C'
    sizes = dict(weights=f'{fw.weights_bytes:,}', arena=f'{fw.arena_bytes:,}', input=g.tensors[g.input].nbytes,
                 output=g.tensors[g.output].nbytes)
    include = ' '.join(f'-I{d}' for d in dict.fromkeys([form.headers, form.answer]))
    places = dict(include=include, sources=form.sources, headers=form.headers, answer=form.answer)
    def text(template): return fill(f'export/{template}', **used)
    steps = text(f'{name}/README.md')
    return {f'{form.answer}/answer.c': text('answer.c'), f'{form.answer}/answer.h': text('answer.h'),
            'host/main.c': text('main.c'), 'Makefile': fill('export/Makefile', **places),
            'README.md': fill('export/README.md', **used, **sizes, steps=steps),
            **{path: text(template) for template, path in form.own}}


def export(
    graph, # the model
    target, # decides the kernels, with the budget to meet
    name:str, # a key of FORMATS
    folder:Path, # where to put it
    prefix:str=None, # of all names in C; None: from the model's name
    **how, # as `generate` takes it
): # the `codegen.Firmware`, whose folder is gone: its figures are those of the export
    "Write a folder for another build system, whole or not at all."
    form = layout(name, prefix_of(graph.name, prefix))
    with tempfile.TemporaryDirectory() as tmp:
        fw = generate(graph, target, Path(tmp)/'fw', port='host', prefix=prefix, **how)
        own, *kernels = fw.sources
        headers = [*fw.folder.glob('*.h'), *(fw.folder/'include').glob('*.h')]
        copies = ({f'{form.sources}/{p.name}': p for p in (own, *kernels)}
                  | {f'{form.headers}/{p.name}': p for p in sorted(headers)}
                  | {'LICENSE': firmware_dir().parent/'LICENSE'})
        write_folder(folder, _texts(fw, form, name, folder), copies)
    return fw
