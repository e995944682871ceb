/** Payloads for the benches: fresh objects from a seeded vocabulary that compress like real text. */
import { createHash } from "node:crypto";

const LETTERS = "etaoinshrdlucmfwypvbgkjqxz";

/** A small generator of numbers in [0, 1): the same ones for the same seed. */
function dice(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

function vocabulary() {
  const roll = dice(11);
  return Array.from({ length: 3000 }, () =>
    Array.from({ length: 2 + Math.floor(roll() * 10) }, () => LETTERS[Math.floor(roll() ** 2 * 26)]).join(""),
  );
}

/** Writes the payloads of one run: the same ones for the same seed, and new objects on each call. */
export class Writer {
  #roll;
  #words = vocabulary();

  constructor(seed) {
    this.#roll = dice(seed);
  }

  #below(limit) {
    return Math.floor(this.#roll() * limit);
  }

  /** A text of about so many characters: sentences, here and there a quotation or a line end, one text in ten with a letter beyond ASCII. */
  text(length) {
    let text = this.#below(10) ? "" : "café ";
    while (text.length < length) {
      text += this.#words[Math.floor(this.#roll() ** 3 * this.#words.length)];
      const mark = this.#below(60);
      text += mark === 0 ? ".\n" : mark === 1 ? ' "so" ' : " ";
    }
    return text;
  }

  /** What one call traces: three observations with inputs and outputs of 50 to 150 characters. */
  small() {
    return [
      { input: { question: this.text(70), user: this.#below(10_000) }, output: { answer: this.text(110) } },
      {
        input: { query: this.text(40), limit: 3 },
        output: [0, 1, 2].map((rank) => ({ id: `doc-${this.#below(1e6)}`, rank })),
      },
      { input: [{ role: "user", content: this.text(110) }], output: { role: "assistant", content: this.text(110) } },
    ];
  }

  /** One observation of 20 KB: a conversation of forty messages. */
  large() {
    const input = Array.from({ length: 40 }, (_, turn) => ({
      role: turn % 2 ? "assistant" : "user",
      content: this.text(480),
    }));
    return [{ input, output: { role: "assistant", content: this.text(300) } }];
  }
}

/** A value as JSON with sorted keys: the same text whoever serialised it. */
function canonical(value) {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  const keys = Object.keys(value).sort();
  return `{${keys.map((key) => `${JSON.stringify(key)}:${canonical(value[key])}`).join(",")}}`;
}

/** A sum of fingerprints that does not depend on their order. */
export class Sum {
  #total = 0n;
  count = 0;

  add(input, output) {
    const digest = createHash("sha256").update(canonical([input, output])).digest("hex");
    this.#total = (this.#total + BigInt(`0x${digest}`)) % (1n << 256n);
    this.count += 1;
  }

  toString() {
    return this.#total.toString(16).padStart(64, "0");
  }
}
