"""What `plan.json` of a generated folder holds: tensors with their places, operators with their kernels, as JSON."""
from tinyformer.emit import ARENAS
from tinyformer.ports import STACK_BYTES


def memories_dict(
    fw, # a `codegen.Firmware`: a model with its plan
)->dict:         # plain JSON data; empty for a board with one memory
    "How far each memory is used, and what the bytes that are moved wait there."
    spots = fw.arena.placement
    if spots is None: return {}
    rows = [dict(name=m.name, first_address=m.start, room_bytes=m.size, wait_per_byte=m.wait,
                 arena_bytes=spots.peaks[m.name]) for m in spots.memories]
    stack = dict(memory=spots.memories[0].name, bytes=STACK_BYTES)
    return dict(memories=rows, stack=stack, waiting_cycles=round(spots.waiting),
                waiting_bound_cycles=round(spots.bound), proven=spots.proven)


def plan_dict(
    fw, # a `codegen.Firmware`: a model with its plan
)->dict:         # plain JSON data
    "What plan.json holds."
    functions = {name: f for f, name in fw.functions.items()}
    def operator(op):
        c = fw.choices[op.name]
        return dict(name=op.name, kind=op.kind, function=functions.get(op.name),
                    kernel=c.kernel.name, block=c.block, weight_bytes=c.weight_bytes,
                    scratch_bytes=c.scratch_bytes,
                    predicted_instructions=c.instructions)
    def buffer(b):
        k, at = fw.arena.array_of(fw.plan.offsets[b.label])
        return dict(name=b.label, holds=list(b.holds), scratch=b.scratch, bytes=b.size,
                    arena=ARENAS[k], offset=at, first_step=b.start, end_step=b.stop)
    names = [op.name for op in fw.graph.ops]
    sizes = 'arena_bytes', 'arena_lower_bound_bytes', 'weights_bytes', 'weights_bytes_dense'
    return dict(model=fw.graph.name, target=fw.target.name, port=fw.port, prefix=fw.prefix,
                flash_limit_bytes=fw.target.flash_bytes, sram_limit_bytes=fw.target.sram_bytes,
                **{name: getattr(fw, name) for name in sizes},
                memories=memories_dict(fw), tensors=[buffer(b) for b in fw.arena.buffers],
                operators=[operator(op) for op in fw.graph.ops],
                bands=[dict(operators=names[c.first:c.last + 1], rows=c.rows) for c in fw.chains])
