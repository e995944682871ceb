"""deploy/clickhouse: settings that ClickHouse has, which fit into 512 MB and with each other."""

from __future__ import annotations

import json
import sys
import xml.etree.ElementTree as ElementTree

import pytest
from tools import DEPLOY, PACKAGES, needs, run

MIB = 1024 * 1024
LIMIT = 512 * MIB
SERVER = ElementTree.parse(DEPLOY / "clickhouse" / "memory.xml").getroot()
PROFILE = ElementTree.parse(DEPLOY / "clickhouse" / "profile.xml").getroot()


def number(name: str) -> int:
    found = SERVER.find(name)
    assert found is not None and found.text, name
    return int(found.text)


def test_what_the_server_may_take_leaves_room_for_what_it_does_not_count():
    assert number("max_server_memory_usage") == LIMIT * 3 // 4
    caches = [element for element in SERVER if element.tag.endswith("cache_size") and element.tag != "mmap_cache_size"]
    assert sum(int(cache.text or "") for cache in caches) < 64 * MIB
    assert number("merges_mutations_memory_usage_soft_limit") < number("max_server_memory_usage") // 2
    query = PROFILE.find("profiles/default/max_memory_usage")
    assert query is not None and int(query.text or "") <= number("max_server_memory_usage") // 2


def test_the_pool_has_the_entries_that_a_server_insists_on():
    entries = number("background_pool_size") * number("background_merges_mutations_concurrency_ratio")
    kept = [element for element in SERVER.find("merge_tree") or () if element.tag.startswith("number_of_free_entries")]
    assert len(kept) == 3 and all(int(element.text or "") <= entries for element in kept)


@needs(PACKAGES / "chdb")
def test_clickhouse_has_every_setting():
    asked = """
import json
from chdb import session
here = session.Session()
kinds = ("server_settings", "merge_tree_settings", "settings")
names = lambda kind: json.loads(str(here.query(f"SELECT groupArray(name) AS names FROM system.{kind}", "JSONEachRow")))["names"]
print(json.dumps({kind: names(kind) for kind in kinds}))
"""
    done = run(sys.executable, "-c", asked, PYTHONPATH=str(PACKAGES))
    assert done.returncode == 0, done.stderr
    known = json.loads(done.stdout)
    server = {element.tag for element in SERVER if not element.get("remove")} - {"merge_tree"}
    assert server <= set(known["server_settings"])
    assert {element.tag for element in SERVER.find("merge_tree") or ()} <= set(known["merge_tree_settings"])
    profile = PROFILE.find("profiles/default")
    assert profile is not None and {element.tag for element in profile} <= set(known["settings"])


@pytest.mark.parametrize("name", ["memory.xml", "profile.xml"])
def test_the_file_is_put_where_its_comment_says(name):
    text = (DEPLOY / "clickhouse" / name).read_text()
    folder = "config.d" if name == "memory.xml" else "users.d"
    assert f"/etc/clickhouse-server/{folder}/{name}" in text
    assert f"./clickhouse/{name}:/etc/clickhouse-server/{folder}/{name}:ro" in (DEPLOY / "compose.yaml").read_text()
