"""A small deterministic agent, and the web service around it, shared by the example services.

Only the tracing client differs between them; everything that a user of the services sees is the same.
"""
