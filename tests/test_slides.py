"""Lectures: each figure and each piece of code is there, and a file of slides needs nothing else."""
import re, sys

import pytest

from conftest import ROOT

sys.path.insert(0, str(ROOT/'docs'))
import slides

LECTURES = slides.lectures()


@pytest.mark.parametrize('path', LECTURES, ids=[o.stem for o in LECTURES])
def test_a_lecture_needs_no_network(path):
    page, text = slides.page(path), path.read_text(encoding='utf-8')
    assert page.count('<section>') == len(re.findall('^---$', text, flags=re.M)) + 1 >= 10
    figures = len(slides.FIGURE.findall(text))
    assert figures >= 7 and page.count('<img') + page.count('<table') >= figures
    assert not re.search(r'(?:src|href)="(?!data:)', page) and '://' not in re.sub(r'xmlns="[^"]*"', '', page)
    assert not re.search(r'\{\{|```|\]\(|\$', page.partition('<main>')[2].partition('</main>')[0])   # all is rendered
    assert f'<title>{slides.title(path)}</title>' in page


def test_there_are_four(tmp_path):
    slides.build(tmp_path/'lectures')
    assert len(list((tmp_path/'lectures').glob('*.html'))) == len(LECTURES) == 4
    course = (ROOT/'nbs'/'course.ipynb').read_text(encoding='utf-8')
    assert all(f'](../docs/lectures/{o.name})' in course for o in LECTURES)


@pytest.mark.parametrize('text, what', [
    ('![a cell that is not there](01_hardware#nobody)', 'has no cell nobody'),
    ('![a cell without a picture](01_hardware#c008)', 'has no picture'),
    ('![](01_hardware#c066)', 'has no words'),
    ('```cell\n01_hardware#nobody\n```', 'has no cell nobody')])
def test_what_a_slide_cannot_show_is_named(text, what):
    with pytest.raises(SystemExit, match=what): slides.slide(text)
