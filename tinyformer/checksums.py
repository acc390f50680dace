"""Checksums of a model's constants, CRC-32: one that a board computes again before it trusts its flash, and one by
which the host and a board agree on the model."""
import zlib

import numpy as np

from tinyformer.c_text import fill
from tinyformer.emit import written_once
from tinyformer.graph import Graph


def weights_crc(
    blobs:dict, # as `constants` gives
)->int:         # CRC-32 as `zlib` has it
    "The checksum of all constants in the order of `weights.c`, as a little-endian core reads them."
    crc = 0
    for named in written_once(blobs).values():
        for _, a in named.values():
            crc = zlib.crc32(a.astype(a.dtype.newbyteorder('<')).tobytes(), crc)
    return crc


def check_c(
    blobs:dict,       # as `constants` gives
    prefix:str='tfm', # of names in C
)->str:               # C text
    "The function that compares the constants with their checksum."
    names = [name for named in written_once(blobs).values() for name, _ in named.values()]
    lines = [f'crc = tfm_crc32(crc, {name}, (int32_t)sizeof {name});' for name in names]
    return fill('check.c', prefix=prefix, PREFIX=prefix.upper(),
                lines='\n'.join(f'    {line}' for line in lines))


def model_crc(
    graph:Graph, # the model
)->int:          # 32 bits
    "A checksum of a model's constants, in an order that `reorder` does not change."
    crc = 0
    for op in sorted(graph.ops, key=lambda op: op.output):
        for role in sorted(op.params):
            crc = zlib.crc32(f'{op.output} {role}'.encode(), crc)
            crc = zlib.crc32(np.ascontiguousarray(op.params[role]).tobytes(), crc)
    return crc
