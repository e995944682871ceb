"""Whatever tracing is given, the traced code runs on, and a mistake is one clear warning."""

from __future__ import annotations

import pytest
from program import PUBLIC_KEY, environment

# What is wrong, what it looks like, a word that the warning must hold, and how many observations arrive all the same.
MISTAKES = {
    "unknown keyword": ("with client.start_as_current_observation(name='step', colour='red'): pass", "colour", 1),
    "unknown kind": ("with client.start_as_current_observation(name='step', as_type='wizard'): pass", "wizard", 1),
    "usage that is no mapping": (
        "with client.start_as_current_observation(name='step', as_type='generation') as g: g.update(usage_details=[1])",
        "usage_details",
        1,
    ),
    "an invalid trace id": (
        "with client.start_as_current_observation(name='step', trace_context={'trace_id': 'nonsense'}): pass",
        "trace",
        1,
    ),
    "a score without a trace": ("client.score_current_trace(name='worth', value=1.0)", "trace", 0),
    "a name that observe takes by keyword": (
        "import tracespool\ntracespool.observe('worker')(lambda: None)()",
        "worker",
        1,
    ),
    "unknown setting": ("Client(nonsense=1)", "nonsense", 0),
}
BEFORE = "from tracespool import Client, flush_all\nclient = Client()\n"
AFTER = "\nflush_all(5.0)\nprint('went on')\n"


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_warning(receiver, program, mistake):
    source, word, arrives = MISTAKES[mistake]
    ended = program(BEFORE + (source + "\n") * 3 + AFTER).run(environment(receiver.url))
    assert (ended.code, ended.out) == (0, "went on\n"), ended.err
    warnings = [line for line in ended.err.splitlines() if line.strip()]
    assert word in ended.err, ended.err
    # Three times the same mistake, one line at once; the rest is counted.
    assert len(warnings) <= 2, ended.err
    assert receiver.whole()[0] == 3 * arrives


SETTINGS = {
    "LANGFUSE_FLUSH_AT": "many",
    "LANGFUSE_FLUSH_INTERVAL": "-1",
    "LANGFUSE_SAMPLE_RATE": "2",
    "LANGFUSE_TIMEOUT": "soon",
    "TRACESPOOL_MAX_BYTES": "all",
    "LANGFUSE_OTEL_COMPRESSION": "brotli",
    "LANGFUSE_TRACING_ENABLED": "flase",
}


@pytest.mark.parametrize("name", SETTINGS)
def test_an_unreadable_setting_is_a_warning_and_the_default(receiver, program, name):
    source = BEFORE + "with client.start_as_current_observation(name='step'): pass" + AFTER
    ended = program(source).run(environment(receiver.url, **{name: SETTINGS[name]}))
    assert (ended.code, ended.out) == (0, "went on\n"), ended.err
    assert name in ended.err and len(ended.err.strip().splitlines()) == 1, ended.err
    assert receiver.whole() == (1, 0, 0, 0)


@pytest.mark.parametrize("missing", ["LANGFUSE_PUBLIC_KEY", "LANGFUSE_SECRET_KEY"])
def test_missing_keys_are_one_warning(receiver, program, missing):
    environ = environment(receiver.url)
    del environ[missing]
    source = BEFORE + "for _ in range(3):\n    with client.start_as_current_observation(name='step'): pass" + AFTER
    ended = program(source).run(environ)
    assert (ended.code, ended.out) == (0, "went on\n"), ended.err
    assert len(ended.err.strip().splitlines()) == 1 and missing.removeprefix("LANGFUSE_").lower() in ended.err.lower()
    assert receiver.whole() == (0, 0, 0, 0)


def test_a_value_that_fights_back(receiver, program):
    ended = program(
        BEFORE
        + """
class Hostile:
    def __str__(self): raise RuntimeError("no")
    def __repr__(self): raise RuntimeError("no")
    def __iter__(self): raise RuntimeError("no")
    @property
    def __dict__(self): raise RuntimeError("no")
    def __getattr__(self, name): raise RuntimeError("no")

loop = []
loop.append(loop)
deep = []
for _ in range(5000):
    deep = [deep]
values = [Hostile(), loop, deep, float("nan"), 10**400, "\\ud800", b"\\xff", {Hostile(): 1}, {1, 2}, object()]
for number, value in enumerate(values):
    with client.start_as_current_observation(name=f"step-{number}", input=value, metadata={"value": value}) as step:
        step.update(output=[value])
        step.score(name="worth", value=1.0, comment="fine")
"""
        + AFTER
    ).run(environment(receiver.url))
    assert (ended.code, ended.out) == (0, "went on\n"), ended.err
    assert receiver.whole() == (10, 10, 0, 0)


def test_an_unreadable_capture_setting_is_a_warning_and_the_default(receiver, program):
    name = "LANGFUSE_OBSERVE_DECORATOR_IO_CAPTURE_ENABLED"
    source = BEFORE + "import tracespool\nfor _ in range(3):\n    tracespool.observe()(lambda: 'out')()" + AFTER
    ended = program(source).run(environment(receiver.url, **{name: "flase"}))
    assert (ended.code, ended.out) == (0, "went on\n"), ended.err
    assert name in ended.err and len(ended.err.strip().splitlines()) == 1, ended.err
    assert receiver.whole() == (3, 0, 0, 0)


def test_a_mask_that_cannot_be_called_lets_nothing_out(receiver, program):
    source = (
        "from tracespool import Client, flush_all\nclient = Client(mask='nonsense')\n"
        "with client.start_as_current_observation(name='step', input='a secret', metadata={'k': 'a secret'}) as step:\n"
        "    step.update(output='a secret')" + AFTER
    )
    ended = program(source).run(environment(receiver.url))
    assert (ended.code, ended.out) == (0, "went on\n"), ended.err
    assert "mask is no callable" in ended.err
    (step,) = receiver.all_observations(PUBLIC_KEY)
    assert "secret" not in str(step)
