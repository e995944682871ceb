"""Stands where the Lambda Web Adapter stands: takes events, sends each as a request to the application, and posts the answer.

    python adapter.py PORT PID BUFFERED|STREAM

The application, process PID, is stopped at the last byte of its answer, before the runtime API has it: no later than
Lambda would. Nothing of it runs until the next event.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import sys
import time

API = "/2018-06-01/runtime/invocation"


def main(port: int, pid: int, streams: bool) -> None:
    host, _, number = os.environ["AWS_LAMBDA_RUNTIME_API"].partition(":")
    _await(port)
    runtime = http.client.HTTPConnection(host, int(number), timeout=60)
    os.kill(pid, signal.SIGSTOP)
    while True:
        runtime.request("GET", f"{API}/next")
        answer = runtime.getresponse()
        event, request_id = json.loads(answer.read()), answer.headers["Lambda-Runtime-Aws-Request-Id"]
        os.kill(pid, signal.SIGCONT)
        application = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        application.request(event.get("method", "GET"), event["path"], headers=event.get("headers", {}))
        response = application.getresponse()
        if streams:
            runtime.putrequest("POST", f"{API}/{request_id}/response")
            runtime.putheader("Lambda-Runtime-Function-Response-Mode", "streaming")
            runtime.putheader("Transfer-Encoding", "chunked")
            runtime.endheaders()
            while part := response.read1(65536):
                runtime.send(b"%x\r\n%s\r\n" % (len(part), part))
            os.kill(pid, signal.SIGSTOP)
            runtime.send(b"0\r\n\r\n")
        else:
            body = response.read()
            os.kill(pid, signal.SIGSTOP)
            whole = json.dumps({"statusCode": response.status, "body": body.decode()}).encode()
            runtime.request("POST", f"{API}/{request_id}/response", whole)
        runtime.getresponse().read()
        application.close()


def _await(port: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    sys.exit("the application did not start")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "STREAM")
