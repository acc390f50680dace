"Pictures and tables of kernels and their costs; each takes plain records and returns its Axes or Markdown."
import matplotlib.pyplot as plt


def candidates_table(
    choices: list, # of `Choice`: every way to run one layer
) -> str:          # Markdown
    "One row for each candidate, the fewest instructions first."
    lines = ['| kernel | block | weight bytes | scratch | instructions |', '|---|---|---|---|---|']
    for c in sorted(choices, key=lambda c: c.instructions):
        lines.append(f'| `{c.kernel}` | {c.block or "dense"} | {c.weight_bytes} | {c.scratch_bytes} | '
                     f'{c.instructions} |')
    return '\n'.join(lines)


def plot_candidates(
    choices: list, # of `Choice`: every way to run one layer
    ax=None,       # matplotlib Axes, or None for new ones
):                 # the Axes
    "Size to the right, time upwards; one colour for each format (pure function)."
    ax = ax or plt.subplots(figsize=(5, 2.8))[1]
    for i, block in enumerate((4, 2, 1, 0)):
        some = [c for c in choices if c.block == block]
        ax.scatter([c.weight_bytes for c in some], [c.instructions for c in some], color=f'C{i}',
                   label=f'1x{block}' if block else 'dense')
    ax.set(xlabel='weight bytes', ylabel='instructions', yscale='log', xlim=(0, None))
    ax.legend(fontsize=8)
    return ax


def chosen_table(
    choices: dict, # op name -> `Choice`
) -> str:          # Markdown
    "One row for each operator of a model."
    rows = [f'| {n} | `{c.kernel}` | {c.block or ""} | {c.instructions} |' for n, c in choices.items()]
    return '\n'.join(['| operator | kernel | block | instructions |', '|---|---|---|---|', *rows])


def catalogue_table(
    kernels: tuple, # of `Kernel`
) -> str:           # Markdown
    "One row for each kernel; `&` marks a structure."
    def shown(what, name):
        forms = {'struct': f'&{name}', 'in': f'in{name}', 'scratch': 'scratch, bytes'}
        return forms.get(what, name)
    lines = ['| kernel | runs | weights | arguments |', '|---|---|---|---|']
    for k in kernels:
        words = ', '.join(shown(*arg) for arg in k.args)
        lines.append(f'| `{k.name}` | {", ".join(k.kinds)} | {k.format} | `{words}` |')
    return '\n'.join(lines)
