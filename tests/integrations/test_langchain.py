"""The LangChain handler: real LangChain and LangGraph, checked in the collector."""

from __future__ import annotations

import asyncio
import copy
import gc
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.documents import Document
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.language_models.llms import LLM
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, SystemMessage, ToolMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.outputs import ChatGenerationChunk, LLMResult
from langchain_core.prompts import ChatPromptTemplate, PromptTemplate
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableLambda, RunnableParallel
from langchain_core.tools import tool
from langgraph.checkpoint.memory import MemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import Command, interrupt
from stored import Stored

import tracespool
from tracespool.integrations import _langchain_runs, _warning
from tracespool.langfuse.langchain import CallbackHandler

METADATA = {
    "langfuse_session_id": "session-1",
    "langfuse_user_id": "user-1",
    "langfuse_tags": ["tag-1"],
    "langfuse_trace_name": "the trace",
    "plan": "pro",
}
USAGE = {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15, "input_token_details": {"cache_read": 3}}


def model(**more: Any) -> GenericFakeChatModel:
    def answers() -> Iterator[AIMessage]:
        while True:
            yield AIMessage("Forty-two é", usage_metadata=USAGE, response_metadata={"model_name": "gpt-5.6"})

    return GenericFakeChatModel(messages=answers(), **more)


@pytest.fixture
def handler(client: tracespool.Client) -> CallbackHandler:
    return CallbackHandler(client=client)


@pytest.fixture
def chain() -> Any:
    return ChatPromptTemplate.from_messages([("system", "be brief"), ("human", "{q}")]) | model() | StrOutputParser()


def test_a_chain_with_what_its_metadata_says_of_the_trace(handler: CallbackHandler, chain: Any, stored: Any) -> None:
    config = {"callbacks": [handler], "metadata": METADATA, "tags": ["run"], "run_name": "answer"}
    assert chain.invoke({"q": "what?"}, config=config) == "Forty-two é"
    paths = stored().paths()
    assert list(paths) == [
        "answer",
        "answer/ChatPromptTemplate",
        "answer/GenericFakeChatModel",
        "answer/StrOutputParser",
    ]
    root = paths["answer"]
    assert (root.said("type"), root.said("input"), root["output"]) == ("chain", {"q": "what?"}, "Forty-two é")
    assert root.said("metadata.is_langchain_root") is True
    assert root.said("metadata.tags") == ["run"]
    assert "langfuse.observation.metadata.langfuse_session_id" not in root["attributes"]
    assert handler.last_trace_id == root["trace_id"]
    for row in paths.values():
        said = row["attributes"]
        assert (said["session.id"], said["user.id"], said["langfuse.trace.name"]) == ("session-1", "user-1", "the trace")
        assert sorted(said["langfuse.trace.tags"]) == ["run", "tag-1"]
        assert said["langfuse.trace.metadata.plan"] == "pro"
    asked = paths["answer/GenericFakeChatModel"]
    assert asked.said("type") == "generation"
    assert asked.said("input") == [{"role": "system", "content": "be brief"}, {"role": "user", "content": "what?"}]
    assert asked.said("output") == {"role": "assistant", "content": "Forty-two é"}
    assert asked.said("usage_details") == {"input": 7, "output": 5, "total": 15, "input_cache_read": 3}
    prompt = paths["answer/ChatPromptTemplate"].said("output")["messages"]
    assert [message["type"] for message in prompt] == ["system", "human"]


def test_it_goes_below_what_is_current_and_what_runs_inside_goes_below_it(
    handler: CallbackHandler, client: tracespool.Client, stored: Any
) -> None:
    @tool
    def add(a: int, b: int) -> int:
        """Adds."""
        with client.start_as_current_observation(name="inside"):
            return a + b

    with client.start_as_current_observation(name="outer"):
        result = add.invoke({"a": 1, "b": 2}, config={"callbacks": [handler]})
        with client.start_as_current_observation(name="after"):
            pass
    assert result == 3
    paths = stored().paths()
    assert set(paths) == {"outer", "outer/add", "outer/add/inside", "outer/after"}
    assert (paths["outer/add"].said("type"), paths["outer/add"].said("input")) == ("tool", {"a": 1, "b": 2})
    assert paths["outer/add"].said("output") == 3


def test_async_chains_nest_and_leave_nothing_behind(
    handler: CallbackHandler, client: tracespool.Client, chain: Any, stored: Any
) -> None:
    async def traced(value: Any) -> Any:
        with client.start_as_current_observation(name="inside"):
            await asyncio.sleep(0)
        return value

    whole = RunnableLambda(traced).with_config(run_name="step") | chain

    async def main() -> None:
        threads = threading.active_count()
        await RunnableLambda(traced).ainvoke(1, config={"callbacks": [handler], "run_name": "alone"})
        assert threading.active_count() == threads
        for at in range(3):
            await whole.ainvoke({"q": str(at)}, config={"callbacks": [handler], "run_name": f"run-{at}"})
        assert client.get_current_observation_id() is None
        with client.start_as_current_observation(name="after"):
            pass
        pieces = [piece async for piece in chain.astream({"q": "s"}, config={"callbacks": [handler], "run_name": "stream"})]
        assert "".join(pieces) == "Forty-two é"

    asyncio.run(main())
    paths = stored().paths()
    for at in range(3):
        assert f"run-{at}/step/inside" in paths
        assert paths[f"run-{at}/GenericFakeChatModel"].said("usage_details")["output"] == 5
    assert paths["after"]["parent"] is None
    assert paths["stream"]["output"] == "Forty-two é"
    assert paths["stream"].said("input") == {"q": "s"}
    assert paths["stream/GenericFakeChatModel"]["completion_start"]


def test_parallel_runs_have_their_own_parents(handler: CallbackHandler, client: tracespool.Client, stored: Any) -> None:
    def work(value: int) -> int:
        with client.start_as_current_observation(name=f"work-{value}"):
            return value + 1

    step = RunnableLambda(work).with_config(run_name="step")
    both = RunnableParallel(a=step, b=step).with_config(run_name="both")
    config = [{"callbacks": [handler], "run_name": f"batch-{at}"} for at in range(20)]
    results = both.batch([at * 10 for at in range(20)], config=config)
    assert results[3] == {"a": 31, "b": 31}

    async def main() -> None:
        async def one(at: int) -> None:
            await both.ainvoke(at * 10, config={"callbacks": [handler], "run_name": f"task-{at}"})

        await asyncio.gather(*(one(at) for at in range(20)))

    asyncio.run(main())
    rows = stored().rows()
    known = {row["span_id"]: row for row in rows}
    inner = [row for row in rows if row["name"].startswith("work-")]
    assert len(inner) == 80
    for row in inner:
        step_row = known[row["parent"]]
        root = known[step_row["parent"]]
        assert step_row.said("input") == root.said("input") == int(row["name"].split("-")[1])
        assert root["parent"] is None
        assert root["trace_id"] == row["trace_id"]


def test_threads_without_a_context(handler: CallbackHandler, stored: Any) -> None:
    root, child = uuid4(), uuid4()
    handler.on_chain_start(None, {"q": 1}, run_id=root, name="root")
    thread = threading.Thread(
        target=lambda: (
            handler.on_chain_start(None, {"q": 2}, run_id=child, parent_run_id=root, name="child"),
            handler.on_chain_end({"a": 2}, run_id=child, parent_run_id=root),
        )
    )
    thread.start()
    thread.join()
    handler.on_chain_end({"a": 1}, run_id=root)
    assert list(stored().paths()) == ["root", "root/child"]


def test_errors(handler: CallbackHandler, stored: Any) -> None:
    def fail(_: Any) -> None:
        raise ValueError("it failed")

    @tool
    def broken(a: int) -> int:
        """Breaks."""
        raise KeyError("tool")

    class Dead(LLM):
        def _call(self, prompt: str, stop: Any = None, run_manager: Any = None, **_: Any) -> str:
            raise RuntimeError("no model")

        @property
        def _llm_type(self) -> str:
            return "dead"

    config = {"callbacks": [handler]}
    with pytest.raises(ValueError):
        (RunnableLambda(lambda x: x) | RunnableLambda(fail).with_config(run_name="fails")).invoke(1, config=config)
    with pytest.raises(KeyError):
        broken.invoke({"a": 1}, config=config)
    with pytest.raises(RuntimeError):
        Dead().invoke("p", config=config)
    error = ToolMessage("bad arguments", tool_call_id="c", status="error")
    run = uuid4()
    handler.on_tool_start({"name": "told"}, "x", run_id=run)
    handler.on_tool_end(error, run_id=run)
    paths = stored().paths()
    assert (paths["RunnableSequence/fails"]["level"], paths["RunnableSequence/fails"]["status_message"]) == ("ERROR", "it failed")
    assert paths["RunnableSequence"]["level"] == "ERROR"
    assert paths["broken"]["status_message"] == "'tool'"
    assert paths["Dead"].said("cost_details") == {"total": 0}
    assert (paths["told"]["level"], paths["told"]["status_message"]) == ("ERROR", "bad arguments")


def test_kinds_and_names(handler: CallbackHandler, stored: Any) -> None:
    class Shelf(BaseRetriever):
        def _get_relevant_documents(self, query: str, *, run_manager: Any) -> list[Document]:
            return [Document(f"page of {query}", metadata={"n": 1}, id="d1")]

    config: Any = {"callbacks": [handler]}
    Shelf().invoke("q", config=config)
    RunnableLambda(lambda x: x).invoke(1, config={**config, "run_name": "My Agent"})
    RunnableLambda(lambda x: x).invoke(1, config={**config, "run_name": "hidden", "tags": ["langsmith:hidden"]})
    run = uuid4()
    handler.on_chain_start(None, {}, run_id=run, name="turns out")
    handler.on_agent_action({"tool": "t"}, run_id=run)
    handler.on_chain_end({"done": True}, run_id=run)
    paths = stored().paths()
    assert paths["Shelf"].said("type") == "retriever"
    assert paths["Shelf"].said("output")[0] == {"id": "d1", "metadata": {"n": 1}, "page_content": "page of q", "type": "Document"}
    assert paths["My Agent"].said("type") == "agent"
    assert paths["hidden"]["level"] == "DEBUG"
    assert (paths["turns out"].said("type"), paths["turns out"].said("output")) == ("agent", {"done": True})


def test_models_parameters_tools_and_prompts(handler: CallbackHandler, stored: Any) -> None:
    run = uuid4()
    definition = {"type": "function", "function": {"name": "f", "parameters": {}}}
    handler.on_chat_model_start(
        {"id": ["langchain", "chat_models", "ChatOpenAI"], "kwargs": {}},
        [[SystemMessage("s"), AIMessage("", tool_calls=[{"name": "f", "args": {"a": 1}, "id": "c"}]), ToolMessage("r", tool_call_id="c")]],
        run_id=run,
        metadata={"ls_model_name": "gpt-5.6", "langfuse_user_id": "u"},
        invocation_params={"temperature": 0.3, "max_tokens": None, "model": "other", "tools": [definition]},
        name="asks",
    )
    handler.on_llm_end(LLMResult(generations=[[ChatGenerationChunk(message=AIMessageChunk("ok"))]]), run_id=run)
    prompt = ChatPromptTemplate.from_messages([("human", "{q}")]).with_config(
        metadata={"langfuse_prompt": {"name": "greet", "version": 7}}
    )
    two = prompt | model() | RunnableLambda(lambda answer: [answer]) | model()
    two.invoke({"q": "x"}, config={"callbacks": [handler]})
    rows = stored().rows()
    asks = rows[0]
    assert asks["model"] == "gpt-5.6"
    assert asks.said("model.parameters") == {"temperature": 0.3}
    roles = [message["role"] for message in asks.said("input")]
    assert roles == ["system", "assistant", "tool", "tool"]
    assert asks.said("input")[2]["tool_call_id"] == "c"
    assert asks.said("input")[3]["content"] == definition
    assert asks["attributes"]["user.id"] == "u"
    linked = [(row["prompt_name"], row["prompt_version"]) for row in rows if row["name"] == "GenericFakeChatModel"]
    assert linked == [("greet", 7), (None, None)]


def test_a_streamed_answer_that_fails_keeps_what_had_come(handler: CallbackHandler, stored: Any) -> None:
    class Breaks(GenericFakeChatModel):
        def _stream(
            self, messages: Any, stop: Any = None, run_manager: CallbackManagerForLLMRun | None = None, **_: Any
        ) -> Iterator[ChatGenerationChunk]:
            yield ChatGenerationChunk(message=AIMessageChunk("first "))
            raise RuntimeError("it broke")

    with pytest.raises(RuntimeError):
        list(Breaks(messages=iter([])).stream("q", config={"callbacks": [handler]}))
    row = stored().rows()[0]
    assert (row["level"], row["status_message"]) == ("ERROR", "it broke")
    assert row.said("output")["content"] == "first "


# ---------------------------------------------------------------------------------------------------- LangGraph


def asking_graph() -> Any:
    def ask(state: MessagesState) -> Any:
        return {"messages": [AIMessage(f"you said {interrupt('which?')}")]}

    graph = StateGraph(MessagesState)
    graph.add_node("ask", ask)
    graph.add_edge(START, "ask")
    graph.add_edge("ask", END)
    return graph.compile(checkpointer=MemorySaver())


def test_an_interrupted_graph_goes_on_in_its_trace(client: tracespool.Client, stored: Any) -> None:
    graph = asking_graph()

    def config(name: str, thread: str) -> Any:
        # Another handler each time, as servers make one for each request.
        return {"callbacks": [CallbackHandler(client=client)], "configurable": {"thread_id": thread}, "run_name": name}

    graph.invoke({"messages": [HumanMessage("hi")]}, config("first", "t1"))
    graph.invoke({"messages": [HumanMessage("hi")]}, config("other", "t2"))
    result = graph.invoke(Command(resume="this"), config("second", "t1"))
    assert result["messages"][-1].content == "you said this"
    graph.invoke({"messages": [HumanMessage("again")]}, config("third", "t1"))
    paths = stored().paths()
    assert "first/second/ask" in paths
    assert paths["first"]["trace_id"] == paths["first/second"]["trace_id"]
    assert (paths["first/ask"]["level"], paths["first"]["level"]) == ("DEFAULT", "DEFAULT")
    assert "Interrupt" in paths["first/ask"]["status_message"]
    assert paths["third"]["parent"] is None
    assert paths["other"]["trace_id"] != paths["first"]["trace_id"]


def test_an_async_graph(handler: CallbackHandler, client: tracespool.Client, stored: Any) -> None:
    async def think(state: MessagesState) -> Any:
        with client.start_as_current_observation(name="thinking"):
            answer = await model().ainvoke(state["messages"])
        return {"messages": [answer]}

    graph = StateGraph(MessagesState)
    graph.add_node("think", think)
    graph.add_edge(START, "think")
    graph.add_edge("think", END)
    app = graph.compile()
    asyncio.run(app.ainvoke({"messages": [HumanMessage("hi")]}, {"callbacks": [handler], "run_name": "graph"}))
    paths = stored().paths()
    assert "graph/think/thinking" in paths
    assert "graph/think/GenericFakeChatModel" in paths
    messages = paths["graph"].said("output")["messages"]
    assert [message["type"] for message in messages] == ["human", "ai"]
    assert messages[1]["usage_metadata"] == USAGE


# ---------------------------------------------------------------------------------------------------- bounds


def test_runs_that_never_end_are_bounded_by_number(handler: CallbackHandler, stored: Any, caplog: Any) -> None:
    handler._bounds.runs = 100
    for at in range(150):
        handler.on_chain_start(None, {"at": at}, run_id=uuid4(), name=f"lost-{at}")
    assert len(handler._runs) <= 100
    assert handler.evicted_runs == 150 - len(handler._runs)
    rows = stored().rows()
    assert len(rows) == handler.evicted_runs
    assert rows[0]["name"] == "lost-0"
    assert (rows[0]["level"], rows[0]["status_message"]) == ("WARNING", "the end of this run was never reported")
    assert "ended unseen" in caplog.text


def test_runs_that_never_end_are_bounded_by_bytes(handler: CallbackHandler, client: tracespool.Client, stored: Any) -> None:
    handler._bounds.bytes = 1024 * 1024
    for at in range(40):
        handler.on_chain_start(None, "x" * 100_000, run_id=uuid4(), name=f"lost-{at}")
    for at in range(400):
        handler.on_chain_start(None, "x", run_id=uuid4(), name="small")
    assert handler._runs.bytes <= 1024 * 1024
    assert handler.evicted_runs >= 30


def test_a_handler_that_is_dropped_ends_its_runs(client: tracespool.Client, stored: Any) -> None:
    handler = CallbackHandler(client=client)
    handler.on_chain_start(None, {}, run_id=uuid4(), name="lost")
    del handler
    gc.collect()
    assert stored().rows()[0]["level"] == "WARNING"


def test_a_handler_for_each_request_costs_nothing(client: tracespool.Client, chain: Any, stored: Any) -> None:
    threads = threading.active_count()
    for at in range(50):
        chain.invoke({"q": str(at)}, config={"callbacks": [CallbackHandler(client=client)]})
    assert threading.active_count() <= threads + 1
    assert len(stored().rows()) == 200


def test_nothing_raises(handler: CallbackHandler, stored: Any) -> None:
    odd: Any = object()
    handler.on_chain_start(odd, odd, run_id=uuid4(), tags=odd, metadata=odd)
    handler.on_chat_model_start(odd, [[odd]], run_id=uuid4(), invocation_params=odd)
    handler.on_llm_start(None, [], run_id=uuid4())
    handler.on_tool_start(None, odd, run_id=uuid4(), odd=odd)
    run = uuid4()
    handler.on_llm_start(None, ["p"], run_id=run, name="llm")
    handler.on_llm_end(odd, run_id=run)
    handler.on_llm_end(odd, run_id=uuid4())
    handler.on_chain_error(ValueError(), run_id=uuid4())
    handler.on_llm_new_token("t", run_id=uuid4())
    assert "llm" in stored().paths()


def test_the_client_is_the_current_one(collector: Any, key: str, chain: Any) -> None:
    shared = CallbackHandler()
    for tenant in ("a", "b"):
        client = tracespool.Client(public_key=f"{key}-{tenant}", secret_key="s", base_url=collector.url)
        with client.use():
            chain.invoke({"q": tenant}, config={"callbacks": [shared]})
        assert client.flush(5.0)["complete"]
        rows = Stored(collector, f"{key}-{tenant}").rows()
        assert len(rows) == 4
        assert rows[0].said("input") == {"q": tenant}
        tracespool.cleanup_client(f"{key}-{tenant}")


def test_what_is_sampled_out_stays_together(collector: Any, key: str) -> None:
    client = tracespool.Client(public_key=key, secret_key="s", base_url=collector.url, sample_rate=0.0)
    inside: list[Any] = []

    def look(value: Any) -> Any:
        inside.append(client.get_current_trace_id())
        return value

    handler = CallbackHandler(client=client)
    RunnableLambda(look).invoke(1, config={"callbacks": [handler]})
    assert inside == [handler.last_trace_id]
    assert client.get_current_trace_id() is None
    tracespool.cleanup_client(key)


def test_a_trace_of_ones_own(client: tracespool.Client, chain: Any, stored: Any) -> None:
    trace = "0123456789abcdef0123456789abcdef"
    handler = CallbackHandler(client=client, trace_context={"trace_id": trace})
    chain.invoke({"q": "x"}, config={"callbacks": [handler]})
    assert {row["trace_id"] for row in stored().rows()} == {trace}
    assert handler.last_trace_id == trace


def test_without_langchain_the_import_says_what_is_missing() -> None:
    source = (
        "import sys; sys.modules['langchain_core'] = None\n"
        "try:\n    import tracespool.langfuse.langchain\n"
        "except ModuleNotFoundError as error:\n    print(error)\n"
        "import tracespool.langfuse\n"
        "assert not any(name.startswith(('langchain', 'openai', 'pydantic')) for name in sys.modules if sys.modules[name])"
    )
    ended = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, timeout=30)
    assert ended.returncode == 0, ended.stderr
    assert "pip install 'langchain-core" in ended.stdout


def test_the_defaults_are_bounded() -> None:
    bounds = _langchain_runs.Bounds()
    assert (bounds.runs, bounds.bytes) == (10_000, 8 * 1024 * 1024)


def test_a_prompt_for_a_completion_model(handler: CallbackHandler, stored: Any) -> None:
    class Echo(LLM):
        def _call(self, prompt: str, stop: Any = None, run_manager: Any = None, **_: Any) -> str:
            return f" {prompt}! "

        @property
        def _llm_type(self) -> str:
            return "echo"

    (PromptTemplate.from_template("say {q}") | Echo()).invoke({"q": "it"}, config={"callbacks": [handler]})
    row = stored().paths()["RunnableSequence/Echo"]
    assert (row["input"], row["output"]) == ("say it", "say it!")


def test_a_mask_sees_all_that_a_run_says(collector: Any, key: str, chain: Any) -> None:
    def mask(*, data: Any) -> Any:
        return {"masked": sorted(data)} if isinstance(data, dict) else "masked"

    client = tracespool.Client(public_key=key, secret_key="s", base_url=collector.url, mask=mask)
    chain.invoke({"q": "secret"}, config={"callbacks": [CallbackHandler(client=client)], "metadata": METADATA, "tags": ["run"]})
    assert client.flush(5.0)["complete"]
    rows = Stored(collector, key).rows()
    assert len(rows) == 4
    root = next(row for row in rows if row["parent"] is None)
    assert root.said("input") == {"masked": ["q"]}
    assert root.said("metadata.masked") == ["is_langchain_root", "plan", "tags"]
    for row in rows:
        assert "secret" not in str({name: said for name, said in row["attributes"].items() if "observation" in name})
    tracespool.cleanup_client(key)


def test_events_by_keyword_and_without_an_id(handler: CallbackHandler, stored: Any, caplog: Any) -> None:
    run = uuid4()
    handler.on_chain_start(serialized={"name": "My Agent"}, inputs={"q": 1}, run_id=run, odd=1)
    handler.on_chain_end(outputs={"a": 1}, run_id=run)
    _warning._last.clear()  # a line of a kind comes once a minute
    nameless: Any = {}
    handler.on_chain_start(None, {}, **nameless)
    row = stored().rows()[0]
    assert (row["name"], row.said("type"), row.said("input"), row.said("output")) == ("My Agent", "agent", {"q": 1}, {"a": 1})
    assert "the start of a LangChain run could not be recorded" in caplog.text


def test_a_copy_of_a_handler_ends_what_it_began(handler: CallbackHandler, stored: Any) -> None:
    run = uuid4()
    handler.on_chain_start(None, {"q": 1}, run_id=run, name="copied")
    copy.copy(handler).on_chain_end({"a": 1}, run_id=run)
    assert copy.deepcopy({"callbacks": [handler]})["callbacks"][0] is handler
    assert stored().rows()[0].said("output") == {"a": 1}


def test_a_handler_that_adds_to_ours(client: tracespool.Client, chain: Any, stored: Any) -> None:
    class Mine(CallbackHandler):
        def __init__(self, label: str) -> None:
            super().__init__(client=client)
            self.label = label

        def on_chain_start(self, serialized: Any, inputs: Any, **kwargs: Any) -> None:
            super().on_chain_start(serialized, inputs, **{**kwargs, "name": f"{self.label} {kwargs['name']}"})

    chain.invoke({"q": "x"}, config={"callbacks": [Mine("mine")]})
    assert "mine RunnableSequence/GenericFakeChatModel" in stored().paths()
