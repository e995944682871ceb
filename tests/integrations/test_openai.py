"""The wrapper of the OpenAI package: the real package against a server with the real wire."""

from __future__ import annotations

import asyncio
import gc
import inspect
from typing import Any

import pytest
from openai_server import ANSWER, PIECES, OpenAIServer
from pydantic import BaseModel

import tracespool
from tracespool.integrations import openai as integration
from tracespool.langfuse.openai import AsyncOpenAI, OpenAI, openai

MESSAGES: list[Any] = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "what is it? é"}]
PARAMETERS = {"temperature": 0.5, "max_tokens": "Infinity", "top_p": 1, "frequency_penalty": 0, "presence_penalty": 0}


class Number(BaseModel):
    number: int


@pytest.fixture
def api(server: OpenAIServer, client: tracespool.Client) -> OpenAI:
    server.requests.clear()
    return OpenAI(api_key="sk-openai-secret", base_url=server.url, max_retries=0, timeout=10)


@pytest.fixture
def async_api(server: OpenAIServer, client: tracespool.Client) -> Any:
    server.requests.clear()
    return lambda: AsyncOpenAI(api_key="sk-openai-secret", base_url=server.url, max_retries=0, timeout=10)


def only(stored: Any) -> Any:
    rows = stored().rows()
    assert len(rows) == 1, [row["name"] for row in rows]
    return rows[0]


def test_a_chat_is_recorded_and_our_arguments_are_not_forwarded(api: OpenAI, server: OpenAIServer, stored: Any) -> None:
    answer = api.chat.completions.create(
        model="fake",
        messages=MESSAGES,
        temperature=0.5,
        name="greeting",
        metadata={"plan": "pro", "n": 3},
        langfuse_prompt={"name": "greet", "version": 3},
    )
    assert answer.choices[0].message.content == ANSWER
    body = server.requests[0]["body"]
    assert body == {"model": "fake", "messages": MESSAGES, "temperature": 0.5}
    row = only(stored)
    assert row["name"] == "greeting"
    assert row.said("type") == "generation"
    assert row.said("input") == MESSAGES
    assert row.said("output") == {"role": "assistant", "content": ANSWER}
    assert row.said("model.name") == "fake-2026-01-01"
    assert row.said("model.parameters") == {**PARAMETERS, "service_tier": "default"}
    assert row.said("usage_details") == {
        "prompt_tokens": 11,
        "completion_tokens": 7,
        "total_tokens": 18,
        "prompt_tokens_details": {"cached_tokens": 4},
        "completion_tokens_details": {"reasoning_tokens": 2},
    }
    assert row.said("metadata.plan") == "pro"
    assert row.said("metadata.n") == 3
    assert (row["prompt_name"], row["prompt_version"]) == ("greet", 3)


def test_a_call_goes_below_what_is_current_or_where_it_is_told(
    api: OpenAI, client: tracespool.Client, stored: Any
) -> None:
    with client.start_as_current_observation(name="outer"):
        api.chat.completions.create(model="fake", messages=MESSAGES, name="inner")
    trace, parent = "0123456789abcdef0123456789abcdef", "0123456789abcdef"
    api.chat.completions.create(model="fake", messages=MESSAGES, name="told", trace_id=trace, parent_observation_id=parent)
    paths = stored().paths()
    assert "outer/inner" in paths
    assert (paths["told"]["trace_id"], paths["told"]["parent"]) == (trace, parent)


def test_a_call_goes_to_the_client_of_its_key(api: OpenAI, collector: Any, key: str, stored: Any) -> None:
    other = tracespool.Client(public_key=f"{key}-other", secret_key="sk-other", base_url=collector.url)
    api.chat.completions.create(model="fake", messages=MESSAGES, name="other's", langfuse_public_key=f"{key}-other")
    assert other.flush(5.0)["complete"]
    assert '"name":"other\'s"' in collector.get(f"/api/v1/observations?project={key}-other").replace('": "', '":"')
    assert stored().rows() == []
    tracespool.cleanup_client(f"{key}-other")


def test_stored_completions_keep_their_metadata(api: OpenAI, server: OpenAIServer, stored: Any) -> None:
    api.chat.completions.create(model="fake", messages=MESSAGES, store=True, metadata={"run": "a"})
    assert server.requests[0]["body"]["metadata"] == {"run": "a"}
    assert only(stored).said("metadata.run") == "a"


def test_tools_and_several_choices(api: OpenAI, stored: Any) -> None:
    tools: list[Any] = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]
    api.chat.completions.create(model="calls", messages=MESSAGES, tools=tools, name="tool")
    api.chat.completions.create(model="fake", messages=MESSAGES, n=2, name="two")
    paths = stored().paths()
    assert paths["tool"].said("input") == {"tools": tools, "messages": MESSAGES}
    called = paths["tool"].said("output")["tool_calls"]
    assert called[0]["function"] == {"name": "weather", "arguments": '{"city": "Oslo"}'}
    assert paths["two"].said("output") == [{"role": "assistant", "content": ANSWER}] * 2
    assert paths["two"].said("model.parameters")["n"] == 2


def test_parse_returns_what_it_returned_before(api: OpenAI, stored: Any) -> None:
    answer = api.chat.completions.parse(model="fake", messages=MESSAGES, response_format=Number)
    assert answer.choices[0].message.parsed == Number(number=42)
    row = only(stored)
    assert row.said("output")["content"] == '{"number": 42}'
    assert row.said("metadata.response_format")["properties"] == {"number": {"title": "Number", "type": "integer"}}


def test_completions_embeddings_and_responses(api: OpenAI, stored: Any) -> None:
    api.completions.create(model="fake", prompt="once", name="completion")
    api.embeddings.create(model="fake", input=["a", "b"], dimensions=3)
    api.responses.create(model="fake", input="what?", instructions="be brief", name="response", reasoning={"effort": "low"})
    parsed = api.responses.parse(model="fake", input="what?", text_format=Number, name="parsed")
    assert parsed.output_parsed == Number(number=42)
    paths = stored().paths()
    assert (paths["completion"].said("input"), paths["completion"].said("output")) == ("once", ANSWER)
    embedding = paths["OpenAI-embedding"]
    assert embedding.said("type") == "embedding"
    assert embedding.said("input") == ["a", "b"]
    assert embedding.said("output") == {"dimensions": 3, "count": 2}
    assert embedding.said("usage_details") == {"input": 5}
    assert embedding.said("model.parameters") == {"dimensions": 3}
    response = paths["response"]
    asked = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "what?"}]
    assert response.said("input") == asked
    assert response.said("output")["content"][0]["text"] == ANSWER
    assert response.said("usage_details")["input_tokens_details"] == {"cached_tokens": 4}
    assert response.said("model.parameters")["reasoning_effort"] == "low"
    assert paths["parsed"].said("metadata.text_format")["title"] == "Number"


def test_errors_are_recorded_and_raised(api: OpenAI, async_api: Any, stored: Any) -> None:
    with pytest.raises(openai.RateLimitError):
        api.chat.completions.create(model="fails", messages=MESSAGES, name="sync")

    async def fail() -> None:
        async with async_api() as api:
            with pytest.raises(openai.RateLimitError):
                await api.chat.completions.create(model="fails", messages=MESSAGES, name="async")

    asyncio.run(fail())
    for name, row in stored().paths().items():
        assert row.said("level") == "ERROR", name
        assert "slow down" in row["status_message"]
        assert row.said("cost_details") == {"input": 0, "output": 0, "total": 0}


def test_arguments_that_make_no_sense_cost_nothing_but_a_line(api: OpenAI, stored: Any) -> None:
    odd: Any = {"name": 3, "trace_id": "short", "metadata": object(), "langfuse_prompt": object(), "langfuse_public_key": None}
    assert api.chat.completions.create(model="fake", messages=MESSAGES, **odd).choices
    assert only(stored)["name"] == "OpenAI-generation"


# ---------------------------------------------------------------------------------------------------- streams


def test_a_streamed_chat(api: OpenAI, stored: Any) -> None:
    stream = api.chat.completions.create(
        model="fake", messages=MESSAGES, stream=True, stream_options={"include_usage": True}
    )
    assert isinstance(stream, openai.Stream)
    chunks = list(stream)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == ANSWER
    row = only(stored)
    assert row["output"] == ANSWER
    assert row.said("usage_details")["total_tokens"] == 18
    assert row.said("metadata.finish_reason") == "stop"
    assert row.said("model.name") == "fake-2026-01-01"
    assert row["start"] < row["completion_start"] < row["end"]


def test_streamed_tool_calls(api: OpenAI, stored: Any) -> None:
    for _ in api.chat.completions.create(model="calls", messages=MESSAGES, stream=True):
        pass
    call = {"function": {"name": "weather", "arguments": '{"city": "Oslo"}'}, "id": "call_1", "type": "function"}
    assert only(stored).said("output") == {"role": "assistant", "tool_calls": [call], "content": ""}


def test_other_streams(api: OpenAI, stored: Any) -> None:
    for _ in api.completions.create(model="fake", prompt="once", stream=True):
        pass
    kinds = [event.type for event in api.responses.create(model="fake", input="x", stream=True, name="response")]
    assert kinds[-1] == "response.completed"
    paths = stored().paths()
    assert paths["OpenAI-generation"]["output"] == ANSWER
    response = paths["response"]
    assert response.said("output")["content"][0]["text"] == ANSWER
    assert response.said("usage_details")["input_tokens"] == 11
    assert response.said("metadata.status") == "completed"
    assert response["completion_start"]


def leave_by_break(stream: Any) -> None:
    for chunk in stream:
        if chunk.choices[0].delta.content:
            break


def leave_by_close(stream: Any) -> None:
    next(stream), next(stream)
    stream.close()


def leave_by_with(stream: Any) -> None:
    with stream:
        next(stream), next(stream)


def leave_by_forgetting(stream: Any) -> None:
    next(stream), next(stream)


@pytest.mark.parametrize("leave", [leave_by_break, leave_by_close, leave_by_with, leave_by_forgetting])
def test_a_stream_that_is_left_early_ends_its_observation(api: OpenAI, stored: Any, leave: Any) -> None:
    held = [api.chat.completions.create(model="hangs", messages=MESSAGES, stream=True)]
    leave(held[0])
    if leave is leave_by_forgetting:
        held.clear()
        gc.collect()
    row = only(stored)
    assert row["output"] == PIECES[0]
    assert row.said("level") is None
    for stream in held:
        stream.close()


def test_a_stream_that_breaks_keeps_what_had_come(api: OpenAI, stored: Any) -> None:
    with pytest.raises(openai.APIError, match="it broke"):
        list(api.chat.completions.create(model="breaks", messages=MESSAGES, stream=True))
    row = only(stored)
    assert (row["output"], row.said("level")) == ("".join(PIECES[:2]), "ERROR")
    assert "it broke" in row["status_message"]


def test_a_long_stream_is_kept_up_to_a_bound(api: OpenAI, stored: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tracespool.integrations._openai_chunks.MAX_TEXT", 9)
    for _ in api.chat.completions.create(model="fake", messages=MESSAGES, stream=True):
        pass
    assert only(stored)["output"] == f"{ANSWER[:9]}[truncated {len(ANSWER) - 9} characters]"


def test_the_packages_own_streaming_helpers(api: OpenAI, stored: Any) -> None:
    with api.chat.completions.stream(model="fake", messages=MESSAGES) as stream:
        stream.until_done()
        assert stream.get_final_completion().choices[0].message.content == ANSWER
    with api.chat.completions.stream(model="hangs", messages=MESSAGES) as stream:
        for event in stream:
            if event.type == "content.delta" and event.delta:
                break
    with api.responses.stream(model="fake", input="x") as events:
        assert events.get_final_response().output_text == ANSWER
    first, second, third = stored().rows()
    assert first["output"] == ANSWER
    assert second["output"] == PIECES[0]
    assert third.said("output")["content"][0]["text"] == ANSWER


def test_raw_responses(api: OpenAI, stored: Any) -> None:
    raw = api.chat.completions.with_raw_response.create(model="fake", messages=MESSAGES, name="raw")
    assert raw.headers["x-request-id"] == "req_1"
    assert raw.parse().choices[0].message.content == ANSWER
    streamed = api.chat.completions.with_raw_response.create(model="fake", messages=MESSAGES, stream=True, name="raw stream")
    assert len(list(streamed.parse())) == len(PIECES) + 2
    paths = stored().paths()
    assert paths["raw"].said("output")["content"] == ANSWER
    assert paths["raw stream"]["output"] == ANSWER


def test_streaming_responses(api: OpenAI, stored: Any) -> None:
    calls = api.chat.completions.with_streaming_response
    with calls.create(model="fake", messages=MESSAGES, name="parsed") as response:
        assert response.parse().choices[0].message.content == ANSWER
    with calls.create(model="fake", messages=MESSAGES, name="lines") as response:
        assert len(list(response.iter_lines())) > 0
    with calls.create(model="fake", messages=MESSAGES, name="stream", stream=True) as response:
        assert len(list(response.parse())) == len(PIECES) + 2
    with calls.create(model="fake", messages=MESSAGES, name="unread"):
        pass
    paths = stored().paths()
    assert paths["parsed"].said("output")["content"] == ANSWER
    assert paths["parsed"].said("usage_details")["total_tokens"] == 18
    assert paths["stream"]["output"] == ANSWER
    assert paths["lines"]["output"] is None
    assert paths["unread"]["output"] is None


def test_raw_responses_can_be_left_out(api: OpenAI, server: OpenAIServer, stored: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("LANGFUSE_OPENAI_SKIP_RAW_RESPONSES", "True")
    api.chat.completions.with_raw_response.create(model="fake", messages=MESSAGES, name="raw")
    assert "name" not in server.requests[0]["body"]
    assert stored().rows() == []


# ---------------------------------------------------------------------------------------------------- asyncio


def test_async_calls_and_streams(async_api: Any, client: tracespool.Client, stored: Any) -> None:
    async def main() -> None:
        async with async_api() as api:
            with client.start_as_current_observation(name="outer"):
                await api.chat.completions.create(model="fake", messages=MESSAGES, name="chat")
                await api.embeddings.create(model="fake", input="a")
                await api.responses.create(model="fake", input="a", name="response")
                stream = await api.chat.completions.create(model="fake", messages=MESSAGES, stream=True, name="stream")
                assert isinstance(stream, openai.AsyncStream)
                assert len([chunk async for chunk in stream]) == len(PIECES) + 2
                async with api.chat.completions.stream(model="fake", messages=MESSAGES) as helper:
                    assert (await helper.get_final_completion()).choices[0].message.content == ANSWER
                raw = await api.chat.completions.with_raw_response.create(model="fake", messages=MESSAGES, name="raw")
                assert raw.parse().choices
                calls = api.chat.completions.with_streaming_response
                async with calls.create(model="fake", messages=MESSAGES, name="streaming") as response:
                    assert (await response.parse()).choices
                async with calls.create(model="fake", messages=MESSAGES, name="streamed", stream=True) as response:
                    assert len([chunk async for chunk in await response.parse()]) == len(PIECES) + 2

    asyncio.run(main())
    paths = stored().paths()
    for name in ("chat", "raw", "streaming"):
        assert paths[f"outer/{name}"].said("output")["content"] == ANSWER, name
    for name in ("stream", "OpenAI-generation", "streamed"):
        assert paths[f"outer/{name}"]["output"] == ANSWER, name
    assert paths["outer/response"].said("output")["content"][0]["text"] == ANSWER
    assert paths["outer/OpenAI-embedding"].said("output")["count"] == 2


@pytest.mark.parametrize("how", ["break", "close", "with", "cancel"])
def test_an_async_stream_that_is_left_early_ends_its_observation(async_api: Any, stored: Any, how: str) -> None:
    async def main() -> None:
        async with async_api() as api:
            stream = await api.chat.completions.create(model="hangs", messages=MESSAGES, stream=True)
            if how == "cancel":

                async def read() -> None:
                    async for _ in stream:
                        pass

                task = asyncio.create_task(read())
                await asyncio.sleep(0.2)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            elif how == "break":
                async for chunk in stream:
                    if chunk.choices[0].delta.content:
                        break
            elif how == "close":
                await stream.__anext__(), await stream.__anext__()
                await stream.close()
            else:
                async with stream:
                    await stream.__anext__(), await stream.__anext__()
            row = only(stored)
            assert row["output"].startswith(PIECES[0])
            assert row.said("level") == ("ERROR" if how == "cancel" else None)
            await stream.close()

    asyncio.run(main())


# ---------------------------------------------------------------------------------------------------- the patch


def test_the_patch_is_idempotent_and_can_be_taken_back(api: OpenAI, stored: Any) -> None:
    completions = type(api.chat.completions)
    before = completions.__dict__["create"]
    integration.patch()
    assert completions.__dict__["create"] is before
    assert "messages" in inspect.signature(completions.create).parameters
    integration.unpatch()
    try:
        assert not hasattr(completions.__dict__["create"], "_tracespool_original")
        assert not hasattr(openai.Stream.__dict__["__iter__"], "_tracespool_original")
        with pytest.raises(TypeError):
            api.chat.completions.create(model="fake", messages=MESSAGES, langfuse_prompt=None)
        api.chat.completions.create(model="fake", messages=MESSAGES)
        assert stored().rows() == []
    finally:
        integration.patch()


def test_a_missing_argument_raises_as_before(api: OpenAI, stored: Any) -> None:
    with pytest.raises(TypeError, match="Missing required arguments"):
        api.chat.completions.create(model="fake")  # type: ignore[call-overload]
    assert only(stored).said("level") == "ERROR"
