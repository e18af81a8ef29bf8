// Programs that end with this process, however it ends: on its own, by a
// signal, or by SIGKILL, which no handler sees.
import { spawn, spawnSync } from 'node:child_process';
import { closeSync, constants, existsSync, openSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

const POLL_MS = 50;
// How long killed processes may take to be gone.
const KILLED_MS = 5000;

// A small shell that outlives us. Its standard input is a pipe whose other end
// only this process has: it ends when we do. Then the shell kills the group.
const KEEPER = `
read -r group || exit 0
read -r ended && exit 0
kill -KILL "-$group"
tries=0
while [ $tries -lt 50 ] && kill -0 "-$group"; do
  sleep 0.1
  tries=$((tries + 1))
done`;

// A FIFO that every keeper holds open, so that the next start can see whether
// groups of a killed one are still ending. No process id is remembered.
export function prepareKeepers(fifo) {
  if (existsSync(fifo)) return;
  const { status, stderr, error } = spawnSync('mkfifo', ['-m', '600', fifo], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${fifo} could not be made: ${error?.message ?? stderr.trim()}`);
}

function isHeld(fifo) {
  try {
    closeSync(openSync(fifo, constants.O_WRONLY | constants.O_NONBLOCK));
    return true;
  } catch (error) {
    if (error.code === 'ENXIO') return false; // Nothing reads from it.
    throw error;
  }
}

// Waits until no keeper is left; false if one still is after `limitMs`.
export async function keepersGone(fifo, limitMs) {
  const deadline = performance.now() + limitMs;
  while (isHeld(fifo)) {
    if (performance.now() > deadline) return false;
    await sleep(POLL_MS);
  }
  return true;
}

function startKeeper(fifo) {
  const held = openSync(fifo, constants.O_RDWR);
  const keeper = spawn('sh', ['-c', KEEPER], { stdio: ['pipe', 'ignore', 'ignore', held], detached: true });
  closeSync(held);
  keeper.on('error', (error) => { throw error; });
  keeper.stdin.on('error', () => { /* somebody has killed it */ });
  keeper.unref();
  keeper.stdin.unref();
  return keeper;
}

// Waits for the promise, but not longer than `limitMs`.
export async function within(limitMs, promise) {
  const enough = new AbortController();
  const limit = sleep(limitMs, 'no end in time', { signal: enough.signal }).catch(() => {});
  try {
    return await Promise.race([promise, limit]);
  } finally {
    enough.abort();
  }
}

const groups = new Set();

// Ends all groups of this process.
export async function endAll(graceMs) {
  await Promise.all([...groups].map((group) => group.end(graceMs)));
}

// A program that leads a process group of its own.
export class Group {
  #child;
  #keeper;
  // Says how the program ended, once it has.
  how;
  // Resolves with `how`.
  ended;

  constructor(fifo, command, args, { stdio, env = process.env }) {
    groups.add(this);
    this.#keeper = startKeeper(fifo);
    this.#child = spawn(command, args, { stdio, env, detached: true });
    this.ended = new Promise((resolve) => {
      this.#child.once('error', (error) => resolve(error.message));
      this.#child.once('exit', (code, signal) => resolve(signal ?? `exit code ${code}`));
    }).then((how) => (this.how = how));
    if (this.#child.pid) this.#keeper.stdin.write(`${this.#child.pid}\n`);
  }

  // The program's exit code, if it ended with one.
  get code() { return this.#child.exitCode; }

  // False if no process of the group is left.
  #signal(signal) {
    if (!this.#child.pid) return false;
    // ESRCH; macOS says EPERM where only zombies are left.
    try { return process.kill(-this.#child.pid, signal); } catch { return false; }
  }

  async #gone(limitMs) {
    const deadline = performance.now() + limitMs;
    while (this.#signal(0)) {
      if (performance.now() > deadline) return false;
      await sleep(POLL_MS);
    }
    return true;
  }

  // Ends all of it: asks first if `graceMs` is given, then kills.
  async end(graceMs = 0) {
    if (graceMs) this.#signal('SIGTERM');
    if (!graceMs || !(await this.#gone(graceMs))) {
      this.#signal('SIGKILL');
      await this.#gone(KILLED_MS);
    }
    if (groups.delete(this)) this.#keeper.stdin.end('ended\n');
  }
}
