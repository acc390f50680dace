// node run_networks.cjs MODULE SIZES INPUTS OUTPUTS: runs many generated models of one module. tinyformer/random_networks.py
// writes SIZES and INPUTS; OUTPUTS gets a status and the outputs of each, as run_networks.c writes them. Arena, input and
// output lie behind one another, painted beyond their ends; the arena holds noise before every run.
const fs = require('fs');
const [module_, sizes, inputs, outputs] = process.argv.slice(2);
const wasm = new WebAssembly.Instance(new WebAssembly.Module(fs.readFileSync(module_))).exports;
const GUARD = 64, PAINT = 0xa5, WRITTEN = -2;
const base = (wasm.__heap_base.value + 63) & ~63, made = [], x = fs.readFileSync(inputs);
let at = 0, noise = 1;
for (const { name, arena, input, output, images } of JSON.parse(fs.readFileSync(sizes))) {
  const room = (n) => (n + GUARD + 63) & ~63;
  const source = base + room(arena), to = source + room(input), end = to + room(output);
  const missing = Math.ceil(end / 65536) - wasm.memory.buffer.byteLength / 65536;
  if (missing > 0) wasm.memory.grow(missing);
  const bytes = new Uint8Array(wasm.memory.buffer), y = [];
  let status = 0;
  for (let i = 0; i < images; i++, at += input) {
    bytes.fill(PAINT, base, end);
    for (let k = base; k < base + arena; k++) { noise = (Math.imul(noise, 1664525) + 1013904223) | 0; bytes[k] = noise >>> 24; }
    bytes.set(x.subarray(at, at + input), source);
    if (status === 0) status = wasm[`${name}_invoke_with`](base, source, to);
    const beyond = [[base + arena, source], [source + input, to], [to + output, end]];
    if (status === 0 && beyond.some(([a, b]) => bytes.subarray(a, b).some((v) => v !== PAINT))) status = WRITTEN;
    if (status === 0 && Buffer.compare(Buffer.from(bytes.subarray(source, source + input)), x.subarray(at, at + input)))
      status = WRITTEN;
    y.push(Buffer.from(bytes.slice(to, to + output)));
  }
  const head = Buffer.alloc(4);
  head.writeInt32LE(status);
  made.push(head, ...y);
}
fs.writeFileSync(outputs, Buffer.concat(made));
