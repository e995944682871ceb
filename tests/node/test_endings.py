"""However a Node program ends, what it traced has arrived, and it ends in time."""

from __future__ import annotations

import json
import signal
import statistics

import pytest
from program import environment
from script import Script

# The goodbye has three seconds; the rest is for Node's own end on a busy machine.
GOODBYE, SLACK = 3.0, 0.5

TRACE = """
import { Client } from "tracespool";

const client = new Client();
for (let turn = 0; turn < 5; turn += 1) {
  client.startActiveObservation(`step-${turn}`, (observation) => {
    observation.update({ input: { turn } });
    client.score.observation(observation, { name: "worth", value: 1 });
  });
}
"""

ENDINGS = {
    "natural end": ("", 0),
    "natural end after a wait": ("await new Promise((resolve) => setTimeout(resolve, 300));", 0),
    "process.exit": ("process.exit(3);", 3),
    "process.exit in a callback": ("setTimeout(() => process.exit(4), 20);", 4),
    "process.exitCode": ("process.exitCode = 5;", 5),
    "uncaught throw": ("throw new Error('the application broke');", 1),
    "throw in a callback": ("setTimeout(() => { throw new Error('the application broke'); }, 20);", 1),
    "throw inside an observation": (
        "client.startActiveObservation('last', () => { throw new Error('the application broke'); });",
        1,
    ),
    "unhandled rejection": ("void Promise.reject(new Error('the application broke')); setTimeout(() => {}, 5000);", 1),
    "a handler of uncaughtException that exits": (
        "process.on('uncaughtException', () => process.exit(7)); throw new Error('the application broke');",
        7,
    ),
    "SIGTERM with a handler that exits": (
        "process.on('SIGTERM', () => process.exit(9)); setInterval(() => {}, 1000); process.kill(process.pid, 'SIGTERM');",
        9,
    ),
    "traced in an exit handler": (
        "process.on('exit', () => client.startObservation('last').end());",
        0,
    ),
    "traced in beforeExit": (
        "process.once('beforeExit', () => client.startObservation('last').end());",
        0,
    ),
}
MORE = {"throw inside an observation": 1, "traced in an exit handler": 1, "traced in beforeExit": 1}


@pytest.fixture(scope="module")
def untraced(project) -> float:
    """Seconds that the same program takes when nothing is traced."""
    folder = project / "untraced"
    folder.mkdir()
    program = Script(folder, TRACE, "program.mjs", {})
    environ = environment("http://127.0.0.1:9", LANGFUSE_TRACING_ENABLED="false")
    return statistics.median(program.run(environ).seconds for _ in range(5))


@pytest.mark.parametrize("ending", ENDINGS)
def test_everything_has_arrived(receiver, script, ending):
    last, code = ENDINGS[ending]
    ended = script(TRACE + last + "\n").run(environment(receiver.url))
    assert ended.code == code, ended.err
    assert receiver.whole() == (5 + MORE.get(ending, 0), 5, 0, 0)
    if "handler of uncaught" not in ending and ("throw" in ending or "rejection" in ending):
        assert "the application broke" in ended.err


def test_the_same_from_commonjs(receiver, script):
    source = TRACE.replace('import { Client } from "tracespool";', 'const { Client } = require("tracespool");')
    ended = script(source + "process.exit(0);\n", "program.cjs").run(environment(receiver.url))
    assert (ended.code, ended.out, ended.err) == (0, "", "")
    assert receiver.whole() == (5, 5, 0, 0)


def test_nothing_is_printed_over_the_application(receiver, script):
    ended = script(TRACE).run(environment(receiver.url))
    assert (ended.out, ended.err) == ("", "")


def test_nothing_keeps_the_process_alive(receiver, script, untraced):
    ended = script(TRACE).run(environment(receiver.url))
    assert ended.code == 0 and ended.seconds - untraced < 1.0


@pytest.mark.parametrize("fault", ["hang", "drip", "reset", "503", "401", "429:60"])
@pytest.mark.parametrize("last", ["", "process.exit(0);"], ids=["natural", "process.exit"])
def test_a_broken_server_holds_the_end_up_for_three_seconds_at_most(receiver, script, untraced, fault, last):
    receiver.fault(fault)
    ended = script(TRACE + last).run(environment(receiver.url))
    assert ended.code == 0, ended.err
    assert ended.seconds - untraced <= GOODBYE + SLACK
    assert receiver.whole()[0] == 0


def test_many_destinations_share_one_goodbye(receiver, script, untraced):
    receiver.fault("hang")
    ended = script(
        """
        import { Client } from "tracespool";
        for (let number = 0; number < 50; number += 1) {
          new Client({ publicKey: `pk-lf-${number}`, secretKey: "sk-lf-x" }).startObservation("step").end();
        }
        """
    ).run(environment(receiver.url))
    assert ended.code == 0 and ended.seconds - untraced <= GOODBYE + SLACK


def test_the_goodbye_can_be_left_to_the_application(receiver, script):
    ended = script(TRACE).run(environment(receiver.url, TRACESPOOL_ATEXIT="0"))
    assert ended.code == 0
    assert receiver.whole()[0] == 0


def test_sigterm_without_a_handler_ends_the_process_as_ever(receiver, script):
    started = script(TRACE + "setInterval(() => {}, 1000); console.log('ready');").start(environment(receiver.url))
    assert started.stdout.readline() == "ready\n"
    started.send_signal(signal.SIGTERM)
    assert started.wait(5) == -signal.SIGTERM


def test_sigterm_when_asked_for(receiver, script):
    started = script(TRACE + "setInterval(() => {}, 1000); console.log('ready');").start(
        environment(receiver.url, TRACESPOOL_SIGTERM="1")
    )
    assert started.stdout.readline() == "ready\n"
    started.send_signal(signal.SIGTERM)
    assert started.wait(5) in (-signal.SIGTERM, 128 + signal.SIGTERM)
    assert receiver.whole() == (5, 5, 0, 0)


def test_a_flush_then_the_end(receiver, script):
    """Whoever flushed has had his answer: the end does not wait again for a server that did not answer."""
    receiver.fault("hang")
    ended = script(
        TRACE
        + """
const began = performance.now();
const report = await client.flush({ timeout: 1000 });
console.log(JSON.stringify({ took: performance.now() - began, delivered: report.delivered, told: Date.now() }));
"""
    ).run(environment(receiver.url))
    told = json.loads(ended.out)
    assert told["took"] < 1050 and told["delivered"] == 0
    assert ended.seconds < 3.0

