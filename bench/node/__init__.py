"""Figures of the npm package, beside `@langfuse/tracing` and `@langfuse/otel`, each by one command."""
