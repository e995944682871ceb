import { Client, startObservation } from "tracespool";

const errors = [];
console.error = (line) => errors.push(line);
const secret = new Client({ publicKey: "pk-page", secretKey: "sk-very-secret", baseUrl: location.origin });
secret.startObservation("not recorded").end();
const open = new Client({ publicKey: "pk-page", baseUrl: location.origin });
open.score({ name: "thumbs", value: 1, traceId: "0af7651916cd43dd8448eb211c80319c" });
startObservation("not recorded either", {}, { client: open }).end();
const report = await open.flush();
await fetch("/said", { method: "POST", body: JSON.stringify({ errors, enabled: secret.enabled, report }) });
