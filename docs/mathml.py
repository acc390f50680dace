"""Formulas as MathML, made when the site is built: browsers show it without a script, so pages work offline."""
from docutils import nodes
from latex2mathml.converter import convert
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number

log = logging.getLogger(__name__)


def mathml(tex, node, display):
    try: return convert(tex.strip(), display='block' if display else 'inline')
    except Exception as e:
        log.warning('formula not understood (%s): %s', type(e).__name__, tex, location=node)
        return ''


def inline(self, node):
    self.body.append(mathml(node.astext(), node, False))
    raise nodes.SkipNode


def block(self, node):
    self.body.append(self.starttag(node, 'div', CLASS='math notranslate nohighlight'))
    if node.get('number'):
        self.body.append(f'<span class="eqno">({get_node_equation_number(self, node)})</span>')
    self.body.append(mathml(node.astext(), node, True) + '</div>\n')
    raise nodes.SkipNode


def setup(app):
    app.add_html_math_renderer('mathml', (inline, None), (block, None))
    return {'parallel_read_safe': True, 'parallel_write_safe': True}
