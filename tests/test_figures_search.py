"""Figures of the pages on the search: each shows all that it is given (tinyformer/figures_search.py)."""
import matplotlib
import numpy as np
import pytest

from tinyformer import figures_search as fs
from tinyformer.hardware import target
from tinyformer.search_space import digits_space
from tinyformer.supernas import Acceptance, wilson

matplotlib.use('Agg')
ACC = Acceptance(digits_space(), target('stm32f746'), flash=(.8,) * 45 + (1.5,) * 5, sram=(.5,) * 49 + (2.,),
                 params=(10,) * 50)


@pytest.fixture(autouse=True)
def closed():
    yield
    matplotlib.pyplot.close('all')


def test_a_window_judges_every_sample_again():
    good, bad = (len(o.get_offsets()) for o in fs.plot_window(ACC).collections[-2:])
    assert (good, bad) == (45, 5)
    only_sram = fs.plot_window(ACC, 0., 100.)
    assert len(only_sram.collections[-1].get_offsets()) == 1 and '98.0%' in only_sram.get_title()


def test_wilsons_ends_lie_on_both_lines():
    distance, errors, ends = fs.draw_wilson(45, 50).lines
    assert tuple(ends.get_xdata()) == wilson(45, 50)
    for line in (distance, errors):
        found = np.interp(ends.get_xdata(), *line.get_data())
        assert np.allclose(found, ends.get_ydata(), atol=2e-3)


def test_looks_and_slices():
    looks = fs.draw_looks([ACC, ACC])
    assert len(looks.lines) == 2 + 2 and tuple(looks.lines[0].get_ydata()) == ACC.interval
    grid = fs.draw_slices(np.array([.6, 1., 2.]), np.array([2., .6, 1.]))
    assert len(grid.lines) == 2 * 4 + 1 and len(grid.lines[-1].get_xdata()) == 3


def test_a_tie_and_an_area():
    ax = fs.draw_tie([900, 500], [.95, .946], tie=.944)
    assert len(ax.lines[0].get_xdata()) == 2 and ax.patches
    area = fs.draw_area([(100, .5), (150, 1.)], 200)
    assert sum(o.get_width() * o.get_height() for o in area.patches) / 200 == pytest.approx(.375)


def test_a_dot_for_each_model_and_each_seed():
    assert len(fs.plot_agreement([.1, .2, .3], [.2, .3, .1], 'three').collections[0].get_offsets()) == 3
    ax = fs.draw_volumes(dict(tpe=[.7, .8], random=[.6, .5]), trials=120)
    assert [len(o.get_xdata()) for o in ax.lines] == [2, 2] and '120 trials' in ax.get_xlabel()
