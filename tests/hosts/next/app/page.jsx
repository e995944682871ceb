import { headers } from "next/headers";
import { startActiveObservation } from "../../tracing.mjs";

/** A page that is rendered for each request, traced by the client of the environment. */
export default async function Page() {
  const agent = (await headers()).get("user-agent");
  return startActiveObservation("page", async (step) => {
    step.update({ input: { agent } });
    return <p>hello</p>;
  });
}
