"""`install()`: from then on `import langfuse`, in whatever module, gives this package.

Nothing on disk changes, and the installed langfuse package keeps its version for `importlib.metadata`.
"""

from __future__ import annotations

import logging
import sys
from importlib.machinery import ModuleSpec

from tracespool.langfuse import _fallthrough

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType
    from typing import Any

_log = logging.getLogger("tracespool")
_NAME = "langfuse"


class _Redirect(_fallthrough.OurFinder):
    """Finds our modules under the name `langfuse`."""

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name != _NAME and not name.startswith(_NAME + "."):
            return None
        import importlib.util

        ours = _fallthrough.OURS + name[len(_NAME) :]
        try:
            found = importlib.util.find_spec(ours)
        except ModuleNotFoundError:
            return None
        if found is None:
            return None
        spec = ModuleSpec(name, _fallthrough.Alias(ours), origin=ours)  # type: ignore[arg-type]
        spec.submodule_search_locations = found.submodule_search_locations
        return spec


class _Bound:
    """A name in a module of the program that meant the langfuse package's, and now means ours."""

    def __init__(self, module: ModuleType, name: str, before: Any) -> None:
        self.module = module
        self.name = name
        self.before = before

    def __str__(self) -> str:
        return f"{self.module.__name__}.{self.name}"


_redirect: _Redirect | None = None
_before: dict[str, ModuleType] = {}
_bound: list[_Bound] = []


def install(*, global_provider: bool | str | None = None) -> None:
    """Makes `import langfuse` mean tracespool in this process. Call it before anything imports langfuse.

    `global_provider=True` also records what OpenTelemetry's global tracer provider makes, into the default client; a public
    key records it into that key's client. `None` leaves it to `TRACESPOOL_GLOBAL_PROVIDER`. See docs/opentelemetry.md.

    Where that has happened already, modules that hold names of the langfuse package are given ours, and one warning says
    what was and what could not be: clients that exist, functions decorated already and subclasses stay what they are.
    A second call changes the choice of `global_provider` at most.
    """
    global _redirect
    if global_provider is not None:
        from tracespool import _global_provider

        _global_provider.use(global_provider)
    if _redirect is not None:
        return
    _redirect = _Redirect()
    sys.meta_path.insert(0, _redirect)
    _before.update({name: module for name, module in sys.modules.items() if name == _NAME or name.startswith(_NAME + ".")})
    for name in _before:
        del sys.modules[name]
    import langfuse  # noqa: F401  # ours, so that `sys.modules["langfuse"]` is there for programs that look

    if _before:
        _rebind()


class Arguments(list[str]):
    """`sys.argv` of a program under the runner. `multiprocessing` hands it to the processes that it spawns before these
    import the program again: there it calls `install()` first.
    """

    def __init__(self, arguments: list[str], global_provider: bool | str | None) -> None:
        super().__init__(arguments)
        self.global_provider = global_provider

    def __reduce__(self) -> tuple[Any, ...]:
        return _spawned, (list(self), self.global_provider)


def _spawned(arguments: list[str], global_provider: bool | str | None) -> Arguments:
    install(global_provider=global_provider)
    return Arguments(arguments, global_provider)


def uninstall() -> None:
    """Undoes `install()`: for tests."""
    global _redirect
    if _redirect is None:
        return
    from tracespool import _global_provider

    _global_provider.use(False)
    sys.meta_path.remove(_redirect)
    _redirect = None
    for name in [name for name in sys.modules if name == _NAME or name.startswith(_NAME + ".")]:
        del sys.modules[name]
    sys.modules.update(_before)
    for bound in _bound:
        setattr(bound.module, bound.name, bound.before)
    _before.clear()
    _bound.clear()


def _rebind() -> None:
    """Gives modules that have imported the langfuse package ours instead, and says so."""
    theirs = {id(module): name for name, module in _before.items()}
    kept: list[str] = []
    for module in list(sys.modules.values()):
        held = getattr(module, "__dict__", None)
        if type(held) is not dict or getattr(module, "__name__", "").startswith((_NAME, "tracespool")):
            continue
        for name, value in list(held.items()):
            try:
                ours = _ours(value, theirs)
                still = ours is None and _is_theirs(value)
            except Exception:  # a program's objects may answer `__module__` as they like
                continue
            if ours is not None:
                _bound.append(_Bound(module, name, value))
                held[name] = ours
            elif still:
                kept.append(f"{module.__name__}.{name}")
    manager = getattr(_before.get(f"{_NAME}._client.resource_manager"), "LangfuseResourceManager", None)
    clients = list(getattr(manager, "_instances", ()))
    sentence = f"langfuse was imported before tracespool.langfuse.install(): {len(_bound)} names now mean tracespool"
    if _bound:
        sentence += f" ({_listed([str(bound) for bound in _bound])})"
    if kept:
        sentence += f"; still the langfuse package's: {_listed(kept)}"
    if clients:
        sentence += f"; {len(clients)} of its clients go on with threads of their own ({_listed(clients)})"
    if f"{_NAME}.openai" in _before:
        sentence += "; the openai package stays patched by it, and is traced twice where ours patches it too"
    _log.warning("%s. Call install() first, or start the program with `python -m tracespool.langfuse run`.", sentence)


def _ours(value: Any, theirs: dict[int, str]) -> Any:
    """What stands for a module, class or function of the langfuse package; None where nothing does."""
    from importlib import import_module

    name = theirs.get(id(value))
    if name is not None:
        try:
            return import_module(name)  # through the redirection
        except ImportError:
            return None
    home = getattr(value, "__module__", None)
    title = getattr(value, "__qualname__", None)
    if not isinstance(home, str) or not isinstance(title, str) or not isinstance(value, type) and not callable(value):
        return None
    original = _before.get(home)
    if original is None or original.__dict__.get(title) is not value:
        # `observe` is a method of an object, and others are re-exported under another module's name.
        title = next((title for title, other in _public().items() if other is value or _same_method(other, value)), "")
        original = _before.get(_NAME) if title else None
    if original is None:
        return None
    try:
        return getattr(import_module(original.__name__), title, None)
    except ImportError:
        return None


def _public() -> dict[str, Any]:
    package = _before.get(_NAME)
    return {name: getattr(package, name) for name in getattr(package, "__all__", ()) if hasattr(package, name)}


def _same_method(one: Any, other: Any) -> bool:
    return getattr(one, "__func__", one) is getattr(other, "__func__", None)


def _is_theirs(value: Any) -> bool:
    """Whether a value is an object of the langfuse package, or derives from one."""
    kind = value if isinstance(value, type) else type(value)
    return any(str(base.__module__).partition(".")[0] == _NAME for base in kind.__mro__)


def _listed(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
