"""A function of one number as data: a list of torch operations, each of which reads the argument, earlier results, or
numbers. So it can be compared and stored, and two of the same argument can be joined."""
from dataclasses import dataclass

import torch


def as_tensor(a): return a if isinstance(a, torch.Tensor) else torch.tensor(a)


def operation(
    name:str, # such as 'relu.default'
)->object: # a function
    "A torch operation by its name; numbers are made tensors where it needs tensors."
    packet, _, overload = name.partition('.')
    op = getattr(getattr(torch.ops.aten, packet), overload)
    wants = [str(a.type) == 'Tensor' for a in op._schema.arguments]
    def call(*args, **named):
        args = [as_tensor(a) if t else a for t, a in zip(wants, args)]
        return op(*args, **named)
    return call


@dataclass(frozen=True)
class Ref:
    "An earlier result of a `Formula`; number 0 is its argument."
    at:int # which


@dataclass(frozen=True)
class Formula:
    "A function of one number as a list of torch operations; applied value by value."
    program:tuple = () # ((name of the operation, arguments, named arguments), ...)

    def __call__(self, x): # tensor
        "Apply it to every value of x."
        done = [x]
        for op, args, named in self.program:
            args = [done[a.at] if isinstance(a, Ref) else a for a in args]
            done.append(operation(op)(*args, **dict(named)))
        return done[-1].to(x.dtype)

    def then(self,
        op:str, # name of an operation
        *args:object, # numbers; a Ref to 0 stands for the result so far
        **named:object, # numbers
    ):
        "The result put through one more operation."
        last = Ref(len(self.program))
        args = tuple(last if isinstance(a, Ref) else a for a in args)
        return Formula((*self.program, (op, args, tuple(named.items()))))


def joined(
    op:str, # name of a torch operation
    args:list, # Formulas of the same argument, and numbers
    named:dict, # its named arguments
)->Formula: # of that argument
    "One operation over the results of formulas; what they have in common is computed once."
    program, ends = [], []
    for f in (a for a in args if isinstance(a, Formula)):
        at = [0] # where each result of f stands in the joint program
        for name, inner, words in f.program:
            line = name, tuple(Ref(at[a.at]) if isinstance(a, Ref) else a for a in inner), words
            if line not in program: program.append(line)
            at.append(program.index(line) + 1)
        ends.append(Ref(at[-1]))
    ends = iter(ends)
    args = tuple(next(ends) if isinstance(a, Formula) else a for a in args)
    return Formula((*program, (op, args, tuple(named.items()))))
