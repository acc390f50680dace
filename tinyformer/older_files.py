"""Model files of versions 1 and 2: they knew windows with one stride and one padding only, and attention over its own
tokens only. A table says for each new attribute from which old one it comes, or which value it always had."""
from .operators import OPERATORS, square_window

_WINDOW = square_window('stride', 'pad')
BEFORE_3 = dict( # kind -> new attribute -> the one of an older file that it is, or its only value
    conv3x3=_WINDOW, depthwise3x3=_WINDOW, attention=dict(keys='tokens', vdim='dim', causal=0),
    matmul_qk=dict(keys='tokens'), matmul_av=dict(keys='tokens'))


def modern(
    kind: str,   # of an operator
    attrs: dict, # as a file has them, of any version
) -> dict:       # as this version has them
    "Attributes that an older version wrote, in the words of this one; others stay as they are."
    new, known = BEFORE_3.get(kind, {}), OPERATORS[kind].attrs if kind in OPERATORS else {}
    older = {v for v in new.values() if isinstance(v, str)}
    if not new or set(new) & set(attrs) or not older <= set(attrs): return attrs
    all_of = attrs | {n: attrs[v] if v in older else v for n, v in new.items()}
    for name in older - set(known): del all_of[name]
    return {k: all_of.pop(k) for k in known if k in all_of} | all_of
