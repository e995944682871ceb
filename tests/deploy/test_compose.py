"""deploy/compose.yaml: the limits that were asked for, no secret in it, and a clear word for each that is missing."""

from __future__ import annotations

import json
import re

import pytest
from tools import COMPOSE, DEPLOY, document, needs, run

FILE = DEPLOY / "compose.yaml"
EXAMPLE = re.findall(r"^(\w+)=(.*)$", (DEPLOY / ".env.example").read_text(), re.MULTILINE)
SECRETS = [name for name, _ in EXAMPLE]
SET = {name: f"{name.lower().replace('_', '')}1" for name in SECRETS}
MIB = 1024 * 1024

MEMORY = {
    "backend": (512, 256),
    "langfuse-web": (1024, 384),
    "langfuse-worker": (512, 256),
    "clickhouse": (512, 256),
    "postgres": (256, 128),
    "redis": (192, 64),
    "minio": (256, 128),
}


@pytest.fixture(scope="module")
def written():
    return document(FILE)


def test_each_service_has_its_memory(written):
    found = {}
    for name, service in written["services"].items():
        resources = service["deploy"]["resources"]
        found[name] = tuple(int(resources[kind]["memory"].removesuffix("m")) for kind in ("limits", "reservations"))
    assert found == MEMORY


def test_a_heap_leaves_a_quarter_of_its_limit(written):
    for name in ("langfuse-web", "langfuse-worker"):
        options = written["services"][name]["environment"]["NODE_OPTIONS"]
        assert options == f"--max-old-space-size={MEMORY[name][0] * 3 // 4}"


def test_each_service_is_watched_and_started_again_and_keeps_its_data_in_a_named_volume(written):
    for name, service in written["services"].items():
        assert service["healthcheck"]["test"] and service["healthcheck"]["retries"], name
        assert service["restart"] == "unless-stopped", name
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert source in written["volumes"] or (FILE.parent / source).is_file(), f"{name}: {volume}"
    stateful = {name for name, service in written["services"].items() if service.get("volumes")}
    assert stateful == {"clickhouse", "postgres", "redis", "minio"}


def test_no_secret_has_a_default_and_all_are_in_the_example(written):
    text = FILE.read_text()
    required = set(re.findall(r"\$\{(\w+):\?set (?:\w+)[^}]*as in .env.example\}", text))
    defaulted = set(re.findall(r"\$\{(\w+):?-", text))
    assert required == set(SECRETS)
    assert defaulted == {"LANGFUSE_URL", "MINIO_URL"} | {name for name in defaulted if name.endswith("_VERSION")}
    assert not any(value for _, value in EXAMPLE), "the example holds no secret"
    secret = re.compile(r"PASSWORD|SECRET|SALT$|AUTH$|ENCRYPTION_KEY$")
    for name, service in written["services"].items():
        for variable, value in service.get("environment", {}).items():
            if secret.search(variable):
                assert ":?" in str(value), f"{name}: {variable}={value}"


def test_nothing_but_the_page_the_backend_is_reachable_and_only_from_here(written):
    ports = {name: service["ports"] for name, service in written["services"].items() if "ports" in service}
    assert ports == {"backend": ["127.0.0.1:8000:8000"], "langfuse-web": ["127.0.0.1:3000:3000"]}


def test_the_workers_fit_into_the_backend(written):
    environment = written["services"]["backend"]["environment"]
    workers, hard, soft = (int(environment[name]) for name in ("WEB_CONCURRENCY", "GUARD_HARD_MB", "GUARD_SOFT_MB"))
    arbiter = 60
    assert soft < hard and workers * hard + arbiter < MEMORY["backend"][0]


@needs(COMPOSE)
def test_docker_compose_takes_it():
    done = run(COMPOSE, "-f", FILE, "config", "--format", "json", **SET)
    assert done.returncode == 0 and not done.stderr, done.stderr
    services = json.loads(done.stdout)["services"]
    for name, (limit, reservation) in MEMORY.items():
        resources = services[name]["deploy"]["resources"]
        assert int(resources["limits"]["memory"]) == limit * MIB, name
        assert int(resources["reservations"]["memory"]) == reservation * MIB, name
    assert services["langfuse-web"]["environment"]["REDIS_AUTH"] == SET["REDIS_PASSWORD"]


@needs(COMPOSE)
@pytest.mark.parametrize("secret", SECRETS)
def test_docker_compose_names_the_secret_that_is_missing(secret):
    for value in ({}, {secret: ""}):
        given = {name: found for name, found in SET.items() if name != secret} | value
        done = run(COMPOSE, "-f", FILE, "config", "--quiet", **given)
        assert done.returncode != 0
        assert f"set {secret}" in done.stderr and ".env.example" in done.stderr, done.stderr
