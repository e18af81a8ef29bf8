// The smallest Worker that does the same main job: one SQLite Durable Object
// per recipient that stores a message, answers it, posts it to the webhook and
// marks it delivered. No auth, no validation, no signature, no retry.
import { DurableObject } from 'cloudflare:workers';

export class Box extends DurableObject {
  constructor(ctx, env) {
    super(ctx, env);
    this.sql = ctx.storage.sql;
    this.sql.exec(`CREATE TABLE IF NOT EXISTS messages
      (id INTEGER PRIMARY KEY, body TEXT NOT NULL, delivered INTEGER NOT NULL DEFAULT 0)`);
  }

  async fetch(request) {
    const message = await request.json();
    const text = JSON.stringify(message);
    const { id } = this.sql.exec('INSERT INTO messages (body) VALUES (?) RETURNING id', text).one();
    this.ctx.waitUntil(this.push(id, text));
    return Response.json({ id, ...message }, { status: 201 });
  }

  async push(id, body) {
    const response = await fetch(this.env.SINK, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'webhook-id': String(id) },
      body,
    });
    await response.arrayBuffer();
    if (response.ok) this.sql.exec('UPDATE messages SET delivered = 1 WHERE id = ?', id);
  }
}

export default {
  async fetch(request, env) {
    const name = new URL(request.url).pathname.slice(1);
    return env.BOX.get(env.BOX.idFromName(name)).fetch(request);
  },
};
