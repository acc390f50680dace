"""Checksums of constants: each single bit changes them, and the order of operators does not matter to the host."""
import zlib
from dataclasses import replace

import numpy as np

from test_c_files import BOARD, FC, NET, TINY
from tinyformer import checksums as cs
from tinyformer.emit import constants
from tinyformer.schedule import choose_kernels


def test_every_single_bit_changes_the_checksum():
    w = FC.params['weight']
    bits = {cs.weights_crc({'fc': dict(weight=('w', w ^ np.int8(1 << bit)))}) for bit in range(7)}
    assert len(bits | {cs.weights_crc({'fc': dict(weight=('w', w))})}) == 8


def test_constants_are_read_as_a_little_endian_core_does():
    for dtype in ('<i4', '>i4'):
        assert cs.weights_crc({'fc': dict(bias=('b', np.array([1], dtype)))}) == zlib.crc32(b'\x01\0\0\0')


def test_the_c_goes_through_all_constants():
    blobs = constants(TINY, choose_kernels(TINY, BOARD), 'kws')
    text = cs.check_c(blobs, 'kws')
    assert [f'tfm_crc32(crc, {n}, (int32_t)sizeof {n});' in text for n, _ in blobs['fc'].values()] == [True]*3
    assert 'int kws_check(void)' in text and 'crc == KWS_WEIGHTS_CRC ? TFM_OK : TFM_ERR_WEIGHTS' in text


def test_host_and_board_agree_on_a_model_and_on_no_other():
    assert cs.model_crc(replace(NET, ops=NET.ops[::-1])) == cs.model_crc(NET)
    other = replace(FC, params=FC.params | dict(bias=FC.params['bias'] + 1))
    assert cs.model_crc(replace(TINY, ops=[other])) != cs.model_crc(TINY) == 0xdcc7443e
