"""The example service as it is deployed: watched, limited in memory, with `/health` and `/metrics` in front of it.

`GUARD_SOFT_MB` (150) and `GUARD_HARD_MB` (190) are of each worker. Two of them and the arbiter stay below the 512 MB of
`deploy/compose.yaml`, so that a worker is replaced between requests and never killed within one. Above the soft limit a share of
`GUARD_SOFT_SHARE` (0) of new traces is recorded.
"""

from __future__ import annotations

import os

from examples.fastapi_app.app import app as service
from tracespool import ops
from tracespool.integrations.asgi import TracespoolMiddleware

monitor = ops.Monitor()
guard = ops.Guard(
    soft_mb=float(os.environ.get("GUARD_SOFT_MB", "150")),
    hard_mb=float(os.environ.get("GUARD_HARD_MB", "190")),
    soft_share=float(os.environ.get("GUARD_SOFT_SHARE", "0")),
    min_uptime=float(os.environ.get("GUARD_MIN_UPTIME", "60")),
)
memory = ops.MemoryLog(threshold_mb=20, one_in=1000, monitor=monitor)

app = TracespoolMiddleware(service)
app = ops.ASGIGuard(app, guard)
app = ops.ASGIMemory(app, memory)
app = ops.ASGIEndpoints(
    app, health=ops.Health(alert_rss_mb=guard.soft_mb, monitor=monitor, guard=guard), monitor=monitor, memory=memory
)
