"""Reads which of our modules import which, from the source alone."""

from __future__ import annotations

import ast
import dataclasses
import functools
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SERVICES = ("api", "conductor", "scheduler", "compute", "volume", "console")
PACKAGES = ("hostler", *SERVICES)


@dataclasses.dataclass(frozen=True)
class Import:
    """One import statement: what it names, where it stands, and whether only the type checker runs it."""

    target: str
    line: int
    inside_function: bool
    for_types_only: bool


@dataclasses.dataclass(frozen=True)
class Module:
    """One of our modules."""

    name: str
    path: Path
    tree: ast.Module
    lines: int
    imports: tuple[Import, ...]


@functools.cache
def read_modules(root: Path = ROOT) -> dict[str, Module]:
    """Return every module of our packages by its dotted name."""
    files = {_module_name(path.relative_to(root)): path
             for package in PACKAGES for path in sorted((root / package).rglob("*.py"))}
    return {name: _read(name, path, frozenset(files)) for name, path in files.items()}


def _module_name(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _read(name: str, path: Path, known: frozenset[str]) -> Module:
    text = path.read_text()
    tree = ast.parse(text, filename=str(path))
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    imports = tuple(_imports(tree, package, known, False, False))
    return Module(name=name, path=path, tree=tree, lines=text.count("\n"), imports=imports)


def _imports(node: ast.AST, package: str, known: frozenset[str], inside: bool, types: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            for alias in child.names:
                yield Import(alias.name, child.lineno, inside, types)
        elif isinstance(child, ast.ImportFrom):
            base = child.module or ""
            if child.level:
                parents = package.split(".")[:len(package.split(".")) - child.level + 1]
                base = ".".join([*parents, base] if base else parents)
            for alias in child.names:
                full = f"{base}.{alias.name}"
                yield Import(full if full in known else base, child.lineno, inside, types)
        elif not isinstance(child, ast.expr):  # no expression holds a statement; they are most of a tree
            function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
            guard = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
            yield from _imports(child, package, known, inside or function, types or guard)


def find_circles(modules: dict[str, Module]) -> list[list[str]]:
    """Return the groups of modules that import one another (Tarjan's strongly connected components).

    Imports for the type checker count: modules that need one another's names belong together or are cut wrongly.
    """
    edges = {name: [item.target for item in module.imports
                    if item.target in modules and item.target != name]
             for name, module in modules.items()}
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    circles: list[list[str]] = []

    def visit(name: str) -> None:
        index[name] = low[name] = len(index)
        stack.append(name)
        for target in edges[name]:
            if target not in index:
                visit(target)
                low[name] = min(low[name], low[target])
            elif target in stack:
                low[name] = min(low[name], index[target])
        if low[name] == index[name]:
            at = stack.index(name)
            group = stack[at:]
            del stack[at:]
            if len(group) > 1:
                circles.append(sorted(group))

    for name in modules:
        if name not in index:
            visit(name)
    return circles


def reachable(modules: dict[str, Module], start: str) -> dict[str, str]:
    """Return every module and outside name that importing `start` pulls in → the module of ours that names it.

    Importing `a.b.c` runs `a` and `a.b` too.
    """
    found: dict[str, str] = {}
    waiting = [(start, start)]
    while waiting:
        name, importer = waiting.pop()
        if name in found:
            continue
        found[name] = importer
        if name in modules:
            waiting.extend((item.target, name) for item in modules[name].imports if not item.for_types_only)
        parent = name.rpartition(".")[0]
        if parent:
            waiting.append((parent, importer))
    return found
