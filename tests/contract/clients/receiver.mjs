// A receiver of webhooks that verifies with the specification's own package: 204, or 401 with its words.
//   node receiver.mjs <folder with node_modules> <certificate> <key> <secret>
// prints its port; ends with its standard input.
import { createRequire } from 'node:module';
import https from 'node:https';
import { readFileSync } from 'node:fs';
import path from 'node:path';

const [, , folder, cert, key, secret] = process.argv;
const { Webhook } = createRequire(path.resolve(folder, 'package.json'))('standardwebhooks');
const server = https.createServer({ cert: readFileSync(cert), key: readFileSync(key) }, async (request, answer) => {
  const parts = [];
  for await (const part of request) parts.push(part);
  try {
    new Webhook(secret).verify(Buffer.concat(parts).toString(), request.headers);
    answer.writeHead(204).end();
  } catch (error) {
    answer.writeHead(401).end(String(error));
  }
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
process.stdin.on('end', () => process.exit()).resume();
