"""Programs that check a file as those do who run it. `make test-deploy` installs them; no other test needs them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
INSTALLED = ROOT / ".venv" / "deploy"
COMPOSE = INSTALLED / "compose" / "usr" / "libexec" / "docker" / "cli-plugins" / "docker-compose"
OTELCOL = INSTALLED / "otelcol"
NGINX = INSTALLED / "nginx" / "usr" / "sbin" / "nginx"
PACKAGES = INSTALLED / "packages"


def needs(*tools: Path) -> pytest.MarkDecorator:
    """Skips where a tool is missing."""
    missing = [tool.name for tool in tools if not tool.exists()]
    return pytest.mark.skipif(bool(missing), reason=f"{', '.join(missing)} not installed: `make test-deploy` does")


def document(path: Path) -> Any:
    """A YAML file; a key that is there twice is an error."""
    return yaml.load(path.read_text(), _Strict)


class _Strict(yaml.SafeLoader):
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep) for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
        assert len(keys) == len(set(map(str, keys))), f"a key twice: {keys} at {node.start_mark}"
        return super().construct_mapping(node, deep)


def run(*command: str | Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """Runs a tool with these variables and nothing else that is set."""
    return subprocess.run(
        [str(part) for part in command],
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent"} | environ,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
