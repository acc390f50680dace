"""Two processes under torchrun train like one."""
import json, os, subprocess, sys
from pathlib import Path

import pytest
import torch

from tinyformer import distributed
from tinyformer.errors import BadInput
from tinyformer.training import fit

sys.path.insert(0, str(Path(__file__).parent))
from torchrun_two import CFG, DATA, logits, net, qat


pytestmark = pytest.mark.thorough      # two processes train for twenty seconds


@pytest.fixture(scope='module')
def two(tmp_path_factory):
    "What each of two processes found, and what they printed."
    folder = tmp_path_factory.mktemp('two')
    cmd = [sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc-per-node', '2',
           str(Path(__file__).with_name('torchrun_two.py')), str(folder)]
    env = os.environ | dict(OMP_NUM_THREADS='1', PYTHONPATH=str(Path(__file__).parent.parent))
    r = subprocess.run(cmd, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120)
    assert r.returncode == 0, r.stdout[-3000:]
    return [json.loads((folder/f'{k}.json').read_text()) for k in range(2)]


@pytest.fixture(scope='module', autouse=True)
def one_thread():
    n = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n)


def losses(history): return [h['loss'] for h in history]


def apart(a, b):
    "Largest difference, as a share of the largest value."
    a, b = torch.tensor(a, dtype=torch.float64), torch.tensor(b, dtype=torch.float64)
    return float((a - b).abs().max() / b.abs().max())


def test_the_loss_of_every_epoch_is_that_of_one_process(two):
    model = net()
    alone = fit(model, DATA, CFG, progress=False)
    assert [t['size'] for t in two] == [2, 2]
    for t in two: assert losses(t['history']) == pytest.approx(losses(alone), rel=1e-5)
    assert apart(two[0]['logits'], logits(model)) < 1e-4


def test_both_processes_hold_the_same_weights(two):
    for k in ('weights', 'qat_weights'): assert two[0][k] == two[1][k]


def test_batch_norm_sees_the_whole_batch(two):
    for t in two: assert len(t['norms']) == 6 and max(t['norms']) < 1e-5


def test_only_the_first_process_writes_and_an_interrupted_group_resumes_to_the_same_bits(two):
    assert [t['saves'] for t in two] == [2, 0]
    assert [t['resumed'] for t in two] == [True, True]


def test_ranges_of_a_quantised_network_are_those_of_the_whole_batch(two):
    q, alone = qat()
    assert losses(two[0]['qat']) == pytest.approx(losses(alone), rel=1e-5)
    # a value beside a rounding edge may fall on its other side
    assert apart(two[0]['qat_logits'], logits(q.eval())) < .02


def test_a_loss_that_is_not_a_number_in_one_process_stops_both(two):
    for t in two: assert 'became nan at step 12' in t['nan']


def test_processes_that_see_different_disks_are_told(two):
    for t in two: assert 'found checkpoints of [0, 2] epochs' in t['apart']


def test_a_lone_process_is_left_as_it_is(monkeypatch):
    x = torch.rand(3, 2)
    distributed.start()
    assert (distributed.size(), distributed.rank()) == (1, 0) and not torch.distributed.is_initialized()
    assert distributed.share(x, x) == (x, x, 1.) and distributed.total(x) is x and distributed.extremes(x, x) == (x, x)
    monkeypatch.setattr(distributed, 'size', lambda: 4)
    with pytest.raises(BadInput, match='3 images cannot be shared by 4'): distributed.share(x, x)
