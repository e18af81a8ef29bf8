// Runs the built coordinator and the reference Worker in workerd, each in its
// own process, on sockets that lead straight to the Worker: wrangler's front
// proxy handles a few hundred requests a second and is not what is measured.
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Miniflare, convertV4MiniflareOptions } from 'miniflare';
import { freePort } from '../scripts/local.mjs';
import { newToken } from '../scripts/token.mjs';

const COMPATIBILITY = '2026-11-01';

async function run(options) {
  const dir = mkdtempSync(join(tmpdir(), 'mch-bench-'));
  const port = await freePort(20_000 + Math.floor(Math.random() * 20_000));
  const started = performance.now();
  const server = new Miniflare(convertV4MiniflareOptions({
    name: 'contestant',
    compatibilityDate: COMPATIBILITY,
    unsafeDirectSockets: [{ host: '127.0.0.1', port }],
    resourcePersistencePath: dir,
    handleStructuredLogs() {},
    ...options,
  }));
  await server.ready;
  const stop = async () => { await server.dispose(); rmSync(dir, { recursive: true, force: true }); };
  return { url: `http://127.0.0.1:${port}`, server, stop, startMs: performance.now() - started };
}

export function reference(sink) {
  return run({
    modules: true,
    scriptPath: 'bench/reference.mjs',
    bindings: { SINK: sink },
    durableObjects: { BOX: { className: 'Box', useSQLite: true } },
  });
}

async function migrate(server) {
  const db = await server.getD1Database('DB');
  for (const file of readdirSync('migrations').sort()) {
    const sql = readFileSync(join('migrations', file), 'utf8').replace(/--.*$/gm, '');
    for (const statement of sql.split(';').map((text) => text.trim()).filter(Boolean)) {
      await db.prepare(statement).run();
    }
  }
}

export async function coordinator() {
  const admin = newToken('mca_');
  const running = await run({
    modules: [
      { type: 'ESModule', path: 'build/index.js' },
      { type: 'CompiledWasm', path: 'build/index_bg.wasm' },
    ],
    modulesRoot: 'build',
    compatibilityFlags: ['global_fetch_strictly_public'],
    bindings: {
      MASTER_KEY: `k1:${randomBytes(32).toString('base64')}`,
      ADMIN_TOKEN: admin,
      ALLOW_INSECURE: 'true',
    },
    d1Databases: { DB: 'bench' },
    durableObjects: { MAILBOX: { className: 'Mailbox', useSQLite: true } },
  });
  const firstAt = performance.now();
  await fetch(`${running.url}/v1/whoami`, { headers: { authorization: `Bearer ${admin}` } });
  running.firstMs = performance.now() - firstAt;
  await migrate(running.server);
  const call = async (method, path, token, body) => {
    const response = await fetch(`${running.url}/v1${path}`, {
      method,
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: body && JSON.stringify(body),
    });
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
    return response.status === 204 ? undefined : response.json();
  };
  const user = (await call('POST', '/tokens', admin, { kind: 'user', owner: 'bench', repos: ['acme/app'] })).token;
  const service = (await call('POST', '/tokens', admin, { kind: 'service', owner: 'bench-ci', repos: ['acme/app'] })).token;
  return { ...running, admin, user, service, call };
}
