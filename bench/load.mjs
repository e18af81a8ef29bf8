// The load: a sink that notes when each message arrived, and senders over a
// fixed number of kept-alive connections.
import { Agent, createServer, request } from 'node:http';

export async function sink() {
  const seen = new Map();
  let total = 0;
  const waiting = [];
  const server = createServer((incoming, answer) => {
    const chunks = [];
    incoming.on('data', (chunk) => chunks.push(chunk));
    incoming.on('end', () => {
      const at = performance.now();
      const text = Buffer.concat(chunks).toString();
      const nonce = /n=(\d+);/.exec(text)?.[1];
      if (nonce) seen.set(nonce, at);
      total++;
      answer.writeHead(204).end();
      for (const check of waiting.splice(0)) check();
    });
  });
  server.keepAliveTimeout = 60_000;
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const until = async (condition) => {
    const deadline = performance.now() + 60_000;
    while (!condition()) {
      if (performance.now() > deadline) throw new Error('the sink waited for a minute');
      await new Promise((resolve) => {
        waiting.push(resolve);
        setTimeout(resolve, 500);
      });
    }
  };
  return {
    url: `http://127.0.0.1:${server.address().port}/hook`,
    count: () => total,
    arrived: async (nonce) => { await until(() => seen.has(String(nonce))); return seen.get(String(nonce)); },
    untilCount: (count) => until(() => total >= count),
    stop: () => { server.closeAllConnections(); server.close(); },
  };
}

export function client(connections) {
  const agent = new Agent({ keepAlive: true, maxSockets: connections });
  const call = (method, url, headers, body) => new Promise((resolve, reject) => {
    const outgoing = request(url, { method, agent, headers }, (answer) => {
      const chunks = [];
      answer.on('data', (chunk) => chunks.push(chunk));
      answer.on('end', () => resolve({ status: answer.statusCode, text: Buffer.concat(chunks).toString() }));
    });
    outgoing.on('error', reject);
    outgoing.end(body);
  });
  return { call, stop: () => agent.destroy() };
}

export const median = (values) => {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)];
};
export const quantile = (values, q) => {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))];
};
