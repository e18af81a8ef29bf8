// The runner: from `multiclaude-hybrid work --remote` here to the first instruction of
// the worker that a runner starts for it, with requests pushed and with polling.
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { freePort } from '../scripts/local.mjs';
import { until } from './bridge.mjs';
import { median, quantile } from './load.mjs';

class Machine {
  constructor(binary, name) {
    this.binary = resolve(binary);
    this.dir = mkdtempSync(join(tmpdir(), `mch-bench-${name}-`));
    this.env = { HOME: this.dir, PATH: process.env.PATH, LANG: 'C.UTF-8' };
  }

  run(args, input = '') { return execFileSync(this.binary, args, { env: this.env, input, encoding: 'utf8', stdio: ['pipe', 'pipe', 'pipe'] }); }

  login(url, token) {
    this.run(['login', '--url', url], token);
    this.run(['config', 'acme/app', '--hybrid=true', '--node=box']);
  }

  status() { return JSON.parse(this.run(['runner', 'status', '--json'])); }

  async start(flags, command) {
    this.child = spawn(this.binary, ['runner', 'run', 'acme/app', ...flags, '--', ...command], { env: this.env, stdio: 'ignore' });
    await until('the runner', () => this.status().running && this.status().repos?.length);
  }

  async stop() {
    const ended = new Promise((done) => this.child.once('exit', done));
    this.child.kill('SIGTERM');
    await ended;
  }

  remove() { rmSync(this.dir, { recursive: true, force: true }); }
}

export async function remoteWork(running, binary, count) {
  const [laptop, box] = [new Machine(binary, 'laptop'), new Machine(binary, 'box')];
  const times = {};
  try {
    laptop.login(running.url, running.user);
    box.login(running.url, running.service);
    const port = await freePort(20_000 + Math.floor(Math.random() * 20_000));
    const url = `http://127.0.0.1:${port}`;
    await running.call('PUT', '/repos/acme/app/config', running.service, { enabled: true, remote_agents: [],
      spawn_endpoint: `${url}/spawn/acme/app`, max_spawns_per_minute: 10_000, max_workers: 10_000 });
    const ways = { webhook: ['--poll=3600', `--listen=127.0.0.1:${port}`, `--public-url=${url}`], polling: [] };
    for (const [way, flags] of Object.entries(ways)) {
      // Its first instruction.
      const first = join(box.dir, 'first');
      await box.start(flags, ['sh', '-c', `date +%s%N >${first}.$$; mv ${first}.$$ ${first}`]);
      times[way] = [];
      for (let i = 0; i < count; i++) {
        rmSync(first, { force: true });
        // At any moment between two polls.
        await new Promise((done) => setTimeout(done, 300 + Math.random() * 2000));
        const started = Date.now();
        laptop.run(['work', '--remote', '--repo', 'acme/app', `task ${i}`]);
        const at = await until('the worker', () => { try { return readFileSync(first, 'utf8'); } catch { return undefined; } }, 5);
        times[way].push(Number(BigInt(at.trim()) / 1_000_000n) - started);
        await until('its end', () => box.status().workers.length === 0);
      }
      await box.stop();
    }
  } finally {
    if (box.child?.exitCode === null) box.child.kill('SIGKILL');
    laptop.remove();
    box.remove();
  }
  const of = (way) => ({ p50: median(times[way]), p95: quantile(times[way], 0.95) });
  return { webhook: of('webhook'), polling: of('polling') };
}
