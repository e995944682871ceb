"""LlamaIndex, by OpenInference: the way that Langfuse documents."""

from __future__ import annotations

from langfuse import Langfuse, propagate_attributes
from llama_index.core import Document, Settings, VectorStoreIndex
from llama_index.core.embeddings import MockEmbedding
from llama_index.core.llms import MockLLM
from openinference.instrumentation.llama_index import LlamaIndexInstrumentor
from opentelemetry.sdk.trace import TracerProvider

provider = TracerProvider()
client = Langfuse(tracer_provider=provider)
LlamaIndexInstrumentor().instrument(tracer_provider=provider)

Settings.llm = MockLLM(max_tokens=5)
Settings.embed_model = MockEmbedding(embed_dim=4)
index = VectorStoreIndex.from_documents([Document(text="Rome is the capital of Italy")])
with propagate_attributes(user_id="u-1", session_id="s-1"):
    with client.start_as_current_observation(name="question", as_type="agent"):
        print(index.as_query_engine().query("capital of Italy?"))
client.flush()
