"""What stands above each page of the site: where to get its notebook, and how to open and run it. Run as a program, it
puts into every notebook the cell that installs the package in Colab; elsewhere that cell does nothing."""
import configparser, html, json

import course

SETTINGS = configparser.ConfigParser(delimiters=['='])
SETTINGS.read(course.ROOT/'settings.ini', encoding='utf-8')
SETTINGS = SETTINGS['DEFAULT']
CELL = 'colab'                                          # id of the cell
ALONE = 'assignments/', 'solutions/'                    # notebooks that are not opened from the site to be read


def colab_cell(notebook):
    "The source of the cell: Colab fetches the repository, installs the package and goes to the notebook's folder."
    name = SETTINGS['git_url'].rstrip('/').rpartition('/')[2]
    folder = f'/content/{name}/nbs/{notebook}'.rpartition('/')[0]
    return '\n'.join([
        '#| hide', '# In Colab: fetch the repository and install the package. Elsewhere this cell does nothing.',
        "if 'google.colab' in str(get_ipython()):",
        f"    !git clone -q --depth 1 {SETTINGS['git_url']} /content/{name}",
        f'    %pip install -q /content/{name}', f'    %cd -q {folder}'])


def with_colab_cell(nb, notebook):
    "A notebook as JSON with its cell for Colab, below the title and the name of its module."
    cells = [c for c in nb['cells'] if c.get('id') != CELL]
    at = 2 if any('default_exp' in ''.join(c['source']) for c in cells[1:2]) else 1
    cell = dict(cell_type='code', execution_count=None, id=CELL, metadata={}, outputs=[],
                source=colab_cell(notebook).splitlines(keepends=True))
    return dict(nb, cells=[*cells[:at], cell, *cells[at:]])


def colab(notebook):
    "Address that opens a notebook of the repository in Colab; it works where the repository is public."
    where = SETTINGS['git_url'].removeprefix('https://github.com/').rstrip('/')
    return f"https://colab.research.google.com/github/{where}/blob/{SETTINGS['branch']}/nbs/{notebook}"


def source(notebook): return f"{SETTINGS['git_url']}/blob/{SETTINGS['branch']}/nbs/{notebook}"


def command(notebook): return f".venv/bin/python tests/run_notebooks.py -k {notebook.removesuffix('.ipynb')}"


def bar(notebook, up):
    "The line of links above a page; `up` leads from the page to the top of the site."
    links = [(f'{up}notebooks/{notebook}', 'Download notebook', ' download'), (source(notebook), 'View source', '')]
    if not notebook.startswith(ALONE): links.append((colab(notebook), 'Open in Colab', ''))
    words = ''.join(f'<a href="{html.escape(url)}"{more}>{name}</a>' for url, name, more in links)
    return f'<div class="tools">{words}<span>Run it: <code>{command(notebook)}</code></span></div>'


def text(nb): return json.dumps(nb, indent=1, ensure_ascii=False, sort_keys=True) + '\n'


def stale():
    "Notebooks whose cell for Colab is not the one this file writes."
    return [o for o in course.present() if not o.startswith(ALONE) and (nb := load(o)) != with_colab_cell(nb, o)]


def load(notebook): return json.loads((course.NBS/notebook).read_text(encoding='utf-8'))


def main():
    for o in stale(): (course.NBS/o).write_text(text(with_colab_cell(load(o), o)), encoding='utf-8')


if __name__ == '__main__': main()
