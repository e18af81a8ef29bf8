// Installs the published wasm-bindgen program, if this machine reaches its
// host; checked against the SHA-256 pinned here.
//
//   node scripts/wasm-bindgen.mjs VERSION DIR
//
// Exit 0: installed. 1: not to be had here, build it instead. A wrong checksum
// is an error of its own (3): the download may have been tampered with.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

// Of the releases' tar.gz files.
const SHA256 = {
  '0.2.129': {
    'x86_64-unknown-linux-musl': '82d12bb940e2d4e72e0d5605387fc1b8ca179044e012b620f0ce4e7440e8320e',
    'aarch64-unknown-linux-musl': '2ed4351c35dd9440308bbb02767d47ea278efe851a52465300f3c94f5b6c2a87',
    'x86_64-apple-darwin': '7e028879a68ec53dae14048b55cc5215f6df75b17a9c1426fac8fa086d3202fd',
    'aarch64-apple-darwin': '81d4a23d56b3c3eb8187658329116d50e0b228a93b343825fb71f70179051cd1',
  },
};
const RELEASES = 'https://github.com/wasm-bindgen/wasm-bindgen/releases/download';
const TIMEOUT_MS = 60_000;

const [version, dir] = process.argv.slice(2);
const cpu = { x64: 'x86_64', arm64: 'aarch64' }[process.arch];
const platform = { linux: 'unknown-linux-musl', darwin: 'apple-darwin' }[process.platform];
const name = `${cpu}-${platform}`;
const wanted = SHA256[version]?.[name];
if (!wanted) process.exit(1);

let archive;
try {
  const url = `${process.env.WASM_BINDGEN_RELEASES || RELEASES}/${version}/wasm-bindgen-${version}-${name}.tar.gz`;
  const response = await fetch(url, { signal: AbortSignal.timeout(TIMEOUT_MS) });
  if (!response.ok) process.exit(1);
  archive = Buffer.from(await response.arrayBuffer());
} catch {
  process.exit(1);
}
const sum = createHash('sha256').update(archive).digest('hex');
if (sum !== wanted) {
  console.error(`setup: wasm-bindgen ${version} for ${name} has the SHA-256 ${sum}, but ${wanted} is pinned; nothing was installed`);
  process.exit(3);
}
const work = mkdtempSync(join(tmpdir(), 'mch-wasm-bindgen-'));
try {
  const file = join(work, 'archive.tar.gz');
  writeFileSync(file, archive);
  const unpacked = spawnSync('tar', ['-xzf', file, '-C', work], { stdio: 'inherit', timeout: TIMEOUT_MS });
  if (unpacked.status !== 0) process.exitCode = 1;
  else {
    mkdirSync(dir, { recursive: true });
    copyFileSync(join(work, `wasm-bindgen-${version}-${name}`, 'wasm-bindgen'), join(dir, 'wasm-bindgen'));
    chmodSync(join(dir, 'wasm-bindgen'), 0o755);
  }
} finally {
  rmSync(work, { recursive: true, force: true });
}
