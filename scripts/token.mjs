// A new token as the coordinator makes them (crates/protocol/src/token.rs):
// prefix, 32 random bytes as 43 base62 digits, CRC-32 of both as 6.
import { randomBytes } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { pathToFileURL } from 'node:url';

const DIGITS = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';

function base62(number, length) {
  let text = '';
  for (let i = 0; i < length; i++, number /= 62n) text = DIGITS[Number(number % 62n)] + text;
  return text;
}

export function newToken(prefix) {
  const body = prefix + base62(BigInt('0x' + randomBytes(32).toString('hex')), 43);
  return body + base62(BigInt(crc32(body)), 6);
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) console.log(newToken('mca_'));
