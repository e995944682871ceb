"""A FastAPI service."""

from __future__ import annotations

from fastapi import FastAPI
from work import TRACED, awork

app = FastAPI()
if TRACED:
    from tracespool.integrations.asgi import TracespoolMiddleware

    app.add_middleware(TracespoolMiddleware, observation=True)


@app.get("/work/{number}")
async def answer(number: int):
    return await awork(number)
