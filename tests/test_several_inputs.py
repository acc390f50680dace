"""Several inputs are one vector from calibration to the emulated core; constants stay in flash."""
import numpy as np
import pytest
import torch, torch.nn as nn

from tinyformer import deploy
from tinyformer.codegen import generate
from tinyformer.deploy import Settings
from tinyformer.errors import BadInput, CorruptModel, UnsupportedOp
from tinyformer.graph import check, load, run, save
from tinyformer.hardware import target
from tinyformer.importer import import_model
from tinyformer.lowering import lower
from tinyformer.modelfile import open_model
from tinyformer.quantization import quantize
from tinyformer.several_inputs import apart, beside, inputs_of, one_input
from tinyformer.simulator import build, simulate

SHAPES = (3, 6, 5), (7,)


class Gate(nn.Module):
    "A picture, weighted by a pose."
    def __init__(self):
        super().__init__()
        self.conv, self.fc, self.head = nn.Conv2d(3, 8, 3, padding=1), nn.Linear(7, 8), nn.Linear(8, 4)

    def forward(self, picture, pose):
        return self.head(self.conv(picture).relu().mean((2, 3)) * self.fc(pose).sigmoid())


@pytest.fixture
def gate():
    torch.manual_seed(0)
    return Gate().eval()


def given(n=40):
    gen = torch.Generator().manual_seed(1)
    return tuple(torch.rand(n, *s, generator=gen) for s in SHAPES)


def codes(graph, x):
    t = graph.tensors[graph.input]
    return np.clip(np.round(x.numpy() / t.scale) + t.zero_point, -128, 127).astype(np.int8)


def test_two_inputs_reach_the_core_as_one_vector(gate, tmp_path):
    xs = given()
    qnet = quantize(gate, xs).eval()
    graph = lower(qnet, 'gate')
    assert graph.meta['inputs'] == [dict(name='picture', first=0, shape=[6, 5, 3]),
                                    dict(name='pose', first=90, shape=[7])]
    with torch.no_grad(): want, got = gate(*xs), qnet(beside(*xs))
    assert 10 * torch.log10((want**2).sum() / ((want - got)**2).sum()) > 25
    fw = generate(graph, target('stm32f746'), tmp_path/'fw', check=True)
    header = (fw.folder/'model.h').read_text()
    assert '#define GATE_INPUT_00_PICTURE 0 ' in header and '#define GATE_INPUT_01_POSE 90 ' in header
    x = codes(graph, beside(*xs))[:3]
    assert np.array_equal(simulate(build(fw), fw, x, progress=False).outputs, run(graph, x))
    again = load(save(graph, tmp_path/'gate.tfm'))
    assert again.meta == graph.meta


def test_several_outputs_stand_in_the_header(tmp_path):
    class Two(nn.Module):
        def __init__(self): super().__init__(); self.a, self.b = nn.Linear(6, 3), nn.Linear(6, 2)
        def forward(self, x): return dict(angle=self.a(x), speed=self.b(x))
    graph = lower(quantize(Two(), torch.randn(20, 6)), 'two')
    header = (generate(graph, target('stm32f746'), tmp_path/'fw').folder/'model.h').read_text()
    assert '#define TWO_OUTPUT_00_ANGLE 0 ' in header and '#define TWO_OUTPUT_01_SPEED 3 ' in header


def test_the_parts_of_a_strangers_file_are_checked(gate):
    graph = lower(quantize(gate, given()), 'gate')
    graph.meta['inputs'][1]['first'] = 80
    with pytest.raises(CorruptModel, match=r'meta.inputs\[1\]: begins at 80, 90 values lie before it'): check(graph)
    graph.meta['inputs'] = [dict(name='*/ int x; /*', first=0, shape=[97])]
    check(graph)                                                  # a name goes to C as letters, digits and _ only


def test_what_several_inputs_need(gate):
    with pytest.raises(BadInput, match='reads picture, pose: calibration is a tuple of 2 tensors'):
        quantize(gate, torch.rand(9, 97))
    steps = import_model(gate, given(9))
    with pytest.raises(UnsupportedOp, match='give the module itself, and as calibration a tuple'):
        quantize(steps, torch.rand(9, 97))
    with pytest.raises(UnsupportedOp, match='reads picture, pose, and the device one vector'):
        quantize(torch.export.export(gate, given(2)), given(9))
    far, near = given()
    assert 'input pose reaches 0.0' in quantize(gate, (far, near / 50)).notes[0]


def test_an_onnx_file_of_two_inputs_goes_all_the_way(gate, tmp_path):
    import warnings
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        torch.onnx.export(gate, given(1), tmp_path/'gate.onnx', dynamo=False, input_names=['picture', 'pose'],
                          dynamic_axes=dict(picture={0: 'n'}, pose={0: 'n'}))
    assert open_model(tmp_path/'gate.onnx').shapes == ((97,),)
    np.savez(tmp_path/'x.npz', x=beside(*given()).numpy())
    graph, made_up = deploy.graph_of(Settings(str(tmp_path/'gate.onnx'), data=str(tmp_path/'x.npz')))
    assert [p['name'] for p in graph.meta['inputs']] == ['picture', 'pose'] and not made_up


def test_a_program_of_two_inputs_is_refused(gate, tmp_path):
    torch.export.save(torch.export.export(gate, given(1)), tmp_path/'gate.pt2')
    with pytest.raises(BadInput, match='reads 2 inputs.*ONNX'): open_model(tmp_path/'gate.pt2')


class Tokens(nn.Module):
    "Tokens with learned positions and a class token, as in a vision transformer."
    def __init__(self):
        super().__init__()
        self.fc, self.head = nn.Linear(8, 16), nn.Linear(16, 4)
        self.pos, self.cls = nn.Parameter(torch.randn(1, 10, 16)), nn.Parameter(torch.randn(1, 1, 16))

    def forward(self, x):
        x = torch.cat([self.cls.expand(len(x), -1, -1), self.fc(x)], 1) + self.pos
        return self.head(x)


@pytest.mark.parametrize('memory', ['fast', 'low', 'least'])
def test_constants_are_read_from_flash(memory, tmp_path):
    "No place in the arena, no call, no instruction; the bytes are right."
    torch.manual_seed(0)
    graph = lower(quantize(Tokens(), torch.randn(20, 9, 8)), 'tokens')
    stored = [op.name for op in graph.ops if op.kind == 'const']
    fw = generate(graph, target('stm32f746'), tmp_path/'fw', memory=memory, check=True)
    assert len(stored) == 2 and not set(stored) & {*fw.arena.tensors, *fw.functions.values()}
    x = np.random.default_rng(0).integers(-128, 128, (3, 9, 8), dtype=np.int8)
    sim = simulate(build(fw), fw, x, progress=False)
    assert np.array_equal(sim.outputs, run(graph, x)) and [sim.per_op[n] for n in stored] == [0, 0]
    assert not list(fw.folder.glob('kernels/tfm_const*')), 'a copy would need the kernel'


def test_inputs_lie_side_by_side_channels_last(gate):
    picture, pose = given(2)
    vector = beside(picture, pose)
    assert vector.shape == (2, 3*6*5 + 7) and torch.equal(vector[0, :3], picture[0, :, 0, 0])
    for got, want in zip(apart(vector, SHAPES), (picture, pose)): assert torch.equal(got, want)
    row = torch.rand(2, 4, 6)                                        # tokens stay as they are
    assert torch.equal(apart(beside(row), [(4, 6)])[0], row)


def test_a_network_takes_the_vector_apart(gate):
    one = one_input(gate, SHAPES)
    assert one.parts == [dict(name='picture', first=0, shape=[6, 5, 3]), dict(name='pose', first=90, shape=[7])]
    assert torch.allclose(one(beside(*given(3))), gate(*given(3)), atol=1e-5)
    assert (inputs_of(gate), inputs_of(one)) == (['picture', 'pose'], ['x']) and not hasattr(gate, 'parts')
    with pytest.raises(ValueError): one_input(gate, [(3, 6, 5)])
