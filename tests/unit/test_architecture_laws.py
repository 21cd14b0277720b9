"""Each law of the layout, broken on purpose in a small tree, is seen to be broken there, and only it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.harness import import_graph, laws

_DOC = '"""What it is for."""\n'
_GOOD = {
    "hostler/errors.py": _DOC, "hostler/cmd/compute.py": _DOC + "import compute.service\n",
    "compute/service.py": _DOC + "import hostler.errors\nimport conductor.rpcapi\n",
    "conductor/rpcapi.py": _DOC, "conductor/tasks/power.py": _DOC,
    "tests/harness/rig.py": _DOC, "tests/unit/compute/test_service.py": _DOC + "from tests.harness import rig\n",
}
_STATE_WRITES = ("server.vm_state = 'error'", "row.a, row.state = 1, 'error'", "values['power_state'] = 'running'",
                 "update.values(state='error')", "update.values({'vm_state': 'error'})",
                 "update.values({Server.vm_state: 'error'})", "update.values(**{'state': 'error'})",
                 "image.status = 'active'", "sa.update(Image).where(which).values(status='active')")
# Law → trees that break it, each one change away from the good one, and what the law says of it.
_BREAKS: dict[str, list[tuple[dict[str, str], str]]] = {
    "shared_ground_imports_no_service": [
        ({"hostler/errors.py": _DOC + "import conductor.rpcapi\n"}, "hostler.errors:2 imports conductor.rpcapi")],
    "service_imports_nothing_of_another_but_its_rpcapi": [
        ({"compute/service.py": _DOC + "from conductor.tasks import power\n"}, "imports conductor.tasks.power")],
    "nothing_but_commands_imports_the_commands": [
        ({"compute/service.py": _DOC + "import hostler.cmd.waiting\n"}, "compute.service:2")],
    "no_import_inside_a_function": [
        ({"hostler/errors.py": _DOC + "def load():\n    import json\n"}, "hostler.errors:3 imports json")],
    "no_circles": [
        ({"hostler/errors.py": _DOC + "import hostler.ids\n", "hostler/ids.py": _DOC + "import hostler.errors\n"},
         "hostler.errors <-> hostler.ids"),
        ({"hostler/errors.py": _DOC + "if TYPE_CHECKING:\n    from hostler.ids import Id\n",
          "hostler/ids.py": _DOC + "import hostler.errors\n"}, "hostler.errors <-> hostler.ids")],
    "agent_never_reaches_the_database_layer": [
        ({"compute/service.py": _DOC + "import hostler.errors\n", "hostler/errors.py": _DOC + "import sqlalchemy\n"},
         "compute.service reaches sqlalchemy through hostler.errors")],
    "no_module_outgrows_its_limit": [
        ({"hostler/errors.py": _DOC + "\n" * laws.MAX_MODULE_LINES}, "hostler.errors: 401 lines")],
    "modules_are_short": [
        ({path: text + "\n" * 120 for path, text in _GOOD.items() if not path.startswith("tests")},
         "the median is 12")],
    "no_function_outgrows_its_limit": [
        ({"hostler/errors.py": _DOC + "def work():\n" + "    pass\n" * laws.MAX_FUNCTION_LINES}, "work: 51 lines"),
        ({"hostler/errors.py": _DOC + "async def work():\n" + "    pass\n" * laws.MAX_FUNCTION_LINES},
         "work: 51 lines")],
    "tasks_flows_and_repairs_write_through_their_run_alone": [
        ({"conductor/tasks/power.py": _DOC + "run.db.write(work)\n"}, "conductor.tasks.power:2 run.db"),
        ({"conductor/tasks/power.py": _DOC + "from hostler.db.engine import Database\n"}, "hostler.db.engine")],
    "states_change_through_moves_alone": [
        ({"conductor/tasks/power.py": _DOC + line + "\n"}, "conductor.tasks.power:2 writes") for line in _STATE_WRITES],
    "no_module_has_a_name_that_says_nothing": [({"hostler/utils.py": _DOC}, "hostler.utils")],
    "a_noun_is_spelt_the_same_in_every_room": [
        ({"api/core/volume/backups.py": _DOC, "conductor/flows/volume/backup.py": _DOC},
         "conductor.flows of volume has backup, and api.core has backups"),
        ({"api/core/server/groups.py": _DOC, "api/openstack/compute/server/group.py": _DOC},
         "api.openstack.compute of server has group, and api.core has groups")],
    "every_module_says_what_it_is_for": [({"hostler/errors.py": "LIMIT = 1\n"}, "hostler.errors")],
    "unit_tests_mirror_the_tree": [
        ({"tests/unit/compute/test_services.py": _DOC}, "compute/test_services.py: no module of that name")],
    "tests_import_from_the_harness_and_not_from_one_another": [
        ({"tests/unit/compute/test_service.py": _DOC + "from tests.unit.compute.test_power import rig\n"},
         "test_service.py:2 imports tests.unit.compute.test_power")],
}


def _tree(root: Path, changes: dict[str, str]) -> laws.Tree:
    for path, text in {**_GOOD, **changes}.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return laws.Tree(root, import_graph.read_modules(root))


def _broken(tree: laws.Tree) -> dict[str, list[str]]:
    return {name: breaches for name, law in laws.LAWS.items() if (breaches := law(tree))}


def test_a_good_tree_breaks_none(tmp_path: Path) -> None:
    assert not _broken(_tree(tmp_path, {}))


def test_every_law_is_broken_here() -> None:
    assert set(_BREAKS) == set(laws.LAWS)


@pytest.mark.parametrize(("name", "changes", "said"),
                         [(name, *case) for name, cases in _BREAKS.items() for case in cases])
def test_a_law_sees_what_breaks_it(tmp_path: Path, name: str, changes: dict[str, str], said: str) -> None:
    broken = _broken(_tree(tmp_path, changes))
    assert set(broken) == {name}
    assert said in "\n".join(broken[name])
