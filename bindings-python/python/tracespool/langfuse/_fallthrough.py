"""What only the langfuse package has: its REST client, datasets, experiments and batched evaluation.

That package is loaded from where it is installed, unchanged, but under a name of our own, so that it shares no module with
a program's own `import langfuse`. Inside it `import langfuse...` means that private copy, and its names for clients,
observations and propagation mean ours: what runs there is traced, flushed and accounted for by tracespool, and none of
its threads is started. It is loaded on first use (some 0.3 s and 30 MiB).
"""

from __future__ import annotations

import builtins
import sys
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import ModuleType
    from typing import Any

OURS = "tracespool.langfuse"
INSTALLED = "tracespool.langfuse._installed"
_REAL = "langfuse"

# Modules whose home is elsewhere in this package.
_ELSEWHERE = {"span_filter": "tracespool.span_filter", "_client.span_filter": "tracespool.span_filter"}
# What a program may ask for where the langfuse package is not installed; anything else is no module of either.
_PUBLIC = frozenset({"api", "batch_evaluation", "langchain", "media", "model", "openai", "span_filter"})


class LangfuseNotInstalled(ImportError):
    """The langfuse package is needed for this and is not installed."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what} is a part of the langfuse package, which is not installed here: `pip install langfuse`. "
            "Tracing and scores do not need it.",
            name=_REAL,
        )


def load(module: str = "") -> ModuleType:
    """A module of the installed package by its name below `langfuse`; the package itself by default."""
    if _installed_spec() is None:
        raise LangfuseNotInstalled(f"langfuse.{module}" if module else "this")
    return import_module(f"{INSTALLED}.{module}" if module else INSTALLED)


def available() -> bool:
    """Whether the langfuse package is installed."""
    return _installed_spec() is not None


def names(module: str, known: frozenset[str] = frozenset()) -> Callable[[str], Any]:
    """A module's `__getattr__`: what it does not define is taken from the installed package's module of that name.

    `known` are names that exist there: without the package they give its error instead of an AttributeError.
    """

    def get(name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(f"module 'langfuse.{module}' has no attribute {name!r}")
        if not available():
            if name in known:
                raise LangfuseNotInstalled(f"langfuse.{module}.{name}")
            raise AttributeError(f"module 'langfuse.{module}' has no attribute {name!r}")
        return getattr(load(module), name)

    return get


def _installed_spec() -> ModuleSpec | None:
    """Where the package is installed; finders of editable installations are asked too."""
    for finder in sys.meta_path:
        find = getattr(finder, "find_spec", None)
        if find is None or isinstance(finder, OurFinder):
            continue
        spec: ModuleSpec | None = find(_REAL, None)
        if spec is not None and spec.origin is not None:
            return spec
    return None


class OurFinder:
    """A finder of this package: not asked where langfuse is installed."""


class Finder(OurFinder):
    """Finds modules of the installed package under their private names, and those that we lack under ours."""

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if not name.startswith("tracespool.langfuse."):
            return None
        if name == INSTALLED:
            return _private(name, _installed_spec())
        if name.startswith(INSTALLED + "."):
            return _private(name, PathFinder.find_spec(name, path))
        parent, _, leaf = name.rpartition(".")
        home = getattr(sys.modules.get(parent), "__name__", parent)
        if home.startswith(INSTALLED):
            return _same(name, f"{home}.{leaf}")
        found = PathFinder.find_spec(name, path)
        if found is not None and found.origin is not None:
            return found
        return _absent_here(name, name[len(OURS) + 1 :])


def _absent_here(name: str, tail: str) -> ModuleSpec | None:
    """A module that this package does not have itself."""
    elsewhere = _ELSEWHERE.get(tail)
    if elsewhere is not None and PathFinder.find_spec(elsewhere, sys.modules["tracespool"].__path__) is not None:
        return _same(name, elsewhere)
    if not available():
        if tail == "api":
            return _same(name, f"{OURS}._absent_api")
        missing: Any = _Missing(f"langfuse.{tail}")
        return ModuleSpec(name, missing) if tail.partition(".")[0] in _PUBLIC else None
    import importlib.util

    try:
        found = importlib.util.find_spec(f"{INSTALLED}.{tail}")
    except ModuleNotFoundError:
        return None
    return _same(name, f"{INSTALLED}.{tail}") if found is not None else None


class Alias:
    """Gives a module that has another name already."""

    def __init__(self, target: str) -> None:
        self.target = target
        self.spec: ModuleSpec | None = None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = import_module(self.target)
        self.spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        # The import system has put the alias there; the module's own relative imports go by its own.
        module.__spec__ = self.spec


def _same(name: str, target: str) -> ModuleSpec:
    return ModuleSpec(name, Alias(target), origin=target)  # type: ignore[arg-type]


class _Missing:
    """Says what to install when the module is imported, not when it is looked for."""

    def __init__(self, what: str) -> None:
        self.what = what

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        raise LangfuseNotInstalled(self.what)

    def exec_module(self, module: ModuleType) -> None:
        raise LangfuseNotInstalled(self.what)


def _private(name: str, found: ModuleSpec | None) -> ModuleSpec | None:
    """The spec of an installed module under its private name."""
    if found is None:
        return None
    if isinstance(found.loader, SourceFileLoader) and found.origin:
        spec = ModuleSpec(name, _Loader(name, found.origin), origin=found.origin, is_package=found.submodule_search_locations is not None)
        spec.has_location = True
    else:  # a folder without `__init__.py`
        spec = ModuleSpec(name, None, is_package=True)
    if found.submodule_search_locations is not None:
        spec.submodule_search_locations = list(found.submodule_search_locations)
    return spec


class _Loader(SourceFileLoader):
    """Runs an installed module with an `import` of its own, then puts our names in the place of its."""

    def exec_module(self, module: ModuleType) -> None:
        module.__dict__["__builtins__"] = {**builtins.__dict__, "__import__": _import}
        super().exec_module(module)
        tail = module.__name__[len(INSTALLED) + 1 :]
        if tail.partition(".")[0] != "api":
            _substitute(module, tail)


def _import(name: str, globals: Any = None, locals: Any = None, fromlist: Any = (), level: int = 0) -> Any:
    if level == 0 and (name == _REAL or name.startswith(_REAL + ".")):
        name = INSTALLED + name[len(_REAL) :]
        if not fromlist:
            import_module(name)
            return sys.modules[INSTALLED]
    return builtins.__import__(name, globals, locals, fromlist, level)


_OBSERVATIONS = ("ObservationWrapper", "Span", "Generation", "Event", "Agent", "Tool", "Chain", "Retriever", "Evaluator", "Embedding", "Guardrail")

# Names in the installed package that mean ours, and where ours are.
_SUBSTITUTES = {
    "Langfuse": "_client.client",
    "get_client": "_client.get_client",
    "observe": "_client.observe",
    "propagate_attributes": "_client.propagation",
    "_propagate_attributes": "_client.propagation",
    "_get_propagated_attributes_from_context": "_client.propagation",
    "_set_span_attributes_within_limit": "_client.span",
    "LangfuseResourceManager": "_client.resource_manager",
    "Evaluation": "experiment",
    "LangfuseMedia": "media",
    "LangfuseMediaReference": "media",
    **{f"Langfuse{name}": "_client.span" for name in _OBSERVATIONS},
}


def _substitute(module: ModuleType, tail: str) -> None:
    held = module.__dict__
    for name, home in _SUBSTITUTES.items():
        if name in held and _is_ours(home):
            # Kept: what we do not have is taken from the original class.
            held.setdefault(f"_installed_{name}", held[name])
            held[name] = getattr(import_module(f"{OURS}.{home}"), name)
    if "asyncio" in held and tail in ("_client.client", "batch_evaluation", "experiment"):
        held["asyncio"] = _Asyncio(held["asyncio"])


def _is_ours(module: str) -> bool:
    """Whether this package has that module itself."""
    parent = import_module(f"{OURS}.{module.rpartition('.')[0]}" if "." in module else OURS)
    found = PathFinder.find_spec(f"{OURS}.{module}", parent.__path__)
    return found is not None and found.origin is not None


class _Asyncio:
    """`asyncio`, except that `to_thread` needs none.

    Experiments and batched evaluation run in an event loop of their own and use threads only for calls between two
    rounds of items (the project's id, the next page, the flush at the end), when nothing else of that loop is under way.
    """

    def __init__(self, asyncio: ModuleType) -> None:
        self._asyncio = asyncio

    def __getattr__(self, name: str) -> Any:
        return getattr(self._asyncio, name)

    async def to_thread(self, function: Callable[..., Any], /, *args: Any, **keywords: Any) -> Any:
        return function(*args, **keywords)


def _watch_imports() -> None:
    if not any(isinstance(finder, Finder) for finder in sys.meta_path):
        # First: below a package of the installed copy the ordinary finder would load a second copy.
        sys.meta_path.insert(0, Finder())


_watch_imports()
