/** What objects are, as far as it matters for what is recorded of them. Nothing here runs the application's code unless it must. */
import { asText } from "./host.js";

export const enum Kind {
  /** Made by a literal, or without a prototype. */
  Plain,
  Array,
  /** Stands for a text. */
  Text,
  /** A number, text or boolean in an object. */
  Scalar,
  /** A typed array. */
  Numbers,
  Set,
  /** A `Map`, headers, form data. */
  Map,
  /** Has a `toJSON`. */
  Json,
  /** Code, streams, promises: only named. */
  Opaque,
  /** A `LangfuseMedia`. */
  Media,
  /** Anything else: by its own fields. */
  Fields,
}

/** Marks the objects of `media.ts`, whichever copy of this package made them. */
export const MEDIA = Symbol.for("tracespool.media");

const { getPrototypeOf } = Object;

export function kindOf(value: object): Kind {
  if (Array.isArray(value)) {
    return Kind.Array;
  }
  const prototype: unknown = getPrototypeOf(value);
  if (prototype === Object.prototype || prototype === null) {
    return Kind.Plain;
  }
  if (value instanceof Date || value instanceof Error || value instanceof RegExp || value instanceof ArrayBuffer || value instanceof DataView) {
    return Kind.Text;
  }
  if (value instanceof Map) {
    return Kind.Map;
  }
  if (value instanceof Set) {
    return Kind.Set;
  }
  if (ArrayBuffer.isView(value)) {
    return value instanceof Uint8Array ? Kind.Text : Kind.Numbers;
  }
  if (value instanceof String || value instanceof Number || value instanceof Boolean || value instanceof BigInt) {
    return Kind.Scalar;
  }
  return asked(value as Asked);
}

interface Asked {
  [MEDIA]?: unknown;
  toJSON?: unknown;
  then?: unknown;
  pipe?: unknown;
  getReader?: unknown;
  next?: unknown;
  deref?: unknown;
  entries?: unknown;
  get?: unknown;
  [Symbol.iterator]?: unknown;
  [Symbol.asyncIterator]?: unknown;
}

/** The questions that objects of classes are asked. */
function asked(value: Asked): Kind {
  if (value[MEDIA] === true) {
    return Kind.Media;
  }
  if (typeof value.toJSON === "function") {
    return Kind.Json;
  }
  if (
    typeof value.then === "function" ||
    typeof value.pipe === "function" ||
    typeof value.getReader === "function" ||
    typeof value.next === "function" ||
    typeof value.deref === "function" ||
    typeof value[Symbol.asyncIterator] === "function" ||
    value instanceof WeakMap ||
    value instanceof WeakSet ||
    Object.prototype.toString.call(value) === "[object Symbol]"
  ) {
    return Kind.Opaque;
  }
  if (typeof value[Symbol.iterator] === "function") {
    return typeof value.entries === "function" && typeof value.get === "function" ? Kind.Map : Kind.Set;
  }
  return Kind.Fields;
}

/** The class's name; `Object` where there is none. */
export function classOf(value: object): string {
  try {
    const name: unknown = (value as { constructor?: { name?: unknown } }).constructor?.name;
    if (typeof name === "string" && name !== "") {
      return name.slice(0, 200);
    }
  } catch {
    // A proxy, or a getter that throws.
  }
  return "Object";
}

/** The text of an object that stands for one. */
export function textOf(value: object): string {
  if (value instanceof Date) {
    const time = value.getTime();
    return Number.isNaN(time) ? "Invalid Date" : value.toISOString();
  }
  if (value instanceof Error) {
    return errorText(value);
  }
  if (value instanceof RegExp) {
    return String(value);
  }
  const bytes =
    value instanceof Uint8Array
      ? value
      : value instanceof DataView
        ? new Uint8Array(value.buffer, value.byteOffset, value.byteLength)
        : new Uint8Array(value as ArrayBuffer);
  return asText(bytes) ?? "<not serializable bytes>";
}

/** `TypeError: message`. */
export function errorText(error: Error): string {
  const { name, message } = error;
  return message === "" ? String(name) : `${String(name)}: ${String(message)}`;
}
