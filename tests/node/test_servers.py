"""What a Node program traced is stored when the server recovers, and its counts are true when it does not."""

from __future__ import annotations

import json

import pytest
from program import environment

COUNT = 300

PROGRAM = """
import { Client, stats } from "tracespool";

const client = new Client({ flushInterval: 0.2 });
for (let turn = 0; turn < %d; turn += 1) client.startObservation(`step-${turn}`, { input: { text: "word ".repeat(40) } }).end();
const began = performance.now();
const report = await client.flush({ timeout: %d });
console.log(JSON.stringify({ took: performance.now() - began, report, stats: stats() }));
process.exit(0);
"""


@pytest.mark.parametrize("fault", ["503:2", "429:1", "reset", "truncate", "500", "refuse:400", "delay:300"])
def test_a_server_that_recovers_has_everything_once(receiver, script, fault):
    where = {} if fault.startswith(("503", "refuse", "delay")) else {"count": 2}
    receiver.fault(fault, **where)
    ended = script(PROGRAM % (COUNT, 15_000)).run(environment(receiver.url))
    assert ended.code == 0, ended.err
    report = json.loads(ended.out)["report"]
    assert (report["delivered"], report["pending"], report["unconfirmed"]) == (COUNT, 0, 0), report
    observations, _, twice, _ = receiver.whole()
    assert observations == COUNT
    # Stored, but the answer was lost: the second time it is the same observation.
    assert twice == 0 or fault in ("truncate", "reset")


@pytest.mark.parametrize("fault", ["hang", "drip", "reset", "500", "503", "401", "429:60", "refuse"])
def test_the_report_is_true_where_it_does_not(receiver, script, fault):
    receiver.fault(fault)
    ended = script(PROGRAM % (COUNT, 1000)).run(environment(receiver.url))
    receiver.faults([])
    assert ended.code == 0, ended.err
    told = json.loads(ended.out)
    report = told["report"]
    assert told["took"] <= 1050
    dropped = report["dropped"] if isinstance(report["dropped"], int) else sum(report["dropped"].values())
    assert report["delivered"] == 0
    assert report["delivered"] + dropped + report["pending"] + report["unconfirmed"] == COUNT, report


def test_keys_that_are_wrong_are_told_once(receiver, script):
    receiver.fault("401")
    ended = script(PROGRAM % (COUNT, 1000)).run(environment(receiver.url))
    assert ended.err.count("401") == 1, ended.err
    assert "sk-lf" not in ended.err


def test_one_tenant_whose_server_hangs_delays_no_other(receiver, script):
    receiver.fault("hang", key="pk-lf-hung")
    ended = script(
        """
        import { Client } from "tracespool";
        const hung = new Client({ publicKey: "pk-lf-hung", secretKey: "sk-lf-x" });
        const well = new Client({ publicKey: "pk-lf-well", secretKey: "sk-lf-x" });
        for (let turn = 0; turn < 100; turn += 1) {
          hung.startObservation("step").end();
          well.startObservation("step").end();
        }
        const waits = hung.flush({ timeout: 1500 });
        const began = performance.now();
        const report = await well.flush({ timeout: 5000 });
        const took = performance.now() - began;
        const other = await waits;
        console.log(JSON.stringify({ took, delivered: report.delivered, other: other.delivered }));
        process.exit(0);
        """
    ).run(environment(receiver.url))
    told = json.loads(ended.out)
    assert told["delivered"] == 100 and told["other"] == 0 and told["took"] < 1000
    assert receiver.counts("pk-lf-well")["observations"] == 100
    assert receiver.counts("pk-lf-hung")["observations"] == 0
