"""`from tracespool.langfuse.openai import openai, OpenAI, ...`: see `tracespool.integrations.openai`."""

from tracespool.integrations.openai import AsyncAzureOpenAI, AsyncOpenAI, AzureOpenAI, OpenAI, openai

__all__ = ["AsyncAzureOpenAI", "AsyncOpenAI", "AzureOpenAI", "OpenAI", "openai"]
