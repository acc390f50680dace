"""What a person has in hand: every form that is opened, every one that is refused, and files that try to run code."""
import json, pickle, zipfile

import pytest
import torch, torch.nn as nn

from tinyformer.errors import BadInput, CorruptModel, TinyFormerError, UnsupportedOp
from tinyformer.graph import random_graph, save
from tinyformer.modelfile import REFUSED, fill, open_model, safe_name, unwrap


def small(): return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3)).eval()


@pytest.fixture
def factory(tmp_path):
    "net.py, which imports a module beside it."
    (tmp_path/'beside.py').write_text('width = 4\n')
    (tmp_path/'net.py').write_text('import torch.nn as nn\nfrom beside import width\n'
        'def small():\n    return nn.Sequential(nn.Conv2d(1, width, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3))\n'
        'def shaped():\n    net = small(); net.input_shape = (1, 8, 8); return net\n'
        'def wants(x): return x\ndef five(): return 5\nnumber = 5\n')
    return tmp_path/'net.py'


# ---- factories and their weights -------------------------------------------------------------------------------------

def test_a_function_of_a_file(factory, tmp_path):
    net = small()
    torch.save(net.state_dict(), tmp_path/'w.pt')
    opened = open_model(f'{factory}:small', tmp_path/'w.pt')
    x = torch.rand(2, 1, 8, 8)
    with torch.no_grad(): assert torch.equal(opened.net(x), net(x))
    assert opened.name == 'small' and opened.shapes == () and not opened.net.training
    assert open_model(f'{factory}:shaped').shapes == ((1, 8, 8),)


@pytest.mark.parametrize('name, words', [
    ('missing', 'no function'), ('number', 'no function'), ('wants', 'without arguments'),
    ('five', 'the network is a int'),
    ('not a name', 'name of a function'), ('', 'name of a function')])
def test_a_function_that_does_not_serve(factory, name, words):
    with pytest.raises(BadInput, match=words): open_model(f'{factory}:{name}')


def test_a_file_without_a_function(factory, tmp_path):
    with pytest.raises(BadInput, match='net.py:function'): open_model(factory)
    with pytest.raises(BadInput, match='no file'): open_model(f'{tmp_path}/none.py:f')
    (tmp_path/'bad.py').write_text('import nothing_of_that_name')
    with pytest.raises(BadInput, match='cannot be imported.*nothing_of_that_name'): open_model(f'{tmp_path}/bad.py:f')


@pytest.mark.parametrize('wrap', [lambda d: d, lambda d: dict(state_dict=d, epoch=3), lambda d: dict(model=d),
                                  lambda d: {f'module.{k}': v for k, v in d.items()},
                                  lambda d: dict(state_dict={f'model.{k}': v for k, v in d.items()})])
def test_weights_as_training_loops_save_them(wrap, tmp_path):
    a, b = small(), small()
    torch.save(wrap(a.state_dict()), tmp_path/'w.pt')
    fill(b, tmp_path/'w.pt')
    assert all(torch.equal(v, b.state_dict()[k]) for k, v in a.state_dict().items())


class Evil:
    "Unpickling it creates a file."
    def __init__(self, path): self.path = path
    def __reduce__(self): return open, (str(self.path), 'w')


def test_weights_that_are_none(tmp_path):
    net, path = small(), tmp_path/'w.pt'
    for held in (net, Evil(tmp_path/'was here')):
        torch.save(held, path)
        with pytest.raises(BadInput, match=r'torch.save\(net.state_dict\(\), FILE\)'): fill(net, path)
    assert not (tmp_path/'was here').exists()
    path.write_text('hello')
    with pytest.raises(BadInput, match='state_dict'): fill(net, path)
    with pytest.raises(BadInput, match='cannot be read'): fill(net, tmp_path/'none.pt')
    for state, words in ((dict(a=torch.ones(1)), "lacks '0.bias'"),
                         ({**net.state_dict(), 'z': torch.ones(1)}, "has 'z'"),
                         ({**net.state_dict(), '0.bias': torch.ones(9)}, r"'0.bias' as \(9,\)"), ([1], 'no weights')):
        torch.save(state, path)
        with pytest.raises(BadInput, match=words): fill(net, path)


# ---- wrappers --------------------------------------------------------------------------------------------------------

def test_wrappers_are_taken_off():
    net = small()
    average = torch.optim.swa_utils.AveragedModel(net)
    assert unwrap(nn.DataParallel(net)) is net and unwrap(torch.compile(nn.DataParallel(net))) is net
    assert unwrap(average) is average.module
    with pytest.raises(UnsupportedOp, match='the module that it was made from'):
        unwrap(torch.jit.trace(net, torch.rand(1, 1, 8, 8)))
    with pytest.raises(BadInput, match='the network is a dict'): unwrap({})


# ---- programs --------------------------------------------------------------------------------------------------------

class Viewed(nn.Module):
    "Its program holds the number of images."
    def __init__(self): super().__init__(); self.fc = nn.Linear(8, 3)
    def forward(self, x): return self.fc(x.reshape(x.shape[0] * 8, 8)).reshape(x.shape[0], 8, 3)


def exported(net, x, path, **kw):
    torch.export.save(torch.export.export(net, (x,), strict=False, **kw), path)
    return path


@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize('net', [small(), Viewed()])
@pytest.mark.parametrize('open_', [False, True])
def test_a_program(net, open_, tmp_path):
    x = torch.rand(5, 1, 8, 8)
    how = dict(dynamic_shapes=({0: torch.export.Dim('n')},)) if open_ else {}
    opened = open_model(exported(net, x if open_ else x[:1], tmp_path/'n.pt2', **how))
    with torch.no_grad(): torch.testing.assert_close(opened.net(x), net(x))
    assert opened.shapes == ((1, 8, 8),) and opened.name == 'n'


def changed(path, edit):
    "Rewrite a program's archive, entry by entry."
    with zipfile.ZipFile(path) as z: held = {n: z.read(n) for n in z.namelist()}
    held = edit(held)
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_STORED) as z:
        for n, b in held.items(): z.writestr(n, b)


def pickled_weight(held, evil):
    "A weight that says it is pickled, and is something else."
    config = next(n for n in held if n.endswith('weights_config.json'))
    d = json.loads(held[config])
    name, entry = next(iter(d['config'].items()))
    entry['use_pickle'] = True
    target = next(n for n in held if n.endswith(entry['path_name']))
    return {**held, config: json.dumps(d).encode(), target: pickle.dumps(evil)}


@pytest.mark.filterwarnings('ignore')
def test_a_program_runs_no_code(tmp_path):
    path, mark = exported(small(), torch.rand(1, 1, 8, 8), tmp_path/'n.pt2'), tmp_path/'was here'
    changed(path, lambda held: pickled_weight(held, Evil(mark)))
    with pytest.raises(CorruptModel, match='torch.export'): open_model(path)
    assert not mark.exists()


@pytest.mark.filterwarnings('ignore')
def test_a_size_of_a_program_is_no_code(tmp_path):
    how = dict(dynamic_shapes=({0: torch.export.Dim('n')},))
    path, mark = exported(small(), torch.rand(2, 1, 8, 8), tmp_path/'n.pt2', **how), tmp_path/'was here'
    def edit(held):
        name = next(n for n in held if n.endswith('models/n.json') or '/models/' in n)
        def evil(d):
            if isinstance(d, dict): return {k: f"open('{mark}', 'w')" if k == 'expr_str' else evil(v) for k,
                                            v in d.items()}
            return [evil(v) for v in d] if isinstance(d, list) else d
        before = json.loads(held[name])
        assert 'expr_str' in json.dumps(before)
        return {**held, name: json.dumps(evil(before)).encode()}
    changed(path, edit)
    with pytest.raises(CorruptModel, match='which is no number'): open_model(path)
    assert not mark.exists()


def test_a_damaged_program(tmp_path):
    path = tmp_path/'n.pt2'
    for text in (b'', b'PK\x03\x04 and then nothing', b'hello'):
        path.write_bytes(text)
        with pytest.raises(CorruptModel, match='torch.export'): open_model(path)


# ---- the door --------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize('end', [*REFUSED, '.PT', '.H5'])
def test_every_other_format_is_refused_with_what_to_do(end, tmp_path):
    (tmp_path/f'net{end}').write_bytes(b'x')
    with pytest.raises(BadInput, match='onnx|--weights'): open_model(tmp_path/f'net{end}')


def test_what_is_no_model(tmp_path):
    for what, words in ((tmp_path, 'is a folder'), (tmp_path/'none.onnx', 'no file'),
                        (tmp_path/'notes.txt', '.txt are not known'),
                        (tmp_path/'net', 'nothing are not known')):
        if what != tmp_path and 'none' not in what.name: what.write_text('x')
        with pytest.raises(BadInput, match=words): open_model(what)
    with pytest.raises(BadInput, match='--weights is for'): open_model(tmp_path/'notes.txt', 'w.pt')


def test_a_model_file_of_ours(tmp_path):
    save(random_graph(0), tmp_path/'a model.tfm')
    opened = open_model(tmp_path/'a model.tfm')
    assert opened.net is None and opened.graph.ops and opened.name == 'a_model'
    (tmp_path/'bad.tfm').write_bytes(b'x')
    with pytest.raises(TinyFormerError): open_model(tmp_path/'bad.tfm')


def test_names_are_safe(): assert [safe_name(t) for t in ('a b/c', '..', 'é', '-x')] == ['a_b_c', 'model', '_', 'x']


def test_a_program_for_two_images_runs_an_odd_number(tmp_path):
    net = nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.ReLU()).eval()
    torch.export.save(torch.export.export(net, (torch.zeros(2, 5),)), tmp_path/'pair.pt2')
    read = open_model(tmp_path/'pair.pt2').net
    for n in (1, 2, 3, 4, 7):
        x = torch.randn(n, 5, generator=torch.Generator().manual_seed(n))
        with torch.no_grad(): torch.testing.assert_close(read(x), net(x))
