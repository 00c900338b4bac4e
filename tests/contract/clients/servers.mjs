// Node's own servers, which answer with the length of what they got: HTTP/2 alone, HTTP/1.1 alone, and both.
//   node servers.mjs <certificate> <key>
// prints their ports, in this order; ends with its standard input.
import http2 from 'node:http2';
import https from 'node:https';
import { readFileSync } from 'node:fs';

const [, , cert, key] = process.argv;
const options = { cert: readFileSync(cert), key: readFileSync(key), settings: { maxConcurrentStreams: 20 } };
const answer = (request, response) => {
  let length = 0;
  request.on('data', (part) => { length += part.length; });
  request.on('end', () => response.end(String(length)));
};
const servers = [
  http2.createSecureServer(options, answer),
  https.createServer(options, answer),
  http2.createSecureServer({ ...options, allowHTTP1: true }, answer),
];
const ports = servers.map((server) => new Promise((resolve) => {
  server.listen(0, '127.0.0.1', () => resolve(server.address().port));
}));
console.log((await Promise.all(ports)).join(' '));
process.stdin.on('end', () => process.exit()).resume();
