// Two homes with a bridge each, as multiclaude's files show them: state.json
// with ten agents, message files written as `multiclaude message send` writes
// them. From the file here to the file there, by each way in; what an idle
// bridge costs; how fast a backlog leaves.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../scripts/local.mjs';
import { median, quantile } from './load.mjs';

const AGENTS = 10;
const CLOCK_TICKS = 100;
const PATIENCE_MS = 60_000;
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export async function until(what, check, everyMs = 20) {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const found = await check();
    if (found) return found;
    if (Date.now() > deadline) throw new Error(`waited in vain for: ${what}`);
    await sleep(everyMs);
  }
}

// Between bridges and coordinator: closed, the coordinator is away.
class Line {
  constructor(target) {
    this.port = Number(new URL(target).port);
    this.sockets = new Set();
  }

  async open() {
    this.server = createServer((client) => {
      const behind = connect(this.port, '127.0.0.1');
      for (const socket of [client, behind]) {
        this.sockets.add(socket);
        socket.setNoDelay(true);
        socket.on('close', () => this.sockets.delete(socket));
        socket.on('error', () => {});
      }
      client.pipe(behind).pipe(client);
    });
    this.listens ??= await freePort(30_000 + Math.floor(Math.random() * 10_000));
    this.server.listen(this.listens, '127.0.0.1');
    await once(this.server, 'listening');
  }

  close() {
    this.server.close();
    for (const socket of this.sockets) socket.destroy();
  }

  get url() { return `http://127.0.0.1:${this.listens}`; }
}

export class Home {
  constructor(binary, node) {
    this.binary = binary;
    this.node = node;
    this.dir = mkdtempSync(join(tmpdir(), `mch-${node}-`));
    const agents = {};
    for (let i = 0; i < AGENTS; i++) {
      agents[`a${i}`] = { type: 'worker', worktree_path: join(this.dir, `.multiclaude/wts/app/a${i}`), tmux_window: `a${i}`,
        session_id: `s${i}`, pid: 0, created_at: new Date().toISOString() };
    }
    mkdirSync(join(this.dir, '.multiclaude'), { mode: 0o700 });
    const repo = { github_url: 'https://github.com/acme/app', tmux_session: 'mc-app', agents };
    writeFileSync(join(this.dir, '.multiclaude/state.json'), JSON.stringify({ repos: { app: repo } }));
  }

  spawn(args, options = {}) {
    const env = { HOME: this.dir, PATH: '/usr/local/bin:/usr/bin:/bin', LANG: 'C.UTF-8', ...this.environment };
    return spawn(this.binary, args, { env, stdio: ['pipe', 'ignore', 'ignore'], ...options });
  }

  async run(args, input = '') {
    const child = this.spawn(args);
    child.stdin.end(input);
    const [code] = await once(child, 'exit');
    if (code !== 0) throw new Error(`multiclaude-hybrid ${args.join(' ')} ended with ${code}`);
  }

  async join(url, token) {
    await this.run(['login', '--url', url, '--no-keychain'], token);
    await this.run(['config', 'acme/app', '--hybrid=true', `--node=${this.node}`]);
  }

  async start(args, way) {
    this.bridge = this.spawn(['bridge', 'run', ...args]);
    await until(`${this.node} receives by ${way}`, () => {
      const status = this.status();
      return status?.pid === this.bridge.pid && status.repos[0]?.agents.length === AGENTS && status.repos[0].delivery === way;
    });
  }

  async stop() {
    this.bridge.kill('SIGTERM');
    if (this.bridge.exitCode === null) await once(this.bridge, 'exit');
  }

  status() {
    const path = join(this.dir, '.multiclaude-hybrid/bridge/status.json');
    try { return JSON.parse(readFileSync(path, 'utf8')); } catch { return undefined; }
  }

  messages(name) { return join(this.dir, '.multiclaude/messages/app', name); }

  // As multiclaude's command line does.
  send(from, to, body) {
    const id = `msg-${crypto.randomUUID().slice(0, 13)}`;
    const message = { id, from, to, timestamp: new Date().toISOString(), body, status: 'pending' };
    writeFileSync(join(this.messages(to), `${id}.json`), JSON.stringify(message, null, 2));
  }

  received(name) {
    try { return readdirSync(this.messages(name)).filter((file) => file.endsWith('.json')).length; } catch { return 0; }
  }

  cost() {
    const stat = readFileSync(`/proc/${this.bridge.pid}/stat`, 'utf8').split(') ')[1].split(' ');
    const resident = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${this.bridge.pid}/status`, 'utf8'))[1];
    return { cpuSeconds: (Number(stat[11]) + Number(stat[12])) / CLOCK_TICKS, megabytes: resident / 1024 };
  }

  remove() { rmSync(this.dir, { recursive: true, force: true }); }
}

async function latency(here, there, singles) {
  const times = [];
  for (let i = 0; i < singles; i++) {
    const before = there.received('a1');
    const started = performance.now();
    here.send('a0', 'a1-there', `message ${i}`);
    await until('the file', () => there.received('a1') > before, 1);
    times.push(performance.now() - started);
  }
  return times;
}

// What a bridge costs while no message is on its way.
async function costs(home, seconds) {
  await sleep(2000);
  const before = home.cost();
  await sleep(seconds * 1000);
  const after = home.cost();
  return { percent: (after.cpuSeconds - before.cpuSeconds) / seconds * 100, megabytes: after.megabytes };
}

export async function bridges(running, binary, { singles, backlog, idleSeconds }) {
  const line = new Line(running.url);
  await line.open();
  const [here, there] = [new Home(binary, 'here'), new Home(binary, 'there')];
  const results = {};
  try {
    for (const home of [here, there]) await home.join(line.url, running.user);
    const port = await freePort(41_000);
    const ways = {
      webhook: ['--listen', `127.0.0.1:${port}`, '--public-url', `http://127.0.0.1:${port}`],
      polling: ['--poll'],
      stream: [],
    };
    await here.start([], 'stream');
    results.idle = await costs(here, idleSeconds);
    for (const [way, args] of Object.entries(ways)) {
      await there.start(args, way);
      await until('the link', () => existsSync(here.messages('a1-there')));
      await latency(here, there, 5);
      const times = await latency(here, there, singles);
      results[way] = { p50: median(times), p99: quantile(times, 0.99) };
      if (way !== 'stream') await there.stop();
    }
    results.held = await costs(there, idleSeconds);

    line.close();
    const arrived = there.received('a1');
    for (let i = 0; i < backlog; i++) here.send('a0', 'a1-there', `waiting ${i}`);
    await until('the backlog', () => here.status().repos[0].outgoing['a1-there']?.waiting === backlog);
    const started = performance.now();
    await line.open();
    await until('an empty queue', () => !here.status().repos[0].outgoing['a1-there']);
    results.sentSeconds = (performance.now() - started) / 1000;
    await until('all files', () => there.received('a1') === arrived + backlog);
    results.arrivedSeconds = (performance.now() - started) / 1000;
  } finally {
    for (const home of [here, there]) if (home.bridge) await home.stop();
    line.close();
    here.remove();
    there.remove();
  }
  return results;
}
