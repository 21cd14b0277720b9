"""The rules of the layout, read from the import graph: who may import whom, and how large things may grow."""

from __future__ import annotations

import ast
import re

import pytest

from tests.harness import import_graph

MAX_MODULE_LINES = 400
MAX_FUNCTION_LINES = 50
MODULES = import_graph.read_modules()
# Building a service is the one place that names concrete classes of every service.
COMPOSITION = "hostler.cmd"
GENERATED = "hostler.db.migrations.versions"
VAGUE = re.compile(r"(^|\.)(utils?|common|helpers?|misc)(\.|$)")


def _service_of(name: str) -> str:
    return name.partition(".")[0]


def test_shared_ground_imports_no_service() -> None:
    breaches = [f"{module.name}:{item.line} imports {item.target}" for module in MODULES.values()
                if _service_of(module.name) == "hostler" and not module.name.startswith(COMPOSITION)
                for item in module.imports if _service_of(item.target) in import_graph.SERVICES]
    assert not breaches, "\n".join(breaches)


def test_service_imports_nothing_of_another_but_its_rpcapi() -> None:
    breaches = []
    for module in MODULES.values():
        own = _service_of(module.name)
        for item in module.imports:
            other = _service_of(item.target)
            if own in import_graph.SERVICES and other in import_graph.SERVICES and other != own \
                    and item.target != f"{other}.rpcapi":
                breaches.append(f"{module.name}:{item.line} imports {item.target}")
    assert not breaches, "\n".join(breaches)


def test_nothing_but_commands_imports_the_commands() -> None:
    breaches = [f"{module.name}:{item.line}" for module in MODULES.values()
                if not module.name.startswith(COMPOSITION)
                for item in module.imports if item.target.startswith(COMPOSITION)]
    assert not breaches, "\n".join(breaches)


def test_no_import_inside_a_function() -> None:
    breaches = [f"{module.name}:{item.line}" for module in MODULES.values() for item in module.imports
                if item.inside_function]
    assert not breaches, "\n".join(breaches)


def test_no_circles() -> None:
    circles = import_graph.find_circles(MODULES)
    assert not circles, "\n".join(" <-> ".join(circle) for circle in circles)


_AGENTS = ("hostler.cmd.compute", "hostler.cmd.volume")


@pytest.mark.parametrize("start", sorted(
    name for name in MODULES if _service_of(name) in {"compute", "volume"} or name in _AGENTS))
def test_agent_never_reaches_the_database_layer(start: str) -> None:
    found = import_graph.reachable(MODULES, start)
    forbidden = {name: importer for name, importer in found.items()
                 if name.split(".")[0] in {"sqlalchemy", "alembic", "psycopg", "pymysql", "taskflow"}
                 or name in {"hostler.db", "hostler.operations"}}
    assert not forbidden, forbidden


def test_no_module_outgrows_its_limit() -> None:
    large = [f"{module.name}: {module.lines} lines" for module in MODULES.values()
             if module.lines > MAX_MODULE_LINES and not module.name.startswith(GENERATED)]
    assert not large, "\n".join(large)


def test_no_function_outgrows_its_limit() -> None:
    large = []
    for module in MODULES.values():
        if module.name.startswith(GENERATED):
            continue
        for node in ast.walk(module.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > MAX_FUNCTION_LINES:
                    large.append(f"{module.name}:{node.lineno} {node.name}: {lines} lines")
    assert not large, "\n".join(large)


def test_tasks_flows_and_repairs_write_through_their_run_alone() -> None:
    """`run.write` checks in the same transaction that the operation is still ours; a database does not."""
    fenced = ("conductor.tasks", "conductor.flows", "conductor.audit")
    breaches = [f"{module.name}:{node.lineno} {ast.unparse(node)}" for module in MODULES.values()
                if module.name.startswith(fenced) for node in ast.walk(module.tree)
                if (isinstance(node, ast.Attribute) and node.attr == "db")
                or (isinstance(node, ast.ImportFrom) and node.module == "hostler.db.engine")]
    assert not breaches, "\n".join(breaches)


def test_no_module_has_a_name_that_says_nothing() -> None:
    vague = [name for name in MODULES if VAGUE.search(name)]
    assert not vague, vague


def test_every_module_says_what_it_is_for() -> None:
    silent = [name for name, module in MODULES.items()
              if module.tree.body and ast.get_docstring(module.tree) is None]
    assert not silent, silent


# What tests of a folder as a whole are called; all others carry the name of the module or package they test.
_OF_THE_WHOLE = {"test_architecture", "test_documents", "test_packaging", "test_contract", "test_cloudtower_where",
                 "test_zstack_conditions"}


def test_unit_tests_mirror_the_tree() -> None:
    unit = import_graph.ROOT / "tests" / "unit"
    strays = []
    for path in sorted(unit.rglob("test_*.py")):
        tested = ".".join((*path.relative_to(unit).parts[:-1], path.stem.removeprefix("test_")))
        if tested not in MODULES and path.stem not in _OF_THE_WHOLE:
            strays.append(str(path.relative_to(unit)))
    assert not strays, f"no module of that name: {strays}"


def test_tests_import_from_the_harness_and_not_from_one_another() -> None:
    breaches = []
    for path in sorted((import_graph.ROOT / "tests").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tests.") \
                    and (node.module or "").split(".")[1] not in ("harness", "chaos") \
                    and not path.name.endswith("_databases.py"):  # which run other modules' tests on real servers
                breaches.append(f"{path}:{node.lineno} imports {node.module}")
    assert not breaches, "\n".join(breaches)
