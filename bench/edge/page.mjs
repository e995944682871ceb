// Prints a bench's table and puts it into docs/figures.md between its marks, as bench/rounds.py does.
import { readFileSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const PAGE = join(dirname(fileURLToPath(import.meta.url)), "..", "..", "docs", "figures.md");

/** Rows as Markdown, the first one as the head; numbers stand on the right. */
export function table([head, ...rows]) {
  const widths = head.map((_, at) => Math.max(...[head, ...rows].map((row) => row[at].length)));
  const line = (row) => `| ${row.map((cell, at) => (at === 0 ? cell.padEnd(widths[at]) : cell.padStart(widths[at]))).join(" | ")} |`;
  const rule = `|${widths.map((width, at) => (at === 0 ? "-".repeat(width + 2) : `${"-".repeat(width + 1)}:`)).join("|")}|`;
  return [line(head), rule, ...rows.map(line)].join("\n");
}

/** @param name between which marks. */
export function write(name, text, how) {
  const host = `(${cpus().length} cores, ${process.platform} ${process.arch}, Node ${process.versions.node})`;
  console.log(`${text}\n\n${how} ${host}`);
  const page = readFileSync(PAGE, "utf8");
  const marks = new RegExp(`(<!-- ${name}: [^\n]*-->\n)[^]*?(<!-- end of ${name} -->)`);
  if (!marks.test(page)) {
    throw new Error(`docs/figures.md has no place for ${name}`);
  }
  writeFileSync(PAGE, page.replace(marks, (_, begin, end) => `${begin}${text}\n\n${how} ${host}\n${end}`));
}
