"Attributes of older model files become those of today (tinyformer/older_files.py)."
import pytest

from tinyformer import graph_file
from tinyformer.older_files import modern
from tinyformer.operators import OPERATORS, square_window

SIZE = dict(h=1, w=1, cin=3, cout=1, kh=3, kw=3)
OLD, NEW = SIZE | dict(stride=2, pad=1), SIZE | square_window(2, 1)
SQUARE = dict(tokens=5, keys=5, dim=4, vdim=4, causal=0)


@pytest.mark.parametrize('kind, attrs, want', [
    ('conv3x3', OLD, NEW), ('conv3x3', NEW, NEW),                       # what is new stays as it is
    ('lut', dict(n=3), dict(n=3)), ('unknown', dict(n=3), dict(n=3)), ('conv3x3', dict(h=3), dict(h=3)),
    ('matmul_qk', dict(tokens=5, dim=4), dict(tokens=5, keys=5, dim=4)),
    ('attention', dict(tokens=5, dim=4), SQUARE), ('attention', SQUARE | dict(keys=7), SQUARE | dict(keys=7))])
def test_attributes_are_those_of_today(kind, attrs, want):
    before = dict(attrs)
    assert modern(kind, attrs) == want and attrs == before


def test_they_have_the_order_of_the_record():
    assert list(modern('conv3x3', OLD)) == [n for n in OPERATORS['conv3x3'].attrs if n in NEW]


def test_the_file_knows_it(): assert graph_file.modern is modern
