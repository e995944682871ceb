/** Loaded before the application, as its documentation asks for; reports to whom `SENTRY_DSN` names. */
import * as Sentry from "@sentry/node";

Sentry.init({ tracesSampleRate: Number(process.env.SENTRY_RATE ?? 1) });
