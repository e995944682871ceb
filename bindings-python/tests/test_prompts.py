"""Prompts against the real collector: caching, single flight, failures, isolation, event loops, forks."""

from __future__ import annotations

import asyncio
import json
import os
import pickle
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import trio

import tracespool
from tracespool import errors
from tracespool.prompt import ChatPromptClient, TextPromptClient

PROMPTS = "/api/public/v2/prompts"


class Faults:
    """The collector's misbehaviour towards one key, at the prompts endpoint."""

    def __init__(self, url: str, key: str) -> None:
        self.url, self.key = url, key

    def _send(self, method: str, body: Any = None) -> Any:
        request = urllib.request.Request(
            f"{self.url}/api/v1/faults", method=method, data=None if body is None else json.dumps(body).encode()
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def set(self, fault: str, **more: Any) -> None:
        self._send("PUT", [{"fault": fault, "path": PROMPTS, "key": self.key, **more}])

    def hits(self) -> int:
        answer = self._send("GET")
        listed = answer if isinstance(answer, list) else answer.get("data", answer.get("faults"))
        return sum(fault["hits"] for fault in listed)

    def clear(self) -> None:
        self._send("DELETE")


@pytest.fixture
def faults(collector: Any, key: str) -> Iterator[Faults]:
    made = Faults(collector.url, key)
    yield made
    made.clear()


@pytest.fixture
def greeting(client: tracespool.Client) -> TextPromptClient:
    made = client.create_prompt(
        name="greet/ing", prompt="Hi {{ name }}", labels=["production"], config={"t": 0.5, "n": 2**63}, tags=["a"], commit_message="first"
    )
    assert isinstance(made, TextPromptClient)
    return made


def elapsed(call: Callable[[], Any]) -> tuple[float, Any]:
    began = time.perf_counter()
    try:
        result = call()
    except Exception as error:
        result = error
    return time.perf_counter() - began, result


def test_a_prompt_is_made_read_and_labelled(client: tracespool.Client, greeting: TextPromptClient) -> None:
    assert (greeting.name, greeting.version, greeting.prompt) == ("greet/ing", 1, "Hi {{ name }}")
    assert greeting.labels == ["latest", "production"]
    read = client.get_prompt("greet/ing")
    assert read == greeting and not read.is_fallback
    assert (read.config, read.tags, read.commit_message) == ({"t": 0.5, "n": 2**63}, ["a"], "first")
    assert read.compile(name="Ada") == "Hi Ada"
    assert client.get_prompt("greet/ing", version=1) == client.get_prompt("greet/ing", label="latest") == read
    chat = client.create_prompt(
        name="chat", type="chat", labels=["production"],
        prompt=[{"role": "system", "content": "Be {{tone}}"}, {"type": "placeholder", "name": "history"}],
    )
    assert isinstance(chat, ChatPromptClient)
    # The server knows what it is, whatever the caller takes it for.
    assert client.get_prompt("chat") == client.get_prompt("chat", type="chat") == chat
    copied = client.create_prompt(name="copy", type="chat", prompt=chat.prompt, labels=["production"])
    assert copied.prompt == chat.prompt
    # A write is seen at once, under every label and version of that name.
    assert client.create_prompt(name="greet/ing", prompt="Hello {{name}}", labels=["production"]).version == 2
    assert client.get_prompt("greet/ing").prompt == "Hello {{name}}"
    assert "canary" in client.update_prompt(name="greet/ing", version=1, new_labels=["canary"]).labels
    assert client.get_prompt("greet/ing", version=1).labels == ["canary"]
    # What one caller does with its prompt is nobody else's business.
    client.get_prompt("greet/ing").config["mine"] = 1
    assert client.get_prompt("greet/ing").config == {}


def test_what_cannot_be_asked_for_is_an_error_like_langfuses(client: tracespool.Client, greeting: TextPromptClient) -> None:
    with pytest.raises(ValueError, match="Cannot specify both version and label"):
        client.get_prompt("x", version=1, label="a", fallback="f")
    with pytest.raises(ValueError, match="cannot be empty"):
        client.get_prompt("")
    with pytest.raises(ValueError, match="must be a list"):
        client.create_prompt(name="c", prompt="text", type="chat")
    with pytest.raises(ValueError, match="must be a string"):
        client.create_prompt(name="c", prompt=[])
    for call in (lambda: client.get_prompt("none"), lambda: client.update_prompt(name="greet/ing", version=9, new_labels=["a"])):
        with pytest.raises(errors.NotFoundError) as caught:
            call()
        assert caught.value.status_code == 404 and caught.value.body["error"] == "LangfuseNotFoundError"
        copy = pickle.loads(pickle.dumps(caught.value))
        assert isinstance(copy, errors.NotFoundError) and str(copy) == str(caught.value)
    with pytest.raises(errors.Error) as refused:
        client.create_prompt(name="greet/ing", prompt=[{"role": "user", "content": "x"}], type="chat")
    assert refused.value.status_code == 400
    for fallback, kind in (("text", "chat"), ([{"role": "user", "content": "x"}], "text")):
        with pytest.raises(ValueError, match="fallback"):
            client.get_prompt("none", fallback=fallback, type=kind)


def test_langfuses_and_httpxs_own_classes_catch_ours(client: tracespool.Client, faults: Faults, dead_client: tracespool.Client) -> None:
    import httpx
    from langfuse.api import NotFoundError
    from langfuse.api.core import ApiError

    with pytest.raises(NotFoundError):
        client.get_prompt("none")
    with pytest.raises(ApiError):
        client.get_prompt("none", version=3)
    with pytest.raises(httpx.ConnectError), dead_client.use():
        dead_client.get_prompt("any", max_retries=0)
    faults.set("hang")
    with pytest.raises(httpx.TimeoutException) as caught:
        client.get_prompt("slow", fetch_timeout_seconds=0.2)
    assert isinstance(caught.value, TimeoutError) and isinstance(caught.value, errors.RequestTimeoutError)


def test_a_client_without_keys_raises_or_falls_back_and_one_that_does_not_trace_reads_prompts(
    collector: Any, key: str, greeting: TextPromptClient, caplog: pytest.LogCaptureFixture
) -> None:
    keyless = tracespool.Client(base_url=collector.url)
    with pytest.raises(errors.Error, match="no usable keys"):
        keyless.get_prompt("greet/ing")
    with pytest.raises(errors.Error):
        keyless.create_prompt(name="x", prompt="x")
    assert keyless.get_prompt("greet/ing", fallback="f {{x}}").compile(x=1) == "f 1"
    keyless.clear_prompt_cache()
    silent = tracespool.Client(public_key=key, secret_key="sk-very-secret", base_url=collector.url, tracing_enabled=False)
    assert not silent.enabled
    assert silent.get_prompt("greet/ing") == greeting
    silent.start_observation(name="unseen").end()
    silent.create_score(name="unseen", value=1, trace_id="0" * 31 + "1")
    assert silent.flush(1.0)["delivered"] == 0


def test_fifty_threads_wait_for_one_fetch(client: tracespool.Client, greeting: TextPromptClient, faults: Faults) -> None:
    faults.set("delay:300")
    began = time.perf_counter()
    barrier = threading.Barrier(50)

    def read(_: int) -> Any:
        barrier.wait()
        return client.get_prompt("greet/ing")

    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(read, range(50)))
    assert all(answer == greeting for answer in answers)
    assert faults.hits() == 1
    assert time.perf_counter() - began < 2.5


def test_what_is_stale_is_given_out_at_once_while_it_is_renewed(client: tracespool.Client, greeting: TextPromptClient, faults: Faults) -> None:
    assert client.get_prompt("greet/ing", cache_ttl_seconds=0.2).version == 1
    # Somebody else writes.
    other = {"name": "greet/ing", "type": "text", "prompt": "new", "labels": ["production"]}
    write(faults, other)
    assert client.get_prompt("greet/ing").version == 1
    time.sleep(0.3)
    faults.set("delay:200")
    seconds, stale = elapsed(lambda: client.get_prompt("greet/ing"))
    assert stale.version == 1 and seconds < 0.1
    for _ in range(20):
        client.get_prompt("greet/ing")
    assert wait_until(lambda: client.get_prompt("greet/ing").version == 2)
    assert faults.hits() == 1
    # Zero goes past the cache, and renews what is there.
    faults.clear()
    write(faults, {**other, "prompt": "newer"})
    assert client.get_prompt("greet/ing").version == 2
    assert client.get_prompt("greet/ing", cache_ttl_seconds=0).version == 3
    assert client.get_prompt("greet/ing").version == 3
    write(faults, {**other, "prompt": "newest"})
    client.clear_prompt_cache()
    assert client.get_prompt("greet/ing").version == 4


def write(faults: Faults, prompt: dict[str, Any]) -> None:
    import base64

    credentials = base64.b64encode(f"{faults.key}:sk-very-secret".encode()).decode()
    headers = {"authorization": f"Basic {credentials}", "content-type": "application/json"}
    request = urllib.request.Request(faults.url + PROMPTS, method="POST", data=json.dumps(prompt).encode(), headers=headers)
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200


def wait_until(true: Callable[[], bool], seconds: float = 5.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if true():
            return True
        time.sleep(0.02)
    return False


def test_a_hung_server_costs_one_deadline_and_not_one_per_call(client: tracespool.Client, greeting: TextPromptClient, faults: Faults) -> None:
    faults.set("hang")
    seconds, prompt = elapsed(lambda: client.get_prompt("greet/ing", fallback="f", fetch_timeout_seconds=0.5))
    assert prompt.is_fallback and 0.45 < seconds < 1.0
    began = time.perf_counter()
    for _ in range(200):
        assert client.get_prompt("greet/ing", fallback="f", fetch_timeout_seconds=0.5).is_fallback
        with pytest.raises(TimeoutError):
            client.get_prompt("greet/ing", fetch_timeout_seconds=0.5)
    assert time.perf_counter() - began < 1.0
    assert faults.hits() == 1
    # Who has more time may use it, and no other prompt or client pays.
    faults.clear()
    assert client.get_prompt("greet/ing", fallback="f", fetch_timeout_seconds=5).version == 1


def test_many_who_wait_for_a_hung_server_are_let_go_together(client: tracespool.Client, faults: Faults) -> None:
    faults.set("hang")
    with ThreadPoolExecutor(50) as pool:
        waits = list(pool.map(lambda _: elapsed(lambda: client.get_prompt("p", fallback="f", fetch_timeout_seconds=0.5)), range(50)))
    assert all(prompt.is_fallback for _, prompt in waits)
    assert max(seconds for seconds, _ in waits) < 1.2
    assert faults.hits() == 1


def test_errors_are_repeated_within_the_deadline_and_then_told(client: tracespool.Client, greeting: TextPromptClient, faults: Faults) -> None:
    faults.set("500", count=2)
    assert client.get_prompt("greet/ing") == greeting
    client.clear_prompt_cache()
    faults.set("500", count=2)
    with pytest.raises(errors.ApiError) as caught:
        client.get_prompt("greet/ing", max_retries=1)
    assert caught.value.status_code == 500 and faults.hits() == 2
    client.clear_prompt_cache()
    faults.set("429:60")
    seconds, error = elapsed(lambda: client.get_prompt("greet/ing"))
    assert error.status_code == 429 and seconds < 1.0
    client.clear_prompt_cache()
    faults.set("301")
    with pytest.raises(errors.ApiError) as redirected:
        client.get_prompt("greet/ing")
    assert redirected.value.status_code == 301
    client.clear_prompt_cache()
    # A write that may have been carried out is not carried out twice.
    faults.set("500")
    with pytest.raises(errors.ApiError):
        client.create_prompt(name="once", prompt="x")
    assert faults.hits() == 1


def test_a_stale_prompt_outlives_its_server(client: tracespool.Client, greeting: TextPromptClient, faults: Faults) -> None:
    client.get_prompt("greet/ing", cache_ttl_seconds=0.05)
    faults.set("500")
    time.sleep(0.1)
    for _ in range(100):
        assert client.get_prompt("greet/ing") == greeting
        time.sleep(0.01)
    assert 1 <= faults.hits() <= 3


def test_nobody_sees_anothers_prompts(collector: Any, key: str, client: tracespool.Client, greeting: TextPromptClient, faults: Faults) -> None:
    assert client.get_prompt("greet/ing") == greeting
    other = tracespool.Client(public_key=f"{key}-other", secret_key="sk", base_url=collector.url)
    with pytest.raises(errors.NotFoundError):
        other.get_prompt("greet/ing")
    # The same public key with another secret: its own request, and the server's own answer.
    faults.set("401")
    wrong = tracespool.Client(public_key=key, secret_key="sk-wrong", base_url=collector.url)
    with pytest.raises(errors.UnauthorizedError):
        wrong.get_prompt("greet/ing")
    assert faults.hits() == 1
    assert client.get_prompt("greet/ing") == greeting
    tracespool.cleanup_client(f"{key}-other", timeout=0.0)


def test_a_client_that_is_cleaned_up_takes_its_prompts_along(client: tracespool.Client, greeting: TextPromptClient, key: str, faults: Faults) -> None:
    client.get_prompt("greet/ing")
    faults.set("delay:1")
    client.get_prompt("greet/ing")
    assert faults.hits() == 0
    tracespool.cleanup_client(key, timeout=1.0)
    assert client.get_prompt("greet/ing") == greeting
    assert faults.hits() == 1


@pytest.mark.parametrize("run", [asyncio.run, lambda main: trio.run(lambda: main)], ids=["asyncio", "trio"])
def test_an_event_loop_turns_while_a_prompt_is_fetched(run: Any, client: tracespool.Client, greeting: TextPromptClient, faults: Faults) -> None:
    faults.set("delay:300")
    threads = threading.active_count()

    async def main() -> tuple[Any, float, list[str]]:
        sleep = trio.sleep if run is not asyncio.run else asyncio.sleep
        longest, last, done = 0.0, time.perf_counter(), []

        async def read() -> Any:
            prompt = await client.aget_prompt("greet/ing")
            done.append("read")
            return prompt

        async def tick() -> None:
            nonlocal longest, last
            while not done:
                await sleep(0.005)
                longest, last = max(longest, time.perf_counter() - last), time.perf_counter()

        if run is asyncio.run:
            prompt, *_ = await asyncio.gather(read(), tick())
        else:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(tick)
                prompt = await read()
        assert (await client.aget_prompt("none", fallback="f")).is_fallback
        with pytest.raises(errors.NotFoundError):
            await client.aget_prompt("none", version=7)
        made = await client.acreate_prompt(name="from-a-loop", prompt="x")
        assert (await client.aupdate_prompt(name="from-a-loop", version=made.version, new_labels=["l"])).labels == ["l", "latest"]
        return prompt, longest, done

    prompt, longest, done = run(main())
    assert prompt == greeting and done == ["read"]
    assert longest < 0.2, longest
    assert threading.active_count() == threads


def test_a_wait_that_is_cancelled_hurts_nobody(client: tracespool.Client, greeting: TextPromptClient, faults: Faults) -> None:
    faults.set("delay:300")

    async def main() -> Any:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(client.aget_prompt("greet/ing"), 0.05)
        return await client.aget_prompt("greet/ing")

    assert asyncio.run(main()) == greeting
    assert faults.hits() == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_reads_prompts_of_its_own(client: tracespool.Client, greeting: TextPromptClient, faults: Faults) -> None:
    client.get_prompt("greet/ing")
    faults.set("delay:500", count=1)
    ticket = client.begin_get_prompt("greet/ing", chat=False, version=1, label=None, ttl=None, fallback=False, retries=0, timeout=3.0)
    child = os.fork()
    if child == 0:
        code = 3
        try:
            began = time.perf_counter()
            inherited = ticket.poll()
            code = 0 if inherited and inherited["error"] == "failed" and client.get_prompt("greet/ing") == greeting else 1
            code = code if time.perf_counter() - began < 2 else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert ticket.wait()["version"] == 1


def test_waiting_can_be_interrupted_and_releases_the_interpreter(client: tracespool.Client, faults: Faults) -> None:
    import _thread

    faults.set("hang")
    ticks: list[float] = []

    def interrupt() -> None:
        for _ in range(20):
            ticks.append(time.perf_counter())
            time.sleep(0.01)
        _thread.interrupt_main()

    threading.Thread(target=interrupt).start()
    began = time.perf_counter()
    with pytest.raises(KeyboardInterrupt):
        client.get_prompt("p", fetch_timeout_seconds=5)
    assert time.perf_counter() - began < 1.5 and len(ticks) == 20


def test_an_observation_is_linked_to_a_prompt_but_not_to_a_fallback(
    client: tracespool.Client, greeting: TextPromptClient, sent: Callable[[], dict[str, dict[str, Any]]]
) -> None:
    from langfuse.api import Prompt_Text
    from langfuse.model import TextPromptClient as Theirs

    theirs = Prompt_Text(name="greet/ing", version=1, prompt="x", config={}, labels=[], tags=[])
    prompts = {
        "ours": client.get_prompt("greet/ing"),
        "theirs": Theirs(theirs),
        "fallback": client.get_prompt("none", fallback="f"),
        "their fallback": Theirs(theirs, is_fallback=True),
    }
    for name, prompt in prompts.items():
        client.start_observation(name=name, as_type="generation", prompt=prompt).end()
    later = client.start_observation(name="later", as_type="generation")
    later.update(prompt=prompts["ours"]).end()
    with tracespool.propagate_attributes(prompt=prompts["ours"]):
        client.start_observation(name="propagated", as_type="generation").end()
    rows = sent()
    linked = {name: (row.get("prompt_name"), row.get("prompt_version")) for name, row in rows.items()}
    for name in ("ours", "theirs", "later", "propagated"):
        assert linked[name] == ("greet/ing", 1), linked
    for name in ("fallback", "their fallback"):
        assert linked[name] == (None, None), linked


def test_bad_numbers_are_told_and_do_not_stand(client: tracespool.Client, greeting: TextPromptClient, caplog: pytest.LogCaptureFixture) -> None:
    prompt = client.get_prompt("greet/ing", cache_ttl_seconds="soon", max_retries=None, fetch_timeout_seconds=-1)  # type: ignore[arg-type]
    assert prompt == greeting
    assert "cache_ttl_seconds='soon'" in caplog.text and "fetch_timeout_seconds=-1" in caplog.text


def test_a_fallback_is_told_once_a_minute(client: tracespool.Client, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(10):
        client.get_prompt("told", fallback="f")
    assert caplog.text.count("the fallback is used") == 1
