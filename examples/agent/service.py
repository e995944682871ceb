"""The web service around the agent. Each request brings the keys of the user who sends it."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Header
from pydantic import BaseModel

from examples.agent import process
from examples.agent.answer import answer


class Question(BaseModel):
    """The body of a request."""

    text: str


def service(client_type: Callable[..., Any], propagate_attributes: Any, goodbye: Callable[[], None]) -> FastAPI:
    """A service that traces with `client_type` and calls `goodbye` when it stops."""
    base_url = os.environ.get("LANGFUSE_BASE_URL", "http://127.0.0.1:4318")

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        goodbye()

    app = FastAPI(title="Support desk", lifespan=lifespan)

    @app.post("/ask")
    async def ask(
        question: Question,
        x_public_key: str = Header(),
        x_secret_key: str = Header(),
        x_user: str = Header(default="anonymous"),
    ) -> dict[str, Any]:
        # A client for each request, as services do whose users bring their own keys.
        client = client_type(public_key=x_public_key, secret_key=x_secret_key, base_url=base_url)
        return await answer(client, propagate_attributes, x_user, question.text)

    @app.get("/stats")
    async def stats() -> dict[str, Any]:
        return {"pid": os.getpid(), "threads": process.threads(), "rss_kib": process.resident_kib()}

    return app
