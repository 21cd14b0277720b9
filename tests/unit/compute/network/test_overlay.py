"""The tables of VXLAN networks: what they hold, and what is changed to get there."""

from __future__ import annotations

from typing import Any

import pytest
from pyroute2.netlink.exceptions import NetlinkError

from compute.network import overlay
from compute.network.overlay import EVERYBODY, Entry, Tables, entries, program

MINE, THEIRS, THIRD = "192.0.2.1", "192.0.2.2", "192.0.2.3"
MAC = "fa:16:3e:00:00:01"


def test_ports_elsewhere_are_sent_to_and_all_are_answered_for() -> None:
    members = [f"{MAC} 10.0.0.5 {THEIRS}", f"{MAC} fd00::5 {THEIRS}", f"fa:16:3e:00:00:02 10.0.0.6 {MINE}",
               f"02:00:00:00:00:99 - {THIRD}"]
    assert entries(members, MINE) == {
        Entry("neighbours", "10.0.0.5", MAC), Entry("neighbours", "10.0.0.6", "fa:16:3e:00:00:02"),
        Entry("device", EVERYBODY, THEIRS), Entry("device", MAC, THEIRS), Entry("bridge", MAC),
        Entry("device", EVERYBODY, THIRD), Entry("device", "02:00:00:00:00:99", THIRD),
        Entry("bridge", "02:00:00:00:00:99")}
    assert entries(members, MINE, ipv6=True) - entries(members, MINE) == {
        Entry("neighbours", "fd00::5", MAC), Entry("neighbours", "fe80::f816:3eff:fe00:1", MAC)}
    assert entries([], MINE) == frozenset()


def test_a_mac_of_two_ports_is_at_one_place() -> None:
    found = entries([f"{MAC} - {THIRD}", f"{MAC} - {THEIRS}"], MINE)
    assert [entry.value for entry in found if entry.table == "device" and entry.key == MAC] == [THEIRS]
    assert {entry.value for entry in found if entry.key == EVERYBODY} == {THEIRS, THIRD}


class Kernel:
    """Notes what it is asked; lines that are dumped may be given."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, str]] = []
        self.refuses: dict[str, int] = {}
        self.dumps = 0

    def _call(self, table: str, verb: str, values: dict[str, Any]) -> None:
        if verb in self.refuses:
            raise NetlinkError(self.refuses[verb])
        self.calls.append((table, verb, str(values.get("lladdr") if table == "fdb" else values.get("dst"))))

    def fdb(self, verb: str, **values: Any) -> list[Any]:
        if verb == "dump":
            self.dumps += 1
            return []
        self._call("fdb", verb, values)
        return []

    def neigh(self, verb: str, **values: Any) -> None:
        self._call("fdb" if values.get("family") == 7 else "neigh", verb, values)

    def get_neighbours(self, **_values: Any) -> list[Any]:
        return []


def test_only_what_differs_is_written_removals_first() -> None:
    kernel = Kernel()
    before = entries([f"{MAC} 10.0.0.5 {THEIRS}"], MINE)
    after = entries([f"{MAC} 10.0.0.5 {THIRD}"], MINE)
    written = program(kernel, 3, 4, after, Tables(3, 4, before))
    assert written == Tables(3, 4, after) and not kernel.dumps
    assert kernel.calls == [("fdb", "del", EVERYBODY), ("fdb", "del", MAC), ("fdb", "append", EVERYBODY),
                            ("fdb", "append", MAC)]
    kernel.calls.clear()
    assert program(kernel, 3, 4, after, written) == written and not kernel.calls


@pytest.mark.parametrize("written", [None, Tables(3, 9, frozenset()), Tables(9, 4, frozenset())])
def test_tables_of_other_devices_are_read_first(written: Tables | None) -> None:
    kernel = Kernel()
    program(kernel, 3, 4, (), written)
    assert kernel.dumps == 1


def test_what_is_gone_or_there_already_is_fine_and_all_else_is_not() -> None:
    kernel = Kernel()
    kernel.refuses = {"del": 2, "append": 17}
    wanted = frozenset({Entry("device", MAC, THEIRS)})
    program(kernel, 3, 4, wanted, Tables(3, 4, frozenset({Entry("device", MAC, THIRD)})))
    kernel.refuses = {"append": 1}
    with pytest.raises(NetlinkError):
        program(kernel, 3, 4, wanted, Tables(3, 4, frozenset()))


def test_everything_that_is_written_can_be_told_apart_in_the_kernel() -> None:
    kernel = Kernel()
    wanted = entries([f"{MAC} 10.0.0.5 {THEIRS}"], MINE)
    program(kernel, 3, 4, wanted, Tables(3, 4, frozenset()))
    assert sorted(kernel.calls) == [("fdb", "append", EVERYBODY), ("fdb", "append", MAC), ("fdb", "replace", MAC),
                                    ("neigh", "replace", "10.0.0.5")]
    assert overlay.EVERYBODY == "00:00:00:00:00:00"
