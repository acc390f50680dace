// node run.cjs MODULE INPUTS OUTPUTS BYTES_IN BYTES_OUT: runs a model of module.c on every input of a file.
const fs = require('fs');
const [module_, inputs, outputs, n, m] = process.argv.slice(2);
const { memory, tfm_input, tfm_output, tfm_run } =
  new WebAssembly.Instance(new WebAssembly.Module(fs.readFileSync(module_))).exports;
const x = fs.readFileSync(inputs), size = Number(n), made = [];
for (let at = 0; at < x.length; at += size) {
  new Uint8Array(memory.buffer).set(x.subarray(at, at + size), tfm_input());
  const status = tfm_run();
  if (status) { console.error(`status ${status}`); process.exit(1); }
  const from = tfm_output();
  made.push(Buffer.from(new Uint8Array(memory.buffer).slice(from, from + Number(m))));
}
fs.writeFileSync(outputs, Buffer.concat(made));
