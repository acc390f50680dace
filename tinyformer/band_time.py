"What some rows of an operator cost: the operator as a layer of so many rows, priced by the cost table."
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

from .graph import Graph, Op
from .kernel_choice import time_of
from .operators import OPERATORS


def some_rows(
    op: Op,      # any operator that a chain may hold
    rows: int,   # of its output
    height: int, # rows of its whole output
) -> Op:
    "The operator as a layer that makes so many rows."
    record, a = OPERATORS[op.kind], op.attrs
    if record.rows != 'h': return replace(op, attrs=a | {record.rows: a[record.rows] // height * rows})
    k, stride, *_ = record.window(a)
    fewer = dict(h=(rows - 1)*stride + k, top=0, bottom=0, oh=rows)
    return replace(op, attrs=a | {name: v for name, v in fewer.items() if name in a})


def prices(
    graph: Graph,  # the model
    choices: dict, # op name -> Choice
) -> Callable:     # time(step, rows, rows of the whole), in cycles
    "What some rows of each operator cost; the same question is answered once."
    @lru_cache(maxsize=None)
    def time(t, rows, height):
        op = graph.ops[t]
        return time_of(choices[op.name], some_rows(op, rows, height))
    return time
