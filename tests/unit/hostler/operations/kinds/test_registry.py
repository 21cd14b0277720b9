"""The table is whole, and what is derived from it is what users were told before it was one."""

from __future__ import annotations

import pytest

from hostler import errors
from hostler.operations.kinds import server
from hostler.operations.kinds.registry import IMMEDIATE, KINDS, action_name, shown
from hostler.resources.server import states as server_states
from hostler.resources.server.status import STATUS_FILTER, check_may_start, kinds_showing, task_state
from hostler.resources.volume import states as volume_states

# Kinds that nothing cancels; a kind is cancellable unless somebody thought otherwise.
LAST = {"server.delete", "server.update", "network.apply_rules", "network.update",
        "network.update_peers", "network.update_router", "network.trace_packet", "volume.delete",
        "snapshot.delete", "backup.delete",
        "attachment.delete", "cloud.audit", "server.shelve_offload", "server.confirm_resize",
        "server.revert_resize", "server.reset_network", "server.inject_network_info"}


def test_names_say_the_noun_and_are_unique() -> None:
    assert all(row.name == name and "." in name for name, row in KINDS.items())
    assert not KINDS.keys() & IMMEDIATE.keys()


def test_states_are_states_of_the_noun() -> None:
    of_volumes = {volume_states.READY, volume_states.DELETED, volume_states.CREATING, volume_states.MAINTENANCE,
                  "in-use", *volume_states.ERRORS}
    for row in KINDS.values():
        known = set(server_states.VM_STATES) if row.resources == ("server",) else of_volumes
        assert {*row.starts_in, *([row.ends_in] if row.ends_in else [])} <= known, row.name


def test_where_it_ends_is_reached_from_where_it_starts() -> None:
    for row in KINDS.values():
        if row.resources == ("server",) and row.ends_in is not None:
            forms = (*row.starts_in, *(row.forceful.starts_in if row.forceful else ()))
            assert all(server_states.may_become(state, row.ends_in) for state in forms), row.name


def test_who_can_be_cancelled() -> None:
    assert {name for name, row in KINDS.items() if not row.cancellable} == LAST
    assert {name for name, row in KINDS.items() if row.cancels} == {
        "server.delete", "server.soft_delete", "server.evacuate", "volume.delete", "snapshot.delete", "backup.delete"}


def test_what_volumes_show() -> None:
    assert shown("volume") == {
        "volume.create": "creating", "volume.delete": "deleting", "volume.extend": "extending",
        "volume.upload": "uploading", "volume.retype": "retyping", "volume.revert": "reverting",
        "volume.reimage": "downloading", "server.rebuild": "downloading",
        "backup.create": "backing-up", "backup.restore": "restoring-backup", "server.attach_volume": "attaching",
        "server.detach_volume": "detaching", "attachment.connect": "attaching", "attachment.delete": "detaching",
        "server.create": "attaching", "server.delete": "detaching", "server.shelve_offload": "reserved"}
    assert shown("snapshot") == {"snapshot.create": "creating", "snapshot.delete": "deleting",
                                 "volume.delete": "deleting", "volume.revert": "restoring",
                                 "backup.create": "backing-up"}
    assert shown("backup") == {"backup.create": "creating", "backup.delete": "deleting", "backup.restore": "restoring"}


@pytest.mark.parametrize(("kind", "placed", "hard", "expected"), [
    ("server.create", False, False, "scheduling"), ("server.create", True, False, "spawning"),
    ("server.delete", True, False, "deleting"), ("server.start", True, False, "powering-on"),
    ("server.stop", True, False, "powering-off"), ("server.reboot", True, False, "rebooting"),
    ("server.reboot", True, True, "rebooting_hard"), ("server.pause", True, False, "pausing"),
    ("server.attach_volume", True, False, None), ("network.apply_rules", True, False, None),
    ("nothing.known", True, False, None), (None, True, False, None)])
def test_what_servers_show(kind: str | None, placed: bool, hard: bool, expected: str | None) -> None:
    assert task_state(kind, placed=placed, hard=hard) == expected


def test_filters_look_for_what_is_shown() -> None:
    assert STATUS_FILTER["REBOOT"] == (("active",), ("server.reboot",))
    assert STATUS_FILTER["HARD_REBOOT"] == (("active", "stopped", "paused", "suspended", "error"), ("server.reboot",))
    assert STATUS_FILTER["SHUTOFF"] == (("stopped",), ())
    assert kinds_showing({"scheduling", "rebooting_hard"}) == ["server.create", "server.reboot"]
    assert kinds_showing({"None"}) == []


@pytest.mark.parametrize(("kind", "word"), [
    ("server.create", "create"), ("server.reset_state", "resetState"), ("server.lock", "lock"),
    ("network.apply_rules", "updateSecurityGroups"), ("server.attach_volume", "attach_volume"),
    ("server.dance", "dance")])
def test_words_of_the_action_list(kind: str, word: str) -> None:
    assert action_name(kind) == word


def test_a_stopped_server_reboots_by_force_only() -> None:
    check_may_start(server.REBOOT, "id", "stopped", said_as="reboot", hard=True)
    with pytest.raises(errors.InvalidState, match="Cannot 'reboot' instance id while it is in vm_state stopped"):
        check_may_start(server.REBOOT, "id", "stopped", said_as="reboot")
