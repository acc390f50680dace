"""Choices of kernels that a person types at the command line: `LAYER=FUNCTION` or `LAYER=FUNCTION:BLOCK`."""
from tinyformer.calls import default_block, kernel
from tinyformer.errors import BadInput
from tinyformer.graph import Graph, Op
from tinyformer.hardware import Target
from tinyformer.kernel_choice import Choice, candidates
from tinyformer.rle_encoding import BLOCKS


def override(
    op:Op,         # an operator of the model
    text:str,      # what was typed, for the message
    function:str,  # a C function of the catalogue
    block:str,     # '1x1', '1x2', '1x4', or '' for the kernel's usual one
    target:Target, # its core decides which kernels may run
)->Choice:
    "The choice that one override names."
    able, want = candidates(op, target), BLOCKS.get(block)
    if not block: want = default_block(kernel(function))
    for c in able:
        if (c.kernel.name, c.block) == (function, want): return c
    known = ', '.join(f'{c.kernel}:1x{c.block}' if c.block else c.kernel.name for c in able)
    raise BadInput(f'{text}: {op.name} can be run by {known}')


def parse_overrides(
    graph:Graph,   # the model
    texts:list,    # of 'LAYER=FUNCTION' or 'LAYER=FUNCTION:BLOCK'
    target:Target, # the board
)->dict: # op name -> Choice, for `kernel_choice.select`
    "Read overrides that a person typed."
    ops, out = {op.name: op for op in graph.ops}, {}
    for text in texts:
        name, _, rest = text.partition('=')
        function, _, block = rest.partition(':')
        if name not in ops: raise BadInput(f"no layer {name!r}; the model has {', '.join(ops)}")
        out[name] = override(ops[name], text, function, block, target)
    return out
