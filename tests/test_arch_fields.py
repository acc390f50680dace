"""Fields of an architecture: what they may be, and what is said of a file that does not hold them."""
import json
from dataclasses import dataclass

import pytest

from tinyformer.arch import KINDS, Arch, Downsample, InvertedResidual, Transformer, layers, published_arch
from tinyformer.arch_fields import (Checked, check, check_ends, check_field, is_count, read_block, read_fields,
                                    read_json, rule)
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
    with pytest.raises(CorruptModel, match="block 7: type is 'mlp'"): read_block(KINDS, dict(type='mlp'), 'block 7')
    d['blocks'][2]['heads'] = 3
    with pytest.raises(CorruptModel, match='architecture, block 2: .* must divide dim = 8'): Arch.from_json(d)


def test_a_path_shows_itself_as_a_table():
    rows = TINY._repr_markdown_().splitlines()
    assert [row.split()[1] for row in rows[2:]] == ['downsample', 'inverted_residual', 'transformer', 'head']
    assert rows[2].endswith('| 8x8x8 |') and 'cout' not in rows[3] and rows[-1].endswith('| 10 |')
    assert [kind for kind, _ in TINY.named()] == ['downsample', 'inverted_residual', 'transformer']


PUBLISHED = '''
conv3x3 32x32x128, maxpool2x2 16x16x128,
pointwise 16x16x256, depthwise3x3 16x16x256, pointwise 16x16x128, add 16x16x128,
conv3x3 16x16x128, pointwise 16x16x44,
layernorm 16x16x44, linear 16x16x132, attention 16x16x44, linear 16x16x44, add 16x16x44,
layernorm 16x16x44, linear 16x16x256, linear 16x16x44, add 16x16x44,
conv3x3 16x16x44, pointwise 16x16x128,
pointwise 16x16x256, depthwise3x3 8x8x256, pointwise 8x8x128,
pointwise 8x8x384, depthwise3x3 8x8x384, pointwise 8x8x128, add 8x8x128,
conv3x3 8x8x128, pointwise 8x8x192,
layernorm 8x8x192, linear 8x8x576, attention 8x8x192, linear 8x8x192, add 8x8x192,
layernorm 8x8x192, linear 8x8x128, linear 8x8x192, add 8x8x192,
conv3x3 8x8x192, pointwise 8x8x256, pointwise 8x8x768, avgpool 1x1x768, fully_connected 1x1x10'''


def test_the_family_holds_the_network_that_the_authors_published():
    "Their calls, layer by layer; they join q, k and v into one product, which here are three of the same total size."
    def described(l):
        h, w, c = l.shape
        return f'{l.kind} {h}x{w}x{3*c if l.name.endswith(".q") else c}'
    ours = [described(l) for l in layers(published_arch()) if not l.name.endswith(('.k', '.v'))]
    assert ours == PUBLISHED.replace('\n', ' ').strip().split(', ')


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
