"""The agent: it searches, asks a tool, writes an answer and scores itself, and traces each of these steps.

`client` and `propagate_attributes` are those of tracespool, of the langfuse SDK, or of `examples.agent.untraced`.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from examples.agent import knowledge, model

# What one answer sends: the agent itself, the search, the tool and the generation; one score for the
# generation and one for the trace.
OBSERVATIONS = 4
SCORES = 2

SYSTEM = "You are the support desk of a small shop. Answer from the documents alone; say so when they do not help."


async def answer(client: Any, propagate_attributes: Any, user: str, question: str) -> dict[str, Any]:
    """Answers `question` for `user`."""
    with propagate_attributes(user_id=user, session_id=f"{user}-today", tags=["demo"]):
        with client.start_as_current_observation(name="answer", as_type="agent", input={"question": question}) as agent:
            with client.start_as_current_observation(name="search", as_type="retriever", input=question) as step:
                documents = knowledge.search(question)
                step.update(output=documents, metadata={"shelf": knowledge.SHELF_SIZE})

            with client.start_as_current_observation(name="price", as_type="tool", input=[d["id"] for d in documents]) as step:
                price = knowledge.price(documents)
                step.update(output=price)

            messages = [
                {"role": "system", "content": SYSTEM},
                {"role": "user", "content": "\n".join(str(d["text"]) for d in documents) + "\n" + question},
            ]
            text = await write(client, messages)

            agent.update(output={"answer": text, "price": price})
            client.score_current_trace(name="helpful", value=1.0, data_type="NUMERIC", comment="answered from documents")
            return {"answer": text, "price": price, "observations": OBSERVATIONS, "scores": SCORES}


async def write(client: Any, messages: list[dict[str, str]]) -> str:
    """The generation: streams from the model and scores what came."""
    with client.start_as_current_observation(
        name="write",
        as_type="generation",
        model=model.NAME,
        model_parameters={"temperature": 0, "max_tokens": 256},
        input=messages,
    ) as generation:
        first: datetime | None = None
        chunks: list[str] = []
        async for chunk in model.stream(messages):
            first = first or datetime.now(timezone.utc)
            chunks.append(chunk)
        text = "".join(chunks).strip()
        tokens = model.usage(messages, text)
        generation.update(
            output={"role": "assistant", "content": text},
            completion_start_time=first,
            usage_details=tokens,
            cost_details=model.cost(tokens),
        )
        generation.score(name="grounded", value=0.9, data_type="NUMERIC")
        return text
