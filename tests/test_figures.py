"""The check of figures sees what it is for, and lets right figures pass."""
import json
from types import SimpleNamespace

import matplotlib
import matplotlib.pyplot as plt
import pytest
from IPython.core.formatters import DisplayFormatter

import figures, run_notebooks
from conftest import ROOT


@pytest.fixture
def ax():
    fig, ax = plt.subplots(figsize=(5, 3), layout='constrained')
    yield ax
    plt.close(fig)


def found(ax):
    "The faults of the figure, while it is drawn."
    out = []
    ax.figure.canvas.mpl_connect('draw_event', lambda e: out.append(figures.faults(ax.figure, e.renderer)))
    ax.figure.canvas.draw()
    return out[-1]


def right(ax):
    "Labels, a legend, lines, dots, bars on both kinds of axes, a span, a line across, a twin."
    ax.bar([0, 1, 2], [3, 5, 1], label='bars')
    ax.plot([0, 1, 2], [1, 2, 3], 'o-', label='a line')
    ax.axhline(2); ax.axvspan(.5, 1); ax.scatter([1], [1])
    ax.set(title='all is well', xlabel='x', ylabel='y')
    ax.legend()
    ax.twinx().plot([0, 2], [100, 200])


def names_across(ax): ax.plot(['0%', '50%', '80%'], [1, 2, 3]); ax.bar(['0%', '50%'], [1, 2])


def log_bars(ax):
    ax.bar([0, 1], [1, 1000])
    ax.set_yscale('log')


def two_words(ax): ax.text(.5, .5, 'one word'); ax.text(.5, .5, 'another word')


def small_ticks(ax): ax.plot([16, 576], [1, 2]); ax.set_xscale('log')


def boxed_words(ax):
    ax.plot([0, 1], [0, 1])
    for x in (.4, .6): ax.text(x, .5, 'box', bbox=dict(boxstyle='round,pad=3'))


def cut_line(ax): ax.plot([0, 1], [0, 9]); ax.set_ylim(0, 5)


def cut_dots(ax): ax.scatter([0, 1], [0, 9]); ax.set_xlim(0, .5)


def cut_bars(ax): ax.bar([0, 1], [3, 9]); ax.set_ylim(0, 5)


def bars_without_zero(ax): ax.bar([0, 1], [61, 64]); ax.set_ylim(60, 65)


def cut_picture(ax): ax.imshow([[0, 1], [1, 0]]); ax.set_xlim(0, .5)


def words_in_the_next_axes(ax):
    fig = ax.figure
    fig.set_layout_engine('none')
    other = fig.add_axes([.5, .1, .4, .8])
    ax.set_position([.1, .1, .3, .8])
    ax.text(.5, .2, 'a label that is far too long')


@pytest.mark.parametrize('draw', [right, log_bars, names_across])
def test_a_right_figure_passes(ax, draw):
    draw(ax)
    assert found(ax) == []


@pytest.mark.parametrize('draw,sign', [
    (two_words, "'one word' and 'another word' overlap"), (boxed_words, 'overlap'), (small_ticks, 'overlap'),
    (cut_line, 'a line is cut'),
    (cut_dots, 'a dot is cut'), (cut_bars, 'a box is cut'), (bars_without_zero, 'leaves out 0'),
    (cut_picture, 'a picture is cut'), (words_in_the_next_axes, 'runs into the axes beside it')])
def test_a_wrong_figure_is_seen(ax, draw, sign):
    draw(ax)
    assert any(sign in o for o in found(ax)), found(ax)


def test_a_tick_beyond_a_logarithmic_axis_is_not_drawn(ax):
    "Near as it is in numbers: 0.001 lies within a millionth of the way from 0.3 to 1e16."
    ax.plot([1, 1e15], [1, 2])
    ax.set(xscale='log', xticks=[1e-3, 1, 1e15])
    ax.set_xlim(1e16, .3)
    assert len(figures.ticks(ax.xaxis, *ax.get_xlim())) == 2


def test_a_page_with_a_wrong_figure_fails(tmp_path):
    "The runner looks at what a cell shows, not at what it draws and closes."
    code = 'ax = plt.subplots()[1]\nax.plot([0, 9])\nax.set_ylim(0, 5){}'
    cells = [dict(cell_type='code', id=f'c{i}', metadata={}, source=o, outputs=[], execution_count=None)
             for i, o in enumerate(['import matplotlib.pyplot as plt', code.format('\nplt.close()'), code.format(';')])]
    (tmp_path/'f.ipynb').write_text(json.dumps(dict(cells=cells, nbformat=4, nbformat_minor=5, metadata={})))
    result = run_notebooks.run_one('f.ipynb', tmp_path)
    assert result.cell.startswith('cell c2') and 'a line is cut' in result.error


def test_a_figure_that_cannot_be_looked_at_fails(ax, monkeypatch):
    "A shell prints what goes wrong while a figure is drawn, and goes on."
    shell, told = SimpleNamespace(display_formatter=DisplayFormatter()), []
    pictures = shell.display_formatter.formatters['image/png']
    pictures.for_type(type(ax.figure), lambda fig: fig.canvas.draw())
    monkeypatch.setattr(figures, 'faults', lambda fig, renderer: 1/0)
    figures.watch(shell, told)
    pictures(ax.figure)
    assert 'cannot be looked at: ZeroDivisionError' in told[0]


@pytest.mark.parametrize('name,cell', figures.MEANT)
def test_an_exception_names_a_cell_that_exists(name, cell):
    path, = (ROOT/'nbs').rglob(name)
    assert cell in {o['id'] for o in json.loads(path.read_text(encoding='utf-8'))['cells']}
    assert figures.MEANT[name, cell]
