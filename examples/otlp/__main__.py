"""Asks the agent a few questions and says what became of the traces.

    python -m examples.otlp http://127.0.0.1:6006
    python -m examples.otlp http://127.0.0.1:5000 x-mlflow-experiment-id=0
"""

from __future__ import annotations

import argparse
import asyncio
import sys

import tracespool
from examples.agent import knowledge
from examples.agent.answer import answer


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m examples.otlp")
    parser.add_argument("endpoint", help="where the backend takes traces; a bare host gets /v1/traces")
    parser.add_argument("headers", nargs="*", metavar="name=value", help="what the backend asks for")
    parser.add_argument("--dialect", default="openinference", choices=["openinference", "gen_ai", "langfuse"])
    asked = parser.parse_args()

    headers = dict(header.split("=", 1) for header in asked.headers)
    client = tracespool.Client(otlp_endpoint=asked.endpoint, headers=headers, dialect=asked.dialect, service_name="support-desk")
    if not client.auth_check():
        return 1
    for number in range(3):
        asyncio.run(answer(client, tracespool.propagate_attributes, f"user-{number}", knowledge.question(number)))
    report = client.flush(10.0)
    print(f"delivered {report['delivered']} observations to {client.otlp_endpoint}")
    return 0 if report["complete"] else 1


if __name__ == "__main__":
    sys.exit(main())
