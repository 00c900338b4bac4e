// Sends one push with each of three packages that others wrote, as their documentation says.
//   node senders.mjs <folder with node_modules> <where and to whom, as JSON>
// prints, as JSON, what each was told.
import { createPrivateKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import https from 'node:https';
import path from 'node:path';

const require = createRequire(path.resolve(process.argv[2], 'package.json'));
const where = JSON.parse(process.argv[3]);
const ca = readFileSync(where.ca_file);

async function webPush({ vapid_key_file, vapid_subject, subscription }) {
  const key = createPrivateKey(readFileSync(vapid_key_file)).export({ format: 'jwk' });
  const point = Buffer.concat([Buffer.from([4]), Buffer.from(key.x, 'base64url'), Buffer.from(key.y, 'base64url')]);
  const payload = { title: 'Hello', body: 'World', data: { notification_id: 'web-push', type: 'greeting' } };
  const answer = await require('web-push').sendNotification(
    { endpoint: subscription.endpoint, keys: { p256dh: subscription.p256dh, auth: subscription.auth } },
    JSON.stringify(payload),
    {
      vapidDetails: { subject: vapid_subject, publicKey: point.toString('base64url'), privateKey: key.d },
      TTL: 60, urgency: 'high', topic: 'slot-1', agent: new https.Agent({ ca }),
    });
  return answer.statusCode;
}

async function nodeApn({ url, key_file, key_id, team_id, topic, device }) {
  const { Provider, Notification } = require('@parse/node-apn');
  const { hostname, port } = new URL(url);
  const provider = new Provider({ token: { key: key_file, keyId: key_id, teamId: team_id }, address: hostname, port, ca });
  const notification = new Notification({
    alert: { title: 'Hello', body: 'World' }, topic, pushType: 'alert', priority: 10, collapseId: 'slot-1',
    expiry: Math.floor(Date.now() / 1000) + 60, payload: { notification_id: 'node-apn', type: 'greeting' },
  });
  const { sent, failed } = await provider.send(notification, [device, 'ab'.repeat(32)]);
  provider.shutdown();
  return { sent: sent.map((each) => each.device), refused: failed.map((each) => each.response?.reason ?? String(each.error)) };
}

async function standardWebhooks({ secret_file, endpoint }) {
  const { Webhook } = require('standardwebhooks');
  const secrets = readFileSync(secret_file, 'utf8').trim().split('\n');
  const now = new Date();
  const body = JSON.stringify({ type: 'greeting', data: { notification_id: 'standardwebhooks' } });
  const headers = {
    'content-type': 'application/json', 'webhook-id': 'msg_1', 'webhook-timestamp': Math.floor(now / 1000),
    'webhook-signature': secrets.map((secret) => new Webhook(secret).sign('msg_1', now, body)).join(' '),
  };
  return new Promise((resolve, reject) => {
    https.request(endpoint, { method: 'POST', ca, headers }, (answer) => { answer.resume(); resolve(answer.statusCode); })
      .on('error', reject).end(body);
  });
}

console.log(JSON.stringify({
  webpush: await webPush(where.webpush), apns: await nodeApn(where.apns), webhook: await standardWebhooks(where.webhook),
}));
