"""Figures of the pages on the model: each shows what it is given, and nothing overlaps or is cut."""
import matplotlib.pyplot as plt
import numpy as np
import pytest

import figures
from tinyformer import figures_model as fm
from tinyformer.arch import Arch, Downsample, InvertedResidual, Residual, Transformer

X = np.linspace(-5, 5, 41)
PATH = Arch((8, 8, 1), 10, (Downsample(8, 'conv'), InvertedResidual(expand=2), Residual(), Transformer(8, 2, 16)), 12)


def words(axes): return [t.get_text() for ax in axes for t in ax.texts]


def faults(fig):
    out = []
    fig.canvas.mpl_connect('draw_event', lambda e: out.append(figures.faults(fig, e.renderer)))
    fig.canvas.draw()
    return out[-1]


FIGURES = dict(
    chains=lambda: fm.draw_chains([['in', '3x3', 'out'], ['in', '1x1', '+ in', 'out']]),
    path=lambda: [fm.plot_path(PATH)],
    bars=lambda: fm.draw_bars({'params': [1, 2, 3], 'macs': [3, 2, 1]}, 'layer'),
    tokens=lambda: fm.draw_tokens(np.arange(12.).reshape(3, 4)),
    mixture=lambda: [fm.draw_mixture(np.array([[.731, .269], [.5, .5]]), ['v = 10', 'v = 20'])],
    rewriting=lambda: [fm.draw_rewriting([('nn.ReLU()', 'act relu'), ('nn.Dropout()', '')])],
    curves=lambda: [fm.draw_curves(X, dict(one=X, two=X**2, three=-X))],
    against=lambda: fm.draw_against(dict(one=(X, X), two=(X, X + 1)), 'steps', 'network'),
    matrices=lambda: fm.draw_matrices(dict(one=np.eye(3), two=np.ones((3, 3))), xlabel='key', ylabel='query'),
    places=lambda: fm.draw_places(dict(map=np.arange(6).reshape(2, 3), tokens=np.arange(6).reshape(3, 2)), [3, 2]),
    guesses=lambda: [fm.draw_guesses(np.logspace(-4, 3, 50), dict(a=(np.ones(50),)*2, b=(np.ones(50), None)))],
    rounding=lambda: fm.draw_rounding(X, np.round(X)),
    reach=lambda: fm.draw_reach(dict(one=(np.ones((2, 5)), (1, 1)), two=(np.ones((2, 5)), (0, 1)))),
    pairs=lambda: [fm.draw_pairs(dict(one=np.arange(4), two=np.ones(4)), 'channel', 'error, %')],
    ends=lambda: fm.draw_ends(X, dict(tanh=(np.tanh(X), (-1, 1)), line=(X, ()))),
    useful=lambda: [fm.draw_useful(X, np.tanh(X), (-2, 2), 'tanh')],
    right=lambda: [fm.draw_right(np.linspace(0, 1, 9), dict(rounded=np.ones(9), corrected=np.linspace(0, 1, 9)))])


@pytest.mark.parametrize('name', FIGURES)
def test_a_figure_is_right(name):
    axes = FIGURES[name]()
    assert faults(axes[0].figure) == []
    plt.close('all')


def test_every_figure_is_looked_at():
    drawn = {o.removeprefix('draw_').removeprefix('plot_') for o in vars(fm) if o.startswith(('draw_', 'plot_'))}
    assert drawn - {'numbers', 'boxes'} == {*FIGURES}


def test_figures_say_what_they_are_given():
    assert words([fm.plot_path(PATH)]) == [
        'image\n8x8x1', 'conv\n→ 8x8x8', 'inverted\nresidual\n→ 8x8x8', 'residual\n→ 8x8x8',
        'transformer\n1 x dim 8\n→ 8x8x8', 'head 12\n→ 10']
    both = fm.draw_tokens(np.arange(6.).reshape(2, 3))
    assert words(both[:1]) == words(both[1:]) == list('012345')
    assert words([fm.draw_rewriting([('F.dropout(x)', '')])])[:2] == ['F.dropout(x)', 'nothing']
    assert words([fm.draw_mixture(np.array([[.7311]]), ['v'])]) == ['0.731']
    plt.close('all')
