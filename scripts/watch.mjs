// Does a coordinator still answer? When workerd ends, wrangler starts another
// one, or stays alive without one; either way requests may hang for ever.
import { readFileSync } from 'node:fs';
import { within } from './group.mjs';

const EVERY_MS = 5000;
const AGAIN_MS = 1000;
const LIMIT_MS = 5000;

// Any answer of the coordinator's own counts, also that its database is busy.
async function answers(url) {
  try {
    const response = await fetch(`${url}/health`, { signal: AbortSignal.timeout(LIMIT_MS) });
    return typeof (await response.json()).d1 === 'string';
  } catch {
    return false;
  }
}

// True if wrangler has begun to build, because a source has changed, and that
// has not succeeded yet: it lets requests wait until then.
function isBuilding(log) {
  const text = readFileSync(log, 'utf8');
  const ready = Math.max(text.lastIndexOf('] Ready on '), text.lastIndexOf('Local server updated and ready'));
  return text.lastIndexOf('[custom build] Running:') > ready;
}

// Returns when the program has ended, or has not answered twice in a row.
export async function failure(url, group, log) {
  let failures = 0;
  let building = false;
  while (failures < 2) {
    await within(failures ? AGAIN_MS : EVERY_MS, group.ended);
    if (group.how) return;
    const began = Date.now();
    const answered = await answers(url);
    // While the machine was suspended, nothing could answer.
    const suspended = Date.now() - began > 2 * LIMIT_MS;
    if (answered || suspended) {
      if (answered && building) console.log('It runs again.');
      failures = 0;
      building = false;
    } else if (!isBuilding(log)) {
      failures += 1;
    } else if (!building) {
      console.log(`The sources have changed: requests wait until the coordinator is built (log: ${log}).`);
      building = true;
    }
  }
}
