"""A program for Node as a process of its own."""

from __future__ import annotations

import os
import subprocess
import textwrap
from pathlib import Path

from program import Ended, Program

NODE = os.environ.get("NODE", "node")


class Script(Program):
    """Source text under a name that says which kind of module it is, and other files beside it (`_` stands for the dot)."""

    def __init__(self, folder: Path, source: str, name: str, files: dict[str, str]) -> None:
        self.path = folder / name
        self.path.write_text(textwrap.dedent(source))
        for other, text in files.items():
            (folder / other.replace("_", ".")).write_text(textwrap.dedent(text))

    def start(self, environ: dict[str, str], *options: str, python: str = NODE) -> subprocess.Popen[str]:
        return super().start(environ, *options, python=python)

    def run(self, environ: dict[str, str], *options: str, timeout: float = 30, python: str = NODE) -> Ended:
        return super().run(environ, *options, timeout=timeout, python=python)
