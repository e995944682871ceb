"""A Celery application; `REDIS` names the broker."""

from __future__ import annotations

import os

from celery import Celery
from work import TRACED, work

app = Celery("jobs", broker=os.environ["REDIS"], backend=os.environ["REDIS"])
app.conf.worker_prefetch_multiplier = 4

if TRACED:
    from tracespool.integrations.celery import install

    install(observation=True, goodbye_timeout=20.0)


@app.task
def answer(number):
    return work(number)
