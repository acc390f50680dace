"""Figures of the pages on costs and search spaces show all that they are given (tinyformer/figures_space.py)."""
import matplotlib
import pytest

from tinyformer import figures_space as fs
from tinyformer.arch import layers
from tinyformer.hardware import target
from tinyformer.search_space import digits_space

matplotlib.use('Agg')
BOARD, PICO = target('stm32f746'), target('rp2040')


@pytest.fixture(autouse=True)
def closed():
    yield
    matplotlib.pyplot.close('all')


def test_a_cloud_counts_the_paths_in_its_box():
    ax = fs.plot_costs(n=40)
    colours = {tuple(o) for o in ax.collections[0].get_facecolors()}
    assert len(ax.collections[0].get_offsets()) == 40 and len(colours) == 2 and 'of 40 paths' in ax.get_title()
    assert fs.plot_costs(flash_kb=1, n=5).get_title().startswith('0% of 5')


def test_three_clouds():
    assert [len(o.get_offsets()) for o in fs.plot_clouds(BOARD, n=20).collections] == [20] * 3


def test_a_bar_for_each_layer_and_core():
    arch = digits_space().smallest()
    assert len(fs.plot_cores(arch, (BOARD, PICO)).patches) == 2 * len(layers(arch))


def test_live_bytes_corners_and_accuracies():
    steps, bound = fs.plot_live({0: 5, 1: 9, 2: 4}, 9).lines
    assert (list(steps.get_ydata()), set(bound.get_ydata())) == ([5, 9, 4], {9})
    corners = fs.draw_corners(dict(large=(32, 24), small=(16, 8)))
    assert [(o.get_height(), o.get_width()) for o in corners.patches] == [(32, 24), (16, 8)]
    assert [o.get_height() for o in fs.draw_recalibrated([.1, .2], [.3, .4]).patches] == [.1, .2, .3, .4]
