// `make dev`: the coordinator on this machine, ready to be used.
// PORT chooses the port; state and secrets are in DEV_DIR, or in .dev/.
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { endAll, keepersGone } from './group.mjs';
import { adminToken, freePort, healthy, initialize, migrate, obstacle, prepare, start, writePrivate } from './local.mjs';
import { lock } from './lock.mjs';
import { failure } from './watch.mjs';

const REPO = 'acme/app';
const PORT = 8787;
const EVERY_MINUTE = 60_000;
const TIMEOUT_MS = 30_000;
const GRACE_MS = 5000;
// Longer than the holder of the lock takes to say its port, or to end.
const HOLDER_MS = 15_000;
// Longer than a keeper waits for the end of what it has killed.
const FORMER_MS = 10_000;
const RESTARTS_A_MINUTE = 3;

// An error with an exit code.
class Refusal extends Error {
  constructor(message, code = 1) {
    super(message);
    this.code = code;
  }
}

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

function read(file) {
  try { return JSON.parse(readFileSync(file, 'utf8')); } catch { return {}; }
}

// Those of an earlier run, if they are still valid, or new ones.
async function tokens(local, url) {
  const file = join(local.dir, 'tokens.json');
  const admin = adminToken(local);
  let known = read(file);
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

// The port that PORT asks for, if it does.
function wantedPort() {
  const text = process.env.PORT;
  if (!text) return undefined;
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (port < 1 || port > 65_535) throw new Refusal(`PORT is a number from 1 to 65535, not ${JSON.stringify(text)}. Choose one: make dev PORT=8790`, 2);
  return port;
}

async function choosePort(wanted) {
  if (!wanted) return freePort(PORT);
  const why = await obstacle(wanted);
  if (why === 'EADDRINUSE') throw new Refusal(`Port ${wanted} is taken. Choose another one: make dev PORT=8790`);
  if (why) throw new Refusal(`Port ${wanted} cannot be used (${why}). Choose another one: make dev PORT=8790`);
  return wanted;
}

// The directory is ours alone: neither another `make dev` nor what is
// left of one that was killed.
async function occupy(local) {
  const other = await lock(join(local.dir, 'lock'), local.running, HOLDER_MS);
  if (other) {
    const where = other.port ? `on port ${other.port}, pid ${other.pid}` : `with the state in ${local.dir}`;
    throw new Refusal(`make dev is already running ${where}. Stop it with Ctrl-C there, or use that one.`);
  }
  initialize(local);
  if (!(await keepersGone(local.keepers, FORMER_MS))) {
    throw new Refusal(`Programs of a make dev that was killed still use ${local.dir}. Find them with: pgrep -fl workerd`);
  }
}

// Shows others who has the lock, while we have it.
let withdraw = () => {};
function announce({ running }, port) {
  writePrivate(running, JSON.stringify({ pid: process.pid, port }) + '\n');
  withdraw = () => rmSync(running, { force: true });
}

let stopping = false;
async function stop(code) {
  if (stopping) return;
  stopping = true;
  withdraw();
  await endAll(GRACE_MS);
  process.exit(code);
}

// Starts the coordinator again whenever it ends or does not answer.
async function keepRunning(local, port, url, group) {
  let restarts = [];
  for (;;) {
    await failure(url, group, local.log);
    if (stopping) return;
    restarts = restarts.filter((at) => performance.now() - at < EVERY_MINUTE);
    if (restarts.length === RESTARTS_A_MINUTE) {
      throw new Error(`The coordinator failed again after ${RESTARTS_A_MINUTE} starts within a minute; ${local.log} says why.`);
    }
    restarts.push(performance.now());
    console.log(`The coordinator does not answer (log: ${local.log}). Starting it again …`);
    await group.end();
    if (stopping) return;
    group = start(local, port);
    if (await healthy(url, group, local)) console.log('It runs again.');
  }
}

// Plays cron. Says the first of several failures in a row.
function playCron(port, log) {
  let failed = false;
  setInterval(async () => {
    let why;
    try {
      const response = await fetch(`http://127.0.0.1:${port}/__scheduled?cron=*+*+*+*+*`, { signal: AbortSignal.timeout(TIMEOUT_MS) });
      if (!response.ok) why = `status ${response.status}`;
    } catch (error) {
      why = error.cause?.message ?? error.message;
    }
    if (why && !failed && !stopping) console.error(`The scheduled work of this minute failed: ${why} (log: ${log}).`);
    failed = why !== undefined;
  }, EVERY_MINUTE);
}

async function main() {
  const wanted = wantedPort();
  const local = prepare(process.env.DEV_DIR || '.dev');
  await occupy(local);
  const port = await choosePort(wanted);
  announce(local, port);
  console.log('Migrating the database …');
  await migrate(local);
  if (stopping) return;
  console.log('Starting the coordinator …');
  const group = start(local, port);
  const url = `http://127.0.0.1:${port}/v1`;
  if (!(await healthy(url, group, local))) throw new Error(`wrangler ended (${group.how}); ${local.log} says why`);
  const all = await tokens(local, url);
  playCron(port, local.log);
  console.log(`
The coordinator is at ${url} (log: ${local.log}).

  admin    ${all.admin}
  user     ${all.user}   (dan, ${REPO})
  service  ${all.service}   (ci, ${REPO})

The same is in ${join(local.dir, 'tokens.json')}. A first call:

  curl -s ${url}/repos/${REPO}/agents -H 'Authorization: Bearer ${all.user}'

Ctrl-C stops it; what it stored stays.`);
  await keepRunning(local, port, url, group);
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => stop(0));
try {
  await main();
} catch (error) {
  if (!stopping) console.error(error.message);
  await stop(error instanceof Refusal ? error.code : 1);
}
