"""Programs that run unchanged under langfuse and under tracespool.langfuse."""
