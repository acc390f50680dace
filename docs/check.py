"""Checks of a built site, page by page: `faults` says what is wrong in it, as sentences. No browser is needed."""
import re, sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

WEIGHT = 400_000                                        # bytes of a page, without its pictures
VOID = {'area', 'base', 'br', 'col', 'embed', 'hr', 'img', 'input', 'link', 'meta', 'source', 'track', 'wbr'}
FETCHED = {'script': 'src', 'img': 'src', 'iframe': 'src', 'link': 'href', 'source': 'src'}
SPOKEN = {'a', 'button', 'summary'}                     # what one can act on needs words, or a label


class Page(HTMLParser):
    "One page: its ids, its links, and what is wrong with it alone."
    def __init__(self, text):
        super().__init__()
        self.ids, self.links, self.faults = set(), [], []
        self.open, self.level, self.titles, self.described, self.words = [], 0, 0, False, []
        self.feed(text)
        self.close()
        for tag, line in self.open: self.say(f'<{tag}> of line {line} is not closed')
        if self.titles != 1: self.faults.append(f'{self.titles} headings of the first level')
        if not self.described: self.faults.append('no description')

    def say(self, words): self.faults.append(f'line {self.getpos()[0]}: {words}')

    def handle_starttag(self, tag, attrs):
        at = dict(attrs)
        if tag not in VOID: self.open.append((tag, self.getpos()[0]))
        if 'id' in at:
            if at['id'] in self.ids: self.say(f"a second id {at['id']}")
            self.ids.add(at['id'])
        if tag == 'a' and at.get('href'): self.links.append(at['href'])
        if tag in FETCHED and at.get(FETCHED[tag]): self.fetched(tag, at)
        if tag == 'img' and not spoken(at.get('alt')): self.say('a picture without words: ' + at.get('src', ''))
        if tag in ('input', 'select') and at.get('type') != 'hidden': self.labelled(at)
        if tag == 'meta' and at.get('name') in ('description', 'robots'): self.described = bool(at.get('content'))
        if at.get('role') == 'heading' and not at.get('aria-level'): self.say('a heading without its level')
        if tag in SPOKEN: self.words.append([tag, at.get('aria-label') or '', ('href', at.get('href'))])
        elif self.words and tag in ('img', 'svg'): self.words[-1][1] += at.get('alt') or at.get('aria-label') or ''
        if re.fullmatch('h[1-6]', tag): self.heading(int(tag[1]))

    def labelled(self, at):
        inside = any(tag == 'label' for tag, _ in self.open)
        if not at.get('aria-label') and not inside: self.say('an input without a label')

    def fetched(self, tag, at):
        where = at[FETCHED[tag]]
        if tag == 'link' and at.get('rel') == 'canonical': return
        if re.match('(https?:)?//', where): self.say(f'fetches {where}')
        else: self.links.append(where)

    def heading(self, level):
        self.titles += level == 1
        if level > self.level + 1: self.say(f'a heading of level {level} below one of level {self.level}')
        self.level = level

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID: self.handle_endtag(tag)

    def handle_endtag(self, tag):
        if tag in VOID: return
        if not self.open or self.open[-1][0] != tag: return self.say(f'</{tag}> closes nothing')
        self.open.pop()
        if tag in SPOKEN:
            tag, words, (_, href) = self.words.pop()
            if not words.strip() and (tag != 'a' or href): self.say(f'<{tag}> without words')

    def handle_data(self, text):
        for o in self.words: o[1] += text
        code = any(tag in ('code', 'pre', 'script') for tag, _ in self.open)
        link = None if code else re.search(r'\[[^\]]*\]\([^)\s]+\)', text)
        if link: self.say(f'a link that was not made: {link[0]}')


def spoken(alt):
    "Whether the words of a picture say something: not empty, and not the name of its file."
    return bool(alt and alt.strip()) and not re.fullmatch(r'(\.\./)*_images/\S+', alt)


def dead(root, at, link, pages):
    "Why a link of the page `at` leads nowhere; '' where it leads somewhere, or out of the site."
    if re.match(r'[a-z][a-z+.-]*:|//', link): return ''
    where, _, anchor = link.partition('#')
    file = (root/at).parent.joinpath(unquote(where.partition('?')[0])).resolve() if where else (root/at).resolve()
    if file.is_dir(): file = file/'index.html'
    if not file.is_relative_to(root.resolve()) or not file.is_file(): return f'leads nowhere: {link}'
    page = pages.get(file.relative_to(root.resolve()).as_posix())
    return f'no such place on the page: {link}' if page and anchor and unquote(anchor) not in page.ids else ''


def faults(root):
    "What is wrong in the site at `root`: page and sentence."
    texts = {o.relative_to(root).as_posix(): o.read_text(encoding='utf-8') for o in sorted(root.rglob('*.html'))}
    pages, out = {name: Page(text) for name, text in texts.items()}, []
    for name, page in pages.items():
        weight = len(texts[name].encode())
        if weight > WEIGHT: out.append(f'{name}: {weight:,} bytes (limit {WEIGHT:,})')
        out += [f'{name}: {o}' for o in page.faults]
        why = (dead(root, name, o, pages) for o in dict.fromkeys(page.links))
        out += [f'{name}: {o}' for o in why if o]
    return out


def main():
    found = faults(Path(sys.argv[1]))
    print('\n'.join(found))
    sys.exit(bool(found))


if __name__ == '__main__': main()
