"""The OpenAI Agents SDK, by OpenInference, with a model of the test's own in the place of a server's."""

from __future__ import annotations

import asyncio

from agents import Agent, Model, ModelResponse, RunConfig, Runner, Usage, function_tool
from agents.models.interface import ModelProvider
from langfuse import Langfuse, propagate_attributes
from openai.types.responses import ResponseFunctionToolCall, ResponseOutputMessage, ResponseOutputText
from openinference.instrumentation.openai_agents import OpenAIAgentsInstrumentor
from opentelemetry.sdk.trace import TracerProvider

provider = TracerProvider()
client = Langfuse(tracer_provider=provider)
OpenAIAgentsInstrumentor().instrument(tracer_provider=provider)


class Answers(Model):
    """Calls the tool, then answers."""

    def __init__(self) -> None:
        self.calls = 0

    async def get_response(self, *args, **keywords) -> ModelResponse:
        self.calls += 1
        if self.calls == 1:
            item = ResponseFunctionToolCall(arguments="{}", call_id="c-1", name="country", type="function_call")
        else:
            text = ResponseOutputText(annotations=[], text="Rome", type="output_text")
            item = ResponseOutputMessage(id="m-1", content=[text], role="assistant", status="completed", type="message")
        return ModelResponse(output=[item], usage=Usage(requests=1, input_tokens=3, output_tokens=1, total_tokens=4), response_id=None)

    def stream_response(self, *args, **keywords):
        raise NotImplementedError


class Provider(ModelProvider):
    """One model for all names."""

    def __init__(self) -> None:
        self.model = Answers()

    def get_model(self, model_name: str | None) -> Model:
        return self.model


@function_tool
def country() -> str:
    return "Italy"


async def main() -> None:
    agent = Agent(name="geographer", instructions="Answer in a word.", tools=[country])
    with propagate_attributes(user_id="u-1", session_id="s-1"):
        result = await Runner.run(agent, "capital?", run_config=RunConfig(model_provider=Provider()))
    print(result.final_output)


asyncio.run(main())
client.flush()
