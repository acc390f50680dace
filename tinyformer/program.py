"""A torch network as one list of operations, written down by `torch.export`.

The network is taken out of its wrappers, copied, and put into evaluation mode and float32. Calls that write over a
tensor are replaced by plain ones, so that every name in the list stands for one tensor."""
import contextlib, copy, io, logging, types, warnings

import torch, torch.nn as nn
from torch import fx

from tinyformer.errors import BadInput, UnsupportedOp

IMAGES = 2 # in a trace; places tell images apart, so that two are enough


# ---- the network -----------------------------------------------------------------------------------------------------

def still_copy(
    o:object, # a module, a tensor, or what holds some
    memo:dict, # id of an object -> its copy
)->object: # of the same kind
    "A copy of modules and tensors inside an object: float32, on the CPU, without gradients."
    if id(o) in memo: return memo[id(o)]
    if isinstance(o, torch.Tensor):
        if nn.parameter.is_lazy(o):
            raise BadInput('the network has layers whose sizes are open, such as LazyLinear: run it once on an example '
                           'before, net(x)')
        t = o.detach().to('cpu').clone()
        t = t.float() if t.is_floating_point() else t
        new = nn.Parameter(t, False) if isinstance(o, nn.Parameter) else t
    elif isinstance(o, nn.Module):
        new = memo[id(o)] = object.__new__(type(o))
        new.__dict__.update({k: still_copy(v, memo) for k, v in o.__dict__.items()})
        new.__dict__['training'] = False
    elif isinstance(o, types.MethodType) and isinstance(o.__self__, nn.Module):
        new = types.MethodType(o.__func__, still_copy(o.__self__, memo))
    elif isinstance(o, dict):
        new = memo[id(o)] = copy.copy(o)
        new.update({k: still_copy(v, memo) for k, v in o.items()})
    elif type(o) in (list, tuple): new = type(o)(still_copy(v, memo) for v in o)
    else: return o
    memo[id(o)] = new
    return new


def unwrap(
    net:object, # what the user has
)->nn.Module: # or torch.export.ExportedProgram
    "The network inside its wrappers."
    if isinstance(net, torch.export.ExportedProgram): return net
    if isinstance(net, torch.jit.ScriptModule):
        raise UnsupportedOp('the network is a torch.jit program: give the module that it was made '
                            'from, or a program of torch.export.export(net, (x,))')
    if not isinstance(net, nn.Module):
        what = f'the network is a {type(net).__name__}'
        raise BadInput(f'{what}: give an nn.Module or a program of torch.export')
    inner = net.__dict__.get('_orig_mod') or net._modules.get('_orig_mod')
    if inner is not None: return unwrap(inner)
    wraps = (nn.DataParallel, nn.parallel.DistributedDataParallel)
    fabric = type(net).__name__ in ('_FabricModule', 'FullyShardedDataParallel', 'DeepSpeedEngine')
    if isinstance(net, wraps) or fabric: return unwrap(net.module)
    return net


# ---- its program -----------------------------------------------------------------------------------------------------

@contextlib.contextmanager
def quietly():
    "No warnings, no log lines, no gradients, and attention written out."
    fast = torch.backends.mha.get_fastpath_enabled()
    level = logging.root.manager.disable
    try:
        torch.backends.mha.set_fastpath_enabled(False)
        logging.disable(logging.CRITICAL)
        with warnings.catch_warnings(), torch.no_grad(), torch.inference_mode(False):
            warnings.simplefilter('ignore')
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        logging.disable(level)


def first_line(
    e:Exception, # of any kind
)->str: # at most 200 characters
    "What an error says first."
    return (str(e).strip().splitlines() or [type(e).__name__])[0][:200]


def _exported(net, xs):
    "The network's program for these inputs."
    try: net(*(x.clone() for x in xs))
    except Exception as e:
        shapes = ', '.join(str(tuple(x.shape[1:])) for x in xs)
        what = f'the network cannot run on inputs of shape {shapes}'
        raise BadInput(f'{what}: {first_line(e)}') from e
    errors, text = [], io.StringIO() # torch prints what it cannot follow
    for strict in (False, True):
        try:
            with contextlib.redirect_stdout(text), contextlib.redirect_stderr(text):
                return torch.export.export(net, tuple(x.clone() for x in xs), strict=strict)
        except Exception as e: errors.append(e)
    why = f'cannot follow the network: {first_line(errors[0])}'
    why += '; its forward must not branch on values of tensors'
    raise UnsupportedOp(why) from errors[0]


def export(
    net:nn.Module, # copied and in evaluation mode, or an ExportedProgram
    xs:list, # example inputs, float32 [n, ...]
)->tuple: # (ExportedProgram without calls in place, number of images in it)
    "The network as one list of torch operations."
    if isinstance(net, torch.export.ExportedProgram): return _plain(net, False), _images(net)
    few = [x[:1].expand(IMAGES, *x.shape[1:]).contiguous() for x in xs]
    try: return _plain(_exported(net, few)), IMAGES
    except BadInput: return _plain(_exported(net, [x[:1] for x in few])), 1


def _images(program):
    "How many images a program takes; IMAGES if any number."
    names = set(program.graph_signature.user_inputs)
    first = next(n.meta['val'] for n in program.graph.nodes if n.name in names)
    return first.shape[0] if isinstance(first.shape[0], int) else IMAGES


# ---- calls that write over a tensor ----------------------------------------------------------------------------------
#
# Torch can rewrite any such call, but slowly. Mostly nobody looks at the old tensor again, neither by its name nor
# through a view of its memory. `_twin` sees whether that is so; then the plain operation of the same name does.

def _plain(program, own=True):
    "The program without operations that write over a tensor."
    inner = [m for m in program.graph_module.modules() if isinstance(m, fx.GraphModule)]
    calls = [n for m in inner for n in m.graph.nodes if isinstance(n.target, torch._ops.OpOverload)]
    writes = [n for n in calls if n.target._schema.is_mutable]
    if not writes: return program
    twins = [_twin(n) for n in writes]
    if not own or len(inner) > 1 or not all(twins): return program.run_decompositions({})
    for n, twin in zip(writes, twins): n.target = twin
    return program


def _memory(node):
    "The node whose memory a node's tensor may share: through views, calls in place, dropout."
    while isinstance(node.target, torch._ops.OpOverload) and node.all_input_nodes:
        shares = any(r.alias_info for r in node.target._schema.returns)
        if not shares and 'dropout' not in node.target.__name__: break
        node = node.all_input_nodes[0]
    return node


def _twin(node):
    "The plain form of an operation in place, if it may stand in for it; else None."
    packet, _, overload = node.target.__name__.partition('.')
    twin = getattr(getattr(torch.ops.aten, packet.removesuffix('_'), None), overload, None)
    if not packet.endswith('_') or twin is None: return None
    nodes, old = [*node.graph.nodes], _memory(node)
    if old.op == 'placeholder': return None
    at = nodes.index(node)
    new = {node} # what holds the result
    for n in nodes[at + 1:]:
        reads = [a for a in n.all_input_nodes if _memory(a) is old]
        if any(a not in new for a in reads): return None
        if reads and _memory(n) is old: new.add(n)
    return twin
