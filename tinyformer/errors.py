"""Every error that TinyFormer raises on purpose. Each message says what to do next."""


class TinyFormerError(Exception):
    "Base of all errors with a message for a person; the command line prints it as one line."


class UnknownTarget(TinyFormerError):
    "No such target; the message lists the known ones."


class UnknownDataset(TinyFormerError):
    "No such data set; the message lists the known ones."


class UnknownModel(TinyFormerError):
    "No such shipped model; the message lists the known ones."


class MissingData(TinyFormerError):
    "The data set is known but its files cannot be had; the message says where to put them."


class SearchSpaceRejected(TinyFormerError):
    "No sampled supernet is accepted with the probability asked for."


class NoFeasibleModel(TinyFormerError):
    "No candidate of the search meets the budget; the message names the closest."


class DoesNotFit(TinyFormerError):
    "The model is over the target's flash or SRAM; the message says by how many bytes and where."


class TooSlow(TinyFormerError):
    "Latency over the limit; the message carries the operator profile."


class AccuracyDropped(TinyFormerError):
    "Pruning or quantisation lost more accuracy than allowed."


class CorruptModel(TinyFormerError):
    "A model file or weight stream is damaged; the message names the field or byte."


class UnsupportedOp(TinyFormerError):
    "A layer of the user's model has no integer form; the message names the nearest that has."


class BadInput(TinyFormerError):
    "An argument has the wrong shape, dtype or range."


class MissingTool(TinyFormerError):
    "A compiler or emulator is missing; the message gives the install command."


class BuildFailed(TinyFormerError):
    "The compiler refused the generated code; the message carries its first error."


class SimulationFailed(TinyFormerError):
    "The emulated core faulted or a kernel returned an error status."


class BoardFailed(TinyFormerError):
    "A board does not answer over its serial line, or its firmware cannot be trusted."


class WrongBytes(TinyFormerError):
    "The generated C and the reference disagree; the message names the first operator that does."


class RunFolderError(TinyFormerError):
    "The run folder is read-only, full, of another configuration or lacks a step's file."


class StorageError(TinyFormerError):
    "The storage that a search shares with other machines cannot be opened, or went away."


def check_number(
    name, # of the setting or option
    value, # what was given
    least, # number
    most,  # number of the same type
):
    "Raise `BadInput` unless a number, not nan, lies between two others, which are allowed."
    broken = isinstance(least, float) or isinstance(most, float)
    a_number = isinstance(value, (int, float) if broken else int) and not isinstance(value, bool)
    if a_number and least <= value <= most: return
    raise BadInput(f"{name} is {value!r}: it must be a {'' if broken else 'whole '}number from {least:,} to {most:,}.")
