"""The pictures that pages draw with plain modules (`tinyformer/figures_*.py`): each shows the data that it is given,
and nothing is wrong with it as `figures.py` sees it."""
import matplotlib.pyplot as plt
import numpy as np
import pytest

import figures
from tinyformer import figures_hardware as fh, figures_memory as fm, figures_operators as fo
from tinyformer.hardware import Memory, targets
from tinyformer.memories import Placement
from tinyformer.memory_alloc import Interval, live_bytes, lower_bound, plan


@pytest.fixture(autouse=True)
def look_at_figures():
    "Every figure that a test leaves open is looked at."
    yield
    for number in plt.get_fignums():
        fig, out = plt.figure(number), []
        fig.canvas.mpl_connect('draw_event', lambda e: out.append(figures.faults(fig, e.renderer)))
        fig.canvas.draw()
        plt.close(fig)
        assert out[-1] == []


def lines(ax): return [tuple(np.asarray(o).tolist() for o in line.get_data()) for line in ax.lines]


def texts(ax): return [o.get_text() for o in ax.texts]


# ---- 01 and 01a ------------------------------------------------------------------------------------------------------

def test_what_a_multiply_add_costs():
    ax = fh.plot_per_mac([3., 2., 1.5], 1.)
    assert [o.get_height() for o in ax.patches] == [3., 2., 1.5] and ax.lines[0].get_ydata()[0] == 1.


def test_names_have_a_place_only_where_a_board_is():
    assert set(fh.NAMES_AT) <= {t.name for t in targets()}


# ---- 03 and 03a ------------------------------------------------------------------------------------------------------

BUFFERS = [Interval('a', 0, 2, 16), Interval('b', 1, 3, 24)]


def test_lives_above_and_live_bytes_below():
    top, low = fm.plot_lifetimes(BUFFERS).axes
    assert [(o.get_x(), o.get_width()) for o in top.patches] == [(0, 2), (1, 2)]
    assert [o.get_text() for o in top.get_yticklabels()] == ['a (16)', 'b (24)']
    assert low.patches[0].get_data().values.tolist() == [16, 40, 24]
    assert list(live_bytes(BUFFERS)) == [0, 1, 2, 3] and low.lines[0].get_ydata()[0] == lower_bound(BUFFERS)


def test_the_busiest_bytes_are_poured_first():
    ax = fm.plot_poured([('calm', 10, 10), ('busy', 100, 20)], 20)
    assert texts(ax) == ['busy', 'calm']
    assert [(o.get_x(), o.get_width(), o.get_height()) for o in ax.patches] == [(0, 20, 5), (20, 10, 1)]


def test_a_placement_shows_where_a_memory_ends():
    line = plan(BUFFERS)
    rooms = Memory('near', 0, 24), Memory('far', 24, 64, .5)
    two = Placement(line, rooms, (24, 40), dict(a=100, b=200), 20.)
    ax = fm.plot_placement(two, time=1)
    assert texts(ax)[-2:] == ['near', 'far'] and 'at least 20' in ax.get_title()
    assert [24, 24] in [y for _, y in lines(ax)]
    one = Placement(line, rooms[:1], (40,), dict(a=1, b=2), 0.)
    assert 'waiting' not in fm.plot_placement(one).get_title()
    table = fm.placement_table(two).splitlines()
    assert table[0] == '**40 bytes** (no plan below 40), waiting 50 cycles, no placement waits less than 20'
    assert table[-2:] == ['| near | 24 | 24 | 0 |', '| far | 16 | 64 | 0.5 |']
    assert 'proven least' in fm.placement_table(one)


# ---- 04 to 04d -------------------------------------------------------------------------------------------------------

def test_two_series_stand_beside_each_other():
    ax = fo.plot_beside(dict(one=[1, 2], other=[3, 4]), 'x', 'y', names='pq', ylim=(0, 5))
    assert [(round(o.get_x(), 1), o.get_height()) for o in ax.patches] == [(-.4, 1), (.6, 2), (0, 3), (1, 4)]
    assert [o.get_text() for o in ax.get_xticklabels()] == ['p', 'q'] and ax.get_ylim() == (0, 5)
    assert [o.get_text() for o in ax.get_legend().get_texts()] == ['one', 'other']


def test_codes_stand_above_their_numbers():
    ax = fo.plot_number_line(.5, -2)
    assert dict(zip(texts(ax), (o.get_position()[0] for o in ax.texts)))['-2'] == 0
    assert texts(fo.plot_number_line(.1, 0, bits=7)) == []


def test_a_middle_range_loses_least():
    narrow, good, wide = fo.plot_roundings([(3, .8), (3, 2.), (3, 6.)])
    assert good < narrow and good < wide


def test_codes_and_the_line_they_follow():
    acc = np.arange(-10, 11)
    far, near = fo.plot_requantized(acc, acc // 2, .5, 3, near=4).axes
    assert [len(x) for x, _ in lines(near)] == [7, 7] and len(lines(far)[0][0]) == 21
    assert lines(far)[0][1][10] == 3 and lines(far)[1][1][:2] == [-5, -5]


def test_each_window_has_its_taps():
    for ax, (rows, first) in zip(fo.plot_windows(7, 3, [dict(pad=1), dict(stride=2, pad=1), dict(d=2)]),
                                 [(7, [-1, 0, 1]), (4, [-1, 0, 1]), (3, [0, 2, 4])]):
        dots = [o.get_offsets()[:, 0].tolist() for o in ax.collections]
        assert len(dots) == rows and dots[0] == first


def test_ranges_of_pools():
    pool = dict(h=7, w=7, oh=3, ow=3, kh=1, kw=1, sh=1, sw=1, top=0, left=0, adaptive=1)
    ax = fo.plot_pools(dict(a=pool, b=pool)).axes[1]
    assert [tuple(x) for x, _ in lines(ax)] == [(0, 3), (2, 5), (4, 7)] and ax.get_title() == 'b'


def test_values_of_a_second_input_are_spread():
    one, other = fo.plot_spread({'row': np.arange(3)[None], 'column': np.arange(2)[:, None]}, (2, 3)).axes
    assert texts(one) == ['y0', 'y1', 'y2'] * 2 and texts(other) == ['y0'] * 3 + ['y1'] * 3


def test_tables_and_their_names():
    ax = fo.plot_table({'': np.arange(256)}, 'x', 'y', first=-128)
    assert lines(ax)[0][0][0] == -128 and ax.get_legend() is None
    assert len(fo.plot_table(dict(a=np.arange(256), b=np.arange(256)), 'x', 'y').get_legend().get_texts()) == 2


def test_the_order_of_a_copy():
    ax = fo.plot_order([0, 3, 1, 4, 2, 5])
    assert lines(ax) == [([0, 3, 1, 4, 2, 5], [1, 2, 3, 4, 5, 6])] and texts(ax) == list('012345')


def test_pixels_between_gaps():
    marked = np.zeros((3, 4), bool)
    marked[::2, 1::2] = True
    assert [o.get_position() for o in fo.plot_gaps(marked).texts] == [(1, 0), (3, 0), (1, 2), (3, 2)]


def test_what_a_query_sees():
    one, other = fo.plot_masks([np.tri(4, dtype=bool), np.ones((2, 3), bool)]).axes
    assert one.get_title() == '4 tokens, 4 keys' and other.get_title() == '2 tokens, 3 keys'
    assert one.images[0].get_array().sum() == 10


def test_errors_over_spreads():
    ax = fo.plot_errors(np.array([1., 2., 4.]), dict(a=[.1, .2, .3], b=[1, 2, 3]))
    assert [y for _, y in lines(ax)] == [[.1, .2, .3], [1, 2, 3]] and ax.get_xscale() == ax.get_yscale() == 'log'
