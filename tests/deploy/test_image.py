"""The backend's image: what it copies is there, and hadolint has nothing to say."""

from __future__ import annotations

import re

import pytest
from tools import DEPLOY, PACKAGES, ROOT, needs, run

FILE = DEPLOY / "backend" / "Dockerfile"


def test_what_is_copied_is_there():
    copied = re.findall(r"^COPY (?!--from)(.+)$", FILE.read_text(), re.MULTILINE)
    sources = [source for line in copied for source in line.split()[:-1]]
    assert "examples" in sources and all((ROOT / source).exists() for source in sources), sources


def test_it_runs_as_nobody_in_particular_and_starts_what_the_compose_file_checks():
    text = FILE.read_text()
    assert re.search(r"^USER 10001$", text, re.MULTILINE)
    assert 'CMD ["gunicorn", "--config", "gunicorn.conf.py", "service:app"]' in text
    assert "127.0.0.1:8000/health" in text


def test_nothing_of_the_working_tree_gets_into_the_image():
    ignored = FILE.with_name("Dockerfile.dockerignore").read_text().splitlines()
    assert {".git", ".venv*", "target", "deploy/.env"} <= set(ignored)


@needs(PACKAGES / "bin" / "hadolint")
def test_hadolint():
    done = run(PACKAGES / "bin" / "hadolint", "--failure-threshold", "style", FILE)
    assert done.returncode == 0 and not done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize("name", ["fastapi", "gunicorn"])
def test_the_image_has_what_the_tests_have(name):
    wanted = {line.split(">=")[0] for line in (DEPLOY / "backend" / "requirements.txt").read_text().splitlines()}
    assert name in wanted and re.search(rf"^{name}>=", (ROOT / "tests" / "requirements.txt").read_text(), re.MULTILINE)
