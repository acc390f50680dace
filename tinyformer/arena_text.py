"The arrays of the arena as C: one, or one in each memory of a board, with the section that says which."
from .c_text import fill
from .emit import ARENAS, PARAMETERS

FAST, SLOW = '.bss.tfm_fast', '.bss.tfm_slow'


def arenas_c(
    arena: object,       # an `Arena`: where tensors and scratch lie
    prefix: str = 'tfm', # of names in C
) -> str:                # C text
    "The arrays of the arena."
    two, out = arena.placement is not None, []
    for name, (k, first, end) in zip(ARENAS, arena.arrays):
        section = f', section("{SLOW if k else FAST}")' if two else ''
        out.append(fill('arena.c', name=f'{prefix}_{name}', NAME=f'{prefix}_{name}'.upper(), ARENA=name.upper(),
                        PREFIX=prefix.upper(), section=section))
    return '\n'.join(out)


def arena_params(
    arena: object, # an `Arena`
) -> dict:         # name -> declaration
    "What `invoke_with` takes for it."
    return {name: PARAMETERS[name] for name, _ in zip(ARENAS, arena.arrays)}
