"""The firmware in a page: a model's C as WebAssembly, and all that the page needs to show what it does.

The page itself is `web/live.js` and `web/live.css`. It runs from a file, without a server and without a network."""
import base64, functools, html, json, tempfile
from pathlib import Path

import numpy as np

from . import graph as tg, zoo
from .codegen import Firmware, constants, model_c, pick_example, plan_dict
from .data import digits_arrays, to_int8
from .errors import BadInput
from .hardware import target
from .simulator import build_wasm
from .toolchain import WARNINGS, compile_wasm, firmware_dir

WEB = Path(__file__).resolve().parent/'web'
MODELS = ('digits', 'cifar10-256kb', 'cifar10-1mb')
"Models of the zoo that the page shows: together they stay below its 2 MB."

MIME = 'application/vnd.tinyformer.live+json'
"The form in which a notebook stores the page: the names of its models, which the site builds."

CLASSES = {'digits': tuple('0123456789'),
           'cifar10': ('airplane', 'automobile', 'bird', 'cat', 'deer', 'dog', 'frog', 'horse', 'ship', 'truck')}


def wasm(
    fw:Firmware,      # a generated folder
    trace:bool=True,  # tell the page what each operator makes
    optimize:str='-Os', # optimisation level: the smallest, for a page
)->Path:              # the module
    "A folder's C as a WebAssembly module; with `trace` model.c is written again with calls that tell."
    if not trace: return build_wasm(fw, optimize=optimize)
    folder, main = Path(fw.folder), firmware_dir()/'ports'/'wasm'/'module.c'
    flags = *WARNINGS, '-Wl,--import-symbols'          # tfm_trace is the page's
    with tempfile.TemporaryDirectory() as tmp:
        model = Path(tmp)/'model.c'
        blobs = constants(fw.graph, fw.choices, fw.prefix)
        model.write_text(model_c(fw.graph, fw.choices, fw.arena, blobs, fw.chains, True, fw.prefix))
        return compile_wasm([model, *fw.sources[1:], main], None, [folder/'include', folder], flags, optimize)


def classes_of(
    data:str, # name of a data set
)->list:      # names of its classes
    "What the page calls the outputs of a network."
    if data in CLASSES: return list(CLASSES[data])
    raise BadInput(f'the page does not show networks for {data}: it draws digits and pictures. Take one of '
                   f'{", ".join(MODELS)}')


# ---- what the page is told -------------------------------------------------------------------------------------------

def coded(
    values, # bytes, or an array of them
)->str:     # base64
    "Bytes as text."
    raw = values if isinstance(values, bytes) else np.ascontiguousarray(values).tobytes()
    return base64.b64encode(raw).decode()


def operators(
    fw:Firmware,  # a generated folder
    profile:dict, # operator -> [instructions, cycles, waiting], as a card has it
)->list:          # of dicts, in the order in which they run
    "Name, kind, kernel, shape and cost of every operator; what it reads, by number, -1 for the input."
    made = {op.output: i for i, op in enumerate(fw.graph.ops)}
    rows = []
    for op, plan in zip(fw.graph.ops, plan_dict(fw)['operators']):
        out = fw.graph.tensors[op.output]
        rows.append(dict(name=op.name, kind=op.kind, kernel=plan['kernel'], shape=list(out.shape), scale=out.scale,
                         zero=out.zero_point, reads=[made.get(name, -1) for name in op.inputs],
                         weights=plan['weight_bytes'], instructions=profile[op.name][0]))
    return rows


def attentions(
    graph:tg.Graph, # with its operators in the order in which they run
)->list:            # of dicts
    "What the page needs to compute an attention map with the integers of `operators.attention_s8`."
    made, found = {op.output: i for i, op in enumerate(graph.ops)}, []
    for i, op in enumerate(graph.ops):
        if op.kind != 'attention': continue
        side = round(op.attrs['tokens']**.5)
        if side**2 != op.attrs['tokens'] or op.attrs['causal']: continue         # the page shows square pictures
        q, k = (made[name] for name in op.inputs[:2])
        numbers = {name: int(op.attrs[name]) for name in ('tokens', 'dim', 'heads', 'mult_qk', 'shift_qk')}
        found.append(dict(op=i, q=q, k=k, side=side, table=op.params['table'].tolist(), **numbers))
    return found


def samples(
    model:tg.Graph, # from the zoo
)->list:            # of dicts: label, and the bytes of the input
    "One test image of each digit; the other models have none that may travel with the package."
    if model.card['dataset']['name'] != 'digits': return []
    arrays = digits_arrays()
    first = [int(np.flatnonzero(arrays['y_test'] == d)[0]) for d in range(10)]
    return [dict(label=str(arrays['y_test'][i]), input=coded(to_int8(arrays['x_test'][i]))) for i in first]


def facts(
    model:tg.Graph, # from the zoo
    fw:Firmware,    # its C, generated as its card says
)->dict:            # plain JSON data
    "All that the page shows of a model, but for its code."
    card, (source, out) = model.card, (fw.graph.tensors[n] for n in (fw.graph.input, fw.graph.output))
    x, clock = pick_example(fw.graph), target(card['setting']['target']).clock_hz
    buffers = [dict(name=b['name'], scratch=b['scratch'], bytes=b['bytes'], at=b['offset'], start=b['first_step'],
                    stop=b['end_step']) for b in plan_dict(fw)['tensors']]
    return dict(name=card['name'], about=card['about'], data=card['dataset']['copy'], shape=list(source.shape),
                accuracy=card['accuracy']['int8'], images=card['images']['int8'],
                classes=classes_of(card['dataset']['name']), scale=out.scale, zero=out.zero_point,
                flash=card['flash']['total'], sram=card['sram']['total'], arena=fw.arena_bytes, buffers=buffers,
                operators=operators(fw, card['profile']), attentions=attentions(fw.graph), samples=samples(model),
                instructions=card['instructions'], cycles=card['cycles'], clock=clock, compiler=card['compiler'],
                check=dict(input=coded(x), output=coded(tg.run(fw.graph, x[None])[0])))


@functools.lru_cache(None)
def bundle(
    name:str, # of a model of the zoo, such as one of MODELS
)->str:       # JavaScript that hands it to the page
    "A model with its code and its facts, as the page loads it."
    model = zoo.load(name)
    classes_of(model.card['dataset']['name'])              # refused before anything is compiled
    with tempfile.TemporaryDirectory() as tmp:
        fw = zoo.Setting(**model.card['setting']).firmware(model, Path(tmp)/'model')
        told = facts(model, fw) | dict(wasm=coded(wasm(fw).read_bytes()))
    return f"tinyformerModel({json.dumps(told, separators=(',', ':'))});\n"


# ---- the page --------------------------------------------------------------------------------------------------------

def container(
    names=MODELS,  # models that the reader may choose from
    folder:str='', # where the page finds their files; '' = they are in the page
)->str:            # HTML
    "The element that `web/live.js` fills."
    return (f'<div class="tf-live" data-models="{html.escape(" ".join(names))}" data-from="{html.escape(folder)}">'
            'The page runs the firmware with WebAssembly, and needs JavaScript for it.</div>')


def write(
    folder,       # made where it is missing
    names=MODELS, # of the zoo
)->int:           # bytes
    "Write the files of the page; gives what they weigh."
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    texts = {o.name: o.read_text(encoding='utf-8') for o in (WEB/'live.js', WEB/'live.css')}
    texts |= {f'{name}.js': bundle(name) for name in names}
    for name, text in texts.items(): (folder/name).write_text(text, encoding='utf-8')
    return sum(len(text.encode()) for text in texts.values())


def page(
    names=('digits',), # models of the zoo
)->str:                # HTML
    "The whole page as one document, with all that it needs inside."
    style, script = ((WEB/name).read_text(encoding='utf-8') for name in ('live.css', 'live.js'))
    scripts = ''.join(f'<script>{text}</script>\n' for text in (script, *map(bundle, names)))
    return (f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>TinyFormer, alive</title>\n'
            f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<style>{style}</style></head>\n'
            f'<body>{container(names)}\n{scripts}</body></html>\n')


class Live:
    "The page as a widget in Jupyter; the site shows its own copy, with all models, in its place."
    def __init__(self,
        names, # models of the zoo
    ):
        self.names, self.html = names, page(names)

    def _repr_mimebundle_(self, **kwargs):
        from ipywidgets import HTML
        frame = (f'<iframe srcdoc="{html.escape(self.html)}" style="width:100%;height:60rem;border:0" '
                 'sandbox="allow-scripts" title="The firmware in the page"></iframe>')
        said = {MIME: dict(models=list(self.names)), 'text/plain': f"the live page of {', '.join(self.names)}"}
        return (HTML(frame)._repr_mimebundle_(**kwargs) or {}) | said


def show(
    *names:str, # models of the zoo, such as those of MODELS
)->Live:        # shows itself in Jupyter
    "The page in a notebook."
    return Live(names or MODELS[:1])
