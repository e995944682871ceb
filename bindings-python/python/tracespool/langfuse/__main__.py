"""`python -m tracespool.langfuse run app.py ...`: runs a program in which `import langfuse` means tracespool."""

from __future__ import annotations

import os
import runpy
import sys

_USAGE = """usage: python -m tracespool.langfuse run [--global-provider[=PUBLIC_KEY]] PROGRAM.py [ARGUMENTS...]
       python -m tracespool.langfuse run [--global-provider[=PUBLIC_KEY]] -m MODULE [ARGUMENTS...]

Runs the program with every `import langfuse` in it, and in what it uses, meaning tracespool.

  --global-provider[=PUBLIC_KEY]  also record the spans of OpenTelemetry's global tracer provider, into the default
                                  client or that of a public key (TRACESPOOL_GLOBAL_PROVIDER)"""
_OPTION = "--global-provider"


def main(arguments: list[str]) -> int:
    """Runs what the arguments name; its exit status is the program's."""
    if arguments[:1] in (["-h"], ["--help"]):
        print(_USAGE)
        return 0
    command, program = arguments[:1], arguments[1:]
    global_provider: bool | str | None = None
    if program and program[0].partition("=")[0] == _OPTION:
        _, sign, named = program.pop(0).partition("=")
        global_provider = named if sign else True
    if command != ["run"] or not program or program == ["-m"] or (program[0] != "-m" and program[0].startswith("-")):
        print(_USAGE, file=sys.stderr)
        return 2
    from tracespool.langfuse._installation import Arguments, install

    install(global_provider=global_provider)
    if program[0] == "-m":
        # As `python -m` does: the working directory is where the module may be.
        sys.argv = Arguments(program[1:], global_provider)
        runpy.run_module(program[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = Arguments(program, global_provider)
        if sys.path and not getattr(sys.flags, "safe_path", False):
            sys.path[0] = os.path.dirname(os.path.abspath(program[0]))
        runpy.run_path(program[0], run_name="__main__")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
