"""Figures, tables and pictures of a finished run: `report.json` is for programs, `report.md` for people.

Plumbing of `pipeline` and `deploy`."""
from dataclasses import asdict

from tinyformer.cycles import milliseconds, three, time_text
from tinyformer.hardware import target
from tinyformer.kernels import cost_table
from tinyformer.provenance import versions
from tinyformer.run_config import budget
from tinyformer.run_folder import ROAD, Run, result


# ---- time ------------------------------------------------------------------------------------------------------------

COLUMNS = 'est_cycles', 'stall_cycles', 'stall_causes', 'cycles'


def cycle_columns(
    sim: dict,  # what a step kept of a simulation
    board: object,  # `Target`
) -> dict:  # those of `COLUMNS` that it has, and est_ms
    "What a report holds of cycles and time."
    held = {k: sim[k] for k in COLUMNS if k in sim}
    return held | dict(est_ms=held and milliseconds(three(held)[2], board) or None)


def cycle_rows(
    d: dict,  # of a report: target and what `cycle_columns` gives
) -> list:  # of (what, value) strings
    "Time of an inference, and what the core waits for, for a closing table."
    if 'est_cycles' not in d: return []
    rows = [('time per inference', time_text(d, target(d['target'])))]
    core, wait, both = three(d)
    counts = '' if core is None else f'{core:,} in the core'
    if counts and wait is not None: counts += f', {wait:,} waiting for memory, {both:,} in all'
    waits = ', '.join(f'{k} {v[1]:,}' for k, v in (d.get('stall_causes') or {}).items() if v[1])
    found = ('estimated cycles', counts), ('modelled waits by cause', waits)
    return rows + [(what, text) for what, text in found if text]


# ---- the report of a run ---------------------------------------------------------------------------------------------

def report_data(
    run: Run,  # with all steps before the report done
) -> dict:  # what report.json holds
    "Gather the figures of a run under their fixed names."
    r = {k: result(run, k) for k in list(ROAD)[:-1]}
    t, chosen, img, sim = budget(run.cfg), r['supernas']['accepted'], r['compile'], r['simulate']
    out = dict(target=t.name, flash_limit_bytes=t.flash_bytes, sram_limit_bytes=t.sram_bytes,
               dataset=run.cfg.dataset, supernets_sampled=len(r['supernas']['supernets']),
               acceptance_probability=chosen['probability'], acceptance_interval=chosen['interval'])
    out |= {k: r['sparsenas'][k] for k in ('trials', 'trials_feasible')}
    out |= {k: sim[k] for k in sim if k.startswith('accuracy_')}
    out |= dict(weight_sparsity=r['quantize']['weight_sparsity'])
    out |= {k: img[k] for k in img if k.endswith('_bytes') or k == 'weights_bytes_dense'}
    out |= dict(stack_bytes=sim['stack_bytes'],
                sram_bytes=img['data_bytes'] + img['bss_bytes'] + sim['stack_bytes'])
    out |= {k: sim[k] for k in ('instructions_per_inference', 'bytes_compared', 'bytes_different',
                                'device_images')}
    out |= cycle_columns(sim, t)
    took = {k: s['seconds'] for k, s in r.items()}
    return out | dict(compiler=img['compiler'], seconds=round(sum(took.values()), 1),
                      seconds_by_step=took, versions=versions(), settings=asdict(run.cfg),
                      arch=r['sparsenas']['arch'], kernels=img['kernels'])


def closing_table(
    d: dict,  # from `report_data`
) -> list:  # of (what, value) strings
    "The figures that a person wants first."
    over = lambda used, limit: f'{used:,} of {limit:,} bytes ({used / limit:.0%})'
    low, high = d['acceptance_interval']
    stages = 'float', 'pruned', 'int8', 'device'
    right = ', '.join(f"{k} {d['accuracy_' + k]:.2%}" for k in stages)
    bytes_ = f"{d['bytes_different']} of {d['bytes_compared']:,} output bytes differ"
    return [('target', f"{d['target']}, {d['compiler']}"),
            ('SuperNAS', f"{d['supernets_sampled']} supernets sampled, "
                         f"acceptance {d['acceptance_probability']:.1%} ({low:.1%} to {high:.1%})"),
            ('SparseNAS', f"{d['trials']} trials, {d['trials_feasible']} feasible"),
            ('accuracy on the test images', right),
            ('weight sparsity',
             f"{d['weight_sparsity']:.1%} of the prunable layers' weights are zero"),
            ('flash', over(d['flash_bytes'], d['flash_limit_bytes'])),
            ('constants', f"{d['weights_bytes']:,} bytes; dense {d['weights_bytes_dense']:,}"),
            ('SRAM', over(d['sram_bytes'], d['sram_limit_bytes'])),
            ('arena', f"{d['arena_bytes']:,} bytes; lower bound {d['arena_lower_bound_bytes']:,}; "
                      f"stack {d['stack_bytes']:,}"),
            ('instructions per inference', f"{d['instructions_per_inference']:,}"),
            *cycle_rows(d),
            ('device against reference', f"{bytes_}, over {d['device_images']} images"),
            ('time', f"{d['seconds']:.0f} s"), ('trained on', d['versions']['processor'])]


# ---- tables ----------------------------------------------------------------------------------------------------------

SIZES_OF = {'weight_bytes': 'weight bytes', 'scratch_bytes': 'scratch bytes',
            'predicted_cycles': 'predicted cycles',
            'predicted_instructions': 'predicted instructions'}
MEASURED = 'measured instructions', 'estimated core cycles', 'modelled waiting'


def kernel_table(
    kernels: dict,  # operator → what `chosen_kernels` keeps
    measured: dict,  # operator → instructions on the emulated core
    spent: dict = None,  # operator → [core cycles, waiting]; None where nothing is known
) -> str:  # markdown
    "One row per operator: its kernel, its bytes, what was predicted and what was measured."
    n = lambda v: '' if v is None else f'{v:,}'
    rows = [['operator', 'kernel', 'stored as', *SIZES_OF.values(), *MEASURED],
            ['---'] * 3 + ['--:'] * 7]
    for op, k in kernels.items():
        stored = f"blocks of {k['block']}" if k['block'] else 'dense'
        sizes = [n(k[size]) for size in SIZES_OF]
        each = round(measured[op]), *(spent or {}).get(op, (None, None))
        rows.append([op, f"`{k['kernel']}`", stored, *sizes, *map(n, each)])
    return '\n'.join(f"| {' | '.join(r)} |" for r in rows)


def kernel_section(
    d: dict,  # of a report: target and kernels
    sim: dict,  # what the step `simulate` kept
) -> list:  # of paragraphs of markdown
    "The kernels of a report, and whose prices chose them."
    note = cost_table(target(d['target']).core).note
    chosen = 'Chosen by the cost table, whose predictions stand beside what was measured'
    return ['## Kernels', f'{chosen}: {note}.' if note else f'{chosen}.',
            kernel_table(d['kernels'], sim.get('instructions_by_operator', {}),
                         sim.get('cycles_by_operator'))]


NET_COLUMNS = ['supernet', 'mean parameters', 'acceptance', '95 % interval', 'samples',
               'flash under λ_lo', 'flash over λ_hi', 'SRAM over', 'verdict']


def supernet_table(supernets):
    "One row per supernet that was looked at, as markdown."
    rows = [NET_COLUMNS, ['---', '--:', '--:', '---', *['--:'] * 4, '---']]
    for s in supernets:
        low, high = s['interval']
        rows.append([s['name'], f"{s['mean_parameters']:,.0f}", f"{s['probability']:.1%}",
                     f'{low:.1%} – {high:.1%}', s['samples'], *s['failures'].values(),
                     s['verdict']])
    return '\n'.join(f"| {' | '.join(map(str, r))} |" for r in rows)


def report_markdown(
    run: Run,  # with the pictures of its steps in the folder
    d: dict,  # from `report_data`
) -> str:  # markdown that shows the pictures beside it
    "The report for people."
    return '\n\n'.join([
        f"# {d['dataset']} on {d['target']}",
        '\n'.join(['| | |', '|---|---|', *(f'| {k} | {v} |' for k, v in closing_table(d))]),
        '## Supernets', supernet_table(result(run, 'supernas')['supernets']),
        '![acceptance](supernas.png)', '## Search',
        '![every trial, the feasible region, and accuracy against instructions](search.png)',
        '## Accuracy after each stage', 'On the test images, which no earlier step has read.',
        '![accuracy](accuracy.png)', '## Memory over time', '![memory plan](memory.png)',
        '## Instructions by operator', '![instructions](instructions.png)',
        *kernel_section(d, result(run, 'simulate'))]) + '\n'


# ---- pictures --------------------------------------------------------------------------------------------------------

def plot_profile(
    per_op: dict,  # operator → instructions per inference
) -> object:  # matplotlib Figure
    "Draw instructions by operator, in the order of execution; a pure function."
    import matplotlib.pyplot as plt
    fig, ax = plt.subplots(figsize=(6.5, .8 + .19 * len(per_op)))
    total = sum(per_op.values())
    ax.barh(list(per_op), [v / 1e3 for v in per_op.values()], color='C0')
    for i, v in enumerate(per_op.values()):
        ax.text(v / 1e3, i, f' {v / total:.0%}', va='center', fontsize=7)
    ax.invert_yaxis()
    ax.tick_params(axis='y', labelsize=7)
    ax.set(xlabel='thousand instructions per inference')
    return fig


def plot_stages(
    d: dict,  # has accuracy_float, accuracy_pruned, accuracy_int8, accuracy_device; 0 to 1
) -> object:  # matplotlib Figure
    "Draw accuracy after each stage; a pure function."
    import matplotlib.pyplot as plt
    names = 'float', 'pruned', 'int8', 'device'
    fig, ax = plt.subplots(figsize=(5, 2.6))
    vals = [100 * d[f'accuracy_{n}'] for n in names]
    ax.bar(names, vals, color=['C7', 'C0', 'C0', 'C2'], width=.6)
    for i, v in enumerate(vals): ax.text(i, v, f'{v:.2f} %', ha='center', va='bottom')
    ax.set(ylabel='test accuracy, %', ylim=(0, 110), yticks=range(0, 101, 20))
    return fig


def evaluation_text(
    r: dict,  # from `evaluation.evaluate`
) -> str:  # a few lines
    "What a person reads after an evaluation."
    lines = [f"{r['model']} on {r['data']}: {r['accuracy']:.2%} right ({r['right']:,} of "
             f"{r['images']:,} images), by the {r['on']}, in {r['seconds']} s"]
    if r['on'] != 'reference' and not r['compared_images']: lines.append('bytes: not compared')
    elif r['on'] != 'reference':
        whole = r['compared_images'] == r['images']
        some = f"all {r['images']:,}" if whole else f"{r['compared_images']:,} of {r['images']:,}"
        lines.append(f"bytes: {r['bytes_different']:,} of {r['bytes_compared']:,} differ from the reference, "
                     f'over {some} images')
    if r['instructions_per_inference']:
        lines.append(f"{r['instructions_per_inference']:,} instructions per inference; {r['compiler']}")
        lines += [f'{what}: {text}' for what, text in cycle_rows(r)]
        lines.append(f"flash {r['flash']['total']:,} bytes, arena {r['sram']['arena']:,}, stack {r['stack_bytes']:,}")
    return '\n'.join(lines)


def plot_operators(
    profile: dict,  # operator → (instructions, cycles, waiting)
) -> object:  # matplotlib Axes
    "Instructions of each operator, in the order of the network."
    import matplotlib.pyplot as plt
    ax = plt.subplots(figsize=(5, 1 + .2 * len(profile)), layout='constrained')[1]
    ax.barh(list(profile), [n / 1e3 for n, *_ in profile.values()])
    ax.invert_yaxis()
    ax.set(xlabel='thousand instructions')
    return ax


def plot_budget(
    d: dict,  # from `report_data`
    flash_kb: float = 42,  # flash limit, KB
    sram_kb: float = 16,  # SRAM limit, KB
) -> object:  # matplotlib Axes
    "What a model uses of two limits, red where it is over."
    import matplotlib.pyplot as plt
    ax = plt.subplots(figsize=(6, 1.6))[1]
    used, limits = [d['flash_bytes'], d['sram_bytes']], [flash_kb * 1024, sram_kb * 1024]
    share = [u / limit for u, limit in zip(used, limits)]
    for i, limit in enumerate(limits):
        ax.barh(i, share[i], color='C3' if share[i] > 1 else 'C2')
        ax.text(.01, i, f' {used[i]:,} of {limit:,.0f} bytes', va='center')
    ax.axvline(1, color='0.3')
    ax.set(yticks=[0, 1], yticklabels=['flash', 'SRAM'], xlabel='share of the limit', xlim=(0, max(1.2, *share)))
    ax.invert_yaxis()
    return ax


def plot_road(
    done: int = 0,  # steps finished, 0 to len(ROAD)
) -> object:  # matplotlib Figure
    "The steps as a road, the finished ones filled."
    import matplotlib.pyplot as plt
    fig, ax = plt.subplots(figsize=(7, 1.6))
    ax.plot([0, len(ROAD) - 1], [0, 0], color='0.8', lw=4, zorder=0)
    for i, name in enumerate(ROAD):
        ax.scatter(i, 0, s=420, color='C0' if i < done else 'white', edgecolor='C0', zorder=1)
        ax.text(i, 0, i + 1, ha='center', va='center', color='white' if i < done else 'C0')
        ax.text(i, -.5 - .35 * (i % 2), name, ha='center', va='top')
    ax.set(ylim=(-1.3, .6), xlim=(-.6, len(ROAD) - .4))
    ax.axis('off')
    return fig
