import { createServer } from "node:http";
import { withTracing } from "tracespool";
import { handler } from "./application.js";

const answer = withTracing((request) => handler.fetch(request, process.env));
const server = createServer(async (request, response) => {
  try {
    const made = await answer(new Request(new URL(request.url, "http://node")));
    response.statusCode = made.status;
    response.end(await made.text());
  } catch (error) {
    response.statusCode = 500;
    response.end(String(error));
  }
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
