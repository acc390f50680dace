"""ONNX files as torch modules: every operator beside onnxruntime, whole networks, and every refusal."""
import numpy as np
import onnx, onnxruntime as ort
import pytest
import torch, torch.nn as nn
from onnx import TensorProto as T, helper as oh, numpy_helper as nh

from tinyformer.errors import BadInput, CorruptModel, MissingTool, UnsupportedOp
from tinyformer.onnx_net import OPS, load_onnx


RNG = np.random.default_rng(0)


def floats(*shape): return RNG.normal(size=shape).astype(np.float32)


def ints(*values): return np.array(values, np.int64)


def model(nodes, shape, weights=None, opset=17, outputs=('y',), batch=1, elem=T.FLOAT):
    "A file of some nodes; 'x' is the input, 'y' the output."
    ins = [oh.make_tensor_value_info('x', elem, [batch, *shape])]
    outs = [oh.make_tensor_value_info(o, T.FLOAT, None) for o in outputs]
    held = [nh.from_array(np.asarray(a), n) for n, a in (weights or {}).items()]
    g = oh.make_graph(nodes, 'g', ins, outs, held)
    domains = [oh.make_opsetid('', opset), oh.make_opsetid('com.microsoft', 1)]
    m = oh.make_model(g, opset_imports=domains, ir_version=8 if opset < 21 else 10)
    m = onnx.shape_inference.infer_shapes(m)
    for o in m.graph.output: o.type.tensor_type.shape.SetInParent()          # there, if unknown
    return m


def node(kind, *inputs, out='y', name=None, **attrs):
    return oh.make_node(kind, list(inputs), [out] if isinstance(out, str) else list(out),
                        name=name or f'a {kind}/{out}',
                        **attrs)


def beside(m, tmp_path, shape, tol=2e-4, low=-2.):
    "The network of a file gives what onnxruntime gives, for one image and for each of three."
    path = tmp_path/'net.onnx'
    onnx.save(m, path)
    net = load_onnx(path)
    x = torch.rand(3, *shape, generator=torch.Generator().manual_seed(1)) * (2 - low) + low
    plain = ort.SessionOptions()
    plain.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    s = ort.InferenceSession(str(path), plain, providers=['CPUExecutionProvider'])
    with torch.no_grad(): got = net(x)
    got = got if isinstance(got, tuple) else (got,)
    for i in range(3):
        want = s.run(None, {'x': x[i:i + 1].numpy()})
        for g, w in zip(got, want, strict=True): np.testing.assert_allclose(g[i:i + 1].numpy(), w, tol, tol)
    return net


W, B = floats(6, 4, 3, 3), floats(6)
MAP, TOKENS, ROW = (4, 8, 10), (7, 12), (12,)
CASES = [ # operator, shape of x, further inputs, attributes, opset
    ('Conv', MAP, dict(w=W, b=B), dict(pads=[1, 1, 1, 1]), 7),
    ('Conv', MAP, dict(w=W), dict(pads=[0, 1, 1, 2], strides=[2, 1]), 17),
    ('Conv', MAP, dict(w=W), dict(auto_pad='SAME_UPPER', strides=[2, 2]), 17),
    ('Conv', MAP, dict(w=W), dict(auto_pad='SAME_LOWER', strides=[1, 2], dilations=[1, 1]), 17),
    ('Conv', MAP, dict(w=W), dict(auto_pad='VALID', dilations=[2, 1]), 17),
    ('Conv', MAP, dict(w=floats(8, 1, 3, 2), b=floats(8)), dict(group=4), 17),
    ('Conv', TOKENS, dict(w=floats(5, 7, 3)), dict(pads=[1, 1]), 17),
    ('Conv', TOKENS, dict(w=floats(5, 7, 3)), dict(pads=[2, 0]), 17),
    ('ConvTranspose', MAP, dict(w=floats(4, 5, 2, 2), b=floats(5)), dict(strides=[2, 2]), 17),
    ('ConvTranspose', MAP, dict(w=floats(4, 5, 3, 3)), dict(strides=[2, 2], pads=[1, 1, 1, 1],
                                                           output_padding=[1, 1]), 17),
    ('ConvTranspose', MAP, dict(w=floats(4, 5, 3, 3)), dict(strides=[2, 2], auto_pad='SAME_UPPER'), 17),
    ('ConvTranspose', MAP, dict(w=floats(4, 5, 3, 3)), dict(strides=[2, 2], pads=[0, 1, 1, 0]), 17),
    ('Gemm', ROW, dict(w=floats(12, 5), b=floats(5)), dict(alpha=.5, beta=2.), 7),
    ('Gemm', ROW, dict(w=floats(5, 12)), dict(transB=1), 17),
    ('MatMul', TOKENS, dict(w=floats(12, 5)), {}, 17),
    ('BatchNormalization', MAP, dict(a=floats(4), b=floats(4), c=floats(4), d=floats(4)**2 + .1), dict(epsilon=.01), 9),
    ('BatchNormalization', ROW, dict(a=floats(12), b=floats(12), c=floats(12), d=floats(12)**2 + .1), {}, 15),
    ('InstanceNormalization', MAP, dict(a=floats(4), b=floats(4)), dict(epsilon=.01), 17),
    ('GroupNormalization', MAP, dict(a=floats(4), b=floats(4)), dict(num_groups=2), 21),
    ('LayerNormalization', TOKENS, dict(a=floats(12), b=floats(12)), dict(epsilon=.01), 17),
    ('RMSNormalization', TOKENS, dict(a=floats(12)), {}, 23),
    ('MaxPool', MAP, {}, dict(kernel_shape=[3, 2], strides=[2, 1], pads=[1, 0, 1, 1]), 17),
    ('MaxPool', MAP, {}, dict(kernel_shape=[3, 3], strides=[2, 2], auto_pad='SAME_UPPER'), 17),
    ('MaxPool', MAP, {}, dict(kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1), 17),
    ('MaxPool', TOKENS, {}, dict(kernel_shape=[2], strides=[2]), 17),
    ('AveragePool', MAP, {}, dict(kernel_shape=[3, 3], pads=[1, 1, 1, 1]), 17),
    ('AveragePool', MAP, {}, dict(kernel_shape=[2, 3], strides=[2, 1], pads=[0, 0, 1, 1], count_include_pad=1), 17),
    ('GlobalAveragePool', MAP, {}, {}, 7), ('GlobalMaxPool', MAP, {}, {}, 17),
    ('ReduceMean', MAP, {}, dict(axes=[2, 3], keepdims=0), 13), ('ReduceMean', TOKENS, dict(a=ints(1)), {}, 18),
    ('ReduceSum', TOKENS, dict(a=ints(-1)), dict(keepdims=0), 13), ('ReduceMax', TOKENS, {}, dict(axes=[-1]), 13),
    ('ReduceL2', TOKENS, {}, dict(axes=[-1]), 13), ('ReduceSumSquare', TOKENS, {}, dict(axes=[-1]), 13),
    *[(k, TOKENS, {}, {}, 14) for k in ('Relu', 'Sigmoid', 'Tanh', 'Erf', 'Exp', 'Abs', 'Neg', 'Softplus', 'Softsign',
                                        'HardSwish', 'Floor', 'Ceil', 'Sign', 'Sin', 'Cos', 'Identity', 'Dropout')],
    ('Mish', TOKENS, {}, {}, 18), ('Gelu', TOKENS, {}, {}, 20), ('Gelu', TOKENS, {}, dict(approximate='tanh'), 20),
    ('LeakyRelu', TOKENS, {}, dict(alpha=.2), 16), ('Elu', TOKENS, {}, dict(alpha=.7), 17),
    ('Selu', TOKENS, {}, {}, 17),
    ('Celu', TOKENS, {}, dict(alpha=.8), 17), ('HardSigmoid', TOKENS, {}, {}, 17),
    ('HardSigmoid', TOKENS, {}, dict(alpha=1/6), 17), ('PRelu', MAP, dict(s=floats(4, 1, 1)), {}, 17),
    ('Clip', TOKENS, dict(a=np.float32(-.5), b=np.float32(.7)), {}, 13), ('Clip', TOKENS, {}, dict(min=0., max=6.), 7),
    ('Softmax', TOKENS, {}, {}, 13), ('Softmax', TOKENS, {}, dict(axis=1), 13), ('Softmax', TOKENS, {}, {}, 11),
    ('LogSoftmax', ROW, {}, {}, 13),
    *[(k, TOKENS, dict(w=floats(12)), {}, 14) for k in ('Add', 'Sub', 'Mul', 'Div')],
    ('Pow', TOKENS, dict(p=np.float32(2.)), {}, 15), ('Min', TOKENS, dict(w=floats(12), v=floats(1)), {}, 13),
    ('Max', TOKENS, dict(w=floats(12)), {}, 13), ('Sum', TOKENS, dict(w=floats(12), v=floats(12)), {}, 13),
    ('Mean', TOKENS, dict(w=floats(12), v=floats(12)), {}, 13),
    ('Reshape', MAP, dict(s=ints(1, 4, 80)), {}, 13), ('Reshape', MAP, dict(s=ints(0, -1, 10)), {}, 13),
    ('Reshape', MAP, dict(s=ints(1, -1)), {}, 13), ('Flatten', MAP, {}, {}, 13),
    ('Transpose', MAP, {}, dict(perm=[0, 2, 3, 1]), 13), ('Unsqueeze', TOKENS, dict(a=ints(2)), {}, 13),
    ('Unsqueeze', TOKENS, {}, dict(axes=[1, 3]), 11), ('Squeeze', (1, 12), {}, dict(axes=[1]), 11),
    ('Squeeze', (1, 12), dict(a=ints(1)), {}, 13), ('Concat', TOKENS, dict(w=floats(1, 2, 12)), dict(axis=1), 13),
    ('Slice', MAP, dict(a=ints(1, -7), b=ints(99, -1), c=ints(3, 2), d=ints(2, 1)), {}, 13),
    ('Slice', MAP, dict(a=ints(-1), b=ints(-99), c=ints(3), d=ints(-1)), {}, 13),
    ('Slice', MAP, dict(a=ints(7), b=ints(1), c=ints(2), d=ints(-2)), {}, 13),
    ('Slice', MAP, {}, dict(axes=[1], starts=[1], ends=[3]), 9),
    ('Gather', TOKENS, dict(i=np.array(-1)), dict(axis=1), 13),
    ('Gather', TOKENS, dict(i=ints(3, 1, 1)), dict(axis=2), 13),
    ('Gather', TOKENS, dict(i=np.array([[0, 2], [1, -1]])), dict(axis=1), 13),
    ('Gather', TOKENS, dict(i=ints(2, 3)), dict(axis=1), 13),
    ('Pad', MAP, dict(p=ints(0, 0, 1, 2, 0, 0, 0, 1), v=np.float32(.5)), {}, 13),
    ('Pad', MAP, dict(p=ints(0, 0, 1, 2, 0, 0, 0, 1)), dict(mode='reflect'), 13),
    ('Pad', MAP, {}, dict(pads=[0, 0, 1, 0, 0, 0, 1, 0], value=1.5), 9),
    ('Pad', MAP, dict(p=ints(0, 0, 1, 2, 0, 0, 0, 1)), dict(mode='edge'), 13),
    ('Expand', (1, 12), dict(s=ints(1, 5, 12)), {}, 13), ('Tile', TOKENS, dict(t=ints(1, 2, 1)), {}, 13),
    ('Cast', TOKENS, {}, dict(to=T.FLOAT), 13),
    ('DepthToSpace', (8, 3, 5), {}, dict(blocksize=2), 13),
    ('DepthToSpace', (8, 3, 5), {}, dict(blocksize=2, mode='CRD'), 13),
    ('SpaceToDepth', MAP, {}, dict(blocksize=2), 13),
    ('Resize', MAP, {'': None, 's': np.array([1, 1, 2, 2], np.float32)}, {}, 13),
    ('Resize', MAP, {'': None, 's': np.array([1, 1, 3, 2], np.float32)},
     dict(coordinate_transformation_mode='asymmetric', nearest_mode='floor'), 13),
    ('Upsample', MAP, dict(s=np.array([1, 1, 2, 2], np.float32)), {}, 9),
    ('Trilu', TOKENS, {}, dict(upper=0), 14), ('ArgMax', ROW, {}, dict(axis=1, keepdims=0), 13),
    ('Round', TOKENS, {}, {}, 13), ('Mod', TOKENS, dict(m=np.float32([1.5])), dict(fmod=1), 13),
]


@pytest.mark.parametrize('kind, shape, more, attrs, opset', CASES, ids=[f'{i}-{c[0]}' for i, c in enumerate(CASES)])
def test_operator(kind, shape, more, attrs, opset, tmp_path):
    m = model([node(kind, 'x', *more, **attrs)], shape, {k: v for k, v in more.items() if k}, opset)
    if kind == 'ArgMax': m.graph.output[0].type.tensor_type.elem_type = T.INT64
    beside(m, tmp_path, shape)


ELSEWHERE = set('''Sqrt Log Reciprocal Where Equal Greater Less GreaterOrEqual LessOrEqual Not And Or Shape Size Split
                   ConstantOfShape Range QuantizeLinear DequantizeLinear Einsum ReduceMin ReduceProd'''.split())


def test_every_operator_is_compared():
    "What the table leaves out is in the graphs below."
    assert set(OPS) - {c[0] for c in CASES} == ELSEWHERE


def test_positive_numbers(tmp_path):
    nodes = [node('Sqrt', 'x', out='a'), node('Log', 'a', out='b'), node('Reciprocal', 'a', out='c'),
             node('Add', 'b', 'c', out='d'), node('ReduceMin', 'd', axes=[1], keepdims=1, out='e'),
             node('Where', 'big', 'd', 'e')]
    big = RNG.random((1, 7, 12)) > .5
    beside(model(nodes, TOKENS, dict(big=big), 13), tmp_path, TOKENS, low=.1)


def test_split_and_einsum(tmp_path):
    nodes = [node('Split', 'x', axis=1, out=('a', 'b', 'c')), node('Split', 'x', 'parts', axis=2, out=('d', 'e')),
             node('Einsum', 'a', 'b', equation='btc,bsc->bts', out='y'), node('Sum', 'd', 'd', out='z')]
    m = model(nodes, (6, 12), dict(parts=ints(4, 8)), 13, outputs=('y', 'z', 'e'))
    beside(m, tmp_path, (6, 12))


@pytest.mark.parametrize('batch', [1, 'n'])
def test_shapes_that_are_computed(batch, tmp_path):
    "x.view(x.size(0), -1, 4) and a class token, as exporters write them, for a fixed and for any number of images."
    nodes = [node('Shape', 'x', out='s'), node('Gather', 's', 'zero', out='n'), node('Unsqueeze', 'n', 'at', out='n1'),
             node('Concat', 'n1', 'minus', 'four', axis=0, out='to'), node('Reshape', 'x', 'to', out='t'),
             node('Concat', 'n1', 'one', 'four', axis=0, out='cls to'), node('Expand', 'cls', 'cls to', out='c'),
             node('Concat', 'c', 't', axis=1)]
    held = dict(zero=np.array(0), at=ints(0), minus=ints(-1), four=ints(4), one=ints(1), cls=floats(1, 1, 4))
    net = beside(model(nodes, (6, 8), held, 13, batch=batch), tmp_path, (6, 8))
    assert net.images is None, 'the number of images is open'


def test_a_mask_made_of_shapes(tmp_path):
    "Range, Less, ConstantOfShape and the like are gone: nothing of them runs for an image."
    nodes = [node('Shape', 'x', out='s'), node('Gather', 's', 'two', out='w'),
             node('Range', 'zero', 'w', 'one', out='r'),
             node('Less', 'r', 'five', out='m'), node('Not', 'm', out='m2'), node('Cast', 'm2', out='f', to=T.FLOAT),
             node('ConstantOfShape', 'len', value=nh.from_array(np.float32([2.])), out='k'),
             node('Mul', 'f', 'k', out='g'),
             node('Add', 'x', 'g')]
    held = dict(two=np.array(2), zero=np.array(0), one=np.array(1), five=np.array(5), len=ints(12))
    net = beside(model(nodes, TOKENS, held, 13), tmp_path, TOKENS)
    assert len(net.steps) == 1


def test_a_file_that_mixes_axes_runs_image_by_image(tmp_path):
    "MultiheadAttention puts the tokens first: written for one image, such a file is run one image at a time."
    nodes = [node('Transpose', 'x', perm=[1, 0, 2], out='a'), node('Reshape', 'a', 's', out='b'),
             node('Transpose', 'b', perm=[1, 0, 2], out='c'), node('Softmax', 'c', axis=-1, out='d'),
             node('Transpose', 'd', perm=[1, 0, 2], out='e'), node('Reshape', 'e', 't', out='f'),
             node('Transpose', 'f', perm=[1, 0, 2])]
    net = beside(model(nodes, TOKENS, dict(s=ints(7, 3, 4), t=ints(7, 1, 12)), 13), tmp_path, TOKENS)
    assert net.images == 1


# ---- what exporters spell out ----------------------------------------------------------------------------------------

def functions(net):
    "Names of the functions and layers of a network."
    return {type(getattr(net, s.f)).__name__ if isinstance(s.f, str) else s.f.__name__ for s in net.steps}


def gelu_nodes():
    return [node('Div', 'x', 'root', out='a'), node('Erf', 'a', out='b'), node('Add', 'b', 'one', out='c'),
            node('Mul', 'x', 'c', out='d'), node('Mul', 'd', 'half')]


def test_written_out_activations_are_recognised(tmp_path):
    held = dict(root=np.float32(2**.5), one=np.float32(1), half=np.float32(.5))
    net = beside(model(gelu_nodes(), TOKENS, held), tmp_path, TOKENS)
    assert functions(net) == {'gelu'} and len(net.steps) == 1
    net = beside(model([node('Sigmoid', 'x', out='s'), node('Mul', 'x', 's')], TOKENS), tmp_path, TOKENS)
    assert functions(net) == {'silu'} and len(net.steps) == 1
    held = dict(three=np.float32(3), lo=np.float32(0), six=np.float32(6))
    nodes = [node('Add', 'x', 'three', out='a'), node('Clip', 'a', 'lo', 'six', out='b'),
             node('Mul', 'x', 'b', out='c'),
             node('Div', 'c', 'six')]
    assert functions(beside(model(nodes, TOKENS, held), tmp_path, TOKENS)) == {'hardswish'}


def test_a_function_that_only_looks_alike_stays(tmp_path):
    "x sigmoid(1.01 x) is no SiLU."
    nodes = [node('Mul', 'x', 'k', out='a'), node('Sigmoid', 'a', out='s'), node('Mul', 'x', 's')]
    net = beside(model(nodes, TOKENS, dict(k=np.float32(1.01))), tmp_path, TOKENS)
    assert len(net.steps) == 3


def test_a_written_out_layer_norm_is_recognised(tmp_path):
    nodes = [node('ReduceMean', 'x', axes=[-1], out='m'), node('Sub', 'x', 'm', out='d'),
             node('Pow', 'd', 'two', out='p'),
             node('ReduceMean', 'p', axes=[-1], out='v'), node('Add', 'v', 'eps', out='e'), node('Sqrt', 'e', out='s'),
             node('Div', 'd', 's', out='n'), node('Mul', 'n', 'g', out='h'), node('Add', 'h', 'b')]
    held = dict(two=np.float32(2), eps=np.float32(1e-5), g=floats(12), b=floats(12))
    net = beside(model(nodes, TOKENS, held, 13), tmp_path, TOKENS)
    assert functions(net) == {'LayerNorm'} and len(net.steps) == 1


def test_a_bias_goes_into_its_linear_layer(tmp_path):
    m = model([node('MatMul', 'x', 'w', out='a', name='block.0/fc 1'), node('Add', 'b', 'a')], TOKENS,
              dict(w=floats(12, 5), b=floats(5)))
    net = beside(m, tmp_path, TOKENS)
    assert [n for n, _ in net.named_modules()] == ['', 'block_0_fc_1'] and net.block_0_fc_1.bias is not None


def test_a_sum_that_is_read_twice_keeps_its_own_step(tmp_path):
    m = model([node('MatMul', 'x', 'w', out='a'), node('Add', 'a', 'b', out='c'), node('Mul', 'a', 'c')], TOKENS,
              dict(w=floats(12, 5), b=floats(5)))
    assert len(beside(m, tmp_path, TOKENS).steps) == 3


# ---- integers --------------------------------------------------------------------------------------------------------

def qdq(x, to, s, z): return [node('QuantizeLinear', x, s, z, out=f'{to}_q'),
                              node('DequantizeLinear', f'{to}_q', s, z, out=to)]


@pytest.mark.parametrize('kind', [np.int8, np.uint8])
def test_integers_of_a_qdq_file_survive(kind, tmp_path):
    "Weights are their integers times their scales, bit for bit, and the scales stay with the layer."
    q, scale = RNG.integers(-100, 101, (6, 4, 3, 3)).astype(np.int8), (.01 + RNG.random(6)/50).astype(np.float32)
    held = dict(q=q, s=scale, z=np.zeros(6, np.int8), sx=np.float32(.02), zx=kind(3), sy=np.float32(.11), zy=kind(7))
    nodes = [*qdq('x', 'xr', 'sx', 'zx'), node('DequantizeLinear', 'q', 's', 'z', axis=0, out='w'),
             node('Conv', 'xr', 'w', out='c', name='conv'), *qdq('c', 'y', 'sy', 'zy')]
    net = beside(model(nodes, MAP, held, 13), tmp_path, MAP, tol=.111)
    back = net.conv.weight / net.conv.weight_scale.reshape(-1, 1, 1, 1)
    assert torch.equal(net.conv.weight_scale, torch.from_numpy(scale))
    assert torch.equal(back.round(), torch.from_numpy(q).float()) and (back - back.round()).abs().max() < 1e-4
    with torch.no_grad(): y = net(torch.rand(2, *MAP))
    steps = y / .11
    assert (steps - steps.round()).abs().max() < 1e-3, 'the output lies on the grid of the file'


def test_integers_of_a_matrix_survive_a_transpose(tmp_path):
    q, scale = RNG.integers(-100, 101, (5, 12)).astype(np.int8), (.01 + RNG.random(5)/50).astype(np.float32)
    nodes = [node('DequantizeLinear', 'q', 's', 'z', axis=0, out='w'), node('Transpose', 'w', perm=[1, 0], out='wt'),
             node('MatMul', 'x', 'wt', name='fc')]
    net = beside(model(nodes, ROW, dict(q=q, s=scale, z=np.zeros(5, np.int8)), 13), tmp_path, ROW)
    assert torch.equal((net.fc.weight / net.fc.weight_scale[:, None]).round(), torch.from_numpy(q).float())


def test_a_relu_between_the_two_is_followed(tmp_path):
    held = dict(s=np.float32(.02), z=np.int8(0))
    nodes = [node('QuantizeLinear', 'x', 's', 'z', out='q'), node('Flatten', 'q', out='f'),
             node('DequantizeLinear', 'f', 's', 'z')]
    beside(model(nodes, MAP, held, 13), tmp_path, MAP)


# ---- whole networks --------------------------------------------------------------------------------------------------

class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.Hardswish(),
                                  nn.Conv2d(8, 8, 3, groups=8))
        self.norm, self.qkv, self.head = nn.LayerNorm(8), nn.Linear(8, 24), nn.Linear(8, 5)

    def forward(self, x):
        t = self.body(x).flatten(2).transpose(1, 2)
        q, k, v = self.qkv(self.norm(t)).reshape(len(t), -1, 3, 2, 4).permute(2, 0, 3, 1, 4)
        t = t + ((q @ k.transpose(-2, -1) / 2).softmax(-1) @ v).transpose(1, 2).reshape(t.shape)
        return self.head(nn.functional.gelu(t).mean(1))


@pytest.mark.parametrize('open_', [False, True])
def test_a_network_as_torch_exports_it(open_, tmp_path):
    torch.manual_seed(0)
    net, path, x = Small().eval(), tmp_path/'net.onnx', torch.rand(1, 3, 16, 16)
    how = dict(input_names=['x'], dynamic_axes=dict(x={0: 'n'})) if open_ else {}
    torch.onnx.export(net, (x,), path, dynamo=False, **how)
    ours, xs = load_onnx(path), torch.rand(5, 3, 16, 16)
    with torch.no_grad(): torch.testing.assert_close(ours(xs), net(xs), atol=1e-5, rtol=1e-4)
    assert ours.images is None and 'body_body_0_Conv' in dict(ours.named_modules())
    program = torch.export.export(ours, (xs,), strict=False).module()
    with torch.no_grad(): torch.testing.assert_close(program(xs), net(xs), atol=1e-5, rtol=1e-4)


# ---- refusals --------------------------------------------------------------------------------------------------------

def saved(m, tmp_path):
    onnx.save(m, tmp_path/'net.onnx')
    return tmp_path/'net.onnx'


def test_all_nodes_that_cannot_be_read_are_listed(tmp_path):
    nodes = [node('LSTM', 'x', 'w', 'r', hidden_size=3, out=('a', 'h'), name='memory'), node('Relu', 'a', out='b'),
             node('Resize', 'x', '', 's', mode='linear', name='up', out='c'), node('Det', 'x', name='det', out='y')]
    held = dict(w=floats(1, 12, 12), r=floats(1, 12, 3), s=np.float32([1, 1, 2]))
    with pytest.raises(UnsupportedOp) as e: load_onnx(saved(model(nodes, TOKENS, held), tmp_path))
    text = str(e.value)
    assert text.startswith('3 nodes') and all(w in text for w in ('memory', 'LSTM', 'up', 'linear', 'Det', 'attention'))


@pytest.mark.parametrize('nodes, held, words', [
    ([node('Conv', 'x', 'x', out='y')], {}, 'computed from the images'),
    ([node('Gelu', 'x', domain='com.microsoft')], {}, 'com.microsoft.Gelu'),
    ([node('QuantizeLinear', 'x', 's', 'z', out='q'), node('DequantizeLinear', 'q', 't', 'z')],
     dict(s=np.float32(.1), t=np.float32(.2), z=np.int8(0)), 'another scale'),
    ([node('AveragePool', 'x', kernel_shape=[2, 2], pads=[0, 0, 1, 1])], {}, 'uneven padding'),
    ([node('Resize', 'x', '', 's')], dict(s=np.float32([1, 1, 1.5, 1.5])), 'whole factor'),
    ([node('Reshape', 'w', 's')], dict(w=floats(2, 6), s=ints(3, 4)), 'constant'),
])
def test_what_a_node_must_not_be(nodes, held, words, tmp_path):
    m = model(nodes, MAP, held)
    with pytest.raises(UnsupportedOp, match=words): load_onnx(saved(m, tmp_path))


def test_a_damaged_file(tmp_path):
    path = tmp_path/'net.onnx'
    for text in (b'', b'\x08\x08', b'not a network', saved(model([node('Relu', 'x')], ROW),
                                                           tmp_path).read_bytes()[:40]):
        path.write_bytes(text)
        with pytest.raises(CorruptModel, match='export it again'): load_onnx(path)
    with pytest.raises(BadInput, match='cannot be read'): load_onnx(tmp_path/'none.onnx')


def test_an_old_file_and_one_with_open_sizes(tmp_path):
    with pytest.raises(UnsupportedOp, match='version_converter'):
        load_onnx(saved(model([node('Relu', 'x')], ROW, opset=6), tmp_path))
    path = saved(model([node('Relu', 'x')], ('h', 'w')), tmp_path)
    with pytest.raises(BadInput, match='--data'): load_onnx(path)
    assert load_onnx(path, [(4, 5)])(torch.ones(2, 4, 5)).shape == (2, 4, 5)
    with pytest.raises(BadInput, match=r'\[4, 5\]'):
        load_onnx(saved(model([node('Relu', 'x')], (3, 5)), tmp_path), [(4, 5)])


def test_inputs_that_are_no_images(tmp_path):
    with pytest.raises(UnsupportedOp, match='floats'):
        load_onnx(saved(model([node('Cast', 'x', to=1)], ROW, elem=T.INT64), tmp_path))


def test_without_the_package(monkeypatch, tmp_path):
    import sys
    monkeypatch.setitem(sys.modules, 'onnx', None)
    with pytest.raises(MissingTool, match=r"pip install 'tinyformer\[onnx\]'"): load_onnx(tmp_path/'net.onnx')
