"""The laws of the layout: who may import whom, how large things may grow, who may write states.

A law is a function that takes a source tree and returns its breaches, one line each. `tests/unit/test_architecture.py`
holds our tree to all of them; `tests/unit/test_architecture_laws.py` shows that each one finds what breaks it.
"""

from __future__ import annotations

import ast
import dataclasses
import re
import statistics
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

from tests.harness import import_graph
from tests.harness.import_graph import SERVICES, Module

MAX_MODULE_LINES = 400
MAX_MEDIAN_LINES = 110
MAX_FUNCTION_LINES = 50
# Building a service is the one place that names concrete classes of every service.
COMPOSITION = "hostler.cmd"
GENERATED = "hostler.db.migrations.versions"
ROOM = re.compile(r"^(?P<room>api\.core|api\.openstack(\.compute(?=\.server))?|conductor\.flows)\.(?P<noun>\w+)"
                  r"\.(?P<thing>\w+)$")
VAGUE = re.compile(r"(^|\.)(utils?|common|helpers?|misc)(\.|$)")
AGENTS = ("compute", "volume")
AGENT_COMMANDS = tuple(f"{COMPOSITION}.{agent}" for agent in AGENTS)
DATABASE_LAYER = frozenset({"sqlalchemy", "alembic", "psycopg", "pymysql", "taskflow"})
FENCED = ("conductor.tasks", "conductor.flows", "conductor.audit")
# Columns that change along a table of transitions, and the modules that may write them.
STATES = frozenset({"vm_state", "power_state", "state", "image.status"})
MOVES = re.compile(r"^hostler\.(resources\.(transitions|\w+\.moves)|images\.moves)$|^hostler\.operations\.")
# What tests of a folder as a whole are called; all others carry the name of the module or package they test.
OF_THE_WHOLE = frozenset({"test_architecture", "test_architecture_laws", "test_documents", "test_packaging",
                          "test_requirements", "test_contract", "test_cloudtower_where", "test_zstack_conditions"})


@dataclasses.dataclass(frozen=True)
class Tree:
    """A checkout: its folder, and the modules of our packages in it."""

    root: Path
    modules: Mapping[str, Module]

    @classmethod
    def read(cls, root: Path = import_graph.ROOT) -> Tree:
        """Return the tree below `root`."""
        return cls(root, import_graph.read_modules(root))

    @property
    def written(self) -> Iterator[Module]:
        """The modules that are written by hand."""
        return (module for module in self.modules.values() if not module.name.startswith(GENERATED))


Law = Callable[[Tree], list[str]]
LAWS: Final[dict[str, Law]] = {}


def law(function: Law) -> Law:
    """Add a law to the list."""
    LAWS[function.__name__] = function
    return function


def _service_of(name: str) -> str:
    return name.partition(".")[0]


@law
def shared_ground_imports_no_service(tree: Tree) -> list[str]:
    """Imports point downward: `hostler` is below all services."""
    return [f"{module.name}:{item.line} imports {item.target}" for module in tree.modules.values()
            if _service_of(module.name) == "hostler" and not module.name.startswith(COMPOSITION)
            for item in module.imports if _service_of(item.target) in SERVICES]


@law
def service_imports_nothing_of_another_but_its_rpcapi(tree: Tree) -> list[str]:
    """Services meet on the bus."""
    return [f"{module.name}:{item.line} imports {item.target}" for module in tree.modules.values()
            if _service_of(module.name) in SERVICES for item in module.imports
            if _service_of(item.target) in SERVICES and _service_of(item.target) != _service_of(module.name)
            and item.target != f"{_service_of(item.target)}.rpcapi"]


@law
def nothing_but_commands_imports_the_commands(tree: Tree) -> list[str]:
    """What builds services is above everything."""
    return [f"{module.name}:{item.line} imports {item.target}" for module in tree.modules.values()
            if not module.name.startswith(COMPOSITION)
            for item in module.imports if item.target.startswith(COMPOSITION)]


@law
def no_import_inside_a_function(tree: Tree) -> list[str]:
    """A hidden import hides a circle."""
    return [f"{module.name}:{item.line} imports {item.target}" for module in tree.modules.values()
            for item in module.imports if item.inside_function]


@law
def no_circles(tree: Tree) -> list[str]:
    """Imports for the type checker count, too."""
    return [" <-> ".join(circle) for circle in import_graph.find_circles(dict(tree.modules))]


@law
def agent_never_reaches_the_database_layer(tree: Tree) -> list[str]:
    """A host has no access to the database, so its agent must not even load what speaks to one."""
    breaches = []
    for start in tree.modules:
        if _service_of(start) in AGENTS or start in AGENT_COMMANDS:
            found = import_graph.reachable(dict(tree.modules), start)
            breaches += [f"{start} reaches {name} through {importer}" for name, importer in found.items()
                         if name.split(".")[0] in DATABASE_LAYER or name in {"hostler.db", "hostler.operations"}]
    return breaches


@law
def no_module_outgrows_its_limit(tree: Tree) -> list[str]:
    """A module that is too long holds more than one idea."""
    return [f"{module.name}: {module.lines} lines" for module in tree.written if module.lines > MAX_MODULE_LINES]


@law
def modules_are_short(tree: Tree) -> list[str]:
    """Half of the modules (empty ones aside) are no longer than this."""
    lines = [module.lines for module in tree.written if module.lines > 1]
    median = statistics.median(lines) if lines else 0
    return [f"the median is {median} lines"] if median > MAX_MEDIAN_LINES else []


@law
def no_function_outgrows_its_limit(tree: Tree) -> list[str]:
    """A function that is too long has steps that deserve names."""
    return [f"{module.name}:{node.lineno} {node.name}: {lines} lines"
            for module in tree.written for node in ast.walk(module.tree)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            and (lines := (node.end_lineno or node.lineno) - node.lineno + 1) > MAX_FUNCTION_LINES]


@law
def tasks_flows_and_repairs_write_through_their_run_alone(tree: Tree) -> list[str]:
    """`run.write` checks in the same transaction that the operation is still ours; a database does not."""
    return [f"{module.name}:{node.lineno} {ast.unparse(node)}" for module in tree.modules.values()
            if module.name.startswith(FENCED) for node in ast.walk(module.tree)
            if (isinstance(node, ast.Attribute) and node.attr == "db")
            or (isinstance(node, ast.ImportFrom) and node.module == "hostler.db.engine")]


@law
def states_change_through_moves_alone(tree: Tree) -> list[str]:
    """Writing a state past its table of transitions undoes what somebody else has just written."""
    return [f"{module.name}:{node.lineno} writes {', '.join(sorted(names))}" for module in tree.written
            if _service_of(module.name) not in AGENTS and not MOVES.match(module.name)
            for node in ast.walk(module.tree) if (names := set(_written(node)) & STATES)]


def _written(node: ast.AST) -> Iterator[str]:
    """Yield the names of the columns that a statement writes, as far as it names them."""
    if isinstance(node, ast.Assign | ast.AugAssign):
        for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
            for part in target.elts if isinstance(target, ast.Tuple) else [target]:
                if isinstance(part, ast.Attribute) and ast.unparse(part.value) != "self":
                    yield "image.status" if ast.unparse(part) == "image.status" else part.attr
                elif isinstance(part, ast.Subscript) and isinstance(part.slice, ast.Constant):
                    yield str(part.slice.value)
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "values":
        of_image = "update(Image)" in ast.unparse(node.func)
        yield from ("image.status" if of_image and keyword.arg == "status" else keyword.arg
                    for keyword in node.keywords if keyword.arg is not None)
        for argument in [*node.args, *(keyword.value for keyword in node.keywords if keyword.arg is None)]:
            for key in argument.keys if isinstance(argument, ast.Dict) else []:
                if isinstance(key, ast.Constant | ast.Attribute):
                    yield str(key.value) if isinstance(key, ast.Constant) else key.attr


@law
def no_module_has_a_name_that_says_nothing(tree: Tree) -> list[str]:
    """What is in `utils` is found by nobody."""
    return [name for name in tree.modules if VAGUE.search(name)]


@law
def a_noun_is_spelt_the_same_in_every_room(tree: Tree) -> list[str]:
    """Face, core and flows of a noun call a thing by one name: not `backup` in one room and `backups` in the next."""
    names: dict[tuple[str, str], set[str]] = {}
    for module in tree.modules.values():
        found = ROOM.match(module.name)
        if found is not None:
            names.setdefault((found["noun"], found["room"]), set()).add(found["thing"])
    return [f"{room} of {noun} has {thing}, and {other} has {thing}s"
            for (noun, room), here in sorted(names.items()) for (of, other), there in sorted(names.items())
            if of == noun for thing in sorted(here - there) if f"{thing}s" in there - here]


@law
def every_module_says_what_it_is_for(tree: Tree) -> list[str]:
    """In its docstring."""
    return [name for name, module in tree.modules.items()
            if module.tree.body and ast.get_docstring(module.tree) is None]


@law
def unit_tests_mirror_the_tree(tree: Tree) -> list[str]:
    """A module's tests are found by its name."""
    unit = tree.root / "tests" / "unit"
    return [f"{path.relative_to(unit)}: no module of that name" for path in sorted(unit.rglob("test_*.py"))
            if path.stem not in OF_THE_WHOLE
            and ".".join((*path.relative_to(unit).parts[:-1], path.stem.removeprefix("test_"))) not in tree.modules]


@law
def tests_import_from_the_harness_and_not_from_one_another(tree: Tree) -> list[str]:
    """Modules that run other modules' tests on real databases aside."""
    return [f"{path.relative_to(tree.root)}:{node.lineno} imports {node.module}"
            for path in sorted((tree.root / "tests").rglob("*.py")) if not path.name.endswith("_databases.py")
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tests.")
            and (node.module or "").split(".")[1] not in ("harness", "chaos")]
