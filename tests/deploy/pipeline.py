"""The fleet's pipeline as processes: nginx, a balancer, a gateway, and the way out, each with its file from deploy/gateway."""

from __future__ import annotations

import base64
import os
import re
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import yaml
from program import environment
from tools import DEPLOY, NGINX, OTELCOL, document

GATEWAY = DEPLOY / "gateway"
FILES = sorted(path for path in GATEWAY.glob("*.yaml") if path.name != "compose.yaml")
START_TIMEOUT = 20.0
ARRIVAL_TIMEOUT = 40.0
# Published, but not in the core: the queue and the repetitions around them are the same code in every exporter.
SHARED = ("timeout", "retry_on_failure", "sending_queue")


def adapted(name: str) -> dict[str, Any]:
    """A file with what the core does not have replaced by what it has: load balancing by the exporter that it is made of,
    Kafka by OTLP. Everything else is as written."""
    written = document(GATEWAY / f"{name}.yaml")
    extensions = written["service"]["extensions"]
    extensions.remove("health_check")
    del written["extensions"]["health_check"]
    (pipeline,) = written["service"]["pipelines"].values()
    exporters, receivers = written["exporters"], written["receivers"]
    if balancing := exporters.pop("load_balancing", None):
        assert balancing["resolver"]["dns"]["hostname"] == "${env:GATEWAY_HOSTNAME}"
        exporters["otlp_grpc"] = balancing["protocol"]["otlp"] | {name: balancing[name] for name in SHARED}
        exporters["otlp_grpc"]["endpoint"] = "${env:GATEWAY_HOSTNAME}"
    if kafka := exporters.pop("kafka", None):
        exporters["otlp_http"] = {"endpoint": "http://127.0.0.1:9"} | {name: kafka[name] for name in SHARED}
    if receivers.pop("kafka", None):
        receivers["otlp"] = {"protocols": {"grpc": {"endpoint": "127.0.0.1:0"}}}
    pipeline["receivers"], pipeline["exporters"] = list(receivers), list(exporters)
    # Nobody else listens here; and nothing but the pipeline is under test.
    written["service"]["telemetry"] = {"metrics": {"level": "none"}}
    return written


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on just now."""
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()


class Pipeline:
    """All of it on loopback ports, in front of `langfuse`; `keys` are the gateway's."""

    def __init__(self, folder: Path, langfuse: str, keys: str) -> None:
        self._folder = folder
        front, out, balancer, gateway = free_ports(4)
        self.url = f"http://127.0.0.1:{front}"
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._ports = {"nginx": front, "balancer": balancer, "gateway": gateway}
        self._environ = {
            "balancer": {"GATEWAY_HOSTNAME": f"127.0.0.1:{gateway}"},
            "gateway": {
                "LANGFUSE_BASE_URL": f"http://127.0.0.1:{out}",
                "LANGFUSE_AUTH": base64.b64encode(keys.encode()).decode(),
            },
        }
        for name, port in (("balancer", balancer), ("gateway", gateway)):
            text = yaml.safe_dump(adapted(name))
            (folder / f"{name}.yaml").write_text(re.sub(r"0\.0\.0\.0:431[78]", f"127.0.0.1:{port}", text))
            self._environ[name]["QUEUE_DIRECTORY"] = str(folder / f"{name}-queue")
        self._write_nginx(front, out, f"http://127.0.0.1:{balancer}", langfuse)

    def _write_nginx(self, front: int, out: int, balancer: str, langfuse: str) -> None:
        site = (GATEWAY / "nginx.conf.template").read_text()
        values = {"BALANCER_URL": balancer, "LANGFUSE_URL": langfuse, "NGINX_LOCAL_RESOLVERS": "127.0.0.1"}
        for name, value in values.items():
            assert f"${{{name}}}" in site
            site = site.replace(f"${{{name}}}", value)
        site = site.replace("listen 8080;", f"listen 127.0.0.1:{front};").replace("listen 8081;", f"listen 127.0.0.1:{out};")
        temporary = "".join(
            f"{kind}_temp_path {self._folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        (self._folder / "nginx.conf").write_text(
            f"daemon off; master_process off; pid {self._folder}/nginx.pid; error_log {self._folder}/nginx.log;\n"
            f"events {{}}\nhttp {{\naccess_log off;\n{temporary}{site}\n}}\n"
        )

    def __enter__(self) -> Pipeline:
        for name in ("gateway", "balancer", "nginx"):
            self.start(name)
        return self

    def __exit__(self, *_: object) -> None:
        for name in list(self._processes):
            self.kill(name)

    def start(self, name: str) -> None:
        """Starts one and waits until it listens."""
        config = self._folder / (f"{name}.yaml" if name != "nginx" else "nginx.conf")
        command = [NGINX, "-c", config, "-p", self._folder] if name == "nginx" else [OTELCOL, "--config", config]
        with open(self._folder / f"{name}.stderr", "ab") as log:
            self._processes[name] = subprocess.Popen(
                [str(part) for part in command],
                env={"PATH": os.environ["PATH"]} | self._environ.get(name, {}),
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + START_TIMEOUT
        while time.monotonic() < deadline and self._processes[name].poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self._ports[name]), timeout=1).close()
                return
            except OSError:
                time.sleep(0.05)
        raise AssertionError(f"{name} did not start: {(self._folder / f'{name}.stderr').read_text()}")

    def kill(self, name: str) -> None:
        """SIGKILL: nothing is written, nothing is said goodbye to."""
        process = self._processes.pop(name)
        process.kill()
        process.wait(10)

    def environment(self) -> dict[str, str]:
        """Of a program that traces to it."""
        return environment(self.url)

    def arrived(self, receiver: Any, key: str, observations: int) -> None:
        """Waits until so many are stored."""
        deadline = time.monotonic() + ARRIVAL_TIMEOUT
        while receiver.whole(key)[0] < observations:
            assert time.monotonic() < deadline, (receiver.whole(key), (self._folder / "gateway.stderr").read_text()[-3000:])
            time.sleep(0.1)
