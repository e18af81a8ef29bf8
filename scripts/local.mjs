// A coordinator on this machine: state directory, secrets, migrations, and
// `wrangler dev`. Used by `make dev` and `make contract`.
import { randomBytes } from 'node:crypto';
import { chmodSync, closeSync, existsSync, mkdirSync, openSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { Group, prepareKeepers, within } from './group.mjs';
import { newToken } from './token.mjs';

const MIGRATE_MS = 120_000;
const START_MS = 120_000;
const CALL_MS = 5000;

// Writes a file that only its owner can read: all of it, or nothing.
export function writePrivate(path, text) {
  const part = `${path}.new`;
  writeFileSync(part, text, { mode: 0o600 });
  chmodSync(part, 0o600);
  renameSync(part, path);
}

// The directory with everything local.
export function prepare(dir) {
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  chmodSync(dir, 0o700);
  const inside = (name) => join(dir, name);
  return {
    dir,
    vars: inside('vars'),
    state: inside('state'),
    log: inside('wrangler.log'),
    running: inside('running.json'),
    keepers: inside('keepers'),
  };
}

// What is made on first use: the secrets, and the files that name running programs.
export function initialize({ keepers, vars }) {
  prepareKeepers(keepers);
  if (existsSync(vars)) return;
  writePrivate(vars, [
    `MASTER_KEY="k1:${randomBytes(32).toString('base64')}"`,
    `ADMIN_TOKEN="${newToken('mca_')}"`,
    'ALLOW_INSECURE="true"',
    '',
  ].join('\n'));
}

export function adminToken({ vars }) {
  const token = /^ADMIN_TOKEN="(.*)"$/m.exec(readFileSync(vars, 'utf8'))?.[1];
  if (!token) throw new Error(`${vars} has no line ADMIN_TOKEN="…"`);
  return token;
}

function wrangler({ keepers }, args, log, flags) {
  const out = openSync(log, flags, 0o600);
  try {
    return new Group(keepers, 'wrangler', args, { stdio: ['ignore', out, out] });
  } finally {
    closeSync(out);
  }
}

export async function migrate(local) {
  const log = join(local.dir, 'migrate.log');
  const args = ['d1', 'migrations', 'apply', 'DB', '--local', '--persist-to', local.state];
  const group = wrangler(local, args, log, 'w');
  const how = await within(MIGRATE_MS, group.ended);
  await group.end();
  if (group.code !== 0) throw new Error(`the database could not be migrated (${how}):\n${readFileSync(log, 'utf8')}`);
}

// Why one cannot listen there, or nothing.
export function obstacle(port) {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', (error) => resolve(error.code));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(undefined)));
  });
}

export async function freePort(wanted) {
  for (let port = wanted; port < wanted + 100; port++) if (!(await obstacle(port))) return port;
  throw new Error(`no free port from ${wanted} on`);
}

// Starts the coordinator; its output goes to the log.
export function start(local, port) {
  const args = ['dev', '--ip', '127.0.0.1', '--port', String(port), '--inspector-port', '0', '--persist-to', local.state,
    '--env-file', local.vars, '--test-scheduled', '--show-interactive-dev-session=false'];
  return wrangler(local, args, local.log, 'a');
}

// The status of a GET, or nothing if there is no answer.
async function status(url, token) {
  const headers = token ? { authorization: `Bearer ${token}` } : {};
  try {
    return (await fetch(url, { headers, signal: AbortSignal.timeout(CALL_MS) })).status;
  } catch {
    return undefined;
  }
}

// Waits until the coordinator answers, and knows its own admin token: another
// one may have taken the port. False if the program has ended meanwhile.
export async function healthy(url, group, local) {
  const admin = adminToken(local);
  const deadline = performance.now() + START_MS;
  while (!group.how) {
    if ((await status(`${url}/health`)) === 200) {
      const known = await status(`${url}/whoami`, admin);
      if (known === 200) return true;
      if (known === 401) throw new Error(`another coordinator answers at ${url}`);
    }
    if (performance.now() > deadline) {
      throw new Error(`the coordinator did not come up within ${START_MS / 1000} s; ${local.log} says why`);
    }
    await within(200, group.ended);
  }
  return false;
}
