"""Handlers and wrappers for other libraries; each is a module of its own and imports its library only when it is imported."""
