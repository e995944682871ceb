// app/api/ask/route.js of a Next application. `after` keeps the function working until what was traced is sent.
import { after } from "next/server";
import { startActiveObservation, withTracing } from "tracespool";

export const runtime = "edge";

export const GET = withTracing(
  (request) =>
    startActiveObservation("ask", async (root) => {
      root.update({ input: request.url, output: "hello" });
      return Response.json({ trace: root.traceId });
    }),
  { after },
);
