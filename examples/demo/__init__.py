"""`make demo`: the same service untraced, with tracespool and with the langfuse SDK, side by side."""
