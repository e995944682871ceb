"""The example agent, traced to any backend that takes OTLP over HTTP."""
