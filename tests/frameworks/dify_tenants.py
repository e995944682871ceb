"""The calls that Dify's Langfuse tracing makes, for many tenants: its own code is on no package index.

Dify 1.x makes a client with a tracer provider for each tenant's settings, checks the keys, asks for the project, and sends
each trace, span and generation with a REST call of its own. When a tenant leaves its cache it shuts the provider down.
"""

from __future__ import annotations

import json
import os
import sys
import uuid
from datetime import UTC, datetime
from pathlib import Path

from langfuse import Langfuse
from langfuse.api import CreateGenerationBody, CreateSpanBody, IngestionEvent_GenerationCreate, IngestionEvent_SpanCreate
from langfuse.api import IngestionEvent_TraceCreate, TraceBody
from langfuse.api.commons.types.usage import Usage
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider

TENANTS = int(sys.argv[1])


class Tenant:
    """One tenant's tracing."""

    def __init__(self, number: int) -> None:
        self.provider = TracerProvider(resource=Resource.create({"service.name": "dify-langfuse-app-trace"}))
        self.client = Langfuse(
            public_key=f"pk-tenant-{number}",
            secret_key=f"sk-tenant-{number}",
            host=os.environ["LANGFUSE_BASE_URL"],
            tracer_provider=self.provider,
        )

    def project(self) -> str:
        assert self.client.auth_check()
        return self.client.api.projects.get().data[0].id

    def send(self) -> list[str]:
        """A trace, a span and a generation; returns what the server said of each."""
        trace, now = str(uuid.uuid4()), datetime.now(UTC)
        common = {"trace_id": trace, "start_time": now, "end_time": now, "input": {"a": 1}, "output": "b"}
        usage = Usage(input=3, output=1, total=4, unit="TOKENS")
        events = [
            (IngestionEvent_TraceCreate, TraceBody(id=trace, name="message", user_id="u", session_id="s", tags=["message"])),
            (IngestionEvent_SpanCreate, CreateSpanBody(id=str(uuid.uuid4()), name="tool", **common)),
            (IngestionEvent_GenerationCreate, CreateGenerationBody(id=str(uuid.uuid4()), name="llm", usage=usage, model="m", **common)),
        ]
        said = []
        for kind, body in events:
            event = kind(body=body, id=str(uuid.uuid4()), timestamp=now.isoformat())
            answer = self.client.api.ingestion.batch(batch=[event])
            said += ["taken"] * len(answer.successes) + [str(error.error) for error in answer.errors]
        return said

    def close(self) -> None:
        self.provider.shutdown()


def tasks() -> int:
    return len(list(Path("/proc/self/task").iterdir()))


tenants = [Tenant(number) for number in range(TENANTS)]
projects = [tenant.project() for tenant in tenants]
said = [tenant.send() for tenant in tenants]
for tenant in tenants[: TENANTS // 2]:
    tenant.close()
again = [Tenant(number).project() for number in range(TENANTS // 2)]
with tenants[0].client.start_as_current_observation(name="after"):
    pass
tenants[0].client.flush()
print(json.dumps({"projects": projects, "again": again, "said": said, "tasks": tasks(), "langfuse": sys.modules["langfuse"].__name__}))
