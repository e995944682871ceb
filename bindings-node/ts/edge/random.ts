/**
 * The host's random bytes; `undefined` where it grants none yet: while a Worker's script is evaluated.
 */
export function granted(size: number): Uint8Array<ArrayBuffer> | undefined {
  try {
    return crypto.getRandomValues(new Uint8Array(size));
  } catch {
    return undefined;
  }
}

/** The same, of a weaker source rather than none. */
export function randomBytes(size: number): Uint8Array<ArrayBuffer> {
  return granted(size) ?? Uint8Array.from({ length: size }, () => Math.random() * 256);
}
