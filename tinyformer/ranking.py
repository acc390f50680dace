"""Train candidates of a search as its winner is trained, and see whether their order survives (`tinyformer rank`).

Candidates are spread evenly over the accuracies that the judge gave. Each gets a folder of its own, in which it is the
winner, so that the steps of the pipeline serve as they are, and go on where they were killed."""
import shutil
from dataclasses import asdict, replace

from tinyformer.errors import BadInput
from tinyformer.figures_search import plot_agreement
from tinyformer.files import claim, record, write_json
from tinyformer.pipeline import continue_search
from tinyformer.provenance import versions
from tinyformer.run_folder import Run, do, forget, result, save_figure


def evenly(
    items: list,  # in order
    n: int,  # how many, 2 or more
) -> list:  # the first, the last, and others between them at equal distances
    "Spread a choice over a list."
    if not 2 <= n <= len(items):
        raise BadInput(f'{n} of {len(items)} different candidates were asked for: '
                       f'ask for 2 to {len(items)}.')
    return [items[round((len(items) - 1) * i / (n - 1))] for i in range(n)]


def candidate_run(
    run: Run,  # with a finished search
    candidate: object,  # `sparsenas.Candidate` of it
) -> Run:  # in `rank/<number>`, ready for `train`
    "A run in which a candidate has won; one of another supernet than today's is trained anew."
    part = Run(run.path(f'rank/{candidate.number}'), replace(run.cfg, max_drop=1.), run.progress)
    ours, theirs = part.path('supernet.pt'), run.path('supernet.pt')
    if ours.exists() and ours.read_bytes() != theirs.read_bytes(): forget(part.folder, 'supernet')
    copied = 'supernas.json', 'supernet.pt'
    claim(part.folder, *copied, 'sparsenas.json')
    for name in copied: shutil.copyfile(run.path(name), part.path(name))
    won = dict(arch=candidate.arch.to_json(), winner=candidate.number, accuracy=candidate.accuracy)
    write_json(part.path('sparsenas.json'), won)
    record(part.folder, *copied, 'sparsenas.json')
    return part


def agreement(
    ranks: dict,  # what `rank` gives
) -> tuple:  # accuracies by the judge, and after training in full
    "The two lists that `rank_agreement` and `plot_agreement` take."
    return tuple([r[k] for r in ranks['rows']] for k in ('judged', 'int8'))


def rank(
    run: Run,  # with a finished search
    models: int = 8,  # candidates to train
    storage: str = None,  # as the search was given
    study: str = None,  # as the search was given
) -> dict:  # rows of trial, judged, float, pruned, int8: accuracies on the validation images
    "Train candidates of a search as its winner is trained; does the order survive (Kendall's τ)?"
    if models < 3: raise BadInput(f'{models} models were asked for: an order needs 3 or more.')
    result(run, 'sparsenas')
    claim(run.folder, 'rank.json', 'rank.png')
    found = continue_search(run, storage, study)
    distinct = sorted({c.arch: c for c in found.feasible}.values(), key=lambda c: c.accuracy)
    rows = []
    for c in evenly(distinct, models):
        run.say(f'trial {c.number}, judged {c.accuracy:.1%}')
        part = candidate_run(run, c)
        for name in ('train', 'prune', 'quantize'): out = do(part, name)
        rows.append(dict(trial=c.number, judged=c.accuracy, **out['stages']))
    out = dict(val_images=found.images, rows=rows, settings=asdict(run.cfg), versions=versions())
    save_figure(plot_agreement(*agreement(out)).figure, run.path('rank.png'))
    write_json(run.path('rank.json'), out)
    record(run.folder, 'rank.json', 'rank.png')
    return out
