// `make contract`: schemathesis against a coordinator of its own. It tests the whole
// OpenAPI document: 100 cases per operation (1000 with SOAK=1) and walks along its
// links. SEED repeats a run.
import { randomBytes } from 'node:crypto';
import { appendFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Group, endAll, within } from './group.mjs';
import { adminToken, freePort, healthy, initialize, migrate, prepare, start } from './local.mjs';

const OWNER = 'acme';
// Divides every duration, so that a held poll takes a second at most.
const TIME_SCALE = 25;
const MANY = 10_000;
// A run takes two minutes, ten with SOAK=1.
const LIMIT_MS = (process.env.SOAK ? 60 : 20) * 60_000;
const seed = process.env.SEED || '20261122';
const examples = process.env.SOAK ? '1000' : '100';

async function call(url, token, method, path, body) {
  const response = await fetch(url + path, {
    method,
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(30_000),
  });
  const answer = await response.json();
  if (!response.ok) throw new Error(`${method} ${path}: ${answer.detail}`);
  return answer;
}

// What is there before the tests begin: a token, two agents, a message and a
// request between them, wide limits.
async function furnish(url, admin) {
  const token = await call(url, admin, 'POST', '/tokens', { kind: 'service', owner: 'contract', repos: [`${OWNER}/*`] });
  const repo = `/repos/${OWNER}/contract`;
  for (const name of ['workspace', 'merge-queue']) {
    await call(url, token.token, 'POST', `${repo}/agents`, { name, type: name });
  }
  const secret = `whsec_${randomBytes(32).toString('base64')}`;
  // Callbacks are taken if requests are pushed; nothing listens there.
  const config = { enabled: true, spawn_endpoint: 'http://127.0.0.1:9/', webhook_secret: secret, max_spawns_per_minute: MANY, max_workers: MANY };
  for (const name of ['contract', 'configured']) {
    await call(url, token.token, 'PUT', `/repos/${OWNER}/${name}/config`, config);
  }
  const message = await call(url, token.token, 'POST', `${repo}/messages`, { from: 'workspace', to: 'merge-queue', body: 'hello' });
  const worker = await call(url, token.token, 'POST', `${repo}/workers/spawn`, { task: 'wait' });
  // A runner has it, sends a log and gives it back.
  const held = await call(url, token.token, 'POST', `${repo}/workers/claim`, {});
  const back = { lease_token: held.lease.token, status: 'pending', log_tail: 'one\ntwo\n', log_truncated: true };
  await call(url, token.token, 'PATCH', `${repo}/workers/${worker.id}`, back);
  return { CONTRACT_SERVICE: token.token, CONTRACT_WEBHOOK_SECRET: secret, CONTRACT_KEEP: token.id, CONTRACT_MESSAGE: message.id, CONTRACT_WORKER: worker.id };
}

async function schemathesis(origin, variables) {
  const args = [
    '--config-file', 'tests/contract/schemathesis.toml', 'run', `${origin}/v1/openapi.json`,
    '--phases', 'examples,coverage,fuzzing,stateful', '--max-examples', examples, '--seed', seed,
    ...(process.env.CONTRACT_ARGS || '').split(' ').filter(Boolean),
  ];
  const env = {
    ...process.env,
    // No litter in the checkout.
    HYPOTHESIS_STORAGE_DIRECTORY: join(dir, 'hypothesis'),
    PYTHONDONTWRITEBYTECODE: '1',
    CONTRACT_URL: origin,
    CONTRACT_HOOKS: 'tests/contract/hooks.py',
    ...variables,
  };
  const group = new Group(local.keepers, join(process.env.MCH_VENV, 'bin', 'st'), args, { stdio: ['ignore', 'inherit', 'inherit'], env });
  const how = await within(LIMIT_MS, group.ended);
  await group.end();
  if (group.code === null) throw new Error(`contract: schemathesis: ${how}; it may take ${LIMIT_MS / 60_000} minutes`);
  return group.code;
}

const dir = mkdtempSync(join(tmpdir(), 'mch-contract-'));
const local = prepare(dir);
// Programs that are left are killed when this one has ended.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => process.exit(1));

let code = 1;
try {
  initialize(local);
  appendFileSync(local.vars, `TIME_SCALE="${TIME_SCALE}"\n`);
  await migrate(local);
  const port = await freePort(18_787);
  const coordinator = start(local, port);
  const origin = `http://127.0.0.1:${port}`;
  if (!(await healthy(`${origin}/v1`, coordinator, local))) throw new Error(`contract: wrangler ended (${coordinator.how})`);
  const admin = adminToken(local);
  const variables = { CONTRACT_ADMIN: admin, ...(await furnish(`${origin}/v1`, admin)) };
  const began = Date.now();
  console.log(`contract: seed ${seed}, ${examples} cases an operation`);
  code = await schemathesis(origin, variables);
  console.log(`contract: seed ${seed}, ${Math.round((Date.now() - began) / 1000)} s; SEED=${seed} make contract repeats it`);
} catch (error) {
  console.error(error.message);
}
await endAll();
if (code === 0) rmSync(dir, { recursive: true, force: true });
else console.error(`contract: the coordinator's log is ${local.log}`);
process.exit(code);
