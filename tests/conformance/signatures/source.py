"""Signatures read from a package's source text: nothing is imported, so that no version needs its dependencies."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

# What programs import; `api` is generated and left whole to the installed package.
MODULES = (
    "",
    "batch_evaluation",
    "experiment",
    "langchain",
    "logger",
    "media",
    "model",
    "openai",
    "span_filter",
    "types",
    "version",
    "_client.attributes",
    "_client.client",
    "_client.constants",
    "_client.get_client",
    "_client.observe",
    "_client.propagation",
    "_client.resource_manager",
    "_client.span",
    "_utils.serializer",
)

Signature = list[list[str]]
_REQUIRED = ""


class Package:
    """The source of a package: of one version of Langfuse's SDK, or ours."""

    def __init__(self, folder: Path, name: str = "langfuse") -> None:
        self.folder = folder
        self.name = name
        self._trees: dict[str, ast.Module | None] = {}

    def survey(self) -> dict[str, dict[str, Any]]:
        """Public names of each module with their signatures and members."""
        found = {}
        for module in MODULES:
            tree = self._tree(module)
            if tree is not None:
                found[module] = {name: self.described(module, name) for name in sorted(self._public(module, tree))}
        return found

    def has(self, module: str, name: str) -> bool:
        """Whether a module has a public name."""
        tree = self._tree(module)
        return tree is not None and name in self._public(module, tree)

    def _path(self, module: str) -> Path | None:
        base = self.folder.joinpath(*module.split(".")) if module else self.folder
        for path in (base.with_suffix(".py") if module else base / "__init__.py", base / "__init__.py", base.with_suffix(".pyi")):
            if path.is_file():
                return path
        return None

    def _tree(self, module: str) -> ast.Module | None:
        if module not in self._trees:
            path = self._path(module)
            self._trees[module] = ast.parse(path.read_text()) if path is not None else None
        return self._trees[module]

    def _public(self, module: str, tree: ast.Module) -> set[str]:
        names: set[str] = set()
        for node in tree.body:
            if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
                names.add(node.name)
            for target in _targets(node):
                if target == "__all__":
                    return {ast.literal_eval(item) for item in node.value.elts}  # type: ignore[attr-defined]
                names.add(target)
        return {name for name in names if not name.startswith("_") and not _is_type_variable(tree, name)}

    def described(self, module: str, name: str) -> dict[str, Any]:
        """What a name is."""
        home = self._definition(module, name)
        if home is None:
            return {"kind": "value"}
        module, node = home
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            return {"kind": "function", "signature": _signature(node, bound=False)}
        if isinstance(node, ast.ClassDef):
            return self._class(module, node)
        return {"kind": "value"}

    def _definition(self, module: str, name: str, seen: int = 0) -> tuple[str, ast.AST] | None:
        """Where a name is defined, through imports inside the package."""
        tree = self._tree(module)
        if tree is None or seen > 5:
            return None
        found: tuple[str, ast.AST] | None = None
        for node in tree.body:
            if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and node.name == name and not _is_overload(node):
                found = (module, node)
            elif isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    if (alias.asname or alias.name) == name and (target := self._absolute(module, node)) is not None:
                        found = self._definition(target, alias.name, seen + 1) or found
            elif name in _targets(node) and isinstance(getattr(node, "value", None), ast.Attribute):
                # `Langfuse = _client_module.Langfuse`, `observe = _decorator.observe`
                owner, attribute = ast.unparse(node.value.value), node.value.attr  # type: ignore[attr-defined]
                found = self._attribute(module, tree, owner, attribute, seen) or found
        return found

    def _attribute(self, module: str, tree: ast.Module, owner: str, attribute: str, seen: int) -> tuple[str, ast.AST] | None:
        for node in tree.body:
            if isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    if (alias.asname or alias.name) == owner and (target := self._absolute(module, node)) is not None:
                        return self._definition(f"{target}.{alias.name}".lstrip("."), attribute, seen + 1)
            if owner in _targets(node) and isinstance(getattr(node, "value", None), ast.Call):
                kind = self._definition(module, ast.unparse(node.value.func), seen + 1)  # type: ignore[attr-defined]
                if kind is not None and isinstance(kind[1], ast.ClassDef):
                    methods = [m for m in kind[1].body if isinstance(m, ast.FunctionDef) and m.name == attribute and not _is_overload(m)]
                    if methods:
                        method = ast.parse(ast.unparse(methods[-1])).body[0]
                        method.args.args = method.args.args[1:]  # type: ignore[attr-defined]
                        return module, method
        return None

    def _absolute(self, module: str, node: ast.ImportFrom) -> str | None:
        if node.level == 0:
            head, _, tail = (node.module or "").partition(".")
            return tail if head == self.name else None
        path = self._path(module)
        parts = module.split(".") if module else []
        package = parts if path is not None and path.name == "__init__.py" else parts[:-1]
        base = package[: len(package) - node.level + 1]
        return ".".join([*base, *([node.module] if node.module else [])])

    def _class(self, module: str, node: ast.ClassDef) -> dict[str, Any]:
        signature, members = None, {}
        for home, part in reversed(self._lineage(module, node)):
            if any("dataclass" in ast.unparse(decorator) for decorator in part.decorator_list):
                signature = _fields(part)
            for item in part.body:
                if not isinstance(item, (ast.FunctionDef, ast.AsyncFunctionDef)) or _is_overload(item):
                    continue
                if item.name == "__init__" or (item.name == "__new__" and home == "_client.resource_manager"):
                    signature = _signature(item, bound=True)
                elif not item.name.startswith("_"):
                    members[item.name] = _member(item)
        described: dict[str, Any] = {"kind": "class"}
        if signature is not None:
            described["signature"] = signature
        if members:
            described["members"] = dict(sorted(members.items()))
        return described

    def _lineage(self, module: str, node: ast.ClassDef) -> list[tuple[str, ast.ClassDef]]:
        lineage = [(module, node)]
        for base in node.bases:
            owner, _, name = ast.unparse(base).partition("[")[0].rpartition(".")
            tree = self._tree(module)
            found = self._attribute(module, tree, owner, name, 0) if owner and tree is not None else self._definition(module, name)
            if found is not None and isinstance(found[1], ast.ClassDef):
                lineage += self._lineage(found[0], found[1])
        return lineage


def _targets(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Assign):
        return [target.id for target in node.targets if isinstance(target, ast.Name)]
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
        return [node.target.id]
    return []


def _is_type_variable(tree: ast.Module, name: str) -> bool:
    return any(
        name in _targets(node) and isinstance(node.value, ast.Call) and ast.unparse(node.value.func).endswith(("TypeVar", "ParamSpec"))  # type: ignore[attr-defined]
        for node in tree.body
    )


def _is_overload(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> bool:
    return any(ast.unparse(decorator).endswith("overload") for decorator in node.decorator_list)


def _member(node: ast.FunctionDef | ast.AsyncFunctionDef) -> dict[str, Any]:
    decorators = [ast.unparse(decorator) for decorator in node.decorator_list]
    if any(decorator in ("property", "cached_property") or decorator.endswith(".setter") for decorator in decorators):
        return {"kind": "property"}
    return {"kind": "method", "signature": _signature(node, bound="staticmethod" not in decorators)}


def _signature(node: ast.FunctionDef | ast.AsyncFunctionDef, *, bound: bool) -> Signature:
    """Parameters as `[name, kind, default]`; an empty default means that it is required."""
    arguments = node.args
    positional = [*arguments.posonlyargs, *arguments.args]
    defaults = [_REQUIRED] * (len(positional) - len(arguments.defaults)) + [_text(default) for default in arguments.defaults]
    found = [[argument.arg, "positional", default] for argument, default in zip(positional, defaults, strict=True)]
    found = found[1:] if bound else found
    if arguments.vararg is not None:
        found.append([arguments.vararg.arg, "*", _REQUIRED])
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        found.append([argument.arg, "keyword", _REQUIRED if default is None else _text(default)])
    if arguments.kwarg is not None:
        found.append([arguments.kwarg.arg, "**", _REQUIRED])
    return found


def _fields(node: ast.ClassDef) -> Signature:
    """The parameters of a dataclass."""
    return [
        [item.target.id, "positional", _REQUIRED if item.value is None else "..."]
        for item in node.body
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)
    ]


def _text(node: ast.expr) -> str:
    try:
        return repr(ast.literal_eval(node))
    except ValueError:
        return "..."
