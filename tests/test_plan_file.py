"""plan.json: every tensor, every operator and every memory, as plain data."""
import json
from dataclasses import replace

from test_c_files import NET
from tinyformer import codegen as cg, plan_file as pf
from tinyformer.hardware import Memory, target
from tinyformer.schedule import plan_arena

BOARD = target('stm32f746')


def test_tensors_and_operators_are_those_of_the_plan(tmp_path):
    fw = cg.generate(NET, BOARD.with_budget('64KB', '32KB'), tmp_path/'fw')
    told = json.loads(json.dumps(pf.plan_dict(fw)))
    assert {t['name']: t['offset'] for t in told['tensors']} == fw.plan.offsets
    assert [o['function'] for o in told['operators']] == list(fw.functions)
    assert told['operators'][2]['kernel'] == fw.choices['pointwise_2'].kernel.name and told['memories'] == {}
    assert json.loads((fw.folder/'plan.json').read_text()) == told


def test_two_memories_are_told_with_their_use(tmp_path):
    fw = cg.generate(NET, BOARD.with_budget('64KB', '32KB'), tmp_path/'fw')
    rooms = Memory('fast', 0, fw.arena.size // 2), Memory('slow', 1 << 20, 1 << 16, .5)
    split = plan_arena(NET, fw.choices, rooms=rooms, wide=1 << 16)
    told = pf.memories_dict(replace(fw, arena=split))
    assert sum(m['arena_bytes'] for m in told['memories']) == split.size
    assert told['stack'] == dict(memory='fast', bytes=2048) and told['waiting_cycles'] >= told['waiting_bound_cycles']
