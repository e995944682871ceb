"""Datasets and experiments: the installed langfuse package's own code, traced by tracespool and without its threads."""

from __future__ import annotations

import json
import sys

import pytest
from program import PUBLIC_KEY, environment

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts the tasks of /proc")

PROGRAM = """
    import json, os, sys, threading
    started, start = [], threading.Thread.start
    threading.Thread.start = lambda self: (started.append(self.name), start(self))[1]

    import tracespool.langfuse
    tracespool.langfuse.install()
    from langfuse import Evaluation, RegressionError, get_client, observe
    from langfuse.experiment import ExperimentResult

    client = get_client()
    client.create_dataset(name="world/capital cities", description="d")
    for number, (country, capital) in enumerate([("Italy", "Rome"), ("France", "Paris"), ("Peru", "Lima")]):
        client.create_dataset_item(
            dataset_name="world/capital cities", id=f"item-{number}", input={"country": country}, expected_output=capital, metadata={"n": number}
        )
    dataset = client.get_dataset("world/capital cities", fetch_items_page_size=2)
    assert len(dataset.items) == 3

    @observe(as_type="generation")
    def model(country):
        return {"Italy": "Rome", "France": "Lyon", "Peru": "Lima"}[country]

    def task(*, item, **_):
        return model(item.input["country"])

    async def exact(*, output, expected_output, **_):
        return Evaluation(name="exact", value=float(output == expected_output), comment="c")

    def share(*, item_results, **_):
        return Evaluation(name="share", value=sum(result.evaluations[0].value for result in item_results) / 3)

    result = dataset.run_experiment(
        name="capitals", run_name="run 1", description="first", task=task, evaluators=[exact], run_evaluators=[share], metadata={"v": 1}
    )
    assert isinstance(result, ExperimentResult) and isinstance(result.item_results[0].evaluations[0], Evaluation)
    observations = client.api.experiments.list_items(from_start_time=__import__("datetime").datetime(2026, 1, 1, tzinfo=__import__("datetime").timezone.utc), experiment_id=result.experiment_id)
    print(json.dumps({
        "id": result.experiment_id, "dataset": dataset.id, "started": started, "tasks": len(os.listdir("/proc/self/task")),
        "items": sorted(item.experiment_item_id for item in observations.data), "share": result.run_evaluations[0].value,
        "exporters": [name for name in sys.modules if name.startswith("langfuse.")and "_task_manager" in name],
        "pending": tracespool.stats()["observations"]["pending"],
    }))
"""


def test_an_experiment_on_a_dataset(receiver, program):
    ended = program(PROGRAM).run(environment(receiver.url, OPENBLAS_NUM_THREADS="1"), timeout=60)
    assert (ended.code, ended.err) == (0, ""), ended.err
    told = json.loads(ended.lines()[-1])
    assert told["started"] == [], "no thread of Python's"
    assert told["tasks"] <= 2, "the main thread and the one that exports"
    assert told["items"] == ["item-0", "item-1", "item-2"] and told["pending"] == 0
    rows = receiver.all_observations(PUBLIC_KEY)
    names = sorted(row["name"] for row in rows)
    assert names == sorted(["experiment-item-run", "experiment-item-task", "model", "experiment-item-evaluation", "exact"] * 3)
    for row in rows:
        attributes = row["attributes"]
        assert row["environment"] == "sdk-experiment" and "tracespool" in row["scope"]["name"]
        assert attributes["langfuse.experiment.id"] == told["id"]
        assert attributes["langfuse.experiment.name"] == "run 1"
        assert attributes["langfuse.experiment.dataset.id"] == told["dataset"]
        assert attributes["langfuse.experiment.metadata"] == '{"v": 1}'
        on_roots = row["name"] in ("experiment-item-run", "experiment-item-task")
        assert ("langfuse.experiment.description" in attributes) == on_roots
    by_id = {row["span_id"]: row for row in rows}
    for row in rows:
        if row["name"] == "model":
            assert by_id[row["parent"]]["name"] == "experiment-item-task"
            assert row["attributes"]["langfuse.experiment.item.root_observation_id"] == row["parent"]
    scores = receiver.scores(PUBLIC_KEY)
    assert sorted(score["value"] for score in scores if score["name"] == "exact") == [0.0, 1.0, 1.0]
    [share] = [score for score in scores if score["name"] == "share"]
    assert share["value"] == told["share"] == pytest.approx(2 / 3) and share["dataset_run_id"] == told["id"]


INSIDE = """
    import asyncio, threading
    from tracespool.langfuse import Evaluation, Langfuse, get_client

    async def main():
        client = get_client()
        with client.start_as_current_observation(name="around"):
            result = client.run_experiment(
                name="local", data=[{"input": 1, "expected_output": 2}], task=lambda *, item, **_: item["input"] + 1,
                evaluators=[lambda *, output, expected_output, **_: Evaluation(name="same", value=output == expected_output)],
            )
        assert len(result.item_results) == 1 and result.item_results[0].output == 2

    before = threading.active_count()
    asyncio.run(main())
    assert threading.active_count() == before
    # Beside the real package under its own name: neither knows of the other.
    import langfuse
    assert langfuse.Langfuse is not Langfuse and langfuse.Evaluation is not Evaluation
    try:
        get_client().get_dataset("missing")
    except Exception as error:
        assert type(error).__name__ == "NotFoundError", error
    else:
        raise AssertionError("a dataset that does not exist")
"""


def test_an_experiment_inside_a_running_loop(receiver, program):
    ended = program(INSIDE).run(environment(receiver.url))
    assert ended.code == 0, ended.err
    assert {row["name"] for row in receiver.all_observations(PUBLIC_KEY)} >= {"around", "experiment-item-run"}


def test_a_server_that_is_down_fails_the_call_and_nothing_else(program):
    source = """
        import time
        from tracespool.langfuse import get_client
        client, began = get_client(), time.monotonic()
        try:
            client.get_dataset("d")
        except Exception as error:
            print(type(error).__name__)
        assert time.monotonic() - began < 20
        client.start_observation(name="x").end()
    """
    ended = program(source).run(environment("http://127.0.0.1:9"))
    assert ended.code == 0 and ended.out == "ConnectError\n", ended.err


BATCH = """
    import os, threading
    started, start = [], threading.Thread.start
    threading.Thread.start = lambda self: (started.append(self.name), start(self))[1]
    from tracespool.langfuse import Evaluation, EvaluatorInputs, get_client
    client = get_client()
    for number in range(7):
        client.start_observation(name="answer", as_type="generation", input=number, output="x" * number).end()
    client.start_observation(name="other").end()
    assert client.flush()["complete"]
    result = client.run_batched_evaluation(
        mapper=lambda *, item, **_: EvaluatorInputs(input=item.input, output=item.output, expected_output=None, metadata=None),
        evaluators=[lambda *, output, **_: Evaluation(name="length", value=len(output or ""))],
        filter='[{"type": "string", "column": "type", "operator": "=", "value": "GENERATION"}]', fetch_batch_size=3,
    )
    assert (result.completed, result.total_items_processed, result.total_scores_created) == (True, 7, 7), result
    assert started == [] and len(os.listdir("/proc/self/task")) <= 2
"""


def test_batched_evaluation(receiver, program):
    ended = program(BATCH).run(environment(receiver.url, OPENBLAS_NUM_THREADS="1"), timeout=60)
    assert (ended.code, ended.err) == (0, ""), ended.err
    scores = receiver.scores(PUBLIC_KEY)
    assert sorted(score["value"] for score in scores) == list(range(7))
    outputs = {row["span_id"]: row["output"] for row in receiver.all_observations(PUBLIC_KEY)}
    assert all(len(outputs[score["observation_id"]] or "") == score["value"] for score in scores)


CLIENTS = """
    import asyncio, os
    import httpx
    from tracespool.langfuse import Langfuse, get_client

    def client(number, **more):
        return Langfuse(public_key=f"pk-{number}", secret_key="sk", base_url=os.environ["LANGFUSE_BASE_URL"], **more)

    http = lambda rest: rest._client_wrapper.httpx_client.httpx_client
    one, two = client(1), client(2)
    assert http(one.api) is http(two.api), "one HTTP client, whatever the number of keys"
    assert [one.api.projects.get().data[0].id, two.api.projects.get().data[0].id] == ["pk-1", "pk-2"]
    mine = httpx.Client(headers={"x-mine": "1"})
    assert http(client(3, httpx_client=mine).api) is mine
    assert http(client(4, additional_headers={"x-team": "a"}).api).headers["x-team"] == "a"
    assert one.api is one.api and one._get_project_id() == "pk-1"
    assert asyncio.run(two.async_api.projects.get()).data[0].id == "pk-2"
    before = http(one.api)
    for of, key in (lambda: client(5), "pk-5"), (lambda: one, "pk-1"):
        child = os.fork()
        if child == 0:
            os._exit(0 if http(of().api) is not before and of().api.projects.get().data[0].id == key else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, "no connection is shared, whenever the client was made"
    assert not hasattr(client(7, additional_headers={"authorization": "Bearer a"}), "api"), "nobody else's keys stand in"
    off = client(6, tracing_enabled=False)
    assert off.api.projects.get().data[0].id == "pk-6", "switched off is the tracing"
    one.api = "replaced"
    assert one.api == "replaced"
    del os.environ["LANGFUSE_PUBLIC_KEY"], os.environ["LANGFUSE_SECRET_KEY"]
    assert not hasattr(Langfuse(), "api")
"""


def test_rest_clients_share_one_http_client(receiver, program):
    ended = program(CLIENTS).run(environment(receiver.url))
    assert ended.code == 0, ended.err
    assert "httpx_client" not in ended.err


MEDIA = """
    import os, threading
    started, start = [], threading.Thread.start
    threading.Thread.start = lambda self: (started.append(self.name), start(self))[1]
    from tracespool.langfuse import LangfuseMedia, get_client
    client = get_client()
    client.create_dataset(name="pictures")
    picture = LangfuseMedia(content_bytes=b"not really a picture", content_type="image/png")
    client.create_dataset_item(dataset_name="pictures", input={"picture": picture, "again": [picture]})
    [item] = client.get_dataset("pictures").items
    assert item.input["picture"] == item.input["again"][0] == picture._reference_string, item.input
    assert client.api.media.get(picture._media_id).content_length == len(b"not really a picture")
    assert client.resolve_media_references(obj=item.input)["picture"].startswith("data:image/png;base64,")
    assert started == [] and len(os.listdir("/proc/self/task")) <= 2
"""


def test_media_of_a_dataset_s_item(receiver, program):
    ended = program(MEDIA).run(environment(receiver.url, OPENBLAS_NUM_THREADS="1"), timeout=60)
    assert (ended.code, ended.err) == (0, ""), ended.err
