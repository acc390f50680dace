"""What a board adds to a folder: its memories, its linker script, its start-up files, and a server where it has one."""
import pytest

from test_c_files import NET, TINY
from tinyformer import codegen as cg, ports as po
from tinyformer.errors import BadInput
from tinyformer.hardware import target
from tinyformer.memory_alloc import aligned

BOARD = target('stm32f746')


def test_a_port_is_that_of_the_target_or_one_with_its_core():
    assert [po.port_of(None, target(t)) for t in ('stm32f746', 'rp2040')] == ['stm32f746', 'rp2040']
    assert po.port_of('mps2_an500', BOARD) == po.port_board('mps2_an500', BOARD).name == 'mps2_an500'
    with pytest.raises(BadInput, match='does not start on rp2040'): po.port_of('rp2040', BOARD)
    with pytest.raises(BadInput, match="no port 'toaster'; known: stm32f746"): po.port_of('toaster', BOARD)


def test_the_planner_gets_the_memories_without_the_stack():
    rooms = [(m.name, m.size) for m in po.rooms_of('stm32f746', BOARD)]
    assert rooms == [('DTCM', (64 << 10) - po.STACK_BYTES), ('SRAM', 256 << 10)]
    assert len(po.rooms_of('mps2_an500', BOARD)) == len(po.rooms_of('host', BOARD.with_budget(sram_bytes='64KB'))) == 1


@pytest.mark.parametrize('port, words', [
    ('stm32f746', ['_stack_top = ORIGIN(RAM) + _stack_reserve;', 'LENGTH = 1048576']),
    ('stm32h743', ['FAST (rw) : ORIGIN = 0x20000000, LENGTH = 3048', 'ORIGIN = 0x24000000, LENGTH = 521240']),
    ('stm32n657', ['ORIGIN = 0x34000000'])])
def test_a_linker_script_has_the_boards_addresses(port, words):
    text = po.linker_script(port, target(port), 1000)
    assert all(w in text for w in words), text


def test_a_linker_script_has_the_budget_as_its_lengths():
    text = po.linker_script('stm32f746', BOARD.with_budget(flash_bytes='32KB', sram_bytes='16KB'))
    for words in ('ORIGIN = 0x08000000, LENGTH = 32768', 'ORIGIN = 0x20000000, LENGTH = 16384',
                  '_stack_top = ORIGIN(RAM) + LENGTH(RAM);'): assert words in text


def test_the_arena_gets_what_stack_and_ends_leave():
    ends = sum(aligned(NET.tensors[name].nbytes) for name in (NET.input, NET.output))
    assert po.beside(NET, BOARD.with_budget(sram_bytes='16KB')) == 16384 - 2048 - 64 - ends
    assert po.beside(NET, BOARD.with_budget(sram_bytes='1KB')) == 0


def test_a_server_has_all_of_the_flash_and_the_sram_of_the_budget(tmp_path):
    fw = cg.generate(TINY, BOARD.with_budget('32KB', '16KB'), tmp_path/'fw')
    texts = po.port_texts(fw)
    assert 'LENGTH = 32768' in texts['port/link.ld'] and 'LENGTH = 1048576' in texts['board/link.ld']
    assert all('LENGTH = 16384' in texts[f'{d}/link.ld'] for d in ('port', 'board'))
    assert '#define TFM_MODEL_NAME "tiny"\n#define TFM_BOARD_NAME "STM32F746G-DISCO"' in texts['board/about.h']
    assert '#define TFM_MODEL_CRC 0xdcc7443eu' in texts['board/about.h']


def test_only_a_port_that_says_how_bytes_go_has_a_server(tmp_path):
    assert [p for p in po.ports() if po.serves(p)] == ['stm32f746', 'mps2_an500']
    mute = cg.generate(TINY, target('stm32h743'), tmp_path/'fw')
    host = cg.generate(TINY, BOARD, tmp_path/'host', port='host')
    assert list(po.port_texts(mute)) == ['port/link.ld'] and po.port_texts(host) == {}
    assert po.port_folders(None) == [] and po.port_folders(BOARD) == ['cortex_m', 'stm32f746']
    assert po.port_folders(target('mps2_an500')) == ['cortex_m', 'qemu', 'mps2_an500']
