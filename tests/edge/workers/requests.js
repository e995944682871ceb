import { withTracing } from "tracespool";
import { handler } from "./application.js";

export default withTracing(handler);
