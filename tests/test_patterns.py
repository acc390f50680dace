"""What layers, windows, pools, means, norms and products of a torch network become. Each is compared with it."""
import sys
from collections import Counter

import pytest, torch, torch.nn as nn, torch.nn.functional as F

from test_reader_parts import reader_of
from tinyformer.errors import UnsupportedOp
from tinyformer.importer import import_model
from tinyformer.places import Val
from tinyformer.reader import NEAREST, Reader
from tinyformer.torch_layers import _ungrouped, argument, each, turned
from tinyformer.torch_means import _axes
from tinyformer.torch_products import HIDDEN, flat, waits

T, D = 6, 8
LATE = torch.full((T, T), -torch.inf).triu(1)


class Call(nn.Module):
    "A function of a tensor and layers, as a network."
    def __init__(self, f, *layers): super().__init__(); self.f, self.layers = f, nn.ModuleList(layers)
    def forward(self, *xs): return self.f(*xs, *self.layers)


def taken(net, *shape):
    "A network as steps, which `import_model` compared with it."
    torch.manual_seed(0)
    return import_model(net.eval(), torch.rand(3, *shape))


def kinds(net, *shape): return [s.kind for s in taken(net, *shape).steps]


def three(): return [nn.Linear(D, D) for _ in range(3)]


def norm():
    "A batch norm that is no identity."
    torch.manual_seed(1)
    bn = nn.BatchNorm2d(4)
    bn.running_mean.normal_(); bn.running_var.uniform_(.5, 2)
    return bn


# ---- layers ----------------------------------------------------------------------------------------------------------

def test_helpers():
    assert turned(torch.zeros(2, 3)).shape == (3, 2) and each(2, 2) == [2, 2]
    assert argument(reader_of(lambda x: x, 3).program.graph.output_node(), 9) is None
    assert flat(torch.ones(2, 3, 4)).shape == (3, 4) and flat(torch.arange(8.).reshape(2, 2, 2)) is None
    assert not waits(torch.ones(2)) and HIDDEN < 0 and _ungrouped(torch.ones(4, 3, 3, 1), 4)[1] == 4
    assert _axes(Val('x', torch.zeros(2, 3)), None) == [0, 1]


def test_a_scale_that_follows_a_move_stays_one_step():
    gains = torch.tensor([1., 2, 3]).reshape(3, 1, 1)
    graph = taken(Call(lambda x: F.hardswish(2*x - 1).transpose(2, 3) * gains), 3, 4, 5)
    assert [(s.kind, s.attrs.get('name')) for s in graph.steps] == [('act', 'function'), ('scale', None)]


@pytest.mark.parametrize('net, shape, steps', [
    (lambda: nn.Sequential(nn.Flatten(), nn.Linear(24, 5)), (2, 3, 4), ['view', 'linear']),
    (lambda: nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(3, 4, 3, 2)), (3, 8, 8), ['conv']),
    (lambda: nn.Conv1d(6, 4, 3, padding='same', groups=2), (6, 9), ['view', 'conv', 'view']),
    (lambda: nn.ConvTranspose2d(4, 2, 3, 2, 1, 1), (4, 5, 5), ['pad', 'conv']),
    (lambda: nn.Sequential(nn.ChannelShuffle(2), nn.Conv2d(4, 2, 1)), (4, 3, 3), ['conv']),
    (lambda: Call(lambda x, a: torch.stack([a(x)]*2, 1).flatten(1), nn.Linear(4, 3)), (4,), ['linear', 'copy']),
    (lambda: nn.Sequential(nn.Conv2d(2, 8, 3), nn.PixelShuffle(2)), (2, 4, 4), ['conv', 'copy']),
    (lambda: nn.Sequential(nn.Conv2d(2, 8, 3), nn.Upsample(scale_factor=2)), (2, 4, 4), ['conv', 'copy']),
    (lambda: nn.Sequential(nn.Linear(4, 4), Call(lambda x: x.roll(1, 1))), (4,), ['linear']),
    (lambda: Call(lambda x, m: m(x.roll(1, -1)), nn.Conv2d(2, 2, 3)), (2, 3, 3), ['copy', 'copy', 'concat', 'conv'])])
def test_layers_and_moves(net, shape, steps): assert kinds(net(), *shape) == steps


def test_thirds_of_a_layer_become_layers():
    def f(x, qkv): a, b, c = qkv(x).chunk(3, -1); return a - b + c
    graph = taken(Call(f, nn.Linear(6, 9)), 4, 6)
    assert [s.kind for s in graph.steps] == ['linear', 'linear', 'add', 'linear', 'add']
    assert graph.steps[0].params['weight'].shape == (3, 6)


def test_groups_are_written_out_and_large_windows_are_linear():
    wide = taken(nn.Conv2d(4, 8, 3, groups=4), 4, 6, 6).steps[0]
    assert (wide.attrs['groups'], wide.params['weight'].shape) == (1, (8, 3, 3, 4))
    assert [k for k in kinds(nn.Conv2d(1, 3, 16, 16), 1, 34, 32) if k != 'view'] == ['copy', 'linear']
    assert kinds(nn.Conv1d(2, 3, 256, 256), 2, 512)[-1:] == ['linear']


def test_joining_with_a_constant_and_paddings_from_inside():
    def f(x, a, b): return torch.cat([a(x), b(x), torch.ones(len(x), 1, 5, 5)], 1)
    found = kinds(Call(f, nn.Conv2d(2, 2, 1), nn.Conv2d(2, 3, 1)), 2, 5, 5)
    assert sorted(found) == ['concat', 'concat', 'const', 'conv', 'conv']
    reflected = nn.Conv2d(2, 2, 3, padding=1, padding_mode='reflect')
    assert set(kinds(reflected, 2, 4, 4)) == {'copy', 'concat', 'conv'}
    assert 'concat' in kinds(Call(lambda x: x.roll((1, -1), (2, 3)).exp()), 2, 3, 3)


@pytest.mark.parametrize('mode', ['bilinear', 'bicubic'])
def test_reading_between_pixels_is_two_linear_layers(mode):
    assert kinds(nn.Upsample(scale_factor=2, mode=mode), 2, 3, 4).count('linear') == 2


# ---- pools, means, norms ---------------------------------------------------------------------------------------------

@pytest.mark.parametrize('net, steps', [
    (lambda: nn.MaxPool2d(3, 2, 1), ['maxpool']), (lambda: nn.AvgPool2d(3, 2, 1, ceil_mode=True), ['avgpool']),
    (lambda: nn.AdaptiveAvgPool2d(1), ['mean']), (lambda: nn.AvgPool2d(9), ['mean']),
    (lambda: Call(lambda x: x.mean((2, 3))), ['mean']), (lambda: Call(lambda x: x.mean(3).mean(2)), ['mean'])])
def test_pools_and_means(net, steps): assert kinds(net(), 3, 9, 9) == steps


def test_uneven_pools_sums_and_dilation():
    assert [s.attrs['adaptive'] for s in taken(nn.AdaptiveAvgPool2d(4), 3, 9, 9).steps] == [1]
    assert kinds(Call(lambda x: x.sum(1)), 6, 4) == ['mean', 'act']                # over tokens
    with pytest.raises(UnsupportedOp, match='dilation=1'): taken(nn.MaxPool2d(2, dilation=2), 3, 9, 9)


@pytest.mark.parametrize('net, steps', [
    (lambda: nn.GroupNorm(1, 4), ['view', 'layernorm', 'view']),
    (lambda: nn.GroupNorm(2, 4), ['copy', 'layernorm', 'copy']),
    (lambda: Call(lambda x, m: m(x.permute(0, 2, 3, 1)), nn.LayerNorm(4)), ['layernorm']),
    (lambda: nn.Sequential(nn.Conv2d(4, 4, 1), norm(), nn.ReLU()), ['conv', 'act']),
    (lambda: nn.Sequential(nn.Conv2d(4, 4, 1), nn.ReLU(), norm()), ['conv', 'act', 'scale'])])
def test_norms(net, steps): assert kinds(net(), 4, 3, 3) == steps


def test_norms_that_are_refused():
    with pytest.raises(UnsupportedOp, match='ord=2'): taken(Call(lambda x: x.norm(1, -1)), 6, 8)
    with pytest.raises(UnsupportedOp, match='track_running_stats'):
        taken(nn.BatchNorm2d(4, track_running_stats=False), 4, 3, 3)


# ---- values ----------------------------------------------------------------------------------------------------------

def test_casts_and_dropout_are_nothing():
    assert kinds(Call(lambda x, m: m(F.dropout(x.half().float(), .5, False)), nn.Linear(4, 2)), 4) == ['linear']
    with pytest.raises(UnsupportedOp, match='always on'): taken(Call(lambda x: F.dropout(x, .5)), 4)
    with pytest.raises(UnsupportedOp, match='floating point'): taken(Call(lambda x: x.int() + x), 4)


def test_activations_with_weights():
    assert kinds(nn.Sequential(nn.Linear(4, 4), nn.PReLU()), 4) == ['linear', 'act']
    slopes = nn.Sequential(nn.Conv2d(2, 4, 1), nn.PReLU(4))
    nn.init.uniform_(slopes[1].weight, .1, .9)
    assert kinds(slopes, 2, 4, 4) == ['conv', 'act', 'act', 'scale', 'add']
    gated = kinds(Call(lambda x, m: F.glu(m(x)), nn.Linear(4, 6)), 4)
    assert sorted(gated) == ['act', 'linear', 'linear', 'mul']
    weighed = Call(lambda x, m: torch.addcmul(m.bias, m.weight[0], x, value=2.), nn.Linear(4, 4))
    assert kinds(weighed, 4) == ['scale']


def test_rounding_that_the_author_has_set_is_kept():
    rounded = Call(lambda x: torch.fake_quantize_per_tensor_affine(x, .01, 128, 0, 255))
    assert taken(rounded, 4).steps[0].attrs == dict(scale=.01, zero_point=0)


def test_outputs_keep_their_names_and_constants_are_left_out():
    def f(x): return dict(twice=2*x, parts=[x.relu(), torch.ones(2)])
    graph = taken(Call(f), 5)
    assert [p.label for p in graph.outputs] == ['twice', 'parts.0'] and 'parts.1' in graph.notes[0]
    assert reader_of(f, 5)._labels() == ['twice', 'parts.0', 'parts.1']
    with pytest.raises(UnsupportedOp, match='nothing that depends'): taken(Call(torch.ones_like), 3)


def test_all_that_has_no_form_is_said_at_once():
    class Bad(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm, self.fc = nn.LSTM(8, 8, batch_first=True), nn.Linear(8, 4)
        def forward(self, x): return self.fc(self.lstm(x)[0]).cumsum(1)
    with pytest.raises(UnsupportedOp, match='2 layers of the network') as e: taken(Bad(), 5, 8)
    assert NEAREST['LSTM'] in str(e.value) and "layer 'lstm' (LSTM)" in str(e.value)


# ---- products --------------------------------------------------------------------------------------------------------

def test_pooling_over_a_sequence_and_a_mask_that_is_not_causal():
    pooled = Call(lambda x, m: (m(x).softmax(1).mT @ x).squeeze(1), nn.Linear(D, 1))
    assert kinds(pooled, T, D) == ['linear', 'view', 'softmax', 'view', 'matmul_av', 'view']
    def early(x, q, k, v): return (q(x) @ k(x).mT + LATE.flip(1)).softmax(-1) @ v(x)
    steps = ['matmul_qk', 'const', 'add', 'softmax', 'linear', 'matmul_av']
    assert kinds(Call(early, *three()), T, D)[2:] == steps


def test_letters_of_an_einsum_become_a_stack_of_matrices():
    stack = reader_of(lambda x: x, 3)._lettered(torch.zeros(2, 3, 4), 'abc', ['b'], ['a'], ['c'], dict(a=2, b=3, c=4))
    assert stack.shape == (3, 2, 4)


def test_a_softmax_at_the_end_is_left_out_where_logits_are_asked_for():
    last = Call(lambda x, m: m(x).log_softmax(-1), nn.Linear(D, 3))
    graph = import_model(last, torch.rand(4, D), logits=True)
    assert [s.kind for s in graph.steps] == ['linear'] and 'left out' in graph.notes[0]


# ---- who reads what --------------------------------------------------------------------------------------------------

def test_each_operation_has_the_handler_that_its_module_gives_it():
    named = dict(
        linear='_read_linear', conv1d='_read_conv', conv_transpose2d='_read_transposed', pad='_read_pad',
        cat='_read_cat', stack='_read_stack', roll='_read_roll', upsample_linear1d='_read_upsample',
        max_pool1d='_read_pool', adaptive_max_pool2d='_read_adaptive', mean='_read_mean', sum='_read_sum',
        amax='_read_max', linalg_vector_norm='_read_vector_norm', batch_norm='_read_batch_norm',
        layer_norm='_read_layer_norm', group_norm='_read_group_norm', instance_norm='_read_instance_norm',
        bmm='_read_matmul', addmm='_read_addmm', softmax='_read_softmax', einsum='_read_einsum',
        scaled_dot_product_attention='_read_sdpa', dropout='_read_dropout', prelu='_read_prelu', glu='_read_glu',
        addcmul='_read_addcmul', ones_like='_read_like', size='_read_size',
        fake_quantize_per_tensor_affine='_read_fake_quantize', _assert_scalar='_read_nothing')
    assert {k: Reader.HANDLERS[k].__name__ for k in named} == named


def called(net, *shape):
    "How often each function of the importer is called while a network is imported."
    seen = Counter()
    def note(frame, event, _):
        if event == 'call' and str(frame.f_globals.get('__name__')).startswith('tinyformer.'):
            seen[frame.f_code.co_name] += 1
    sys.setprofile(note)
    try: taken(net, *shape)
    finally: sys.setprofile(None)
    return seen


def test_every_part_is_needed_by_one_of_four_networks():
    def rms(x): return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-3)
    def convolutions(x, a, b, bn, fc):
        y = bn(a(F.pad(x, (1, 1, 1, 1)))).relu()
        y = torch.cat([y, b(y) - y*.5, torch.ones(len(x), 1, 8, 8)], 1)
        y = F.max_pool2d(F.pad(y, (0, 0, 0, 0, 1, 0)), 2) * torch.arange(16.).reshape(4, 4)
        return fc(y.half().float().mean(3).mean(2))
    def vectors(x, a, b):
        y = rms(a(x)) + torch.ones(len(x), 1, 8) @ torch.eye(8)
        y = torch.baddbmm(y, x, b.weight[None].expand(len(x), -1, -1)) - x.mean(1, keepdim=True)
        y = torch.cat([y[..., :4], y[..., 4:]], -1)
        return (torch.ones(1, 2, 8) @ (-y).mT).softmax(-1) @ y
    def keys_first(x, q, k, v): return (v(x).mT @ (k(x) @ q(x).mT).softmax(1)).mT
    def early(x, q, k, v): return (q(x) @ k(x).mT + LATE.flip(1)).softmax(-1) @ v(x)
    conv = Call(convolutions, nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 1), norm(), nn.Linear(10, 2))
    encoder = called(nn.TransformerEncoderLayer(D, 2, 12, batch_first=True), T, D)
    first = called(Call(keys_first, *three()), T, D)
    counts = [called(conv, 3, 8, 8), called(Call(vectors, nn.Linear(8, 8), nn.Linear(8, 8)), 6, 8), encoder, first,
              called(Call(early, *three()), T, D)]
    parts = """export _plain _read_once walk operation _constant label finish _labels check_finite check _off _own
        _force_function _force_affine _affine_steps _constant_step pointwise _alike _affine _new_parts _combine
        _sign _step_of_two move cast input_of padded unpadded _extended_by lift same_memory pool _reduced
        _mean_of_mean normalise _norm_rows rows_of channelwise hand_norm _uncentred matrices contract _stacked
        _scores _factor probabilities _turned_scores _scale_and_mask mix _joined_heads _sum_of product resolve
        _computed softmax _lowered""".split()
    assert set(parts) - set().union(*counts) == set()
    assert (first['_turned_scores'], encoder['mix']) == (1, 1)


def test_which_part_works_on_which_network():
    "The table of the page on patterns."
    def centre(x): return x - x.mean(-1, keepdim=True)
    def norm(x): return centre(x) / torch.sqrt((centre(x)**2).mean(-1, keepdim=True) + 1e-3)
    def plain(x, q, k, v): return (q(x) @ k(x).mT * .4).softmax(-1) @ v(x)
    def turned(x, q, k, v): return (v(x).mT @ (k(x) @ q(x).mT).softmax(1)).mT
    far = (torch.arange(T)[:, None] - torch.arange(T)).abs() > 1
    window = torch.zeros(T, T).masked_fill(far, -torch.inf)
    def local(x, q, k, v): return (q(x) @ k(x).mT + window).softmax(-1) @ v(x)
    mine = {'hand_norm', '_uncentred', 'contract', '_stacked', '_scores', '_mixes', 'probabilities', '_scale_and_mask',
            '_turned_scores', 'mix'}
    attention = mine - {'hand_norm', '_uncentred', '_turned_scores'}
    assert mine & {*called(Call(norm), T, D)} == {'hand_norm', '_uncentred'}
    assert mine & {*called(Call(plain, *three()), T, D)} == attention
    assert mine & {*called(Call(turned, *three()), T, D)} == attention | {'_turned_scores'}
    assert mine & {*called(Call(local, *three()), T, D)} == attention
