// At most one `make dev` in a state directory. The kernel holds the lock and
// gives it back however its holder ends, so that nothing stale is left.
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

const SQLITE_BUSY = 5;
const POLL_MS = 50;

// Node has no file locks of its own; SQLite's are such locks, on every system.
async function sqlite() {
  try {
    return await import('node:sqlite');
  } catch {
    throw new Error(`Node.js ${process.versions.node} has no SQLite. Start this with: make dev`);
  }
}

// What holds the lock: closed only by the end of this process.
let database;

function take() {
  try {
    database.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE');
    return true;
  } catch (error) {
    if (error.errcode === SQLITE_BUSY) return false;
    throw error;
  }
}

function isAlive(pid) {
  try { return process.kill(pid, 0); } catch (error) { return error.code === 'EPERM'; }
}

// The holder of the lock, while it runs: it writes the file as soon as it knows
// its port, and removes it when it begins to end.
function holder(file) {
  try {
    const { pid, port } = JSON.parse(readFileSync(file, 'utf8'));
    return isAlive(pid) ? { pid, port } : undefined;
  } catch {
    return undefined;
  }
}

// Takes the lock until this process ends. Otherwise it returns who has it:
// `{ pid, port }`, or `{}` if that is not known after `limitMs`.
export async function lock(file, holderFile, limitMs) {
  const { DatabaseSync } = await sqlite();
  const deadline = performance.now() + limitMs;
  try {
    database = new DatabaseSync(file);
    while (!take()) {
      const other = holder(holderFile) ?? (performance.now() > deadline ? {} : undefined);
      if (other) return other;
      await sleep(POLL_MS);
    }
  } catch (error) {
    throw new Error(`${file} could not be locked: ${error.message}`);
  }
  return undefined;
}
