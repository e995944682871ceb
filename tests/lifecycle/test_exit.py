"""However a program ends, what it traced has arrived, and it ends in time."""

from __future__ import annotations

import signal
import statistics
import time

import pytest
from program import environment

# The goodbye has three seconds; the rest is for the interpreter's own end on a busy machine.
GOODBYE, SLACK = 3.0, 0.3

TRACE = """
import os, sys, threading, time
from tracespool import Client

client = Client()
for turn in range(5):
    with client.start_as_current_observation(name=f"step-{turn}", input={"turn": turn}) as observation:
        observation.score(name="worth", value=1.0)
"""

ENDINGS = {
    "normal end": ("", 0),
    "sys.exit": ("sys.exit(3)", 3),
    "sys.exit in a thread": ("t = threading.Thread(target=sys.exit); t.start(); t.join()", 0),
    "uncaught exception": ("raise RuntimeError('the application broke')", 1),
    "exception inside an observation": (
        "with client.start_as_current_observation(name='last'):\n    raise RuntimeError('the application broke')",
        1,
    ),
    "keyboard interrupt": ("raise KeyboardInterrupt", 130),
    "a thread goes on tracing": (
        "def go_on():\n"
        "    time.sleep(0.5)\n"
        "    with client.start_as_current_observation(name='late'):\n"
        "        pass\n"
        "threading.Thread(target=go_on).start()",
        0,
    ),
}
MORE = {"exception inside an observation": 1, "a thread goes on tracing": 1}


@pytest.mark.parametrize("ending", ENDINGS)
def test_everything_has_arrived(receiver, program, ending):
    last, code = ENDINGS[ending]
    ended = program(TRACE + last + "\n").run(environment(receiver.url))
    assert ended.code in (code, -signal.SIGINT if code == 130 else code), ended.err
    assert receiver.whole() == (5 + MORE.get(ending, 0), 5, 0, 0)
    if "exception" in ending:
        assert "the application broke" in ended.err


def test_nothing_is_printed_over_the_application(receiver, program):
    ended = program(TRACE).run(environment(receiver.url))
    assert (ended.out, ended.err) == ("", "")


@pytest.mark.parametrize("fault", ["hang", "drip", "reset", "500"])
def test_a_broken_server_holds_the_end_up_for_three_seconds_at_most(receiver, program, fault):
    receiver.fault(fault)
    untraced = statistics.median(_untraced(program) for _ in range(3))
    ended = program(TRACE).run(environment(receiver.url))
    assert ended.code == 0, ended.err
    assert ended.seconds - untraced <= GOODBYE + SLACK


def test_many_destinations_share_one_goodbye(receiver, program):
    receiver.fault("hang")
    untraced = statistics.median(_untraced(program) for _ in range(3))
    ended = program(
        """
        from tracespool import Client

        for number in range(50):
            client = Client(public_key=f"pk-lf-{number}", secret_key="sk-lf-x")
            with client.start_as_current_observation(name="step"):
                pass
        """
    ).run(environment(receiver.url))
    assert ended.code == 0, ended.err
    assert ended.seconds - untraced <= GOODBYE + SLACK


def test_the_exit_hook_can_be_switched_off(receiver, program):
    receiver.fault("hang")
    untraced = statistics.median(_untraced(program) for _ in range(3))
    ended = program(TRACE).run(environment(receiver.url, TRACESPOOL_ATEXIT="0"))
    assert ended.code == 0, ended.err
    assert ended.seconds - untraced < 1.0


def _untraced(program) -> float:
    ended = program("import os, sys, threading, time\n").run(environment("http://127.0.0.1:9"))
    assert ended.code == 0
    return ended.seconds


WAITING = TRACE + 'print("ready", flush=True)\ntime.sleep(20)\n'


def test_sigterm_as_the_system_has_it(receiver, program):
    process = program(WAITING).start(environment(receiver.url))
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=10)
    assert process.returncode == -signal.SIGTERM


def test_sigterm_says_goodbye_when_asked_to(receiver, program):
    process = program(WAITING).start(environment(receiver.url, TRACESPOOL_SIGTERM="1"))
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=10)
    assert process.returncode in (-signal.SIGTERM, 128 + signal.SIGTERM), err
    assert receiver.whole() == (5, 5, 0, 0)


def test_sigterm_chains_to_the_handler_that_was_there(receiver, program):
    source = (
        "import signal, sys\n"
        "signal.signal(signal.SIGTERM, lambda *_: (print('the application knows', flush=True), sys.exit(7)))\n" + WAITING
    )
    process = program(source).start(environment(receiver.url, TRACESPOOL_SIGTERM="1"))
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=10)
    assert (process.returncode, out) == (7, "the application knows\n"), err
    assert receiver.whole() == (5, 5, 0, 0)


def test_ctrl_c_interrupts_a_flush(receiver, program):
    receiver.fault("hang")
    process = program(
        TRACE + 'print("ready", flush=True)\n'
        "try:\n    client.flush(timeout=15.0)\nexcept KeyboardInterrupt:\n    print('interrupted', flush=True)\n"
    ).start(environment(receiver.url, TRACESPOOL_ATEXIT="0"))
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    time.sleep(0.3)
    pressed = time.monotonic()
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "interrupted\n"
    assert time.monotonic() - pressed < 0.5
    process.communicate(timeout=10)


def test_ctrl_c_stays_what_ended_the_program_and_the_loss_is_told(program):
    ended = program(TRACE + "raise KeyboardInterrupt\n").run(environment("http://127.0.0.1:9"))
    assert ended.code == -signal.SIGINT, (ended.code, ended.err)
    assert "at exit 10 items were still unsent" in ended.err, ended.err


def test_the_loss_is_told_where_the_server_hangs(receiver, program):
    receiver.fault("hang")
    ended = program(TRACE).run(environment(receiver.url))
    assert ended.code == 0 and ended.seconds < GOODBYE + 2.0
    assert "at exit " in ended.err, ended.err
