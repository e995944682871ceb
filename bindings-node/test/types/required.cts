// The same for `require`.
import tracespool = require("tracespool");
const client = new tracespool.Client({ publicKey: "p" });
client.startActiveObservation("x", (observation) => observation.update({ output: 1 }));
