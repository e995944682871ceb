/** SHA-256 (FIPS 180-4), at once: what hosts offer answers with a promise, and a reference stands in a value that is encoded now. */
import { base64 } from "./host.js";

/** Of the first `count` primes the fractional bits of a root. */
function roots(count: number, exponent: number): Uint32Array {
  const found: number[] = [];
  for (let number = 2; found.length < count; number += 1) {
    let prime = true;
    for (let factor = 2; factor * factor <= number; factor += 1) {
      prime &&= number % factor !== 0;
    }
    if (prime) {
      const root = number ** exponent;
      found.push(Math.floor((root - Math.floor(root)) * 2 ** 32));
    }
  }
  return Uint32Array.from(found);
}

let constants: Uint32Array | undefined;

const turned = (word: number, by: number): number => (word >>> by) | (word << (32 - by));

/** The digest as base64. */
export function sha256(content: Uint8Array): string {
  constants ??= roots(64, 1 / 3);
  const state = roots(8, 1 / 2);
  const padded = new Uint8Array((((content.length + 8) >> 6) + 1) << 6);
  padded.set(content);
  padded[content.length] = 0x80;
  const view = new DataView(padded.buffer);
  view.setUint32(padded.length - 8, Math.floor(content.length / 2 ** 29));
  view.setUint32(padded.length - 4, content.length << 3);
  const w = new Uint32Array(64);
  for (let block = 0; block < padded.length; block += 64) {
    for (let at = 0; at < 64; at += 1) {
      if (at < 16) {
        w[at] = view.getUint32(block + 4 * at);
        continue;
      }
      const [x, y] = [w[at - 15] as number, w[at - 2] as number];
      const s0 = turned(x, 7) ^ turned(x, 18) ^ (x >>> 3);
      const s1 = turned(y, 17) ^ turned(y, 19) ^ (y >>> 10);
      w[at] = (w[at - 16] as number) + s0 + (w[at - 7] as number) + s1;
    }
    let [a, b, c, d, e, f, g, h] = state as unknown as [number, number, number, number, number, number, number, number];
    for (let at = 0; at < 64; at += 1) {
      const one = h + (turned(e, 6) ^ turned(e, 11) ^ turned(e, 25)) + ((e & f) ^ (~e & g)) + (constants[at] as number) + (w[at] as number);
      const two = (turned(a, 2) ^ turned(a, 13) ^ turned(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
      [h, g, f, e, d, c, b, a] = [g, f, e, (d + one) | 0, c, b, a, (one + two) | 0];
    }
    for (const [at, word] of [a, b, c, d, e, f, g, h].entries()) {
      state[at] = (state[at] as number) + word;
    }
  }
  const digest = new DataView(new ArrayBuffer(32));
  for (const [at, word] of state.entries()) {
    digest.setUint32(4 * at, word);
  }
  return base64(new Uint8Array(digest.buffer));
}
