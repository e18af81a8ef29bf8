// The command line: how large it is, and how long it takes to start. Beside it
// /bin/true, which is what starting any process costs here.
import { spawnSync } from 'node:child_process';
import { statSync } from 'node:fs';
import { median, quantile } from './load.mjs';

const STARTS = Number(process.env.STARTS ?? 50);

export function commandLine(binary) {
  const contestants = { ours: [binary, ['--version']], theirs: ['/bin/true', []] };
  const times = { ours: [], theirs: [] };
  for (let i = 0; i < STARTS; i++) {
    for (const [name, [program, args]] of Object.entries(contestants)) {
      const started = performance.now();
      const ended = spawnSync(program, args, { stdio: 'ignore' });
      if (ended.status !== 0) throw new Error(`${program} ended with ${ended.status}`);
      times[name].push(performance.now() - started);
    }
  }
  return {
    bytes: statSync(binary).size,
    median: median(times.ours),
    p99: quantile(times.ours, 0.99),
    floor: median(times.theirs),
  };
}
