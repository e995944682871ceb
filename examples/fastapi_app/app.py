"""A service that traces with tracespool. Start it from the root of the repository:

    uvicorn examples.fastapi_app.app:app

`TRACING=off` runs the same service untraced: the baseline of the demo.
"""

from __future__ import annotations

import os

from examples.agent.service import service

if os.environ.get("TRACING", "on") == "off":
    from examples.agent.untraced import Client, goodbye, propagate_attributes
else:
    from tracespool import Client, cleanup_all_clients, propagate_attributes

    def goodbye() -> None:
        """Sends what is pending, for at most three seconds for all users together."""
        cleanup_all_clients(timeout=3.0)


app = service(Client, propagate_attributes, goodbye)
