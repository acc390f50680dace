"""C that returns other bytes than the reference, fails or crashes is never handed over; the operator is named."""
import subprocess, sys
from dataclasses import replace

import numpy as np
import pytest

from tinyformer import codegen as cg, host_check as hc, schedule as sch
from tinyformer.errors import BadInput, WrongBytes
from tinyformer.graph import random_graph, run, save
from tinyformer.hardware import target

BOARD = target('stm32f746')


@pytest.fixture(scope='module')
def graph(): return random_graph(seed=3, shape=(8, 8, 3), width=8, heads=2)


def moved(arena, places):
    "The arena with some tensors at other offsets."
    return replace(arena, tensors=arena.tensors | places)


def broken(graph, folder, places):
    "The model with some tensors at other offsets, whole tensors only."
    fw = cg.generate(graph, BOARD, folder/'right', port='host', memory='fast')
    fw = replace(fw, folder=folder/'wrong', arena=moved(fw.arena, places))
    cg.write_folder(fw.folder, cg.text_files(fw, cg.constants(graph, fw.choices, fw.prefix), cg.pick_example(graph)),
                    cg.copied_files(fw))
    return fw


def test_wrong_bytes_name_the_first_operator_that_differs(tmp_path, graph):
    at = cg.generate(graph, BOARD, tmp_path/'fw', port='host', memory='fast').arena.tensors
    pool, expand = graph.ops[1:3]
    assert expand.inputs == [pool.output]
    bad = broken(graph, tmp_path, {expand.output: at[pool.output]})
    with pytest.raises(WrongBytes,
                       match=rf'output bytes differ .* First wrong operator: {expand.name} \(pointwise, tfm_linear'):
                           cg.check_bytes(bad)


def test_a_crash_is_told_and_its_operator_named(tmp_path, graph):
    op = graph.ops[2]
    with pytest.raises(WrongBytes, match=rf'crashed with signal \d+. First wrong operator: {op.name} .* crashed'):
        cg.check_bytes(broken(graph, tmp_path, {op.output: 2**31 - 2**12}))


def test_a_status_is_told_and_its_operator_named(tmp_path, graph):
    fw = cg.generate(graph, BOARD, tmp_path/'fw', port='host', memory='fast')
    name = next(n for n, c in fw.choices.items() if c.scratch_bytes > 8)
    less = replace(fw, choices={**fw.choices, name: replace(fw.choices[name], scratch_bytes=4)}, folder=tmp_path/'less')
    blobs = cg.constants(graph, less.choices, less.prefix)
    cg.write_folder(less.folder, cg.text_files(less, blobs, cg.pick_example(graph)), cg.copied_files(less))
    with pytest.raises(WrongBytes,
                       match=rf'returned status 3 for image 0. First wrong operator: {name} .* returned status 3'):
                           cg.check_bytes(less)


def test_a_record_that_a_crash_cut_off_is_left_out(tmp_path, graph, monkeypatch):
    fw = cg.generate(graph, BOARD, tmp_path/'fw', port='host')
    whole = np.array([1, 0, 0], np.int32).tobytes()
    for cut in range(len(whole)):
        done = subprocess.CompletedProcess([], -11, stdout=whole + whole[:cut])
        monkeypatch.setattr(hc, 'host_program', lambda *a: tmp_path/'program')
        monkeypatch.setattr(hc.subprocess, 'run', lambda *a, **k: done)
        assert hc.traced(fw, np.zeros(1, np.int8)) == [(1, 0, None)]


def test_the_program_runs_its_example_and_tells_what_each_operator_made(tmp_path, graph):
    fw = cg.generate(graph, BOARD, tmp_path/'fw', port='host', memory='fast')      # each operator once
    program = hc.host_program(fw, fw.folder/'host'/'main.c')
    said = subprocess.run([program], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert said.stdout == '10 bytes compared with the expected output, 0 different\n'
    x = np.random.default_rng(0).integers(-128, 128, (2, 8, 8, 3), dtype=np.int8)
    events = hc.traced(fw, x[0])
    assert [op for op, _, made in events if made is None] == list(range(len(graph.ops)))
    assert (events[-1][2] == run(graph, x[:1])[0]).all() and hc.first_fault(fw, x[0]) == ''
    hc.check_bytes(fw, x)


def test_images_that_the_model_cannot_take_are_refused(tmp_path, graph):
    fw = cg.generate(graph, BOARD, tmp_path/'fw', port='host')
    x = np.zeros((2, 8, 8, 3), np.int8)
    assert (hc.check_images(fw, x) == x).all()
    for bad, words in ((x[0], r'int8 images of shape \(n >= 1, 8, 8, 3\)'), (x.astype(np.uint8), 'got uint8'),
                       (x[:0], 'n >= 1')):
        with pytest.raises(BadInput, match=words): hc.check_images(fw, bad)


def test_a_file_changed_by_hand_is_told(tmp_path, graph):
    fw = cg.generate(graph, BOARD, tmp_path/'fw', port='host')
    edited = fw.folder/'model.c'
    edited.write_text(edited.read_text().replace('return TFM_OK;', 'output[3] ^= 1; return TFM_OK;'))
    with pytest.raises(WrongBytes, match='1 of 10 output bytes differ from the reference. First wrong operator: none '
                                         'when it is generated again'): hc.check_bytes(fw)


def test_a_wrong_folder_is_not_written(tmp_path, graph, monkeypatch):
    right = sch.plan_arena
    monkeypatch.setattr(cg, 'plan_arena', lambda *a: (arena := right(*a))
                        and moved(arena, dict.fromkeys(arena.tensors, 0)))
    with pytest.raises(WrongBytes): cg.generate(graph, BOARD, tmp_path/'fw', check=True)
    assert not (tmp_path/'fw').exists()
    assert cg.generate(graph, BOARD, tmp_path/'fw').folder.is_dir()     # not asked, not checked


def test_compile_checks_unless_told_not_to(tmp_path, graph):
    "The command line, with a planner that puts everything at 0."
    save(graph, tmp_path/'m.tfm')
    wrong = ("import sys, dataclasses; from tinyformer import cli, codegen as cg; right = cg.plan_arena\n"
             "cg.plan_arena = lambda *a: (p := right(*a)) and "
             "dataclasses.replace(p, tensors=dict.fromkeys(p.tensors, 0))\n"
             "sys.exit(cli.main(sys.argv[1:]))")
    words = [sys.executable, '-c', wrong, 'compile', tmp_path/'m.tfm', '--out', tmp_path/'fw']
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 1 and 'First wrong operator' in done.stderr and not (tmp_path/'fw').exists()
    assert subprocess.run([*words, '--no-check'],
                          capture_output=True).returncode == 0 and (tmp_path/'fw'/'model.c').is_file()
