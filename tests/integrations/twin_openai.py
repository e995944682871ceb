"""One program for both libraries: `python twin_openai.py langfuse|tracespool URL`."""

import asyncio
import sys

LIBRARY, URL = sys.argv[1:]
if LIBRARY == "langfuse":
    from langfuse import get_client
    from langfuse.openai import AsyncOpenAI, OpenAI
else:
    from tracespool.langfuse import get_client
    from tracespool.langfuse.openai import AsyncOpenAI, OpenAI

from pydantic import BaseModel


class Number(BaseModel):
    number: int


MESSAGES = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "what is it? é"}]
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]
api = OpenAI(api_key="sk-x", base_url=URL, max_retries=0)
chat = api.chat.completions

chat.create(model="fake", messages=MESSAGES, name="chat", metadata={"plan": "pro"}, temperature=0.2, max_completion_tokens=9)
chat.create(model="calls", messages=MESSAGES, name="tools", tools=TOOLS, seed=3, reasoning_effort="low")
chat.create(model="fake", messages=MESSAGES, name="two", n=2)
chat.parse(model="fake", messages=MESSAGES, name="parse", response_format=Number)
chat.with_raw_response.create(model="fake", messages=MESSAGES, name="raw").parse()
api.completions.create(model="fake", prompt="once", name="completion")
api.embeddings.create(model="fake", input=["a", "b"], name="embedding", dimensions=3)
api.responses.create(model="fake", input="what?", name="response", instructions="brief", max_output_tokens=5)
api.responses.create(model="fake", input="what?", name="response tools", tools=TOOLS)
api.responses.parse(model="fake", input="what?", name="response parse", text_format=Number)
with get_client().start_as_current_observation(name="outer"):
    list(chat.create(model="fake", messages=MESSAGES, name="stream", stream=True, stream_options={"include_usage": True}))
    list(chat.create(model="calls", messages=MESSAGES, name="stream tools", stream=True))
    list(api.completions.create(model="fake", prompt="once", name="stream completion", stream=True))
    list(api.responses.create(model="fake", input="what?", name="stream response", stream=True))
    with chat.stream(model="fake", messages=MESSAGES) as helper:
        helper.until_done()
    for chunk in chat.create(model="hangs", messages=MESSAGES, name="left", stream=True):
        if chunk.choices[0].delta.content:
            break
for model, stream in (("fails", False), ("breaks", True)):
    try:
        list(chat.create(model=model, messages=MESSAGES, name=model, stream=stream))
    except Exception:
        pass
with chat.with_streaming_response.create(model="fake", messages=MESSAGES) as response:
    response.parse()


async def main() -> None:
    async with AsyncOpenAI(api_key="sk-x", base_url=URL, max_retries=0) as later:
        await later.chat.completions.create(model="fake", messages=MESSAGES, name="async")
        async for _ in await later.chat.completions.create(model="fake", messages=MESSAGES, name="async stream", stream=True):
            pass


asyncio.run(main())
get_client().flush()
