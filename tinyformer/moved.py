"""Names that moved to another module, for code that still asks the old one."""
from importlib import import_module


def passed_on(
    here:str,     # the old module, its `__name__`
    **owners:str, # module of the package -> the names that it owns today, parted by spaces
): # function of a name, for the old module to take as its `__getattr__`; its `owners` say what it passes on
    "Names of later modules, found in an earlier one when they are asked for: an import at its top would be a circle."
    owner = {name: module for module, names in owners.items() for name in names.split()}
    def found(name):
        if name not in owner: raise AttributeError(f'module {here!r} has no attribute {name!r}')
        return getattr(import_module(f'tinyformer.{owner[name]}'), name)
    found.owners = owner
    return found
