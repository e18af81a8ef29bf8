// A coordinator on this machine: state directory, secrets, migrations, and
// `wrangler dev`. Used by `make dev`.
import { spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { newToken } from './token.mjs';

// Writes a file that only its owner can read.
export function writePrivate(path, text) {
  writeFileSync(path, text, { mode: 0o600 });
  chmodSync(path, 0o600);
}

// The directory with everything local; secrets are made on first use.
export function prepare(dir) {
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  chmodSync(dir, 0o700);
  const vars = join(dir, 'vars');
  if (!existsSync(vars)) {
    writePrivate(vars, [
      `MASTER_KEY="k1:${randomBytes(32).toString('base64')}"`,
      `ADMIN_TOKEN="${newToken('mca_')}"`,
      'ALLOW_INSECURE="true"',
      '',
    ].join('\n'));
  }
  return { dir, vars, state: join(dir, 'state'), log: join(dir, 'wrangler.log') };
}

export function adminToken(vars) {
  return /^ADMIN_TOKEN="(.*)"$/m.exec(readFileSync(vars, 'utf8'))[1];
}

export function migrate({ state }) {
  const args = ['d1', 'migrations', 'apply', 'DB', '--local', '--persist-to', state];
  const { status, stdout, stderr, error } = spawnSync('wrangler', args, { encoding: 'utf8', timeout: 120_000 });
  if (error) throw new Error(`the database could not be migrated: ${error.message}`);
  if (status !== 0) throw new Error(`the database could not be migrated:\n${stdout}${stderr}`);
}

// True if nobody listens there.
export function isFree(port) {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}

export async function freePort(wanted) {
  for (let port = wanted; port < wanted + 100; port++) if (await isFree(port)) return port;
  throw new Error(`no free port from ${wanted} on`);
}

// Starts wrangler in a process group of its own; its output goes to the log.
export function start({ vars, state, log }, port) {
  const out = openSync(log, 'a', 0o600);
  const args = ['dev', '--ip', '127.0.0.1', '--port', String(port), '--inspector-port', '0',
    '--persist-to', state, '--env-file', vars, '--test-scheduled', '--show-interactive-dev-session=false'];
  return spawn('wrangler', args, { stdio: ['ignore', out, out], detached: true });
}

export async function healthy(url, child, log) {
  const deadline = Date.now() + 120_000;
  while (Date.now() < deadline) {
    if (child.exitCode !== null) break;
    try {
      if ((await fetch(`${url}/health`, { signal: AbortSignal.timeout(5_000) })).ok) return;
    } catch { /* not yet listening */ }
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  throw new Error(`the coordinator did not come up; ${log} says why`);
}
