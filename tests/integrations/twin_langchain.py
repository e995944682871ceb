"""One program for both libraries: `python twin_langchain.py langfuse|tracespool URL`."""

import asyncio
import sys

LIBRARY, URL = sys.argv[1:]
if LIBRARY == "langfuse":
    from langfuse import get_client
    from langfuse.langchain import CallbackHandler
else:
    from tracespool.langfuse import get_client
    from tracespool.langfuse.langchain import CallbackHandler

from langchain_core.documents import Document
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableLambda, RunnableParallel
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAI
from langgraph.checkpoint.memory import MemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.types import Command, interrupt

client = get_client()
handler = CallbackHandler()


def config(name, **more):
    return {"callbacks": [handler], "run_name": name, **more}


USAGE = {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15, "input_token_details": {"cache_read": 3}}
CALLS = [{"name": "add", "args": {"a": 1, "b": 2}, "id": "c1", "type": "tool_call"}]


def answers():
    while True:
        yield AIMessage("yo é", usage_metadata=USAGE, response_metadata={"model_name": "gpt-x"}, tool_calls=CALLS)


model = GenericFakeChatModel(messages=answers())
prompt = ChatPromptTemplate.from_messages([("system", "be nice"), ("human", "{q}")])
chain = prompt | model | StrOutputParser()
METADATA = {
    "langfuse_session_id": "s1",
    "langfuse_user_id": "u1",
    "langfuse_tags": ["t1"],
    "langfuse_trace_name": "my trace",
    "other": "x",
}

chain.invoke({"q": "hello"}, config("chain", metadata=METADATA, tags=["run tag"]))
model.invoke([HumanMessage("alone"), ToolMessage("r", tool_call_id="c9")], config("model", metadata=METADATA))
for _ in chain.stream({"q": "stream"}, config("stream")):
    pass


@tool
def add(a: int, b: int) -> int:
    """Adds."""
    with client.start_as_current_observation(name="inside a tool"):
        return a + b


add.invoke({"a": 1, "b": 2}, config("tool"))


def fail(_):
    raise ValueError("it failed")


try:
    (RunnableLambda(lambda x: x).with_config(run_name="first") | RunnableLambda(fail).with_config(run_name="fails")).invoke(
        "i", config("error")
    )
except ValueError:
    pass


class Shelf(BaseRetriever):
    def _get_relevant_documents(self, query, *, run_manager):
        return [Document("page", metadata={"n": 1})]


Shelf().invoke("query", config("retriever"))
with client.start_as_current_observation(name="outer"):
    one, two = (RunnableLambda(lambda x: x + 1).with_config(run_name=name) for name in ("one", "two"))
    RunnableParallel(a=one, b=two).invoke(1, config("parallel"))
RunnableLambda(lambda x: x).invoke("x", config("An Agent", tags=["langsmith:hidden"]))


async def main():
    async def inner(value):
        with client.start_as_current_observation(name="inside a coroutine"):
            return value

    await (RunnableLambda(inner).with_config(run_name="step") | chain).ainvoke({"q": "async"}, config("async"))
    with client.start_as_current_observation(name="after"):
        pass


asyncio.run(main())


def ask(state):
    return {"messages": [AIMessage("you said " + str(interrupt("which?")))]}


graph = StateGraph(MessagesState)
graph.add_node("ask", ask)
graph.add_edge(START, "ask")
graph.add_edge("ask", END)
app = graph.compile(checkpointer=MemorySaver())
thread = {"configurable": {"thread_id": "th1"}}
app.invoke({"messages": [HumanMessage("hi")]}, config("graph", **thread))
app.invoke(Command(resume="yes"), config("resumed", **thread))

agent = StateGraph(MessagesState)
agent.add_node("think", lambda state: {"messages": [model.invoke(state["messages"])]})
agent.add_node("tools", ToolNode([add]))
agent.add_edge(START, "think")
agent.add_edge("think", "tools")
agent.add_edge("tools", END)
agent.compile().invoke({"messages": [HumanMessage("1 + 2?")]}, config("agent graph"))

chat = ChatOpenAI(model="fake", base_url=URL, api_key="sk-x", temperature=0.3, max_tokens=50, max_retries=0)
chat.invoke("what?", config("chat openai"))
chat.bind_tools([add]).invoke("what?", config("chat openai tools"))
for _ in chat.stream("what?", config("chat openai stream"), stream_usage=True):
    pass
OpenAI(model="fake", base_url=URL, api_key="sk-x", max_retries=0).invoke("what?", config("openai"))
try:
    ChatOpenAI(model="fails", base_url=URL, api_key="sk-x", max_retries=0).invoke("what?", config("chat openai fails"))
except Exception:
    pass
client.flush()
