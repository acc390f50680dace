/* The firmware in a page. Each model comes as WebAssembly: the C that the board runs, with calls that tell what each
   operator makes. Nothing is computed elsewhere, and nothing is fetched but the files beside this one.
   `tinyformer/live.py` writes what a model's file holds. */
(function () {
'use strict';
if (window.tinyformerModel) return;                      /* a second page in the same document */

const MODELS = {};                                       /* name -> its facts and code */
window.tinyformerModel = model => { MODELS[model.name] = model; };
window.tinyformerPages = [];                             /* for tests: one object for each page */

/* ---- small things --------------------------------------------------------------------------------------------- */

function make(kind, words, ...inside) {
  const e = document.createElement(kind);
  for (const [k, v] of Object.entries(words || {}))
    if (k.startsWith('on')) e.addEventListener(k.slice(2), v); else if (v !== null) e.setAttribute(k, v);
  e.append(...inside);
  return e;
}

function drawn(kind, words, text) {                      /* an element of a drawing */
  const e = document.createElementNS('http://www.w3.org/2000/svg', kind);
  for (const [k, v] of Object.entries(words)) e.setAttribute(k, v);
  if (text) e.append(text);
  return e;
}

const number = n => Math.round(n).toLocaleString('en-US');
const bytesOf = text => Int8Array.from(atob(text), c => c.charCodeAt(0));
const product = shape => shape.reduce((a, b) => a * b, 1);
const canvas = (w, h, words) => { const c = make('canvas', words); c.width = w; c.height = h; return c; };

function load(name, from) {                              /* the model's file adds itself to MODELS */
  if (MODELS[name]) return Promise.resolve(MODELS[name]);
  return new Promise((done, fail) => document.head.append(make('script', {
    src: `${from}${name}.js`, onload: () => done(MODELS[name]), onerror: () => fail(new Error(`${name}.js is missing`))
  })));
}

/* ---- the machine ---------------------------------------------------------------------------------------------- */

async function machine(model) {                          /* a function: input bytes -> what happened */
  const ops = model.operators;
  let made = [], faults = [], code;
  const trace = (op, at, first, n) => {                  /* n: bytes made; 0 it begins; below 0 its status */
    if (n < 0) faults.push(`${ops[op].name} returned ${-n}`);
    if (n > 0) made[op].set(new Int8Array(code.memory.buffer, at, n), first);
  };
  const built = await WebAssembly.instantiate(bytesOf(model.wasm).buffer, { env: { tfm_trace: trace } });
  code = built.instance.exports;
  return input => {
    made = ops.map(op => new Int8Array(product(op.shape)));
    faults = [];
    new Int8Array(code.memory.buffer, code.tfm_input(), input.length).set(input);
    const began = performance.now(), status = code.tfm_run(), ms = performance.now() - began;
    const logits = new Int8Array(code.memory.buffer, code.tfm_output(), model.classes.length).slice();
    if (status) throw new Error(faults.join('; ') || `status ${status}`);
    return { input, logits, made, ms };
  };
}

/* Attention as operators.attention_s8 defines it: what token `asks` gives to each other one, 0 to 255 of 256, head by
   head. The firmware never holds this table; q and k are bytes that it made. */
function looks(a, q, k, asks) {
  const size = a.dim / a.heads, half = 1n << 31n, out = [];
  for (let h = 0; h < a.heads; h++) {
    const scores = [];
    for (let t = 0; t < a.tokens; t++) {
      let sum = 0;
      for (let i = h * size; i < (h + 1) * size; i++) sum += q[asks * a.dim + i] * k[t * a.dim + i];
      const scaled = Number(((BigInt(sum) << BigInt(a.shift_qk)) * BigInt(a.mult_qk) + half) >> 32n);
      scores.push(Math.max(-128, Math.min(127, scaled)));
    }
    const top = Math.max(...scores), e = scores.map(s => a.table[top - s]);
    const share = Math.floor(4294967295 / e.reduce((x, y) => x + y, 0));
    out.push(e.map(x => Math.min(255, (Math.floor(x * share / 8388608) + 1) >> 1)));
  }
  return out;
}

/* ---- what the reader draws ------------------------------------------------------------------------------------ */

/* The digits of the data set are 32x32 bitmaps that fill their frame; each of the 8x8 pixels counts its 16 bits. */
function digitBytes(inside) {                            /* inside(x, y): ink there? for 0..31 */
  const out = new Int8Array(64);
  for (let i = 0; i < 64; i++) {
    let n = 0;
    for (let j = 0; j < 16; j++) n += inside((i % 8) * 4 + j % 4, (i >> 3) * 4 + (j >> 2)) ? 1 : 0;
    out[i] = Math.round(n * 255 / 16) - 128;
  }
  return out;
}

function box(points) {
  const xs = points.map(p => p[0]), ys = points.map(p => p[1]);
  return [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)];
}

function distance(p, a, b) {                             /* of a point from a piece of a line */
  const [x, y] = [b[0] - a[0], b[1] - a[1]], long = x * x + y * y;
  const t = long ? Math.max(0, Math.min(1, ((p[0] - a[0]) * x + (p[1] - a[1]) * y) / long)) : 0;
  return Math.hypot(p[0] - a[0] - t * x, p[1] - a[1] - t * y);
}

function strokesToBytes(strokes) {                       /* lists of points -> the digit's 64 bytes */
  const pen = 2.2, [x0, y0, x1, y1] = box(strokes.flat());
  const scale = (31 - 2 * pen) / Math.max(y1 - y0, x1 - x0, .05);
  const place = p => [15.5 + (p[0] - (x0 + x1) / 2) * scale, 15.5 + (p[1] - (y0 + y1) / 2) * scale];
  const lines = strokes.map(s => s.map(place));
  return digitBytes((x, y) => lines.some(s => s.some((p, i) => distance([x, y], s[Math.max(0, i - 1)], p) <= pen)));
}

function pictureToDigit(source) {                        /* a photo of a digit: ink is what differs from the corner */
  const n = 64, c = canvas(n, n), ink = c.getContext('2d', { willReadFrequently: true });
  onPaper(ink, source, n);
  const d = ink.getImageData(0, 0, n, n).data;
  const grey = Array.from({ length: n * n }, (_, i) => d[4 * i] * .3 + d[4 * i + 1] * .59 + d[4 * i + 2] * .11);
  const far = grey.map(g => Math.abs(g - grey[0])), most = Math.max(...far);
  if (most < 20) return new Int8Array(64).fill(-128);
  const points = far.flatMap((f, i) => f > most / 2 ? [[i % n, Math.floor(i / n)]] : []);
  const [x0, y0, x1, y1] = box(points), side = Math.max(x1 - x0, y1 - y0) + 1;
  const at = (v, lo, hi) => Math.floor((v + .5) / 32 * side + (lo + hi + 1 - side) / 2);
  return digitBytes((x, y) => {
    const i = at(x, x0, x1), j = at(y, y0, y1);
    return i >= 0 && j >= 0 && i < n && j < n && far[j * n + i] > most / 2;
  });
}

function onPaper(g, picture, n) {                        /* its largest square in the middle; white where it is clear */
  const w = picture.naturalWidth, h = picture.naturalHeight, side = Math.min(w, h);
  if (!side) throw new Error('a picture without a size');
  g.fillStyle = '#fff';
  g.fillRect(0, 0, n, n);
  g.drawImage(picture, (w - side) / 2, (h - side) / 2, side, side, 0, 0, n, n);
}

function canvasToBytes(c, h, w) {                        /* a colour picture, each pixel the mean of a square */
  const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data, step = c.width / w;
  const out = new Int8Array(h * w * 3);
  for (let i = 0; i < out.length; i++) {
    const ch = i % 3, x = Math.floor(i / 3) % w, y = Math.floor(i / 3 / w);
    let sum = 0;
    for (let j = 0; j < step * step; j++)
      sum += d[4 * ((y * step + Math.floor(j / step)) * c.width + x * step + j % step) + ch];
    out[i] = Math.round(sum / (step * step)) - 128;
  }
  return out;
}

/* Drawings of this page: there is no picture of the data set in it. */
const fill = (g, colour, ...points) => {
  g.fillStyle = colour; g.beginPath(); points.forEach(p => g.lineTo(...p)); g.fill();
};
const disc = (g, colour, x, y, a, b) => { g.fillStyle = colour; g.beginPath(); g.ellipse(x, y, a, b || a, 0, 0, 7); g.fill(); };
const ground = (g, above, below, at) => {
  const s = g.createLinearGradient(0, 0, 0, 256);
  s.addColorStop(0, above); s.addColorStop(at, above); s.addColorStop(Math.min(1, at + .02), below); s.addColorStop(1, below);
  g.fillStyle = s; g.fillRect(0, 0, 256, 256);
};
const DRAWINGS = {
  ship: g => {
    ground(g, '#b9d3e8', '#2f5f86', .62);
    fill(g, '#7a2f2b', [22, 150], [236, 150], [206, 196], [52, 196]);
    fill(g, '#f1f1ee', [70, 112], [180, 112], [190, 150], [62, 150]);
    fill(g, '#d8d8d4', [96, 82], [150, 82], [150, 112], [96, 112]);
    fill(g, '#c0392b', [116, 48], [136, 48], [136, 82], [116, 82]);
  },
  airplane: g => {
    ground(g, '#7fb2e5', '#a9cdf0', .5);
    disc(g, '#eef1f4', 128, 128, 104, 15);
    fill(g, '#cfd6dd', [112, 128], [150, 128], [96, 214], [72, 214]);
    fill(g, '#dfe5ea', [118, 120], [150, 120], [120, 60], [100, 60]);
    fill(g, '#b8c1c9', [30, 124], [62, 124], [44, 82], [26, 82]);
  },
  automobile: g => {
    ground(g, '#cfd8dc', '#6b6e70', .68);
    fill(g, '#b3201d', [18, 178], [18, 132], [64, 122], [94, 82], [174, 82], [208, 124], [240, 136], [240, 178]);
    fill(g, '#26323a', [78, 122], [100, 92], [132, 92], [132, 122]);
    fill(g, '#26323a', [140, 92], [168, 92], [192, 122], [140, 122]);
    for (const x of [70, 190]) { disc(g, '#161616', x, 178, 25); disc(g, '#9aa0a4', x, 178, 11); }
  },
  frog: g => {
    ground(g, '#6d7c4a', '#4c5a30', .5);
    disc(g, '#5f8f2f', 128, 160, 84, 58); disc(g, '#77a63c', 128, 108, 58, 44);
    for (const x of [92, 164]) { disc(g, '#77a63c', x, 74, 20); disc(g, '#14180c', x, 72, 10); }
    disc(g, '#c5cf8f', 128, 178, 46, 30);
    for (const x of [50, 206]) disc(g, '#5f8f2f', x, 204, 34, 16);
  },
};

/* ---- what the reader sees ------------------------------------------------------------------------------------- */

function paint(c, h, w, colour) {                        /* one dot for each value; the page makes it larger */
  const g = c.getContext('2d'), image = g.createImageData(w, h);
  for (let i = 0; i < h * w; i++) image.data.set([...colour(i), 255], 4 * i);
  c.width = w; c.height = h;
  g.putImageData(image, 0, 0);
}

const showInput = (c, input, [h, w, ch]) => paint(c, h, w, i =>
  [0, 1, 2].map(j => input[i * ch + Math.min(j, ch - 1)] + 128));

const signed = v => {                                    /* -1 blue, 0 black, 1 orange */
  const m = Math.pow(Math.min(1, Math.abs(v)), .7);
  return v > 0 ? [255 * m, 170 * m, 60 * m] : [70 * m, 160 * m, 255 * m];
};

const heat = v => [255 * Math.min(1, 2.2 * v), 235 * Math.max(0, Math.min(1, 1.8 * v - .35)), 60 + 120 * Math.max(0, 1.6 * v - .9)];

function tiles(c, values, shape, zero) {                 /* channels of a map as pictures side by side */
  const ch = shape[shape.length - 1], pixels = product(shape) / ch, side = Math.round(Math.sqrt(pixels));
  const [h, w] = shape.length === 3 ? shape : side * side === pixels ? [side, side] : [1, pixels];
  const across = Math.min(ch, Math.max(1, Math.ceil(Math.sqrt(2 * ch * h / w)))), down = Math.ceil(ch / across);
  const wide = across * (w + 1) - 1, most = Math.max(1, ...[...new Set(values)].map(v => Math.abs(v - zero)));
  c.style.maxWidth = `${Math.min(26, 2 * across * Math.max(1, w / 2))}rem`;
  paint(c, down * (h + 1) - 1, wide, i => {
    const x = i % wide, y = Math.floor(i / wide), tile = Math.floor(y / (h + 1)) * across + Math.floor(x / (w + 1));
    const [a, b] = [x % (w + 1), y % (h + 1)];
    if (a === w || b === h || tile >= ch) return [110, 116, 122];
    return signed((values[(b * w + a) * ch + tile] - zero) / most);
  });
}

/* ---- a page --------------------------------------------------------------------------------------------------- */

class Page {
  constructor(root) {
    this.root = root;
    this.from = root.dataset.from;
    this.names = root.dataset.models.split(' ');
    this.state = { model: null, run: null, op: 0, asks: 0, look: null, selfTest: null };
    this.busy = Promise.resolve();
    root.replaceChildren(this.tabs = make('div', { class: 'tf-tabs', role: 'group', 'aria-label': 'model' }),
                         this.body = make('div', { 'aria-live': 'off' }, 'Loading the firmware …'));
    this.tabs.append(...this.names.map(name =>
      make('button', { type: 'button', 'data-model': name, onclick: () => this.choose(name) }, name)));
    this.choose(this.names[0]);
  }

  choose(name) { return this.busy = this.open(name).catch(e => { if (this.wanted === name) this.body.textContent = `This does not run here: ${e.message}`; throw e; }); }

  async open(name) {
    this.wanted = name;
    for (const b of this.tabs.children) b.setAttribute('aria-pressed', b.dataset.model === name);
    const model = await load(name, this.from);
    model.machine = model.machine || await machine(model);
    if (this.wanted !== name) return;                    /* another one was chosen while this one was loading */
    clearInterval(this.playing);
    this.model = model;
    Object.assign(this.state, { model: name, op: 0, asks: 0 });
    const got = model.machine(bytesOf(model.check.input)).logits, want = bytesOf(model.check.output);
    this.state.selfTest = got.reduce((n, v, i) => n + (v !== want[i]), 0);
    this.build();
    if (model.samples.length) this.take(bytesOf(model.samples[3].input));
    else this.sketch('ship');
  }

  build() {
    const m = this.model, digits = m.shape[2] === 1;
    const sheet = this.sheet = canvas(256, 256, { class: 'tf-sheet', role: 'img', 'aria-label': digits ? 'draw a digit here' : 'paint here, or drop a picture' });
    const file = make('input', { type: 'file', accept: 'image/*', hidden: '', onchange: () => { this.drop(file.files[0]); file.value = ''; } });   /* the same file may come again */
    this.colour = make('input', { type: 'color', value: '#e8e8e8', 'aria-label': 'colour of the brush' });
    const tools = make('div', { class: 'tf-tools' },
      make('button', { type: 'button', class: 'tf-clear', onclick: () => this.clear() }, 'Clear'),
      make('button', { type: 'button', onclick: () => file.click() }, 'Picture …'), file, ...(digits ? [] : [this.colour]));
    const choices = make('div', { class: 'tf-samples', role: 'group', 'aria-label': 'samples' }, ...(digits
      ? m.samples.map(s => this.sample(s))
      : Object.keys(DRAWINGS).map(name => make('button', { type: 'button', onclick: () => this.sketch(name) }, name))));
    this.seen = canvas(8, 8, { class: 'tf-seen', role: 'img', 'aria-label': 'what the network sees' });
    this.bars = make('div', { class: 'tf-bars' });
    this.said = make('p', { class: 'tf-said', 'aria-live': 'polite' });
    this.list = make('div', { class: 'tf-ops' });
    this.made = canvas(8, 8, { class: 'tf-made', role: 'img' });
    this.about = make('p', { class: 'tf-note' });
    this.live = make('p', { class: 'tf-note' });
    this.step = make('input', { type: 'range', min: 0, max: m.operators.length - 1, value: 0, 'aria-label': 'operator', oninput: () => this.show(+this.step.value) });
    this.play = make('button', { type: 'button', onclick: () => this.start() }, 'Play');
    const ms = m.cycles / m.clock * 1e3;
    this.body.replaceChildren(
      make('div', { class: 'tf-two' },
        make('section', {}, make('h2', {}, digits ? 'Draw a digit' : 'Paint, or drop a picture'), sheet, tools, choices,
             make('p', { class: 'tf-note' }, digits ? 'The ten samples are test images of the data set.' : 'The samples are drawings of this page, no images of the data set: the network learned from photographs, and may be wrong about them.')),
        make('section', {}, make('h2', {}, 'What it answers'), make('div', { class: 'tf-answer' }, this.seen, this.bars), this.said,
             make('p', { class: 'tf-note' }, `${number(m.instructions)} instructions and about ${number(m.cycles)} cycles on the emulated Cortex-M7: ${ms.toFixed(1)} ms at ${m.clock / 1e6} MHz. ${number(m.flash)} bytes of flash, ${number(m.sram)} of SRAM. Right for ${(100 * m.accuracy).toFixed(2)} % of ${number(m.images)} test images (${m.data}).`))),
      make('section', {}, make('h2', {}, 'Operator by operator'),
        make('div', { class: 'tf-tools' }, this.play, this.step),
        make('div', { class: 'tf-two' },
          make('div', {}, this.list, make('p', { class: 'tf-note' }, `Bars: instructions on the emulated Cortex-M7, counted once for a stored image (${m.compiler}).`)),
          make('div', {}, this.about, this.made, make('p', { class: 'tf-note' }, 'One square for each channel. Orange is above zero, blue below, black is zero.'))),
        make('h2', {}, 'The arena'), this.arena(), this.live),
      ...m.attentions.map(a => this.attention(a)));
    this.list.append(...m.operators.map((op, i) => this.row(op, i)));
    this.pen(sheet, digits);
    sheet.addEventListener('dragover', e => e.preventDefault());
    sheet.addEventListener('drop', e => { e.preventDefault(); this.drop(e.dataTransfer.files[0]); });
  }

  sample(s) {
    const c = canvas(8, 8, { 'aria-hidden': 'true' });
    showInput(c, bytesOf(s.input), this.model.shape);
    return make('button', { type: 'button', 'data-sample': s.label, 'aria-label': `test image of a ${s.label}`, onclick: () => this.take(bytesOf(s.input)) }, c);
  }

  /* -- input -- */

  clear() {
    const g = this.sheet.getContext('2d');
    this.strokes = [];
    g.fillStyle = this.model.shape[2] === 1 ? '#000' : '#7f8c8d';
    g.fillRect(0, 0, 256, 256);
  }

  pen(sheet, digits) {                                   /* mouse, finger and pen */
    let down = false, waits = false;
    this.clear();
    const at = e => { const r = sheet.getBoundingClientRect(); return [(e.clientX - r.left) / r.width, (e.clientY - r.top) / r.height]; };
    const mark = (a, b) => {
      const g = sheet.getContext('2d');
      g.strokeStyle = digits ? '#fff' : this.colour.value; g.lineWidth = digits ? 26 : 18; g.lineCap = 'round';
      g.beginPath(); g.moveTo(256 * a[0], 256 * a[1]); g.lineTo(256 * b[0] + .01, 256 * b[1]); g.stroke();
    };
    const later = () => { if (!waits) { waits = true; setTimeout(() => { waits = false; this.read(); }, 60); } };
    sheet.addEventListener('pointerdown', e => {
      if (digits && this.shown) { this.clear(); this.shown = false; }     /* a sample is replaced, not painted over */
      down = true; sheet.setPointerCapture(e.pointerId); e.preventDefault();
      this.strokes.push([at(e)]); mark(at(e), at(e)); later();
    });
    sheet.addEventListener('pointermove', e => {
      if (!down) return;
      const stroke = this.strokes[this.strokes.length - 1], last = stroke[stroke.length - 1], p = at(e);
      if (Math.hypot(p[0] - last[0], p[1] - last[1]) < .01) return;
      stroke.push(p); mark(last, p); later();
    });
    for (const end of ['pointerup', 'pointercancel']) sheet.addEventListener(end, () => { down = false; });
  }

  read() {
    if (this.model.shape[2] === 1) { if (this.strokes.length) this.run(strokesToBytes(this.strokes)); }
    else this.run(canvasToBytes(this.sheet, ...this.model.shape));
  }

  take(input) {                                          /* bytes: shown on the sheet as they are */
    this.clear();
    this.shown = true;
    const c = canvas(8, 8), g = this.sheet.getContext('2d');
    showInput(c, input, this.model.shape);
    g.imageSmoothingEnabled = false;
    g.drawImage(c, 0, 0, 256, 256);
    this.run(input);
  }

  sketch(name) { this.clear(); DRAWINGS[name](this.sheet.getContext('2d')); this.read(); }

  async drop(file) {
    if (!file) return;
    try {
      const url = URL.createObjectURL(file), picture = make('img', { src: url });
      try { await picture.decode(); } finally { URL.revokeObjectURL(url); }
      if (this.model.shape[2] === 1) return this.take(pictureToDigit(picture));
      const g = this.sheet.getContext('2d');
      g.imageSmoothingEnabled = true; g.imageSmoothingQuality = 'high';
      onPaper(g, picture, 256);
      this.read();
    } catch (e) { this.said.textContent = `${file.name} is no picture that this browser reads.`; }
  }

  /* -- answer -- */

  run(input) {
    const m = this.model, r = this.state.run = m.machine(input);
    showInput(this.seen, input, m.shape);
    const real = Array.from(r.logits, v => m.scale * (v - m.zero)), top = Math.max(...real);
    const e = real.map(v => Math.exp(v - top)), sum = e.reduce((a, b) => a + b, 0), best = real.indexOf(top);
    this.bars.replaceChildren(...m.classes.map((name, i) => make('div', { class: i === best ? 'tf-bar tf-best' : 'tf-bar' },
      make('span', {}, name), make('i', {}, make('b', { style: `width:${(r.logits[i] + 128) / 2.55}%` })),
      make('span', { class: 'tf-n' }, String(r.logits[i])), make('span', { class: 'tf-n' }, `${(100 * e[i] / sum).toFixed(0)} %`))));
    const same = m.classes.length - this.state.selfTest;
    this.said.textContent = `${m.classes[best]}. ${r.ms < 1 ? r.ms.toFixed(2) : r.ms.toFixed(0)} ms in this browser. Self-test: ${same} of ${m.classes.length} bytes as the NumPy reference.`;
    this.show(this.state.op);
    this.look(this.state.asks);
  }

  /* -- operators -- */

  row(op, i) {
    const most = Math.max(...this.model.operators.map(o => o.instructions));
    return make('button', { type: 'button', class: 'tf-op', onclick: () => this.show(i) },
      make('span', {}, `${i} ${op.name}`), make('i', {}, make('b', { style: `width:${100 * op.instructions / most}%` })),
      make('span', { class: 'tf-n' }, number(op.instructions)));
  }

  show(i) {
    const m = this.model, op = m.operators[i], values = this.state.run.made[i];
    this.state.op = i;
    this.step.value = i;
    [...this.list.children].forEach((b, j) => b.setAttribute('aria-pressed', i === j));
    const row = this.list.children[i];                   /* scrolls the list, not the page */
    this.list.scrollTop = row.offsetTop - this.list.clientHeight / 2;
    const weights = op.weights ? `, ${number(op.weights)} bytes of weights and tables` : '';
    this.about.textContent = `${i} ${op.name}: ${op.kind} by ${op.kernel}, gives ${op.shape.join('×')}${weights}.`;
    tiles(this.made, values, op.shape, op.zero);
    this.made.setAttribute('aria-label', `activations of ${op.name}`);
    this.plan(i);
  }

  start() {
    clearInterval(this.playing);
    this.show(0);
    this.playing = setInterval(() => {
      if (!this.root.isConnected || this.state.op + 1 >= this.model.operators.length) return clearInterval(this.playing);
      this.show(this.state.op + 1);
    }, 450);
  }

  /* -- arena -- */

  arena() {
    const m = this.model, n = m.operators.length, high = 120;
    const y = b => high * (1 - b / m.arena);
    this.map = drawn('svg', { viewBox: `0 0 ${n} ${high}`, preserveAspectRatio: 'none', class: 'tf-arena', role: 'img', 'aria-label': 'the plan of the arena: operators from left to right, addresses from bottom to top' });
    this.rects = m.buffers.map(b => {
      const r = drawn('rect', { x: b.start, y: y(b.at + b.bytes), width: b.stop - b.start, height: high * b.bytes / m.arena, class: b.scratch ? 'tf-scratch' : 'tf-tensor' });
      r.append(drawn('title', {}, `${b.name}: ${number(b.bytes)} bytes from ${number(b.at)} on`));
      this.map.append(r);
      return r;
    });
    this.cursor = drawn('rect', { y: 0, width: 1, height: high, class: 'tf-cursor' });
    this.map.append(this.cursor);
    this.map.addEventListener('click', e => {
      const r = this.map.getBoundingClientRect();
      this.show(Math.min(n - 1, Math.floor(n * (e.clientX - r.left) / r.width)));
    });
    this.full = make('b', {});
    return make('div', {}, make('div', { class: 'tf-full', 'aria-hidden': 'true' }, this.full), this.map);
  }

  plan(i) {
    const m = this.model, alive = m.buffers.filter(b => b.start <= i && i < b.stop);
    const bytes = alive.reduce((n, b) => n + b.bytes, 0);
    m.buffers.forEach((b, j) => this.rects[j].classList.toggle('tf-alive', alive.includes(b)));
    this.cursor.setAttribute('x', i);
    this.full.style.width = `${100 * bytes / m.arena}%`;
    this.state.alive = bytes;
    this.live.textContent = `${number(bytes)} of ${number(m.arena)} bytes hold something while operator ${i} runs. Time goes from left to right, the address from bottom to top; green is a tensor, brown is a kernel's scratch.`;
  }

  /* -- attention -- */

  attention(a) {
    const n = a.side;
    this.under = canvas(8, 8, { class: 'tf-under', 'aria-hidden': 'true' });
    this.tokens = Array.from({ length: a.tokens }, (_, t) => make('button', { type: 'button', tabindex: -1, 'aria-label': `token ${t}`, onclick: () => this.look(t) }));
    this.ask = make('input', { type: 'range', min: 0, max: a.tokens - 1, value: 0, 'aria-label': 'token that asks', oninput: () => this.look(+this.ask.value) });
    this.heads = Array.from({ length: a.heads }, (_, h) => canvas(n, n, { role: 'img', 'aria-label': `head ${h + 1}` }));
    this.words = make('p', { class: 'tf-note' });
    return make('section', {}, make('h2', {}, 'Where a token looks'),
      make('div', { class: 'tf-attention' },
        make('div', {}, make('div', { class: 'tf-grid', style: `grid-template-columns:repeat(${n},1fr)` }, this.under, ...this.tokens), this.ask),
        make('div', { class: 'tf-heads' }, ...this.heads.map((c, h) => make('figure', {}, c, make('figcaption', {}, `head ${h + 1}`))))),
      this.words);
  }

  look(t) {
    const m = this.model, a = m.attentions[0], r = this.state.run;
    this.state.asks = t;
    if (!a) return;
    this.ask.value = t;
    const heads = this.state.look = looks(a, r.made[a.q], r.made[a.k], t);
    showInput(this.under, r.input, m.shape);
    this.tokens.forEach((b, i) => b.setAttribute('aria-pressed', i === t));
    heads.forEach((p, h) => { const most = Math.max(...p); paint(this.heads[h], a.side, a.side, i => heat(p[i] / most)); });
    const most = heads.map(p => { const i = p.indexOf(Math.max(...p)); return `${(p[i] / 2.56).toFixed(0)} % on token ${i}`; });
    this.words.textContent = `Token ${t} of ${a.tokens} asks. Heads look most: ${most.join(', ')}. Click a square of the picture. The table is computed from the bytes of q and k with the integers of the kernel, which itself never holds it whole.`;
  }
}

const start = () => document.querySelectorAll('.tf-live').forEach(e => window.tinyformerPages.push(new Page(e)));
if (document.readyState === 'loading') document.addEventListener('DOMContentLoaded', start); else start();
})();
