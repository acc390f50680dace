"""A model that looks at an image from both sides: its answer is the mean of what it said to the image and to its mirror
image.

It is right more often, without training, and takes twice the time. Both halves read the same weights, which
`emit.constants` writes once. The mean of an image and its mirror image at test time is old practice; airbench94
(arXiv 2404.00498) is one that does it."""
from dataclasses import replace

from tinyformer.elementwise import add_params, copy_attrs
from tinyformer.errors import BadInput
from tinyformer.graph import Graph, Op
from tinyformer.graph_check import check

END = '.mirror' # of the names of everything that looks at the mirror image


def _need(graph):
    "Refuse a model that has no mirror image, or has one already."
    i, o = graph.tensors[graph.input], graph.tensors[graph.output]
    def refuse(why): raise BadInput(f'{graph.name} cannot look at a mirror image: {why}')
    for what in ('inputs', 'outputs'):
        if len(graph.meta.get(what, [])) > 1: refuse(f'it has several {what}')
    if len(i.shape) != 3: refuse(f'its input has shape {i.shape}; an image has (height, width, channels)')
    if len(o.shape) != 1 and o.shape[:-1] != (1,) * (len(o.shape) - 1):
        refuse(f'its output has shape {o.shape}, which has a left and a right side; scores of classes have none')
    if any(n.endswith(END) for n in graph.tensors): refuse('it does so already')


def mirrored(
    graph:Graph, # int8 model of one image whose output is a vector, such as the scores of classes
)->Graph: # of the same name, input and output
    "The mean of a model's answers to an image and to its mirror image. Raises `BadInput` where that has no meaning."
    _need(graph)
    (h, w, c), o = graph.tensors[graph.input].shape, graph.tensors[graph.output]
    def there(name): return name + END
    tensors = graph.tensors | {there(n): replace(t, name=there(n)) for n, t in graph.tensors.items()}
    one, mean = there(graph.output), there('mean')
    tensors[mean] = replace(o, name=mean)
    flip = Op('copy', there('flip'), [graph.input], there(graph.input),
              copy_attrs((h, w, c), (w*c, -c, 1), (w - 1)*c, h*w*c))
    ops = [replace(op, name=there(op.name), inputs=[there(n) for n in op.inputs], output=there(op.output))
           for op in graph.ops]
    half = o.scale / 2, o.zero_point
    add = Op('add', mean, [graph.output, one], mean,
             dict(n=o.nbytes) | add_params(*half, *half, o.scale, o.zero_point))
    found = Graph(tensors, [*graph.ops, flip, *ops, add], graph.input, mean, graph.name, graph.meta)
    check(found)
    return found
