"""A language model that needs no network: seeded words, streamed in chunks after a short wait."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator

from examples.agent.knowledge import NOUNS

NAME = "demo-model-1"
# What a caller waits before the first token. Short, so that the cost of tracing is not hidden behind it.
FIRST_TOKEN_SECONDS = 0.005
WORDS = 48
WORDS_PER_CHUNK = 8


async def stream(messages: list[dict[str, str]]) -> AsyncIterator[str]:
    """The answer to `messages`, chunk by chunk: the same answer for the same messages."""
    dice = random.Random(messages[-1]["content"])
    await asyncio.sleep(FIRST_TOKEN_SECONDS)
    for _ in range(WORDS // WORDS_PER_CHUNK):
        yield " ".join(dice.choice(NOUNS) for _ in range(WORDS_PER_CHUNK)) + " "
        await asyncio.sleep(0)


def usage(messages: list[dict[str, str]], answer: str) -> dict[str, int]:
    """Tokens as the vendors count them, near enough: one for four characters."""
    read = sum(len(message["content"]) for message in messages) // 4
    written = len(answer) // 4
    return {"input": read, "output": written, "total": read + written}


def cost(tokens: dict[str, int]) -> dict[str, float]:
    """What those tokens cost."""
    read, written = tokens["input"] * 0.15e-6, tokens["output"] * 0.6e-6
    return {"input": read, "output": written, "total": read + written}
