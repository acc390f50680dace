// A link to a folded entry opens it.
function unfold() {
  const at = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  const entry = at && at.querySelector(':scope > details');
  if (entry) entry.open = true;
}
addEventListener('hashchange', unfold);
unfold();
// A table or a formula that is wider than its column scrolls; the keyboard reaches it.
for (const box of document.querySelectorAll('.table-wrapper, div.math, .road, div.highlight pre'))
  if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
