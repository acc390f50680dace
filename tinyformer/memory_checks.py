"""What a plan for one or more memories is asked before it is made, and what is said when there is no room.

`memory_alloc` and `memories` use it. Each refusal names the buffer or the memory, and says what to change."""
from .buffers import Plan
from .errors import BadInput, DoesNotFit
from .hardware import joined


def no_room(
    plan: Plan,     # its peak is above `capacity`
    capacity: int,  # bytes
    step: int,      # the fullest one
    live: list      # Intervals that are live then, the largest first
) -> DoesNotFit:    # to be raised
    "The error that names the bytes over and the largest tensors live at the fullest step."
    tensors = ', '.join(f'{i.name} ({i.size})' for i in live[:8])
    if live[8:]: tensors += f' and {len(live) - 8} smaller ones'
    hopeless = plan.proven or plan.lower_bound > capacity
    need, least = plan.peak, ''
    if hopeless and not plan.proven: need, least = plan.lower_bound, 'at least '
    hope = "No plan can fit: make one of them smaller"
    if not hopeless:
        hope = "A plan may exist, but the search found none: make one of them smaller, allow more nodes"
    return DoesNotFit(f"the arena needs {least}{need} bytes, {need - capacity} more than the "
                      f"{capacity} there are. At step {step} these tensors are live: {tensors}. "
                      f"{hope}, or choose a target with more SRAM.")


def check_memories(
    intervals: list, # Intervals
    moved: dict,     # name → bytes moved
    memories: tuple  # of `hardware.Memory`
) -> None:
    "Refuse what no placement could be made for, by name."
    names = [m.name for m in memories]
    twice = [n for n in names if names.count(n) > 1]
    if not names or twice: raise BadInput(f'memories need a name each: {twice or "none is given"}')
    for a, b in zip(memories, memories[1:]):
        if a.wait > b.wait: raise BadInput(f'{a.name} is slower than {b.name}: give the fast memory first')
    for m in memories:
        if m.size < 1: raise BadInput(f'{m.name} has {m.size} bytes: a memory needs some')
    unknown = [i.name for i in intervals if i.name not in moved]
    if unknown: raise BadInput(f'nothing says how many bytes {unknown[0]!r} moves')
    sizes, line = [m.size for m in memories], joined(memories)
    for i in intervals:
        if i.size > (sum(sizes) if line else max(sizes)):
            raise DoesNotFit(f'{i.name} needs {i.size} bytes in one piece; of {", ".join(names)} none has more than '
                             f'{max(sizes)}')
        if i.fixed is not None and not line:
            raise BadInput(f'{i.name} has a fixed offset: that needs one arena')
