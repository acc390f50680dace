// The site's search. Whole words only: "arm" does not find "harmless". A word also finds its plural.
function words(text) {
  const plain = text.toLowerCase().normalize('NFKD').replace(/[\u0300-\u036f]/g, '');
  return (plain.match(/[a-z0-9]+/g) || []).map(w =>
    w.replace(/is(ation|ations|e|es|ed|ing)$/, 'iz$1').replace(/([^s])s$/, '$1'));
}

// How often the words stand in `list`: [each word at least once, times all stand in this order].
function count(list, query) {
  let phrases = 0;
  for (let i = 0; i + query.length <= list.length; i++)
    if (query.every((w, j) => list[i + j] === w)) phrases++;
  return [query.every(w => list.includes(w)), phrases];
}

function score(page, query) {
  const [inTitle, titlePhrase] = count(words(page.title), query);
  let best = null, sum = 0;
  for (const [anchor, heading, text] of page.sections) {
    const [inHeading, headingPhrase] = count(words(heading), query);
    const [inText, phrases] = count(words(heading + ' ' + text), query);
    if (!inText) continue;
    const points = (headingPhrase ? 20 : inHeading ? 10 : 0) + 4 * Math.log2(1 + phrases) + 1;
    sum += points;
    if (!best || points > best.points) best = {points, anchor, heading, text};
  }
  for (const [anchor, name, text] of page.names) {
    if (!count(words(name + ' ' + text), query)[0]) continue;
    const exact = words(name).join(' ') === query.join(' ');
    const points = (exact ? 30 : count(words(name), query)[0] ? 8 : 0) + 1;
    sum += points;
    if (!best || points > best.points) best = {points, anchor, heading: name, text};
  }
  if (!best && !inTitle) return null;
  best = best || {points: 0, anchor: page.sections[0][0], heading: page.title, text: page.sections[0][2]};
  const points = (titlePhrase ? 40 : inTitle ? 20 : 0) + best.points + Math.log2(1 + sum);
  return {page, best, points: REPEATS.test(page.url) ? points/2 : points};
}

// Chapters come before what repeats them.
const REPEATS = /^(solutions|assignments)\/|^(changelog|contributing|tests)\./;

// The pages that match, best first.
function find(text, index) {
  const query = words(text);
  if (!query.length) return [];
  return index.map(page => score(page, query)).filter(o => o).sort((a, b) => b.points - a.points);
}

// Some words around the first match, with the matches marked.
function excerpt(text, query) {
  const pieces = text.split(/([a-zA-Z0-9]+)/);
  const hit = pieces.map(o => query.includes(words(o)[0]));
  let at = hit.findIndex((h, i) => h && (query.length === 1 || hit[i + 2]));
  if (at < 0) at = Math.max(0, hit.indexOf(true));
  const from = Math.max(0, at - 24), p = document.createElement('p');
  if (from) p.append('… ');
  pieces.slice(from, from + 80).forEach((o, i) => {
    if (!hit[from + i]) return p.append(o);
    const mark = document.createElement('mark');
    mark.textContent = o;
    p.append(mark);
  });
  return p;
}

function show(text) {
  const out = document.getElementById('found'), query = words(text);
  const results = find(text, window.SEARCH_INDEX);
  document.getElementById('found-count').textContent = !query.length ? 'Type one or more words.'
    : `${results.length || 'No'} ${results.length === 1 ? 'page has' : 'pages have'} ${query.length > 1 ? 'all these words' : 'this word'}.`;
  out.replaceChildren(...results.map(({page, best}) => {
    const item = document.createElement('li'), link = document.createElement('a');
    link.href = page.url + (best.anchor ? '#' + best.anchor : '');
    link.textContent = page.title;
    item.append(link);
    if (best.heading && best.heading !== page.title) item.append(' · ' + best.heading);
    if (best.text) item.append(excerpt(best.text, query));
    return item;
  }));
}

if (typeof document !== 'undefined' && document.getElementById('found')) {
  const box = document.getElementById('find-box');
  box.value = new URLSearchParams(location.search).get('q') || '';
  box.addEventListener('input', () => show(box.value));
  box.form.addEventListener('submit', e => e.preventDefault());
  show(box.value);
}
