// Encodes one notification as schemas/README.md and the Avro specification say, with nothing but the schema file.
//   node notification.mjs <notification.avsc> <notification as JSON>
// prints the value in hexadecimal: C3 01, the fingerprint, the body.
import { readFileSync } from 'node:fs';

const [, , schemaFile, json] = process.argv;
const schema = JSON.parse(readFileSync(schemaFile, 'utf8'));

// Zigzag, then seven bits a byte, the lowest first.
function long(value) {
  let bits = BigInt.asUintN(64, (BigInt(value) << 1n) ^ (BigInt(value) >> 63n));
  const bytes = [];
  for (; bits > 0x7fn; bits >>= 7n) bytes.push(Number((bits & 0x7fn) | 0x80n));
  return Buffer.from([...bytes, Number(bits)]);
}

function string(text) {
  const bytes = Buffer.from(text, 'utf8');
  return Buffer.concat([long(bytes.length), bytes]);
}

function encode(type, value) {
  if (Array.isArray(type)) {
    const branch = type.findIndex((one) => (one === 'null') === (value === null));
    return Buffer.concat([long(branch), encode(type[branch], value)]);
  }
  switch (type.type ?? type) {
    case 'null': return Buffer.alloc(0);
    case 'long': return long(value);
    case 'string': return string(value);
    case 'map': {
      const entries = Object.entries(value);
      const block = entries.map(([key, one]) => Buffer.concat([string(key), encode(type.values, one)]));
      return Buffer.concat([...(entries.length ? [long(entries.length), ...block] : []), long(0)]);
    }
    case 'record':
      return Buffer.concat(type.fields.map((field) => encode(field.type, value[field.name] ?? field.default ?? null)));
    default: throw new Error(`this contract needs no ${JSON.stringify(type)}`);
  }
}

// Parsing Canonical Form: full names, no docs, no defaults, no logical types, attributes in this order.
function canonical(type) {
  if (Array.isArray(type)) return `[${type.map(canonical).join(',')}]`;
  if (typeof type === 'string') return JSON.stringify(type);
  if (type.type === 'map') return `{"type":"map","values":${canonical(type.values)}}`;
  if (type.type !== 'record') return canonical(type.type);
  const fields = type.fields.map((field) => `{"name":${JSON.stringify(field.name)},"type":${canonical(field.type)}}`);
  return `{"name":"${type.namespace}.${type.name}","type":"record","fields":[${fields.join(',')}]}`;
}

// CRC-64-AVRO, written little endian.
function fingerprint(text) {
  const empty = 0xc15d213aa4d7a795n;
  let crc = empty;
  for (const byte of Buffer.from(text, 'utf8')) {
    let row = (crc ^ BigInt(byte)) & 0xffn;
    for (let bit = 0; bit < 8; bit++) row = (row >> 1n) ^ (empty & -(row & 1n));
    crc = (crc >> 8n) ^ BigInt.asUintN(64, row);
  }
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(crc);
  return bytes;
}

const header = Buffer.concat([Buffer.from('c301', 'hex'), fingerprint(canonical(schema))]);
process.stdout.write(Buffer.concat([header, encode(schema, JSON.parse(json))]).toString('hex'));
