"""What the tests of the npm package stand on: a project in which its tarballs are installed, and programs in it."""

from __future__ import annotations

import itertools
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from script import NODE, Script

from examples.demo.collector import ROOT

NPM = os.environ.get("NPM", "npm")


def npm(folder: Path, *arguments: str) -> str:
    """Runs npm in a project."""
    ended = subprocess.run([NPM, *arguments], cwd=folder, capture_output=True, text=True, timeout=180)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.fixture(scope="session")
def tarballs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """What `make npm-pack` writes, with the binary that was built for the tests."""
    out = tmp_path_factory.mktemp("packed")
    subprocess.run([NODE, str(ROOT / "bindings-node/pack/index.mjs"), str(out)], check=True, capture_output=True, timeout=120)
    return sorted(out.glob("*.tgz"))


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory, tarballs: list[Path]) -> Path:
    """An empty project with the package in it."""
    folder = tmp_path_factory.mktemp("project")
    npm(folder, "init", "--yes")
    npm(folder, "install", "--no-audit", "--no-fund", *map(str, tarballs))
    return folder


@pytest.fixture
def script(project: Path, request: pytest.FixtureRequest) -> Callable[..., Script]:
    """Writes source text as a program of that project, with files beside it."""
    numbers = itertools.count()

    def write(source: str, name: str = "program.mjs", **files: str) -> Script:
        folder = project / f"{request.node.name}-{next(numbers)}".replace("/", "-").replace(" ", "-")
        folder.mkdir()
        return Script(folder, source, name, files)

    return write
