// `make dev`: the coordinator on this machine, ready to be used.
// PORT chooses the port; state and secrets are in .dev/.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { adminToken, freePort, healthy, isFree, migrate, prepare, start, writePrivate } from './local.mjs';

const REPO = 'acme/app';
const EVERY_MINUTE = 60_000;
const TIMEOUT_MS = 30_000;

async function makeToken(url, admin, kind, owner) {
  const response = await fetch(`${url}/tokens`, {
    method: 'POST',
    headers: { authorization: `Bearer ${admin}`, 'content-type': 'application/json' },
    body: JSON.stringify({ kind, owner, repos: [REPO], description: 'made by make dev' }),
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  const answer = await response.json();
  if (!response.ok) throw new Error(`no ${kind} token: ${answer.detail}`);
  return answer.token;
}

async function works(url, token) {
  const response = await fetch(`${url}/whoami`, { headers: { authorization: `Bearer ${token}` }, signal: AbortSignal.timeout(TIMEOUT_MS) });
  return response.ok;
}

async function tokens(local, url) {
  const file = join(local.dir, 'tokens.json');
  const admin = adminToken(local.vars);
  let known = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : {};
  if (!known.user || !known.service || !(await works(url, known.user)) || !(await works(url, known.service))) {
    known = {
      user: await makeToken(url, admin, 'user', 'dan'),
      service: await makeToken(url, admin, 'service', 'ci'),
    };
  }
  const all = { url, admin, user: known.user, service: known.service };
  writePrivate(file, JSON.stringify(all, null, 2) + '\n');
  return all;
}

const wanted = process.env.PORT ? Number(process.env.PORT) : undefined;
if (wanted !== undefined && !(await isFree(wanted))) {
  console.error(`Port ${wanted} is taken. Choose another one: make dev PORT=8790`);
  process.exit(1);
}
const port = wanted ?? (await freePort(8787));
const local = prepare('.dev');
console.log('Migrating the database …');
migrate(local);
console.log('Starting the coordinator …');
const child = start(local, port);

let stopping = false;
function stop(code) {
  if (stopping) return;
  stopping = true;
  const gone = () => process.exit(code);
  if (child.exitCode !== null) return gone();
  child.once('exit', gone);
  process.kill(-child.pid, 'SIGTERM');
  setTimeout(() => { try { process.kill(-child.pid, 'SIGKILL'); } catch { /* gone */ } gone(); }, 5000).unref();
}
process.on('SIGINT', () => stop(0));
process.on('SIGTERM', () => stop(0));
process.on('SIGHUP', () => stop(0));
child.once('exit', (code) => {
  if (stopping) return;
  console.error(`wrangler ended (${code}); ${local.log} says why`);
  stop(1);
});

try {
  const url = `http://127.0.0.1:${port}/v1`;
  await healthy(url, child, local.log);
  const all = await tokens(local, url);
  const scheduled = () => fetch(`http://127.0.0.1:${port}/__scheduled?cron=*+*+*+*+*`, { signal: AbortSignal.timeout(TIMEOUT_MS) }).catch(() => {});
  setInterval(scheduled, EVERY_MINUTE);
  console.log(`
The coordinator is at ${url} (log: ${local.log}).

  admin    ${all.admin}
  user     ${all.user}   (dan, ${REPO})
  service  ${all.service}   (ci, ${REPO})

The same is in ${join(local.dir, 'tokens.json')}. A first call:

  curl -s ${url}/repos/${REPO}/agents -H 'Authorization: Bearer ${all.user}'

Ctrl-C stops it; what it stored stays.`);
} catch (error) {
  console.error(error.message);
  stop(1);
}
