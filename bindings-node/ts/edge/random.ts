/** Random bytes; where the host grants none yet (while a Worker's script is evaluated) those of a weaker source. */
export function randomBytes(into: Uint8Array<ArrayBuffer>): Uint8Array {
  try {
    return crypto.getRandomValues(into);
  } catch {
    for (let at = 0; at < into.length; at += 1) {
      into[at] = Math.random() * 256;
    }
    return into;
  }
}
