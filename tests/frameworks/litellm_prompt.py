"""LiteLLM's prompt management on Langfuse: a prompt is fetched, filled in and linked to the generation."""

from __future__ import annotations

import sys

import litellm
from langfuse import get_client
from litellm.integrations.langfuse.langfuse_sdk import flush_langfuse_tracing
from litellm.litellm_core_utils.thread_pool_executor import executor

get_client().create_prompt(
    name="greeting", type="chat", prompt=[{"role": "user", "content": "Greet {{name}}"}], labels=["production"], config={"temperature": 0.5}
)
litellm.success_callback = ["langfuse"]
answer = litellm.completion(
    model="langfuse/openai/gpt-4o-mini",
    prompt_id="greeting",
    prompt_variables={"name": "Ann"},
    messages=[{"role": "user", "content": "and Bob"}],
    mock_response="Hello",
)
executor.shutdown(wait=True)
assert flush_langfuse_tracing(10_000)
print(answer.choices[0].message.content, sys.modules["langfuse.model"].__name__)
