"""The modules of drawings: each function draws what it is given, and nothing overlaps or is cut."""
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

import figures
from tinyformer import augmentation, codegen, data, emulator, memory_system, pruning, simulator, training
from tinyformer import image_plot as ip, pruning_plot as pp, training_plot as tp
from tinyformer.memory_system import Cycles

FILES = dict(generated=['model.c', 'weights.c'], copied=['kernels/', 'include/', 'host/main.c'])
RUN = SimpleNamespace(per_op=dict(conv=216_000, fc=108_000), instructions=324_000)
WAITS = dict(conv={'load, SRAM': Cycles(1, 2, 4), 'code, flash': Cycles(5, 5, 5)}, fc={'load, SRAM': Cycles(1, 1, 1)})
HISTORY = [dict(epoch=e, loss=2/(e + 1), val_accuracy=None if e == 1 else .5 + .1*e) for e in range(4)]
WEIGHTS = torch.randn(8, 16, generator=torch.Generator().manual_seed(0))
BOARD = SimpleNamespace(address=lambda name: 0x2000_0200, stack_used=lambda value: 32,     # paint, and 32 written bytes
                        read=lambda at, n: bytes([0xA5])*(n - 32) + bytes(32))
DRAWN = dict(
    folder=lambda: ip.draw_folder(FILES), emulator=ip.draw_emulator, stack=lambda: ip.plot_stack(BOARD),
    sram=lambda: ip.draw_sram({'one': [('arena', 8), ('stack', 2)], 'two': [('stack', 2), ('arena', 8)]}),
    steps=lambda: ip.draw_steps([('folder', 'constants'), ('image', 'flash,\nSRAM'), ('run', 'bytes')]),
    profile=lambda: ip.plot_profile(RUN, cpi=2.), trace=lambda: ip.plot_trace([0, 4, 32, 8, 64, 0, 36, 60]),
    stalls=lambda: ip.plot_stalls(WAITS, dict(conv=10, fc=20)),
    line_up=lambda: tp.draw_line_up(np.array([0]*13 + [1]*7), np.array([0, 5, 10, 15])),
    shares=lambda: tp.plot_shares({o: np.arange(1, 11) for o in ('train', 'val', 'test')}),
    conversions=lambda: tp.plot_conversions()[0], source=lambda: tp.plot_source(np.eye(8), .3, 1.25),
    descent=lambda: tp.plot_descent({'slow': [1, .9, .81], 'too far': [1, -1.1, 1.21]}).axes[0],
    losses=lambda: tp.plot_losses(np.array([.1, .5, .9]), {'one': np.array([2, 1, 0]), 'two': np.array([3, 1, .5])}),
    restart=lambda: tp.draw_restart(killed=7.4, epochs=12), average=lambda: tp.plot_average([0, 1, 1], [0, .1, .2], .9),
    history=lambda: tp.plot_history(HISTORY),
    images=lambda: tp.plot_images(np.zeros((3, 8, 8), np.uint8), 'abc').axes[0],
    masks=lambda: pp.plot_masks({'half': WEIGHTS > 0, 'all': WEIGHTS > -9}, WEIGHTS).axes[0],
    schedule=pp.plot_schedule, measured=lambda: pp.plot_measured([0, .4, .8]))


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close('all')


@pytest.mark.parametrize('name', DRAWN)
def test_nothing_overlaps_or_is_cut(name):
    fig, seen = DRAWN[name]().figure, []
    fig.canvas.mpl_connect('draw_event', lambda e: seen.append(figures.faults(fig, e.renderer)))
    fig.canvas.draw()
    assert seen == [[]]


def test_a_folder_shows_every_name():
    assert {t.get_text() for t in ip.draw_folder(FILES).texts} == {*FILES, *FILES['generated'], *FILES['copied']}


def test_bars_have_the_lengths_of_the_counts():
    assert [b.get_width() for b in ip.plot_profile(RUN, clock_mhz=216, cpi=2.).patches] == pytest.approx([2, 1])
    ax = ip.plot_stalls(WAITS, dict(conv=10, fc=20))
    ends = [line.get_xdata().tolist() for line in ax.lines]
    assert ends == [[16, 19], [21, 21]]
    widths = [bar.get_width() for bar in ax.patches]
    assert widths == [10, 20, 2, 1, 5, 0]                                  # core, then cause by cause


def test_a_trace_counts_its_misses():
    def title(*words, **k): return ip.plot_trace(*words, **k).get_title()
    trace = [0, 4, 32, 8, 64, 0, 36, 60]
    assert title(trace) == '4 misses (red) in 8 loads' and title(trace, slots=4) == '3 misses (red) in 8 loads'
    assert title([0, 16, 32], line=16) == '3 misses (red) in 3 loads'


def test_a_stack_shows_what_was_written():
    shown = ip.plot_stack(BOARD, rows=4).images[0].get_array()
    assert shown.shape == (4, 16) and shown[:2].all() and not shown[2:].any()


def test_curves_are_those_that_were_given():
    ax = tp.plot_history(HISTORY)
    assert ax.lines[0].get_xdata().tolist() == [1, 2, 3, 4]
    twin, = (o for o in ax.figure.axes if o is not ax)
    assert twin.lines[0].get_xdata().tolist() == [1, 3, 4]                 # an epoch without a validation is left out
    left, right = tp.plot_conversions()
    assert left.lines[0].get_ydata()[255] == 1 and right.lines[0].get_ydata()[0] == -128
    ends = [ax.lines[1].get_xydata()[-1].tolist() for ax in tp.plot_descent({'a': [1, .5], 'b': [2, 0]}).axes]
    assert ends == [[.5, .125], [0, 0]]
    corner = tp.plot_source(np.eye(8), np.radians(20), 1.25).lines[0].get_xydata()[0]
    assert np.hypot(*corner) == pytest.approx(2**.5/1.25)


def test_masks_are_white_where_nothing_is_kept():
    fig = pp.plot_masks({'positive': WEIGHTS > 0}, WEIGHTS)
    assert np.array_equal(np.isnan(fig.axes[0].images[0].get_array().filled(np.nan)), (WEIGHTS <= 0).numpy())


def test_the_names_are_found_where_they_were():
    assert pruning.plot_masks is pp.plot_masks and training.plot_history is tp.plot_history
    assert data.plot_images is tp.plot_images and augmentation.plot_images is tp.plot_images
    assert codegen.plot_step is ip.plot_step and emulator.plot_stack is ip.plot_stack
    assert memory_system.plot_stalls is ip.plot_stalls and simulator.plot_profile is ip.plot_profile
