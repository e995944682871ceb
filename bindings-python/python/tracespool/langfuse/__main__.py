"""`python -m tracespool.langfuse run app.py ...`: runs a program in which `import langfuse` means tracespool."""

from __future__ import annotations

import os
import runpy
import sys

_USAGE = """usage: python -m tracespool.langfuse run PROGRAM.py [ARGUMENTS...]
       python -m tracespool.langfuse run -m MODULE [ARGUMENTS...]

Runs the program with every `import langfuse` in it, and in what it uses, meaning tracespool."""


def main(arguments: list[str]) -> int:
    """Runs what the arguments name; its exit status is the program's."""
    if arguments[:1] in (["-h"], ["--help"]):
        print(_USAGE)
        return 0
    if len(arguments) < 2 or arguments[0] != "run" or arguments[1:] == ["-m"]:
        print(_USAGE, file=sys.stderr)
        return 2
    from tracespool.langfuse._installation import Arguments, install

    install()
    if arguments[1] == "-m":
        # As `python -m` does: the working directory is where the module may be.
        sys.argv = Arguments(arguments[2:])
        runpy.run_module(arguments[2], run_name="__main__", alter_sys=True)
    else:
        sys.argv = Arguments(arguments[1:])
        if sys.path and not getattr(sys.flags, "safe_path", False):
            sys.path[0] = os.path.dirname(os.path.abspath(arguments[1]))
        runpy.run_path(arguments[1], run_name="__main__")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
