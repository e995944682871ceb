/** Finds and loads the native module. */
import type { Backend } from "./backend.js";
import { isMainThread, require } from "./host.js";
import { none } from "./none.js";

type Binding = Omit<Backend, "kind">;

/**
 * The packages that hold a binary, by host, in the order in which they are tried. Written out one by one, so that bundlers and tracers
 * of files find them.
 */
function candidates(): (() => unknown)[] {
  switch (`${process.platform} ${process.arch}`) {
    case "linux x64":
      return [() => require("@tracespool/linux-x64-gnu"), () => require("@tracespool/linux-x64-musl")];
    case "linux arm64":
      return [() => require("@tracespool/linux-arm64-gnu"), () => require("@tracespool/linux-arm64-musl")];
    case "darwin x64":
      return [() => require("@tracespool/darwin-x64")];
    case "darwin arm64":
      return [() => require("@tracespool/darwin-arm64")];
    case "win32 x64":
      return [() => require("@tracespool/win32-x64-msvc")];
    case "win32 arm64":
      return [() => require("@tracespool/win32-arm64-msvc")];
    default:
      return [];
  }
}

function load(): Binding {
  let first: unknown = new Error("there is no package for this platform");
  for (const [at, candidate] of candidates().entries()) {
    try {
      return candidate() as Binding;
    } catch (error) {
      // What the first says counts: the second is the other C library's.
      if (at === 0) {
        first = error;
      }
    }
  }
  throw first;
}

/** The native module, or a backend that records nothing and says why. */
export function connect(): Backend {
  try {
    const binding = load();
    binding.enter(isMainThread());
    return { ...binding, kind: "native" };
  } catch (error) {
    const reason = error instanceof Error ? error.message.split("\n")[0] : String(error);
    return none(`no binary for ${process.platform} ${process.arch}: ${reason}`);
  }
}
