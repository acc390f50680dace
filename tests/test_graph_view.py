"Tables and pictures of a graph: every operator, every array is drawn (tinyformer/graph_view.py)."
import matplotlib.pyplot as plt
import numpy as np
import pytest

from tinyformer.graph import op_macs, random_graph, run
from tinyformer.graph_view import graph_table, plot_flips, plot_graph, plot_step, plot_sums


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close('all')


def test_the_table_has_a_row_for_each_operator():
    g = random_graph(0)
    head, blank, names, rule, *rows = graph_table(g).splitlines()
    assert f'{g.macs():,} MACs' in head and not blank and rule.count('|') == names.count('|') == 9
    assert [row.split(' | ')[0][2:] for row in rows] == [op.name for op in g.ops]
    assert [row.split(' | ')[-1] for row in rows] == [f'{op_macs(op):,} |' for op in g.ops]
    assert g._repr_markdown_() == graph_table(g)


def test_the_picture_has_every_operator_and_every_reader():
    g = random_graph(0)
    ax = plot_graph(g)
    assert [t.get_text() for t in ax.texts] == [op.name for op in g.ops]
    assert len(ax.lines) == len(g.ops) + sum(len(op.inputs) for op in g.ops)


def test_a_step_shows_positions_and_channels():
    g = random_graph(0)
    live = run(g, np.zeros((1, 8, 12, 3), np.int8), keep=True)
    for i, op in enumerate(g.ops):
        codes = plot_step(g, live, i).images[0].get_array()
        assert np.array_equal(codes.ravel(), live[op.output][0].ravel())
        assert codes.shape[1] == g.tensors[op.output].shape[-1]
        plt.close('all')


def test_sums_and_their_bound():
    ax = plot_sums(np.array([-3, 0, 1, 1]), 7, 9)
    assert [line.get_xdata()[0] for line in ax.lines] == [7, -9, 9]
    assert sum(bar.get_height() for bar in ax.patches) == 4


def test_every_changed_byte_is_a_dot():
    ax = plot_flips(np.array([3, 5, 9]), ['refused', 'harmless', 'refused'], [0, 4])
    assert [list(line.get_xdata()) for line in ax.lines[:2]] == [[3, 9], [5]] and len(ax.lines) == 4
