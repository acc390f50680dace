"""Pages that stay small and say what they are: fewer marks in code, a description for search engines, the names that a
page defines in a list of their own beside its sections."""
import html, re

from docutils import nodes
from pygments.formatters import HtmlFormatter
from pygments.token import Name, Number, Operator, Punctuation, Whitespace
from sphinx.highlighting import PygmentsBridge

PLAIN = {Name, Operator, Punctuation, Whitespace}      # half of a page's bytes were marks around these
NAMED = re.compile(r'<div class="api docutils container" id="([^"]+)">\s*'     # its id, then its name
                   r'<[^>]+>(?:<summary>)?<code>([^<]+)</code>')
LONGEST = 160                                          # characters of a description that a search engine shows


class Lean(HtmlFormatter):
    "Code as HTML, with no mark around what has the colour of plain text."
    def _get_css_classes(self, ttype):
        return '' if ttype in PLAIN or ttype in Number else super()._get_css_classes(ttype)


def described(doctree):
    "What a page is about, in one sentence: the words under its title, or its first paragraph."
    for o in doctree.findall(nodes.paragraph):
        words = ' '.join(o.astext().split())
        if len(words) > 20: return words if len(words) <= LONGEST else words[:LONGEST].rpartition(' ')[0] + ' …'
    return ''


def about(app, page, template, context, doctree):
    "Gives the template of a page its description and its names, and mends what a screen reader stumbles on."
    body, tree = context.get('body', ''), context.get('furo_navigation_tree', '')
    if body: context['body'] = body.replace(' aria-label="Toggle hidden content"', '')      # its words say it
    context['furo_navigation_tree'] = tree.replace('role="heading"', 'role="heading" aria-level="2"')
    context['names'] = NAMED.findall(context.get('body', ''))
    if not doctree: return
    title, words = (html.escape(o, quote=True) for o in (re.sub('<[^>]+>', '', context['title']), described(doctree)))
    context['metatags'] += (f'<meta name="description" content="{words}">'
                            f'<meta property="og:title" content="{title}">'
                            f'<meta property="og:description" content="{words}">')


def setup(app):
    PygmentsBridge.html_formatter = Lean
    app.connect('html-page-context', about, priority=900)      # after the theme
    return {'parallel_read_safe': True, 'parallel_write_safe': True}
