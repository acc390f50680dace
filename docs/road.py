"""Draw the map of the course, `nbs/images/road.svg`, from the list of its parts. The site shows it with links."""
import sys
from pathlib import Path

import course

FILE = course.NBS/'images'/'road.svg'
LIGHT = ('#0f766e', '#b45309', '#2563eb', '#9333ea', '#be123c')                  # the site's dark theme sets its own
COLOURS = [f'var(--road-{i}, {c})' for i, c in enumerate(LIGHT, 1)]
TAKES_GIVES = {'I': ('a data sheet', 'bytes and a plan'), 'II': ('integer operators', 'C on a Cortex-M7'),
               'III': ('images', 'sparse int8 layers'), 'IV': ('a budget', 'a model that fits'),
               'V': ('all of it', 'one command')}
WIDE, GAP, EDGE, ROW = 184, 20, 12, 31


def text(x, y, words, size=12.5, fill='var(--road-soft, #4b5563)', extra=''):
    return f'<text x="{x}" y="{y}" font-size="{size}" style="fill:{fill}" {extra}>{words}</text>'


def box(x, y, name, colour, link):
    "One notebook: its number, if it has one, and its name."
    num, page = course.number(name), course.page(name)
    word = page.rpartition('/')[2]
    label = f'<tspan style="fill:{colour}">{num}</tspan> {word}' if num else word
    out = (f'<rect class="nb" x="{x}" y="{y}" width="{WIDE - 24}" height="25" rx="5" '
           f'style="fill:var(--road-box, #ffffff);stroke:{colour}" stroke-opacity="0.45"/>'
           + text(x + 10, y + 17, label, fill='var(--road-ink, #111827)',
                  extra='font-family="Menlo, Consolas, monospace"'))
    return f'<a href="{page}.html">{out}</a>' if link else out


def column(x, part, colour, high, link):
    takes, gives = TAKES_GIVES.get(part.numeral, ('', ''))
    ink, bold, top = 'var(--road-ink, #111827)', 'font-weight="bold"', EDGE + 28
    out = [f'<rect x="{x}" y="{EDGE}" width="{WIDE}" height="{high - 2*EDGE}" rx="8" '
           f'style="fill:{colour};stroke:{colour}" fill-opacity="0.07" stroke-opacity="0.5"/>',
           text(x + 14, top, part.numeral, 13, colour, bold),
           text(x + 22 + 7*len(part.numeral), top, part.name, 16, ink, bold),
           text(x + 14, EDGE + 52, f'takes {takes}')]
    out += [box(x + 12, EDGE + 64 + ROW*j, o, colour, link) for j, o in enumerate(part.notebooks)]
    return out + [text(x + 14, high - EDGE - 18, f'gives <tspan {bold} style="fill:{colour}">{gives}</tspan>')]


def draw_tall():
    "The map for a narrow screen: the parts below one another, two notebooks in a row."
    out, y, wide = [], EDGE, 2*WIDE + 2*EDGE
    for part, colour in zip((p for p in course.parts() if p.numeral in TAKES_GIVES), COLOURS):
        rows = -(-len(part.notebooks)//2)
        takes, gives = TAKES_GIVES[part.numeral]
        out += [f'<rect x="{EDGE}" y="{y}" width="{2*WIDE}" height="{ROW*rows + 62}" rx="8" '
                f'style="fill:{colour};stroke:{colour}" fill-opacity="0.07" stroke-opacity="0.5"/>',
                text(EDGE + 14, y + 24, f'{part.numeral} {part.name}', 16, colour, 'font-weight="bold"'),
                text(EDGE + 14, y + 44, f'from {takes} to {gives}')]
        out += [box(EDGE + 12 + j%2*(WIDE - 4), y + 54 + j//2*ROW, o, colour, True)
                for j, o in enumerate(part.notebooks)]
        y += ROW*rows + 62 + GAP
    return (f'<svg class="tall" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {y}" role="group" '
            f'aria-label="{label()}" font-family="Helvetica, Arial, sans-serif">\n' + '\n'.join(out) + '\n</svg>\n')


def label():
    names = (p.name.lower() for p in course.parts() if p.numeral in TAKES_GIVES)
    return 'The road in five parts: ' + ', '.join(names)


def draw(link=False):
    "The map as SVG text; with `link`, every notebook's box leads to its page."
    parts = [p for p in course.parts() if p.numeral in TAKES_GIVES]
    high = 2*EDGE + 64 + ROW*max(len(p.notebooks) for p in parts) + 47
    wide = 2*EDGE + len(parts)*(WIDE + GAP) - GAP
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}" width="{wide}" height="{high}" '
           f'role="{"group" if link else "img"}" aria-label="{label()}" font-family="Helvetica, Arial, sans-serif">',
           f'<rect width="{wide}" height="{high}" rx="10" style="fill:var(--road-ground, #ffffff)"/>']
    for i, (part, colour) in enumerate(zip(parts, COLOURS)):
        x = EDGE + i*(WIDE + GAP)
        out += column(x, part, colour, high, link)
        if i + 1 < len(parts):
            out.append(f'<path d="M{x + WIDE + 4} {high/2} h12 m-6 -6 l7 6 l-7 6" fill="none" stroke="#6b7280" '
                       'stroke-width="2" stroke-linecap="round" stroke-linejoin="round"/>')
    return '\n'.join(out + ['</svg>']) + '\n'


if __name__ == '__main__':
    FILE.parent.mkdir(exist_ok=True)
    if not FILE.exists() or FILE.read_text(encoding='utf-8') != draw(): FILE.write_text(draw(), encoding='utf-8')
