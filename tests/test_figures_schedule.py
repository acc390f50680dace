"Pictures of lifetimes, bands, rings and roads (tinyformer/figures_schedule.py)."
import matplotlib.pyplot as plt
import numpy as np
import pytest

from tinyformer.figures_schedule import band_grid, draw_bands, draw_live_bytes, draw_lives, draw_ring, draw_road


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close('all')


def test_a_bar_begins_with_its_maker_and_ends_after_its_last_reader():
    bars = draw_lives(['a', 'b', 'c'], [(0, 1), (1, 5), (2, 2)], steps=3).patches
    assert [(b.get_x(), b.get_width()) for b in bars] == [(0, 2), (1, 3), (2, 1)]       # longer lives are cut


def test_live_bytes_stand_before_those_of_a_plan_with_nothing_in_place():
    ax = draw_live_bytes(np.array([5, 7]), np.array([5, 4]))
    assert [b.get_height() for b in ax.patches] == [5, 7, 5, 4]


def test_rows_are_absent_kept_or_made():
    grid = band_grid([(0, 2), (2, 3)], [0, 1], 4)
    assert grid.T.tolist() == [[2, 2, 0, 0], [0, 1, 2, 0]]
    axs = draw_bands({'one': grid, 'two': grid})
    assert [ax.get_title() for ax in axs] == ['one', 'two'] and axs[0].images[0].get_array().shape == (4, 2)


def test_a_ring_holds_the_rows_that_a_window_reads():
    texts = [t.get_text() for t in draw_ring(6, 3).texts]
    assert texts[-3:] == ['row 3', 'row 4', 'row 5'] and len(texts) == 2 + 5*3
    for y in range(1, 5): assert {f'row {y + i}' for i in (-1, 0, 1)} == set(texts[3*y - 1:3*y + 2])


def test_a_road_has_a_box_for_each_step():
    assert [t.get_text() for t in draw_road([('a', 'x'), ('b', 'y')]).texts if t.get_text()] == ['a', 'x', 'b', 'y']
