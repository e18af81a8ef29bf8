// What has no reference: claims, streams beside webhooks, heartbeats.
import { client, median, quantile } from './load.mjs';

const json = (token) => ({ authorization: `Bearer ${token}`, 'content-type': 'application/json' });

// A stream that confirms at once what it gets, and notes when that was.
async function stream(running, name) {
  const url = `${running.url.replace('http', 'ws')}/v1/repos/acme/app/agents/${name}/stream`;
  const socket = new WebSocket(url, { headers: { authorization: `Bearer ${running.user}` } });
  await new Promise((resolve, reject) => {
    socket.onopen = resolve;
    socket.onerror = () => reject(new Error('the stream was not opened'));
  });
  let arrived;
  socket.onmessage = ({ data }) => {
    const at = performance.now();
    const { id } = JSON.parse(data);
    socket.send(JSON.stringify({ id, status: 'delivered' }));
    arrived?.(at);
  };
  return { next: () => new Promise((resolve) => { arrived = resolve; }), stop: () => socket.close() };
}

// Send to receipt, one at a time, over a stream and by webhook in turn.
export async function streamLatency(running, target, { rounds, singles, body }) {
  const base = '/repos/acme/app/agents';
  await running.call('POST', base, running.user, { name: 'streamed', type: 'worker' });
  await running.call('POST', base, running.user, { name: 'hooked', type: 'worker', endpoint: target.url });
  const open = await stream(running, 'streamed');
  const http = client(1);
  const send = (to, text) => http.call('POST', `${running.url}/v1/repos/acme/app/messages`, json(running.user),
    JSON.stringify({ from: 'sender', to, body: text }));
  const times = { stream: [], webhook: [] };
  for (let round = 0; round <= rounds; round++) {
    for (let i = 0; i < singles; i++) {
      for (const way of ['stream', 'webhook']) {
        const { nonce, text } = body();
        const arrival = way === 'stream' ? open.next() : undefined;
        const started = performance.now();
        const sending = send(way === 'stream' ? 'streamed' : 'hooked', text);
        const at = await (arrival ?? target.arrived(nonce));
        await sending;
        // The first round warms up.
        if (round > 0) times[way].push(at - started);
      }
    }
  }
  open.stop();
  http.stop();
  return {
    stream: [median(times.stream), quantile(times.stream, 0.99)],
    webhook: [median(times.webhook), quantile(times.webhook, 0.99)],
  };
}

// Claims a second, 16 at a time, until nothing is pending.
export async function claims(running, count, connections) {
  const wish = { kind: 'service', owner: 'runners', repos: ['acme/*'] };
  const { token } = await running.call('POST', '/tokens', running.admin, wish);
  const limits = { max_spawns_per_minute: 10_000, max_workers: 10_000 };
  await running.call('PUT', '/repos/acme/app/config', token, limits);
  const http = client(connections);
  const base = `${running.url}/v1/repos/acme/app/workers`;
  const each = (work) => Promise.all(Array.from({ length: connections }, work));
  let left = count;
  await each(async () => {
    while (left-- > 0) {
      const answer = await http.call('POST', `${base}/spawn`, json(token), '{"task":"measure"}');
      if (answer.status !== 201) throw new Error(answer.text);
    }
  });
  const ids = new Set();
  const started = performance.now();
  await each(async () => {
    for (;;) {
      const answer = await http.call('POST', `${base}/claim`, json(token), '{}');
      if (answer.status === 204) return;
      ids.add(JSON.parse(answer.text).id);
    }
  });
  const seconds = (performance.now() - started) / 1000;
  http.stop();
  if (ids.size !== count) throw new Error(`${ids.size} of ${count} requests were claimed`);
  return count / seconds;
}

// 50 agents in one call, which is one D1 batch.
export async function heartbeats(running, times) {
  const names = Array.from({ length: 50 }, (_, i) => `beat${i}`);
  for (const name of names) await running.call('POST', '/repos/acme/app/agents', running.user, { name, type: 'worker' });
  const http = client(1);
  const took = [];
  for (let i = 0; i < times; i++) {
    // Another status each time, so that every row is written.
    const status = i % 2 ? 'active' : 'idle';
    const started = performance.now();
    const answer = await http.call('POST', `${running.url}/v1/repos/acme/app/heartbeats`, json(running.user),
      JSON.stringify(names.map((name) => ({ name, status }))));
    took.push(performance.now() - started);
    const results = JSON.parse(answer.text);
    if (results.some(({ result }) => result !== 'ok')) throw new Error(answer.text);
  }
  http.stop();
  return median(took);
}
