"""What a guest looks like at the host it is sent to."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from unittest import mock

import libvirt
import pytest
from lxml import etree

from compute.virt import driver as virt
from compute.virt import migration as terms
from compute.virt.libvirt import diskxml, domainxml, migration
from compute.virt.libvirt.events import kind_of
from hostler import errors, ids
from hostler.resources.server.specs import ServerSpec

_SERVER = ServerSpec(id=ids.new_id(), name="a", hostname="a", project_id="p", user_id="u", vcpus=1, ram_mib=64,
                     root_gib=1)


def definition(host: str, directory: str, *, bridge: str = "br", volumes: tuple[virt.VolumeDisk, ...] = (),
               iso: Path | None = None) -> str:
    guest = virt.Guest(
        _SERVER, (virt.Disk(Path(directory, "disk"), "vda"), virt.Disk(Path(directory, "disk.config"), "vdz", "raw",
                                                                       readonly=True)),
        (virt.Nic("port", "fa:16:3e:00:00:01", bridge, "tap1", 1500),), Path(directory, "console.log"), volumes, iso)
    return domainxml.build(guest, domainxml.Machine(host, "qemu", "none", "none", 4))


def running(xml: str) -> str:
    """What libvirt makes of a definition when the guest runs: addresses, aliases, backing chains, sockets."""
    tree = etree.fromstring(xml)
    for disk in tree.findall("devices/disk"):
        chain = etree.SubElement(disk, "backingStore", type="file")
        etree.SubElement(chain, "source", file="/source/images/base")
        etree.SubElement(disk, "address", type="pci", bus="0x02")
    for channel in tree.findall("devices/channel"):
        etree.SubElement(channel, "source", mode="bind", path="/source/channel")
    return etree.tostring(tree, encoding="unicode")


def test_everything_of_the_source_host_is_replaced_and_what_the_guest_sees_stays() -> None:
    there = definition("host2", "/target", bridge="br2")
    made = migration.adapted(running(definition("host1", "/source")), there)
    assert "/source" not in made
    assert "host1" not in made
    tree = etree.fromstring(made)
    assert domainxml.read_owner(etree.tostring(tree.find("metadata")[0])) == (_SERVER.id, "host2")
    assert [disk.find("source").get("file") for disk in tree.findall("devices/disk")] == [
        "/target/disk", "/target/disk.config"]
    assert tree.find("devices/disk/address").get("bus") == "0x02"
    assert tree.find("devices/interface/source").get("bridge") == "br2"
    assert tree.find("devices/serial/log").get("file") == "/target/console.log"


def test_a_volume_is_reached_as_the_target_reaches_it() -> None:
    volume = virt.VolumeDisk(ids.new_id(), "vdb", virt.FileSource(Path("/source/share/volume")))
    elsewhere = dataclasses.replace(volume, source=virt.NbdSource("10.0.0.1", 10809, "volume"))
    made = migration.adapted(running(definition("host1", "/source", volumes=(volume,))),
                             definition("host2", "/target", volumes=(elsewhere,)))
    disk = etree.fromstring(made).find("devices/disk[serial]")
    assert (disk.get("type"), disk.find("source").get("protocol")) == ("network", "nbd")


@pytest.mark.parametrize(("there", "found"), [(Path("/target/i/1"), "/target/i/1"), (None, None)])
def test_a_drive_stays_and_holds_what_the_target_has(there: Path | None, found: str | None) -> None:
    made = migration.adapted(running(definition("host1", "/source", iso=Path("/i/1"))),
                             definition("host2", "/target", iso=there))
    drive = diskxml.drive_in(made)
    assert drive is not None
    source = drive.find("source")
    assert (None if source is None else source.get("file")) == found


def test_a_disk_that_the_target_does_not_know_is_refused() -> None:
    volume = virt.VolumeDisk(ids.new_id(), "vdb", virt.FileSource(Path("/share/volume")))
    with pytest.raises(errors.AgentError, match="vdb"):
        migration.adapted(running(definition("host1", "/source", volumes=(volume,))), definition("host2", "/target"))


@pytest.mark.parametrize(("permitted", "paused", "flagged"), [
    (True, False, True), (False, False, False), (True, True, False)])
def test_post_copy_is_permitted_by_the_host_for_a_guest_that_runs_at_its_target(
        monkeypatch: pytest.MonkeyPatch, *, permitted: bool, paused: bool, flagged: bool) -> None:
    domain = mock.Mock()
    domain.XMLDesc.return_value = running(definition("host1", "/source"))
    monkeypatch.setattr(libvirt, "open", lambda _uri: mock.Mock(lookupByUUIDString=lambda _id: domain))
    landing = terms.Landing("qemu+tls://host2/system", definition("host2", "/target"), paused=paused)
    migration.send("qemu:///system", _SERVER.id, landing, terms.Manner(post_copy=permitted))
    [[uri, _parameters, flags]] = [call.args for call in domain.migrateToURI3.call_args_list]
    assert uri == "qemu+tls://host2/system"
    assert bool(flags & libvirt.VIR_MIGRATE_POSTCOPY) is flagged


def test_forced_to_an_end_it_goes_on_in_post_copy() -> None:
    domain = mock.Mock()
    migration.force(domain)
    assert [call[0] for call in domain.method_calls] == ["migrateStartPostCopy"]


def test_without_post_copy_it_stands_still_until_it_has_arrived() -> None:
    domain = mock.Mock()
    domain.migrateStartPostCopy.side_effect = libvirt.libvirtError("not begun with it")
    migration.force(domain)
    domain.suspend.assert_called_once_with()


def test_a_guest_that_was_sent_away_has_not_stopped() -> None:
    assert kind_of(libvirt.VIR_DOMAIN_EVENT_STOPPED, libvirt.VIR_DOMAIN_EVENT_STOPPED_MIGRATED) is None
    assert kind_of(libvirt.VIR_DOMAIN_EVENT_STOPPED, libvirt.VIR_DOMAIN_EVENT_STOPPED_DESTROYED) == "stopped"
