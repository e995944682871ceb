"""A runtime for Python handlers as the runtime API's documentation describes one: next, handler, response or error.

    python bootstrap.py FILE    # a module with `handler(event, context)`
"""

from __future__ import annotations

import http.client
import json
import os
import runpy
import sys
import time
from types import SimpleNamespace

API = "/2018-06-01/runtime/invocation"


def main(path: str) -> None:
    handler = runpy.run_path(path)["handler"]
    host, _, number = os.environ["AWS_LAMBDA_RUNTIME_API"].partition(":")
    runtime = http.client.HTTPConnection(host, int(number), timeout=60)
    while True:
        runtime.request("GET", f"{API}/next")
        answer = runtime.getresponse()
        event, request_id = json.loads(answer.read()), answer.headers["Lambda-Runtime-Aws-Request-Id"]
        deadline = int(answer.headers["Lambda-Runtime-Deadline-Ms"])
        context = SimpleNamespace(
            aws_request_id=request_id,
            function_name="shop",
            get_remaining_time_in_millis=lambda deadline=deadline: int(deadline - time.time() * 1000),
        )
        try:
            place, body = "response", json.dumps(handler(event, context))
        except Exception as error:
            place, body = "error", json.dumps({"errorType": type(error).__name__, "errorMessage": str(error)})
        runtime.request("POST", f"{API}/{request_id}/{place}", body.encode())
        runtime.getresponse().read()


if __name__ == "__main__":
    main(sys.argv[1])
