"""The course as data: parts and notebooks in reading order, from `nbs/sidebar.yml`, the one place that lists them."""
import json, re
from collections import namedtuple
from fnmatch import fnmatch
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
NBS = ROOT/'nbs'
Part = namedtuple('Part', 'numeral name notebooks')   # notebooks: paths inside nbs/, as strings


def parts():
    "The parts of the course, in order; the landing page belongs to none."
    contents = yaml.safe_load((NBS/'sidebar.yml').read_text(encoding='utf-8'))['website']['sidebar']['contents']
    out = []
    for o in contents:
        if isinstance(o, str): continue
        numeral, dot, name = o['section'].partition('. ')
        pages = [page for entry in o['contents'] for page in matching(entry)]
        out.append(Part(numeral if dot else '', name if dot else numeral, pages))
    return out


def matching(entry):
    "The notebooks that an entry of the list names; one with a star names all that are there, in alphabetical order."
    return [o for o in present() if fnmatch(o, entry)] if '*' in entry else [entry]


def page(notebook):
    "Name of a notebook's page, as nbdev names it: its path without number and suffix (`02_rle.ipynb` -> `rle`)."
    p = Path(notebook)
    return p.with_name(re.sub(r'^\d+[a-zA-Z0-9]*_', '', p.stem.lower())).as_posix()


def number(notebook):
    "The digits in front of a notebook's name, or ''."
    m = re.match(r'(\d+[a-z]*)_', Path(notebook).name)
    return m.group(1) if m else ''


def present():
    "Every notebook in `nbs/`, as paths inside it."
    files = (o.relative_to(NBS) for o in NBS.rglob('*.ipynb'))
    return sorted(o.as_posix() for o in files if not any(p[0] in '._' for p in o.parts))


def read(notebook):
    "A notebook's cells as dictionaries whose `source` is one string."
    nb = json.loads((NBS/notebook).read_text(encoding='utf-8'))
    for c in nb['cells']: c['source'] = ''.join(c['source'])
    return nb['cells']
