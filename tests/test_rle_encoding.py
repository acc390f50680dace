"Weight streams: round trips, exact and expected sizes, every truncation and every single-byte change."
import matplotlib
matplotlib.use('agg')
import matplotlib.pyplot as plt
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from conftest import lines_run
from tinyformer.errors import BadInput, CorruptModel
from tinyformer.rle_checks import check_block, check_weights, corrupt, take
from tinyformer.rle_encoding import (BLOCKS, RleTensor, block_size, blocks_per_row, decode, encode, stream_bytes,
                                     to_blocks, walk)
from tinyformer.figures_rle import mark_sizes, plot_lengths
from tinyformer.rle_cases import SWEEP, accepts, c_accepts, c_source, c_sums, c_trace, corruptions, draw
from tinyformer.rle_plot import plot_stream, stream_table, walk_bytes
from tinyformer.rle_sizes import (bound_bytes, crossover, dense_bytes, expected_bytes, kept_blocks, layer_bytes,
                                  plot_sizes)


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close('all')


def layer(seed, rows, taps, cin, b, sparsity):
    "Random int8 weights, both extremes included, about `sparsity` of whose blocks are zero."
    rng = np.random.default_rng(seed)
    w = rng.choice([-127, -1, 0, 1, 127, *range(-127, 128)], (rows, taps, cin)).astype(np.int8)
    keep = rng.random((rows, taps, -(-cin // b))) >= sparsity
    return np.ascontiguousarray(w * keep.repeat(b, 2)[:, :, :cin])


def slow_encode(w, b):
    "The format, a second time and byte by byte: what the table says, in the order in which it says it."
    out, empty = [], 0
    for row in w:
        blocks = [tap[i:i + b].tolist() + [0] * (b - len(tap[i:i + b])) for tap in row for i in range(0, len(tap), b)]
        kept = [i for i, block in enumerate(blocks) if any(block)]
        if not kept:
            if 0 < empty < 7: out[-1] -= 1
            else: out, empty = out + [0xFE], 0
            empty += 1
            continue
        previous, flag, empty = -1, 128, 0
        for i in kept:
            gap, previous = i - previous - 1, i
            while gap > 119:
                out, gap, flag = out + [119 + flag] + [0] * b, gap - 120, 0
            out, flag = out + [gap + flag] + [v % 256 for v in blocks[i]], 0
    out.append(0xFF)
    return bytes(out)


layers = st.builds(layer, st.integers(0, 9999), st.integers(1, 5), st.sampled_from([1, 2, 9]), st.integers(1, 40),
                   st.just(2), st.sampled_from([0, .5, .9, 1]))


@settings(deadline=None, derandomize=True, max_examples=150)
@given(layers, st.sampled_from(['1x1', '1x2', '1x4']))
def test_round_trip(w, block):
    stream = encode(w, block)
    back = decode(stream, w.shape[0], w.shape[2], w.shape[1], block)
    assert back.dtype == np.int8 and (back.reshape(w.shape) == w).all()
    assert len(stream) == stream_bytes(w, block) == stream_bytes(w != 0, block)
    assert stream == slow_encode(w, block_size(block))


def test_long_rows_agree_with_the_slow_encoder():
    cases = 0
    for gap in [*range(117, 131), *range(237, 244), 359, 360, 361, 1000]:
        for b in (1, 2, 4):
            for before in (0, 1, 119, 120):
                blocks = np.zeros((3, before + gap + 2, b), np.int8)
                blocks[0, [before, before + gap + 1], -1] = 7, -127
                blocks[2, before + gap + 1, 0] = 1                    # row 1 stays empty
                w = blocks.reshape(3, 1, -1)
                stream = encode(w, b)
                assert stream == slow_encode(w, b) and len(stream) == stream_bytes(w, b)
                assert (decode(stream, 3, w.shape[2], 1, b) == w[:, 0]).all()
                cases += 1
    print(f'{cases} long rows')
    assert cases > 0


def test_two_dimensional_weights_come_back_two_dimensional():
    w = layer(1, 4, 1, 10, 4, .5)
    assert encode(w[:, 0]) == encode(w) and decode(encode(w), 4, 10).shape == (4, 10)
    assert decode(encode(w), 4, 10).flags.c_contiguous


def test_not_contiguous_weights():
    w = layer(2, 8, 3, 12, 4, .5).transpose(1, 0, 2)
    assert encode(w) == encode(w.copy()) and encode(w[:, ::2]) == encode(w[:, ::2].copy())


def test_numpy_does_the_work():
    "A million weights take no more lines of Python than a hundred: no loop runs over rows or weights."
    rng = np.random.default_rng(0)
    w = rng.integers(-127, 128, (1000, 250, 4)) * (rng.random((1000, 250, 1)) < .3)
    w = w.astype(np.int8).reshape(1000, 1000)
    for b in (1, 2, 4):
        lines = lines_run(lambda: encode(w, b))
        assert 0 < lines == lines_run(lambda: encode(w[:10, :12], b))
    def slow_lines(rows): return lines_run(lambda: slow_encode(w[:rows, None, :12], 4))
    assert slow_lines(20) > slow_lines(10)                                    # this one loops


def test_blocks_do_not_cross_a_tap():
    w = np.zeros((1, 2, 3), np.int8)
    w[0, 0, 2] = w[0, 1, 0] = 5
    assert encode(w, 2) == bytes([129, 5, 0, 0, 5, 0, 255]) and blocks_per_row(3, 2, 2) == 4


SMALL = [(2, 1, 6, 2, .5), (2, 2, 5, 4, .5), (1, 1, 300, 1, .98), (1, 9, 3, 4, .6), (3, 1, 4, 4, .7),
         (1, 1, 700, 4, .98)]


def test_every_truncation_and_every_tail_is_refused():
    cases = 0
    for seed, (rows, taps, cin, b, s) in enumerate(SMALL):
        stream = encode(layer(seed, rows, taps, cin, b, s), b)
        for damaged in [stream[:i] for i in range(len(stream))] + [stream + bytes([v]) for v in range(256)]:
            with pytest.raises(CorruptModel, match=r'weight stream, byte \d+: '): decode(damaged, rows, cin, taps, b)
            cases += 1
    print(f'{cases} truncated or lengthened streams')
    assert cases > 0


def test_a_changed_byte_is_refused_or_is_the_stream_of_another_layer():
    refused = other = 0
    for seed, (rows, taps, cin, b, s) in enumerate(SMALL):
        stream = encode(layer(seed, rows, taps, cin, b, s), b)
        for i in range(len(stream)):
            for v in set(range(256)) - {stream[i]}:
                damaged = stream[:i] + bytes([v]) + stream[i + 1:]
                try: w = decode(damaged, rows, cin, taps, b)
                except CorruptModel: refused += 1
                else:
                    assert encode(w, b) == damaged
                    other += 1
    print(f'{refused + other} changed bytes: {refused} refused, {other} other layers')
    assert refused > 0 and other > 0


@settings(deadline=None, derandomize=True, max_examples=400)
@given(st.binary(max_size=24), st.integers(1, 3), st.integers(1, 9), st.integers(1, 2), st.sampled_from([1, 2, 4]))
def test_any_bytes_are_refused_or_canonical(stream, rows, cin, taps, b):
    try: w = decode(stream, rows, cin, taps, b)
    except CorruptModel: return
    assert encode(w, b) == stream


@pytest.mark.parametrize('stream, rows, cin, taps, b, what', [
    (b'', 1, 4, 1, 4, 'byte 0: truncated, 1 more'),
    (b'\x80\x01\x00', 1, 4, 1, 4, 'byte 3: truncated, 2 more'),
    (b'\x80\x01\x01\x01\x01', 1, 4, 1, 4, 'byte 5: truncated, 1 more'),
    (b'\x81\x01\x01\x01\x01\xff', 1, 4, 1, 4, 'byte 0: gap 1 leads to block 1 of a row with 1'),
    (b'\x80\x01\x00\x01\x00\x01\xff', 1, 2, 1, 1, 'byte 4: gap 0 leads to block 2 of a row with 2'),
    (b'\x80\x01\x80\x01\xff', 1, 2, 1, 1, 'byte 2: row 1 of a layer with 1'),
    (b'\xfd\xff', 1, 4, 1, 4, 'byte 0: row 1 of a layer with 1'),
    (b'\xfe\xff\xff', 1, 4, 1, 4, 'byte 2: 1 bytes after the end'),
    (b'\xfe\xfe\xff', 2, 4, 1, 4, 'byte 1: empty rows in more headers than they need'),
    (b'\xfe\xf8\xff', 8, 4, 1, 4, 'byte 1: empty rows in more headers than they need'),
    (b'\xfe\xff', 2, 4, 1, 4, 'byte 1: the end comes after 1 of 2 rows'),
    (b'\xff', 2, 4, 1, 4, 'byte 0: the end comes after 0 of 2 rows'),
    (b'\x00\x01\xff', 1, 4, 1, 1, 'byte 0: a block outside any row'),
    (b'\xfe\x00\x01\xff', 2, 4, 1, 1, 'byte 1: a block outside any row'),
    (b'\x80\x01\x78\x01\xff', 1, 400, 1, 1, 'byte 2: no header is 0x78'),
    (b'\x80\x00\x00\x00\x00\xff', 1, 4, 1, 4, 'byte 1: a kept block is all zero'),
    (b'\xf7\x00\xff', 1, 400, 1, 1, 'byte 1: a kept block is all zero'),
    (b'\xf7\x00\x80\x01\xff', 2, 400, 1, 1, 'byte 1: a kept block is all zero'),
    (b'\xf6\x00\x00\x01\xff', 1, 400, 1, 1, 'byte 1: a kept block is all zero'),
    (b'\x80\x01\x00\x00\x02\xff', 1, 3, 1, 4, 'byte 4: a weight in the padding'),
    (b'\x81\x01\x02\xff', 1, 1, 2, 2, 'byte 2: a weight in the padding'),
    (b'\x80\x80\xff', 1, 1, 1, 1, 'byte 1: weight -128'),
])
def test_the_decoder_names_the_byte(stream, rows, cin, taps, b, what):
    with pytest.raises(CorruptModel) as e: decode(stream, rows, cin, taps, b)
    assert what in str(e.value) and 'write it again' in str(e.value)


def test_a_huge_shape_with_a_short_stream_is_refused_without_memory():
    for stream, what in ((b'\xff' * 10, 'comes after 0 of'), (b'\xf8' * 10, 'truncated')):
        with pytest.raises(CorruptModel, match=what): decode(stream, 10**12, 10**12)


@pytest.mark.parametrize('weights', [
    np.zeros((2, 2)), np.zeros((2, 2), np.uint8), np.zeros(4, np.int8), np.zeros((0, 4), np.int8),
    np.zeros((2, 0), np.int8), np.zeros((1, 1, 1, 1), np.int8), np.full((1, 1), -128, np.int8), [[1, 2]]])
def test_encode_refuses(weights):
    with pytest.raises(BadInput): encode(weights)


@pytest.mark.parametrize('block', ['2x2', '4x1', 3, 0, True, None, 4.5, '4'])
def test_unknown_block(block):
    w = np.zeros((1, 4), np.int8)
    for f in (lambda: block_size(block), lambda: encode(w, block), lambda: expected_bytes(4, 4, 1, block)):
        with pytest.raises(BadInput, match='1x1, 1x2, 1x4'): f()


@pytest.mark.parametrize('shape', [(0, 4, 1), (4, 0, 1), (4, 4, 0), (-1, 4, 1)])
def test_decode_refuses_empty_shapes(shape):
    with pytest.raises(BadInput): decode(b'\xff', *shape)


def masks(rng, n, k, draws):
    for _ in range(draws):
        kept = np.zeros(n, bool)
        kept[rng.permutation(n)[:k]] = True
        yield kept


@pytest.mark.thorough
def test_expected_bytes_is_the_mean_over_all_masks():
    "Exact on layers small enough to list every mask."
    from itertools import combinations
    cases = 0
    for rows, m in ((1, 1), (1, 6), (2, 4), (3, 3), (5, 2), (9, 1), (16, 1)):
        for k in range(rows * m + 1):
            sizes = []
            for chosen in combinations(range(rows * m), k):
                kept = np.zeros(rows * m, bool)
                kept[list(chosen)] = True
                sizes.append(stream_bytes(kept.reshape(rows, m), 1))
            assert expected_bytes(rows, m, 1, 1, 1 - k / (rows * m)) == pytest.approx(np.mean(sizes), rel=1e-9)
            cases += 1
    print(f'{cases} small layers, all masks')
    assert cases > 0


def test_expected_bytes_within_two_percent_of_drawn_masks():
    rng, worst, cases = np.random.default_rng(3), 0, 0
    for rows, cin, taps in ((16, 64, 1), (96, 24, 1), (24, 16, 9), (40, 30, 9), (6, 2000, 1), (10, 500, 9)):
        for block, b in BLOCKS.items():
            m = blocks_per_row(cin, taps, block)
            for s in (0, .25, .5, .75, .9, .95, .99, 1):
                k = kept_blocks(rows * m, s)
                drawn = [kept.reshape(rows, taps, -1).repeat(b, 2)[:, :, :cin] for kept in masks(rng, rows * m, k, 40)]
                mean = np.mean([stream_bytes(w, block) for w in drawn])
                worst, cases = max(worst, abs(expected_bytes(rows, cin, taps, block, s) / mean - 1)), cases + 1
    print(f'{cases} layers, worst difference {worst:.2%}')
    assert cases > 0 and worst < .02


def test_sizes_are_ordered():
    for block in BLOCKS:
        for s in np.arange(0, 1.01, .1):
            args = 48, 40, 9, block, s
            assert bound_bytes(*args) <= expected_bytes(*args) + 1e-9
            assert layer_bytes(*args) == min(dense_bytes(48, 40, 9), expected_bytes(*args))
    assert expected_bytes(7, 5, 1, '1x4', 1) == pytest.approx(2) and expected_bytes(7, 5, 1, '1x4', 0) == 7 * 2 * 5 + 1
    assert expected_bytes(15, 5, 1, '1x4', 1) == pytest.approx(4)


def test_expected_bytes_is_quick_enough_for_a_search():
    "A search asks for it thousands of times: a few dozen lines for the largest layer, measured 41."
    assert 0 < lines_run(lambda: expected_bytes(512, 512, 9, '1x4', .5)) < 100


@pytest.mark.parametrize('sparsity', [-.1, 1.1, 75, float('nan')])
def test_sparsity_is_a_share(sparsity):
    with pytest.raises(BadInput, match='between 0 and 1'): expected_bytes(8, 8, 1, '1x4', sparsity)


def test_crossover():
    for block, b in BLOCKS.items():
        s = crossover(64, 64, 1, block)
        assert s == pytest.approx(1 / (b + 1), abs=.01)
        assert expected_bytes(64, 64, 1, block, s) <= 4096 < expected_bytes(64, 64, 1, block, s - .01)


def test_walk_visits_kept_blocks_in_order():
    w = layer(9, 5, 3, 7, 2, .6)
    kept = to_blocks(w, 2).any(2)
    assert [(r, p) for r, p, *_ in walk(encode(w, 2), 5, kept.shape[1], 2)] == list(zip(*map(list, np.nonzero(kept))))


def test_rle_tensor():
    for w in (layer(3, 6, 1, 10, 4, .7)[:, 0], layer(4, 6, 9, 10, 4, .7), layer(5, 6, 1, 10, 4, .7)):
        t = RleTensor.from_dense(w, '1x4')
        assert t.shape == w.shape and t.dense().shape == w.shape and (t.dense() == w).all()
        assert t.nbytes == stream_bytes(w) and t.ratio == w.size / t.nbytes and t.block == '1x4'
        assert hash(t) == hash(RleTensor.from_dense(w, 4)) and str(t.nbytes) in t._repr_markdown_()
        for row in range(6):
            patches = to_blocks(w, 4)[0].size + stream_bytes(w[row:row + 1], 4)
            assert len(t.plot(row).patches) == patches


def test_pictures_are_pure():
    row = np.array([0, 0, 1, 2], np.int8)
    ax = plot_stream(row, 2, encode(row[None], 2))
    assert len(ax.patches) == 4 + 4 and len(ax.lines) == 1
    ax = plot_sizes('1x2', .5, 32, 16, 9)
    assert ax.get_title() == f'1x2 at 50%: {layer_bytes(32, 16, 9, "1x2", .5):.0f} of 4608 bytes'
    lines = len(ax.lines)
    crosses = mark_sizes(ax, [('1x1', .5, 1000), ('1x4', .9, 300)]).lines[lines:]
    assert [(o.get_color(), *map(float, o.get_data()[0])) for o in crosses] == [('C0', .5), ('C2', .9)]
    bars = plot_lengths([510, 511, 511, 513]).patches
    assert [int(o.get_height()) for o in bars] == [1, 2, 0, 1]


def test_a_layer_as_a_line_of_a_table():
    line = stream_table((2, 8), '1x2', bytes.fromhex('82 05 fd 00 00 01 fe ff')).splitlines()[-1]
    assert line == '| 2 x 8 | 1x2 | 16 B | 8 B | 2.00 | `82 05 fd 00 00 01 fe ff` |'
    assert ' …`' in stream_table((2, 8), '1x2', bytes(13))


# ---- the checks of `rle_checks`, and names that moved ----------------------------------------------------------------

def test_weights_that_a_stream_cannot_hold():
    w = np.array([[-127, 0, 127]], np.int8)
    assert check_weights(w) is w
    with pytest.raises(BadInput, match='weights are float64: quantise'): check_weights(np.zeros((2, 8)))
    with pytest.raises(BadInput, match='hold -128'): check_weights(np.full((1, 4), -128, np.int8))


def test_reading_never_passes_the_end():
    assert take(b'abcde', 1, 3) == b'bcd' and take(b'abcde', 5, 0) == b''
    with pytest.raises(CorruptModel, match='byte 5: truncated, 2 more'): take(b'abcde', 4, 3)
    with pytest.raises(CorruptModel, match='byte 17: something is off'): corrupt(17, 'something is off')


@pytest.mark.parametrize('weights, room, what', [
    (b'\x00\x00', 2, 'byte 7: a kept block is all zero'), (b'\x01\x80', 2, 'weight -128'),
    (b'\x01\x01', 1, 'byte 8: a weight in the padding')])
def test_blocks_that_no_encoder_writes(weights, room, what):
    with pytest.raises(CorruptModel, match=what): check_block(weights, room, 7, False)
    check_block(b'\x01\x00', room, 7, False)
    check_block(b'\x00\x00', room, 7, True)


def test_where_headers_stand():
    assert walk_bytes(bytes.fromhex('82 05 00 fd 07 01 00 00 00 09 ff'), 4) == [0, 5, 10]


def test_a_million_weights_come_back():
    rng = np.random.default_rng(0)
    kept = rng.random((1000, 250, 1)) < .3
    w = (rng.integers(-127, 128, (1000, 250, 4)) * kept).reshape(1000, 1000).astype(np.int8)
    stream = encode(w)
    assert len(stream) == stream_bytes(w) and (decode(stream, 1000, 1000) == w).all()


# ---- what puts a stream to the test ----------------------------------------------------------------------------------

def test_drawn_layers_have_whole_blocks_of_zeros():
    assert len(set(SWEEP)) == len(SWEEP) == 720
    w = draw(np.random.default_rng(0), 40, 2, 10, 4, .5)
    assert w.shape == (40, 2, 10) and w.dtype == np.int8 and w.min() > -128
    zero = ~to_blocks(w, 4).any(2)
    assert .3 < zero.mean() < .7 and (draw(np.random.default_rng(0), 3, 1, 5, 4, 1.) == 0).all()


def test_each_byte_is_replaced_by_each_other_value():
    found = list(corruptions(b'ab'))
    assert len(set(found)) == len(found) == 2 * 255 and b'ab' not in found and {o[1:] for o in found} >= {b'b', b'c'}


def test_the_marked_part_of_a_file():
    loop = c_source('kernels/linear/tfm_linear_s8_rle_ref.c', 'walk')
    assert loop.startswith('/* acc') and 'row_dot' in loop and '[/walk]' not in loop


def test_the_loop_in_c_reads_what_the_walk_reads():
    for seed, (rows, taps, cin, b, s) in enumerate(SMALL):
        w = to_blocks(layer(seed, rows, taps, cin, b, s), b).reshape(rows, -1)
        x = np.random.default_rng(seed).integers(-128, 128, w.shape[1]).astype(np.int8)
        stream, m = encode(w, b), w.shape[1] // b
        sums = (w.astype(int) @ x.astype(int)).tolist()
        assert c_sums(stream, rows, x, b) == (sums, len(stream) - 1)
        first = [(at - 1, pos) for row, pos, at, _ in walk(stream, rows, m, b) if row == 0]
        trace = c_trace(stream, x, b)
        assert [o[:2] for o in trace] == [o for o in first if w[0].any()] and (not trace or trace[-1][3] == sums[0])


def test_both_checks_refuse_the_same_streams():
    refused = 0
    for damaged in corruptions(encode(layer(0, 2, 1, 6, 2, .5), 2)):
        assert c_accepts(damaged, 2, 3, 2) == accepts(damaged, 2, 3, 2)
        refused += not accepts(damaged, 2, 3, 2)
    assert refused > 0 and accepts(encode(np.zeros((2, 6), np.int8)), 2, 2, 4)
