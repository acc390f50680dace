"""Fields of an architecture: what they may be, and what is said of a file that does not hold them."""
import json
from dataclasses import dataclass

import pytest

from tinyformer.arch import Arch, Downsample, InvertedResidual, Transformer
from tinyformer.arch_fields import Checked, check, check_ends, check_field, is_count, read_fields, read_json, rule
from tinyformer.errors import BadInput, CorruptModel

TINY = Arch(input=(8, 8, 1), classes=10, head=12,
            blocks=(Downsample(8, 'conv'), InvertedResidual(), Transformer(dim=8, heads=2, ffn=16, sparsity=.5)))


def test_a_number_of_channels_is_a_whole_number_above_zero():
    assert [is_count(v) for v in (8, 0, 8., True)] == [True, False, False, False]
    assert [rule('cout', kind)[0](None) for kind in (int, int|None)] == [False, True]


def test_a_wrong_field_is_named():
    check(True, 'never shown')
    with pytest.raises(BadInput, match='must hold'): check(False, 'this must hold')
    with pytest.raises(BadInput, match='Demo.stride is 3'): check_field('Demo', 'stride', int, 3)
    with pytest.raises(BadInput, match='positive integer'): check_field('Demo', 'cout', int, True)
    @dataclass(frozen=True)
    class Pair(Checked): cout:int
    with pytest.raises(BadInput, match='Pair.cout is 0'): Pair(0)


def test_the_ends_of_a_network_are_checked():
    ends = dict(input=(8, 8, 1), classes=10, blocks=['1x4'], sparsities=[0.])
    check_ends('Demo', heads=[0, 12], **ends)
    for said, change in {'Demo.head is -1': dict(heads=[-1]), 'Demo.input': dict(input=(8, 8)),
                         'Demo.classes is 0': dict(classes=0), 'Demo.block': dict(blocks=['2x2']),
                         'Demo.head_sparsity is 1': dict(sparsities=[1.])}.items():
        with pytest.raises(BadInput, match=said): check_ends('Demo', **dict(ends, heads=[0]) | change)


def test_a_file_that_lacks_a_field_or_has_another_is_refused_by_name():
    d = json.loads(json.dumps(TINY.to_json()))
    assert Arch.from_json(d) == TINY
    for field in d:
        with pytest.raises(CorruptModel, match=field): Arch.from_json({k: v for k, v in d.items() if k != field})
    with pytest.raises(CorruptModel, match="unknown field 'width'"): Arch.from_json(d | dict(width=3))
    with pytest.raises(CorruptModel, match='known are downsample'): Arch.from_json(d | dict(blocks=[dict(type='mlp')]))
    with pytest.raises(CorruptModel, match='found list'): read_fields(Arch, [], 'here')


@pytest.mark.parametrize('held, said', [
    (TINY.to_json() | dict(version=2), 'version 1 only'),
    (TINY.to_json() | dict(blocks=[dict(type='mlp')]), 'block 0: type'),
    ([], 'found list')])
def test_a_file_of_another_kind_is_refused(tmp_path, held, said):
    (tmp_path/'other.json').write_text(json.dumps(held))
    with pytest.raises(CorruptModel, match=said): Arch.load(tmp_path/'other.json')


def test_shipped_networks_are_loaded_by_name(tmp_path):
    assert read_json('R')[0] == 'R.json' and Arch.load(TINY.save(tmp_path/'tiny.json')) == TINY
    with pytest.raises(BadInput, match='R or P'): Arch.load('Q')
    (tmp_path/'text.json').write_text('{')
    with pytest.raises(CorruptModel, match='is not JSON'): read_json(tmp_path/'text.json')
