"""What a rescue image asks for."""

from __future__ import annotations

import pytest

from hostler import errors
from hostler.resources.server.rescue_device import check_rescue_device, rescue_device


@pytest.mark.parametrize(("properties", "expected"), [
    ({}, None), ({"hw_disk_bus": "scsi"}, None),
    ({"hw_rescue_device": "cdrom"}, ("cdrom", "sata")), ({"hw_rescue_bus": "scsi"}, ("disk", "scsi")),
    ({"hw_rescue_device": "disk", "hw_disk_bus": "scsi"}, ("disk", "scsi")),
    ({"hw_rescue_device": " CDROM", "hw_rescue_bus": "SCSI", "hw_cdrom_bus": "sata"}, ("cdrom", "scsi"))])
def test_either_property_asks_for_a_device(properties: dict[str, str], expected: tuple[str, str] | None) -> None:
    check_rescue_device(properties)
    assert rescue_device(properties) == expected


@pytest.mark.parametrize(("properties", "field"), [
    ({"hw_rescue_device": "floppy"}, "hw_rescue_device"), ({"hw_rescue_device": "lun"}, "hw_rescue_device"),
    ({"hw_rescue_bus": "ide"}, "hw_rescue_bus"), ({"hw_rescue_bus": ["scsi"]}, "hw_rescue_bus"),
    ({"hw_rescue_device": "cdrom", "hw_rescue_bus": "usb"}, "hw_rescue_bus"),
    ({"hw_rescue_device": "cdrom", "hw_rescue_bus": "virtio"}, "hw_rescue_bus")])
def test_what_no_guest_can_have_is_refused_by_name(properties: dict[str, object], field: str) -> None:
    with pytest.raises(errors.InvalidField, match=f"{field}.*is not supported"):
        check_rescue_device(properties)
