"""The examples of docs/deployment.md run as they stand."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from installed import INSTALLED
from program import environment

BLOCKS = re.findall(r"```python\n(.*?)```", (Path(__file__).parents[2] / "docs" / "deployment.md").read_text(), re.DOTALL)

# What is added to an example, by the module that it is about; it shows that the example did something.
SHOWN = {
    "asgi": "from fastapi.testclient import TestClient\nassert TestClient(app).get('/').status_code == 404\n",
    "request": "assert request.correlation_id() is None\n",
    "awslambda": "assert handler({}, None) == {'statusCode': 200}\n",
    "gunicorn": "post_fork(None, None); worker_exit(None, None)\n",
    "django": "import django\nfrom django.conf import settings\n"
    "settings.configure(MIDDLEWARE=MIDDLEWARE, TRACESPOOL=TRACESPOOL, ROOT_URLCONF='__main__', ALLOWED_HOSTS=['*'])\n"
    "django.setup()\nurlpatterns = []\nfrom django.test import Client\nassert Client().get('/').status_code == 404\n",
    "flask": "assert app.test_client().get('/').status_code == 404\n",
    "celery": "@app.task\ndef job():\n    return 1\nassert job.apply().get() == 1\n",
    "logging": "",
}
STORED = {"asgi": 1, "awslambda": 2, "django": 1, "flask": 1, "celery": 1}


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_an_example_runs(receiver, program, block):
    (about,) = [name for name in SHOWN if f"integrations.{name}" in block or f"integrations import {name}" in block]
    ended = program(block + SHOWN[about]).run(environment(receiver.url, PYTHONPATH=str(INSTALLED)))
    assert ended.code == 0, ended.err
    assert receiver.whole()[0] == STORED.get(about, 0)
    if about == "logging":
        assert json.loads(ended.err.splitlines()[0])["order"] == 7


def test_every_integration_has_an_example():
    assert len(BLOCKS) == len(SHOWN)
