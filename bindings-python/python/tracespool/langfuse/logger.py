"""The logger of Langfuse's SDK, for programs that set its level. Our own lines are logged under `tracespool`."""

import logging

langfuse_logger = logging.getLogger("langfuse")
# Its level and handlers are left to the program.
httpx_logger = logging.getLogger("httpx")

__all__ = ["httpx_logger", "langfuse_logger"]
