/* Knobs over stored pictures or texts: the position of the knobs is the number of a frame, the last knob turning fastest. */
document.querySelectorAll('.frames').forEach(root => {
  const knobs = [...root.querySelectorAll('input, select')], frames = [...root.querySelectorAll('.frame')];
  const place = k => k.tagName === 'SELECT' ? k.selectedIndex : +k.value;
  const size = k => k.tagName === 'SELECT' ? k.options.length : +k.max + 1;
  const turn = () => {
    const i = knobs.reduce((n, k) => n * size(k) + place(k), 0), { across, down } = frames[0].dataset;
    knobs.forEach(k => { if (k.dataset.shown) k.nextElementSibling.value = JSON.parse(k.dataset.shown)[place(k)]; });
    if (!across) return frames.forEach((f, j) => { f.hidden = i !== j; });
    const x = 100 * (i % across) / across, y = 100 * Math.floor(i / across) / down;
    frames[0].firstElementChild.style.transform = `translate(-${x}%, -${y}%)`;
  };
  knobs.forEach(k => k.addEventListener('input', turn));
  turn();                                                /* a browser keeps the knobs of a page that is loaded again */
});
