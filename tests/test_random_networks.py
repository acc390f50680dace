"""Random networks through `generate`: the C on this machine under sanitizers and on the emulated core returns the
reference's bytes, whatever the strides, paddings, memory mode and kernels (see tinyformer/random_networks.py)."""
import re
from collections import Counter

import numpy as np
import pytest

from tinyformer import graph as tg, random_networks as rn
from tinyformer.errors import BadInput
from tinyformer.simulator import build, simulate

SHARE, SHARES, BATCH = 500, 4, 250     # networks in each share of the sweep, and in one program

AT_LEAST = {   # feature -> in how many networks of a share, at least
    **dict.fromkeys(['chain', 'two chains', 'several rows at a time', 'last band is short', 'chain reads the input',
                     'chain writes the output', 'addition of a tensor from outside a chain', 'chain of 3'], 5),
    **dict.fromkeys(['ring', 'strip', 'in place', 'another order', 'no arena'], 5),
    'whole tensor in a chain': 1,
    **dict.fromkeys([f'kernel {how} stride{padding}, in a chain' for how in ('under', 'equal to', 'over')
                     for padding in ('', ' with padding')], 1),
    **dict.fromkeys([f'{kind} {where}' for where in ('first in a chain', 'in a chain') for kind in
                     ('conv3x3', 'depthwise3x3', 'pointwise', 'linear', 'layernorm', 'maxpool2x2', 'add', 'lut', 'mul',
                      'add_broadcast', 'concat', 'rmsnorm')], 1),
    'a tensor without rows, read in a chain': 1, 'a difference': 10, 'layernorm of a long row': 1,
    **dict.fromkeys([f'{kind} of form {b}' for kind in ('mul', 'add_broadcast') for b in (0, 1, 2)
                     if (kind, b) != ('add_broadcast', 0)], 5),
    'chain of 4': 1,
    **dict.fromkeys(['one pixel', 'one channel', 'zero point at an end', 'pre-shift'], 10),
    **dict.fromkeys(['kernel not square', 'stride over kernel', 'padding as wide as the kernel'], 10),
    **dict.fromkeys(['directions unlike', 'dilation', 'padded on one side', 'adaptive pool', 'padded pool'], 10),
    'an operator without weights left': 10,
    **dict.fromkeys(['a tensor with two readers', 'one tensor twice'], 10),
    'keys unlike tokens': 10, 'values of another width': 3, 'causal attention': 2,
    'more than 127 blocks in a row': 5,
    'a tensor nobody reads': 2, 'the output is read again': 2,
    **dict.fromkeys(tg.KINDS, 5),
    **dict.fromkeys([f'memory {m}' for m in rn.MEMORY] + ['objective bytes', 'objective speed'], 50)}


@pytest.mark.thorough
@pytest.mark.parametrize('share', range(SHARES))
@pytest.mark.needs('cc')
def test_networks_return_the_reference_bytes(share):
    "Host under address and undefined-behaviour sanitizers; every tenth network on the emulated core as well."
    r = rn.sweep(SHARE, start=share*SHARE, device_share=.1, batch=BATCH)
    print('\n'.join(r.lines()))
    assert not r.failures, r.failures
    ran = Counter()
    for (place, _), n in r.networks.items(): ran[place] += n
    assert ran == {'host gcc': SHARE, 'device': SHARE // 10} and SHARE*SHARES >= 2000
    few = {word: r.features[word] for word, n in AT_LEAST.items() if r.features[word] < n}
    assert not few, f'too few networks of a share have these: {few}'


def test_networks_without_a_system_compiler():
    "The same with the compiler that comes with the package: undefined behaviour, guard pages and paint."
    r = rn.sweep(100, seed=1, device_share=.1, cc='zig', device_cc='zig')
    print('\n'.join(r.lines()))
    assert not r.failures and sum(r.networks.values()) == 110, r.failures


def test_a_network_is_known_by_its_numbers():
    for number in range(20):
        a, b = rn.draw(7, number), rn.draw(7, number)
        assert tg.equal(a.graph, b.graph) and (a.inputs == b.inputs).all() and repr(a) == repr(b)
    assert not tg.equal(rn.draw(7, 0).graph, rn.draw(8, 0).graph)


def test_build_and_simulate_agree(tmp_path):
    "The usual way of a user for some of the networks: a whole image with start-up code, and `simulate`."
    n = 0
    for number in range(60):
        net = rn.draw(11, number)
        fw = rn.generate(net, tmp_path/str(number), port='stm32f746')
        if not fw.chains or not fw.plan.peak: continue
        got = simulate(build(fw), fw, net.inputs, profile_images=0, progress=False).outputs
        assert np.array_equal(got, tg.run(net.graph, net.inputs)), net
        n += 1
        if n == 3: break
    assert n == 3


# ---- the sweep is able to fail

WRONG = {   # what a mistake in the C looks like -> what is replaced in model.c, and what must be said
    'a wrong byte': ('.zp_out = ', '.zp_out = 1 - ', 'bytes differ'),
    'another stride': ('.sh = 2', '.sh = 1', 'status 2|differ|Sanitizer'),
    'a buffer that is not there': ('arena + ', 'arena + 4096 + ', 'Sanitizer|differ|status|stopped'),
    'C that does not compile': ('int status;', 'int status = 0 / 0;', 'division by zero'),
    'a status': ('return status;\n}', 'return status + 3;\n}', 'status 3')}


@pytest.fixture(scope='module')
def six(tmp_path_factory):
    "Networks whose C holds all that is going to be spoilt."
    found, folder = [], tmp_path_factory.mktemp('six')
    for number in range(1000):
        net = rn.draw(3, number)
        windows = [op.attrs for op in net.graph.ops if op.attrs.get('sh') == 2]
        if len(net.graph.ops) < 4 or not any(min(a['h'], a['w']) > 3 for a in windows): continue
        text = (rn.generate(net, folder/str(number)).folder/'model.c').read_text()
        if all(old in text for old, *_ in WRONG.values()): found.append(net)
        if len(found) == 6: return found


@pytest.mark.parametrize('what', WRONG)
@pytest.mark.needs('cc')
def test_a_mistake_is_seen(what, six, tmp_path):
    "One network of six is spoilt; its number comes back, and the others are well."
    old, new, said = WRONG[what]
    made = [(net, rn.generate(net, tmp_path/f'n{net.number}')) for net in six]
    bad, fw = made[3]
    (fw.folder/'model.c').write_text((fw.folder/'model.c').read_text().replace(old, new))
    result = rn.Result()
    for number, found in rn.run_host(made, tmp_path, 'gcc').items():
        net = next(n for n in six if n.number == number)
        rn.judge(result, 'host', net, tg.run(net.graph, net.inputs).reshape(rn.IMAGES, -1), *found)
    assert [n for n, *_ in result.failures] == [bad.number] and re.search(said, result.failures[0][2]), result.failures
    assert sum(result.different.values()) > 0


def test_a_fault_on_the_core_is_seen(tmp_path):
    net = next(n for n in (rn.draw(3, i) for i in range(100)) if n.memory == 'fast' and len(n.graph.ops) > 3)
    fw = rn.generate(net, tmp_path/f'n{net.number}')
    sound = rn.run_device([(net, fw)], tmp_path, 'zig')[net.number]
    assert sound[0] == '' and np.array_equal(sound[1], tg.run(net.graph, net.inputs).reshape(rn.IMAGES, -1))
    head = ', const int8_t *input, int8_t *output) {\n'
    text = (fw.folder/'model.c').read_text()
    (fw.folder/'model.c').write_text(text.replace(head, f'{head}    input += 1000000;\n'))
    assert re.search('faulted', rn.run_device([(net, fw)], tmp_path, 'zig')[net.number][0])


def test_command(capsys, tmp_path):
    assert rn.main(['--count', '20', '--seed', '5', '--device-share', '0', '--cc', 'zig', '--features']) == 0
    out = capsys.readouterr().out
    assert re.search(r'^20 networks, \d+ bytes compared, 0 different, 0 networks failed', out, re.M) and ' chain' in out
    assert rn.main(['--only', '3', '--seed', '5', '--cc', 'zig', '--keep', str(tmp_path/'kept')]) == 0
    assert (tmp_path/'kept'/'model.c').is_file()
    with pytest.raises(BadInput, match='device_share'): rn.sweep(1, device_share=2.)
