"A model that looks at an image from both sides: which answer it gives, and what it costs."
import re
from dataclasses import replace

import numpy as np
import pytest

from tinyformer import cli, codegen as cg, zoo
from tinyformer.emit import constant_bytes, constants, written_once
from tinyformer.errors import BadInput
from tinyformer.graph import Graph, Op, Tensor, random_graph, run
from tinyformer.graph_file import load, save
from tinyformer.hardware import target
from tinyformer.mirror import mirrored
from tinyformer.simulator import build, run_host, simulate

BOARD = target('stm32f746')


def pixels(n, shape, seed=0): return np.random.default_rng(seed).integers(-128, 128, (n, *shape), np.int8)


@pytest.mark.parametrize('seed,shape', [(0, (8, 12, 3)), (1, (12, 8, 1)), (2, (16, 16, 3))])
def test_the_answer_is_the_mean_of_both_sides(seed, shape):
    "Rounded halves up, as `add` does; an image and its mirror image get the same answer."
    g = random_graph(seed, shape)
    both, x = mirrored(g), pixels(20, shape)
    other = np.ascontiguousarray(x[:, :, ::-1])
    a, b = (run(g, v).astype(int) for v in (x, other))
    assert (a != b).any()
    assert np.array_equal(run(both, x), (a + b + 1) // 2)
    assert np.array_equal(run(both, x), run(both, other))


@pytest.mark.parametrize('integrity', [False, True])
def test_the_c_of_it_has_every_constant_once(tmp_path, integrity):
    g = random_graph(3, (8, 12, 3))
    both, x = mirrored(g), pixels(6, (8, 12, 3))
    one, fw = (cg.generate(m, BOARD, tmp_path / n, integrity=integrity) for m, n in ((g, 'one'), (both, 'both')))
    assert fw.weights_bytes == one.weights_bytes > 0
    few, names = (re.findall(r'(\w+)\[\d+\]', (tmp_path / n / 'weights.c').read_text()) for n in ('one', 'both'))
    assert len(few) == len(names) == len(set(names)) > 10
    assert np.array_equal(run_host(fw, x), run(both, x))
    alone, image = build(one), build(fw)
    assert np.array_equal(simulate(image, fw, x, progress=False).outputs, run(both, x))
    assert alone.flash_bytes < image.flash_bytes < alone.flash_bytes + 400 * len(both.ops)
    cost = zoo.footprint(fw, image)['flash']
    assert cost['weights'] + cost['constants'] == fw.weights_bytes


def test_equal_arrays_of_other_types_stay_apart():
    "Four zero bytes are no zero word."
    t = {n: Tensor(n, (4,), .5, 0) for n in 'xyz'}
    def layer(name, x, y, **params):
        attrs = dict(pixels=1, cin=4, cout=4, shift=0, zp_in=0, zp_out=0)
        return Op('fully_connected', name, [x], y, attrs, params)
    zeros = dict(weight=np.ones((4, 4), np.int8), bias=np.zeros(4, np.int32), mult=np.full(4, 2**30, np.int32))
    ones = dict(zeros, weight=np.full((4, 4), 2, np.int8))
    g = Graph(t, [layer('a', 'x', 'y', **zeros), layer('b', 'y', 'z', **ones)], 'x', 'z')
    blobs = constants(g, cg.choose_kernels(g, BOARD))
    first, second = (blobs[n] for n in 'ab')
    assert first['bias'][0] == second['bias'][0] and first['mult'][0] == second['mult'][0]
    assert first['bias'][0] != first['mult'][0]
    own = written_once(blobs)['b']
    assert own and all(n not in {m for m, _ in first.values()} for n, _ in own.values())
    assert constant_bytes(blobs) == sum(a.nbytes for b in written_once(blobs).values() for _, a in b.values())


@pytest.mark.parametrize('what,said', [('sound', 'shape .49, 12.'), ('map', 'left and a right side'),
                                       ('twice', 'does so already'), ('pair', 'several inputs')])
def test_what_has_no_mirror_image_is_refused(what, said):
    g = random_graph(0, (8, 12, 3))
    if what == 'sound': g = replace(g, tensors=g.tensors | {g.input: replace(g.tensors[g.input], shape=(49, 12))})
    if what == 'map': g = replace(g, output=g.ops[0].output)
    if what == 'twice': g = mirrored(g)
    if what == 'pair': g = replace(g, meta=dict(inputs=[dict(name='a'), dict(name='b')]))
    with pytest.raises(BadInput, match=f'cannot look at a mirror image: .*{said}'): mirrored(g)


def test_the_command(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(['mirror', 'cifar10-100kb']) == 0
    assert 'Next: tinyformer evaluate cifar10-tiny_mirror.tfm' in capsys.readouterr().out
    both, one = load(tmp_path / 'cifar10-tiny_mirror.tfm'), zoo.load('cifar10-100kb')
    assert both.name == one.name and len(both.ops) == 2 * len(one.ops) + 2
    before = (tmp_path / 'cifar10-tiny_mirror.tfm').read_bytes()
    save(random_graph(0), tmp_path / 'own.tfm')
    for typed, said in (('own.tfm --out own.tfm', 'another name'), ('cifar10-tiny_mirror.tfm', 'already'),
                        ('net.onnx', 'tinyformer deploy'), ('nothing', 'nothing')):
        assert cli.main(['mirror', *typed.split()]) == 1
        assert said in capsys.readouterr().err
    assert (tmp_path / 'cifar10-tiny_mirror.tfm').read_bytes() == before
