// What workerd's inspector says of an isolate.
import WebSocket from "ws";

/** How long an answer may take, in milliseconds. */
const PATIENCE = 20_000;

/** Bytes of JavaScript's heap that are in use, and of buffers beside it; what is not used any more counts until it is collected. */
export async function heap(port) {
  const [target] = await (await fetch(`http://127.0.0.1:${port}/json/list`)).json();
  const socket = new WebSocket(target.webSocketDebuggerUrl);
  try {
    const { usedSize, backingStorageSize } = await new Promise((resolve, reject) => {
      const late = setTimeout(() => reject(new Error("the inspector does not answer")), PATIENCE);
      socket.once("error", reject);
      socket.once("open", () => socket.send(JSON.stringify({ id: 1, method: "Runtime.getHeapUsage" })));
      socket.on("message", (data) => {
        const { id, result } = JSON.parse(data.toString());
        if (id === 1) {
          clearTimeout(late);
          resolve(result);
        }
      });
    });
    return usedSize + backingStorageSize;
  } finally {
    socket.terminate();
  }
}
