"""A Flask service. Where it is loaded before the workers are forked, it has traced by then: see `PRELOAD`."""

from __future__ import annotations

import os

from flask import Flask, jsonify
from work import TRACED, client, work

app = Flask(__name__)
if TRACED:
    from tracespool.integrations.flask import Tracespool

    Tracespool(app, observation=True)
    if os.environ.get("PRELOAD"):
        with client.start_as_current_observation(name="preload"):
            pass
        client.flush(timeout=5.0)  # the export thread runs and a connection is open when the workers are forked
        with client.start_as_current_observation(name="preload-pending"):
            pass


@app.get("/work/<int:number>")
def answer(number):
    return jsonify(work(number))
