"""Spans of other instrumentation beside observations."""

from __future__ import annotations

from library import langfuse


def on_the_global_provider():
    from opentelemetry import trace

    tracer = trace.get_tracer("openinference.instrumentation.test")
    client = langfuse.get_client()
    with client.start_as_current_observation(name="question", as_type="agent"):
        with tracer.start_as_current_span("instrumented", attributes={"gen_ai.request.model": "m"}):
            client.start_observation(name="below").end()


def on_a_provider_of_the_client():
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider

    provider = TracerProvider(resource=Resource({"service.name": "shop"}))
    client = langfuse.Langfuse(tracer_provider=provider)
    tracer, other = provider.get_tracer("openinference.instrumentation.test"), provider.get_tracer("web")
    with client.start_as_current_observation(name="question", as_type="agent"):
        with tracer.start_as_current_span("instrumented", attributes={"gen_ai.request.model": "m"}) as span:
            span.add_event("token", {"n": 1})
            with other.start_as_current_span("GET"):
                pass
            client.start_observation(name="below").end()
    client.flush()
