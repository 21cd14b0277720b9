"""Arguments are checked when accepted and when loaded."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import pytest

from hostler import errors
from hostler.operations.kinds import network, server, volume
from hostler.operations.kinds.arguments import Arguments
from hostler.operations.kinds.registry import KINDS


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sample(Arguments):
    """One field of each kind."""

    name: str
    size: int = 0
    sure: bool = False
    ids: tuple[str, ...] = ()
    by_id: Mapping[str, str | None] = dataclasses.field(default_factory=dict)


def test_what_is_stored_is_loaded_again() -> None:
    for arguments in (Sample(name="a"), Sample(name="b", size=2, sure=True, ids=("x", "y"), by_id={"z": None})):
        assert Sample.load(arguments.stored(), Sample.VERSION) == arguments


def test_defaults_are_not_stored_and_required_values_are() -> None:
    assert Sample(name="a").stored() == {"name": "a"}
    assert volume.CreateVolume(source=None).stored() == {"source": None}
    assert Sample(name="a", ids=("x",)).stored() == {"name": "a", "ids": ["x"]}


@pytest.mark.parametrize("wrong", [{"name": 1}, {"size": "1"}, {"size": True}, {"sure": 1}, {"ids": ["x"]},
                                   {"ids": (1,)}, {"by_id": {"x": 1}}, {"by_id": ()}, {"name": None}])
def test_a_value_of_another_type_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(errors.InvalidArguments, match=next(iter(wrong))):
        Sample(**{"name": "a", **wrong})


@pytest.mark.parametrize(("stored", "said"), [
    ({}, "missing name"), ({"name": "a", "nmae": "b"}, "unknown nmae"), ({"nmae": "b"}, "unknown nmae; missing name"),
    ({"name": 3}, "name is no"), ({"name": "a", "ids": "x"}, "ids is no")])
def test_what_was_not_stored_by_us_is_refused(stored: dict[str, Any], said: str) -> None:
    with pytest.raises(errors.InvalidArguments, match=said):
        Sample.load(stored, Sample.VERSION)


def test_a_newer_version_is_left_to_a_newer_release() -> None:
    with pytest.raises(errors.NewerArguments, match="newer than version 2"):
        Sample.load({"name": "a", "colour": "red"}, 3)


@pytest.mark.parametrize(("cls", "stored", "expected"), [
    (server.CreateServer, {"server_id": "s", "admin_password": "p", "volumes": True, "sources": {"v": None},
                           "excluded_hosts": ["h"], "build_failure": "x"},
     server.CreateServer(admin_password="p", volumes=True, sources={"v": None})),
    (server.Reboot, {"server_id": "s", "type": "HARD"}, server.Reboot(hard=True)),
    (server.Reboot, {"server_id": "s", "type": "SOFT"}, server.Reboot()),
    (server.ServerVolume, {"server_id": "s", "attachment_id": "a", "volume_id": "v"},
     server.ServerVolume(attachment_id="a", volume_id="v")),
    (Arguments, {"server_id": "s", "wait_for_lock": True}, Arguments()),
    (volume.DeleteVolume, {"cascade": False, "wait_for_lock": True}, volume.DeleteVolume(cascade=False)),
    (network.ApplyRules, {"server_id": "s", "port_ids": ["p"]}, network.ApplyRules(port_ids=("p",)))])
def test_operations_in_flight_are_upgraded(cls: type[Arguments], stored: dict[str, Any], expected: Arguments) -> None:
    assert cls.load(stored, 1) == expected


def test_every_kinds_arguments_are_keyword_only_frozen_dataclasses() -> None:
    for row in KINDS.values():
        parameters: Any = row.arguments.__dict__["__dataclass_params__"]
        assert parameters.frozen and all(field.kw_only for field in dataclasses.fields(row.arguments)), row.name


def test_only_passwords_are_secret() -> None:
    assert {name: row.arguments.secrets() for name, row in KINDS.items() if row.arguments.secrets()} == {
        "server.create": {"admin_password"}, "server.rebuild": {"admin_password"},
        "server.rescue": {"admin_password"}, "server.evacuate": {"admin_password"},
        "server.change_password": {"password"}}
    assert "p4ss" not in repr(server.CreateServer(admin_password="p4ss"))
