"""Random networks on the cores beside the Cortex-M7, made for them: every byte is the reference's."""
import pytest

from tinyformer import graph as tg, random_networks as rn
from tinyformer.hardware import WASM, target

FEW, MANY = 8, 200     # networks of each core in `make test`, and where slow tests run
BOARDS = [pytest.param(WASM if name == 'wasm32' else target(name), id=name,
                       marks=[pytest.mark.needs('node')] * (name == 'wasm32')) for name in
          ('rp2040', 'nrf52840', 'stm32u575', 'esp32c3', 'wasm32')]


def sound(board, count, **how):
    r = rn.sweep_core(board, count, **how)
    print('\n'.join(r.lines()))
    assert not r.failures and sum(r.networks.values()) == count and sum(r.compared.values()) > 100*count, r.failures
    return r


@pytest.mark.parametrize('board', [b for b in BOARDS if b.id in ('rp2040', 'esp32c3', 'wasm32')])
def test_a_few_networks(board): sound(board, FEW, seed=2, cc='zig')


@pytest.mark.thorough
@pytest.mark.parametrize('board', BOARDS)
@pytest.mark.needs('gcc')
def test_many_networks(board):
    r = sound(board, MANY, seed=3)
    fast = 'dsp' if board.has('dsp') else 'scalar'
    for kernel in ('linear_s8_rle', 'linear_s8', 'conv_s8_rle', 'conv_s8', 'depthwise_s8', 'attention_s8'):
        ran = sum(n for word, n in r.features.items() if word.startswith(f'tfm_{kernel}_{fast}'))
        assert ran >= 3 or kernel == 'depthwise_s8' and fast == 'dsp', f'{kernel}_{fast} ran {ran} times'


@pytest.mark.parametrize('board', [b for b in BOARDS if b.id == 'wasm32'])
def test_a_mistake_is_seen(board, monkeypatch):
    "A wrong byte, a write outside, and a status come back with the number of their network."
    right, spoilt = rn.generate, {}
    number = next(k for k in range(100) if rn.draw(2, k, board).memory == 'fast')
    head = ', const int8_t *input, int8_t *output) {\n'

    def generate(net, folder):
        fw = right(net, folder)
        if net.number == number:
            old, new = spoilt['how']
            text = (fw.folder/'model.c').read_text()
            assert old in text
            (fw.folder/'model.c').write_text(text.replace(old, new))
        return fw
    monkeypatch.setattr(rn, 'generate', generate)
    for spoilt['how'] in ((head, f'{head}    output += 1;\n'), ('return TFM_OK;\n}', 'return TFM_ERR_DIMS;\n}')):
        r = rn.sweep_core(board, 2, seed=2, start=number, cc='zig')
        assert [n for n, *_ in r.failures] == [number], r.failures
