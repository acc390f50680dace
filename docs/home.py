"""The first screen of the site: what comes out, from the stored card of a shipped model, and how to begin."""
import html, json

import course

CARD = course.ROOT/'tinyformer'/'models'/'cifar10-1mb.json'
WIDE, BAR, ROW = 560, 30, 84                            # pixels: of the picture, a bar, a bar with its words


def bar(y, name, used, total, parts):
    "One memory: its parts from the left in their sizes, the rest empty, and the words above and below."
    out, x = [], 0
    for i, (word, size) in enumerate(parts):
        wide = WIDE*size/total
        out.append(f'<rect class="part-{i}" x="{x:.1f}" y="{y + 24}" width="{wide:.1f}" height="{BAR}"/>')
        if wide > 9*len(word): out.append(f'<text class="inside" x="{x + 8:.1f}" y="{y + 44}">{word}</text>')
        x += wide
    out.append(f'<rect class="frame" x="0.5" y="{y + 24}" width="{WIDE - 1}" height="{BAR}"/>')
    words = f'<tspan class="name">{name}</tspan> {used:,} of {total:,} bytes'
    return [f'<text x="0" y="{y + 16}">{words}</text>', *out]


def picture(card):
    "The memories of the chip and what the model takes of them."
    f, s = card['flash'], card['sram']
    rows = [bar(0, 'Flash', f['total'], f['limit'], [(o, f[o]) for o in ('weights', 'constants', 'code')]),
            bar(ROW, 'SRAM', s['total'], s['limit'], [('arena', s['arena']), ('rest', s['total'] - s['arena'])])]
    label = f"Flash: {f['total']:,} of {f['limit']:,} bytes. SRAM: {s['total']:,} of {s['limit']:,} bytes."
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDE} {2*ROW - 24}" role="img" '
            f'aria-label="{label}">' + ''.join(o for row in rows for o in row) + '</svg>')


def numbers(card):
    "Three numbers with their words."
    from tinyformer.hardware import target
    checked, wrong = card['bytes']['host']
    ms = 1000*card['cycles']/target('stm32f746').clock_hz
    return [(f"{card['accuracy']['int8']:.2%}".replace('%', ' %'),
             f"of {card['images']['int8']:,} test images right: {card['dataset']['copy']}"),
            (f'{ms:,.0f} ms', 'an image on a Cortex-M7 at 216 MHz: cycles estimated from the emulated run'),
            (f'{wrong:,}', f'of {checked:,} output bytes differ between the C and the NumPy reference')]


def hero(live):
    "The first screen as HTML; `live` is the page on which a model runs in the browser."
    card = json.loads(CARD.read_text(encoding='utf-8'))
    counts = ''.join(f'<div><b>{n}</b><span>{html.escape(words)}</span></div>' for n, words in numbers(card))
    commands = ''.join(f'<div><code>{o}</code><span>{words}</span></div>' for o, words in (
        ('make demo', 'from a search to firmware that ran'), ('make lab', 'the course in JupyterLab')))
    links = [(f'{live}.html', 'Draw a digit, see it run'), ('course.html', 'The course'),
             ('gallery.html', 'Gallery')]
    buttons = ''.join(f'<a href="{url}">{words}</a>' for url, words in links)
    caption = f"{card['name']}, a sparse int8 transformer, in an STM32F746"
    return (f'<div class="hero"><figure>{picture(card)}<figcaption>{caption}</figcaption></figure>'
            f'<div class="numbers">{counts}</div><div class="commands">{commands}</div>'
            f'<div class="buttons">{buttons}</div></div>')
