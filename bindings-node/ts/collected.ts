/** What a stream yields, captured item by item: text, and bytes that are text, is joined; anything else makes a list. */
import { output } from "./apply.js";
import { MAX_TEXT, piece, text } from "./capture.js";
import { asText } from "./host.js";
import type { Observation } from "./observation.js";
import { END } from "./record.js";

/** Items of a list that are kept. */
const MOST_ITEMS = 100_000;

export class Collected {
  private joined = "";
  /** Texts while there is only text, then what a record has of each item; the items themselves for a mask, which sees them whole. */
  private items: unknown[] = [];
  private onlyText = true;
  private size = 0;
  private leftOut = 0;

  /** @param wanted False collects nothing. */
  constructor(
    private readonly of: Observation,
    private readonly wanted: boolean,
  ) {}

  add(item: unknown): void {
    if (!this.wanted || this.of.token === null) {
      return;
    }
    const said = typeof item === "string" ? item : item instanceof Uint8Array ? asText(item) : undefined;
    if (this.size > MAX_TEXT || this.items.length >= MOST_ITEMS) {
      this.leftOut += 1;
      return;
    }
    if (this.onlyText && said !== undefined) {
      this.size += said.length;
      this.joined += said;
      this.items.push(said);
      return;
    }
    const masked = this.of.handle.mask !== null;
    if (this.onlyText && !masked) {
      this.items = this.items.map((each) => piece(each, MAX_TEXT, null, ""));
    }
    this.onlyText = false;
    if (masked) {
      this.items.push(said ?? item);
      return;
    }
    const made = piece(said ?? item, MAX_TEXT - this.size, this.of, "output");
    this.size += made.length;
    this.items.push(made);
  }

  /** Makes it the output; `end` also where nothing was yielded. */
  put(end: boolean): void {
    if (!this.wanted || this.of.token === null || (this.items.length === 0 && !end)) {
      return;
    }
    const note = this.leftOut > 0 ? `[truncated ${this.leftOut} items]` : "";
    if (this.of.handle.mask !== null) {
      const items = note === "" ? this.items : [...this.items, note];
      output(this.of, this.onlyText ? this.joined + note : items);
    } else if (this.onlyText) {
      this.of.output = text(this.joined + note);
    } else {
      const items = note === "" ? this.items : [...this.items, JSON.stringify(note)];
      this.of.output = `{[${items.join(",")}]${END}${END}`;
    }
  }
}
