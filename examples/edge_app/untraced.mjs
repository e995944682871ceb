/** The baseline: the same Worker, and nothing traced. */
import { untraced } from "../express_app/untraced.mjs";
import { serve } from "./service.mjs";

export default { fetch: serve(() => untraced) };
