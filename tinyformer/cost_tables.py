"""The tables of what kernels cost, which `bench.fit_cost_table` measures: read from their files, and that of a similar
core where a core has none. Page 06a tells what they hold and how they are used."""
import json
from functools import lru_cache
from importlib import resources
from pathlib import Path

from tinyformer.errors import BadInput, CorruptModel
from tinyformer.hardware import CORES

MEASURED = 'cortex-m7'
"The core whose table stands in for cores that have none."


class CostTable(dict):
    "Coefficients of the cost model. Hashed by identity, so costs can be cached."
    note = '' # what a reader of its prices should know
    __hash__ = object.__hash__
    __ne__ = object.__ne__
    def __eq__(self, other): return self is other


@lru_cache
def load_cost_table(
    path:str='', # a JSON file; '' = the one of `MEASURED`, which ships with the package
)->CostTable: # measured coefficients
    "The cost table that the bench wrote."
    path = Path(path) if path else resources.files('tinyformer')/CORES[MEASURED].cost_table
    try: return CostTable(json.loads(path.read_text()))
    except OSError as e:
        raise BadInput(f'cannot read the cost table {path.name}: {e.strerror}. '
                       'Make it with `tinyformer bench --fit`.') from e
    except ValueError as e:
        raise CorruptModel(f'the cost table {path.name} is not JSON: {e}.') from e


@lru_cache
def _stand_in(core):
    "The table of another core without its cycles."
    kernels, like = {}, CORES[core].priced_as or MEASURED
    rows = cost_table('riscv32')['kernels'] | cost_table(like)['kernels'] # the first: without DSP
    for name, row in rows.items():
        kernels[name] = {k: v for k, v in row.items() if k not in ('cycles', 'cycles_error')}
    table = CostTable(cost_table(like) | dict(kernels=kernels))
    table.note = f'no kernel was measured on a {core}: instructions are those of a {like}'
    return table


def cost_table(
    core:str=MEASURED, # a key of `hardware.CORES`
)->CostTable: # of that core, or the stand-in, with a `note`
    "What kernels cost on a core."
    if core == MEASURED: return load_cost_table()
    own = CORES[core].cost_table
    return load_cost_table(str(resources.files('tinyformer')/own)) if own else _stand_in(core)
