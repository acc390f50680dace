"""Sphinx settings of the site. `docs/build.py` prepares the pages and calls Sphinx; nothing is executed here."""
import configparser, sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
parser = configparser.ConfigParser(delimiters=['='])
parser.read(HERE.parent/'settings.ini', encoding='utf-8')
cfg = parser['DEFAULT']

project, author, release = cfg['title'], cfg['author'], cfg['version']
copyright = cfg['copyright']
extensions = ['myst_nb', 'mathml', 'lean']
html_math_renderer = 'mathml'

nb_execution_mode = 'off'
nb_merge_streams = True
nb_render_markdown_format = 'myst'
nb_ipywidgets_js = {}
nb_number_source_lines = False
nb_code_prompt_show, nb_code_prompt_hide = 'Show {type}', 'Hide {type}'
myst_enable_extensions = ['amsmath', 'attrs_inline', 'colon_fence', 'deflist', 'dollarmath', 'html_image']
myst_heading_anchors = 4
myst_url_schemes = {'http': None, 'https': None, 'mailto': None, 'lecture': 'lectures/{{path}}.html'}   # slides.py
myst_dmath_allow_labels = False

html_theme = 'furo'
html_title = project
html_baseurl = cfg['doc_host'] + cfg['doc_baseurl'] + '/'
templates_path = ['_templates']
html_static_path = ['_static']
html_css_files = ['site.css']
html_js_files = [('site.js', {'defer': 'defer'})]
html_use_index = False
html_show_sphinx = False
html_copy_source = False
html_theme_options = {
    'light_css_variables': {'color-brand-primary': '#0f766e', 'color-brand-content': '#0f766e'},
    'dark_css_variables': {'color-brand-primary': '#5eead4', 'color-brand-content': '#5eead4'},
    'sidebar_hide_name': False,
}
pygments_style, pygments_dark_style = 'default', 'github-dark'      # contrast of 4.5 and more
