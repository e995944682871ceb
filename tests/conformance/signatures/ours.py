"""Our side: what stands for each name, and how its signature compares."""

from __future__ import annotations

import ast
import functools
import importlib
import importlib.util
import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tracespool.langfuse
from tracespool.langfuse import _fallthrough
from tracespool.langfuse._client.client import _Installed

from .source import Package, Signature

SAME = "same"
WIDER = "wider"
DIFFERS = "differs"
THROUGH = "falls through"
ABSENT = "absent"

_KINDS = {
    inspect.Parameter.POSITIONAL_ONLY: "positional",
    inspect.Parameter.POSITIONAL_OR_KEYWORD: "positional",
    inspect.Parameter.VAR_POSITIONAL: "*",
    inspect.Parameter.KEYWORD_ONLY: "keyword",
    inspect.Parameter.VAR_KEYWORD: "**",
}


@dataclass(frozen=True)
class Verdict:
    """How a name of ours compares with theirs, and in what."""

    word: str
    detail: str = ""


@functools.cache
def installed() -> dict[str, dict[str, Any]]:
    """The names of the installed package."""
    spec = importlib.util.find_spec("langfuse")
    assert spec is not None and spec.origin is not None
    return Package(Path(spec.origin).parent).survey()


def compare(module: str, name: str, theirs: dict[str, Any], member: str = "") -> Verdict:
    """What we have under `langfuse.<module>.<name>[.<member>]` beside theirs."""
    module = module or tracespool.langfuse._HOMES.get(name, "")
    spec = importlib.util.find_spec(f"{_fallthrough.OURS}.{module}" if module else _fallthrough.OURS)
    if spec is None:
        return Verdict(ABSENT)
    if isinstance(spec.loader, _fallthrough.Alias) and spec.loader.target.startswith(_fallthrough.INSTALLED):
        # Not imported: it may need packages that are not installed here.
        return Verdict(THROUGH if name in installed().get(module, {}) else ABSENT)
    try:
        value = getattr(importlib.import_module(f"{_fallthrough.OURS}.{module}" if module else _fallthrough.OURS), name)
    except AttributeError:
        return Verdict(ABSENT)
    except ModuleNotFoundError:  # it wraps a package that is not installed here
        return _by_source(f"langfuse.{module}", name, theirs, member)
    if _is_theirs(value):
        return Verdict(THROUGH)
    if member:
        return _member(value, member, theirs)
    return _call(value, theirs.get("signature"), bound=False)


def _by_source(module: str, name: str, theirs: dict[str, Any], member: str) -> Verdict:
    """The same for a module that cannot be imported."""
    package = Package(Path(tracespool.__path__[0]), "tracespool")
    if not package.has(module, name):
        return Verdict(ABSENT)
    found = package.described(module, name)
    if member and (found := found.get("members", {}).get(member)) is None:
        return Verdict(ABSENT)
    if member and found["kind"] != theirs["kind"]:
        return Verdict(DIFFERS, f"{found['kind']} and {theirs['kind']}")
    if "signature" not in theirs:
        return Verdict(SAME)
    if "signature" not in found:
        return Verdict(DIFFERS, "ours tells no signature")
    kinds = {word: kind for kind, word in _KINDS.items() if kind is not inspect.Parameter.POSITIONAL_ONLY}
    return _parameters(theirs["signature"], [_parameter(name, kinds[kind], default) for name, kind, default in found["signature"]])


def _parameter(name: str, kind: Any, default: str) -> inspect.Parameter:
    value = inspect.Parameter.empty if default == "" else None if default == "..." else ast.literal_eval(default)
    return inspect.Parameter(name, kind, default=value)


def _is_theirs(value: Any) -> bool:
    home = value.__name__ if inspect.ismodule(value) else getattr(value, "__module__", None)
    return isinstance(home, str) and home.startswith(_fallthrough.INSTALLED)


def _member(owner: Any, member: str, theirs: dict[str, Any]) -> Verdict:
    try:
        value = inspect.getattr_static(owner, member)
    except AttributeError:
        return Verdict(ABSENT)
    if member in ("api", "async_api"):
        return Verdict(THROUGH)
    if isinstance(value, _Installed):
        held = getattr(tracespool.langfuse.Langfuse, member, None)
        return Verdict(THROUGH if held is not None else ABSENT)
    is_property = isinstance(value, property) or inspect.isgetsetdescriptor(value)
    if is_property or theirs["kind"] == "property":
        return Verdict(SAME) if is_property and theirs["kind"] == "property" else Verdict(DIFFERS, "property and method")
    return _call(getattr(owner, member), theirs["signature"], bound=True)


def _call(value: Any, theirs: Signature | None, *, bound: bool) -> Verdict:
    if theirs is None:
        return Verdict(SAME)
    try:
        signature = inspect.signature(value)
    except (TypeError, ValueError):
        return Verdict(DIFFERS, "ours tells no signature")
    ours = list(signature.parameters.values())
    if bound and ours and ours[0].name == "self":
        ours = ours[1:]
    return _parameters(theirs, ours)


def _parameters(theirs: Signature, ours: list[inspect.Parameter]) -> Verdict:
    known = {parameter.name: parameter for parameter in ours}
    takes_any = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in ours)
    problems = []
    for at, (name, kind, default) in enumerate(theirs):
        parameter = known.pop(name, None)
        if kind in ("*", "**"):
            continue
        if parameter is None:
            problems.append(f"{name} by `**` only" if takes_any else f"no {name}")
        elif kind == "positional" and (_KINDS[parameter.kind] != "positional" or ours.index(parameter) != at):
            problems.append(f"{name} by keyword only")
        elif parameter.kind is inspect.Parameter.POSITIONAL_ONLY and kind == "keyword":
            problems.append(f"{name} by position only")
        elif default and parameter.default is inspect.Parameter.empty:
            problems.append(f"{name} is required")
        elif default not in ("", "...") and repr(parameter.default) != default and (default, parameter.default) != ("[]", ()):
            problems.append(f"{name}={parameter.default!r} instead of {default}")
    more = [parameter for parameter in known.values() if _KINDS[parameter.kind] not in ("*", "**")]
    problems += [f"{parameter.name} is required" for parameter in more if parameter.default is inspect.Parameter.empty]
    if problems:
        return Verdict(DIFFERS, ", ".join(problems))
    if any(kind == "**" for _, kind, _ in theirs):
        return Verdict(SAME)
    optional = [parameter.name for parameter in more]
    wider = [parameter.name for parameter in ours if parameter.name in optional]
    return Verdict(WIDER, ", ".join(f"+{name}" for name in wider)) if wider else Verdict(SAME)
