// A small endpoint for trying things out: verifies every push with the
// published `standardwebhooks` library, prints it, answers 204.
//
//   SECRET=whsec_… node scripts/sink.mjs [port]     (9000 unless given)
import { createServer } from 'node:http';
import { Webhook } from 'standardwebhooks';

const port = Number(process.argv[2] ?? 9000);
if (!process.env.SECRET) {
  console.error('Set SECRET to the webhook_secret that the registration answered (whsec_…).');
  process.exit(1);
}
const webhook = new Webhook(process.env.SECRET);

createServer((request, answer) => {
  const chunks = [];
  request.on('data', (chunk) => chunks.push(chunk));
  request.on('end', () => {
    try {
      const { type, data } = webhook.verify(Buffer.concat(chunks).toString(), request.headers);
      if (type === 'message.created') console.log(`${data.from} → ${data.to}: ${data.body}   (${data.id})`);
      else console.log(`${type}: the signature is good`);
      answer.writeHead(204).end();
    } catch (error) {
      console.log(`refused: ${error.message}`);
      answer.writeHead(401).end();
    }
  });
}).listen(port, '127.0.0.1', () => console.log(`listening on http://127.0.0.1:${port}/`));
