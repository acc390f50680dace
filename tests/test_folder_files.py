"""The files of a firmware folder, without a compiler: what is copied, what is written, and the table of both."""
import json, re

import numpy as np
import pytest

from tinyformer import codegen
from tinyformer.codegen import generate
from tinyformer.emit import constants
from tinyformer.folder_files import contents, copied_files, headers_of, kernel_sources, text_files
from tinyformer.graph import random_graph
from tinyformer.hardware import target


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    net = random_graph(seed=0, shape=(8, 8, 3), width=8, heads=2, sparsity=.7)
    return {port: generate(net, target('stm32f746'), tmp_path_factory.mktemp('folder')/port, port=port)
            for port in ('host', 'stm32f746')}


def test_headers_are_followed_once_and_in_a_circle(tmp_path):
    texts = {'a.c': '#include "b.h"\n#include <stdint.h>\n', 'b.h': ' #  include "c.h"\n', 'c.h': '#include "b.h"\n',
             'unused.h': '', 'lone.c': '// #include "unused.h"\n#include "gone.h"\n'}
    for name, text in texts.items(): (tmp_path/name).write_text(text)
    assert [p.name for p in headers_of([tmp_path/'a.c'], tmp_path)] == ['b.h', 'c.h']
    assert headers_of([tmp_path/'lone.c'], tmp_path) == []


def test_only_what_is_called_is_copied(made):
    host, board = (copied_files(made[o]) for o in ('host', 'stm32f746'))
    assert host.items() < board.items() and {'port/startup.c', 'board/board.c', 'board/frame.c'} <= set(board)
    assert 'port/board.c' not in board and all(p.is_file() for p in board.values())
    kernels = {p for p in host if p.startswith('kernels/')}
    assert kernels == {f'kernels/{p.name}' for p in kernel_sources(made['host'].choices)}


def test_a_checksum_brings_its_code(made):
    plain = made['host']
    sure = generate(plain.graph, plain.target, plain.folder.parent/'sure', port='host', integrity=True)
    assert set(copied_files(sure)) - set(copied_files(plain)) >= {'kernels/tfm_crc32.c'}


def test_every_text_is_complete(made):
    "No name of a template is left, and the figures of the record are in the README."
    fw = made['stm32f746']
    texts = text_files(fw, constants(fw.graph, fw.choices, fw.prefix), np.zeros((8, 8, 3), np.int8))
    assert {'model.c', 'model.h', 'weights.c', 'example.h', 'Makefile', 'README.md', 'port/link.ld'} <= set(texts)
    assert '$' not in texts['README.md'] and str(fw.arena_bytes) in texts['README.md']
    assert f'-mcpu={fw.target.core}' in texts['Makefile']
    assert json.loads(texts['plan.json'])['tensors']
    assert (fw.folder/'model.c').read_text() == texts['model.c']


def test_the_table_has_a_row_for_each_file(made):
    fw = made['host']
    text = contents(fw)
    rows = dict(re.findall(r'^\| (\S+) \| ([\d,]+) \|$', text, re.M))
    assert set(rows) == {str(p.relative_to(fw.folder)) for p in fw.folder.rglob('*') if p.is_file()}
    assert int(rows['model.c'].replace(',', '')) == (fw.folder/'model.c').stat().st_size
    assert f'arena {fw.arena_bytes:,} of' in text and fw._repr_markdown_() == text


def test_the_names_are_found_where_they_were():
    assert codegen.text_files is text_files and codegen.headers_of is headers_of
