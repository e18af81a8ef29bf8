// The last hop: from `multiclaude message send` here to an idle agent there, which
// is a session of the stand-in for Claude Code in a pane of tmux (its transcript is
// written 130 ms late, as the real one's), and from there to the sender's receipt.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { Home, until } from './bridge.mjs';
import { median, quantile } from './load.mjs';

// Claude Code drops what comes faster, so the bridge hands over one message in 2 s.
const BETWEEN_MS = 2100;
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// Sessions in the windows of a home's agents, with our MCP server.
export class Sessions {
  constructor(home, binary, standIn, agents) {
    this.home = home;
    this.env = { HOME: home.dir, PATH: `${home.dir}/bin:/usr/local/bin:/usr/bin:/bin`, LANG: 'C.UTF-8', TERM: 'xterm-256color',
      SHELL: '/bin/sh', TMUX_TMPDIR: join(home.dir, 'tmux'), CLAUDE_STAND_IN_DEAF_MS: '0' };
    for (const dir of ['bin', 'tmux', '.multiclaude/repos/app']) mkdirSync(join(home.dir, dir), { recursive: true, mode: 0o700 });
    symlinkSync(resolve(standIn), join(home.dir, 'bin/claude'));
    const projects = { [join(home.dir, '.multiclaude/repos/app')]: { hasTrustDialogAccepted: true } };
    const server = { type: 'stdio', command: resolve(binary), args: ['mcp'] };
    writeFileSync(join(home.dir, '.claude.json'), JSON.stringify({ mcpServers: { 'multiclaude-hybrid': server }, projects }));
    this.agents = agents;
  }

  tmux(...args) { return execFileSync('tmux', args, { env: this.env, encoding: 'utf8' }); }

  start() {
    this.agents.forEach((agent, number) => {
      const cwd = join(this.home.dir, `.multiclaude/wts/app/${agent}`);
      mkdirSync(cwd, { recursive: true });
      const make = number === 0 ? ['new-session', '-d', '-s', 'mc-app'] : ['new-window', '-d', '-t', '=mc-app:'];
      const id = `${String(number).padStart(8, '0')}-1111-4111-8111-111111111111`;
      this.tmux(...make, '-n', agent, '-c', cwd);
      this.tmux('send-keys', '-t', `=mc-app:=${agent}`, `${this.home.dir}/bin/claude --session-id ${id} --dangerously-skip-permissions`, 'Enter');
    });
  }

  stop() { try { this.tmux('kill-server'); } catch { /* it has ended */ } }

  // Has an agent taken a text, as its transcript shows it?
  has(text) {
    const projects = join(this.home.dir, '.claude/projects');
    let dirs = [];
    try { dirs = readdirSync(projects); } catch { return false; }
    return dirs.some((dir) => readdirSync(join(projects, dir)).some((file) => {
      const lines = readFileSync(join(projects, dir, file), 'utf8').split('\n');
      return lines.some((line) => line.includes('"type":"user"') && line.includes(text));
    }));
  }
}

export async function lastHop(running, binary, standIn, count) {
  const [near, far] = [new Home(binary, 'near'), new Home(binary, 'far')];
  const sessions = new Sessions(far, binary, standIn, ['a1']);
  const [taken, seen] = [[], []];
  const receipts = async () => {
    const url = `${running.url}/v1/repos/acme/app/agents/a1-far/messages?limit=500`;
    return (await fetch(url, { headers: { authorization: `Bearer ${running.user}` } })).json();
  };
  try {
    for (const home of [near, far]) await home.join(running.url, running.user);
    far.environment = sessions.env;
    await far.start([], 'stream');
    sessions.start();
    await until('the channel', () => far.status().repos[0].agents.find((agent) => agent.local === 'a1').channel);
    await near.start([], 'stream');
    await until('the link', () => existsSync(near.messages('a1-far')));
    for (let i = 0; i < count; i++) {
      const text = `message ${i} of the last hop`;
      const started = performance.now();
      near.send('a0', 'a1-far', text);
      await until('the agent has it', () => sessions.has(text), 2);
      taken.push(performance.now() - started);
      const at = Date.now();
      const receipt = await until('its receipt', async () => (await receipts()).find((message) => message.body === text && message.seen_at));
      seen.push(Date.parse(receipt.seen_at) - at);
      await sleep(Math.max(0, BETWEEN_MS - (performance.now() - started)));
    }
  } finally {
    sessions.stop();
    for (const home of [near, far]) if (home.bridge) await home.stop();
    near.remove();
    far.remove();
  }
  return { taken: { p50: median(taken), p95: quantile(taken, 0.95) }, seen: median(seen) };
}
