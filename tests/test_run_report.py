"""Tables of a report: what is not known of cycles is not said, and borrowed prices are named."""
import matplotlib
import pytest

from tinyformer.errors import AccuracyDropped, TooSlow
from tinyformer.hardware import target
from tinyformer.run_folder import ROAD
from tinyformer.run_report import (cycle_columns, cycle_rows, evaluation_text, kernel_section, kernel_table,
                                   plot_budget, plot_operators, plot_profile, plot_road, supernet_table)
from tinyformer.run_steps import check_drop, check_speed

matplotlib.use('Agg')
BARE = dict(target='stm32f746', est_cycles=216_000, stall_cycles=[0, 21_600, 43_200],
            stall_causes={'load, SRAM': [0, 21_600, 43_200]})
KERNELS = {'stem': dict(kernel='tfm_conv_s8_dsp', block='', weight_bytes=72, scratch_bytes=0,
                        predicted_instructions=4000, predicted_cycles=None)}


def test_cycles_and_waiting_are_rows_where_they_are_known():
    assert cycle_rows(BARE)[1:] == [
        ('estimated cycles', '216,000 in the core, 21,600 waiting for memory, 237,600 in all'),
        ('modelled waits by cause', 'load, SRAM 21,600')]
    assert cycle_rows(dict(target='stm32f746')) == []
    assert cycle_columns({}, target('stm32f746')) == dict(est_ms=None)
    assert cycle_columns(BARE, target('stm32f746'))['est_ms'] == pytest.approx(1.1)


def test_a_row_for_each_operator():
    head, _, row = kernel_table(KERNELS, dict(stem=4100.2), dict(stem=[5000, None])).splitlines()
    assert head.count('|') == row.count('|') == 11
    assert row == '| stem | `tfm_conv_s8_dsp` | dense | 72 | 0 |  | 4,000 | 4,100 | 5,000 |  |'


@pytest.mark.parametrize('board,borrowed', [('stm32f746', False), ('nrf52840', True)])
def test_prices_of_another_core_are_named(board, borrowed):
    section = kernel_section(dict(target=board, kernels=KERNELS), dict(instructions_by_operator=dict(stem=1)))
    assert ('no kernel was measured on a cortex-m4' in section[1]) == borrowed


def test_a_row_for_each_supernet():
    one = dict(name='S1', mean_parameters=1234.5, probability=.91, interval=[.9, .95], samples=100,
               failures=dict(a=1, b=2, c=3), verdict='accepted')
    lines = supernet_table([one, one]).splitlines()
    assert len(lines) == 4 and lines[2] == '| S1 | 1,234 | 91.0% | 90.0% – 95.0% | 100 | 1 | 2 | 3 | accepted |'


def test_a_bar_for_each_operator():
    fig = plot_profile(dict(stem=40_000, attention=30_000, classifier=2_000))
    assert [p.get_width() for p in fig.axes[0].patches] == [40., 30., 2.]
    matplotlib.pyplot.close(fig)


# ---- texts and figures of an evaluation and of limits ----------------------------------------------------------------

ASKED = dict(model='toy', data='arrays', on='host', accuracy=.1, right=3, images=30, compared_images=30,
             bytes_compared=300, bytes_different=0, instructions_per_inference=None, seconds=.5)


def test_an_evaluation_says_how_many_images_and_bytes():
    assert evaluation_text(ASKED) == ('toy on arrays: 10.00% right (3 of 30 images), by the host, in 0.5 s\n'
                                      'bytes: 0 of 300 differ from the reference, over all 30 images')
    assert 'over 5 of 40' in evaluation_text(ASKED | dict(compared_images=5, images=40))
    assert 'bytes: not compared' in evaluation_text(ASKED | dict(compared_images=0))
    assert 'bytes' not in evaluation_text(ASKED | dict(on='reference'))


def test_a_bar_over_its_limit_is_red():
    bars = plot_budget(dict(flash_bytes=2048, sram_bytes=2048), flash_kb=4, sram_kb=1).patches
    assert [o.get_width() for o in bars] == [.5, 2.]
    assert [matplotlib.colors.same_color(o.get_facecolor(), c) for o, c in zip(bars, ('C2', 'C3'))] == [True, True]
    assert len(plot_operators(dict(a=(1, 2, 3), b=(4, 5, None))).patches) == 2
    assert len(plot_road(3).axes[0].collections) == len(ROAD)
    matplotlib.pyplot.close('all')


def test_a_loss_of_accuracy_and_of_speed_is_named():
    stages = dict(float=.99, pruned=.98, int8=.97)
    assert check_drop(stages, .05) == stages
    with pytest.raises(AccuracyDropped, match='pruned 90.0%'): check_drop(dict(float=.99, pruned=.9, int8=.88), .05)
    check_speed(10, dict(a=10), 0)
    check_speed(10, dict(a=10), 10)
    with pytest.raises(TooSlow, match=r'fc1 \(70\), add \(30\)'): check_speed(100, dict(add=30, fc1=70), 90)
