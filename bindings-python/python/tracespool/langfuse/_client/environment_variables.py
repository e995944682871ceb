"""The names of environment variables: each constant is its own name."""


def __getattr__(name: str) -> str:
    if name.startswith("LANGFUSE_"):
        return name
    raise AttributeError(f"module 'langfuse._client.environment_variables' has no attribute {name!r}")
