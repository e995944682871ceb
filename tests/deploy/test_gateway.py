"""deploy/gateway: parsed strictly; by the Collector's own validator; and with a real client through all of it."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest
import yaml
from pipeline import FILES, GATEWAY, Pipeline, adapted
from tools import COMPOSE, NGINX, OTELCOL, document, needs, run

NAMES = sorted(path.stem for path in FILES)

# What the published components take, by their own documentation; `...` is anything below.
TLS = {"insecure": bool}
QUEUE_BATCH = {"flush_timeout": str, "sizer": str, "min_size": int, "max_size": int}
QUEUE = {
    "enabled": bool, "storage": str, "sizer": str, "queue_size": int, "num_consumers": int, "batch": QUEUE_BATCH,
}  # fmt: skip
BACK_OFF = {"enabled": bool, "initial_interval": str, "max_interval": str, "max_elapsed_time": str}
SASL = {"sasl": {"mechanism": str, "username": str, "password": str}}
COMPONENTS: dict[str, dict[str, Any]] = {
    "receivers": {
        "otlp": {
            "protocols": {
                "http": {"endpoint": str, "traces_url_path": str, "max_request_body_size": int},
                "grpc": {"endpoint": str, "max_recv_msg_size_mib": int},
            }
        },
        "kafka": {
            "brokers": str, "client_id": str, "group_id": str, "initial_offset": str, "max_fetch_size": int,
            "max_partition_fetch_size": int, "tls": TLS, "auth": SASL, "traces": {"topics": list, "encoding": str},
            "autocommit": {"enable": bool, "interval": str},
            "message_marking": {"after": bool, "on_error": bool, "on_permanent_error": bool}, "error_backoff": BACK_OFF,
        },
    },
    "processors": {"memory_limiter": {"check_interval": str, "limit_percentage": int, "spike_limit_percentage": int}},
    "exporters": {
        "otlp_http": {
            "traces_endpoint": str, "compression": str, "timeout": str, "retry_on_failure": BACK_OFF,
            "sending_queue": QUEUE, "headers": {"authorization": str, "x-langfuse-ingestion-version": str},
        },
        "load_balancing": {
            "routing_key": str, "timeout": str, "retry_on_failure": BACK_OFF, "sending_queue": QUEUE,
            "protocol": {"otlp": {"compression": str, "tls": TLS}},
            "resolver": {"dns": {"hostname": str, "port": str, "interval": str}},
        },
        "kafka": {
            "brokers": str, "client_id": str, "tls": TLS, "auth": SASL, "traces": {"topic": str, "encoding": str},
            "partition_traces_by_id": bool, "timeout": str, "retry_on_failure": BACK_OFF, "sending_queue": QUEUE,
            "producer": {
                "required_acks": int, "compression": str, "max_message_bytes": int, "allow_auto_topic_creation": bool,
            },
        },
    },
    "extensions": {
        "health_check": {"endpoint": str},
        "file_storage": {
            "directory": str, "create_directory": bool, "fsync": bool,
            "compaction": {"on_rebound": bool, "directory": str, "cleanup_on_start": bool},
        },
    },
}  # fmt: skip


def fits(found: Any, shape: Any, where: str) -> None:
    """Every setting is known and of its type."""
    if isinstance(shape, dict):
        assert isinstance(found, dict), where
        for name, value in found.items():
            assert name in shape, f"{where}: {name} is not a setting"
            fits(value, shape[name], f"{where}.{name}")
    else:
        assert type(found) is shape, f"{where}: {found!r} is not a {shape.__name__}"
        if where.endswith(("interval", "timeout", "max_elapsed_time")):
            assert re.fullmatch(r"\d+(ms|s|m)", found), f"{where}: {found}"


@pytest.mark.parametrize("name", NAMES)
class TestWritten:
    """What needs no tool."""

    def test_every_component_is_known_and_used_and_nothing_else_is_named(self, name):
        written = document(GATEWAY / f"{name}.yaml")
        assert set(written) == {"receivers", "processors", "exporters", "extensions", "service"}
        used: dict[str, set[str]] = {"extensions": set(written["service"]["extensions"])}
        for pipeline in written["service"]["pipelines"].values():
            for kind, names in pipeline.items():
                used.setdefault(kind, set()).update(names)
        for kind, known in COMPONENTS.items():
            assert used[kind] == set(written[kind]), f"{kind}: declared and used"
            for component, settings in written[kind].items():
                fits(settings, known[component.split("/")[0]], f"{kind}.{component}")
        (pipeline,) = written["service"]["pipelines"].values()
        assert pipeline["processors"][0] == "memory_limiter"

    def test_every_variable_is_explained_and_no_secret_has_a_default(self, name):
        text = (GATEWAY / f"{name}.yaml").read_text()
        used = dict(re.findall(r"\$\{env:(\w+)(:-[^}]*)?\}", text))
        explained = " ".join(line for line in text.splitlines() if line.startswith("#"))
        for variable, default in used.items():
            assert re.search(rf"\b{variable}\b", explained), variable
            assert not default or variable in ("QUEUE_DIRECTORY", "KAFKA_TOPIC")

    def test_what_waits_is_on_disk_or_in_kafka_and_goes_out_for_as_long_as_it_takes(self, name):
        written = document(GATEWAY / f"{name}.yaml")
        ((exporter, settings),) = written["exporters"].items()
        if name == "kafka-consumer":
            marking = written["receivers"]["kafka"]["message_marking"]
            assert marking == {"after": True, "on_error": False, "on_permanent_error": True}
            assert settings["sending_queue"]["enabled"] is False
            repeating = written["receivers"]["kafka"]["error_backoff"]
        else:
            assert settings["sending_queue"]["storage"] == "file_storage"
            repeating = settings["retry_on_failure"]
        assert repeating["enabled"] and repeating["max_elapsed_time"] == "0s"
        if exporter == "otlp_http/langfuse":
            assert settings["headers"]["x-langfuse-ingestion-version"] == "4"


def test_a_message_fits_into_kafka_and_into_what_the_consumer_fetches():
    producer = document(GATEWAY / "kafka-producer.yaml")["exporters"]["kafka"]
    consumer = document(GATEWAY / "kafka-consumer.yaml")["receivers"]["kafka"]
    assert producer["sending_queue"]["batch"]["max_size"] < producer["producer"]["max_message_bytes"]
    assert producer["producer"]["max_message_bytes"] <= consumer["max_partition_fetch_size"] <= consumer["max_fetch_size"]


def test_each_collector_keeps_its_queue_in_a_volume_of_its_own():
    written = document(GATEWAY / "compose.yaml")
    volumes = {}
    for name, service in written["services"].items():
        if name != "front":
            file, queue = service["volumes"]
            source, target, _ = file.split(":")
            assert (GATEWAY / source).is_file() and service["command"] == ["--config", target], name
            volumes[name] = queue
    assert volumes == {name: f"{name}:/var/lib/otelcol" for name in ("balancer", "gateway-1", "gateway-2")}
    assert set(written["volumes"]) == set(volumes)


@needs(COMPOSE)
@pytest.mark.parametrize("missing", [None, "LANGFUSE_URL", "LANGFUSE_AUTH"])
def test_docker_compose_takes_it_and_names_what_is_missing(missing):
    given = {"LANGFUSE_URL": "http://langfuse:3000", "LANGFUSE_AUTH": "eDp5"}
    given.pop(missing or "", None)
    done = run(COMPOSE, "-f", GATEWAY / "compose.yaml", "config", "--quiet", **given)
    assert (done.returncode == 0) == (missing is None) and (missing is None or f"set {missing}" in done.stderr), done.stderr


@needs(OTELCOL)
@pytest.mark.parametrize("name", NAMES)
def test_the_collector_takes_it(name, tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(adapted(name)))
    environ = {variable: "http://127.0.0.1:9" for variable in re.findall(r"env:(\w+)", path.read_text())}
    done = run(OTELCOL, "validate", "--config", path, **environ)
    assert done.returncode == 0, done.stderr


@needs(OTELCOL)
@pytest.mark.parametrize("place", ["exporters.otlp_http/langfuse", "extensions.file_storage", "receivers.otlp"])
def test_the_collector_would_not_take_a_setting_that_does_not_exist(place, tmp_path):
    written = adapted("gateway")
    kind, component = place.split(".")
    written[kind][component]["queue_siez"] = 1
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(written))
    done = run(OTELCOL, "validate", "--config", path, LANGFUSE_BASE_URL="http://127.0.0.1:9", LANGFUSE_AUTH="eDp5")
    assert done.returncode != 0 and "queue_siez" in done.stderr


TRACED = """
    import sys
    from tracespool import Client

    client = Client()
    first, last = map(int, sys.argv[1:]) if len(sys.argv) > 1 else (0, 500)
    for number in range(first, last):
        with client.start_as_current_observation(name="question", input={"number": number}) as question:
            with client.start_as_current_observation(name="answer", as_type="generation", output="y" * 300):
                pass
            question.score(name="worth", value=1.0)
    report = client.flush(timeout=20)
    assert report["complete"] and report["dropped"] == 0, report
"""
GATEWAYS_KEY = "pk-lf-gateway"


@pytest.fixture
def pipeline(receiver, tmp_path):
    with Pipeline(tmp_path, receiver.url, f"{GATEWAYS_KEY}:sk-lf-gateway") as started:
        yield started


@needs(OTELCOL, NGINX)
class TestRun:
    """nginx, a balancer, a gateway and the way out, as processes."""

    def test_traces_go_through_the_gateway_with_its_keys_and_scores_past_it(self, receiver, program, pipeline):
        ended = program(TRACED).run(pipeline.environment(), timeout=60)
        assert ended.code == 0, ended.err
        pipeline.arrived(receiver, GATEWAYS_KEY, 1000)
        assert receiver.whole(GATEWAYS_KEY) == (1000, 0, 0, 0)
        assert receiver.whole() == (1000, 500, 0, 0)

    @pytest.mark.parametrize("fault", ["500", "503", "429", "reset"])
    def test_what_langfuse_does_not_take_waits_on_disk_also_when_the_gateway_is_killed(
        self, receiver, program, pipeline, fault
    ):
        receiver.fault(fault, path="/api/public/otel")
        ended = program(TRACED).run(pipeline.environment(), timeout=60)
        assert ended.code == 0, ended.err
        time.sleep(2.0)  # the gateway has it all, and has tried
        assert receiver.whole(GATEWAYS_KEY)[0] == 0
        pipeline.kill("gateway")
        receiver.faults([])
        pipeline.start("gateway")
        pipeline.arrived(receiver, GATEWAYS_KEY, 1000)
        assert receiver.whole(GATEWAYS_KEY)[0] == 1000

    def test_a_gateway_that_is_away_costs_nobody_anything(self, receiver, program, pipeline):
        pipeline.kill("gateway")
        ended = program(TRACED).run(pipeline.environment(), timeout=60)
        assert ended.code == 0, ended.err
        pipeline.start("gateway")
        pipeline.arrived(receiver, GATEWAYS_KEY, 1000)
        assert receiver.whole(GATEWAYS_KEY)[0] == 1000
