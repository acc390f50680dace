"The arrays of the arena in C (tinyformer/arena_text.py)."
from tinyformer.arena_text import FAST, SLOW, arena_params, arenas_c
from tinyformer.emit import in_arena
from tinyformer.graph import random_graph
from tinyformer.hardware import Memory, target
from tinyformer.schedule import choose_kernels, plan_arena

NET = random_graph(seed=0, shape=(8, 8, 3), width=8, heads=2, sparsity=.7)
PICKED = choose_kernels(NET, target('stm32f746'))
WHOLE = plan_arena(NET, PICKED)


def test_one_memory_has_one_array_without_a_section():
    text = arenas_c(WHOLE)
    assert 'section("' not in text.split('#else')[1] and text.count('tfm_arena[') == 1
    assert list(arena_params(WHOLE)) == ['arena']


def test_memories_that_are_apart_have_an_array_each_in_its_section():
    rooms = Memory('fast', 0, WHOLE.size // 2), Memory('slow', 1 << 20, 1 << 16, .5)
    split = plan_arena(NET, PICKED, rooms=rooms, wide=1 << 16)
    text = arenas_c(split, 'kws')
    assert 'kws_arena2[KWS_ARENA2_BYTES]' in text and 'tfm_arena' not in text
    assert text.count(f'section("{FAST}")') == text.count(f'section("{SLOW}")') == 1
    assert arena_params(split) == dict(arena='int8_t *arena', arena2='int8_t *arena2')
    assert in_arena(split, split.arrays[1][1]).buffer == 'arena2'
