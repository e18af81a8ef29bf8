// `make size`: what is uploaded, against the limit of 450 KB compressed.
import { readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';

for (const file of ['build/index_bg.wasm', 'build/index.js']) {
  const bytes = readFileSync(file);
  const gzip = gzipSync(bytes, { level: 9 }).length;
  console.log(`${file.padEnd(20)} ${String(bytes.length).padStart(8)} bytes, ${String(gzip).padStart(7)} gzipped`);
}
