// Everything besides a request that calls a Worker: queues, cron triggers, alarms, sockets, calls between Workers.
import { DurableObject, WorkerEntrypoint } from "cloudflare:workers";
import { startActiveObservation, startObservation, withTracing } from "tracespool";

class Plain extends DurableObject {
  async fetch(request) {
    const { pathname } = new URL(request.url);
    if (pathname === "/alarm") {
      await this.ctx.storage.setAlarm(Date.now() + 10);
      return new Response("armed");
    }
    const [mine, theirs] = Object.values(new WebSocketPair());
    this.ctx.acceptWebSocket(theirs);
    return new Response(null, { status: 101, webSocket: mine });
  }

  async alarm() {
    await startActiveObservation("alarm", async () => {
      await scheduler.wait(1);
      startObservation("of the alarm").end();
    });
  }

  async webSocketMessage(socket, message) {
    startObservation("message", { input: message }).end();
    socket.send(`${message}!`);
  }

  /** Called by another Worker: no handler that anybody wraps. */
  async add(one, other) {
    return startActiveObservation("call", (call) => {
      call.update({ input: [one, other], output: one + other });
      return one + other;
    });
  }
}

export const Thing = withTracing(Plain);

export default withTracing(
  class extends WorkerEntrypoint {
    async fetch(request) {
      const { pathname } = new URL(request.url);
      const thing = this.env.THING.get(this.env.THING.idFromName("one"));
      switch (pathname) {
        case "/queue":
          await this.env.QUEUE.sendBatch(["a", "b", "c"].map((body) => ({ body })));
          return new Response("queued");
        case "/call":
          return Response.json(await thing.add(2, 3));
        default:
          return thing.fetch(request);
      }
    }

    async queue(batch) {
      await startActiveObservation("batch", async (root) => {
        root.update({ input: { queue: batch.queue, size: batch.messages.length } });
        await scheduler.wait(1);
        for (const message of batch.messages) {
          startObservation("queued", { input: message.body }).end();
        }
      });
    }

    async scheduled(event) {
      startObservation("cron", { input: event.cron }).end();
    }
  },
);
