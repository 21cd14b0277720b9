"""What is plugged survives the agent; what cannot be read is not fatal."""

from __future__ import annotations

import stat
from pathlib import Path

from compute.network.records import GroupStore, NetworkRecord, PortRecord, RecordStore, choose_zone, replace_file
from tests.harness import network_factories as factories


def filled(root: Path) -> RecordStore:
    store = RecordStore(root)
    port = PortRecord(factories.port(), factories.server())
    record = NetworkRecord(factories.network(), 7, {factories.PORT_ID: port})
    store.save_network(record)
    store.save_port(record.ports[factories.PORT_ID])
    return store


def test_records_come_back(tmp_path: Path) -> None:
    filled(tmp_path)
    records = RecordStore(tmp_path).load()
    assert list(records) == [factories.NETWORK_ID]
    record = records[factories.NETWORK_ID]
    assert (record.network, record.zone) == (factories.network(), 7)
    assert record.port_specs == [factories.port()]
    assert record.ports[factories.PORT_ID].server == factories.server()


def test_secrets_are_for_the_owner_only(tmp_path: Path) -> None:
    filled(tmp_path)
    for path in tmp_path.rglob("*.json"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_broken_record_is_left_out_but_known_as_a_stray(tmp_path: Path) -> None:
    store = filled(tmp_path)
    (tmp_path / factories.NETWORK_ID / "network.json").write_text("{")
    assert store.load() == {}
    assert store.strays(()) == [factories.NETWORK_ID]
    assert store.strays([factories.NETWORK_ID]) == []


def test_a_broken_port_does_not_hide_its_network(tmp_path: Path) -> None:
    store = filled(tmp_path)
    (tmp_path / factories.NETWORK_ID / "ports" / f"{factories.PORT_ID}.json").write_text("")
    assert store.load()[factories.NETWORK_ID].ports == {}


def test_removing_twice_is_fine(tmp_path: Path) -> None:
    store = filled(tmp_path)
    for _ in range(2):
        store.remove_port(factories.NETWORK_ID, factories.PORT_ID)
        store.remove_network(factories.NETWORK_ID)
    assert store.load() == {}


def test_nothing_stored_is_no_error(tmp_path: Path) -> None:
    store = RecordStore(tmp_path / "not-there")
    assert store.load() == {}
    assert store.strays(()) == []


def test_zones_are_stable_and_apart() -> None:
    first = choose_zone(factories.NETWORK_ID, [])
    assert 1 <= first <= 65535
    assert choose_zone(factories.NETWORK_ID, []) == first
    assert choose_zone(factories.NETWORK_ID, [first, first + 1]) == first + 2
    assert choose_zone("0000fffe-0000-4000-8000-000000000000", [65535]) == 1


def test_replace_file_tells_whether_it_changed_anything(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file"
    assert [replace_file(path, text) for text in ("a", "a", "b")] == [True, False, True]
    assert [entry.name for entry in path.parent.iterdir()] == ["file"]


def test_members_of_groups_come_back(tmp_path: Path) -> None:
    store = GroupStore(tmp_path)
    mac = "fa:16:3e:00:00:05"
    store.save("a", [f"{mac} 10.0.0.5/32", f"{mac} 10.0.0.4/32", f"{mac} fd00::1/128"])
    store.save("b", [f"{mac} 10.0.0.9/32"])
    (tmp_path / "broken.json").write_text("{")
    again = GroupStore(tmp_path)
    expected = {"a": (f"{mac} . 10.0.0.4/31", f"{mac} . fd00::1/128"), "b": (f"{mac} . 10.0.0.9/32",),
                "unknown": ()}
    assert store.ranges(expected) == again.ranges(expected) == expected
    again.keep_only(["b"])
    assert again.ranges(["a"]) == {"a": ()}
    assert [path.name for path in tmp_path.iterdir()] == ["b.json"]
    again.save("a", [f"{mac} 10.0.0.4/32"])
    assert GroupStore(tmp_path).ranges(["a"]) == {"a": (f"{mac} . 10.0.0.4/32",)}
