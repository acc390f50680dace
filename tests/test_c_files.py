"""Texts of C: names, prefixes, arrays and templates, and the generated files beside `model.c`."""
from dataclasses import replace

import numpy as np
import pytest

from tinyformer import c_files as cf, c_text as ct
from tinyformer.errors import BadInput
from tinyformer.graph import Graph, Op, Tensor, random_graph
from tinyformer.hardware import Memory, target
from tinyformer.emit import constants
from tinyformer.schedule import choose_kernels, plan_arena

BOARD = target('stm32f746')
FC = Op('fully_connected', 'fc', ['x'], 'y', dict(pixels=1, cin=4, cout=2, shift=0, zp_in=0, zp_out=0),
        dict(weight=np.int8([[1, 2, 3, 4], [-1, 0, 0, 1]]), bias=np.int32([0, 10]), mult=np.int32([2**30, 2**30])))
TINY = Graph({'x': Tensor('x', (4,), .5, 0), 'y': Tensor('y', (2,), .5, 0)}, [FC], 'x', 'y', 'tiny')
NET = random_graph(seed=0, shape=(8, 8, 3), width=8, heads=2, sparsity=.7)
X = np.int8([4, 8, 12, 16])


@pytest.mark.parametrize('model, prefix', [('cifar10-1MB', 'cifar10_1mb'), ('3 words', 'm_3_words'), ('', 'm_')])
def test_a_prefix_is_made_from_the_models_name(model, prefix): assert ct.prefix_of(model) == prefix


def test_a_prefix_that_c_does_not_take_is_refused():
    assert ct.prefix_of('cifar10', 'kws') == 'kws'
    for bad in ('', '2nd', 'a b', 'é', 'né', 'x'*32):
        with pytest.raises(BadInput, match='cannot begin the names'): ct.prefix_of('cifar10', bad)


def test_a_template_is_filled_or_refused():
    text = ct.fill('arena.c', name='tfm_arena', NAME='TFM_ARENA', ARENA='ARENA', PREFIX='TFM', section='')
    assert text.count('static int8_t tfm_arena[TFM_ARENA_BYTES] TFM_ARENA;') == 1 and '$' not in text
    with pytest.raises(KeyError): ct.fill('model.c', title='demo')


def test_short_names_stand_for_the_long_ones():
    assert [cf.long_name(s, 'kws') for s in cf.SHORT[:1] + cf.SHORT[5:6]] == ['kws_invoke', 'KWS_INPUT_BYTES']
    undo, make = cf.short_names('kws')
    assert make.splitlines()[:2] == ['#define TFM_SHORT_NAMES', '#define tfm_invoke kws_invoke']
    assert undo.count('#undef') == len(cf.SHORT) and 'ARENA2' in make
    assert 'ARENA2' not in cf.short_names('kws', two=False)[1] and cf.short_names('tfm')[1] == ''


def test_parts_of_a_vector_have_their_beginnings():
    parts = [dict(name='picture', first=0, shape=[4, 5, 3]), dict(name='*/pose', first=60, shape=[6])]
    told = cf.parts_h(replace(TINY, meta=dict(inputs=parts)), 'inputs', 'kws')
    assert [line.split()[1:3] for line in told.splitlines()] == [
        ['KWS_INPUT_00_PICTURE', '0'], ['KWS_INPUT_01_POSE', '60']]
    assert cf.parts_h(TINY, 'outputs') == ''


def test_model_h_says_sizes_and_meanings():
    picked = choose_kernels(NET, BOARD)
    arena = plan_arena(NET, picked)
    rooms = Memory('fast', 0, arena.size // 2), Memory('slow', 1 << 20, 1 << 16, .5)
    split = plan_arena(NET, picked, rooms=rooms, wide=1 << 16)
    text = cf.model_h(NET, arena)
    for line in (f'#define TFM_ARENA_BYTES {arena.size}', '#define TFM_INPUT_BYTES 192',
                 '#define TFM_INPUT_ZERO (-128)', '#define TFM_INPUT_SCALE 3.92156863e-03f',
                 '#define TFM_OUTPUT_BYTES 10'):
        assert line in text
    assert '#define TFM_ARENA2_BYTES' in cf.model_h(NET, split) and '#define TFM_ARENA2_BYTES' not in text


def test_constants_are_declared_and_defined_once():
    blobs = constants(TINY, choose_kernels(TINY, BOARD))
    head, code = cf.weights_files(blobs)
    assert head.count('extern const') == len(blobs['fc']) == code.count('\nconst ')
    assert 'tfm_00_fc_weight[8] TFM_ALIGNED = {\n    1, 2, 3, 4, -1, 0, 0, 1};' in code


def test_the_example_is_given_or_visits_all_of_int8():
    assert (cf.pick_example(TINY, X) == X).all() and len(np.unique(cf.pick_example(NET))) == 192
    with pytest.raises(BadInput, match=r'must be int8 of shape \(4,\)'): cf.pick_example(TINY, X.astype(np.uint8))
    assert 'tfm_example_output[2]' in cf.example_h(TINY, X) and '30, 6};' in cf.example_h(TINY, X)
