// `make bench`: the coordinator beside the reference Worker, interleaved.
// ROUNDS, SENDS and SINGLES change the amount.
import { bridges } from './bridge.mjs';
import { lastHop } from './hop.mjs';
import { claims, heartbeats, streamLatency } from './api.mjs';
import { commandLine } from './cli.mjs';
import { client, median, quantile, sink } from './load.mjs';
import { remoteWork } from './runner.mjs';
import { coordinator, reference } from './workerd.mjs';

const ROUNDS = Number(process.env.ROUNDS ?? 7);
const SENDS = Number(process.env.SENDS ?? 2000);
const SINGLES = Number(process.env.SINGLES ?? 200);
const CONNECTIONS = 16;
const RECIPIENTS = 50;
const TEXT = 'the build is green again; please rebase your branch and queue it '.repeat(4);

let nonce = 0;
const body = () => `n=${++nonce}; ${TEXT}`;

// Two contestants with one interface: send message number i to recipient i mod 50.
function ours(running) {
  const headers = { authorization: `Bearer ${running.user}`, 'content-type': 'application/json' };
  const url = `${running.url}/v1/repos/acme/app/messages`;
  return (http, i) => http.call('POST', url, headers,
    JSON.stringify({ from: 'sender', to: `r${i % RECIPIENTS}`, body: body() }));
}
function theirs(running) {
  const headers = { 'content-type': 'application/json' };
  return (http, i) => http.call('POST', `${running.url}/r${i % RECIPIENTS}`, headers,
    JSON.stringify({ from: 'sender', to: `r${i % RECIPIENTS}`, body: body() }));
}

async function throughput(send, target) {
  const http = client(CONNECTIONS);
  const before = target.count();
  let next = 0;
  const started = performance.now();
  await Promise.all(Array.from({ length: CONNECTIONS }, async () => {
    while (next < SENDS) {
      const answer = await send(http, next++);
      if (answer.status !== 201) throw new Error(`${answer.status} ${answer.text}`);
    }
  }));
  const accepted = SENDS / ((performance.now() - started) / 1000);
  await target.untilCount(before + SENDS);
  const delivered = SENDS / ((performance.now() - started) / 1000);
  http.stop();
  return { accepted, delivered };
}

async function latency(send, target) {
  const http = client(1);
  const times = [];
  for (let i = 0; i < SINGLES; i++) {
    const started = performance.now();
    const sending = send(http, i);
    const arrived = await target.arrived(nonce);
    await sending;
    times.push(arrived - started);
  }
  http.stop();
  return times;
}

async function waitingCosts(running) {
  const http = client(1);
  const headers = { authorization: `Bearer ${running.user}`, 'content-type': 'application/json' };
  const base = `${running.url}/v1/repos/acme/app`;
  const post = (to) => http.call('POST', `${base}/messages`, headers,
    JSON.stringify({ from: 'sender', to, body: body() }));
  const timed = async (work) => {
    const started = performance.now();
    const answer = await work();
    if (answer.status >= 300) throw new Error(`${answer.status} ${answer.text}`);
    return [performance.now() - started, answer];
  };
  const measured = {};
  const fill = { few: 100, many: 9_700 };
  for (const [name, count] of Object.entries(fill)) {
    await running.call('POST', '/repos/acme/app/agents', running.user, { name, type: 'worker' });
    const filler = client(CONNECTIONS);
    let next = 0;
    await Promise.all(Array.from({ length: CONNECTIONS }, async () => {
      while (next++ < count) {
        const answer = await filler.call('POST', `${base}/messages`, headers,
          JSON.stringify({ from: 'sender', to: name, body: body() }));
        if (answer.status !== 201) throw new Error(answer.text);
      }
    }));
    filler.stop();
    measured[name] = { send: [], poll: [], ack: [] };
  }
  for (let i = 0; i < 200; i++) {
    for (const name of Object.keys(fill)) {
      const [send] = await timed(() => post(name));
      const [poll, page] = await timed(() =>
        http.call('GET', `${base}/agents/${name}/messages?status=pending&limit=100`, headers));
      const first = JSON.parse(page.text)[0].id;
      const [ack] = await timed(() =>
        http.call('PATCH', `${base}/messages/${first}`, headers, '{"status":"acked"}'));
      measured[name].send.push(send);
      measured[name].poll.push(poll);
      measured[name].ack.push(ack);
    }
  }
  http.stop();
  return measured;
}

const line = (name, a, b, unit, better) => {
  const ratio = a / b;
  console.log(`  ${name.padEnd(34)} ${a.toFixed(2).padStart(9)} ${b.toFixed(2).padStart(9)} ${unit.padEnd(5)} ratio ${ratio.toFixed(2)}  (${better})`);
};
const spread = (values) => `${Math.min(...values).toFixed(1)}…${Math.max(...values).toFixed(1)}`;

const target = await sink();
const [ourServer, theirServer] = [await coordinator(), await reference(target.url)];
try {
  await ourServer.call('POST', '/repos/acme/app/agents', ourServer.user, { name: 'sender', type: 'worker' });
  for (let i = 0; i < RECIPIENTS; i++) {
    await ourServer.call('POST', '/repos/acme/app/agents', ourServer.user,
      { name: `r${i}`, type: 'worker', endpoint: target.url });
  }
  const contestants = { ours: ours(ourServer), theirs: theirs(theirServer) };
  const results = { ours: { accepted: [], delivered: [], p50: [], p99: [] }, theirs: { accepted: [], delivered: [], p50: [], p99: [] } };
  for (const send of Object.values(contestants)) await latency(send, target); // warm up
  for (let round = 0; round < ROUNDS; round++) {
    for (const [name, send] of Object.entries(contestants)) {
      const { accepted, delivered } = await throughput(send, target);
      results[name].accepted.push(accepted);
      results[name].delivered.push(delivered);
    }
    for (const [name, send] of Object.entries(contestants)) {
      const times = await latency(send, target);
      results[name].p50.push(median(times));
      results[name].p99.push(quantile(times, 0.99));
    }
  }
  const of = (name) => [median(results.ours[name]), median(results.theirs[name])];
  console.log(`\n${ROUNDS} rounds each, interleaved; medians          ours reference`);
  line(`sends accepted, ${CONNECTIONS} connections`, ...of('accepted'), '/s', 'at least 0.8');
  line('sends delivered', ...of('delivered'), '/s', 'higher is better');
  line('send to receipt, one at a time, p50', ...of('p50'), 'ms', 'at most 1.3');
  line('send to receipt, one at a time, p99', ...of('p99'), 'ms', 'reported');
  for (const name of ['accepted', 'delivered', 'p50', 'p99']) {
    console.log(`  spread of ${name.padEnd(9)} ours ${spread(results.ours[name])}  reference ${spread(results.theirs[name])}`);
  }
  if (!process.env.QUICK) {
    const { few, many } = await waitingCosts(ourServer);
    console.log('\nWith 10,000 and with 100 messages waiting, medians   10,000       100');
    for (const name of ['send', 'poll', 'ack']) line(name, median(many[name]), median(few[name]), 'ms', 'at most 1.3');
  }
  const numbered = () => ({ text: body(), nonce });
  const ways = await streamLatency(ourServer, target, { rounds: ROUNDS, singles: SINGLES / 2, body: numbered });
  console.log('\nSend to receipt, one at a time                      stream   webhook');
  line('p50', ways.stream[0], ways.webhook[0], 'ms', 'at most 1.1');
  line('p99', ways.stream[1], ways.webhook[1], 'ms', 'reported');
  console.log(`\nClaims, ${CONNECTIONS} connections: ${(await claims(ourServer, SENDS / 2, CONNECTIONS)).toFixed(0)}/s`);
  console.log(`Heartbeats of 50 agents in one call, one D1 batch: ${(await heartbeats(ourServer, 50)).toFixed(1)} ms`);
  const cli = commandLine(process.env.CLI ?? 'target/native/multiclaude-hybrid');
  console.log(`\nThe command line: ${cli.bytes.toLocaleString('en')} bytes; --version takes ${cli.median.toFixed(1)} ms, p99 ${cli.p99.toFixed(1)} (under 20; /bin/true takes ${cli.floor.toFixed(1)})`);
  const binary = process.env.CLI ?? 'target/native/multiclaude-hybrid';
  const bridge = await bridges(ourServer, binary, { singles: SINGLES / 2, backlog: 1000, idleSeconds: 30 });
  console.log('\nTwo bridges: from the file of `message send` here to the file there');
  for (const [way, limit] of [['webhook', 50], ['stream', 50], ['polling', 300]]) {
    console.log(`  by ${way.padEnd(8)} p50 ${bridge[way].p50.toFixed(1).padStart(6)} ms (under ${limit}), p99 ${bridge[way].p99.toFixed(1)}`);
  }
  console.log(`  ten agents, hundreds of messages held: ${bridge.held.percent.toFixed(2)} % of a core, ${bridge.held.megabytes.toFixed(1)} MB`);
  console.log(`  idle, ten agents: ${bridge.idle.percent.toFixed(2)} % of a core (under 0.5), ${bridge.idle.megabytes.toFixed(1)} MB (under 30)`);
  console.log(`  1,000 messages that waited for the coordinator: sent after ${bridge.sentSeconds.toFixed(1)} s (under 10), arrived after ${bridge.arrivedSeconds.toFixed(1)} s`);
  const hop = await lastHop(ourServer, binary, 'target/debug/claude-stand-in', 40);
  console.log(`  from message send to taken by an idle agent: p50 ${hop.taken.p50.toFixed(0)} ms (under 300), p95 ${hop.taken.p95.toFixed(0)} (under 1000)`);
  console.log(`  from there to seen_at in the receipt: p50 ${hop.seen.toFixed(0)} ms (under 100)`);
  const work = await remoteWork(ourServer, binary, 20);
  console.log('\nFrom work --remote to the first instruction of its worker, process executor');
  for (const [way, limit] of [['webhook', 500], ['polling', 2000]]) {
    console.log(`  by ${way.padEnd(8)} p50 ${work[way].p50.toFixed(0).padStart(6)} ms (under ${limit}), p95 ${work[way].p95.toFixed(0)}`);
  }
  console.log(`\nFirst request after start: ${ourServer.firstMs.toFixed(0)} ms (at most 100)`);
} finally {
  target.stop();
  await ourServer.stop();
  await theirServer.stop();
}
process.exit(0);
