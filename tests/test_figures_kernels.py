"Tables and pictures of kernels, choices and streams (tinyformer/figures_kernels.py, tinyformer/rle_plot.py)."
import matplotlib.pyplot as plt

from tinyformer.calls import CATALOGUE
from tinyformer.figures_kernels import candidates_table, catalogue_table, chosen_table, plot_candidates
from tinyformer.kernel_choice import Choice
from tinyformer.rle_plot import draw_words

CHOICES = [Choice('slow', 4, 6, 0, 90), Choice('quick', 0, 24, 320, 30), Choice('even', 2, 9, 0, 60)]


def test_candidates_stand_by_their_instructions():
    rows = candidates_table(CHOICES).splitlines()[2:]
    assert rows == ['| `quick` | dense | 24 | 320 | 30 |', '| `even` | 2 | 9 | 0 | 60 |', '| `slow` | 4 | 6 | 0 | 90 |']


def test_every_candidate_is_a_point_of_its_format():
    ax = plot_candidates(CHOICES)
    points = {dots.get_label(): dots.get_offsets().tolist() for dots in ax.collections}
    assert points == {'1x4': [[6, 90]], '1x2': [[9, 60]], '1x1': [], 'dense': [[24, 30]]}
    plt.close('all')


def test_every_operator_and_every_kernel_has_a_row():
    assert chosen_table({'a': CHOICES[0], 'b': CHOICES[1]}).splitlines()[2:] == [
        '| a | `slow` | 4 | 90 |', '| b | `quick` |  | 30 |']
    rows = catalogue_table(CATALOGUE).splitlines()[2:]
    assert len(rows) == len(CATALOGUE)
    assert '| `tfm_add_s8_ref` | add | dense | `out, in0, in1, &tfm_add` |' in rows


def test_words_have_four_bytes_a_line():
    axs = draw_words({'a': bytes(5), 'b': range(8)}, [{0}, {4}], [set(), {7}])
    assert [len(ax.patches) for ax in axs] == [5, 8]
    assert [t.get_text() for t in axs[1].texts] == [str(i) for i in range(8)]
    assert [p.get_facecolor()[:3] == (1, 1, 1) for p in axs[1].patches] == [False]*7 + [True]
    plt.close('all')
