"""Depthwise, addition, max pool and LayerNorm where the general sweep does not look: in place, bands of rows, unaligned
tensors, long rows."""
import ctypes

import numpy as np
import pytest

from tinyformer import bench, ccalls, kernels as tk
from tinyformer.errors import BadInput
from tinyformer.operators import out_hw

CCS = ['host', pytest.param('gcc', marks=pytest.mark.needs('gcc')), 'zig']


def depthwise(rng, h, w, c, stride=1, shift=None, **window):
    "A 3x3 depthwise operator, its input and the NumPy operator's answer."
    while True:
        seed = int(rng.integers(1 << 30))
        op = bench.make_op('depthwise3x3', h=h, w=w, cin=c, stride=stride, window=window, seed=seed)
        if shift is not None:
            op.attrs['shift'] = shift
            op.params['mult'] = rng.integers(0, 1 << max(8, 31 - shift), c).astype(np.int32)
        x = bench.random_inputs(op, rng)[0]
        try: return op, x, bench.expected(op, [x])
        except BadInput: continue


def address(a, at=0): return ctypes.c_void_p(a.ctypes.data + at)


def host_call(kernel, op, x, out, x_at=0, out_at=0):
    "Call a host kernel at byte offsets of buffers; its status."
    scratch, keep = tk.guarded(tk.scratch_bytes(kernel, op)), []
    args = list(ccalls.host_args(tk.arguments(kernel, op), tk.guarded(1), [x], scratch, keep))
    status = getattr(tk.host(), kernel.name)(address(out, out_at), address(x, x_at), *args[2:])
    assert tk.guards_hold(scratch)
    return status


def test_depthwise_in_place():
    "Stride 1 and padding 1: the output may be the input. Images of one to seventeen rows, so that bands meet."
    rng, n, kernel = np.random.default_rng(0), 0, tk.kernel('tfm_depthwise_s8_dsp')
    for _ in range(150):
        h, w, c = int(rng.integers(1, 20)), int(rng.integers(1, 12)), int(rng.integers(1, 14))
        op, x, want = depthwise(rng, h, w, c, shift=int(rng.choice([0, 0, 1, 8, 9])))
        assert host_call(kernel, op, x, x) == 0
        assert np.array_equal(x, want), op.attrs
        n += 1
    print(n, 'cases')


@pytest.mark.parametrize('cut', (('kh', np.s_[:3]), ('kw', np.s_[:, :3])))
def test_depthwise_with_a_kernel_that_is_no_square(cut):
    "3x5 and 5x3: the form for 3x3 must not take them."
    name, part = cut
    op = bench.make_op('depthwise3x3', h=7, w=6, cin=5, k=5, pad=1, seed=1)
    op.attrs[name], op.params['weight'] = 3, op.params['weight'][part].copy()
    x = bench.random_inputs(op, np.random.default_rng(2))[0]
    want, kernel = bench.expected(op, [x]), tk.kernel('tfm_depthwise_s8_dsp')
    out = np.zeros(want.size, np.int8)
    assert host_call(kernel, op, x, out) == 0 and np.array_equal(out, want.reshape(-1))


def test_depthwise_in_bands_over_a_ring():
    "Rows in bands of any height, the input in a ring that holds only the rows of one band."
    rng, n = np.random.default_rng(1), 0
    kernel = tk.kernel('tfm_depthwise_s8_dsp')
    for _ in range(100):
        ranges = (3, 24), (3, 9), (1, 10), (1, 3), (0, 4), (0, 4), (0, 2), (0, 4)
        h, w, c, stride, top, bottom, left, right = (int(rng.integers(low, high)) for low, high in ranges)
        op, x, want = depthwise(rng, h, w, c, stride, top=top, bottom=bottom, left=left, right=right)
        (oh, ow), step = out_hw(op.attrs), int(rng.integers(1, 12))
        ring = min(h, (step - 1) * stride + 3)
        out, scratch, keep = np.zeros(want.size, np.int8), tk.guarded(tk.scratch_bytes(kernel, op)), []
        _, _, weight, dims, quant, *_ = ccalls.host_args(tk.arguments(kernel, op), out, [x], scratch, keep)
        rows, held = x.reshape(h, -1), np.zeros((ring, w * c), np.int8)
        for y0 in range(0, oh, step):
            y1 = min(oh, y0 + step)
            for y in range(max(0, y0*stride - top), min(h, (y1 - 1)*stride - top + 3)): held[y % ring] = rows[y]
            tk.host().tfm_depthwise3x3_rows(address(out, y0 * ow * c), address(held), ctypes.c_int32(ring), weight,
                                            dims, quant,
                                            ctypes.c_int32(y0), ctypes.c_int32(y1), address(scratch, tk.GUARD))
        assert np.array_equal(out, want) and tk.guards_hold(scratch), (op.attrs, step)
        n += 1
    print(n, 'cases')


def test_maxpool_in_place():
    rng = np.random.default_rng(2)
    for k in (k for k in tk.CATALOGUE if k.kinds[0] == 'maxpool2x2'):
        for _ in range(60):
            op = bench.make_op('maxpool2x2', h=2*int(rng.integers(1, 5)), w=2*int(rng.integers(1, 5)),
                               cin=int(rng.integers(1, 12)))
            x = bench.random_inputs(op, rng)[0]
            want = bench.expected(op, [x])
            assert host_call(k, op, x, x) == 0 and np.array_equal(x[:want.size], want), (k.name, op.attrs)


@pytest.mark.parametrize('kind,shape', [('depthwise3x3', dict(h=5, w=6, cin=7)), ('maxpool2x2', dict(h=4, w=6, cin=7)),
                                        ('layernorm', dict(tokens=3, cin=9))])
def test_tensors_at_any_address(kind, shape):
    rng = np.random.default_rng(3)
    for k in (k for k in tk.CATALOGUE if k.kinds[0] == kind):
        op = bench.make_op(kind, **shape)
        x = bench.random_inputs(op, rng)[0]
        want = bench.expected(op, [x])
        for i in range(4):
            for o in range(4):
                inside, out = np.zeros(x.size + 8, np.int8), np.zeros(want.size + 8, np.int8)
                inside[i:i + x.size] = x
                assert host_call(k, op, inside, out, i, o) == 0
                assert np.array_equal(out[o:o + want.size], want)
                assert not out[:o].any() and not out[o + want.size:].any()


def run(cc, kernel, op, *xs):
    return tk.call(kernel, op, *xs) if cc == 'host' else bench.device_call(bench.device(cc), kernel, op, *xs)


@pytest.mark.parametrize('cc', CCS)
def test_depthwise_shifts(cc):
    "A pre-shift goes into the weights up to 8 and is applied to the sum beyond."
    rng, kernel = np.random.default_rng(4), tk.kernel('tfm_depthwise_s8_dsp')
    for shift in (0, 1, 7, 8, 9, 12):
        for stride in (1, 2):
            op, x, want = depthwise(rng, 19, 5, 6, stride, shift=shift)
            assert np.array_equal(run(cc, kernel, op, x), want), op.attrs


@pytest.mark.parametrize('cc', CCS[1:])
def test_four_channels_are_one_group(cc):
    "They take fewer instructions than three, whose bytes are loaded one by one."
    def count(channels):
        row = bench.measure('depthwise3x3', h=9, w=9, cin=channels, kernel='tfm_depthwise_s8_dsp', cc=cc)
        return row['instructions']
    assert count(4) < count(3)


@pytest.mark.parametrize('cc', CCS)
def test_add_shifts(cc):
    "Every shift, sizes around the eight elements of a round."
    rng, kernel = np.random.default_rng(5), tk.kernel('tfm_add_s8_dsp')
    for shift in range(21):
        for n in (1, 7, 8, 9, 31):
            op = bench.make_op('add', tokens=1, cin=n)
            bound = min(32767, 2 << shift)
            op.attrs.update(mult_a=int(rng.integers(-bound, bound + 1)), mult_b=int(rng.integers(-bound, bound + 1)),
                            shift=shift,
                            bias=int(rng.integers(-100, 100)) << shift)
            xs = bench.random_inputs(op, rng)
            assert np.array_equal(run(cc, kernel, op, *xs), bench.expected(op, xs)), op.attrs


@pytest.mark.parametrize('cc', CCS)
def test_norm_spreads(cc):
    "Short rows and the longest from constant to the widest spread: the shift passes through 32, the factor 2**31."
    rng, n = np.random.default_rng(6), 0
    for c in (1, 2, 3, 4, 5, 64, 255, 256, 257, 640, 1024, 1025, 4096, 16_383, 16_384, 32_767):
        x = rng.integers(-128, 128, (6, c))
        x[1], x[2], x[3], x[4] = 5, np.where(np.arange(c) % 2, 127, -128), np.arange(c) == c // 2, x[4] // 40
        xs = [x.astype(np.int8).ravel()]
        for k in tk.CATALOGUE:
            if k.kinds[0] not in ('layernorm', 'rmsnorm'): continue
            op = bench.make_op(k.kinds[0], tokens=6, cin=c)
            assert np.array_equal(run(cc, k, op, *xs), bench.expected(op, xs)), (k.name, op.attrs)
            n += 1
    assert n == 16*3
