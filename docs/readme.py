"""Write README.md from `nbs/index.ipynb`: its prose, its code and the text that it printed. `--check` only compares."""
import os, re, sys

import course, road

README = course.ROOT/'README.md'
NOTE = '<!-- Made from nbs/index.ipynb by `make readme`: change the notebook. -->'
LINK = re.compile(r'(\]\(|src="|href=")([^)"#:]+)(#[^)"]*)?(\)|")')


def from_root(md):
    "Links and pictures of a notebook, seen from the repository's folder."
    def sub(m):
        path = os.path.normpath(os.path.join('nbs', m.group(2)))
        return m.group(1) + path + (m.group(3) or '') + m.group(4)
    return LINK.sub(sub, md)


def fenced(text, lang=''):
    return f'```{lang}\n{text.rstrip()}\n```'


def shown(out):
    "One stored output as markdown; pictures stay in the notebook."
    if out['output_type'] == 'stream': return '' if out['name'] == 'stderr' else fenced(''.join(out['text']), 'text')
    data = out.get('data', {})
    if 'text/markdown' in data: return from_root(''.join(data['text/markdown']).strip())
    if any(k.startswith('image/') or k == 'text/html' for k in data): return ''
    return fenced(''.join(data['text/plain']), 'text') if 'text/plain' in data else ''


def cell(c):
    "A cell as a list of markdown blocks."
    if c['cell_type'] == 'markdown': return [from_root(c['source'].strip())]
    if c['cell_type'] != 'code': return []
    dirs = re.findall(r'^#\|\s*(\S+)(.*)$', c['source'], flags=re.M)
    code = re.sub(r'^#\|.*\n?', '', c['source'], flags=re.M).strip()
    names = {d for d, _ in dirs}
    if names & {'hide', 'default_exp', 'export', 'exporti'} or ('include:', ' false') in dirs or not code: return []
    blocks = [] if ('echo:', ' false') in dirs else [fenced(code, 'python')]
    if ('output:', ' false') in dirs: return blocks
    return blocks + [o for o in map(shown, c.get('outputs', [])) if o]


def render():
    "The text of README.md."
    blocks = [b for c in course.read('index.ipynb') for b in cell(c) if b]
    return '\n\n'.join([blocks[0], NOTE] + blocks[1:]) + '\n'


def main():
    text, svg = render(), road.draw()
    if '--check' in sys.argv:
        files = ((README, text), (road.FILE, svg))
        stale = [f.name for f, t in files if not f.exists() or f.read_text(encoding='utf-8') != t]
        if stale: sys.exit(f"{' and '.join(stale)} differ from what they are made of: run make readme")
        return
    road.FILE.parent.mkdir(exist_ok=True)
    for f, t in ((road.FILE, svg), (README, text)): f.write_text(t, encoding='utf-8')


if __name__ == '__main__': main()
