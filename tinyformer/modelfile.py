"""What a person has in hand, opened as a torch network: an ONNX file, a `torch.export` program, a factory in a Python
file, or a model file of ours. Nothing in a stranger's file is run; what only pickle could read is refused with the line
that fixes it."""
import importlib.util, inspect, json, math, re, sys, warnings, zipfile
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from unittest.mock import patch

import torch, torch.nn as nn

from tinyformer import importer
from tinyformer.data import one_line
from tinyformer.errors import BadInput, CorruptModel

EXPORT = 'export it as ONNX (torch.onnx.export) or with torch.export.save(torch.export.export(net, (x,)), "net.pt2")'
REFUSED = {
    '.pt': f'a file of torch.save holds pickled code: {EXPORT}, or give module.py:function --weights FILE',
    '.tflite': 'TensorFlow Lite is not read: export the Keras model as ONNX (pip install tf2onnx; python -m '
               'tf2onnx.convert --saved-model DIR --output net.onnx)',
    '.h5': 'Keras files are not read: export the model as ONNX (pip install tf2onnx; tf2onnx.convert.from_keras(model, '
           'output_path="net.onnx"), or model.export("net.onnx", format="onnx"))',
    '.safetensors': 'weights alone are no network: give module.py:function --weights FILE with a file of torch.save('
                    'net.state_dict(), FILE)',
    '.pb': 'TensorFlow graphs are not read: export ONNX (python -m tf2onnx.convert --graphdef FILE --output net.onnx)'}
REFUSED |= {'.pth': REFUSED['.pt'], '.ckpt': REFUSED['.pt'], '.bin': REFUSED['.pt'], '.pkl': REFUSED['.pt'],
            '.keras': REFUSED['.h5'], '.hdf5': REFUSED['.h5']}
"How a file's name ends -> why it is refused, and what to do."
KINDS = 'an ONNX file (.onnx), a torch.export program (.pt2), a model file (.tfm), or module.py:function'


@dataclass
class Opened:
    "A network and what its file says of it."
    name: str             # letters, digits, _ . -
    net: object = None    # nn.Module in evaluation mode, for any number of images; None for a .tfm
    program: object = None # torch.export program, where the network is written for one image
    graph: object = None  # `graph.Graph` of a .tfm
    shapes: tuple = ()    # of each input without the images, as the network reads it; () where the file does not say
    files: tuple = ()     # that decide it

    @property
    def source(self): return self.net if self.program is None else self.program     # what the importer reads


# ---- wrappers --------------------------------------------------------------------------------------------------------

def unwrap(
    net, # what a person calls a network
): # nn.Module
    "The network inside torch.compile, DataParallel and averages; what has none inside is refused."
    net = importer.unwrap(net)
    if isinstance(net, torch.optim.swa_utils.AveragedModel): return unwrap(net.module)
    return net.module() if isinstance(net, torch.export.ExportedProgram) else net


# ---- factories -------------------------------------------------------------------------------------------------------

def _module(file):
    "A Python file as a module, which sees the modules beside it."
    spec = importlib.util.spec_from_file_location(f'_tinyformer_user_{file.stem}', file)
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(file.parent))
    try: spec.loader.exec_module(module)
    finally: sys.path.remove(str(file.parent))
    return module


def _factory(what):
    "(file, function name) of module.py:function."
    file, _, name = what.rpartition(':')
    file = Path(file)
    if not file.is_file(): raise BadInput(f'no file {file}: the model is {KINDS}')
    if not name.isidentifier(): raise BadInput(f'{what!r}: after the colon comes the name of a function')
    return file, name


def from_factory(
    what,         # 'module.py:function'; the function takes nothing and gives the network
    weights=None, # file of torch.save(net.state_dict(), FILE)
): # Opened
    "Call a person's own function that builds a network, and fill in its weights."
    file, name = _factory(what)
    try: f = getattr(_module(file), name, None)
    except Exception as e: raise BadInput(f'{file} cannot be imported ({type(e).__name__}: {one_line(e)})') from e
    if not callable(f): raise BadInput(f'{file} has no function {name!r}')
    try: net = f()
    except Exception as e:
        raise BadInput(f'{what} failed ({type(e).__name__}: {one_line(e)}): it must build the network without '
                       'arguments') from e
    net = unwrap(net)
    if isinstance(net, torch.nn.Module): net = net.cpu().float()       # half and double weights as well
    if weights: fill(net, weights)
    shapes = getattr(net, 'input_shape', None) or ()
    if shapes and not isinstance(shapes[0], (tuple, list)): shapes = (shapes,)
    return Opened(name, net.eval(), shapes=tuple(map(tuple, shapes)), files=(file, *([weights] * bool(weights))))


SAVE = 'save the weights alone:  torch.save(net.state_dict(), FILE)'


def fill(
    net,  # nn.Module, changed in place
    path, # file of a state_dict
):
    "Load weights without running what a pickle may hold."
    try: held = torch.load(path, weights_only=True, map_location='cpu')
    except OSError as e: raise BadInput(f'{path} cannot be read: {e.strerror or e}') from e
    except Exception as e:
        raise BadInput(f'{path} holds more than tensors, and reading it could run code of a stranger: {SAVE}') from e
    held = _state(held)
    if not isinstance(held, dict) or not all(torch.is_tensor(v) for v in held.values()):
        raise BadInput(f'{path} holds no weights: {SAVE}')
    ours = net.state_dict()
    lost, more = sorted(set(ours) - set(held)), sorted(set(held) - set(ours))
    shape = [k for k in ours if k in held and ours[k].shape != held[k].shape]
    if lost or more or shape:
        what = f'lacks {lost[0]!r}' if lost else f'has {more[0]!r}, which the network lacks' if more else \
               f'has {shape[0]!r} as {tuple(held[shape[0]].shape)}, the network as {tuple(ours[shape[0]].shape)}'
        raise BadInput(f'{path} belongs to another network: it {what} ({len(lost) + len(more) + len(shape)} of '
                       f'{len(ours)} differ)')
    net.load_state_dict(held)


def _state(held):
    "The weights inside a training checkpoint, under the names that the bare network has."
    for key in ('state_dict', 'model_state_dict', 'model'):
        if isinstance(held, dict) and isinstance(held.get(key), dict): held = held[key]
    if not isinstance(held, dict): return held
    names = [str(k) for k in held]
    for prefix in ('module.', '_orig_mod.', 'model.', 'net.'):
        if names and all(n.startswith(prefix) for n in names): return {k[len(prefix):]: v for k, v in held.items()}
    return held


# ---- torch.export programs -------------------------------------------------------------------------------------------

@contextmanager
def _no_pickle():
    "Inside the block, torch reads tensors and nothing else."
    real = torch.load
    def careful(*args, **kw): return real(*args, **kw | dict(weights_only=True))
    def never(*args, **kw): raise ValueError('the file holds pickled objects')
    with patch('torch.load', careful), patch('pickle.loads', never), patch('pickle.load', never), \
         patch.object(torch._C, '_pickle_load_obj', never): yield


SYMBOL = re.compile(r"Symbol\('[su]\d+'(, (positive|nonnegative|integer)=True)*\)")
FORMULA = re.compile(r'(n|Mul|Add|Pow|Integer|Max|Min|Mod|FloorDiv|CleanDiv|CeilDiv|oo|int_oo|[-+*/(), <>0-9])*')
"What a size in a program may be: torch hands it to a reader of formulas that could run more than formulas."


def _formulas(held):
    "Every formula in the JSON of a program."
    if isinstance(held, dict):
        for k, v in held.items():
            if k == 'expr_str': yield v
            else: yield from _formulas(v)
    elif isinstance(held, list):
        for v in held: yield from _formulas(v)


def _check_program(path):
    "Refuse an archive with anything but plain sizes in its formulas."
    try:
        with zipfile.ZipFile(path) as z:
            texts = [z.read(n) for n in z.namelist() if n.endswith('.json')]
            formulas = [f for t in texts for f in _formulas(json.loads(t))]
    except (OSError, ValueError, zipfile.BadZipFile, KeyError) as e:
        raise CorruptModel(f'{path} is no sound torch.export program ({one_line(e)}): {EXPORT}') from e
    for f in formulas:
        if not isinstance(f, str) or not FORMULA.fullmatch(re.sub(r'\b[su]\d+\b', 'n', SYMBOL.sub('n', f))):
            raise CorruptModel(f'{path} has a size {str(f)[:60]!r}, which is no number: {EXPORT}')


class OneByOne(nn.Module):
    "A program that was exported for a fixed number of images, run that many at a time."
    def __init__(self, program, images): super().__init__(); self.program, self.images = program, images

    def forward(self, x):
        if len(x) == self.images: return self.program(x)
        full = torch.cat([x, x[-1:].expand(-len(x) % self.images, *x.shape[1:])])    # the last one fills up the rest
        return torch.cat([self.program(part) for part in full.split(self.images)])[:len(x)]


def _any_batch(program, args):
    "The module of a program, for any number of images."
    free = 'check_guards' in inspect.signature(program.module).parameters
    net = program.module(check_guards=False) if free else program.module()
    if len(args) != 1 or not torch.is_tensor(args[0]): return net
    x = args[0].detach()[:1]
    try:
        with torch.no_grad(): one, two = net(x), net(torch.cat([x, x]))
        if one.shape[0] == 1 and two.shape[0] == 2 and torch.allclose(two[1:], one, atol=1e-4, rtol=1e-3): return net
    except Exception: pass                               # its shapes hold the number of images
    return OneByOne(net, len(args[0]))


def from_program(
    path, # .pt2 file
): # Opened
    "A program of torch.export, read without pickle."
    _check_program(path)
    try:
        with _no_pickle(), warnings.catch_warnings():
            warnings.simplefilter('ignore')
            program = torch.export.load(path)
    except OSError as e: raise BadInput(f'{path} cannot be read: {e.strerror or e}') from e
    except Exception as e:
        raise CorruptModel(f'{path} cannot be read as a torch.export program ({one_line(e)}): {EXPORT}, with the '
                           'torch that is installed here') from e
    args = program.example_inputs[0] if program.example_inputs else ()
    shapes = tuple(tuple(a.shape[1:]) for a in args if torch.is_tensor(a))
    return Opened(Path(path).stem, _any_batch(program, args), program, shapes=shapes, files=(Path(path),))


def _for_one(net):
    "The program of an ONNX network that is written for one image; None for any number."
    if net.images is None: return None
    xs = tuple(torch.zeros(net.images, *s) for s in net.shapes.values())
    with torch.no_grad(): return torch.export.export(net, xs, strict=False)


# ---- the door --------------------------------------------------------------------------------------------------------

def safe_name(text):
    "A name that C and the model file allow."
    return re.sub(r'[^A-Za-z0-9_.-]+', '_', text).lstrip('.-')[:60] or 'model'


def open_model(
    what,         # path, or 'module.py:function'
    weights=None, # file of torch.save(net.state_dict(), FILE), for a function
    shapes=(),    # of the inputs without the images, for an ONNX file that leaves them open
): # Opened
    "Open what a person has in hand."
    text, path = str(what), Path(str(what))
    end = path.suffix.lower()
    if '.py:' in text or text.endswith('.py'):
        if text.endswith('.py'):
            raise BadInput(f'{text}: name the function that builds the network, as {text}:function')
        opened = from_factory(text, weights)
    elif weights: raise BadInput('--weights is for module.py:function; a file has its weights inside')
    elif end in REFUSED: raise BadInput(f'{text}: {REFUSED[end]}')
    elif path.is_dir(): raise BadInput(f'{text} is a folder: the model is {KINDS}')
    elif not path.is_file(): raise BadInput(f'no file {text}: the model is {KINDS}')
    elif end == '.onnx':
        from tinyformer.onnx_net import load_onnx
        net = load_onnx(path, shapes)
        opened = Opened(path.stem, net, _for_one(net), shapes=tuple(net.shapes.values()), files=(path,))
    elif end == '.pt2': opened = from_program(path)
    elif end == '.tfm':
        from tinyformer.graph import load
        opened = Opened(path.stem, graph=load(path), files=(path,))
    else: raise BadInput(f'{text}: files that end in {end or "nothing"} are not known; the model is {KINDS}')
    opened.name = safe_name(opened.name)
    return opened if len(opened.shapes) < 2 else _joined(opened)


def _joined(opened):
    "A network of several inputs, read from one vector."
    if opened.program is not None:
        raise BadInput(f'{opened.name} reads {len(opened.shapes)} inputs, which a program keeps apart: give an ONNX '
                       'file for any number of images, or module.py:function')
    values = sum(math.prod(s) for s in opened.shapes)
    return replace(opened, net=importer.one_input(opened.net, opened.shapes), shapes=((values,),))
